/** \file constrained_field.c  Maps of a Gaussian field given an observation of it.  \ingroup inference
 *
 * With d = A kappa + n, A the identity or shear, the posterior of kappa is normal.  A realisation of it is made from
 * one of the prior, s, and one of the noise, n (Hoffman & Ribak 1991):
 *
 *   kappa = s + (P^-1 + A^T N^-1 A)^-1 A^T N^-1 (d - A s - n),
 *
 * and its mean is the same with s = n = 0 (Wiener 1949).  P has modes without power, and 1/P spans many decades; with
 * P = R R^T and kappa = s + R x neither matters:
 *
 *   (1 + R^T A^T N^-1 A R) x = R^T A^T N^-1 (d - A s - n),
 *
 * whose matrix has no eigenvalue below 1, and takes pixels that are not seen as N^-1 = 0.  Noise alike in all pixels
 * leaves each mode by itself, a system of bins x bins.  Otherwise that system, with the mean of N^-1, preconditions the
 * whole one (constrained_iterate.c).
 */
#include "inference/constrained.h"
#include "nephrite/field.h"

#include <math.h>
#include <string.h>

/* LAPACK's eigenvalues and eigenvectors of a symmetric matrix. */
void dsyev_(const char *job, const char *triangle, const int *n, double *a, const int *lda, double *w, double *work,
            const int *lwork, int *info);

/* Bins of which one is less than this its own, the rest the others', are taken apart by eigenvalues instead. */
#define LEAST_PIVOT 1e-10
#define TOLERANCE 1e-9 /* of the residual: a part in 10^3 of the last bit that a map in float has of its noise */

enum { MOST_ITERATIONS = 2000 };

/* ---- what is seen ---- */

static double noise_std_of(const SurveyConfig *survey, const Observation *observation, PetscInt bin, size_t pixel)
{
  const size_t pixels = (size_t)survey_ny(survey) * (size_t)survey_nx(survey);

  return observation->noise_std[survey->counts[0] ? (size_t)bin * pixels + pixel : (size_t)bin];
}

ConstraintSolver constraint_solver_for(const SurveyConfig *survey, const Observation *observation)
{
  const size_t pixels = (size_t)survey_ny(survey) * (size_t)survey_nx(survey);
  PetscBool alike = PETSC_TRUE;

  for (size_t i = 0; i < pixels; i++) {
    if (observation->mask && observation->mask[i] != 1) alike = PETSC_FALSE;
    for (PetscInt bin = 0; bin < survey->bins; bin++)
      if (noise_std_of(survey, observation, bin, i) != noise_std_of(survey, observation, bin, 0)) alike = PETSC_FALSE;
  }
  return (ConstraintSolver){alike ? CONSTRAINT_BY_MODE : CONSTRAINT_BY_ITERATION, TOLERANCE, MOST_ITERATIONS};
}

static PetscErrorCode take_noise(ConstrainedField *f, const SurveyConfig *survey, const Observation *observation)
{
  const size_t pixels = f->grid.pixels;

  PetscFunctionBeginUser;
  for (PetscInt bin = 0; bin < f->grid.bins; bin++) {
    double sum = 0;

    for (size_t i = 0; i < pixels; i++) {
      const double std = noise_std_of(survey, observation, bin, i);
      const PetscBool seen = !observation->mask || observation->mask[i] > 0 ? PETSC_TRUE : PETSC_FALSE;

      PetscCheck(std > 0, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "noise_std of bin %d is %.6g; it must be positive",
                 (int)bin, std);
      f->inverse_std[(size_t)bin * pixels + i] = seen ? 1 / std : 0; /* infinite without galaxies */
      sum += seen ? 1 / (std * std) : 0;
    }
    f->mean_weight[bin] = sum / (double)pixels;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What a pixel holds that is not seen is dropped, not multiplied by 0: files have NaN there. */
static void take_data(ConstrainedField *f, const float *raw)
{
  const ModeGrid *const g = &f->grid;

  for (PetscInt map = 0; map < g->bins * g->planes; map++)
    for (size_t i = 0; i < g->pixels; i++) {
      const size_t at = (size_t)map * g->pixels + i;

      f->observed[at] = f->inverse_std[(size_t)(map / g->planes) * g->pixels + i] > 0 ? raw[at] : 0;
    }
}

PetscErrorCode constrained_field_create(const SurveyConfig *survey, const Observation *observation,
                                        const ConstraintSolver *solver, ConstrainedField **field)
{
  const ConstraintSolver suitable = constraint_solver_for(survey, observation);
  ConstrainedField *f = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&f));
  *field = f;
  f->solver = solver ? *solver : suitable;
  PetscCheck(f->solver.method != CONSTRAINT_BY_MODE || suitable.method == CONSTRAINT_BY_MODE, PETSC_COMM_SELF,
             NEPHRITE_ERR_INPUT,
             "pixels are masked or differ in noise: Fourier modes then depend on each other and cannot be solved for "
             "one by one");
  PetscCall(mode_grid_create(survey, &f->grid));
  const ModeGrid *const g = &f->grid;
  const size_t bins = (size_t)g->bins, planes = (size_t)g->planes, matrices = mode_quarter_count(g) * bins * bins;
  PetscCall(PetscMalloc4(bins * planes * g->pixels, &f->observed, bins * g->pixels, &f->inverse_std, planes * g->pixels,
                         &f->map, planes * g->pixels, &f->white));
  PetscCall(PetscMalloc3(bins * (bins + 1) / 2 * g->modes, &f->power, matrices, &f->root, matrices, &f->inverse));
  PetscCall(PetscMalloc3(bins * g->modes, &f->signal, bins * g->modes, &f->side, bins * g->modes, &f->work));
  PetscCall(take_noise(f, survey, observation));
  take_data(f, observation->raw);
  if (f->solver.method == CONSTRAINT_BY_ITERATION) PetscCall(constrained_iteration_create(f));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode constrained_field_destroy(ConstrainedField **field)
{
  ConstrainedField *f = *field;

  PetscFunctionBeginUser;
  if (!f) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(constrained_iteration_destroy(f));
  PetscCall(mode_grid_destroy(&f->grid));
  PetscCall(PetscFree4(f->observed, f->inverse_std, f->map, f->white));
  PetscCall(PetscFree3(f->power, f->root, f->inverse));
  PetscCall(PetscFree3(f->signal, f->side, f->work));
  PetscCall(PetscFree(*field));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- a cosmology ---- */

/* The symmetric root, negative eigenvalues set to 0 (physics, Maps 3). */
static PetscErrorCode symmetric_root(PetscInt bins, double *matrix)
{
  const int n = (int)bins, room = 8 * NEPHRITE_MAX_BINS;
  double vector[NEPHRITE_MAX_BINS * NEPHRITE_MAX_BINS], value[NEPHRITE_MAX_BINS], work[8 * NEPHRITE_MAX_BINS];
  int info;

  PetscFunctionBeginUser;
  PetscCall(PetscArraycpy(vector, matrix, n * n));
  dsyev_("V", "U", &n, vector, &n, value, work, &room, &info);
  PetscCheck(!info, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "LAPACK dsyev found no eigenvalues (info %d)", info);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      double sum = 0;

      for (int e = 0; e < n; e++) sum += vector[e * n + i] * sqrt(fmax(value[e], 0)) * vector[e * n + j];
      matrix[i * n + j] = sum;
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Where a covariance has no triangular root it may lack a little to be one, as interpolated spectra of bins that are
 * nearly the same do, or be none at all. */
static PetscErrorCode root_of_degenerate(const ConstrainedField *f, size_t mode, double *root)
{
  const ModeGrid *const g = &f->grid;
  double with_noise[NEPHRITE_MAX_BINS * NEPHRITE_MAX_BINS];

  PetscFunctionBeginUser;
  mode_covariance(g, f->power, mode, root);
  PetscCall(PetscArraycpy(with_noise, root, g->bins * g->bins));
  for (PetscInt i = 0; i < g->bins; i++) with_noise[i * (g->bins + 1)] += 1 / f->mean_weight[i];
  PetscCheck(matrix_cholesky(g->bins, 0, with_noise), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "C_ij and noise together are not positive definite in Fourier mode (%d, %d): no such field exists",
             (int)(mode / (size_t)g->columns), (int)(mode % (size_t)g->columns));
  PetscCall(symmetric_root(g->bins, root));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode set_root(const ConstrainedField *f, size_t mode, double *root)
{
  const PetscInt n = f->grid.bins;

  PetscFunctionBeginUser;
  mode_covariance(&f->grid, f->power, mode, root);
  if (!matrix_cholesky(n, LEAST_PIVOT, root)) PetscFunctionReturn(root_of_degenerate(f, mode, root));
  for (PetscInt i = 0; i < n; i++)
    for (PetscInt j = i + 1; j < n; j++) root[i * n + j] = 0;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* (1 + v R^T W R)^-1 = M^T M with M the inverse of the triangular root: positive definite whatever R. */
static PetscErrorCode set_inverse(const ConstrainedField *f, size_t mode, const double *root, double *inverse)
{
  const PetscInt n = f->grid.bins;
  const double visibility = mode_visibility(&f->grid, mode);
  double triangle[NEPHRITE_MAX_BINS * NEPHRITE_MAX_BINS];

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < n; i++)
    for (PetscInt j = 0; j <= i; j++) {
      triangle[i * n + j] = i == j;
      for (PetscInt k = 0; k < n; k++)
        triangle[i * n + j] += visibility * f->mean_weight[k] * root[k * n + i] * root[k * n + j];
    }
  PetscCheck(matrix_cholesky(n, 0, triangle), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "the power of Fourier mode (%d, %d) is no finite number", (int)(mode / (size_t)f->grid.columns),
             (int)(mode % (size_t)f->grid.columns));
  matrix_invert_triangle(n, triangle);
  for (PetscInt i = 0; i < n; i++)
    for (PetscInt j = 0; j < n; j++) {
      inverse[i * n + j] = 0;
      for (PetscInt k = PetscMax(i, j); k < n; k++) inverse[i * n + j] += triangle[k * n + i] * triangle[k * n + j];
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode constrained_field_set_spectra(ConstrainedField *f, const LensingSpectra *spectra, const char *name)
{
  const ModeGrid *const g = &f->grid;
  const size_t matrix = (size_t)(g->bins * g->bins);

  PetscFunctionBeginUser;
  f->ready = PETSC_FALSE;
  PetscCheck(spectra->bins == g->bins, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "spectra of %d bins for an observation of %d", (int)spectra->bins, (int)g->bins);
  PetscCall(PetscStrncpy(f->name, name ? name : "", sizeof f->name));
  PetscCall(field_spectrum(spectra, g->ny, g->nx, g->pixel, f->power));
  for (size_t mode = 0; mode < mode_quarter_count(g); mode++) { /* the quarter's modes come first */
    PetscCall(set_root(f, mode, f->root + mode * matrix));
    PetscCall(set_inverse(f, mode, f->root + mode * matrix, f->inverse + mode * matrix));
  }
  f->ready = PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- maps ---- */

void modes_multiply(const ModeGrid *g, const double *matrix, MatrixSide side, const double complex *in,
                    double complex *out)
{
  const PetscInt n = g->bins, row = side == MATRIX_AS_IS ? n : 1, column = side == MATRIX_AS_IS ? 1 : n;

  for (size_t mode = 0; mode < g->modes; mode++) {
    const double *const m = matrix + mode_quarter(g, mode) * (size_t)(n * n);

    for (PetscInt i = 0; i < n; i++) {
      double complex sum = 0;

      for (PetscInt j = 0; j < n; j++) sum += m[i * row + j * column] * in[(size_t)j * g->modes + mode];
      out[(size_t)i * g->modes + mode] = sum;
    }
  }
}

void modes_show(ModeGrid *g, const double complex *modes, double *map)
{
  double complex *const shown = fourier_modes(g->fourier);

  for (PetscInt plane = 0; plane < g->planes; plane++) {
    const double *const factor = plane ? g->s : g->c;

    for (size_t k = 0; k < g->modes; k++) shown[k] = factor[k] * modes[k];
    fourier_inverse(g->fourier);
    memcpy(map + (size_t)plane * g->pixels, fourier_map(g->fourier), g->pixels * sizeof *map);
  }
}

/* Which random numbers make a realisation; none (NULL) for the mean. */
typedef struct {
  RandomKey key;
  uint64_t position;
} Fluctuation;

/* s, or 0. */
static PetscErrorCode make_signal(ConstrainedField *f, const Fluctuation *fluctuation)
{
  ModeGrid *const g = &f->grid;

  PetscFunctionBeginUser;
  if (!fluctuation) {
    PetscCall(PetscArrayzero(f->signal, (size_t)g->bins * g->modes));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  for (PetscInt bin = 0; bin < g->bins; bin++) {
    random_normal(fluctuation->key, fluctuation->position + (uint64_t)bin * g->pixels, g->pixels,
                  fourier_map(g->fourier));
    fourier_forward(g->fourier);
    PetscCall(PetscArraycpy(f->work + (size_t)bin * g->modes, fourier_modes(g->fourier), g->modes));
  }
  modes_multiply(g, f->root, MATRIX_AS_IS, f->work, f->signal);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* N^-1 (d - A s - n) of a bin, to f->map.  n = noise_std w with w white: N^-1 n = w/noise_std. */
static void weigh_residual(ConstrainedField *f, const Fluctuation *fluctuation, PetscInt bin)
{
  ModeGrid *const g = &f->grid;
  const size_t of_bin = (size_t)g->planes * g->pixels;
  const double *const observed = f->observed + (size_t)bin * of_bin;
  const double *const inverse_std = f->inverse_std + (size_t)bin * g->pixels;
  double complex *const scaled = f->work; /* of this bin, in the place of the first */

  if (!fluctuation) {
    for (size_t i = 0; i < of_bin; i++) f->map[i] = observed[i] * pow(inverse_std[i % g->pixels], 2);
    return;
  }
  for (size_t k = 0; k < g->modes; k++) scaled[k] = f->signal[(size_t)bin * g->modes + k] / (double)g->pixels;
  modes_show(g, scaled, f->map);
  random_normal(fluctuation->key,
                fluctuation->position + (uint64_t)g->bins * g->pixels + (uint64_t)bin * (uint64_t)of_bin, of_bin,
                f->white);
  for (size_t i = 0; i < of_bin; i++) {
    const double weight = inverse_std[i % g->pixels];

    f->map[i] = weight * (weight * (observed[i] - f->map[i]) - f->white[i]);
  }
}

/* A realisation of the posterior, or its mean, to f->signal. */
static PetscErrorCode solve(ConstrainedField *f, const Fluctuation *fluctuation)
{
  ModeGrid *const g = &f->grid;
  const size_t values = (size_t)g->bins * g->modes;

  PetscFunctionBeginUser;
  PetscCheck(f->ready, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "a field is constrained before its spectra are set");
  PetscCall(make_signal(f, fluctuation));
  for (PetscInt bin = 0; bin < g->bins; bin++) {
    weigh_residual(f, fluctuation, bin);
    mode_grid_project(g, f->map, f->side + (size_t)bin * g->modes);
  }
  modes_multiply(g, f->root, MATRIX_TRANSPOSED, f->side, f->work);
  f->iterations = 0;
  if (f->iteration.ksp) {
    PetscCall(PetscArraycpy(f->side, f->work, values));
    PetscCall(constrained_iterate(f));
  } else {
    modes_multiply(g, f->inverse, MATRIX_AS_IS, f->work, f->side);
  }
  modes_multiply(g, f->root, MATRIX_AS_IS, f->side, f->work);
  for (size_t i = 0; i < values; i++) f->signal[i] += f->work[i];
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The map of a bin of f->signal, borrowed and not normalised. */
static const double *transform_back(ConstrainedField *f, PetscInt bin)
{
  memcpy(fourier_modes(f->grid.fourier), f->signal + (size_t)bin * f->grid.modes, f->grid.modes * sizeof *f->signal);
  fourier_inverse(f->grid.fourier);
  return fourier_map(f->grid.fourier);
}

PetscErrorCode constrained_field_mean(ConstrainedField *f, double *kappa)
{
  const size_t pixels = f->grid.pixels;

  PetscFunctionBeginUser;
  PetscCall(solve(f, NULL));
  for (PetscInt bin = 0; bin < f->grid.bins; bin++) {
    const double *const map = transform_back(f, bin);

    for (size_t i = 0; i < pixels; i++) kappa[(size_t)bin * pixels + i] = map[i] / (double)pixels;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode constrained_field_draw(ConstrainedField *f, RandomKey key, uint64_t position, float *kappa)
{
  const size_t pixels = f->grid.pixels;

  PetscFunctionBeginUser;
  PetscCall(solve(f, &(Fluctuation){key, position}));
  for (PetscInt bin = 0; bin < f->grid.bins; bin++) {
    const double *const map = transform_back(f, bin);

    for (size_t i = 0; i < pixels; i++) kappa[(size_t)bin * pixels + i] = (float)(map[i] / (double)pixels);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

uint64_t constrained_field_normals(const ConstrainedField *f)
{
  return (uint64_t)f->grid.bins * (uint64_t)(1 + f->grid.planes) * (uint64_t)f->grid.pixels;
}

PetscInt constrained_field_iterations(const ConstrainedField *f)
{
  return f->iterations;
}
