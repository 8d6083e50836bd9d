#include "nephrite/campaign.h"
#include "nephrite_test.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_sort.h>

enum { H = 3, W_0 = 5, A_IA = 7 }; /* entries of the prior */

static PriorConfig published(void)
{
  PriorConfig config;

  for (size_t i = 0; i < prior_options.count; i++)
    snprintf(config.distribution[i], OPTION_TEXT_SIZE, "%s", prior_options.specs[i].fallback);
  return config;
}

static void bounds_are_those_of_distributions_that_end_on_both_sides(void **state)
{
  PriorConfig config = published();
  Prior *prior = NULL;
  double low[6], high[6];

  (void)state;
  snprintf(config.distribution[H], OPTION_TEXT_SIZE, "uniform:0.5,0.9");
  snprintf(config.distribution[H + 1], OPTION_TEXT_SIZE, "fixed:1");
  assert_ok(prior_create(&config, 5, &prior));
  for (PetscInt p = 0; p < 6; p++) prior_bounds(prior, p, &low[p], &high[p]);
  assert_true(low[0] == 0 && high[0] == 1 && low[5] == -2 && high[5] == -0.3);
  assert_true(low[3] == 0.5 && high[3] == 0.9);
  for (int p = 1; p < 5; p++) assert_true(p == 3 || (low[p] == 0 && high[p] == 0));
  assert_ok(prior_destroy(&prior));
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

/* The largest difference between the share of draws below x and what it should be (Kolmogorov & Smirnov). */
static double largest_difference(double *x, size_t count, double (*share_below)(double))
{
  double largest = 0;

  gsl_sort(x, 1, count);
  for (size_t i = 0; i < count; i++) {
    const double share = share_below(x[i]), above = (double)(i + 1) / (double)count - share;

    largest = fmax(largest, fmax(above, 1 / (double)count - above));
  }
  return largest;
}

static double normal_h(double h)
{
  return gsl_cdf_gaussian_P(h - 0.6727, 0.063);
}

static double truncated_w_0(double w)
{
  const double below = gsl_cdf_gaussian_P(-2 + 1, 0.9), above = gsl_cdf_gaussian_P(-0.3 + 1, 0.9);

  return (gsl_cdf_gaussian_P(w + 1, 0.9) - below) / (above - below);
}

static double uniform_A_IA(double A)
{
  return (A + 1) / 4;
}

static void draws_follow_their_distributions(void **state)
{
  enum { DRAWS = 4000 };
  static double x[3][DRAWS];
  PriorConfig config = published();
  Prior *prior = NULL;

  (void)state;
  snprintf(config.distribution[A_IA], OPTION_TEXT_SIZE, "uniform:-1,3");
  assert_ok(prior_create(&config, 5, &prior));
  for (int i = 0; i < DRAWS; i++) {
    double theta[7];

    assert_ok(prior_draw(prior, 9, (uint64_t)i, 0, theta, NULL));
    x[0][i] = theta[3];
    x[1][i] = theta[5];
    x[2][i] = theta[6];
  }
  /* 1.95/sqrt(n) is passed by 1 of 1000 samples of the very distribution */
  assert_true(largest_difference(x[0], DRAWS, normal_h) < 1.95 / sqrt(DRAWS));
  assert_true(largest_difference(x[1], DRAWS, truncated_w_0) < 1.95 / sqrt(DRAWS));
  assert_true(largest_difference(x[2], DRAWS, uniform_A_IA) < 1.95 / sqrt(DRAWS));
  assert_ok(prior_destroy(&prior));
}

static void a_draw_is_that_of_its_index_and_attempt(void **state)
{
  PriorConfig config = published();
  Prior *prior = NULL;
  PetscInt most = 0;

  (void)state;
  snprintf(config.distribution[0], OPTION_TEXT_SIZE, "normal:0.1,0.2");
  assert_ok(prior_create(&config, 5, &prior));
  for (uint64_t i = 0; i < 50; i++) {
    double theta[6], again[6], other[6];
    PetscInt attempts, attempts_again;

    assert_ok(prior_draw(prior, 3, i, 0, theta, &attempts));
    assert_ok(prior_draw(prior, 3, i, attempts - 1, again, &attempts_again)); /* the attempts before were unphysical */
    assert_memory_equal(theta, again, sizeof theta);
    assert_int_equal(attempts, attempts_again);
    assert_ok(prior_draw(prior, 3, i, attempts, other, NULL));
    assert_memory_not_equal(theta, other, sizeof theta);
    assert_ok(prior_draw(prior, 3, i + 1, 0, other, NULL));
    assert_memory_not_equal(theta, other, sizeof theta);
    assert_ok(prior_draw(prior, 4, i, 0, other, NULL));
    assert_memory_not_equal(theta, other, sizeof theta);
    most = PetscMax(most, attempts);
  }
  assert_in_range(most, 2, 50);
  assert_ok(prior_destroy(&prior));
}

static void moments_are_those_of_the_truncated_distribution(void **state)
{
  static const struct {
    const char *distribution;
    double mean, std;
  } cases[] = {
      {"truncated_normal:0.5,0.2,0.5,3", 0.5 + 0.2 * 0.79788456080286536, 0.2 * 0.60281027}, /* half a normal */
      {"truncated_normal:0.5,0.2,-9,0.5", 0.5 - 0.2 * 0.79788456080286536, 0.2 * 0.60281027},
      {"normal:0.7,0.01", 0.7, 0.01},
      {"uniform:0.6,0.8", 0.7, 0.2 / 3.4641016151377544},
      {"fixed:0.7", 0.7, 0}};
  Prior *prior = NULL;
  double mean[6], std[6];

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    PriorConfig config = published();

    snprintf(config.distribution[H], OPTION_TEXT_SIZE, "%s", cases[i].distribution);
    assert_ok(prior_create(&config, 5, &prior));
    assert_ok(prior_moments(prior, mean, std));
    assert_close(mean[H], cases[i].mean, 1e-12);
    assert_within(std[H], cases[i].std, 1e-8);
    assert_ok(prior_destroy(&prior));
  }
}

/* A normal cut far out in its tail, on either side. */
static void check_far_tail(const char *distribution)
{
  enum { STEPS = 68000, DRAWS = 2000 };
  PriorConfig config = published();
  Prior *prior = NULL;
  double theta[6] = {0.27, 0.05, 0.8, 0.7, 0.96, -1}, mean[6], std[6], density, rest, sum[3] = {0}, drawn = 0;

  snprintf(config.distribution[W_0], OPTION_TEXT_SIZE, "fixed:-1");
  assert_ok(prior_create(&config, 5, &prior));
  assert_ok(prior_log_density(prior, theta, &rest));
  assert_ok(prior_destroy(&prior));
  snprintf(config.distribution[W_0], OPTION_TEXT_SIZE, "%s", distribution);
  assert_ok(prior_create(&config, 5, &prior));
  assert_ok(prior_moments(prior, mean, std));
  for (int i = 0; i < STEPS; i++) {
    theta[W_0] = -2 + 1.7 * (i + 0.5) / STEPS;
    assert_ok(prior_log_density(prior, theta, &density));
    for (int power = 0; power < 3; power++)
      sum[power] += exp(density - rest) * pow(theta[W_0] - mean[W_0], power) * 1.7 / STEPS;
  }
  assert_close(sum[0], 1, 1e-5); /* midpoints */
  assert_within(sum[1], 0, 1e-5 * std[W_0]);
  assert_close(sqrt(sum[2]), std[W_0], 1e-5);
  for (int i = 0; i < DRAWS; i++) {
    assert_ok(prior_draw(prior, 1, (uint64_t)i, 0, theta, NULL));
    assert_true(theta[W_0] > -2 && theta[W_0] < -0.3);
    drawn += theta[W_0] / DRAWS;
  }
  assert_within(drawn, mean[W_0], 5 * std[W_0] / sqrt(DRAWS));
  assert_ok(prior_destroy(&prior));
}

static void a_normal_cut_far_in_its_tail_is_still_drawn_and_normalised(void **state)
{
  (void)state;
  check_far_tail("truncated_normal:-7,0.4,-2,-0.3"); /* 12.5 standard deviations out */
  check_far_tail("truncated_normal:5,0.4,-2,-0.3");
}

static void a_prior_without_any_physical_universe_is_refused(void **state)
{
  PriorConfig config = published();
  Prior *prior = NULL;
  double theta[6];

  (void)state;
  snprintf(config.distribution[H], OPTION_TEXT_SIZE, "fixed:-0.7");
  assert_ok(prior_create(&config, 5, &prior));
  assert_fails(prior_draw(prior, 3, 17, 0, theta, NULL), NEPHRITE_ERR_CONFIG, "realisation 17");
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

static void parameters_are_told_by_name_as_far_as_there_is_room(void **state)
{
  PriorConfig config = published();
  Prior *prior = NULL;
  const double theta[6] = {0.27, 0.05, 0.8, 0.7, 0.96, -1};
  char text[128], little[16];

  (void)state;
  assert_ok(prior_create(&config, 5, &prior));
  prior_describe(prior, theta, text, sizeof text);
  assert_string_equal(text, "Omega_c 0.27, Omega_b 0.05, sigma_8 0.8, h 0.7, n_s 0.96, w_0 -1");
  prior_describe(prior, theta, little, sizeof little);
  assert_string_equal(little, "Omega_c 0.27, O");
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
  static const char *const wrong[] = {"gauss:0,1",   "normal:0",     "normal:0,-1",
                                      "uniform:1,0", "normal:0,1,2", "fixed:",
                                      "0.3",         "normal:nan,1", "truncated_normal:0,0.01,1,2"};
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

static Prior *prior_of_every_kind(void)
{
  PriorConfig config = published();
  Prior *prior = NULL;

  snprintf(config.distribution[0], OPTION_TEXT_SIZE, "uniform:0.1,0.4");
  snprintf(config.distribution[1], OPTION_TEXT_SIZE, "fixed:0.05");
  snprintf(config.distribution[2], OPTION_TEXT_SIZE, "truncated_normal:0.8,0.1,1.2,1.3"); /* far above its mean */
  snprintf(config.distribution[4], OPTION_TEXT_SIZE, "truncated_normal:1.9,0.1,0.9,1.0"); /* far below */
  assert_ok(prior_create(&config, 5, &prior));
  return prior;
}

static void parameters_of_standard_normals_have_the_prior_density(void **state)
{
  Prior *prior = prior_of_every_kind();

  (void)state;
  for (double u = -5; u <= 5; u += 0.25) {
    double normals[6], theta[6], slope[6], density, expected = 0, back[6], above[6], below[6], shifted[6];

    for (int p = 0; p < 6; p++) normals[p] = u;
    prior_from_normal(prior, normals, theta, slope);
    for (int p = 0; p < 6; p++) { /* p(theta) dtheta/du is a standard normal */
      if (prior_is_fixed(prior, p)) continue;
      expected += -u * u / 2 - log(2 * M_PI) / 2 - log(slope[p]);
    }
    assert_true(prior_is_fixed(prior, 1) && theta[1] == 0.05 && slope[1] == 0);
    assert_ok(prior_log_density(prior, theta, &density));
    if (isfinite(density)) assert_within(density, expected, 1e-8);
    for (int p = 0; p < 6; p++) shifted[p] = u + 1e-4;
    prior_from_normal(prior, shifted, above, NULL);
    for (int p = 0; p < 6; p++) shifted[p] = u - 1e-4;
    prior_from_normal(prior, shifted, below, NULL);
    for (int p = 0; p < 6; p++)
      if (p != 1) assert_within((above[p] - below[p]) / 2e-4, slope[p], 1e-6 * slope[p] + 1e-10);
    assert_ok(prior_to_normal(prior, theta, back));
    for (int p = 0; p < 6; p++) /* near a bound the value has fewer digits than its distance */
      assert_within(back[p], p == 1 ? 0 : u, 1e-15 * fabs(theta[p]) / fmax(slope[p], 1e-12) * 10 + 1e-12);
  }
  assert_ok(prior_destroy(&prior));
}

static void normals_of_what_the_prior_excludes_are_refused(void **state)
{
  Prior *prior = prior_of_every_kind();
  double u[6], theta[] = {0.4, 0.05, 1.25, 0.7, 0.95, -1};

  (void)state;
  assert_fails(prior_to_normal(prior, theta, u), NEPHRITE_ERR_INPUT, "Omega_c is 0.4; by the prior it lies between");
  theta[0] = 0.3;
  theta[1] = 0.06;
  assert_fails(prior_to_normal(prior, theta, u), NEPHRITE_ERR_INPUT, "fixed at 0.05");
  assert_ok(prior_destroy(&prior));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(bounds_are_those_of_distributions_that_end_on_both_sides),
                   cmocka_unit_test(draws_have_the_moments_of_their_distributions),
                   cmocka_unit_test(draws_follow_their_distributions),
                   cmocka_unit_test(a_draw_is_that_of_its_index_and_attempt),
                   cmocka_unit_test(moments_are_those_of_the_truncated_distribution),
                   cmocka_unit_test(a_normal_cut_far_in_its_tail_is_still_drawn_and_normalised),
                   cmocka_unit_test(a_prior_without_any_physical_universe_is_refused),
                   cmocka_unit_test(every_draw_is_physical_and_the_replaced_ones_are_counted),
                   cmocka_unit_test(parameters_are_told_by_name_as_far_as_there_is_room),
                   cmocka_unit_test(the_density_integrates_to_one),
                   cmocka_unit_test(nuisances_that_vary_become_parameters),
                   cmocka_unit_test(a_distribution_that_cannot_be_read_is_refused),
                   cmocka_unit_test(a_nuisance_of_a_bin_that_is_not_there_is_refused),
                   cmocka_unit_test(parameters_of_standard_normals_have_the_prior_density),
                   cmocka_unit_test(normals_of_what_the_prior_excludes_are_refused))
