/* nephrite-test: float64 */
#include "../../src/training/internal.h"
#include "nephrite_test.h"

#include <complex.h>
#include <stdlib.h>

enum { NY = 6, NX = 8, PIXELS = NY * NX, BINS = 2, MAPS = 2 * BINS, PAIRS = MAPS * (MAPS + 1) / 2, CHANNELS = 3 };
enum { BATCH = 2, SIZE = BINS * PIXELS, BANDS = GUESS_BANDS + 1, PARAMETERS = 6 };

static NetworkShape shape = {.ny = NY,
                             .nx = NX,
                             .bins = BINS,
                             .observation_channels = CHANNELS,
                             .parameters = PARAMETERS,
                             .config = {.output = OUTPUT_WIENER}};

/* By which maps of a sample are larger in every bin, where it is known. */
static double amplitude(int sample, int bin)
{
  return shape.config.flow == FLOW_JOINT ? 1 : exp((sample ? 0.8 : -0.6) * (bin ? 1 : 0.5) / 2);
}

static void fill(uint64_t index, size_t count, Scalar *out)
{
  double normal;

  for (size_t i = 0; i < count; i++) {
    random_normal((RandomKey){3, STREAM_NOISE, index}, i, 1, &normal);
    out[i] = (Scalar)normal;
  }
}

/* Data d = B x + noise of two maps that belong together, with less and less power at high wavenumbers. */
static void covariance(int sample, int band, double s[MAPS][MAPS])
{
  static const double response[BINS][BINS] = {{1, 0.2}, {0, 0.7}}, noise[BINS] = {0.3, 0.05};
  const double power = band ? 4. / band : 0.5;

  memset(s, 0, MAPS * sizeof *s);
  for (int i = 0; i < BINS; i++)
    for (int j = 0; j < BINS; j++)
      s[i][j] = amplitude(sample, i) * amplitude(sample, j) * power * (i == j ? 1 + i : 0.6);
  for (int i = 0; i < BINS; i++)
    for (int j = 0; j < BINS; j++)
      for (int k = 0; k < BINS; k++) s[BINS + i][j] += response[i][k] * s[k][j];
  for (int i = 0; i < BINS; i++)
    for (int j = 0; j < BINS; j++) {
      s[j][BINS + i] = s[BINS + i][j];
      s[BINS + i][BINS + j] = i == j ? noise[i] : 0;
      for (int k = 0; k < BINS; k++) s[BINS + i][BINS + j] += s[BINS + i][k] * response[j][k];
    }
}

/* Power follows the first parameter by exp of it, and its half in the first bin, in all bands. */
static void respond(Normalisation *n)
{
  n->responses = guess_response_count(&shape);
  for (int bin = 0; bin < BINS && n->responses; bin++) n->response[bin * n->responses / BINS + BANDS] = bin ? 1 : 0.5;
}

static Normalisation *normalisation(void)
{
  const NetworkFlow flow = (NetworkFlow)shape.config.flow;
  Normalisation *n = calloc(1, sizeof *n);
  double *out = n->guess;

  assert_non_null(n);
  n->bins = BINS;
  n->parameters = PARAMETERS;
  respond(n);
  shape.config.flow = FLOW_JOINT; /* of the mean over the prior */
  n->guesses = guess_count(&shape);
  assert_int_equal(n->guesses, BANDS * PAIRS);
  for (int b = 0; b < BANDS; b++) {
    double s[MAPS][MAPS];

    covariance(0, b, s);
    for (int i = 0; i < MAPS; i++)
      for (int j = i; j < MAPS; j++) *out++ = s[i][j];
  }
  shape.config.flow = (int)flow;
  return n;
}

typedef struct {
  Normalisation *normalisation;
  Guess *guess;
  Scalar observation[BATCH * CHANNELS * PIXELS], z[BATCH * SIZE], t[BATCH], theta[BATCH * PARAMETERS];
  Scalar t_theta[BATCH];
} Fixture;

static void make(Fixture *f)
{
  *f = (Fixture){
      .normalisation = normalisation(), .t = {0.3, 0.9}, .theta = {[0] = -0.6, [PARAMETERS] = 0.8}, .t_theta = {1, 1}};
  fill(1, BATCH * CHANNELS * PIXELS, f->observation);
  fill(2, BATCH * SIZE, f->z);
  assert_ok(guess_create(&shape, f->normalisation, BATCH, &f->guess));
  guess_observe(f->guess, BATCH, f->observation, f->theta, f->t_theta);
}

static void destroy(Fixture *f)
{
  assert_ok(guess_destroy(&f->guess));
  assert_ok(guess_destroy(&f->guess));
  free(f->normalisation);
}

static double _Complex mode_of(const Scalar *map, int ky, int kx)
{
  double _Complex sum = 0;

  for (int y = 0; y < NY; y++)
    for (int x = 0; x < NX; x++)
      sum += (double)map[y * NX + x] * cexp(-2 * M_PI * I * ((double)(ky * y) / NY + (double)(kx * x) / NX));
  return sum;
}

/* x of the normal equations matrix x = right, by elimination; of as many right sides as there are maps. */
static void solve(double matrix[MAPS][MAPS], double right[MAPS][BINS])
{
  for (int k = 0; k < MAPS; k++)
    for (int i = 0; i < MAPS; i++) {
      if (i == k) continue;
      const double factor = matrix[i][k] / matrix[k][k];

      for (int j = 0; j < MAPS; j++) matrix[i][j] -= factor * matrix[k][j];
      for (int j = 0; j < BINS; j++) right[i][j] -= factor * right[k][j];
    }
  for (int k = 0; k < MAPS; k++)
    for (int j = 0; j < BINS; j++) right[k][j] /= matrix[k][k];
}

/* Covariance of x with (z, d) times the inverse of theirs: no step of it is the code's. */
static void weights(int sample, int band, double t, double w[MAPS][BINS])
{
  double s[MAPS][MAPS], matrix[MAPS][MAPS];

  covariance(sample, band, s);
  for (int i = 0; i < MAPS; i++)
    for (int j = 0; j < MAPS; j++)
      matrix[i][j] = (i < BINS ? t : 1) * (j < BINS ? t : 1) * s[i][j] + (i == j && i < BINS ? (1 - t) * (1 - t) : 0);
  for (int i = 0; i < MAPS; i++)
    for (int j = 0; j < BINS; j++) w[i][j] = (i < BINS ? t : 1) * s[i][j];
  solve(matrix, w);
}

static void without_an_answer_it_is_the_least_squares_guess_from_noisy_map_and_data(void **state)
{
  Fixture *f = calloc(1, sizeof *f);
  Scalar x[BATCH * SIZE] = {0};
  BandPowers *bands = NULL;

  (void)state;
  make(f);
  const Scalar *shown = guess_maps(f->guess, f->t, f->z);
  guess_complete(f->guess, f->t, x);
  for (int b = 0; b < BATCH; b++) {
    assert_memory_equal(shown + SHOWN_KINDS * b * SIZE, f->z + b * SIZE, SIZE * sizeof *x);
    assert_memory_equal(shown + (SHOWN_KINDS * b + SHOWN_GUESS) * SIZE, x + b * SIZE, SIZE * sizeof *x);
  }
  assert_ok(band_powers_create(NY, NX, 1, GUESS_BANDS, BANDS_TO_CORNER, &bands));
  for (int b = 0; b < BATCH; b++)
    for (int ky = 0; ky < NY; ky++)
      for (int kx = 0; kx <= NX / 2; kx++) {
        double w[MAPS][BINS];

        weights(b, 1 + (int)band_powers_band(bands, ky, kx), (double)f->t[b], w);
        for (int bin = 0; bin < BINS; bin++) {
          double _Complex expected = 0;

          for (int i = 0; i < MAPS; i++)
            expected += w[i][bin] * mode_of(i < BINS ? f->z + (b * BINS + i) * PIXELS
                                                     : f->observation + (b * CHANNELS + i - BINS) * PIXELS,
                                            ky, kx);
          assert_within(cabs(mode_of(x + (b * BINS + bin) * PIXELS, ky, kx) - expected), 0, 1e-10);
        }
      }
  assert_ok(band_powers_destroy(&bands));
  destroy(f);
  free(f);
}

static void products_of_the_guess_are_shown_with_it(void **state)
{
  Fixture *f = calloc(1, sizeof *f);

  (void)state;
  make(f);
  const Scalar *shown = guess_maps(f->guess, f->t, f->z);
  for (int b = 0; b < BATCH; b++, shown += SHOWN_KINDS * SIZE)
    for (int i = 0; i < SIZE; i++) {
      const Scalar guess = shown[SHOWN_GUESS * SIZE + i];

      assert_true(shown[SHOWN_SQUARE * SIZE + i] == guess * guess);
      assert_true(shown[SHOWN_BY_NOISY * SIZE + i] == guess * f->z[b * SIZE + i]);
      assert_true(shown[SHOWN_BY_OBSERVATION * SIZE + i] == guess * f->observation[b * CHANNELS * PIXELS + i]);
    }
  destroy(f);
  free(f);
}

/* What answers add has the covariance that the guess leaves: its square is that of least squares.  A mean of 1 adds
 * one standard deviation to the map's mean. */
static void answers_are_in_units_of_what_the_guess_leaves(void **state)
{
  Fixture *f = calloc(1, sizeof *f);
  BandPowers *bands = NULL;

  (void)state;
  make(f);
  assert_ok(band_powers_create(NY, NX, 1, GUESS_BANDS, BANDS_TO_CORNER, &bands));
  for (int ky = 0; ky < NY; ky++)
    for (int kx = 0; kx <= NX / 2; kx++) {
      Scalar without[BATCH * SIZE] = {0};
      double root[BINS][BINS], s[MAPS][MAPS], w[MAPS][BINS];
      const int band = 1 + (int)band_powers_band(bands, ky, kx);

      guess_maps(f->guess, f->t, f->z);
      guess_complete(f->guess, f->t, without);
      for (int from = 0; from < BINS; from++) {
        Scalar with[BATCH * SIZE] = {0};

        for (int p = 0; p < PIXELS; p++)
          with[from * PIXELS + p] =
              (Scalar)cos(2 * M_PI * ((double)(ky * (p / NX)) / NY + (double)(kx * (p % NX)) / NX));
        const double unit = creal(mode_of(with + from * PIXELS, ky, kx));
        guess_complete(f->guess, f->t, with);
        for (int to = 0; to < BINS; to++)
          root[to][from] = creal(mode_of(with + to * PIXELS, ky, kx) - mode_of(without + to * PIXELS, ky, kx)) / unit;
      }
      covariance(0, band, s);
      weights(0, band, (double)f->t[0], w);
      for (int i = 0; i < BINS; i++)
        for (int j = 0; j < BINS; j++) {
          double left = s[i][j], square = 0;

          for (int k = 0; k < MAPS; k++) left -= w[k][i] * (k < BINS ? (double)f->t[0] : 1) * s[k][j];
          for (int k = 0; k < BINS; k++) square += root[i][k] * root[j][k];
          assert_within(ky || kx ? square : PIXELS * square, left, 1e-10);
        }
    }
  assert_ok(band_powers_destroy(&bands));
  destroy(f);
  free(f);
}

static void gradients_are_pulled_back_through_it(void **state)
{
  Fixture *f = calloc(1, sizeof *f);
  Scalar y[BATCH * SIZE], x[BATCH * SIZE], guess[BATCH * SIZE] = {0}, bar[BATCH * SIZE], pulled[BATCH * SIZE];

  (void)state;
  make(f);
  fill(3, BATCH * SIZE, y);
  fill(4, BATCH * SIZE, bar);
  memcpy(x, y, sizeof x);
  memcpy(pulled, bar, sizeof pulled);
  guess_maps(f->guess, f->t, f->z);
  guess_complete(f->guess, f->t, x);
  guess_complete(f->guess, f->t, guess);
  guess_pull_back(f->guess, f->t, pulled);
  for (int b = 0; b < BATCH; b++) {
    double forward = 0, backward = 0;

    for (int i = b * SIZE; i < (b + 1) * SIZE; i++) {
      forward += (double)bar[i] * ((double)x[i] - (double)guess[i]);
      backward += (double)pulled[i] * (double)y[i];
    }
    assert_close(forward, backward, 1e-10);
  }
  destroy(f);
  free(f);
}

/* Where neither map nor data have anything there is nothing to guess, and nothing to answer. */
static void what_has_no_power_stays_zero(void **state)
{
  Fixture *f = calloc(1, sizeof *f);
  Scalar x[BATCH * SIZE];

  (void)state;
  make(f);
  assert_ok(guess_destroy(&f->guess));
  memset(f->normalisation->guess, 0, PAIRS * sizeof *f->normalisation->guess); /* the means */
  assert_ok(guess_create(&shape, f->normalisation, BATCH, &f->guess));
  guess_observe(f->guess, BATCH, f->observation, f->theta, f->t_theta);
  fill(3, BATCH * SIZE, x);
  guess_maps(f->guess, f->t, f->z);
  guess_complete(f->guess, f->t, x);
  for (int map = 0; map < BATCH * BINS; map++) {
    assert_within(cabs(mode_of(x + map * PIXELS, 0, 0)), 0, 1e-12);
    assert_true(cabs(mode_of(x + map * PIXELS, 1, 1)) > 1e-3);
  }
  destroy(f);
  free(f);
}

/* The network must not be told the parameters that it is asked for. */
static void where_parameters_are_not_known_the_guess_does_not_follow_them(void **state)
{
  Fixture *f = calloc(1, sizeof *f), *joint = calloc(1, sizeof *joint);
  Scalar known[SHOWN_KINDS * BATCH * SIZE];

  (void)state;
  make(f);
  memcpy(known, guess_maps(f->guess, f->t, f->z), sizeof known);
  f->t_theta[1] = 0.999f;
  guess_observe(f->guess, BATCH, f->observation, f->theta, f->t_theta);
  const Scalar *partly = guess_maps(f->guess, f->t, f->z);
  shape.config.flow = FLOW_JOINT;
  make(joint);
  const Scalar *of_mean = guess_maps(joint->guess, joint->t, joint->z);
  const size_t each = SHOWN_KINDS * SIZE;
  assert_memory_equal(partly, known, each * sizeof *known);
  assert_memory_equal(partly + each, of_mean + each, each * sizeof *known);
  assert_memory_not_equal(partly + each + SIZE, known + each + SIZE, SIZE * sizeof *known);
  destroy(f), destroy(joint);
  free(f), free(joint);
}

static void other_outputs_are_left_as_they_are(void **state)
{
  NetworkShape clean = shape;
  Guess *guess = NULL;
  Scalar x[1] = {2}, t[1] = {0.5};

  (void)state;
  clean.config.output = OUTPUT_CLEAN;
  assert_int_equal(guess_count(&clean), 0);
  assert_ok(guess_create(&clean, NULL, 1, &guess));
  assert_null(guess);
  guess_observe(guess, 1, x, NULL, NULL);
  assert_ptr_equal(guess_maps(guess, t, x), x);
  guess_complete(guess, t, x);
  guess_pull_back(guess, t, x);
  assert_true(x[0] == 2);
  assert_ok(guess_destroy(&guess));
}

static int with_parameters_known(void **state)
{
  (void)state;
  shape.config.flow = FLOW_PARAMETERS_FIRST;
  return 0;
}

static int with_none(void **state)
{
  (void)state;
  shape.config.flow = FLOW_JOINT;
  return 0;
}

#define KNOWN(test) cmocka_unit_test_setup_teardown(test, with_parameters_known, with_none)

NEPHRITE_TEST_MAIN(KNOWN(without_an_answer_it_is_the_least_squares_guess_from_noisy_map_and_data),
                   KNOWN(answers_are_in_units_of_what_the_guess_leaves),
                   KNOWN(where_parameters_are_not_known_the_guess_does_not_follow_them),
                   KNOWN(gradients_are_pulled_back_through_it),
                   cmocka_unit_test(without_an_answer_it_is_the_least_squares_guess_from_noisy_map_and_data),
                   cmocka_unit_test(products_of_the_guess_are_shown_with_it),
                   cmocka_unit_test(answers_are_in_units_of_what_the_guess_leaves),
                   cmocka_unit_test(gradients_are_pulled_back_through_it),
                   cmocka_unit_test(what_has_no_power_stays_zero), cmocka_unit_test(other_outputs_are_left_as_they_are))
