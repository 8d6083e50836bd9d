#include "nephrite/lensing.h"
#include "nephrite_test.h"

enum { NY = 12, NX = 16, PIXELS = NY * NX, MAPS = 2, PAIRS = 3, INTERVALS = 6 };
enum { COUNT = PAIRS * ONE_POINT_SCALES * INTERVALS };

static void fill(float *maps)
{
  double normal;

  for (int i = 0; i < MAPS * PIXELS; i++) {
    random_normal((RandomKey){5, STREAM_NOISE, 1}, (uint64_t)i, 1, &normal);
    maps[i] = (float)(0.02 * (i < PIXELS ? normal : exp(normal)));
  }
}

/* With a unit for each distribution, and the variances. */
static void shares(const float *maps, const double *unit, double *share, double *variance)
{
  OnePoint *one_point = NULL;

  assert_ok(one_point_create(NY, NX, MAPS, INTERVALS, &one_point));
  assert_int_equal(one_point_count(one_point), COUNT);
  one_point_variance(one_point, maps, variance);
  one_point_of(one_point, maps, unit, share);
  assert_ok(one_point_destroy(&one_point));
  assert_null(one_point);
  assert_ok(one_point_destroy(&one_point));
}

static double edge(int i)
{
  return sinh(-1.9 + 4.8 * i / INTERVALS);
}

/* By the definition: mean over pixels of how much of the interval lies below their values. */
static double expected(const double *map, double unit, int interval)
{
  double mean = 0, sum = 0;

  for (int i = 0; i < PIXELS; i++) mean += map[i] / PIXELS;
  for (int i = 0; i < PIXELS; i++) {
    const double share = ((map[i] - mean) / unit - edge(interval)) / (edge(interval + 1) - edge(interval));

    sum += fmin(fmax(share, 0), 1) / PIXELS;
  }
  return sum;
}

static double spread(const double *map)
{
  double mean = 0, square = 0;

  for (int i = 0; i < PIXELS; i++) mean += map[i] / PIXELS;
  for (int i = 0; i < PIXELS; i++) square += pow(map[i] - mean, 2) / PIXELS;
  return square;
}

/* A circular convolution with a Gaussian, cut where the transform cuts it: by the discrete transform's own definition.
 */
static void smooth(const double *map, double scale, double *out)
{
  for (int p = 0; p < PIXELS; p++) {
    double sum = 0;

    for (int q = 0; q < PIXELS; q++) {
      double kernel = 0;

      for (int y = 0; y < NY; y++)
        for (int x = 0; x < NX; x++) {
          const double ky = 2 * M_PI * (y < NY / 2 ? y : y - NY) / NY, kx = 2 * M_PI * (x < NX / 2 ? x : x - NX) / NX;

          kernel += exp(-(kx * kx + ky * ky) * scale * scale / 2) *
                    cos(ky * (p / NX - q / NX) + kx * (p % NX - q % NX)) / PIXELS;
        }
      sum += kernel * map[q];
    }
    out[p] = sum;
  }
}

static void shares_and_variances_are_those_of_the_definition_at_every_scale(void **state)
{
  static const double scales[ONE_POINT_SCALES] = {0, 1, 2, 4};
  float maps[MAPS * PIXELS];
  double share[COUNT], unit[PAIRS * ONE_POINT_SCALES], variance[PAIRS * ONE_POINT_SCALES];
  double pair[PAIRS][PIXELS], smoothed[PIXELS];

  (void)state;
  fill(maps);
  for (int i = 0; i < PIXELS; i++) {
    pair[0][i] = (double)maps[i];
    pair[2][i] = (double)maps[PIXELS + i];
    pair[1][i] = pair[0][i] + pair[2][i];
  }
  for (int i = 0; i < PAIRS * ONE_POINT_SCALES; i++) unit[i] = 0.004 + 0.001 * i;
  shares(maps, unit, share, variance);
  for (int p = 0; p < PAIRS; p++)
    for (int s = 0; s < ONE_POINT_SCALES; s++) {
      const int i = p * ONE_POINT_SCALES + s;

      smooth(pair[p], scales[s], smoothed);
      assert_close(variance[i], spread(smoothed), 1e-5);
      for (int n = 0; n < INTERVALS; n++) assert_within(share[i * INTERVALS + n], expected(smoothed, unit[i], n), 1e-5);
    }
}

static void only_the_ratio_to_the_unit_matters_and_no_mean(void **state)
{
  float maps[MAPS * PIXELS];
  double share[COUNT], other[COUNT], unit[PAIRS * ONE_POINT_SCALES], variance[PAIRS * ONE_POINT_SCALES];

  (void)state;
  fill(maps);
  for (int i = 0; i < PAIRS * ONE_POINT_SCALES; i++) unit[i] = 0.004 + 0.001 * i;
  shares(maps, unit, share, variance);
  for (int i = 0; i < MAPS * PIXELS; i++) maps[i] = 3 * maps[i] + 0.01F;
  for (int i = 0; i < PAIRS * ONE_POINT_SCALES; i++) unit[i] *= 3;
  shares(maps, unit, other, variance);
  for (int i = 0; i < COUNT; i++) assert_within(other[i], share[i], 1e-5);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(shares_and_variances_are_those_of_the_definition_at_every_scale),
                   cmocka_unit_test(only_the_ratio_to_the_unit_matters_and_no_mean))
