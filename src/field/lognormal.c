/** \file lognormal.c  From the spectrum of a log-normal field to that of the Gaussian one beneath it.  \ingroup field
 */
#include "field/internal.h"

#include <math.h>

/* xi -> ln(1 + xi/(lambda_i lambda_j)) of one pair.  \param[in,out] correlation a quarter, times the pixels of the map
 */
static PetscErrorCode transform_correlation(const Field *f, const PetscInt bins[2], double *correlation)
{
  const size_t size = quarter_size(&f->grid);
  const double product = f->shift[bins[0]] * f->shift[bins[1]];
  const double scale = 1 / ((double)f->grid.ny * (double)f->grid.nx * product);
  double lowest = INFINITY;

  PetscFunctionBeginUser;
  for (size_t i = 0; i < size; i++) {
    correlation[i] *= scale;
    if (!(correlation[i] >= lowest)) lowest = correlation[i]; /* takes a NaN */
  }
  PetscCheck(lowest > -1, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "no log-normal field has these spectra: the correlation of bins %" PetscInt_FMT " and %" PetscInt_FMT
             " falls to %.4g, and must stay above -lambda_i lambda_j = %.4g",
             bins[0], bins[1], lowest * product, -product);
  f->kernels->logarithm(size, correlation);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode lognormal_gaussian_power(Field *f)
{
  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < f->bins; i++)
    for (PetscInt j = i; j < f->bins; j++) {
      double *const power = f->root + (size_t)lensing_pair(f->bins, i, j) * quarter_size(&f->grid);

      even_transform(f->even, power, power);
      PetscCall(transform_correlation(f, (const PetscInt[]){i, j}, power));
      even_transform(f->even, power, power);
      power[0] = 0;
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}
