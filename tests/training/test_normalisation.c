/* nephrite-test: mpi */
#include "../../src/training/internal.h"
#include "nephrite_test.h"

#include <gsl/gsl_cdf.h>
#include <stdlib.h>

enum { SIZE = 16, BINS = 2, PARAMETERS = 6, PIXELS = BINS * SIZE * SIZE, COUNT = 9 };

enum { BANDS = 4, SPECTRA = 3 * BANDS, INTERVALS = 2, DISTRIBUTIONS = 3 * ONE_POINT_SCALES, SEED = 3 };
enum { TOLD = SPECTRA + DISTRIBUTIONS * INTERVALS };

static const NetworkShape shape = {.ny = SIZE,
                                   .nx = SIZE,
                                   .bins = BINS,
                                   .observation_channels = BINS,
                                   .parameters = PARAMETERS,
                                   .config = {.spectra = BANDS, .one_point = INTERVALS, .output = OUTPUT_WIENER}};
static const SurveyConfig survey = {.map_size = {SIZE, SIZE},
                                    .field_of_view_deg = 2,
                                    .field = FIELD_GAUSSIAN,
                                    .bins = BINS,
                                    .galaxies_per_arcmin2 = 27,
                                    .sigma_e = 0.26,
                                    .smail_z0 = 0.11,
                                    .smail_alpha = 0.68,
                                    .smail_beta = 2,
                                    .photoz_scatter = 0.05,
                                    .mask = "none"};

typedef struct {
  Prior *prior;
  BatchSource *source;
} Fixture;

static PetscErrorCode measure(MPI_Comm comm, const Fixture *f, Normalisation *n)
{
  return normalisation_measure(comm, &shape, &(NormalisationSample){f->source, COUNT, &survey, SEED, f->prior}, n);
}

/* The default prior but for one entry. */
static Fixture make(const char *name, const char *distribution)
{
  PriorConfig *config = calloc(1, sizeof *config);
  Fixture f = {0};

  for (size_t i = 0; i < prior_options.count; i++)
    snprintf(config->distribution[i], OPTION_TEXT_SIZE, "%s",
             strcmp(prior_options.specs[i].name, name) ? prior_options.specs[i].fallback : distribution);
  assert_ok(prior_create(config, BINS, &f.prior));
  free(config);
  assert_ok(batch_source_online(&survey, f.prior, 3, 0, &f.source));
  return f;
}

static void destroy(Fixture *f)
{
  assert_ok(batch_source_destroy(&f->source));
  assert_ok(prior_destroy(&f->prior));
}

/* As the network has it before it is centred: of the default prior Omega_c lies in [0, 1], w_0 in [-2, -0.3]. */
static double stretched(int p, double theta)
{
  if (p == 0) return gsl_cdf_ugaussian_Pinv(theta);
  return p == 5 ? gsl_cdf_ugaussian_Pinv((theta + 2) / 1.7) : theta;
}

static void statistics_are_those_of_the_maps_and_parameters(void **state)
{
  Fixture f = make("", "");
  Normalisation n = {0};
  double square[BINS] = {0}, mean[PARAMETERS] = {0}, theta[COUNT][PARAMETERS];
  float kappa[PIXELS];

  (void)state;
  assert_ok(measure(MPI_COMM_WORLD, &f, &n));
  for (int i = 0; i < COUNT; i++) {
    assert_ok(batch_source_get(f.source, i, kappa, theta[i], NULL));
    for (int k = 0; k < PIXELS; k++) square[k / SIZE / SIZE] += (double)kappa[k] * kappa[k] / (COUNT * SIZE * SIZE);
    for (int p = 0; p < PARAMETERS; p++) mean[p] += stretched(p, theta[i][p]) / COUNT;
  }
  assert_int_equal(n.bins, BINS);
  assert_int_equal(n.parameters, PARAMETERS);
  for (int bin = 0; bin < BINS; bin++) assert_close(n.map_std[bin], sqrt(square[bin]), 1e-12);
  for (int p = 0; p < PARAMETERS; p++) {
    double variance = 0;

    for (int i = 0; i < COUNT; i++) variance += pow(stretched(p, theta[i][p]) - mean[p], 2) / COUNT;
    assert_close(n.theta_mean[p], mean[p], 1e-10);
    assert_close(n.theta_std[p], sqrt(variance), 1e-10);
  }
  destroy(&f);
}

static void parameters_come_back_from_the_network_s_units_and_keep_their_bounds(void **state)
{
  static const Normalisation n = {.parameters = 3,
                                  .theta_low = {0, -2, 0},
                                  .theta_high = {1, -0.3, 0},
                                  .theta_mean = {-0.6, 0.2, 0.7},
                                  .theta_std = {0.5, 0.9, 0.06}};
  static const double points[][3] = {{0.2, -1, 0.75}, {1e-9, -2 + 1e-9, -3}, {1 - 1e-9, -0.3 - 1e-9, 40}};
  static const double outside[][3] = {{-1e-9, -1, 0.7}, {0.2, -0.29, 0.7}};
  double theta[3];
  Scalar z[3];

  (void)state;
  for (size_t i = 0; i < 3; i++) {
    assert_ok(normalise_parameters(&n, points[i], z));
    assert_close((double)z[0], (gsl_cdf_ugaussian_Pinv(points[i][0]) + 0.6) / 0.5, 1e-6);
    assert_close((double)z[2], (points[i][2] - 0.7) / 0.06, 1e-6);
    restore_parameters(&n, z, theta);
    for (int p = 0; p < 3; p++) assert_within(theta[p], points[i][p], 1e-6 * fabs(points[i][p]));
  }
  assert_ok(normalise_parameters(&n, (double[]){0, -0.3, 0.7}, z)); /* even there */
  assert_true(isfinite((double)z[0]) && isfinite((double)z[1]));
  restore_parameters(&n, (Scalar[]){-1000, 1000, 1000}, theta);
  assert_true(theta[0] >= 0 && theta[1] <= -0.3 && theta[2] > 60);
  for (size_t i = 0; i < 2; i++)
    assert_fails(normalise_parameters(&n, outside[i], z), NEPHRITE_ERR_INPUT, i ? "[-2, -0.3]" : "[0, 1]");
}

/* Observed with the noise of the first training samples, in whose units they have mean 0 and standard deviation 1. */
static void what_is_told_is_of_noisy_observations(void **state)
{
  Fixture f = make("", "");
  Normalisation n = {0};
  double theta[PARAMETERS], mean[TOLD] = {0}, square[TOLD] = {0};
  float kappa[PIXELS];
  const float *channels = NULL;
  Scalar observation[PIXELS], summaries[TOLD];
  Exposure *exposure = NULL;
  Conditioner *conditioner = NULL;

  (void)state;
  assert_ok(measure(MPI_COMM_WORLD, &f, &n));
  assert_int_equal(n.summaries, TOLD);
  assert_int_equal(n.one_points, DISTRIBUTIONS);
  assert_ok(exposure_create(&survey, &exposure));
  assert_int_equal(exposure_channels(exposure), BINS);
  assert_ok(conditioner_create(&shape, &n, &conditioner));
  for (int64_t i = 0; i < COUNT; i++) {
    assert_ok(batch_source_get(f.source, i, kappa, theta, NULL));
    assert_ok(exposure_take(exposure, (RandomKey){SEED, STREAM_NOISE, TRAINING_KEY | (uint64_t)i}, kappa, &channels));
    conditioner_apply(conditioner, channels, observation, summaries);
    for (int k = 0; k < TOLD; k++) {
      mean[k] += (double)summaries[k] / COUNT;
      square[k] += (double)summaries[k] * (double)summaries[k] / COUNT;
    }
  }
  for (int k = 0; k < TOLD; k++) {
    assert_within(mean[k], 0, 1e-5);
    assert_within(square[k], 1, 1e-5);
  }
  /* the first bin is nearly all noise, each pixel's of which has power sigma^2; on the Nyquist lines less is seen */
  assert_close(n.summary_mean[BANDS - 1], pow(survey_noise_std(&survey), 2), 0.15);
  assert_ok(exposure_destroy(&exposure));
  assert_ok(exposure_destroy(&exposure));
  assert_ok(conditioner_destroy(&conditioner));
  destroy(&f);
}

/* Root mean square over observations of what distributions are told of. */
static void distributions_are_in_units_of_their_spread(void **state)
{
  Fixture f = make("", "");
  Normalisation n = {0};
  double theta[PARAMETERS], variance[DISTRIBUTIONS], expected[DISTRIBUTIONS] = {0};
  float kappa[PIXELS];
  const float *channels = NULL;
  Exposure *exposure = NULL;
  OnePoint *one_point = NULL;

  (void)state;
  assert_ok(measure(MPI_COMM_WORLD, &f, &n));
  assert_ok(exposure_create(&survey, &exposure));
  assert_ok(one_point_create(SIZE, SIZE, BINS, INTERVALS, &one_point));
  for (int64_t i = 0; i < COUNT; i++) {
    assert_ok(batch_source_get(f.source, i, kappa, theta, NULL));
    assert_ok(exposure_take(exposure, (RandomKey){SEED, STREAM_NOISE, TRAINING_KEY | (uint64_t)i}, kappa, &channels));
    one_point_variance(one_point, channels, variance);
    for (int k = 0; k < DISTRIBUTIONS; k++) expected[k] += variance[k] / COUNT;
  }
  for (int k = 0; k < DISTRIBUTIONS; k++) assert_close(n.one_point_unit[k], sqrt(expected[k]), 1e-12);
  assert_ok(one_point_destroy(&one_point));
  assert_ok(exposure_destroy(&exposure));
  destroy(&f);
}

/* Of maps and what is observed of them, in units of the map's standard deviation; the means are a band of their own. */
static void guesses_are_made_with_the_mean_powers_of_maps_and_observations(void **state)
{
  enum { MAPS = 2 * BINS, PAIRS = MAPS * (MAPS + 1) / 2 };
  Fixture f = make("", "");
  Normalisation n = {0};
  double theta[PARAMETERS], power[PAIRS * GUESS_BANDS], expected[(GUESS_BANDS + 1) * PAIRS] = {0};
  float together[MAPS * SIZE * SIZE];
  const float *channels = NULL;
  Exposure *exposure = NULL;
  BandPowers *bands = NULL;

  (void)state;
  assert_ok(measure(MPI_COMM_WORLD, &f, &n));
  assert_int_equal(n.guesses, (GUESS_BANDS + 1) * PAIRS);
  assert_ok(exposure_create(&survey, &exposure));
  assert_ok(band_powers_create(SIZE, SIZE, MAPS, GUESS_BANDS, BANDS_TO_CORNER, &bands));
  for (int64_t i = 0; i < COUNT; i++) {
    assert_ok(batch_source_get(f.source, i, together, theta, NULL));
    assert_ok(
        exposure_take(exposure, (RandomKey){SEED, STREAM_NOISE, TRAINING_KEY | (uint64_t)i}, together, &channels));
    memcpy(together + PIXELS, channels, PIXELS * sizeof *channels);
    band_powers_of(bands, together, power);
    double mean[MAPS] = {0};
    for (int k = 0; k < MAPS * SIZE * SIZE; k++) mean[k / (SIZE * SIZE)] += (double)together[k];
    for (int a = 0, pair = 0; a < MAPS; a++)
      for (int b = a; b < MAPS; b++, pair++) {
        expected[pair] += mean[a] * mean[b] / (SIZE * SIZE) / COUNT;
        for (int k = 0; k < GUESS_BANDS; k++) expected[(k + 1) * PAIRS + pair] += power[pair * GUESS_BANDS + k] / COUNT;
      }
  }
  for (int k = 0; k <= GUESS_BANDS; k++)
    for (int a = 0, pair = 0; a < MAPS; a++)
      for (int b = a; b < MAPS; b++, pair++)
        assert_within(n.guess[k * PAIRS + pair] * n.map_std[a % BINS] * n.map_std[b % BINS], expected[k * PAIRS + pair],
                      1e-12 * n.map_std[a % BINS] * n.map_std[b % BINS]);
  assert_true(n.guess[PAIRS] > 0);
  assert_ok(band_powers_destroy(&bands));
  assert_ok(exposure_destroy(&exposure));
  destroy(&f);
}

static void all_ranks_together_find_what_one_alone_finds_bit_for_bit(void **state)
{
  Fixture f = make("", "");
  Normalisation together = {0}, alone = {0};

  (void)state;
  assert_ok(measure(MPI_COMM_WORLD, &f, &together));
  assert_ok(measure(MPI_COMM_SELF, &f, &alone));
  assert_memory_equal(&together, &alone, sizeof alone);
  destroy(&f);
}

static void a_fixed_parameter_is_centred_and_not_divided(void **state)
{
  Fixture f = make("prior_h", "fixed:0.7");
  Normalisation n = {0};

  (void)state;
  assert_ok(measure(MPI_COMM_WORLD, &f, &n));
  assert_close(n.theta_mean[3], 0.7, 1e-14);
  assert_true(n.theta_std[3] == 1);
  destroy(&f);
}

static void maps_that_are_constant_are_refused_naming_the_bin(void **state)
{
  Fixture f = make("prior_m_2", "fixed:-1"); /* the second bin, (1 + m) kappa, is 0 */
  Normalisation n = {0};

  (void)state;
  assert_fails(measure(MPI_COMM_WORLD, &f, &n), NEPHRITE_ERR_INPUT, "convergence of bin 1");
  destroy(&f);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(statistics_are_those_of_the_maps_and_parameters),
                   cmocka_unit_test(parameters_come_back_from_the_network_s_units_and_keep_their_bounds),
                   cmocka_unit_test(what_is_told_is_of_noisy_observations),
                   cmocka_unit_test(distributions_are_in_units_of_their_spread),
                   cmocka_unit_test(guesses_are_made_with_the_mean_powers_of_maps_and_observations),
                   cmocka_unit_test(all_ranks_together_find_what_one_alone_finds_bit_for_bit),
                   cmocka_unit_test(a_fixed_parameter_is_centred_and_not_divided),
                   cmocka_unit_test(maps_that_are_constant_are_refused_naming_the_bin))
