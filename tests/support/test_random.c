#include "nephrite_test.h"

static const RandomKey key = {.seed = 7, .stream = STREAM_FIELD, .index = 3};

static void a_number_depends_on_its_position_only(void **state)
{
  double whole[64], piece[13];
  uint64_t words[13];

  (void)state;
  random_normal(key, 0, 64, whole);
  random_normal(key, 21, 13, piece);
  assert_memory_equal(whole + 21, piece, sizeof piece);
  random_uniform(key, 0, 64, whole);
  random_uniform(key, 50, 13, piece);
  assert_memory_equal(whole + 50, piece, sizeof piece);
  random_words(key, 5, 13, words);
  for (uint64_t i = 0; i < 13; i++) assert_true(words[i] == random_bits(key, 5 + i));
}

static void another_seed_stream_or_index_gives_other_numbers(void **state)
{
  const RandomKey others[] = {{8, STREAM_FIELD, 3}, {7, STREAM_NOISE, 3}, {7, STREAM_FIELD, 4}};
  const uint64_t bits = random_bits(key, 5);

  (void)state;
  for (int i = 0; i < 3; i++) assert_true(random_bits(others[i], 5) != bits);
}

static void normals_are_those_of_box_and_muller_to_a_few_units_in_the_last_place(void **state)
{
  enum { COUNT = 20000 };
  static uint64_t words[COUNT];
  static double x[COUNT];
  const long double two_pi = 6.28318530717958647692528676655900577L;

  (void)state;
  random_words(key, 0, COUNT, words);
  random_normal(key, 0, COUNT, x);
  for (int i = 0; i < COUNT; i += 2) {
    const long double u = ((long double)(words[i] >> 12) + 0.5L) * 0x1p-52L;
    const long double turn = ((long double)(words[i + 1] >> 12) + 0.5L) * 0x1p-52L;
    const long double radius = sqrtl(-2 * logl(u));

    assert_true(fabsl(x[i] - radius * cosl(two_pi * turn)) < 5e-16L * radius);
    assert_true(fabsl(x[i + 1] - radius * sinl(two_pi * turn)) < 5e-16L * radius);
  }
}

static void normals_of_any_length_and_start_are_parts_of_one_sequence(void **state)
{
  enum { COUNT = 700 };
  static double whole[COUNT], part[COUNT];
  static float rounded[COUNT];
  const size_t starts[] = {0, 1, 2, 127, 128, 129}, lengths[] = {1, 2, 3, 127, 128, 129, 500};

  (void)state;
  random_normal(key, 0, COUNT, whole);
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
    for (size_t j = 0; j < sizeof lengths / sizeof *lengths; j++) {
      random_normal(key, starts[i], lengths[j], part);
      random_normal_float(key, starts[i], lengths[j], rounded);
      assert_memory_equal(part, whole + starts[i], lengths[j] * sizeof *part);
      for (size_t k = 0; k < lengths[j]; k++) assert_true(rounded[k] == (float)part[k]);
    }
}

static void normals_have_mean_0_variance_1_and_kurtosis_3(void **state)
{
  enum { COUNT = 200000 };
  static double x[COUNT];
  double moment[5] = {0};

  (void)state;
  random_normal(key, 0, COUNT, x);
  for (int i = 0; i < COUNT; i++)
    for (int power = 1; power <= 4; power++) moment[power] += pow(x[i], power) / COUNT;
  /* five standard errors: sqrt(var(x^n)/COUNT) with var 1, 2, 15, 96 */
  assert_within(moment[1], 0, 5 * sqrt(1. / COUNT));
  assert_within(moment[2], 1, 5 * sqrt(2. / COUNT));
  assert_within(moment[3], 0, 5 * sqrt(15. / COUNT));
  assert_within(moment[4], 3, 5 * sqrt(96. / COUNT));
}

static void the_generator_is_philox_and_stays_what_it_was(void **state)
{
  (void)state;
  /* Known answer of Random123 for philox4x64-10, counter 0 and key 0. */
  assert_true(random_bits((RandomKey){0, (RandomStream)0, 0}, 0) == UINT64_C(0x16554d9eca36314c));
}

static void a_permutation_holds_every_number_once(void **state)
{
  enum { COUNT = 1000 };
  int64_t order[COUNT];
  int seen[COUNT] = {0}, fixed = 0;

  (void)state;
  random_permutation(key, COUNT, order);
  for (int i = 0; i < COUNT; i++) {
    assert_in_range(order[i], 0, COUNT - 1);
    seen[order[i]]++;
    fixed += order[i] == i;
  }
  for (int i = 0; i < COUNT; i++) assert_int_equal(seen[i], 1);
  assert_true(fixed < 10); /* one expected */
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_number_depends_on_its_position_only),
                   cmocka_unit_test(another_seed_stream_or_index_gives_other_numbers),
                   cmocka_unit_test(normals_are_those_of_box_and_muller_to_a_few_units_in_the_last_place),
                   cmocka_unit_test(normals_of_any_length_and_start_are_parts_of_one_sequence),
                   cmocka_unit_test(normals_have_mean_0_variance_1_and_kurtosis_3),
                   cmocka_unit_test(the_generator_is_philox_and_stays_what_it_was),
                   cmocka_unit_test(a_permutation_holds_every_number_once))
