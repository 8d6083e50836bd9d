/** \file stage_lock.c  A stage of a campaign is run by one job at a time.  \ingroup support */
#include "nephrite/support.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
static PetscBool is_stale(const Holder *holder, const Holder *me)
{
  if (!strcmp(holder->host, me->host)) return holder->pid == me->pid || is_gone(holder->pid) ? PETSC_TRUE : PETSC_FALSE;
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

/* A name that no other process uses. */
static PetscErrorCode name_aside(const char *path, const Holder *me, char aside[PETSC_MAX_PATH_LEN])
{
  PetscFunctionBeginUser;
  PetscCheck(snprintf(aside, PETSC_MAX_PATH_LEN, "%s.%s.%ld", path, me->host, me->pid) < PETSC_MAX_PATH_LEN,
             PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "%s: path is too long", path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The lock appears with its content: written aside, then linked, which fails if the name is taken. */
static PetscErrorCode try_lock(const char *path, const Holder *me, PetscBool *held)
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
static PetscErrorCode remove_stale(const char *path, const Holder *me)
{
  char aside[PETSC_MAX_PATH_LEN];
  Holder moved;

  PetscFunctionBeginUser;
  PetscCall(name_aside(path, me, aside));
  if (rename(path, aside)) PetscFunctionReturn(PETSC_SUCCESS); /* somebody else did it */
  PetscCall(read_holder(aside, &moved));
  if (!is_stale(&moved, me) && link(aside, path)) PetscCall(error_from_errno(errno, "put back", path));
  unlink(aside);
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
    PetscCall(remove_stale(path, &me));
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
