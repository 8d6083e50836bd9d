#include "theory_fixtures.h"

#include <gsl/gsl_spline.h>
#include <omp.h>

static void the_ell_table_reaches_from_below_the_fundamental_mode_to_above_the_corner(void **state)
{
  SurveyConfig survey = lsst_y10();

  (void)state;
  survey.map_size[1] = 512; /* a tall map: its fundamental mode is along y */
  const double pixel = survey_pixel(&survey);
  PetscInt count = 0;
  double *ell = NULL;

  assert_ok(lensing_ell_table(&survey, &count, &ell));
  assert_true(ell[1] < 2 * M_PI / (512 * pixel));
  assert_true(ell[count - 2] > M_SQRT2 * M_PI / pixel);
  for (PetscInt l = 1; l < count; l++) assert_close(ell[l] / ell[l - 1], ell[1] / ell[0], 1e-9);
  assert_ok(PetscFree(ell));
}

/* The worst error of a natural spline in log-log through the survey's table, at multipoles of its own modes. */
static double spline_error(const Cosmology *cosmology)
{
  enum { FINE = 400 };
  const SurveyConfig survey = lsst_y10();
  const double pixel = survey_pixel(&survey), first = log(2 * M_PI / (128 * pixel)), last = log(M_SQRT2 * M_PI / pixel);
  SourceBins *bins = NULL;
  LensingModel *coarse = NULL, *fine = NULL;
  LensingSpectra *nodes = NULL, *modes = NULL;
  double ell[FINE], worst = 0;

  for (int l = 0; l < FINE; l++) ell[l] = exp(first + (last - first) * l / (FINE - 1));
  assert_ok(lensing_model_for_survey(&survey, &coarse));
  assert_ok(lensing_model_spectra_create(coarse, &nodes));
  assert_ok(lensing_model_evaluate(coarse, cosmology, NULL, nodes, NULL));
  assert_ok(source_bins_create(&survey, &bins));
  assert_ok(lensing_model_create(bins, FINE, ell, pixel, &fine));
  assert_ok(lensing_model_spectra_create(fine, &modes));
  assert_ok(lensing_model_evaluate(fine, cosmology, NULL, modes, NULL));

  const size_t count = (size_t)nodes->ell_count;
  double *x = malloc(count * sizeof *x), *y = malloc(count * sizeof *y);
  gsl_spline *spline = gsl_spline_alloc(gsl_interp_cspline, count);
  for (size_t pair = 0; pair < 15; pair++) {
    for (size_t l = 0; l < count; l++) {
      x[l] = log(nodes->ell[l]);
      y[l] = log(nodes->power[pair * count + l]);
    }
    gsl_spline_init(spline, x, y, count);
    for (int l = 0; l < FINE; l++)
      worst = fmax(worst,
                   fabs(exp(gsl_spline_eval(spline, log(ell[l]), NULL)) / modes->power[pair * FINE + (size_t)l] - 1));
  }
  gsl_spline_free(spline), free(x), free(y);
  assert_ok(lensing_spectra_destroy(&nodes));
  assert_ok(lensing_spectra_destroy(&modes));
  assert_ok(lensing_model_destroy(&coarse));
  assert_ok(lensing_model_destroy(&fine));
  assert_ok(source_bins_destroy(&bins));
  return worst;
}

static void a_spline_through_the_ell_table_is_good_to_1e_4(void **state)
{
  const Cosmology fiducial = FIDUCIAL;

  (void)state;
  assert_true(spline_error(&fiducial) < 1e-4);
  for (uint64_t draw = 0; draw < 10; draw++) {
    const Cosmology cosmology = prior_universe(draw);
    const double error = spline_error(&cosmology);

    if (!(error < 1e-4)) fail_msg("draw %d: %g", (int)draw, error);
  }
}

static void spectra_and_shifts_are_finite_and_positive_across_the_prior(void **state)
{
  const SurveyConfig survey = lsst_y10();
  LensingModel *model = NULL;
  LensingSpectra *spectra = NULL;

  (void)state;
  assert_ok(lensing_model_for_survey(&survey, &model));
  assert_ok(lensing_model_spectra_create(model, &spectra));
  for (uint64_t draw = 0; draw < 400; draw++) {
    const Cosmology cosmology = prior_universe(draw);
    PetscInt linear = -1;

    assert_ok(lensing_model_evaluate(model, &cosmology, NULL, spectra, &linear));
    assert_true(linear >= 0);
    for (PetscInt i = 0; i < 15 * spectra->ell_count; i++)
      if (!(spectra->power[i] > 0 && spectra->power[i] < 1)) fail_msg("draw %d: C = %g", (int)draw, spectra->power[i]);
    for (int i = 0; i < 5; i++)
      if (!(spectra->shift[i] > 1e-5 && spectra->shift[i] < 10))
        fail_msg("draw %d: shift %g", (int)draw, spectra->shift[i]);
  }
  assert_ok(lensing_spectra_destroy(&spectra));
  assert_ok(lensing_model_destroy(&model));
}

static void the_corners_of_the_prior_have_finite_spectra_and_shifts(void **state)
{
  const double Omega_c[] = {0, 0.003, 0.93}, Omega_b[] = {0.02, 0.07}, sigma_8[] = {0.1, 1.6}, w_0[] = {-2, -0.3};
  const double n_s[] = {0.6, 1.35}, h[] = {0.35, 1};
  const SurveyConfig survey = lsst_y10();
  LensingModel *model = NULL;
  LensingSpectra *spectra = NULL;

  (void)state;
  assert_ok(lensing_model_for_survey(&survey, &model));
  assert_ok(lensing_model_spectra_create(model, &spectra));
  for (int corner = 0; corner < 3 * 32; corner++) {
    const int bit = corner / 3;
    const Cosmology cosmology = {.Omega_c = Omega_c[corner % 3],
                                 .Omega_b = Omega_b[bit & 1],
                                 .sigma_8 = sigma_8[bit >> 1 & 1],
                                 .w_0 = w_0[bit >> 2 & 1],
                                 .n_s = n_s[bit >> 3 & 1],
                                 .h = h[bit >> 4 & 1]};

    assert_ok(lensing_model_evaluate(model, &cosmology, NULL, spectra, NULL));
    for (PetscInt i = 0; i < 15 * spectra->ell_count; i++)
      if (!(spectra->power[i] > 0 && isfinite(spectra->power[i])))
        fail_msg("corner %d: C = %g at ell = %g", corner, spectra->power[i], spectra->ell[i % spectra->ell_count]);
    for (int i = 0; i < 5; i++) assert_true(spectra->shift[i] > 0 && isfinite(spectra->shift[i]));
  }
  assert_ok(lensing_spectra_destroy(&spectra));
  assert_ok(lensing_model_destroy(&model));
}

static void redshifts_without_a_nonlinear_scale_are_counted(void **state)
{
  const Cosmology fiducial = FIDUCIAL;
  const Cosmology smooth = {.Omega_c = 0.05, .Omega_b = 0.0492, .sigma_8 = 0.5, .h = 0.6727, .n_s = 0.9645, .w_0 = -2};
  ReferenceModel r = reference_model_make();
  PetscInt linear = -1;

  (void)state;
  assert_ok(lensing_model_evaluate(r.model, &fiducial, NULL, r.spectra, &linear));
  assert_int_equal(linear, 0);
  assert_ok(lensing_model_evaluate(r.model, &smooth, NULL, r.spectra, &linear));
  assert_true(linear > 0);
  reference_model_free(&r);
}

static void an_evaluation_does_not_depend_on_the_one_before(void **state)
{
  ReferenceModel r = reference_model_make();
  const Cosmology cosmology = FIDUCIAL, other = prior_universe(3);
  LensingSpectra *first = NULL;

  (void)state;
  assert_ok(lensing_model_spectra_create(r.model, &first));
  assert_ok(lensing_model_evaluate(r.model, &cosmology, NULL, first, NULL));
  assert_ok(lensing_model_evaluate(r.model, &other, &(Systematics){.A_IA = 1, .delta_z = {0.1}}, r.spectra, NULL));
  assert_ok(lensing_model_evaluate(r.model, &cosmology, NULL, r.spectra, NULL));
  assert_memory_equal(first->power, r.spectra->power, 15 * r.ell_count * sizeof(double));
  assert_memory_equal(first->shift, r.spectra->shift, 5 * sizeof(double));
  assert_ok(lensing_spectra_destroy(&first));
  reference_model_free(&r);
}

static void an_evaluation_does_not_depend_on_the_number_of_threads(void **state)
{
  const Systematics aligned = {.A_IA = 1}; /* more nodes */
  const SurveyConfig survey = lsst_y10();
  LensingModel *model = NULL;
  LensingSpectra *one = NULL, *many = NULL;

  (void)state;
  assert_ok(lensing_model_for_survey(&survey, &model));
  assert_ok(lensing_model_spectra_create(model, &one));
  assert_ok(lensing_model_spectra_create(model, &many));
  for (int u = 0; u < 2; u++) { /* of the second, power is linear at some redshifts */
    const Cosmology universe = {0.2664, 0.0492, u ? 0.2 : 0.831, 0.6727, 0.9645, u ? -2 : -1, 0};
    PetscInt linear = -1, linear_many = -1;

    assert_ok(lensing_model_evaluate(model, &universe, u ? NULL : &aligned, one, &linear));
    omp_set_num_threads(5);
    assert_ok(lensing_model_evaluate(model, &universe, u ? NULL : &aligned, many, &linear_many));
    omp_set_num_threads(1);
    assert_int_equal(linear_many, linear);
    assert_int_equal(linear > 0, u);
    assert_memory_equal(many->power, one->power, 15 * (size_t)one->ell_count * sizeof *one->power);
    assert_memory_equal(many->shift, one->shift, 5 * sizeof *one->shift);
  }
  assert_ok(lensing_spectra_destroy(&one));
  assert_ok(lensing_spectra_destroy(&many));
  assert_ok(lensing_model_destroy(&model));
}

static void one_bin_and_sixteen_bins_work_alike(void **state)
{
  const Cosmology cosmology = FIDUCIAL;

  (void)state;
  for (PetscInt bins = 1; bins <= NEPHRITE_MAX_BINS; bins += NEPHRITE_MAX_BINS - 1) {
    SurveyConfig survey = lsst_y10();
    LensingModel *model = NULL;
    LensingSpectra *spectra = NULL;

    survey.bins = bins;
    assert_ok(lensing_model_for_survey(&survey, &model));
    assert_ok(lensing_model_spectra_create(model, &spectra));
    assert_ok(lensing_model_evaluate(model, &cosmology, NULL, spectra, NULL));
    for (PetscInt i = 1; i < bins; i++) { /* farther sources are lensed more */
      assert_true(spectra->power[lensing_pair(bins, i, i) * spectra->ell_count] >
                  spectra->power[lensing_pair(bins, i - 1, i - 1) * spectra->ell_count]);
      assert_true(spectra->shift[i] > spectra->shift[i - 1]);
    }
    assert_ok(lensing_spectra_destroy(&spectra));
    assert_ok(lensing_model_destroy(&model));
  }
}

static void gaussian_fields_have_no_shifts(void **state)
{
  const Cosmology cosmology = FIDUCIAL;
  SurveyConfig survey = lsst_y10();
  LensingModel *model = NULL;
  LensingSpectra *spectra = NULL;

  (void)state;
  survey.field = FIELD_GAUSSIAN;
  assert_ok(lensing_model_for_survey(&survey, &model));
  assert_ok(lensing_model_spectra_create(model, &spectra));
  assert_ok(
      lensing_model_evaluate(model, &cosmology, &(Systematics){.A_IA = 60}, spectra, NULL)); /* skewness is no matter */
  for (int i = 0; i < 5; i++) assert_within(spectra->shift[i], 0, 0);
  assert_ok(lensing_spectra_destroy(&spectra));
  assert_ok(lensing_model_destroy(&model));
}

static void arguments_out_of_range_are_refused(void **state)
{
  const SurveyConfig survey = lsst_y10();
  const double ell[] = {100, 90}, zero[] = {0};
  SourceBins *bins = NULL;
  LensingModel *model = NULL;

  (void)state;
  assert_ok(source_bins_create(&survey, &bins));
  assert_fails(lensing_model_create(bins, 2, ell, 1e-3, &model), NEPHRITE_ERR_CONFIG, "multipole 90 after 100");
  assert_fails(lensing_model_create(bins, 1, zero, 1e-3, &model), NEPHRITE_ERR_CONFIG, "positive");
  assert_fails(lensing_model_create(bins, 1, ell, 0, &model), NEPHRITE_ERR_CONFIG, "pixel is 0");
  assert_null(model);
  assert_ok(source_bins_destroy(&bins));
}

static void a_universe_or_a_nuisance_out_of_range_is_refused(void **state)
{
  ReferenceModel r = reference_model_make();
  const Cosmology fiducial = FIDUCIAL, unphysical = {.Omega_c = 0.3, .Omega_b = 0.05, .sigma_8 = -1};
  LensingSpectra *small = NULL;

  (void)state;
  assert_fails(lensing_model_evaluate(r.model, &unphysical, NULL, r.spectra, NULL), NEPHRITE_ERR_INPUT,
               "sigma_8 is -1");
  assert_fails(lensing_model_evaluate(r.model, &fiducial, &(Systematics){.delta_z = {[1] = -9}}, r.spectra, NULL),
               NEPHRITE_ERR_INPUT, "delta_z_2 is -9");
  assert_ok(lensing_spectra_create(5, 1, &small));
  assert_fails(lensing_model_evaluate(r.model, &fiducial, NULL, small, NULL), NEPHRITE_ERR_INTERNAL, "at 1 multipoles");
  assert_ok(lensing_spectra_destroy(&small));
  assert_fails(lensing_spectra_create(0, 1, &small), NEPHRITE_ERR_CONFIG, "0 bins");
  reference_model_free(&r);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_ell_table_reaches_from_below_the_fundamental_mode_to_above_the_corner),
                   cmocka_unit_test(a_spline_through_the_ell_table_is_good_to_1e_4),
                   cmocka_unit_test(spectra_and_shifts_are_finite_and_positive_across_the_prior),
                   cmocka_unit_test(the_corners_of_the_prior_have_finite_spectra_and_shifts),
                   cmocka_unit_test(redshifts_without_a_nonlinear_scale_are_counted),
                   cmocka_unit_test(an_evaluation_does_not_depend_on_the_one_before),
                   cmocka_unit_test(an_evaluation_does_not_depend_on_the_number_of_threads),
                   cmocka_unit_test(one_bin_and_sixteen_bins_work_alike),
                   cmocka_unit_test(gaussian_fields_have_no_shifts),
                   cmocka_unit_test(arguments_out_of_range_are_refused),
                   cmocka_unit_test(a_universe_or_a_nuisance_out_of_range_is_refused))
