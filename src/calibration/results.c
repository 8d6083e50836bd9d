/** \file results.c  calibration.h5: scores, coverage and ranks of all observations together.  \ingroup calibration */
#include "calibration/internal.h"

#include <math.h>
#include <string.h>

enum { MOST_RANK_BINS = 20 };

/* What the posterior files of all observations say. */
typedef struct {
  const InferenceSetup *setup;
  int64_t truths, draws, centres;
  PetscInt parameters, bins;
  int64_t *count[SPACES][METRICS]; /* [truths][centres] */
  int64_t ties;
  int64_t *rank; /* [parameters + 1][truths]: S8 last */
  double *width; /* [truths][parameters + 1] posterior standard deviations */
  double *truth; /* [truths][parameters + 1] */
  double *mean_r, *wiener_r; /* [truths][bins] correlation with the true map */
  PetscBool has_wiener;
} Results;

/* S8 = sigma_8 sqrt(Omega_m/0.3); parameters are in the order of the prior. */
static double s8(const double *theta)
{
  return theta[2] * sqrt(fmax(theta[0] + theta[1], 0) / 0.3);
}

static PetscErrorCode results_create(const InferenceSetup *setup, Results *r)
{
  PetscFunctionBeginUser;
  r->setup = setup;
  r->truths = posterior_count(setup);
  r->draws = setup->infer->draws;
  r->centres = setup->infer->centres;
  r->parameters = prior_count(setup->prior);
  r->bins = setup->survey->bins;
  const size_t truths = (size_t)r->truths, scalars = truths * (size_t)(r->parameters + 1);
  for (int s = 0; s < SPACES; s++)
    for (int m = 0; m < METRICS; m++) PetscCall(PetscMalloc1(truths * (size_t)r->centres, &r->count[s][m]));
  PetscCall(PetscMalloc5(scalars, &r->rank, scalars, &r->width, scalars, &r->truth, truths * (size_t)r->bins,
                         &r->mean_r, truths * (size_t)r->bins, &r->wiener_r));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode results_destroy(Results *r)
{
  PetscFunctionBeginUser;
  for (int s = 0; s < SPACES; s++)
    for (int m = 0; m < METRICS; m++) PetscCall(PetscFree(r->count[s][m]));
  PetscCall(PetscFree5(r->rank, r->width, r->truth, r->mean_r, r->wiener_r));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- reading one observation ---- */

static PetscErrorCode read_counts(Results *r, ProductReader *file, int64_t t)
{
  PetscFunctionBeginUser;
  for (int s = 0; s < SPACES; s++)
    for (int m = 0; m < METRICS; m++) {
      char name[64];
      int64_t ties = 0;

      snprintf(name, sizeof name, "counts/%s/%s", space_name((CalibrationSpace)s), metric_name(m));
      PetscCall(product_read(file, name, H5T_NATIVE_INT64, 0, (hsize_t)r->centres, r->count[s][m] + t * r->centres));
      PetscCall(product_read_attribute_int(file, name, "ties", 1, &ties));
      r->ties += ties;
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static double standard_deviation(int64_t count, const double *value, int64_t stride)
{
  double mean = 0, square = 0;

  for (int64_t i = 0; i < count; i++) mean += value[i * stride] / (double)count;
  for (int64_t i = 0; i < count; i++) square += pow(value[i * stride] - mean, 2);
  return sqrt(square / (double)(count - 1));
}

/* Ranks and widths of every parameter and of S8.  \param theta [draws][parameters + 1], room for S8 */
static PetscErrorCode read_scalars(Results *r, ProductReader *file, int64_t t, double *theta)
{
  const PetscInt p = r->parameters, columns = p + 1;
  double *truth = r->truth + t * columns;

  PetscFunctionBeginUser;
  PetscCall(product_read(file, "theta", H5T_NATIVE_DOUBLE, 0, (hsize_t)r->draws, theta));
  PetscCall(product_read(file, "truth/theta", H5T_NATIVE_DOUBLE, 0, (hsize_t)p, truth));
  truth[p] = s8(truth);
  for (int64_t d = r->draws - 1; d >= 0; d--) { /* from [draws][p] to [draws][p + 1] in place, from the end */
    memmove(theta + d * columns, theta + d * p, (size_t)p * sizeof *theta);
    theta[d * columns + p] = s8(theta + d * columns);
  }
  for (PetscInt i = 0; i < columns; i++) {
    r->rank[i * r->truths + t] = sbc_rank(r->draws, theta + i, columns, truth[i]);
    r->width[t * columns + i] = standard_deviation(r->draws, theta + i, columns);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static double correlation(size_t count, const float *a, const float *b)
{
  double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;

  for (size_t i = 0; i < count; i++) ma += a[i] / (double)count, mb += b[i] / (double)count;
  for (size_t i = 0; i < count; i++) {
    aa += (a[i] - ma) * (a[i] - ma);
    bb += (b[i] - mb) * (b[i] - mb);
    ab += (a[i] - ma) * (b[i] - mb);
  }
  return ab / sqrt(aa * bb);
}

/* \param map [2][bins][ny][nx] room for two */
static PetscErrorCode read_maps(Results *r, ProductReader *file, int64_t t, float *map)
{
  const SurveyConfig *survey = r->setup->survey;
  const size_t pixels = (size_t)(survey_ny(survey) * survey_nx(survey));
  const hsize_t bins = (hsize_t)r->bins;
  float *other = map + bins * pixels;

  PetscFunctionBeginUser;
  PetscCall(product_read(file, "truth/kappa", H5T_NATIVE_FLOAT, 0, bins, map));
  PetscCall(product_read(file, "mean/kappa", H5T_NATIVE_FLOAT, 0, bins, other));
  for (size_t b = 0; b < bins; b++)
    r->mean_r[(size_t)t * bins + b] = correlation(pixels, map + b * pixels, other + b * pixels);
  PetscCall(product_has(file, "wiener/kappa", &r->has_wiener));
  if (!r->has_wiener) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(product_read(file, "wiener/kappa", H5T_NATIVE_FLOAT, 0, bins, other));
  for (size_t b = 0; b < bins; b++)
    r->wiener_r[(size_t)t * bins + b] = correlation(pixels, map + b * pixels, other + b * pixels);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_observations(Results *r)
{
  const SurveyConfig *survey = r->setup->survey;
  double *theta = NULL;
  float *map = NULL;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc2((size_t)r->draws * (size_t)(r->parameters + 1), &theta,
                         (size_t)(2 * survey->bins * survey_ny(survey) * survey_nx(survey)), &map));
  for (int64_t t = 0; t < r->truths && !error; t++) {
    char path[PETSC_MAX_PATH_LEN];
    ProductReader *file = NULL;

    PetscCall(posterior_path(r->setup, "coverage", t, path));
    error = product_open(path, "posterior", POSTERIOR_FORMAT, &file);
    if (!error) error = read_counts(r, file, t);
    if (!error) error = read_scalars(r, file, t, theta);
    if (!error) error = read_maps(r, file, t, map);
    PetscCall(product_close(&file));
  }
  PetscCall(PetscFree2(theta, map));
  PetscFunctionReturn(error);
}

/* ---- writing ---- */

static PetscErrorCode put(ProductWriter *writer, const char *name, hid_t type, const hsize_t shape[2],
                          const char *description, const void *values)
{
  const int rank = shape[0] ? shape[1] ? 2 : 1 : 0;
  const ProductDataset dataset = {name, type, rank, {shape[0], shape[1]}, DIGEST_WHOLE, "1", description};

  PetscFunctionBeginUser;
  PetscCall(product_declare(writer, &dataset));
  PetscCall(product_write(writer, name, 0, rank ? shape[0] : 1, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* <space>/<metric>/{counts, mira/…, tarp/…} */
static PetscErrorCode write_space(const Results *r, int s, int m, ProductWriter *writer)
{
  const CountTable table = {r->truths, r->draws, r->centres, r->count[s][m]};
  const RandomKey key = {(uint64_t)r->setup->campaign->seed, STREAM_CALIBRATION,
                         (UINT64_C(1) << 60) + (uint64_t)(s * METRICS + m)};
  const hsize_t scalar[2] = {0, 0}, levels[2] = {TARP_LEVELS, 0}, counts[2] = {(hsize_t)r->truths, (hsize_t)r->centres};
  double alpha[TARP_LEVELS], ecp[TARP_LEVELS], error[TARP_LEVELS];
  MiraScore mira;
  char prefix[64], name[128];

  PetscFunctionBeginUser;
  snprintf(prefix, sizeof prefix, "%s/%s", space_name((CalibrationSpace)s), metric_name(m));
#define PUT(suffix, type, shape, description, values)                                                                  \
  do {                                                                                                                 \
    snprintf(name, sizeof name, "%s/" suffix, prefix);                                                                 \
    PetscCall(put(writer, name, type, shape, description, values));                                                    \
  } while (0)
  for (int l = 0; l < TARP_LEVELS; l++) alpha[l] = (double)l / (TARP_LEVELS - 1);
  PetscCall(mira_score(&table, key, r->setup->infer->bootstraps, &mira));
  PetscCall(tarp_coverage(&table, TARP_LEVELS, alpha, key, r->setup->infer->bootstraps, ecp, error));
  PUT("counts", H5T_NATIVE_INT64, counts, "draws nearer than the truth [truth, centre]", r->count[s][m]);
  PUT("mira/score", H5T_NATIVE_DOUBLE, scalar, "MIRA score, exact in the reference draw", &mira.score);
  PUT("mira/error", H5T_NATIVE_DOUBLE, scalar, "its bootstrap error over truths", &mira.error);
  PUT("mira/expected", H5T_NATIVE_DOUBLE, scalar, "its value if calibrated", &mira.expected);
  PUT("tarp/alpha", H5T_NATIVE_DOUBLE, levels, "credibility", alpha);
  PUT("tarp/ecp", H5T_NATIVE_DOUBLE, levels, "expected coverage", ecp);
  PUT("tarp/error", H5T_NATIVE_DOUBLE, levels, "its bootstrap error over truths", error);
#undef PUT
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Names of the scalars: the parameters, and S8. */
static PetscErrorCode scalar_names(const Results *r, char *names, size_t size)
{
  PetscFunctionBeginUser;
  names[0] = '\0';
  for (PetscInt p = 0; p < r->parameters; p++) {
    PetscCall(PetscStrlcat(names, prior_name(r->setup->prior, p), size));
    PetscCall(PetscStrlcat(names, ",", size));
  }
  PetscCall(PetscStrlcat(names, "S8", size));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_ranks(const Results *r, ProductWriter *writer)
{
  const PetscInt scalars = r->parameters + 1;
  /* at least five truths are expected in a bin, as chi^2 asks for */
  const PetscInt bins = (PetscInt)PetscMax(2, PetscMin(PetscMin(MOST_RANK_BINS, r->truths / 5), r->draws + 1));
  const hsize_t ranks[2] = {(hsize_t)scalars, (hsize_t)r->truths}, histograms[2] = {(hsize_t)scalars, (hsize_t)bins};
  const hsize_t per_bin[2] = {(hsize_t)bins, 0}, per_scalar[2] = {(hsize_t)scalars, 0};
  double histogram[(NEPHRITE_MAX_PARAMETERS + 1) * MOST_RANK_BINS], expected[MOST_RANK_BINS];
  double chi2[NEPHRITE_MAX_PARAMETERS + 1], p_value[NEPHRITE_MAX_PARAMETERS + 1];
  char names[OPTION_TEXT_SIZE];

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < scalars; i++) {
    RankTest test;

    PetscCall(sbc_test(r->truths, r->draws, r->rank + i * r->truths, bins, histogram + i * bins, expected, &test));
    chi2[i] = test.chi2;
    p_value[i] = test.p_value;
  }
  PetscCall(scalar_names(r, names, sizeof names));
  PetscCall(put(writer, "sbc/rank", H5T_NATIVE_INT64, ranks, "draws below the truth [scalar, truth]", r->rank));
  PetscCall(product_attribute_text(writer, "sbc/rank", "scalars", names));
  PetscCall(put(writer, "sbc/histogram", H5T_NATIVE_DOUBLE, histograms, "ranks in each bin [scalar, bin]", histogram));
  PetscCall(put(writer, "sbc/expected", H5T_NATIVE_DOUBLE, per_bin, "their expectation", expected));
  PetscCall(put(writer, "sbc/chi2", H5T_NATIVE_DOUBLE, per_scalar, "chi^2 of the histogram", chi2));
  PetscCall(put(writer, "sbc/p_value", H5T_NATIVE_DOUBLE, per_scalar, "chance of a larger one", p_value));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Standard deviation of every scalar over the prior as it is really drawn from. */
static PetscErrorCode prior_widths(const Results *r, double *std)
{
  enum { DRAWS = 4096 };
  const PetscInt columns = r->parameters + 1;
  double *theta = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)(DRAWS * columns), &theta));
  for (uint64_t i = 0; i < DRAWS; i++) {
    PetscCall(
        prior_draw(r->setup->prior, (uint64_t)r->setup->campaign->seed, i, 0, theta + i * (uint64_t)columns, NULL));
    theta[i * (uint64_t)columns + (uint64_t)r->parameters] = s8(theta + i * (uint64_t)columns);
  }
  for (PetscInt i = 0; i < columns; i++) std[i] = standard_deviation(DRAWS, theta + i, columns);
  PetscCall(PetscFree(theta));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Calibration says nothing of how much was learned; these do. */
static PetscErrorCode write_sharpness(const Results *r, ProductWriter *writer)
{
  const hsize_t scalars = (hsize_t)r->parameters + 1, truths = (hsize_t)r->truths;
  const hsize_t per_scalar[2] = {scalars, 0}, per_truth[2] = {truths, scalars}, per_bin[2] = {truths, (hsize_t)r->bins};
  double prior[NEPHRITE_MAX_PARAMETERS + 1], ratio[NEPHRITE_MAX_PARAMETERS + 1] = {0};
  char names[OPTION_TEXT_SIZE];

  PetscFunctionBeginUser;
  PetscCall(prior_widths(r, prior));
  for (int64_t t = 0; t < r->truths; t++)
    for (PetscInt i = 0; i < r->parameters + 1; i++)
      ratio[i] += prior[i] > 0 ? r->width[t * (r->parameters + 1) + i] / prior[i] / (double)r->truths : 0;
  PetscCall(scalar_names(r, names, sizeof names));
  PetscCall(put(writer, "width/posterior", H5T_NATIVE_DOUBLE, per_truth, "posterior standard deviation [truth, scalar]",
                r->width));
  PetscCall(product_attribute_text(writer, "width/posterior", "scalars", names));
  PetscCall(put(writer, "width/prior", H5T_NATIVE_DOUBLE, per_scalar, "prior standard deviation", prior));
  PetscCall(put(writer, "width/ratio", H5T_NATIVE_DOUBLE, per_scalar, "posterior over prior, mean over truths", ratio));
  PetscCall(put(writer, "truth", H5T_NATIVE_DOUBLE, per_truth, "true parameters and S8 [truth, scalar]", r->truth));
  PetscCall(put(writer, "correlation/mean", H5T_NATIVE_DOUBLE, per_bin,
                "correlation of the posterior mean map with the truth [truth, bin]", r->mean_r));
  if (r->has_wiener)
    PetscCall(put(writer, "correlation/wiener", H5T_NATIVE_DOUBLE, per_bin,
                  "correlation of the Wiener filter at the true parameters with the truth [truth, bin]", r->wiener_r));
  printf("coverage  S8 posterior width / prior width %.3f", ratio[r->parameters]);
  for (PetscInt b = 0; b < r->bins; b++) {
    double mean = 0, wiener = 0;

    for (int64_t t = 0; t < r->truths; t++) mean += r->mean_r[t * r->bins + b], wiener += r->wiener_r[t * r->bins + b];
    printf("%s%.3f", b ? ", " : "; correlation of mean maps with truth (Wiener filter) ", mean / (double)r->truths);
    if (r->has_wiener) printf(" (%.3f)", wiener / (double)r->truths);
  }
  printf("\n");
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode fill(Results *r, ProductWriter *writer)
{
  PetscFunctionBeginUser;
  PetscCall(read_observations(r));
  PetscCall(product_attribute_int(writer, NULL, "truths", 1, &r->truths));
  PetscCall(product_attribute_int(writer, NULL, "draws", 1, &r->draws));
  PetscCall(product_attribute_int(writer, NULL, "ties", 1, &r->ties));
  for (int s = 0; s < SPACES; s++)
    for (int m = 0; m < METRICS; m++) PetscCall(write_space(r, s, m, writer));
  PetscCall(write_ranks(r, writer));
  PetscCall(write_sharpness(r, writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode calibration_write(const InferenceSetup *setup, const char *path)
{
  Results results = {0};
  ProductWriter *writer = NULL;
  char *yaml = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(options_yaml(setup->options, ~(unsigned)SCOPE_RUN, &yaml));
  const ProductInfo info = {"calibration", CALIBRATION_FORMAT, yaml, setup->campaign->seed};
  error = results_create(setup, &results);
  if (!error) error = product_create(PETSC_COMM_SELF, path, &info, 0, &writer);
  if (!error) error = fill(&results, writer);
  if (!error) error = product_commit(writer, NULL);
  PetscCall(product_writer_destroy(&writer));
  PetscCall(results_destroy(&results));
  PetscCall(PetscFree(yaml));
  PetscFunctionReturn(error);
}
