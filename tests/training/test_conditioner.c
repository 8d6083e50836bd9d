#include "nephrite/training.h"
#include "nephrite_test.h"

#include <stdlib.h>

enum { NY = 6, NX = 8, PIXELS = NY * NX, BINS = 2, BANDS = 3, PAIRS = 3 };

/* Convergence; or E, B of each bin, and a mask. */
static NetworkShape shape_of(PetscInt channels, PetscInt bands)
{
  return (NetworkShape){.ny = NY,
                        .nx = NX,
                        .bins = BINS,
                        .observation_channels = channels,
                        .parameters = 6,
                        .config = {.spectra = bands}};
}

static Normalisation *normalisation(void)
{
  Normalisation *n = calloc(1, sizeof *n);

  assert_non_null(n);
  n->bins = BINS;
  n->parameters = 6;
  n->map_std[0] = 0.01;
  n->map_std[1] = 0.04;
  n->summaries = PAIRS * BANDS;
  for (int i = 0; i < PAIRS * BANDS; i++) {
    n->summary_mean[i] = 0.1 * i;
    n->summary_std[i] = 2 + i;
  }
  return n;
}

static void fill(PetscInt channels, float *shown)
{
  for (int i = 0; i < channels * PIXELS; i++) shown[i] = (float)sin(0.37 * i * i);
}

static void data_are_in_units_of_their_bin_and_a_mask_stays_as_it_is(void **state)
{
  float shown[5 * PIXELS];
  Scalar observation[5 * PIXELS];
  Normalisation *n = normalisation();

  (void)state;
  fill(5, shown);
  for (PetscInt channels = 2; channels <= 5; channels += 3) {
    const NetworkShape shape = shape_of(channels, 0);
    Conditioner *conditioner = NULL;

    assert_ok(conditioner_create(&shape, n, &conditioner));
    conditioner_apply(conditioner, shown, observation, NULL);
    for (int i = 0; i < channels * PIXELS; i++) {
      const double scale = i >= 4 * PIXELS ? 1 : n->map_std[i / PIXELS % BINS];

      assert_close((double)observation[i] * scale, (double)shown[i], 1e-6);
    }
    assert_ok(conditioner_destroy(&conditioner));
    assert_ok(conditioner_destroy(&conditioner));
  }
  free(n);
}

static void band_powers_are_of_the_first_channel_of_each_bin_and_standardised(void **state)
{
  float shown[5 * PIXELS];
  Scalar observation[5 * PIXELS], summaries[PAIRS * BANDS];
  double power[PAIRS * BANDS];
  BandPowers *bands = NULL;
  Normalisation *n = normalisation();

  (void)state;
  fill(5, shown);
  assert_ok(band_powers_create(NY, NX, BINS, BANDS, BANDS_TO_CORNER, &bands));
  band_powers_of(bands, shown, power);
  for (PetscInt channels = 2; channels <= 5; channels += 3) {
    const NetworkShape shape = shape_of(channels, BANDS);
    Conditioner *conditioner = NULL;

    assert_ok(conditioner_create(&shape, n, &conditioner));
    conditioner_apply(conditioner, shown, observation, summaries);
    for (int i = 0; i < PAIRS * BANDS; i++)
      assert_within((double)summaries[i], (power[i] - 0.1 * i) / (2 + i), 1e-6 * fabs(power[i]) + 1e-6);
    assert_ok(conditioner_destroy(&conditioner));
  }
  assert_ok(band_powers_destroy(&bands));
  free(n);
}

static void one_point_distributions_are_told_behind_the_band_powers(void **state)
{
  enum { INTERVALS = 2, TOLD = PAIRS * (BANDS + ONE_POINT_SCALES * INTERVALS) };
  NetworkShape shape = shape_of(2, BANDS);
  float shown[2 * PIXELS];
  Scalar observation[2 * PIXELS], told[TOLD];
  double values[TOLD];
  BandPowers *bands = NULL;
  OnePoint *one_point = NULL;
  Conditioner *conditioner = NULL;
  Normalisation *n = normalisation();

  (void)state;
  shape.config.one_point = INTERVALS;
  assert_int_equal(network_summary_count(&shape), TOLD);
  n->summaries = TOLD;
  for (int i = PAIRS * BANDS; i < TOLD; i++) {
    n->summary_mean[i] = 0.01 * i;
    n->summary_std[i] = 0.1 + i;
  }
  fill(2, shown);
  assert_ok(band_powers_create(NY, NX, BINS, BANDS, BANDS_TO_CORNER, &bands));
  assert_ok(one_point_create(NY, NX, BINS, INTERVALS, &one_point));
  band_powers_of(bands, shown, values);
  for (int i = 0; i < PAIRS * ONE_POINT_SCALES; i++) n->one_point_unit[i] = 0.3 + 0.1 * i;
  one_point_of(one_point, shown, n->one_point_unit, values + PAIRS * BANDS);
  assert_ok(conditioner_create(&shape, n, &conditioner));
  conditioner_apply(conditioner, shown, observation, told);
  for (int i = 0; i < TOLD; i++)
    assert_within((double)told[i], (values[i] - n->summary_mean[i]) / n->summary_std[i], 1e-6 * fabs(values[i]) + 1e-6);
  assert_ok(conditioner_destroy(&conditioner));
  assert_ok(band_powers_destroy(&bands));
  assert_ok(one_point_destroy(&one_point));
  free(n);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(one_point_distributions_are_told_behind_the_band_powers),
                   cmocka_unit_test(data_are_in_units_of_their_bin_and_a_mask_stays_as_it_is),
                   cmocka_unit_test(band_powers_are_of_the_first_channel_of_each_bin_and_standardised))
