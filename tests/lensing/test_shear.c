/* nephrite-test: mpi */
#include "fixtures.h"
#include "reference_file.h"

#include <complex.h>

static double rms(const double *map, size_t count)
{
  double sum = 0;

  for (size_t i = 0; i < count; i++) sum += map[i] * map[i];
  return sqrt(sum / (double)count);
}

/* White noise without its k = 0 and Nyquist modes, where shear says nothing or not all. */
static double *smooth_map(PetscInt ny, PetscInt nx, uint64_t index)
{
  const size_t pixels = (size_t)(ny * nx);
  double *map = white_map(index, pixels);
  Fourier *fourier = NULL;

  assert_ok(fourier_create(ny, nx, &fourier));
  memcpy(fourier_map(fourier), map, pixels * sizeof *map);
  fourier_forward(fourier);
  for (PetscInt y = 0; y < ny; y++)
    for (PetscInt x = 0; x <= nx / 2; x++)
      if ((!x && !y) || 2 * x == nx || 2 * y == ny) fourier_modes(fourier)[y * (nx / 2 + 1) + x] = 0;
  fourier_inverse(fourier);
  for (size_t i = 0; i < pixels; i++) map[i] = fourier_map(fourier)[i] / (double)pixels;
  assert_ok(fourier_destroy(&fourier));
  return map;
}

static void shear_of_the_reference_map_is_the_reference_shear(void **state)
{
  enum { N = 64, BINS = 5, PIXELS = N * N };
  double *kappa = reference_read("field.h5", "convergence_lognormal", NULL);
  double *expected = reference_read("field.h5", "shear", NULL);
  double *gamma = room(2 * PIXELS, sizeof *gamma);
  ShearTransform *transform = NULL;

  (void)state;
  assert_ok(shear_transform_create(N, N, &transform));
  for (size_t bin = 0; bin < BINS; bin++) {
    const double *const reference = expected + bin * 2 * PIXELS;
    const double scale = rms(reference, 2 * PIXELS);

    assert_ok(shear_from_convergence(transform, kappa + bin * PIXELS, gamma, gamma + PIXELS));
    for (size_t i = 0; i < 2 * PIXELS; i++) assert_within(gamma[i], reference[i], 1e-12 * scale); /* double FFTs */
  }
  assert_ok(shear_transform_destroy(&transform));
  free(kappa), free(expected), free(gamma);
}

static void a_wave_along_x_shears_along_x_and_a_diagonal_one_in_gamma_2(void **state)
{
  enum { NY = 12, NX = 16, PIXELS = NY * NX };
  double kappa[PIXELS], gamma1[PIXELS], gamma2[PIXELS];
  ShearTransform *transform = NULL;

  (void)state;
  assert_ok(shear_transform_create(NY, NX, &transform));
  for (int i = 0; i < PIXELS; i++) kappa[i] = cos(2 * M_PI * 3 * (i % NX) / NX);
  assert_ok(shear_from_convergence(transform, kappa, gamma1, gamma2));
  for (int i = 0; i < PIXELS; i++) {
    assert_within(gamma1[i], kappa[i], 1e-14);
    assert_within(gamma2[i], 0, 1e-14);
  }
  /* k_x = 4/16 = k_y = 3/12 cycles per pixel: at 45 degrees in the sky though not in the grid's indices */
  for (int i = 0; i < PIXELS; i++) kappa[i] = cos(2 * M_PI * 0.25 * (i % NX + i / NX));
  assert_ok(shear_from_convergence(transform, kappa, gamma1, gamma2));
  for (int i = 0; i < PIXELS; i++) {
    assert_within(gamma1[i], 0, 1e-14);
    assert_within(gamma2[i], kappa[i], 1e-14);
  }
  assert_ok(shear_transform_destroy(&transform));
}

static void check_round_trip(PetscInt ny, PetscInt nx)
{
  const size_t pixels = (size_t)(ny * nx);
  double *kappa = smooth_map(ny, nx, 1), *gamma = room(2 * pixels, sizeof *gamma);
  double *e = room(pixels, sizeof *e), *b = room(pixels, sizeof *b);
  ShearTransform *transform = NULL;

  assert_ok(shear_transform_create(ny, nx, &transform));
  assert_ok(shear_from_convergence(transform, kappa, gamma, gamma + pixels));
  /* |c|^2 + |s|^2 = 1 on all these modes, so by Parseval the shear has the convergence's power */
  assert_close(rms(gamma, 2 * pixels) * sqrt(2), rms(kappa, pixels), 1e-12);
  assert_ok(convergence_from_shear(transform, gamma, gamma + pixels, e, b));
  for (size_t i = 0; i < pixels; i++) {
    assert_within(e[i], kappa[i], 1e-12);
    assert_within(b[i], 0, 1e-12);
  }
  assert_ok(shear_transform_destroy(&transform));
  free(kappa), free(gamma), free(e), free(b);
}

static void convergence_comes_back_from_its_shear_without_b_mode(void **state)
{
  (void)state;
  check_round_trip(16, 16);
  check_round_trip(12, 20);
  check_round_trip(15, 9); /* odd: no Nyquist lines */
  check_round_trip(14, 7);
}

static void a_shear_turned_by_45_degrees_is_all_b_mode(void **state)
{
  enum { N = 16, PIXELS = N * N };
  double *kappa = smooth_map(N, N, 2), gamma1[PIXELS], gamma2[PIXELS], e[PIXELS], b[PIXELS];
  ShearTransform *transform = NULL;

  (void)state;
  assert_ok(shear_transform_create(N, N, &transform));
  assert_ok(shear_from_convergence(transform, kappa, gamma1, gamma2));
  for (int i = 0; i < PIXELS; i++) gamma2[i] = -gamma2[i];
  assert_ok(convergence_from_shear(transform, gamma2, gamma1, e, b)); /* (g1, g2) -> (-g2, g1) */
  for (int i = 0; i < PIXELS; i++) {
    assert_within(e[i], 0, 1e-12);
    assert_within(b[i], kappa[i], 1e-12);
  }
  assert_ok(shear_transform_destroy(&transform));
  free(kappa);
}

static void a_constant_convergence_has_no_shear_and_does_not_come_back(void **state)
{
  enum { N = 8, PIXELS = N * N };
  double kappa[PIXELS], gamma1[PIXELS], gamma2[PIXELS], e[PIXELS];
  ShearTransform *transform = NULL;

  (void)state;
  for (int i = 0; i < PIXELS; i++) kappa[i] = 3;
  assert_ok(shear_transform_create(N, N, &transform));
  assert_ok(shear_from_convergence(transform, kappa, gamma1, gamma2));
  for (int i = 0; i < PIXELS; i++) assert_true(fabs(gamma1[i]) < 1e-14 && fabs(gamma2[i]) < 1e-14);
  assert_ok(convergence_from_shear(transform, kappa, kappa, e, NULL));
  for (int i = 0; i < PIXELS; i++) assert_true(fabs(e[i]) < 1e-14);
  assert_ok(shear_transform_destroy(&transform));
}

/* k_x on its Nyquist line, k_y not: gamma_2 would not be real, gamma_1 alone carries the mode. */
static void a_nyquist_mode_is_sheared_by_gamma_1_alone_and_recovered(void **state)
{
  enum { N = 16, PIXELS = N * N };
  double kappa[PIXELS], gamma1[PIXELS], gamma2[PIXELS], e[PIXELS];
  const double c = (64. - 9) / (64 + 9); /* frequencies 8 and 3 of 16 */
  ShearTransform *transform = NULL;

  (void)state;
  for (int i = 0; i < PIXELS; i++) kappa[i] = (i % 2 ? -1 : 1) * cos(2 * M_PI * 3 * (i / N) / N);
  assert_ok(shear_transform_create(N, N, &transform));
  assert_ok(shear_from_convergence(transform, kappa, gamma1, gamma2));
  assert_ok(convergence_from_shear(transform, gamma1, gamma2, e, NULL));
  for (int i = 0; i < PIXELS; i++) {
    assert_within(gamma1[i], c * kappa[i], 1e-13);
    assert_within(gamma2[i], 0, 1e-13);
    assert_within(e[i], kappa[i], 1e-13);
  }
  assert_ok(shear_project(transform, gamma1, gamma2, e, NULL));
  for (int i = 0; i < PIXELS; i++) assert_within(e[i], c * c * kappa[i], 1e-13);
  assert_close(shear_transform_visibility(transform, 3, N / 2), c * c, 1e-14);
  assert_ok(shear_transform_destroy(&transform));
}

/* <shear(kappa), gamma> = <kappa, E> for any kappa and gamma, and E, B are the inverse's but on the Nyquist lines. */
static void the_projection_is_the_adjoint_of_shear(void **state)
{
  enum { NY = 12, NX = 16, PIXELS = NY * NX };
  double *kappa = white_map(3, PIXELS), *gamma = white_map(4, 2 * PIXELS), sheared[2 * PIXELS], e[PIXELS], b[PIXELS];
  double left = 0, right = 0, power = 0, kept = 0;
  ShearTransform *transform = NULL;

  (void)state;
  assert_ok(shear_transform_create(NY, NX, &transform));
  assert_ok(shear_from_convergence(transform, kappa, sheared, sheared + PIXELS));
  assert_ok(shear_project(transform, gamma, gamma + PIXELS, e, b));
  for (int i = 0; i < 2 * PIXELS; i++) left += sheared[i] * gamma[i], power += gamma[i] * gamma[i];
  for (int i = 0; i < PIXELS; i++) right += kappa[i] * e[i], kept += e[i] * e[i] + b[i] * b[i];
  assert_within(left, right, 1e-11);
  assert_true(kept < power && kept > 0.8 * power); /* lost: the mean, and parts of the Nyquist lines */
  assert_ok(shear_transform_destroy(&transform));
  free(kappa), free(gamma);
}

static void a_map_without_pixels_is_refused(void **state)
{
  ShearTransform *transform = NULL;

  (void)state;
  assert_fails(shear_transform_create(0, 8, &transform), NEPHRITE_ERR_INTERNAL, "0 x 8 pixels");
  assert_ok(shear_transform_destroy(&transform));
  assert_null(transform);
  assert_ok(shear_transform_destroy(&transform)); /* NULL is accepted */
}

static void factors_are_those_of_kaiser_and_squires(void **state)
{
  ShearTransform *transform = NULL;
  double c, s;

  (void)state;
  assert_ok(shear_transform_create(8, 8, &transform));
  shear_transform_factors(transform, 0, 0, &c, &s); /* the mean */
  assert_true(c == 0 && s == 0);
  shear_transform_factors(transform, 6, 1, &c, &s); /* k = (1, -2) */
  assert_close(c, -0.6, 1e-15);
  assert_close(s, -0.8, 1e-15);
  shear_transform_factors(transform, 1, 4, &c, &s); /* on a Nyquist line */
  assert_close(c, 15. / 17, 1e-15);
  assert_true(s == 0);
  assert_ok(shear_transform_destroy(&transform));
}

/* Of a slab: some rows of a map [ny][nx]. */
typedef struct {
  PetscInt first, rows;
} Rows;

static Rows rows_here(PetscInt ny, PetscInt nx)
{
  Fourier *fourier = NULL;
  Rows r = {0};

  assert_ok(fourier_create_slab(PETSC_COMM_WORLD, ny, nx, &fourier));
  r.rows = fourier_part(fourier).rows;
  assert_ok(fourier_destroy(&fourier));
  MPI_Exscan(&r.rows, &r.first, 1, MPIU_INT, MPI_SUM, PETSC_COMM_WORLD);
  return r;
}

static void compare_rows(const Rows *r, PetscInt nx, const double *ours, const double *whole)
{
  for (PetscInt i = 0; i < r->rows * nx; i++) assert_within(ours[i], whole[r->first * nx + i], 1e-13); /* of 1 */
}

static void check_slab(PetscInt ny, PetscInt nx)
{
  const size_t pixels = (size_t)(ny * nx);
  double *map = white_map(5, 2 * pixels), *whole = room(2 * pixels, sizeof *whole),
         *ours = room(2 * pixels, sizeof *ours);
  ShearTransform *alone = NULL, *together = NULL;
  const Rows r = rows_here(ny, nx);
  const double *const here = map + r.first * nx;

  assert_ok(shear_transform_create(ny, nx, &alone));
  assert_ok(shear_transform_create_slab(PETSC_COMM_WORLD, ny, nx, &together));
  assert_ok(shear_from_convergence(alone, map, whole, whole + pixels));
  assert_ok(shear_from_convergence(together, here, ours, ours + pixels));
  compare_rows(&r, nx, ours, whole);
  compare_rows(&r, nx, ours + pixels, whole + pixels);
  assert_ok(shear_project(alone, map, map + pixels, whole, whole + pixels));
  assert_ok(shear_project(together, here, here + pixels, ours, ours + pixels));
  compare_rows(&r, nx, ours, whole);
  compare_rows(&r, nx, ours + pixels, whole + pixels);
  assert_ok(shear_transform_destroy(&alone));
  assert_ok(shear_transform_destroy(&together));
  free(map), free(whole), free(ours);
}

static void a_map_sheared_together_is_sheared_as_on_one_rank(void **state)
{
  (void)state;
  check_slab(16, 16);
  check_slab(12, 20);
  check_slab(15, 9);
  check_slab(6, 16); /* 2, 2 and 2 of 6 rows on 4 ranks */
  check_slab(16, 4); /* 1, 1 and 1 of 3 columns */
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_map_sheared_together_is_sheared_as_on_one_rank),
                   cmocka_unit_test(factors_are_those_of_kaiser_and_squires),
                   cmocka_unit_test(shear_of_the_reference_map_is_the_reference_shear),
                   cmocka_unit_test(a_wave_along_x_shears_along_x_and_a_diagonal_one_in_gamma_2),
                   cmocka_unit_test(convergence_comes_back_from_its_shear_without_b_mode),
                   cmocka_unit_test(a_shear_turned_by_45_degrees_is_all_b_mode),
                   cmocka_unit_test(a_constant_convergence_has_no_shear_and_does_not_come_back),
                   cmocka_unit_test(a_nyquist_mode_is_sheared_by_gamma_1_alone_and_recovered),
                   cmocka_unit_test(the_projection_is_the_adjoint_of_shear),
                   cmocka_unit_test(a_map_without_pixels_is_refused))
