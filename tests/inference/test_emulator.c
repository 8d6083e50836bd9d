#include "inference/internal.h"
#include "parameters_fixture.h"

#include <math.h>

/* The emulator is held to the lensing model that it is fitted to. */

enum { POINTS = 60 };

static SurveyConfig lognormal_survey(void)
{
  SurveyConfig survey = small_survey();

  survey.field = FIELD_LOGNORMAL;
  return survey;
}

typedef struct {
  SurveyConfig survey;
  Prior *prior;
  Emulator *emulator;
  LensingModel *model;
  LensingSpectra *spectra;
} Case;

static Case make_case(SurveyConfig survey, Prior *prior)
{
  Case c = {.survey = survey, .prior = prior};

  assert_ok(emulator_create(&survey, prior, &c.emulator));
  assert_ok(lensing_model_for_survey(&survey, &c.model));
  assert_ok(lensing_model_spectra_create(c.model, &c.spectra));
  return c;
}

static void free_case(Case *c)
{
  assert_ok(emulator_destroy(&c->emulator));
  assert_ok(lensing_spectra_destroy(&c->spectra));
  assert_ok(lensing_model_destroy(&c->model));
  assert_ok(prior_destroy(&c->prior));
}

/* Largest relative error of any spectrum at any multipole, and of any shift. */
static void find_errors(const Case *c, const double *theta, double *power_error, double *shift_error)
{
  const LensingSpectra *emulated = NULL;
  Cosmology cosmology;
  Systematics systematics;

  assert_ok(prior_cosmology(c->prior, theta, &cosmology, &systematics));
  assert_ok(lensing_model_evaluate(c->model, &cosmology, &systematics, c->spectra, NULL));
  assert_ok(emulator_evaluate(c->emulator, theta, &emulated));
  assert_non_null(emulated);
  *power_error = *shift_error = 0;
  for (int i = 0; i < BINS * (BINS + 1) / 2 * c->spectra->ell_count; i++)
    *power_error = fmax(*power_error, fabs(emulated->power[i] / c->spectra->power[i] - 1));
  for (int i = 0; i < BINS; i++) *shift_error = fmax(*shift_error, fabs(emulated->shift[i] / c->spectra->shift[i] - 1));
}

static int ascending(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;

  return (x > y) - (x < y);
}

static void spectra_and_shifts_are_the_models(void **state)
{
  Case c = make_case(lognormal_survey(), prior_of_two());
  double power[POINTS], shift[POINTS];

  (void)state;
  for (int i = 0; i < POINTS; i++) {
    double theta[PARAMETERS];

    assert_ok(prior_draw(c.prior, 1, (uint64_t)i, 0, theta, NULL));
    find_errors(&c, theta, &power[i], &shift[i]);
  }
  qsort(power, POINTS, sizeof *power, ascending);
  qsort(shift, POINTS, sizeof *shift, ascending);
  assert_true(power[POINTS / 2] < 0.02 && shift[POINTS / 2] < 0.005);
  assert_true(power[POINTS * 9 / 10] < 0.15 && shift[POINTS * 9 / 10] < 0.02);
  free_case(&c);
}

/* Where the prior is narrow, polynomials are next to exact. */
static void a_narrow_prior_has_them_nearly_exactly(void **state)
{
  Case c =
      make_case(lognormal_survey(), make_prior(6, (int[]){OMEGA_C, OMEGA_B, SIGMA_8, HUBBLE, N_S, W_0},
                                               (const char *[]){"normal:0.27,0.01", "normal:0.05,0.001", "fixed:0.8",
                                                                "fixed:0.67", "fixed:0.96", "fixed:-1"}));
  int exact = 0;

  (void)state;
  for (int i = 0; i < POINTS; i++) {
    double theta[PARAMETERS], power, shift;

    assert_ok(prior_draw(c.prior, 1, (uint64_t)i, 0, theta, NULL));
    find_errors(&c, theta, &power, &shift);
    if (power < 1e-5 && shift < 1e-5) exact++;
  }
  assert_true(exact >= POINTS - 2); /* where a draw lies further out than all points of the fit it is not */
  free_case(&c);
}

/* A number that depends on all spectra and shifts, and its derivatives by these. */
static double weigh(const LensingSpectra *spectra, LensingSpectra *bar)
{
  const int powers = BINS * (BINS + 1) / 2 * spectra->ell_count;
  double sum = 0;

  for (int i = 0; i < powers; i++) {
    const double weight = 1e9 * sin(i);

    sum += weight * spectra->power[i];
    if (bar) bar->power[i] = weight;
  }
  for (int i = 0; i < BINS; i++) {
    const double weight = 30 * (i + 1);

    sum += weight * spectra->shift[i];
    if (bar) bar->shift[i] = weight;
  }
  return sum;
}

static double number_at(Emulator *emulator, const double *theta)
{
  const LensingSpectra *spectra = NULL;

  assert_ok(emulator_evaluate(emulator, theta, &spectra));
  assert_non_null(spectra);
  return weigh(spectra, NULL);
}

static void check_derivatives(Case *c)
{
  const LensingSpectra *spectra = NULL;
  double slope[PARAMETERS];

  assert_ok(emulator_evaluate(c->emulator, fiducial, &spectra));
  weigh(spectra, c->spectra);
  assert_ok(emulator_pull_back(c->emulator, c->spectra, slope));
  for (int p = 0; p < PARAMETERS; p++) {
    const double h = 1e-4 * fabs(fiducial[p]);
    double theta[PARAMETERS], value[4];

    if (prior_is_fixed(c->prior, p)) {
      assert_true(slope[p] == 0);
      continue;
    }
    for (int k = 0; k < 4; k++) {
      memcpy(theta, fiducial, sizeof theta);
      theta[p] += (const double[]){-2, -1, 1, 2}[k] * h;
      value[k] = number_at(c->emulator, theta);
    }
    assert_close(slope[p], (8 * (value[2] - value[1]) - (value[3] - value[0])) / (12 * h), 1e-7);
  }
}

/* Of each kind of coordinate: the densities, sigma_8, and another one. */
static void derivatives_are_differences(void **state)
{
  Prior *priors[] = {make_prior(4, (int[]){SIGMA_8, HUBBLE, N_S, W_0},
                                (const char *[]){"fixed:0.8", "fixed:0.67", "fixed:0.96", "fixed:-1"}),
                     make_prior(4, (int[]){OMEGA_C, OMEGA_B, HUBBLE, W_0},
                                (const char *[]){"fixed:0.27", "fixed:0.05", "fixed:0.67", "fixed:-1"})};

  (void)state;
  for (int k = 0; k < 2; k++) {
    Case c = make_case(lognormal_survey(), priors[k]);

    check_derivatives(&c);
    free_case(&c);
  }
}

/* A polynomial would run away there, and its exponential with it. */
static void beyond_its_points_it_is_as_at_their_edge(void **state)
{
  Case c = make_case(lognormal_survey(), prior_of_two());
  double theta[PARAMETERS], slope[PARAMETERS];
  const LensingSpectra *spectra = NULL;

  (void)state;
  memcpy(theta, fiducial, sizeof theta);
  theta[SIGMA_8] = 1.6;
  const double here = number_at(c.emulator, theta);
  theta[SIGMA_8] = 3;
  assert_true(number_at(c.emulator, theta) == here);
  assert_ok(emulator_evaluate(c.emulator, theta, &spectra));
  weigh(spectra, c.spectra);
  assert_ok(emulator_pull_back(c.emulator, c.spectra, slope));
  assert_true(slope[SIGMA_8] == 0 && slope[OMEGA_C] != 0);
  theta[SIGMA_8] = -0.1;
  assert_ok(emulator_evaluate(c.emulator, theta, &spectra));
  assert_null(spectra); /* there is no such universe */
  free_case(&c);
}

static void a_gaussian_field_needs_no_shifts(void **state)
{
  Case c = make_case(small_survey(), prior_of_two());
  double power, shift;

  (void)state;
  find_errors(&c, fiducial, &power, &shift);
  assert_true(power < 0.02);
  free_case(&c);
}

/* Spectra are a polynomial of the amplitude of intrinsic alignments, which may make them negative. */
static void what_is_a_polynomial_is_fitted_as_one(void **state)
{
  SurveyConfig survey = small_survey();
  PriorConfig config;
  Prior *prior = NULL;
  int exact = 0;

  (void)state;
  for (size_t i = 0; i < prior_options.count; i++) {
    snprintf(config.distribution[i], OPTION_TEXT_SIZE, "%s", prior_options.specs[i].fallback);
    if (i < PARAMETERS) snprintf(config.distribution[i], OPTION_TEXT_SIZE, "fixed:%.6g", fiducial[i]);
    if (!strcmp(prior_options.specs[i].name, "prior_A_IA"))
      snprintf(config.distribution[i], OPTION_TEXT_SIZE, "uniform:-6,6");
  }
  assert_ok(prior_create(&config, BINS, &prior));
  Case c = make_case(survey, prior);
  for (int i = 0; i < POINTS; i++) {
    double theta[NEPHRITE_MAX_PARAMETERS], power, shift;

    assert_ok(prior_draw(prior, 1, (uint64_t)i, 0, theta, NULL));
    find_errors(&c, theta, &power, &shift);
    if (power < 1e-9) exact++;
  }
  assert_true(exact >= POINTS - 2);
  free_case(&c);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(spectra_and_shifts_are_the_models),
                   cmocka_unit_test(a_narrow_prior_has_them_nearly_exactly),
                   cmocka_unit_test(derivatives_are_differences),
                   cmocka_unit_test(beyond_its_points_it_is_as_at_their_edge),
                   cmocka_unit_test(a_gaussian_field_needs_no_shifts),
                   cmocka_unit_test(what_is_a_polynomial_is_fitted_as_one))
