#include "nephrite/campaign.h"
#include "nephrite_test.h"

static PriorConfig published(void)
{
  PriorConfig config;

  for (size_t i = 0; i < prior_options.count; i++)
    snprintf(config.distribution[i], OPTION_TEXT_SIZE, "%s", prior_options.specs[i].fallback);
  return config;
}

static void draws_have_the_moments_of_their_distributions(void **state)
{
  enum { DRAWS = 20000 };
  const PriorConfig config = published();
  Prior *prior = NULL;
  double mean[6], std[6], sum[6] = {0}, square[6] = {0}, theta[6];

  (void)state;
  assert_ok(prior_create(&config, 5, &prior));
  assert_int_equal(prior_count(prior), 6);
  assert_string_equal(prior_name(prior, 5), "w_0");
  assert_ok(prior_moments(prior, mean, std));
  for (int i = 0; i < DRAWS; i++) {
    assert_ok(prior_draw(prior, 3, (uint64_t)i, 0, theta, NULL));
    for (int p = 0; p < 6; p++) sum[p] += theta[p] / DRAWS, square[p] += theta[p] * theta[p] / DRAWS;
  }
  for (int p = 0; p < 6; p++) { /* five standard errors; the physical cut takes less than 1e-3 of the draws */
    assert_within(sum[p], mean[p], 5 * std[p] / sqrt(DRAWS) + 2e-3 * std[p]);
    assert_within(sqrt(square[p] - sum[p] * sum[p]), std[p], 0.03 * std[p]);
  }
  assert_ok(prior_destroy(&prior));
}

static void every_draw_is_physical_and_the_replaced_ones_are_counted(void **state)
{
  PriorConfig config = published();
  Prior *prior = NULL;
  PetscInt replaced = 0;

  (void)state;
  snprintf(config.distribution[0], OPTION_TEXT_SIZE, "normal:0.1,0.2"); /* a third of the mass below 0 */
  assert_ok(prior_create(&config, 5, &prior));
  for (uint64_t i = 0; i < 300; i++) {
    double theta[6];
    PetscInt attempts;
    Cosmology cosmology;
    Systematics systematics;

    assert_ok(prior_draw(prior, 3, i, 0, theta, &attempts));
    assert_ok(prior_cosmology(prior, theta, &cosmology, &systematics));
    assert_true(cosmology_is_physical(&cosmology));
    replaced += attempts - 1;
  }
  assert_in_range(replaced, 60, 250);
  assert_ok(prior_destroy(&prior));
}

static void the_density_integrates_to_one(void **state)
{
  PriorConfig config = published();
  Prior *prior = NULL;
  double theta[6] = {0.27, 0.05, 0.8, 0.7, 0.96, -1}, reference, density, integral = 0;

  (void)state;
  assert_ok(prior_create(&config, 5, &prior));
  assert_ok(prior_log_density(prior, theta, &reference));
  for (int i = 0; i < 17000; i++) {
    theta[5] = -2 + 1e-4 * (i + 0.5);
    assert_ok(prior_log_density(prior, theta, &density));
    integral += exp(density) * 1e-4;
  }
  theta[5] = -2.001;
  assert_ok(prior_log_density(prior, theta, &density));
  assert_true(isinf(density));
  /* divide out the other five, which the same calls contain */
  snprintf(config.distribution[5], OPTION_TEXT_SIZE, "fixed:-1");
  assert_ok(prior_destroy(&prior));
  assert_ok(prior_create(&config, 5, &prior));
  theta[5] = -1;
  assert_ok(prior_log_density(prior, theta, &density));
  assert_close(integral / exp(density), 1, 1e-6);
  assert_ok(prior_destroy(&prior));
}

static void nuisances_that_vary_become_parameters(void **state)
{
  PriorConfig config = published();
  Prior *prior = NULL;
  double theta[8] = {0.27, 0.05, 0.8, 0.7, 0.96, -1, 0.5, 0.01};
  Cosmology cosmology;
  Systematics systematics;

  (void)state;
  snprintf(config.distribution[7], OPTION_TEXT_SIZE, "uniform:-1,1");
  snprintf(config.distribution[10], OPTION_TEXT_SIZE, "normal:0,0.002");
  assert_ok(prior_create(&config, 5, &prior));
  assert_int_equal(prior_count(prior), 8);
  assert_string_equal(prior_name(prior, 6), "A_IA");
  assert_string_equal(prior_name(prior, 7), "delta_z_2");
  assert_ok(prior_cosmology(prior, theta, &cosmology, &systematics));
  assert_close(systematics.A_IA, 0.5, 0);
  assert_close(systematics.delta_z[1], 0.01, 0);
  assert_ok(prior_destroy(&prior));
}

static void a_distribution_that_cannot_be_read_is_refused(void **state)
{
  static const char *const wrong[] = {"gauss:0,1",    "normal:0", "normal:0,-1", "uniform:1,0",
                                      "normal:0,1,2", "fixed:",   "0.3"};
  Prior *prior = NULL;

  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    PriorConfig config = published();

    snprintf(config.distribution[3], OPTION_TEXT_SIZE, "%s", wrong[i]);
    assert_fails(prior_create(&config, 5, &prior), NEPHRITE_ERR_CONFIG, "prior_h");
    assert_ok(prior_destroy(&prior));
  }
}

static void a_nuisance_of_a_bin_that_is_not_there_is_refused(void **state)
{
  PriorConfig config = published();
  Prior *prior = NULL;

  (void)state;
  snprintf(config.distribution[9 + 3], OPTION_TEXT_SIZE, "normal:0,0.01");
  assert_fails(prior_create(&config, 3, &prior), NEPHRITE_ERR_CONFIG, "prior_delta_z_4");
  assert_ok(prior_destroy(&prior));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(draws_have_the_moments_of_their_distributions),
                   cmocka_unit_test(every_draw_is_physical_and_the_replaced_ones_are_counted),
                   cmocka_unit_test(the_density_integrates_to_one),
                   cmocka_unit_test(nuisances_that_vary_become_parameters),
                   cmocka_unit_test(a_distribution_that_cannot_be_read_is_refused),
                   cmocka_unit_test(a_nuisance_of_a_bin_that_is_not_there_is_refused))
