#include "fixtures.h"
#include "lensing/observer.h"

enum { NX = 40, NY = 30, PIXELS = NX * NY };

static const char file_name[] = "test_mask.h5";

static SurveyConfig with_mask(const char *mask)
{
  SurveyConfig survey = small_survey(NX, NY, OBSERVATION_SHEAR);

  snprintf(survey.mask, sizeof survey.mask, "%s", mask);
  return survey;
}

static void refuse_file(PetscErrorCode error_class, const char *message)
{
  const SurveyConfig survey = with_mask(file_name);
  Mask *mask = NULL;

  assert_fails(mask_create(&survey, &mask), error_class, message);
  assert_non_null(strstr(error_message(), file_name));
  assert_ok(mask_destroy(&mask));
  assert_null(mask);
  unlink(file_name);
}

static void none_hides_nothing(void **state)
{
  const SurveyConfig survey = with_mask("none");
  float observed[PIXELS];
  Mask *mask = NULL;

  (void)state;
  assert_ok(mask_create(&survey, &mask));
  assert_false(mask_exists(mask));
  mask_draw(mask, (RandomKey){.seed = 1, .stream = STREAM_NOISE}, observed);
  for (int i = 0; i < PIXELS; i++) assert_true(observed[i] == 1);
  assert_ok(mask_destroy(&mask));
}

static void a_file_is_the_mask_of_every_observation(void **state)
{
  const SurveyConfig survey = with_mask(file_name);
  float values[PIXELS], observed[PIXELS];
  Mask *mask = NULL;

  (void)state;
  for (int i = 0; i < PIXELS; i++) values[i] = i % 5 ? 1 : 0;
  write_plane(file_name, "mask", NY, NX, values);
  assert_ok(mask_create(&survey, &mask));
  unlink(file_name); /* read once, when created */
  assert_true(mask_exists(mask));
  for (uint64_t index = 0; index < 2; index++) {
    mask_draw(mask, (RandomKey){.seed = 1, .stream = STREAM_NOISE, .index = index}, observed);
    assert_memory_equal(observed, values, sizeof values);
  }
  assert_ok(mask_destroy(&mask));
}

static void a_random_mask_is_a_function_of_the_key(void **state)
{
  const SurveyConfig survey = with_mask("random");
  float first[PIXELS], second[PIXELS], again[PIXELS];
  Mask *mask = NULL;

  (void)state;
  assert_ok(mask_create(&survey, &mask));
  assert_true(mask_exists(mask));
  mask_draw(mask, (RandomKey){.seed = 1, .stream = STREAM_NOISE, .index = 0}, first);
  mask_draw(mask, (RandomKey){.seed = 1, .stream = STREAM_NOISE, .index = 1}, second);
  mask_draw(mask, (RandomKey){.seed = 1, .stream = STREAM_NOISE, .index = 0}, again);
  assert_memory_equal(first, again, sizeof first);
  assert_memory_not_equal(first, second, sizeof first);
  assert_ok(mask_destroy(&mask));
}

/* Holes: 1 - exp(-pi <r^2>/256) = 8%, <r^2> = 7; strip: 1/16 on average; both together about 14%, and in every corner.
 */
static void random_masks_hide_about_a_seventh_anywhere_in_the_map(void **state)
{
  enum { MASKS = 400 };
  const SurveyConfig survey = with_mask("random");
  float observed[PIXELS];
  double hidden = 0, hidden_at[PIXELS] = {0};
  Mask *mask = NULL;

  (void)state;
  assert_ok(mask_create(&survey, &mask));
  for (uint64_t index = 0; index < MASKS; index++) {
    mask_draw(mask, (RandomKey){.seed = 2, .stream = STREAM_NOISE, .index = index}, observed);
    for (int i = 0; i < PIXELS; i++) {
      assert_true(observed[i] == 0 || observed[i] == 1);
      hidden += (1 - observed[i]) / (double)(MASKS * PIXELS);
      hidden_at[i] += 1 - observed[i];
    }
  }
  assert_within(hidden, 0.135, 0.02);
  for (int i = 0; i < PIXELS; i++) assert_true(hidden_at[i] > 0 && hidden_at[i] < MASKS / 2.);
  assert_ok(mask_destroy(&mask));
}

static void a_missing_file_or_dataset_is_refused(void **state)
{
  float values[PIXELS] = {1};

  (void)state;
  refuse_file(NEPHRITE_ERR_INPUT, "cannot be read");
  write_plane(file_name, "coverage", NY, NX, values);
  refuse_file(NEPHRITE_ERR_INPUT, "mask");
}

static void a_mask_of_another_shape_is_refused_with_the_right_one(void **state)
{
  float values[PIXELS] = {1};

  (void)state;
  write_plane(file_name, "mask", NX, NY, values);
  refuse_file(NEPHRITE_ERR_INPUT, "[30][40]");
}

static void a_value_that_is_neither_0_nor_1_is_refused_with_its_place(void **state)
{
  float values[PIXELS] = {1};

  (void)state;
  values[NX + 2] = 0.5F;
  write_plane(file_name, "mask", NY, NX, values);
  refuse_file(NEPHRITE_ERR_INPUT, "mask[1][2] is 0.5");
  values[NX + 2] = NAN;
  write_plane(file_name, "mask", NY, NX, values);
  refuse_file(NEPHRITE_ERR_INPUT, "mask[1][2] is nan");
}

static void a_mask_that_hides_everything_is_refused(void **state)
{
  float values[PIXELS] = {0};

  (void)state;
  write_plane(file_name, "mask", NY, NX, values);
  refuse_file(NEPHRITE_ERR_INPUT, "no observed pixel");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(none_hides_nothing), cmocka_unit_test(a_file_is_the_mask_of_every_observation),
                   cmocka_unit_test(a_random_mask_is_a_function_of_the_key),
                   cmocka_unit_test(random_masks_hide_about_a_seventh_anywhere_in_the_map),
                   cmocka_unit_test(a_missing_file_or_dataset_is_refused),
                   cmocka_unit_test(a_mask_of_another_shape_is_refused_with_the_right_one),
                   cmocka_unit_test(a_value_that_is_neither_0_nor_1_is_refused_with_its_place),
                   cmocka_unit_test(a_mask_that_hides_everything_is_refused))
