/** \file group.c  Groups of ranks, agreement on errors before collective calls, and arrays that are divided.
 * \ingroup support */
#include "nephrite/support.h"

#include <string.h>

PetscErrorCode group_agree(MPI_Comm comm, PetscErrorCode local)
{
  enum { MESSAGE_SIZE = 1024 };
  char message[MESSAGE_SIZE] = "";
  PetscMPIInt rank, size;
  int first, mine, error = (int)local;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  mine = local ? rank : size;
  PetscCallMPI(MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, comm));
  if (first == size) PetscFunctionReturn(PETSC_SUCCESS);
  if (rank == first) PetscCall(PetscStrncpy(message, error_message(), sizeof message));
  PetscCallMPI(MPI_Bcast(message, MESSAGE_SIZE, MPI_CHAR, first, comm));
  PetscCallMPI(MPI_Bcast(&error, 1, MPI_INT, first, comm));
  error_set_message(message);
  PetscFunctionReturn((PetscErrorCode)error);
}

PetscErrorCode group_split(MPI_Comm world, PetscInt group_size, MPI_Comm *comm, PetscInt *group, PetscInt *groups)
{
  PetscMPIInt rank, size;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(world, &rank));
  PetscCallMPI(MPI_Comm_size(world, &size));
  PetscCheck(group_size >= 1 && size % group_size == 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%d ranks do not divide into groups of %" PetscInt_FMT, size, group_size);
  *group = rank / group_size;
  *groups = size / group_size;
  PetscCallMPI(MPI_Comm_split(world, (int)*group, rank, comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode group_leaders(MPI_Comm world, MPI_Comm members, MPI_Comm *leaders)
{
  PetscMPIInt rank, place;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(world, &rank));
  PetscCallMPI(MPI_Comm_rank(members, &place));
  PetscCallMPI(MPI_Comm_split(world, place ? MPI_UNDEFINED : 0, rank, leaders));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ shares of arrays */

PetscErrorCode group_share_check(MPI_Comm comm, const GroupShare *share)
{
  PetscMPIInt rank, wrong;
  PetscInt before = 0, all = 0;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Exscan(&share->length, &before, 1, MPIU_INT, MPI_SUM, comm));
  PetscCallMPI(MPI_Allreduce(&share->length, &all, 1, MPIU_INT, MPI_SUM, comm));
  if (!rank) before = 0; /* which MPI_Exscan leaves undefined */
  wrong = all != share->total || (share->length && share->first != before);
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &wrong, 1, MPI_INT, MPI_MAX, comm));
  PetscCheck(!wrong, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "the shares of %" PetscInt_FMT " numbers have %" PetscInt_FMT ", or are in another order than their ranks",
             share->total, all);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What the first rank needs to know of all shares. */
typedef struct {
  int *count, *place; /* [ranks] */
  int mine;
} ShareTable;

static PetscErrorCode share_table_create(MPI_Comm comm, const GroupShare *share, ShareTable *t)
{
  PetscMPIInt ranks, first;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_size(comm, &ranks));
  PetscCall(PetscMPIIntCast(share->length, &t->mine));
  PetscCall(PetscMPIIntCast(share->length ? share->first : 0, &first));
  PetscCall(PetscMalloc2(ranks, &t->count, ranks, &t->place));
  PetscCallMPI(MPI_Gather(&t->mine, 1, MPI_INT, t->count, 1, MPI_INT, 0, comm));
  PetscCallMPI(MPI_Gather(&first, 1, MPI_INT, t->place, 1, MPI_INT, 0, comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode group_gather(MPI_Comm comm, const GroupShare *share, const double *part, double *whole)
{
  ShareTable t;

  PetscFunctionBeginUser;
  PetscCall(share_table_create(comm, share, &t));
  for (PetscInt piece = 0; piece < share->pieces; piece++) {
    PetscCallMPI(MPI_Gatherv(part, t.mine, MPI_DOUBLE, whole, t.count, t.place, MPI_DOUBLE, 0, comm));
    part += share->length;
    if (whole) whole += share->total;
  }
  PetscCall(PetscFree2(t.count, t.place));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode group_scatter(MPI_Comm comm, const GroupShare *share, const double *whole, double *part)
{
  ShareTable t;

  PetscFunctionBeginUser;
  PetscCall(share_table_create(comm, share, &t));
  for (PetscInt piece = 0; piece < share->pieces; piece++) {
    PetscCallMPI(MPI_Scatterv(whole, t.count, t.place, MPI_DOUBLE, part, t.mine, MPI_DOUBLE, 0, comm));
    part += share->length;
    if (whole) whole += share->total;
  }
  PetscCall(PetscFree2(t.count, t.place));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void group_random_normal(const GroupShare *share, RandomKey key, uint64_t position, double *part)
{
  for (PetscInt piece = 0; piece < share->pieces; piece++)
    random_normal(key, position + (uint64_t)piece * (uint64_t)share->total + (uint64_t)share->first,
                  (size_t)share->length, part + (size_t)piece * (size_t)share->length);
}
