/** \file crash.c  A damaged file on which HDF5 crashes is refused like any other.  \ingroup support
 *
 * Checksums guard what they cover once it is found; what leads there HDF5 1.10 partly takes at its word.
 */
#include "support/internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { NESTED = 4, NAME_SIZE = 64 }; /* NESTED: a walk over a file reads others, which are joined from others */

/* A signal handler can reach nothing but globals. */
static const char *volatile blamed[NESTED]; /* [depth] borrowed */
static volatile sig_atomic_t depth = 0;
static char program[NAME_SIZE];

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { SIGNALS = sizeof signals / sizeof *signals };
static struct sigaction before[SIGNALS];

void crash_begin(const char *path)
{
  if (depth < NESTED) blamed[depth] = path;
  depth++;
}

void crash_end(void)
{
  depth--;
}

/* In one piece, so that other ranks' words do not come between. */
static void say_damaged(const char *path)
{
  static char line[NAME_SIZE + PETSC_MAX_PATH_LEN + 64];
  const char *const words[] = {program, ": ", path, ": is damaged: HDF5 crashes when it reads it\n"};

  for (size_t i = 0; i < sizeof words / sizeof *words; i++) strncat(line, words[i], sizeof line - strlen(line) - 1);
  if (write(STDERR_FILENO, line, strlen(line)) < 0) return; /* whom to tell? */
}

/* Not while HDF5 was at a file: a crash stays one, of the instruction that is made again, or of the signal sent. */
static void let_it_crash(int number, const siginfo_t *info)
{
  for (int i = 0; i < SIGNALS; i++)
    if (signals[i] == number) sigaction(number, &before[i], NULL);
  if (info->si_code <= 0) raise(number);
}

/* Only what a signal handler may call. */
static void refuse_file(int number, siginfo_t *info, void *context)
{
  const int innermost = depth - 1;

  (void)context;
  if (innermost < 0 || innermost >= NESTED) {
    let_it_crash(number, info);
    return;
  }
  say_damaged(blamed[innermost]);
  _exit(error_exit_code((PetscErrorCode)NEPHRITE_ERR_INPUT));
}

PetscErrorCode crash_install(void)
{
  static char stack[1 << 16]; /* of the handler's own: the crash may be that of a stack without end */
  const stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
  char name[PETSC_MAX_PATH_LEN];
  struct sigaction action;

  PetscFunctionBeginUser;
  PetscCall(PetscGetProgramName(name, sizeof name));
  const char *const slash = strrchr(name, '/');
  snprintf(program, sizeof program, "%.*s", NAME_SIZE - 1, slash ? slash + 1 : name);
  memset(&action, 0, sizeof action);
  action.sa_sigaction = refuse_file;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  if (sigaltstack(&other, NULL)) PetscCall(error_from_errno(errno, "give a stack to", "the signal handlers"));
  for (int i = 0; i < SIGNALS; i++)
    if (sigaction(signals[i], &action, &before[i])) PetscCall(error_from_errno(errno, "install", "a signal handler"));
  PetscFunctionReturn(PETSC_SUCCESS);
}
