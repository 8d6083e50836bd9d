/** \file ending.c  When a training is complete.  \ingroup training */
#include "internal.h"

#include <inttypes.h>

void training_plan(Training *training)
{
  TrainingState *state = &training->state;

  if (state->step && training->setup.train->steps > state->planned) state->patience_from = state->step;
  state->planned = training->setup.train->steps;
}

PetscErrorCode training_find_end(Training *training)
{
  const TrainConfig *train = training->setup.train;
  const TrainingState *state = &training->state;
  int end = END_NOT_YET;

  PetscFunctionBeginUser;
  if (training->rank == 0) { /* who has the history */
    const int64_t waited = history_validations_since_best(&state->history, state->patience_from);

    if (train->patience && waited >= train->patience) end = END_PATIENCE;
    if (state->step >= train->steps) end = END_STEPS;
  }
  PetscCallMPI(MPI_Bcast(&end, 1, MPI_INT, 0, training->comm));
  training->end = (TrainingEnd)end;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode training_say_end(const Training *training, const char *verb)
{
  const int64_t step = training->state.step, steps = training->setup.train->steps;

  PetscFunctionBeginUser;
  if (training->rank) PetscFunctionReturn(PETSC_SUCCESS);
  if (training->end == END_PATIENCE)
    PetscCall(training_say(training,
                           "%s: step %" PRId64 " of %" PRId64 "; none of the last %" PRId64
                           " validations was better than that of step %" PRId64 " (train_patience %" PRId64 ")",
                           verb, step, steps,
                           history_validations_since_best(&training->state.history, training->state.patience_from),
                           history_best(&training->state.history)->step, training->setup.train->patience));
  else if (training->end == END_STEPS)
    PetscCall(training_say(training, "%s: %" PRId64 " of %" PRId64 " steps are done", verb, step, steps));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscBool training_is_due(const Training *training, int64_t step, int64_t every)
{
  return step % every == 0 || step == training->setup.train->steps ? PETSC_TRUE : PETSC_FALSE;
}

double training_seconds_to_safety(const Training *training)
{
  const double written_per_second = 100e6; /* bytes; a slow disk's, until a checkpoint has been written */
  const double margin = 1.2; /* what takes longer than it ever did */
  const TrainConfig *train = training->setup.train;
  const double validated = (double)(train->validations < train->held_out ? train->validations : train->held_out);
  double validation = training->longest.validation, checkpoint = training->longest.checkpoint, seconds;

  if (!(validation > 0)) validation = training->longest.step * validated / train->batch;
  if (!(checkpoint > 0))
    checkpoint = (double)checkpoint_bytes(network_parameter_count(training->network),
                                          network_tensor_count(training->network), training->state.step) /
                 written_per_second;
  seconds = training->longest.step + 2 * checkpoint; /* the step under way may have one too: a best validation's */
  for (int64_t step = training->state.step + 1; step <= training->state.step + 2; step++)
    if (training_is_due(training, step, train->validate_every)) seconds += validation;
  return margin * seconds;
}
