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

static CampaignReader *open_reader(void)
{
  CampaignReader *reader = NULL;

  assert_ok(campaign_reader_open(folder, NULL, &reader));
  return reader;
}

static void maps_come_back_as_they_were_made_in_any_order(void **state)
{
  Setting *s = setting_create(PETSC_COMM_SELF, folder, NULL);
  Simulator *simulator = NULL;
  CampaignReader *reader = NULL;
  float made[PIXELS], read[PIXELS];
  double theta_made[PARAMETERS], theta_read[PARAMETERS];

  (void)state;
  assert_ok(simulator_create(PETSC_COMM_SELF, &s->survey, s->prior, SEED, &simulator));
  assert_ok(campaign_reader_open(folder, s->options, &reader));
  assert_int_equal(campaign_reader_count(reader), MAPS);
  for (int64_t i = 0; i < 2 * MAPS; i++) {
    const int64_t index = 7 * i % MAPS;

    assert_ok(simulator_realisation(simulator, index, made, theta_made, NULL));
    assert_ok(campaign_reader_get(reader, index, read, theta_read));
    assert_memory_equal(made, read, sizeof made);
    assert_memory_equal(theta_made, theta_read, sizeof theta_made);
  }
  assert_ok(campaign_reader_get(reader, 3, NULL, theta_read)); /* either of the two may be left out */
  assert_ok(campaign_reader_get(reader, 3, read, NULL));
  assert_ok(campaign_reader_close(&reader));
  assert_null(reader);
  assert_ok(simulator_destroy(&simulator));
  setting_destroy(s);
}

/* More shards than are open at once. */
static void a_campaign_of_many_shards_is_read_in_any_order(void **state)
{
  static const char *const many[] = {"-simulate_realisations", "70", "-simulate_shard_size", "1", NULL};
  char directory[80];
  float first[PIXELS], again[PIXELS];
  CampaignReader *reader = NULL;

  (void)state;
  snprintf(directory, sizeof directory, "%s/many", folder);
  Setting *s = setting_create(PETSC_COMM_SELF, directory, many);
  assert_ok(setting_simulate(PETSC_COMM_SELF, s));
  assert_ok(campaign_reader_open(directory, s->options, &reader));
  assert_ok(campaign_reader_get(reader, 0, first, NULL));
  for (int64_t i = 0; i < 140; i++) assert_ok(campaign_reader_get(reader, 3 * i % 70, again, NULL));
  assert_ok(campaign_reader_get(reader, 0, again, NULL));
  assert_memory_equal(first, again, sizeof first);
  assert_in_range(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_FILE), 1, 64);
  assert_ok(campaign_reader_close(&reader));
  assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_FILE), 0);
  setting_destroy(s);
}

static void maps_that_are_not_there_are_refused(void **state)
{
  CampaignReader *reader = open_reader();
  float kappa[PIXELS];

  (void)state;
  assert_fails(campaign_reader_get(reader, MAPS, kappa, NULL), NEPHRITE_ERR_INPUT, "realisation 10");
  assert_fails(campaign_reader_get(reader, -1, kappa, NULL), NEPHRITE_ERR_INPUT, "realisation -1");
  assert_ok(campaign_reader_close(&reader));
}

static void a_missing_shard_is_named_and_the_others_are_still_read(void **state)
{
  CampaignReader *reader = open_reader();
  float kappa[PIXELS];

  (void)state;
  assert_int_equal(unlink(shard_name(folder, 1)), 0);
  assert_fails(campaign_reader_get(reader, 5, kappa, NULL), NEPHRITE_ERR_INPUT, "shard-00001.h5");
  assert_fails(campaign_reader_get(reader, 5, kappa, NULL), NEPHRITE_ERR_INPUT, "shard-00001.h5"); /* once more */
  assert_ok(campaign_reader_get(reader, 9, kappa, NULL));
  assert_ok(campaign_reader_close(&reader));
}

static void a_changed_bit_is_found_with_file_and_dataset(void **state)
{
  CampaignReader *reader = open_reader();
  float kappa[PIXELS];
  double theta[PARAMETERS];

  (void)state;
  assert_ok(campaign_reader_get(reader, 6, kappa, theta));
  assert_ok(campaign_reader_close(&reader));
  damage(shard_name(folder, 1), kappa, sizeof kappa);
  reader = open_reader();
  assert_fails(campaign_reader_get(reader, 6, kappa, theta), NEPHRITE_ERR_INPUT, "shard-00001.h5");
  assert_non_null(strstr(error_message(), "kappa"));
  assert_ok(campaign_reader_get(reader, 9, kappa, theta)); /* other shards are sound */
  damage(shard_name(folder, 2), theta, sizeof theta);
  assert_ok(campaign_reader_close(&reader));
  reader = open_reader();
  assert_fails(campaign_reader_get(reader, 9, NULL, theta), NEPHRITE_ERR_INPUT, "theta");
  assert_ok(campaign_reader_close(&reader));
}

/* A sound file of the same shape, with sound digests of its own. */
static void a_shard_of_another_campaign_is_refused(void **state)
{
  static const char *const other[] = {"-seed", "4", NULL};
  char directory[80];
  CampaignReader *reader = NULL;
  float kappa[PIXELS];

  (void)state;
  snprintf(directory, sizeof directory, "%s/other", folder);
  Setting *s = setting_create(PETSC_COMM_SELF, directory, other);
  assert_ok(setting_simulate(PETSC_COMM_SELF, s));
  setting_destroy(s);
  assert_int_equal(rename(shard_name(directory, 0), shard_name(folder, 0)), 0);
  reader = open_reader();
  assert_fails(campaign_reader_get(reader, 0, kappa, NULL), NEPHRITE_ERR_INPUT, "shard-00000.h5: is not the shard");
  assert_ok(campaign_reader_close(&reader));
}

static void a_shard_under_the_name_of_another_is_refused(void **state)
{
  CampaignReader *reader = NULL;
  float kappa[PIXELS];

  (void)state;
  assert_int_equal(rename(shard_name(folder, 0), shard_name(folder, 1)), 0);
  reader = open_reader();
  assert_fails(campaign_reader_get(reader, 5, kappa, NULL), NEPHRITE_ERR_INPUT, "shard-00001.h5");
  assert_ok(campaign_reader_close(&reader));
}

static void maps_of_other_options_are_refused_naming_them(void **state)
{
  static const char *const other[] = {"-survey_smail_z0", "0.12", NULL}, *const more[] = {"-threads", "3", NULL};
  Setting *s = setting_create(PETSC_COMM_SELF, folder, other);
  CampaignReader *reader = NULL;

  (void)state;
  assert_fails(campaign_reader_open(folder, s->options, &reader), NEPHRITE_ERR_INPUT, "survey_smail_z0");
  assert_ok(campaign_reader_close(&reader));
  setting_destroy(s);
  s = setting_create(PETSC_COMM_SELF, folder, more);
  assert_ok(campaign_reader_open(folder, s->options, &reader));
  assert_ok(campaign_reader_close(&reader));
  setting_destroy(s);
}

/* Whoever asks for maps has room for those of the survey. */
static void maps_of_another_size_are_refused_whatever_their_configuration_says(void **state)
{
  static const char *const other[] = {"-survey_map_size", "24", NULL};
  Setting *s = setting_create(PETSC_COMM_SELF, folder, NULL), *larger;
  char directory[80], index[128];
  CampaignReader *reader = NULL;
  char *yaml = NULL;

  (void)state;
  snprintf(directory, sizeof directory, "%s/other", folder);
  larger = setting_create(PETSC_COMM_SELF, directory, other);
  assert_ok(setting_simulate(PETSC_COMM_SELF, larger));
  setting_destroy(larger);
  assert_ok(options_yaml(s->options, SCOPE_SIMULATION, &yaml));
  snprintf(index, sizeof index, "%s/sims/campaign.h5", directory);
  const hid_t file = H5Fopen(index, H5F_ACC_RDWR, H5P_DEFAULT), space = H5Screate(H5S_SCALAR), type = H5Tcopy(H5T_C_S1);
  assert_true(H5Tset_size(type, strlen(yaml) + 1) >= 0 && H5Adelete(file, "configuration") >= 0);
  const hid_t attribute = H5Acreate2(file, "configuration", type, space, H5P_DEFAULT, H5P_DEFAULT);
  assert_true(H5Awrite(attribute, type, yaml) >= 0);
  assert_true(H5Aclose(attribute) >= 0 && H5Tclose(type) >= 0 && H5Sclose(space) >= 0 && H5Fclose(file) >= 0);
  assert_ok(PetscFree(yaml));
  assert_fails(campaign_reader_open(directory, s->options, &reader), NEPHRITE_ERR_INPUT,
               "kappa or theta has not the shape of its configuration");
  assert_ok(campaign_reader_close(&reader));
  setting_destroy(s);
}

static void a_campaign_without_an_index_is_refused_by_name(void **state)
{
  CampaignReader *reader = NULL;
  char index[96];

  (void)state;
  snprintf(index, sizeof index, "%s/sims/campaign.h5", folder);
  assert_int_equal(unlink(index), 0);
  assert_fails(campaign_reader_open(folder, NULL, &reader), NEPHRITE_ERR_INPUT, "sims/campaign.h5");
  assert_ok(campaign_reader_close(&reader));
}

/* The index as one file: what h5py sees is what the shards hold, wherever the folder is moved. */
static void the_index_joins_the_shards_and_can_be_moved_with_them(void **state)
{
  static float joined[MAPS * PIXELS];
  CampaignReader *reader = open_reader();
  ProductReader *index = NULL;
  float kappa[PIXELS];
  char old[96], moved[96], path[128];
  hid_t file, dataset;

  (void)state;
  assert_ok(campaign_reader_get(reader, 6, kappa, NULL));
  assert_ok(campaign_reader_close(&reader));
  snprintf(old, sizeof old, "%s/sims", folder);
  snprintf(moved, sizeof moved, "%s/elsewhere", folder);
  assert_int_equal(rename(old, moved), 0);
  snprintf(path, sizeof path, "%s/campaign.h5", moved);
  file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  dataset = H5Dopen2(file, "kappa", H5P_DEFAULT);
  assert_true(H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, joined) >= 0);
  H5Dclose(dataset);
  H5Fclose(file);
  assert_memory_equal(joined + 6 * PIXELS, kappa, sizeof kappa);
  assert_ok(product_open(path, "campaign", 1, &index)); /* and verified, through our own reader */
  assert_ok(product_verify(index));
  assert_ok(product_close(&index));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
NEPHRITE_TEST_MAIN(TEST(maps_come_back_as_they_were_made_in_any_order),
                   TEST(a_campaign_of_many_shards_is_read_in_any_order), TEST(maps_that_are_not_there_are_refused),
                   TEST(a_missing_shard_is_named_and_the_others_are_still_read),
                   TEST(a_changed_bit_is_found_with_file_and_dataset), TEST(a_shard_of_another_campaign_is_refused),
                   TEST(a_shard_under_the_name_of_another_is_refused),
                   TEST(maps_of_other_options_are_refused_naming_them),
                   TEST(maps_of_another_size_are_refused_whatever_their_configuration_says),
                   TEST(a_campaign_without_an_index_is_refused_by_name),
                   TEST(the_index_joins_the_shards_and_can_be_moved_with_them))
