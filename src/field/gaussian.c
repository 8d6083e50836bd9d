/** \file gaussian.c  Correlated Gaussian fields: square roots of the spectral matrices, and realisations.  \ingroup
 * field */
#include "field/internal.h"

/* Roots of one row of the quarter, and their negative eigenvalues with the number of modes that each stands for. */
static void take_roots(Field *f, PetscInt row)
{
  const FieldGrid *const grid = &f->grid;
  const PetscInt y = grid->first + row, first = quarter_first(row, grid), columns = quarter_nx(grid);
  const RootBatch batch = {.bins = f->shape.bins,
                           .count = (size_t)(columns - first),
                           .stride = quarter_size(grid),
                           .matrix = f->root + (size_t)row * (size_t)columns + first,
                           .negative = f->negative + first};

  f->kernels->roots(&batch);
  for (PetscInt x = first; x < columns; x++) {
    const double mirrored = quarter_is_symmetric(grid) && x > y ? 2 : 1;

    f->negative_fraction += mirrored * quarter_times(y, grid->ny) * quarter_times(x, grid->nx) * f->negative[x];
  }
}

/* Sum over the modes that are here of the square of one pair's L. */
static double sum_square(const Field *f, PetscInt pair)
{
  const FieldGrid *const grid = &f->grid;
  const PetscInt columns = quarter_nx(grid);
  double sum = 0;

  for (PetscInt r = 0; r < grid->rows; r++) {
    const double *const row = f->root + (size_t)pair * quarter_size(grid) + (size_t)r * (size_t)columns;
    const double once =
        row[0] * row[0] + (grid->nx % 2 ? 0 : row[columns - 1] * row[columns - 1]); /* no mirror image */

    sum += quarter_times(grid->first + r, grid->ny) * (2 * f->kernels->sum_square((size_t)columns, row) - once);
  }
  return sum;
}

/* sigma_i^2 = (1/pixels) Sum_k (L L^T)_ii, the expectation, not the variance of one map. */
static void set_variance(Field *f)
{
  const double modes = (double)f->grid.ny * (double)f->grid.nx;

  for (PetscInt i = 0; i < f->shape.bins; i++) f->variance[i] = 0;
  for (PetscInt i = 0; i < f->shape.bins; i++)
    for (PetscInt j = i; j < f->shape.bins; j++) {
      const double share = sum_square(f, lensing_pair(f->shape.bins, i, j)) / modes;

      f->variance[i] += share;
      if (j > i) f->variance[j] += share;
    }
}

PetscErrorCode gaussian_roots(Field *f)
{
  const double modes = (double)f->grid.ny * (double)f->grid.nx;

  PetscFunctionBeginUser;
  f->negative_fraction = 0;
  for (PetscInt row = 0; row < f->grid.rows; row++) take_roots(f, row);
  for (PetscInt pair = 0; pair < f->pairs; pair++)
    quarter_mirror(&f->grid, f->root + (size_t)pair * quarter_size(&f->grid));
  f->negative_fraction /= modes * (double)f->shape.bins;
  set_variance(f);
  if (!f->slab) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &f->negative_fraction, 1, MPI_DOUBLE, MPI_SUM, f->comm));
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, f->variance, (int)f->shape.bins, MPI_DOUBLE, MPI_SUM, f->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void gaussian_realise(Field *f)
{
  const PetscInt ny = f->grid.ny, columns = quarter_nx(&f->grid);

  if (f->slab) {
    slab_correlate(f->slab, f->kernels, f->root);
    return;
  }
  fftw_execute(f->forward);
  for (PetscInt y = 0; y < ny; y++) {
    const PetscInt quarter = 2 * y > ny ? ny - y : y;
    const CorrelateRow row = {.bins = f->shape.bins,
                              .count = (size_t)columns,
                              .root_stride = quarter_size(&f->grid),
                              .mode_stride = (size_t)(ny * columns),
                              .root = f->root + quarter * columns,
                              .mode = (double *)(f->modes + y * columns)};

    f->kernels->correlate(&row);
  }
  fftw_execute(f->backward);
}
