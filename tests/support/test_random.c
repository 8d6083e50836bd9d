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
                   cmocka_unit_test(normals_have_mean_0_variance_1_and_kurtosis_3),
                   cmocka_unit_test(the_generator_is_philox_and_stays_what_it_was),
                   cmocka_unit_test(a_permutation_holds_every_number_once))
