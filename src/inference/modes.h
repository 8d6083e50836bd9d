/** \file modes.h  Fourier modes of a survey's maps, and matrices of bins x bins for each.  \ingroup inference */
#ifndef NEPHRITE_INFERENCE_MODES_H
#define NEPHRITE_INFERENCE_MODES_H

#include "nephrite/lensing.h"

#include <complex.h>

/** The modes of a map, [ny][nx/2+1] as Fourier has them, and what a survey sees of each: convergence c kappa and
 * s kappa in its one or two planes.  Shear has the factors of ShearTransform, a convergence c = 1 and s = 0.  The mean
 * of a map (k = 0) has no power, and counts as unseen: c = s = 0. */
typedef struct {
  PetscInt bins, planes, ny, nx, columns; /* planes: observed maps of a bin; columns: nx/2+1 */
  size_t pixels, modes;
  double pixel; /* radians */
  Fourier *fourier;
  double *c, *s; /* [ny][columns] */
} ModeGrid;
/** \param[in,out] grid  zeros; what it holds, also after a failure, is freed by mode_grid_destroy() */
PetscErrorCode mode_grid_create(const SurveyConfig *survey, ModeGrid *grid);
PetscErrorCode mode_grid_destroy(ModeGrid *grid);

/** Share of a mode that is seen: 1, less on the Nyquist lines of shear, 0 at k = 0. */
static inline double mode_visibility(const ModeGrid *grid, size_t mode)
{
  return grid->c[mode] * grid->c[mode] + grid->s[mode] * grid->s[mode];
}
/** Of the ny nx modes of a real map, how many are this one or its complex conjugate and not in [ny][columns]
 * themselves: sums over [ny][columns] with this weight are sums over all modes. */
static inline double mode_weight(const ModeGrid *grid, size_t mode)
{
  const PetscInt x = (PetscInt)(mode % (size_t)grid->columns);

  return x == 0 || 2 * x == grid->nx ? 1 : 2;
}

/** Spectra are even in k_y: rows 0 … ny/2 hold all of them.  Where among [ny/2+1][columns] a mode finds its own. */
static inline size_t mode_quarter(const ModeGrid *grid, size_t mode)
{
  const size_t y = mode / (size_t)grid->columns, x = mode % (size_t)grid->columns, ny = (size_t)grid->ny;

  return (2 * y > ny ? ny - y : y) * (size_t)grid->columns + x;
}
static inline size_t mode_quarter_count(const ModeGrid *grid)
{
  return (size_t)(grid->ny / 2 + 1) * (size_t)grid->columns;
}

/** E = c gamma_1 + s gamma_2 of the observed planes of a bin: visibility x kappa, and of white noise with variance
 * sigma^2 that times visibility.  Unnormalised.  \param observed [planes][ny][nx]  \param[out] mode [ny][columns] */
void mode_grid_project(ModeGrid *grid, const double *observed, double complex *mode);

/** The covariance of the bins at a mode.  \param power [bins(bins+1)/2][ny][columns] of field_spectrum()
 * \param[out] matrix [bins][bins] */
void mode_covariance(const ModeGrid *grid, const double *power, size_t mode, double *matrix);

/** A symmetric matrix by its triangular root: a = L L^T.
 * \param[in,out] a [n][n], of which the lower triangle is read and becomes L; what lies above is left
 * \returns false, and a of no use, unless every pivot is more than \p least times the diagonal it came from */
PetscBool matrix_cholesky(PetscInt n, double least, double *a);
/** L^-1, in place; above the diagonal nothing is read or written.  \param[in,out] a [n][n] */
void matrix_invert_triangle(PetscInt n, double *a);

#endif
