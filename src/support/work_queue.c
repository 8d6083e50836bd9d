/** \file work_queue.c  Units of work taken one at a time by whoever is free.  \ingroup support
 *
 * One counter for all ranks where MPI offers one-sided access to it.  Not every MPI does between nodes (Open MPI 4 over
 * TCP has no usable component); then every node has a counter of its own, in shared memory, over the units of its
 * ranks: unit u is dealt to rank u modulo the number of ranks.
 */
#include "nephrite/support.h"

struct WorkQueue {
  MPI_Comm comm; /* of all ranks */
  MPI_Comm sharers; /* of those who share a counter */
  MPI_Win window; /* the counter, on their rank 0 */
  int64_t *counter, count;
  PetscMPIInt size, sharer_count;
  PetscMPIInt *member; /* [sharer_count] their ranks among all, increasing */
};

/* A window that any rank could not get is no window.  \param[out] made collective on \p comm */
static PetscErrorCode try_window(MPI_Comm comm, WorkQueue *q, PetscBool *made)
{
  PetscMPIInt rank;
  int failed, any;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  failed =
      MPI_Win_allocate(rank == 0 ? sizeof(int64_t) : 0, sizeof(int64_t), MPI_INFO_NULL, comm, &q->counter, &q->window);
  if (failed) q->window = MPI_WIN_NULL;
  PetscCallMPI(MPI_Allreduce(&failed, &any, 1, MPI_INT, MPI_MAX, comm));
  *made = any ? PETSC_FALSE : PETSC_TRUE;
  if (any && q->window != MPI_WIN_NULL) PetscCallMPI(MPI_Win_free(&q->window));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* One counter for all if possible, else one for each node. */
static PetscErrorCode make_counters(WorkQueue *q)
{
  PetscBool made;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_dup(q->comm, &q->sharers));
  PetscCallMPI(MPI_Comm_set_errhandler(q->sharers, MPI_ERRORS_RETURN));
  PetscCall(try_window(q->sharers, q, &made));
  if (made) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCallMPI(MPI_Comm_free(&q->sharers));
  PetscCallMPI(MPI_Comm_split_type(q->comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &q->sharers));
  PetscCall(try_window(q->sharers, q, &made));
  PetscCheck(made, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "MPI offers no one-sided access, not even within a node");
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode begin_count(WorkQueue *q)
{
  PetscMPIInt rank, place;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(q->comm, &rank));
  PetscCallMPI(MPI_Comm_rank(q->sharers, &place));
  PetscCallMPI(MPI_Comm_size(q->sharers, &q->sharer_count));
  PetscCall(PetscMalloc1((size_t)q->sharer_count, &q->member));
  PetscCallMPI(MPI_Allgather(&rank, 1, MPI_INT, q->member, 1, MPI_INT, q->sharers));
  if (place == 0) {
    PetscCallMPI(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, q->window));
    *q->counter = 0;
    PetscCallMPI(MPI_Win_unlock(0, q->window));
  }
  PetscCallMPI(MPI_Barrier(q->sharers));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode work_queue_create(MPI_Comm comm, int64_t count, WorkQueue **queue)
{
  WorkQueue *q = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&q));
  *queue = q;
  q->comm = comm;
  q->sharers = MPI_COMM_NULL;
  q->window = MPI_WIN_NULL;
  q->count = count;
  PetscCallMPI(MPI_Comm_size(comm, &q->size));
  PetscCall(group_agree(comm, make_counters(q)));
  PetscCall(begin_count(q));
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
  *unit = taken / q->sharer_count * q->size + q->member[taken % q->sharer_count];
  if (*unit >= q->count) *unit = -1;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode work_queue_take_together(MPI_Comm members, WorkQueue *queue, int64_t *unit)
{
  PetscFunctionBeginUser;
  PetscCall(group_agree(members, queue ? work_queue_take(queue, unit) : PETSC_SUCCESS));
  PetscCallMPI(MPI_Bcast(unit, 1, MPI_INT64_T, 0, members));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode work_queue_destroy(WorkQueue **queue)
{
  WorkQueue *q = *queue;

  PetscFunctionBeginUser;
  if (!q) PetscFunctionReturn(PETSC_SUCCESS);
  if (q->window != MPI_WIN_NULL) {
    PetscCallMPI(MPI_Barrier(q->comm));
    PetscCallMPI(MPI_Win_free(&q->window));
  }
  if (q->sharers != MPI_COMM_NULL) PetscCallMPI(MPI_Comm_free(&q->sharers));
  PetscCall(PetscFree(q->member));
  PetscCall(PetscFree(*queue));
  PetscFunctionReturn(PETSC_SUCCESS);
}
