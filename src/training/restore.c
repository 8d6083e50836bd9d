/** \file restore.c  Where training left off.  \ingroup training */
#include "internal.h"

#include <inttypes.h>

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

/* Read everything, so that damage shows: arrays one after another in place of the gradient. */
static PetscErrorCode read_everything(Training *t, const char *path)
{
  CheckpointReader *reader = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error = checkpoint_open(path, t->network, &reader);
  if (!error) error = checkpoint_get_state(reader, &t->state);
  for (int array = 0; array < ARRAYS && !error; array++)
    error = checkpoint_get(reader, (TrainingArray)array, network_gradient(t->network));
  PetscCall(checkpoint_close(&reader));
  PetscFunctionReturn(error);
}

/* \param[out] sound PETSC_FALSE if the file is damaged: that is reported and no error */
static PetscErrorCode try_checkpoint(Training *t, int64_t step, PetscBool *sound)
{
  char path[PETSC_MAX_PATH_LEN], *configuration = NULL;
  NetworkShape shape;

  PetscFunctionBeginUser;
  PetscCall(checkpoint_path(t->setup.campaign->campaign, step, path));
  PetscCall(checkpoint_refuse_newer(path)); /* whole, though not to us: to skip it is to write over it */
  PetscErrorCode error = checkpoint_describe(path, &shape, &configuration);
  const PetscErrorCode other = error ? PETSC_SUCCESS : check_configuration(t, path, configuration);
  PetscCall(PetscFree(configuration));
  PetscCall(other);
  if (!error) error = read_everything(t, path);
  *sound = error ? PETSC_FALSE : PETSC_TRUE;
  if (error != (PetscErrorCode)NEPHRITE_ERR_INPUT) PetscFunctionReturn(error);
  PetscCall(training_say(t, "skips a damaged checkpoint: %s", error_message()));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param[out] found the step; -1 if the campaign has no checkpoint */
static PetscErrorCode find_newest(Training *t, int64_t *found)
{
  const char *directory = t->setup.campaign->campaign;
  PetscInt count;
  int64_t *steps = NULL;
  PetscErrorCode error = PETSC_SUCCESS;
  PetscBool sound = PETSC_FALSE;
  char reason[512];

  PetscFunctionBeginUser;
  *found = -1;
  PetscCall(checkpoint_remove_parts(directory));
  PetscCall(checkpoint_list(directory, &count, &steps));
  for (PetscInt i = 0; i < count && !sound && !error; i++) {
    error = try_checkpoint(t, steps[i], &sound);
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

PetscErrorCode training_check_held_out(const Training *training)
{
  const TrainingSetup *setup = &training->setup;
  const int64_t realisations = setup->simulate->realisations, held_out = setup->train->held_out;
  const int64_t trained = training->state.trained;

  PetscFunctionBeginUser;
  PetscCheck(realisations - held_out >= trained, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "train_held_out is %" PRId64 " of %" PRId64
             " realisations, but the network has been trained on the first %" PRId64 "; at most %" PRId64
             " can be held out",
             held_out, realisations, trained, realisations - trained);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What former checkpoints have cost, which training.h5 alone tells; it may be missing or damaged. */
static PetscErrorCode read_history(Training *t)
{
  char path[PETSC_MAX_PATH_LEN];
  ProductReader *reader = NULL;

  PetscFunctionBeginUser;
  training_history_path(t, path);
  PetscErrorCode error = product_open(path, HISTORY_KIND, HISTORY_VERSION, &reader);
  if (!error) error = history_read_checkpoints(reader, t->state.step, &t->state.history);
  PetscCall(product_close(&reader));
  if (error) t->state.history.checkpoints = 0;
  if (error != (PetscErrorCode)NEPHRITE_ERR_INPUT) PetscCall(error);
  error_clear();
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- to all ranks ---- */

PetscErrorCode training_share_state(Training *training)
{
  TrainingState *state = &training->state;
  int64_t numbers[] = {state->step, state->position, state->trained, state->planned, state->patience_from};

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Bcast(numbers, 5, MPI_INT64_T, 0, training->comm));
  state->step = numbers[0];
  state->position = numbers[1];
  state->trained = numbers[2];
  state->planned = numbers[3];
  state->patience_from = numbers[4];
  PetscCallMPI(MPI_Bcast(&state->normalisation, (int)sizeof state->normalisation, MPI_BYTE, 0, training->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Rank 0 reads an array, all take their part of it.  A failure on rank 0 is known to all after the last one. */
static PetscErrorCode take_arrays(Training *t, CheckpointReader *reader)
{
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  for (int array = 0; array < ARRAYS; array++) {
    if (reader && !error) error = checkpoint_get(reader, (TrainingArray)array, network_gradient(t->network));
    PetscCall(training_take(t, (TrainingArray)array));
  }
  PetscCall(group_agree(t->comm, error));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode go_on_from(Training *t, int64_t step)
{
  char path[PETSC_MAX_PATH_LEN];
  CheckpointReader *reader = NULL;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(checkpoint_path(t->setup.campaign->campaign, step, path));
  if (t->rank == 0) error = checkpoint_open(path, t->network, &reader);
  error = group_agree(t->comm, error);
  if (!error) error = take_arrays(t, reader);
  PetscCall(checkpoint_close(&reader));
  PetscFunctionReturn(error);
}

PetscErrorCode training_restore(Training *training, PetscBool *found)
{
  int64_t step = -1;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  if (training->rank == 0) error = find_newest(training, &step);
  if (training->rank == 0 && !error && step >= 0) error = read_history(training);
  PetscCall(group_agree(training->comm, error));
  PetscCallMPI(MPI_Bcast(&step, 1, MPI_INT64_T, 0, training->comm));
  *found = step >= 0 ? PETSC_TRUE : PETSC_FALSE;
  training->saved = step;
  if (step < 0) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(training_share_state(training));
  PetscCall(training_check_held_out(training));
  PetscCall(go_on_from(training, step));
  PetscFunctionReturn(PETSC_SUCCESS);
}
