#include "example.h"

#include "../../src/network/internal.h"

#include <stdlib.h>

static void the_published_shape_is_accepted(void **state)
{
  const NetworkShape shape = published_shape();

  (void)state;
  assert_ok(network_shape_check(&shape));
}

static void a_shape_that_no_network_can_have_is_refused_by_the_option_s_name(void **state)
{
  NetworkShape bad[19];
  const char *words[] = {"network_heads",
                         "network_width is 760",
                         "network_width is 60",
                         "network_patch is 129",
                         "network_patch",
                         "network_observation_patch",
                         "network_observation_start",
                         "network_observation_start is -1",
                         "must be even",
                         "network_dropout is 1",
                         "_bottleneck",
                         "map of 0,128",
                         "network_dropout_last is 12",
                         "network_dropout_first is 10 and network_dropout_last 8",
                         "network_dropout_first is 3 and network_dropout_last 2",
                         "network_spectra is 69; with 5 bins it must lie in [0, 68]",
                         "network_spectra is -1",
                         "network_one_point is 15; with 5 bins and network_spectra 12 it must lie in [0, 14]",
                         "network_one_point is -1"};

  (void)state;
  for (int i = 0; i < 19; i++) bad[i] = published_shape();
  bad[0].config.heads = 0;
  bad[1].config.width = 760;
  bad[2].config.width = 60, bad[2].config.heads = 10; /* six numbers per head: no two pairs for each axis */
  bad[3].config.patch = 129;
  bad[4].config.patch = 0;
  bad[5].config.observation_patch = 256;
  bad[6].config.observation_start = 12;
  bad[7].config.observation_start = -1;
  bad[8].config.time_frequencies = 255;
  bad[9].config.dropout = 1;
  bad[10].config.bottleneck = 0;
  bad[11].ny = 0;
  bad[12].config.dropout_last = 12;
  bad[13].config.dropout_first = 10; /* the middle half ends with block 8 */
  bad[14].config.dropout_last = 2;
  bad[15].config.spectra = 69;
  bad[16].config.spectra = -1;
  bad[17].config.spectra = 12, bad[17].config.one_point = 15;
  bad[18].config.one_point = -1;
  for (int i = 0; i < 19; i++) assert_fails(network_shape_check(&bad[i]), NEPHRITE_ERR_CONFIG, words[i]);
}

static void conditioning_by_channels_asks_nothing_of_the_observation_s_own_options(void **state)
{
  NetworkShape shape = published_shape();

  (void)state;
  shape.config.conditioning = CONDITIONING_CHANNELS;
  shape.config.observation_patch = 0;
  shape.config.observation_start = 99;
  assert_ok(network_shape_check(&shape));
}

static void without_being_told_the_middle_half_of_the_blocks_drops(void **state)
{
  NetworkConfig config = published_shape().config;

  (void)state;
  for (PetscInt depth = 1; depth <= 30; depth++) { /* floor(L/4) <= l < 3 floor(L/4) */
    config.depth = depth;
    assert_int_equal(network_dropout_blocks(&config).begin, depth / 4);
    assert_int_equal(network_dropout_blocks(&config).end, 3 * (depth / 4));
  }
  config.depth = 12, config.dropout_first = 0, config.dropout_last = 11;
  assert_int_equal(network_dropout_blocks(&config).begin, 0);
  assert_int_equal(network_dropout_blocks(&config).end, 12);
}

static void every_option_has_a_default_within_its_range(void **state)
{
  (void)state;
  for (size_t i = 0; i < network_options.count; i++) {
    const OptionSpec *spec = &network_options.specs[i];
    if (spec->type == VALUE_CHOICE) continue;
    const double fallback = strtod(spec->fallback, NULL);

    if (!(fallback >= spec->low && fallback <= spec->high)) fail_msg("%s: default %g", spec->name, fallback);
  }
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_published_shape_is_accepted),
                   cmocka_unit_test(a_shape_that_no_network_can_have_is_refused_by_the_option_s_name),
                   cmocka_unit_test(conditioning_by_channels_asks_nothing_of_the_observation_s_own_options),
                   cmocka_unit_test(without_being_told_the_middle_half_of_the_blocks_drops),
                   cmocka_unit_test(every_option_has_a_default_within_its_range))
