/** \file files.c  Directories, existence and the lock of a stage.  \ingroup support */
#include "nephrite/support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
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

/* ---- the lock of a stage ---- */

struct StageLock {
  MPI_Comm comm;
  char path[PETSC_MAX_PATH_LEN];
  PetscBool held; /* by this rank */
};

typedef struct {
  char host[256], job[64];
  long pid;
} Holder;

static Holder this_process(void)
{
  Holder me = {.pid = (long)getpid()};
  const char *job = getenv("SLURM_JOB_ID");

  gethostname(me.host, sizeof me.host - 1);
  snprintf(me.job, sizeof me.job, "%s", job && *job ? job : "none");
  return me;
}

/* Is the process that made the lock gone?  Known on its own host only; elsewhere a job of the same id is this very job,
 * requeued. */
static PetscBool is_stale(const Holder *holder, const Holder *me)
{
  if (!strcmp(holder->host, me->host)) return kill((pid_t)holder->pid, 0) && errno == ESRCH ? PETSC_TRUE : PETSC_FALSE;
  return strcmp(holder->job, "none") && !strcmp(holder->job, me->job) ? PETSC_TRUE : PETSC_FALSE;
}

static PetscErrorCode read_holder(const char *path, Holder *holder)
{
  FILE *file = fopen(path, "r");

  PetscFunctionBeginUser;
  *holder = (Holder){.host = "unknown", .job = "none"};
  if (!file) PetscFunctionReturn(PETSC_SUCCESS);
  if (fscanf(file, "host %255s pid %ld job %63s", holder->host, &holder->pid, holder->job) != 3)
    *holder = (Holder){.host = "unknown", .job = "none"};
  fclose(file);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The lock appears with its content: written aside, then linked, which fails if the name is taken. */
static PetscErrorCode try_lock(const char *path, const Holder *me, PetscBool *held)
{
  char aside[PETSC_MAX_PATH_LEN];
  FILE *file;
  int failed;

  PetscFunctionBeginUser;
  PetscCheck(snprintf(aside, sizeof aside, "%s.%s.%ld", path, me->host, me->pid) < (int)sizeof aside, PETSC_COMM_SELF,
             NEPHRITE_ERR_CONFIG, "%s: path is too long", path);
  file = fopen(aside, "w");
  if (!file) PetscCall(error_from_errno(errno, "create", aside));
  fprintf(file, "host %s pid %ld job %s\n", me->host, me->pid, me->job);
  failed = fclose(file) ? errno : 0;
  if (!failed && link(aside, path)) failed = errno;
  unlink(aside);
  *held = failed ? PETSC_FALSE : PETSC_TRUE;
  if (failed && failed != EEXIST) PetscCall(error_from_errno(failed, "create", path));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode take_lock(const char *path, PetscBool *held)
{
  const Holder me = this_process();
  Holder holder;

  PetscFunctionBeginUser;
  for (int attempt = 0; attempt < 2; attempt++) {
    PetscCall(try_lock(path, &me, held));
    if (*held) PetscFunctionReturn(PETSC_SUCCESS);
    PetscCall(read_holder(path, &holder));
    PetscCheck(is_stale(&holder, &me), PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED,
               "%s: process %ld on %s (job %s) is at this stage; if it is not, delete the file", path, holder.pid,
               holder.host, holder.job);
    unlink(path);
  }
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED, "%s: another process took the lock first", path);
}

PetscErrorCode stage_lock_create(MPI_Comm comm, const char *directory, const char *stage, StageLock **lock)
{
  StageLock *l = NULL;
  PetscMPIInt rank;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&l));
  *lock = l;
  l->comm = comm;
  PetscCheck(snprintf(l->path, sizeof l->path, "%s/%s.lock", directory, stage) < (int)sizeof l->path, PETSC_COMM_SELF,
             NEPHRITE_ERR_CONFIG, "%s: path is too long", directory);
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCall(group_agree(comm, rank == 0 ? take_lock(l->path, &l->held) : PETSC_SUCCESS));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode stage_lock_destroy(StageLock **lock)
{
  PetscFunctionBeginUser;
  if (!*lock) PetscFunctionReturn(PETSC_SUCCESS);
  if ((*lock)->held) unlink((*lock)->path);
  PetscCall(PetscFree(*lock));
  PetscFunctionReturn(PETSC_SUCCESS);
}
