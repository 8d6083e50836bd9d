/** \file validation.c  The loss of the averaged weights on realisations that were held out.  \ingroup training */
#include "internal.h"

#include <inttypes.h>

static void swap(size_t count, Scalar *restrict a, Scalar *restrict b)
{
#pragma omp parallel for simd schedule(static)
  for (size_t i = 0; i < count; i++) {
    const Scalar kept = a[i];

    a[i] = b[i];
    b[i] = kept;
  }
}

/* Sum of the loss over this rank's part of the held-out realisations. */
static PetscErrorCode own_share(Training *t, int64_t total, Loss *sum)
{
  const int64_t seed = t->setup.campaign->seed;
  int64_t first, count;

  PetscFunctionBeginUser;
  share_of(t->comm, total, &first, &count);
  for (int64_t done = 0; done < count;) {
    const PetscInt take = (PetscInt)(count - done < t->micro_batch ? count - done : t->micro_batch);
    const Batch *batch = NULL;
    Loss loss;

    PetscCall(batch_source_expect(t->held_out, first + done, PetscMin(2 * take, count - done)));
    PetscCall(feed_validation(t->feed, t->held_out, seed, first + done, take, &batch));
    PetscCall(training_answer(t, batch, NULL));
    PetscCall(objective_loss(
        &t->shape, objective_weights(t->setup.train),
        &(ObjectiveBatch){take, take, batch->x, batch->theta, batch->t, batch->t_theta, t->x_hat, t->theta_hat}, &loss,
        NULL, NULL));
    sum->total += loss.total;
    sum->field += loss.field;
    sum->theta += loss.theta;
    done += take;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Rank 0 has the history; what it finds, all learn. */
static PetscErrorCode keep_record(Training *t, const ValidationRecord *record, PetscBool *best)
{
  int is_best = 0;

  PetscFunctionBeginUser;
  if (t->rank == 0) {
    const ValidationRecord *before = history_best(&t->state.history);

    is_best = !before || record->theta < before->theta;
    PetscCall(history_add_validation(&t->state.history, record));
  }
  PetscCallMPI(MPI_Bcast(&is_best, 1, MPI_INT, 0, t->comm));
  *best = is_best ? PETSC_TRUE : PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode training_validate(Training *training, PetscBool *best)
{
  const TrainConfig *train = training->setup.train;
  const int64_t total = train->validations < train->held_out ? train->validations : train->held_out;
  const size_t count = network_parameter_count(training->network);
  Scalar *const weights = network_weights(training->network), *average = NULL;
  const double begun = MPI_Wtime();
  Loss loss = {0};

  PetscFunctionBeginUser;
  PetscCall(log_stage("Validation"));
  PetscCall(clock_begin(&training->clock, PART_VALIDATION));
  PetscCall(training_whole(training, ARRAY_EMA, &average));
  swap(count, weights, average);
  const PetscErrorCode error = own_share(training, total, &loss);
  swap(count, weights, average);
  PetscCall(group_agree(training->comm, error));

  double sums[] = {loss.total, loss.field, loss.theta};
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, sums, 3, MPI_DOUBLE, MPI_SUM, training->comm));
  const double samples = (double)total;
  const ValidationRecord record = {training->state.step, sums[0] / samples, sums[1] / samples, sums[2] / samples};
  PetscCall(keep_record(training, &record, best));
  PetscCall(training_find_end(training));
  PetscCall(clock_end(&training->clock, PART_VALIDATION));
  PetscCall(PetscLogStagePop());
  training->longest.validation = PetscMax(training->longest.validation, MPI_Wtime() - begun);
  PetscCall(training_say(training, "step %" PRId64 "  validation  loss %.5f  field %.5f  theta %.5f%s", record.step,
                         record.loss, record.field, record.theta, *best ? "  best" : ""));
  PetscFunctionReturn(PETSC_SUCCESS);
}
