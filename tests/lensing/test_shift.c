#include "theory_fixtures.h"

/* Bins of LSST Y10, cut at z = 5 as those behind shift.h5 were. */
static SourceBins *bins_to_z_5(void)
{
  enum { COUNT = 2501 };
  const SurveyConfig survey = lsst_y10();
  SourceBins *whole = NULL, *cut = NULL;
  static double z[COUNT], n[5 * COUNT];

  assert_ok(source_bins_create(&survey, &whole));
  for (int k = 0; k < COUNT; k++) {
    z[k] = k * 5. / (COUNT - 1);
    for (int i = 0; i < 5; i++) n[i * COUNT + k] = source_bins_density(whole, i, z[k]);
  }
  assert_ok(source_bins_from_table(5, COUNT, z, n, &cut));
  assert_ok(source_bins_destroy(&whole));
  return cut;
}

/* A model of those bins for the shifts alone. */
static LensingModel *shift_model(const SourceBins *bins, double pixel, LensingSpectra **spectra)
{
  LensingModel *model = NULL;

  assert_ok(lensing_model_create(bins, 1, (double[]){100}, pixel, &model));
  assert_ok(lensing_model_spectra_create(model, spectra));
  return model;
}

static void shifts_agree_with_their_independent_evaluation(void **state)
{
  SourceBins *bins = bins_to_z_5();
  LensingSpectra *spectra = NULL;
  LensingModel *model = shift_model(bins, 2.34 / 60 * M_PI / 180, &spectra);
  size_t count;
  double *bin = reference_read("shift.h5", "bin", &count), *theta = reference_read("shift.h5", "theta", NULL);
  double *shift = reference_read("shift.h5", "shift_evaluated", NULL);

  (void)state;
  for (size_t i = 0; i < count; i++) {
    const double *t = theta + 3 * i;
    const Cosmology cosmology = {
        .Omega_c = t[0] - 0.0492, .Omega_b = 0.0492, .sigma_8 = t[1], .h = 0.6727, .n_s = 0.9645, .w_0 = t[2]};

    if (i == 0 || memcmp(t, t - 3, 3 * sizeof *t))
      assert_ok(lensing_model_evaluate(model, &cosmology, NULL, spectra, NULL));
    assert_close(spectra->shift[(int)bin[i]], shift[i], 2e-4); /* quadratures of either code */
  }
  free(bin), free(theta), free(shift);
  assert_ok(lensing_spectra_destroy(&spectra));
  assert_ok(lensing_model_destroy(&model));
  assert_ok(source_bins_destroy(&bins));
}

static void while_matter_is_linear_the_shift_does_not_depend_on_sigma_8(void **state)
{
  /* <kappa^3> goes as <kappa^2>^2 then, and u = sigma/lambda is small: lambda = 3 <kappa^2>^2/<kappa^3> */
  SourceBins *bins = bins_to_z_5();
  LensingSpectra *spectra = NULL;
  LensingModel *model = shift_model(bins, 1e-3, &spectra);
  Cosmology cosmology = FIDUCIAL;
  double shift[5];

  (void)state;
  cosmology.sigma_8 = 0.01;
  assert_ok(lensing_model_evaluate(model, &cosmology, NULL, spectra, NULL));
  memcpy(shift, spectra->shift, sizeof shift);
  cosmology.sigma_8 = 0.02;
  assert_ok(lensing_model_evaluate(model, &cosmology, NULL, spectra, NULL));
  for (int i = 0; i < 5; i++) assert_close(spectra->shift[i], shift[i], 1e-3); /* u^2/3, and u is a few percent */
  assert_ok(lensing_spectra_destroy(&spectra));
  assert_ok(lensing_model_destroy(&model));
  assert_ok(source_bins_destroy(&bins));
}

/* Moments of one thin source plane's kernel by plain sums, and lambda from the cubic by bisection. */
static double plain_shift(const Universe *u, double z_source, double angle)
{
  enum { STEPS = 400, WAVENUMBERS = 4000 };
  const double chi_source = background_comoving_distance(u->background, z_source);
  double k2 = 0, k3 = 0;

  for (int step = 0; step < STEPS; step++) {
    const double z = (step + 0.5) * z_source / STEPS, chi = background_comoving_distance(u->background, z),
                 R = chi * angle;
    const double dchi = z_source / STEPS * NEPHRITE_HUBBLE_DISTANCE / background_expansion(u->background, z);
    const double q = 1.5 * 0.3156 / pow(NEPHRITE_HUBBLE_DISTANCE, 2) * chi * (1 + z) * (1 - chi / chi_source);
    const double dlnk = log(1e8) / WAVENUMBERS;
    double linear = 0, wider = 0, nonlinear = 0;

    for (int i = 0; i < WAVENUMBERS; i++) {
      const double k = 1e-4 * exp((i + 0.5) * dlnk), x = k * R, y = 1.001 * x;
      const double P = k * k / (2 * M_PI) * dlnk * matter_power_linear(u->power, k, z);

      linear += P * pow(2 * j1(x) / x, 2);
      wider += P * pow(2 * j1(y) / y, 2);
      nonlinear += k * k / (2 * M_PI) * dlnk * matter_power_nonlinear(u->power, k, z) * pow(2 * j1(x) / x, 2);
    }
    k2 += dchi * q * q * nonlinear;
    k3 += dchi * q * q * q * nonlinear * nonlinear *
          (3 * (1 + (1 + growth_epsilon(u->growth, z)) / 2) + 1.5 * log(wider / linear) / log(1.001));
  }
  double low = 0, high = 1;
  for (int i = 0; i < 60; i++) {
    const double lambda = (low + high) / 2;

    if (k3 * pow(lambda, 3) - 3 * k2 * k2 * lambda * lambda - pow(k2, 3) > 0)
      high = lambda;
    else
      low = lambda;
  }
  return low;
}

static void the_shift_of_a_source_plane_is_the_root_of_plain_sums(void **state)
{
  const double z[] = {0.999, 1, 1.001}, n[] = {0, 1, 0}, pixel = 1e-3;
  Universe u = universe_make((Cosmology)FIDUCIAL, 1.1);
  SourceBins *bins = NULL;
  LensingSpectra *spectra = NULL;

  (void)state;
  assert_ok(source_bins_from_table(1, 3, z, n, &bins));
  LensingModel *model = shift_model(bins, pixel, &spectra);
  assert_ok(lensing_model_evaluate(model, &u.cosmology, NULL, spectra, NULL));
  assert_close(spectra->shift[0], plain_shift(&u, 1, pixel / sqrt(M_PI)), 5e-4); /* R differenced over 0.1% */
  assert_ok(lensing_spectra_destroy(&spectra));
  assert_ok(lensing_model_destroy(&model));
  assert_ok(source_bins_destroy(&bins));
  universe_free(&u);
}

static void a_convergence_without_positive_skewness_is_refused(void **state)
{
  const Cosmology cosmology = FIDUCIAL;
  SourceBins *bins = bins_to_z_5();
  LensingSpectra *spectra = NULL;
  LensingModel *model = shift_model(bins, 1e-3, &spectra);

  (void)state;
  assert_fails(lensing_model_evaluate(model, &cosmology, &(Systematics){.A_IA = 60}, spectra, NULL), NEPHRITE_ERR_INPUT,
               "bin 0 has skewness -");
  assert_ok(lensing_spectra_destroy(&spectra));
  assert_ok(lensing_model_destroy(&model));
  assert_ok(source_bins_destroy(&bins));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(shifts_agree_with_their_independent_evaluation),
                   cmocka_unit_test(while_matter_is_linear_the_shift_does_not_depend_on_sigma_8),
                   cmocka_unit_test(the_shift_of_a_source_plane_is_the_root_of_plain_sums),
                   cmocka_unit_test(a_convergence_without_positive_skewness_is_refused))
