/** \file lognormal.c  From the spectrum of a log-normal field to that of the Gaussian one beneath it.  \ingroup field
 */
#include "field/internal.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Of all ranks, so that they decide alike.  A NaN on one of them counts as -infinity. */
static PetscErrorCode group_lowest(const Field *f, double *lowest)
{
  PetscFunctionBeginUser;
  if (isnan(*lowest)) *lowest = -INFINITY;
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, lowest, 1, MPI_DOUBLE, MPI_MIN, f->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void bins_of_pair(PetscInt bins, PetscInt pair, PetscInt two[2])
{
  two[0] = 0;
  two[1] = pair;
  while (two[1] >= bins) {
    two[1] -= bins - two[0] - 1;
    two[0]++;
  }
}

FieldGrid correlation_grid(const Field *f)
{
  return f->slab ? slab_correlation_grid(f->slab) : f->grid;
}

static double shift_product(const Field *f, PetscInt pair)
{
  PetscInt two[2];

  bins_of_pair(f->shape.bins, pair, two);
  return f->shift[two[0]] * f->shift[two[1]];
}

/* Of one pair, to units of lambda_i lambda_j.  \param[in,out] correlation [size] on this rank, times the pixels of the
 * map  \return the lowest, NaN if one is */
static double scale_correlation(const Field *f, PetscInt pair, size_t size, double *correlation)
{
  const double scale = 1 / ((double)f->grid.ny * (double)f->grid.nx * shift_product(f, pair));
  double lowest = INFINITY;

  for (size_t i = 0; i < size; i++) {
    correlation[i] *= scale;
    if (!(correlation[i] >= lowest)) lowest = correlation[i]; /* takes a NaN */
  }
  return lowest;
}

static PetscErrorCode check_correlation(const Field *f, PetscInt pair, double lowest)
{
  const double product = shift_product(f, pair);
  PetscInt two[2];

  PetscFunctionBeginUser;
  bins_of_pair(f->shape.bins, pair, two);
  PetscCheck(lowest > -1, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "no log-normal field has these spectra: the correlation of bins %" PetscInt_FMT " and %" PetscInt_FMT
             " falls to %.4g, and must stay above -lambda_i lambda_j = %.4g",
             two[0], two[1], lowest * product, -product);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A pair of which this rank has all: xi -> ln(1 + xi/(lambda_i lambda_j)).  \return the lowest correlation in units of
 * lambda_i lambda_j; unless it is above -1, there is no field */
static double transform_whole(const Field *f, PetscInt pair, EvenTransform *even)
{
  const size_t size = quarter_size(&f->grid);
  double *const power = f->root + (size_t)pair * size;

  even_transform(even, power, power);
  const double lowest = scale_correlation(f, pair, size, power);
  if (!(lowest > -1)) return lowest;
  if (f->tape) memcpy(f->tape->correlation + (size_t)pair * size, power, size * sizeof *power);
  f->kernels->logarithm(size, power);
  even_transform(even, power, power);
  power[0] = 0;
  return lowest;
}

/* Likewise of a pair of which other ranks have parts. */
static PetscErrorCode transform_slab(Field *f, PetscInt pair)
{
  double *const power = f->root + (size_t)pair * quarter_size(&f->grid);
  size_t size;
  double *const correlation = slab_to_correlation(f->slab, power, &size);
  double lowest = scale_correlation(f, pair, size, correlation);

  PetscFunctionBeginUser;
  PetscCall(group_lowest(f, &lowest));
  PetscCall(check_correlation(f, pair, lowest));
  if (f->tape) PetscCall(PetscArraycpy(f->tape->correlation + (size_t)pair * size, correlation, size));
  f->kernels->logarithm(size, correlation);
  slab_from_correlation(f->slab, power);
  if (f->grid.first == 0 && f->grid.rows) power[0] = 0;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode lognormal_gaussian_power(Field *f)
{
  double lowest[NEPHRITE_MAX_PAIRS];

  PetscFunctionBeginUser;
  if (f->slab) {
    for (PetscInt pair = 0; pair < f->pairs; pair++) PetscCall(transform_slab(f, pair));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
#pragma omp parallel for schedule(dynamic) num_threads(f->threads)
  for (PetscInt pair = 0; pair < f->pairs; pair++)
    lowest[pair] = transform_whole(f, pair, f->even[omp_get_thread_num()]);
  for (PetscInt pair = 0; pair < f->pairs; pair++) PetscCall(check_correlation(f, pair, lowest[pair]));
  PetscFunctionReturn(PETSC_SUCCESS);
}
