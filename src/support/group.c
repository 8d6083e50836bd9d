/** \file group.c  Groups of ranks, and agreement on errors before collective calls.  \ingroup support */
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
