/** \file kernels.c  Square roots, correlation and elementary functions along many modes or pixels at once.
 *
 * Plain loops over LANES or over elements, which the compiler makes into vector instructions; nothing depends on how
 * many a vector holds.  \ingroup field */
#include "field/kernels.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define PASTE(name, isa) field_##name##_##isa
#define EXPAND(name, isa) PASTE(name, isa)
#define KERNEL(name) EXPAND(name, NEPHRITE_ISA)
#define TEXT(isa) #isa
#define TEXT_OF(isa) TEXT(isa)

enum { LANES = 16, SWEEPS = 30 };

/* ------------------------------------------------------------------ square roots */

/** LANES symmetric matrices A with their eigenvectors V so far: A is rotated to a diagonal one. */
typedef struct {
  int n;
  double a[NEPHRITE_MAX_BINS][NEPHRITE_MAX_BINS][LANES]; /* i <= j */
  double v[NEPHRITE_MAX_BINS][NEPHRITE_MAX_BINS][LANES];
} Matrices;

/* The rotation of x and y by the angle with sine s and tau = tan(angle/2): (x - s (y + tau x), y + s (x - tau y)). */
static inline void rotate(const double *restrict s, const double *restrict tau, double *restrict x, double *restrict y)
{
  for (int l = 0; l < LANES; l++) {
    const double x_l = x[l], y_l = y[l];

    x[l] = x_l - s[l] * (y_l + tau[l] * x_l);
    y[l] = y_l + s[l] * (x_l - tau[l] * y_l);
  }
}

/* Rotate rows and columns p and q so that a_pq becomes 0.  A matrix that is done is left alone, so that its root does
 * not depend on which others it shares the lanes with. */
static void annihilate(Matrices *m, int p, int q, const double active[LANES])
{
  double s[LANES], tau[LANES];
  double *const a_pp = m->a[p][p], *const a_qq = m->a[q][q], *const a_pq = m->a[p][q];

  for (int l = 0; l < LANES; l++) {
    const double d = a_qq[l] - a_pp[l], b = 2 * a_pq[l] * active[l];
    const double tangent = b / (d + copysign(sqrt(d * d + b * b) + DBL_MIN, d)); /* the smaller root; 0 where b is */
    const double cosine = 1 / sqrt(1 + tangent * tangent);

    s[l] = tangent * cosine;
    tau[l] = s[l] / (1 + cosine);
    a_pp[l] -= tangent * a_pq[l];
    a_qq[l] += tangent * a_pq[l];
    a_pq[l] = 0;
  }
  for (int k = 0; k < p; k++) rotate(s, tau, m->a[k][p], m->a[k][q]);
  for (int k = p + 1; k < q; k++) rotate(s, tau, m->a[p][k], m->a[k][q]);
  for (int k = q + 1; k < m->n; k++) rotate(s, tau, m->a[p][k], m->a[q][k]);
  for (int k = 0; k < m->n; k++) rotate(s, tau, m->v[p][k], m->v[q][k]);
}

/* active = 1 where a matrix is not yet diagonal to rounding, else 0.  \return whether any is not */
static int find_active(const Matrices *m, double active[LANES])
{
  double off[LANES] = {0}, on[LANES] = {0}, any = 0;

  for (int i = 0; i < m->n; i++) {
    for (int l = 0; l < LANES; l++) on[l] += m->a[i][i][l] * m->a[i][i][l];
    for (int j = i + 1; j < m->n; j++)
      for (int l = 0; l < LANES; l++) off[l] += m->a[i][j][l] * m->a[i][j][l];
  }
  for (int l = 0; l < LANES; l++) active[l] = off[l] > 1e-32 * on[l] ? 1 : 0; /* NaN counts as done */
  for (int l = 0; l < LANES; l++) any += active[l];
  return any > 0;
}

static void diagonalise(Matrices *m)
{
  double active[LANES];

  for (int i = 0; i < m->n; i++)
    for (int j = 0; j < m->n; j++)
      for (int l = 0; l < LANES; l++) m->v[i][j][l] = i == j;
  for (int sweep = 0; sweep < SWEEPS && find_active(m, active); sweep++)
    for (int p = 0; p < m->n; p++)
      for (int q = p + 1; q < m->n; q++) annihilate(m, p, q, active);
}

/* Sum over eigenvectors e of sqrt(max(eigenvalue, 0)) v_ei v_ej, to a (v[e] is one eigenvector). */
static void reassemble(Matrices *m, unsigned char negative[LANES])
{
  double root[NEPHRITE_MAX_BINS][LANES];
  const int n = m->n;

  for (int l = 0; l < LANES; l++) negative[l] = 0;
  for (int e = 0; e < n; e++)
    for (int l = 0; l < LANES; l++) {
      root[e][l] = sqrt(fmax(m->a[e][e][l], 0));
      negative[l] = (unsigned char)(negative[l] + (m->a[e][e][l] < 0));
    }
  for (int i = 0; i < n; i++)
    for (int j = i; j < n; j++) {
      double sum[LANES] = {0};

      for (int e = 0; e < n; e++)
        for (int l = 0; l < LANES; l++) sum[l] += root[e][l] * m->v[e][i][l] * m->v[e][j][l];
      memcpy(m->a[i][j], sum, sizeof sum);
    }
}

/* \param matrix [pairs][stride], of which \p count, at most LANES, are taken; the other lanes hold zeros */
static inline void load(const double *matrix, size_t stride, size_t count, Matrices *m)
{
  for (int i = 0; i < m->n; i++)
    for (int j = i; j < m->n; j++) {
      if (count < LANES) memset(m->a[i][j], 0, sizeof m->a[i][j]);
      memcpy(m->a[i][j], matrix + (size_t)lensing_pair(m->n, i, j) * stride, count * sizeof *matrix);
    }
}

/* Matrices first … first+count-1 of a batch, at most LANES. */
static inline void take_some_roots(const RootBatch *batch, size_t first, size_t count, Matrices *m)
{
  unsigned char negative[LANES];

  load(batch->matrix + first, batch->stride, count, m);
  diagonalise(m);
  reassemble(m, negative);
  for (int i = 0; i < m->n; i++)
    for (int j = i; j < m->n; j++) {
      double *const root = batch->matrix + (size_t)lensing_pair(batch->bins, i, j) * batch->stride + first;

      memcpy(root, m->a[i][j], count * sizeof *root);
    }
  memcpy(batch->negative + first, negative, count);
}

static void KERNEL(roots)(const RootBatch *batch)
{
  Matrices m;
  size_t first = 0;

  m.n = (int)batch->bins;
  for (; first + LANES <= batch->count; first += LANES) take_some_roots(batch, first, LANES, &m);
  if (first < batch->count) take_some_roots(batch, first, batch->count - first, &m);
}

/* ------------------------------------------------------------------ their adjoint */

typedef double Square[NEPHRITE_MAX_BINS][NEPHRITE_MAX_BINS][LANES]; /* symmetric, both halves filled */

/* out = V in V^T, where V's rows are v[e]; or with the indices of V exchanged, V^T in V. */
static inline void change_basis(const Matrices *m, int back, Square in, Square half, Square out)
{
  const int n = m->n;

  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      double sum[LANES] = {0};

      for (int k = 0; k < n; k++) {
        const double *const v = back ? m->v[k][i] : m->v[i][k];

        for (int l = 0; l < LANES; l++) sum[l] += v[l] * in[k][j][l];
      }
      memcpy(half[i][j], sum, sizeof sum);
    }
  for (int i = 0; i < n; i++)
    for (int j = i; j < n; j++) {
      double sum[LANES] = {0};

      for (int k = 0; k < n; k++) {
        const double *const v = back ? m->v[k][j] : m->v[j][k];

        for (int l = 0; l < LANES; l++) sum[l] += half[i][k][l] * v[l];
      }
      memcpy(out[i][j], sum, sizeof sum);
      if (j > i) memcpy(out[j][i], sum, sizeof sum);
    }
}

/* Times (f(x) - f(y))/(x - y) with f(x) = sqrt(max(x, 0)) for all pairs of eigenvalues x, y: with r their roots and
 * n = max(-x, 0), that is (r_x + r_y)/((r_x + r_y)^2 + n_x + n_y), where no difference of near numbers is left. */
static inline void divide_differences(const Matrices *m, Square square)
{
  double largest[LANES] = {0}, root[NEPHRITE_MAX_BINS][LANES], below[NEPHRITE_MAX_BINS][LANES];
  const int n = m->n;

  for (int e = 0; e < n; e++)
    for (int l = 0; l < LANES; l++) {
      largest[l] = fmax(largest[l], fabs(m->a[e][e][l]));
      below[e][l] = fmax(-m->a[e][e][l], 0);
    }
  for (int e = 0; e < n; e++)
    for (int l = 0; l < LANES; l++) root[e][l] = m->a[e][e][l] > 1e-15 * largest[l] ? sqrt(m->a[e][e][l]) : 0;
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++)
      for (int l = 0; l < LANES; l++) {
        const double sum = root[i][l] + root[j][l];

        square[i][j][l] *= sum / (sum * sum + below[i][l] + below[j][l] + DBL_MIN);
      }
}

static inline void take_some_adjoints(const RootAdjointBatch *batch, size_t first, size_t count, Matrices *m)
{
  Square square, half, turned;

  load(batch->matrix + first, batch->stride, count, m);
  diagonalise(m);
  for (int i = 0; i < m->n; i++)
    for (int j = 0; j < m->n; j++) {
      if (count < LANES) memset(square[i][j], 0, sizeof square[i][j]);
      memcpy(square[i][j], batch->adjoint + (size_t)lensing_pair(m->n, i, j) * batch->stride + first,
             count * sizeof(double));
    }
  change_basis(m, 0, square, half, turned);
  divide_differences(m, turned);
  change_basis(m, 1, turned, half, square);
  for (int i = 0; i < m->n; i++)
    for (int j = i; j < m->n; j++)
      memcpy(batch->adjoint + (size_t)lensing_pair(m->n, i, j) * batch->stride + first, square[i][j],
             count * sizeof(double));
}

static void KERNEL(root_adjoint)(const RootAdjointBatch *batch)
{
  Matrices m;
  size_t first = 0;

  m.n = (int)batch->bins;
  for (; first + LANES <= batch->count; first += LANES) take_some_adjoints(batch, first, LANES, &m);
  if (first < batch->count) take_some_adjoints(batch, first, batch->count - first, &m);
}

/* ------------------------------------------------------------------ correlation */

/* Modes first … first+count-1 of a row, at most LANES. */
static inline void correlate_some(const CorrelateRow *row, size_t first, size_t count)
{
  double z[NEPHRITE_MAX_BINS][2 * LANES];
  const int n = (int)row->bins;

  for (int j = 0; j < n; j++)
    memcpy(z[j], row->mode + 2 * ((size_t)j * row->mode_stride + first), 2 * count * sizeof(double));
  for (int i = 0; i < n; i++) {
    double *const g = row->mode + 2 * ((size_t)i * row->mode_stride + first);
    double sum[2 * LANES] = {0};

    for (int j = 0; j < n; j++) {
      const double *const root = row->root + (size_t)lensing_pair(row->bins, i, j) * row->root_stride + first;

      for (size_t m = 0; m < count; m++) {
        sum[2 * m] += root[m] * z[j][2 * m];
        sum[2 * m + 1] += root[m] * z[j][2 * m + 1];
      }
    }
    memcpy(g, sum, 2 * count * sizeof(double));
  }
}

static void KERNEL(correlate)(const CorrelateRow *row)
{
  size_t first = 0;

  for (; first + LANES <= row->count; first += LANES) correlate_some(row, first, LANES);
  if (first < row->count) correlate_some(row, first, row->count - first);
}

static void KERNEL(outer)(const OuterRow *row)
{
  const PetscInt n = row->bins;

  for (PetscInt i = 0; i < n; i++)
    for (PetscInt j = i; j < n; j++) {
      const double *const a_i = row->a + 2 * (size_t)i * row->mode_stride, *const a_j = row->a + 2 * (size_t)j *
                                                                                                     row->mode_stride;
      const double *const z_i = row->z + 2 * (size_t)i * row->mode_stride, *const z_j = row->z + 2 * (size_t)j *
                                                                                                     row->mode_stride;
      double *const product = row->product + (size_t)lensing_pair(n, i, j) * row->product_stride;

      for (size_t m = 0; m < row->count; m++)
        product[m] += 0.5 * row->factor *
                      (a_i[2 * m] * z_j[2 * m] + a_i[2 * m + 1] * z_j[2 * m + 1] + a_j[2 * m] * z_i[2 * m] +
                       a_j[2 * m + 1] * z_i[2 * m + 1]);
    }
}

static double KERNEL(sum_square)(size_t count, const double *x)
{
  double sum = 0;

  for (size_t i = 0; i < count; i++) sum += x[i] * x[i];
  return sum;
}

/* ------------------------------------------------------------------ elementary functions */

static void KERNEL(exponential)(size_t count, double factor, double *x)
{
  for (size_t i = 0; i < count; i++) {
    double r;
    const int n = elementary_split(x[i], &r);

    x[i] = factor * elementary_power_of_two(n) * (elementary_exponential_less_one(r) + 1);
  }
}

static void KERNEL(lognormal)(size_t count, const double parameters[3], double *x)
{
  const double scale = parameters[0], offset = parameters[1], shift = parameters[2];

  for (size_t i = 0; i < count; i++) {
    double r;
    const int n = elementary_split(scale * x[i] - offset, &r);
    const double less_one = elementary_exponential_less_one(r);

    x[i] = shift *
           (n ? elementary_power_of_two(n) * (less_one + 1) - 1 : less_one); /* adding 1 loses digits of a small one */
  }
}

static void KERNEL(logarithm)(size_t count, double *x)
{
  for (size_t i = 0; i < count; i++) x[i] = elementary_logarithm(x[i]);
}

const FieldKernels KERNEL(kernels) = {
    .name = TEXT_OF(NEPHRITE_ISA),
    .roots = KERNEL(roots),
    .root_adjoint = KERNEL(root_adjoint),
    .correlate = KERNEL(correlate),
    .outer = KERNEL(outer),
    .sum_square = KERNEL(sum_square),
    .exponential = KERNEL(exponential),
    .logarithm = KERNEL(logarithm),
    .lognormal = KERNEL(lognormal),
};
