#include "fixtures.h"

static void the_fiducial_is_physical(void **state)
{
  const Cosmology fiducial = FIDUCIAL;

  (void)state;
  assert_true(cosmology_is_physical(&fiducial));
  assert_ok(cosmology_check(&fiducial));
}

static void the_edges_of_the_prior_are_physical(void **state)
{
  const Cosmology edges[] = {
      {.Omega_c = 0, .Omega_b = 0.03, .sigma_8 = 0.2, .h = 0.4, .n_s = 0.6, .w_0 = -2},
      {.Omega_c = 0.93, .Omega_b = 0.07, .sigma_8 = 1.4, .h = 0.95, .n_s = 1.3, .w_0 = -0.3},
  };

  (void)state;
  for (int i = 0; i < 2; i++) assert_true(cosmology_is_physical(&edges[i]));
}

static void what_is_unphysical_is_refused_by_name(void **state)
{
  const struct {
    Cosmology cosmology;
    const char *name;
  } cases[] = {
      {{.Omega_c = -0.01, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 1, .w_0 = -1}, "Omega_c is -0.01"},
      {{.Omega_c = 0.25, .Omega_b = 0, .sigma_8 = 0.8, .h = 0.7, .n_s = 1, .w_0 = -1}, "Omega_b is 0"},
      {{.Omega_c = 0.99, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 1, .w_0 = -1}, "Omega_m"},
      {{.Omega_c = 0.25, .Omega_b = 0.05, .sigma_8 = -0.1, .h = 0.7, .n_s = 1, .w_0 = -1}, "sigma_8 is -0.1"},
      {{.Omega_c = 0.25, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0, .n_s = 1, .w_0 = -1}, "h is 0"},
      {{.Omega_c = 0.25, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = NAN, .w_0 = -1}, "n_s is nan"},
      {{.Omega_c = 0.25, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 1, .w_0 = 0.1}, "w_0 is 0.1"},
      {{.Omega_c = 0.25, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 1, .w_0 = -1, .w_a = 1.2}, "w_0 + w_a"},
  };

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_false(cosmology_is_physical(&cases[i].cosmology));
    assert_fails(cosmology_check(&cases[i].cosmology), NEPHRITE_ERR_INPUT, cases[i].name);
  }
}

static void w_runs_from_w_0_today_to_w_0_plus_w_a_long_ago(void **state)
{
  const Cosmology cosmology = {.w_0 = -0.9, .w_a = 0.4};

  (void)state;
  assert_close(cosmology_w(&cosmology, 0), -0.9, 1e-15);
  assert_close(cosmology_w(&cosmology, 1), -0.7, 1e-15);
  assert_close(cosmology_w(&cosmology, 1e12), -0.5, 1e-11);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_fiducial_is_physical), cmocka_unit_test(the_edges_of_the_prior_are_physical),
                   cmocka_unit_test(what_is_unphysical_is_refused_by_name),
                   cmocka_unit_test(w_runs_from_w_0_today_to_w_0_plus_w_a_long_ago))
