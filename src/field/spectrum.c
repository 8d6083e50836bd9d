/** \file spectrum.c  C_ij(ell) on the Fourier grid.  \ingroup field */
#include "field/internal.h"

#include <math.h>

/* LAPACK's solution of a tridiagonal system with several right-hand sides. */
void dgtsv_(const int *n, const int *sides, double *below, double *diagonal, double *above, double *b, const int *ldb,
            int *info);

/* Cubic splines of all pairs through (ln ell, ln C), or (ln ell, C) where C changes sign, as intrinsic alignments may
 * make it do.  The ends are "not a knot": GSL has only natural ends, whose vanishing curvature a spectrum does not
 * have. */
typedef struct {
  PetscInt count, pairs;
  double *x; /* [count] ln ell */
  double *y, *curvature; /* [pairs][count] */
  PetscBool *logarithmic; /* [pairs] */
} PairSplines;

/* Curvatures m solve h_{i-1} m_{i-1} + 2 (h_{i-1} + h_i) m_i + h_i m_{i+1} = 6 (s_i - s_{i-1}), s the slopes; at the
 * ends the third derivative is continuous at the last but one knot, which eliminates m_0 and m_{n-1}. */
static PetscErrorCode solve_curvatures(PairSplines *s)
{
  const int inner = (int)s->count - 2, pairs = (int)s->pairs, n = (int)s->count;
  const double *x = s->x;
  const double first = (x[1] - x[0]) / (x[2] - x[1]), last = (x[n - 1] - x[n - 2]) / (x[n - 2] - x[n - 3]);
  double *below, *diagonal, *above, *side;
  int info = 0;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc4(inner, &below, inner, &diagonal, inner, &above, (size_t)inner * (size_t)pairs, &side));
  for (int i = 0; i < inner; i++) {
    diagonal[i] = 2 * (x[i + 2] - x[i]);
    above[i] = x[i + 2] - x[i + 1];
    below[i] = x[i + 2] - x[i + 1]; /* couples row i+1 to unknown i */
    for (int p = 0; p < pairs; p++) {
      const double *y = s->y + p * n + i;
      side[p * inner + i] = 6 * ((y[2] - y[1]) / (x[i + 2] - x[i + 1]) - (y[1] - y[0]) / (x[i + 1] - x[i]));
    }
  }
  diagonal[0] += (x[1] - x[0]) * (1 + first);
  above[0] -= (x[1] - x[0]) * first;
  diagonal[inner - 1] += (x[n - 1] - x[n - 2]) * (1 + last);
  below[inner - 2] -= (x[n - 1] - x[n - 2]) * last;
  dgtsv_(&inner, &pairs, below, diagonal, above, side, &inner, &info);
  for (int p = 0; p < pairs; p++) {
    double *m = s->curvature + p * n;

    for (int i = 0; i < inner; i++) m[i + 1] = side[p * inner + i];
    m[0] = (1 + first) * m[1] - first * m[2];
    m[n - 1] = (1 + last) * m[n - 2] - last * m[n - 3];
  }
  PetscCall(PetscFree4(below, diagonal, above, side));
  PetscCheck(!info, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "LAPACK dgtsv solved no spline (info %d)", info);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_table(const LensingSpectra *spectra)
{
  const PetscInt count = spectra->ell_count, pairs = spectra->bins * (spectra->bins + 1) / 2;

  PetscFunctionBeginUser;
  PetscCheck(count >= 4, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "C_ij(ell) has %" PetscInt_FMT " multipoles; a spline needs four", count);
  for (PetscInt i = 0; i < count; i++) {
    const double below = i > 0 ? spectra->ell[i - 1] : 0;

    PetscCheck(spectra->ell[i] > below && isfinite(spectra->ell[i]), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "multipole %" PetscInt_FMT " of C_ij(ell) is %.6g; multipoles must be positive and increase", i,
               spectra->ell[i]);
  }
  for (PetscInt i = 0; i < pairs * count; i++)
    PetscCheck(isfinite(spectra->power[i]), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "C_ij(ell) of pair %" PetscInt_FMT " at ell = %.6g is %.6g", i / count, spectra->ell[i % count],
               spectra->power[i]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode pair_splines_create(const LensingSpectra *spectra, PairSplines *s)
{
  const PetscInt count = spectra->ell_count, pairs = spectra->bins * (spectra->bins + 1) / 2;

  PetscFunctionBeginUser;
  PetscCall(check_table(spectra));
  s->count = count;
  s->pairs = pairs;
  const size_t values = (size_t)pairs * (size_t)count;
  PetscCall(PetscMalloc4(count, &s->x, values, &s->y, values, &s->curvature, pairs, &s->logarithmic));
  for (PetscInt i = 0; i < count; i++) s->x[i] = log(spectra->ell[i]);
  for (PetscInt p = 0; p < pairs; p++) {
    const double *power = spectra->power + p * count;

    s->logarithmic[p] = PETSC_TRUE;
    for (PetscInt i = 0; i < count; i++)
      if (power[i] <= 0) s->logarithmic[p] = PETSC_FALSE;
    for (PetscInt i = 0; i < count; i++) s->y[p * count + i] = s->logarithmic[p] ? log(power[i]) : power[i];
  }
  PetscCall(solve_curvatures(s));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode pair_splines_destroy(PairSplines *s)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree4(s->x, s->y, s->curvature, s->logarithmic));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The interval of x, looked for upwards from \p start. */
static PetscInt find_interval(const PairSplines *s, PetscInt start, double x)
{
  PetscInt i = start;

  while (i < s->count - 2 && s->x[i + 1] <= x) i++;
  return i;
}

/* A row of the quarter, from quarter_first() on: ln C, or C where that changes sign, of each pair.
 * \param[out] quarter [pairs][rows][nx/2+1] */
static void evaluate_row(const PairSplines *s, const FieldGrid *grid, PetscInt row, double *quarter)
{
  const PetscInt columns = quarter_nx(grid);
  const double ky = 2 * M_PI * (double)(grid->first + row) / ((double)grid->ny * grid->pixel);
  PetscInt i = 0; /* |k| increases along the row */

  for (PetscInt column = quarter_first(row, grid); column < columns; column++) {
    const double kx = 2 * M_PI * (double)column / ((double)grid->nx * grid->pixel);
    const double k2 = kx * kx + ky * ky;
    const double x = k2 > 0 ? fmin(fmax(log(k2) / 2, s->x[0]), s->x[s->count - 1]) : s->x[0];

    i = find_interval(s, i, x);
    const double h = s->x[i + 1] - s->x[i], a = (s->x[i + 1] - x) / h, b = 1 - a;
    const double ca = (a * a * a - a) * h * h / 6, cb = (b * b * b - b) * h * h / 6;

    for (PetscInt p = 0; p < s->pairs; p++) {
      const double *v = s->y + p * s->count + i, *m = s->curvature + p * s->count + i;

      quarter[(size_t)p * quarter_size(grid) + (size_t)(row * columns + column)] =
          a * v[0] + b * v[1] + ca * m[0] + cb * m[1];
    }
  }
}

static void fill_quarter(const PairSplines *s, const FieldGrid *grid, double *quarter)
{
  const FieldKernels *const kernels = field_kernels_best();
  const PetscInt columns = quarter_nx(grid);
  const double density = 1 / (grid->pixel * grid->pixel);

#pragma omp parallel for schedule(dynamic)
  for (PetscInt y = 0; y < grid->rows; y++) {
    const PetscInt first = quarter_first(y, grid);

    evaluate_row(s, grid, y, quarter);
    for (PetscInt p = 0; p < s->pairs; p++) {
      double *const row = quarter + (size_t)p * quarter_size(grid) + (size_t)(y * columns);

      if (s->logarithmic[p])
        kernels->exponential((size_t)(columns - first), density, row + first);
      else
        for (PetscInt x = first; x < columns; x++) row[x] *= density;
    }
  }
#pragma omp parallel for schedule(dynamic)
  for (PetscInt p = 0; p < s->pairs; p++) {
    quarter_mirror(grid, quarter + (size_t)p * quarter_size(grid));
    if (grid->first == 0 && grid->rows) quarter[(size_t)p * quarter_size(grid)] = 0; /* k = 0: the map's mean */
  }
}

PetscErrorCode spectrum_quarter(const LensingSpectra *spectra, const FieldGrid *grid, double *quarter)
{
  PairSplines splines = {0};

  PetscFunctionBeginUser;
  const PetscErrorCode error = pair_splines_create(spectra, &splines);
  if (!error) fill_quarter(&splines, grid, quarter);
  PetscCall(pair_splines_destroy(&splines));
  PetscFunctionReturn(error);
}

PetscErrorCode field_spectrum(const LensingSpectra *spectra, PetscInt ny, PetscInt nx, double pixel, double *power)
{
  const FieldGrid grid = whole_grid(ny, nx, pixel);
  const PetscInt columns = quarter_nx(&grid), pairs = spectra->bins * (spectra->bins + 1) / 2;
  double *quarter = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)pairs * quarter_size(&grid), &quarter));
  const PetscErrorCode error = spectrum_quarter(spectra, &grid, quarter);
  for (PetscInt row = 0; row < pairs * ny && !error; row++) {
    const PetscInt y = row % ny, mirrored = 2 * y > ny ? ny - y : y;
    const double *const from = quarter + (size_t)(row / ny) * quarter_size(&grid) + (size_t)(mirrored * columns);

    PetscCall(PetscArraycpy(power + row * columns, from, columns));
  }
  PetscCall(PetscFree(quarter));
  PetscFunctionReturn(error);
}
