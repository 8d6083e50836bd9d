#include "fixtures.h"

enum { BINS = 2, PAIRS = 3 };

static double wavenumber(PetscInt y, PetscInt x, PetscInt ny, PetscInt nx)
{
  const double ky = 2 * M_PI * (double)(2 * y > ny ? y - ny : y) / ((double)ny * test_pixel);
  const double kx = 2 * M_PI * (double)x / ((double)nx * test_pixel);

  return hypot(kx, ky);
}

/* A power law is a straight line in log-log, which a spline meets exactly. */
static void check_power_law(PetscInt ny, PetscInt nx)
{
  const PetscInt columns = nx / 2 + 1;
  LensingSpectra *spectra = power_law_spectra(BINS, 0.5);
  double *power = calloc((size_t)(PAIRS * ny * columns), sizeof *power);

  assert_non_null(power);
  assert_ok(field_spectrum(spectra, ny, nx, test_pixel, power));
  for (PetscInt i = 0; i < BINS; i++)
    for (PetscInt j = i; j < BINS; j++) {
      const double *const pair = power + lensing_pair(BINS, i, j) * ny * columns;

      assert_true(pair[0] == 0);
      for (PetscInt m = 1; m < ny * columns; m++) {
        const double ell = wavenumber(m / columns, m % columns, ny, nx);

        assert_close(pair[m], power_law(i, j, 0.5, ell) / (test_pixel * test_pixel), 1e-13);
      }
    }
  free(power);
  assert_ok(lensing_spectra_destroy(&spectra));
}

static void the_power_of_a_mode_is_c_of_its_wavenumber_over_the_pixels_area(void **state)
{
  (void)state;
  check_power_law(16, 16);
  check_power_law(12, 20);
  check_power_law(20, 12);
  check_power_law(9, 15);
  check_power_law(13, 13);
}

static void beyond_the_table_power_is_constant(void **state)
{
  enum { N = 16, COLUMNS = 9 };
  LensingSpectra *spectra = power_law_spectra(1, 1);
  double power[N * COLUMNS];

  (void)state;
  for (int l = 0; l < ELL_COUNT; l++) spectra->ell[l] = 1000 + 10 * l; /* between modes (0, 1) at 561 and (0, 2) */
  assert_ok(field_spectrum(spectra, N, N, test_pixel, power));
  assert_close(power[1], spectra->power[0] / (test_pixel * test_pixel), 1e-14);
  assert_close(power[2], spectra->power[ELL_COUNT - 1] / (test_pixel * test_pixel), 1e-14);
  assert_close(power[COLUMNS * 8 + 8], spectra->power[ELL_COUNT - 1] / (test_pixel * test_pixel), 1e-14);
  assert_ok(lensing_spectra_destroy(&spectra));
}

/* Not-a-knot ends reproduce a cubic in ln ell; natural ones would not. */
static void a_cubic_in_log_log_is_met_exactly(void **state)
{
  enum { N = 16, COLUMNS = 9 };
  LensingSpectra *spectra = power_law_spectra(1, 1);
  double power[N * COLUMNS];

  (void)state;
  for (int l = 0; l < ELL_COUNT; l++) {
    spectra->ell[l] = 500 * pow(1.27, l); /* modes from 561 to 6347 lie in the first and the last interval too */
    const double x = log(spectra->ell[l] / 700);
    spectra->power[l] = exp(-20 - x - 0.2 * x * x + 0.05 * x * x * x);
  }
  assert_ok(field_spectrum(spectra, N, N, test_pixel, power));
  for (int m = 1; m < N * COLUMNS; m++) {
    const double x = log(wavenumber(m / COLUMNS, m % COLUMNS, N, N) / 700);

    assert_close(power[m], exp(-20 - x - 0.2 * x * x + 0.05 * x * x * x) / (test_pixel * test_pixel), 1e-12);
  }
  assert_ok(lensing_spectra_destroy(&spectra));
}

static void a_cross_power_that_changes_sign_is_interpolated_itself(void **state)
{
  enum { N = 16, COLUMNS = 9 };
  LensingSpectra *spectra = power_law_spectra(2, 1);
  double *cross = spectra->power + lensing_pair(2, 0, 1) * ELL_COUNT, power[3 * N * COLUMNS];

  (void)state;
  for (int l = 0; l < ELL_COUNT; l++) cross[l] = 1e-9 * log(spectra->ell[l] / 1500); /* linear in ln ell */
  assert_ok(field_spectrum(spectra, N, N, test_pixel, power));
  for (int m = 1; m < N * COLUMNS; m++) {
    const double ell = wavenumber(m / COLUMNS, m % COLUMNS, N, N);

    assert_within(power[N * COLUMNS + m] * test_pixel * test_pixel, 1e-9 * log(ell / 1500), 1e-21);
    assert_close(power[m] * test_pixel * test_pixel, power_law(0, 0, 1, ell), 1e-13);
  }
  assert_ok(lensing_spectra_destroy(&spectra));
}

static void refuse(LensingSpectra *spectra, const char *message)
{
  double power[8 * 5];

  assert_fails(field_spectrum(spectra, 8, 8, test_pixel, power), NEPHRITE_ERR_INPUT, message);
}

static void tables_that_are_no_spectra_are_refused(void **state)
{
  LensingSpectra *spectra = power_law_spectra(1, 1);

  (void)state;
  spectra->ell_count = 3;
  refuse(spectra, "C_ij(ell) has 3 multipoles");
  spectra->ell_count = ELL_COUNT;
  spectra->power[5] = NAN;
  refuse(spectra, "pair 0 at ell = 640");
  spectra->power[5] = 1e-9;
  spectra->ell[4] = spectra->ell[3];
  refuse(spectra, "multipole 4 of C_ij(ell) is 160");
  spectra->ell[4] = 320;
  spectra->ell[0] = 0;
  refuse(spectra, "multipole 0 of C_ij(ell) is 0");
  assert_ok(lensing_spectra_destroy(&spectra));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_power_of_a_mode_is_c_of_its_wavenumber_over_the_pixels_area),
                   cmocka_unit_test(beyond_the_table_power_is_constant),
                   cmocka_unit_test(a_cubic_in_log_log_is_met_exactly),
                   cmocka_unit_test(a_cross_power_that_changes_sign_is_interpolated_itself),
                   cmocka_unit_test(tables_that_are_no_spectra_are_refused))
