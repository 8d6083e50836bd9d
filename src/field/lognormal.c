/** \file lognormal.c  From the spectrum of a log-normal field to that of the Gaussian one beneath it.  \ingroup field
 */
#include "field/internal.h"

#include <math.h>

/* Of all ranks, so that they decide alike.  A NaN on one of them counts as -infinity. */
static PetscErrorCode group_lowest(const Field *f, double *lowest)
{
  PetscFunctionBeginUser;
  if (!f->slab) PetscFunctionReturn(PETSC_SUCCESS);
  if (isnan(*lowest)) *lowest = -INFINITY;
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, lowest, 1, MPI_DOUBLE, MPI_MIN, f->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* xi -> ln(1 + xi/(lambda_i lambda_j)) of one pair.  \param[in,out] correlation [size] on this rank, times the pixels
 * of the map */
static PetscErrorCode transform_correlation(const Field *f, const PetscInt bins[2], size_t size, double *correlation)
{
  const double product = f->shift[bins[0]] * f->shift[bins[1]];
  const double scale = 1 / ((double)f->grid.ny * (double)f->grid.nx * product);
  double lowest = INFINITY;

  PetscFunctionBeginUser;
  for (size_t i = 0; i < size; i++) {
    correlation[i] *= scale;
    if (!(correlation[i] >= lowest)) lowest = correlation[i]; /* takes a NaN */
  }
  PetscCall(group_lowest(f, &lowest));
  PetscCheck(lowest > -1, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "no log-normal field has these spectra: the correlation of bins %" PetscInt_FMT " and %" PetscInt_FMT
             " falls to %.4g, and must stay above -lambda_i lambda_j = %.4g",
             bins[0], bins[1], lowest * product, -product);
  f->kernels->logarithm(size, correlation);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param[in,out] power  a quarter of the spectrum of one pair */
static PetscErrorCode transform_power(Field *f, const PetscInt bins[2], double *power)
{
  PetscFunctionBeginUser;
  if (f->slab) {
    size_t size;
    double *const correlation = slab_to_correlation(f->slab, power, &size);

    PetscCall(transform_correlation(f, bins, size, correlation));
    slab_from_correlation(f->slab, power);
  } else {
    even_transform(f->even, power, power);
    PetscCall(transform_correlation(f, bins, quarter_size(&f->grid), power));
    even_transform(f->even, power, power);
  }
  if (f->grid.first == 0 && f->grid.rows) power[0] = 0;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode lognormal_gaussian_power(Field *f)
{
  const PetscInt bins = f->shape.bins;

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < bins; i++)
    for (PetscInt j = i; j < bins; j++)
      PetscCall(transform_power(f, (const PetscInt[]){i, j},
                                f->root + (size_t)lensing_pair(bins, i, j) * quarter_size(&f->grid)));
  PetscFunctionReturn(PETSC_SUCCESS);
}
