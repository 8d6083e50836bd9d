#include "dense_gaussian.h"

static const struct {
  int ny, nx;
} sizes[] = {{4, 4}, {4, 6}, {6, 4}, {5, 4}, {4, 5}, {3, 5}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static double evaluate(const Dense *d, const LensingSpectra *spectra)
{
  const double noise_std[DENSE_BINS] = {d->noise_std[0], d->noise_std[d->data / 2]};
  ModeLikelihood *likelihood = NULL;
  double value;

  assert_ok(mode_likelihood_create(&d->survey, noise_std, d->raw, &likelihood));
  assert_ok(mode_likelihood_evaluate(likelihood, spectra, &value));
  assert_ok(mode_likelihood_destroy(&likelihood));
  return value;
}

static void it_is_the_density_of_the_observed_numbers(void **state)
{
  (void)state;
  for (int kind = OBSERVATION_SHEAR; kind <= OBSERVATION_CONVERGENCE; kind++)
    for (int i = 0; i < SIZES; i++) {
      Dense *d = dense_make(sizes[i].ny, sizes[i].nx, (ObservationKind)kind);

      assert_close(evaluate(d, d->spectra), dense_log_likelihood(d), 1e-10); /* rounding of sums of 100 numbers */
      dense_free(d);
    }
}

/* The same of differences between cosmologies, which is what decides, where signal and noise are alike. */
static void its_ratio_between_cosmologies_is_that_of_the_dense_covariances(void **state)
{
  (void)state;
  for (int kind = OBSERVATION_SHEAR; kind <= OBSERVATION_CONVERGENCE; kind++) {
    Dense *d = dense_make(4, 6, (ObservationKind)kind);
    const double dense = dense_log_likelihood(d), modes = evaluate(d, d->spectra);

    assert_ok(lensing_spectra_destroy(&d->spectra));
    d->spectrum = (DenseSpectrum){9e-10, -0.7};
    d->spectra = dense_spectra(&d->spectrum);
    dense_fill(d);
    const double ratio = dense_log_likelihood(d) - dense;

    assert_true(fabs(ratio) > 0.3);
    assert_within(evaluate(d, d->spectra) - modes, ratio, 1e-10);
    dense_free(d);
  }
}

/* On 14 x 14 pixels the mode (1, 7), on a Nyquist line where shear shows less of it, is as long as (5, 5), which is
 * not: a wave there counts by its own covariance. */
static void a_nyquist_wave_is_told_from_others_of_its_length(void **state)
{
  enum { SIDE = 14, PIXELS = SIDE * SIDE };
  const double c = (49. - 1) / (49 + 1), visibility = c * c, sigma = 0.03;
  const DenseSpectrum spectrum = {3e-8, -1.3};
  SurveyConfig survey = {.map_size = {SIDE, SIDE},
                         .field_of_view_deg = 0.05 * SIDE,
                         .bins = DENSE_BINS,
                         .field = FIELD_GAUSSIAN,
                         .observation = OBSERVATION_SHEAR,
                         .mask = "none"};
  const double pixel = survey_pixel(&survey), ell = 2 * M_PI * sqrt(50) / (SIDE * pixel);
  float raw[2 * DENSE_BINS * PIXELS] = {0};
  double covariance[DENSE_BINS][DENSE_BINS], value[2], square = 0;

  (void)state;
  LensingSpectra *spectra = dense_spectra(&spectrum);
  for (int wave = 0; wave < 2; wave++) {
    ModeLikelihood *likelihood = NULL;

    for (int i = 0; i < PIXELS && wave; i++) {
      raw[i] = (float)(0.1 * c * (i % 2 ? -1 : 1) * cos(2 * M_PI * (i / SIDE) / SIDE)); /* gamma_1 of bin 0 */
      square += raw[i] * raw[i];
    }
    assert_ok(mode_likelihood_create(&survey, (double[]){sigma, sigma}, raw, &likelihood));
    assert_ok(mode_likelihood_evaluate(likelihood, spectra, &value[wave]));
    assert_ok(mode_likelihood_destroy(&likelihood));
  }
  for (int i = 0; i < DENSE_BINS; i++)
    for (int j = 0; j < DENSE_BINS; j++)
      covariance[i][j] =
          visibility * dense_power(&spectrum, i, j, ell) / (pixel * pixel) + (i == j ? sigma * sigma : 0);
  const double inverse = covariance[1][1] / (covariance[0][0] * covariance[1][1] - covariance[0][1] * covariance[0][1]);

  assert_close(value[1] - value[0], -square * inverse / 2, 1e-6); /* the wave is in float */
  assert_ok(lensing_spectra_destroy(&spectra));
}

/* d ln p/d ln A is 0 on average at the true A: of many observations, within the standard error. */
static void its_slope_at_the_truth_vanishes_on_average(void **state)
{
  enum { MAPS = 200, SIDE = 16 };
  const double step = 0.01;
  SurveyConfig survey = {.map_size = {SIDE, SIDE},
                         .field_of_view_deg = 0.05 * SIDE,
                         .bins = DENSE_BINS,
                         .field = FIELD_GAUSSIAN,
                         .observation = OBSERVATION_SHEAR,
                         .galaxies_per_arcmin2 = 27,
                         .sigma_e = 0.26,
                         .mask = "none"};
  LensingSpectra *spectra[3];
  Field *field = NULL;
  Observer *observer = NULL;
  float kappa[DENSE_BINS * SIDE * SIDE], raw[2 * DENSE_BINS * SIDE * SIDE];
  double noise_std[DENSE_BINS], sum = 0, square = 0;

  (void)state;
  for (int i = 0; i < 3; i++) spectra[i] = dense_spectra(&(DenseSpectrum){3e-9 * (1 + (i - 1) * step), -1.3});
  assert_ok(field_create(PETSC_COMM_SELF, &(FieldShape){FIELD_GAUSSIAN, DENSE_BINS, SIDE, SIDE, survey_pixel(&survey)},
                         &field));
  assert_ok(field_set_spectra(field, spectra[1]));
  assert_ok(observer_create(&survey, &observer));
  observer_noise_std(observer, (RandomKey){0}, noise_std);
  for (uint64_t map = 0; map < MAPS; map++) {
    ModeLikelihood *likelihood = NULL;
    double below, above;

    assert_ok(field_realise_keyed(field, (RandomKey){1, STREAM_FIELD, map}, kappa));
    assert_ok(observer_observe(observer, (RandomKey){1, STREAM_NOISE, map}, kappa, raw, NULL));
    assert_ok(mode_likelihood_create(&survey, noise_std, raw, &likelihood));
    assert_ok(mode_likelihood_evaluate(likelihood, spectra[0], &below));
    assert_ok(mode_likelihood_evaluate(likelihood, spectra[2], &above));
    assert_ok(mode_likelihood_destroy(&likelihood));
    const double slope = (above - below) / (2 * step);
    sum += slope / MAPS;
    square += slope * slope / MAPS;
  }
  assert_true(square > 10); /* the maps say something of A */
  assert_within(sum, 0, 4 * sqrt(square / MAPS));
  for (int i = 0; i < 3; i++) assert_ok(lensing_spectra_destroy(&spectra[i]));
  assert_ok(observer_destroy(&observer));
  assert_ok(field_destroy(&field));
}

static void noise_that_is_not_positive_is_refused(void **state)
{
  Dense *d = dense_make(4, 4, OBSERVATION_SHEAR);
  ModeLikelihood *likelihood = NULL;

  (void)state;
  assert_fails(mode_likelihood_create(&d->survey, (double[]){0.1, 0}, d->raw, &likelihood), NEPHRITE_ERR_INPUT,
               "noise_std of bin 1 is 0");
  assert_ok(mode_likelihood_destroy(&likelihood));
  dense_free(d);
}

static void spectra_that_no_field_has_are_refused(void **state)
{
  Dense *d = dense_make(4, 4, OBSERVATION_CONVERGENCE);
  ModeLikelihood *likelihood = NULL;
  double value;

  (void)state;
  for (int l = 0; l < DENSE_ELL; l++) d->spectra->power[lensing_pair(DENSE_BINS, 0, 1) * DENSE_ELL + l] *= 100;
  assert_ok(mode_likelihood_create(&d->survey, (double[]){0.03, 0.05}, d->raw, &likelihood));
  assert_fails(mode_likelihood_evaluate(likelihood, d->spectra, &value), NEPHRITE_ERR_INPUT, "not positive definite");
  assert_ok(mode_likelihood_destroy(&likelihood));
  dense_free(d);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(it_is_the_density_of_the_observed_numbers),
                   cmocka_unit_test(its_ratio_between_cosmologies_is_that_of_the_dense_covariances),
                   cmocka_unit_test(a_nyquist_wave_is_told_from_others_of_its_length),
                   cmocka_unit_test(its_slope_at_the_truth_vanishes_on_average),
                   cmocka_unit_test(noise_that_is_not_positive_is_refused),
                   cmocka_unit_test(spectra_that_no_field_has_are_refused))
