#include "theory_fixtures.h"

enum { N_OMEGA = 3, N_SIGMA = 4, N_W = 2, BINS = 2 };

/* A shift that is linear in each axis: what trilinear interpolation must give back. */
static double shift_at(int bin, double Omega_m, double sigma_8, double w_0)
{
  return (bin + 1) * (0.01 + 0.02 * Omega_m) * (1 + sigma_8) * (3 + w_0);
}

/* A survey of two bins whose shift table is in a file of its own; the caller unlinks it. */
static SurveyConfig survey_with_table(const char *stem, double last_w)
{
  const double Omega_m[N_OMEGA] = {0.1, 0.3, 0.9}, sigma_8[N_SIGMA] = {0.3, 0.7, 0.9, 1.3}, w_0[N_W] = {-2, last_w};
  SurveyConfig survey = lsst_y10();
  double shift[BINS][N_OMEGA][N_SIGMA][N_W];

  survey.bins = BINS;
  scratch_name(survey.shift_table, sizeof survey.shift_table, stem);
  for (int b = 0; b < BINS; b++)
    for (int i = 0; i < N_OMEGA; i++)
      for (int j = 0; j < N_SIGMA; j++)
        for (int k = 0; k < N_W; k++) shift[b][i][j][k] = shift_at(b, Omega_m[i], sigma_8[j], w_0[k]);
  scratch_write(survey.shift_table, "Omega_m", 1, (hsize_t[]){N_OMEGA}, Omega_m);
  scratch_write(survey.shift_table, "sigma_8", 1, (hsize_t[]){N_SIGMA}, sigma_8);
  scratch_write(survey.shift_table, "w_0", 1, (hsize_t[]){N_W}, w_0);
  scratch_write(survey.shift_table, "shift", 4, (hsize_t[]){BINS, N_OMEGA, N_SIGMA, N_W}, &shift[0][0][0][0]);
  return survey;
}

static Cosmology universe_at(double Omega_m, double sigma_8, double w_0)
{
  return (Cosmology){.Omega_c = Omega_m - 0.05, .Omega_b = 0.05, .sigma_8 = sigma_8, .h = 0.7, .n_s = 1, .w_0 = w_0};
}

static void shifts_from_a_table_are_linear_between_its_nodes(void **state)
{
  const double points[][3] = {{0.1, 0.3, -2}, {0.9, 1.3, -0.3}, {0.2, 0.5, -1}, {0.31, 0.95, -1.7}, {0.3, 0.9, -0.3}};
  const SurveyConfig survey = survey_with_table("shift-table", -0.3);
  LensingModel *model = NULL;
  LensingSpectra *spectra = NULL;

  (void)state;
  assert_ok(lensing_model_for_survey(&survey, &model));
  assert_ok(lensing_model_spectra_create(model, &spectra));
  for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
    const double *x = points[p];
    const Cosmology cosmology = universe_at(x[0], x[1], x[2]);

    assert_ok(lensing_model_evaluate(model, &cosmology, &(Systematics){.m = {0, 0.1}}, spectra, NULL));
    for (int b = 0; b < BINS; b++)
      assert_close(spectra->shift[b], (b ? 1.1 : 1) * shift_at(b, x[0], x[1], x[2]), 1e-12);
  }
  assert_ok(lensing_spectra_destroy(&spectra));
  assert_ok(lensing_model_destroy(&model));
  unlink(survey.shift_table);
}

static void a_cosmology_outside_the_table_is_refused(void **state)
{
  const SurveyConfig survey = survey_with_table("shift-table-outside", -0.3);
  const struct {
    Cosmology cosmology;
    const char *text;
  } cases[] = {
      {universe_at(0.06, 0.8, -1), "Omega_m is 0.06; survey_shift_table covers 0.1 to 0.9"},
      {universe_at(0.3, 1.4, -1), "sigma_8 is 1.4"},
      {universe_at(0.3, 0.8, -0.2), "w_0 is -0.2"},
  };
  LensingModel *model = NULL;
  LensingSpectra *spectra = NULL;

  (void)state;
  assert_ok(lensing_model_for_survey(&survey, &model));
  assert_ok(lensing_model_spectra_create(model, &spectra));
  for (int i = 0; i < 3; i++)
    assert_fails(lensing_model_evaluate(model, &cases[i].cosmology, NULL, spectra, NULL), NEPHRITE_ERR_INPUT,
                 cases[i].text);
  assert_ok(lensing_spectra_destroy(&spectra));
  assert_ok(lensing_model_destroy(&model));
  unlink(survey.shift_table);
}

static void a_table_of_another_survey_is_refused(void **state)
{
  SurveyConfig survey = survey_with_table("shift-table-bins", -0.3);
  LensingModel *model = NULL;

  (void)state;
  survey.bins = 5;
  assert_fails(lensing_model_for_survey(&survey, &model), NEPHRITE_ERR_INPUT, "shift has 2 bins, the survey has 5");
  assert_ok(lensing_model_destroy(&model));
  unlink(survey.shift_table);
}

static void an_axis_that_does_not_increase_is_refused(void **state)
{
  const SurveyConfig survey = survey_with_table("shift-table-axis", -2.5);
  LensingModel *model = NULL;

  (void)state;
  assert_fails(lensing_model_for_survey(&survey, &model), NEPHRITE_ERR_INPUT, "axis w_0 has -2.5 after -2");
  assert_ok(lensing_model_destroy(&model));
  unlink(survey.shift_table);
}

static void a_shift_that_is_not_positive_is_refused(void **state)
{
  const SurveyConfig survey = survey_with_table("shift-table-sign", 4); /* 3 + w_0 stays positive; overwritten below */
  LensingModel *model = NULL;
  const double zero[BINS * N_OMEGA * N_SIGMA * N_W] = {0};

  (void)state;
  const hid_t file = H5Fopen(survey.shift_table, H5F_ACC_RDWR, H5P_DEFAULT),
              dataset = H5Dopen2(file, "shift", H5P_DEFAULT);
  assert_true(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, zero) >= 0);
  H5Dclose(dataset), H5Fclose(file);
  assert_fails(lensing_model_for_survey(&survey, &model), NEPHRITE_ERR_INPUT, "shift of bin 0 has the value 0");
  assert_ok(lensing_model_destroy(&model));
  unlink(survey.shift_table);
}

static void a_missing_table_is_refused(void **state)
{
  SurveyConfig survey = lsst_y10();
  LensingModel *model = NULL;

  (void)state;
  snprintf(survey.shift_table, sizeof survey.shift_table, "no-such-table.h5");
  assert_fails(lensing_model_for_survey(&survey, &model), NEPHRITE_ERR_INPUT, "no-such-table.h5");
  assert_ok(lensing_model_destroy(&model));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(shifts_from_a_table_are_linear_between_its_nodes),
                   cmocka_unit_test(a_cosmology_outside_the_table_is_refused),
                   cmocka_unit_test(a_table_of_another_survey_is_refused),
                   cmocka_unit_test(an_axis_that_does_not_increase_is_refused),
                   cmocka_unit_test(a_shift_that_is_not_positive_is_refused),
                   cmocka_unit_test(a_missing_table_is_refused))
