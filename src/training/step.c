/** \file step.c  One optimiser step: this rank's part of the batch, the sum over ranks, the update.  \ingroup training
 */
#include "internal.h"

#include <inttypes.h>
#include <math.h>

/* Does backward come to an end for this step, so that gradients may be sent off? */
typedef enum { MORE_TO_COME, LAST_OF_STEP } MicroBatch;

/* A ::GradientReady: what this costs backward is communication that shows. */
static PetscErrorCode send_off(void *training, size_t offset, size_t count)
{
  Training *const t = training;

  PetscFunctionBeginUser;
  PetscCall(clock_begin(&t->clock, PART_REDUCE));
  PetscCall(reducer_ready(t->reducer, offset, count));
  PetscCall(clock_end(&t->clock, PART_REDUCE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode training_answer(Training *t, const Batch *batch, const uint64_t *dropout)
{
  NetworkInput input = {.batch = batch->count,
                        .z_theta = batch->z_theta,
                        .observation = batch->observation,
                        .summaries = batch->summaries,
                        .t = batch->t,
                        .t_theta = batch->t_theta,
                        .dropout = dropout,
                        .seed = t->setup.campaign->seed};

  PetscFunctionBeginUser;
  guess_observe(t->guess, batch->count, batch->observation, batch->theta, batch->t_theta);
  input.z = guess_maps(t->guess, batch->t, batch->z);
  PetscCall(network_forward(t->network, &input, t->x_hat, t->theta_hat));
  guess_complete(t->guess, batch->t, t->x_hat);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode micro_batch(Training *t, int64_t first, PetscInt count, MicroBatch place, Loss *loss)
{
  const int64_t seed = t->setup.campaign->seed;
  const Batch *batch = NULL;

  PetscFunctionBeginUser;
  PetscCall(clock_begin(&t->clock, PART_DATA));
  PetscCall(feed_training(t->feed, t->source, seed, first, count, &batch));
  PetscCall(clock_end(&t->clock, PART_DATA));

  PetscCall(clock_begin(&t->clock, PART_FORWARD));
  PetscCall(training_answer(t, batch, batch->dropout));
  PetscCall(clock_end(&t->clock, PART_FORWARD));

  const ObjectiveBatch answer = {count,    t->setup.train->batch, batch->x, batch->theta,
                                 batch->t, batch->t_theta,        t->x_hat, t->theta_hat};
  PetscCall(clock_begin(&t->clock, PART_OBJECTIVE));
  PetscCall(objective_loss(&t->shape, objective_weights(t->setup.train), &answer, loss, t->x_bar, t->theta_bar));
  PetscCall(clock_end(&t->clock, PART_OBJECTIVE));

  PetscCall(clock_begin(&t->clock, PART_BACKWARD));
  guess_pull_back(t->guess, batch->t, t->x_bar);
  PetscCall(network_backward(t->network, t->x_bar, t->theta_bar, place == LAST_OF_STEP ? send_off : NULL, t, NULL));
  PetscCall(clock_end(&t->clock, PART_BACKWARD));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Maps of this step, and of the next one, may be made while others are used. */
static PetscErrorCode expect_maps(Training *t, int64_t first, int64_t count)
{
  const TrainConfig *train = t->setup.train;
  const PetscBool last = t->state.step + 1 >= train->steps ? PETSC_TRUE : PETSC_FALSE;

  PetscFunctionBeginUser;
  PetscCall(clock_begin(&t->clock, PART_DATA));
  PetscCall(batch_source_expect(t->source, t->state.position + first, count));
  if (!last) PetscCall(batch_source_expect(t->source, t->state.position + train->batch + first, count));
  PetscCall(clock_end(&t->clock, PART_DATA));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A ::SpareTime: while ranks wait for each other's gradients, maps of the next step. */
static PetscErrorCode make_a_map(void *training, PetscBool *more)
{
  Training *const t = training;

  PetscFunctionBeginUser;
  PetscCall(clock_begin(&t->clock, PART_DATA));
  PetscCall(batch_source_advance(t->source, more));
  PetscCall(clock_end(&t->clock, PART_DATA));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Gradient and loss of this rank's samples, as many at once as there is memory for. */
static PetscErrorCode own_share(Training *t, Loss *sum)
{
  int64_t first, count;

  PetscFunctionBeginUser;
  PetscCall(network_zero_gradient(t->network));
  share_of(t->comm, t->setup.train->batch, &first, &count);
  PetscCall(expect_maps(t, first, count));
  if (count == 0) (void)network_gradient(t->network); /* no backward pass will write the zeros */
  for (int64_t done = 0; done < count;) {
    const PetscInt take = (PetscInt)(count - done < t->micro_batch ? count - done : t->micro_batch);
    const MicroBatch place = done + take == count ? LAST_OF_STEP : MORE_TO_COME;
    Loss loss;

    PetscCall(micro_batch(t, t->state.position + first + done, take, place, &loss));
    sum->total += loss.total;
    sum->field += loss.field;
    sum->theta += loss.theta;
    done += take;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What the ranks tell each other once a step, in one message. */
enum { SUM_TOTAL, SUM_FIELD, SUM_THETA, SUM_FAILED, SUM_STOP, SUMS };

/* Where a number that is not finite was found, and what there is to go back to. */
static PetscErrorCode explain(Training *t, PetscErrorCode error)
{
  char reason[512], where[160] = "weights and gradients are finite",
                    last[PETSC_MAX_PATH_LEN] = "there is no checkpoint";

  PetscFunctionBeginUser;
  if (error != (PetscErrorCode)NEPHRITE_ERR_INTERNAL) PetscFunctionReturn(error);
  snprintf(reason, sizeof reason, "%s", error_message());
  const char *weight = checkpoint_bad_tensor(t->network, network_weights(t->network));
  const char *gradient = checkpoint_bad_tensor(t->network, network_gradient(t->network));
  if (weight)
    snprintf(where, sizeof where, "first bad weights: %s", weight);
  else if (gradient)
    snprintf(where, sizeof where, "first bad gradient: %s", gradient);
  if (t->saved >= 0) {
    PetscCall(checkpoint_path(t->setup.campaign->campaign, t->saved, last));
  }
  SETERRQ(PETSC_COMM_SELF, error, "step %" PRId64 ": %s; %s; last good checkpoint: %s", t->state.step + 1, reason,
          where, last);
}

static PetscErrorCode reduce(Training *t, const Loss *loss, PetscErrorCode local, double sums[SUMS])
{
  PetscFunctionBeginUser;
  PetscCall(clock_begin(&t->clock, PART_REDUCE));
  PetscCall(
      reducer_finish(t->reducer, make_a_map, t)); /* a rank that failed takes part too: nobody waits for it in vain */
  sums[SUM_TOTAL] = loss->total;
  sums[SUM_FIELD] = loss->field;
  sums[SUM_THETA] = loss->theta;
  sums[SUM_FAILED] = local ? 1 : 0;
  sums[SUM_STOP] = interrupt_within(training_seconds_to_safety(t)) ? 1 : 0;
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, sums, SUMS, MPI_DOUBLE, MPI_SUM, t->comm));
  PetscCall(clock_end(&t->clock, PART_REDUCE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Of the gradient of all parameters, from what each rank has of it. */
static PetscErrorCode gradient_norm(Training *t, const Scalar *gradient, double *norm)
{
  double squares[NORM_PIECES];

  PetscFunctionBeginUser;
  optimizer_squares(t->optimizer, t->own_first, network_parameter_count(t->network), gradient, squares);
  if (t->part_count) {
    PetscCall(clock_begin(&t->clock, PART_REDUCE));
    PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, squares, NORM_PIECES, MPI_DOUBLE, MPI_SUM, t->comm));
    PetscCall(clock_end(&t->clock, PART_REDUCE));
  }
  *norm = optimizer_norm(squares);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Each rank updates its own parameters, which may be all. */
static PetscErrorCode update_own(Training *t, double rate, double *norm)
{
  const Scalar *gradient = network_gradient(t->network) + t->own_first;

  PetscFunctionBeginUser;
  PetscCall(gradient_norm(t, gradient, norm));
  PetscCall(optimizer_apply(t->optimizer, t->state.step + 1, rate, *norm, training_own(t, ARRAY_WEIGHTS), gradient));
  PetscCall(clock_begin(&t->clock, PART_REDUCE));
  PetscCall(training_share_weights(t));
  PetscCall(clock_end(&t->clock, PART_REDUCE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* All ranks see the same norm: all fail or none. */
static PetscErrorCode update(Training *t, double rate, double *norm)
{
  PetscFunctionBeginUser;
  PetscCall(clock_begin(&t->clock, PART_OPTIMISER));
  const PetscErrorCode error = update_own(t, rate, norm);
  PetscCall(clock_end(&t->clock, PART_OPTIMISER));
  PetscFunctionReturn(error);
}

PetscErrorCode training_step(Training *training, StepRecord *record, PetscBool *stop)
{
  const TrainConfig *train = training->setup.train;
  const double begun = MPI_Wtime(), rate = schedule_learning_rate(train, training->state.step + 1);
  double sums[SUMS], norm = 0;
  Loss loss = {0};

  PetscFunctionBeginUser;
  PetscErrorCode error = own_share(training, &loss);
  training->longest.step = PetscMax(training->longest.step, MPI_Wtime() - begun); /* so that the first one knows it */
  PetscCall(reduce(training, &loss, error, sums));
  if (sums[SUM_FAILED] > 0) error = group_agree(training->comm, error);
  if (!error) error = update(training, rate, &norm);
  if (error) PetscCall(explain(training, error));
  training->state.step++;
  training->state.position += train->batch;

  const double seconds = MPI_Wtime() - begun;
  training->longest.step = PetscMax(training->longest.step, seconds);
  *record = (StepRecord){.step = training->state.step,
                         .loss = sums[SUM_TOTAL] / train->batch,
                         .field = sums[SUM_FIELD] / train->batch,
                         .theta = sums[SUM_THETA] / train->batch,
                         .gradient_norm = norm,
                         .learning_rate = rate,
                         .samples_per_second = train->batch / seconds,
                         .seconds = seconds};
  clock_record(&training->clock, record);
  *stop = sums[SUM_STOP] > 0 ? PETSC_TRUE : PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}
