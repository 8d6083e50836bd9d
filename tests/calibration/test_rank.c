#include "calibration/fixtures.h"

static void the_rank_is_the_number_of_smaller_draws(void **state)
{
  const double draw[3][2] = {{1, 9}, {2, 9}, {3, -9}};

  (void)state;
  assert_int_equal(sbc_rank(3, draw[0], 2, 0), 0);
  assert_int_equal(sbc_rank(3, draw[0], 2, 2), 1); /* an equal one is not smaller */
  assert_int_equal(sbc_rank(3, draw[0], 2, 4), 3);
  assert_int_equal(sbc_rank(3, draw[0] + 1, 2, 0), 1);
}

static void bins_that_do_not_divide_the_ranks_expect_different_counts(void **state)
{
  const int64_t rank[5] = {0, 1, 2, 3, 4}; /* S = 4: b = floor(r 3/5) = 0 0 1 1 2 */
  double histogram[3], expected[3];
  RankTest test;

  (void)state;
  assert_ok(sbc_test(5, 4, rank, 3, histogram, expected, &test));
  const double both[3] = {2, 2, 1};
  for (int b = 0; b < 3; b++) {
    assert_close(histogram[b], both[b], 1e-15);
    assert_close(expected[b], both[b], 1e-14);
  }
  assert_within(test.chi2, 0, 1e-14);
  assert_within(test.p_value, 1, 1e-14);
}

static void chi2_with_two_degrees_of_freedom_has_the_p_value_of_an_exponential(void **state)
{
  const int64_t rank[6] = {0, 0, 0, 0, 0, 5};
  RankTest test;

  (void)state;
  assert_ok(sbc_test(6, 5, rank, 3, NULL, NULL, &test));
  assert_close(test.chi2, 7, 1e-14); /* counts 5 0 1 for 2 2 2 */
  assert_close(test.p_value, exp(-test.chi2 / 2), 1e-12);
}

static void biased_draws_are_rejected_where_calibrated_ones_are_not(void **state)
{
  enum { TRUTHS = 300, DRAWS = 99 };
  const double bias[2] = {0, 0.5};
  double p_value[2];

  (void)state;
  for (int i = 0; i < 2; i++) {
    Experiment e = gaussian_experiment(TRUTHS, DRAWS, 1, 1, bias[i]);
    int64_t rank[TRUTHS];
    RankTest test;

    for (int t = 0; t < TRUTHS; t++) {
      double draw[DRAWS];

      for (int s = 0; s < DRAWS; s++) draw[s] = e.draw[t * DRAWS + s];
      rank[t] = sbc_rank(DRAWS, draw, 1, e.truth[t]);
    }
    assert_ok(sbc_test(TRUTHS, DRAWS, rank, 10, NULL, NULL, &test));
    p_value[i] = test.p_value;
    experiment_destroy(&e);
  }
  assert_true(p_value[0] > 0.01);
  assert_true(p_value[1] < 1e-6);
}

static void the_least_p_value_is_multiplied_by_their_number_and_at_most_one(void **state)
{
  const double p_value[3] = {0.5, 0.01, 0.9}, large[2] = {0.8, 0.7};

  (void)state;
  assert_close(sbc_least_p_value(3, p_value), 0.03, 1e-14);
  assert_true(sbc_least_p_value(2, large) == 1);
}

static void one_bin_or_more_bins_than_ranks_are_refused(void **state)
{
  const int64_t rank[2] = {0, 1};
  RankTest test;

  (void)state;
  assert_fails(sbc_test(2, 5, rank, 1, NULL, NULL, &test), NEPHRITE_ERR_CONFIG, "1 bins for 6 possible ranks");
  assert_fails(sbc_test(2, 5, rank, 7, NULL, NULL, &test), NEPHRITE_ERR_CONFIG, "7 bins for 6 possible ranks");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_rank_is_the_number_of_smaller_draws),
                   cmocka_unit_test(bins_that_do_not_divide_the_ranks_expect_different_counts),
                   cmocka_unit_test(chi2_with_two_degrees_of_freedom_has_the_p_value_of_an_exponential),
                   cmocka_unit_test(biased_draws_are_rejected_where_calibrated_ones_are_not),
                   cmocka_unit_test(the_least_p_value_is_multiplied_by_their_number_and_at_most_one),
                   cmocka_unit_test(one_bin_or_more_bins_than_ranks_are_refused))
