#include "lensing/fixtures.h"
#include "nephrite/inference.h"

#include <math.h>
#include <stdlib.h>

enum { NX = 6, NY = 4, BINS = 2, PARAMETERS = 6 };

/* A user's file as it should be; tests change one thing.  A rank of 0 leaves a dataset out. */
typedef struct {
  ObservationKind kind;
  hsize_t map_shape[4];
  int map_rank;
  double noise_factor, field_of_view;
  int noise_rank; /* 1 or 3 */
  PetscBool mask;
  float mask_value; /* of pixel y 1, x 2 */
  float bad_value; /* of bin 1, component 1 (or 0), y 1, x 2, unless 0 */
  int truth_parameters;
} UserFile;

static UserFile good_file(ObservationKind kind)
{
  UserFile file = {.kind = kind,
                   .map_shape = {BINS, NY, NX},
                   .map_rank = 3,
                   .noise_factor = 1,
                   .field_of_view = 5,
                   .noise_rank = 1,
                   .mask_value = 1};

  if (kind == OBSERVATION_SHEAR) {
    const hsize_t shape[4] = {BINS, 2, NY, NX};

    file.map_rank = 4;
    memcpy(file.map_shape, shape, sizeof shape);
  }
  return file;
}

static SurveyConfig survey_of(ObservationKind kind)
{
  return small_survey(NX, NY, kind);
}

static const char *path(void)
{
  static char name[64];

  if (!*name) snprintf(name, sizeof name, "/tmp/nephrite-observation-%d.h5", (int)getpid());
  return name;
}

static void put(hid_t file, const char *name, int rank, const hsize_t *shape, const double *values)
{
  const hid_t space = H5Screate_simple(rank, shape, NULL);
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);

  H5Pset_create_intermediate_group(links, 1);
  const hid_t dataset = H5Dcreate2(file, name, H5T_IEEE_F64LE, space, links, H5P_DEFAULT, H5P_DEFAULT);

  assert_true(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  H5Dclose(dataset), H5Sclose(space), H5Pclose(links);
}

static void write_maps(hid_t file, const UserFile *u)
{
  double values[BINS * 2 * NY * NX * 4];
  const int place = u->kind == OBSERVATION_SHEAR ? (1 * 2 + 1) * NY * NX + NX + 2 : NY * NX + NX + 2;

  for (size_t i = 0; i < sizeof values / sizeof *values; i++) values[i] = 0.001 * (double)i;
  if (u->bad_value != 0) values[place] = u->bad_value; /* true for NaN */
  if (u->map_rank) put(file, u->kind == OBSERVATION_SHEAR ? "shear" : "convergence", u->map_rank, u->map_shape, values);
}

static void write_file(const UserFile *u)
{
  const SurveyConfig survey = survey_of(u->kind);
  const hid_t file = H5Fcreate(path(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hsize_t noise_shape[3] = {BINS, NY, NX}, mask_shape[2] = {NY, NX}, scalar = 1;
  double noise[BINS * NY * NX], mask[NY * NX], theta[16] = {0.3, 0.05, 0.8, 0.7, 1, -1};

  write_maps(file, u);
  for (int i = 0; i < BINS * NY * NX; i++) noise[i] = survey_noise_std(&survey);
  noise[u->noise_rank == 3 ? NY * NX + NX + 2 : 1] *= u->noise_factor;
  if (u->noise_rank) put(file, "noise_std", u->noise_rank, noise_shape, noise);
  for (int i = 0; i < NY * NX; i++) mask[i] = i == NX + 2 ? u->mask_value : 1;
  if (u->mask) put(file, "mask", 2, mask_shape, mask);
  if (u->truth_parameters) put(file, "truth/theta", 1, (hsize_t[]){(hsize_t)u->truth_parameters}, theta);
  if (u->truth_parameters) put(file, "truth/kappa", 3, noise_shape, noise);
  if (u->field_of_view > 0) {
    const hid_t space = H5Screate_simple(1, &scalar, NULL);
    const hid_t attribute = H5Acreate2(file, "field_of_view", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT);

    H5Awrite(attribute, H5T_NATIVE_DOUBLE, &u->field_of_view);
    H5Aclose(attribute), H5Sclose(space);
  }
  H5Fclose(file);
}

static PetscErrorCode read_user_file(const UserFile *u, const SurveyConfig *survey, Observation **observation)
{
  write_file(u);
  return observation_read(path(), survey, PARAMETERS, observation);
}

static void assert_refused(const UserFile *u, const char *text)
{
  const SurveyConfig survey = survey_of(u->kind);
  Observation *observation = NULL;

  assert_fails(read_user_file(u, &survey, &observation), NEPHRITE_ERR_INPUT, text);
  if (!strstr(error_message(), path())) fail_msg("\"%s\" lacks the file", error_message());
  assert_ok(observation_destroy(&observation));
  remove(path());
}

static void a_good_file_is_read_as_it_is(void **state)
{
  const ObservationKind kinds[] = {OBSERVATION_SHEAR, OBSERVATION_CONVERGENCE};

  (void)state;
  for (int i = 0; i < 2; i++) {
    const UserFile file = good_file(kinds[i]);
    const SurveyConfig survey = survey_of(kinds[i]);
    Observation *o = NULL;

    assert_ok(read_user_file(&file, &survey, &o));
    for (int k = 0; k < BINS * (i ? 1 : 2) * NY * NX; k++) assert_close((double)o->raw[k], 0.001 * k, 1e-6);
    for (int b = 0; b < BINS; b++) assert_close(o->noise_std[b], survey_noise_std(&survey), 1e-12);
    assert_null(o->mask);
    assert_null(o->truth_kappa);
    assert_null(o->truth_theta);
    assert_ok(observation_destroy(&o));
    assert_null(o);
  }
  remove(path());
}

static void noise_may_be_a_map_and_truth_may_be_told(void **state)
{
  UserFile file = good_file(OBSERVATION_SHEAR);
  const SurveyConfig survey = survey_of(OBSERVATION_SHEAR);
  Observation *o = NULL;

  (void)state;
  file.noise_rank = 3;
  file.noise_factor = 1.005;
  file.truth_parameters = PARAMETERS;
  assert_ok(read_user_file(&file, &survey, &o));
  assert_close(o->noise_std[1], survey_noise_std(&survey), 1e-12);
  assert_close(o->truth_theta[2], 0.8, 1e-12);
  assert_close((double)o->truth_kappa[0], survey_noise_std(&survey), 1e-6);
  assert_ok(observation_destroy(&o));
  remove(path());
}

static void masked_pixels_are_not_looked_at_and_become_zero(void **state)
{
  UserFile file = good_file(OBSERVATION_SHEAR);
  const SurveyConfig survey = survey_of(OBSERVATION_SHEAR);
  Observation *o = NULL;

  (void)state;
  file.mask = PETSC_TRUE;
  file.mask_value = 0;
  file.bad_value = NAN;
  file.noise_rank = 3;
  file.noise_factor = 100;
  assert_ok(read_user_file(&file, &survey, &o));
  assert_true(o->mask[NX + 2] == 0 && o->mask[0] == 1);
  for (int plane = 0; plane < 2 * BINS; plane++) assert_true(o->raw[plane * NY * NX + NX + 2] == 0);
  assert_ok(observation_destroy(&o));
  remove(path());
}

static void values_that_are_not_finite_are_refused_with_their_place(void **state)
{
  UserFile file = good_file(OBSERVATION_SHEAR);

  (void)state;
  file.bad_value = NAN;
  assert_refused(&file, "shear is nan in bin 1, component 1, at y 1, x 2");
  file.bad_value = INFINITY;
  assert_refused(&file, "shear is inf in bin 1");
  file = good_file(OBSERVATION_CONVERGENCE);
  file.bad_value = NAN;
  assert_refused(&file, "convergence is nan in bin 1, component 0, at y 1, x 2");
}

static void values_that_nothing_makes_are_refused_with_their_place(void **state)
{
  UserFile file = good_file(OBSERVATION_SHEAR);
  const SurveyConfig survey = survey_of(OBSERVATION_SHEAR);
  Observation *o = NULL;
  ShapeNoise *noise = NULL;

  (void)state;
  assert_ok(shape_noise_create(&survey, &noise));
  const double most = 10 + 100 * shape_noise_std(noise, 1, NX + 2);
  assert_ok(shape_noise_destroy(&noise));

  file.bad_value = 1e19F;
  assert_refused(&file, "shear is 1e+19 in bin 1, component 1, at y 1, x 2; no sky and no noise makes more than");
  file.bad_value = (float)(-1.001 * most);
  assert_refused(&file, "no sky and no noise makes more");
  file.bad_value = (float)(0.999 * most);
  assert_ok(read_user_file(&file, &survey, &o));
  assert_ok(observation_destroy(&o));
  remove(path());
}

static void another_size_is_refused_saying_what_fits(void **state)
{
  UserFile file = good_file(OBSERVATION_SHEAR);

  (void)state;
  file.map_shape[3] = NX + 1;
  assert_refused(&file, "shear has shape [2, 2, 4, 7]; the model takes [2, 2, 4, 6]");
  file = good_file(OBSERVATION_SHEAR);
  file.map_shape[0] = BINS + 1;
  assert_refused(&file, "[3, 2, 4, 6]; the model takes [2, 2, 4, 6]: 2 bins of ny 4, nx 6 pixels over 5 deg");
  file = good_file(OBSERVATION_CONVERGENCE);
  file.map_rank = 2;
  assert_refused(&file, "convergence has shape [2, 4]; the model takes [2, 4, 6]");
}

static void another_pixel_scale_is_refused_saying_what_fits(void **state)
{
  UserFile file = good_file(OBSERVATION_SHEAR);

  (void)state;
  file.field_of_view = 2.5;
  assert_refused(&file, "pixels are 25 arcmin; the model takes pixels of 50 arcmin, 5 deg in all");
  file.field_of_view = 0;
  assert_refused(&file, "field_of_view");
}

static void another_kind_is_refused_saying_what_fits(void **state)
{
  const UserFile file = good_file(OBSERVATION_CONVERGENCE);
  const SurveyConfig survey = survey_of(OBSERVATION_SHEAR);
  Observation *o = NULL;

  (void)state;
  assert_fails(read_user_file(&file, &survey, &o), NEPHRITE_ERR_INPUT,
               "holds no dataset shear but convergence; the model takes shear[bin, 2, y, x]");
  assert_ok(observation_destroy(&o));
  UserFile empty = good_file(OBSERVATION_SHEAR);
  empty.map_rank = 0;
  assert_refused(&empty, "holds no dataset shear; the model takes");
}

static void noise_the_model_was_not_trained_with_is_refused_saying_what_it_was(void **state)
{
  const SurveyConfig survey = survey_of(OBSERVATION_SHEAR);
  UserFile file = good_file(OBSERVATION_SHEAR);
  char trained[64];

  (void)state;
  snprintf(trained, sizeof trained, "in bin 1; the model was trained with %g", survey_noise_std(&survey));
  file.noise_factor = 1.02;
  assert_refused(&file, trained);
  file.noise_factor = 0.98;
  assert_refused(&file, trained);
  file.noise_factor = NAN;
  assert_refused(&file, trained);
  file.noise_rank = 3;
  file.noise_factor = 1.02;
  assert_refused(&file, trained);
  file.noise_rank = 0;
  assert_refused(&file, "noise_std");
}

static void a_mask_of_other_values_than_0_and_1_is_refused(void **state)
{
  UserFile file = good_file(OBSERVATION_SHEAR);

  (void)state;
  file.mask = PETSC_TRUE;
  file.mask_value = 0.5;
  assert_refused(&file, "mask is 0.5 at y 1, x 2");
}

static void a_truth_of_another_number_of_parameters_is_refused(void **state)
{
  UserFile file = good_file(OBSERVATION_SHEAR);

  (void)state;
  file.truth_parameters = 5;
  assert_refused(&file, "truth/theta has shape [5]");
}

static void a_missing_file_is_refused(void **state)
{
  const SurveyConfig survey = survey_of(OBSERVATION_SHEAR);
  Observation *o = NULL;

  (void)state;
  assert_fails(observation_read("/tmp/no-such-file.h5", &survey, PARAMETERS, &o), NEPHRITE_ERR_INPUT,
               "/tmp/no-such-file.h5");
  assert_ok(observation_destroy(&o));
}

/* ---- a survey of counts ---- */

/* \param empty_bins  bins without galaxies in pixel y 1, x 2, from the last one down */
static SurveyConfig survey_of_counts(int empty_bins)
{
  static char name[64];
  SurveyConfig survey = survey_of(OBSERVATION_SHEAR);
  const SurveyConfig even = survey;
  const double per_bin = pow(even.sigma_e / survey_noise_std(&even), 2);
  double counts[BINS * NY * NX];

  snprintf(name, sizeof name, "/tmp/nephrite-counts-%d.h5", (int)getpid());
  for (int i = 0; i < BINS * NY * NX; i++) counts[i] = per_bin;
  for (int bin = BINS - empty_bins; bin < BINS; bin++) counts[bin * NY * NX + NX + 2] = 0;
  const hid_t file = H5Fcreate(name, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  put(file, "counts", 3, (hsize_t[]){BINS, NY, NX}, counts);
  H5Fclose(file);
  strcpy(survey.counts, name);
  return survey;
}

static void noise_of_counts_is_wanted_for_every_pixel(void **state)
{
  const SurveyConfig survey = survey_of_counts(0);
  UserFile file = good_file(OBSERVATION_SHEAR);
  Observation *o = NULL;

  (void)state;
  assert_fails(read_user_file(&file, &survey, &o), NEPHRITE_ERR_INPUT,
               "noise_std has shape [2]; the model takes [2, 4, 6]");
  assert_ok(observation_destroy(&o));
  file.noise_rank = 3;
  file.noise_factor = 1.02;
  assert_fails(read_user_file(&file, &survey, &o), NEPHRITE_ERR_INPUT, "which differs from pixel to pixel");
  assert_ok(observation_destroy(&o));
  file.noise_factor = 1;
  assert_ok(read_user_file(&file, &survey, &o));
  for (int i = 0; i < BINS * NY * NX; i++) assert_close(o->noise_std[i], survey_noise_std(&survey), 1e-12);
  for (int i = 0; i < NY * NX; i++) assert_true(o->mask[i] == 1);
  assert_ok(observation_destroy(&o));
  unlink(survey.counts);
  remove(path());
}

static void where_a_survey_has_no_galaxies_a_file_is_not_looked_at(void **state)
{
  const int place = (1 * 2 + 1) * NY * NX + NX + 2;
  UserFile file = good_file(OBSERVATION_SHEAR);

  (void)state;
  file.noise_rank = 3;
  file.noise_factor = NAN;
  file.bad_value = NAN;
  for (int empty_bins = 1; empty_bins <= BINS; empty_bins++) {
    const SurveyConfig survey = survey_of_counts(empty_bins);
    Observation *o = NULL;

    assert_ok(read_user_file(&file, &survey, &o));
    assert_true(o->raw[place] == 0);
    assert_true(isinf(o->noise_std[NY * NX + NX + 2]));
    assert_true(o->mask[NX + 2] == (empty_bins < BINS)); /* hidden where no bin has any */
    assert_ok(observation_destroy(&o));
    unlink(survey.counts);
  }
  remove(path());
}

/* ---- a survey with a range of noise levels ---- */

static void level_of_file(UserFile *file, const SurveyConfig *survey, double factor, double level[BINS * NY * NX])
{
  Observation *o = NULL;

  file->noise_factor = factor;
  assert_ok(read_user_file(file, survey, &o));
  memcpy(level, o->noise_std, (size_t)BINS * (survey->counts[0] ? NY * NX : 1) * sizeof *level);
  assert_ok(observation_destroy(&o));
}

static void with_range_refused(const UserFile *file, const SurveyConfig *survey, const char *text)
{
  Observation *o = NULL;

  assert_fails(read_user_file(file, survey, &o), NEPHRITE_ERR_INPUT, text);
  assert_ok(observation_destroy(&o));
}

static SurveyConfig with_range(SurveyConfig survey)
{
  survey.noise_range[0] = 0.5;
  survey.noise_range[1] = 2;
  return survey;
}

static void any_noise_within_the_range_is_taken_in_each_bin(void **state)
{
  const SurveyConfig survey = with_range(survey_of(OBSERVATION_SHEAR));
  const double factors[] = {0.5, 0.7, 1, 1.9, 2, 2.01}; /* the last is within the tolerance */
  const double std = survey_noise_std(&survey);
  UserFile file = good_file(OBSERVATION_SHEAR);
  double level[BINS * NY * NX];

  (void)state;
  for (int i = 0; i < 6; i++) {
    level_of_file(&file, &survey, factors[i], level);
    assert_close(level[0], std, 1e-12);
    assert_close(level[1], factors[i] * std, 1e-12);
  }
  remove(path());
}

static void noise_beyond_the_range_is_refused_saying_what_it_was(void **state)
{
  const SurveyConfig survey = with_range(survey_of(OBSERVATION_SHEAR));
  UserFile file = good_file(OBSERVATION_SHEAR);
  char trained[96];

  (void)state;
  snprintf(trained, sizeof trained, "in bin 1; the model was trained with %.6g to %.6g", survey_noise_std(&survey) / 2,
           2 * survey_noise_std(&survey));
  file.noise_factor = 2.03;
  with_range_refused(&file, &survey, trained);
  with_range_refused(&file, &survey, "times a factor of each bin (survey_noise_range)");
  file.noise_factor = 0.49;
  with_range_refused(&file, &survey, trained);
  file.noise_factor = NAN;
  with_range_refused(&file, &survey, trained);
  remove(path());
}

/* One pixel of a bin at a level of its own: every level is in the range, and the model has seen no such noise. */
static void within_a_bin_noise_has_one_level(void **state)
{
  const SurveyConfig surveys[] = {with_range(survey_of(OBSERVATION_SHEAR)), with_range(survey_of_counts(0))};
  UserFile file = good_file(OBSERVATION_SHEAR);

  (void)state;
  file.noise_rank = 3;
  for (int s = 0; s < 2; s++) {
    const size_t kept = s ? NY * NX : 1;
    double level[BINS * NY * NX];

    file.noise_factor = 1.2;
    with_range_refused(&file, &surveys[s], "at y 1, x 2 of bin 1, 1.2 times the survey's");
    level_of_file(&file, &surveys[s], 1.005, level); /* one of 24 pixels */
    for (size_t i = 0; i < kept; i++) {
      assert_close(level[i], survey_noise_std(&surveys[0]), 1e-12);
      assert_close(level[kept + i], (1 + 0.005 / 24) * survey_noise_std(&surveys[0]), 1e-12);
    }
  }
  unlink(surveys[1].counts);
  remove(path());
}

static void pixels_without_galaxies_do_not_count_for_the_level(void **state)
{
  const SurveyConfig survey = with_range(survey_of_counts(BINS));
  UserFile file = good_file(OBSERVATION_SHEAR);
  double level[BINS * NY * NX];

  (void)state;
  file.noise_rank = 3;
  level_of_file(&file, &survey, NAN, level);
  for (int bin = 0; bin < BINS; bin++) {
    assert_true(isinf(level[bin * NY * NX + NX + 2]));
    assert_close(level[bin * NY * NX], survey_noise_std(&survey), 1e-12);
  }
  unlink(survey.counts);
  remove(path());
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_good_file_is_read_as_it_is),
                   cmocka_unit_test(noise_may_be_a_map_and_truth_may_be_told),
                   cmocka_unit_test(masked_pixels_are_not_looked_at_and_become_zero),
                   cmocka_unit_test(values_that_are_not_finite_are_refused_with_their_place),
                   cmocka_unit_test(values_that_nothing_makes_are_refused_with_their_place),
                   cmocka_unit_test(another_size_is_refused_saying_what_fits),
                   cmocka_unit_test(another_pixel_scale_is_refused_saying_what_fits),
                   cmocka_unit_test(another_kind_is_refused_saying_what_fits),
                   cmocka_unit_test(noise_the_model_was_not_trained_with_is_refused_saying_what_it_was),
                   cmocka_unit_test(a_mask_of_other_values_than_0_and_1_is_refused),
                   cmocka_unit_test(a_truth_of_another_number_of_parameters_is_refused),
                   cmocka_unit_test(a_missing_file_is_refused),
                   cmocka_unit_test(noise_of_counts_is_wanted_for_every_pixel),
                   cmocka_unit_test(where_a_survey_has_no_galaxies_a_file_is_not_looked_at),
                   cmocka_unit_test(any_noise_within_the_range_is_taken_in_each_bin),
                   cmocka_unit_test(noise_beyond_the_range_is_refused_saying_what_it_was),
                   cmocka_unit_test(within_a_bin_noise_has_one_level),
                   cmocka_unit_test(pixels_without_galaxies_do_not_count_for_the_level))
