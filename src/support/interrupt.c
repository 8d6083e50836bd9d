/** \file interrupt.c  Signals that ask a program to stop in good order.  \ingroup support */
#include "nephrite/support.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

/* A signal handler can reach nothing but a global. */
static volatile sig_atomic_t stop_requested = 0;

static void request_stop(int signal_number)
{
  (void)signal_number;
  stop_requested = 1;
}

PetscErrorCode interrupt_install(void)
{
  static const int signals[] = {SIGUSR1, SIGTERM, SIGHUP, SIGALRM};
  struct sigaction action, before;

  PetscFunctionBeginUser;
  memset(&action, 0, sizeof action);
  action.sa_handler = request_stop;
  action.sa_flags = SA_RESTART; /* a write in progress is not to fail because of it */
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    if (sigaction(signals[i], NULL, &before)) PetscCall(error_from_errno(errno, "look at", "the signal handlers"));
    if (signals[i] == SIGHUP && before.sa_handler == SIG_IGN) continue; /* started by nohup */
    if (sigaction(signals[i], &action, NULL)) PetscCall(error_from_errno(errno, "install", "the signal handler"));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscBool interrupt_seen(void)
{
  return stop_requested ? PETSC_TRUE : PETSC_FALSE;
}

/* The timer is the process's own, so that the moment needs no memory of ours. */
PetscErrorCode interrupt_after(double seconds)
{
  const time_t whole = (time_t)seconds;
  const struct itimerval timer = {.it_value = {whole, (suseconds_t)((seconds - (double)whole) * 1e6)}};

  PetscFunctionBeginUser;
  if (setitimer(ITIMER_REAL, &timer, NULL)) PetscCall(error_from_errno(errno, "set", "the timer of the time limit"));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscBool interrupt_within(double seconds)
{
  struct itimerval timer;

  if (stop_requested) return PETSC_TRUE;
  if (getitimer(ITIMER_REAL, &timer)) return PETSC_FALSE;
  const double left = (double)timer.it_value.tv_sec + 1e-6 * (double)timer.it_value.tv_usec; /* 0: no timer is set */
  return left > 0 && left <= seconds ? PETSC_TRUE : PETSC_FALSE;
}

PetscErrorCode interrupt_agreed_within(MPI_Comm comm, double seconds, PetscBool *stop)
{
  int mine = interrupt_within(seconds) ? 1 : 0, any = 0;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Allreduce(&mine, &any, 1, MPI_INT, MPI_MAX, comm));
  *stop = any ? PETSC_TRUE : PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode interrupt_agreed(MPI_Comm comm, PetscBool *stop)
{
  PetscFunctionBeginUser;
  PetscCall(interrupt_agreed_within(comm, 0, stop));
  PetscFunctionReturn(PETSC_SUCCESS);
}
