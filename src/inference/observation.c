/** \file observation.c  A user's own observation: read, and refused unless the model can use it.  \ingroup inference */
#include "nephrite/inference.h"

#include <math.h>
#include <string.h>

/* Beyond this a model was not trained with such noise: its draws would have the wrong width. */
static const double noise_tolerance = 0.01;
/* No lensing and no noise makes a shear or a convergence beyond so much and so many standard deviations of its noise:
 * the file is damaged, or in other units. */
static const double most_signal = 10, most_noise = 100;
/* Of the pixel's side. */
static const double pixel_tolerance = 1e-3;

/* What is being read. */
typedef struct {
  ProductReader *reader;
  const char *path;
  const SurveyConfig *survey;
  PetscInt bins, ny, nx;
  ShapeNoise *noise; /* of the survey */
  Observation *o;
} Reading;

/* Errors: NEPHRITE_ERR_INPUT unless the dataset has this shape. */
static PetscErrorCode require_shape(const Reading *r, const char *dataset, int rank, const hsize_t *wanted)
{
  hsize_t shape[PRODUCT_MAX_RANK] = {0};
  int found_rank = 0;
  char found[128], fits[128];

  PetscFunctionBeginUser;
  PetscCall(product_shape(r->reader, dataset, &found_rank, shape));
  if (found_rank == rank && !memcmp(shape, wanted, (size_t)rank * sizeof *shape)) PetscFunctionReturn(PETSC_SUCCESS);
  product_shape_text(found_rank, shape, found, sizeof found);
  product_shape_text(rank, wanted, fits, sizeof fits);
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
          "%s: %s has shape %s; the model takes %s: %" PetscInt_FMT " bins of ny %" PetscInt_FMT ", nx %" PetscInt_FMT
          " pixels over %.6g deg",
          r->path, dataset, found, fits, r->bins, r->ny, r->nx, r->survey->field_of_view_deg);
}

static PetscErrorCode read_mask(Reading *r)
{
  PetscBool has;

  PetscFunctionBeginUser;
  PetscCall(product_has(r->reader, "mask", &has));
  if (!has) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(require_shape(r, "mask", 2, (hsize_t[]){(hsize_t)r->ny, (hsize_t)r->nx}));
  PetscCall(PetscMalloc1((size_t)(r->ny * r->nx), &r->o->mask));
  PetscCall(product_read(r->reader, "mask", H5T_NATIVE_FLOAT, 0, (hsize_t)r->ny, r->o->mask));
  for (PetscInt i = 0; i < r->ny * r->nx; i++)
    PetscCheck(r->o->mask[i] == 0 || r->o->mask[i] == 1, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: mask is %.6g at y %" PetscInt_FMT ", x %" PetscInt_FMT "; it must be 1 (observed) or 0", r->path,
               (double)r->o->mask[i], i / r->nx, i % r->nx);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Has the survey data of this bin there? */
static PetscBool is_observed(const Reading *r, size_t bin, size_t pixel)
{
  if (r->o->mask && r->o->mask[pixel] == 0) return PETSC_FALSE;
  return isfinite(shape_noise_std(r->noise, (PetscInt)bin, pixel)) ? PETSC_TRUE : PETSC_FALSE;
}

/* Pixels in which the survey has no galaxies are masked, whatever the file says. */
static PetscErrorCode hide_empty_pixels(Reading *r)
{
  const size_t pixels = (size_t)(r->ny * r->nx);

  PetscFunctionBeginUser;
  if (!r->survey->counts[0]) PetscFunctionReturn(PETSC_SUCCESS);
  if (!r->o->mask) {
    PetscCall(PetscMalloc1(pixels, &r->o->mask));
    for (size_t i = 0; i < pixels; i++) r->o->mask[i] = 1;
  }
  shape_noise_hide(r->noise, r->o->mask);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What lies in masked pixels is not looked at, and set to 0. */
static PetscErrorCode check_values(const Reading *r, const char *dataset, size_t planes)
{
  const size_t nx = (size_t)r->nx, pixels = (size_t)r->ny * nx, components = planes / (size_t)r->bins;

  PetscFunctionBeginUser;
  for (size_t i = 0; i < planes * pixels; i++) {
    float *value = &r->o->raw[i];
    const size_t pixel = i % pixels, plane = i / pixels;

    if (!is_observed(r, plane / components, pixel)) *value = 0;
    PetscCheck(isfinite(*value), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: %s is %.6g in bin %zu, component %zu, at y %zu, x %zu; it must be finite wherever mask is 1",
               r->path, dataset, (double)*value, plane / components, plane % components, pixel / nx, pixel % nx);
    const double most = most_signal + most_noise * shape_noise_std(r->noise, (PetscInt)(plane / components), pixel);

    PetscCheck(
        fabs((double)*value) <= most, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
        "%s: %s is %.6g in bin %zu, component %zu, at y %zu, x %zu; no sky and no noise makes more than %.6g: the "
        "file is damaged or in other units",
        r->path, dataset, (double)*value, plane / components, plane % components, pixel / nx, pixel % nx, most);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_maps(Reading *r)
{
  const PetscBool shear = r->survey->observation == OBSERVATION_SHEAR ? PETSC_TRUE : PETSC_FALSE;
  const char *dataset = shear ? "shear" : "convergence", *other = shear ? "convergence" : "shear";
  const hsize_t bins = (hsize_t)r->bins, ny = (hsize_t)r->ny, nx = (hsize_t)r->nx;
  const size_t planes = (size_t)r->bins * (shear ? 2 : 1);
  PetscBool has, has_other;

  PetscFunctionBeginUser;
  PetscCall(product_has(r->reader, dataset, &has));
  PetscCall(product_has(r->reader, other, &has_other));
  PetscCheck(has, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: holds no dataset %s%s%s; the model takes %s", r->path,
             dataset, has_other ? " but " : "", has_other ? other : "",
             shear ? "shear[bin, 2, y, x] (survey_observation shear)"
                   : "convergence[bin, y, x] (survey_observation convergence)");
  if (shear)
    PetscCall(require_shape(r, dataset, 4, (hsize_t[]){bins, 2, ny, nx}));
  else
    PetscCall(require_shape(r, dataset, 3, (hsize_t[]){bins, ny, nx}));
  PetscCall(PetscMalloc1(planes * (size_t)(ny * nx), &r->o->raw));
  PetscCall(product_read(r->reader, dataset, H5T_NATIVE_FLOAT, 0, bins, r->o->raw));
  PetscCall(check_values(r, dataset, planes));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_pixel(const Reading *r)
{
  const double side = r->survey->field_of_view_deg;
  double found;

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_real(r->reader, NULL, "field_of_view", 1, &found));
  PetscCheck(fabs(found / side - 1) <= pixel_tolerance, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: field_of_view is %.6g deg, so its pixels are %.6g arcmin; the model takes pixels of %.6g arcmin, "
             "%.6g deg in "
             "all",
             r->path, found, 60 * found / (double)r->nx, 60 * side / (double)r->nx, side);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Between these a model was trained: with the survey's own noise, where there is no range. */
static double factor_low(const Reading *r)
{
  return survey_has_noise_range(r->survey) ? r->survey->noise_range[0] : 1;
}

static double factor_high(const Reading *r)
{
  return survey_has_noise_range(r->survey) ? r->survey->noise_range[1] : 1;
}

/* Is this number of the file one that counts? */
static PetscBool noise_matters(const Reading *r, size_t per_bin, size_t bin, size_t pixel)
{
  return per_bin == 1 || is_observed(r, bin, pixel) ? PETSC_TRUE : PETSC_FALSE;
}

/* By what the noise of a bin differs from the survey's: of a map, the mean over its pixels, or 1 where it has to be the
 * survey's.  A bin without data is as good as any.  \param values [per_bin] of the bin */
static double noise_factor(const Reading *r, const double *values, size_t per_bin, size_t bin)
{
  double sum = 0;
  size_t seen = 0;

  if (per_bin > 1 && !survey_has_noise_range(r->survey)) return 1;
  for (size_t i = 0; i < per_bin; i++) {
    if (!noise_matters(r, per_bin, bin, i)) continue;
    sum += values[i] / shape_noise_std(r->noise, (PetscInt)bin, i);
    seen++;
  }
  return seen ? sum / (double)seen : factor_low(r);
}

/* "0.05", or "0.025 to 0.1". */
static void trained_noise(const Reading *r, size_t bin, size_t pixel, char *text, size_t size)
{
  const double std = shape_noise_std(r->noise, (PetscInt)bin, pixel);

  if (survey_has_noise_range(r->survey))
    snprintf(text, size, "%.6g to %.6g", r->survey->noise_range[0] * std, r->survey->noise_range[1] * std);
  else
    snprintf(text, size, "%.6g", std);
}

/* \param values [per_bin] of the bin, per_bin being 1 or the pixels of a map */
static PetscErrorCode check_level(const Reading *r, const double *values, size_t per_bin, size_t bin)
{
  char trained[64];

  PetscFunctionBeginUser;
  for (size_t i = 0; i < per_bin; i++) {
    if (!noise_matters(r, per_bin, bin, i)) continue;
    const double factor = values[i] / shape_noise_std(r->noise, (PetscInt)bin, i);

    trained_noise(r, bin, i, trained, sizeof trained);
    PetscCheck(factor >= factor_low(r) * (1 - noise_tolerance) && factor <= factor_high(r) * (1 + noise_tolerance),
               PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: noise_std is %.6g in bin %zu; the model was trained with %s per pixel and component, %s%s", r->path,
               values[i], bin, trained,
               r->survey->counts[0] ? "which differs from pixel to pixel" : "alike in all bins and pixels",
               survey_has_noise_range(r->survey) ? ", times a factor of each bin (survey_noise_range)" : "");
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What the survey's noise does from pixel to pixel, the file's must do as well. */
static PetscErrorCode check_evenness(const Reading *r, const double *values, size_t per_bin, size_t bin)
{
  const double mean = noise_factor(r, values, per_bin, bin);

  PetscFunctionBeginUser;
  for (size_t i = 0; i < per_bin && survey_has_noise_range(r->survey); i++) {
    if (!noise_matters(r, per_bin, bin, i)) continue;
    const double factor = values[i] / shape_noise_std(r->noise, (PetscInt)bin, i);

    PetscCheck(fabs(factor / mean - 1) <= noise_tolerance, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: noise_std is %.6g at y %zu, x %zu of bin %zu, %.6g times the survey's, and in the mean of the bin "
               "%.6g times; the model was trained with one factor in all pixels of a bin",
               r->path, values[i], i / (size_t)r->nx, i % (size_t)r->nx, bin, factor, mean);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* With counts a map for each bin, that of the survey at the level of the file; else one number for each. */
static PetscErrorCode keep_noise(const Reading *r, const double *values, size_t per_bin)
{
  const size_t kept = r->survey->counts[0] ? (size_t)(r->ny * r->nx) : 1;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)r->bins * kept, &r->o->noise_std));
  for (size_t bin = 0; bin < (size_t)r->bins; bin++) {
    const double factor = noise_factor(r, values + bin * per_bin, per_bin, bin);

    for (size_t i = 0; i < kept; i++)
      r->o->noise_std[bin * kept + i] = factor * shape_noise_std(r->noise, (PetscInt)bin, i);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* One number for each bin, or a map for each. */
static PetscErrorCode read_noise(Reading *r)
{
  const hsize_t bins = (hsize_t)r->bins, ny = (hsize_t)r->ny, nx = (hsize_t)r->nx;
  double *values = NULL;
  int rank = 0;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(product_shape(r->reader, "noise_std", &rank, NULL));
  if (rank == 3 || r->survey->counts[0])
    PetscCall(require_shape(r, "noise_std", 3, (hsize_t[]){bins, ny, nx}));
  else
    PetscCall(require_shape(r, "noise_std", 1, &bins));
  const size_t per_bin = rank == 3 ? (size_t)(ny * nx) : 1;
  PetscCall(PetscMalloc1((size_t)bins * per_bin, &values));
  error = product_read(r->reader, "noise_std", H5T_NATIVE_DOUBLE, 0, bins, values);
  for (size_t bin = 0; bin < bins && !error; bin++) {
    error = check_level(r, values + bin * per_bin, per_bin, bin);
    if (!error) error = check_evenness(r, values + bin * per_bin, per_bin, bin);
  }
  if (!error) error = keep_noise(r, values, per_bin);
  PetscCall(PetscFree(values));
  PetscFunctionReturn(error);
}

static PetscErrorCode read_truth(Reading *r, PetscInt parameters)
{
  const hsize_t bins = (hsize_t)r->bins, ny = (hsize_t)r->ny, nx = (hsize_t)r->nx, count = (hsize_t)parameters;
  PetscBool kappa, theta;

  PetscFunctionBeginUser;
  PetscCall(product_has(r->reader, "truth/kappa", &kappa));
  PetscCall(product_has(r->reader, "truth/theta", &theta));
  if (kappa) {
    PetscCall(require_shape(r, "truth/kappa", 3, (hsize_t[]){bins, ny, nx}));
    PetscCall(PetscMalloc1((size_t)(bins * ny * nx), &r->o->truth_kappa));
    PetscCall(product_read(r->reader, "truth/kappa", H5T_NATIVE_FLOAT, 0, bins, r->o->truth_kappa));
  }
  if (theta) {
    PetscCall(require_shape(r, "truth/theta", 1, &count));
    PetscCall(PetscMalloc1(parameters, &r->o->truth_theta));
    PetscCall(product_read(r->reader, "truth/theta", H5T_NATIVE_DOUBLE, 0, count, r->o->truth_theta));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_observation(Reading *r, PetscInt parameters)
{
  PetscFunctionBeginUser;
  PetscCall(product_open_foreign(r->path, &r->reader));
  PetscCall(shape_noise_create(r->survey, &r->noise));
  PetscCall(read_mask(r));
  PetscCall(hide_empty_pixels(r));
  PetscCall(read_maps(r));
  PetscCall(check_pixel(r));
  PetscCall(read_noise(r));
  PetscCall(read_truth(r, parameters));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode observation_read(const char *path, const SurveyConfig *survey, PetscInt parameters,
                                Observation **observation)
{
  Reading reading = {
      .path = path, .survey = survey, .bins = survey->bins, .ny = survey_ny(survey), .nx = survey_nx(survey)};
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(observation));
  reading.o = *observation;
  error = read_observation(&reading, parameters);
  PetscCall(product_close(&reading.reader));
  PetscCall(shape_noise_destroy(&reading.noise));
  PetscFunctionReturn(error);
}

PetscErrorCode observation_destroy(Observation **observation)
{
  PetscFunctionBeginUser;
  if (!*observation) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscFree((*observation)->raw));
  PetscCall(PetscFree((*observation)->noise_std));
  PetscCall(PetscFree((*observation)->mask));
  PetscCall(PetscFree((*observation)->truth_kappa));
  PetscCall(PetscFree((*observation)->truth_theta));
  PetscCall(PetscFree(*observation));
  PetscFunctionReturn(PETSC_SUCCESS);
}
