/** \file posterior.c  The posterior file of an observation, joined from its blocks of draws.  \ingroup inference */
#include "inference/internal.h"

#include <string.h>
#include <unistd.h>

int64_t posterior_count(const InferenceSetup *setup)
{
  return setup->infer->observation[0] ? 1 : setup->infer->observations;
}

void posterior_folder(const InferenceSetup *setup, char *folder)
{
  const char *const task[] = {[TASK_POSTERIOR] = "posterior", [TASK_COVERAGE] = "coverage", [TASK_MAP] = "map"};

  snprintf(folder, POSTERIOR_FOLDER_SIZE, "%s%s", task[setup->infer->task], method_of(setup->infer)->suffix);
}

PetscInt posterior_draws(const InferenceSetup *setup)
{
  return method_of(setup->infer)->draw ? setup->infer->draws : 0;
}

PetscInt posterior_block_draws(const InferenceSetup *setup)
{
  const InferConfig *infer = setup->infer;

  return method_of(infer)->chains ? infer->draws / infer->chains : PetscMin(infer->batch, infer->draws);
}

PetscErrorCode posterior_path(const InferenceSetup *setup, const char *folder, int64_t observation, char *path)
{
  const char *user = setup->infer->observation, *slash = strrchr(user, '/'), *name = slash ? slash + 1 : user;
  const char *dot = strrchr(name, '.');
  const int length = dot && dot > name ? (int)(dot - name) : (int)strlen(name);
  const int room = PETSC_MAX_PATH_LEN / 2 - 32;
  /* a user's file must not take the name of a held-out observation */
  const char *prefix = strncmp(name, "observation-", strlen("observation-")) ? "" : "user-";

  PetscFunctionBeginUser;
  if (*user)
    snprintf(path, PETSC_MAX_PATH_LEN, "%.*s/%s/%s%.*s.h5", room, setup->campaign->campaign, folder, prefix,
             PetscMin(length, room), name);
  else
    snprintf(path, PETSC_MAX_PATH_LEN, "%.*s/%s/observation-%05lld.h5", room, setup->campaign->campaign, folder,
             (long long)observation);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- what a file is drawn from ---- */

PetscErrorCode origin_write(const Worker *w, int64_t observation, ProductWriter *writer)
{
  const int64_t realisation = w->truths ? worker_realisation(w, observation) : -1;

  PetscFunctionBeginUser;
  if (w->trained) PetscCall(product_attribute_int(writer, NULL, "checkpoint_step", 1, &w->checkpoint_step));
  if (w->trained) PetscCall(product_attribute_int(writer, NULL, "checkpoint_digest", 1, &w->checkpoint));
  PetscCall(product_attribute_int(writer, NULL, "realisation", 1, &realisation));
  PetscCall(product_attribute_int(writer, NULL, "observation_digest", 1, &w->shown));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode origin_compare(Worker *w, int64_t observation, ProductReader *reader, PetscBool *same)
{
  int64_t checkpoint = w->checkpoint, realisation, shown;

  PetscFunctionBeginUser;
  if (w->trained) PetscCall(product_read_attribute_int(reader, NULL, "checkpoint_digest", 1, &checkpoint));
  PetscCall(product_read_attribute_int(reader, NULL, "realisation", 1, &realisation));
  PetscCall(product_read_attribute_int(reader, NULL, "observation_digest", 1, &shown));
  *same = checkpoint == w->checkpoint ? PETSC_TRUE : PETSC_FALSE;
  if (w->truths) {
    if (realisation != worker_realisation(w, observation)) *same = PETSC_FALSE;
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(worker_observe(w, observation));
  if (shown != w->shown) *same = PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode advise_to_remove(PetscErrorCode error)
{
  char message[768];

  PetscFunctionBeginUser;
  PetscCall(PetscStrncpy(message, error_message(), sizeof message));
  SETERRQ(PETSC_COMM_SELF, error, "%s; remove the file and run again to have it drawn anew", message);
}

PetscErrorCode origin_require(const Worker *w, unsigned scope, ProductReader *reader, const char *path)
{
  char *configuration = NULL;
  int64_t version;

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_int(reader, NULL, "format_version", 1, &version));
  PetscCheck(version > 1 || w->setup->infer->solver == SOLVER_HEUN, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s was drawn when there was no infer_solver, by what is now infer_solver heun", path);
  PetscCall(product_read_attribute_text(reader, NULL, "configuration", &configuration));
  const PetscErrorCode error = options_require_same(w->setup->options, scope, configuration, path);
  PetscCall(PetscFree(configuration));
  PetscFunctionReturn(error);
}

PetscErrorCode posterior_is_done(Worker *w, int64_t observation, PetscBool *done)
{
  char path[PETSC_MAX_PATH_LEN];
  ProductReader *reader = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  *done = PETSC_FALSE;
  PetscCall(posterior_path(w->setup, w->farm->folder, observation, path));
  if (access(path, F_OK)) PetscFunctionReturn(PETSC_SUCCESS);
  error = product_open(path, "posterior", POSTERIOR_FORMAT, &reader);
  if (error) error = advise_to_remove(error);
  if (!error) error = origin_require(w, w->method->scope, reader, path);
  if (!error) error = origin_compare(w, observation, reader, done);
  PetscCall(product_close(&reader));
  if (!error && !*done) printf("%-9s %s is of another checkpoint or observation: drawn again\n", w->farm->folder, path);
  PetscFunctionReturn(error);
}

PetscErrorCode posterior_verify(const Worker *w, int64_t observation)
{
  char path[PETSC_MAX_PATH_LEN];
  ProductReader *reader = NULL;

  PetscFunctionBeginUser;
  PetscCall(posterior_path(w->setup, w->farm->folder, observation, path));
  PetscErrorCode error = product_open(path, "posterior", POSTERIOR_FORMAT, &reader);
  if (!error) error = product_verify(reader);
  PetscCall(product_close(&reader));
  if (error) error = advise_to_remove(error);
  PetscFunctionReturn(error);
}

/* ---- joining ---- */

static PetscErrorCode declare_draws(Worker *w, int64_t observation, ProductWriter *writer)
{
  const SurveyConfig *survey = w->setup->survey;
  const hsize_t draws = (hsize_t)w->setup->infer->draws, parameters = (hsize_t)prior_count(w->setup->prior);
  const ProductDataset thetas = {
      "theta", H5T_NATIVE_DOUBLE, 2, {draws, parameters}, DIGEST_ROWS, "1", "drawn parameters [draw, parameter]"};
  const ProductDataset maps = {"kappa",
                               H5T_NATIVE_FLOAT,
                               4,
                               {draws, (hsize_t)survey->bins, (hsize_t)survey_ny(survey), (hsize_t)survey_nx(survey)},
                               DIGEST_ROWS,
                               "1",
                               "drawn convergence [draw, bin, y, x]"};
  char names[OPTION_TEXT_SIZE] = "";

  PetscFunctionBeginUser;
  PetscCall(product_declare(writer, &thetas));
  for (PetscInt p = 0; p < prior_count(w->setup->prior); p++) {
    PetscCall(PetscStrlcat(names, p ? "," : "", sizeof names));
    PetscCall(PetscStrlcat(names, prior_name(w->setup->prior, p), sizeof names));
  }
  PetscCall(product_attribute_text(writer, "theta", "parameters", names));
  if (worker_keeps_maps(w, observation)) PetscCall(product_declare(writer, &maps));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What is summed over blocks. */
typedef struct {
  Moments moments;
  int64_t *tally; /* [tally->size] */
  double *theta; /* [draws][parameters] of chains */
  double *trace; /* [blocks][block_trace()][TRACE_COLUMNS] */
} Totals;

static PetscErrorCode copy_blocks(Worker *w, int64_t observation, Block *block, Totals *totals, ProductWriter *writer)
{
  const PosteriorTally *tally = w->farm->tally;
  const PetscInt parameters = prior_count(w->setup->prior), trace = block_trace(w) * TRACE_COLUMNS;

  PetscFunctionBeginUser;
  for (PetscInt index = 0; index < w->blocks; index++) {
    PetscCall(part_read(w, observation, index, block));
    const hsize_t first = (hsize_t)block->first, count = (hsize_t)block->count;

    PetscCall(product_write(writer, "theta", first, count, block->theta));
    if (worker_keeps_maps(w, observation)) PetscCall(product_write(writer, "kappa", first, count, block->kappa));
    if (w->method->chains)
      PetscCall(PetscArraycpy(totals->theta + block->first * parameters, block->theta, block->count * parameters));
    PetscCall(PetscArraycpy(totals->trace + index * trace, block->trace, trace));
    moments_join(worker_map_size(w), &totals->moments, &block->moments);
    for (size_t i = 0; tally && i < tally->size; i++) totals->tally[i] += block->tally[i];
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode put_draws(Worker *w, int64_t observation, Block *block, Totals *totals, ProductWriter *writer)
{
  const PosteriorTally *tally = w->farm->tally;

  PetscFunctionBeginUser;
  PetscCall(declare_draws(w, observation, writer));
  PetscCall(copy_blocks(w, observation, block, totals, writer));
  PetscCall(contents_moments(w, &totals->moments, writer));
  if (w->method->traced) PetscCall(contents_trace(w, totals->trace, writer));
  if (w->method->chains) PetscCall(contents_diagnostics(w, totals->theta, writer));
  if (tally) PetscCall(tally->write(tally->context, totals->tally, writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode put_estimate(Worker *w, float *kappa, ProductWriter *writer)
{
  PetscFunctionBeginUser;
  PetscCall(w->method->estimate(w, kappa));
  PetscCall(contents_estimate(w, kappa, writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode fill_posterior(Worker *w, int64_t observation, Block *block, Totals *totals,
                                     ProductWriter *writer)
{
  PetscFunctionBeginUser;
  PetscCall(origin_write(w, observation, writer));
  PetscCall(product_attribute_real(writer, NULL, "field_of_view", 1, &w->setup->survey->field_of_view_deg));
  if (w->blocks)
    PetscCall(put_draws(w, observation, block, totals, writer));
  else
    PetscCall(put_estimate(w, block->kappa, writer));
  PetscCall(contents_write(w, writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_posterior(Worker *w, int64_t observation, Block *block, Totals *totals)
{
  const ProductInfo info = {"posterior", POSTERIOR_FORMAT, w->configuration, w->setup->campaign->seed};
  const int64_t maps = w->blocks && worker_keeps_maps(w, observation) ? w->setup->infer->draws : 0;
  char path[PETSC_MAX_PATH_LEN];
  ProductWriter *writer = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(posterior_path(w->setup, w->farm->folder, observation, path));
  error = product_create(PETSC_COMM_SELF, path, &info, (maps + 4) * 4 * (int64_t)worker_map_size(w), &writer);
  if (!error) error = fill_posterior(w, observation, block, totals, writer);
  if (!error) error = product_commit(writer, NULL);
  PetscCall(product_writer_destroy(&writer));
  PetscFunctionReturn(error);
}

PetscErrorCode posterior_join(Worker *w, int64_t observation)
{
  const size_t size = worker_map_size(w);
  Block block = {0};
  Totals totals = {0};
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(worker_observe(w, observation));
  error = block_create(w, &block);
  if (!error)
    error = PetscCalloc5(size, &totals.moments.mean, size, &totals.moments.square,
                         w->farm->tally ? w->farm->tally->size : 0, &totals.tally,
                         w->method->chains ? (size_t)(w->setup->infer->draws * prior_count(w->setup->prior)) : 0,
                         &totals.theta, (size_t)(w->blocks * block_trace(w)) * TRACE_COLUMNS, &totals.trace);
  if (!error) error = write_posterior(w, observation, &block, &totals);
  PetscCall(block_destroy(&block));
  PetscCall(PetscFree5(totals.moments.mean, totals.moments.square, totals.tally, totals.theta, totals.trace));
  PetscCall(error);
  PetscCall(part_remove(w, observation)); /* what they held is safe now */
  PetscFunctionReturn(PETSC_SUCCESS);
}
