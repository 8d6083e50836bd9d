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

static BatchSource *online_source(const Setting *s)
{
  BatchSource *source = NULL;

  assert_ok(batch_source_online(&s->survey, s->prior, SEED, 1000, &source));
  return source;
}

/* How many maps can be made ahead of their time. */
static int advance_to_the_end(BatchSource *source)
{
  PetscBool more = PETSC_TRUE;
  int made = 0;

  for (; more; made++) assert_ok(batch_source_advance(source, &more));
  return made;
}

static void assert_is_realisation(BatchSource *source, Simulator *simulator, int64_t position)
{
  float kappa[PIXELS], expected[PIXELS];
  double theta[PARAMETERS], expected_theta[PARAMETERS];

  assert_ok(batch_source_get(source, position, kappa, theta, NULL));
  assert_ok(simulator_realisation(simulator, 1000 + position, expected, expected_theta, NULL));
  assert_memory_equal(kappa, expected, sizeof kappa);
  assert_memory_equal(theta, expected_theta, sizeof theta);
}

static void items_made_ahead_of_their_time_are_those_that_would_have_come(void **state)
{
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);
  BatchSource *source = online_source(s);
  Simulator *simulator = NULL;
  PetscBool more;

  (void)state;
  assert_ok(simulator_create(PETSC_COMM_SELF, &s->survey, s->prior, SEED, &simulator));
  for (int64_t first = 0; first < 12; first += 4) {
    assert_ok(batch_source_expect(source, first, 4));
    for (int64_t i = 0; i < first / 4 + 1; i++) assert_ok(batch_source_advance(source, &more)); /* 1, 2, 3 of 4 */
    assert_true(more);
    assert_is_realisation(source, simulator, first);
    assert_is_realisation(source, simulator, 1000000); /* another one in between */
    for (int64_t i = 1; i < 4; i++) assert_is_realisation(source, simulator, first + i);
    assert_ok(batch_source_advance(source, &more));
    assert_false(more);
  }
  assert_ok(simulator_destroy(&simulator));
  assert_ok(batch_source_destroy(&source));
  setting_destroy(s);
}

static void items_announced_again_are_expected_once(void **state)
{
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", NULL);
  BatchSource *source = online_source(s);

  (void)state;
  assert_ok(batch_source_expect(source, 10, 3));
  assert_ok(batch_source_expect(source, 10, 3));
  assert_ok(batch_source_expect(source, 11, 4));
  assert_int_equal(advance_to_the_end(source), 5);
  assert_ok(batch_source_destroy(&source)); /* with all of them still there */
  setting_destroy(s);
}

static void what_cannot_be_made_ahead_fails_when_it_is_asked_for(void **state)
{
  static const char *const shifted[] = {"-prior_delta_z_1", "fixed:-20", NULL};
  Setting *s = setting_create(PETSC_COMM_SELF, "unused", shifted);
  BatchSource *source = online_source(s);
  float kappa[PIXELS];
  double theta[PARAMETERS];
  PetscBool more;

  (void)state;
  assert_ok(batch_source_expect(source, 0, 2));
  assert_ok(batch_source_advance(source, &more));
  assert_false(more);
  assert_fails(batch_source_get(source, 0, kappa, theta, NULL), NEPHRITE_ERR_CONFIG, "realisation 1000");
  assert_ok(batch_source_destroy(&source));
  setting_destroy(s);
}

static void maps_on_disk_are_not_read_ahead(void **state)
{
  BatchSource *source = NULL;
  PetscBool more;

  (void)state;
  assert_ok(batch_source_from_shards(folder, NULL, 0, 4, SEED, &source));
  assert_ok(batch_source_expect(source, 0, 4));
  assert_ok(batch_source_advance(source, &more));
  assert_false(more);
  assert_in_range(realisation_at(source, 2), 0, 3); /* in any order, as ever */
  assert_ok(batch_source_destroy(&source));
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
                   TEST(items_made_ahead_of_their_time_are_those_that_would_have_come),
                   TEST(items_announced_again_are_expected_once),
                   TEST(what_cannot_be_made_ahead_fails_when_it_is_asked_for), TEST(maps_on_disk_are_not_read_ahead),
                   TEST(a_range_that_the_campaign_lacks_is_refused))
