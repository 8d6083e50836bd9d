#include "nephrite/field.h"
#include "nephrite/inference.h"
#include "nephrite_test.h"

#include <stdlib.h>

enum { NX = 32, NY = 24, PIXELS = NX * NY, COUNT = 8, MAX_BINS = 3 };

static SurveyConfig make_survey(PetscInt bins, ObservationKind kind)
{
  return (SurveyConfig){.map_size = {NX, NY},
                        .field_of_view_deg = 3,
                        .bins = bins,
                        .field = FIELD_GAUSSIAN,
                        .observation = (int)kind,
                        .galaxies_per_arcmin2 = 27,
                        .sigma_e = 0.26,
                        .mask = "none"};
}

/* C_ij = (1 + i)(1 + j) r_ij C(ell), r = 1 or correlation: bins that know of each other. */
static LensingSpectra *make_spectra(PetscInt bins, double correlation)
{
  LensingSpectra *spectra = NULL;

  assert_ok(lensing_spectra_create(bins, COUNT, &spectra));
  for (int l = 0; l < COUNT; l++) {
    spectra->ell[l] = 60 * pow(2.5, l);
    for (PetscInt i = 0; i < bins; i++)
      for (PetscInt j = i; j < bins; j++)
        spectra->power[lensing_pair(bins, i, j) * COUNT + l] =
            (double)((1 + i) * (1 + j)) * (i == j ? 1 : correlation) * 3e-9 * pow(spectra->ell[l] / 500, -1.3);
  }
  return spectra;
}

typedef struct {
  SurveyConfig survey;
  LensingSpectra *spectra;
  double noise_std[MAX_BINS];
  float kappa[MAX_BINS * PIXELS], raw[2 * MAX_BINS * PIXELS], filtered[MAX_BINS * PIXELS];
} Case;

/* A Gaussian map of the spectra, observed; noise_std is the survey's times \p noise. */
static Case *make_case(PetscInt bins, ObservationKind kind, double noise)
{
  Case *c = calloc(1, sizeof *c);
  Field *field = NULL;
  Observer *observer = NULL;

  assert_non_null(c);
  c->survey = make_survey(bins, kind);
  c->survey.sigma_e *= noise;
  c->spectra = make_spectra(bins, 0.8);
  assert_ok(
      field_create(PETSC_COMM_SELF, &(FieldShape){FIELD_GAUSSIAN, bins, NY, NX, survey_pixel(&c->survey)}, &field));
  assert_ok(field_set_spectra(field, c->spectra));
  assert_ok(field_realise_keyed(field, (RandomKey){.seed = 1, .stream = STREAM_FIELD, .index = 3}, c->kappa));
  assert_ok(observer_create(&c->survey, &observer));
  observer_noise_std(observer, (RandomKey){0}, c->noise_std);
  assert_ok(
      observer_observe(observer, (RandomKey){.seed = 1, .stream = STREAM_NOISE, .index = 3}, c->kappa, c->raw, NULL));
  assert_ok(observer_destroy(&observer));
  assert_ok(field_destroy(&field));
  return c;
}

static void run(Case *c)
{
  assert_ok(wiener_filter(&c->survey, c->spectra, NULL, &(Observation){.raw = c->raw, .noise_std = c->noise_std},
                          c->filtered));
}

static void free_case(Case *c)
{
  assert_ok(lensing_spectra_destroy(&c->spectra));
  free(c);
}

static double rms_difference(const float *a, const float *b, size_t count)
{
  double sum = 0;

  for (size_t i = 0; i < count; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
  return sqrt(sum / (double)count);
}

/* One wave, one bin: the filter multiplies it by C/(C + N). */
static void a_wave_in_one_bin_is_multiplied_by_c_over_c_plus_n(void **state)
{
  enum { WAVES_X = 3, WAVES_Y = 2 };
  Case *c = make_case(1, OBSERVATION_CONVERGENCE, 1);
  double *power = malloc(sizeof *power * NY * (NX / 2 + 1));

  (void)state;
  assert_non_null(power);
  assert_ok(field_spectrum(c->spectra, NY, NX, survey_pixel(&c->survey), power));
  const double signal = power[WAVES_Y * (NX / 2 + 1) + WAVES_X], noise = c->noise_std[0] * c->noise_std[0];
  assert_true(signal > noise / 3 && signal < noise * 30); /* both matter */
  for (int i = 0; i < PIXELS; i++)
    c->raw[i] = (float)cos(2 * M_PI * ((double)WAVES_X * (i % NX) / NX + (double)WAVES_Y * (i / NX) / NY));
  run(c);
  for (int i = 0; i < PIXELS; i++) assert_within(c->filtered[i], signal / (signal + noise) * c->raw[i], 1e-6);
  free(power);
  free_case(c);
}

/* k_x on the Nyquist line: gamma_1 = c kappa alone sees the mode, with noise N/c^2 on its E. */
static void a_nyquist_wave_of_shear_is_weighted_by_its_own_noise(void **state)
{
  enum { WAVES_Y = 9 };
  Case *c = make_case(1, OBSERVATION_SHEAR, 1);
  double *power = malloc(sizeof *power * NY * (NX / 2 + 1));
  const double kx = 0.5, ky = (double)WAVES_Y / NY, seen = (kx * kx - ky * ky) / (kx * kx + ky * ky);

  (void)state;
  assert_non_null(power);
  assert_ok(field_spectrum(c->spectra, NY, NX, survey_pixel(&c->survey), power));
  const double signal = power[WAVES_Y * (NX / 2 + 1) + NX / 2];
  const double noise = c->noise_std[0] * c->noise_std[0] / (seen * seen);
  for (int i = 0; i < PIXELS; i++) {
    c->raw[i] = (float)((i % 2 ? -1 : 1) * cos(2 * M_PI * (double)WAVES_Y * (i / NX) / NY) * seen);
    c->raw[PIXELS + i] = 0;
  }
  run(c);
  for (int i = 0; i < PIXELS; i++) assert_within(c->filtered[i], signal / (signal + noise) * c->raw[i] / seen, 1e-6);
  free(power);
  free_case(c);
}

static void without_noise_the_truth_comes_back(void **state)
{
  (void)state;
  for (int kind = OBSERVATION_SHEAR; kind <= OBSERVATION_CONVERGENCE; kind++) {
    Case *c = make_case(3, (ObservationKind)kind, 1e-5);
    float none[3 * PIXELS] = {0};

    run(c);
    /* shear does not show the corner mode (both wavenumbers at Nyquist of square pixels): 1 of 768 modes, and not the
     * strongest: less than sqrt(1/768) of the rms */
    const double allowed = kind == OBSERVATION_SHEAR ? 0.036 : 1e-3;
    assert_true(rms_difference(c->filtered, c->kappa, 3 * PIXELS) <
                allowed * rms_difference(none, c->kappa, 3 * PIXELS));
    free_case(c);
  }
}

static void with_overwhelming_noise_nothing_comes_back(void **state)
{
  Case *c = make_case(2, OBSERVATION_SHEAR, 1e4);
  float none[2 * PIXELS] = {0};

  (void)state;
  run(c);
  assert_true(rms_difference(c->filtered, none, 2 * PIXELS) < 0.01 * rms_difference(c->kappa, none, 2 * PIXELS));
  free_case(c);
}

/* The posterior mean has the smallest rms error of all estimates: smaller than the inverted shear, and than nothing. */
static void the_filtered_map_is_nearer_the_truth_than_the_inverted_shear(void **state)
{
  Case *c = make_case(3, OBSERVATION_SHEAR, 1);
  ShearTransform *transform = NULL;
  double shear[2 * PIXELS], e_mode[PIXELS];
  float inverted[PIXELS], none[PIXELS] = {0};

  (void)state;
  assert_ok(shear_transform_create(survey_ny(&c->survey), survey_nx(&c->survey), &transform));
  run(c);
  for (int bin = 0; bin < 3; bin++) {
    const float *const truth = c->kappa + bin * PIXELS;
    const double filtered = rms_difference(c->filtered + bin * PIXELS, truth, PIXELS);

    for (int i = 0; i < 2 * PIXELS; i++) shear[i] = c->raw[bin * 2 * PIXELS + i];
    assert_ok(convergence_from_shear(transform, shear, shear + PIXELS, e_mode, NULL));
    for (int i = 0; i < PIXELS; i++) inverted[i] = (float)e_mode[i];
    assert_true(filtered < 0.8 * rms_difference(inverted, truth, PIXELS));
    assert_true(filtered < 0.9 * rms_difference(none, truth, PIXELS));
  }
  assert_ok(shear_transform_destroy(&transform));
  free_case(c);
}

/* Its error is as large as theory says: variance C - C (C + N)^-1 C, summed over modes. */
static void the_error_of_one_bin_has_the_posterior_variance(void **state)
{
  Case *c = make_case(1, OBSERVATION_CONVERGENCE, 1);
  double *power = malloc(sizeof *power * NY * (NX / 2 + 1)), expected = 0;

  (void)state;
  assert_non_null(power);
  assert_ok(field_spectrum(c->spectra, NY, NX, survey_pixel(&c->survey), power));
  for (int y = 0; y < NY; y++)
    for (int x = 0; x <= NX / 2; x++) {
      const double signal = power[y * (NX / 2 + 1) + x], noise = c->noise_std[0] * c->noise_std[0];

      expected += (x == 0 || x == NX / 2 ? 1 : 2) * signal * noise / (signal + noise) / PIXELS;
    }
  run(c);
  const double error = rms_difference(c->filtered, c->kappa, PIXELS);
  assert_close(error * error, expected, 5 * sqrt(2. / PIXELS)); /* 5 standard errors of a variance of 768 modes */
  free(power);
  free_case(c);
}

static void a_bin_learns_from_the_others(void **state)
{
  Case *c = make_case(3, OBSERVATION_SHEAR, 1);
  LensingSpectra *joint = c->spectra;
  double together, alone;

  (void)state;
  run(c);
  together = rms_difference(c->filtered, c->kappa, PIXELS); /* bin 0, the faintest */
  c->spectra = make_spectra(3, 0);
  run(c);
  alone = rms_difference(c->filtered, c->kappa, PIXELS);
  assert_true(together < 0.95 * alone);
  assert_ok(lensing_spectra_destroy(&joint));
  free_case(c);
}

static void each_bin_is_weighted_by_its_own_noise(void **state)
{
  Case *c = make_case(2, OBSERVATION_CONVERGENCE, 1);
  float none[PIXELS] = {0};
  double usual;

  (void)state;
  assert_ok(lensing_spectra_destroy(&c->spectra));
  c->spectra = make_spectra(2, 0);
  run(c);
  usual = rms_difference(c->filtered, none, PIXELS);
  c->noise_std[1] *= 1e4;
  run(c);
  assert_close(rms_difference(c->filtered, none, PIXELS), usual, 1e-12);
  assert_true(rms_difference(c->filtered + PIXELS, none, PIXELS) < 1e-3 * usual);
  free_case(c);
}

static void noise_that_is_not_positive_is_refused(void **state)
{
  Case *c = make_case(2, OBSERVATION_CONVERGENCE, 1);

  (void)state;
  c->noise_std[1] = 0;
  assert_fails(wiener_filter(&c->survey, c->spectra, NULL, &(Observation){.raw = c->raw, .noise_std = c->noise_std},
                             c->filtered),
               NEPHRITE_ERR_INPUT, "noise_std of bin 1 is 0");
  c->noise_std[1] = NAN;
  assert_fails(wiener_filter(&c->survey, c->spectra, NULL, &(Observation){.raw = c->raw, .noise_std = c->noise_std},
                             c->filtered),
               NEPHRITE_ERR_INPUT, "noise_std of bin 1 is nan");
  free_case(c);
}

static void spectra_that_no_field_has_are_refused(void **state)
{
  Case *c = make_case(2, OBSERVATION_CONVERGENCE, 1e-6);

  (void)state;
  assert_ok(lensing_spectra_destroy(&c->spectra));
  c->spectra = make_spectra(2, 1.5);
  assert_fails(wiener_filter(&c->survey, c->spectra, NULL, &(Observation){.raw = c->raw, .noise_std = c->noise_std},
                             c->filtered),
               NEPHRITE_ERR_INPUT, "not positive definite");
  free_case(c);
}

static void spectra_of_other_bins_are_refused(void **state)
{
  Case *c = make_case(2, OBSERVATION_CONVERGENCE, 1);

  (void)state;
  c->survey.bins = 1;
  assert_fails(wiener_filter(&c->survey, c->spectra, NULL, &(Observation){.raw = c->raw, .noise_std = c->noise_std},
                             c->filtered),
               NEPHRITE_ERR_INTERNAL, "spectra of 2 bins");
  free_case(c);
}

NEPHRITE_TEST_MAIN(
    cmocka_unit_test(a_wave_in_one_bin_is_multiplied_by_c_over_c_plus_n),
    cmocka_unit_test(a_nyquist_wave_of_shear_is_weighted_by_its_own_noise),
    cmocka_unit_test(without_noise_the_truth_comes_back), cmocka_unit_test(with_overwhelming_noise_nothing_comes_back),
    cmocka_unit_test(the_filtered_map_is_nearer_the_truth_than_the_inverted_shear),
    cmocka_unit_test(the_error_of_one_bin_has_the_posterior_variance), cmocka_unit_test(a_bin_learns_from_the_others),
    cmocka_unit_test(each_bin_is_weighted_by_its_own_noise), cmocka_unit_test(noise_that_is_not_positive_is_refused),
    cmocka_unit_test(spectra_that_no_field_has_are_refused), cmocka_unit_test(spectra_of_other_bins_are_refused))
