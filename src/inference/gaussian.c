/** \file gaussian.c  The Wiener filter of an observation.  \ingroup inference */
#include "nephrite/inference.h"

/* The mean of a field that is constrained, with its cosmology set.  \param mean [size] work */
static PetscErrorCode filter(ConstrainedField *field, const LensingSpectra *spectra, const char *name, size_t size,
                             double *mean, float *kappa)
{
  PetscFunctionBeginUser;
  PetscCall(constrained_field_set_spectra(field, spectra, name));
  PetscCall(constrained_field_mean(field, mean));
  for (size_t i = 0; i < size; i++) kappa[i] = (float)mean[i];
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode wiener_filter(const SurveyConfig *survey, const LensingSpectra *spectra, const char *name,
                             const Observation *observation, float *kappa)
{
  const size_t size = (size_t)survey->bins * (size_t)survey_ny(survey) * (size_t)survey_nx(survey);
  ConstrainedField *field = NULL;
  double *mean = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1(size, &mean));
  PetscErrorCode error = constrained_field_create(survey, observation, NULL, &field);
  if (!error) error = filter(field, spectra, name, size, mean, kappa);
  PetscCall(constrained_field_destroy(&field));
  PetscCall(PetscFree(mean));
  PetscFunctionReturn(error);
}
