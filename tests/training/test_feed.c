#include "../../src/training/internal.h"
#include "nephrite_test.h"

#include <stdlib.h>

enum { SIZE = 16, BINS = 2, PARAMETERS = 6, PIXELS = BINS * SIZE * SIZE, CAPACITY = 8, SEED = 3 };

static const TrainConfig train = {.time_mean = -0.8, .time_scale = 0.8};
static const Normalisation normalisation = {.bins = BINS,
                                            .parameters = PARAMETERS,
                                            .map_std = {0.01, 0.02},
                                            .theta_mean = {0.3, 0.05, 0.8, 0.7, 1, -1},
                                            .theta_std = {0.2, 0.006, 0.14, 0.06, 0.08, 0.4}};

/* Of the ellipticities; observed almost without noise, the observation shows which map was observed. */
static const double noiseless = 1e-9, noisy = 0.26;

static SurveyConfig make_survey(const char *mask, double sigma_e)
{
  SurveyConfig survey = {.map_size = {SIZE, SIZE},
                         .field_of_view_deg = 2,
                         .bins = BINS,
                         .observation = OBSERVATION_CONVERGENCE,
                         .galaxies_per_arcmin2 = 27,
                         .sigma_e = sigma_e,
                         .smail_z0 = 0.11,
                         .smail_alpha = 0.68,
                         .smail_beta = 2,
                         .photoz_scatter = 0.05};

  snprintf(survey.mask, sizeof survey.mask, "%s", mask);
  return survey;
}

typedef struct {
  SurveyConfig survey;
  Prior *prior;
  BatchSource *source;
  Feed *feed;
} Fixture;

static const double lowest = 0.5, highest = 2; /* of a range of noise levels */

static Fixture make_with_range(const char *mask, double sigma_e, PetscBool ranged)
{
  const NetworkShape shape = {.ny = SIZE,
                              .nx = SIZE,
                              .bins = BINS,
                              .observation_channels = ranged                 ? 2 * BINS
                                                      : strcmp(mask, "none") ? BINS + 1
                                                                             : BINS,
                              .parameters = PARAMETERS};
  PriorConfig *config = calloc(1, sizeof *config);
  Fixture f = {.survey = make_survey(mask, sigma_e)};

  if (ranged) f.survey.noise_range[0] = lowest, f.survey.noise_range[1] = highest;

  for (size_t i = 0; i < prior_options.count; i++)
    snprintf(config->distribution[i], OPTION_TEXT_SIZE, "%s", prior_options.specs[i].fallback);
  assert_ok(prior_create(config, BINS, &f.prior));
  free(config);
  assert_ok(batch_source_online(&f.survey, f.prior, SEED, 0, &f.source));
  assert_ok(feed_create(&shape, &f.survey, &train, &normalisation, CAPACITY, &f.feed));
  return f;
}

static Fixture make_with_noise(const char *mask, double sigma_e)
{
  return make_with_range(mask, sigma_e, PETSC_FALSE);
}

static Fixture make(const char *mask)
{
  return make_with_noise(mask, noiseless);
}

static void destroy(Fixture *f)
{
  assert_ok(feed_destroy(&f->feed));
  assert_ok(batch_source_destroy(&f->source));
  assert_ok(prior_destroy(&f->prior));
}

/* Item i's map, flipped along y and x as wanted and normalised, at a pixel. */
static double clean(const float *kappa, int bin, int y, int x, int flip_y, int flip_x)
{
  const int from_y = flip_y ? SIZE - 1 - y : y, from_x = flip_x ? SIZE - 1 - x : x;

  return kappa[(bin * SIZE + from_y) * SIZE + from_x] / normalisation.map_std[bin];
}

/* Which of the four flips (2 y + x) turns the map into this sample? -1 if none does. */
static int flip_of(const float *kappa, const Scalar *x)
{
  for (int flips = 0; flips < 4; flips++) {
    double worst = 0;

    for (int i = 0; i < PIXELS; i++)
      worst = fmax(worst, fabs(x[i] - clean(kappa, i / SIZE / SIZE, i / SIZE % SIZE, i % SIZE, flips / 2, flips % 2)));
    if (worst < 1e-5) return flips; /* float32 of values up to about 10 */
  }
  return -1;
}

static void samples_are_flipped_maps_normalised_and_each_flip_occurs(void **state)
{
  Fixture f = make("none");
  const Batch *batch = NULL;
  float kappa[PIXELS];
  double theta[PARAMETERS];
  int seen[4] = {0};

  (void)state;
  for (int64_t first = 0; first < 32; first += CAPACITY) {
    assert_ok(feed_training(f.feed, f.source, SEED, first, CAPACITY, &batch));
    for (int b = 0; b < CAPACITY; b++) {
      assert_ok(batch_source_get(f.source, first + b, kappa, theta, NULL));
      const int flips = flip_of(kappa, batch->x + b * PIXELS);
      assert_in_range(flips, 0, 3);
      seen[flips]++;
      for (int p = 0; p < PARAMETERS; p++)
        assert_within(batch->theta[b * PARAMETERS + p],
                      (theta[p] - normalisation.theta_mean[p]) / normalisation.theta_std[p], 1e-5);
    }
  }
  for (int flips = 0; flips < 4; flips++) assert_true(seen[flips] >= 2); /* eight expected */
  destroy(&f);
}

static void the_observation_is_of_the_flipped_map(void **state)
{
  Fixture f = make("none");
  const Batch *batch = NULL;

  (void)state;
  assert_ok(feed_training(f.feed, f.source, SEED, 0, CAPACITY, &batch));
  for (int i = 0; i < CAPACITY * PIXELS; i++) assert_within(batch->observation[i], batch->x[i], 1e-4); /* noise 1e-7 */
  destroy(&f);
}

static void the_mask_is_shown_as_it_is(void **state)
{
  Fixture f = make("random");
  const Batch *batch = NULL;
  int masked = 0;

  (void)state;
  assert_ok(feed_training(f.feed, f.source, SEED, 0, CAPACITY, &batch));
  for (int b = 0; b < CAPACITY; b++)
    for (int i = 0; i < SIZE * SIZE; i++) {
      const Scalar *sample = batch->observation + b * (BINS + 1) * SIZE * SIZE;
      const double mask = sample[BINS * SIZE * SIZE + i];

      assert_true(mask == 0 || mask == 1);
      for (int bin = 0; bin < BINS; bin++)
        assert_within(sample[bin * SIZE * SIZE + i], mask * batch->x[(b * BINS + bin) * SIZE * SIZE + i], 1e-4);
      masked += mask == 0;
    }
  assert_true(masked > 0);
  destroy(&f);
}

static void noise_and_time_are_keyed_by_the_position(void **state)
{
  Fixture f = make("none");
  const Batch *batch = NULL;

  (void)state;
  assert_ok(feed_training(f.feed, f.source, SEED, 5, 3, &batch));
  for (uint64_t b = 0; b < 3; b++) {
    const uint64_t index = UINT64_C(1) << 63 | (5 + b);
    const RandomKey noise_key = {SEED, STREAM_DIFFUSION_NOISE, index};
    double normal, noise[PIXELS + PARAMETERS];

    random_normal((RandomKey){SEED, STREAM_TIME, index}, 0, 1, &normal);
    assert_close(batch->t[b], 1 / (1 + exp(-(normal - 0.8) * 0.8)), 1e-6);
    random_normal(noise_key, 0, PIXELS + PARAMETERS, noise);
    for (size_t i = 0; i < PIXELS; i++) {
      const size_t at = b * PIXELS + i;
      assert_within(batch->z[at], batch->t[b] * batch->x[at] + (1 - batch->t[b]) * noise[i], 1e-5);
    }
    for (size_t p = 0; p < PARAMETERS; p++) {
      const size_t at = b * PARAMETERS + p;
      assert_within(batch->z_theta[at], batch->t[b] * batch->theta[at] + (1 - batch->t[b]) * noise[PIXELS + p], 1e-5);
    }
  }
  destroy(&f);
}

static double correlation(const double *a, const double *b, size_t count)
{
  double ab = 0, aa = 0, bb = 0;

  for (size_t i = 0; i < count; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return ab / sqrt(aa * bb);
}

static void every_sample_has_shape_noise_of_its_own(void **state)
{
  Fixture f = make_with_noise("none", noisy);
  const Batch *batch = NULL;
  static double noise[CAPACITY][PIXELS];

  (void)state;
  assert_ok(feed_training(f.feed, f.source, SEED, 0, CAPACITY, &batch));
  for (int i = 0; i < CAPACITY * PIXELS; i++) noise[i / PIXELS][i % PIXELS] = batch->observation[i] - batch->x[i];
  for (int b = 0; b < CAPACITY; b++)
    for (int other = 0; other < b; other++) /* 512 pixels: 0.3 is seven standard deviations */
      assert_within(correlation(noise[b], noise[other], PIXELS), 0, 0.3);
  destroy(&f);
}

/* Data are shown times their weight, with the noise of the survey; the weights are shown as they are. */
static void check_levels(const Fixture *f, const Batch *batch)
{
  const int plane = SIZE * SIZE;

  for (int b = 0; b < CAPACITY; b++)
    for (int bin = 0; bin < BINS; bin++) {
      const Scalar *shown = batch->observation + (2 * b * BINS + bin) * plane, *weight = shown + BINS * plane;
      const Scalar *x = batch->x + (b * BINS + bin) * plane;
      double sum = 0;

      assert_true(weight[0] > 1 / highest && weight[0] < 1 / lowest);
      for (int i = 0; i < plane; i++) {
        const double noise = normalisation.map_std[bin] * (double)(shown[i] - weight[i] * x[i]);

        assert_true(weight[i] == weight[0]);
        sum += noise * noise / plane;
      }
      assert_close(sqrt(sum), survey_noise_std(&f->survey), 5 / sqrt(2. * plane)); /* 5 standard errors */
    }
}

static void samples_have_noise_levels_of_their_own_and_are_shown_them(void **state)
{
  Fixture f = make_with_range("none", noisy, PETSC_TRUE);
  const Batch *batch = NULL;
  Scalar level[2];

  (void)state;
  for (int validation = 0; validation < 2; validation++) {
    assert_ok((validation ? feed_validation : feed_training)(f.feed, f.source, SEED, 0, CAPACITY, &batch));
    check_levels(&f, batch);
    level[validation] = batch->observation[BINS * SIZE * SIZE];
    assert_true(level[validation] != batch->observation[3 * BINS * SIZE * SIZE]); /* of the next sample */
  }
  assert_true(level[0] != level[1]);
  destroy(&f);
}

/* Those of the observation that is shown: with one band the mean power of its pixels, but for the mean. */
static void samples_are_told_the_power_of_what_they_are_shown(void **state)
{
  const NetworkShape shape = {.ny = SIZE,
                              .nx = SIZE,
                              .bins = BINS,
                              .observation_channels = BINS,
                              .parameters = PARAMETERS,
                              .config = {.spectra = 1}};
  Fixture f = make_with_noise("none", noisy);
  Normalisation *told = calloc(1, sizeof *told);
  const Batch *batch = NULL;

  (void)state;
  assert_ok(feed_destroy(&f.feed));
  *told = normalisation;
  told->summaries = 3;
  for (int i = 0; i < 3; i++) told->summary_std[i] = 1e-4;
  assert_ok(feed_create(&shape, &f.survey, &train, told, CAPACITY, &f.feed));
  assert_ok(feed_training(f.feed, f.source, SEED, 0, CAPACITY, &batch));
  for (int b = 0; b < CAPACITY; b++)
    for (int bin = 0; bin < BINS; bin++) {
      const Scalar *shown = batch->observation + (b * BINS + bin) * SIZE * SIZE;
      double mean = 0, square = 0;

      for (int i = 0; i < SIZE * SIZE; i++) mean += (double)shown[i] / (SIZE * SIZE);
      for (int i = 0; i < SIZE * SIZE; i++) square += pow((double)shown[i] - mean, 2);
      const double power = square * pow(normalisation.map_std[bin], 2) / (SIZE * SIZE - 1); /* modes but the mean */
      assert_close((double)batch->summaries[b * 3 + 2 * bin], power / 1e-4, 1e-4);
    }
  free(told);
  destroy(&f);
}

/* With noise and times of the joint flow, where they are on their way at all. */
static void samples_go_to_their_parameters_and_then_to_their_map(void **state)
{
  const NetworkShape shape = {.ny = SIZE,
                              .nx = SIZE,
                              .bins = BINS,
                              .observation_channels = BINS,
                              .parameters = PARAMETERS,
                              .config = {.flow = FLOW_PARAMETERS_FIRST}};
  Fixture joint = make("none"), in_turn = make("none");
  const Batch *a = NULL, *b = NULL;

  (void)state;
  assert_ok(feed_destroy(&in_turn.feed));
  assert_ok(feed_create(&shape, &in_turn.survey, &train, &normalisation, CAPACITY, &in_turn.feed));
  assert_ok(feed_training(joint.feed, joint.source, SEED, 5, CAPACITY, &a));
  assert_ok(feed_training(in_turn.feed, in_turn.source, SEED, 5, CAPACITY, &b));
  for (int i = 0; i < CAPACITY; i++) {
    const PetscBool to_map = i % 2 == 0 ? PETSC_TRUE : PETSC_FALSE; /* 5 is odd */

    assert_true(a->t_theta[i] == a->t[i]);
    assert_true(b->t[i] == (to_map ? a->t[i] : 0));
    assert_true(b->t_theta[i] == (to_map ? 1 : a->t[i]));
    for (int k = i * PIXELS; k < (i + 1) * PIXELS; k++) assert_true(b->z[k] == (to_map ? a->z[k] : 0));
    for (int k = i * PARAMETERS; k < (i + 1) * PARAMETERS; k++)
      assert_true(b->z_theta[k] == (to_map ? b->theta[k] : a->z_theta[k]));
  }
  assert_memory_equal(a->x, b->x, CAPACITY * PIXELS * sizeof *a->x);
  assert_memory_equal(a->observation, b->observation, CAPACITY * PIXELS * sizeof *a->observation);
  destroy(&joint);
  destroy(&in_turn);
}

static void a_sample_is_the_same_in_any_batch(void **state)
{
  Fixture f = make("none");
  const Batch *batch = NULL;
  Scalar x[PIXELS], z[PIXELS], observation[PIXELS], z_theta[PARAMETERS], t;

  (void)state;
  assert_ok(feed_training(f.feed, f.source, SEED, 2, CAPACITY, &batch));
  memcpy(x, batch->x + 4 * PIXELS, sizeof x);
  memcpy(z, batch->z + 4 * PIXELS, sizeof z);
  memcpy(observation, batch->observation + 4 * PIXELS, sizeof observation);
  memcpy(z_theta, batch->z_theta + 4 * PARAMETERS, sizeof z_theta);
  t = batch->t[4];
  assert_true(batch->dropout[4] == 6);
  assert_ok(feed_training(f.feed, f.source, SEED, 6, 1, &batch));
  assert_memory_equal(x, batch->x, sizeof x);
  assert_memory_equal(z, batch->z, sizeof z);
  assert_memory_equal(observation, batch->observation, sizeof observation);
  assert_memory_equal(z_theta, batch->z_theta, sizeof z_theta);
  assert_true(t == batch->t[0] && batch->dropout[0] == 6);
  destroy(&f);
}

static void validation_is_not_flipped_repeats_exactly_and_has_noise_of_its_own(void **state)
{
  Fixture f = make("none");
  const Batch *batch = NULL;
  float kappa[PIXELS];
  double theta[PARAMETERS];
  Scalar first[CAPACITY * PIXELS], t[CAPACITY];

  (void)state;
  assert_ok(feed_validation(f.feed, f.source, SEED, 0, CAPACITY, &batch));
  memcpy(first, batch->z, sizeof first);
  memcpy(t, batch->t, sizeof t);
  for (int b = 0; b < CAPACITY; b++) {
    assert_ok(batch_source_get(f.source, b, kappa, theta, NULL));
    assert_int_equal(flip_of(kappa, batch->x + b * PIXELS), 0);
  }
  assert_ok(feed_training(f.feed, f.source, SEED, 0, CAPACITY, &batch));
  for (int b = 0; b < CAPACITY; b++) assert_true(batch->t[b] != t[b]);
  assert_ok(feed_validation(f.feed, f.source, SEED, 0, CAPACITY, &batch));
  assert_memory_equal(first, batch->z, sizeof first);
  destroy(&f);
}

static void a_network_of_other_observation_channels_is_refused(void **state)
{
  const NetworkShape shape = {
      .ny = SIZE, .nx = SIZE, .bins = BINS, .observation_channels = BINS + 1, .parameters = PARAMETERS};
  const SurveyConfig survey = make_survey("none", noiseless);
  Feed *feed = NULL;

  (void)state;
  assert_fails(feed_create(&shape, &survey, &train, &normalisation, CAPACITY, &feed), NEPHRITE_ERR_INTERNAL,
               "an observation has 2 channels, the network 3");
  assert_ok(feed_destroy(&feed));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(samples_are_flipped_maps_normalised_and_each_flip_occurs),
                   cmocka_unit_test(the_observation_is_of_the_flipped_map),
                   cmocka_unit_test(the_mask_is_shown_as_it_is),
                   cmocka_unit_test(noise_and_time_are_keyed_by_the_position),
                   cmocka_unit_test(every_sample_has_shape_noise_of_its_own),
                   cmocka_unit_test(samples_have_noise_levels_of_their_own_and_are_shown_them),
                   cmocka_unit_test(samples_are_told_the_power_of_what_they_are_shown),
                   cmocka_unit_test(samples_go_to_their_parameters_and_then_to_their_map),
                   cmocka_unit_test(a_sample_is_the_same_in_any_batch),
                   cmocka_unit_test(validation_is_not_flipped_repeats_exactly_and_has_noise_of_its_own),
                   cmocka_unit_test(a_network_of_other_observation_channels_is_refused))
