/** \file files.c  Directories, existence and digests of files.  \ingroup support */
#include "nephrite/support.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

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

PetscErrorCode file_digest(const char *path, uint64_t *digest)
{
  char block[1 << 14];
  size_t got;
  FILE *file = fopen(path, "rb");
  int reason = file ? 0 : errno;
  XXH64_state_t *state = XXH64_createState();

  PetscFunctionBeginUser;
  PetscCheck(state, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "no memory for the digest of a file");
  XXH64_reset(state, *digest);
  while (file && (got = fread(block, 1, sizeof block, file)) > 0) XXH64_update(state, block, got);
  if (file && ferror(file)) reason = errno;
  *digest = XXH64_digest(state);
  XXH64_freeState(state);
  if (file) fclose(file);
  PetscCheck(!reason, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: cannot be read: %s", path, strerror(reason));
  PetscFunctionReturn(PETSC_SUCCESS);
}
