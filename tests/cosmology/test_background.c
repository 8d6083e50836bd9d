#include "fixtures.h"

static void distance_in_a_matter_only_universe_is_the_closed_form(void **state)
{
  const Cosmology cosmology = EINSTEIN_DE_SITTER;
  const double z[] = {1e-3, 0.02, 0.5, 1, 3, 10};
  Background *background = NULL;

  (void)state;
  assert_ok(background_create(&cosmology, 10, &background));
  assert_within(background_comoving_distance(background, 0), 0, 0);
  for (size_t i = 0; i < 6; i++)
    assert_close(background_comoving_distance(background, z[i]),
                 2 * NEPHRITE_HUBBLE_DISTANCE * (1 - 1 / sqrt(1 + z[i])),
                 1e-8); /* cubic Hermite between the nodes of the table */
  assert_ok(background_destroy(&background));
  assert_null(background);
}

static void expansion_with_a_cosmological_constant_is_the_closed_form(void **state)
{
  const Cosmology cosmology = FIDUCIAL;
  Background *background = NULL;

  (void)state;
  assert_ok(background_create(&cosmology, 3, &background));
  for (double z = 0; z <= 3; z += 0.5)
    assert_close(background_expansion(background, z), sqrt(0.3156 * pow(1 + z, 3) + 0.6844), 1e-14);
  assert_close(background_Omega_m(background, 1), 0.3156 * 8 / (0.3156 * 8 + 0.6844), 1e-14);
  assert_ok(background_destroy(&background));
}

static void dark_energy_with_w_a_dilutes_as_chevallier_polarski_and_linder_say(void **state)
{
  const Cosmology cosmology = {
      .Omega_c = 0.25, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 1, .w_0 = -0.8, .w_a = 0.3};
  const double z = 1.5, a = 1 / (1 + z);
  Background *background = NULL;

  (void)state;
  assert_ok(background_create(&cosmology, 3, &background));
  assert_close(background_expansion(background, z),
               sqrt(0.3 * pow(a, -3) + 0.7 * pow(a, -3 * (1 - 0.8 + 0.3)) * exp(-3 * 0.3 * (1 - a))), 1e-14);
  assert_ok(background_destroy(&background));
}

static void the_shares_of_matter_and_dark_energy_add_up_to_one(void **state)
{
  const Cosmology cosmology = {
      .Omega_c = 0.1, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 1, .w_0 = -0.4, .w_a = -1};
  Background *background = NULL;

  (void)state;
  assert_ok(background_create(&cosmology, 10, &background));
  for (double z = 0; z <= 10; z += 1)
    assert_close(background_Omega_m(background, z) + background_Omega_de(background, z), 1, 1e-14);
  assert_ok(background_destroy(&background));
}

static void the_slope_of_distance_is_the_hubble_distance_over_the_expansion(void **state)
{
  const Cosmology cosmology = {.Omega_c = 0.05, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 1, .w_0 = -2};
  const double step = 1e-4;
  Background *background = NULL;

  (void)state;
  assert_ok(background_create(&cosmology, 10, &background));
  for (double z = 0.1; z < 9; z += 0.7)
    assert_close(
        (background_comoving_distance(background, z + step) - background_comoving_distance(background, z - step)) /
            (2 * step),
        NEPHRITE_HUBBLE_DISTANCE / background_expansion(background, z), 1e-6); /* step^2 */
  assert_ok(background_destroy(&background));
}

static void distances_agree_with_ccl(void **state)
{
  size_t models, redshifts;
  double *theta = reference_read("cosmology.h5", "theta", &models);
  double *z = reference_read("cosmology.h5", "z_distance", &redshifts);
  double *distance = reference_read("cosmology.h5", "ccl/comoving_distance", NULL);

  (void)state;
  for (size_t m = 0; m < models / 6; m++) {
    const Cosmology cosmology = reference_cosmology(theta, m);
    Background *background = NULL;

    assert_ok(background_create(&cosmology, 3, &background));
    for (size_t i = 0; i < redshifts; i++) /* ccl interpolates its own distances */
      assert_close(background_comoving_distance(background, z[i]), distance[m * redshifts + i], 1e-6);
    assert_ok(background_destroy(&background));
  }
  free(theta), free(z), free(distance);
}

static void an_unphysical_universe_is_refused(void **state)
{
  const Cosmology cosmology = {.Omega_c = 1.2, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 1, .w_0 = -1};
  Background *background = NULL;

  (void)state;
  assert_fails(background_create(&cosmology, 3, &background), NEPHRITE_ERR_INPUT, "Omega_c");
  assert_ok(background_destroy(&background));
}

static void redshifts_out_of_range_are_refused(void **state)
{
  const Cosmology cosmology = FIDUCIAL;
  Background *background = NULL;

  (void)state;
  assert_fails(background_create(&cosmology, 0, &background), NEPHRITE_ERR_CONFIG, "redshifts up to 0");
  assert_fails(background_create(&cosmology, 1e4, &background), NEPHRITE_ERR_CONFIG, "redshifts up to 10000");
  assert_ok(background_destroy(&background));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(distance_in_a_matter_only_universe_is_the_closed_form),
                   cmocka_unit_test(expansion_with_a_cosmological_constant_is_the_closed_form),
                   cmocka_unit_test(dark_energy_with_w_a_dilutes_as_chevallier_polarski_and_linder_say),
                   cmocka_unit_test(the_shares_of_matter_and_dark_energy_add_up_to_one),
                   cmocka_unit_test(the_slope_of_distance_is_the_hubble_distance_over_the_expansion),
                   cmocka_unit_test(distances_agree_with_ccl), cmocka_unit_test(an_unphysical_universe_is_refused),
                   cmocka_unit_test(redshifts_out_of_range_are_refused))
