#include "calibration/fixtures.h"

static const RandomKey key = {9, STREAM_CALIBRATION, 0};

static void coverage_is_the_share_of_truths_below_each_level(void **state)
{
  const int64_t m[4] = {0, 1, 5, 10};
  const double alpha[] = {0, 0.1, 0.11, 0.5, 0.51, 1}, expected[] = {0, 0.25, 0.5, 0.5, 0.75, 0.75};
  double ecp[6];

  (void)state;
  assert_ok(tarp_coverage(&(CountTable){4, 10, 1, m}, 6, alpha, key, 0, ecp, NULL));
  for (int l = 0; l < 6; l++) assert_true(ecp[l] == expected[l]);
}

static void centres_of_a_truth_are_averaged(void **state)
{
  const int64_t m[2][2] = {{0, 10}, {0, 0}};
  const double alpha = 0.5;
  double ecp;

  (void)state;
  assert_ok(tarp_coverage(&(CountTable){2, 10, 2, m[0]}, 1, &alpha, key, 0, &ecp, NULL));
  assert_true(ecp == 0.75);
}

static void calibrated_draws_cover_what_they_claim_and_narrow_ones_less_at_the_ends(void **state)
{
  enum { TRUTHS = 600, DRAWS = 100, LEVELS = 9 };
  double alpha[LEVELS], ecp[LEVELS], error[LEVELS];

  (void)state;
  for (int l = 0; l < LEVELS; l++) alpha[l] = 0.1 * (l + 1) + 0.005; /* between the possible values of m/S */
  Experiment e = gaussian_experiment(TRUTHS, DRAWS, 4, 1, 0);
  int64_t *m = count_with(&e, METRIC_STANDARDISED, 8);
  assert_ok(tarp_coverage(&(CountTable){TRUTHS, DRAWS, 8, m}, LEVELS, alpha, key, 200, ecp, error));
  for (int l = 0; l < LEVELS; l++) {
    assert_within(ecp[l], alpha[l], 4 * error[l]);
    assert_true(error[l] > 0 && error[l] < 0.03);
  }
  assert_true(tarp_deviation(LEVELS, alpha, ecp) < 0.05);
  free(m);
  experiment_destroy(&e);
  e = gaussian_experiment(TRUTHS, DRAWS, 4, 0.5, 0);
  m = count_with(&e, METRIC_STANDARDISED, 8);
  assert_ok(tarp_coverage(&(CountTable){TRUTHS, DRAWS, 8, m}, LEVELS, alpha, key, 200, ecp, error));
  assert_true(ecp[0] > alpha[0] + 5 * error[0] && ecp[LEVELS - 1] < alpha[LEVELS - 1] - 5 * error[LEVELS - 1]);
  free(m);
  experiment_destroy(&e);
}

static void errors_are_binomial_for_one_centre(void **state)
{
  enum { TRUTHS = 400 };
  int64_t m[TRUTHS];
  const double alpha = 0.25;
  double ecp, error;

  (void)state;
  for (int t = 0; t < TRUTHS; t++) m[t] = t % 100;
  assert_ok(tarp_coverage(&(CountTable){TRUTHS, 100, 1, m}, 1, &alpha, key, 4000, &ecp, &error));
  assert_close(error, sqrt(ecp * (1 - ecp) / TRUTHS), 0.05); /* 4,000 samples: 1.1% */
}

static void the_deviation_is_the_largest_on_either_side(void **state)
{
  const double alpha[] = {0, 0.5, 1}, above[] = {0, 0.7, 1}, below[] = {0, 0.4, 0.75};

  (void)state;
  assert_close(tarp_deviation(3, alpha, above), 0.2, 1e-12);
  assert_close(tarp_deviation(3, alpha, below), 0.25, 1e-12);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(coverage_is_the_share_of_truths_below_each_level),
                   cmocka_unit_test(centres_of_a_truth_are_averaged),
                   cmocka_unit_test(calibrated_draws_cover_what_they_claim_and_narrow_ones_less_at_the_ends),
                   cmocka_unit_test(errors_are_binomial_for_one_centre),
                   cmocka_unit_test(the_deviation_is_the_largest_on_either_side))
