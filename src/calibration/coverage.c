/** \file coverage.c  -task coverage: counts of every observation while its draws are at hand.  \ingroup calibration */
#include "calibration/internal.h"

#include <unistd.h>

/* Where truths and draws are points. */
typedef enum { SPACE_THETA, SPACE_KAPPA, SPACE_S8_OMEGA_M, SPACE_SPECTRA, SPACE_PEAKS, SPACES } Space;

/* Metrics in which distances are measured; those in the parameters and in the map of both together are sums. */
enum { THETA_RAW, KAPPA_RAW, THETA_STANDARDISED, KAPPA_STANDARDISED, S8_OMEGA_M, SPECTRA, PEAKS, METRICS };
static const struct {
  Space space;
  MetricKind kind;
} metrics[METRICS] = {
    [THETA_RAW] = {SPACE_THETA, METRIC_RAW},
    [KAPPA_RAW] = {SPACE_KAPPA, METRIC_RAW},
    [THETA_STANDARDISED] = {SPACE_THETA, METRIC_STANDARDISED},
    [KAPPA_STANDARDISED] = {SPACE_KAPPA, METRIC_STANDARDISED},
    [S8_OMEGA_M] = {SPACE_S8_OMEGA_M, METRIC_STANDARDISED},
    [SPECTRA] = {SPACE_SPECTRA, METRIC_STANDARDISED},
    [PEAKS] = {SPACE_PEAKS, METRIC_STANDARDISED},
};

/* Weights with which squared distances add up.  In the block metric the map counts as much as one parameter. */
typedef struct {
  const char *name;
  double weight[METRICS];
  PetscBool per_pixel; /* the map's weight is divided by its number of pixels */
} Comparison;

static const Comparison comparisons[COMPARISONS] = {
    {"theta/raw", {[THETA_RAW] = 1}, PETSC_FALSE},
    {"theta/standardised", {[THETA_STANDARDISED] = 1}, PETSC_FALSE},
    {"kappa/raw", {[KAPPA_RAW] = 1}, PETSC_FALSE},
    {"kappa/standardised", {[KAPPA_STANDARDISED] = 1}, PETSC_FALSE},
    {"joint/raw", {[THETA_RAW] = 1, [KAPPA_RAW] = 1}, PETSC_FALSE},
    {"joint/standardised", {[THETA_STANDARDISED] = 1, [KAPPA_STANDARDISED] = 1}, PETSC_FALSE},
    {"joint/block", {[THETA_STANDARDISED] = 1, [KAPPA_STANDARDISED] = 1}, PETSC_TRUE},
    {"S8_Omega_m/standardised", {[S8_OMEGA_M] = 1}, PETSC_FALSE},
    {"spectra/standardised", {[SPECTRA] = 1}, PETSC_FALSE},
    {"peaks/standardised", {[PEAKS] = 1}, PETSC_FALSE},
};

const char *comparison_name(int comparison)
{
  return comparisons[comparison].name;
}

typedef struct {
  const InferenceSetup *setup;
  int64_t centres, parameters, map_size;
  Summary *summary[SPACES]; /* NULL of parameters and map */
  int64_t dimension[SPACES];
  float *truth[SPACES], *draw[SPACES]; /* [dimension], [draws][dimension] of a block; NULL of the map */
  Metric *metric[METRICS]; /* NULL until the first draws */
  double *excess[METRICS], *sum; /* [draws][centres] of a block */
} Coverage;

/* In a tally, each comparison has its counts and then its ties. */
static int64_t *tally_of(const Coverage *c, int64_t *tally, int comparison)
{
  return tally + comparison * (c->centres + 1);
}

static PetscBool measures_map(int metric)
{
  return metrics[metric].space == SPACE_KAPPA ? PETSC_TRUE : PETSC_FALSE;
}

/* ---- points of the spaces ---- */

/* Of everything but the map, which is a point as it is.  \param[out] value [SPACES][dimension] */
static PetscErrorCode place(Coverage *c, const float *kappa, const double *theta, float *const *value, int64_t draw)
{
  PetscFunctionBeginUser;
  for (int s = 0; s < SPACES; s++)
    if (c->summary[s]) PetscCall(summary_of(c->summary[s], kappa, theta, value[s] + draw * c->dimension[s]));
  for (int64_t p = 0; p < c->parameters; p++) value[SPACE_THETA][draw * c->parameters + p] = (float)theta[p];
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode create_spaces(Coverage *c)
{
  const size_t draws = (size_t)posterior_block_draws(c->setup);
  const SurveyConfig *survey = c->setup->survey;

  PetscFunctionBeginUser;
  PetscCall(summary_create(SUMMARY_S8_OMEGA_M, survey, &c->summary[SPACE_S8_OMEGA_M]));
  PetscCall(summary_create(SUMMARY_SPECTRA, survey, &c->summary[SPACE_SPECTRA]));
  PetscCall(summary_create(SUMMARY_PEAKS, survey, &c->summary[SPACE_PEAKS]));
  c->dimension[SPACE_THETA] = c->parameters;
  c->dimension[SPACE_KAPPA] = c->map_size;
  for (int s = 0; s < SPACES; s++) {
    if (c->summary[s]) c->dimension[s] = summary_dimension(c->summary[s]);
    if (s == SPACE_KAPPA) continue;
    PetscCall(PetscMalloc1((size_t)c->dimension[s], &c->truth[s]));
    PetscCall(PetscMalloc1(draws * (size_t)c->dimension[s], &c->draw[s]));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- metrics, from all truths ---- */

static PetscErrorCode learn(Coverage *c, TruthSource *truths, float *kappa)
{
  double theta[NEPHRITE_MAX_PARAMETERS];

  PetscFunctionBeginUser;
  for (int64_t t = 0; t < posterior_count(c->setup); t++) {
    PetscCall(truth_source_get(truths, t, kappa, theta));
    PetscCall(place(c, kappa, theta, c->truth, 0));
    for (int m = 0; m < METRICS; m++)
      PetscCall(metric_learn(c->metric[m], measures_map(m) ? kappa : c->truth[metrics[m].space]));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode prepare(Coverage *c)
{
  const size_t distances = (size_t)posterior_block_draws(c->setup) * (size_t)c->centres;
  TruthSource *truths = NULL;
  float *kappa = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(create_spaces(c));
  for (int m = 0; m < METRICS; m++) {
    /* Centres of every metric are their own: the index of a key holds the metric and the truth. */
    const RandomKey key = {(uint64_t)c->setup->campaign->seed, STREAM_CALIBRATION, (uint64_t)m << 40};

    PetscCall(metric_create(metrics[m].kind, c->dimension[metrics[m].space], key, &c->metric[m]));
    PetscCall(PetscMalloc1(distances, &c->excess[m]));
  }
  PetscCall(PetscMalloc1(distances, &c->sum));
  PetscCall(PetscMalloc1((size_t)c->map_size, &kappa));
  error = truth_source_create(c->setup, &truths);
  if (!error) error = learn(c, truths, kappa);
  PetscCall(truth_source_destroy(&truths));
  PetscCall(PetscFree(kappa));
  PetscFunctionReturn(error);
}

static PetscErrorCode coverage_clear(Coverage *c)
{
  PetscFunctionBeginUser;
  for (int m = 0; m < METRICS; m++) {
    PetscCall(metric_destroy(&c->metric[m]));
    PetscCall(PetscFree(c->excess[m]));
  }
  PetscCall(PetscFree(c->sum));
  for (int s = 0; s < SPACES; s++) {
    PetscCall(summary_destroy(&c->summary[s]));
    PetscCall(PetscFree(c->truth[s]));
    PetscCall(PetscFree(c->draw[s]));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- the tally of an observation ---- */

static void add_comparison(const Coverage *c, int comparison, int64_t draws, int64_t *tally)
{
  const Comparison *how = &comparisons[comparison];
  const size_t distances = (size_t)(draws * c->centres);

  for (size_t i = 0; i < distances; i++) c->sum[i] = 0;
  for (int m = 0; m < METRICS; m++) {
    const double weight = how->weight[m] / (how->per_pixel && measures_map(m) ? (double)c->map_size : 1);

    for (size_t i = 0; weight > 0 && i < distances; i++) c->sum[i] += weight * c->excess[m][i];
  }
  int64_t *counts = tally_of(c, tally, comparison);
  counts_add(draws, c->centres, c->sum, counts, counts + c->centres);
}

/* PosteriorTally::add */
static PetscErrorCode add_draws(void *context, const PosteriorDraws *view, int64_t *tally)
{
  Coverage *c = context;

  PetscFunctionBeginUser;
  if (!c->metric[0]) PetscCall(prepare(c));
  PetscCall(place(c, view->truth_kappa, view->truth_theta, c->truth, 0));
  for (int64_t d = 0; d < view->draws; d++)
    PetscCall(place(c, view->kappa + d * c->map_size, view->theta + d * c->parameters, c->draw, d));
  for (int m = 0; m < METRICS; m++) {
    const Space space = metrics[m].space;
    const DrawBlock block = {view->observation, measures_map(m) ? view->truth_kappa : c->truth[space], view->draws,
                             measures_map(m) ? view->kappa : c->draw[space]};

    PetscCall(metric_excess(c->metric[m], &block, c->centres, c->excess[m]));
  }
  for (int comparison = 0; comparison < COMPARISONS; comparison++) add_comparison(c, comparison, view->draws, tally);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* PosteriorTally::write */
static PetscErrorCode write_counts(void *context, const int64_t *tally, ProductWriter *writer)
{
  const Coverage *c = context;

  PetscFunctionBeginUser;
  for (int comparison = 0; comparison < COMPARISONS; comparison++) {
    const int64_t *counts = tally + comparison * (c->centres + 1);
    char name[64];

    snprintf(name, sizeof name, "counts/%s", comparison_name(comparison));
    PetscCall(product_declare(writer, &(ProductDataset){name,
                                                        H5T_NATIVE_INT64,
                                                        1,
                                                        {(hsize_t)c->centres},
                                                        DIGEST_WHOLE,
                                                        "1",
                                                        "draws nearer to each centre than the truth is"}));
    PetscCall(product_write(writer, name, 0, (hsize_t)c->centres, counts));
    PetscCall(product_attribute_int(writer, name, "ties", 1, counts + c->centres));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- all observations ---- */

/* Was calibration.h5 made of these files, with these options?  One that cannot be read is made anew. */
static PetscErrorCode is_complete(const InferenceSetup *setup, const char *path, PetscBool *complete)
{
  ProductReader *reader = NULL;
  char *yaml = NULL;
  int64_t made_of = 0, digest = 0;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  *complete = PETSC_FALSE;
  if (access(path, F_OK)) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(results_digest(setup, &digest));
  error = product_open(path, "calibration", CALIBRATION_FORMAT, &reader);
  if (!error) error = product_read_attribute_text(reader, NULL, "configuration", &yaml);
  if (!error) error = options_require_same(setup->options, SCOPE_CALIBRATION, yaml, path);
  if (!error) error = product_read_attribute_int(reader, NULL, "observations_digest", 1, &made_of);
  if (!error) error = product_verify(reader);
  PetscCall(PetscFree(yaml));
  PetscCall(product_close(&reader));
  if (error == (PetscErrorCode)NEPHRITE_ERR_INPUT)
    error_clear();
  else
    PetscCall(error);
  *complete = !error && made_of == digest ? PETSC_TRUE : PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode conclude(const InferenceSetup *setup, const CalibrateConfig *calibrate)
{
  char path[PETSC_MAX_PATH_LEN], folder[POSTERIOR_FOLDER_SIZE];
  Results results = {0};
  PetscBool complete = PETSC_FALSE;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  posterior_folder(setup, folder); /* coverage-gaussian goes with calibration-gaussian.h5 */
  snprintf(path, sizeof path, "%.*s/calibration%s.h5", PETSC_MAX_PATH_LEN - 64, setup->campaign->campaign,
           folder + strlen("coverage"));
  PetscCall(is_complete(setup, path, &complete));
  if (!complete) error = results_read(setup, calibrate, &results);
  if (!complete && !error) error = calibration_write(&results, path);
  PetscCall(results_destroy(&results));
  PetscCall(error);
  printf("coverage  %s: %s\n", path, complete ? "complete already" : "complete");
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode coverage_run(MPI_Comm comm, const InferenceSetup *setup, const CalibrateConfig *calibrate)
{
  const SurveyConfig *survey = setup->survey;
  Coverage c = {.setup = setup,
                .centres = calibrate->centres,
                .parameters = prior_count(setup->prior),
                .map_size = (int64_t)survey->bins * survey_ny(survey) * survey_nx(survey)};
  const PosteriorTally tally = {(size_t)(COMPARISONS * (c.centres + 1)), &c, add_draws, write_counts};
  char folder[POSTERIOR_FOLDER_SIZE], stage[POSTERIOR_FOLDER_SIZE + 8];
  const PosteriorFarm farm = {folder, setup->infer->keep_maps, &tally};
  const StageShare whole = {1, 1};
  StageLock *lock = NULL;
  int64_t absent;
  PetscMPIInt rank;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCheck(!setup->infer->observation[0], PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "-task coverage compares with truths that are known; -observation goes with -task posterior");
  PetscCheck(posterior_draws(setup), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "-task coverage is of draws; -infer_method wiener and ks make a map alone, with -task posterior");
  PetscCall(grid_check(setup->prior, calibrate));
  posterior_folder(setup, folder);
  snprintf(stage, sizeof stage, "calibrate%s", folder + strlen("coverage"));
  error = posterior_farm(comm, setup, &farm, &absent);
  if (!error && !absent) error = stage_lock_create(comm, setup->campaign->campaign, stage, whole, &lock);
  if (!error && !absent) error = group_agree(comm, rank == 0 ? conclude(setup, calibrate) : PETSC_SUCCESS);
  PetscCall(stage_lock_destroy(&lock));
  PetscCall(coverage_clear(&c));
  PetscFunctionReturn(error);
}
