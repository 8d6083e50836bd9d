/** \file reduce.c  Gradients summed over ranks while backward goes on.  \ingroup training */
#include "internal.h"

/* Elements of a bucket: 1 MiB of floats, enough to reach the network's bandwidth, little enough to start early. */
enum { BUCKET = 1 << 18 };

/* What is summed in one message. */
typedef struct {
  size_t first;
  int count, owner; /* the rank that needs the sum, where only one does */
} Piece;

struct Reducer {
  MPI_Comm comm;
  int size, rank;
  ReduceTo target;
  PetscInt pieces, started; /* started: pieces already sent off in this step */
  Piece *piece; /* [pieces] in order of starting, from the end of the vector down */
  Scalar *values; /* [count] borrowed */
  MPI_Request *requests; /* [pieces] */
};

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

/* Where the piece that ends at \p end begins: at a whole number of buckets, and within one owner's share. */
static size_t piece_begin(size_t end, size_t share_begin)
{
  const size_t bucket = (end - 1) / BUCKET * BUCKET;

  return bucket > share_begin ? bucket : share_begin;
}

static PetscErrorCode cut(Reducer *r, size_t count)
{
  int owner = r->target == REDUCE_TO_OWNER ? r->size - 1 : 0;
  int64_t share_begin = 0, share_count;

  PetscFunctionBeginUser;
  if (r->target == REDUCE_TO_OWNER) share_of_rank(owner, r->size, (int64_t)count, &share_begin, &share_count);
  for (size_t end = count; end > 0;) {
    while ((size_t)share_begin >= end) share_of_rank(--owner, r->size, (int64_t)count, &share_begin, &share_count);
    const size_t begin = piece_begin(end, (size_t)share_begin);

    r->piece[r->pieces++] = (Piece){begin, (int)(end - begin), owner};
    end = begin;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode reducer_create(MPI_Comm comm, ReduceTo target, size_t count, Scalar *values, Reducer **reducer)
{
  Reducer *r = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&r));
  *reducer = r;
  r->comm = comm;
  r->target = target;
  PetscCallMPI(MPI_Comm_size(comm, &r->size));
  PetscCallMPI(MPI_Comm_rank(comm, &r->rank));
  r->values = values;
  const size_t most = count / BUCKET + 1 + (size_t)r->size;
  PetscCheck(most < PETSC_MPI_INT_MAX, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "%zu values are too many to be reduced",
             count);
  PetscCall(PetscMalloc1(most, &r->piece));
  PetscCall(PetscMalloc1(most, &r->requests));
  PetscCall(cut(r, count));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode start_piece(Reducer *r, const Piece *piece, MPI_Request *request)
{
  Scalar *const values = r->values + piece->first;
  const void *const own = r->rank == piece->owner ? MPI_IN_PLACE : values;

  PetscFunctionBeginUser;
  if (r->target == REDUCE_TO_ALL)
    PetscCallMPI(MPI_Iallreduce(MPI_IN_PLACE, values, piece->count, NEPHRITE_MPI_SCALAR, MPI_SUM, r->comm, request));
  else
    PetscCallMPI(MPI_Ireduce(own, values, piece->count, NEPHRITE_MPI_SCALAR, MPI_SUM, piece->owner, r->comm, request));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Every rank starts the pieces in the same order: MPI matches them by that order. */
static PetscErrorCode start_down_to(Reducer *r, size_t offset)
{
  PetscFunctionBeginUser;
  for (; r->started < r->pieces && r->piece[r->started].first >= offset; r->started++)
    PetscCall(start_piece(r, &r->piece[r->started], &r->requests[r->started]));
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
  PetscCall(PetscFree((*reducer)->piece));
  PetscCall(PetscFree((*reducer)->requests));
  PetscCall(PetscFree(*reducer));
  PetscFunctionReturn(PETSC_SUCCESS);
}
