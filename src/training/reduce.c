/** \file reduce.c  Gradients summed over ranks while backward goes on.  \ingroup training */
#include "internal.h"

/* Elements of a bucket: 1 MiB of floats, enough to reach the network's bandwidth, little enough to start early. */
enum { BUCKET = 1 << 18 };

struct Reducer {
  MPI_Comm comm;
  int size;
  size_t count, buckets;
  size_t started; /* how many, from the last bucket down, have been started */
  Scalar *values; /* [count] borrowed */
  MPI_Request *requests; /* [buckets] in order of starting */
};

PetscErrorCode reducer_create(MPI_Comm comm, size_t count, Scalar *values, Reducer **reducer)
{
  Reducer *r = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&r));
  *reducer = r;
  r->comm = comm;
  PetscCallMPI(MPI_Comm_size(comm, &r->size));
  r->count = count;
  r->values = values;
  r->buckets = (count + BUCKET - 1) / BUCKET;
  PetscCheck(r->buckets < INT_MAX, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "%zu values are too many to be reduced",
             count);
  PetscCall(PetscMalloc1(r->buckets, &r->requests));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Every rank starts the buckets in the same order, from the last one down: MPI matches them by that order. */
static PetscErrorCode start_down_to(Reducer *r, size_t offset)
{
  PetscFunctionBeginUser;
  while (r->started < r->buckets) {
    const size_t first = (r->buckets - 1 - r->started) * BUCKET;
    const size_t count = r->count - first < BUCKET ? r->count - first : BUCKET;

    if (first < offset) break;
    PetscCallMPI(MPI_Iallreduce(MPI_IN_PLACE, r->values + first, (int)count, NEPHRITE_MPI_SCALAR, MPI_SUM, r->comm,
                                &r->requests[r->started]));
    r->started++;
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

PetscErrorCode reducer_finish(Reducer *reducer)
{
  PetscFunctionBeginUser;
  if (reducer->size == 1) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(start_down_to(reducer, 0));
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

void share_of(MPI_Comm comm, int64_t total, int64_t *first, int64_t *count)
{
  int rank, size;

  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  const int64_t each = total / size, left = total % size;
  *count = each + (rank < left);
  *first = each * rank + (rank < left ? rank : left);
}
