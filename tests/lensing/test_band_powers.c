#include "nephrite/lensing.h"
#include "nephrite_test.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>

enum { NY = 6, NX = 10, MAPS = 2, PIXELS = NY * NX, BANDS = 4, PAIRS = 3 };

/* By the definition, one mode after another. */
static double _Complex mode_of(const float *map, int ky, int kx)
{
  double _Complex sum = 0;

  for (int y = 0; y < NY; y++)
    for (int x = 0; x < NX; x++)
      sum += (double)map[y * NX + x] * cexp(-2 * M_PI * I * ((double)(ky * y) / NY + (double)(kx * x) / NX));
  return sum;
}

static void expect_powers(const float *first, const float *second, double lowest, double highest, double *power)
{
  int count[BANDS] = {0};

  for (int b = 0; b < BANDS; b++) power[b] = 0;
  for (int ky = -NY / 2; ky < NY / 2; ky++)
    for (int kx = -NX / 2; kx < NX / 2; kx++) {
      const double k = hypot(ky * (double)NX / NY, kx); /* of the longer side */
      const double place = log(k / lowest) / log(highest / lowest) * BANDS;

      if (!(place >= 0 && place < BANDS)) continue;
      power[(int)place] += creal(mode_of(first, ky, kx) * conj(mode_of(second, ky, kx))) / PIXELS;
      count[(int)place]++;
    }
  for (int b = 0; b < BANDS; b++) {
    assert_true(count[b] > 0);
    power[b] /= count[b];
  }
}

static void check(BandLimit limit, double highest)
{
  float maps[MAPS * PIXELS];
  double normal[MAPS * PIXELS], power[PAIRS * BANDS], expected[PAIRS * BANDS];
  BandPowers *bands = NULL;

  random_normal((RandomKey){1, STREAM_NOISE, 0}, 0, MAPS * PIXELS, normal);
  for (int i = 0; i < MAPS * PIXELS; i++) maps[i] = (float)(normal[i] + (i < PIXELS ? 0 : normal[i - PIXELS]));
  assert_ok(band_powers_create(NY, NX, MAPS, BANDS, limit, &bands));
  assert_int_equal(band_powers_count(bands), PAIRS * BANDS);
  for (int twice = 0; twice < 2; twice++) { /* nothing is left over from the first */
    band_powers_of(bands, maps, power);
    expect_powers(maps, maps, 1 / 1.01, highest, expected);
    expect_powers(maps, maps + PIXELS, 1 / 1.01, highest, expected + BANDS);
    expect_powers(maps + PIXELS, maps + PIXELS, 1 / 1.01, highest, expected + 2 * BANDS);
    for (int i = 0; i < PAIRS * BANDS; i++) assert_close(power[i], expected[i], 1e-6);
  }
  assert_ok(band_powers_destroy(&bands));
  assert_ok(band_powers_destroy(&bands));
}

static void they_are_means_over_the_modes_of_a_band(void **state)
{
  (void)state;
  check(BANDS_TO_NYQUIST, NX / 2.);
  check(BANDS_TO_CORNER, NX / 2. * sqrt(2) * 1.01); /* all modes but the mean */
}

/* Every mode but the mean is in a band, so that the bands hold what Parseval says. */
static void up_to_the_corner_no_mode_is_left_out(void **state)
{
  enum { N = 32, MANY = 12 };
  static float map[N * N];
  double normal[N * N], mean = 0, square = 0, power[MANY], one[MANY], total = 0;
  BandPowers *bands = NULL;

  (void)state;
  random_normal((RandomKey){2, STREAM_NOISE, 0}, 0, N * N, normal);
  for (int i = 0; i < N * N; i++) mean += normal[i] / (N * N);
  for (int i = 0; i < N * N; i++) square += pow(normal[i] - mean, 2);
  assert_ok(band_powers_create(N, N, 1, MANY, BANDS_TO_CORNER, &bands));
  for (int i = 0; i < N * N; i++) map[i] = (float)normal[i];
  band_powers_of(bands, map, power);
  for (int b = 0; b < MANY; b++) one[b] = 0;
  for (int ky = -N / 2; ky < N / 2; ky++)
    for (int kx = -N / 2; kx < N / 2; kx++) {
      const double place = log(hypot(ky, kx) * 1.01) / log(N / 2. * sqrt(2) * 1.01 * 1.01) * MANY;

      if (place >= 0) one[(int)place]++;
    }
  for (int b = 0; b < MANY; b++) total += one[b] * power[b];
  assert_close(total, square, 1e-5);
  assert_ok(band_powers_destroy(&bands));
}

static void a_band_without_modes_is_empty(void **state)
{
  enum { N = 4, MANY = 40 };
  float map[N * N];
  double power[MANY];
  int empty = 0;
  BandPowers *bands = NULL;

  (void)state;
  for (int i = 0; i < N * N; i++) map[i] = (float)(i * i % 7);
  assert_ok(band_powers_create(N, N, 1, MANY, BANDS_TO_CORNER, &bands));
  band_powers_of(bands, map, power);
  for (int b = 0; b < MANY; b++) {
    assert_true(isfinite(power[b]));
    empty += power[b] == 0;
  }
  assert_int_equal(empty, MANY - 5); /* k^2 = 1, 2, 4, 5, 8 */
  assert_ok(band_powers_destroy(&bands));
}

static void maps_without_pixels_are_refused(void **state)
{
  BandPowers *bands = NULL;

  (void)state;
  assert_fails(band_powers_create(0, 4, 1, 2, BANDS_TO_CORNER, &bands), NEPHRITE_ERR_INTERNAL, "0");
  assert_ok(band_powers_destroy(&bands));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(they_are_means_over_the_modes_of_a_band),
                   cmocka_unit_test(up_to_the_corner_no_mode_is_left_out),
                   cmocka_unit_test(a_band_without_modes_is_empty), cmocka_unit_test(maps_without_pixels_are_refused))
