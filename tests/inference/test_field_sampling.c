/* nephrite-test: long */
#include "nephrite/calibration.h"
#include "nephrite_test.h"

#include <complex.h>
#include <stdlib.h>

/* Chains on the posterior of a field, held to what is known of it: the Wiener filter, and ranks of the truth. */

enum { MOST_BINS = 2, MOST_PIXELS = 256, MOST_VALUES_HERE = MOST_BINS * MOST_PIXELS, SIGMA_8 = 2 };

typedef struct {
  FieldModel field;
  ObservationKind kind;
  PetscInt bins, side;
  PetscBool sigma_8; /* is it sampled? */
} Setting;

typedef struct {
  SurveyConfig survey;
  Prior *prior;
  float raw[2 * MOST_VALUES_HERE];
  double noise_std[MOST_BINS];
  double truth[MOST_VALUES_HERE], truth_theta[6]; /* kappa, theta */
  FieldPosterior *posterior;
} Case;

static PetscErrorCode make_prior(const Setting *setting, Case *c)
{
  static const char *const values[] = {"0.2664", "0.0492", "0.831", "0.6727", "0.9645", "-1"};
  PriorConfig *config = malloc(sizeof *config);

  assert_non_null(config);
  for (size_t i = 0; i < prior_options.count; i++) {
    snprintf(config->distribution[i], OPTION_TEXT_SIZE, "%s", prior_options.specs[i].fallback);
    if (i < 6) snprintf(config->distribution[i], OPTION_TEXT_SIZE, "fixed:%s", values[i]);
  }
  if (setting->sigma_8) snprintf(config->distribution[SIGMA_8], OPTION_TEXT_SIZE, "uniform:0.5,1.2");
  const PetscErrorCode error = prior_create(config, setting->bins, &c->prior);
  free(config);
  return error;
}

/* A truth from the prior and its observation, keyed by the number of the run. */
static Case *make_case(const Setting *setting, uint64_t run)
{
  Case *c = calloc(1, sizeof *c);
  const PetscInt side = setting->side;
  const size_t pixels = (size_t)(side * side);
  const size_t planes = setting->kind == OBSERVATION_SHEAR ? 2 : 1;
  double x[MOST_VALUES_HERE + 1], noise[2 * MOST_VALUES_HERE], gamma[2 * MOST_PIXELS];
  ShearTransform *shear = NULL;

  assert_non_null(c);
  c->survey = (SurveyConfig){.map_size = {side, side},
                             .field_of_view_deg = 0.2 * (double)side,
                             .bins = setting->bins,
                             .field = (int)setting->field,
                             .observation = (int)setting->kind,
                             .galaxies_per_arcmin2 = 27,
                             .sigma_e = 0.26,
                             .smail_z0 = 0.11,
                             .smail_alpha = 0.68,
                             .smail_beta = 2,
                             .photoz_scatter = 0.05,
                             .mask = "none"};
  assert_ok(make_prior(setting, c));
  for (int bin = 0; bin < MOST_BINS; bin++) c->noise_std[bin] = survey_noise_std(&c->survey);
  const Observation observation = {.raw = c->raw, .noise_std = c->noise_std};
  assert_ok(field_posterior_create(PETSC_COMM_SELF, &c->survey, c->prior, &observation, &c->posterior));
  random_normal((RandomKey){7, STREAM_FIELD, run}, 0, MOST_VALUES_HERE + 1, x);
  assert_ok(field_posterior_unpack(c->posterior, x, c->truth_theta, c->truth));
  assert_ok(field_posterior_destroy(&c->posterior));
  random_normal((RandomKey){7, STREAM_NOISE, run}, 0, 2 * MOST_VALUES_HERE, noise);
  assert_ok(shear_transform_create(side, side, &shear));
  for (size_t bin = 0; bin < (size_t)setting->bins; bin++) {
    if (planes == 2)
      assert_ok(shear_from_convergence(shear, c->truth + bin * pixels, gamma, gamma + pixels));
    else
      memcpy(gamma, c->truth + bin * pixels, pixels * sizeof *gamma);
    for (size_t i = 0; i < planes * pixels; i++)
      c->raw[bin * planes * pixels + i] = (float)(gamma[i] + c->noise_std[bin] * noise[bin * planes * pixels + i]);
  }
  assert_ok(shear_transform_destroy(&shear));
  assert_ok(field_posterior_create(PETSC_COMM_SELF, &c->survey, c->prior, &observation, &c->posterior));
  return c;
}

static void free_case(Case *c)
{
  assert_ok(field_posterior_destroy(&c->posterior));
  assert_ok(prior_destroy(&c->prior));
  free(c);
}

/* \param[out] theta [draws][6]  \param[out] kappa [draws][values]
 * \return divergences after the warm-up */
static PetscInt sample(Case *c, uint64_t run, PetscInt warmup, PetscInt draws, PetscInt thin, double *theta,
                       double *kappa)
{
  const PetscInt dimension = field_posterior_dimension(c->posterior),
                 parameters = field_posterior_parameters(c->posterior);
  const PetscInt values = dimension - parameters;
  const NutsConfig config = {.comm = PETSC_COMM_SELF,
                             .dimension = dimension,
                             .dense = parameters,
                             .warmup = warmup,
                             .max_depth = 8,
                             .target_acceptance = 0.8,
                             .key = {11, STREAM_CHAIN, run}};
  Nuts *nuts = NULL;
  NutsTransition transition;
  double x[MOST_VALUES_HERE + 1];
  PetscInt divergent = 0;

  random_normal((RandomKey){8, STREAM_FIELD, run}, 0, MOST_VALUES_HERE + 1, x);
  assert_ok(nuts_create(&config, field_posterior_evaluate, c->posterior, &nuts));
  assert_ok(nuts_start(nuts, x));
  for (PetscInt i = 0; i < warmup; i++) assert_ok(nuts_step(nuts, &transition));
  for (PetscInt draw = 0; draw < draws; draw++) {
    for (PetscInt i = 0; i < thin; i++) {
      assert_ok(nuts_step(nuts, &transition));
      divergent += transition.divergent ? 1 : 0;
    }
    assert_ok(field_posterior_unpack(c->posterior, nuts_position(nuts), theta + 6 * draw, kappa + values * draw));
  }
  assert_ok(nuts_destroy(&nuts));
  return divergent;
}

/* Of a Gaussian field in white noise the posterior is known: its mean is the Wiener filter's. */
static void the_mean_of_a_gaussian_field_is_the_wiener_filters(void **state)
{
  enum { DRAWS = 1500, SIDE = 8, VALUES = MOST_BINS * SIDE * SIDE };
  const ObservationKind kinds[] = {OBSERVATION_CONVERGENCE, OBSERVATION_SHEAR};
  double *theta = malloc(sizeof *theta * 6 * DRAWS), *kappa = malloc(sizeof *kappa * VALUES * DRAWS);

  (void)state;
  assert_true(theta && kappa);
  for (int k = 0; k < 2; k++) {
    Case *c = make_case(&(Setting){FIELD_GAUSSIAN, kinds[k], MOST_BINS, SIDE, PETSC_FALSE}, 0);
    Simulator *simulator = NULL;
    const LensingSpectra *spectra = NULL;
    float filtered[VALUES];
    double chi2 = 0;

    assert_ok(simulator_create(PETSC_COMM_SELF, &c->survey, c->prior, 1, &simulator));
    assert_ok(simulator_spectra(simulator, c->truth_theta, &spectra));
    assert_ok(
        wiener_filter(&c->survey, spectra, NULL, &(Observation){.raw = c->raw, .noise_std = c->noise_std}, filtered));
    assert_int_equal(sample(c, 0, 500, DRAWS, 1, theta, kappa), 0);
    for (int i = 0; i < VALUES; i++) {
      double series[DRAWS];
      McmcDiagnostics d;

      for (int draw = 0; draw < DRAWS; draw++) series[draw] = kappa[draw * VALUES + i];
      assert_ok(mcmc_diagnose(1, DRAWS, series, &d));
      const double error = (d.mean - filtered[i]) / (d.std / sqrt(fmin(d.ess_bulk, DRAWS)));
      assert_true(d.ess_bulk > DRAWS / 10. && fabs(error) < 6);
      chi2 += error * error / VALUES;
    }
    assert_true(chi2 > 0.3 && chi2 < 2); /* pixels are correlated; antithetic chains do better than assumed */
    assert_ok(simulator_destroy(&simulator));
    free_case(c);
  }
  free(theta);
  free(kappa);
}

enum { RANKED = 31 }; /* draws */

/* Ranks of the truth among draws are uniform (Talts et al. 2018, 1804.06788). */
typedef struct {
  int64_t *pixel, *brightest; /* [runs] */
} Ranks;

static void rank_run(const Setting *setting, PetscInt run, PetscInt warmup, PetscInt thin, Ranks *ranks)
{
  Case *c = make_case(setting, (uint64_t)run);
  const PetscInt values = setting->bins * setting->side * setting->side;
  double *theta = malloc(sizeof *theta * 6 * RANKED);
  double *kappa = malloc(sizeof *kappa * (size_t)(values * RANKED)), *largest = malloc(sizeof *largest * RANKED);
  double truth = -INFINITY;

  assert_true(theta && kappa && largest);
  sample(c, (uint64_t)run, warmup, RANKED, thin, theta, kappa);
  for (PetscInt i = 0; i < values; i++) truth = fmax(truth, c->truth[i]);
  for (PetscInt draw = 0; draw < RANKED; draw++) {
    largest[draw] = -INFINITY;
    for (PetscInt i = 0; i < values; i++) largest[draw] = fmax(largest[draw], kappa[draw * values + i]);
  }
  const PetscInt pixel = (37 * run) % values;
  ranks->pixel[run] = sbc_rank(RANKED, kappa + pixel, values, c->truth[pixel]);
  ranks->brightest[run] = sbc_rank(RANKED, largest, 1, truth);
  free(theta);
  free(kappa);
  free(largest);
  free_case(c);
}

static void check_ranks(PetscInt runs, PetscInt bins, const int64_t *rank)
{
  RankTest test;

  assert_ok(sbc_test(runs, RANKED, rank, bins, NULL, NULL, &test));
  if (!(test.p_value > 1e-3)) fail_msg("ranks of %d truths are not uniform: p = %.3g", (int)runs, test.p_value);
}

static void ranks_of_true_maps_are_uniform(void **state)
{
  enum { RUNS = 96 };
  int64_t pixel[RUNS], brightest[RUNS];
  Ranks ranks = {pixel, brightest};

  (void)state;
  for (PetscInt run = 0; run < RUNS; run++)
    rank_run(&(Setting){FIELD_LOGNORMAL, OBSERVATION_SHEAR, 2, 16, PETSC_FALSE}, run, 300, 8, &ranks);
  check_ranks(RUNS, 8, pixel);
  check_ranks(RUNS, 8, brightest);
}

/* ln p(d | sigma_8) of a Gaussian field in white noise, mode by mode. */
static double exact_log_likelihood(const Case *c, Simulator *simulator, const double complex *mode, double sigma_8)
{
  enum { SIDE = 8, COLUMNS = SIDE / 2 + 1, PIXELS = SIDE * SIDE };
  const LensingSpectra *spectra = NULL;
  double theta[6], power[SIDE * COLUMNS], sum = 0;

  memcpy(theta, c->truth_theta, sizeof theta);
  theta[SIGMA_8] = sigma_8;
  assert_ok(simulator_spectra(simulator, theta, &spectra));
  assert_ok(field_spectrum(spectra, SIDE, SIDE, survey_pixel(&c->survey), power));
  for (int i = 0; i < SIDE * COLUMNS; i++) {
    const double variance = power[i] + c->noise_std[0] * c->noise_std[0];
    const double square = creal(mode[i]) * creal(mode[i]) + cimag(mode[i]) * cimag(mode[i]);

    sum -= (i % COLUMNS == 0 || i % COLUMNS == SIDE / 2 ? 0.5 : 1) * (log(variance) + square / PIXELS / variance);
  }
  return sum;
}

/* With the field integrated out in closed form the posterior of one parameter is a sum over a grid. */
static void sigma_8_of_a_gaussian_field_has_its_exact_posterior(void **state)
{
  enum { SIDE = 8, PIXELS = SIDE * SIDE, CHAIN = 300, GRID = 200 };
  Case *c = make_case(&(Setting){FIELD_GAUSSIAN, OBSERVATION_CONVERGENCE, 1, SIDE, PETSC_TRUE}, 3);
  double *theta = malloc(sizeof *theta * 6 * CHAIN), *kappa = malloc(sizeof *kappa * PIXELS * CHAIN);
  double series[CHAIN], weight[GRID], most = -INFINITY, sum[3] = {0};
  Simulator *simulator = NULL;
  Fourier *fourier = NULL;
  McmcDiagnostics d;

  (void)state;
  assert_true(theta && kappa);
  assert_ok(simulator_create(PETSC_COMM_SELF, &c->survey, c->prior, 1, &simulator));
  assert_ok(fourier_create(SIDE, SIDE, &fourier));
  for (int i = 0; i < PIXELS; i++) fourier_map(fourier)[i] = c->raw[i];
  fourier_forward(fourier);
  for (int g = 0; g < GRID; g++) {
    weight[g] = exact_log_likelihood(c, simulator, fourier_modes(fourier), 0.5 + 0.7 * (g + 0.5) / GRID);
    most = fmax(most, weight[g]);
  }
  for (int g = 0; g < GRID; g++) {
    const double sigma_8 = 0.5 + 0.7 * (g + 0.5) / GRID, w = exp(weight[g] - most);

    sum[0] += w;
    sum[1] += w * sigma_8;
    sum[2] += w * sigma_8 * sigma_8;
  }
  const double mean = sum[1] / sum[0], std = sqrt(sum[2] / sum[0] - mean * mean);
  sample(c, 3, 150, CHAIN, 1, theta, kappa);
  for (int draw = 0; draw < CHAIN; draw++) series[draw] = theta[6 * draw + SIGMA_8];
  assert_ok(mcmc_diagnose(1, CHAIN, series, &d));
  assert_true(d.ess_bulk > 30 && std < 0.9 * 0.7 / sqrt(12)); /* the data tell something */
  assert_within(d.mean, mean, 4 * std / sqrt(d.ess_bulk));
  assert_close(d.std, std, 4 / sqrt(2 * fmin(d.ess_bulk, d.ess_tail)));
  assert_ok(fourier_destroy(&fourier));
  assert_ok(simulator_destroy(&simulator));
  free(theta);
  free(kappa);
  free_case(c);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_mean_of_a_gaussian_field_is_the_wiener_filters),
                   cmocka_unit_test(sigma_8_of_a_gaussian_field_has_its_exact_posterior),
                   cmocka_unit_test(ranks_of_true_maps_are_uniform))
