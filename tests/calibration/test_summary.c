#include "calibration/fixtures.h"

#include <math.h>

enum { N = 16, BINS = 2, PIXELS = N * N, BANDS = 6, PAIRS = 3, HEIGHTS = 4 };

static const double theta[6] = {0.25, 0.05, 0.8, 0.7, 1, -1};

static SurveyConfig survey_of(PetscInt n)
{
  return (SurveyConfig){.map_size = {n, n}, .field_of_view_deg = 10, .bins = BINS};
}

static void parameters_are_summed_up_by_s8_and_omega_m(void **state)
{
  const SurveyConfig survey = survey_of(N);
  Summary *summary = NULL;
  float value[2];

  (void)state;
  assert_ok(summary_create(SUMMARY_S8_OMEGA_M, &survey, &summary));
  assert_int_equal(summary_dimension(summary), 2);
  assert_ok(summary_of(summary, NULL, theta, value));
  assert_close(value[0], 0.8, 1e-6);
  assert_close(value[1], 0.3, 1e-6);
  assert_ok(summary_destroy(&summary));
  assert_ok(summary_destroy(&summary));
}

/* White noise of variance v has C(ell) = v pixel^2 in every band. */
static void white_noise_has_the_same_power_in_every_band(void **state)
{
  enum { MAPS = 400 };
  const SurveyConfig survey = survey_of(N);
  const double pixel = survey_pixel(&survey);
  double mean[PAIRS * BANDS] = {0}, normal[2 * PIXELS];
  float kappa[BINS * PIXELS], value[PAIRS * BANDS];
  Summary *summary = NULL;

  (void)state;
  assert_ok(summary_create(SUMMARY_SPECTRA, &survey, &summary));
  assert_int_equal(summary_dimension(summary), PAIRS * BANDS);
  for (int i = 0; i < MAPS; i++) {
    random_normal((RandomKey){1, STREAM_NOISE, (uint64_t)i}, 0, 2 * PIXELS, normal);
    for (int p = 0; p < PIXELS; p++) kappa[p] = (float)normal[p]; /* bin 1: half of bin 0, and as much of its own */
    for (int p = 0; p < PIXELS; p++) kappa[PIXELS + p] = (float)(0.5 * (normal[p] + normal[PIXELS + p]));
    assert_ok(summary_of(summary, kappa, theta, value));
    for (int k = 0; k < PAIRS * BANDS; k++) mean[k] += (double)value[k] / (pixel * pixel) / MAPS;
  }
  for (int b = 0; b < BANDS; b++) { /* four modes at least in a band: 5% of scatter, of pairs too */
    assert_within(mean[b], 1, 0.15);
    assert_within(mean[BANDS + b], 0.5, 0.1);
    assert_within(mean[2 * BANDS + b], 0.5, 0.1);
  }
  assert_ok(summary_destroy(&summary));
}

static void a_wave_is_in_its_band_alone(void **state)
{
  const SurveyConfig survey = survey_of(N);
  float kappa[BINS * PIXELS] = {0}, value[PAIRS * BANDS];
  const struct {
    int kx, ky, band;
  } waves[] = {{1, 0, 0}, {0, 1, 0}, {1, 1, 1}, {2, 1, 2}, {3, 0, 3}, {0, 7, 5}, {5, 5, 5}};
  Summary *summary = NULL;

  (void)state;
  assert_ok(summary_create(SUMMARY_SPECTRA, &survey, &summary));
  for (size_t w = 0; w < sizeof waves / sizeof *waves; w++) {
    for (int y = 0; y < N; y++)
      for (int x = 0; x < N; x++)
        kappa[y * N + x] = (float)cos(2 * M_PI * (waves[w].kx * x + waves[w].ky * y) / (double)N);
    assert_ok(summary_of(summary, kappa, theta, value));
    for (int b = 0; b < BANDS; b++) {
      if (b == waves[w].band)
        assert_true(value[b] > 1e-5f);
      else
        assert_within(value[b], 0, 1e-10);
      assert_within(value[BANDS + b], 0, 1e-10); /* bin 1 is empty */
    }
  }
  assert_ok(summary_destroy(&summary));
}

static void small_maps_have_fewer_bands(void **state)
{
  const SurveyConfig survey = survey_of(4);
  Summary *summary = NULL;

  (void)state;
  assert_ok(summary_create(SUMMARY_SPECTRA, &survey, &summary));
  assert_int_equal(summary_dimension(summary), PAIRS * 2);
  assert_ok(summary_destroy(&summary));
}

static void peaks_are_counted_by_their_height(void **state)
{
  const SurveyConfig survey = survey_of(N);
  float kappa[BINS * PIXELS] = {0}, value[BINS * HEIGHTS];
  Summary *summary = NULL;

  (void)state;
  /* Bin 0: one spike at the corner, whose neighbours are across the edge; bin 1: a plateau is no peak. */
  kappa[0] = 1;
  kappa[PIXELS + 40] = kappa[PIXELS + 41] = 1;
  assert_ok(summary_create(SUMMARY_PEAKS, &survey, &summary));
  assert_int_equal(summary_dimension(summary), BINS * HEIGHTS);
  assert_ok(summary_of(summary, kappa, theta, value));
  for (int h = 0; h < BINS * HEIGHTS; h++) assert_within(value[h], h == HEIGHTS - 1, 0);
  kappa[N - 1] = 2; /* a higher neighbour of the corner, over the edge */
  kappa[5 * N + 8] = 0.4f; /* std is 0.14: 2.7 of them above the mean */
  kappa[9 * N + 8] = 0.17f; /* 1.1 */
  kappa[12 * N + 8] = 0.05f; /* 0.2 */
  assert_ok(summary_of(summary, kappa, theta, value));
  for (int h = 0; h < HEIGHTS; h++) assert_within(value[h], 1, 0);
  assert_ok(summary_destroy(&summary));
}

static void a_flat_map_has_no_peaks(void **state)
{
  const SurveyConfig survey = survey_of(N);
  float kappa[BINS * PIXELS] = {0}, value[BINS * HEIGHTS];
  Summary *summary = NULL;

  (void)state;
  assert_ok(summary_create(SUMMARY_PEAKS, &survey, &summary));
  assert_ok(summary_of(summary, kappa, theta, value));
  for (int h = 0; h < BINS * HEIGHTS; h++) assert_within(value[h], 0, 0);
  assert_ok(summary_destroy(&summary));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(parameters_are_summed_up_by_s8_and_omega_m),
                   cmocka_unit_test(white_noise_has_the_same_power_in_every_band),
                   cmocka_unit_test(a_wave_is_in_its_band_alone), cmocka_unit_test(small_maps_have_fewer_bands),
                   cmocka_unit_test(peaks_are_counted_by_their_height), cmocka_unit_test(a_flat_map_has_no_peaks))
