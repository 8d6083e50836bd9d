/* nephrite-test: mpi */
#include "inference/nuts.h"
#include "nephrite_test.h"

#include <stdlib.h>

enum { MOST = 50 };

static NutsConfig make_config(PetscInt dimension, PetscInt warmup)
{
  return (NutsConfig){.comm = PETSC_COMM_SELF,
                      .dimension = dimension,
                      .warmup = warmup,
                      .max_depth = 10,
                      .target_acceptance = 0.8,
                      .key = {.seed = 3, .stream = STREAM_CHAIN}};
}

/* A stationary first-order process with correlation r between neighbours, element i times scale[i]. */
typedef struct {
  PetscInt dimension;
  double correlation, scale[MOST];
  double centre;
} Process;

static Process make_process(PetscInt dimension, double correlation)
{
  Process p = {.dimension = dimension, .correlation = correlation, .centre = 1};

  for (PetscInt i = 0; i < dimension; i++) p.scale[i] = pow(10, (double)(i % 5 - 2) / 2);
  return p;
}

/* log p = -y_0^2/2 - sum (y_i - r y_{i-1})^2/(2 (1 - r^2)), y = (x - centre)/scale. */
static PetscErrorCode process_density(void *context, const double *x, double *log_density, double *gradient)
{
  const Process *const p = context;
  const double r = p->correlation, precision = 1 / (1 - r * r);
  double before = 0;

  *log_density = 0;
  for (PetscInt i = 0; i < p->dimension; i++) gradient[i] = 0;
  for (PetscInt i = 0; i < p->dimension; i++) {
    const double y = (x[i] - p->centre) / p->scale[i], innovation = i ? y - r * before : y;
    const double weight = i ? precision : 1;

    *log_density -= weight * innovation * innovation / 2;
    gradient[i] -= weight * innovation / p->scale[i];
    if (i) gradient[i - 1] += weight * r * innovation / p->scale[i - 1];
    before = y;
  }
  return PETSC_SUCCESS;
}

typedef struct {
  double mean[MOST], variance[MOST], acceptance, accepted, steps, next_product; /* of elements 0 and 1 */
  PetscInt divergent;
} Summary;

static Summary run(const NutsConfig *config, LogDensity *density, void *context, int draws)
{
  Nuts *nuts = NULL;
  Summary s = {0};
  double x[MOST] = {0};

  assert_ok(nuts_create(config, density, context, &nuts));
  assert_ok(nuts_start(nuts, x));
  for (PetscInt i = 0; i < config->warmup + draws; i++) {
    NutsTransition transition;

    assert_ok(nuts_step(nuts, &transition));
    assert_int_equal(transition.warmup, i < config->warmup);
    if (transition.warmup) continue;
    const double *const q = nuts_position(nuts);
    for (PetscInt d = 0; d < config->dimension; d++) {
      s.mean[d] += q[d] / draws;
      s.variance[d] += q[d] * q[d] / draws;
    }
    if (config->dimension > 1) s.next_product += q[0] * q[1] / draws;
    s.acceptance += transition.acceptance / draws;
    s.accepted += transition.accepted / draws;
    s.steps += (double)transition.steps / draws;
    s.divergent += transition.divergent ? 1 : 0;
  }
  for (PetscInt d = 0; d < config->dimension; d++) s.variance[d] -= s.mean[d] * s.mean[d];
  s.next_product -= s.mean[0] * s.mean[1];
  assert_ok(nuts_destroy(&nuts));
  return s;
}

static void moments_of_correlated_normals_come_out(void **state)
{
  enum { DRAWS = 4000 };
  const PetscInt dimensions[] = {1, 2, 10, 50};

  (void)state;
  for (int c = 0; c < 4; c++) {
    Process p = make_process(dimensions[c], 0.7);
    const NutsConfig config = make_config(p.dimension, 600);
    const Summary s = run(&config, process_density, &p, DRAWS);

    for (PetscInt i = 0; i < p.dimension; i++) { /* 4.5 standard errors of as many independent draws */
      assert_within(s.mean[i], 1, 4.5 * p.scale[i] / sqrt(DRAWS));
      assert_close(s.variance[i], p.scale[i] * p.scale[i], 4.5 * sqrt(2. / DRAWS) * 1.3);
    }
    if (p.dimension > 1) assert_within(s.next_product / p.scale[0] / p.scale[1], 0.7, 4.5 * 1.3 / sqrt(DRAWS));
    assert_int_equal(s.divergent, 0);
  }
}

/* A process, and another one that only the ends of trajectories are held to. */
typedef struct {
  Process followed, exact;
} Pair;

static PetscErrorCode followed_density(void *context, const double *x, double *log_density, double *gradient)
{
  Pair *const pair = context;

  return process_density(&pair->followed, x, log_density, gradient);
}

static PetscErrorCode exact_density(void *context, const double *x, double *log_density, double *gradient)
{
  Pair *const pair = context;
  double unused[MOST];

  assert_null(gradient);
  return process_density(&pair->exact, x, log_density, unused);
}

static Pair make_pair(PetscInt dimension)
{
  Pair pair = {.followed = make_process(dimension, 0.7), .exact = make_process(dimension, 0.5)};

  for (PetscInt i = 0; i < dimension; i++) pair.exact.scale[i] *= 0.8;
  pair.exact.centre = 1.03;
  return pair;
}

static void the_exact_density_is_sampled_whatever_trajectories_follow(void **state)
{
  enum { DRAWS = 8000, DIMENSION = 2 };
  Pair pair = make_pair(DIMENSION);
  NutsConfig config = make_config(DIMENSION, 600);

  (void)state;
  config.exact = exact_density;
  const Summary s = run(&config, followed_density, &pair, DRAWS);
  for (PetscInt i = 0; i < DIMENSION; i++) { /* of some 3,000 independent draws */
    assert_within(s.mean[i], 1.03, 4.5 * pair.exact.scale[i] / sqrt(3000));
    assert_close(s.variance[i], pair.exact.scale[i] * pair.exact.scale[i], 4.5 * sqrt(2. / 3000));
  }
  assert_within(s.next_product / pair.exact.scale[0] / pair.exact.scale[1], 0.5, 4.5 * 1.3 / sqrt(3000));
  assert_true(s.accepted > 0.5 && s.accepted < 0.95);
}

/* Of a sampler whose acceptance is exp(-step size) without any scatter. */
static void dual_averaging_finds_the_step_size_of_the_target(void **state)
{
  const double targets[] = {0.6, 0.8, 0.95};

  (void)state;
  for (int t = 0; t < 3; t++) {
    double scalar[NUTS_SCALARS] = {[NUTS_STEP_SIZE] = 3};

    dual_averaging_begin(scalar);
    for (int i = 0; i < 2000; i++) dual_averaging_learn(scalar, targets[t], exp(-scalar[NUTS_STEP_SIZE]));
    dual_averaging_end(scalar);
    assert_close(exp(-scalar[NUTS_STEP_SIZE]), targets[t], 0.01); /* the mean forgets its beginning slowly */
  }
}

/* The mean of ln(step size), taken over the last 50 iterations, is on the safe side where acceptance falls steeply. */
static void the_step_size_reaches_the_target_acceptance(void **state)
{
  const double targets[] = {0.8, 0.9, 0.95};

  (void)state;
  for (int t = 0; t < 3; t++) {
    Process p = make_process(20, 0.3);
    NutsConfig config = make_config(p.dimension, 1000);

    config.target_acceptance = targets[t];
    const double acceptance = run(&config, process_density, &p, 1000).acceptance;
    assert_true(acceptance > targets[t] - 0.03 && acceptance < 1 - 0.45 * (1 - targets[t]));
  }
}

/* Neal 2003, milder: v is standard normal, and so are the others times exp(v/2). */
static PetscErrorCode funnel(void *context, const double *x, double *log_density, double *gradient)
{
  const PetscInt dimension = *(PetscInt *)context;
  const double v = x[0], precision = exp(-v);

  *log_density = -v * v / 2;
  gradient[0] = -v;
  for (PetscInt i = 1; i < dimension; i++) {
    *log_density -= v / 2 + precision * x[i] * x[i] / 2;
    gradient[0] += precision * x[i] * x[i] / 2 - 0.5;
    gradient[i] = -precision * x[i];
  }
  return PETSC_SUCCESS;
}

static void a_funnel_is_explored_into_its_neck(void **state)
{
  enum { DRAWS = 6000 };
  PetscInt dimension = 6;
  NutsConfig config = make_config(dimension, 1000);

  (void)state;
  config.target_acceptance = 0.95;
  const Summary s = run(&config, funnel, &dimension, DRAWS);
  assert_within(s.mean[0], 0, 0.12); /* draws are correlated: worth some 800 independent ones */
  assert_within(s.variance[0], 1, 0.2);
  assert_within(s.variance[1], exp(0.5), 0.35); /* E exp(v) */
}

/* Two coordinates that are all but one: with a dense mass matrix as easy as others. */
static void a_dense_block_undoes_correlations(void **state)
{
  enum { DRAWS = 1000 };
  Process p = make_process(2, 0.999);
  NutsConfig config = make_config(2, 1000);

  (void)state;
  const Summary diagonal = run(&config, process_density, &p, DRAWS);
  config.dense = 2;
  const Summary dense = run(&config, process_density, &p, DRAWS);
  assert_true(dense.steps < diagonal.steps / 5);
  assert_within(dense.mean[0], 1, 5 * p.scale[0] / sqrt(DRAWS));
  assert_close(dense.variance[1], p.scale[1] * p.scale[1], 5 * sqrt(2. / DRAWS));
}

static void the_dense_block_and_the_rest_have_momenta_of_their_own(void **state)
{
  enum { DRAWS = 2000 };
  Process p = make_process(2, 0);
  NutsConfig config = make_config(2, 300);

  (void)state;
  config.dense = 1;
  const Summary s = run(&config, process_density, &p, DRAWS);
  assert_within(s.next_product / p.scale[0] / p.scale[1], 0, 5 / sqrt(DRAWS));
}

static void step(Nuts *nuts, int count)
{
  for (int i = 0; i < count; i++) {
    NutsTransition transition;

    assert_ok(nuts_step(nuts, &transition));
  }
}

static void a_chain_restored_goes_on_bit_for_bit(void **state)
{
  const int stops[] = {0, 1, 60, 99, 100, 130, 249, 250, 280};
  Pair p = make_pair(7);
  NutsConfig config = make_config(7, 250);

  (void)state;
  config.dense = 3;
  for (size_t s = 0; s < sizeof stops / sizeof *stops; s++) {
    Nuts *whole = NULL, *after = NULL;
    double x[MOST] = {0};

    config.exact = s % 2 ? exact_density : NULL;
    assert_ok(nuts_create(&config, followed_density, &p, &whole));
    assert_ok(nuts_create(&config, followed_density, &p, &after));
    const size_t size = nuts_state_size(whole), bytes = size * sizeof(double);
    double *const saved = malloc(bytes), *const end = malloc(bytes), *const other_end = malloc(bytes);
    assert_ok(nuts_start(whole, x));
    step(whole, stops[s]);
    assert_ok(nuts_state_save(whole, saved));
    step(whole, 300 - stops[s]);
    assert_ok(nuts_state_restore(after, saved));
    assert_int_equal(nuts_iteration(after), stops[s]);
    step(after, 300 - stops[s]);
    assert_ok(nuts_state_save(whole, end));
    assert_ok(nuts_state_save(after, other_end));
    assert_memory_equal(end, other_end, bytes);
    free(saved);
    free(end);
    free(other_end);
    assert_ok(nuts_destroy(&whole));
    assert_ok(nuts_destroy(&after));
  }
}

static void chains_of_other_keys_are_others(void **state)
{
  Process p = make_process(3, 0.5);
  NutsConfig config = make_config(3, 10);
  double first[3];

  (void)state;
  for (int chain = 0; chain < 2; chain++) {
    Nuts *nuts = NULL;
    double x[MOST] = {0};

    config.key.index = (uint64_t)chain;
    assert_ok(nuts_create(&config, process_density, &p, &nuts));
    assert_ok(nuts_start(nuts, x));
    step(nuts, 3);
    for (int i = 0; i < 3 && chain; i++) assert_true(nuts_position(nuts)[i] != first[i]);
    memcpy(first, nuts_position(nuts), sizeof first);
    assert_ok(nuts_destroy(&nuts));
  }
}

/* Stan's windows for a warm-up of 1,000: 75 | 25 50 100 200 500 | 50. */
static void the_windows_of_the_warmup_are_stans(void **state)
{
  const struct {
    PetscInt warmup;
    PetscInt ends[6];
  } cases[] = {{1000, {99, 149, 249, 449, 949, -1}},
               {150, {99, -1}},
               {100, {89, -1}},
               {500, {99, 149, 249, 449, -1}},
               {19, {-1}}};

  (void)state;
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    const NutsConfig config = make_config(1, cases[c].warmup);
    double scalar[NUTS_SCALARS] = {0}, q = 0, variance = 0, mean = 0, square = 0;
    NutsState s = {.scalar = scalar, .q = &q, .variance = &variance, .mean = &mean, .square = &square};
    int window = 0;

    windows_begin(&s, config.warmup);
    for (PetscInt i = 0; i < config.warmup; i++) {
      PetscBool closed;

      q = i % 2 ? 1 : -1;
      windows_learn(&config, &s, i, &closed);
      if (closed) assert_int_equal(i, cases[c].ends[window++]);
    }
    assert_int_equal(cases[c].ends[window], -1);
    /* 500 numbers +-1, shrunk as Stan does */
    if (config.warmup == 1000) assert_close(variance, 500. / 505 * 500 / 499 + 1e-3 * 5 / 505, 1e-12);
  }
}

/* A wall within which the density is flat. */
static PetscErrorCode box(void *context, const double *x, double *log_density, double *gradient)
{
  (void)context;
  *log_density = fabs(x[0]) < 1 ? 0 : -INFINITY;
  gradient[0] = 0;
  return PETSC_SUCCESS;
}

static void what_has_no_density_is_never_reached(void **state)
{
  enum { DRAWS = 4000 };
  NutsConfig config = make_config(1, 200);

  (void)state;
  config.max_depth = 5;
  const Summary s = run(&config, box, NULL, DRAWS);
  assert_true(s.divergent > 0);
  assert_within(s.mean[0], 0, 0.1);
  assert_close(s.variance[0], 1. / 3, 0.1); /* flat between -1 and 1 */
}

static PetscErrorCode failing(void *context, const double *x, double *log_density, double *gradient)
{
  int *const left = context;

  PetscFunctionBeginUser;
  PetscCheck((*left)--, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "no more");
  *log_density = -x[0] * x[0] / 2;
  gradient[0] = -x[0];
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void errors_of_the_density_are_the_chains(void **state)
{
  const NutsConfig config = make_config(1, 10);
  Nuts *nuts = NULL;
  NutsTransition transition;
  int left = 100;
  const double x[1] = {0.5};
  PetscErrorCode error = PETSC_SUCCESS;

  (void)state;
  assert_ok(nuts_create(&config, failing, &left, &nuts));
  assert_ok(nuts_start(nuts, x));
  while (!error) error = nuts_step(nuts, &transition);
  assert_int_equal(error, NEPHRITE_ERR_INPUT);
  assert_string_equal(error_message(), "no more");
  assert_ok(nuts_destroy(&nuts));
}

static void a_chain_does_not_start_where_there_is_no_density(void **state)
{
  const NutsConfig config = make_config(1, 10);
  Nuts *nuts = NULL;
  const double outside[1] = {2};

  (void)state;
  assert_ok(nuts_create(&config, box, NULL, &nuts));
  assert_fails(nuts_start(nuts, outside), NEPHRITE_ERR_INPUT, "a chain starts where the log-density is -inf");
  assert_ok(nuts_destroy(&nuts));
}

static void numbers_out_of_range_are_refused(void **state)
{
  NutsConfig config = make_config(2, 10);
  Nuts *nuts = NULL;

  (void)state;
  config.dense = 3;
  assert_fails(nuts_create(&config, box, NULL, &nuts), NEPHRITE_ERR_CONFIG, "3 of them with a dense");
  config = make_config(0, 10);
  assert_fails(nuts_create(&config, box, NULL, &nuts), NEPHRITE_ERR_CONFIG, "a chain in 0 dimensions");
  config = make_config(2, 10);
  config.max_depth = 21;
  assert_fails(nuts_create(&config, box, NULL, &nuts), NEPHRITE_ERR_CONFIG, "double 21 times");
  config = make_config(2, 10);
  config.target_acceptance = 1;
  assert_fails(nuts_create(&config, box, NULL, &nuts), NEPHRITE_ERR_CONFIG, "target acceptance of 1");
}

/* ------------------------------------------------------------------ chains of several ranks */

enum { HEAD = 2, PIECES = 3, TOTAL = 10, WHOLE = HEAD + PIECES * TOTAL };

/* Two standard normals that all ranks have, and normals around the first of them that ranks divide. */
typedef struct {
  MPI_Comm comm;
  GroupShare share;
} Divided;

static Divided divide(MPI_Comm comm)
{
  PetscMPIInt rank, size;

  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  const PetscInt first = TOTAL * rank / size;
  return (Divided){comm, {PIECES, TOTAL, first, TOTAL * (rank + 1) / size - first}};
}

static PetscErrorCode divided_density(void *context, const double *x, double *log_density, double *gradient)
{
  const Divided *const d = context;
  double sum[2] = {0}; /* of the log-density, and of its derivative by the first coordinate */

  for (PetscInt i = 0; i < d->share.pieces * d->share.length; i++) {
    const PetscInt place = i / d->share.length * TOTAL + d->share.first + i % d->share.length;
    const double scale = 1 + (double)(place % 5), y = (x[HEAD + i] - x[0]) / scale;

    sum[0] -= y * y / 2;
    sum[1] += y / scale;
    gradient[HEAD + i] = -y / scale;
  }
  MPI_Allreduce(MPI_IN_PLACE, sum, 2, MPI_DOUBLE, MPI_SUM, d->comm);
  *log_density = sum[0] - (x[0] * x[0] + x[1] * x[1]) / 2;
  gradient[0] = sum[1] - x[0];
  gradient[1] = -x[1];
  return PETSC_SUCCESS;
}

static NutsConfig divided_config(const Divided *d)
{
  NutsConfig config = make_config(HEAD + PIECES * d->share.length, 30);

  config.comm = d->comm;
  config.dense = HEAD;
  config.share = d->share;
  return config;
}

static Nuts *make_divided(Divided *d)
{
  const NutsConfig config = divided_config(d);
  double x[WHOLE] = {0};
  Nuts *nuts = NULL;

  group_random_normal(&d->share, config.key, UINT64_C(1) << 60, x + HEAD);
  assert_ok(nuts_create(&config, divided_density, d, &nuts));
  assert_ok(nuts_start(nuts, x));
  return nuts;
}

/* The whole state of a chain, on all ranks. */
static double *state_of(const Nuts *nuts, MPI_Comm comm)
{
  const size_t size = nuts_state_size(nuts);
  double *const state = calloc(size, sizeof *state);
  PetscMPIInt rank;

  assert_non_null(state);
  MPI_Comm_rank(comm, &rank);
  assert_ok(nuts_state_save(nuts, rank ? NULL : state));
  MPI_Bcast(state, (int)size, MPI_DOUBLE, 0, comm);
  return state;
}

/* What begins as rounding of sums grows by half with each iteration, as step size and mass learn from it.
 */
static double growth(int iterations)
{
  return fmin(1e-13 * pow(1.6, iterations), 1e-5);
}

static void compare_states(const double *ours, const double *theirs, size_t size)
{
  for (size_t i = 0; i < size; i++) assert_within(ours[i], theirs[i], growth(1000) * (1 + fabs(theirs[i])));
}

static void a_chain_of_several_ranks_is_that_of_one(void **state)
{
  Divided one = divide(PETSC_COMM_SELF), all = divide(PETSC_COMM_WORLD);
  Nuts *alone = make_divided(&one), *together = make_divided(&all);

  (void)state;
  assert_int_equal(nuts_state_size(alone), nuts_state_size(together));
  for (int i = 0; i < 35; i++) { /* the mass matrix is learnt at iteration 26 */
    NutsTransition ours, theirs;

    assert_ok(nuts_step(alone, &theirs));
    assert_ok(nuts_step(together, &ours));
    assert_int_equal(ours.steps, theirs.steps);
    assert_close(ours.energy, theirs.energy, growth(i));
    assert_close(ours.step_size, theirs.step_size, growth(i));
  }
  double *const ours = state_of(together, PETSC_COMM_WORLD), *const theirs = state_of(alone, PETSC_COMM_SELF);
  compare_states(ours, theirs, nuts_state_size(alone));
  free(ours), free(theirs);
  assert_ok(nuts_destroy(&alone));
  assert_ok(nuts_destroy(&together));
}

static void a_share_that_is_all_need_not_be_told(void **state)
{
  Divided one = divide(PETSC_COMM_SELF);
  Nuts *told = make_divided(&one), *untold = NULL;
  NutsConfig config = divided_config(&one);

  (void)state;
  config.share = (GroupShare){0};
  assert_ok(nuts_create(&config, divided_density, &one, &untold));
  assert_ok(nuts_start(untold, nuts_position(told)));
  step(told, 10);
  step(untold, 10);
  assert_memory_equal(nuts_position(told), nuts_position(untold), WHOLE * sizeof(double));
  assert_ok(nuts_destroy(&told));
  assert_ok(nuts_destroy(&untold));
}

/* Saved by one number of ranks, restored by another. */
static void check_resumed(MPI_Comm from, MPI_Comm to, PetscBool exactly)
{
  Divided before = divide(from), after = divide(to);
  Nuts *whole = make_divided(&before), *resumed = make_divided(&after);
  const size_t size = nuts_state_size(whole);

  step(whole, 20);
  step(resumed, 1); /* something that restoring has to overwrite */
  double *const saved = state_of(whole, from);
  assert_ok(nuts_state_restore(resumed, saved));
  assert_int_equal(nuts_iteration(resumed), 20);
  step(whole, 15);
  step(resumed, 15);
  double *const expected = state_of(whole, from), *const end = state_of(resumed, to);
  if (exactly)
    assert_memory_equal(end, expected, size * sizeof *end);
  else
    compare_states(end, expected, size);
  free(saved), free(expected), free(end);
  assert_ok(nuts_destroy(&whole));
  assert_ok(nuts_destroy(&resumed));
}

static void a_chain_goes_on_on_another_number_of_ranks(void **state)
{
  (void)state;
  check_resumed(PETSC_COMM_WORLD, PETSC_COMM_WORLD, PETSC_TRUE);
  check_resumed(PETSC_COMM_SELF, PETSC_COMM_WORLD, PETSC_FALSE);
  check_resumed(PETSC_COMM_WORLD, PETSC_COMM_SELF, PETSC_FALSE);
}

static void shares_that_do_not_fit_are_refused(void **state)
{
  const Divided all = divide(PETSC_COMM_WORLD);
  NutsConfig config = divided_config(&all);
  Nuts *nuts = NULL;
  PetscMPIInt rank;

  (void)state;
  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  if (!rank) config.dimension++; /* the others hear of it */
  assert_fails(nuts_create(&config, divided_density, NULL, &nuts), NEPHRITE_ERR_INTERNAL, "2 coordinates in common");
  config = divided_config(&all);
  config.share.total++;
  assert_fails(nuts_create(&config, divided_density, NULL, &nuts), NEPHRITE_ERR_INTERNAL, "the shares of 11 numbers");
}

NEPHRITE_TEST_MAIN(
    cmocka_unit_test(moments_of_correlated_normals_come_out),
    cmocka_unit_test(the_exact_density_is_sampled_whatever_trajectories_follow),
    cmocka_unit_test(dual_averaging_finds_the_step_size_of_the_target),
    cmocka_unit_test(the_step_size_reaches_the_target_acceptance), cmocka_unit_test(a_funnel_is_explored_into_its_neck),
    cmocka_unit_test(a_dense_block_undoes_correlations),
    cmocka_unit_test(the_dense_block_and_the_rest_have_momenta_of_their_own),
    cmocka_unit_test(a_chain_restored_goes_on_bit_for_bit), cmocka_unit_test(chains_of_other_keys_are_others),
    cmocka_unit_test(the_windows_of_the_warmup_are_stans), cmocka_unit_test(what_has_no_density_is_never_reached),
    cmocka_unit_test(errors_of_the_density_are_the_chains),
    cmocka_unit_test(a_chain_does_not_start_where_there_is_no_density),
    cmocka_unit_test(numbers_out_of_range_are_refused), cmocka_unit_test(a_chain_of_several_ranks_is_that_of_one),
    cmocka_unit_test(a_share_that_is_all_need_not_be_told),
    cmocka_unit_test(a_chain_goes_on_on_another_number_of_ranks), cmocka_unit_test(shares_that_do_not_fit_are_refused))
