#include "fixtures.h"

static void growth_in_a_matter_only_universe_is_the_scale_factor(void **state)
{
  const Cosmology cosmology = EINSTEIN_DE_SITTER;
  const double z[] = {0, 0.5, 1, 3, 10};
  Growth *growth = NULL;

  (void)state;
  assert_ok(growth_create(&cosmology, 10, &growth));
  for (size_t i = 0; i < 5; i++) {
    assert_close(growth_factor(growth, z[i]), 1 / (1 + z[i]), 1e-8); /* ODE tolerance, Hermite */
    assert_close(growth_epsilon(growth, z[i]), 3. / 7, 1e-8);
  }
  assert_ok(growth_destroy(&growth));
  assert_null(growth);
}

static void growth_with_a_cosmological_constant_is_heaths_integral(void **state)
{
  /* D ~ E int da/(a E)^3 (Heath 1977), exact for w = -1; by midpoints, whose error goes as the step squared */
  const Cosmology cosmology = FIDUCIAL;
  const double Omega_m = 0.3156, z = 0.8;
  double integral[2] = {0};
  Growth *growth = NULL;

  (void)state;
  for (int end = 0; end < 2; end++) {
    enum { STEPS = 20000 };
    const double last = end ? 1 / (1 + z) : 1;

    for (int i = 0; i < STEPS; i++) {
      const double a = (i + 0.5) * last / STEPS, E2 = Omega_m / (a * a * a) + 1 - Omega_m;

      integral[end] += last / STEPS / pow(a * a * E2, 1.5);
    }
    integral[end] *= sqrt(Omega_m / (last * last * last) + 1 - Omega_m);
  }
  assert_ok(growth_create(&cosmology, 2, &growth));
  assert_close(growth_factor(growth, z), integral[1] / integral[0], 1e-6); /* D = a at a = 1e-3 neglects dark energy */
  assert_ok(growth_destroy(&growth));
}

static void growth_agrees_with_ccl(void **state)
{
  size_t models, redshifts;
  double *theta = reference_read("cosmology.h5", "theta", &models);
  double *z = reference_read("cosmology.h5", "z_distance", &redshifts);
  double *factor = reference_read("cosmology.h5", "ccl/growth_factor", NULL);

  (void)state;
  for (size_t m = 0; m < models / 6; m++) {
    const Cosmology cosmology = reference_cosmology(theta, m);
    Growth *growth = NULL;

    assert_ok(growth_create(&cosmology, 3, &growth));
    for (size_t i = 0; i < redshifts; i++) /* ccl's own ODE tolerance */
      assert_close(growth_factor(growth, z[i]), factor[m * redshifts + i], 2e-6);
    assert_ok(growth_destroy(&growth));
  }
  free(theta), free(z), free(factor);
}

static void second_order_growth_obeys_its_equation(void **state)
{
  /* D2'' + (2 + E'/E) D2' = 3/2 Omega_m(a) (D2 - D^2) by central differences in ln a; D2 = -epsilon D^2 */
  const Cosmology cosmology = {
      .Omega_c = 0.15, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 1, .w_0 = -0.6, .w_a = 0.3};
  const double step = 0.03;
  Growth *growth = NULL;
  Background *background = NULL;

  (void)state;
  assert_ok(growth_create(&cosmology, 5, &growth));
  assert_ok(background_create(&cosmology, 5, &background));
  for (double ln_a = -1.5; ln_a < -0.1; ln_a += 0.1) {
    double D2[3], ln_E[3], D = 0;

    for (int i = 0; i < 3; i++) {
      const double z = expm1(-(ln_a + (i - 1) * step));

      D = growth_factor(growth, z);
      D2[i] = -growth_epsilon(growth, z) * D * D;
      ln_E[i] = log(background_expansion(background, z));
    }
    D = growth_factor(growth, expm1(-ln_a));
    const double second = (D2[2] - 2 * D2[1] + D2[0]) / (step * step), first = (D2[2] - D2[0]) / (2 * step);
    const double friction = 2 + (ln_E[2] - ln_E[0]) / (2 * step);

    assert_close(second + friction * first, 1.5 * background_Omega_m(background, expm1(-ln_a)) * (D2[1] - D * D),
                 2e-3); /* step^2 */
  }
  assert_ok(background_destroy(&background));
  assert_ok(growth_destroy(&growth));
}

static void growth_falls_with_redshift_in_every_universe_of_the_prior(void **state)
{
  (void)state;
  for (uint64_t draw = 0; draw < 200; draw++) {
    const Cosmology cosmology = prior_universe(draw);
    Growth *growth = NULL;
    double last = 1;

    assert_ok(growth_create(&cosmology, 10, &growth));
    assert_close(growth_factor(growth, 0), 1, 1e-14);
    for (double z = 0.25; z <= 10; z += 0.25) {
      const double D = growth_factor(growth, z), epsilon = growth_epsilon(growth, z);

      assert_true(D > 0 && D < last);
      assert_true(epsilon > 0.42 && epsilon < 0.6); /* 3/7 while matter rules, a little more later */
      last = D;
    }
    assert_ok(growth_destroy(&growth));
  }
}

static void dark_energy_that_fades_early_or_late_still_gives_growth(void **state)
{
  const double w_a[] = {-3, -0.6, 0.4, 1.5};

  (void)state;
  for (size_t i = 0; i < 4; i++) {
    const Cosmology cosmology = {
        .Omega_c = 0.2, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 1, .w_0 = -1.6, .w_a = w_a[i]};
    Growth *growth = NULL;

    assert_ok(growth_create(&cosmology, 10, &growth));
    assert_true(growth_factor(growth, 10) > 0.05 && growth_factor(growth, 10) < 0.5);
    assert_ok(growth_destroy(&growth));
  }
}

static void refusals_are_those_of_the_background(void **state)
{
  const Cosmology fiducial = FIDUCIAL, unphysical = {.Omega_c = 0.3, .Omega_b = 0.05};
  Growth *growth = NULL;

  (void)state;
  assert_fails(growth_create(&unphysical, 3, &growth), NEPHRITE_ERR_INPUT, "sigma_8");
  assert_fails(growth_create(&fiducial, -1, &growth), NEPHRITE_ERR_CONFIG, "redshifts up to -1");
  assert_ok(growth_destroy(&growth));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(growth_in_a_matter_only_universe_is_the_scale_factor),
                   cmocka_unit_test(growth_with_a_cosmological_constant_is_heaths_integral),
                   cmocka_unit_test(growth_agrees_with_ccl), cmocka_unit_test(second_order_growth_obeys_its_equation),
                   cmocka_unit_test(growth_falls_with_redshift_in_every_universe_of_the_prior),
                   cmocka_unit_test(dark_energy_that_fades_early_or_late_still_gives_growth),
                   cmocka_unit_test(refusals_are_those_of_the_background))
