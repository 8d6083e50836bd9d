#include "fixtures.h"

static void nonlinear_power_agrees_with_ccl(void **state)
{
  size_t models, wavenumbers;
  double *theta = reference_read("cosmology.h5", "theta", &models),
         *k = reference_read("cosmology.h5", "k", &wavenumbers);
  double *z = reference_read("cosmology.h5", "z_power", NULL),
         *P = reference_read("cosmology.h5", "ccl/P_nonlinear", NULL);

  (void)state;
  for (size_t m = 0; m < models / 6; m++) {
    Universe u = universe_make(reference_cosmology(theta, m), 3);

    for (size_t row = 0; row < 4; row++)
      for (size_t i = 0; i < wavenumbers; i++) {
        /* ccl ends its variance integral early: 2e-3 where the nonlinear scale is beyond 10 h/Mpc (z = 2), else 5e-5 */
        const double tolerance = z[row] > 1.5 ? 2e-3 : 5e-5;

        if (k[i] < 1e-3 || k[i] > 20) continue;
        assert_close(matter_power_nonlinear(u.power, k[i], z[row]), P[(m * 4 + row) * wavenumbers + i], tolerance);
      }
    universe_free(&u);
  }
  free(theta), free(k), free(z), free(P);
}

static void a_row_is_the_nonlinear_power_at_the_grid_s_wavenumbers(void **state)
{
  static double row[POWER_POINTS];

  (void)state;
  for (uint64_t draw = 0; draw < 20; draw++) {
    Universe u = universe_make(prior_universe(draw), 5);

    for (double z = 0; z < 5; z += 1.3) {
      matter_power_nonlinear_row(u.power, z, row);
      for (int i = 0; i < POWER_POINTS; i += 16) /* the row's powers of k are running products */
        assert_close(row[i], matter_power_nonlinear(u.power, POWER_K_MIN * exp(i * POWER_LN_K_STEP), z), 1e-9);
    }
    universe_free(&u);
  }
}

static void nonlinear_power_is_the_linear_one_at_large_scales_and_more_at_small(void **state)
{
  Universe u = universe_make((Cosmology)FIDUCIAL, 1);

  (void)state;
  assert_close(matter_power_nonlinear(u.power, 1e-3, 0), matter_power_linear(u.power, 1e-3, 0), 1e-2);
  assert_true(matter_power_nonlinear(u.power, 3, 0) > 5 * matter_power_linear(u.power, 3, 0));
  universe_free(&u);
}

static void without_a_nonlinear_scale_power_is_linear(void **state)
{
  static double row[POWER_POINTS];
  const Cosmology smooth = {.Omega_c = 0.05, .Omega_b = 0.0492, .sigma_8 = 0.5, .h = 0.6727, .n_s = 0.9645, .w_0 = -2};
  Universe u = universe_make(smooth, 10);
  double z = 0;

  (void)state;
  while (z < 10 && matter_power_has_nonlinear_scale(u.power, z)) z += 0.1;
  assert_true(z < 9);
  matter_power_nonlinear_row(u.power, z, row);
  for (int i = 0; i < POWER_POINTS; i++) {
    const double k = POWER_K_MIN * exp(i * POWER_LN_K_STEP);

    assert_close(row[i], matter_power_linear(u.power, k, z), 1e-12);
    assert_close(matter_power_nonlinear(u.power, k, z), matter_power_linear(u.power, k, z), 1e-12);
  }
  universe_free(&u);
}

static void power_is_finite_and_positive_in_every_universe_of_the_prior(void **state)
{
  static double row[POWER_POINTS];

  (void)state;
  for (uint64_t draw = 0; draw < 300; draw++) {
    Universe u = universe_make(prior_universe(draw), 10);

    for (double z = 0; z <= 10; z += 2) {
      matter_power_nonlinear_row(u.power, z, row);
      for (int i = 0; i < POWER_POINTS; i++)
        if (!(row[i] >= 0 && row[i] < 1e9)) fail_msg("draw %d z %g k[%d]: P = %g", (int)draw, z, i, row[i]);
    }
    universe_free(&u);
  }
}

static void power_is_finite_at_the_corners_of_what_is_physical(void **state)
{
  static double row[POWER_POINTS];
  const double Omega_c[] = {0, 0.01, 0.9}, Omega_b[] = {1e-4, 0.03, 0.08}, sigma_8[] = {0.01, 0.3, 2},
               w_0[] = {-3, -0.1};
  const double n_s[] = {0.5, 1.5}, h[] = {0.3, 1.2};

  (void)state;
  for (int corner = 0; corner < 3 * 3 * 3 * 2 * 2 * 2; corner++) {
    const Cosmology cosmology = {.Omega_c = Omega_c[corner % 3],
                                 .Omega_b = Omega_b[corner / 3 % 3],
                                 .sigma_8 = sigma_8[corner / 9 % 3],
                                 .w_0 = w_0[corner / 27 % 2],
                                 .n_s = n_s[corner / 54 % 2],
                                 .h = h[corner / 108]};
    Universe u = universe_make(cosmology, 10);

    for (double z = 0; z <= 10; z += 5) {
      matter_power_nonlinear_row(u.power, z, row);
      for (int i = 0; i < POWER_POINTS; i++)
        if (!(row[i] >= 0 && isfinite(row[i]))) fail_msg("corner %d z %g k[%d]: P = %g", corner, z, i, row[i]);
    }
    universe_free(&u);
  }
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(nonlinear_power_agrees_with_ccl),
                   cmocka_unit_test(a_row_is_the_nonlinear_power_at_the_grid_s_wavenumbers),
                   cmocka_unit_test(nonlinear_power_is_the_linear_one_at_large_scales_and_more_at_small),
                   cmocka_unit_test(without_a_nonlinear_scale_power_is_linear),
                   cmocka_unit_test(power_is_finite_and_positive_in_every_universe_of_the_prior),
                   cmocka_unit_test(power_is_finite_at_the_corners_of_what_is_physical))
