/** \file internal.h  What the parts of field share.  \ingroup field */
#ifndef NEPHRITE_FIELD_INTERNAL_H
#define NEPHRITE_FIELD_INTERNAL_H

#include "nephrite/field.h"

#include <complex.h>
#include <fftw3.h>

/** A periodic grid of square pixels. */
typedef struct {
  PetscInt ny, nx;
  double pixel; /**< radians */
} FieldGrid;

/** |k| of the mode (y, x), radians^-1. */
double field_wavenumber(PetscInt y, PetscInt x, const FieldGrid *grid);

/** Spectra are even in ky and kx: one quarter of the modes, 0 … ny/2 by 0 … nx/2, holds them all. */
static inline PetscInt quarter_ny(const FieldGrid *grid)
{
  return grid->ny / 2 + 1;
}
static inline PetscInt quarter_nx(const FieldGrid *grid)
{
  return grid->nx / 2 + 1;
}

struct Field {
  FieldModel model;
  FieldGrid grid;
  PetscInt bins, pairs;
  PetscBool ready; /* spectra are set */
  double *power; /* [pairs][ny][nx/2+1]: of the Gaussian field g */
  double *root; /* [ny/2+1][nx/2+1][bins][bins]: symmetric square root L(k) */
  double *shift, *variance; /* [bins] */
  double negative_fraction;
  double *pixels, *white; /* [bins][ny][nx] */
  fftw_complex *modes; /* [bins][ny][nx/2+1] */
  fftw_plan forward, backward; /* of one map */
  fftw_plan all_forward, all_backward; /* of all bins */
};

/** From the spectrum of a log-normal convergence to that of its Gaussian field (physics, Maps 2), in place in
 * field->power.  Errors: NEPHRITE_ERR_INPUT where no log-normal field exists. */
PetscErrorCode lognormal_gaussian_power(Field *field);
/** kappa_i = lambda_i (exp(g_i - sigma_i^2/2) - 1), in place in field->pixels. */
void lognormal_transform(Field *field);
/** L(k) and sigma_i^2 from field->power (physics, Maps 3 and 4). */
PetscErrorCode gaussian_roots(Field *field);
/** g = FFT^-1 [L z] from white noise to field->pixels. */
void gaussian_realise(Field *field, const double *white);

#endif
