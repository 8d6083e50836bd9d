/** \file modes.c  Fourier modes of a survey's maps, and matrices of bins x bins for each.  \ingroup inference */
#include "inference/modes.h"

#include <math.h>

/* From the transform of the survey's shear, or those of a convergence. */
static PetscErrorCode set_factors(ModeGrid *g)
{
  ShearTransform *shear = NULL;

  PetscFunctionBeginUser;
  if (g->planes == 2) PetscCall(shear_transform_create(g->ny, g->nx, &shear));
  for (PetscInt y = 0; y < g->ny; y++)
    for (PetscInt x = 0; x < g->columns; x++) {
      const PetscInt mode = y * g->columns + x;

      g->c[mode] = mode ? 1 : 0;
      g->s[mode] = 0;
      if (shear) shear_transform_factors(shear, y, x, &g->c[mode], &g->s[mode]);
    }
  PetscCall(shear_transform_destroy(&shear));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode mode_grid_create(const SurveyConfig *survey, ModeGrid *g)
{
  PetscFunctionBeginUser;
  g->bins = survey->bins;
  g->planes = survey->observation == OBSERVATION_SHEAR ? 2 : 1;
  g->ny = survey_ny(survey);
  g->nx = survey_nx(survey);
  g->columns = g->nx / 2 + 1;
  g->pixel = survey_pixel(survey);
  g->pixels = (size_t)g->ny * (size_t)g->nx;
  g->modes = (size_t)g->ny * (size_t)g->columns;
  PetscCall(fourier_create(g->ny, g->nx, &g->fourier));
  PetscCall(PetscMalloc2(g->modes, &g->c, g->modes, &g->s));
  PetscCall(set_factors(g));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode mode_grid_destroy(ModeGrid *g)
{
  PetscFunctionBeginUser;
  PetscCall(fourier_destroy(&g->fourier));
  PetscCall(PetscFree2(g->c, g->s));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void mode_grid_project(ModeGrid *g, const double *observed, double complex *mode)
{
  double *const map = fourier_map(g->fourier);
  const double complex *const transformed = fourier_modes(g->fourier);

  for (PetscInt plane = 0; plane < g->planes; plane++) {
    const double *const factor = plane ? g->s : g->c;

    for (size_t i = 0; i < g->pixels; i++) map[i] = observed[(size_t)plane * g->pixels + i];
    fourier_forward(g->fourier);
    for (size_t k = 0; k < g->modes; k++) mode[k] = (plane ? mode[k] : 0) + factor[k] * transformed[k];
  }
}

void mode_covariance(const ModeGrid *g, const double *power, size_t mode, double *matrix)
{
  for (PetscInt i = 0; i < g->bins; i++)
    for (PetscInt j = 0; j < g->bins; j++)
      matrix[i * g->bins + j] = power[(size_t)lensing_pair(g->bins, i, j) * g->modes + mode];
}

PetscBool matrix_cholesky(PetscInt n, double least, double *a)
{
  for (PetscInt i = 0; i < n; i++) {
    const double diagonal = a[i * n + i];

    for (PetscInt j = 0; j <= i; j++) {
      double sum = a[i * n + j];

      for (PetscInt k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
      if (j < i) {
        a[i * n + j] = sum / a[j * n + j];
        continue;
      }
      if (!(sum > least * diagonal)) return PETSC_FALSE;
      a[i * n + i] = sqrt(sum);
    }
  }
  return PETSC_TRUE;
}

void matrix_invert_triangle(PetscInt n, double *a)
{
  for (PetscInt j = 0; j < n; j++) {
    a[j * n + j] = 1 / a[j * n + j];
    for (PetscInt i = j + 1; i < n; i++) {
      double sum = 0;

      for (PetscInt k = j; k < i; k++) sum -= a[i * n + k] * a[k * n + j];
      a[i * n + j] = sum / a[i * n + i]; /* not yet inverted: its turn is column i */
    }
  }
}
