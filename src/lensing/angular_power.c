/** \file angular_power.c  C_ij(ell) from matter power along the line of sight (Limber).  \ingroup lensing */
#include "internal.h"

#include <math.h>

/* Power between the grid's wavenumbers by six-point Lagrange in ln k, which follows even the wiggles of baryons alone;
 * power laws beyond the ends. */
static double power_at(const double *power, double ln_k)
{
  const double position = (ln_k - POWER_LN_K_MIN) / POWER_LN_K_STEP;

  if (position < 0) return power[0] * pow(power[1] / power[0], position);
  if (position > POWER_POINTS - 1) {
    const double *end = power + POWER_POINTS - 1;

    /* baryons alone leave next to nothing here, and that wiggles */
    return end[0] > 0 ? end[0] * pow(PetscMin(end[0] / end[-1], 1), position - (POWER_POINTS - 1)) : 0;
  }
  const int cell = PetscMin(PetscMax((int)position, 2), POWER_POINTS - 4);
  const double t = position - cell, *p = power + cell;
  const double a = t + 2, b = t + 1, c = t - 1, d = t - 2, e = t - 3;

  const double value = -b * t * c * d * e / 120 * p[-2] + a * t * c * d * e / 24 * p[-1] -
                       a * b * c * d * e / 12 * p[0] + a * b * t * d * e / 12 * p[1] - a * b * t * c * e / 24 * p[2] +
                       a * b * t * c * d / 120 * p[3];

  /* where Silk damping of baryons alone is steeper than any polynomial, or at a zero between two of their wiggles */
  return value > 0 ? value : PetscMin(p[0], p[1]);
}

void angular_power_look_up(double chi, const double *power, PetscInt ell_count, const double *ln_ell, double *at_ell)
{
  const double ln_chi = log(chi);

  for (PetscInt l = 0; l < ell_count; l++) at_ell[l] = power_at(power, ln_ell[l] - ln_chi);
}

/* C_ij(ell) = int dchi q_i q_j/chi^2 P((ell + 1/2)/chi, z(chi)), without extended-Limber factors of ell. */
void angular_power_add(const LineOfSight *sight, PetscInt node, const double *at_ell, LensingSpectra *spectra)
{
  const double chi = sight->chi[node], measure = sight->dchi[node] / (chi * chi);
  double *pair = spectra->power;

  for (PetscInt i = 0; i < spectra->bins; i++)
    for (PetscInt j = i; j < spectra->bins; j++, pair += spectra->ell_count) {
      const double q = sight->kernel[i * sight->count + node] * sight->kernel[j * sight->count + node] * measure;

      for (PetscInt l = 0; l < spectra->ell_count; l++) pair[l] += q * at_ell[l];
    }
}
