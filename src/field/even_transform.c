/** \file even_transform.c  Fourier transforms of maps that are even in both axes.  \ingroup field
 *
 * Along each axis the transform of a real even vector is real and even.  So two columns side by side in memory make one
 * complex column, transformed as if they were its real and imaginary parts, and come out apart; then the other axis
 * likewise, after a transposition.  A quarter of the work of a transform of complex maps, half that of real ones.
 */
#include "field/internal.h"

#include <string.h>

struct EvenTransform {
  PetscInt ny, nx;
  PetscInt wide_x, wide_y; /* columns of the quarter along x and y, rounded up to pairs */
  double *along_y; /* [ny][wide_x] */
  double *along_x; /* [nx][wide_y] */
  fftw_plan plan_y, plan_x;
};

/* Transforms of length n down each of \p columns complex columns, in place. */
static fftw_plan plan_columns(PetscInt n, PetscInt columns, double *values)
{
  const int length = (int)n, count = (int)columns;
  fftw_complex *const complex_values = (fftw_complex *)values;

  return fftw_plan_many_dft(1, &length, count, complex_values, NULL, count, 1, complex_values, NULL, count, 1,
                            FFTW_FORWARD, FFTW_ESTIMATE);
}

PetscErrorCode even_transform_create(PetscInt ny, PetscInt nx, EvenTransform **transform)
{
  EvenTransform *t = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&t));
  *transform = t;
  t->ny = ny;
  t->nx = nx;
  t->wide_x = (nx / 2 + 2) / 2 * 2;
  t->wide_y = (ny / 2 + 2) / 2 * 2;
  t->along_y = fftw_alloc_real((size_t)ny * (size_t)t->wide_x);
  t->along_x = fftw_alloc_real((size_t)nx * (size_t)t->wide_y);
  PetscCheck(t->along_y && t->along_x, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "no memory to transform a map of %d x %d pixels", (int)nx, (int)ny);
  t->plan_y = plan_columns(ny, t->wide_x / 2, t->along_y);
  t->plan_x = plan_columns(nx, t->wide_y / 2, t->along_x);
  PetscCheck(t->plan_y && t->plan_x, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "FFTW has no plan for a map of %d x %d pixels", (int)nx, (int)ny);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Complete the quarter in rows 0 … n/2 of rows [n][width]: the rows after them are their mirror images, and a column
 * that only makes up a pair holds 0 (not what rounding left there, which would grow from transform to transform). */
static void complete(PetscInt n, PetscInt columns, PetscInt width, double *rows)
{
  for (PetscInt i = 0; i <= n / 2 && columns < width; i++) rows[i * width + columns] = 0;
  for (PetscInt i = n / 2 + 1; i < n; i++)
    memcpy(rows + i * width, rows + (n - i) * width, (size_t)width * sizeof *rows);
}

/* Tiles fit the cache whatever the size of the map.  \param in [rows][in_width]  \param[out] out [columns][out_width]
 */
static void transpose(const PetscInt size[2], PetscInt in_width, const double *in, PetscInt out_width, double *out)
{
  enum { TILE = 16 };

  for (PetscInt i0 = 0; i0 < size[0]; i0 += TILE)
    for (PetscInt j0 = 0; j0 < size[1]; j0 += TILE)
      for (PetscInt j = j0; j < PetscMin(j0 + TILE, size[1]); j++)
        for (PetscInt i = i0; i < PetscMin(i0 + TILE, size[0]); i++) out[j * out_width + i] = in[i * in_width + j];
}

void even_transform(EvenTransform *t, const double *in, double *out)
{
  const PetscInt rows = t->ny / 2 + 1, columns = t->nx / 2 + 1;

  for (PetscInt y = 0; y < rows; y++)
    memcpy(t->along_y + y * t->wide_x, in + y * columns, (size_t)columns * sizeof *in);
  complete(t->ny, columns, t->wide_x, t->along_y);
  fftw_execute(t->plan_y);
  transpose((const PetscInt[]){rows, columns}, t->wide_x, t->along_y, t->wide_y, t->along_x);
  complete(t->nx, rows, t->wide_y, t->along_x);
  fftw_execute(t->plan_x);
  transpose((const PetscInt[]){columns, rows}, t->wide_y, t->along_x, columns, out);
}

PetscErrorCode even_transform_destroy(EvenTransform **transform)
{
  EvenTransform *t = *transform;

  PetscFunctionBeginUser;
  if (!t) PetscFunctionReturn(PETSC_SUCCESS);
  if (t->plan_y) fftw_destroy_plan(t->plan_y);
  if (t->plan_x) fftw_destroy_plan(t->plan_x);
  fftw_free(t->along_y);
  fftw_free(t->along_x);
  PetscCall(PetscFree(*transform));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void quarter_mirror(const FieldGrid *grid, double *quarter)
{
  const PetscInt columns = quarter_nx(grid);

  for (PetscInt y = 0; y < grid->rows; y++)
    for (PetscInt x = 0; x < quarter_first(y, grid); x++) quarter[y * columns + x] = quarter[x * columns + y];
}
