/** \file report.c  Where the time of a training goes, and what it says.  \ingroup training */
#include "internal.h"

#include <stdarg.h>
#include <string.h>

static const char *const part_names[PARTS] = {"data",   "forward",   "objective",  "backward",
                                              "reduce", "optimiser", "validation", "checkpoint"};

PetscErrorCode clock_create(TrainingClock *clock)
{
  char name[32];

  PetscFunctionBeginUser;
  *clock = (TrainingClock){0};
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
  clock->around[part] = clock->within;
  clock->within = 0;
  clock->begun[part] = MPI_Wtime();
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode clock_end(TrainingClock *clock, TrainingPart part)
{
  PetscFunctionBeginUser;
  const double elapsed = MPI_Wtime() - clock->begun[part];
  clock->seconds[part] += elapsed - clock->within;
  clock->within = clock->around[part] + elapsed;
  PetscCall(PetscLogEventEnd(clock->event[part], 0, 0, 0, 0));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void clock_record(TrainingClock *clock, StepRecord *record)
{
  double spent[PARTS];

  for (int part = 0; part < PARTS; part++) spent[part] = clock->seconds[part] - clock->recorded[part];
  memcpy(clock->recorded, clock->seconds, sizeof clock->seconds);
  record->compute_seconds = spent[PART_FORWARD] + spent[PART_OBJECTIVE] + spent[PART_BACKWARD] + spent[PART_OPTIMISER];
  record->communication_seconds = spent[PART_REDUCE];
  record->data_seconds = spent[PART_DATA];
  record->checkpoint_seconds = spent[PART_CHECKPOINT];
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

/* "linear maps 41.2%, attention 20.3%, ..." */
static void list_shares(int count, const char *const *names, const double *seconds, size_t size, char *text)
{
  double total = 0;
  size_t length = 0;

  for (int i = 0; i < count; i++) total += seconds[i];
  text[0] = '\0';
  for (int i = 0; i < count && length < size; i++)
    length += (size_t)snprintf(text + length, size - length, "%s%s %.1f%%", i ? ", " : "", names[i],
                               total > 0 ? 100 * seconds[i] / total : 0);
}

PetscErrorCode training_say_costs(const Training *t)
{
  const char *names[NETWORK_PARTS];
  double seconds[NETWORK_PARTS];
  char text[256];

  PetscFunctionBeginUser;
  list_shares(PARTS, part_names, t->clock.seconds, sizeof text, text);
  PetscCall(training_say(t, "time of rank 0: %s", text));
  for (int part = 0; part < NETWORK_PARTS; part++) {
    names[part] = network_part_name((NetworkPart)part);
    seconds[part] = network_part_seconds(t->network, (NetworkPart)part);
  }
  list_shares(NETWORK_PARTS, names, seconds, sizeof text, text);
  PetscCall(training_say(t, "network of rank 0: %s", text));
  PetscFunctionReturn(PETSC_SUCCESS);
}
