/** \file history.c  The course of training, column by column in a file.  \ingroup training */
#include "internal.h"

#include <string.h>

PetscErrorCode history_add_step(History *history, const StepRecord *record)
{
  PetscFunctionBeginUser;
  if (history->steps == history->steps_capacity) {
    history->steps_capacity = 2 * history->steps_capacity + 1024;
    PetscCall(PetscRealloc((size_t)history->steps_capacity * sizeof *history->step, &history->step));
  }
  history->step[history->steps++] = *record;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode history_add_validation(History *history, const ValidationRecord *record)
{
  PetscFunctionBeginUser;
  if (history->validations == history->validations_capacity) {
    history->validations_capacity = 2 * history->validations_capacity + 64;
    PetscCall(PetscRealloc((size_t)history->validations_capacity * sizeof *history->validation, &history->validation));
  }
  history->validation[history->validations++] = *record;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode history_add_checkpoint(History *history, const CheckpointRecord *record)
{
  PetscFunctionBeginUser;
  if (history->checkpoints == history->checkpoints_capacity) {
    history->checkpoints_capacity = 2 * history->checkpoints_capacity + 64;
    PetscCall(PetscRealloc((size_t)history->checkpoints_capacity * sizeof *history->checkpoint, &history->checkpoint));
  }
  history->checkpoint[history->checkpoints++] = *record;
  PetscFunctionReturn(PETSC_SUCCESS);
}

const ValidationRecord *history_best(const History *history)
{
  const ValidationRecord *best = NULL;

  for (int64_t i = 0; i < history->validations; i++)
    if (!best || history->validation[i].theta < best->theta) best = &history->validation[i];
  return best;
}

int64_t history_validations_since_best(const History *history, int64_t from)
{
  const ValidationRecord *best = history_best(history);
  int64_t count = 0;

  for (int64_t i = 0; i < history->validations; i++)
    if (history->validation[i].step > from && history->validation[i].step > best->step) count++;
  return count;
}

PetscErrorCode history_clear(History *history)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(history->step));
  PetscCall(PetscFree(history->validation));
  PetscCall(PetscFree(history->checkpoint));
  *history = (History){0};
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* One column of a table of records: a dataset on disk, a member of 8 bytes in memory. */
typedef struct {
  const char *name;
  enum { COLUMN_INTEGER, COLUMN_REAL } kind; /* int64_t or double */
  size_t member; /* its offset in the record */
  const char *units, *description;
  PetscBool later; /* came to the table later: files of before do without, and it is 0 in them */
} Column;
enum { MEMBER_SIZE = 8 };

#define STEP(member) offsetof(StepRecord, member)
static const Column step_columns[] = {
    {"step", COLUMN_INTEGER, STEP(step), "1", "optimiser step", PETSC_FALSE},
    {"loss", COLUMN_REAL, STEP(loss), "1", "mean loss of the batch", PETSC_FALSE},
    {"field", COLUMN_REAL, STEP(field), "1", "field part of the loss per pixel", PETSC_FALSE},
    {"theta", COLUMN_REAL, STEP(theta), "1", "parameter part of the loss per parameter", PETSC_FALSE},
    {"gradient_norm", COLUMN_REAL, STEP(gradient_norm), "1", "norm of the gradient before clipping", PETSC_FALSE},
    {"learning_rate", COLUMN_REAL, STEP(learning_rate), "1", "learning rate", PETSC_FALSE},
    {"samples_per_second", COLUMN_REAL, STEP(samples_per_second), "s^-1", "training samples per second of all ranks",
     PETSC_FALSE},
    {"seconds", COLUMN_REAL, STEP(seconds), "s", "wall time of the step", PETSC_FALSE},
    {"compute_seconds", COLUMN_REAL, STEP(compute_seconds), "s",
     "rank 0: network, objective and optimiser, without communication", PETSC_TRUE},
    {"communication_seconds", COLUMN_REAL, STEP(communication_seconds), "s",
     "rank 0: starting and awaiting the communication that computation does not hide", PETSC_TRUE},
    {"data_seconds", COLUMN_REAL, STEP(data_seconds), "s", "rank 0: reading or simulating samples", PETSC_TRUE},
    {"checkpoint_seconds", COLUMN_REAL, STEP(checkpoint_seconds), "s",
     "rank 0: checkpoints between the step before and this one", PETSC_TRUE},
};
#undef STEP

#define VALIDATION(member) offsetof(ValidationRecord, member)
static const Column validation_columns[] = {
    {"validation/step", COLUMN_INTEGER, VALIDATION(step), "1", "optimiser step whose averaged weights were validated",
     PETSC_FALSE},
    {"validation/loss", COLUMN_REAL, VALIDATION(loss), "1", "mean loss over held-out realisations", PETSC_FALSE},
    {"validation/field", COLUMN_REAL, VALIDATION(field), "1", "field part of the loss per pixel", PETSC_FALSE},
    {"validation/theta", COLUMN_REAL, VALIDATION(theta), "1", "parameter part of the loss per parameter", PETSC_FALSE},
};
#undef VALIDATION

#define CHECKPOINT(member) offsetof(CheckpointRecord, member)
static const Column checkpoint_columns[] = {
    {"checkpoint/step", COLUMN_INTEGER, CHECKPOINT(step), "1", "optimiser step after which a checkpoint was written",
     PETSC_FALSE},
    {"checkpoint/bytes", COLUMN_INTEGER, CHECKPOINT(bytes), "byte", "size of the checkpoint", PETSC_FALSE},
    {"checkpoint/seconds", COLUMN_REAL, CHECKPOINT(seconds), "s", "wall time until the checkpoint was safe on disk",
     PETSC_FALSE},
};
#undef CHECKPOINT

/* A table of records, to be written or read column by column. */
typedef struct {
  const Column *columns;
  size_t column_count;
  int64_t rows;
  void *records;
  size_t record_size;
} Table;

static Table step_table(const History *history)
{
  return (Table){step_columns, sizeof step_columns / sizeof *step_columns, history->steps, history->step,
                 sizeof(StepRecord)};
}

static Table validation_table(const History *history)
{
  return (Table){validation_columns, sizeof validation_columns / sizeof *validation_columns, history->validations,
                 history->validation, sizeof(ValidationRecord)};
}

static Table checkpoint_table(const History *history)
{
  return (Table){checkpoint_columns, sizeof checkpoint_columns / sizeof *checkpoint_columns, history->checkpoints,
                 history->checkpoint, sizeof(CheckpointRecord)};
}

static hid_t column_type(const Column *column)
{
  return column->kind == COLUMN_INTEGER ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE;
}

/* Member of record i, as bytes. */
static char *cell(const Table *table, const Column *column, int64_t i)
{
  return (char *)table->records + (size_t)i * table->record_size + column->member;
}

static PetscErrorCode write_column(const Table *table, const Column *column, const char *name, char *values,
                                   ProductWriter *writer)
{
  const ProductDataset dataset = {.name = name,
                                  .type = column_type(column),
                                  .rank = 1,
                                  .shape = {(hsize_t)table->rows},
                                  .digest = DIGEST_WHOLE,
                                  .units = column->units,
                                  .description = column->description};

  PetscFunctionBeginUser;
  for (int64_t i = 0; i < table->rows; i++) memcpy(values + i * MEMBER_SIZE, cell(table, column, i), MEMBER_SIZE);
  PetscCall(product_declare(writer, &dataset));
  PetscCall(product_write(writer, name, 0, (hsize_t)table->rows, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_column(const Table *table, const Column *column, const char *name, char *values,
                                  ProductReader *reader)
{
  PetscBool has = PETSC_TRUE;

  PetscFunctionBeginUser;
  if (column->later) PetscCall(product_has(reader, name, &has));
  if (!has) PetscFunctionReturn(PETSC_SUCCESS); /* the records begin as 0 */
  PetscCall(product_read_all(reader, name, column_type(column), 1, &(hsize_t){(hsize_t)table->rows}, values));
  for (int64_t i = 0; i < table->rows; i++) memcpy(cell(table, column, i), values + i * MEMBER_SIZE, MEMBER_SIZE);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Exactly one of writer and reader is given.  A table without rows is absent from the file. */
static PetscErrorCode transfer(const Table *table, const char *prefix, ProductWriter *writer, ProductReader *reader)
{
  char name[128], *values = NULL;

  PetscFunctionBeginUser;
  if (!table->rows) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscMalloc1((size_t)table->rows * MEMBER_SIZE, &values));
  PetscErrorCode error = PETSC_SUCCESS;
  for (size_t c = 0; c < table->column_count && !error; c++) {
    snprintf(name, sizeof name, "%s%s", prefix, table->columns[c].name);
    error = writer ? write_column(table, &table->columns[c], name, values, writer)
                   : read_column(table, &table->columns[c], name, values, reader);
  }
  PetscCall(PetscFree(values));
  PetscFunctionReturn(error);
}

PetscErrorCode history_write(const History *history, const char *prefix, ProductWriter *writer)
{
  const Table steps = step_table(history), validations = validation_table(history);

  PetscFunctionBeginUser;
  PetscCall(transfer(&steps, prefix, writer, NULL));
  PetscCall(transfer(&validations, prefix, writer, NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode count_rows(ProductReader *reader, const char *prefix, const Column *column, int64_t *rows)
{
  char name[128];
  PetscBool has;
  hsize_t shape[PRODUCT_MAX_RANK] = {0};

  PetscFunctionBeginUser;
  *rows = 0;
  snprintf(name, sizeof name, "%s%s", prefix, column->name);
  PetscCall(product_has(reader, name, &has));
  if (has) PetscCall(product_shape(reader, name, NULL, shape));
  *rows = (int64_t)shape[0];
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode history_read(ProductReader *reader, const char *prefix, History *history)
{
  PetscFunctionBeginUser;
  PetscCall(history_clear(history));
  PetscCall(count_rows(reader, prefix, &step_columns[0], &history->steps));
  PetscCall(count_rows(reader, prefix, &validation_columns[0], &history->validations));
  PetscCall(PetscCalloc1((size_t)history->steps, &history->step));
  PetscCall(PetscCalloc1((size_t)history->validations, &history->validation));
  history->steps_capacity = history->steps;
  history->validations_capacity = history->validations;

  const Table steps = step_table(history), validations = validation_table(history);
  PetscCall(transfer(&steps, prefix, NULL, reader));
  PetscCall(transfer(&validations, prefix, NULL, reader));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode history_write_checkpoints(const History *history, ProductWriter *writer)
{
  const Table checkpoints = checkpoint_table(history);

  PetscFunctionBeginUser;
  PetscCall(transfer(&checkpoints, "", writer, NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode history_read_checkpoints(ProductReader *reader, int64_t last, History *history)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(history->checkpoint));
  PetscCall(count_rows(reader, "", &checkpoint_columns[0], &history->checkpoints));
  PetscCall(PetscCalloc1((size_t)history->checkpoints, &history->checkpoint));
  history->checkpoints_capacity = history->checkpoints;

  const Table checkpoints = checkpoint_table(history);
  PetscCall(transfer(&checkpoints, "", NULL, reader));
  while (history->checkpoints && history->checkpoint[history->checkpoints - 1].step > last) history->checkpoints--;
  PetscFunctionReturn(PETSC_SUCCESS);
}
