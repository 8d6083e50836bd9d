/* Activations computed again in backward against activations that were kept. */
#include "outcome.h"

#include <omp.h>

/* With and without dropout, on one thread and several; after two backward passes where there is one thread. */
static void assert_recomputing_changes_no_bit(NetworkShape shape)
{
  const int threads = omp_get_max_threads();

  for (int drops = 0; drops < 2; drops++)
    for (int n = 1; n <= 3; n += 2) {
      shape.config.dropout = drops ? 0.3 : 0;
      omp_set_num_threads(n);
      Outcome kept = outcome_of(&shape, NETWORK_TRAINING, n == 1 ? 2 : 1);
      Outcome again = outcome_of(&shape, NETWORK_RECOMPUTING, n == 1 ? 2 : 1);

      assert_same_outcome(&kept, &again);
      outcome_destroy(&kept), outcome_destroy(&again);
    }
  omp_set_num_threads(threads);
}

static void the_gradient_is_the_same_when_the_observation_enters_at_a_later_block(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  assert_int_equal(shape.config.observation_start, 1);
  assert_recomputing_changes_no_bit(shape);
  shape.config.observation_start = 3; /* at the last one, which is not computed again */
  assert_recomputing_changes_no_bit(shape);
}

static void the_gradient_is_the_same_when_the_observation_enters_at_the_first_block(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.config.observation_start = 0;
  shape.ny = 24, shape.nx = 26; /* several pieces of work per sample */
  assert_recomputing_changes_no_bit(shape);
  shape.config.depth = 1; /* nothing to compute again */
  assert_recomputing_changes_no_bit(shape);
}

static void the_gradient_is_the_same_when_the_observation_comes_in_channels(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.config.conditioning = CONDITIONING_CHANNELS;
  assert_recomputing_changes_no_bit(shape);
}

static void activations_between_blocks_are_still_known(void **state)
{
  const char *const names[] = {"time", "tokens", "observation_tokens", "block.0", "block.1", "block.3"};
  const NetworkShape shape = example_shape();
  Network *networks[] = {outcome_network(&shape, NETWORK_TRAINING), outcome_network(&shape, NETWORK_RECOMPUTING)};
  Example e = example_create(&shape, BATCH);
  size_t count;

  (void)state;
  for (int i = 0; i < 2; i++) assert_ok(network_forward(networks[i], &e.input, e.x, e.theta));
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    assert_ok(network_activation(networks[0], names[i], &count, NULL));
    Scalar *kept = example_array(0, count), *again = example_array(0, count);

    assert_ok(network_activation(networks[0], names[i], &count, kept));
    assert_ok(network_activation(networks[1], names[i], &count, again));
    assert_memory_equal(kept, again, count * sizeof *kept);
    free(kept), free(again);
  }
  for (int i = 0; i < 2; i++) assert_ok(network_destroy(&networks[i]));
  example_destroy(&e);
}

/* What a block leaves beside its input, of B samples of T tokens: x_mid, o, f1, f2, qkv and the gates' and norms'
 * vectors W wide, gu 2M wide, two roots per token and H logs. */
static size_t rest_of_store(size_t B, size_t T, size_t W, size_t M, size_t H)
{
  return (B * T * (7 * W + 2 * M + 2 + H) + B * 8 * W) * sizeof(Scalar);
}

static void all_blocks_but_one_take_the_room_of_their_input_alone(void **state)
{
  NetworkShape shape = example_shape();
  NetworkEstimate kept, again;
  enum { B = 16, K = 4, F = 60, W = 36, M = 96, H = 3, L = 9 }; /* all multiples of a cache line, rows side by side */

  (void)state;
  shape.ny = 12, shape.nx = 20;
  shape.config.conditioning = CONDITIONING_CHANNELS;
  shape.config.width = W, shape.config.heads = H, shape.config.cosmology_tokens = K, shape.config.depth = L;
  assert_ok(network_estimate(&shape, B, NETWORK_TRAINING, &kept));
  assert_ok(network_estimate(&shape, B, NETWORK_RECOMPUTING, &again));
  assert_true(kept.arena_bytes - again.arena_bytes == (L - 1) * rest_of_store(B, K + F, W, M, H));
  Network *network = NULL;
  assert_ok(network_create(&shape, B, NETWORK_RECOMPUTING, &network));
  assert_true(network_arena_bytes(network) == again.arena_bytes);
  assert_ok(network_destroy(&network));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_gradient_is_the_same_when_the_observation_enters_at_a_later_block),
                   cmocka_unit_test(the_gradient_is_the_same_when_the_observation_enters_at_the_first_block),
                   cmocka_unit_test(the_gradient_is_the_same_when_the_observation_comes_in_channels),
                   cmocka_unit_test(activations_between_blocks_are_still_known),
                   cmocka_unit_test(all_blocks_but_one_take_the_room_of_their_input_alone))
