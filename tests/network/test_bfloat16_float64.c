/* nephrite-test: float64
 * The double-precision build refuses products in bfloat16. */
#include "example.h"

static void a_network_in_bfloat16_is_refused(void **state)
{
  const NetworkMode mode = (NetworkMode)(NETWORK_TRAINING | NETWORK_BFLOAT16);
  const NetworkShape shape = example_shape();
  Network *network = NULL;
  NetworkEstimate estimate;

  (void)state;
  assert_ok(network_mode_check(NETWORK_TRAINING));
  assert_fails(network_mode_check(mode), NEPHRITE_ERR_CONFIG,
               "train_precision is bfloat16; this build computes in float64");
  assert_fails(network_create(&shape, 1, mode, &network), NEPHRITE_ERR_CONFIG, "train_precision");
  assert_ok(network_destroy(&network));
  assert_fails(network_estimate(&shape, 1, mode, &estimate), NEPHRITE_ERR_CONFIG, "train_precision");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_network_in_bfloat16_is_refused))
