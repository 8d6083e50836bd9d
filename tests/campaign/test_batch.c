#include "campaign_fixture.h"

static char folder[64];

static int setup(void **state)
{
  Setting *s;

  (void)state;
  make_folder(folder);
  s = setting_create(PETSC_COMM_SELF, folder, NULL);
  assert_ok(setting_simulate(PETSC_COMM_SELF, s));
  setting_destroy(s);
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  remove_folder(folder);
  return 0;
}

static int64_t realisation_at(BatchSource *source, int64_t position)
{
  float kappa[PIXELS];
  double theta[PARAMETERS];
  int64_t realisation;

  assert_ok(batch_source_get(source, position, kappa, theta, &realisation));
  return realisation;
}

static void every_epoch_goes_through_all_maps_of_the_range_in_an_order_of_its_own(void **state)
{
  enum { FIRST = 2, COUNT = 7, EPOCHS = 4 };
  BatchSource *source = NULL, *other = NULL;
  int64_t order[EPOCHS][COUNT];
  int same = 0;

  (void)state;
  assert_ok(batch_source_from_shards(folder, NULL, FIRST, COUNT, SEED, &source));
  assert_ok(batch_source_from_shards(folder, NULL, FIRST, COUNT, SEED + 1, &other));
  for (int epoch = 0; epoch < EPOCHS; epoch++) {
    int seen[MAPS] = {0};

    for (int i = 0; i < COUNT; i++) {
      order[epoch][i] = realisation_at(source, epoch * COUNT + i);
      seen[order[epoch][i]]++;
      same += order[epoch][i] == realisation_at(other, epoch * COUNT + i);
    }
    for (int i = 0; i < MAPS; i++) assert_int_equal(seen[i], i >= FIRST && i < FIRST + COUNT);
    if (epoch) assert_memory_not_equal(order[epoch], order[epoch - 1], sizeof order[epoch]);
  }
  assert_in_range(same, 0, EPOCHS * COUNT / 2); /* another seed, another order */
  assert_ok(batch_source_destroy(&source));
  assert_ok(batch_source_destroy(&other));
  assert_null(source);
}

static void an_item_is_that_of_its_position_whatever_was_asked_before(void **state)
{
  enum { COUNT = 6 };
  BatchSource *source = NULL;
  CampaignReader *reader = NULL;
  float kappa[PIXELS], expected[PIXELS];
  double theta[PARAMETERS], expected_theta[PARAMETERS];
  int64_t in_order[5 * COUNT], realisation;

  (void)state;
  assert_ok(campaign_reader_open(folder, NULL, &reader));
  assert_ok(batch_source_from_shards(folder, NULL, 0, COUNT, SEED, &source));
  for (int i = 0; i < 5 * COUNT; i++) in_order[i] = realisation_at(source, i);
  for (int i = 0; i < 5 * COUNT; i++) { /* ranks take places that jump between epochs */
    const int64_t position = 11 * i % (5 * COUNT);

    assert_ok(batch_source_get(source, position, kappa, theta, &realisation));
    assert_int_equal(realisation, in_order[position]);
    assert_ok(campaign_reader_get(reader, realisation, expected, expected_theta));
    assert_memory_equal(kappa, expected, sizeof kappa);
    assert_memory_equal(theta, expected_theta, sizeof theta);
  }
  assert_ok(batch_source_get(source, 0, kappa, theta, NULL));
  assert_ok(batch_source_destroy(&source));
  assert_ok(campaign_reader_close(&reader));
}

static void online_items_are_the_realisations_after_the_first_one(void **state)
{
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);
  BatchSource *source = NULL;
  Simulator *simulator = NULL;
  float kappa[PIXELS], expected[PIXELS];
  double theta[PARAMETERS], expected_theta[PARAMETERS];
  int64_t realisation;

  (void)state;
  assert_ok(batch_source_online(&s->survey, s->prior, SEED, 1000, &source));
  assert_ok(simulator_create(PETSC_COMM_SELF, &s->survey, s->prior, SEED, &simulator));
  for (int64_t i = 0; i < 6; i++) {
    const int64_t position = 5 * i % 7 * 1000000;

    assert_ok(batch_source_get(source, position, kappa, theta, &realisation));
    assert_int_equal(realisation, 1000 + position);
    assert_ok(simulator_realisation(simulator, realisation, expected, expected_theta, NULL));
    assert_memory_equal(kappa, expected, sizeof kappa);
    assert_memory_equal(theta, expected_theta, sizeof theta);
  }
  assert_ok(simulator_destroy(&simulator));
  assert_ok(batch_source_destroy(&source));
  setting_destroy(s);
}

static void a_range_that_the_campaign_lacks_is_refused(void **state)
{
  BatchSource *source = NULL;

  (void)state;
  assert_fails(batch_source_from_shards(folder, NULL, 4, 7, SEED, &source), NEPHRITE_ERR_INPUT, "has 10 maps");
  assert_ok(batch_source_destroy(&source));
  assert_fails(batch_source_from_shards(folder, NULL, 0, 0, SEED, &source), NEPHRITE_ERR_INPUT, "has 10 maps");
  assert_ok(batch_source_destroy(&source));
  assert_fails(batch_source_from_shards("/nowhere", NULL, 0, 1, SEED, &source), NEPHRITE_ERR_INPUT, "/nowhere");
  assert_ok(batch_source_destroy(&source));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
NEPHRITE_TEST_MAIN(TEST(every_epoch_goes_through_all_maps_of_the_range_in_an_order_of_its_own),
                   TEST(an_item_is_that_of_its_position_whatever_was_asked_before),
                   TEST(online_items_are_the_realisations_after_the_first_one),
                   TEST(a_range_that_the_campaign_lacks_is_refused))
