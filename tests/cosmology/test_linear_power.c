#include "fixtures.h"

/* A finer and wider grid than the one that normalised the power. */
static double sigma_8_by_integration(const MatterPower *power)
{
  enum { POINTS = 40000 };
  const double first = log(1e-6), step = (log(1e3) - first) / POINTS;
  double sum = 0;

  for (int i = 0; i <= POINTS; i++) {
    const double k = exp(first + i * step), x = 8 * k;
    const double W = x > 1e-2 ? 3 * (sin(x) - x * cos(x)) / (x * x * x) : 1 - x * x / 10;

    sum += step * k * k * k * matter_power_linear(power, k, 0) * W * W / (2 * M_PI * M_PI);
  }
  return sqrt(sum);
}

static void sigma_8_is_recovered_by_integrating_the_power(void **state)
{
  (void)state;
  for (uint64_t draw = 0; draw < 20; draw++) {
    Universe u = universe_make(prior_universe(draw), 1);

    assert_close(sigma_8_by_integration(u.power), u.cosmology.sigma_8,
                 1e-6); /* the power law assumed below 1e-4 h/Mpc */
    assert_close(matter_power_sigma_8(u.power), u.cosmology.sigma_8, 1e-12);
    universe_free(&u);
  }
}

static void power_below_the_grid_counts_in_sigma_8(void **state)
{
  /* a universe whose power peaks below 1e-3 h/Mpc */
  const Cosmology diffuse = {.Omega_c = 0.01, .Omega_b = 0.01, .sigma_8 = 0.8, .h = 0.35, .n_s = 0.2, .w_0 = -1};
  Universe u = universe_make(diffuse, 1);

  (void)state;
  assert_close(sigma_8_by_integration(u.power), 0.8, 1e-4); /* T is not quite 1 at 1e-4 h/Mpc */
  universe_free(&u);
}

static void power_is_scale_invariant_up_to_n_s_at_large_scales(void **state)
{
  Universe u = universe_make((Cosmology)FIDUCIAL, 1);

  (void)state;
  assert_close(log(matter_power_linear(u.power, 2e-6, 0) / matter_power_linear(u.power, 1e-6, 0)) / log(2), 0.9645,
               1e-4);
  universe_free(&u);
}

static void power_grows_as_the_square_of_growth(void **state)
{
  Universe u = universe_make((Cosmology)FIDUCIAL, 3);

  (void)state;
  for (double z = 0.5; z <= 3; z += 0.5)
    assert_close(matter_power_linear(u.power, 0.1, z) / matter_power_linear(u.power, 0.1, 0),
                 pow(growth_factor(u.growth, z), 2), 1e-14);
  universe_free(&u);
}

static void the_tabulated_power_is_the_power_at_the_grid_s_wavenumbers(void **state)
{
  Universe u = universe_make((Cosmology)FIDUCIAL, 3);

  (void)state;
  for (int i = 0; i < POWER_POINTS; i += 32)
    assert_close(matter_power_linear_today(u.power)[i],
                 matter_power_linear(u.power, POWER_K_MIN * exp(i * POWER_LN_K_STEP), 0), 1e-12);
  assert_close(POWER_K_MIN, exp(POWER_LN_K_MIN), 1e-14);
  universe_free(&u);
}

static void linear_power_agrees_with_ccl(void **state)
{
  size_t models, wavenumbers;
  double *theta = reference_read("cosmology.h5", "theta", &models),
         *k = reference_read("cosmology.h5", "k", &wavenumbers);
  double *z = reference_read("cosmology.h5", "z_power", NULL),
         *P = reference_read("cosmology.h5", "ccl/P_linear", NULL);

  (void)state;
  for (size_t m = 0; m < models / 6; m++) {
    Universe u = universe_make(reference_cosmology(theta, m), 3);

    for (size_t row = 0; row < 4; row++)
      for (size_t i = 0; i < wavenumbers; i++) /* ccl interpolates: 1e-5 at the wiggles of Omega_c = 0.05 */
        assert_close(matter_power_linear(u.power, k[i], z[row]), P[(m * 4 + row) * wavenumbers + i], 5e-5);
    universe_free(&u);
  }
  free(theta), free(k), free(z), free(P);
}

static void an_unphysical_universe_is_refused(void **state)
{
  const Cosmology unphysical = {.Omega_c = 0.3, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 7, .w_0 = -1};
  Universe u = universe_make((Cosmology)FIDUCIAL, 3);
  MatterPower *power = NULL;

  (void)state;
  assert_fails(matter_power_create(&unphysical, u.growth, &power), NEPHRITE_ERR_INPUT, "n_s is 7");
  assert_ok(matter_power_destroy(&power));
  universe_free(&u);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(sigma_8_is_recovered_by_integrating_the_power),
                   cmocka_unit_test(power_below_the_grid_counts_in_sigma_8),
                   cmocka_unit_test(power_is_scale_invariant_up_to_n_s_at_large_scales),
                   cmocka_unit_test(power_grows_as_the_square_of_growth),
                   cmocka_unit_test(the_tabulated_power_is_the_power_at_the_grid_s_wavenumbers),
                   cmocka_unit_test(linear_power_agrees_with_ccl), cmocka_unit_test(an_unphysical_universe_is_refused))
