/** \file status.c  What a stage of a campaign is at, in a file for machines: <campaign>/status/<stage>.json.
 * \ingroup support */
#include "support/internal.h"

#include "nephrite/version.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TIME_SIZE = 24, UNIT_SIZE = 32, NOTE_SIZE = 256 };

/* The most that ranks ever had, in MB. */
typedef struct {
  double most, mean;
  int rank; /* that had most; -1: not measured */
} Memory;

typedef struct {
  PetscBool begun; /* on rank 0, from status_begin() on */
  PetscBool unwritable; /* and has said so */
  char path[PETSC_MAX_PATH_LEN], part[PETSC_MAX_PATH_LEN];
  char stage[64], started[TIME_SIZE], unit[UNIT_SIZE], note[NOTE_SIZE];
  int ranks;
  StatusProgress progress;
  Memory memory;
} Status;

/* One per process, which is at one stage at a time, as there is one record of its last error. */
static Status status;

static void write_time(char text[TIME_SIZE])
{
  const time_t now = time(NULL);
  struct tm utc;

  text[0] = '\0';
  if (gmtime_r(&now, &utc)) strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* ---- JSON, one key to a line, so that shell scripts can read it too ---- */

static void put_key(FILE *file, const char *key)
{
  fprintf(file, "%s\n  \"%s\": ", ftell(file) > 1 ? "," : "", key);
}

static void put_text(FILE *file, const char *key, const char *text)
{
  put_key(file, key);
  fputc('"', file);
  for (const unsigned char *c = (const unsigned char *)text; *c; c++)
    if (*c < 0x20)
      fprintf(file, "\\u%04x", *c);
    else
      fprintf(file, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
  fputc('"', file);
}

static void put_count(FILE *file, const char *key, int64_t count)
{
  put_key(file, key);
  fprintf(file, "%" PRId64, count);
}

/* What is not known, or not finite, for which JSON has no number, is null. */
static void put_real(FILE *file, const char *key, double value)
{
  put_key(file, key);
  fprintf(file, isfinite(value) ? "%.6g" : "null", value);
}

static void put_progress(FILE *file)
{
  const StatusProgress *p = &status.progress;

  put_text(file, "unit", status.unit);
  put_count(file, "done", p->done);
  put_count(file, "total", p->total);
  put_real(file, "rate", p->rate);
  put_real(file, "seconds_left", p->seconds_left);
  put_text(file, "note", status.note);
}

static void put_memory(FILE *file)
{
  const PetscBool known = status.memory.rank >= 0;

  put_real(file, "memory_mb_most", known ? status.memory.most : NAN);
  put_real(file, "memory_mb_mean", known ? status.memory.mean : NAN);
}

static void put_process(FILE *file)
{
  const StageHolder me = stage_holder();

  put_text(file, "host", me.host);
  put_count(file, "process", me.pid);
  put_text(file, "job", me.job);
  put_count(file, "ranks", status.ranks);
}

static void put_all(FILE *file, const char *state, PetscErrorCode error)
{
  char now[TIME_SIZE];

  write_time(now);
  fputc('{', file);
  put_text(file, "stage", status.stage);
  put_text(file, "state", state);
  put_text(file, "version", NEPHRITE_VERSION);
  put_text(file, "revision", NEPHRITE_REVISION);
  put_process(file);
  put_text(file, "started", status.started);
  put_text(file, "updated", now);
  put_progress(file);
  put_memory(file);
  put_count(file, "exit_code", error_exit_code(error));
  put_text(file, "message", error ? error_message() : "");
  fputs("\n}\n", file);
}

/* ---- the file ---- */

/* \returns 0 or the reason why the file could not be written; the one before is then still there */
static int replace_file(const char *state, PetscErrorCode error)
{
  FILE *file = fopen(status.part, "w");
  int reason;

  if (!file) return errno;
  put_all(file, state, error);
  reason = ferror(file) ? EIO : 0;
  if (fclose(file)) reason = errno;
  if (!reason && rename(status.part, status.path)) reason = errno;
  if (reason) unlink(status.part);
  return reason;
}

/* A run does not end for want of it: what is wrong with the disk, its products will tell. */
static void write_status(const char *state, PetscErrorCode error)
{
  const int reason = replace_file(state, error);

  if (reason && !status.unwritable) {
    printf("%-9s %s: cannot be written (%s); the run goes on without it\n", status.stage, status.path,
           strerror(reason));
    status.unwritable = PETSC_TRUE;
  }
}

/* Does the file say that an earlier run completed the stage?  It is then kept until there is something new to tell. */
static PetscBool says_done(void)
{
  char line[256];
  PetscBool done = PETSC_FALSE;
  FILE *file = fopen(status.path, "r");

  if (!file) return PETSC_FALSE;
  while (!done && fgets(line, sizeof line, file))
    if (strstr(line, "\"state\": \"done\"")) done = PETSC_TRUE;
  fclose(file);
  return done;
}

/* ---- the course of a run ---- */

PetscErrorCode status_begin(const char *directory, const char *stage, int ranks)
{
  enum { STAGE_SIZE = sizeof status.stage, FOLDER_SIZE = PETSC_MAX_PATH_LEN - STAGE_SIZE - 16 };
  char folder[FOLDER_SIZE];

  PetscFunctionBeginUser;
  if (status.begun) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCheck(strlen(directory) + strlen("/status") < FOLDER_SIZE && strlen(stage) < STAGE_SIZE, PETSC_COMM_SELF,
             NEPHRITE_ERR_CONFIG, "%s: path is too long", directory);
  status = (Status){.begun = PETSC_TRUE, .ranks = ranks, .memory.rank = -1};
  write_time(status.started);
  snprintf(status.stage, STAGE_SIZE, "%s", stage);
  snprintf(folder, FOLDER_SIZE, "%.*s/status", FOLDER_SIZE - 8, directory);
  snprintf(status.path, sizeof status.path, "%s/%s.json", folder, status.stage);
  snprintf(status.part, sizeof status.part, "%s/%s.json.part", folder, status.stage);
  mkdir(folder, 0777); /* if it cannot be made, nor can the file */
  if (!says_done()) write_status("running", PETSC_SUCCESS);
  PetscFunctionReturn(PETSC_SUCCESS);
}

void status_progress(const StatusProgress *progress, const char *note)
{
  if (!status.begun) return;
  status.progress = *progress;
  snprintf(status.unit, sizeof status.unit, "%s", progress->unit);
  snprintf(status.note, sizeof status.note, "%s", note ? note : "");
  write_status("running", PETSC_SUCCESS);
}

void status_complete(const char *unit, int64_t total)
{
  if (!status.begun) return;
  status.progress = (StatusProgress){.done = total, .total = total};
  snprintf(status.unit, sizeof status.unit, "%s", unit);
}

PetscErrorCode status_memory(MPI_Comm comm)
{
  struct rusage usage;
  struct {
    double megabytes;
    int rank;
  } most;
  double sum;
  PetscMPIInt size;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_size(comm, &size));
  PetscCallMPI(MPI_Comm_rank(comm, &most.rank));
  getrusage(RUSAGE_SELF, &usage);
  most.megabytes = (double)usage.ru_maxrss * 1024 / 1e6;
  PetscCallMPI(MPI_Reduce(&most.megabytes, &sum, 1, MPI_DOUBLE, MPI_SUM, 0, comm));
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &most, 1, MPI_DOUBLE_INT, MPI_MAXLOC, comm));
  if (!status.begun) PetscFunctionReturn(PETSC_SUCCESS);
  status.memory = (Memory){most.megabytes, sum / size, most.rank};
  printf("%-9s memory per rank: at most %.0f MB (rank %d), mean %.0f MB\n", status.stage, status.memory.most,
         status.memory.rank, status.memory.mean);
  PetscFunctionReturn(PETSC_SUCCESS);
}

void status_end(PetscErrorCode error)
{
  if (!status.begun) return;
  status.begun = PETSC_FALSE;
  if (!error && says_done()) return; /* nothing was left to do */
  write_status(!error ? "done" : (int)error == NEPHRITE_ERR_INTERRUPTED ? "interrupted" : "failed", error);
}
