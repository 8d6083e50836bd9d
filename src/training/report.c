/** \file report.c  Where the time of a training goes, and what it says.  \ingroup training */
#include "internal.h"

#include <stdarg.h>

static const char *const part_names[PARTS] = {"data",   "forward",   "objective",  "backward",
                                              "reduce", "optimiser", "validation", "checkpoint"};

PetscErrorCode clock_create(TrainingClock *clock)
{
  char name[32];

  PetscFunctionBeginUser;
  *clock = (TrainingClock){0};
  PetscCall(PetscLogStageRegister("Training", &clock->stage));
  for (int part = 0; part < PARTS; part++) {
    snprintf(name, sizeof name, "train %s", part_names[part]);
    PetscCall(log_event(name, &clock->event[part]));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode clock_begin(TrainingClock *clock, TrainingPart part)
{
  PetscFunctionBeginUser;
  PetscCall(PetscLogEventBegin(clock->event[part], 0, 0, 0, 0));
  clock->begun = MPI_Wtime();
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode clock_end(TrainingClock *clock, TrainingPart part)
{
  PetscFunctionBeginUser;
  clock->seconds[part] += MPI_Wtime() - clock->begun;
  PetscCall(PetscLogEventEnd(clock->event[part], 0, 0, 0, 0));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void clock_summary(const TrainingClock *clock, size_t size, char *text)
{
  double total = 0;
  size_t length = 0;

  for (int part = 0; part < PARTS; part++) total += clock->seconds[part];
  text[0] = '\0';
  for (int part = 0; part < PARTS && length < size; part++)
    length += (size_t)snprintf(text + length, size - length, "%s%s %.1f%%", part ? ", " : "", part_names[part],
                               total > 0 ? 100 * clock->seconds[part] / total : 0);
}

PetscErrorCode training_say(const Training *training, const char *format, ...)
{
  va_list words;

  PetscFunctionBeginUser;
  if (training->rank) PetscFunctionReturn(PETSC_SUCCESS);
  printf("%-9s ", "train");
  va_start(words, format);
  vprintf(format, words);
  va_end(words);
  putchar('\n');
  fflush(stdout);
  PetscFunctionReturn(PETSC_SUCCESS);
}
