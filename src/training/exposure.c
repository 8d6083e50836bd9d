/** \file exposure.c  A map as the survey would see it, and as the network is shown it.  \ingroup training */
#include "internal.h"

struct Exposure {
  Observer *observer;
  float *raw; /* [observer_raw_size()] */
  float *mask; /* [ny][nx]; NULL where everything is seen */
  double *noise_std; /* [observer_noise_size()] */
  float *channels; /* [observer_channels()][ny][nx] */
};

PetscErrorCode exposure_create(const SurveyConfig *survey, Exposure **exposure)
{
  const size_t pixels = (size_t)survey_ny(survey) * (size_t)survey_nx(survey);
  Exposure *e = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&e));
  *exposure = e;
  PetscCall(observer_create(survey, &e->observer));
  PetscCall(PetscMalloc1(observer_raw_size(e->observer), &e->raw));
  if (survey_has_mask(survey)) PetscCall(PetscMalloc1(pixels, &e->mask));
  PetscCall(PetscMalloc1(observer_noise_size(e->observer), &e->noise_std));
  PetscCall(PetscMalloc1((size_t)observer_channels(e->observer) * pixels, &e->channels));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscInt exposure_channels(const Exposure *exposure)
{
  return observer_channels(exposure->observer);
}

PetscErrorCode exposure_take(Exposure *e, RandomKey noise, const float *kappa, const float **channels)
{
  PetscFunctionBeginUser;
  PetscCall(observer_observe(e->observer, noise, kappa, e->raw, e->mask));
  observer_noise_std(e->observer, noise, e->noise_std);
  PetscCall(observer_present(e->observer, e->raw, e->mask, e->noise_std, e->channels));
  *channels = e->channels;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode exposure_destroy(Exposure **exposure)
{
  PetscFunctionBeginUser;
  if (!*exposure) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(observer_destroy(&(*exposure)->observer));
  PetscCall(PetscFree((*exposure)->raw));
  PetscCall(PetscFree((*exposure)->mask));
  PetscCall(PetscFree((*exposure)->noise_std));
  PetscCall(PetscFree((*exposure)->channels));
  PetscCall(PetscFree(*exposure));
  PetscFunctionReturn(PETSC_SUCCESS);
}
