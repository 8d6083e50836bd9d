/** \file linear_power.c  Transfer function of Eisenstein & Hu 1998 (astro-ph/9709112) and normalisation to sigma_8.
 * \ingroup cosmology */
#include "internal.h"

#define T_CMB 2.7255 /* K; Fixsen 2009 */

void transfer_function_prepare(const Cosmology *cosmology, TransferFunction *transfer)
{
  const double h2 = cosmology->h * cosmology->h, theta2 = (T_CMB / 2.7) * (T_CMB / 2.7);
  const double Omega_m = cosmology->Omega_c + cosmology->Omega_b;
  const double m = Omega_m * h2, b = cosmology->Omega_b * h2;
  const double f_b = cosmology->Omega_b / Omega_m, f_c = cosmology->Omega_c / Omega_m;
  /* eqs 2-7: equality, drag epoch, sound horizon, Silk scale.  As in the authors' own code, "z_eq" of the paper is
   * really 1 + z, and R at the drag epoch and y of eq. 15 are taken with 1 + z_drag: it matters where baryons dominate.
   */
  const double equality_1z = 2.5e4 * m / (theta2 * theta2), k_equality = 7.46e-2 * m / theta2;
  const double b_1 = 0.313 * pow(m, -0.419) * (1 + 0.607 * pow(m, 0.674)), b_2 = 0.238 * pow(m, 0.223);
  const double drag_1z = 1 + 1291 * pow(m, 0.251) / (1 + 0.659 * pow(m, 0.828)) * (1 + b_1 * pow(b, b_2));
  const double R_drag = 31.5 * b / (theta2 * theta2) * 1e3 / drag_1z;
  const double R_equality = 31.5 * b / (theta2 * theta2) * 1e3 / equality_1z;
  const double s = 2 / (3 * k_equality) * sqrt(6 / R_equality) *
                   log((sqrt(1 + R_drag) + sqrt(R_drag + R_equality)) / (1 + sqrt(R_equality)));
  /* eqs 11, 12 */
  const double a_1 = pow(46.9 * m, 0.670) * (1 + pow(32.1 * m, -0.532));
  const double a_2 = pow(12.0 * m, 0.424) * (1 + pow(45.0 * m, -0.582));
  const double beta_1 = 0.944 / (1 + pow(458 * m, -0.708)), beta_2 = pow(0.395 * m, -0.0266);
  /* eqs 14, 15 */
  const double y = equality_1z / drag_1z, root = sqrt(1 + y);
  const double G = y * (-6 * root + (2 + 3 * y) * log((root + 1) / (root - 1)));

  *transfer = (TransferFunction){
      .h = cosmology->h,
      .baryon_fraction = f_b,
      .k_equality = k_equality,
      .k_silk = 1.6 * pow(b, 0.52) * pow(m, 0.73) * (1 + pow(10.4 * m, -0.95)),
      .sound_horizon = s,
      .alpha_c = pow(a_1, -f_b) * pow(a_2, -f_b * f_b * f_b),
      .beta_c = 1 / (1 + beta_1 * (pow(f_c, beta_2) - 1)),
      .alpha_b = 2.07 * k_equality * s * pow(1 + R_drag, -0.75) * G,
      .beta_b = 0.5 + f_b + (3 - 2 * f_b) * sqrt(17.2 * m * 17.2 * m + 1), /* eq. 24 */
      .beta_node = 8.41 * pow(m, 0.435), /* eq. 23 */
  };
}

/* Eqs 19, 20, of log(e + 1.8 beta q) and 14.2/alpha. */
static double pressureless(double logarithm, double amplitude, double q, double q_108)
{
  return logarithm / (logarithm + (amplitude + 386 / (1 + 69.9 * q_108)) * q * q);
}

double transfer_function(const TransferFunction *transfer, double k)
{
  const double k_mpc = k * transfer->h, q = k_mpc / (13.41 * transfer->k_equality), q_108 = pow(q, 1.08);
  const double ks = k_mpc * transfer->sound_horizon;
  /* cold dark matter, eqs 17, 18 */
  const double ks_54 = ks / 5.4, f = 1 / (1 + ks_54 * ks_54 * ks_54 * ks_54);
  const double log_c = log(M_E + 1.8 * transfer->beta_c * q), log_1 = log(M_E + 1.8 * q);
  const double cold =
      f * pressureless(log_c, 14.2, q, q_108) + (1 - f) * pressureless(log_c, 14.2 / transfer->alpha_c, q, q_108);
  /* baryons, eqs 21, 22 */
  const double node = transfer->beta_node / ks, b_ks = transfer->beta_b / ks;
  const double x = ks / cbrt(1 + node * node * node);
  const double decay = exp(-pow(k_mpc / transfer->k_silk, 1.4));
  const double baryons = (pressureless(log_1, 14.2, q, q_108) / (1 + ks / 5.2 * (ks / 5.2)) +
                          transfer->alpha_b / (1 + b_ks * b_ks * b_ks) * decay) *
                         (x > 1e-4 ? sin(x) / x : 1);

  return transfer->baryon_fraction * baryons + (1 - transfer->baryon_fraction) * cold; /* eq. 16 */
}

/* Fourier transform of a ball, W(0) = 1. */
static double top_hat(double x)
{
  return x > 1e-2 ? 3 * (sin(x) - x * cos(x)) / (x * x * x) : 1 - x * x / 10;
}

double power_sigma_8(const double *power, double n_s)
{
  const double radius = 8; /* Mpc/h */
  double sum = 0;

  for (int i = 0; i < POWER_POINTS; i++) {
    const double k = exp(POWER_LN_K_MIN + i * POWER_LN_K_STEP), filter = top_hat(k * radius);

    sum += k * k * k * power[i] * filter * filter;
  }
  /* Trapezoids, plus the power law below the grid: int dlnk k^3 P there is its integrand at the end over 3 + n_s. */
  const double end = POWER_K_MIN * POWER_K_MIN * POWER_K_MIN * power[0];
  return sqrt(((sum - end / 2) * POWER_LN_K_STEP + end / (3 + n_s)) / (2 * M_PI * M_PI));
}
