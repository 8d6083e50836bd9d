#include "nephrite/inference.h"
#include "nephrite_test.h"

static const char *path_of(const char *observation, int64_t index, char *path)
{
  CampaignConfig campaign = {.campaign = "campaigns/a"};
  InferConfig infer = {.observations = 8};
  const InferenceSetup setup = {.campaign = &campaign, .infer = &infer};

  strcpy(infer.observation, observation);
  assert_ok(posterior_path(&setup, "posterior", index, path));
  return path;
}

static void held_out_observations_are_numbered_and_a_users_file_lends_its_name(void **state)
{
  char path[PETSC_MAX_PATH_LEN];

  (void)state;
  assert_string_equal(path_of("", 7, path), "campaigns/a/posterior/observation-00007.h5");
  assert_string_equal(path_of("/data/my.survey.h5", 0, path), "campaigns/a/posterior/my.survey.h5");
  assert_string_equal(path_of("plain", 0, path), "campaigns/a/posterior/plain.h5");
}

static void a_users_file_cannot_take_the_name_of_a_held_out_observation(void **state)
{
  char path[PETSC_MAX_PATH_LEN];

  (void)state;
  assert_string_equal(path_of("x/observation-00007.h5", 0, path), "campaigns/a/posterior/user-observation-00007.h5");
}

static void a_users_file_is_one_observation(void **state)
{
  InferConfig infer = {.observations = 8};
  const InferenceSetup setup = {.infer = &infer};

  (void)state;
  assert_int_equal(posterior_count(&setup), 8);
  strcpy(infer.observation, "mine.h5");
  assert_int_equal(posterior_count(&setup), 1);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(held_out_observations_are_numbered_and_a_users_file_lends_its_name),
                   cmocka_unit_test(a_users_file_cannot_take_the_name_of_a_held_out_observation),
                   cmocka_unit_test(a_users_file_is_one_observation))
