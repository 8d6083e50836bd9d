#include "parameters_fixture.h"

static void it_is_prior_times_likelihood(void **state)
{
  Prior *prior = published_prior();
  Sky *sky = malloc(sizeof *sky);
  ParameterPosterior *posterior = NULL;
  ModeLikelihood *likelihood = NULL;
  Simulator *simulator = NULL;
  const LensingSpectra *spectra = NULL;
  double joint, log_prior, log_likelihood;

  (void)state;
  assert_non_null(sky);
  observe_sky(prior, sky);
  assert_ok(parameter_posterior_create(&sky->survey, prior, &sky->observation, &posterior));
  assert_ok(parameter_posterior_evaluate(posterior, fiducial, &joint));
  assert_ok(simulator_create(PETSC_COMM_SELF, &sky->survey, prior, 1, &simulator));
  assert_ok(simulator_spectra(simulator, fiducial, &spectra));
  assert_ok(mode_likelihood_create(&sky->survey, sky->noise_std, sky->raw, &likelihood));
  assert_ok(mode_likelihood_evaluate(likelihood, spectra, &log_likelihood));
  assert_ok(prior_log_density(prior, fiducial, &log_prior));
  assert_close(joint, log_prior + log_likelihood, 1e-14);
  assert_ok(mode_likelihood_destroy(&likelihood));
  assert_ok(simulator_destroy(&simulator));
  assert_ok(parameter_posterior_destroy(&posterior));
  assert_ok(prior_destroy(&prior));
  free(sky);
}

static void outside_the_prior_it_is_0_and_no_error(void **state)
{
  static const struct {
    int parameter;
    double value;
  } outside[] = {{OMEGA_C, -0.01}, {OMEGA_C, 0.97}, {SIGMA_8, -0.1}, {W_0, -2.01}, {W_0, -0.29}, {OMEGA_B, -0.01}};
  Prior *prior = published_prior();
  Sky *sky = malloc(sizeof *sky);
  ParameterPosterior *posterior = NULL;

  (void)state;
  assert_non_null(sky);
  observe_sky(prior, sky);
  assert_ok(parameter_posterior_create(&sky->survey, prior, &sky->observation, &posterior));
  for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
    double theta[PARAMETERS], value;

    memcpy(theta, fiducial, sizeof theta);
    theta[outside[i].parameter] = outside[i].value;
    assert_ok(parameter_posterior_evaluate(posterior, theta, &value));
    assert_true(isinf(value) && value < 0);
  }
  assert_ok(parameter_posterior_destroy(&posterior));
  assert_ok(prior_destroy(&prior));
  free(sky);
}

/* A shift that leaves nothing of a bin in the sky: the prior has it, but the simulator draws anew. */
static void where_there_are_no_spectra_it_is_0_and_no_error(void **state)
{
  Prior *prior = make_prior(1, (int[]){NEPHRITE_WCDM_PARAMETERS + 3}, (const char *[]){"uniform:-20,0.1"});
  Sky *sky = malloc(sizeof *sky);
  ParameterPosterior *posterior = NULL;
  double theta[PARAMETERS + 1], value;
  Prior *published = published_prior();

  (void)state;
  assert_non_null(sky);
  observe_sky(published, sky);
  assert_int_equal(prior_count(prior), PARAMETERS + 1);
  memcpy(theta, fiducial, sizeof fiducial);
  assert_ok(parameter_posterior_create(&sky->survey, prior, &sky->observation, &posterior));
  theta[PARAMETERS] = -19;
  assert_ok(parameter_posterior_evaluate(posterior, theta, &value));
  assert_true(isinf(value) && value < 0);
  assert_string_equal(error_message(), "");
  theta[PARAMETERS] = 0.01;
  assert_ok(parameter_posterior_evaluate(posterior, theta, &value));
  assert_true(isfinite(value));
  assert_ok(parameter_posterior_destroy(&posterior));
  assert_ok(prior_destroy(&prior));
  assert_ok(prior_destroy(&published));
  free(sky);
}

static void fields_and_observations_without_a_known_likelihood_are_refused(void **state)
{
  Prior *prior = published_prior();
  Sky *sky = malloc(sizeof *sky);
  ParameterPosterior *posterior = NULL;
  float mask[SIDE * SIDE] = {0};

  (void)state;
  assert_non_null(sky);
  observe_sky(prior, sky);
  sky->observation.mask = mask;
  assert_fails(parameter_posterior_create(&sky->survey, prior, &sky->observation, &posterior), NEPHRITE_ERR_INPUT,
               "masked or differ in noise");
  assert_ok(parameter_posterior_destroy(&posterior));
  sky->survey.field = FIELD_LOGNORMAL;
  assert_fails(parameter_posterior_create(&sky->survey, prior, &sky->observation, &posterior), NEPHRITE_ERR_CONFIG,
               "survey_field is not gaussian");
  assert_ok(parameter_posterior_destroy(&posterior));
  assert_ok(prior_destroy(&prior));
  free(sky);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(it_is_prior_times_likelihood),
                   cmocka_unit_test(outside_the_prior_it_is_0_and_no_error),
                   cmocka_unit_test(where_there_are_no_spectra_it_is_0_and_no_error),
                   cmocka_unit_test(fields_and_observations_without_a_known_likelihood_are_refused))
