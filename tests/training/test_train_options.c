#include "nephrite/training.h"
#include "nephrite_test.h"

#include <stdlib.h>

static const OptionSpec *find(const char *name)
{
  for (size_t i = 0; i < train_options.count; i++)
    if (!strcmp(train_options.specs[i].name, name)) return &train_options.specs[i];
  fail_msg("no option %s", name);
  return NULL;
}

static void the_defaults_are_the_published_first_stage(void **state)
{
  const struct {
    const char *name;
    double value;
  } published[] = {{"train_batch", 128},      {"train_learning_rate", 5e-3}, {"train_final_learning_rate", 1e-4},
                   {"train_beta1", 0.9},      {"train_beta2", 0.95},         {"train_epsilon", 1e-8},
                   {"train_clip", 1},         {"train_weight_decay", 0},     {"train_ema_decay", 0.9996},
                   {"train_time_mean", -0.8}, {"train_time_scale", 0.8},     {"train_theta_weight", 1},
                   {"train_mean_weight", 1}};

  (void)state;
  for (size_t i = 0; i < sizeof published / sizeof *published; i++)
    assert_within(atof(find(published[i].name)->fallback), published[i].value, 0);
  assert_string_equal(find("train_schedule")->fallback, "linear");
}

static void every_option_has_the_name_of_its_section_and_a_default_within_its_range(void **state)
{
  (void)state;
  for (size_t i = 0; i < train_options.count; i++) {
    const OptionSpec *spec = &train_options.specs[i];

    assert_int_equal(strncmp(spec->name, "train_", 6), 0);
    assert_non_null(spec->fallback);
    if (spec->type == VALUE_TEXT || spec->type == VALUE_CHOICE || spec->type == VALUE_FLAG) continue;
    assert_true(atof(spec->fallback) >= spec->low && atof(spec->fallback) <= spec->high);
  }
}

static void choices_are_in_the_order_of_their_enums(void **state)
{
  (void)state;
  assert_string_equal(find("train_schedule")->choices, "constant|linear|cosine");
  assert_int_equal(SCHEDULE_CONSTANT, 0);
  assert_int_equal(SCHEDULE_LINEAR, 1);
  assert_int_equal(SCHEDULE_COSINE, 2);
  assert_string_equal(find("train_source")->choices, "shards|online");
  assert_int_equal(SOURCE_SHARDS, 0);
  assert_int_equal(SOURCE_ONLINE, 1);
}

static void ranks_that_simulate_are_refused_where_maps_come_from_shards(void **state)
{
  const SimulateConfig simulate = {.realisations = 64};
  TrainConfig train = {.steps = 10, .held_out = 8, .simulation_ranks = 2, .source = SOURCE_SHARDS};

  (void)state;
  assert_fails(train_config_check(&train, &simulate), NEPHRITE_ERR_CONFIG, "train_simulation_ranks is 2");
  train.source = SOURCE_ONLINE;
  assert_ok(train_config_check(&train, &simulate));
}

static void a_campaign_held_out_entirely_is_refused_unless_maps_are_made_online(void **state)
{
  const SimulateConfig simulate = {.realisations = 64};
  TrainConfig train = {.steps = 10, .held_out = 63};

  (void)state;
  assert_ok(train_config_check(&train, &simulate));
  train.held_out = 64;
  assert_fails(train_config_check(&train, &simulate), NEPHRITE_ERR_CONFIG, "train_held_out is 64");
  train.source = SOURCE_ONLINE;
  assert_ok(train_config_check(&train, &simulate));
  train.held_out = 65;
  assert_fails(train_config_check(&train, &simulate), NEPHRITE_ERR_CONFIG, "simulate_realisations, 64");
}

static void a_warm_up_that_never_ends_is_refused(void **state)
{
  const SimulateConfig simulate = {.realisations = 64};
  TrainConfig train = {.steps = 10, .held_out = 4, .warmup = 10};

  (void)state;
  assert_fails(train_config_check(&train, &simulate), NEPHRITE_ERR_CONFIG, "train_warmup is 10 steps");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_defaults_are_the_published_first_stage),
                   cmocka_unit_test(every_option_has_the_name_of_its_section_and_a_default_within_its_range),
                   cmocka_unit_test(choices_are_in_the_order_of_their_enums),
                   cmocka_unit_test(ranks_that_simulate_are_refused_where_maps_come_from_shards),
                   cmocka_unit_test(a_campaign_held_out_entirely_is_refused_unless_maps_are_made_online),
                   cmocka_unit_test(a_warm_up_that_never_ends_is_refused))
