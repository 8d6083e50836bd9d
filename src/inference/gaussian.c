/** \file gaussian.c  The Wiener filter of an observation of the whole periodic map.  \ingroup inference */
#include "nephrite/inference.h"

/* The mean of a field that is constrained, with its cosmology set.  \param mean [size] work */
static PetscErrorCode filter(ConstrainedField *field, const LensingSpectra *spectra, size_t size, double *mean,
                             float *kappa)
{
  PetscFunctionBeginUser;
  PetscCall(constrained_field_set_spectra(field, spectra, NULL));
  PetscCall(constrained_field_mean(field, mean));
  for (size_t i = 0; i < size; i++) kappa[i] = (float)mean[i];
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode wiener_filter(const SurveyConfig *survey, const LensingSpectra *spectra, const double *noise_std,
                             const float *raw, float *kappa)
{
  const size_t size = (size_t)survey->bins * (size_t)survey_ny(survey) * (size_t)survey_nx(survey);
  SurveyConfig alike = *survey; /* noise_std is [bins], whatever the survey counts */
  ConstrainedField *field = NULL;
  double *mean = NULL;

  PetscFunctionBeginUser;
  alike.counts[0] = 0;
  PetscCall(PetscMalloc1(size, &mean));
  PetscErrorCode error = constrained_field_create(
      &alike, &(Observation){.raw = (float *)raw, .noise_std = (double *)noise_std}, NULL, &field);
  if (!error) error = filter(field, spectra, size, mean, kappa);
  PetscCall(constrained_field_destroy(&field));
  PetscCall(PetscFree(mean));
  PetscFunctionReturn(error);
}
