/** \file results.c  What the coverage files of all observations say, together.  \ingroup calibration */
#include "calibration/internal.h"

#include <inttypes.h>
#include <math.h>
#include <xxhash.h>

static double mean_of(int64_t count, const double *value)
{
  double sum = 0;

  for (int64_t i = 0; i < count; i++) sum += value[i];
  return sum / (double)count;
}

double standard_deviation(int64_t count, const double *value, int64_t stride)
{
  double mean = 0, square = 0;

  for (int64_t i = 0; i < count; i++) mean += value[i * stride] / (double)count;
  for (int64_t i = 0; i < count; i++) square += (value[i * stride] - mean) * (value[i * stride] - mean);
  return sqrt(square / (double)(count - 1));
}

/* ---- one observation ---- */

static PetscErrorCode read_counts(Results *r, ProductReader *file, const char *path, int64_t t)
{
  PetscFunctionBeginUser;
  for (int comparison = 0; comparison < COMPARISONS; comparison++) {
    char name[64];
    int64_t ties = 0;
    hsize_t shape[PRODUCT_MAX_RANK];
    PetscBool counted;

    snprintf(name, sizeof name, "counts/%s", comparison_name(comparison));
    PetscCall(product_has(file, name, &counted));
    PetscCheck(counted, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: was drawn before %s was compared (remove the folder to draw again)", path,
               comparison_name(comparison));
    PetscCall(product_shape(file, name, NULL, shape));
    PetscCheck(shape[0] == (hsize_t)r->centres, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: holds counts of %llu centres; calibrate_centres is %" PRId64
               " (remove the folder to draw again with another number)",
               path, (unsigned long long)shape[0], r->centres);
    PetscCall(product_read_all(file, name, H5T_NATIVE_INT64, 1, shape, r->count[comparison] + t * r->centres));
    PetscCall(product_read_attribute_int(file, name, "ties", 1, &ties));
    r->ties += ties;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param theta [draws][parameters], [draws] work */
static PetscErrorCode read_scalars(Results *r, ProductReader *file, int64_t t, double *theta, double *value)
{
  const PetscInt parameters = r->scalars.parameters, scalars = r->scalars.count;
  double truth[NEPHRITE_MAX_PARAMETERS];

  PetscFunctionBeginUser;
  PetscCall(product_read_all(file, "theta", H5T_NATIVE_DOUBLE, 2, (hsize_t[]){(hsize_t)r->draws, (hsize_t)parameters},
                             theta));
  PetscCall(product_read_all(file, "truth/theta", H5T_NATIVE_DOUBLE, 1, (hsize_t[]){(hsize_t)parameters}, truth));
  for (PetscInt i = 0; i < scalars; i++) {
    for (int64_t d = 0; d < r->draws; d++) value[d] = scalar_value(&r->scalars, i, theta + d * parameters);
    r->truth[t * scalars + i] = scalar_value(&r->scalars, i, truth);
    r->rank[i * r->truths + t] = sbc_rank(r->draws, value, 1, r->truth[t * scalars + i]);
    r->mean[t * scalars + i] = mean_of(r->draws, value);
    r->width[t * scalars + i] = standard_deviation(r->draws, value, 1);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Of two maps; 0 where one of them is constant. */
static double correlation(size_t count, const float *a, const float *b)
{
  double mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;

  for (size_t i = 0; i < count; i++) mean_a += a[i] / (double)count, mean_b += b[i] / (double)count;
  for (size_t i = 0; i < count; i++) {
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
    ab += (a[i] - mean_a) * (b[i] - mean_b);
  }
  return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* \param map [2][bins][ny][nx] work */
static PetscErrorCode read_maps(Results *r, ProductReader *file, int64_t t, float *map)
{
  const SurveyConfig *survey = r->setup->survey;
  const size_t pixels = (size_t)(survey_ny(survey) * survey_nx(survey)), bins = (size_t)r->bins;
  const hsize_t shape[] = {(hsize_t)r->bins, (hsize_t)survey_ny(survey), (hsize_t)survey_nx(survey)};
  float *other = map + bins * pixels;

  PetscFunctionBeginUser;
  PetscCall(product_read_all(file, "truth/kappa", H5T_NATIVE_FLOAT, 3, shape, map));
  PetscCall(product_read_all(file, "mean/kappa", H5T_NATIVE_FLOAT, 3, shape, other));
  for (size_t b = 0; b < bins; b++)
    r->mean_correlation[(size_t)t * bins + b] = correlation(pixels, map + b * pixels, other + b * pixels);
  PetscCall(product_has(file, "wiener/kappa", &r->has_wiener)); /* in all files or in none: the survey has a mask */
  if (!r->has_wiener) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(product_read_all(file, "wiener/kappa", H5T_NATIVE_FLOAT, 3, shape, other));
  for (size_t b = 0; b < bins; b++)
    r->wiener_correlation[(size_t)t * bins + b] = correlation(pixels, map + b * pixels, other + b * pixels);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- all of them ---- */

/* Work for one observation. */
typedef struct {
  double *theta, *value; /* [draws][parameters], [draws] */
  float *map; /* [2][bins][ny][nx] */
  XXH64_hash_t digest;
} Scratch;

static PetscErrorCode read_file(Results *r, int64_t t, Scratch *scratch)
{
  char path[PETSC_MAX_PATH_LEN], folder[POSTERIOR_FOLDER_SIZE];
  ProductReader *file = NULL;
  uint64_t digest = 0;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  posterior_folder(r->setup, folder);
  PetscCall(posterior_path(r->setup, folder, t, path));
  error = product_open(path, "posterior", POSTERIOR_FORMAT, &file);
  if (!error) error = product_digest(file, &digest);
  scratch->digest = XXH64(&digest, sizeof digest, scratch->digest);
  if (!error && scratch->map) error = read_counts(r, file, path, t);
  if (!error && scratch->map) error = read_scalars(r, file, t, scratch->theta, scratch->value);
  if (!error && scratch->map) error = read_maps(r, file, t, scratch->map);
  PetscCall(product_close(&file));
  PetscFunctionReturn(error);
}

PetscErrorCode results_digest(const InferenceSetup *setup, int64_t *digest)
{
  Results results = {.setup = setup};
  Scratch scratch = {0};

  PetscFunctionBeginUser;
  for (int64_t t = 0; t < posterior_count(setup); t++) PetscCall(read_file(&results, t, &scratch));
  *digest = (int64_t)scratch.digest;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode allocate(Results *r)
{
  const size_t truths = (size_t)r->truths, scalars = truths * (size_t)r->scalars.count;
  const size_t maps = truths * (size_t)r->bins;

  PetscFunctionBeginUser;
  for (int comparison = 0; comparison < COMPARISONS; comparison++)
    PetscCall(PetscMalloc1(truths * (size_t)r->centres, &r->count[comparison]));
  PetscCall(PetscMalloc6(scalars, &r->rank, scalars, &r->mean, scalars, &r->width, scalars, &r->truth, maps,
                         &r->mean_correlation, maps, &r->wiener_correlation));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode results_read(const InferenceSetup *setup, const CalibrateConfig *calibrate, Results *r)
{
  const SurveyConfig *survey = setup->survey;
  Scratch scratch = {0};
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  *r = (Results){.setup = setup,
                 .calibrate = calibrate,
                 .truths = posterior_count(setup),
                 .draws = setup->infer->draws,
                 .centres = calibrate->centres,
                 .bins = survey->bins};
  PetscCall(scalars_of(setup->prior, &r->scalars));
  PetscCall(allocate(r));
  PetscCall(PetscMalloc3((size_t)(r->draws * r->scalars.parameters), &scratch.theta, (size_t)r->draws, &scratch.value,
                         2 * (size_t)(r->bins * survey_ny(survey) * survey_nx(survey)), &scratch.map));
  for (int64_t t = 0; t < r->truths && !error; t++) error = read_file(r, t, &scratch);
  r->digest = (int64_t)scratch.digest;
  PetscCall(PetscFree3(scratch.theta, scratch.value, scratch.map));
  PetscFunctionReturn(error);
}

PetscErrorCode results_destroy(Results *r)
{
  PetscFunctionBeginUser;
  for (int comparison = 0; comparison < COMPARISONS; comparison++) PetscCall(PetscFree(r->count[comparison]));
  PetscCall(PetscFree6(r->rank, r->mean, r->width, r->truth, r->mean_correlation, r->wiener_correlation));
  PetscFunctionReturn(PETSC_SUCCESS);
}
