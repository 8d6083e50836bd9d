#include "field/kernels.h"
#include "nephrite_test.h"

#include <stdlib.h>

/* Every table that this processor can run is held to the plain computation. */

void dsyev_(const char *job, const char *triangle, const int *n, double *a, const int *lda, double *eigenvalue,
            double *work, const int *lwork, int *info);

enum { COUNT = 53, STRIDE = 60, MAX_PAIRS = NEPHRITE_MAX_BINS * (NEPHRITE_MAX_BINS + 1) / 2 };

typedef struct {
  PetscInt bins;
  double matrix[MAX_PAIRS * STRIDE], root[MAX_PAIRS * STRIDE];
  unsigned char negative[COUNT];
} Batch;

/* Matrices G G^T with random G, of condition numbers up to about 1e8, and scaled over many decades as spectra are. */
static Batch *make_batch(PetscInt bins)
{
  Batch *b = calloc(1, sizeof *b);
  double g[NEPHRITE_MAX_BINS * NEPHRITE_MAX_BINS];

  assert_non_null(b);
  b->bins = bins;
  for (int m = 0; m < COUNT; m++) {
    const double scale = pow(10, -m % 9);

    random_normal((RandomKey){.seed = 5, .stream = STREAM_FIELD, .index = (uint64_t)m}, 0, (size_t)(bins * bins), g);
    for (PetscInt i = 0; i < bins; i++)
      for (PetscInt j = i; j < bins; j++) {
        double sum = 0;

        for (PetscInt k = 0; k < bins; k++) sum += g[i * bins + k] * g[j * bins + k] * pow(10, -2 * (double)(k % 5));
        b->matrix[lensing_pair(bins, i, j) * STRIDE + m] = scale * sum;
      }
  }
  memcpy(b->root, b->matrix, sizeof b->matrix);
  return b;
}

static void take_roots(const FieldKernels *kernels, Batch *b)
{
  kernels->roots(&(RootBatch){b->bins, COUNT, STRIDE, b->root, b->negative});
}

static double element(const Batch *b, const double *pairs, int m, PetscInt i, PetscInt j)
{
  return pairs[lensing_pair(b->bins, i, j) * STRIDE + m];
}

/* LAPACK's eigenvalues, increasing, and eigenvectors [n][n], one a row. */
static void eigen(const Batch *b, int m, double *value, double *vector)
{
  const int n = (int)b->bins, lwork = 64 * NEPHRITE_MAX_BINS;
  double work[64 * NEPHRITE_MAX_BINS];
  int info;

  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) vector[i * n + j] = element(b, b->matrix, m, i, j);
  dsyev_("V", "U", &n, vector, &n, value, work, &lwork, &info);
  assert_int_equal(info, 0);
}

static void compare_with_lapack(const Batch *b, int m)
{
  const int n = (int)b->bins;
  double value[NEPHRITE_MAX_BINS], vector[NEPHRITE_MAX_BINS * NEPHRITE_MAX_BINS];
  int negative = 0;

  eigen(b, m, value, vector);
  for (int e = 0; e < n; e++) negative += value[e] < 0;
  assert_int_equal(b->negative[m], negative);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      double sum = 0;

      for (int e = 0; e < n; e++) sum += sqrt(fmax(value[e], 0)) * vector[e * n + i] * vector[e * n + j];
      /* an eigenvalue is known to n epsilon of the largest, so its root to the square root of their ratio worse */
      const double rounding = n * 2.2e-16 * value[n - 1] / sqrt(fmax(fabs(value[0]), 1e-15 * value[n - 1]));
      assert_within(element(b, b->root, m, i, j), sum, 4 * rounding);
    }
}

static void roots_are_lapacks(void **state)
{
  const FieldKernels *tables[3];
  const int count = field_kernels_usable(tables);

  (void)state;
  for (int t = 0; t < count; t++)
    for (PetscInt bins = 1; bins <= NEPHRITE_MAX_BINS; bins += bins < 6 ? 1 : 5) {
      Batch *b = make_batch(bins);

      take_roots(tables[t], b);
      for (int m = 0; m < COUNT; m++) compare_with_lapack(b, m);
      free(b);
    }
}

static void a_root_times_itself_is_the_matrix(void **state)
{
  const FieldKernels *tables[3];
  const int count = field_kernels_usable(tables);

  (void)state;
  for (int t = 0; t < count; t++) {
    Batch *b = make_batch(5);

    take_roots(tables[t], b);
    for (int m = 0; m < COUNT; m++)
      for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) {
          double sum = 0, trace = 0;

          for (int k = 0; k < 5; k++) sum += element(b, b->root, m, i, k) * element(b, b->root, m, k, j);
          for (int k = 0; k < 5; k++) trace += element(b, b->matrix, m, k, k);
          assert_within(sum, element(b, b->matrix, m, i, j), 2e-15 * trace);
        }
    free(b);
  }
}

/* Two bins with correlation above 1: eigenvalues 1 + r > 0 and 1 - r < 0. */
static void negative_eigenvalues_become_0_and_are_counted(void **state)
{
  const FieldKernels *tables[3];
  const int count = field_kernels_usable(tables);

  (void)state;
  for (int t = 0; t < count; t++) {
    double matrix[3] = {1, 3, 1}; /* stride 1 */
    unsigned char negative = 9;

    tables[t]->roots(&(RootBatch){2, 1, 1, matrix, &negative});
    assert_int_equal(negative, 1);
    for (int p = 0; p < 3; p++) assert_close(matrix[p], 1, 1e-15); /* sqrt(4) (1, 1)/sqrt(2) (1, 1)^T/sqrt(2) */
  }
}

static void zero_and_diagonal_matrices_are_no_exception(void **state)
{
  const FieldKernels *tables[3];
  const int count = field_kernels_usable(tables);

  (void)state;
  for (int t = 0; t < count; t++) {
    double matrix[2 * 3] = {0, 4, 0, 0, 0, 9}; /* stride 2: the zero matrix and diag(4, 9) */
    unsigned char negative[2];

    tables[t]->roots(&(RootBatch){2, 2, 2, matrix, negative});
    assert_true(matrix[0] == 0 && matrix[2] == 0 && matrix[4] == 0);
    assert_true(matrix[1] == 2 && matrix[3] == 0 && matrix[5] == 3);
    assert_int_equal(negative[0] + negative[1], 0);
  }
}

static void correlation_is_the_product_with_the_root(void **state)
{
  enum { BINS = 3, PAIRS = 6 };
  const FieldKernels *tables[3];
  const int count = field_kernels_usable(tables);
  double root[PAIRS * STRIDE], z[2 * BINS * STRIDE], g[2 * BINS * STRIDE];

  (void)state;
  random_normal((RandomKey){.seed = 1, .stream = STREAM_FIELD}, 0, PAIRS * STRIDE, root);
  random_normal((RandomKey){.seed = 2, .stream = STREAM_FIELD}, 0, 2 * BINS * STRIDE, z);
  for (int t = 0; t < count; t++) {
    memcpy(g, z, sizeof z);
    tables[t]->correlate(&(CorrelateRow){BINS, COUNT, STRIDE, STRIDE, root, g});
    for (int i = 0; i < BINS; i++)
      for (int m = 0; m < 2 * STRIDE; m++) {
        double sum = 0;

        for (int j = 0; j < BINS; j++) sum += root[lensing_pair(BINS, i, j) * STRIDE + m / 2] * z[2 * j * STRIDE + m];
        if (m < 2 * COUNT)
          assert_within(g[2 * i * STRIDE + m], sum, 1e-14);
        else
          assert_true(g[2 * i * STRIDE + m] == z[2 * i * STRIDE + m]); /* beyond the row: untouched */
      }
  }
}

/* dA = L dL + dL L, so tr(M dA) = tr(S dL) for every dL if S = M L + L M. */
static void the_adjoint_of_roots_solves_sylvesters_equation(void **state)
{
  enum { BINS = 4 };
  const FieldKernels *tables[3];
  const int count = field_kernels_usable(tables);

  (void)state;
  for (int t = 0; t < count; t++) {
    Batch *b = make_batch(BINS);
    double given[MAX_PAIRS * STRIDE], adjoint[MAX_PAIRS * STRIDE];

    random_normal((RandomKey){.seed = 3, .stream = STREAM_FIELD}, 0, MAX_PAIRS * STRIDE, given);
    memcpy(adjoint, given, sizeof adjoint);
    take_roots(tables[t], b);
    tables[t]->root_adjoint(&(RootAdjointBatch){BINS, COUNT, STRIDE, b->matrix, adjoint});
    for (int m = 0; m < COUNT; m++)
      for (PetscInt i = 0; i < BINS; i++)
        for (PetscInt j = i; j < BINS; j++) {
          double sum = 0, size = 1;

          for (PetscInt k = 0; k < BINS; k++) {
            const double left = element(b, adjoint, m, i, k) * element(b, b->root, m, k, j);
            const double right = element(b, b->root, m, i, k) * element(b, adjoint, m, k, j);

            sum += left + right;
            size += fabs(left) + fabs(right);
          }
          assert_within(sum, element(b, given, m, i, j), 1e-9 * size); /* condition numbers of roots up to 1e4 */
        }
    free(b);
  }
}

static void the_adjoint_of_the_root_of_nothing_is_nothing(void **state)
{
  const FieldKernels *tables[3];
  const int count = field_kernels_usable(tables);
  const double matrix[3] = {0};

  (void)state;
  for (int t = 0; t < count; t++) {
    double adjoint[3] = {1, 2, 3};

    tables[t]->root_adjoint(&(RootAdjointBatch){2, 1, 1, matrix, adjoint});
    for (int i = 0; i < 3; i++) assert_true(adjoint[i] == 0);
  }
}

static void the_outer_product_is_symmetric_and_added(void **state)
{
  enum { BINS = 3 };
  const FieldKernels *tables[3];
  const int count = field_kernels_usable(tables);
  double a[2 * BINS * STRIDE], z[2 * BINS * STRIDE];

  (void)state;
  random_normal((RandomKey){.seed = 2, .stream = STREAM_FIELD}, 0, 2 * BINS * STRIDE, a);
  random_normal((RandomKey){.seed = 3, .stream = STREAM_FIELD}, 0, 2 * BINS * STRIDE, z);
  for (int t = 0; t < count; t++) {
    double product[MAX_PAIRS * STRIDE];

    for (int i = 0; i < MAX_PAIRS * STRIDE; i++) product[i] = 7;
    tables[t]->outer(&(OuterRow){BINS, COUNT, STRIDE, STRIDE, a, z, 0.3, product});
    for (PetscInt i = 0; i < BINS; i++)
      for (PetscInt j = i; j < BINS; j++)
        for (PetscInt m = 0; m < STRIDE; m++) {
          double sum = 0;

          for (PetscInt part = 2 * m; part < 2 * m + 2; part++)
            sum += a[2 * i * STRIDE + part] * z[2 * j * STRIDE + part] +
                   a[2 * j * STRIDE + part] * z[2 * i * STRIDE + part];
          assert_within(product[lensing_pair(BINS, i, j) * STRIDE + m], 7 + (m < COUNT ? 0.15 * sum : 0), 1e-13);
        }
  }
}

static void the_sum_of_squares_is_that(void **state)
{
  const FieldKernels *tables[3];
  const int usable = field_kernels_usable(tables);
  const double x[] = {1, -2, 3, -4, 5, -6, 7};

  (void)state;
  for (int t = 0; t < usable; t++)
    for (size_t count = 0, expected = 0; count <= 7; expected += (count + 1) * (count + 1), count++)
      assert_true(tables[t]->sum_square(count, x) == (double)expected);
}

/* Values from tiny to large and both signs, an odd number of them so that no vector fits exactly. */
static int grid(double low, double *x)
{
  int count = 0;

  for (double size = 1e-18; size < 30; size *= 1.37) {
    x[count++] = size;
    if (-size > low) x[count++] = -size;
  }
  if (count % 2 == 0) x[count++] = 0;
  return count;
}

static void elementary_functions_are_the_c_librarys(void **state)
{
  const FieldKernels *tables[3];
  const int usable = field_kernels_usable(tables);
  double x[400], y[400];

  (void)state;
  for (int t = 0; t < usable; t++) {
    int count = grid(-1, x);

    memcpy(y, x, sizeof x);
    tables[t]->logarithm((size_t)count, y);
    for (int i = 0; i < count; i++) assert_close(y[i], log1p(x[i]), 1e-15);
    count = grid(-100, x);
    memcpy(y, x, sizeof x);
    tables[t]->exponential((size_t)count, 3, y);
    for (int i = 0; i < count; i++) assert_close(y[i], 3 * exp(x[i]), 1e-14); /* n ln 2, n up to 43, is rounded */
    memcpy(y, x, sizeof x);
    tables[t]->lognormal((size_t)count, (const double[]){0.25, 0, 2}, y);
    for (int i = 0; i < count; i++) assert_close(y[i], 2 * expm1(0.25 * x[i]), 2e-15);
    memcpy(y, x, sizeof x);
    tables[t]->lognormal((size_t)count, (const double[]){0.25, 0.5, 2}, y);
    for (int i = 0; i < count; i++) assert_close(y[i], 2 * expm1(0.25 * x[i] - 0.5), 1e-14); /* zero crossing */
  }
}

/* A matrix next to it, or its place in the batch, changes nothing: maps do not depend on how modes are grouped. */
static void a_root_does_not_depend_on_its_place_in_the_batch(void **state)
{
  const FieldKernels *kernels = field_kernels_best();
  Batch *b = make_batch(5), *single = make_batch(5);
  unsigned char negative;

  (void)state;
  take_roots(kernels, b);
  for (int m = 0; m < COUNT; m++) kernels->roots(&(RootBatch){5, 1, STRIDE, single->root + m, &negative});
  for (int p = 0; p < 15; p++)
    for (int m = 0; m < COUNT; m++) assert_true(single->root[p * STRIDE + m] == b->root[p * STRIDE + m]);
  free(b), free(single);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(roots_are_lapacks), cmocka_unit_test(a_root_times_itself_is_the_matrix),
                   cmocka_unit_test(negative_eigenvalues_become_0_and_are_counted),
                   cmocka_unit_test(zero_and_diagonal_matrices_are_no_exception),
                   cmocka_unit_test(correlation_is_the_product_with_the_root),
                   cmocka_unit_test(the_adjoint_of_roots_solves_sylvesters_equation),
                   cmocka_unit_test(the_adjoint_of_the_root_of_nothing_is_nothing),
                   cmocka_unit_test(the_outer_product_is_symmetric_and_added),
                   cmocka_unit_test(the_sum_of_squares_is_that),
                   cmocka_unit_test(elementary_functions_are_the_c_librarys),
                   cmocka_unit_test(a_root_does_not_depend_on_its_place_in_the_batch))
