/** \file grid.c  Cells of posteriors: over-confidence here must not hide behind under-confidence there.
 * \ingroup calibration */
#include "calibration/internal.h"

#include <math.h>
#include <stdlib.h>

/* Truths in a cell, at least, for its score to say something: its error is then below 0.02. */
enum { TRUTHS_PER_CELL = 16 };

/* ---- along what ---- */

/* The scalars that calibrate_grid names, those that are fixed left out. */
static PetscErrorCode find_axes(const Prior *prior, const CalibrateConfig *calibrate, PosteriorGrid *grid)
{
  char names[OPTION_TEXT_SIZE], *rest = NULL;
  Scalars scalars;

  PetscFunctionBeginUser;
  PetscCall(scalars_of(prior, &scalars));
  PetscCall(PetscStrncpy(names, calibrate->grid, sizeof names));
  for (char *name = strtok_r(names, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest)) {
    const PetscInt scalar = scalar_find(prior, &scalars, name);

    PetscCheck(scalar_is_known(prior, name), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
               "calibrate_grid: '%s' is neither a parameter of the prior nor Omega_m or S8", name);
    for (PetscInt a = 0; a < grid->axes; a++)
      PetscCheck(grid->scalar[a] != scalar, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "calibrate_grid names %s twice",
                 name);
    if (scalar < 0) continue;
    PetscCheck(grid->axes < MOST_AXES, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
               "calibrate_grid: cells are along %d parameters at most", MOST_AXES);
    grid->scalar[grid->axes++] = scalar;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode grid_check(const Prior *prior, const CalibrateConfig *calibrate)
{
  PosteriorGrid grid = {0};

  PetscFunctionBeginUser;
  PetscCall(find_axes(prior, calibrate, &grid));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- cells ---- */

typedef struct {
  double value;
  int64_t truth;
} Place;

static int ascending(const void *a, const void *b)
{
  const Place *x = a, *y = b;

  return x->value != y->value ? (x->value > y->value) - (x->value < y->value)
                              : (x->truth > y->truth) - (x->truth < y->truth);
}

static double location(const Results *r, PetscInt scalar, int64_t t)
{
  const int64_t i = t * r->scalars.count + scalar;

  return ((double)r->draws * r->mean[i] + r->truth[i]) / ((double)r->draws + 1);
}

static void close_cell(const Results *r, PosteriorGrid *grid, PetscInt cell, const Place *place, int64_t count)
{
  grid->truths[cell] = count;
  for (PetscInt a = 0; a < grid->axes; a++) {
    double *low = grid->low + cell * grid->axes + a, *high = grid->high + cell * grid->axes + a;

    *low = INFINITY;
    *high = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
      const double value = location(r, grid->scalar[a], place[i].truth);

      *low = fmin(*low, value);
      *high = fmax(*high, value);
    }
  }
  for (int64_t i = 0; i < count; i++) grid->cell[place[i].truth] = cell;
}

/* Divide truths along an axis, and each part along the axes that follow.  \param cell the first of theirs */
static void divide(const Results *r, PosteriorGrid *grid, PetscInt axis, PetscInt cell, Place *place, int64_t count)
{
  PetscInt below = 1; /* cells of each part */

  if (axis >= grid->axes || axis >= MOST_AXES) {
    close_cell(r, grid, cell, place, count);
    return;
  }
  for (PetscInt a = axis + 1; a < grid->axes; a++) below *= grid->along;
  for (int64_t i = 0; i < count; i++) place[i].value = location(r, grid->scalar[axis], place[i].truth);
  qsort(place, (size_t)count, sizeof *place, ascending);
  for (PetscInt part = 0; part < grid->along; part++) {
    const int64_t first = part * count / grid->along, end = (part + 1) * count / grid->along;

    divide(r, grid, axis + 1, cell + part * below, place + first, end - first);
  }
}

/* Cells along each axis, as many as there are truths for. */
static void choose_number(const Results *r, PosteriorGrid *grid)
{
  for (grid->along = r->calibrate->cells; grid->along >= 2; grid->along--) {
    int64_t count = 1;

    for (PetscInt a = 0; a < grid->axes; a++) count *= grid->along;
    if (count * TRUTHS_PER_CELL > r->truths) continue;
    grid->count = (PetscInt)count;
    return;
  }
}

PetscErrorCode grid_create(const Results *r, PosteriorGrid *grid)
{
  Place *place = NULL;

  PetscFunctionBeginUser;
  *grid = (PosteriorGrid){0};
  PetscCall(find_axes(r->setup->prior, r->calibrate, grid));
  if (grid->axes) choose_number(r, grid);
  if (!grid->count) PetscFunctionReturn(PETSC_SUCCESS);
  const size_t truths = (size_t)r->truths, cells = (size_t)grid->count, edges = cells * (size_t)grid->axes;
  PetscCall(PetscMalloc4(truths, &grid->cell, cells, &grid->truths, edges, &grid->low, edges, &grid->high));
  PetscCall(PetscMalloc1(truths, &place));
  for (int64_t t = 0; t < r->truths; t++) place[t] = (Place){0, t};
  divide(r, grid, 0, 0, place, r->truths);
  PetscCall(PetscFree(place));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode grid_destroy(PosteriorGrid *grid)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree4(grid->cell, grid->truths, grid->low, grid->high));
  PetscFunctionReturn(PETSC_SUCCESS);
}
