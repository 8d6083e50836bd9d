/** \file spectrum.c  C_ij(ell) on the Fourier grid.  \ingroup field */
#include "field/internal.h"

#include <math.h>

/* LAPACK's solution of a tridiagonal system with several right-hand sides. */
void dgtsv_(const int *n, const int *sides, double *below, double *diagonal, double *above, double *b, const int *ldb,
            int *info);

double field_wavenumber(PetscInt y, PetscInt x, const FieldGrid *grid)
{
  const double ky = 2 * M_PI * (double)(2 * y > grid->ny ? y - grid->ny : y) / ((double)grid->ny * grid->pixel);
  const double kx = 2 * M_PI * (double)(2 * x > grid->nx ? x - grid->nx : x) / ((double)grid->nx * grid->pixel);

  return sqrt(kx * kx + ky * ky);
}

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
  PetscCheck(!info, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "the multipoles of C_ij(ell) are not increasing");
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode pair_splines_create(const LensingSpectra *spectra, PairSplines *s)
{
  const PetscInt count = spectra->ell_count, pairs = spectra->bins * (spectra->bins + 1) / 2;

  PetscFunctionBeginUser;
  PetscCheck(count >= 4, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "C_ij(ell) has %" PetscInt_FMT " multipoles; a spline needs four", count);
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

static PetscInt find_interval(const PairSplines *s, double x)
{
  PetscInt low = 0, high = s->count - 1;

  while (high - low > 1) {
    const PetscInt middle = (low + high) / 2;
    if (s->x[middle] <= x)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/* All pairs at one multipole; constant beyond the ends of the table.  \param[out] value [pairs] */
static void pair_splines_value(const PairSplines *s, double ell, double *value)
{
  const double x = fmin(fmax(log(ell), s->x[0]), s->x[s->count - 1]);
  const PetscInt i = find_interval(s, x);
  const double h = s->x[i + 1] - s->x[i], a = (s->x[i + 1] - x) / h, b = 1 - a;
  const double ca = (a * a * a - a) * h * h / 6, cb = (b * b * b - b) * h * h / 6;

  for (PetscInt p = 0; p < s->pairs; p++) {
    const double *y = s->y + p * s->count + i, *m = s->curvature + p * s->count + i;
    const double v = a * y[0] + b * y[1] + ca * m[0] + cb * m[1];

    value[p] = s->logarithmic[p] ? exp(v) : v;
  }
}

/* |k| is the same at (+-ky, +-kx): one quarter of the modes gives the rest. */
static void fill_from_quarter(const PairSplines *s, const FieldGrid *grid, double *power)
{
  const PetscInt half = quarter_nx(grid), modes = grid->ny * half;
  const double area = grid->pixel * grid->pixel;
  double value[NEPHRITE_MAX_BINS * (NEPHRITE_MAX_BINS + 1) / 2];

  for (PetscInt y = 0; y < quarter_ny(grid); y++)
    for (PetscInt x = 0; x < half; x++) {
      const PetscInt mode = y * half + x, mirrored = y > 0 ? (grid->ny - y) * half + x : mode;

      if (mode > 0) pair_splines_value(s, field_wavenumber(y, x, grid), value);
      for (PetscInt p = 0; p < s->pairs; p++)
        power[p * modes + mode] = power[p * modes + mirrored] = mode > 0 ? value[p] / area : 0;
    }
}

PetscErrorCode field_spectrum(const LensingSpectra *spectra, PetscInt ny, PetscInt nx, double pixel, double *power)
{
  const FieldGrid grid = {ny, nx, pixel};
  PairSplines splines = {0};

  PetscFunctionBeginUser;
  PetscCall(pair_splines_create(spectra, &splines));
  fill_from_quarter(&splines, &grid, power);
  PetscCall(pair_splines_destroy(&splines));
  PetscFunctionReturn(PETSC_SUCCESS);
}
