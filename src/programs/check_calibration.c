/** \file check_calibration.c  MIRA, TARP and SBC against the published packages (doc/calibration.md, section 7).
 *
 * Counts, ranks, coverage, exact scores and chi^2 are compared as numbers.  Where the package drew random centres or
 * references, our runs are compared with its runs: means in units of their statistical error, standard deviations by
 * their ratio.  Every group of the file is a case.  \ingroup programs */
#include "check_calibration.h"

#include <math.h>
#include <stdlib.h>

static const double p_value_tolerance = 1e-8; /* GSL against SciPy, down to 1e-300 */
static const double sigma_tolerance = 5; /* standard errors of the difference of two means */
static const double spread_tolerance = 0.15; /* of a standard deviation over hundreds of runs */

enum { EXACT_RUNS = 200 }; /* of mira_random_centres_exact */

/* ---- reading and reporting ---- */

const char *calibration_case_path(const CalibrationCase *c, const char *dataset, char path[256])
{
  snprintf(path, 256, "%s/%s", c->name, dataset);
  return path;
}

/* A whole dataset of \p count numbers.  \param type in memory */
PetscErrorCode calibration_case_read(const CalibrationCase *c, const char *dataset, hid_t type, int64_t count,
                                     void *values)
{
  hsize_t shape[PRODUCT_MAX_RANK];
  int rank;
  int64_t found = 1;
  char path[256];

  PetscFunctionBeginUser;
  PetscCall(product_shape(c->file, calibration_case_path(c, dataset, path), &rank, shape));
  for (int axis = 0; axis < rank; axis++) found *= (int64_t)shape[axis];
  PetscCheck(found == count, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "dataset %s has %lld values; the case's other datasets ask for %lld", path, (long long)found,
             (long long)count);
  PetscCall(product_read(c->file, path, type, 0, rank ? shape[0] : 1, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode calibration_case_report(const CalibrationCase *c, const char *quantity, const CheckWorst *worst,
                                       double tolerance)
{
  char line[256];

  PetscFunctionBeginUser;
  PetscCall(check_report_add(c->report, calibration_case_path(c, quantity, line), worst->error, worst->where, tolerance,
                             CHECK_DECIDES));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static double relative(double ours, double theirs)
{
  return theirs == 0 ? fabs(ours) : fabs(ours / theirs - 1);
}

/* {mean, standard deviation} over runs, ours against theirs.  \param what for the place, may be "" */
void calibration_compare_moments(const double ours[2], double our_runs, const double theirs[2], double their_runs,
                                 CheckWorst worst[2], const char *what)
{
  const double error = sqrt(ours[1] * ours[1] / our_runs + theirs[1] * theirs[1] / their_runs);

  check_worst(&worst[0], fabs(ours[0] - theirs[0]) / error, "%.5f, theirs %.5f %s", ours[0], theirs[0], what);
  check_worst(&worst[1], relative(ours[1], theirs[1]), "%.5f, theirs %.5f %s", ours[1], theirs[1], what);
}

PetscErrorCode calibration_report_moments(const CalibrationCase *c, const char *quantity, const CheckWorst worst[2])
{
  char line[128];

  PetscFunctionBeginUser;
  snprintf(line, sizeof line, "%s mean/error", quantity);
  PetscCall(calibration_case_report(c, line, &worst[0], sigma_tolerance));
  snprintf(line, sizeof line, "%s std", quantity);
  PetscCall(calibration_case_report(c, line, &worst[1], spread_tolerance));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- a case in memory, all but its draws ---- */

static PetscErrorCode read_sizes(CalibrationCase *c)
{
  hsize_t shape[PRODUCT_MAX_RANK];
  int rank;
  char path[256];

  PetscFunctionBeginUser;
  PetscCall(product_shape(c->file, calibration_case_path(c, "draws", path), &rank, shape));
  PetscCheck(rank == 3 && shape[0] > 1 && shape[1] > 1, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "dataset %s must be [truths, draws, dimensions]", path);
  c->truths = (int64_t)shape[0];
  c->draws = (int64_t)shape[1];
  c->dimension = (int64_t)shape[2];
  PetscCall(product_read_attribute_int(c->file, c->name, "mira_runs", 1, &c->runs));
  PetscCall(product_read_attribute_int(c->file, c->name, "mira_bootstraps", 1, &c->bootstraps));
  PetscCall(product_read_attribute_int(c->file, c->name, "tarp_runs", 1, &c->tarp_runs));
  PetscCheck(c->runs >= EXACT_RUNS && c->tarp_runs > 1 && c->tarp_runs <= c->runs && c->bootstraps > 1, PETSC_COMM_SELF,
             NEPHRITE_ERR_INPUT, "group %s was made with too few runs to compare with", c->name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode case_create(CalibrationCase *c)
{
  PetscFunctionBeginUser;
  PetscCall(read_sizes(c));
  const size_t truths = (size_t)c->truths, q = (size_t)c->dimension, draws = (size_t)c->draws, runs = (size_t)c->runs;
  PetscCall(PetscMalloc4(truths * q, &c->truth, truths * q, &c->centre, draws * q, &c->draw, draws * runs, &c->excess));
  PetscCall(PetscCalloc4(truths, &c->fixed, truths * runs, &c->raw, truths * runs, &c->minmax, truths * q, &c->rank));
  PetscCall(calibration_case_read(c, "truth", H5T_NATIVE_FLOAT, c->truths * c->dimension, c->truth));
  PetscCall(calibration_case_read(c, "centres", H5T_NATIVE_FLOAT, c->truths * c->dimension, c->centre));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode case_destroy(CalibrationCase *c)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree4(c->truth, c->centre, c->draw, c->excess));
  PetscCall(PetscFree4(c->fixed, c->raw, c->minmax, c->rank));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- counts and ranks, one truth's draws at a time ---- */

enum { FIXED, RAW, MINMAX, METRICS };

static PetscErrorCode count_draws(CalibrationCase *c, const Metric *metric, int64_t t, int64_t centres, int64_t *m)
{
  const DrawBlock block = {t, c->truth + t * c->dimension, c->draws, c->draw};
  int64_t ties = 0;

  PetscFunctionBeginUser;
  PetscCall(metric_excess(metric, &block, centres, c->excess));
  counts_add(c->draws, centres, c->excess, m + t * centres, &ties);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param column [draws] work */
static PetscErrorCode rank_truth(CalibrationCase *c, int64_t t, double *column)
{
  PetscFunctionBeginUser;
  for (int64_t d = 0; d < c->dimension; d++) {
    for (int64_t s = 0; s < c->draws; s++) column[s] = c->draw[s * c->dimension + d];
    c->rank[d * c->truths + t] = sbc_rank(c->draws, column, 1, c->truth[t * c->dimension + d]);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode go_through_draws(CalibrationCase *c, Metric *metric[METRICS], double *column)
{
  char path[256];

  PetscFunctionBeginUser;
  for (int64_t t = 0; t < c->truths; t++) {
    PetscCall(product_read(c->file, calibration_case_path(c, "draws", path), H5T_NATIVE_FLOAT, (hsize_t)t, 1, c->draw));
    PetscCall(count_draws(c, metric[FIXED], t, 1, c->fixed));
    PetscCall(count_draws(c, metric[RAW], t, c->runs, c->raw));
    PetscCall(count_draws(c, metric[MINMAX], t, c->runs, c->minmax));
    PetscCall(rank_truth(c, t, column));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode create_metrics(CalibrationCase *c, Metric *metric[METRICS])
{
  const MetricKind kind[METRICS] = {METRIC_RAW, METRIC_RAW, METRIC_MINMAX};

  PetscFunctionBeginUser;
  for (int i = 0; i < METRICS; i++) {
    PetscCall(metric_create(kind[i], c->dimension, (RandomKey){0, STREAM_CALIBRATION, (uint64_t)i << 40}, &metric[i]));
    for (int64_t t = 0; t < c->truths; t++) PetscCall(metric_learn(metric[i], c->truth + t * c->dimension));
  }
  PetscCall(metric_set_centres(metric[FIXED], 1, c->centre));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode measure(CalibrationCase *c)
{
  Metric *metric[METRICS] = {NULL};
  double *column = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error = create_metrics(c, metric);
  if (!error) error = PetscMalloc1((size_t)c->draws, &column);
  if (!error) error = go_through_draws(c, metric, column);
  for (int i = 0; i < METRICS; i++) PetscCall(metric_destroy(&metric[i]));
  PetscCall(PetscFree(column));
  PetscFunctionReturn(error);
}

/* ---- comparisons ---- */

static PetscErrorCode compare_counts(CalibrationCase *c)
{
  int64_t *theirs = NULL;
  CheckWorst worst = {0};

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)c->truths, &theirs));
  PetscErrorCode error = calibration_case_read(c, "counts", H5T_NATIVE_INT64, c->truths, theirs);
  for (int64_t t = 0; t < c->truths && !error; t++)
    check_worst(&worst, (double)llabs(c->fixed[t] - theirs[t]), "truth %d", (int)t);
  PetscCall(PetscFree(theirs));
  if (!error) error = calibration_case_report(c, "counts", &worst, 0);
  PetscFunctionReturn(error);
}

static CountTable fixed_table(const CalibrationCase *c)
{
  return (CountTable){c->truths, c->draws, 1, c->fixed};
}

static PetscErrorCode compare_exact_score(CalibrationCase *c)
{
  const CountTable table = fixed_table(c);
  const RandomKey key = {0, STREAM_CALIBRATION, 0};
  double theirs;
  MiraScore ours;
  CheckWorst worst = {0};

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_real(c->file, c->name, "mira_fixed_centres_exact", 1, &theirs));
  PetscCall(mira_score(&table, key, 0, &ours));
  check_worst(&worst, relative(ours.score, theirs), "%.8f, theirs %.8f", ours.score, theirs);
  PetscCall(calibration_case_report(c, "mira_fixed_centres_exact", &worst, CHECK_EXACT_TOLERANCE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The published estimator, run by us and by the package. */
static PetscErrorCode compare_published(CalibrationCase *c)
{
  const struct {
    const char *quantity;
    CountTable table;
    MiraRun run;
    int64_t runs;
  } rows[] = {
      {"mira_fixed_centres", fixed_table(c), RUN_EACH, c->runs},
      {"mira_random_centres", {c->truths, c->draws, c->runs, c->raw}, RUN_EACH, c->runs},
      {"mira_random_centres_minmax", {c->truths, c->draws, c->runs, c->minmax}, RUN_EACH, c->runs},
      {"mira_bootstrap", {c->truths, c->draws, c->runs, c->raw}, RUN_RESAMPLED, c->bootstraps},
  };

  PetscFunctionBeginUser;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const RandomKey key = {1, STREAM_CALIBRATION, (uint64_t)i << 40};
    double ours[2], theirs[2];
    CheckWorst worst[2] = {0};

    PetscCall(product_read_attribute_real(c->file, c->name, rows[i].quantity, 2, theirs));
    PetscCall(mira_published(&rows[i].table, rows[i].run, key, (PetscInt)c->runs, ours));
    calibration_compare_moments(ours, (double)c->runs, theirs, (double)rows[i].runs, worst, "");
    PetscCall(calibration_report_moments(c, rows[i].quantity, worst));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Mean and standard deviation of values one after another. */
void calibration_add_value(double value, int64_t index, double moments[2])
{
  const double deviation = value - moments[0];

  moments[0] += deviation / (double)(index + 1);
  moments[1] += deviation * (value - moments[0]); /* sum of squares until calibration_finish_moments() */
}

void calibration_finish_moments(int64_t count, double moments[2])
{
  moments[1] = sqrt(moments[1] / (double)(count - 1));
}

/* One random centre for each truth out of \p raw.  \param m [truths] */
void calibration_take_run(const CalibrationCase *c, int64_t run, int64_t *m)
{
  for (int64_t t = 0; t < c->truths; t++) m[t] = c->raw[t * c->runs + run];
}

/* The score that is exact in the reference, over random centres, ours and as the file's author ran it. */
static PetscErrorCode compare_exact_runs(CalibrationCase *c)
{
  const RandomKey key = {0, STREAM_CALIBRATION, 0};
  double ours[2] = {0, 0}, theirs[2];
  int64_t *m = NULL;
  CheckWorst worst[2] = {0};

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_real(c->file, c->name, "mira_random_centres_exact", 2, theirs));
  PetscCall(PetscMalloc1((size_t)c->truths, &m));
  const CountTable table = {c->truths, c->draws, 1, m};
  for (int64_t run = 0; run < c->runs; run++) {
    MiraScore score;

    calibration_take_run(c, run, m);
    PetscCall(mira_score(&table, key, 0, &score));
    calibration_add_value(score.score, run, ours);
  }
  PetscCall(PetscFree(m));
  calibration_finish_moments(c->runs, ours);
  calibration_compare_moments(ours, (double)c->runs, theirs, EXACT_RUNS, worst, "");
  PetscCall(calibration_report_moments(c, "mira_random_centres_exact", worst));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- ranks ---- */

/* \param rank [truths][dimension], chi2, p_value [dimension] the file's */
static PetscErrorCode compare_tests(CalibrationCase *c, const int64_t *rank, const double *chi2, const double *p_value)
{
  CheckWorst worst[3] = {0};
  int64_t bins;
  char group[256];

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_int(c->file, calibration_case_path(c, "sbc", group), "bins", 1, &bins));
  for (int64_t d = 0; d < c->dimension; d++) {
    RankTest ours;

    for (int64_t t = 0; t < c->truths; t++)
      check_worst(&worst[0], (double)llabs(c->rank[d * c->truths + t] - rank[t * c->dimension + d]),
                  "truth %d, scalar %d", (int)t, (int)d);
    PetscCall(sbc_test(c->truths, c->draws, c->rank + d * c->truths, (PetscInt)bins, NULL, NULL, &ours));
    check_worst(&worst[1], relative(ours.chi2, chi2[d]), "scalar %d", (int)d);
    check_worst(&worst[2], relative(ours.p_value, p_value[d]), "scalar %d", (int)d);
  }
  PetscCall(calibration_case_report(c, "sbc/ranks", &worst[0], 0));
  PetscCall(calibration_case_report(c, "sbc/chi2", &worst[1], CHECK_EXACT_TOLERANCE));
  PetscCall(calibration_case_report(c, "sbc/p_value", &worst[2], p_value_tolerance));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode compare_ranks(CalibrationCase *c)
{
  int64_t *rank = NULL;
  double *chi2 = NULL, *p_value = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc3((size_t)(c->truths * c->dimension), &rank, (size_t)c->dimension, &chi2, (size_t)c->dimension,
                         &p_value));
  error = calibration_case_read(c, "sbc/ranks", H5T_NATIVE_INT64, c->truths * c->dimension, rank);
  if (!error) error = calibration_case_read(c, "sbc/chi2", H5T_NATIVE_DOUBLE, c->dimension, chi2);
  if (!error) error = calibration_case_read(c, "sbc/p_value", H5T_NATIVE_DOUBLE, c->dimension, p_value);
  if (!error) error = compare_tests(c, rank, chi2, p_value);
  PetscCall(PetscFree3(rank, chi2, p_value));
  PetscFunctionReturn(error);
}

/* ---- the file ---- */

static PetscErrorCode compare_case(CalibrationCase *c)
{
  PetscFunctionBeginUser;
  PetscCall(case_create(c));
  PetscCall(measure(c));
  PetscCall(compare_counts(c));
  PetscCall(compare_exact_score(c));
  PetscCall(compare_published(c));
  PetscCall(compare_exact_runs(c));
  PetscCall(check_calibration_tarp(c));
  PetscCall(compare_ranks(c));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_calibration(ProductReader *file, CheckReport *report_of_file)
{
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  for (PetscInt index = 0; !error; index++) {
    CalibrationCase c = {.file = file, .report = report_of_file};

    PetscCall(product_group(file, index, c.name, sizeof c.name));
    PetscCheck(index || c.name[0], PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "the file has no groups, so no cases");
    if (!c.name[0]) break;
    error = compare_case(&c);
    PetscCall(case_destroy(&c));
  }
  PetscFunctionReturn(error);
}
