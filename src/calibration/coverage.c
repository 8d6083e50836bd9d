/** \file coverage.c  -task coverage: counts of every observation while its draws are at hand.  \ingroup calibration */
#include "calibration/internal.h"

#include <string.h>
#include <unistd.h>

/* The truths of all observations set the metrics, so every rank holds them. */
typedef struct {
  const InferenceSetup *setup;
  int64_t truths, dimension[SPACES];
  float *truth[SPACES]; /* [truths][dimension] */
  Counts *counts[SPACES][METRICS];
} Coverage;

const char *space_name(CalibrationSpace space)
{
  static const char *const names[SPACES] = {"theta", "kappa", "joint"};

  return names[space];
}

static const CalibrationMetric metrics[METRICS] = {METRIC_RAW, METRIC_STANDARDISED};

const char *metric_name(int metric)
{
  static const char *const names[METRICS] = {"raw", "standardised"};

  return names[metric];
}

/* theta and kappa of one truth or draw, one after the other. */
static void join(const Coverage *c, const double *theta, const float *kappa, float *joint)
{
  const int64_t parameters = c->dimension[SPACE_THETA];

  for (int64_t p = 0; p < parameters; p++) joint[p] = (float)theta[p];
  memcpy(joint + parameters, kappa, (size_t)c->dimension[SPACE_KAPPA] * sizeof *kappa);
}

static PetscErrorCode load_truths(Coverage *c, CampaignReader *reader)
{
  double theta[NEPHRITE_MAX_PARAMETERS];

  PetscFunctionBeginUser;
  for (int64_t t = 0; t < c->truths; t++) {
    float *kappa = c->truth[SPACE_KAPPA] + t * c->dimension[SPACE_KAPPA];

    PetscCall(posterior_truth(c->setup, reader, t, kappa, theta));
    join(c, theta, kappa, c->truth[SPACE_JOINT] + t * c->dimension[SPACE_JOINT]);
    for (int64_t p = 0; p < c->dimension[SPACE_THETA]; p++)
      c->truth[SPACE_THETA][t * c->dimension[SPACE_THETA] + p] = (float)theta[p];
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode coverage_create(const InferenceSetup *setup, Coverage *c)
{
  const SurveyConfig *survey = setup->survey;
  CampaignReader *reader = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  c->setup = setup;
  c->truths = posterior_count(setup);
  c->dimension[SPACE_THETA] = prior_count(setup->prior);
  c->dimension[SPACE_KAPPA] = (int64_t)survey->bins * survey_ny(survey) * survey_nx(survey);
  c->dimension[SPACE_JOINT] = c->dimension[SPACE_THETA] + c->dimension[SPACE_KAPPA];
  for (int s = 0; s < SPACES; s++) PetscCall(PetscMalloc1((size_t)(c->truths * c->dimension[s]), &c->truth[s]));
  error = campaign_reader_open(setup->campaign->campaign, setup->options, &reader);
  if (!error) error = load_truths(c, reader);
  PetscCall(campaign_reader_close(&reader));
  PetscCall(error);
  for (int s = 0; s < SPACES; s++)
    for (int m = 0; m < METRICS; m++) {
      /* Centres of every space and metric are their own: the index of a key holds both and the truth. */
      const RandomKey key = {(uint64_t)setup->campaign->seed, STREAM_CALIBRATION, (uint64_t)(s * METRICS + m) << 32};

      PetscCall(counts_create(metrics[m], c->dimension[s], c->truths, c->truth[s], key, &c->counts[s][m]));
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode coverage_destroy(Coverage *c)
{
  PetscFunctionBeginUser;
  for (int s = 0; s < SPACES; s++) {
    for (int m = 0; m < METRICS; m++) PetscCall(counts_destroy(&c->counts[s][m]));
    PetscCall(PetscFree(c->truth[s]));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- one observation ---- */

static PetscErrorCode write_counts(Coverage *c, int s, int m, int64_t t, int64_t draws, const float *draw,
                                   ProductWriter *writer)
{
  const int64_t centres = c->setup->infer->centres;
  char name[64];
  int64_t *count = NULL, ties = 0;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)centres, &count));
  PetscCall(counts_of(c->counts[s][m], t, draws, draw, centres, count, &ties));
  snprintf(name, sizeof name, "counts/%s/%s", space_name((CalibrationSpace)s), metric_name(m));
  PetscCall(product_declare(writer, &(ProductDataset){name,
                                                      H5T_NATIVE_INT64,
                                                      1,
                                                      {(hsize_t)centres},
                                                      DIGEST_WHOLE,
                                                      "1",
                                                      "draws nearer to each centre than the truth is"}));
  PetscCall(product_write(writer, name, 0, (hsize_t)centres, count));
  PetscCall(product_attribute_int(writer, name, "ties", 1, &ties));
  PetscCall(PetscFree(count));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* PosteriorSummary */
static PetscErrorCode summarise(void *context, const PosteriorDraws *view, ProductWriter *writer)
{
  Coverage *c = context;
  const int64_t parameters = view->parameters, draws = view->draws;
  float *theta = NULL, *joint = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc2((size_t)(draws * parameters), &theta, (size_t)(draws * c->dimension[SPACE_JOINT]), &joint));
  for (int64_t i = 0; i < draws * parameters; i++) theta[i] = (float)view->theta[i];
  for (int64_t d = 0; d < draws; d++)
    join(c, view->theta + d * parameters, view->kappa + (size_t)d * view->map_size,
         joint + d * c->dimension[SPACE_JOINT]);
  for (int m = 0; m < METRICS; m++) {
    PetscCall(write_counts(c, SPACE_THETA, m, view->observation, draws, theta, writer));
    PetscCall(write_counts(c, SPACE_KAPPA, m, view->observation, draws, view->kappa, writer));
    PetscCall(write_counts(c, SPACE_JOINT, m, view->observation, draws, joint, writer));
  }
  PetscCall(PetscFree2(theta, joint));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- all of them ---- */

/* Is calibration.h5 there, and of this configuration? */
static PetscErrorCode is_complete(const InferenceSetup *setup, const char *path, PetscBool *complete)
{
  ProductReader *reader = NULL;
  char *yaml = NULL;
  int64_t truths = 0;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  *complete = PETSC_FALSE;
  if (access(path, F_OK)) PetscFunctionReturn(PETSC_SUCCESS);
  error = product_open(path, "calibration", CALIBRATION_FORMAT, &reader);
  if (!error) error = product_read_attribute_text(reader, NULL, "configuration", &yaml);
  if (!error)
    error = options_require_same(setup->options, SCOPE_SIMULATION | SCOPE_NETWORK | SCOPE_POSTERIOR, yaml, path);
  if (!error) error = product_read_attribute_int(reader, NULL, "truths", 1, &truths);
  PetscCall(PetscFree(yaml));
  PetscCall(product_close(&reader));
  PetscCall(error);
  *complete = truths == posterior_count(setup) ? PETSC_TRUE : PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode conclude(const InferenceSetup *setup)
{
  char path[PETSC_MAX_PATH_LEN];
  PetscBool complete = PETSC_FALSE;

  PetscFunctionBeginUser;
  snprintf(path, sizeof path, "%.*s/calibration.h5", PETSC_MAX_PATH_LEN - 32, setup->campaign->campaign);
  PetscCall(is_complete(setup, path, &complete));
  if (!complete) PetscCall(calibration_write(setup, path));
  printf("coverage  %s: %s\n", path, complete ? "complete already" : "complete");
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode coverage_run(MPI_Comm comm, const InferenceSetup *setup)
{
  Coverage coverage = {0};
  PetscMPIInt rank;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCheck(!setup->infer->observation[0], PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "-task coverage needs known truths; it cannot be given -observation");
  PetscCheck(setup->infer->observations <= setup->train->held_out, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "infer_observations is %" PetscInt_FMT "; train_held_out leaves %lld to observe",
             setup->infer->observations, (long long)setup->train->held_out);
  error = group_agree(comm, coverage_create(setup, &coverage));
  if (!error) error = posterior_farm(comm, setup, "coverage", setup->infer->keep_maps, summarise, &coverage);
  if (!error) error = group_agree(comm, rank == 0 ? conclude(setup) : PETSC_SUCCESS);
  PetscCall(coverage_destroy(&coverage));
  PetscFunctionReturn(error);
}
