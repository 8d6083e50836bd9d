/** \file gaussian.c  Correlated Gaussian fields: square roots of the spectral matrices, and realisations.  \ingroup
 * field */
#include "field/internal.h"

#include <math.h>

/* LAPACK's eigenvalues and eigenvectors of a symmetric matrix. */
void dsyev_(const char *job, const char *triangle, const int *n, double *a, const int *lda, double *eigenvalue,
            double *work, const int *lwork, int *info);

enum { WORK = 64 * NEPHRITE_MAX_BINS };

/* root = V sqrt(max(eigenvalue, 0)) V^T.  matrix [n][n] is used up; negative counts eigenvalues below 0. */
static PetscErrorCode symmetric_root(int n, double *matrix, double *root, PetscInt *negative)
{
  double eigenvalue[NEPHRITE_MAX_BINS], work[WORK];
  const int lwork = WORK;
  int info = 0;

  PetscFunctionBeginUser;
  dsyev_("V", "U", &n, matrix, &n, eigenvalue, work, &lwork, &info);
  PetscCheck(!info, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "LAPACK dsyev found no eigenvalues (info %d)", info);
  for (int i = 0; i < n * n; i++) root[i] = 0;
  for (int e = 0; e < n; e++) {
    const double *v = matrix + e * n; /* column-major: eigenvector e is contiguous */
    const double s = eigenvalue[e] > 0 ? sqrt(eigenvalue[e]) : 0;

    *negative += eigenvalue[e] < 0;
    for (int i = 0; i < n; i++)
      for (int j = 0; j < n; j++) root[i * n + j] += s * v[i] * v[j];
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* How many modes of the whole grid a mode of the quarter stands for. */
static int multiplicity(PetscInt y, PetscInt x, const FieldGrid *grid)
{
  return (y == 0 || 2 * y == grid->ny ? 1 : 2) * (x == 0 || 2 * x == grid->nx ? 1 : 2);
}

/* Root of one mode, its share of the variances, and its negative eigenvalues. */
static PetscErrorCode add_mode(Field *f, PetscInt y, PetscInt x)
{
  const int n = (int)f->bins, times = multiplicity(y, x, &f->grid);
  const PetscInt half = quarter_nx(&f->grid);
  double *root = f->root + (y * half + x) * n * n;
  double matrix[NEPHRITE_MAX_BINS * NEPHRITE_MAX_BINS];
  PetscInt negative = 0;

  PetscFunctionBeginUser;
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) matrix[i * n + j] = f->power[lensing_pair(n, i, j) * f->grid.ny * half + y * half + x];
  PetscCall(symmetric_root(n, matrix, root, &negative));
  f->negative_fraction += times * (double)negative;
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) f->variance[i] += times * root[i * n + j] * root[i * n + j];
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode gaussian_roots(Field *f)
{
  const double modes = (double)f->grid.ny * (double)f->grid.nx;

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < f->bins; i++) f->variance[i] = 0;
  f->negative_fraction = 0;
  for (PetscInt y = 0; y < quarter_ny(&f->grid); y++)
    for (PetscInt x = 0; x < quarter_nx(&f->grid); x++) PetscCall(add_mode(f, y, x));
  for (PetscInt i = 0; i < f->bins; i++) f->variance[i] /= modes;
  f->negative_fraction /= modes * (double)f->bins;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* One mode of all bins: g = L z, in place with a stride between bins. */
static void correlate(int n, const double *root, size_t stride, fftw_complex *mode)
{
  fftw_complex z[NEPHRITE_MAX_BINS];

  for (int j = 0; j < n; j++) z[j] = mode[(size_t)j * stride];
  for (int i = 0; i < n; i++) {
    fftw_complex g = 0;

    for (int j = 0; j < n; j++) g += root[i * n + j] * z[j];
    mode[(size_t)i * stride] = g;
  }
}

void gaussian_realise(Field *f, const double *white)
{
  const int n = (int)f->bins;
  const PetscInt half = quarter_nx(&f->grid), pixels = f->grid.ny * f->grid.nx;
  const size_t stride = (size_t)(f->grid.ny * half);

  for (PetscInt i = 0; i < n * pixels; i++) f->pixels[i] = white[i];
  fftw_execute(f->all_forward);
  for (PetscInt y = 0; y < f->grid.ny; y++) {
    const PetscInt quarter = 2 * y > f->grid.ny ? f->grid.ny - y : y;

    for (PetscInt x = 0; x < half; x++)
      correlate(n, f->root + (quarter * half + x) * n * n, stride, f->modes + y * half + x);
  }
  fftw_execute(f->all_backward);
  for (PetscInt i = 0; i < n * pixels; i++) f->pixels[i] /= (double)pixels;
}
