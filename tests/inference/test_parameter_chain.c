#include "parameters_fixture.h"

static const RandomKey KEY = {6, STREAM_POSTERIOR, 3};

/* Draws of one chain. */
typedef struct {
  ChainLength length;
  ChainDraws draws;
} Run;

static Run run(const Prior *prior, const ParameterDensity *density, ChainLength length, PetscInt chain)
{
  Run r = {.length = length};

  r.draws.theta = malloc((size_t)length.draws * (size_t)prior_count(prior) * sizeof(double));
  r.draws.log_density = malloc((size_t)length.draws * sizeof(double));
  assert_true(r.draws.theta && r.draws.log_density);
  assert_ok(parameter_chain_run(prior, density, &length, KEY, chain, &r.draws));
  return r;
}

static void free_run(Run *r)
{
  free(r->draws.theta);
  free(r->draws.log_density);
}

/* Mean of the product of deviations of two parameters from given centres. */
static double moment(const Run *r, int a, double centre_a, int b, double centre_b)
{
  double sum = 0;

  for (PetscInt d = 0; d < r->length.draws; d++)
    sum += (r->draws.theta[d * PARAMETERS + a] - centre_a) * (r->draws.theta[d * PARAMETERS + b] - centre_b);
  return sum / r->length.draws;
}

static double mean(const Run *r, int a)
{
  double sum = 0;

  for (PetscInt d = 0; d < r->length.draws; d++) sum += r->draws.theta[d * PARAMETERS + a];
  return sum / r->length.draws;
}

/* Correlation of a parameter's draws with those before them. */
static double memory(const Run *r, int a)
{
  const double centre = mean(r, a);
  double sum = 0;

  for (PetscInt d = 1; d < r->length.draws; d++)
    sum += (r->draws.theta[d * PARAMETERS + a] - centre) * (r->draws.theta[(d - 1) * PARAMETERS + a] - centre);
  return sum / (r->length.draws - 1) / moment(r, a, centre, a, centre);
}

/* Draws are as good as independent where thinning exceeds the 30 to 50 steps that a chain remembers. */
static const ChainLength LENGTH = {.warm_up = 4000, .draws = 2000, .thinning = 60};

static PetscErrorCode density_of_prior(void *prior, const double *theta, double *log_density)
{
  return prior_log_density(prior, theta, log_density);
}

static void a_chain_of_the_prior_has_its_moments_and_its_bounds(void **state)
{
  enum { DRAWS = 20000 };
  Prior *prior = published_prior();
  Run r = run(prior, &(ParameterDensity){density_of_prior, prior, NULL}, LENGTH, 0);
  double sum[PARAMETERS] = {0}, square[PARAMETERS] = {0};

  (void)state;
  for (uint64_t d = 0; d < DRAWS; d++) {
    double theta[PARAMETERS];

    assert_ok(prior_draw(prior, 1, d, 0, theta, NULL));
    for (int p = 0; p < PARAMETERS; p++) {
      sum[p] += theta[p] / DRAWS;
      square[p] += theta[p] * theta[p] / DRAWS;
    }
  }
  for (int p = 0; p < PARAMETERS; p++) {
    const double std = sqrt(square[p] - sum[p] * sum[p]), error = 1 / sqrt(LENGTH.draws);

    assert_within(mean(&r, p), sum[p], 5 * error * std);
    assert_close(sqrt(moment(&r, p, sum[p], p, sum[p])), std, 5 * error);
  }
  for (PetscInt d = 0; d < LENGTH.draws; d++) {
    const double *const theta = r.draws.theta + d * PARAMETERS;

    assert_true(theta[OMEGA_C] >= 0 && theta[OMEGA_C] + theta[OMEGA_B] <= 1);
    assert_true(theta[W_0] >= -2 && theta[W_0] <= -0.3);
  }
  assert_true(r.draws.acceptance > 0.15 && r.draws.acceptance < 0.4); /* 0.27 is aimed at */
  free_run(&r);
  assert_ok(prior_destroy(&prior));
}

/* A narrow, slanted normal of Omega_c and sigma_8 with correlation -0.98; the others as the prior has them. */
static const double CENTRE[2] = {0.3, 0.75}, WIDTH[2] = {0.02, 0.03}, CORRELATION = -0.98;
static PetscErrorCode density_of_a_ridge(void *prior, const double *theta, double *log_density)
{
  const double x = (theta[OMEGA_C] - CENTRE[0]) / WIDTH[0], y = (theta[SIGMA_8] - CENTRE[1]) / WIDTH[1];

  PetscFunctionBeginUser;
  PetscCall(prior_log_density(prior, theta, log_density));
  *log_density -= (x * x - 2 * CORRELATION * x * y + y * y) / (2 * (1 - CORRELATION * CORRELATION));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void a_chain_learns_a_narrow_ridge(void **state)
{
  const double error = 1 / sqrt(LENGTH.draws);
  Prior *prior = make_prior(2, (int[]){OMEGA_C, SIGMA_8}, (const char *[]){"uniform:0,0.9", "uniform:0.3,1.3"});

  (void)state;
  for (PetscInt chain = 0; chain < 3; chain++) { /* from three places of the prior */
    Run r = run(prior, &(ParameterDensity){density_of_a_ridge, prior, NULL}, LENGTH, chain);
    const double xx = moment(&r, OMEGA_C, CENTRE[0], OMEGA_C, CENTRE[0]);
    const double yy = moment(&r, SIGMA_8, CENTRE[1], SIGMA_8, CENTRE[1]);

    assert_within(mean(&r, OMEGA_C), CENTRE[0], 5 * error * WIDTH[0]);
    assert_within(mean(&r, SIGMA_8), CENTRE[1], 5 * error * WIDTH[1]);
    assert_close(sqrt(xx), WIDTH[0], 5 * error);
    assert_close(sqrt(yy), WIDTH[1], 5 * error);
    assert_within(moment(&r, OMEGA_C, CENTRE[0], SIGMA_8, CENTRE[1]) / sqrt(xx * yy), CORRELATION, 0.005);
    assert_true(r.draws.acceptance > 0.15 && r.draws.acceptance < 0.4);
    for (int p = 0; p < PARAMETERS; p++) assert_true(memory(&r, p) < 0.3); /* exp(-60/50) */
    free_run(&r);
  }
  assert_ok(prior_destroy(&prior));
}

static PetscErrorCode density_of_posterior(void *posterior, const double *theta, double *log_density)
{
  return parameter_posterior_evaluate(posterior, theta, log_density);
}

enum { ONE, X, Y, XX, XY, YY, INTEGRALS };

/* Moments of two parameters by midpoints, the others at their fiducial value. */
static void integrate(ParameterPosterior *posterior, double reference, const double low[2], const double high[2],
                      double integral[INTEGRALS])
{
  enum { NODES = 28 };

  memset(integral, 0, INTEGRALS * sizeof *integral);
  for (int i = 0; i < NODES * NODES; i++) {
    double theta[PARAMETERS], value;

    memcpy(theta, fiducial, sizeof theta);
    const double x = theta[OMEGA_C] = low[0] + (high[0] - low[0]) * (i / NODES + 0.5) / NODES;
    const double y = theta[SIGMA_8] = low[1] + (high[1] - low[1]) * (i % NODES + 0.5) / NODES;

    assert_ok(parameter_posterior_evaluate(posterior, theta, &value));
    const double weight = exp(value - reference), term[INTEGRALS] = {1, x, y, x * x, x * y, y * y};

    for (int m = 0; m < INTEGRALS; m++) integral[m] += weight * term[m];
  }
  for (int m = INTEGRALS - 1; m >= 0; m--) integral[m] /= integral[ONE];
}

/* The ridge, off by as much as it is wide, and wider. */
static PetscErrorCode density_near_the_ridge(void *prior, const double *theta, double *log_density)
{
  const double x = (theta[OMEGA_C] - CENTRE[0] - 0.3 * WIDTH[0]) / (1.2 * WIDTH[0]);
  const double y = (theta[SIGMA_8] - CENTRE[1] + 0.3 * WIDTH[1]) / (1.2 * WIDTH[1]);

  PetscFunctionBeginUser;
  PetscCall(prior_log_density(prior, theta, log_density));
  *log_density -= (x * x - 2 * CORRELATION * x * y + y * y) / (2 * (1 - CORRELATION * CORRELATION));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void draws_are_of_the_exact_density_whatever_is_followed(void **state)
{
  const double error = 1 / sqrt(LENGTH.draws / 2.); /* a draw that is refused is the last one again */
  Prior *prior = make_prior(2, (int[]){OMEGA_C, SIGMA_8}, (const char *[]){"uniform:0,0.9", "uniform:0.3,1.3"});
  const ParameterDensity ridge = {density_of_a_ridge, prior, NULL}, near = {density_near_the_ridge, prior, NULL};
  Run r = run(prior, &(ParameterDensity){density_of_a_ridge, prior, &near}, LENGTH, 0);

  (void)state;
  assert_within(mean(&r, OMEGA_C), CENTRE[0], 4 * error * WIDTH[0]); /* the other's is 6 of these away */
  assert_within(mean(&r, SIGMA_8), CENTRE[1], 4 * error * WIDTH[1]);
  assert_close(sqrt(moment(&r, OMEGA_C, CENTRE[0], OMEGA_C, CENTRE[0])), WIDTH[0], 4 * error);
  assert_close(sqrt(moment(&r, SIGMA_8, CENTRE[1], SIGMA_8, CENTRE[1])), WIDTH[1], 4 * error);
  assert_true(r.draws.accepted > 0.5 && r.draws.accepted < 0.95);
  PetscInt same = 0;
  for (PetscInt d = 0; d < LENGTH.draws; d++) {
    double value;

    assert_ok(density_of_a_ridge(prior, r.draws.theta + d * PARAMETERS, &value));
    assert_true(value == r.draws.log_density[d]);
    same += d && !memcmp(r.draws.theta + d * PARAMETERS, r.draws.theta + (d - 1) * PARAMETERS, sizeof(double));
  }
  assert_within((double)same / LENGTH.draws, 1 - r.draws.accepted, 0.002);
  free_run(&r);
  r = run(prior, &(ParameterDensity){density_of_a_ridge, prior, &ridge}, LENGTH, 0);
  assert_true(r.draws.accepted == 1);
  free_run(&r);
  assert_ok(prior_destroy(&prior));
}

static PetscErrorCode density_of_nothing(void *context, const double *theta, double *log_density);

static void where_the_exact_density_is_0_no_draw_is_but_the_start(void **state)
{
  enum { DRAWS = 20 };
  Prior *prior = published_prior();
  const ParameterDensity followed = {density_of_prior, prior, NULL};
  Run r = run(prior, &(ParameterDensity){density_of_nothing, prior, &followed}, (ChainLength){50, DRAWS, 5}, 0);

  (void)state;
  assert_true(r.draws.accepted == 0);
  for (int d = 1; d < DRAWS; d++)
    assert_memory_equal(r.draws.theta, r.draws.theta + d * PARAMETERS, PARAMETERS * sizeof(double));
  free_run(&r);
  assert_ok(prior_destroy(&prior));
}

/* Draws of two parameters of a real observation against the posterior on a grid. */
static void a_chain_of_a_posterior_has_the_moments_that_a_grid_gives(void **state)
{
  const ChainLength length = {.warm_up = 800, .draws = 500, .thinning = 10}; /* a step of two parameters: 1 ms */
  const double error = 1 / sqrt(300);
  Prior *prior = prior_of_two();
  Sky *sky = malloc(sizeof *sky);
  ParameterPosterior *posterior = NULL;
  double grid[INTEGRALS], reference;

  (void)state;
  assert_non_null(sky);
  observe_sky(prior, sky);
  assert_ok(parameter_posterior_create(&sky->survey, prior, &sky->observation, &posterior));
  assert_ok(parameter_posterior_evaluate(posterior, fiducial, &reference));
  integrate(posterior, reference, (double[]){0, 0.3}, (double[]){0.95, 1.4}, grid);
  Run r = run(prior, &(ParameterDensity){density_of_posterior, posterior, NULL}, length, 0);
  const double std_x = sqrt(grid[XX] - grid[X] * grid[X]), std_y = sqrt(grid[YY] - grid[Y] * grid[Y]);
  const double correlation = (grid[XY] - grid[X] * grid[Y]) / (std_x * std_y);
  const double xx = moment(&r, OMEGA_C, grid[X], OMEGA_C, grid[X]);
  const double yy = moment(&r, SIGMA_8, grid[Y], SIGMA_8, grid[Y]);

  assert_true(std_x < 0.15 && correlation < -0.5); /* the observation tells something: the prior has 0.17 and 0 */
  assert_within(mean(&r, OMEGA_C), grid[X], 4 * error * std_x);
  assert_within(mean(&r, SIGMA_8), grid[Y], 4 * error * std_y);
  assert_close(sqrt(xx), std_x, 4 * error);
  assert_close(sqrt(yy), std_y, 4 * error);
  assert_within(moment(&r, OMEGA_C, grid[X], SIGMA_8, grid[Y]) / sqrt(xx * yy), correlation, 4 * error);
  for (PetscInt d = 0; d < length.draws;
       d += 100) { /* each draw has its own density beside it, and what is fixed stays */
    double value;

    assert_ok(parameter_posterior_evaluate(posterior, r.draws.theta + d * PARAMETERS, &value));
    assert_true(value == r.draws.log_density[d]);
    assert_true(r.draws.theta[d * PARAMETERS + W_0] == -1 && r.draws.theta[d * PARAMETERS + HUBBLE] == 0.67);
  }
  free_run(&r);
  assert_ok(parameter_posterior_destroy(&posterior));
  assert_ok(prior_destroy(&prior));
  free(sky);
}

static void a_chain_is_a_function_of_key_and_number_alone(void **state)
{
  enum { DRAWS = 40 };
  const ChainLength length = {200, DRAWS, 3};
  Prior *prior = published_prior();
  const ParameterDensity density = {density_of_a_ridge, prior, NULL};
  Run first = run(prior, &density, length, 2), other = run(prior, &density, length, 3);
  Run again = run(prior, &density, length, 2);
  const size_t bytes = DRAWS * PARAMETERS * sizeof(double);

  (void)state;
  assert_memory_equal(first.draws.theta, again.draws.theta, bytes);
  assert_memory_not_equal(first.draws.theta, other.draws.theta, bytes);
  free_run(&first);
  free_run(&other);
  free_run(&again);
  assert_ok(prior_destroy(&prior));
}

static void thinning_keeps_every_so_many_of_the_same_chain(void **state)
{
  enum { DRAWS = 20, THINNING = 4 };
  Prior *prior = published_prior();
  const ParameterDensity density = {density_of_a_ridge, prior, NULL};
  Run all = run(prior, &density, (ChainLength){100, DRAWS * THINNING, 1}, 0);
  Run thinned = run(prior, &density, (ChainLength){100, DRAWS, THINNING}, 0);

  (void)state;
  for (int d = 0; d < DRAWS; d++)
    assert_memory_equal(thinned.draws.theta + d * PARAMETERS, all.draws.theta + ((d + 1) * THINNING - 1) * PARAMETERS,
                        PARAMETERS * sizeof(double));
  free_run(&all);
  free_run(&thinned);
  assert_ok(prior_destroy(&prior));
}

/* Where chains begin, without a warm-up: apart as the prior is wide, and nowhere near a draw for a realisation. */
static void chains_start_all_over_the_prior(void **state)
{
  enum { CHAINS = 64 };
  Prior *prior = published_prior();
  const ParameterDensity density = {density_of_prior, prior, NULL};
  double sum = 0, square = 0, mean_of[PARAMETERS], std[PARAMETERS];

  (void)state;
  assert_ok(prior_moments(prior, mean_of, std));
  for (PetscInt chain = 0; chain < CHAINS; chain++) {
    Run r = run(prior, &density, (ChainLength){0, 1, 1}, chain);

    sum += r.draws.theta[SIGMA_8] / CHAINS;
    square += r.draws.theta[SIGMA_8] * r.draws.theta[SIGMA_8] / CHAINS;
    free_run(&r);
  }
  assert_close(sqrt(square - sum * sum), std[SIGMA_8], 0.35); /* 4 standard errors */
  assert_ok(prior_destroy(&prior));
}

static PetscErrorCode density_of_nothing(void *context, const double *theta, double *log_density)
{
  (void)context, (void)theta;
  *log_density = -INFINITY;
  return PETSC_SUCCESS;
}

static PetscErrorCode density_that_fails(void *context, const double *theta, double *log_density)
{
  (void)context, (void)theta, (void)log_density;
  PetscFunctionBeginUser;
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_IO, "the disk is full");
}

static void what_cannot_be_sampled_is_refused(void **state)
{
  const char *const values[] = {"fixed:0.27", "fixed:0.05", "fixed:0.8", "fixed:0.67", "fixed:0.96", "fixed:-1"};
  Prior *prior = published_prior();
  Prior *fixed = make_prior(PARAMETERS, (int[]){OMEGA_C, OMEGA_B, SIGMA_8, HUBBLE, N_S, W_0}, values);
  double theta[PARAMETERS * 4];
  ChainDraws draws = {.theta = theta};
  const ChainLength length = {8, 4, 1};

  (void)state;
  assert_fails(parameter_chain_run(prior, &(ParameterDensity){density_of_nothing, NULL, NULL}, &length, KEY, 0, &draws),
               NEPHRITE_ERR_INPUT, "finds no start");
  assert_fails(parameter_chain_run(prior, &(ParameterDensity){density_that_fails, NULL, NULL}, &length, KEY, 0, &draws),
               NEPHRITE_ERR_IO, "the disk is full");
  assert_fails(parameter_chain_run(fixed, &(ParameterDensity){density_of_prior, fixed, NULL}, &length, KEY, 0, &draws),
               NEPHRITE_ERR_CONFIG, "fixes all parameters");
  assert_fails(parameter_chain_run(prior, &(ParameterDensity){density_of_prior, prior, NULL}, &(ChainLength){8, 4, 0},
                                   KEY, 0, &draws),
               NEPHRITE_ERR_CONFIG, "one every 0 steps");
  assert_ok(prior_destroy(&prior));
  assert_ok(prior_destroy(&fixed));
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_chain_of_the_prior_has_its_moments_and_its_bounds),
                   cmocka_unit_test(a_chain_learns_a_narrow_ridge),
                   cmocka_unit_test(draws_are_of_the_exact_density_whatever_is_followed),
                   cmocka_unit_test(where_the_exact_density_is_0_no_draw_is_but_the_start),
                   cmocka_unit_test(a_chain_of_a_posterior_has_the_moments_that_a_grid_gives),
                   cmocka_unit_test(a_chain_is_a_function_of_key_and_number_alone),
                   cmocka_unit_test(thinning_keeps_every_so_many_of_the_same_chain),
                   cmocka_unit_test(chains_start_all_over_the_prior),
                   cmocka_unit_test(what_cannot_be_sampled_is_refused))
