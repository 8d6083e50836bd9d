/** \file stage_lock.c  A stage of a campaign is run by one job at a time.  \ingroup support */
#include "support/internal.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAGE_NAME_SIZE = 64 };

struct StageLock {
  MPI_Comm comm;
  char path[PETSC_MAX_PATH_LEN];
  PetscBool held; /* by this rank */
};

StageHolder stage_holder(void)
{
  StageHolder me = {.pid = (long)getpid()};
  const char *job = getenv("SLURM_JOB_ID");

  gethostname(me.host, sizeof me.host - 1);
  snprintf(me.job, sizeof me.job, "%s", job && *job ? job : "none");
  return me;
}

/* Ended, but not yet waited for: its parent was killed too, and pid 1 of a container may take its time.  Linux alone
 * tells; elsewhere such a process counts as alive. */
static PetscBool is_zombie(long pid)
{
  char path[64], line[512] = "";
  FILE *file;

  snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  file = fopen(path, "r");
  if (!file) return PETSC_FALSE;
  if (!fgets(line, sizeof line, file)) line[0] = '\0';
  fclose(file);
  const char *name_end = strrchr(line, ')'); /* "pid (name) state …" and a name may hold anything */
  return name_end && (name_end[1] == ' ') && (name_end[2] == 'Z' || name_end[2] == 'X') ? PETSC_TRUE : PETSC_FALSE;
}

static PetscBool is_gone(long pid)
{
  return (kill((pid_t)pid, 0) && errno == ESRCH) || is_zombie(pid) ? PETSC_TRUE : PETSC_FALSE;
}

/* Is the process that made the lock gone?  Known on its own host only (our own number there was an earlier process's: a
 * container counts from 1 each time); elsewhere a job of the same id is this very job, requeued. */
static PetscBool is_stale(const StageHolder *holder, const StageHolder *me)
{
  if (!strcmp(holder->host, me->host)) return holder->pid == me->pid || is_gone(holder->pid) ? PETSC_TRUE : PETSC_FALSE;
  return strcmp(holder->job, "none") && !strcmp(holder->job, me->job) ? PETSC_TRUE : PETSC_FALSE;
}

static PetscErrorCode read_holder(const char *path, StageHolder *holder)
{
  FILE *file = fopen(path, "r");

  PetscFunctionBeginUser;
  *holder = (StageHolder){.host = "unknown", .job = "none"};
  if (!file) PetscFunctionReturn(PETSC_SUCCESS);
  if (fscanf(file, "host %255s pid %ld job %63s", holder->host, &holder->pid, holder->job) != 3)
    *holder = (StageHolder){.host = "unknown", .job = "none"};
  fclose(file);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A name that no other process uses. */
static PetscErrorCode name_aside(const char *path, const StageHolder *me, char aside[PETSC_MAX_PATH_LEN])
{
  PetscFunctionBeginUser;
  PetscCheck(snprintf(aside, PETSC_MAX_PATH_LEN, "%s.%s.%ld", path, me->host, me->pid) < PETSC_MAX_PATH_LEN,
             PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "%s: path is too long", path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The lock appears with its content: written aside, then linked, which fails if the name is taken. */
static PetscErrorCode try_lock(const char *path, const StageHolder *me, PetscBool *held)
{
  char aside[PETSC_MAX_PATH_LEN];
  FILE *file;
  int failed;

  PetscFunctionBeginUser;
  PetscCall(name_aside(path, me, aside));
  file = fopen(aside, "w");
  if (!file) PetscCall(error_from_errno(errno, "create", path));
  fprintf(file, "host %s pid %ld job %s\n", me->host, me->pid, me->job);
  failed = fclose(file) ? errno : 0;
  if (!failed && link(aside, path)) failed = errno;
  unlink(aside);
  *held = failed ? PETSC_FALSE : PETSC_TRUE;
  if (failed && failed != EEXIST) PetscCall(error_from_errno(failed, "create", path));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Two processes may find the same stale lock; only the one that can move it away may take its place.  What was moved is
 * looked at once more: it may be the new lock of a process that was faster, which then goes back. */
static PetscErrorCode remove_stale(const char *path, const StageHolder *me)
{
  char aside[PETSC_MAX_PATH_LEN];
  StageHolder moved;

  PetscFunctionBeginUser;
  PetscCall(name_aside(path, me, aside));
  if (rename(path, aside)) PetscFunctionReturn(PETSC_SUCCESS); /* somebody else did it */
  PetscCall(read_holder(aside, &moved));
  if (!is_stale(&moved, me) && link(aside, path)) PetscCall(error_from_errno(errno, "put back", path));
  unlink(aside);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode refuse(const char *path, const StageHolder *holder)
{
  PetscFunctionBeginUser;
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED,
          "%s: process %ld on %s (job %s) is at this stage; if it is not, delete the file", path, holder->pid,
          holder->host, holder->job);
}

static PetscErrorCode take_lock(const char *path, PetscBool *held)
{
  const StageHolder me = stage_holder();
  StageHolder holder;

  PetscFunctionBeginUser;
  for (int attempt = 0; attempt < 2; attempt++) {
    PetscCall(try_lock(path, &me, held));
    if (*held) PetscFunctionReturn(PETSC_SUCCESS);
    PetscCall(read_holder(path, &holder));
    if (!is_stale(&holder, &me)) PetscCall(refuse(path, &holder));
    PetscCall(remove_stale(path, &me));
  }
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED, "%s: another process took the lock first", path);
}

/* ---- shares ---- */

int64_t stage_share_of(StageShare share, int64_t units)
{
  return (units + share.count - share.number) / share.count;
}

int64_t stage_share_unit(StageShare share, int64_t index)
{
  return share.number - 1 + index * share.count;
}

/* Is this the name of a lock of the same stage that excludes ours, though it is another file? */
static PetscBool excludes(const char *name, const char *stage, StageShare share)
{
  const size_t length = strlen(stage);
  long long number, count;
  int end = 0;

  if (strncmp(name, stage, length)) return PETSC_FALSE;
  if (!strcmp(name + length, ".lock")) return share.count > 1 ? PETSC_TRUE : PETSC_FALSE;
  if (sscanf(name + length, "-%lldof%lld.lock%n", &number, &count, &end) != 2 || !end || name[length + (size_t)end])
    return PETSC_FALSE;
  return count != share.count ? PETSC_TRUE : PETSC_FALSE;
}

/* Look only once our own lock is there: of two processes that exclude each other at least one then sees the other. */
static PetscErrorCode check_others(const char *directory, const char *stage, StageShare share)
{
  const StageHolder me = stage_holder();
  char path[PETSC_MAX_PATH_LEN];
  DIR *files = opendir(directory);
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  if (!files) PetscCall(error_from_errno(errno, "list", directory));
  for (const struct dirent *file = readdir(files); file && !error; file = readdir(files)) {
    StageHolder other;

    if (!excludes(file->d_name, stage, share)) continue;
    if (snprintf(path, sizeof path, "%s/%s", directory, file->d_name) >= (int)sizeof path) continue;
    error = read_holder(path, &other);
    if (!error && !is_stale(&other, &me)) error = refuse(path, &other);
  }
  closedir(files);
  PetscFunctionReturn(error);
}

static PetscErrorCode lock_share(StageLock *l, const char *directory, const char *stage, StageShare share)
{
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(take_lock(l->path, &l->held));
  error = check_others(directory, stage, share);
  if (!error) PetscFunctionReturn(PETSC_SUCCESS);
  unlink(l->path);
  l->held = PETSC_FALSE;
  PetscFunctionReturn(error);
}

PetscErrorCode stage_lock_create(MPI_Comm comm, const char *directory, const char *stage, StageShare share,
                                 StageLock **lock)
{
  StageLock *l = NULL;
  char name[STAGE_NAME_SIZE];
  PetscMPIInt rank, size;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&l));
  *lock = l;
  l->comm = comm;
  if (share.count > 1)
    snprintf(name, sizeof name, "%s-%" PetscInt_FMT "of%" PetscInt_FMT, stage, share.number, share.count);
  else
    snprintf(name, sizeof name, "%s", stage);
  PetscCheck(snprintf(l->path, sizeof l->path, "%s/%s.lock", directory, name) < (int)sizeof l->path, PETSC_COMM_SELF,
             NEPHRITE_ERR_CONFIG, "%s: path is too long", directory);
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  PetscCall(group_agree(comm, rank == 0 ? lock_share(l, directory, stage, share) : PETSC_SUCCESS));
  if (l->held) PetscCall(status_begin(directory, name, size));
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
