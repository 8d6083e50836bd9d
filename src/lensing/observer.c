/** \file observer.c  Maps to noisy observations, and observations to what the network is shown.  \ingroup lensing */
#include "lensing/observer.h"

struct Observer {
  ObservationKind kind;
  PetscInt bins, planes; /* planes: raw maps of a bin */
  size_t pixels;
  ShapeNoise *noise;
  Mask *mask;
  ShearTransform *shear; /* NULL for convergence */
  double *in, *out; /* [2][ny][nx] work space */
  float *observed; /* [ny][nx] */
  float *weight; /* [ny][nx] of the bin at hand */
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
  PetscCall(shape_noise_create(survey, &o->noise));
  PetscCall(mask_create(survey, &o->mask));
  if (o->kind == OBSERVATION_SHEAR) PetscCall(shear_transform_create(survey_ny(survey), survey_nx(survey), &o->shear));
  PetscCall(
      PetscMalloc4(2 * o->pixels, &o->in, 2 * o->pixels, &o->out, o->pixels, &o->observed, o->pixels, &o->weight));
  PetscFunctionReturn(PETSC_SUCCESS);
}

size_t observer_raw_size(const Observer *observer)
{
  return (size_t)(observer->bins * observer->planes) * observer->pixels;
}

/* Does the noise vary, so that data are shown with weights? */
static PetscBool is_weighted(const Observer *o)
{
  return shape_noise_weight(o->noise, 0) ? PETSC_TRUE : PETSC_FALSE;
}

PetscInt observer_channels(const Observer *o)
{
  if (is_weighted(o)) return o->bins * (o->planes + 1);
  return mask_exists(o->mask) ? o->bins * o->planes + 1 : o->bins;
}

/* What the data of a bin are shown times, to its work space: 1, or with counts something else; 0 without data. */
static void set_weights(Observer *o, PetscInt bin)
{
  const float *const weight = shape_noise_weight(o->noise, bin);

  for (size_t i = 0; i < o->pixels; i++) o->weight[i] = o->observed[i] > 0 ? (weight ? weight[i] : 1) : 0;
}

/* What a masked pixel holds is dropped, not multiplied by 0: files have NaN there. */
static double weighted(double weight, double value)
{
  return weight > 0 ? weight * value : 0;
}

/* One bin: in (work space) holds its convergence; the observed planes go to raw [planes][ny][nx]. */
static PetscErrorCode observe_bin(Observer *o, RandomKey noise, PetscInt bin, float *raw)
{
  const size_t values = (size_t)o->planes * o->pixels;
  double *const observed = o->kind == OBSERVATION_SHEAR ? o->out : o->in;

  PetscFunctionBeginUser;
  if (o->kind == OBSERVATION_SHEAR) PetscCall(shear_from_convergence(o->shear, o->in, o->out, o->out + o->pixels));
  shape_noise_add(o->noise, noise, bin, o->planes, observed);
  set_weights(o, bin);
  for (size_t plane = 0; plane < values; plane += o->pixels)
    for (size_t i = 0; i < o->pixels; i++) raw[plane + i] = o->weight[i] > 0 ? (float)observed[plane + i] : 0;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode observer_observe(Observer *observer, RandomKey noise, const float *kappa, float *raw, float *mask)
{
  const size_t values = (size_t)observer->planes * observer->pixels;

  PetscFunctionBeginUser;
  PetscCheck(mask || !(mask_exists(observer->mask) || is_weighted(observer)), PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "the survey has a mask, and there is no array for it");
  mask_draw(observer->mask, noise, observer->observed);
  shape_noise_hide(observer->noise, observer->observed);
  if (mask) PetscCall(PetscArraycpy(mask, observer->observed, observer->pixels));
  for (PetscInt bin = 0; bin < observer->bins; bin++) {
    for (size_t i = 0; i < observer->pixels; i++) observer->in[i] = kappa[(size_t)bin * observer->pixels + i];
    PetscCall(observe_bin(observer, noise, bin, raw + (size_t)bin * values));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* One bin of shear to its E-mode, and to its B-mode where there is a mask: E and B then leak into each other. */
static PetscErrorCode present_shear(Observer *o, const float *raw, float *e_mode, float *b_mode)
{
  double *const b = b_mode ? o->out + o->pixels : NULL;

  PetscFunctionBeginUser;
  for (size_t plane = 0; plane < 2 * o->pixels; plane += o->pixels)
    for (size_t i = 0; i < o->pixels; i++) o->in[plane + i] = weighted((double)o->weight[i], raw[plane + i]);
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
    PetscCheck(o->observed[i] == 1 || mask_exists(o->mask) || is_weighted(o), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "the observation has masked pixels but survey_mask is none; it must be a file or random for a network "
               "that is shown masks");
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What follows the data: the mask, or with counts the weights of each bin, which are 0 where it hides them. */
static PetscErrorCode present_weights(Observer *o, float *plane)
{
  const PetscInt planes = is_weighted(o) ? o->bins : mask_exists(o->mask) ? 1 : 0;

  PetscFunctionBeginUser;
  for (PetscInt p = 0; p < planes; p++) {
    set_weights(o, p);
    PetscCall(PetscArraycpy(plane + (size_t)p * o->pixels, o->weight, o->pixels));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode observer_present(Observer *o, const float *raw, const float *mask, float *channels)
{
  const size_t bin_size = o->pixels * (size_t)o->planes, data = bin_size * (size_t)o->bins;
  const PetscBool with_b_mode = observer_channels(o) > o->bins ? PETSC_TRUE : PETSC_FALSE;

  PetscFunctionBeginUser;
  PetscCall(take_mask(o, mask));
  for (PetscInt bin = 0; bin < o->bins; bin++) {
    const float *const of_bin = raw + (size_t)bin * bin_size;
    float *const first = channels + (size_t)bin * o->pixels;

    set_weights(o, bin);
    if (o->kind == OBSERVATION_SHEAR)
      PetscCall(present_shear(o, of_bin, first, with_b_mode ? first + (size_t)o->bins * o->pixels : NULL));
    else
      for (size_t i = 0; i < o->pixels; i++) first[i] = (float)weighted((double)o->weight[i], of_bin[i]);
  }
  PetscCall(present_weights(o, channels + data));
  PetscFunctionReturn(PETSC_SUCCESS);
}

size_t observer_noise_size(const Observer *o)
{
  return (size_t)o->bins * (is_weighted(o) ? o->pixels : 1);
}

void observer_noise_std(const Observer *o, double *noise_std)
{
  const size_t per_bin = is_weighted(o) ? o->pixels : 1;

  for (PetscInt bin = 0; bin < o->bins; bin++)
    for (size_t i = 0; i < per_bin; i++) noise_std[(size_t)bin * per_bin + i] = shape_noise_std(o->noise, bin, i);
}

PetscErrorCode observer_destroy(Observer **observer)
{
  PetscFunctionBeginUser;
  if (!*observer) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(shape_noise_destroy(&(*observer)->noise));
  PetscCall(mask_destroy(&(*observer)->mask));
  PetscCall(shear_transform_destroy(&(*observer)->shear));
  PetscCall(PetscFree4((*observer)->in, (*observer)->out, (*observer)->observed, (*observer)->weight));
  PetscCall(PetscFree(*observer));
  PetscFunctionReturn(PETSC_SUCCESS);
}
