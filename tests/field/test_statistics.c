/* nephrite-test: long */
/* A thousand maps of each of four universes have the statistics of theory: C_ij(ell) of all pairs of bins, and each
 * bin's skewness. */
#include "nephrite/field.h"
#include "nephrite_test.h"

#include <complex.h>
#include <gsl/gsl_blas.h>
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_linalg.h>

enum { N = 64, COLUMNS = N / 2 + 1, MODES = N * COLUMNS, PIXELS = N * N, BINS = 5, PAIRS = BINS * (BINS + 1) / 2 };
enum { BANDS = 5, POWERS = PAIRS * BANDS, MAPS = 1024 };

static const SurveyConfig survey = {.map_size = {N, N},
                                    .field_of_view_deg = 5,
                                    .bins = BINS,
                                    .field = FIELD_LOGNORMAL,
                                    .galaxies_per_arcmin2 = 27,
                                    .sigma_e = 0.26,
                                    .smail_z0 = 0.11,
                                    .smail_alpha = 0.68,
                                    .smail_beta = 2,
                                    .photoz_scatter = 0.05,
                                    .mask = "none"};

/* The fiducial one, much and little structure, and the end of the prior in w_0. */
static const Cosmology universes[] = {
    {.Omega_c = 0.2664, .Omega_b = 0.0492, .sigma_8 = 0.831, .h = 0.6727, .n_s = 0.9645, .w_0 = -1},
    {.Omega_c = 0.45, .Omega_b = 0.055, .sigma_8 = 1.1, .h = 0.75, .n_s = 1.05, .w_0 = -0.7},
    {.Omega_c = 0.12, .Omega_b = 0.04, .sigma_8 = 0.6, .h = 0.6, .n_s = 0.9, .w_0 = -1.3},
    {.Omega_c = 0.3, .Omega_b = 0.045, .sigma_8 = 0.8, .h = 0.7, .n_s = 0.95, .w_0 = -2},
};
enum { UNIVERSES = sizeof universes / sizeof *universes };

static LensingSpectra *spectra_of(const Cosmology *universe)
{
  LensingModel *model = NULL;
  LensingSpectra *spectra = NULL;

  assert_ok(lensing_model_for_survey(&survey, &model));
  assert_ok(lensing_model_spectra_create(model, &spectra));
  assert_ok(lensing_model_evaluate(model, universe, NULL, spectra, NULL));
  assert_ok(lensing_model_destroy(&model));
  return spectra;
}

static Field *field_of(const LensingSpectra *spectra, FieldModel kind)
{
  Field *field = NULL;

  assert_ok(field_create(PETSC_COMM_SELF, &(FieldShape){kind, BINS, N, N, survey_pixel(&survey)}, &field));
  assert_ok(field_set_spectra(field, spectra));
  return field;
}

/* Bands of equal width in ln |k|, from the fundamental mode to the corner.  -1 for k = 0. */
static int band_of(int mode)
{
  const int y = mode / COLUMNS, x = mode % COLUMNS;
  const double k = hypot(x, 2 * y > N ? y - N : y);

  return mode ? (int)(BANDS * log(k) / log(0.7072 * N)) : -1;
}

/* Mean over the modes of each band, the half-plane's own mirror images counted.  \param power [MODES] */
static void average_bands(const double *power, double *band)
{
  double modes[BANDS] = {0};

  for (int b = 0; b < BANDS; b++) band[b] = 0;
  for (int m = 1; m < MODES; m++) {
    const double weight = m % COLUMNS == 0 || m % COLUMNS == N / 2 ? 1 : 2;

    band[band_of(m)] += weight * power[m];
    modes[band_of(m)] += weight;
  }
  for (int b = 0; b < BANDS; b++) band[b] /= modes[b];
}

/* \param[out] expected [POWERS] */
static void theory(const LensingSpectra *spectra, double *expected)
{
  double *power = calloc((size_t)PAIRS * MODES, sizeof *power);

  assert_non_null(power);
  assert_ok(field_spectrum(spectra, N, N, survey_pixel(&survey), power));
  for (int pair = 0; pair < PAIRS; pair++) average_bands(power + pair * MODES, expected + pair * BANDS);
  free(power);
}

/* \param[out] measured [POWERS] */
static void measure(Fourier *fourier, const float *kappa, double *measured)
{
  static double complex mode[BINS][MODES];
  static double power[MODES];

  for (int bin = 0; bin < BINS; bin++) {
    for (int p = 0; p < PIXELS; p++) fourier_map(fourier)[p] = kappa[bin * PIXELS + p];
    fourier_forward(fourier);
    memcpy(mode[bin], fourier_modes(fourier), sizeof mode[bin]);
  }
  for (int i = 0; i < BINS; i++)
    for (int j = i; j < BINS; j++) {
      for (int m = 0; m < MODES; m++) power[m] = creal(mode[i][m] * conj(mode[j][m])) / PIXELS;
      average_bands(power, measured + lensing_pair(BINS, i, j) * BANDS);
    }
}

/* Probability of a mean at least as far from \p expected, when the scatter is that of the samples themselves
 * (Hotelling 1931).  \param samples [MAPS][POWERS] */
static double chance(const double *samples, const double *expected)
{
  gsl_matrix *covariance = gsl_matrix_calloc(POWERS, POWERS);
  gsl_vector *offset = gsl_vector_calloc(POWERS), *weighted = gsl_vector_alloc(POWERS);
  double distance;

  for (int map = 0; map < MAPS; map++)
    for (int i = 0; i < POWERS; i++) *gsl_vector_ptr(offset, (size_t)i) += samples[map * POWERS + i] / MAPS;
  for (int map = 0; map < MAPS; map++) {
    for (int i = 0; i < POWERS; i++)
      gsl_vector_set(weighted, (size_t)i, samples[map * POWERS + i] - gsl_vector_get(offset, (size_t)i));
    gsl_blas_dsyr(CblasLower, 1. / (MAPS - 1), weighted, covariance);
  }
  for (int i = 0; i < POWERS; i++) *gsl_vector_ptr(offset, (size_t)i) -= expected[i];
  assert_int_equal(gsl_linalg_cholesky_decomp1(covariance), 0);
  gsl_linalg_cholesky_solve(covariance, offset, weighted);
  gsl_blas_ddot(offset, weighted, &distance);
  gsl_matrix_free(covariance), gsl_vector_free(offset), gsl_vector_free(weighted);
  return gsl_cdf_fdist_Q(distance * MAPS * (MAPS - POWERS) / ((double)POWERS * (MAPS - 1)), POWERS, MAPS - POWERS);
}

static void check_spectra(FieldModel kind)
{
  double *samples = calloc((size_t)MAPS * POWERS, sizeof *samples), expected[POWERS];
  Fourier *fourier = NULL;

  assert_non_null(samples);
  assert_ok(fourier_create(N, N, &fourier));
  for (int u = 0; u < UNIVERSES; u++) {
    static float kappa[BINS * PIXELS];
    LensingSpectra *spectra = spectra_of(&universes[u]);
    Field *field = field_of(spectra, kind);

    theory(spectra, expected);
    for (int map = 0; map < MAPS; map++) {
      assert_ok(field_realise_keyed(field, (RandomKey){11, STREAM_FIELD, (uint64_t)map}, kappa));
      measure(fourier, kappa, samples + map * POWERS);
    }
    const double p = chance(samples, expected);
    print_message("           universe %d: p = %.3g\n", u, p);
    assert_true(p > 0.001);
    for (int i = 0; i < POWERS; i++) expected[i] *= 1.02; /* a test that can fail */
    assert_true(chance(samples, expected) < 1e-6);
    assert_ok(field_destroy(&field));
    assert_ok(lensing_spectra_destroy(&spectra));
  }
  assert_ok(fourier_destroy(&fourier));
  free(samples);
}

static void mean_powers_of_all_pairs_of_bins_of_lognormal_maps_are_those_of_theory(void **state)
{
  (void)state;
  check_spectra(FIELD_LOGNORMAL);
}

static void mean_powers_of_all_pairs_of_bins_of_gaussian_maps_are_those_of_theory(void **state)
{
  (void)state;
  check_spectra(FIELD_GAUSSIAN);
}

/* kappa = lambda (exp(g - sigma^2/2) - 1): <kappa^3> = lambda^3 (w - 1)^2 (w + 2) with w = exp(sigma^2). */
static void the_third_moment_of_each_bin_is_that_of_its_shift(void **state)
{
  static float kappa[BINS * PIXELS];

  (void)state;
  for (int u = 0; u < UNIVERSES; u++) {
    LensingSpectra *spectra = spectra_of(&universes[u]);
    Field *field = field_of(spectra, FIELD_LOGNORMAL);
    double variance[BINS], sum[BINS] = {0}, square[BINS] = {0};

    assert_ok(field_gaussian_variance(field, variance));
    for (int map = 0; map < MAPS; map++) {
      assert_ok(field_realise_keyed(field, (RandomKey){12, STREAM_FIELD, (uint64_t)map}, kappa));
      for (int bin = 0; bin < BINS; bin++) {
        double cube = 0;

        for (int p = 0; p < PIXELS; p++) cube += pow(kappa[bin * PIXELS + p], 3) / PIXELS;
        sum[bin] += cube / MAPS;
        square[bin] += cube * cube / MAPS;
      }
    }
    for (int bin = 0; bin < BINS; bin++) {
      const double w = exp(variance[bin]), lambda = spectra->shift[bin];
      const double expected = pow(lambda, 3) * (w - 1) * (w - 1) * (w + 2);
      const double error = sqrt((square[bin] - sum[bin] * sum[bin]) / MAPS);

      assert_within(sum[bin], expected, 4 * error);
      assert_true(error < 0.03 * expected); /* a shift off by 10 % would show */
    }
    assert_ok(field_destroy(&field));
    assert_ok(lensing_spectra_destroy(&spectra));
  }
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(mean_powers_of_all_pairs_of_bins_of_lognormal_maps_are_those_of_theory),
                   cmocka_unit_test(mean_powers_of_all_pairs_of_bins_of_gaussian_maps_are_those_of_theory),
                   cmocka_unit_test(the_third_moment_of_each_bin_is_that_of_its_shift))
