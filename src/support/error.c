/** \file error.c  Error classes, the record of the last message, and wrappers of library calls.  \ingroup support */
#include "support/internal.h"

#include <errno.h>
#include <gsl/gsl_errno.h>
#include <stdarg.h>
#include <string.h>

enum { MESSAGE_SIZE = 1024 };

/* The counterpart of PETSc's own error stack, and like it one per process. */
static char recorded_message[MESSAGE_SIZE];

/* PETSc calls this where an error is first seen and again in every caller on the way out; the first call has the words.
 */
static PetscErrorCode record_error(MPI_Comm comm, int line, const char *function, const char *file,
                                   PetscErrorCode error, PetscErrorType type, const char *message, void *context)
{
  (void)comm, (void)context;
  if (type == PETSC_ERROR_INITIAL) {
    const PetscBool ours = error > 1000 && error_exit_code(error) != 70 ? PETSC_TRUE : PETSC_FALSE;

    if (ours)
      snprintf(recorded_message, sizeof recorded_message, "%s", message);
    else
      snprintf(recorded_message, sizeof recorded_message, "%s (%s, %s:%d, code %d)", message, function, file, line,
               (int)error);
    for (char *c = recorded_message; *c; c++)
      if (*c == '\n') *c = ' ';
  }
  return error;
}

PetscErrorCode error_install(void)
{
  PetscFunctionBeginUser;
  PetscCall(PetscPushErrorHandler(record_error, NULL));
  gsl_set_error_handler_off();
  PetscCheck(H5Eset_auto2(H5E_DEFAULT, NULL, NULL) >= 0, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "HDF5's own error printing cannot be switched off");
  PetscCall(crash_install());
  PetscFunctionReturn(PETSC_SUCCESS);
}

const char *error_message(void)
{
  return recorded_message;
}

void error_set_message(const char *message)
{
  snprintf(recorded_message, sizeof recorded_message, "%s", message);
}

void error_clear(void)
{
  recorded_message[0] = '\0';
}

int error_exit_code(PetscErrorCode error)
{
  switch ((int)error) {
  case 0:
    return 0;
  case NEPHRITE_ERR_DIFFERS:
  case NEPHRITE_ERR_CONFIG:
  case NEPHRITE_ERR_INPUT:
  case NEPHRITE_ERR_IO:
  case NEPHRITE_ERR_INTERRUPTED:
    return (int)error - 1000;
  default:
    return NEPHRITE_ERR_INTERNAL - 1000;
  }
}

/* The innermost entry of HDF5's error stack tells the cause; the outermost only that the call failed. */
static herr_t innermost(unsigned depth, const H5E_error2_t *entry, void *text)
{
  (void)depth;
  if (entry->desc && entry->desc[0]) snprintf(text, MESSAGE_SIZE / 2, "%s", entry->desc);
  return 0;
}

/* A failed read or write is told with all its circumstances, of which the system's own words say what to do. */
static void shorten(char *cause)
{
  static const char mark[] = "error message = '";
  char *words = strstr(cause, mark), *colon = strchr(cause, ':');

  if (!words || !colon) return;
  words += sizeof mark - 1;
  words[strcspn(words, "'")] = '\0';
  memmove(colon + 2, words, strlen(words) + 1);
}

PetscErrorCode error_from_hdf5(PetscErrorCode error_class, const char *expression, const char *what)
{
  char cause[MESSAGE_SIZE / 2] = "no reason given";

  PetscFunctionBeginUser;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, innermost, cause); /* ends with the innermost */
  H5Eclear2(H5E_DEFAULT);
  shorten(cause);
  const char *const assigned = strstr(expression, " = "), *const call = assigned ? assigned + 3 : expression;
  if (strchr(call, '(')) /* a call, not the handle that it gave */
    SETERRQ(PETSC_COMM_SELF, error_class, "%s: HDF5 says \"%s\" (%.*s)", what, cause, (int)strcspn(call, "("), call);
  SETERRQ(PETSC_COMM_SELF, error_class, "%s: HDF5 says \"%s\"", what, cause);
}

PetscErrorCode error_from_errno(int number, const char *action, const char *what)
{
  PetscFunctionBeginUser;
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_IO, "%s: cannot %s: %s", what, action, strerror(number));
}
