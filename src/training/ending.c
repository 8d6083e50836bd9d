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
