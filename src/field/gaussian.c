/** \file gaussian.c  Correlated Gaussian fields: square roots of the spectral matrices, and realisations.  \ingroup
 * field */
#include "field/internal.h"

#include <omp.h>

/* Roots of one row of the quarter.  \param negative [nx/2+1] work space
 * \return their negative eigenvalues, times the number of modes that each stands for */
static double take_roots(const Field *f, PetscInt row, unsigned char *negative)
{
  const FieldGrid *const grid = &f->grid;
  const PetscInt y = grid->first + row, first = quarter_first(row, grid), columns = quarter_nx(grid);
  const RootBatch batch = {.bins = f->shape.bins,
                           .count = (size_t)(columns - first),
                           .stride = quarter_size(grid),
                           .matrix = f->root + (size_t)row * (size_t)columns + first,
                           .negative = negative + first};
  double found = 0;

  f->kernels->roots(&batch);
  for (PetscInt x = first; x < columns; x++) {
    const double mirrored = quarter_is_symmetric(grid) && x > y ? 2 : 1;

    found += mirrored * quarter_times(y, grid->ny) * quarter_times(x, grid->nx) * negative[x];
  }
  return found;
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
  double square[NEPHRITE_MAX_PAIRS];

#pragma omp parallel for schedule(dynamic) num_threads(f->threads)
  for (PetscInt pair = 0; pair < f->pairs; pair++) square[pair] = sum_square(f, pair);
  for (PetscInt i = 0; i < f->shape.bins; i++) f->variance[i] = 0;
  for (PetscInt i = 0; i < f->shape.bins; i++)
    for (PetscInt j = i; j < f->shape.bins; j++) {
      const double share = square[lensing_pair(f->shape.bins, i, j)] / modes;

      f->variance[i] += share;
      if (j > i) f->variance[j] += share;
    }
}

PetscErrorCode gaussian_roots(Field *f)
{
  const double modes = (double)f->grid.ny * (double)f->grid.nx;
  double negative = 0; /* a sum of whole numbers: its order does not matter */

  PetscFunctionBeginUser;
#pragma omp parallel for schedule(dynamic) num_threads(f->threads) reduction(+ : negative)
  for (PetscInt row = 0; row < f->grid.rows; row++)
    negative += take_roots(f, row, f->negative + omp_get_thread_num() * quarter_nx(&f->grid));
#pragma omp parallel for schedule(dynamic) num_threads(f->threads)
  for (PetscInt pair = 0; pair < f->pairs; pair++)
    quarter_mirror(&f->grid, f->root + (size_t)pair * quarter_size(&f->grid));
  f->negative_fraction = negative / (modes * (double)f->shape.bins);
  set_variance(f);
  if (!f->slab) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &f->negative_fraction, 1, MPI_DOUBLE, MPI_SUM, f->comm));
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, f->variance, (int)f->shape.bins, MPI_DOUBLE, MPI_SUM, f->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void forward_transform(Field *f)
{
  if (f->slab) {
    slab_forward(f->slab);
    return;
  }
#pragma omp parallel for schedule(dynamic) num_threads(f->threads)
  for (PetscInt bin = 0; bin < f->shape.bins; bin++) fftw_execute(f->forward[bin]);
}

void backward_transform(Field *f)
{
  if (f->slab) {
    slab_backward(f->slab);
    return;
  }
#pragma omp parallel for schedule(dynamic) num_threads(f->threads)
  for (PetscInt bin = 0; bin < f->shape.bins; bin++) fftw_execute(f->backward[bin]);
}

static void correlate_whole(Field *f)
{
  const PetscInt ny = f->grid.ny, columns = quarter_nx(&f->grid);

#pragma omp parallel for schedule(static) num_threads(f->threads)
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
}

void correlate_modes(Field *f)
{
  if (f->slab)
    slab_correlate(f->slab, f->kernels, f->root);
  else
    correlate_whole(f);
}

void gaussian_realise(Field *f)
{
  forward_transform(f);
  if (f->tape) tape_white(f);
  correlate_modes(f);
  backward_transform(f);
}
