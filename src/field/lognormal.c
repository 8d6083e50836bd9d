/** \file lognormal.c  The log-normal field and the Gaussian one beneath it.  \ingroup field */
#include "field/internal.h"

#include <math.h>

/* xi -> ln(1 + xi/(lambda_i lambda_j)) of one pair, in field->pixels. */
static PetscErrorCode transform_correlation(Field *f, PetscInt i, PetscInt j)
{
  const PetscInt pixels = f->grid.ny * f->grid.nx;
  const double product = f->shift[i] * f->shift[j];

  PetscFunctionBeginUser;
  for (PetscInt p = 0; p < pixels; p++) {
    const double ratio = f->pixels[p] / (double)pixels / product;

    PetscCheck(ratio > -1, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "no log-normal field has these spectra: the correlation of bins %" PetscInt_FMT " and %" PetscInt_FMT
               " falls to %.4g, and must stay above -lambda_i lambda_j = %.4g",
               i, j, ratio * product, -product);
    f->pixels[p] = log1p(ratio);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode lognormal_gaussian_power(Field *f)
{
  const PetscInt modes = f->grid.ny * quarter_nx(&f->grid);

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < f->bins; i++)
    for (PetscInt j = i; j < f->bins; j++) {
      double *power = f->power + lensing_pair(f->bins, i, j) * modes;

      for (PetscInt m = 0; m < modes; m++) f->modes[m] = power[m];
      fftw_execute(f->backward);
      PetscCall(transform_correlation(f, i, j));
      fftw_execute(f->forward);
      for (PetscInt m = 0; m < modes; m++) power[m] = creal(f->modes[m]);
      power[0] = 0;
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}

void lognormal_transform(Field *f)
{
  const PetscInt pixels = f->grid.ny * f->grid.nx;

  for (PetscInt bin = 0; bin < f->bins; bin++) {
    double *map = f->pixels + bin * pixels;
    const double half_variance = f->variance[bin] / 2, shift = f->shift[bin];

    for (PetscInt p = 0; p < pixels; p++) map[p] = shift * expm1(map[p] - half_variance);
  }
}
