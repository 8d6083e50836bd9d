#include "nephrite/lensing.h"
#include "nephrite_test.h"

#include <stdlib.h>

static const SurveyConfig lsst_y10 = {.map_size = {128, 128},
                                      .field_of_view_deg = 5,
                                      .bins = 5,
                                      .galaxies_per_arcmin2 = 27,
                                      .sigma_e = 0.26,
                                      .mask = "none",
                                      .noise_range = {1, 1}};

static const OptionSpec *find(const char *name)
{
  for (size_t i = 0; i < survey_options.count; i++)
    if (!strcmp(survey_options.specs[i].name, name)) return &survey_options.specs[i];
  fail_msg("no option %s", name);
  return NULL;
}

static void the_defaults_are_lsst_y10(void **state)
{
  (void)state;
  assert_string_equal(find("survey_map_size")->fallback, "128");
  assert_within(atof(find("survey_field_of_view")->fallback), 5, 0);
  assert_within(atof(find("survey_galaxies_per_arcmin2")->fallback), 27, 0);
  assert_within(atof(find("survey_sigma_e")->fallback), 0.26, 0);
  assert_string_equal(find("survey_field")->fallback, "lognormal");
  assert_string_equal(find("survey_observation")->fallback, "shear");
  assert_string_equal(find("survey_noise_range")->fallback, "1");
}

static void every_option_has_the_name_of_its_section_and_a_default_within_its_range(void **state)
{
  (void)state;
  for (size_t i = 0; i < survey_options.count; i++) {
    const OptionSpec *spec = &survey_options.specs[i];

    assert_int_equal(strncmp(spec->name, "survey_", 7), 0);
    assert_non_null(spec->fallback);
    if (spec->type == VALUE_TEXT || spec->type == VALUE_CHOICE) continue;
    assert_true(atof(spec->fallback) >= spec->low && atof(spec->fallback) <= spec->high);
  }
}

static void choices_are_in_the_order_of_their_enums(void **state)
{
  (void)state;
  assert_int_equal(FIELD_LOGNORMAL, 0);
  assert_string_equal(find("survey_field")->choices, "lognormal|gaussian");
  assert_int_equal(OBSERVATION_SHEAR, 0);
  assert_string_equal(find("survey_observation")->choices, "shear|convergence");
}

static void the_pixel_is_the_field_of_view_over_the_pixels_along_x(void **state)
{
  SurveyConfig survey = lsst_y10;

  (void)state;
  assert_close(survey_pixel(&survey), 5 * M_PI / 180 / 128, 1e-15);
  survey.map_size[1] = 64; /* y has the same pixel scale */
  assert_close(survey_pixel(&survey), 5 * M_PI / 180 / 128, 1e-15);
}

static void the_noise_of_the_published_survey_is_0_047738_in_every_bin(void **state)
{
  (void)state;
  assert_close(survey_noise_std(&lsst_y10), 0.047738, 1e-5); /* five digits are published */
}

static void four_times_the_galaxies_halve_the_noise(void **state)
{
  SurveyConfig survey = lsst_y10;

  (void)state;
  survey.galaxies_per_arcmin2 *= 4;
  assert_close(survey_noise_std(&survey), survey_noise_std(&lsst_y10) / 2, 1e-14);
}

static void a_map_too_tall_for_a_flat_sky_is_refused(void **state)
{
  SurveyConfig survey = lsst_y10;

  (void)state;
  assert_ok(survey_config_check(&survey));
  survey.map_size[1] = 128 * 20;
  assert_fails(survey_config_check(&survey), NEPHRITE_ERR_CONFIG,
               "survey_field_of_view 5 deg makes a map of 100 deg along y"); /* not "5." */
}

static void a_map_of_more_values_than_can_be_numbered_is_refused(void **state)
{
  SurveyConfig survey = lsst_y10;

  (void)state;
  survey.bins = 1;
  survey.map_size[0] = survey.map_size[1] = 46340; /* squared just below 2^31 */
  assert_ok(survey_config_check(&survey));
  survey.map_size[1] = 46342;
  assert_fails(survey_config_check(&survey), NEPHRITE_ERR_CONFIG, "makes a map of 2147488280 values");
  survey.map_size[0] = survey.map_size[1] = 1 << 14;
  survey.bins = 8; /* 2^31 in all bins together, no more than 2^28 in each */
  assert_fails(survey_config_check(&survey), NEPHRITE_ERR_CONFIG, "survey_bins 8 makes a map of 2147483648 values");
}

static void an_empty_mask_is_refused(void **state)
{
  SurveyConfig survey = lsst_y10;

  (void)state;
  survey.mask[0] = '\0';
  assert_fails(survey_config_check(&survey), NEPHRITE_ERR_CONFIG, "survey_mask");
}

static void a_noise_range_that_is_none_is_refused(void **state)
{
  SurveyConfig survey = lsst_y10;

  (void)state;
  assert_false(survey_has_noise_range(&survey));
  survey.noise_range[0] = 0.5;
  survey.noise_range[1] = 2;
  assert_ok(survey_config_check(&survey));
  assert_true(survey_has_noise_range(&survey));
  survey.noise_range[0] = 3;
  assert_fails(survey_config_check(&survey), NEPHRITE_ERR_CONFIG,
               "survey_noise_range is 3,2; the smaller factor must come first");
  survey.noise_range[0] = 2;
  assert_fails(survey_config_check(&survey), NEPHRITE_ERR_CONFIG, "survey_noise_range is 2 alone");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_defaults_are_lsst_y10),
                   cmocka_unit_test(every_option_has_the_name_of_its_section_and_a_default_within_its_range),
                   cmocka_unit_test(choices_are_in_the_order_of_their_enums),
                   cmocka_unit_test(the_pixel_is_the_field_of_view_over_the_pixels_along_x),
                   cmocka_unit_test(the_noise_of_the_published_survey_is_0_047738_in_every_bin),
                   cmocka_unit_test(four_times_the_galaxies_halve_the_noise),
                   cmocka_unit_test(a_map_too_tall_for_a_flat_sky_is_refused),
                   cmocka_unit_test(a_noise_range_that_is_none_is_refused),
                   cmocka_unit_test(a_map_of_more_values_than_can_be_numbered_is_refused),
                   cmocka_unit_test(an_empty_mask_is_refused))
