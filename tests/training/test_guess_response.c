/* nephrite-test: float64 */
#include "../../src/training/internal.h"
#include "nephrite_test.h"

#include <stdlib.h>

enum { NY = 16, NX = 16, BINS = 2, PARAMETERS = 7, BANDS = GUESS_BANDS + 1, ROWS = 2048 };

static const NetworkShape shape = {.ny = NY,
                                   .nx = NX,
                                   .bins = BINS,
                                   .observation_channels = BINS,
                                   .parameters = PARAMETERS,
                                   .config = {.output = OUTPUT_WIENER, .flow = FLOW_PARAMETERS_FIRST}};

/* The logarithm of the power of a band; the mean of a map follows as the first one does. */
static double truth(int bin, int band, const double *values)
{
  const double x = 2. * ((band > 1 ? band : 1) - 1) / (GUESS_BANDS - 1) - 1;
  double theta[PARAMETERS];

  for (int p = 0; p < PARAMETERS; p++) theta[p] = fmin(fmax(values[p], -3), 3);
  return 0.3 + (1 + bin) * (0.4 * theta[0] - 0.05 * theta[0] * theta[0] + 0.1 * theta[1] * theta[2]) +
         x * (0.2 * theta[0] - 0.3 * theta[6]) + x * x * 0.1 * theta[5] + 0.5 * band;
}

/* Parameters, and powers that scatter as those of as many modes do. */
static void fill(int64_t rows, double scatter, double *theta, double *power)
{
  random_normal((RandomKey){3, STREAM_NOISE, 1}, 0, (size_t)(rows * PARAMETERS), theta);
  random_normal((RandomKey){3, STREAM_NOISE, 2}, 0, (size_t)(rows * BANDS * BINS), power);
  for (int64_t row = 0; row < rows; row++)
    for (int band = 0; band < BANDS; band++)
      for (int bin = 0; bin < BINS; bin++) {
        double *p = &power[(row * BANDS + band) * BINS + bin];

        *p = exp(truth(bin, band, theta + row * PARAMETERS) + scatter * *p);
      }
}

typedef struct {
  double theta[ROWS * PARAMETERS], power[ROWS * BANDS * BINS];
  Normalisation n;
} Fixture;

static Fixture *fit(int64_t rows, double scatter)
{
  Fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  fill(rows, scatter, f->theta, f->power);
  f->n.bins = BINS;
  f->n.parameters = PARAMETERS;
  f->n.responses = guess_response_count(&shape);
  assert_ok(guess_response_fit(&(ResponseSample){rows, PARAMETERS, BINS, NY, NX, f->theta, f->power}, f->n.response));
  return f;
}

static void amplitudes_are_those_that_power_was_made_with(void **state)
{
  Fixture *f = fit(ROWS, 0.2);
  double mean[BANDS][BINS] = {{0}}, told[BANDS][BINS] = {{0}}, amplitude[BANDS][NEPHRITE_MAX_BINS];
  double error = 0;

  (void)state;
  for (int row = 0; row < ROWS; row++)
    for (int band = 0; band < BANDS; band++)
      for (int bin = 0; bin < BINS; bin++) mean[band][bin] += exp(truth(bin, band, f->theta + row * PARAMETERS)) / ROWS;
  for (int row = 0; row < ROWS; row++) {
    const double *theta = f->theta + row * PARAMETERS;
    Scalar normalised[PARAMETERS];

    for (int p = 0; p < PARAMETERS; p++) normalised[p] = (Scalar)theta[p];
    guess_response_at(&f->n, normalised, amplitude);
    for (int band = 0; band < BANDS; band++)
      for (int bin = 0; bin < BINS; bin++) {
        const double power = pow(amplitude[band][bin], 2);

        told[band][bin] += power / ROWS;
        error += pow(log(power * mean[band][bin]) - truth(bin, band, theta), 2) / (ROWS * BANDS * BINS);
      }
  }
  for (int band = 0; band < BANDS; band++)
    for (int bin = 0; bin < BINS; bin++) assert_close(told[band][bin], 1, 1e-10);
  assert_within(sqrt(error), 0, 0.03); /* 28 features of 2,048 values that scatter by 0.2 at most */
  free(f);
}

static void far_out_power_is_as_at_three_standard_deviations(void **state)
{
  Fixture *f = fit(ROWS, 0.2);
  Scalar far[PARAMETERS] = {7, -9}, at[PARAMETERS] = {3, -3};
  double there[BANDS][NEPHRITE_MAX_BINS], expected[BANDS][NEPHRITE_MAX_BINS];

  (void)state;
  guess_response_at(&f->n, far, there);
  guess_response_at(&f->n, at, expected);
  for (int band = 0; band < BANDS; band++)
    for (int bin = 0; bin < BINS; bin++) assert_true(there[band][bin] == expected[band][bin]);
  free(f);
}

/* There are 28 features. */
static void few_realisations_make_up_no_response(void **state)
{
  Fixture *f = fit(4, 0.2);
  Scalar theta[PARAMETERS] = {1, -1, 1, -1, 1, -1, 1};
  double amplitude[BANDS][NEPHRITE_MAX_BINS];

  (void)state;
  guess_response_at(&f->n, theta, amplitude);
  for (int band = 0; band < BANDS; band++)
    for (int bin = 0; bin < BINS; bin++) assert_true(amplitude[band][bin] > 0.3 && amplitude[band][bin] < 3);
  free(f);
}

/* Of a pair at 1 and -1 of each parameter the slopes are those of 2 realisations beside 4 of no response. */
static void of_fewer_realisations_than_features_slopes_are_drawn_to_none(void **state)
{
  Fixture *f = calloc(1, sizeof *f);
  double up[BANDS][NEPHRITE_MAX_BINS], down[BANDS][NEPHRITE_MAX_BINS];

  (void)state;
  assert_non_null(f);
  f->n = (Normalisation){.bins = BINS, .parameters = PARAMETERS, .responses = guess_response_count(&shape)};
  for (int row = 0; row < 2 * PARAMETERS; row++) f->theta[row * PARAMETERS + row / 2] = row % 2 ? -1 : 1;
  for (int row = 0; row < 2 * PARAMETERS; row++)
    for (int band = 0; band < BANDS; band++)
      for (int bin = 0; bin < BINS; bin++)
        f->power[(row * BANDS + band) * BINS + bin] = exp(truth(bin, band, f->theta + row * PARAMETERS));
  assert_ok(guess_response_fit(&(ResponseSample){2 * PARAMETERS, PARAMETERS, BINS, NY, NX, f->theta, f->power},
                               f->n.response));
  for (int p = 0; p < PARAMETERS; p++) {
    Scalar theta[PARAMETERS] = {0};

    theta[p] = 1;
    guess_response_at(&f->n, theta, up);
    theta[p] = -1;
    guess_response_at(&f->n, theta, down);
    for (int band = 1; band < BANDS; band++)
      for (int bin = 0; bin < BINS; bin++)
        assert_within(
            2 * log(up[band][bin] / down[band][bin]),
            (truth(bin, band, f->theta + 2 * p * PARAMETERS) - truth(bin, band, f->theta + (2 * p + 1) * PARAMETERS)) /
                3,
            1e-6);
  }
  free(f);
}

static void maps_without_power_are_no_error(void **state)
{
  Fixture *f = fit(16, 0.2);
  double amplitude[BANDS][NEPHRITE_MAX_BINS];
  Scalar theta[PARAMETERS] = {0};

  (void)state;
  memset(f->power, 0, sizeof f->power);
  assert_ok(guess_response_fit(&(ResponseSample){16, PARAMETERS, BINS, NY, NX, f->theta, f->power}, f->n.response));
  guess_response_at(&f->n, theta, amplitude);
  for (int band = 0; band < BANDS; band++) assert_close(amplitude[band][0], 1, 1e-12);
  free(f);
}

static void nothing_follows_parameters_that_are_not_known(void **state)
{
  NetworkShape joint = shape, clean = shape;

  (void)state;
  joint.config.flow = FLOW_JOINT;
  clean.config.output = OUTPUT_CLEAN;
  assert_int_equal(guess_response_count(&joint), 0);
  assert_int_equal(guess_response_count(&clean), 0);
  assert_int_equal(guess_response_count(&shape), BINS * (BANDS + 3 * 28));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(amplitudes_are_those_that_power_was_made_with),
                   cmocka_unit_test(far_out_power_is_as_at_three_standard_deviations),
                   cmocka_unit_test(few_realisations_make_up_no_response),
                   cmocka_unit_test(of_fewer_realisations_than_features_slopes_are_drawn_to_none),
                   cmocka_unit_test(maps_without_power_are_no_error),
                   cmocka_unit_test(nothing_follows_parameters_that_are_not_known))
