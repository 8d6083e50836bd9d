/** \file files.c  Directories and existence of files.  \ingroup support */
#include "nephrite/support.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static PetscErrorCode make_directories(const char *path)
{
  char part[PETSC_MAX_PATH_LEN];
  struct stat status;

  PetscFunctionBeginUser;
  PetscCall(PetscStrncpy(part, path, sizeof part));
  for (char *c = part + 1;; c++) {
    const char kept = *c;

    if (kept && kept != '/') continue;
    *c = '\0';
    if (mkdir(part, 0777) && errno != EEXIST) PetscCall(error_from_errno(errno, "make the directory", part));
    *c = kept;
    if (!kept) break;
  }
  PetscCheck(!stat(path, &status) && S_ISDIR(status.st_mode), PETSC_COMM_SELF, NEPHRITE_ERR_IO,
             "%s: is not a directory", path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_directory(MPI_Comm comm, const char *path)
{
  PetscMPIInt rank;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCall(group_agree(comm, rank == 0 ? make_directories(path) : PETSC_SUCCESS));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_exists(MPI_Comm comm, const char *path, PetscBool *exists)
{
  PetscMPIInt rank;
  int found;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  found = rank == 0 && !access(path, F_OK);
  PetscCallMPI(MPI_Bcast(&found, 1, MPI_INT, 0, comm));
  *exists = found ? PETSC_TRUE : PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}
