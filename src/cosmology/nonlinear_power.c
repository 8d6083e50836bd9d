/** \file nonlinear_power.c  Halofit (Smith et al. 2003) as revised by Takahashi et al. 2012 (1208.2701).
 * \ingroup cosmology */
#include "cosmology/kernels.h"

/* Radii are 1/k of every RADII_STRIDE-th wavenumber, so that kR takes few values: one table of the filter serves
 * all, whose index is wavenumber + RADII_STRIDE radius. */
enum { FILTER_POINTS = POWER_POINTS + RADII_STRIDE * (RADII - 1) };
#define LN_R_MIN POWER_LN_K_MIN /* the smallest radius is 1e-4 Mpc/h */
#define LN_R_STEP (RADII_STRIDE * POWER_LN_K_STEP)

/* Filter exp(-k^2 R^2) and its derivatives by ln R. */
typedef struct {
  double value[FILTER_POINTS], first[FILTER_POINTS], second[FILTER_POINTS];
} Filter;

static void filter_fill(Filter *filter)
{
  for (int i = 0; i < FILTER_POINTS; i++) {
    const double x2 = exp(2 * (POWER_LN_K_MIN + LN_R_MIN + i * POWER_LN_K_STEP)), gauss = exp(-x2);

    filter->value[i] = gauss;
    filter->first[i] = -2 * x2 * gauss;
    filter->second[i] = 4 * x2 * (x2 - 1) * gauss;
  }
}

/* sigma^2(R) = int dlnk Delta^2(k) exp(-k^2 R^2), by trapezoids (the integrand vanishes at both ends of the grid or,
 * for the smallest radii, is cut off there). */
void filtered_variance(const double *power, FilteredVariance *variance)
{
  enum { NEGLIGIBLE = 2 * POWER_POINTS_PER_DECADE }; /* exp(-k^2 R^2) is 0 in doubles two thirds of this past kR = 1 */
  Filter filter;
  double dimensionless[POWER_POINTS]; /* k^3 P/(2 pi^2) times the step */

  filter_fill(&filter);
  for (int i = 0; i < POWER_POINTS; i++)
    dimensionless[i] = exp(3 * (POWER_LN_K_MIN + i * POWER_LN_K_STEP)) * power[i] / (2 * M_PI * M_PI) * POWER_LN_K_STEP;
  dimensionless[0] /= 2;
  dimensionless[POWER_POINTS - 1] /= 2;
  for (int r = 0; r < RADII; r++) {
    const double *value = filter.value + RADII_STRIDE * r, *first = filter.first + RADII_STRIDE * r,
                 *second = filter.second + RADII_STRIDE * r;
    const int unit = 8 * POWER_POINTS_PER_DECADE - RADII_STRIDE * r; /* wavenumber at which kR = 1 */
    const int count = PetscMin(POWER_POINTS, unit + NEGLIGIBLE);
    double s0 = 0, s1 = 0, s2 = 0;

    for (int i = 0; i < count; i++) {
      s0 += dimensionless[i] * value[i];
      s1 += dimensionless[i] * first[i];
      s2 += dimensionless[i] * second[i];
    }
    variance->ln_variance[r] = log(s0);
    variance->slope[r] = s1 / s0;
    variance->curvature[r] = s2 / s0 - s1 / s0 * (s1 / s0);
  }
}

/* The radius at which growth^2 sigma^2(R) = 1, as ln(R/R_min)/step, by Newton on the cubic Hermite of a cell: the
 * variance falls monotonically and nearly as a power law. */
static double nonlinear_radius(const FilteredVariance *variance, double target)
{
  const double *f = variance->ln_variance;
  int low = 0, high = RADII - 1;
  double t;

  while (high - low > 1) {
    const int middle = (low + high) / 2;

    if (f[middle] > target)
      low = middle;
    else
      high = middle;
  }
  const double d0 = variance->slope[low] * LN_R_STEP, d1 = variance->slope[high] * LN_R_STEP;
  const double rise = f[high] - f[low], c2 = 3 * rise - 2 * d0 - d1, c3 = d0 + d1 - 2 * rise;

  t = (target - f[low]) / rise;
  for (int iteration = 0; iteration < 4; iteration++)
    t -= (f[low] + t * (d0 + t * (c2 + t * c3)) - target) / (d0 + t * (2 * c2 + 3 * t * c3));
  return low + t;
}

Halofit halofit_prepare(const FilteredVariance *variance, double growth, double Omega_m, double w_0)
{
  const double target = -2 * log(growth);

  if (variance->ln_variance[0] < target) return (Halofit){.nonlinear = PETSC_FALSE};

  const double radius = nonlinear_radius(variance, target);
  const int cell = PetscMin(PetscMax((int)radius, 0), RADII - 2);
  /* The slope's own cubic Hermite, and its derivative. */
  const double t = radius - cell, s0 = variance->slope[cell], s1 = variance->slope[cell + 1];
  const double d0 = variance->curvature[cell] * LN_R_STEP, d1 = variance->curvature[cell + 1] * LN_R_STEP;
  const double c2 = 3 * (s1 - s0) - 2 * d0 - d1, c3 = d0 + d1 - 2 * (s1 - s0);
  const double n = -3 - (s0 + t * (d0 + t * (c2 + t * c3)));
  const double C = -(d0 + t * (2 * c2 + 3 * t * c3)) / LN_R_STEP;
  const double n2 = n * n, n3 = n2 * n, n4 = n2 * n2, de = (1 - Omega_m) * (1 + w_0), ln_Omega_m = log(Omega_m);

  return (Halofit){
      /* Takahashi et al. 2012, eqs A6-A13, and Smith et al. 2003, eq. C17, for flat universes.  The fit knows constant
       * w only: w_a changes growth and Omega_m(z), while its own terms in w take w_0, as in ccl. */
      .nonlinear = PETSC_TRUE,
      .k_nonlinear = exp(-(LN_R_MIN + radius * LN_R_STEP)),
      .a = pow(10, 1.5222 + 2.8553 * n + 2.3706 * n2 + 0.9903 * n3 + 0.2250 * n4 - 0.6038 * C + 0.1749 * de),
      .b = pow(10, -0.5642 + 0.5864 * n + 0.5716 * n2 - 1.5474 * C + 0.2279 * de),
      .c_f3 = pow(10, 0.3698 + 2.0404 * n + 0.8161 * n2 + 0.5869 * C) * exp(0.0743 * ln_Omega_m),
      .gamma = 0.1971 - 0.0843 * n + 0.8460 * C,
      .alpha = fabs(6.0835 + 1.3373 * n - 0.1959 * n2 - 5.5274 * C),
      .beta = 2.0379 - 0.7354 * n + 0.3157 * n2 + 1.2490 * n3 + 0.3980 * n4 - 0.1682 * C,
      .nu = pow(10, 5.2105 + 3.6902 * n),
      .f1 = exp(-0.0307 * ln_Omega_m),
      .f2 = exp(-0.0585 * ln_Omega_m),
  };
}

/* Takahashi et al. 2012, eq. A2 */
static double two_halo(const Halofit *halofit, double y, double linear)
{
  if (y > NO_TWO_HALO) return 0;
  return linear / (1 + halofit->alpha * linear) * exp(halofit->beta * log(1 + linear) - y / 4 - y * y / 8);
}

/* The three powers of y in the one-halo term, each with its coefficient. */
typedef struct {
  double numerator, shallow, steep;
} OneHaloPowers;

static OneHaloPowers one_halo_powers(const Halofit *halofit, double y)
{
  return (OneHaloPowers){.numerator = halofit->a * pow(y, 3 * halofit->f1),
                         .shallow = halofit->b * pow(y, halofit->f2),
                         .steep = pow(halofit->c_f3 * y, 3 - halofit->gamma)};
}

/* Takahashi et al. 2012, eqs A3, A4, with mu_n = 0 */
static double one_halo(const Halofit *halofit, const OneHaloPowers *powers, double y)
{
  return powers->numerator / ((1 + powers->shallow + powers->steep) * (1 + halofit->nu / (y * y)));
}

double halofit_dimensionless(const Halofit *halofit, double k, double linear)
{
  if (!halofit->nonlinear) return linear;

  const double y = k / halofit->k_nonlinear;
  const OneHaloPowers powers = one_halo_powers(halofit, y);

  return two_halo(halofit, y, linear) + one_halo(halofit, &powers, y);
}

void halofit_row(const Halofit *halofit, double growth, const double *linear_today, double *nonlinear)
{
  const double growth2 = growth * growth;

  if (!halofit->nonlinear) {
    for (int i = 0; i < POWER_POINTS; i++) nonlinear[i] = growth2 * linear_today[i];
    return;
  }
  const double y = POWER_K_MIN / halofit->k_nonlinear;
  const OneHaloPowers powers = one_halo_powers(halofit, y);
  const HalofitRow row = {.halofit = halofit,
                          .growth2 = growth2,
                          .y = y,
                          .volume = POWER_K_MIN * POWER_K_MIN * POWER_K_MIN / (2 * M_PI * M_PI),
                          .powers = {powers.numerator, powers.shallow, powers.steep},
                          .exponents = {3 * halofit->f1, halofit->f2, 3 - halofit->gamma},
                          .linear_today = linear_today,
                          .nonlinear = nonlinear};

  cosmology_kernels_best()->halofit(&row);
}
