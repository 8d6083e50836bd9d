/** \file progress.c  How far a task is, how fast, and how long it will take.  \ingroup support */
#include "support/internal.h"

#include <inttypes.h>
#include <math.h>

/* Seconds between lines: frequent enough for a person, rare enough for the log of a week. */
#define FIRST_LINE_SECONDS 2.0
#define LINE_SECONDS 5.0

struct Progress {
  PetscBool speaks;
  char task[32], unit[32];
  int64_t total, already;
  double started, next_line;
};

/* "0:09", "12:30", "3:05:00" */
static void write_duration(double seconds, char *text, size_t size)
{
  const long whole = lround(fmin(seconds, 1e9)), hours = whole / 3600, minutes = whole / 60 % 60;

  if (hours)
    snprintf(text, size, "%ld:%02ld:%02ld", hours, minutes, whole % 60);
  else
    snprintf(text, size, "%ld:%02ld", minutes, whole % 60);
}

/* "0.0213", "310.2", "15230": four digits, never an exponent. */
static void write_rate(double rate, char *text, size_t size)
{
  snprintf(text, size, rate >= 1000 ? "%.0f" : "%.4g", rate);
}

static StatusProgress progress_now(const Progress *p, int64_t done)
{
  const double seconds = MPI_Wtime() - p->started, left = fmax((double)(p->total - done), 0);
  const double made = (double)(done - p->already);

  return (StatusProgress){.unit = p->unit,
                          .done = done,
                          .total = p->total,
                          .rate = made / fmax(seconds, 1e-9),
                          .seconds_left = made > 0   ? left * seconds / made
                                          : left > 0 ? INFINITY
                                                     : 0};
}

PetscErrorCode progress_create(MPI_Comm comm, const char *task, const char *unit, int64_t total, int64_t already,
                               Progress **progress)
{
  Progress *p = NULL;
  PetscMPIInt rank;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&p));
  *progress = p;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  p->speaks = rank == 0 ? PETSC_TRUE : PETSC_FALSE;
  PetscCall(PetscStrncpy(p->task, task, sizeof p->task));
  PetscCall(PetscStrncpy(p->unit, unit, sizeof p->unit));
  p->total = total;
  p->already = already;
  p->started = MPI_Wtime();
  p->next_line = p->started + FIRST_LINE_SECONDS;
  if (p->speaks) {
    const StatusProgress at = progress_now(p, already);
    status_progress(&at, NULL);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode progress_update(Progress *p, int64_t done, const char *note)
{
  const double now = MPI_Wtime();
  char left[32] = "?", rate[32];

  PetscFunctionBeginUser;
  if (!p->speaks || now < p->next_line) PetscFunctionReturn(PETSC_SUCCESS);
  p->next_line = now + LINE_SECONDS;
  const StatusProgress at = progress_now(p, done);
  write_rate(at.rate, rate, sizeof rate);
  if (isfinite(at.seconds_left)) write_duration(at.seconds_left, left, sizeof left);
  printf("%-9s %" PRId64 "/%" PRId64 " %s  %3.0f%%  %s %s/s  left %s%s%s\n", p->task, done, p->total, p->unit,
         p->total > 0 ? 100 * (double)done / (double)p->total : 100, rate, p->unit, left, note ? "  " : "",
         note ? note : "");
  fflush(stdout);
  status_progress(&at, note);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode progress_finish(Progress *p, int64_t done)
{
  const StatusProgress at = progress_now(p, done);
  char duration[32], rate[32];

  PetscFunctionBeginUser;
  if (!p->speaks) PetscFunctionReturn(PETSC_SUCCESS);
  write_duration(MPI_Wtime() - p->started, duration, sizeof duration);
  write_rate(at.rate, rate, sizeof rate);
  printf("%-9s %" PRId64 "/%" PRId64 " %s  in %s, %s %s/s\n", p->task, done, p->total, p->unit, duration, rate,
         p->unit);
  fflush(stdout);
  status_progress(&at, NULL);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode progress_destroy(Progress **progress)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(*progress));
  PetscFunctionReturn(PETSC_SUCCESS);
}
