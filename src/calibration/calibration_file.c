/** \file calibration_file.c  calibration.h5: scores, coverage, ranks and widths.  \ingroup calibration */
#include "calibration/internal.h"

#include <string.h>

/* Truths expected in a bin of a histogram, at least, for chi^2 to mean what it says. */
enum { TRUTHS_PER_BIN = 5 };
/* Keys of bootstraps and of published runs, beyond those of centres; room for 2^30 runs of each comparison. */
#define BOOTSTRAP_KEY ((uint64_t)1 << 60)
#define PUBLISHED_KEY ((uint64_t)3 << 60)

PetscErrorCode calibration_put(ProductWriter *writer, const char *name, hid_t type, const hsize_t shape[2],
                               const char *description, const void *values)
{
  const int rank = shape[0] ? shape[1] ? 2 : 1 : 0;
  const ProductDataset dataset = {name, type, rank, {shape[0], shape[1]}, DIGEST_WHOLE, "1", description};

  PetscFunctionBeginUser;
  PetscCall(product_declare(writer, &dataset));
  PetscCall(product_write(writer, name, 0, rank ? shape[0] : 1, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode calibration_put_in(ProductWriter *writer, int comparison, const char *name, PetscInt count,
                                  const char *description, const double *values)
{
  char path[128];

  PetscFunctionBeginUser;
  snprintf(path, sizeof path, "%s/%s", comparison_name(comparison), name);
  PetscCall(calibration_put(writer, path, H5T_NATIVE_DOUBLE, (hsize_t[]){(hsize_t)count, 0}, description, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static RandomKey key_of(const Results *r, uint64_t use, int comparison)
{
  return (RandomKey){(uint64_t)r->setup->campaign->seed, STREAM_CALIBRATION, use + ((uint64_t)comparison << 30)};
}

/* ---- MIRA and TARP ---- */

static PetscErrorCode write_mira(const Results *r, int comparison, const CountTable *table, ProductWriter *writer)
{
  MiraScore mira;
  double published[2];

  PetscFunctionBeginUser;
  PetscCall(mira_score(table, key_of(r, BOOTSTRAP_KEY, comparison), r->calibrate->bootstraps, &mira));
  PetscCall(
      mira_published(table, RUN_RESAMPLED, key_of(r, PUBLISHED_KEY, comparison), r->calibrate->bootstraps, published));
  PetscCall(
      calibration_put_in(writer, comparison, "mira/score", 0, "MIRA score, exact in the reference draw", &mira.score));
  PetscCall(calibration_put_in(writer, comparison, "mira/error", 0, "its bootstrap error over truths", &mira.error));
  PetscCall(calibration_put_in(writer, comparison, "mira/expected", 0, "its value if calibrated", &mira.expected));
  PetscCall(calibration_put_in(writer, comparison, "mira/published", 2,
                               "published estimator: mean and standard deviation over bootstrap samples", published));
  if (strstr(comparison_name(comparison), "standardised")) /* one line for each space */
    printf("coverage  MIRA %-20s %.4f +- %.4f (%.4f if calibrated)\n", comparison_name(comparison), mira.score,
           mira.error, mira.expected);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param level [3][levels] work */
static PetscErrorCode write_tarp(const Results *r, int comparison, const CountTable *table, double *level,
                                 ProductWriter *writer)
{
  const PetscInt levels = r->calibrate->levels;
  double *const alpha = level, *const ecp = level + levels, *const error = level + 2 * levels;

  PetscFunctionBeginUser;
  for (PetscInt l = 0; l < levels; l++) alpha[l] = (double)l / (levels - 1);
  PetscCall(
      tarp_coverage(table, levels, alpha, key_of(r, BOOTSTRAP_KEY, comparison), r->calibrate->bootstraps, ecp, error));
  const double deviation = tarp_deviation(levels, alpha, ecp);

  PetscCall(calibration_put_in(writer, comparison, "tarp/alpha", levels, "credibility", alpha));
  PetscCall(calibration_put_in(writer, comparison, "tarp/ecp", levels, "expected coverage", ecp));
  PetscCall(calibration_put_in(writer, comparison, "tarp/error", levels, "its bootstrap error over truths", error));
  PetscCall(calibration_put_in(writer, comparison, "tarp/deviation", 0,
                               "largest difference of coverage and credibility", &deviation));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_comparison(const Results *r, int comparison, double *level, ProductWriter *writer)
{
  const CountTable table = {r->truths, r->draws, r->centres, r->count[comparison]};
  char name[128];

  PetscFunctionBeginUser;
  snprintf(name, sizeof name, "%s/counts", comparison_name(comparison));
  PetscCall(calibration_put(writer, name, H5T_NATIVE_INT64, (hsize_t[]){(hsize_t)r->truths, (hsize_t)r->centres},
                            "draws nearer to the centre than the truth is [truth, centre]", table.m));
  PetscCall(write_mira(r, comparison, &table, writer));
  PetscCall(write_tarp(r, comparison, &table, level, writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_comparisons(const Results *r, ProductWriter *writer)
{
  double *level = NULL;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1(3 * (size_t)r->calibrate->levels, &level));
  for (int comparison = 0; comparison < COMPARISONS && !error; comparison++)
    error = write_comparison(r, comparison, level, writer);
  PetscCall(PetscFree(level));
  PetscFunctionReturn(error);
}

static PetscErrorCode write_cells(const Results *r, ProductWriter *writer)
{
  PosteriorGrid grid;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(grid_create(r, &grid));
  error = cells_write(r, &grid, writer);
  PetscCall(grid_destroy(&grid));
  PetscFunctionReturn(error);
}

/* ---- ranks ---- */

/* Of all scalars. */
typedef struct {
  PetscInt bins;
  double *histogram; /* [scalars][bins] */
  double *expected; /* [bins] */
  double chi2[MOST_SCALARS], p_value[MOST_SCALARS];
} Ranks;

static PetscErrorCode test_ranks(const Results *r, Ranks *ranks)
{
  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < r->scalars.count; i++) {
    RankTest test;

    PetscCall(sbc_test(r->truths, r->draws, r->rank + i * r->truths, ranks->bins, ranks->histogram + i * ranks->bins,
                       ranks->expected, &test));
    ranks->chi2[i] = test.chi2;
    ranks->p_value[i] = test.p_value;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode put_ranks(const Results *r, const Ranks *ranks, ProductWriter *writer)
{
  const hsize_t scalars = (hsize_t)r->scalars.count, truths = (hsize_t)r->truths, bins = (hsize_t)ranks->bins;
  const double least = sbc_least_p_value(r->scalars.count, ranks->p_value);

  PetscFunctionBeginUser;
  PetscCall(calibration_put(writer, "sbc/rank", H5T_NATIVE_INT64, (hsize_t[]){scalars, truths},
                            "draws below the truth [scalar, truth]", r->rank));
  PetscCall(product_attribute_text(writer, "sbc/rank", "scalars", r->scalars.names));
  PetscCall(calibration_put(writer, "sbc/histogram", H5T_NATIVE_DOUBLE, (hsize_t[]){scalars, bins},
                            "ranks in each bin [scalar, bin]", ranks->histogram));
  PetscCall(calibration_put(writer, "sbc/expected", H5T_NATIVE_DOUBLE, (hsize_t[]){bins, 0}, "their expectation",
                            ranks->expected));
  PetscCall(calibration_put(writer, "sbc/chi2", H5T_NATIVE_DOUBLE, (hsize_t[]){scalars, 0}, "chi^2 of the histogram",
                            ranks->chi2));
  PetscCall(calibration_put(writer, "sbc/p_value", H5T_NATIVE_DOUBLE, (hsize_t[]){scalars, 0},
                            "chance of a larger chi^2", ranks->p_value));
  PetscCall(calibration_put(writer, "sbc/least_p_value", H5T_NATIVE_DOUBLE, (hsize_t[]){0, 0},
                            "the least of them times their number, at most 1", &least));
  printf("coverage  SBC of %s: least p-value x %d = %.3g\n", r->scalars.names, (int)r->scalars.count, least);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_ranks(const Results *r, ProductWriter *writer)
{
  const int64_t most = PetscMin(PetscMin(r->calibrate->bins, r->truths / TRUTHS_PER_BIN), r->draws + 1);
  Ranks ranks = {.bins = (PetscInt)PetscMax(2, most)};
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc2((size_t)(r->scalars.count * ranks.bins), &ranks.histogram, ranks.bins, &ranks.expected));
  error = test_ranks(r, &ranks);
  if (!error) error = put_ranks(r, &ranks, writer);
  PetscCall(PetscFree2(ranks.histogram, ranks.expected));
  PetscFunctionReturn(error);
}

/* ---- sharpness: calibration says nothing of how much was learned ---- */

/* Standard deviation of every scalar over the prior as it is really drawn from. */
static PetscErrorCode prior_widths(const Results *r, double *width)
{
  enum { DRAWS = 4096 };
  const PetscInt scalars = r->scalars.count;
  double theta[NEPHRITE_MAX_PARAMETERS], *value = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)(DRAWS * scalars), &value));
  for (PetscInt d = 0; d < DRAWS; d++) {
    PetscCall(prior_draw(r->setup->prior, (uint64_t)r->setup->campaign->seed, (uint64_t)d, 0, theta, NULL));
    for (PetscInt i = 0; i < scalars; i++) value[d * scalars + i] = scalar_value(&r->scalars, i, theta);
  }
  for (PetscInt i = 0; i < scalars; i++) width[i] = standard_deviation(DRAWS, value + i, scalars);
  PetscCall(PetscFree(value));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_widths(const Results *r, ProductWriter *writer)
{
  const PetscInt scalars = r->scalars.count;
  const hsize_t per_scalar[2] = {(hsize_t)scalars, 0}, per_truth[2] = {(hsize_t)r->truths, (hsize_t)scalars};
  double prior[MOST_SCALARS], ratio[MOST_SCALARS] = {0};

  PetscFunctionBeginUser;
  PetscCall(prior_widths(r, prior));
  for (int64_t t = 0; t < r->truths; t++)
    for (PetscInt i = 0; i < scalars; i++) ratio[i] += r->width[t * scalars + i] / prior[i] / (double)r->truths;
  PetscCall(calibration_put(writer, "truth", H5T_NATIVE_DOUBLE, per_truth, "true values [truth, scalar]", r->truth));
  PetscCall(calibration_put(writer, "width/posterior", H5T_NATIVE_DOUBLE, per_truth,
                            "posterior standard deviation [truth, scalar]", r->width));
  PetscCall(product_attribute_text(writer, "width/posterior", "scalars", r->scalars.names));
  PetscCall(calibration_put(writer, "width/prior", H5T_NATIVE_DOUBLE, per_scalar, "prior standard deviation", prior));
  PetscCall(calibration_put(writer, "width/ratio", H5T_NATIVE_DOUBLE, per_scalar,
                            "posterior over prior, mean over truths", ratio));
  const PetscInt s8 = scalar_find(r->setup->prior, &r->scalars, "S8");
  if (s8 >= 0) printf("coverage  S8: posterior width / prior width %.3f\n", ratio[s8]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static double mean_of_bin(const Results *r, const double *correlation, PetscInt bin)
{
  double sum = 0;

  for (int64_t t = 0; t < r->truths; t++) sum += correlation[t * r->bins + bin];
  return sum / (double)r->truths;
}

static PetscErrorCode write_correlations(const Results *r, ProductWriter *writer)
{
  const hsize_t per_bin[2] = {(hsize_t)r->truths, (hsize_t)r->bins};

  PetscFunctionBeginUser;
  PetscCall(calibration_put(writer, "correlation/mean", H5T_NATIVE_DOUBLE, per_bin,
                            "correlation of the posterior mean map with the truth [truth, bin]", r->mean_correlation));
  if (r->has_wiener)
    PetscCall(calibration_put(writer, "correlation/wiener", H5T_NATIVE_DOUBLE, per_bin,
                              "correlation of the Wiener filter at the true parameters with the truth [truth, bin]",
                              r->wiener_correlation));
  printf("coverage  correlation of mean maps with the truth%s:", r->has_wiener ? " (of Wiener filters)" : "");
  for (PetscInt b = 0; b < r->bins; b++) {
    printf(" %.3f", mean_of_bin(r, r->mean_correlation, b));
    if (r->has_wiener) printf(" (%.3f)", mean_of_bin(r, r->wiener_correlation, b));
  }
  printf("\n");
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- the file ---- */

static PetscErrorCode fill(const Results *r, ProductWriter *writer)
{
  PetscFunctionBeginUser;
  PetscCall(product_attribute_int(writer, NULL, "truths", 1, &r->truths));
  PetscCall(product_attribute_int(writer, NULL, "draws", 1, &r->draws));
  PetscCall(product_attribute_int(writer, NULL, "ties", 1, &r->ties));
  PetscCall(product_attribute_int(writer, NULL, "observations_digest", 1, &r->digest));
  PetscCall(write_comparisons(r, writer));
  PetscCall(write_cells(r, writer));
  if (r->scalars.count) { /* every parameter may be fixed */
    PetscCall(write_ranks(r, writer));
    PetscCall(write_widths(r, writer));
  }
  PetscCall(write_correlations(r, writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode calibration_write(const Results *r, const char *path)
{
  ProductWriter *writer = NULL;
  char *yaml = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(options_yaml(r->setup->options, ~0u, &yaml));
  const ProductInfo info = {"calibration", CALIBRATION_FORMAT, yaml, r->setup->campaign->seed};
  error = product_create(PETSC_COMM_SELF, path, &info, 0, &writer);
  if (!error) error = fill(r, writer);
  if (!error) error = product_commit(writer, NULL);
  PetscCall(product_writer_destroy(&writer));
  PetscCall(PetscFree(yaml));
  PetscFunctionReturn(error);
}
