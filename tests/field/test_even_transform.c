#include "field/internal.h"
#include "fixtures.h"

/* The sum itself: a quarter of an even map, its other parts by mirroring. */
static double plain_sum(PetscInt ny, PetscInt nx, const double *in, PetscInt v, PetscInt u)
{
  double sum = 0;

  for (PetscInt y = 0; y < ny; y++)
    for (PetscInt x = 0; x < nx; x++) {
      const PetscInt qy = 2 * y > ny ? ny - y : y, qx = 2 * x > nx ? nx - x : x;

      sum += in[qy * (nx / 2 + 1) + qx] * cos(2 * M_PI * ((double)(v * y) / (double)ny + (double)(u * x) / (double)nx));
    }
  return sum;
}

static void check(PetscInt ny, PetscInt nx)
{
  const PetscInt rows = ny / 2 + 1, columns = nx / 2 + 1;
  const size_t size = (size_t)(rows * columns);
  double *in = calloc(3 * size, sizeof *in), *out = in + size, *back = in + 2 * size;
  EvenTransform *transform = NULL;

  assert_non_null(in);
  random_normal((RandomKey){.seed = 1, .stream = STREAM_FIELD}, 0, size, in);
  assert_ok(even_transform_create(ny, nx, &transform));
  even_transform(transform, in, out);
  for (PetscInt i = 0; i < rows * columns; i++)
    assert_within(out[i], plain_sum(ny, nx, in, i / columns, i % columns), 1e-12 * sqrt((double)(nx * ny)));
  memcpy(back, out, size * sizeof *out);
  even_transform(transform, back, back); /* in place; its own inverse but for the number of pixels */
  for (size_t i = 0; i < size; i++) assert_within(back[i] / (double)(nx * ny), in[i], 1e-13);
  assert_ok(even_transform_destroy(&transform));
  assert_null(transform);
  free(in);
}

static void it_is_the_fourier_sum_and_its_own_inverse(void **state)
{
  (void)state;
  check(16, 16);
  check(12, 18);
  check(18, 12);
  check(9, 14);
  check(7, 15);
  check(2, 2);
  check(2, 3);
  check(40, 34); /* more than a tile of the transposition */
}

/* What rounding leaves in unused parts of the work space must not grow from one transform to the next. */
static void a_transform_does_not_depend_on_those_before_it(void **state)
{
  const PetscInt sizes[] = {8, 30, 64, 100, 128, 256, 384, 512};

  (void)state;
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    const size_t size = (size_t)((sizes[s] / 2 + 1) * (sizes[s] / 2 + 1));
    double *in = calloc(3 * size, sizeof *in), *first = in + size, *again = in + 2 * size;
    EvenTransform *transform = NULL;

    assert_non_null(in);
    random_normal((RandomKey){.seed = 1, .stream = STREAM_FIELD}, 0, size, in);
    assert_ok(even_transform_create(sizes[s], sizes[s], &transform));
    even_transform(transform, in, first);
    for (int times = 0; times < 60; times++) even_transform(transform, in, again);
    assert_memory_equal(again, first, size * sizeof *first);
    assert_ok(even_transform_destroy(&transform));
    free(in);
  }
}

static void a_quarter_is_mirrored_across_the_diagonal_of_whole_square_grids_alone(void **state)
{
  double square[9] = {1, 2, 3, 0, 4, 5, 0, 0, 6}, oblong[6] = {1, 2, 3, 0, 4, 5}, part[6] = {1, 2, 3, 0, 4, 5};
  const FieldGrid whole_square = whole_grid(4, 4, 1), whole_oblong = whole_grid(3, 4, 1);
  const FieldGrid two_rows = {4, 4, 1, 0, 2};

  (void)state;
  quarter_mirror(&whole_square, square);
  assert_memory_equal(square, ((const double[]){1, 2, 3, 2, 4, 5, 3, 5, 6}), sizeof square);
  quarter_mirror(&whole_oblong, oblong);
  assert_memory_equal(oblong, ((const double[]){1, 2, 3, 0, 4, 5}), sizeof oblong);
  quarter_mirror(&two_rows, part);
  assert_memory_equal(part, ((const double[]){1, 2, 3, 0, 4, 5}), sizeof part);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(it_is_the_fourier_sum_and_its_own_inverse),
                   cmocka_unit_test(a_transform_does_not_depend_on_those_before_it),
                   cmocka_unit_test(a_quarter_is_mirrored_across_the_diagonal_of_whole_square_grids_alone))
