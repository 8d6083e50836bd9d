#include "calibration/fixtures.h"

/* Squared distance in float64, as the definition has it. */
static double squared_distance(int64_t dimension, const float *a, const double *b)
{
  double sum = 0;

  for (int64_t d = 0; d < dimension; d++) sum += (a[d] - b[d]) * (a[d] - b[d]);
  return sum;
}

static void excess_is_the_difference_of_squared_distances(void **state)
{
  enum { DIMENSION = 700, DRAWS = 5, CENTRES = 3 }; /* more than two tiles, and not whole ones */
  Experiment e = gaussian_experiment(1, DRAWS, DIMENSION, 1, 0);
  float *centre = calloc(CENTRES * DIMENSION, sizeof *centre);
  double *exact = calloc(CENTRES * DIMENSION, sizeof *exact), excess[DRAWS * CENTRES];
  const DrawBlock block = {0, e.truth, DRAWS, e.draw};
  Metric *metric = NULL;

  (void)state;
  random_normal_float((RandomKey){5, STREAM_NOISE, 0}, 0, CENTRES * DIMENSION, centre);
  for (int i = 0; i < CENTRES * DIMENSION; i++) exact[i] = centre[i];
  assert_ok(metric_create(METRIC_RAW, DIMENSION, (RandomKey){0, STREAM_CALIBRATION, 0}, &metric));
  assert_ok(metric_set_centres(metric, CENTRES, centre));
  assert_ok(metric_excess(metric, &block, CENTRES, excess));
  for (int64_t s = 0; s < DRAWS; s++)
    for (int64_t k = 0; k < CENTRES; k++)
      assert_within(excess[s * CENTRES + k],
                    squared_distance(DIMENSION, e.draw + s * DIMENSION, exact + k * DIMENSION) -
                        squared_distance(DIMENSION, e.truth, exact + k * DIMENSION),
                    1e-9); /* sums of 700 numbers of order 10 in float64 */
  assert_ok(metric_destroy(&metric));
  experiment_destroy(&e);
  free(centre);
  free(exact);
}

static void standardised_distances_are_in_standard_deviations_of_the_other_truths(void **state)
{
  const float truth[4] = {1, 5, 3, 1000}, draw = 4, centre[4] = {0, 0, 0, 2};
  const double spread = sqrt(8. / 3); /* of 1, 5 and 3, whose mean is 3 */
  const DrawBlock block = {3, truth + 3, 1, &draw};
  double excess;
  Metric *metric = NULL;

  (void)state;
  assert_ok(metric_create(METRIC_STANDARDISED, 1, (RandomKey){0, STREAM_CALIBRATION, 0}, &metric));
  for (int t = 0; t < 4; t++) assert_ok(metric_learn(metric, truth + t));
  assert_ok(metric_set_centres(metric, 1, centre));
  assert_ok(metric_excess(metric, &block, 1, &excess));
  assert_close(excess, (pow(draw - 2, 2) - pow(1000. - 2, 2)) / (spread * spread), 1e-9); /* 1e6 is taken from 1e6 */
  assert_ok(metric_destroy(&metric));
}

static void counts_of_exchangeable_truths_are_uniform(void **state)
{
  enum { TRUTHS = 2000, DRAWS = 9 };
  Experiment e = gaussian_experiment(TRUTHS, DRAWS, 3, 1, 0);
  const MetricKind kinds[] = {METRIC_RAW, METRIC_MINMAX, METRIC_STANDARDISED};

  (void)state;
  for (int i = 0; i < 3; i++) {
    int64_t *m = count_with(&e, kinds[i], 1);
    RankTest test;

    assert_ok(sbc_test(TRUTHS, DRAWS, m, DRAWS + 1, NULL, NULL, &test));
    assert_true(test.p_value > 1e-3); /* keyed: the same every time */
    free(m);
  }
  experiment_destroy(&e);
}

static void counts_of_draws_that_are_too_narrow_are_not_uniform(void **state)
{
  enum { TRUTHS = 2000, DRAWS = 9 };
  Experiment e = gaussian_experiment(TRUTHS, DRAWS, 3, 0.6, 0);
  int64_t *m = count_with(&e, METRIC_STANDARDISED, 1);
  RankTest test;

  (void)state;
  assert_ok(sbc_test(TRUTHS, DRAWS, m, DRAWS + 1, NULL, NULL, &test));
  assert_true(test.p_value < 1e-10);
  free(m);
  experiment_destroy(&e);
}

static void counts_are_uniform_also_where_dimensions_are_many_more_than_truths(void **state)
{
  /* Draws and truths of the prior.  Scales of which a truth were itself a part would fit it a little better than draws:
   * each of 100 truths by 1/100 in each of 3,000 dimensions, while distances scatter by 1 in sqrt(3,000) only. */
  enum { TRUTHS = 100, DRAWS = 19, DIMENSION = 3000 };
  const size_t truths = (size_t)TRUTHS * DIMENSION, draws = truths * DRAWS;
  Experiment e = {TRUTHS, DRAWS, DIMENSION, calloc(truths, sizeof(float)), calloc(draws, sizeof(float))};
  RankTest test;

  (void)state;
  assert_true(e.truth && e.draw);
  random_normal_float((RandomKey){5, STREAM_NOISE, 5}, 0, truths, e.truth);
  random_normal_float((RandomKey){5, STREAM_NOISE, 6}, 0, draws, e.draw);
  int64_t *m = count_with(&e, METRIC_STANDARDISED, 1);
  assert_ok(sbc_test(TRUTHS, DRAWS, m, 5, NULL, NULL, &test));
  assert_true(test.p_value > 1e-3); /* keyed: the same every time */
  free(m);
  experiment_destroy(&e);
}

static void counts_do_not_depend_on_the_order_of_truths_or_the_blocks_of_draws(void **state)
{
  enum { TRUTHS = 7, DRAWS = 10, DIMENSION = 300, CENTRES = 4 };
  Experiment e = gaussian_experiment(TRUTHS, DRAWS, DIMENSION, 1, 0);
  int64_t *whole = count_with(&e, METRIC_STANDARDISED, CENTRES), ties = 0;
  Metric *metric = NULL;

  (void)state;
  assert_ok(metric_create(METRIC_STANDARDISED, DIMENSION, (RandomKey){1, STREAM_CALIBRATION, 0}, &metric));
  for (int64_t t = 0; t < TRUTHS; t++) assert_ok(metric_learn(metric, e.truth + t * DIMENSION));
  for (int64_t t = TRUTHS - 1; t >= 0; t--) {
    int64_t m[CENTRES] = {0};

    for (int64_t first = DRAWS - 1; first >= 0; first -= 3) { /* blocks of 1 and 3, from the end */
      const int64_t begin = first < 2 ? 0 : first - 2, count = first - begin + 1;
      const DrawBlock block = {t, e.truth + t * DIMENSION, count, e.draw + (t * DRAWS + begin) * DIMENSION};
      double excess[3 * CENTRES];

      assert_ok(metric_excess(metric, &block, CENTRES, excess));
      counts_add(count, CENTRES, excess, m, &ties);
    }
    assert_memory_equal(m, whole + t * CENTRES, sizeof m);
  }
  assert_ok(metric_destroy(&metric));
  free(whole);
  experiment_destroy(&e);
}

static void float32_maps_of_lensing_size_lose_no_ranks(void **state)
{
  /* kappa of 0.01 beside centres of order 1: in float32 |x - c|^2 of 20,000 pixels resolves 1e-3, draws differ by less
   */
  enum { PIXELS = 20000, DRAWS = 40 };
  float *truth = calloc(PIXELS, sizeof *truth), *draw = calloc((size_t)DRAWS * PIXELS, sizeof *draw);
  double *u = calloc(PIXELS, sizeof *u), excess[DRAWS], truth_square = 0;
  const RandomKey key = {2, STREAM_CALIBRATION, 0};
  const DrawBlock block = {0, truth, DRAWS, draw};
  int64_t m = 0, ties = 0, expected = 0;
  Metric *metric = NULL;

  (void)state;
  random_normal_float((RandomKey){5, STREAM_NOISE, 1}, 0, PIXELS, truth);
  random_normal_float((RandomKey){5, STREAM_NOISE, 2}, 0, (size_t)DRAWS * PIXELS, draw);
  for (size_t i = 0; i < PIXELS; i++) truth[i] *= 0.01F;
  for (size_t i = 0; i < (size_t)DRAWS * PIXELS; i++) draw[i] = truth[i % PIXELS] + 1e-6F * draw[i];
  random_uniform(key, 0, PIXELS, u);
  truth_square = squared_distance(PIXELS, truth, u);
  for (int64_t s = 0; s < DRAWS; s++) expected += squared_distance(PIXELS, draw + s * PIXELS, u) < truth_square;
  assert_ok(metric_create(METRIC_RAW, PIXELS, key, &metric));
  assert_ok(metric_excess(metric, &block, 1, excess));
  counts_add(DRAWS, 1, excess, &m, &ties);
  assert_int_equal(m, expected);
  assert_int_equal(ties, 0);
  assert_ok(metric_destroy(&metric));
  free(truth);
  free(draw);
  free(u);
}

static void scaling_a_dimension_changes_nothing_in_metrics_that_scale(void **state)
{
  enum { TRUTHS = 50, DRAWS = 20, DIMENSION = 4 };
  Experiment e = gaussian_experiment(TRUTHS, DRAWS, DIMENSION, 1, 0);
  const MetricKind kinds[] = {METRIC_MINMAX, METRIC_STANDARDISED};
  int64_t *before[2];

  (void)state;
  for (int i = 0; i < 2; i++) before[i] = count_with(&e, kinds[i], 8);
  for (int64_t i = 0; i < TRUTHS; i++) e.truth[i * DIMENSION + 1] = 1024 * e.truth[i * DIMENSION + 1]; /* exact */
  for (int64_t i = 0; i < TRUTHS * DRAWS; i++) e.draw[i * DIMENSION + 1] = 1024 * e.draw[i * DIMENSION + 1];
  for (int i = 0; i < 2; i++) {
    int64_t *after = count_with(&e, kinds[i], 8);

    assert_memory_equal(before[i], after, TRUTHS * 8 * sizeof *after);
    free(before[i]);
    free(after);
  }
  experiment_destroy(&e);
}

static void a_dimension_in_which_truths_do_not_differ_counts_for_nothing(void **state)
{
  enum { TRUTHS = 50, DRAWS = 20, DIMENSION = 3 };
  Experiment e = gaussian_experiment(TRUTHS, DRAWS, DIMENSION, 1, 0);
  const MetricKind kinds[] = {METRIC_MINMAX, METRIC_STANDARDISED};

  (void)state;
  for (int64_t i = 0; i < TRUTHS; i++) e.truth[i * DIMENSION + 2] = -1;
  for (int i = 0; i < 2; i++) {
    int64_t *noisy = count_with(&e, kinds[i], 8), *exact, counted = 0;

    for (int64_t s = 0; s < TRUTHS * DRAWS; s++) e.draw[s * DIMENSION + 2] *= 100;
    exact = count_with(&e, kinds[i], 8);
    assert_memory_equal(noisy, exact, TRUTHS * 8 * sizeof *exact);
    for (int k = 0; k < TRUTHS * 8; k++) counted += exact[k];
    assert_within((double)counted / (TRUTHS * 8 * DRAWS), 0.5, 0.1); /* and the others still count */
    free(noisy);
    free(exact);
  }
  experiment_destroy(&e);
}

static void excesses_of_two_spaces_add_up_to_that_of_both(void **state)
{
  enum { DRAWS = 6, FIRST = 2, SECOND = 300, BOTH = FIRST + SECOND };
  Experiment e = gaussian_experiment(1, DRAWS, BOTH, 1, 0);
  float truth[2][SECOND], *draw = calloc(DRAWS * BOTH, sizeof *draw), centre[BOTH];
  double both[DRAWS], part[2][DRAWS];
  const int64_t size[2] = {FIRST, SECOND}, begin[2] = {0, FIRST};
  const DrawBlock all = {0, e.truth, DRAWS, e.draw};
  Metric *metric = NULL;

  (void)state;
  random_normal_float((RandomKey){5, STREAM_NOISE, 4}, 0, BOTH, centre);
  assert_ok(metric_create(METRIC_RAW, BOTH, (RandomKey){0, STREAM_CALIBRATION, 0}, &metric));
  assert_ok(metric_set_centres(metric, 1, centre));
  assert_ok(metric_excess(metric, &all, 1, both));
  assert_ok(metric_destroy(&metric));
  for (int p = 0; p < 2; p++) {
    const DrawBlock block = {0, truth[p], DRAWS, draw};

    memcpy(truth[p], e.truth + begin[p], (size_t)size[p] * sizeof(float));
    for (int64_t s = 0; s < DRAWS; s++)
      memcpy(draw + s * size[p], e.draw + s * BOTH + begin[p], (size_t)size[p] * sizeof(float));
    assert_ok(metric_create(METRIC_RAW, size[p], (RandomKey){0, STREAM_CALIBRATION, 0}, &metric));
    assert_ok(metric_set_centres(metric, 1, centre + begin[p]));
    assert_ok(metric_excess(metric, &block, 1, part[p]));
    assert_ok(metric_destroy(&metric));
  }
  for (int s = 0; s < DRAWS; s++) assert_within(part[0][s] + part[1][s], both[s], 1e-10);
  free(draw);
  experiment_destroy(&e);
}

static void a_draw_that_is_the_truth_is_a_tie_and_not_nearer(void **state)
{
  const float truth[3] = {0.1F, -2, 7}, draw[2][3] = {{0.1F, -2, 7}, {0.1F, -2, 7}};
  const DrawBlock block = {0, truth, 2, draw[0]};
  double excess[10];
  int64_t m[5] = {0}, ties = 0;
  Metric *metric = NULL;

  (void)state;
  assert_ok(metric_create(METRIC_RAW, 3, (RandomKey){0, STREAM_CALIBRATION, 0}, &metric));
  assert_ok(metric_excess(metric, &block, 5, excess));
  counts_add(2, 5, excess, m, &ties);
  for (int k = 0; k < 5; k++) assert_int_equal(m[k], 0);
  assert_int_equal(ties, 10);
  assert_ok(metric_destroy(&metric));
}

static void another_number_of_centres_than_was_given_is_refused(void **state)
{
  const float value[2] = {0};
  const DrawBlock block = {0, value, 1, value};
  double excess[2];
  Metric *metric = NULL;

  (void)state;
  assert_ok(metric_create(METRIC_RAW, 2, (RandomKey){0, STREAM_CALIBRATION, 0}, &metric));
  assert_ok(metric_set_centres(metric, 1, value));
  assert_fails(metric_excess(metric, &block, 2, excess), NEPHRITE_ERR_INTERNAL, "2 centres are wanted, 1 are given");
  assert_ok(metric_destroy(&metric));
  assert_fails(metric_create(METRIC_RAW, 0, (RandomKey){0, STREAM_CALIBRATION, 0}, &metric), NEPHRITE_ERR_INTERNAL,
               "0 dimensions");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(excess_is_the_difference_of_squared_distances),
                   cmocka_unit_test(standardised_distances_are_in_standard_deviations_of_the_other_truths),
                   cmocka_unit_test(counts_of_exchangeable_truths_are_uniform),
                   cmocka_unit_test(counts_of_draws_that_are_too_narrow_are_not_uniform),
                   cmocka_unit_test(counts_are_uniform_also_where_dimensions_are_many_more_than_truths),
                   cmocka_unit_test(counts_do_not_depend_on_the_order_of_truths_or_the_blocks_of_draws),
                   cmocka_unit_test(float32_maps_of_lensing_size_lose_no_ranks),
                   cmocka_unit_test(scaling_a_dimension_changes_nothing_in_metrics_that_scale),
                   cmocka_unit_test(a_dimension_in_which_truths_do_not_differ_counts_for_nothing),
                   cmocka_unit_test(excesses_of_two_spaces_add_up_to_that_of_both),
                   cmocka_unit_test(a_draw_that_is_the_truth_is_a_tie_and_not_nearer),
                   cmocka_unit_test(another_number_of_centres_than_was_given_is_refused))
