#include "fixtures.h"

enum { NX = 32, NY = 24, BINS = 2, PIXELS = NX * NY };

static const RandomKey noise = {.seed = 3, .stream = STREAM_NOISE, .index = 5};

static Observer *make_observer(SurveyConfig survey)
{
  Observer *observer = NULL;

  assert_ok(observer_create(&survey, &observer));
  return observer;
}

static void without_mask_only_e_modes_or_convergences_are_shown(void **state)
{
  Observer *shear = make_observer(small_survey(NX, NY, OBSERVATION_SHEAR));
  Observer *convergence = make_observer(small_survey(NX, NY, OBSERVATION_CONVERGENCE));

  (void)state;
  assert_int_equal(observer_channels(shear), BINS);
  assert_int_equal(observer_raw_size(shear), BINS * 2 * PIXELS);
  assert_int_equal(observer_channels(convergence), BINS);
  assert_int_equal(observer_raw_size(convergence), BINS * PIXELS);
  assert_ok(observer_destroy(&shear));
  assert_ok(observer_destroy(&convergence));
}

static void with_a_mask_b_modes_and_the_mask_follow(void **state)
{
  SurveyConfig survey = small_survey(NX, NY, OBSERVATION_SHEAR);
  Observer *observer;

  (void)state;
  strcpy(survey.mask, "random");
  observer = make_observer(survey);
  assert_int_equal(observer_channels(observer), 2 * BINS + 1);
  assert_ok(observer_destroy(&observer));
  survey.observation = OBSERVATION_CONVERGENCE;
  observer = make_observer(survey);
  assert_int_equal(observer_channels(observer), BINS + 1);
  assert_ok(observer_destroy(&observer));
}

/* Raw values of the noise alone are the keyed normals at their own positions, times noise_std. */
static void check_noise(ObservationKind kind)
{
  Observer *observer = make_observer(small_survey(NX, NY, kind));
  const size_t size = observer_raw_size(observer);
  float *kappa = room(BINS * PIXELS, sizeof *kappa), *raw = room(size, sizeof *raw);
  double *normal = room(size, sizeof *normal), std[BINS], sum = 0;

  random_normal(noise, 0, size, normal);
  observer_noise_std(observer, noise, std);
  assert_ok(observer_observe(observer, noise, kappa, raw, NULL));
  for (size_t i = 0; i < size; i++) {
    assert_close(raw[i], std[0] * normal[i], 0x1p-24); /* half a unit in the last place of a float */
    sum += (double)raw[i] * raw[i];
  }
  assert_close(sqrt(sum / (double)size), std[0], 5 / sqrt(2. * (double)size)); /* 5 standard errors */
  assert_ok(observer_destroy(&observer));
  free(kappa), free(raw), free(normal);
}

static void noise_is_keyed_by_its_index_in_the_raw_array(void **state)
{
  (void)state;
  check_noise(OBSERVATION_SHEAR);
  check_noise(OBSERVATION_CONVERGENCE);
}

static void noise_per_pixel_is_sigma_e_over_the_root_of_the_galaxies_of_a_bin(void **state)
{
  SurveyConfig survey = {.map_size = {128, 128},
                         .field_of_view_deg = 5,
                         .bins = 5,
                         .galaxies_per_arcmin2 = 27,
                         .sigma_e = 0.26,
                         .mask = "none"};
  Observer *observer = make_observer(survey);
  double std[5];

  (void)state;
  observer_noise_std(observer, noise, std);
  for (int bin = 0; bin < 5; bin++) assert_close(std[bin], 0.0477377, 1e-5); /* as published, 0.047738 */
  assert_ok(observer_destroy(&observer));
}

static void another_key_gives_other_noise_and_the_same_key_the_same(void **state)
{
  Observer *observer = make_observer(small_survey(NX, NY, OBSERVATION_SHEAR));
  const size_t size = observer_raw_size(observer);
  const RandomKey other = {.seed = noise.seed, .stream = noise.stream, .index = noise.index + 1};
  float *kappa = room(BINS * PIXELS, sizeof *kappa), *raw = room(3 * size, sizeof *raw);

  (void)state;
  assert_ok(observer_observe(observer, noise, kappa, raw, NULL));
  assert_ok(observer_observe(observer, other, kappa, raw + size, NULL));
  assert_ok(observer_observe(observer, noise, kappa, raw + 2 * size, NULL));
  assert_memory_not_equal(raw, raw + size, size * sizeof *raw);
  assert_memory_equal(raw, raw + 2 * size, size * sizeof *raw);
  assert_ok(observer_destroy(&observer));
  free(kappa), free(raw);
}

/* Shape noise is white on the shear; nowhere must presenting it make it more. */
static void noise_is_shown_with_no_more_than_its_own_variance(void **state)
{
  enum { N = 64, SIZE = N * N };
  Observer *observer = make_observer(small_survey(N, N, OBSERVATION_SHEAR));
  float *kappa = room(BINS * SIZE, sizeof *kappa), *raw = room(2 * BINS * SIZE, sizeof *raw);
  float *shown = room(BINS * SIZE, sizeof *shown);
  double std[BINS];

  (void)state;
  observer_noise_std(observer, noise, std);
  assert_ok(observer_observe(observer, noise, kappa, raw, NULL));
  assert_ok(observer_present(observer, raw, NULL, NULL, shown));
  for (int bin = 0; bin < BINS; bin++) {
    double sum = 0;

    for (int i = 0; i < SIZE; i++) sum += shown[bin * SIZE + i] * (double)shown[bin * SIZE + i] / SIZE;
    assert_true(sqrt(sum) < 1.05 * std[bin] && sqrt(sum) > 0.9 * std[bin]); /* 5 standard errors are 0.055 */
  }
  assert_ok(observer_destroy(&observer));
  free(kappa), free(raw), free(shown);
}

/* Nearly no noise: what is shown is the map again, but for its mean, which shear does not see. */
static void what_is_shown_of_a_noiseless_shear_is_the_convergence_without_its_mean(void **state)
{
  SurveyConfig survey = small_survey(15, 13, OBSERVATION_SHEAR); /* odd: no Nyquist lines */
  enum { SIZE = 15 * 13 };
  float kappa[BINS * SIZE], raw[2 * BINS * SIZE], shown[BINS * SIZE];
  double *white = white_map(4, BINS * SIZE);
  Observer *observer;

  (void)state;
  survey.sigma_e = 1e-9;
  observer = make_observer(survey);
  for (int i = 0; i < BINS * SIZE; i++) kappa[i] = (float)white[i];
  assert_ok(observer_observe(observer, noise, kappa, raw, NULL));
  assert_ok(observer_present(observer, raw, NULL, NULL, shown));
  for (int bin = 0; bin < BINS; bin++) {
    double mean = 0;

    for (int i = 0; i < SIZE; i++) mean += kappa[bin * SIZE + i] / (double)SIZE;
    for (int i = 0; i < SIZE; i++) /* float32 raw values */
      assert_within(shown[bin * SIZE + i], kappa[bin * SIZE + i] - mean, 1e-5);
  }
  assert_ok(observer_destroy(&observer));
  free(white);
}

static void masked_pixels_carry_no_data_and_the_mask_is_the_last_channel(void **state)
{
  SurveyConfig survey = small_survey(NX, NY, OBSERVATION_CONVERGENCE);
  float kappa[BINS * PIXELS], raw[BINS * PIXELS], mask[PIXELS], shown[(BINS + 1) * PIXELS];
  Observer *observer;
  int hidden = 0;

  (void)state;
  strcpy(survey.mask, "random");
  observer = make_observer(survey);
  for (int i = 0; i < BINS * PIXELS; i++) kappa[i] = 1;
  assert_ok(observer_observe(observer, noise, kappa, raw, mask));
  for (int i = 0; i < BINS * PIXELS; i++) assert_true(mask[i % PIXELS] == 0 ? raw[i] == 0 : raw[i] != 0);
  for (int i = 0; i < PIXELS; i++) hidden += mask[i] == 0;
  assert_true(hidden > 0);
  assert_ok(observer_present(observer, raw, mask, NULL, shown));
  assert_memory_equal(shown, raw, sizeof raw);
  assert_memory_equal(shown + BINS * PIXELS, mask, sizeof mask);
  assert_ok(observer_destroy(&observer));
}

static void a_mask_leaks_e_into_b_and_b_modes_are_shown_after_all_e_modes(void **state)
{
  SurveyConfig survey = small_survey(NX, NY, OBSERVATION_SHEAR);
  float kappa[BINS * PIXELS], raw[2 * BINS * PIXELS], mask[PIXELS], shown[(2 * BINS + 1) * PIXELS];
  double in[2 * PIXELS], e[PIXELS], b[PIXELS], *white = white_map(6, BINS * PIXELS), leaked = 0;
  ShearTransform *transform = NULL;
  Observer *observer;

  (void)state;
  strcpy(survey.mask, "random");
  observer = make_observer(survey);
  assert_ok(shear_transform_create(NY, NX, &transform));
  for (int i = 0; i < BINS * PIXELS; i++) kappa[i] = (float)white[i];
  assert_ok(observer_observe(observer, noise, kappa, raw, mask));
  assert_ok(observer_present(observer, raw, mask, NULL, shown));
  for (int bin = 0; bin < BINS; bin++) {
    for (int i = 0; i < 2 * PIXELS; i++) in[i] = raw[bin * 2 * PIXELS + i];
    assert_ok(shear_project(transform, in, in + PIXELS, e, b));
    for (int i = 0; i < PIXELS; i++) {
      assert_within(shown[bin * PIXELS + i], e[i], 1e-6 * (1 + fabs(e[i]))); /* rounded to float */
      assert_within(shown[(BINS + bin) * PIXELS + i], b[i], 1e-6 * (1 + fabs(b[i])));
      leaked = fmax(leaked, fabs(b[i]));
    }
  }
  assert_true(leaked > 0.01);
  assert_memory_equal(shown + 2 * BINS * PIXELS, mask, sizeof mask);
  assert_ok(shear_transform_destroy(&transform));
  assert_ok(observer_destroy(&observer));
  free(white);
}

static void what_a_masked_pixel_holds_does_not_matter(void **state)
{
  SurveyConfig survey = small_survey(NX, NY, OBSERVATION_SHEAR);
  float raw[2 * BINS * PIXELS] = {0}, mask[PIXELS], clean[(2 * BINS + 1) * PIXELS], shown[(2 * BINS + 1) * PIXELS];
  Observer *observer;

  (void)state;
  strcpy(survey.mask, "random");
  observer = make_observer(survey);
  for (int i = 0; i < PIXELS; i++) mask[i] = i % 7 ? 1 : 0;
  assert_ok(observer_present(observer, raw, mask, NULL, clean));
  for (int i = 0; i < 2 * BINS * PIXELS; i++) raw[i] = mask[i % PIXELS] == 0 ? NAN : 0;
  assert_ok(observer_present(observer, raw, mask, NULL, shown));
  assert_memory_equal(shown + 2 * BINS * PIXELS, mask, sizeof mask);
  for (int i = 0; i < 2 * BINS * PIXELS; i++) assert_true(shown[i] == clean[i]);
  assert_ok(observer_destroy(&observer));
}

static void an_observation_without_mask_is_shown_as_fully_observed(void **state)
{
  SurveyConfig survey = small_survey(NX, NY, OBSERVATION_CONVERGENCE);
  float raw[BINS * PIXELS] = {0}, shown[(BINS + 1) * PIXELS];
  Observer *observer;

  (void)state;
  strcpy(survey.mask, "random");
  observer = make_observer(survey);
  assert_ok(observer_present(observer, raw, NULL, NULL, shown));
  for (int i = 0; i < PIXELS; i++) assert_true(shown[BINS * PIXELS + i] == 1);
  assert_ok(observer_destroy(&observer));
}

static void a_masked_observation_for_a_survey_without_mask_is_refused(void **state)
{
  Observer *observer = make_observer(small_survey(NX, NY, OBSERVATION_CONVERGENCE));
  float raw[BINS * PIXELS] = {0}, mask[PIXELS], shown[BINS * PIXELS];

  (void)state;
  for (int i = 0; i < PIXELS; i++) mask[i] = 1;
  assert_ok(observer_present(observer, raw, mask, NULL, shown)); /* a mask that hides nothing */
  mask[3] = 0;
  assert_fails(observer_present(observer, raw, mask, NULL, shown), NEPHRITE_ERR_INPUT, "survey_mask is none");
  assert_ok(observer_destroy(&observer));
}

static void a_mask_without_room_for_it_is_refused(void **state)
{
  SurveyConfig survey = small_survey(NX, NY, OBSERVATION_CONVERGENCE);
  float kappa[BINS * PIXELS] = {0}, raw[BINS * PIXELS];
  Observer *observer;

  (void)state;
  strcpy(survey.mask, "random");
  observer = make_observer(survey);
  assert_fails(observer_observe(observer, noise, kappa, raw, NULL), NEPHRITE_ERR_INTERNAL, "no array");
  assert_ok(observer_destroy(&observer));
  assert_null(observer);
}

/* ---- counts ---- */

static const char counts_path[] = "observer_counts_test.h5";

/* Of all bins together: none in the first pixel, few galaxies in the left half of the map, many in the right. */
static void write_counts(void)
{
  float counts[PIXELS];

  for (int i = 0; i < PIXELS; i++) counts[i] = i == 0 ? 0 : i % NX < NX / 2 ? 2 : 200;
  write_plane(counts_path, "counts", NY, NX, counts);
}

static Observer *make_counted(ObservationKind kind, const char *mask)
{
  SurveyConfig survey = small_survey(NX, NY, kind);

  write_counts();
  strcpy(survey.counts, counts_path);
  strcpy(survey.mask, mask);
  Observer *observer = make_observer(survey);
  unlink(counts_path);
  return observer;
}

static void with_counts_weights_of_each_bin_follow_the_data(void **state)
{
  const ObservationKind kinds[] = {OBSERVATION_SHEAR, OBSERVATION_CONVERGENCE};

  (void)state;
  for (int k = 0; k < 2; k++) {
    Observer *observer = make_counted(kinds[k], "none");
    const PetscInt data = BINS * (kinds[k] == OBSERVATION_SHEAR ? 2 : 1), channels = data + BINS;
    float *kappa = room(BINS * PIXELS, sizeof *kappa), *raw = room(2 * BINS * PIXELS, sizeof *raw);
    float mask[PIXELS], *shown = room((size_t)channels * PIXELS, sizeof *shown);
    double std[BINS * PIXELS];

    assert_int_equal(observer_channels(observer), channels);
    assert_int_equal(observation_data_channels(BINS, channels), data);
    assert_ok(observer_observe(observer, noise, kappa, raw, mask));
    observer_noise_std(observer, noise, std);
    assert_ok(observer_present(observer, raw, mask, std, shown));
    for (int i = 0; i < PIXELS; i++) assert_true(mask[i] == (i != 0));
    for (PetscInt bin = 0; bin < BINS; bin++) {
      const float *weight = shown + (data + bin) * PIXELS;

      assert_true(weight[0] == 0);
      assert_close(weight[NX - 1] / weight[1], 10, 1e-6); /* the root of a hundred times as many */
    }
    assert_ok(observer_destroy(&observer));
    free(kappa), free(raw), free(shown);
  }
}

static void data_channels_are_known_from_the_numbers_of_bins_and_channels(void **state)
{
  (void)state;
  for (PetscInt bins = 1; bins <= NEPHRITE_MAX_BINS; bins++) {
    assert_int_equal(observation_data_channels(bins, bins), bins); /* all is seen */
    assert_int_equal(observation_data_channels(bins, bins + 1), bins); /* convergence, mask */
    assert_int_equal(observation_data_channels(bins, 2 * bins + 1), 2 * bins); /* E, B, mask */
    assert_int_equal(observation_data_channels(bins, 2 * bins), bins); /* convergence, weights */
    assert_int_equal(observation_data_channels(bins, 3 * bins), 2 * bins); /* E, B, weights */
  }
}

/* Mean square of what is shown in one half of a channel, of noise alone. */
static double power_of_half(const float *plane, int right)
{
  double sum = 0;
  int count = 0;

  for (int i = 1; i < PIXELS; i++)
    if ((i % NX >= NX / 2) == right) {
      sum += (double)plane[i] * plane[i];
      count++;
    }
  return sum / count;
}

static void noise_of_counts_is_shown_alike_where_there_are_few_galaxies_and_many(void **state)
{
  enum { DRAWS = 32 };
  const ObservationKind kinds[] = {OBSERVATION_SHEAR, OBSERVATION_CONVERGENCE};
  float *kappa = room(BINS * PIXELS, sizeof *kappa), *raw = room(2 * BINS * PIXELS, sizeof *raw);
  float *shown = room(3 * BINS * PIXELS, sizeof *shown), mask[PIXELS];

  (void)state;
  for (int k = 0; k < 2; k++) {
    Observer *observer = make_counted(kinds[k], "none");
    double left = 0, right = 0, std[BINS * PIXELS];

    observer_noise_std(observer, noise, std);
    for (uint64_t d = 0; d < DRAWS; d++) {
      assert_ok(observer_observe(observer, (RandomKey){3, STREAM_NOISE, d}, kappa, raw, mask));
      assert_ok(observer_present(observer, raw, mask, std, shown));
      for (int bin = 0; bin < BINS; bin++) {
        left += power_of_half(shown + bin * PIXELS, 0);
        right += power_of_half(shown + bin * PIXELS, 1);
      }
    }
    /* 5 standard errors of the ratio of two sums of DRAWS BINS PIXELS/2 squares */
    assert_close(left / right, 1, 5 * sqrt(2 * 2. / (DRAWS * BINS * PIXELS / 2)));
    assert_ok(observer_destroy(&observer));
  }
  free(kappa), free(raw), free(shown);
}

static void a_mask_and_counts_hide_together_and_what_is_hidden_does_not_matter(void **state)
{
  Observer *observer = make_counted(OBSERVATION_SHEAR, "random");
  float *kappa = room(BINS * PIXELS, sizeof *kappa), *raw = room(2 * BINS * PIXELS, sizeof *raw);
  float *shown = room(2 * 3 * BINS * PIXELS, sizeof *shown), *again = shown + 3 * BINS * PIXELS, mask[PIXELS];
  double std[BINS * PIXELS];
  int hidden = 0;

  (void)state;
  assert_ok(observer_observe(observer, noise, kappa, raw, mask));
  observer_noise_std(observer, noise, std);
  assert_ok(observer_present(observer, raw, mask, std, shown));
  for (int i = 0; i < PIXELS; i++) {
    assert_true((shown[2 * BINS * PIXELS + i] == 0) == (mask[i] == 0));
    hidden += mask[i] == 0;
    for (int plane = 0; plane < 2 * BINS && mask[i] == 0; plane++) {
      assert_true(raw[plane * PIXELS + i] == 0);
      raw[plane * PIXELS + i] = NAN;
    }
  }
  assert_true(hidden > 1 && mask[0] == 0);
  assert_ok(observer_present(observer, raw, mask, std, again));
  assert_memory_equal(shown, again, 3 * BINS * PIXELS * sizeof *shown);
  assert_ok(observer_destroy(&observer));
  free(kappa), free(raw), free(shown);
}

static void counts_give_the_noise_of_every_pixel(void **state)
{
  Observer *observer = make_counted(OBSERVATION_SHEAR, "none");
  double std[BINS * PIXELS];

  (void)state;
  assert_int_equal(observer_noise_size(observer), BINS * PIXELS);
  observer_noise_std(observer, noise, std);
  for (int bin = 0; bin < BINS; bin++) {
    assert_true(isinf(std[bin * PIXELS]));
    assert_close(std[bin * PIXELS + 1], 0.26, 1e-14); /* two galaxies, one for each bin */
    assert_close(std[bin * PIXELS + NX - 1], 0.026, 1e-14);
  }
  assert_ok(observer_destroy(&observer));
}

/* ---- a range of noise levels ---- */

static const double lowest = 0.5, highest = 2;

static SurveyConfig ranged_survey(ObservationKind kind, const char *mask)
{
  SurveyConfig survey = small_survey(NX, NY, kind);

  survey.noise_range[0] = lowest;
  survey.noise_range[1] = highest;
  strcpy(survey.mask, mask);
  return survey;
}

static void weights_of_each_bin_follow_the_data_and_b_modes_are_shown_under_masks_alone(void **state)
{
  const struct {
    ObservationKind kind;
    const char *mask;
    PetscInt data;
  } cases[] = {{OBSERVATION_SHEAR, "none", BINS},
               {OBSERVATION_SHEAR, "random", 2 * BINS},
               {OBSERVATION_CONVERGENCE, "none", BINS},
               {OBSERVATION_CONVERGENCE, "random", BINS}};

  (void)state;
  for (int c = 0; c < 4; c++) {
    Observer *observer = make_observer(ranged_survey(cases[c].kind, cases[c].mask));
    const PetscInt data = cases[c].data;
    float *kappa = room(BINS * PIXELS, sizeof *kappa), *raw = room(2 * BINS * PIXELS, sizeof *raw);
    float mask[PIXELS], *shown = room((size_t)(data + BINS) * PIXELS, sizeof *shown);
    double std[BINS];
    const SurveyConfig survey = small_survey(NX, NY, cases[c].kind);

    assert_int_equal(observer_channels(observer), data + BINS);
    assert_int_equal(observation_data_channels(BINS, data + BINS), data);
    assert_int_equal(observer_noise_size(observer), BINS);
    assert_ok(observer_observe(observer, noise, kappa, raw, mask));
    observer_noise_std(observer, noise, std);
    assert_ok(observer_present(observer, raw, mask, std, shown));
    for (int i = 0; i < BINS * PIXELS; i++)
      assert_close(shown[(size_t)data * PIXELS + (size_t)i],
                   mask[i % PIXELS] == 0 ? 0 : survey_noise_std(&survey) / std[i / PIXELS], 0x1p-23);
    assert_ok(observer_destroy(&observer));
    free(kappa), free(raw), free(shown);
  }
}

/* Of the log of the factor in units of the range: uniform from 0 to 1, mean 1/2, variance 1/12. */
static void levels_are_log_uniform_and_those_of_bins_independent(void **state)
{
  enum { KEYS = 4000 };
  Observer *observer = make_observer(ranged_survey(OBSERVATION_CONVERGENCE, "none"));
  const SurveyConfig survey = small_survey(NX, NY, OBSERVATION_CONVERGENCE);
  double mean[BINS] = {0}, square[BINS] = {0}, product = 0;

  (void)state;
  for (uint64_t k = 0; k < KEYS; k++) {
    double std[BINS], u[BINS];

    observer_noise_std(observer, (RandomKey){4, STREAM_NOISE, k}, std);
    for (int bin = 0; bin < BINS; bin++) {
      u[bin] = log(std[bin] / survey_noise_std(&survey) / lowest) / log(highest / lowest);
      assert_true(u[bin] >= 0 && u[bin] <= 1);
      mean[bin] += u[bin] / KEYS;
      square[bin] += (u[bin] - 0.5) * (u[bin] - 0.5) / KEYS;
    }
    product += (u[0] - 0.5) * (u[1] - 0.5) / KEYS;
  }
  for (int bin = 0; bin < BINS; bin++) { /* 5 standard errors: of u, of (u - 1/2)^2, of a product */
    assert_within(mean[bin], 0.5, 5 * sqrt(1. / 12 / KEYS));
    assert_within(square[bin], 1. / 12, 5 * sqrt(1. / 180 / KEYS));
  }
  assert_within(product, 0, 5. / 12 / sqrt(KEYS));
  assert_ok(observer_destroy(&observer));
}

/* Raw values of the noise alone are the keyed normals at their own positions, times what noise_std tells of the key. */
static void noise_has_the_level_of_its_key_in_any_order(void **state)
{
  Observer *observer = make_observer(ranged_survey(OBSERVATION_SHEAR, "none"));
  const size_t size = observer_raw_size(observer);
  float *kappa = room(BINS * PIXELS, sizeof *kappa), *raw = room(size, sizeof *raw);
  double *normal = room(size, sizeof *normal), std[2][BINS], again[BINS];

  (void)state;
  for (uint64_t k = 0; k < 2; k++) {
    const RandomKey key = {noise.seed, noise.stream, noise.index + k};

    random_normal(key, 0, size, normal);
    observer_noise_std(observer, key, std[k]);
    assert_ok(observer_observe(observer, key, kappa, raw, NULL));
    for (size_t i = 0; i < size; i++)
      assert_close(raw[i], std[k][i / (2 * PIXELS)] * normal[i], 0x1p-24); /* half a unit in the last place */
  }
  for (int bin = 0; bin < BINS; bin++) assert_true(fabs(std[0][bin] / std[1][bin] - 1) > 1e-3);
  observer_noise_std(observer, noise, again);
  assert_memory_equal(again, std[0], sizeof again);
  assert_ok(observer_destroy(&observer));
  free(kappa), free(raw), free(normal);
}

/* Whatever its level, noise is shown with the standard deviation that the survey has. */
static void noise_of_every_level_is_shown_alike(void **state)
{
  Observer *observer = make_observer(ranged_survey(OBSERVATION_CONVERGENCE, "none"));
  const SurveyConfig survey = small_survey(NX, NY, OBSERVATION_CONVERGENCE);
  float *kappa = room(BINS * PIXELS, sizeof *kappa), *raw = room(BINS * PIXELS, sizeof *raw);
  float *shown = room(2 * BINS * PIXELS, sizeof *shown);

  (void)state;
  for (uint64_t k = 0; k < 16; k++) {
    const RandomKey key = {6, STREAM_NOISE, k};
    double std[BINS], sum = 0;

    assert_ok(observer_observe(observer, key, kappa, raw, NULL));
    observer_noise_std(observer, key, std);
    assert_ok(observer_present(observer, raw, NULL, std, shown));
    for (int i = 0; i < BINS * PIXELS; i++) sum += (double)shown[i] * shown[i] / (BINS * PIXELS);
    assert_close(sqrt(sum), survey_noise_std(&survey), 5 / sqrt(2. * BINS * PIXELS)); /* 5 standard errors */
  }
  assert_ok(observer_destroy(&observer));
  free(kappa), free(raw), free(shown);
}

static void without_a_range_every_observation_has_the_noise_of_the_survey(void **state)
{
  const SurveyConfig survey = small_survey(NX, NY, OBSERVATION_SHEAR);
  Observer *observer = make_observer(survey);
  double std[BINS];

  (void)state;
  for (uint64_t k = 0; k < 4; k++) {
    observer_noise_std(observer, (RandomKey){4, STREAM_NOISE, k}, std);
    for (int bin = 0; bin < BINS; bin++) assert_true(std[bin] == survey_noise_std(&survey));
  }
  assert_ok(observer_destroy(&observer));
}

/* The level multiplies what counts give, and divides the weights. */
static void a_range_and_counts_make_noise_together(void **state)
{
  Observer *counted = make_counted(OBSERVATION_SHEAR, "none"), *both = NULL;
  SurveyConfig survey = ranged_survey(OBSERVATION_SHEAR, "none");
  float *raw = room(2 * BINS * PIXELS, sizeof *raw), *kappa = room(BINS * PIXELS, sizeof *kappa), mask[PIXELS];
  float *shown = room(6 * BINS * PIXELS, sizeof *shown), *ranged = shown + 3 * BINS * PIXELS;
  double std[BINS * PIXELS], level[BINS * PIXELS];

  (void)state;
  write_counts();
  strcpy(survey.counts, counts_path);
  both = make_observer(survey);
  unlink(counts_path);
  assert_int_equal(observer_channels(both), 3 * BINS);
  observer_noise_std(counted, noise, std);
  observer_noise_std(both, noise, level);
  for (int bin = 0; bin < BINS; bin++) {
    const double factor = level[bin * PIXELS + 1] / std[bin * PIXELS + 1];

    assert_true(factor > lowest && factor < highest && fabs(factor - 1) > 1e-3 && isinf(level[bin * PIXELS]));
    for (int i = 1; i < PIXELS; i++) assert_close(level[bin * PIXELS + i], factor * std[bin * PIXELS + i], 1e-14);
  }
  assert_ok(observer_observe(counted, noise, kappa, raw, mask));
  assert_ok(observer_present(counted, raw, mask, std, shown));
  assert_ok(observer_observe(both, noise, kappa, raw, mask));
  assert_true(mask[0] == 0 && mask[1] == 1);
  assert_ok(observer_present(both, raw, mask, level, ranged));
  for (int i = 0; i < 2 * BINS * PIXELS; i++) /* of noise alone, the weighted data are the same */
    assert_within(ranged[i], shown[i], 1e-5);
  for (int i = 0; i < BINS * PIXELS; i++)
    assert_close(ranged[2 * BINS * PIXELS + i] * (i % PIXELS ? level[i] : 1),
                 shown[2 * BINS * PIXELS + i] * (i % PIXELS ? std[i] : 1), 0x1p-22);
  assert_ok(observer_destroy(&counted));
  assert_ok(observer_destroy(&both));
  free(raw), free(kappa), free(shown);
}

static void weights_of_an_unknown_noise_are_refused(void **state)
{
  Observer *observer = make_observer(ranged_survey(OBSERVATION_CONVERGENCE, "none"));
  float raw[BINS * PIXELS] = {0}, shown[2 * BINS * PIXELS];

  (void)state;
  assert_fails(observer_present(observer, raw, NULL, NULL, shown), NEPHRITE_ERR_INTERNAL, "nobody tells their noise");
  assert_ok(observer_destroy(&observer));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(without_mask_only_e_modes_or_convergences_are_shown),
                   cmocka_unit_test(with_a_mask_b_modes_and_the_mask_follow),
                   cmocka_unit_test(noise_is_keyed_by_its_index_in_the_raw_array),
                   cmocka_unit_test(noise_per_pixel_is_sigma_e_over_the_root_of_the_galaxies_of_a_bin),
                   cmocka_unit_test(another_key_gives_other_noise_and_the_same_key_the_same),
                   cmocka_unit_test(noise_is_shown_with_no_more_than_its_own_variance),
                   cmocka_unit_test(what_is_shown_of_a_noiseless_shear_is_the_convergence_without_its_mean),
                   cmocka_unit_test(masked_pixels_carry_no_data_and_the_mask_is_the_last_channel),
                   cmocka_unit_test(a_mask_leaks_e_into_b_and_b_modes_are_shown_after_all_e_modes),
                   cmocka_unit_test(what_a_masked_pixel_holds_does_not_matter),
                   cmocka_unit_test(an_observation_without_mask_is_shown_as_fully_observed),
                   cmocka_unit_test(a_masked_observation_for_a_survey_without_mask_is_refused),
                   cmocka_unit_test(a_mask_without_room_for_it_is_refused),
                   cmocka_unit_test(with_counts_weights_of_each_bin_follow_the_data),
                   cmocka_unit_test(data_channels_are_known_from_the_numbers_of_bins_and_channels),
                   cmocka_unit_test(noise_of_counts_is_shown_alike_where_there_are_few_galaxies_and_many),
                   cmocka_unit_test(a_mask_and_counts_hide_together_and_what_is_hidden_does_not_matter),
                   cmocka_unit_test(counts_give_the_noise_of_every_pixel),
                   cmocka_unit_test(weights_of_each_bin_follow_the_data_and_b_modes_are_shown_under_masks_alone),
                   cmocka_unit_test(levels_are_log_uniform_and_those_of_bins_independent),
                   cmocka_unit_test(noise_has_the_level_of_its_key_in_any_order),
                   cmocka_unit_test(noise_of_every_level_is_shown_alike),
                   cmocka_unit_test(without_a_range_every_observation_has_the_noise_of_the_survey),
                   cmocka_unit_test(a_range_and_counts_make_noise_together),
                   cmocka_unit_test(weights_of_an_unknown_noise_are_refused))
