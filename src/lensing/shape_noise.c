/** \file shape_noise.c  White noise of the galaxies' own ellipticities, per pixel (physics, Maps 7).  \ingroup lensing
 */
#include "lensing/observer.h"

#include <math.h>

struct ShapeNoise {
  size_t bins, pixels;
  double even; /* standard deviation in every pixel, where there are no counts */
  double *std; /* [bins][ny][nx] from counts, infinite without galaxies; or NULL */
  double typical[NEPHRITE_MAX_BINS];
  double low, high; /* factors between which observations differ; equal where they do not */
};

/* Where the levels of bins begin in the sequence of the noise key, far beyond any pixel's noise and the mask. */
#define LEVEL_POSITION ((uint64_t)1 << 63)

/* ---- from a map of counts ---- */

/* \param counts [planes][ny][nx]  \param shared  bins that share a plane */
static PetscErrorCode take_counts(ShapeNoise *n, const char *path, double sigma_e, const double *counts, size_t shared)
{
  PetscFunctionBeginUser;
  for (size_t bin = 0; bin < n->bins; bin++) {
    const double *plane = counts + (shared > 1 ? 0 : bin * n->pixels);
    double sum = 0;
    size_t seen = 0;

    for (size_t i = 0; i < n->pixels; i++) {
      sum += plane[i];
      seen += plane[i] > 0;
    }
    PetscCheck(seen, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: counts has no galaxy in bin %zu", path, bin);
    for (size_t i = 0; i < n->pixels; i++) n->std[bin * n->pixels + i] = sigma_e / sqrt(plane[i] / (double)shared);
    n->typical[bin] = sigma_e / sqrt(sum / (double)seen / (double)shared);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_counts(ProductReader *file, const SurveyConfig *survey, ShapeNoise *n)
{
  const hsize_t bins = (hsize_t)survey->bins, ny = (hsize_t)survey_ny(survey), nx = (hsize_t)survey_nx(survey);
  const char *path = survey->counts;
  hsize_t shape[PRODUCT_MAX_RANK] = {0};
  double *counts = NULL;
  int rank;

  PetscFunctionBeginUser;
  PetscCall(product_shape(file, "counts", &rank, shape));
  const hsize_t *map = shape + (rank == 3 ? 1 : 0);
  PetscCheck((rank == 2 || (rank == 3 && shape[0] == bins)) && map[0] == ny && map[1] == nx, PETSC_COMM_SELF,
             NEPHRITE_ERR_INPUT,
             "%s: counts is neither [y][x] = [%d][%d] nor [bin][y][x] = [%d][%d][%d], the survey's map", path, (int)ny,
             (int)nx, (int)bins, (int)ny, (int)nx);
  const size_t planes = rank == 3 ? n->bins : 1;
  PetscCall(PetscMalloc1(planes * n->pixels, &counts));
  PetscErrorCode error = product_read(file, "counts", H5T_NATIVE_DOUBLE, 0, shape[0], counts);
  for (size_t i = 0; i < planes * n->pixels && !error; i++)
    if (!(counts[i] >= 0) || isinf(counts[i]))
      error = PetscError(PETSC_COMM_SELF, __LINE__, PETSC_FUNCTION_NAME, __FILE__, (PetscErrorCode)NEPHRITE_ERR_INPUT,
                         PETSC_ERROR_INITIAL, "%s: counts is %.6g at y %zu, x %zu; it must be a number from 0 up", path,
                         counts[i], i % n->pixels / (size_t)nx, i % (size_t)nx);
  if (!error) error = take_counts(n, path, survey->sigma_e, counts, n->bins / planes);
  PetscCall(PetscFree(counts));
  PetscFunctionReturn(error);
}

PetscErrorCode shape_noise_create(const SurveyConfig *survey, ShapeNoise **noise)
{
  ProductReader *file = NULL;
  ShapeNoise *n = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&n));
  *noise = n;
  n->bins = (size_t)survey->bins;
  n->pixels = (size_t)survey_ny(survey) * (size_t)survey_nx(survey);
  n->low = survey->noise_range[0];
  n->high = survey->noise_range[1];
  n->even = survey_noise_std(survey);
  for (size_t bin = 0; bin < n->bins; bin++) n->typical[bin] = n->even;
  if (!survey->counts[0]) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscMalloc1(n->bins * n->pixels, &n->std));
  PetscErrorCode error = product_open_foreign(survey->counts, &file);
  if (!error) error = read_counts(file, survey, n);
  PetscCall(product_close(&file));
  PetscFunctionReturn(error);
}

PetscErrorCode shape_noise_destroy(ShapeNoise **noise)
{
  PetscFunctionBeginUser;
  if (!*noise) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscFree((*noise)->std));
  PetscCall(PetscFree(*noise));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- what it is ---- */

double shape_noise_std(const ShapeNoise *noise, PetscInt bin, size_t pixel)
{
  return noise->std ? noise->std[(size_t)bin * noise->pixels + pixel] : noise->even;
}

double shape_noise_typical(const ShapeNoise *noise, PetscInt bin)
{
  return noise->typical[bin];
}

/* Log-uniform: half as much noise is as likely as twice as much. */
double shape_noise_factor(const ShapeNoise *noise, RandomKey key, PetscInt bin)
{
  double u;

  if (!(noise->low < noise->high)) return 1;
  random_uniform(key, LEVEL_POSITION + (uint64_t)bin, 1, &u);
  return noise->low * pow(noise->high / noise->low, u);
}

void shape_noise_hide(const ShapeNoise *noise, float *observed)
{
  for (size_t i = 0; i < noise->pixels && noise->std; i++) {
    PetscBool seen = PETSC_FALSE;

    for (size_t bin = 0; bin < noise->bins && !seen; bin++)
      if (isfinite(noise->std[bin * noise->pixels + i])) seen = PETSC_TRUE;
    if (!seen) observed[i] = 0;
  }
}

void shape_noise_add(const ShapeNoise *noise, RandomKey key, PetscInt bin, PetscInt planes, double *plane)
{
  enum { PIECE = 256 }; /* of the stack; what a number is depends on its position alone */
  const double *std = noise->std ? noise->std + (size_t)bin * noise->pixels : NULL;
  const double factor = shape_noise_factor(noise, key, bin);
  const size_t count = (size_t)planes * noise->pixels;
  const uint64_t position = (uint64_t)bin * count;
  double normal[PIECE];

  for (size_t done = 0; done < count; done += PIECE) {
    const size_t take = count - done < PIECE ? count - done : PIECE;

    random_normal(key, position + done, take, normal);
    for (size_t i = 0; i < take; i++)
      plane[done + i] += factor * (std ? std[(done + i) % noise->pixels] : noise->even) * normal[i];
  }
}
