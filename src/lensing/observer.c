/** \file observer.c  Maps to noisy observations, and observations to what the network is shown.  \ingroup lensing */
#include "lensing/observer.h"

struct Observer {
  ObservationKind kind;
  PetscInt bins, planes; /* planes: raw maps of a bin */
  size_t pixels;
  double noise_std;
  Mask *mask;
  ShearTransform *shear; /* NULL for convergence */
  double *in, *out; /* [2][ny][nx] work space */
  float *observed; /* [ny][nx] */
};

PetscErrorCode observer_create(const SurveyConfig *survey, Observer **observer)
{
  Observer *o = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&o));
  *observer = o;
  o->kind = (ObservationKind)survey->observation;
  o->bins = survey->bins;
  o->planes = o->kind == OBSERVATION_SHEAR ? 2 : 1;
  o->pixels = (size_t)survey_ny(survey) * (size_t)survey_nx(survey);
  o->noise_std = survey_noise_std(survey);
  PetscCall(mask_create(survey, &o->mask));
  if (o->kind == OBSERVATION_SHEAR) PetscCall(shear_transform_create(survey_ny(survey), survey_nx(survey), &o->shear));
  PetscCall(PetscMalloc3(2 * o->pixels, &o->in, 2 * o->pixels, &o->out, o->pixels, &o->observed));
  PetscFunctionReturn(PETSC_SUCCESS);
}

size_t observer_raw_size(const Observer *observer)
{
  return (size_t)(observer->bins * observer->planes) * observer->pixels;
}

PetscInt observer_channels(const Observer *observer)
{
  return mask_exists(observer->mask) ? observer->bins * observer->planes + 1 : observer->bins;
}

/* What a masked pixel holds is dropped, not multiplied by 0: files have NaN there. */
static double if_observed(const Observer *o, size_t pixel, double value)
{
  return o->observed[pixel] > 0 ? value : 0;
}

/* One bin: in (work space) holds its convergence; the observed planes go to raw [planes][ny][nx]. */
static PetscErrorCode observe_bin(Observer *o, RandomKey noise, uint64_t position, float *raw)
{
  const size_t values = (size_t)o->planes * o->pixels;
  double *const observed = o->kind == OBSERVATION_SHEAR ? o->out : o->in;

  PetscFunctionBeginUser;
  if (o->kind == OBSERVATION_SHEAR) PetscCall(shear_from_convergence(o->shear, o->in, o->out, o->out + o->pixels));
  shape_noise_add(noise, position, o->noise_std, values, observed);
  for (size_t plane = 0; plane < values; plane += o->pixels)
    for (size_t i = 0; i < o->pixels; i++) raw[plane + i] = (float)if_observed(o, i, observed[plane + i]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode observer_observe(Observer *observer, RandomKey noise, const float *kappa, float *raw, float *mask)
{
  const size_t values = (size_t)observer->planes * observer->pixels;

  PetscFunctionBeginUser;
  PetscCheck(mask || !mask_exists(observer->mask), PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "the survey has a mask, and there is no array for it");
  mask_draw(observer->mask, noise, observer->observed);
  if (mask) PetscCall(PetscArraycpy(mask, observer->observed, observer->pixels));
  for (PetscInt bin = 0; bin < observer->bins; bin++) {
    for (size_t i = 0; i < observer->pixels; i++) observer->in[i] = kappa[(size_t)bin * observer->pixels + i];
    PetscCall(observe_bin(observer, noise, (uint64_t)bin * values, raw + (size_t)bin * values));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* One bin of shear to its E-mode, and to its B-mode where there is a mask: E and B then leak into each other. */
static PetscErrorCode present_shear(Observer *o, const float *raw, float *e_mode, float *b_mode)
{
  double *const b = b_mode ? o->out + o->pixels : NULL;

  PetscFunctionBeginUser;
  for (size_t plane = 0; plane < 2 * o->pixels; plane += o->pixels)
    for (size_t i = 0; i < o->pixels; i++) o->in[plane + i] = if_observed(o, i, raw[plane + i]);
  PetscCall(shear_project(o->shear, o->in, o->in + o->pixels, o->out, b));
  for (size_t i = 0; i < o->pixels; i++) e_mode[i] = (float)o->out[i];
  if (b_mode)
    for (size_t i = 0; i < o->pixels; i++) b_mode[i] = (float)b[i];
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What the mask of an observation means to this observer, in its work space. */
static PetscErrorCode take_mask(Observer *o, const float *mask)
{
  PetscFunctionBeginUser;
  for (size_t i = 0; i < o->pixels; i++) {
    o->observed[i] = mask ? mask[i] : 1;
    PetscCheck(o->observed[i] == 1 || mask_exists(o->mask), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "the observation has masked pixels but survey_mask is none; it must be a file or random for a network "
               "that is shown masks");
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode observer_present(Observer *observer, const float *raw, const float *mask, float *channels)
{
  const size_t pixels = observer->pixels, bins = (size_t)observer->bins;
  const PetscBool masked = mask_exists(observer->mask);

  PetscFunctionBeginUser;
  PetscCall(take_mask(observer, mask));
  for (size_t bin = 0; bin < bins; bin++) {
    float *const first = channels + bin * pixels;

    if (observer->kind == OBSERVATION_SHEAR)
      PetscCall(present_shear(observer, raw + 2 * bin * pixels, first, masked ? first + bins * pixels : NULL));
    else
      for (size_t i = 0; i < pixels; i++) first[i] = (float)if_observed(observer, i, raw[bin * pixels + i]);
  }
  if (masked)
    PetscCall(
        PetscArraycpy(channels + (size_t)(observer->bins * observer->planes) * pixels, observer->observed, pixels));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode observer_noise_std(const Observer *observer, double *noise_std)
{
  PetscFunctionBeginUser;
  for (PetscInt bin = 0; bin < observer->bins; bin++) noise_std[bin] = observer->noise_std;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode observer_destroy(Observer **observer)
{
  PetscFunctionBeginUser;
  if (!*observer) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(mask_destroy(&(*observer)->mask));
  PetscCall(shear_transform_destroy(&(*observer)->shear));
  PetscCall(PetscFree3((*observer)->in, (*observer)->out, (*observer)->observed));
  PetscCall(PetscFree(*observer));
  PetscFunctionReturn(PETSC_SUCCESS);
}
