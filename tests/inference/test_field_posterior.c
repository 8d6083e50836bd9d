#include "nephrite/inference.h"
#include "nephrite_test.h"

#include <stdlib.h>

/* Gradients are held to differences of fourth order, (8 (F(h) - F(-h)) - F(2h) + F(-2h))/(12 h). */

enum { MAX_BINS = 3, MAX_PIXELS = 80, MOST_VALUES = MAX_BINS * MAX_PIXELS, OMEGA_B = 1, SIGMA_8 = 2, N_S = 4, W_0 = 5 };

typedef struct {
  FieldModel field;
  ObservationKind kind;
  PetscInt bins, nx, ny;
  PetscBool masked;
} Setting;

typedef struct {
  SurveyConfig survey;
  PriorConfig config;
  Prior *prior;
  FieldPosterior *posterior;
  PetscInt dimension;
  float raw[2 * MOST_VALUES], mask[MAX_PIXELS];
  double noise_std[MAX_BINS];
  double x[MOST_VALUES + 6], gradient[MOST_VALUES + 6];
} Case;

static void set_prior(Case *c)
{
  for (size_t i = 0; i < prior_options.count; i++)
    snprintf(c->config.distribution[i], OPTION_TEXT_SIZE, "%s", prior_options.specs[i].fallback);
}

static void make_posterior(Case *c, const Setting *setting)
{
  const Observation observation = {.raw = c->raw, .noise_std = c->noise_std, .mask = setting->masked ? c->mask : NULL};

  assert_ok(prior_create(&c->config, setting->bins, &c->prior));
  assert_ok(field_posterior_create(PETSC_COMM_SELF, &c->survey, c->prior, &observation, &c->posterior));
  c->dimension = field_posterior_dimension(c->posterior);
}

static Case *make_case(const Setting *setting)
{
  Case *c = calloc(1, sizeof *c);
  double normals[2 * MOST_VALUES];

  assert_non_null(c);
  c->survey = (SurveyConfig){.map_size = {setting->nx, setting->ny},
                             .field_of_view_deg = 0.2 * (double)setting->nx,
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
  set_prior(c);
  random_normal((RandomKey){1, STREAM_NOISE, 0}, 0, 2 * MOST_VALUES, normals);
  for (int i = 0; i < 2 * MOST_VALUES; i++) c->raw[i] = (float)(0.01 * normals[i]);
  for (int bin = 0; bin < MAX_BINS; bin++) c->noise_std[bin] = 0.004 * (1 + bin);
  for (int i = 0; i < MAX_PIXELS; i++) c->mask[i] = i % 7 ? 1 : 0;
  random_normal((RandomKey){1, STREAM_FIELD, 0}, 0, MOST_VALUES + 6, c->x);
  for (int p = 0; p < 6; p++) c->x[p] *= 0.5;
  make_posterior(c, setting);
  return c;
}

static void free_posterior(Case *c)
{
  assert_ok(field_posterior_destroy(&c->posterior));
  assert_ok(prior_destroy(&c->prior));
}

static void free_case(Case *c)
{
  free_posterior(c);
  free(c);
}

static double log_density(Case *c, const double *x)
{
  double gradient[MOST_VALUES + 6], value;

  assert_ok(field_posterior_evaluate(c->posterior, x, &value, gradient));
  return value;
}

static double difference(Case *c, PetscInt i, double h)
{
  const double steps[] = {h, -h, 2 * h, -2 * h};
  double f[4], x[MOST_VALUES + 6];

  memcpy(x, c->x, sizeof x);
  for (int n = 0; n < 4; n++) {
    x[i] = c->x[i] + steps[n];
    f[n] = log_density(c, x);
  }
  return (8 * (f[0] - f[1]) - f[2] + f[3]) / (12 * h);
}

static void check_gradient(const Setting *setting)
{
  Case *c = make_case(setting);
  const PetscInt sampled = field_posterior_parameters(c->posterior);
  double value, norm = 0;

  assert_int_equal(c->dimension, sampled + setting->bins * setting->nx * setting->ny);
  assert_ok(field_posterior_evaluate(c->posterior, c->x, &value, c->gradient));
  assert_true(isfinite(value));
  for (PetscInt i = sampled; i < c->dimension; i++) norm += c->gradient[i] * c->gradient[i];
  norm = sqrt(norm / (double)(c->dimension - sampled));
  /* steps short enough that few nodes of the theory's tables, where slopes jump by 1e-6, lie in between */
  for (PetscInt i = 0; i < c->dimension; i++)
    assert_within(c->gradient[i], difference(c, i, i < sampled ? 1e-4 : 1e-3), 1e-6 * fmax(fabs(c->gradient[i]), norm));
  free_case(c);
}

static void the_gradient_of_a_lognormal_field_is_that_of_differences(void **state)
{
  (void)state;
  check_gradient(&(Setting){FIELD_LOGNORMAL, OBSERVATION_SHEAR, 3, 8, 8, PETSC_FALSE});
  check_gradient(&(Setting){FIELD_LOGNORMAL, OBSERVATION_SHEAR, 2, 10, 6, PETSC_TRUE});
  check_gradient(&(Setting){FIELD_LOGNORMAL, OBSERVATION_CONVERGENCE, 2, 9, 7, PETSC_TRUE});
  check_gradient(&(Setting){FIELD_LOGNORMAL, OBSERVATION_CONVERGENCE, 1, 8, 8, PETSC_FALSE});
}

static void the_gradient_of_a_gaussian_field_is_that_of_differences(void **state)
{
  (void)state;
  check_gradient(&(Setting){FIELD_GAUSSIAN, OBSERVATION_SHEAR, 2, 8, 8, PETSC_TRUE});
  check_gradient(&(Setting){FIELD_GAUSSIAN, OBSERVATION_CONVERGENCE, 3, 6, 10, PETSC_FALSE});
}

static void the_map_is_the_simulators(void **state)
{
  const Setting setting = {FIELD_LOGNORMAL, OBSERVATION_SHEAR, 3, 10, 8, PETSC_FALSE};
  Case *c = make_case(&setting);
  const FieldShape shape = simulator_shape(&c->survey);
  const LensingSpectra *spectra = NULL;
  Simulator *simulator = NULL;
  Field *field = NULL;
  double theta[6], kappa[MOST_VALUES], expected[MOST_VALUES], x[MOST_VALUES + 6];

  (void)state;
  assert_ok(field_posterior_unpack(c->posterior, c->x, theta, kappa));
  assert_ok(simulator_create(PETSC_COMM_SELF, &c->survey, c->prior, 1, &simulator));
  assert_ok(simulator_spectra(simulator, theta, &spectra));
  assert_ok(field_create(PETSC_COMM_SELF, &shape, &field));
  assert_ok(field_set_spectra(field, spectra));
  assert_ok(field_realise(field, c->x + 6, expected));
  for (int i = 0; i < 240; i++) assert_close(kappa[i], expected[i], 1e-10);
  assert_ok(field_posterior_pack(c->posterior, theta, c->x + 6, x));
  for (PetscInt i = 0; i < c->dimension; i++) assert_within(x[i], c->x[i], 1e-12);
  assert_ok(field_destroy(&field));
  assert_ok(simulator_destroy(&simulator));
  free_case(c);
}

static void the_log_density_is_that_of_residuals_and_standard_normals(void **state)
{
  const Setting setting = {FIELD_LOGNORMAL, OBSERVATION_SHEAR, 2, 8, 8, PETSC_TRUE};
  Case *c = make_case(&setting);
  ShearTransform *shear = NULL;
  double kappa[MOST_VALUES], gamma[2 * MAX_PIXELS], expected = 0;

  (void)state;
  assert_ok(shear_transform_create(8, 8, &shear));
  assert_ok(field_posterior_unpack(c->posterior, c->x, NULL, kappa));
  for (PetscInt i = 0; i < c->dimension; i++) expected -= c->x[i] * c->x[i] / 2;
  for (int bin = 0; bin < 2; bin++) {
    assert_ok(shear_from_convergence(shear, kappa + 64 * bin, gamma, gamma + 64));
    for (int i = 0; i < 128; i++) {
      const double residual = (c->raw[128 * bin + i] - gamma[i]) / c->noise_std[bin];

      if (c->mask[i % 64] > 0) expected -= residual * residual / 2;
    }
  }
  assert_close(log_density(c, c->x), expected, 1e-12);
  assert_ok(shear_transform_destroy(&shear));
  free_case(c);
}

static void what_is_masked_does_not_matter(void **state)
{
  const Setting setting = {FIELD_LOGNORMAL, OBSERVATION_SHEAR, 2, 8, 8, PETSC_TRUE};
  Case *c = make_case(&setting);
  const double value = log_density(c, c->x);

  (void)state;
  free_posterior(c);
  for (int i = 0; i < 256; i++)
    if (c->mask[i % 64] == 0) c->raw[i] = NAN;
  make_posterior(c, &setting);
  assert_true(log_density(c, c->x) == value);
  free_case(c);
}

static void fixed_parameters_are_no_coordinates(void **state)
{
  const Setting setting = {FIELD_LOGNORMAL, OBSERVATION_SHEAR, 2, 8, 8, PETSC_FALSE};
  Case *c = make_case(&setting);
  double all[MOST_VALUES + 6], theta[6], value;

  (void)state;
  assert_ok(field_posterior_evaluate(c->posterior, c->x, &value, all));
  assert_ok(field_posterior_unpack(c->posterior, c->x, theta, NULL));
  free_posterior(c);
  for (int p = 0; p < 6; p++)
    if (p != SIGMA_8) snprintf(c->config.distribution[p], OPTION_TEXT_SIZE, "fixed:%.17g", theta[p]);
  make_posterior(c, &setting);
  assert_int_equal(field_posterior_parameters(c->posterior), 1);
  c->x[5] = c->x[SIGMA_8]; /* now the one before the field's */
  assert_ok(field_posterior_evaluate(c->posterior, c->x + 5, &value, c->gradient));
  assert_within(c->gradient[0], all[SIGMA_8], 1e-7 * fabs(all[SIGMA_8]));
  for (int i = 0; i < 128; i++) assert_within(c->gradient[1 + i], all[6 + i], 1e-12 + 1e-12 * fabs(all[6 + i]));
  free_case(c);
}

static void what_is_not_physical_has_no_density(void **state)
{
  const Setting setting = {FIELD_LOGNORMAL, OBSERVATION_SHEAR, 2, 8, 8, PETSC_FALSE};
  Case *c = make_case(&setting);
  const double value = log_density(c, c->x), keep = c->x[OMEGA_B];

  (void)state;
  c->x[OMEGA_B] = -9; /* Omega_b < 0 */
  assert_true(log_density(c, c->x) == -INFINITY);
  assert_fails(field_posterior_unpack(c->posterior, c->x, NULL, NULL), NEPHRITE_ERR_INPUT, "no field has these");
  c->x[OMEGA_B] = NAN;
  assert_true(log_density(c, c->x) == -INFINITY);
  c->x[OMEGA_B] = keep;
  c->x[100] = 1e200;
  assert_true(log_density(c, c->x) == -INFINITY);
  c->x[100] = NAN;
  assert_true(log_density(c, c->x) == -INFINITY);
  random_normal((RandomKey){1, STREAM_FIELD, 0}, 100, 1, c->x + 100);
  assert_true(log_density(c, c->x) == value); /* and what comes after is not disturbed */
  free_case(c);
}

/* \param distribution  with its mean closer to the edge than a step  \param inwards  u of a place beside it */
static void check_edge(PetscInt parameter, const char *distribution, double inwards)
{
  const Setting setting = {FIELD_GAUSSIAN, OBSERVATION_CONVERGENCE, 1, 8, 8, PETSC_FALSE};
  Case *c = make_case(&setting);
  double value, beside[MOST_VALUES + 6];

  free_posterior(c);
  snprintf(c->config.distribution[parameter], OPTION_TEXT_SIZE, "%s", distribution);
  make_posterior(c, &setting);
  c->x[parameter] = 0;
  assert_ok(field_posterior_evaluate(c->posterior, c->x, &value, c->gradient));
  c->x[parameter] = inwards;
  assert_ok(field_posterior_evaluate(c->posterior, c->x, &value, beside));
  assert_true(isfinite(value) && fabs(beside[parameter]) > 1e-3);
  /* 1e-4 and differences of second order */
  assert_within(c->gradient[parameter], beside[parameter], 1e-3 * fabs(beside[parameter]));
  free_case(c);
}

/* w_0 ends at -0.01, n_s begins at -0.5: there differences have only one side. */
static void the_gradient_at_an_edge_of_physics_is_that_beside_it(void **state)
{
  (void)state;
  check_edge(W_0, "normal:-0.0100001,0.1", -1e-4);
  check_edge(N_S, "normal:-0.4999999,0.1", 1e-4);
}

static void noise_that_is_not_positive_is_refused(void **state)
{
  const Setting setting = {FIELD_LOGNORMAL, OBSERVATION_SHEAR, 2, 8, 8, PETSC_FALSE};
  Case *c = make_case(&setting);
  const Observation observation = {.raw = c->raw, .noise_std = c->noise_std};

  (void)state;
  c->noise_std[1] = 0;
  assert_ok(field_posterior_destroy(&c->posterior));
  assert_fails(field_posterior_create(PETSC_COMM_SELF, &c->survey, c->prior, &observation, &c->posterior),
               NEPHRITE_ERR_INPUT, "noise_std of bin 1 is 0");
  free_case(c);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_gradient_of_a_lognormal_field_is_that_of_differences),
                   cmocka_unit_test(the_gradient_of_a_gaussian_field_is_that_of_differences),
                   cmocka_unit_test(the_map_is_the_simulators),
                   cmocka_unit_test(the_log_density_is_that_of_residuals_and_standard_normals),
                   cmocka_unit_test(what_is_masked_does_not_matter),
                   cmocka_unit_test(fixed_parameters_are_no_coordinates),
                   cmocka_unit_test(what_is_not_physical_has_no_density),
                   cmocka_unit_test(the_gradient_at_an_edge_of_physics_is_that_beside_it),
                   cmocka_unit_test(noise_that_is_not_positive_is_refused))
