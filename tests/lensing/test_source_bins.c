#include "theory_fixtures.h"

static SourceBins *make_bins(const SurveyConfig *survey)
{
  SourceBins *bins = NULL;

  assert_ok(source_bins_create(survey, &bins));
  return bins;
}

/* int z^power n_i(z) dz by midpoints. */
static double moment(const SourceBins *bins, PetscInt bin, int power)
{
  enum { STEPS = 50000 };
  const double width = source_bins_z_max(bins) / STEPS;
  double sum = 0;

  for (int k = 0; k < STEPS; k++)
    sum += width * pow((k + 0.5) * width, power) * source_bins_density(bins, bin, (k + 0.5) * width);
  return sum;
}

static void the_cuts_of_lsst_y10_are_those_of_the_science_requirements(void **state)
{
  const SurveyConfig survey = lsst_y10();
  const double published[] = {0, 0.45350, 0.72237, 1.04198, 1.53916, 10};
  double edges[6];

  (void)state;
  assert_ok(survey_bin_edges(&survey, edges));
  for (int i = 0; i <= 5; i++) assert_within(edges[i], published[i], 5.1e-6); /* five decimals are published */
}

static void any_number_of_bins_shares_the_galaxies_equally(void **state)
{
  (void)state;
  for (PetscInt bins = 1; bins <= NEPHRITE_MAX_BINS; bins += 3) {
    enum { STEPS = 200000 };
    SurveyConfig survey = lsst_y10();
    double edges[NEPHRITE_MAX_BINS + 1], count[NEPHRITE_MAX_BINS] = {0}, total = 0;
    PetscInt bin = 0;

    survey.bins = bins;
    assert_ok(survey_bin_edges(&survey, edges));
    for (int k = 0; k < STEPS; k++) {
      const double z = (k + 0.5) * 10 / STEPS, p = z * z * exp(-pow(z / 0.11, 0.68));

      while (z > edges[bin + 1]) bin++;
      count[bin] += p;
      total += p;
    }
    for (PetscInt i = 0; i < bins; i++) assert_close(count[i] / total, 1. / bins, 1e-3); /* edges between midpoints */
  }
}

static void the_bins_of_lsst_y10_are_the_reference_s(void **state)
{
  const SurveyConfig survey = lsst_y10();
  SourceBins *bins = make_bins(&survey);
  size_t count;
  double *z = reference_read("cosmology.h5", "n_of_z/z", &count), *n = reference_read("cosmology.h5", "n_of_z/n", NULL);

  (void)state;
  for (PetscInt i = 0; i < 5; i++) {
    /* the reference ends, and is normalised, at z = 6 */
    const double end = moment(bins, i, 0);
    double below = 0;

    for (size_t k = 1; k < count; k++) below += (z[k] - z[k - 1]) * source_bins_density(bins, i, (z[k] + z[k - 1]) / 2);
    for (size_t k = 0; k < count; k++) /* linear interpolation of either table */
      assert_within(source_bins_density(bins, i, z[k]) * end / below, n[(size_t)i * count + k], 2e-4);
  }
  free(z), free(n);
  assert_ok(source_bins_destroy(&bins));
}

static void every_bin_has_unit_integral_and_the_published_mean(void **state)
{
  const SurveyConfig survey = lsst_y10();
  const double mean[] = {0.3110, 0.5935, 0.8761, 1.2605};
  SourceBins *bins = make_bins(&survey);

  (void)state;
  assert_int_equal(source_bins_count(bins), 5);
  assert_within(source_bins_z_max(bins), 10, 0);
  for (PetscInt i = 0; i < 5; i++) assert_close(moment(bins, i, 0), 1, 1e-6); /* midpoints across knots */
  for (PetscInt i = 0; i < 4; i++)
    assert_within(moment(bins, i, 1), mean[i], 1e-4); /* four decimals, edges apart by 5e-5 */
  assert_ok(source_bins_destroy(&bins));
  assert_null(bins);
}

static void a_small_scatter_makes_bins_with_steep_edges(void **state)
{
  SurveyConfig survey = lsst_y10();
  double edges[6];

  survey.photoz_scatter = 1e-3;
  SourceBins *bins = make_bins(&survey);

  (void)state;
  assert_ok(survey_bin_edges(&survey, edges));
  for (PetscInt i = 1; i < 5; i++) {
    assert_within(source_bins_density(bins, i, edges[i] - 0.01), 0, 1e-3);
    assert_close(source_bins_density(bins, i, edges[i]) / source_bins_density(bins, i, edges[i] + 0.01), 0.5, 0.05);
  }
  assert_ok(source_bins_destroy(&bins));
}

static void a_table_is_linear_between_its_points_and_zero_outside(void **state)
{
  const double z[] = {0.5, 1, 2}, n[] = {0, 4, 0};
  SourceBins *bins = NULL;

  (void)state;
  assert_ok(source_bins_from_table(1, 3, z, n, &bins));
  assert_close(source_bins_density(bins, 0, 1), 4 / 3., 1e-14);
  assert_close(source_bins_density(bins, 0, 0.75), 2 / 3., 1e-14);
  assert_close(source_bins_density(bins, 0, 1.75), 1 / 3., 1e-14);
  assert_within(source_bins_density(bins, 0, 0.4), 0, 0);
  assert_within(source_bins_density(bins, 0, 2.1), 0, 0);
  assert_ok(source_bins_destroy(&bins));
}

static void a_table_that_is_no_distribution_is_refused(void **state)
{
  const struct {
    double z[3], n[3];
    const char *text;
  } cases[] = {
      {{0, 1, 1}, {1, 1, 1}, "redshift 2 is 1 after 1"},
      {{-0.1, 1, 2}, {1, 1, 1}, "covers z = -0.1 to 2"},
      {{0, 1, 40}, {1, 1, 1}, "to 40"},
      {{0, 1, 2}, {1, -1, 1}, "bin 0 at z = 1 is -1"},
      {{0, 1, 2}, {1, NAN, 1}, "bin 0 at z = 1 is nan"},
      {{0, 1, 2}, {0, 0, 0}, "bin 0 integrates to 0"},
      {{NAN, 1, 2}, {1, 1, 1}, "covers z = nan"},
  };

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    SourceBins *bins = NULL;

    assert_fails(source_bins_from_table(1, 3, cases[i].z, cases[i].n, &bins), NEPHRITE_ERR_INPUT, cases[i].text);
    assert_ok(source_bins_destroy(&bins));
  }
}

static void too_many_bins_or_too_few_redshifts_are_refused(void **state)
{
  const double z[2] = {0, 1}, n[2] = {1, 1};
  SourceBins *bins = NULL;

  (void)state;
  assert_fails(source_bins_from_table(NEPHRITE_MAX_BINS + 1, 2, z, n, &bins), NEPHRITE_ERR_INPUT, "17 bins");
  assert_fails(source_bins_from_table(1, 1, z, n, &bins), NEPHRITE_ERR_INPUT, "1 redshifts");
  assert_null(bins);
}

static void a_user_s_file_replaces_the_smail_bins(void **state)
{
  const double z[] = {0, 1, 2}, n[] = {0, 1, 0, 0, 2, 2};
  SurveyConfig survey = lsst_y10();

  (void)state;
  survey.bins = 2;
  scratch_name(survey.n_of_z, sizeof survey.n_of_z, "source-bins");
  scratch_write(survey.n_of_z, "z", 1, (hsize_t[]){3}, z);
  scratch_write(survey.n_of_z, "n_of_z", 2, (hsize_t[]){2, 3}, n);

  SourceBins *bins = make_bins(&survey);
  assert_close(source_bins_density(bins, 0, 0.5), 0.5, 1e-14);
  assert_close(source_bins_density(bins, 1, 1.5), 2 / 3., 1e-14);
  assert_within(source_bins_z_max(bins), 2, 0);
  assert_ok(source_bins_destroy(&bins));

  survey.bins = 5;
  assert_fails(source_bins_create(&survey, &bins), NEPHRITE_ERR_INPUT, "n_of_z has 2 bins, survey_bins is 5");
  assert_ok(source_bins_destroy(&bins));
  unlink(survey.n_of_z);
}

static void a_file_that_is_missing_or_misshapen_is_refused(void **state)
{
  const double z[] = {0, 1, 2};
  SurveyConfig survey = lsst_y10();
  SourceBins *bins = NULL;

  (void)state;
  snprintf(survey.n_of_z, sizeof survey.n_of_z, "no-such-file.h5");
  assert_fails(source_bins_create(&survey, &bins), NEPHRITE_ERR_INPUT, "no-such-file.h5");
  scratch_name(survey.n_of_z, sizeof survey.n_of_z, "source-bins-misshapen");
  scratch_write(survey.n_of_z, "z", 1, (hsize_t[]){3}, z);
  assert_fails(source_bins_create(&survey, &bins), NEPHRITE_ERR_INPUT, "n_of_z");
  scratch_write(survey.n_of_z, "n_of_z", 1, (hsize_t[]){3}, z);
  assert_fails(source_bins_create(&survey, &bins), NEPHRITE_ERR_INPUT, "must have shapes");
  assert_ok(source_bins_destroy(&bins));
  unlink(survey.n_of_z);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_cuts_of_lsst_y10_are_those_of_the_science_requirements),
                   cmocka_unit_test(any_number_of_bins_shares_the_galaxies_equally),
                   cmocka_unit_test(the_bins_of_lsst_y10_are_the_reference_s),
                   cmocka_unit_test(every_bin_has_unit_integral_and_the_published_mean),
                   cmocka_unit_test(a_small_scatter_makes_bins_with_steep_edges),
                   cmocka_unit_test(a_table_is_linear_between_its_points_and_zero_outside),
                   cmocka_unit_test(a_table_that_is_no_distribution_is_refused),
                   cmocka_unit_test(too_many_bins_or_too_few_redshifts_are_refused),
                   cmocka_unit_test(a_user_s_file_replaces_the_smail_bins),
                   cmocka_unit_test(a_file_that_is_missing_or_misshapen_is_refused))
