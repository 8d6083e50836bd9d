/* nephrite-test: mpi */
#include "inference/internal.h"
#include "nephrite_test.h"

#include <stdlib.h>

/* The posterior of a field and its chain on a group of ranks, held to those on one. */

enum { BINS = 2, MOST_PIXELS = 144, MOST_VALUES = BINS * MOST_PIXELS, HEAD = 6, MOST = HEAD + MOST_VALUES, W_0 = 5 };

typedef struct {
  FieldModel field;
  ObservationKind kind;
  PetscInt nx, ny;
  PetscBool masked, counted; /* counted: noise of each pixel its own */
} Setting;

static const Setting settings[] = {{FIELD_LOGNORMAL, OBSERVATION_SHEAR, 8, 12, PETSC_TRUE, PETSC_FALSE},
                                   {FIELD_LOGNORMAL, OBSERVATION_CONVERGENCE, 12, 8, PETSC_TRUE, PETSC_TRUE},
                                   {FIELD_GAUSSIAN, OBSERVATION_SHEAR, 8, 8, PETSC_TRUE, PETSC_TRUE},
                                   {FIELD_GAUSSIAN, OBSERVATION_CONVERGENCE, 9, 7, PETSC_FALSE, PETSC_FALSE},
                                   {FIELD_LOGNORMAL, OBSERVATION_SHEAR, 8, 6, PETSC_FALSE, PETSC_FALSE}}; /* 2 2 2 0 */
enum { SETTINGS = 5 };

typedef struct {
  SurveyConfig survey;
  PriorConfig config;
  Prior *prior;
  float raw[2 * MOST_VALUES], mask[MOST_PIXELS];
  double noise_std[MOST_VALUES];
  double x[MOST]; /* whole */
  PetscInt head, values; /* parameters that are sampled; values of a map */
} Case;

static Observation observation_of(const Case *c, const Setting *s)
{
  return (Observation){
      .raw = (float *)c->raw, .noise_std = (double *)c->noise_std, .mask = s->masked ? (float *)c->mask : NULL};
}

typedef enum { FIXED, SAMPLED } Parameters;

static Case *make_case(const Setting *s, Parameters parameters)
{
  static const char *const values[] = {"0.2664", "0.0492", "0.831", "0.6727", "0.9645", "-1"};
  Case *c = calloc(1, sizeof *c);
  double normals[2 * MOST_VALUES];

  assert_non_null(c);
  c->survey = (SurveyConfig){.map_size = {s->nx, s->ny},
                             .field_of_view_deg = 0.2 * (double)s->nx,
                             .bins = BINS,
                             .field = (int)s->field,
                             .observation = (int)s->kind,
                             .galaxies_per_arcmin2 = 27,
                             .sigma_e = 0.26,
                             .smail_z0 = 0.11,
                             .smail_alpha = 0.68,
                             .smail_beta = 2,
                             .photoz_scatter = 0.05,
                             .mask = "none"};
  if (s->counted) snprintf(c->survey.counts, sizeof c->survey.counts, "counts.h5"); /* only looked at, not read */
  for (size_t i = 0; i < prior_options.count; i++)
    snprintf(c->config.distribution[i], OPTION_TEXT_SIZE, "%s", prior_options.specs[i].fallback);
  for (int i = 0; i < HEAD && parameters == FIXED; i++)
    snprintf(c->config.distribution[i], OPTION_TEXT_SIZE, "fixed:%s", values[i]);
  c->head = parameters == FIXED ? 0 : HEAD;
  assert_ok(prior_create(&c->config, BINS, &c->prior));
  c->values = BINS * s->nx * s->ny;
  random_normal((RandomKey){1, STREAM_NOISE, 0}, 0, 2 * MOST_VALUES, normals);
  for (int i = 0; i < 2 * MOST_VALUES; i++) c->raw[i] = (float)(0.01 * normals[i]);
  for (int i = 0; i < MOST_VALUES; i++) c->noise_std[i] = 0.004 * (1 + i % 5);
  for (int i = 0; i < MOST_PIXELS; i++) c->mask[i] = i % 7 ? 1 : 0;
  random_normal((RandomKey){1, STREAM_FIELD, 0}, 0, MOST, c->x);
  for (int p = 0; p < HEAD; p++) c->x[p] *= 0.5;
  return c;
}

static void free_case(Case *c)
{
  assert_ok(prior_destroy(&c->prior));
  free(c);
}

static FieldPosterior *make_posterior(const Case *c, const Setting *s, MPI_Comm comm)
{
  const Observation observation = observation_of(c, s);
  FieldPosterior *posterior = NULL;

  assert_ok(field_posterior_create(comm, &c->survey, c->prior, &observation, &posterior));
  return posterior;
}

/* This rank's coordinates out of all, and all on every rank out of those of each. */
static void scatter(const FieldPosterior *posterior, MPI_Comm comm, const double *whole, double *x)
{
  const GroupShare share = field_posterior_share(posterior);
  const PetscInt head = field_posterior_parameters(posterior);

  for (PetscInt i = 0; i < head; i++) x[i] = whole[i];
  assert_ok(group_scatter(comm, &share, whole + head, x + head));
}

static void gather(const FieldPosterior *posterior, MPI_Comm comm, const double *map, double *whole)
{
  const GroupShare share = field_posterior_share(posterior);

  assert_ok(group_gather(comm, &share, map, whole));
  MPI_Bcast(whole, (int)(share.pieces * share.total), MPI_DOUBLE, 0, comm);
}

/* At whole coordinates: the log-density and its whole gradient, and parameters and map. */
typedef struct {
  double log_density, gradient[MOST], theta[HEAD], kappa[MOST_VALUES];
} Values;

static Values evaluate(const Case *c, const Setting *s, MPI_Comm comm)
{
  FieldPosterior *posterior = make_posterior(c, s, comm);
  double x[MOST], gradient[MOST], kappa[MOST_VALUES];
  Values v = {0};

  scatter(posterior, comm, c->x, x);
  assert_ok(field_posterior_evaluate(posterior, x, &v.log_density, gradient));
  memcpy(v.gradient, gradient, HEAD * sizeof *gradient);
  gather(posterior, comm, gradient + HEAD, v.gradient + HEAD);
  assert_ok(field_posterior_unpack(posterior, x, v.theta, kappa));
  gather(posterior, comm, kappa, v.kappa);
  assert_ok(field_posterior_destroy(&posterior));
  return v;
}

static void compare(const double *ours, const double *theirs, PetscInt count, double tolerance)
{
  double scale = 0;

  for (PetscInt i = 0; i < count; i++) scale = fmax(scale, fabs(theirs[i]));
  for (PetscInt i = 0; i < count; i++) assert_within(ours[i], theirs[i], tolerance * scale);
}

static void density_gradient_and_map_are_those_of_one_rank(void **state)
{
  (void)state;
  for (int n = 0; n < SETTINGS; n++) {
    Case *c = make_case(&settings[n], SAMPLED);
    const Values alone = evaluate(c, &settings[n], PETSC_COMM_SELF);
    const Values together = evaluate(c, &settings[n], PETSC_COMM_WORLD);

    assert_true(isfinite(alone.log_density));
    assert_close(together.log_density, alone.log_density, 1e-12); /* rounding of transforms and sums */
    compare(together.gradient, alone.gradient, HEAD, 1e-12);
    compare(together.gradient + HEAD, alone.gradient + HEAD, c->values, 1e-12);
    compare(together.theta, alone.theta, HEAD, 0);
    compare(together.kappa, alone.kappa, c->values, 1e-12);
    free_case(c);
  }
}

/* Derivatives of the theory by the parameters, contracted with numbers of both signs. */
static void differentiate(const Case *c, MPI_Comm comm, const double *theta, double *theta_bar)
{
  Theory *theory = NULL;
  const LensingSpectra *spectra = NULL;
  LensingSpectra *bar = NULL;

  assert_ok(theory_create(comm, &c->survey, c->prior, &theory));
  assert_ok(theory_evaluate(theory, theta, &spectra));
  assert_non_null(spectra);
  assert_ok(lensing_spectra_create(BINS, spectra->ell_count, &bar));
  for (PetscInt i = 0; i < BINS * (BINS + 1) / 2 * bar->ell_count; i++) bar->power[i] = sin((double)i) * 1e9;
  for (PetscInt i = 0; i < BINS; i++) bar->shift[i] = 1 + (double)i;
  assert_ok(theory_pull_back(theory, bar, theta_bar));
  assert_ok(lensing_spectra_destroy(&bar));
  assert_ok(theory_destroy(&theory));
}

static void check_theory(Case *c)
{
  double u[HEAD] = {0.3, -0.2, 0.1, 0.4, -0.5, 0}, theta[HEAD], alone[HEAD], together[HEAD];

  prior_from_normal(c->prior, u, theta, NULL);
  differentiate(c, PETSC_COMM_SELF, theta, alone);
  differentiate(c, PETSC_COMM_WORLD, theta, together);
  for (int p = 0; p < HEAD; p++) assert_true(alone[p] != 0);
  assert_memory_equal(together, alone, sizeof alone);
}

/* Each evaluation is one rank's, whichever that is; also where differences have only one side (w_0 ends at -0.01). */
static void derivatives_of_the_theory_do_not_depend_on_the_number_of_ranks(void **state)
{
  Case *c = make_case(&settings[0], SAMPLED);

  (void)state;
  check_theory(c);
  assert_ok(prior_destroy(&c->prior));
  snprintf(c->config.distribution[W_0], OPTION_TEXT_SIZE, "normal:-0.0100001,0.1");
  assert_ok(prior_create(&c->config, BINS, &c->prior));
  check_theory(c);
  free_case(c);
}

static void ranks_agree_on_where_there_is_no_density(void **state)
{
  Case *c = make_case(&settings[0], SAMPLED);
  FieldPosterior *posterior = make_posterior(c, &settings[0], PETSC_COMM_WORLD);
  const PetscInt last = field_posterior_dimension(posterior) - 1;
  double x[MOST], gradient[MOST], value, before;
  PetscMPIInt rank;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  scatter(posterior, PETSC_COMM_WORLD, c->x, x);
  assert_ok(field_posterior_evaluate(posterior, x, &before, gradient));
  if (!rank) x[last] = NAN; /* of one rank's rows */
  assert_ok(field_posterior_evaluate(posterior, x, &value, gradient));
  assert_true(value == -INFINITY);
  scatter(posterior, PETSC_COMM_WORLD, c->x, x);
  x[1] = -9; /* Omega_b < 0 */
  assert_ok(field_posterior_evaluate(posterior, x, &value, gradient));
  assert_true(value == -INFINITY);
  x[1] = c->x[1];
  assert_ok(field_posterior_evaluate(posterior, x, &value, gradient));
  assert_true(value == before);
  assert_ok(field_posterior_destroy(&posterior));
  free_case(c);
}

/* ------------------------------------------------------------------ chains */

typedef struct {
  MPI_Comm comm;
  FieldPosterior *posterior;
  Nuts *nuts;
} Chain;

static Chain make_chain(const Case *c, const Setting *s, MPI_Comm comm)
{
  Chain chain = {.comm = comm, .posterior = make_posterior(c, s, comm)};
  const NutsConfig config = {.comm = comm,
                             .dimension = field_posterior_dimension(chain.posterior),
                             .dense = field_posterior_parameters(chain.posterior),
                             .share = field_posterior_share(chain.posterior),
                             .warmup = 3,
                             .max_depth = 3,
                             .target_acceptance = 0.8,
                             .key = {11, STREAM_CHAIN, 0}};
  double x[MOST];

  scatter(chain.posterior, comm, c->x, x);
  assert_ok(nuts_create(&config, field_posterior_evaluate, chain.posterior, &chain.nuts));
  assert_ok(nuts_start(chain.nuts, x));
  return chain;
}

static void step(Chain *chain, int count)
{
  NutsTransition transition;

  for (int i = 0; i < count; i++) assert_ok(nuts_step(chain->nuts, &transition));
}

/* On all ranks. */
static double *state_of(const Chain *chain)
{
  const size_t size = nuts_state_size(chain->nuts);
  double *const state = calloc(size, sizeof *state);

  assert_non_null(state);
  assert_ok(nuts_state_save(chain->nuts, state));
  MPI_Bcast(state, (int)size, MPI_DOUBLE, 0, chain->comm);
  return state;
}

static void end(Chain *chain)
{
  assert_ok(nuts_destroy(&chain->nuts));
  assert_ok(field_posterior_destroy(&chain->posterior));
}

/* Rounding, 1e-14, grows by half with each iteration.  Where parameters are sampled it begins with 1e-9, which rounding
 * leaves of the theory's differences. */
static double growth(const Case *c)
{
  return c->head ? 1e-5 : 1e-9;
}

static void compare_states(const Chain *one, const Chain *other, double tolerance)
{
  double *const ours = state_of(one), *const theirs = state_of(other);

  assert_int_equal(nuts_state_size(one->nuts), nuts_state_size(other->nuts));
  for (size_t i = 0; i < nuts_state_size(one->nuts); i++)
    assert_within(ours[i], theirs[i], tolerance * (1 + fabs(theirs[i])));
  free(ours), free(theirs);
}

/* \p before runs to its 5th iteration, and a chain on \p after from its 2nd. */
static void check_resumed(const Case *c, const Setting *s, MPI_Comm before, MPI_Comm after, double tolerance)
{
  Chain whole = make_chain(c, s, before), resumed = make_chain(c, s, after);

  step(&whole, 2);
  double *const saved = state_of(&whole);
  step(&whole, 3);
  assert_ok(nuts_state_restore(resumed.nuts, saved));
  step(&resumed, 3);
  compare_states(&resumed, &whole, tolerance);
  free(saved);
  end(&whole);
  end(&resumed);
}

/* A chain on all ranks is that on one. */
static void check_chain(const Setting *s, Parameters parameters)
{
  Case *c = make_case(s, parameters);
  Chain alone = make_chain(c, s, PETSC_COMM_SELF), together = make_chain(c, s, PETSC_COMM_WORLD);

  for (int i = 0; i < 3; i++) {
    step(&alone, 1);
    step(&together, 1);
    compare_states(&together, &alone, growth(c));
  }
  end(&alone);
  end(&together);
  free_case(c);
}

static void a_chain_is_that_of_one_rank(void **state)
{
  (void)state;
  for (int n = 0; n < SETTINGS; n++) check_chain(&settings[n], FIXED);
  check_chain(&settings[0], SAMPLED);
}

static void a_chain_goes_on_bit_for_bit_and_on_other_ranks(void **state)
{
  Case *c = make_case(&settings[0], FIXED);

  (void)state;
  check_resumed(c, &settings[0], PETSC_COMM_WORLD, PETSC_COMM_WORLD, 0);
  check_resumed(c, &settings[0], PETSC_COMM_SELF, PETSC_COMM_WORLD, growth(c));
  check_resumed(c, &settings[0], PETSC_COMM_WORLD, PETSC_COMM_SELF, growth(c));
  free_case(c);
}

/* With parameters as well. */
static void a_chain_of_parameters_goes_on_bit_for_bit(void **state)
{
  Case *c = make_case(&settings[0], SAMPLED);

  (void)state;
  check_resumed(c, &settings[0], PETSC_COMM_WORLD, PETSC_COMM_WORLD, 0);
  free_case(c);
}

/* ------------------------------------------------------------------ refusals */

static void what_ranks_cannot_share_is_refused(void **state)
{
  const Setting odd = {FIELD_LOGNORMAL, OBSERVATION_SHEAR, 8, 9, PETSC_FALSE, PETSC_FALSE};
  Case *c = make_case(&odd, SAMPLED);
  const Observation observation = observation_of(c, &odd);
  FieldPosterior *posterior = NULL;
  PetscMPIInt size;

  (void)state;
  MPI_Comm_size(PETSC_COMM_WORLD, &size);
  if (size > 1)
    assert_fails(field_posterior_create(PETSC_COMM_WORLD, &c->survey, c->prior, &observation, &posterior),
                 NEPHRITE_ERR_CONFIG, "both sides must be even");
  assert_ok(field_posterior_destroy(&posterior));
  free_case(c);
}

static void noise_that_is_not_positive_on_one_rank_is_refused_by_all(void **state)
{
  Case *c = make_case(&settings[2], SAMPLED);
  const Observation observation = observation_of(c, &settings[2]);
  FieldPosterior *posterior = NULL;

  (void)state;
  c->noise_std[c->values - 1] = -1; /* in the last row */
  assert_fails(field_posterior_create(PETSC_COMM_WORLD, &c->survey, c->prior, &observation, &posterior),
               NEPHRITE_ERR_INPUT, "noise_std of bin 1 is -1");
  assert_ok(field_posterior_destroy(&posterior));
  free_case(c);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(density_gradient_and_map_are_those_of_one_rank),
                   cmocka_unit_test(derivatives_of_the_theory_do_not_depend_on_the_number_of_ranks),
                   cmocka_unit_test(ranks_agree_on_where_there_is_no_density),
                   cmocka_unit_test(a_chain_is_that_of_one_rank),
                   cmocka_unit_test(a_chain_goes_on_bit_for_bit_and_on_other_ranks),
                   cmocka_unit_test(a_chain_of_parameters_goes_on_bit_for_bit),
                   cmocka_unit_test(what_ranks_cannot_share_is_refused),
                   cmocka_unit_test(noise_that_is_not_positive_on_one_rank_is_refused_by_all))
