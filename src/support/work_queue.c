/** \file work_queue.c  Units of work taken one at a time by whoever is free.  \ingroup support */
#include "nephrite/support.h"

struct WorkQueue {
  MPI_Comm comm;
  MPI_Win window; /* one counter, on rank 0 */
  int64_t *counter;
  int64_t count;
};

PetscErrorCode work_queue_create(MPI_Comm comm, int64_t count, WorkQueue **queue)
{
  WorkQueue *q = NULL;
  PetscMPIInt rank;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&q));
  *queue = q;
  q->comm = comm;
  q->count = count;
  q->window = MPI_WIN_NULL;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(
      MPI_Win_allocate(rank == 0 ? sizeof(int64_t) : 0, sizeof(int64_t), MPI_INFO_NULL, comm, &q->counter, &q->window));
  if (rank == 0) {
    PetscCallMPI(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, q->window));
    *q->counter = 0;
    PetscCallMPI(MPI_Win_unlock(0, q->window));
  }
  PetscCallMPI(MPI_Barrier(comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode work_queue_take(WorkQueue *q, int64_t *unit)
{
  const int64_t one = 1;
  int64_t taken = 0;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, q->window));
  PetscCallMPI(MPI_Fetch_and_op(&one, &taken, MPI_INT64_T, 0, 0, MPI_SUM, q->window));
  PetscCallMPI(MPI_Win_unlock(0, q->window));
  *unit = taken < q->count ? taken : -1;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode work_queue_destroy(WorkQueue **queue)
{
  PetscFunctionBeginUser;
  if (!*queue) PetscFunctionReturn(PETSC_SUCCESS);
  if ((*queue)->window != MPI_WIN_NULL) {
    PetscCallMPI(MPI_Barrier((*queue)->comm));
    PetscCallMPI(MPI_Win_free(&(*queue)->window));
  }
  PetscCall(PetscFree(*queue));
  PetscFunctionReturn(PETSC_SUCCESS);
}
