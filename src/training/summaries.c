/** \file summaries.c  What is told of an observation in numbers: band powers and one-point distributions.
 * \ingroup training */
#include "internal.h"

struct Summaries {
  BandPowers *bands; /* NULL, either, if not told */
  OnePoint *one_point;
};

PetscErrorCode summaries_create(const NetworkShape *shape, Summaries **summaries)
{
  const NetworkConfig *config = &shape->config;
  Summaries *s = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&s));
  *summaries = s;
  if (config->spectra)
    PetscCall(band_powers_create(shape->ny, shape->nx, shape->bins, config->spectra, BANDS_TO_CORNER, &s->bands));
  if (config->one_point)
    PetscCall(one_point_create(shape->ny, shape->nx, shape->bins, config->one_point, &s->one_point));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void summaries_variance(Summaries *s, const float *channels, double *variance)
{
  if (s->one_point) one_point_variance(s->one_point, channels, variance);
}

void summaries_of(Summaries *s, const float *channels, const double *one_point_unit, double *values)
{
  if (s->bands) {
    band_powers_of(s->bands, channels, values);
    values += band_powers_count(s->bands);
  }
  if (s->one_point) one_point_of(s->one_point, channels, one_point_unit, values);
}

PetscErrorCode summaries_destroy(Summaries **summaries)
{
  PetscFunctionBeginUser;
  if (!*summaries) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(band_powers_destroy(&(*summaries)->bands));
  PetscCall(one_point_destroy(&(*summaries)->one_point));
  PetscCall(PetscFree(*summaries));
  PetscFunctionReturn(PETSC_SUCCESS);
}
