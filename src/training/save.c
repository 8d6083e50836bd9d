/** \file save.c  What training leaves: checkpoints and its history.  \ingroup training */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static uint64_t fingerprint(size_t count, const Scalar *values)
{
  uint64_t sum = 0;

  for (size_t i = 0; i < count; i++) {
    uint64_t bits = 0;

    memcpy(&bits, &values[i], sizeof values[i]);
    sum = (sum + bits) * 0x9e3779b97f4a7c15u;
    sum ^= sum >> 29;
  }
  return sum;
}

/* Every rank makes the same steps; one whose memory or arithmetic went astray would spoil the others' gradients. */
static PetscErrorCode check_agreement(Training *t)
{
  const uint64_t mine = fingerprint(network_parameter_count(t->network), network_weights(t->network));
  uint64_t range[] = {mine, ~mine}; /* the maximum of the complement is the minimum */

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, range, 2, MPI_UINT64_T, MPI_MAX, t->comm));
  PetscCheck(range[0] == ~range[1], PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "step %" PRId64 ": the ranks hold different weights; no checkpoint is written", t->state.step);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static const char *const ends[] = {[END_NOT_YET] = "not yet", [END_STEPS] = "steps", [END_PATIENCE] = "patience"};

void training_history_path(const Training *training, char path[PETSC_MAX_PATH_LEN])
{
  snprintf(path, PETSC_MAX_PATH_LEN, "%s/training.h5", training->setup.campaign->campaign);
}

static PetscErrorCode write_history(const Training *t)
{
  const ProductInfo info = {HISTORY_KIND, HISTORY_VERSION, t->configuration, t->setup.campaign->seed};
  ProductWriter *writer = NULL;
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  training_history_path(t, path);
  PetscErrorCode error = product_create(PETSC_COMM_SELF, path, &info, 0, &writer);
  if (!error) error = product_attribute_text(writer, NULL, "end", ends[t->end]);
  if (!error) error = history_write(&t->state.history, "", writer);
  if (!error) error = history_write_checkpoints(&t->state.history, writer);
  if (!error) error = product_commit(writer, NULL);
  PetscCall(product_writer_destroy(&writer));
  PetscFunctionReturn(error);
}

static PetscErrorCode create_checkpoint(const Training *t, CheckpointWriter **writer)
{
  const CheckpointOwner owner = {t->configuration, t->setup.campaign->seed};
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  PetscCall(checkpoint_path(t->setup.campaign->campaign, t->state.step, path));
  PetscCall(checkpoint_create(path, &owner, t->network, &t->state, writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Rank 0 receives each array and writes it, and goes on with the others though its writing has failed. */
static PetscErrorCode put_arrays(Training *t, CheckpointWriter *writer, PetscErrorCode *written)
{
  PetscFunctionBeginUser;
  for (int array = 0; array < ARRAYS; array++) {
    Scalar *whole = NULL;

    PetscCall(training_collect(t, (TrainingArray)array, &whole));
    if (t->rank == 0 && !*written) *written = checkpoint_put(writer, (TrainingArray)array, whole);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode prune(const Training *t)
{
  const ValidationRecord *best = history_best(&t->state.history);

  PetscFunctionBeginUser;
  PetscCall(checkpoint_prune(t->setup.campaign->campaign, t->state.step, t->setup.train->keep, best ? best->step : -1));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What it has cost, to the log and to the history. */
static PetscErrorCode account(Training *t, double begun)
{
  const double mega = 1e6;
  CheckpointRecord record = {.step = t->state.step, .seconds = MPI_Wtime() - begun};
  char path[PETSC_MAX_PATH_LEN];
  struct stat status;

  PetscFunctionBeginUser;
  PetscCall(checkpoint_path(t->setup.campaign->campaign, t->state.step, path));
  if (stat(path, &status)) PetscCall(error_from_errno(errno, "look at", path));
  record.bytes = status.st_size;
  PetscCall(training_say(t, "step %" PRId64 "  checkpoint  %.3f MB in %.3f s, %.0f MB/s", record.step,
                         (double)record.bytes / mega, record.seconds, (double)record.bytes / mega / record.seconds));
  PetscCall(history_add_checkpoint(&t->state.history, &record));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_checkpoint(Training *t, double begun)
{
  CheckpointWriter *writer = NULL;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  if (t->rank == 0) error = create_checkpoint(t, &writer);
  PetscCall(put_arrays(t, writer, &error));
  if (t->rank == 0 && !error) error = checkpoint_commit(writer);
  PetscCall(checkpoint_writer_destroy(&writer));
  if (t->rank == 0 && !error) error = account(t, begun);
  if (t->rank == 0 && !error) error = write_history(t);
  if (t->rank == 0 && !error) error = prune(t);
  PetscCall(group_agree(t->comm, error));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode training_save(Training *training)
{
  const double begun = MPI_Wtime();

  PetscFunctionBeginUser;
  PetscCall(log_stage("Checkpoint"));
  PetscCall(clock_begin(&training->clock, PART_CHECKPOINT));
  PetscCall(check_agreement(training));
  PetscCall(write_checkpoint(training, begun));
  training->saved = training->state.step;
  PetscCall(clock_end(&training->clock, PART_CHECKPOINT));
  PetscCall(PetscLogStagePop());
  training->longest.checkpoint = PetscMax(training->longest.checkpoint, MPI_Wtime() - begun);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Is training.h5 of this step and end?  One that cannot be read is not. */
static PetscErrorCode history_is_current(const Training *t, PetscBool *current)
{
  char path[PETSC_MAX_PATH_LEN], *end = NULL;
  hsize_t steps[PRODUCT_MAX_RANK] = {0};
  ProductReader *reader = NULL;

  PetscFunctionBeginUser;
  training_history_path(t, path);
  PetscErrorCode error = product_open(path, HISTORY_KIND, HISTORY_VERSION, &reader);
  if (!error) error = product_shape(reader, "step", NULL, steps);
  if (!error) error = product_read_attribute_text(reader, NULL, "end", &end);
  if (!error) error = product_verify(reader);
  *current = !error && steps[0] == (hsize_t)t->state.step && !strcmp(end, ends[t->end]) ? PETSC_TRUE : PETSC_FALSE;
  PetscCall(PetscFree(end));
  PetscCall(product_close(&reader));
  if (error) error_clear();
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode tidy_up(const Training *t)
{
  PetscBool current;

  PetscFunctionBeginUser;
  PetscCall(history_is_current(t, &current));
  if (!current) PetscCall(write_history(t));
  PetscCall(prune(t));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode training_tidy_up(Training *training)
{
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  if (training->rank == 0) error = tidy_up(training);
  PetscCall(group_agree(training->comm, error));
  PetscFunctionReturn(PETSC_SUCCESS);
}
