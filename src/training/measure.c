/** \file measure.c  How long sums over ranks take by the calls that training makes.  \ingroup training */
#include "internal.h"

#include <inttypes.h>

/* What is timed. */
typedef struct {
  MPI_Comm comm;
  int *part_count, *part_first; /* [size] of the vector */
  int count;
  Scalar *values; /* [count] zeros, and so are their sums: no repetition makes them overflow */
  Reducer *reducer;
} Exchange;
typedef PetscErrorCode (*ExchangeCall)(Exchange *exchange);

static PetscErrorCode one_message(Exchange *e)
{
  MPI_Request request;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Iallreduce(MPI_IN_PLACE, e->values, e->count, NEPHRITE_MPI_SCALAR, MPI_SUM, e->comm, &request));
  PetscCallMPI(MPI_Wait(&request, MPI_STATUS_IGNORE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode all_buckets(Exchange *e)
{
  PetscFunctionBeginUser;
  PetscCall(reducer_ready(e->reducer, 0, (size_t)e->count));
  PetscCall(reducer_finish(e->reducer, NULL, NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode all_parts(Exchange *e)
{
  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, e->values, e->part_count, e->part_first,
                              NEPHRITE_MPI_SCALAR, e->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Short calls are timed by the dozen: a barrier lets ranks go some microseconds apart. */
static PetscErrorCode seconds_of(Exchange *e, ExchangeCall call, PetscInt repeats, double *best)
{
  const int64_t bytes = e->count * (int64_t)sizeof(Scalar), together = PetscClipInterval((1 << 20) / bytes, 1, 64);

  PetscFunctionBeginUser;
  *best = PETSC_MAX_REAL;
  for (PetscInt repeat = 0; repeat <= repeats; repeat++) { /* the first to warm up */
    PetscCallMPI(MPI_Barrier(e->comm));
    const double begun = MPI_Wtime();
    for (int64_t i = 0; i < together; i++) PetscCall(call(e));
    double seconds = (MPI_Wtime() - begun) / (double)together;
    PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, e->comm));
    if (repeat) *best = PetscMin(*best, seconds);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode exchange_create(Exchange *e)
{
  int size;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_size(e->comm, &size));
  PetscCall(PetscCalloc1(e->count, &e->values));
  PetscCall(reducer_create(e->comm, (size_t)e->count, e->values, &e->reducer));
  PetscCall(PetscMalloc2(size, &e->part_count, size, &e->part_first));
  for (int rank = 0; rank < size; rank++) {
    int64_t first, count;

    share_of_rank(rank, size, e->count, &first, &count);
    e->part_first[rank] = (int)first;
    e->part_count[rank] = (int)count;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode exchange_destroy(Exchange *e)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree2(e->part_count, e->part_first));
  PetscCall(reducer_destroy(&e->reducer));
  PetscCall(PetscFree(e->values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode reduction_measure(MPI_Comm comm, int64_t bytes, PetscInt repeats, ReductionTimes *times)
{
  const int64_t count = bytes / (int64_t)sizeof(Scalar);
  Exchange exchange = {.comm = comm, .count = (int)count};

  PetscFunctionBeginUser;
  PetscCheck(count > 0 && bytes <= (int64_t)1 << 32, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "a vector of %" PRId64 " bytes cannot be timed; it must have 4 to 4294967296", bytes);
  PetscCheck(repeats > 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "%d repetitions; at least 1 is needed", (int)repeats);
  PetscCall(group_agree(comm, exchange_create(&exchange)));
  PetscCall(seconds_of(&exchange, one_message, repeats, &times->message_seconds));
  PetscCall(seconds_of(&exchange, all_buckets, repeats, &times->buckets_seconds));
  PetscCall(seconds_of(&exchange, all_parts, repeats, &times->gather_seconds));
  PetscCall(exchange_destroy(&exchange));
  PetscFunctionReturn(PETSC_SUCCESS);
}
