#include "fixtures.h"

static void a_universe_has_the_tables_of_its_cosmology(void **state)
{
  const Cosmology cosmology = FIDUCIAL;
  Background *background = NULL;
  Growth *growth = NULL;
  Universe u = universe_make(cosmology, 2);

  (void)state;
  assert_ok(background_create(&cosmology, 2, &background));
  assert_ok(growth_create(&cosmology, 2, &growth));
  assert_memory_equal(&u.cosmology, &cosmology, sizeof cosmology);
  assert_close(background_comoving_distance(u.background, 2), background_comoving_distance(background, 2), 0);
  assert_close(growth_factor(u.growth, 2), growth_factor(growth, 2), 0);
  assert_close(matter_power_sigma_8(u.power), cosmology.sigma_8, 1e-12);
  assert_ok(growth_destroy(&growth));
  assert_ok(background_destroy(&background));
  universe_free(&u);
}

static void what_a_universe_that_is_refused_holds_is_given_back(void **state)
{
  const Cosmology closed = {.Omega_c = 1, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 0.96, .w_0 = -1};
  Universe u = {0};

  (void)state;
  assert_fails(universe_create(&closed, 2, &u), NEPHRITE_ERR_INPUT, "Omega_m");
  assert_ok(universe_destroy(&u));
  assert_null(u.background);
  assert_ok(universe_destroy(&u)); /* of nothing */
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_universe_has_the_tables_of_its_cosmology),
                   cmocka_unit_test(what_a_universe_that_is_refused_holds_is_given_back))
