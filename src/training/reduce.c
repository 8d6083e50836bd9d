/** \file reduce.c  Gradients summed over ranks while backward goes on.  \ingroup training */
#include "internal.h"

/* Elements of a bucket: 1 MiB of floats, enough to reach the network's bandwidth, little enough to start early. */
enum { BUCKET = 1 << 18 };

struct Reducer {
  MPI_Comm comm;
  int size;
  size_t count;
  PetscInt buckets, started; /* started: buckets already sent off in this step, from the end of the vector down */
  Scalar *values; /* [count] borrowed */
  MPI_Request *requests; /* [buckets] */
};

int64_t reduction_bucket_bytes(void)
{
  return BUCKET * (int64_t)sizeof(Scalar);
}

void share_of_rank(int rank, int size, int64_t total, int64_t *first, int64_t *count)
{
  const int64_t each = total / size, left = total % size;

  *count = each + (rank < left);
  *first = each * rank + (rank < left ? rank : left);
}

void share_of(MPI_Comm comm, int64_t total, int64_t *first, int64_t *count)
{
  int rank, size;

  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  share_of_rank(rank, size, total, first, count);
}

PetscErrorCode reducer_create(MPI_Comm comm, size_t count, Scalar *values, Reducer **reducer)
{
  Reducer *r = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&r));
  *reducer = r;
  r->comm = comm;
  PetscCallMPI(MPI_Comm_size(comm, &r->size));
  r->values = values;
  r->count = count;
  PetscCheck(count / BUCKET < PETSC_MPI_INT_MAX, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%zu values are too many to be reduced", count);
  r->buckets = (PetscInt)((count + BUCKET - 1) / BUCKET);
  PetscCall(PetscMalloc1(r->buckets, &r->requests));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Every rank starts the buckets in the same order: MPI matches them by that order. */
static PetscErrorCode start_down_to(Reducer *r, size_t offset)
{
  PetscFunctionBeginUser;
  for (; r->started < r->buckets; r->started++) {
    const size_t first = (size_t)(r->buckets - 1 - r->started) * BUCKET, left = r->count - first;

    if (first < offset) break;
    PetscCallMPI(MPI_Iallreduce(MPI_IN_PLACE, r->values + first, (int)(left < BUCKET ? left : BUCKET),
                                NEPHRITE_MPI_SCALAR, MPI_SUM, r->comm, &r->requests[r->started]));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode reducer_ready(void *reducer, size_t offset, size_t count)
{
  Reducer *r = reducer;
  int done;

  PetscFunctionBeginUser;
  (void)count; /* ranges come in order of decreasing offset: everything from offset on is final */
  if (r->size == 1) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(start_down_to(r, offset));
  /* Most MPI libraries move nonblocking collectives on only inside MPI calls. */
  PetscCallMPI(MPI_Testall((int)r->started, r->requests, &done, MPI_STATUSES_IGNORE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Until all is summed, or there is nothing else to do. */
static PetscErrorCode use_time(Reducer *r, SpareTime spare, void *context)
{
  PetscBool more = spare ? PETSC_TRUE : PETSC_FALSE;
  int done = 0;

  PetscFunctionBeginUser;
  while (more && !done) {
    PetscCallMPI(MPI_Testall((int)r->started, r->requests, &done, MPI_STATUSES_IGNORE));
    if (!done) PetscCall(spare(context, &more));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode reducer_finish(Reducer *reducer, SpareTime spare, void *context)
{
  PetscFunctionBeginUser;
  if (reducer->size == 1) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(start_down_to(reducer, 0));
  PetscCall(use_time(reducer, spare, context));
  PetscCallMPI(MPI_Waitall((int)reducer->started, reducer->requests, MPI_STATUSES_IGNORE));
  reducer->started = 0;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode reducer_destroy(Reducer **reducer)
{
  PetscFunctionBeginUser;
  if (!*reducer) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscFree((*reducer)->requests));
  PetscCall(PetscFree(*reducer));
  PetscFunctionReturn(PETSC_SUCCESS);
}
