/** \file observer.c  Maps to noisy observations, and observations to what the network is shown.  \ingroup lensing */
#include "lensing/observer.h"

#include <math.h>

struct Observer {
  ObservationKind kind;
  PetscInt bins, planes; /* planes: raw maps of a bin */
  size_t pixels;
  PetscBool uneven; /* noise differs from pixel to pixel */
  PetscBool weighted; /* from pixel to pixel or between observations: data are shown with weights */
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
  o->uneven = survey->counts[0] ? PETSC_TRUE : PETSC_FALSE;
  o->weighted = o->uneven || survey_has_noise_range(survey) ? PETSC_TRUE : PETSC_FALSE;
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

/* Are there pixels without data?  E-modes then leak into B-modes, and weights that vary over the map do the same. */
static PetscBool has_gaps(const Observer *o)
{
  return mask_exists(o->mask) || o->uneven ? PETSC_TRUE : PETSC_FALSE;
}

/* Channels of data of a bin: of shear all is in the E-mode where all pixels are seen alike. */
static PetscInt data_planes(const Observer *o)
{
  return has_gaps(o) ? o->planes : 1;
}

PetscInt observer_channels(const Observer *o)
{
  const PetscInt beside = o->weighted ? o->bins : mask_exists(o->mask) ? 1 : 0;

  return o->bins * data_planes(o) + beside;
}

/* What the data of a bin are shown times, to its work space; 0 without data. */
static void set_weights(Observer *o, PetscInt bin, const double *noise_std)
{
  const double typical = shape_noise_typical(o->noise, bin);
  const double *const std = o->weighted ? noise_std + (size_t)bin * (o->uneven ? o->pixels : 1) : NULL;

  for (size_t i = 0; i < o->pixels; i++)
    o->weight[i] = !(o->observed[i] > 0) ? 0 : std ? (float)(typical / std[o->uneven ? i : 0]) : 1;
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
  for (size_t i = 0; i < values; i++) {
    const size_t pixel = i % o->pixels;

    raw[i] = o->observed[pixel] > 0 && isfinite(shape_noise_std(o->noise, bin, pixel)) ? (float)observed[i] : 0;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode observer_observe(Observer *observer, RandomKey noise, const float *kappa, float *raw, float *mask)
{
  const size_t values = (size_t)observer->planes * observer->pixels;

  PetscFunctionBeginUser;
  PetscCheck(mask || !has_gaps(observer), PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
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
    PetscCheck(o->observed[i] == 1 || has_gaps(o), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "the observation has masked pixels but survey_mask is none; it must be a file or random for a network "
               "that is shown masks");
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What follows the data: the mask, or the weights of each bin, which are 0 where it hides them. */
static PetscErrorCode present_weights(Observer *o, const double *noise_std, float *plane)
{
  const PetscInt planes = observer_channels(o) - o->bins * data_planes(o);

  PetscFunctionBeginUser;
  for (PetscInt p = 0; p < planes; p++) {
    set_weights(o, p, noise_std);
    PetscCall(PetscArraycpy(plane + (size_t)p * o->pixels, o->weight, o->pixels));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode observer_present(Observer *o, const float *raw, const float *mask, const double *noise_std,
                                float *channels)
{
  const size_t bin_size = o->pixels * (size_t)o->planes, data = o->pixels * (size_t)(o->bins * data_planes(o));
  const PetscBool with_b_mode = data_planes(o) > 1 ? PETSC_TRUE : PETSC_FALSE;

  PetscFunctionBeginUser;
  PetscCheck(noise_std || !o->weighted, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "data are shown with weights, and nobody tells their noise");
  PetscCall(take_mask(o, mask));
  for (PetscInt bin = 0; bin < o->bins; bin++) {
    const float *const of_bin = raw + (size_t)bin * bin_size;
    float *const first = channels + (size_t)bin * o->pixels;

    set_weights(o, bin, noise_std);
    if (o->kind == OBSERVATION_SHEAR)
      PetscCall(present_shear(o, of_bin, first, with_b_mode ? first + (size_t)o->bins * o->pixels : NULL));
    else
      for (size_t i = 0; i < o->pixels; i++) first[i] = (float)weighted((double)o->weight[i], of_bin[i]);
  }
  PetscCall(present_weights(o, noise_std, channels + data));
  PetscFunctionReturn(PETSC_SUCCESS);
}

size_t observer_noise_size(const Observer *o)
{
  return (size_t)o->bins * (o->uneven ? o->pixels : 1);
}

void observer_noise_std(const Observer *o, RandomKey noise, double *noise_std)
{
  const size_t per_bin = o->uneven ? o->pixels : 1;

  for (PetscInt bin = 0; bin < o->bins; bin++) {
    const double factor = shape_noise_factor(o->noise, noise, bin);

    for (size_t i = 0; i < per_bin; i++)
      noise_std[(size_t)bin * per_bin + i] = factor * shape_noise_std(o->noise, bin, i);
  }
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
