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

/* The weights of a cubic spline at a place within interval i: value a y_i + b y_{i+1} + ca m_i + cb m_{i+1}. */
typedef struct {
  PetscInt i;
  double a, b, ca, cb;
} SplineWeights;

typedef enum { FORWARD, ADJOINT } Direction; /* to solve a system, or the transposed one */

/* Lengths of the intervals at the ends, over those of their neighbours. */
static double first_ratio(const PairSplines *s)
{
  return (s->x[1] - s->x[0]) / (s->x[2] - s->x[1]);
}

static double last_ratio(const PairSplines *s)
{
  const double *end = s->x + s->count - 1;

  return (end[0] - end[-1]) / (end[-1] - end[-2]);
}

/* Curvatures m solve h_{i-1} m_{i-1} + 2 (h_{i-1} + h_i) m_i + h_i m_{i+1} = 6 (s_i - s_{i-1}), s the slopes; at the
 * ends the third derivative is continuous at the last but one knot, which eliminates m_0 and m_{n-1}.
 * \param[in,out] side [pairs][count-2]  right-hand sides in, solutions out */
static PetscErrorCode solve_inner(const PairSplines *s, Direction direction, double *side)
{
  const int inner = (int)s->count - 2, pairs = (int)s->pairs, n = (int)s->count;
  const double *x = s->x;
  double *below, *diagonal, *above;
  int info = 0;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc3(inner, &below, inner, &diagonal, inner, &above));
  for (int i = 0; i < inner; i++) {
    diagonal[i] = 2 * (x[i + 2] - x[i]);
    above[i] = x[i + 2] - x[i + 1];
    below[i] = x[i + 2] - x[i + 1]; /* couples row i+1 to unknown i */
  }
  diagonal[0] += (x[1] - x[0]) * (1 + first_ratio(s));
  above[0] -= (x[1] - x[0]) * first_ratio(s);
  diagonal[inner - 1] += (x[n - 1] - x[n - 2]) * (1 + last_ratio(s));
  below[inner - 2] -= (x[n - 1] - x[n - 2]) * last_ratio(s);
  if (direction == FORWARD)
    dgtsv_(&inner, &pairs, below, diagonal, above, side, &inner, &info);
  else
    dgtsv_(&inner, &pairs, above, diagonal, below, side, &inner, &info);
  PetscCall(PetscFree3(below, diagonal, above));
  PetscCheck(!info, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "LAPACK dgtsv solved no spline (info %d)", info);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode solve_curvatures(PairSplines *s)
{
  const PetscInt inner = s->count - 2, pairs = s->pairs, n = s->count;
  const double *x = s->x, first = first_ratio(s), last = last_ratio(s);
  double *side;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)inner * (size_t)pairs, &side));
  for (PetscInt p = 0; p < pairs; p++)
    for (PetscInt i = 0; i < inner; i++) {
      const double *y = s->y + p * n + i;

      side[p * inner + i] = 6 * ((y[2] - y[1]) / (x[i + 2] - x[i + 1]) - (y[1] - y[0]) / (x[i + 1] - x[i]));
    }
  const PetscErrorCode error = solve_inner(s, FORWARD, side);
  for (PetscInt p = 0; p < pairs; p++) {
    double *m = s->curvature + p * n;

    for (PetscInt i = 0; i < inner; i++) m[i + 1] = side[p * inner + i];
    m[0] = (1 + first) * m[1] - first * m[2];
    m[n - 1] = (1 + last) * m[n - 2] - last * m[n - 3];
  }
  PetscCall(PetscFree(side));
  PetscFunctionReturn(error);
}

/* The adjoint of solve_curvatures(), its steps in reverse.
 * \param[in,out] y_bar [pairs][count]  derivatives by y: what comes by way of the curvatures is added
 * \param[in,out] m_bar [pairs][count]  derivatives by the curvatures; used up */
static PetscErrorCode solve_curvatures_adjoint(const PairSplines *s, double *y_bar, double *m_bar)
{
  const PetscInt inner = s->count - 2, pairs = s->pairs, n = s->count;
  const double *x = s->x, first = first_ratio(s), last = last_ratio(s);
  double *side;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)inner * (size_t)pairs, &side));
  for (PetscInt p = 0; p < pairs; p++) {
    double *m = m_bar + p * n;

    m[n - 2] += (1 + last) * m[n - 1];
    m[n - 3] -= last * m[n - 1];
    m[1] += (1 + first) * m[0];
    m[2] -= first * m[0];
    for (PetscInt i = 0; i < inner; i++) side[p * inner + i] = m[i + 1];
  }
  const PetscErrorCode error = solve_inner(s, ADJOINT, side);
  for (PetscInt p = 0; p < pairs; p++)
    for (PetscInt i = 0; i < inner; i++) {
      double *y = y_bar + p * n + i;
      const double up = 6 * side[p * inner + i] / (x[i + 2] - x[i + 1]),
                   down = 6 * side[p * inner + i] / (x[i + 1] - x[i]);

      y[2] += up;
      y[1] -= up + down;
      y[0] += down;
    }
  PetscCall(PetscFree(side));
  PetscFunctionReturn(error);
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

/* At wavenumber k; constant beyond the ends.  \param start  an interval not beyond it */
static SplineWeights spline_weights(const PairSplines *s, PetscInt start, double k2)
{
  const double x = k2 > 0 ? fmin(fmax(log(k2) / 2, s->x[0]), s->x[s->count - 1]) : s->x[0];
  const PetscInt i = find_interval(s, start, x);
  const double h = s->x[i + 1] - s->x[i], a = (s->x[i + 1] - x) / h, b = 1 - a;

  return (SplineWeights){i, a, b, (a * a * a - a) * h * h / 6, (b * b * b - b) * h * h / 6};
}

/* |k|^2 at a place of the quarter. */
static double wavenumber_squared(const FieldGrid *grid, PetscInt row, PetscInt column)
{
  const double ky = 2 * M_PI * (double)(grid->first + row) / ((double)grid->ny * grid->pixel);
  const double kx = 2 * M_PI * (double)column / ((double)grid->nx * grid->pixel);

  return kx * kx + ky * ky;
}

/* A row of the quarter, from quarter_first() on: ln C, or C where that changes sign, of each pair.
 * \param[out] quarter [pairs][rows][nx/2+1] */
static void evaluate_row(const PairSplines *s, const FieldGrid *grid, PetscInt row, double *quarter)
{
  const PetscInt columns = quarter_nx(grid);
  SplineWeights w = {0}; /* |k| increases along the row */

  for (PetscInt column = quarter_first(row, grid); column < columns; column++) {
    w = spline_weights(s, w.i, wavenumber_squared(grid, row, column));
    for (PetscInt p = 0; p < s->pairs; p++) {
      const double *v = s->y + p * s->count + w.i, *m = s->curvature + p * s->count + w.i;

      quarter[(size_t)p * quarter_size(grid) + (size_t)(row * columns + column)] =
          w.a * v[0] + w.b * v[1] + w.ca * m[0] + w.cb * m[1];
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

/* Derivatives by the values of the splines at their nodes, in ln C or C, and by their curvatures. */
static void evaluate_row_adjoint(const PairSplines *s, const FieldGrid *grid, PetscInt row, const QuarterAdjoint *at,
                                 double *y_bar, double *m_bar)
{
  const PetscInt columns = quarter_nx(grid);
  const double density = 1 / (grid->pixel * grid->pixel);
  SplineWeights w = {0};

  for (PetscInt column = grid->first + row ? 0 : 1; column < columns; column++) { /* the mean is 0 whatever C is */
    const double times = quarter_times(grid->first + row, grid->ny) * quarter_times(column, grid->nx);

    w = spline_weights(s, w.i, wavenumber_squared(grid, row, column));
    for (PetscInt p = 0; p < s->pairs; p++) {
      const size_t place = (size_t)p * quarter_size(grid) + (size_t)(row * columns + column);
      const double bar = times * at->derivative[place] * (s->logarithmic[p] ? at->power[place] : density);
      double *v = y_bar + p * s->count + w.i, *m = m_bar + p * s->count + w.i;

      v[0] += w.a * bar;
      v[1] += w.b * bar;
      m[0] += w.ca * bar;
      m[1] += w.cb * bar;
    }
  }
}

static PetscErrorCode quarter_adjoint(const PairSplines *s, const LensingSpectra *spectra, const FieldGrid *grid,
                                      const QuarterAdjoint *at, double *power_bar)
{
  const size_t values = (size_t)s->pairs * (size_t)s->count;
  double *m_bar;

  PetscFunctionBeginUser;
  PetscCall(PetscCalloc1(values, &m_bar));
  PetscCall(PetscArrayzero(power_bar, values));
  for (PetscInt row = 0; row < grid->rows; row++) evaluate_row_adjoint(s, grid, row, at, power_bar, m_bar);
  const PetscErrorCode error = solve_curvatures_adjoint(s, power_bar, m_bar);
  for (size_t n = 0; n < values && !error; n++)
    if (s->logarithmic[n / (size_t)s->count]) power_bar[n] /= spectra->power[n];
  PetscCall(PetscFree(m_bar));
  PetscFunctionReturn(error);
}

PetscErrorCode spectrum_quarter_adjoint(const LensingSpectra *spectra, const FieldGrid *grid, const QuarterAdjoint *at,
                                        double *power_bar)
{
  PairSplines splines = {0};

  PetscFunctionBeginUser;
  PetscErrorCode error = pair_splines_create(spectra, &splines);
  if (!error) error = quarter_adjoint(&splines, spectra, grid, at, power_bar);
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
