/** \file restore.c  Where training left off, and what it leaves.  \ingroup training */
#include "internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* Values in one message: below MPI's counts, above its latency. */
enum { PIECE = 1 << 24 };

PetscErrorCode training_say(const Training *training, const char *format, ...)
{
  va_list words;

  PetscFunctionBeginUser;
  if (training->rank) PetscFunctionReturn(PETSC_SUCCESS);
  printf("%-9s ", "train");
  va_start(words, format);
  vprintf(format, words);
  va_end(words);
  putchar('\n');
  fflush(stdout);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- reading, on rank 0 ---- */

/* Another network, or other maps: not ours to go on from.  Another course of training is the user's choice. */
static PetscErrorCode check_configuration(const Training *t, const char *path, const char *configuration)
{
  PetscFunctionBeginUser;
  PetscCall(options_require_same(t->setup.options, SCOPE_NETWORK | SCOPE_SIMULATION, configuration, path));
  if (!options_require_same(t->setup.options, SCOPE_TRAINING, configuration, path)) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(training_say(t, "goes on with other options: %s", error_message()));
  error_clear();
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param[out] sound PETSC_FALSE if the file is damaged: that is reported and no error */
static PetscErrorCode read_checkpoint(Training *t, int64_t step, PetscBool *sound)
{
  const TrainingArrays arrays = training_arrays(t);
  char path[PETSC_MAX_PATH_LEN], *configuration = NULL;
  NetworkShape shape;

  PetscFunctionBeginUser;
  PetscCall(checkpoint_path(t->setup.campaign->campaign, step, path));
  PetscErrorCode error = checkpoint_describe(path, &shape, &configuration);
  const PetscErrorCode other = error ? PETSC_SUCCESS : check_configuration(t, path, configuration);
  PetscCall(PetscFree(configuration));
  PetscCall(other);
  if (!error) error = checkpoint_read(path, t->network, &arrays, &t->state);
  *sound = error ? PETSC_FALSE : PETSC_TRUE;
  if (error != (PetscErrorCode)NEPHRITE_ERR_INPUT) PetscFunctionReturn(error);
  PetscCall(training_say(t, "skips a damaged checkpoint: %s", error_message()));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param[out] found the step; -1 if the campaign has no checkpoint */
static PetscErrorCode read_newest(Training *t, int64_t *found)
{
  const char *directory = t->setup.campaign->campaign;
  PetscInt count;
  int64_t *steps = NULL;
  PetscErrorCode error = PETSC_SUCCESS;
  PetscBool sound = PETSC_FALSE;
  char reason[512];

  PetscFunctionBeginUser;
  *found = -1;
  PetscCall(checkpoint_list(directory, &count, &steps));
  for (PetscInt i = 0; i < count && !sound && !error; i++) {
    error = read_checkpoint(t, steps[i], &sound);
    if (sound) *found = steps[i];
  }
  PetscCall(PetscFree(steps));
  PetscCall(error);
  snprintf(reason, sizeof reason, "%s", error_message());
  PetscCheck(sound || !count, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "none of the %d checkpoints in %s/checkpoints is sound: %s; remove them to begin anew", (int)count,
             directory, reason);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Realisations that were trained on must not become held-out ones. */
static PetscErrorCode check_held_out(const Training *t)
{
  const int64_t realisations = t->setup.simulate->realisations, held_out = t->setup.train->held_out;

  PetscFunctionBeginUser;
  PetscCheck(realisations - held_out >= t->state.trained, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "train_held_out is %" PRId64 " of %" PRId64
             " realisations, but the network has been trained on the first %" PRId64 "; at most %" PRId64
             " can be held out",
             held_out, realisations, t->state.trained, realisations - t->state.trained);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- to all ranks ---- */

static PetscErrorCode broadcast_array(MPI_Comm comm, size_t count, Scalar *values)
{
  PetscFunctionBeginUser;
  for (size_t first = 0; first < count; first += PIECE) {
    const size_t take = count - first < PIECE ? count - first : PIECE;

    PetscCallMPI(MPI_Bcast(values + first, (int)take, NEPHRITE_MPI_SCALAR, 0, comm));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode training_broadcast(Training *training)
{
  const TrainingArrays arrays = training_arrays(training);
  Scalar *const all[] = {arrays.weights, arrays.ema, arrays.m, arrays.v};
  TrainingState *state = &training->state;
  int64_t numbers[] = {state->step, state->position, state->trained};

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Bcast(numbers, 3, MPI_INT64_T, 0, training->comm));
  state->step = numbers[0];
  state->position = numbers[1];
  state->trained = numbers[2];
  PetscCallMPI(MPI_Bcast(&state->normalisation, (int)sizeof state->normalisation, MPI_BYTE, 0, training->comm));
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    PetscCall(broadcast_array(training->comm, network_parameter_count(training->network), all[i]));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode training_restore(Training *training, PetscBool *found)
{
  int64_t step = -1;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  if (training->rank == 0) error = read_newest(training, &step);
  PetscCall(group_agree(training->comm, error));
  PetscCallMPI(MPI_Bcast(&step, 1, MPI_INT64_T, 0, training->comm));
  *found = step >= 0 ? PETSC_TRUE : PETSC_FALSE;
  training->saved = step;
  if (step < 0) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(training_broadcast(training));
  PetscCall(check_held_out(training));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- writing ---- */

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

static PetscErrorCode write_history(const Training *t)
{
  const ProductInfo info = {"history", 1, t->configuration, t->setup.campaign->seed};
  ProductWriter *writer = NULL;
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  snprintf(path, sizeof path, "%s/training.h5", t->setup.campaign->campaign);
  PetscErrorCode error = product_create(PETSC_COMM_SELF, path, &info, 0, &writer);
  if (!error) error = history_write(&t->state.history, "", writer);
  if (!error) error = product_commit(writer, NULL);
  PetscCall(product_writer_destroy(&writer));
  PetscFunctionReturn(error);
}

static PetscErrorCode write_checkpoint(Training *t)
{
  const char *directory = t->setup.campaign->campaign;
  const CheckpointOwner owner = {t->configuration, t->setup.campaign->seed};
  const TrainingArrays arrays = training_arrays(t);
  const ValidationRecord *best = history_best(&t->state.history);
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  PetscCall(checkpoint_path(directory, t->state.step, path));
  PetscCall(checkpoint_write(path, &owner, t->network, &arrays, &t->state));
  PetscCall(write_history(t));
  PetscCall(checkpoint_prune(directory, t->state.step, t->setup.train->keep, best ? best->step : -1));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode training_save(Training *training)
{
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(clock_begin(&training->clock, PART_CHECKPOINT));
  PetscCall(check_agreement(training));
  if (training->rank == 0) error = write_checkpoint(training);
  PetscCall(group_agree(training->comm, error));
  training->saved = training->state.step;
  PetscCall(clock_end(&training->clock, PART_CHECKPOINT));
  PetscFunctionReturn(PETSC_SUCCESS);
}
