#include "fixtures.h"
#include "lensing/observer.h"

#include <math.h>

enum { NX = 6, NY = 4, BINS = 2, PIXELS = NX * NY };
static const char path[] = "shape_noise_test.h5";

/* A survey of the counts in a file. \param rank 2: [NY][NX], 3: [bins][NY][NX] */
static SurveyConfig counted(int rank, hsize_t bins, const double *counts)
{
  SurveyConfig survey = small_survey(NX, NY, OBSERVATION_SHEAR);
  const hsize_t shape[3] = {bins, NY, NX};
  const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(rank, shape + 3 - rank, NULL);
  const hid_t set = H5Dcreate2(file, "counts", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);

  assert_true(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, counts) >= 0);
  H5Dclose(set), H5Sclose(space), H5Fclose(file);
  strcpy(survey.counts, path);
  return survey;
}

static ShapeNoise *make_noise(int rank, const double *counts)
{
  const SurveyConfig survey = counted(rank, BINS, counts);
  ShapeNoise *noise = NULL;

  assert_ok(shape_noise_create(&survey, &noise));
  unlink(path);
  return noise;
}

static void without_counts_it_is_the_same_everywhere(void **state)
{
  const SurveyConfig survey = small_survey(NX, NY, OBSERVATION_SHEAR);
  float observed[PIXELS];
  ShapeNoise *noise = NULL;

  (void)state;
  assert_ok(shape_noise_create(&survey, &noise));
  for (size_t i = 0; i < PIXELS; i++) assert_true(shape_noise_std(noise, 1, i) == survey_noise_std(&survey));
  assert_true(shape_noise_typical(noise, 1) == survey_noise_std(&survey));
  for (int i = 0; i < PIXELS; i++) observed[i] = 1;
  shape_noise_hide(noise, observed);
  for (int i = 0; i < PIXELS; i++) assert_true(observed[i] == 1);
  assert_ok(shape_noise_destroy(&noise));
}

static void of_counts_per_bin_it_is_sigma_e_over_their_root_and_infinite_without_galaxies(void **state)
{
  double counts[BINS * PIXELS];
  ShapeNoise *noise;

  (void)state;
  for (int i = 0; i < BINS * PIXELS; i++) counts[i] = i % 7 + (i / PIXELS);
  noise = make_noise(3, counts);
  for (int bin = 0; bin < BINS; bin++)
    for (size_t i = 0; i < PIXELS; i++) {
      const double n = counts[(size_t)bin * PIXELS + i], std = shape_noise_std(noise, bin, i);

      if (n > 0)
        assert_close(std, 0.26 / sqrt(n), 1e-14);
      else
        assert_true(isinf(std));
    }
  assert_ok(shape_noise_destroy(&noise));
}

static void what_is_typical_of_counts_is_the_noise_of_the_mean_count_where_there_are_galaxies(void **state)
{
  double counts[BINS * PIXELS], sum[BINS] = {0}, seen[BINS] = {0};
  ShapeNoise *noise;

  (void)state;
  for (int i = 0; i < BINS * PIXELS; i++) {
    counts[i] = i % 5 * (i / PIXELS + 1);
    sum[i / PIXELS] += counts[i];
    seen[i / PIXELS] += counts[i] > 0;
  }
  noise = make_noise(3, counts);
  for (int bin = 0; bin < BINS; bin++)
    assert_close(shape_noise_typical(noise, bin), 0.26 / sqrt(sum[bin] / seen[bin]), 1e-14);
  assert_ok(shape_noise_destroy(&noise));
}

/* As many in every pixel as the survey has on average: what it is without counts. */
static void counts_of_all_bins_are_shared_equally(void **state)
{
  const SurveyConfig even = small_survey(NX, NY, OBSERVATION_SHEAR);
  const double side_arcmin = 60 * even.field_of_view_deg / NX;
  double counts[PIXELS];
  ShapeNoise *noise;

  (void)state;
  for (int i = 0; i < PIXELS; i++) counts[i] = even.galaxies_per_arcmin2 * side_arcmin * side_arcmin;
  noise = make_noise(2, counts);
  for (int bin = 0; bin < BINS; bin++) {
    assert_close(shape_noise_std(noise, bin, 5), survey_noise_std(&even), 1e-14);
    assert_close(shape_noise_typical(noise, bin), survey_noise_std(&even), 1e-14);
  }
  assert_ok(shape_noise_destroy(&noise));
}

static void pixels_that_are_empty_in_every_bin_are_hidden(void **state)
{
  double counts[BINS * PIXELS];
  float observed[PIXELS];
  ShapeNoise *noise;

  (void)state;
  for (int i = 0; i < BINS * PIXELS; i++) counts[i] = 3;
  for (int i = 0; i < PIXELS; i++) observed[i] = i != 0;
  counts[4] = counts[PIXELS + 4] = 0; /* in both */
  counts[PIXELS + 9] = 0; /* in one */
  noise = make_noise(3, counts);
  shape_noise_hide(noise, observed);
  for (int i = 0; i < PIXELS; i++) assert_true(observed[i] == (i != 0 && i != 4));
  assert_ok(shape_noise_destroy(&noise));
}

static void noise_is_the_keyed_normals_times_its_std_in_both_components(void **state)
{
  const RandomKey key = {3, STREAM_NOISE, 5};
  double counts[BINS * PIXELS], plane[2 * PIXELS] = {0}, normal[2 * PIXELS];
  ShapeNoise *noise;

  (void)state;
  for (int i = 0; i < BINS * PIXELS; i++) counts[i] = 1 + i % 9;
  noise = make_noise(3, counts);
  random_normal(key, 2 * PIXELS, 2 * PIXELS, normal); /* of bin 1 */
  shape_noise_add(noise, key, 1, 2, plane);
  for (size_t i = 0; i < 2 * PIXELS; i++) assert_true(plane[i] == shape_noise_std(noise, 1, i % PIXELS) * normal[i]);
  assert_ok(shape_noise_destroy(&noise));
}

static void refuse(SurveyConfig survey, const char *text)
{
  ShapeNoise *noise = NULL;

  assert_fails(shape_noise_create(&survey, &noise), NEPHRITE_ERR_INPUT, text);
  assert_ok(shape_noise_destroy(&noise));
  assert_null(noise);
  unlink(path);
}

static void counts_that_do_not_fit_or_cannot_be_are_refused_with_their_place(void **state)
{
  double counts[3 * PIXELS];
  SurveyConfig survey;

  (void)state;
  for (int i = 0; i < 3 * PIXELS; i++) counts[i] = 2;
  refuse(counted(3, 3, counts), "counts is neither [y][x] = [4][6] nor [bin][y][x] = [2][4][6]");
  survey = counted(2, 1, counts);
  survey.map_size[0] = NX + 1;
  refuse(survey, "counts is neither");
  counts[NX + 2] = -1;
  refuse(counted(2, 1, counts), "counts is -1 at y 1, x 2");
  counts[NX + 2] = NAN;
  refuse(counted(2, 1, counts), "counts is nan at y 1, x 2");
  counts[NX + 2] = 1;
  for (int i = 0; i < PIXELS; i++) counts[PIXELS + i] = 0;
  refuse(counted(3, BINS, counts), "counts has no galaxy in bin 1");
  survey = small_survey(NX, NY, OBSERVATION_SHEAR);
  strcpy(survey.counts, "nowhere.h5");
  refuse(survey, "nowhere.h5");
  write_plane(path, "mask", NY, NX, (float[PIXELS]){0});
  strcpy(survey.counts, path);
  refuse(survey, "counts");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(without_counts_it_is_the_same_everywhere),
                   cmocka_unit_test(of_counts_per_bin_it_is_sigma_e_over_their_root_and_infinite_without_galaxies),
                   cmocka_unit_test(what_is_typical_of_counts_is_the_noise_of_the_mean_count_where_there_are_galaxies),
                   cmocka_unit_test(counts_of_all_bins_are_shared_equally),
                   cmocka_unit_test(pixels_that_are_empty_in_every_bin_are_hidden),
                   cmocka_unit_test(noise_is_the_keyed_normals_times_its_std_in_both_components),
                   cmocka_unit_test(counts_that_do_not_fit_or_cannot_be_are_refused_with_their_place))
