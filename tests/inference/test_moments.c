#include "inference/internal.h"
#include "nephrite_test.h"

enum { SIZE = 4, MAPS = 7 };

static void make_maps(float map[MAPS][SIZE])
{
  random_normal_float((RandomKey){1, STREAM_NOISE, 0}, 0, (size_t)MAPS * SIZE, map[0]);
  for (int n = 0; n < MAPS; n++) map[n][1] += 1000; /* a mean far above the spread */
}

static void blocks_join_to_the_moments_of_all(void **state)
{
  float map[MAPS][SIZE];
  double mean[3][SIZE] = {{0}}, square[3][SIZE] = {{0}};
  Moments whole = {MAPS, mean[0], square[0]}, joined = {0, mean[1], square[1]};
  const PetscInt begin[] = {0, 3, 4, 7};

  (void)state;
  make_maps(map);
  moments_measure(SIZE, map[0], &whole);
  for (int block = 0; block < 3; block++) {
    Moments part = {begin[block + 1] - begin[block], mean[2], square[2]};

    moments_measure(SIZE, map[begin[block]], &part);
    moments_join(SIZE, &joined, &part);
  }
  assert_int_equal(joined.count, MAPS);
  for (int i = 0; i < SIZE; i++) {
    assert_within(joined.mean[i], whole.mean[i], 1e-12);
    assert_close(joined.square[i], whole.square[i], 1e-9);
  }
}

static void they_are_mean_and_sum_of_squared_deviations(void **state)
{
  const float map[4] = {1, 2, 3, 6};
  double mean, square;
  Moments moments = {4, &mean, &square};

  (void)state;
  moments_measure(1, map, &moments);
  assert_close(mean, 3, 1e-15);
  assert_close(square, 14, 1e-15);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(blocks_join_to_the_moments_of_all),
                   cmocka_unit_test(they_are_mean_and_sum_of_squared_deviations))
