#include "calibration/fixtures.h"

static const RandomKey key = {9, STREAM_CALIBRATION, 0};

/* Counts 0 … draws, each as often: what calibration means. */
static int64_t *uniform_counts(int64_t draws, int64_t times)
{
  int64_t *m = calloc((size_t)((draws + 1) * times), sizeof *m);

  assert_non_null(m);
  for (int64_t i = 0; i < (draws + 1) * times; i++) m[i] = i % (draws + 1);
  return m;
}

static void uniform_counts_have_the_expected_score_exactly(void **state)
{
  (void)state;
  for (int64_t draws = 1; draws <= 200; draws += 199) {
    int64_t *m = uniform_counts(draws, 1);
    const CountTable table = {draws + 1, draws, 1, m};
    MiraScore mira;

    assert_ok(mira_score(&table, key, 0, &mira));
    assert_close(mira.score, mira.expected, 1e-14);
    assert_close(mira.expected, (2. * (double)draws + 1) / (3. * (double)draws), 1e-15);
    assert_true(mira.error == 0);
    free(m);
  }
}

static void truths_always_outside_score_a_half_and_at_the_median_three_quarters(void **state)
{
  enum { DRAWS = 100000 };
  const int64_t outside[3] = {DRAWS, DRAWS, 0}, median[3] = {DRAWS / 2, DRAWS / 2, DRAWS / 2};
  MiraScore mira;

  (void)state;
  assert_ok(mira_score(&(CountTable){3, DRAWS, 1, outside}, key, 0, &mira));
  assert_within(mira.score, 0.5, 1. / DRAWS);
  assert_ok(mira_score(&(CountTable){3, DRAWS, 1, median}, key, 0, &mira));
  assert_within(mira.score, 0.75, 1. / DRAWS);
}

static double score_of_experiment(double width, double bias, MiraScore *mira)
{
  enum { TRUTHS = 400, DRAWS = 100, CENTRES = 16 };
  Experiment e = gaussian_experiment(TRUTHS, DRAWS, 8, width, bias);
  int64_t *m = count_with(&e, METRIC_STANDARDISED, CENTRES);

  assert_ok(mira_score(&(CountTable){TRUTHS, DRAWS, CENTRES, m}, key, 200, mira));
  free(m);
  experiment_destroy(&e);
  return (mira->score - mira->expected) / mira->error;
}

static void exact_draws_score_as_expected_narrow_ones_less_and_wide_ones_more(void **state)
{
  MiraScore mira;

  (void)state;
  assert_true(fabs(score_of_experiment(1, 0, &mira)) < 3);
  assert_true(mira.error < 1 / sqrt(180. * 400)); /* of one centre for each truth; averaging lowers it */
  assert_true(score_of_experiment(0.7, 0, &mira) < -5);
  assert_true(score_of_experiment(1.4, 0, &mira) > 5);
  assert_true(score_of_experiment(1, 0.7, &mira) < -3);
}

static void the_published_estimator_has_the_same_expectation_and_thrice_the_scatter(void **state)
{
  enum { DRAWS = 20, TIMES = 10, TRUTHS = (DRAWS + 1) * TIMES, RUNS = 4000 };
  int64_t *m = uniform_counts(DRAWS, TIMES);
  const CountTable table = {TRUTHS, DRAWS, 1, m};
  double published[2], resampled[2];
  MiraScore mira;

  (void)state;
  assert_ok(mira_score(&table, key, 2000, &mira));
  assert_ok(mira_published(&table, RUN_EACH, key, RUNS, published));
  assert_ok(mira_published(&table, RUN_RESAMPLED, key, RUNS, resampled));
  assert_within(published[0], mira.expected, 4 * published[1] / sqrt(RUNS));
  assert_within(resampled[0], mira.expected, 4 * resampled[1] / sqrt(RUNS));
  assert_close(resampled[1], sqrt(1. / 18 / TRUTHS), 0.1); /* S = 20 instead of infinity, and 4,000 runs */
  assert_close(mira.error, sqrt(1. / 180 / TRUTHS), 0.15);
  free(m);
}

/* p averaged over every choice of the reference, by going through them. */
static void the_exact_score_is_the_mean_of_the_published_one_over_all_references(void **state)
{
  enum { DRAWS = 7 };

  (void)state;
  for (int64_t m = 0; m <= DRAWS; m++) {
    const double others = DRAWS - 1;
    double sum = 0;
    MiraScore mira;

    for (int64_t reference = 0; reference < DRAWS; reference++) {
      /* draws sorted by distance; the truth lies just before draw m; n others are nearer than the reference */
      const double n = (double)reference;

      sum += (m <= reference ? n + 1 : others - n + 1) / (others + 2) / ((others + 1) / (others + 2));
    }
    assert_ok(mira_score(&(CountTable){1, DRAWS, 1, &m}, key, 0, &mira));
    assert_close(mira.score, sum / DRAWS, 1e-14);
  }
}

static void runs_of_the_published_estimator_take_centres_in_turn(void **state)
{
  const int64_t m[2][2] = {{0, 2}, {0, 2}}; /* S = 5: the mean is 0.6 for the first centre, 0.84 for the second */
  const CountTable table = {2, 5, 2, m[0]};
  double moments[2];

  (void)state;
  assert_ok(mira_published(&table, RUN_EACH, key, 2000, moments));
  assert_within(moments[0], 0.72, 0.02); /* 4,000 references with a spread of 0.3 */
}

static void the_error_is_that_of_the_mean_over_truths(void **state)
{
  enum { TRUTHS = 300, DRAWS = 50, CENTRES = 64 };
  int64_t *m = calloc(TRUTHS * CENTRES, sizeof *m);
  double mean = 0, square = 0;
  MiraScore mira;

  (void)state;
  for (int t = 0; t < TRUTHS; t++) { /* all centres of a truth say the same: averaging over them must not help */
    double u, f;

    random_uniform((RandomKey){4, STREAM_NOISE, (uint64_t)t}, 0, 1, &u);
    for (int k = 0; k < CENTRES; k++) m[t * CENTRES + k] = (int64_t)(u * (DRAWS + 1));
    f = (double)m[t * CENTRES] / DRAWS;
    mean += f * (1 - f) / TRUTHS;
    square += f * (1 - f) * f * (1 - f) / TRUTHS;
  }
  assert_ok(mira_score(&(CountTable){TRUTHS, DRAWS, CENTRES, m}, key, 3000, &mira));
  assert_close(mira.error, sqrt((square - mean * mean) / TRUTHS), 0.06); /* 3,000 samples: 1.3% */
  free(m);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(uniform_counts_have_the_expected_score_exactly),
                   cmocka_unit_test(truths_always_outside_score_a_half_and_at_the_median_three_quarters),
                   cmocka_unit_test(exact_draws_score_as_expected_narrow_ones_less_and_wide_ones_more),
                   cmocka_unit_test(the_published_estimator_has_the_same_expectation_and_thrice_the_scatter),
                   cmocka_unit_test(the_exact_score_is_the_mean_of_the_published_one_over_all_references),
                   cmocka_unit_test(runs_of_the_published_estimator_take_centres_in_turn),
                   cmocka_unit_test(the_error_is_that_of_the_mean_over_truths))
