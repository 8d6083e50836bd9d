/** \file roles.c  Which ranks train, and which simulate for them.  \ingroup training */
#include "internal.h"

PetscErrorCode roles_count(PetscInt simulation_ranks, int ranks, int *trainers)
{
  PetscFunctionBeginUser;
  PetscCheck(simulation_ranks < ranks, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "train_simulation_ranks is %d, and there are %d ranks in all; at least one must be left to train",
             (int)simulation_ranks, ranks);
  *trainers = ranks - (int)simulation_ranks;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The first of the ranks that simulate. */
static int first_simulating(int64_t simulating, int size)
{
  return (int)((size + simulating - 1) / simulating) - 1;
}

PetscErrorCode roles_create(MPI_Comm world, PetscInt simulation_ranks, Roles *roles)
{
  const int64_t simulating = simulation_ranks;
  MPI_Comm alike;
  int rank, size, trainers;

  PetscFunctionBeginUser;
  *roles = (Roles){PETSC_TRUE, MPI_COMM_NULL, MPI_COMM_NULL};
  PetscCallMPI(MPI_Comm_rank(world, &rank));
  PetscCallMPI(MPI_Comm_size(world, &size));
  PetscCall(roles_count(simulation_ranks, size, &trainers));
  if (simulating && (rank + 1) * simulating / size > rank * simulating / size) roles->trains = PETSC_FALSE;
  PetscCallMPI(MPI_Comm_split(world, roles->trains ? 0 : 1, rank, &alike));
  if (simulating)
    PetscCallMPI(MPI_Intercomm_create(alike, 0, world, roles->trains ? first_simulating(simulating, size) : 0, 0,
                                      &roles->others));
  if (roles->trains)
    roles->comm = alike;
  else
    PetscCallMPI(MPI_Comm_free(&alike));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode roles_destroy(Roles *roles)
{
  PetscFunctionBeginUser;
  if (roles->others != MPI_COMM_NULL) PetscCallMPI(MPI_Comm_free(&roles->others));
  if (roles->comm != MPI_COMM_NULL) PetscCallMPI(MPI_Comm_free(&roles->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}
