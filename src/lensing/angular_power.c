/** \file angular_power.c  C_ij(ell) from matter power along the line of sight (Limber).  \ingroup lensing */
#include "internal.h"

#include <math.h>

/* Power between the grid's wavenumbers by four-point Lagrange in ln k, good to 1e-6 for power laws and resolving the
 * baryon wiggles; power laws beyond the ends. */
static double power_at(const double *power, double ln_k)
{
  const double position = (ln_k - POWER_LN_K_MIN) / POWER_LN_K_STEP;

  if (position < 0) return power[0] * pow(power[1] / power[0], position);
  if (position > POWER_POINTS - 1) {
    const double *end = power + POWER_POINTS - 1;

    /* baryons alone leave nothing at all here */
    return end[0] > 0 ? end[0] * pow(end[0] / end[-1], position - (POWER_POINTS - 1)) : 0;
  }
  const int cell = PetscMin(PetscMax((int)position, 1), POWER_POINTS - 3);
  const double t = position - cell, *p = power + cell;

  return -t * (t - 1) * (t - 2) / 6 * p[-1] + (t + 1) * (t - 1) * (t - 2) / 2 * p[0] -
         (t + 1) * t * (t - 2) / 2 * p[1] + (t + 1) * t * (t - 1) / 6 * p[2];
}

/* C_ij(ell) = int dchi q_i q_j/chi^2 P((ell + 1/2)/chi, z(chi)), without extended-Limber factors of ell. */
void angular_power_add(const LineOfSight *sight, PetscInt node, const double *power, const double *ln_ell,
                       LensingSpectra *spectra, double *work)
{
  const double chi = sight->chi[node], ln_chi = log(chi), measure = sight->dchi[node] / (chi * chi);
  double *pair = spectra->power;

  for (PetscInt l = 0; l < spectra->ell_count; l++) work[l] = power_at(power, ln_ell[l] - ln_chi);
  for (PetscInt i = 0; i < spectra->bins; i++)
    for (PetscInt j = i; j < spectra->bins; j++, pair += spectra->ell_count) {
      const double q = sight->kernel[i * sight->count + node] * sight->kernel[j * sight->count + node] * measure;

      for (PetscInt l = 0; l < spectra->ell_count; l++) pair[l] += q * work[l];
    }
}
