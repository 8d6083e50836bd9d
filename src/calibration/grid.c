/** \file grid.c  Scores in cells of the prior: over-confidence here must not hide behind under-confidence there.
 * \ingroup calibration */
#include "calibration/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Truths in a cell on average, at least, for its score to say something: its error is then below 0.02. */
enum { TRUTHS_PER_CELL = 16 };

static int ascending(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;

  return (x > y) - (x < y);
}

/* Equal numbers of truths between edges.  \param value [truths] work */
static void place_edges(const Results *r, PriorGrid *grid, int axis, double *value)
{
  for (int64_t t = 0; t < r->truths; t++) value[t] = r->truth[t * r->scalars.count + grid->scalar[axis]];
  qsort(value, (size_t)r->truths, sizeof *value, ascending);
  for (PetscInt i = 0; i < grid->cells; i++) grid->edge[axis][i] = value[i * r->truths / grid->cells];
  grid->edge[axis][grid->cells] = value[r->truths - 1];
}

PetscErrorCode grid_place(const Results *r, PriorGrid *grid)
{
  static const char *const wanted[2] = {"Omega_c", "sigma_8"};
  const PetscInt most = (PetscInt)sqrt((double)r->truths / TRUTHS_PER_CELL);
  double *value = NULL;

  PetscFunctionBeginUser;
  *grid = (PriorGrid){.cells = PetscMin(r->calibrate->cells, most), .scalar = {-1, -1}};
  for (PetscInt i = 0; i < r->scalars.count; i++)
    for (int axis = 0; axis < 2; axis++)
      if (!strcmp(scalar_name(r->setup->prior, &r->scalars, i), wanted[axis])) grid->scalar[axis] = i;
  if (grid->cells < 2 || grid->scalar[0] < 0 || grid->scalar[1] < 0) grid->cells = 0;
  if (!grid->cells) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscMalloc1((size_t)r->truths, &value));
  for (int axis = 0; axis < 2; axis++) place_edges(r, grid, axis, value);
  PetscCall(PetscFree(value));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The last edge belongs to the last cell. */
static PetscInt cell_along(const Results *r, const PriorGrid *grid, int axis, int64_t t)
{
  const double value = r->truth[t * r->scalars.count + grid->scalar[axis]];
  PetscInt cell = 0;

  while (cell < grid->cells - 1 && value >= grid->edge[axis][cell + 1]) cell++;
  return cell;
}

PetscErrorCode grid_score(const Results *r, const PriorGrid *grid, const CountTable *table, RandomKey key,
                          GridScores *scores)
{
  int64_t *m = NULL; /* [truths of a cell][centres] */
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)(table->truths * table->centres), &m));
  for (PetscInt cell = 0; cell < grid->cells * grid->cells && !error; cell++) {
    CountTable own = {0, table->draws, table->centres, m};
    MiraScore mira = {NAN, NAN, NAN}; /* where the prior has no truth */

    for (int64_t t = 0; t < table->truths; t++) {
      if (cell_along(r, grid, 0, t) * grid->cells + cell_along(r, grid, 1, t) != cell) continue;
      error = PetscArraycpy(m + own.truths++ * table->centres, table->m + t * table->centres, (size_t)table->centres);
    }
    if (own.truths) error = mira_score(&own, key, r->calibrate->bootstraps, &mira);
    scores->score[cell] = mira.score;
    scores->error[cell] = mira.error;
    scores->truths[cell] = own.truths;
  }
  PetscCall(PetscFree(m));
  PetscFunctionReturn(error);
}
