/** \file internal.h  What the parts of field share.  \ingroup field */
#ifndef NEPHRITE_FIELD_INTERNAL_H
#define NEPHRITE_FIELD_INTERNAL_H

#include "field/kernels.h"
#include "nephrite/field.h"

#include <complex.h>
#include <fftw3.h>

/** A periodic grid of square pixels. */
typedef struct {
  PetscInt ny, nx;
  double pixel; /**< radians */
} FieldGrid;

/** Spectra and correlations are even in y and x: one quarter of the grid, 0 … ny/2 by 0 … nx/2, holds them all. */
static inline PetscInt quarter_ny(const FieldGrid *grid)
{
  return grid->ny / 2 + 1;
}
static inline PetscInt quarter_nx(const FieldGrid *grid)
{
  return grid->nx / 2 + 1;
}
static inline size_t quarter_size(const FieldGrid *grid)
{
  return (size_t)quarter_ny(grid) * (size_t)quarter_nx(grid);
}

/** How many of the n indices of an axis index i of its quarter stands for: itself, and its mirror image. */
static inline double quarter_times(PetscInt i, PetscInt n)
{
  return i == 0 || 2 * i == n ? 1 : 2;
}

/** First column to compute in row y: of a square grid, spectra are the same at (y, x) and (x, y). */
static inline PetscInt quarter_first(PetscInt y, const FieldGrid *grid)
{
  return grid->ny == grid->nx ? y : 0;
}

/** Fill what lies before quarter_first() from beyond the diagonal.  \param[in,out] quarter [ny/2+1][nx/2+1] */
void quarter_mirror(const FieldGrid *grid, double *quarter);

/** The Fourier transform of a real map that is even in y and x, which is real and even too: quarter to quarter,
 * unnormalised, the same in both directions. */
typedef struct EvenTransform EvenTransform;
PetscErrorCode even_transform_create(PetscInt ny, PetscInt nx, EvenTransform **transform);
/** \param in [ny/2+1][nx/2+1]  \param[out] out likewise; may be \p in */
void even_transform(EvenTransform *transform, const double *in, double *out);
PetscErrorCode even_transform_destroy(EvenTransform **transform);

struct Field {
  FieldModel model;
  FieldGrid grid;
  PetscInt bins, pairs;
  PetscBool ready; /* spectra are set */
  const FieldKernels *kernels;
  double *root; /* [pairs][ny/2+1][nx/2+1]: the spectrum of g while it is made, then the symmetric square root L(k) */
  double *shift, *variance; /* [bins] */
  unsigned char *negative; /* [nx/2+1] work space */
  double negative_fraction;
  EvenTransform *even; /* of log-normal fields, else NULL */
  double *pixels; /* [bins][ny][nx] */
  double complex *modes; /* [bins][ny][nx/2+1] */
  fftw_plan forward, backward; /* of all bins */
};

/** Steps 1: C_ij(|k|)/pixel^2 on the quarter.  \param[out] quarter [pairs][ny/2+1][nx/2+1] */
PetscErrorCode spectrum_quarter(const LensingSpectra *spectra, const FieldGrid *grid, double *quarter);
/** From the spectrum of a log-normal convergence to that of its Gaussian field (physics, Maps 2), in place in
 * field->root.  Errors: NEPHRITE_ERR_INPUT where no log-normal field exists. */
PetscErrorCode lognormal_gaussian_power(Field *field);
/** L(k) from the spectra in field->root, in place, and sigma_i^2 (physics, Maps 3 and 4). */
void gaussian_roots(Field *field);
/** g = FFT^-1 [L FFT z] from the white noise z in field->pixels, in place, but ny nx times too large. */
void gaussian_realise(Field *field);

#endif
