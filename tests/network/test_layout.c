#include "example.h"

static void the_published_network_has_its_published_size_and_cost(void **state)
{
  const NetworkShape shape = published_shape();
  Network *network = NULL;

  (void)state;
  assert_ok(network_create(&shape, 1, NETWORK_INFERENCE, &network));
  assert_true(network_parameter_count(network) == 130368838);
  assert_close(network_forward_flops(network), 100.3e9, 1e-3); /* the figure's digits */
  assert_ok(network_destroy(&network));
  assert_null(network);
}

static const NetworkTensor *find(const Network *network, const char *name)
{
  for (PetscInt i = 0; i < network_tensor_count(network); i++)
    if (!strcmp(network_tensor(network, i)->name, name)) return network_tensor(network, i);
  return NULL;
}

static void tensors_have_the_names_and_shapes_of_the_manual(void **state)
{
  enum { W = 24, D = 8, K = 3, B = 7, E = 10, P = 5, F = 24, M = 64 }; /* of the example; M = floor(4 W 2/3) */
  const struct {
    const char *name;
    PetscInt rows, columns; /* 0: a vector */
  } table[] = {
      {"time.linear1.weight", W, E},
      {"time.linear1.bias", W, 0},
      {"time.linear2.weight", W, W},
      {"time.linear2.bias", W, 0},
      {"cosmology.embed.weight", K * W, P},
      {"cosmology.embed.bias", K * W, 0},
      {"cosmology.token", K, W},
      {"field.embed1.weight", B, 2 * 2 * 2},
      {"field.embed2.weight", W, B},
      {"field.embed2.bias", W, 0},
      {"field.position", F, W},
      {"observation.embed1.weight", B, 4 * 4 * 3},
      {"observation.embed2.weight", W, B},
      {"observation.embed2.bias", W, 0},
      {"block.3.norm1.weight", W, 0},
      {"block.3.norm2.weight", W, 0},
      {"block.3.attention.qkv.weight", 3 * W, W},
      {"block.3.attention.qkv.bias", 3 * W, 0},
      {"block.3.attention.proj.weight", W, W},
      {"block.3.attention.proj.bias", W, 0},
      {"block.3.attention.q_norm.weight", D, 0},
      {"block.3.attention.k_norm.weight", D, 0},
      {"block.3.mlp.w12.weight", 2 * M, W},
      {"block.3.mlp.w12.bias", 2 * M, 0},
      {"block.3.mlp.w3.weight", W, M},
      {"block.3.mlp.w3.bias", W, 0},
      {"block.3.modulation.weight", 6 * W, W},
      {"block.3.modulation.bias", 6 * W, 0},
      {"head.field.norm.weight", W, 0},
      {"head.field.modulation.weight", 2 * W, W},
      {"head.field.modulation.bias", 2 * W, 0},
      {"head.field.linear.weight", 2 * 2 * 2, W},
      {"head.field.linear.bias", 2 * 2 * 2, 0},
      {"head.cosmology.norm.weight", W, 0},
      {"head.cosmology.linear.weight", P, W},
      {"head.cosmology.linear.bias", P, 0},
  };
  const NetworkShape shape = example_shape();
  Network *network = NULL;

  (void)state;
  assert_ok(network_create(&shape, 1, NETWORK_INFERENCE, &network));
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    const NetworkTensor *tensor = find(network, table[i].name);

    if (!tensor) fail_msg("no tensor %s", table[i].name);
    assert_int_equal(tensor->rank, table[i].columns ? 2 : 1);
    assert_int_equal(tensor->shape[0], table[i].rows);
    if (table[i].columns) assert_int_equal(tensor->shape[1], table[i].columns);
  }
  assert_int_equal(network_tensor_count(network), 22 + 14 * 4);
  assert_ok(network_destroy(&network));
}

static void tensors_follow_each_other_without_gaps(void **state)
{
  const NetworkShape shape = example_shape();
  Network *network = NULL;
  size_t offset = 0;

  (void)state;
  assert_ok(network_create(&shape, 1, NETWORK_INFERENCE, &network));
  for (PetscInt i = 0; i < network_tensor_count(network); i++) {
    assert_true(network_tensor(network, i)->offset == offset);
    offset += network_tensor(network, i)->size;
  }
  assert_true(offset == network_parameter_count(network));
  assert_ok(network_destroy(&network));
}

static void an_observation_in_channels_widens_the_patches_and_has_no_tensors_of_its_own(void **state)
{
  NetworkShape shape = example_shape();
  Network *network = NULL;

  (void)state;
  shape.config.conditioning = CONDITIONING_CHANNELS;
  assert_ok(network_create(&shape, 1, NETWORK_INFERENCE, &network));
  assert_int_equal(find(network, "field.embed1.weight")->shape[1], 2 * 2 * (2 + 3));
  assert_int_equal(find(network, "head.field.linear.weight")->shape[0], 2 * 2 * 2);
  assert_null(find(network, "observation.embed1.weight"));
  assert_ok(network_destroy(&network));
}

static void a_map_that_the_patch_does_not_divide_has_a_grid_that_covers_it(void **state)
{
  NetworkShape shape = example_shape();
  Network *network = NULL;

  (void)state;
  shape.ny = 9, shape.nx = 13;
  assert_ok(network_create(&shape, 1, NETWORK_INFERENCE, &network));
  assert_int_equal(find(network, "field.position")->shape[0], 5 * 7);
  assert_ok(network_destroy(&network));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_published_network_has_its_published_size_and_cost),
                   cmocka_unit_test(tensors_have_the_names_and_shapes_of_the_manual),
                   cmocka_unit_test(tensors_follow_each_other_without_gaps),
                   cmocka_unit_test(an_observation_in_channels_widens_the_patches_and_has_no_tensors_of_its_own),
                   cmocka_unit_test(a_map_that_the_patch_does_not_divide_has_a_grid_that_covers_it))
