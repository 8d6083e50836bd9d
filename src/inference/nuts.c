/** \file nuts.c  The no-U-turn sampler with multinomial weights.  \ingroup inference
 *
 * Hoffman & Gelman 2014 (1111.4246) with the weights and the criterion of Betancourt 2017 (1701.02434, appendix A), and
 * as in Stan the criterion across the seam of each two subtrees as well.
 */
#include "inference/nuts.h"

#include <math.h>

#define LARGEST_ERROR 1000. /* of the energy, beyond which a trajectory has diverged */

/* A position that may become the next one. */
typedef struct {
  double *q, *gradient; /* [dimension] */
  double log_density, energy;
} Proposal;

/* A stretch of a trajectory, in the order in which it was made. */
typedef struct {
  double *momentum; /* [dimension] sum over its points */
  double *begin, *end; /* [dimension] momenta of the first and of the last */
  Proposal *proposal; /* one of its points, by their weights */
  double log_weight; /* of all of them: ln sum exp(H_0 - H) */
} Stretch;

/* Work space to join two stretches: the end of the first, and the second but for its end. */
typedef struct {
  double *first_end, *first_momentum, *second_begin, *second_momentum;
  Proposal proposal;
} Seam;

struct Nuts {
  NutsConfig config; /* with its share filled in */
  uint64_t dimension; /* of all ranks */
  Hamiltonian hamiltonian;
  NutsState state;
  double *vectors; /* all of the vectors below */
  PhasePoint forward, backward; /* the ends of the trajectory */
  double *seam_forward, *seam_backward; /* momenta on either side of the seam of the last doubling */
  double *end_forward, *end_backward; /* momenta at the ends */
  double *momentum, *momentum_forward, *momentum_backward; /* sums of all, and on either side of the seam */
  Proposal sample, proposal;
  Seam seam[NUTS_MOST_DEPTH + 1];
  /* Of the iteration at hand. */
  PhasePoint *moving; /* the end at which the trajectory grows */
  double step, first_energy, acceptance; /* signed; H_0; sum of min(1, exp(H_0 - H)) */
  PetscInt steps;
  PetscBool divergent;
  uint64_t uniforms; /* used */
};

/* ------------------------------------------------------------------ keyed numbers */

/* Each iteration has positions of its own: normals for its momenta and for those of the step-size search after it, then
 * uniform numbers, two for each point of the longest trajectory. */
typedef enum { OF_ITERATION, OF_SEARCH } MomentumUse;

static uint64_t even(uint64_t dimension)
{
  return dimension + dimension % 2;
}

static uint64_t first_position(const Nuts *n)
{
  const uint64_t iteration = (uint64_t)n->state.scalar[NUTS_ITERATION];

  return iteration * (2 * even(n->dimension) + (UINT64_C(2) << n->config.max_depth));
}

static void draw_momentum(const Nuts *n, MomentumUse use, double *p)
{
  const uint64_t position = first_position(n) + (use == OF_SEARCH ? even(n->dimension) : 0);
  const size_t dense = (size_t)n->config.dense;

  random_normal(n->config.key, position, dense, p);
  group_random_normal(&n->config.share, n->config.key, position + dense, p + dense);
  hamiltonian_momentum(&n->hamiltonian, p);
}

static double draw_uniform(Nuts *n)
{
  double value;

  random_uniform(n->config.key, first_position(n) + 2 * even(n->dimension) + n->uniforms++, 1, &value);
  return value;
}

/* ------------------------------------------------------------------ creation */

/* All vectors in one block of memory; \p next runs through it. */
static double *take(double **next, PetscInt dimension)
{
  double *const vector = *next;

  *next += dimension;
  return vector;
}

static void take_proposal(double **next, PetscInt dimension, Proposal *proposal)
{
  proposal->q = take(next, dimension);
  proposal->gradient = take(next, dimension);
}

static void take_point(double **next, PetscInt dimension, PhasePoint *point)
{
  point->q = take(next, dimension);
  point->p = take(next, dimension);
  point->gradient = take(next, dimension);
}

static PetscErrorCode create_vectors(Nuts *n)
{
  enum { POINTS = 2 * 3, MOMENTA = 7, PROPOSALS = 2 * 2, OF_SEAM = 4 + 2 };
  const PetscInt dimension = n->config.dimension;
  double *next;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)dimension * (size_t)(POINTS + MOMENTA + PROPOSALS + OF_SEAM * n->config.max_depth),
                         &n->vectors));
  next = n->vectors;
  take_point(&next, dimension, &n->forward);
  take_point(&next, dimension, &n->backward);
  double **const momenta[MOMENTA] = {&n->seam_forward, &n->seam_backward,    &n->end_forward,      &n->end_backward,
                                     &n->momentum,     &n->momentum_forward, &n->momentum_backward};
  for (int i = 0; i < MOMENTA; i++) *momenta[i] = take(&next, dimension);
  take_proposal(&next, dimension, &n->sample);
  take_proposal(&next, dimension, &n->proposal);
  for (PetscInt depth = 1; depth <= n->config.max_depth; depth++) {
    Seam *const seam = &n->seam[depth];
    double **const of_seam[] = {&seam->first_end, &seam->first_momentum, &seam->second_begin, &seam->second_momentum};

    for (int i = 0; i < 4; i++) *of_seam[i] = take(&next, dimension);
    take_proposal(&next, dimension, &seam->proposal);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode create_parts(Nuts *n, LogDensity *density, void *context)
{
  PetscFunctionBeginUser;
  PetscCall(nuts_state_create(&n->config, &n->state));
  PetscCall(hamiltonian_create(&n->config, density, context, &n->hamiltonian));
  n->hamiltonian.variance = n->state.variance;
  n->hamiltonian.covariance = n->state.covariance;
  PetscCall(create_vectors(n));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode nuts_create(const NutsConfig *config, LogDensity *density, void *context, Nuts **nuts)
{
  NutsConfig whole;
  Nuts *n = NULL;

  PetscFunctionBeginUser;
  PetscCall(nuts_config_complete(config, &whole));
  PetscCall(PetscNew(&n));
  *nuts = n;
  n->config = whole;
  n->dimension = nuts_whole_dimension(&whole);
  PetscCall(group_agree(config->comm, create_parts(n, density, context)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode nuts_destroy(Nuts **nuts)
{
  PetscFunctionBeginUser;
  if (!*nuts) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(hamiltonian_destroy(&(*nuts)->hamiltonian));
  PetscCall(PetscFree((*nuts)->state.values));
  PetscCall(PetscFree((*nuts)->vectors));
  PetscCall(PetscFree(*nuts));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ step size */

static PetscErrorCode copy(const Nuts *n, const double *from, double *to)
{
  PetscFunctionBeginUser;
  PetscCall(PetscArraycpy(to, from, n->config.dimension));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A point at the chain's position with momenta of an iteration. */
static PetscErrorCode begin_at(const Nuts *n, MomentumUse use, PhasePoint *point)
{
  PetscFunctionBeginUser;
  PetscCall(copy(n, n->state.q, point->q));
  PetscCall(copy(n, n->state.gradient, point->gradient));
  point->log_density = n->state.scalar[NUTS_LOG_DENSITY];
  draw_momentum(n, use, point->p);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* H_0 - H after one step. */
static PetscErrorCode try_step(Nuts *n, double step, double *gain)
{
  double before, after;

  PetscFunctionBeginUser;
  PetscCall(begin_at(n, OF_SEARCH, &n->forward));
  PetscCall(hamiltonian_energy(&n->hamiltonian, &n->forward, &before));
  PetscCall(hamiltonian_leapfrog(&n->hamiltonian, step, &n->forward));
  PetscCall(hamiltonian_energy(&n->hamiltonian, &n->forward, &after));
  *gain = before - after;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Double or halve the step until one is accepted with a probability that crosses 0.8 (Hoffman & Gelman 2014, algorithm
 * 4, with Stan's threshold); then begin to learn it anew. */
static PetscErrorCode search_step_size(Nuts *n)
{
  const double threshold = log(0.8);
  double *const step = &n->state.scalar[NUTS_STEP_SIZE], gain = 0;

  PetscFunctionBeginUser;
  PetscCall(try_step(n, *step, &gain));
  const PetscBool grow = gain > threshold ? PETSC_TRUE : PETSC_FALSE;
  while (grow == (gain > threshold ? PETSC_TRUE : PETSC_FALSE)) {
    *step *= grow ? 2 : 0.5;
    PetscCheck(*step > 1e-12 && *step < 1e7, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "no step size suits this density: the last one tried was %.3g", *step);
    PetscCall(try_step(n, *step, &gain));
  }
  dual_averaging_begin(n->state.scalar);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode nuts_start(Nuts *n, const double *x)
{
  NutsState *const state = &n->state;
  double *const log_density = &state->scalar[NUTS_LOG_DENSITY];

  PetscFunctionBeginUser;
  PetscCall(nuts_state_begin(&n->config, state));
  PetscCall(copy(n, x, state->q));
  PetscCall(hamiltonian_set_mass(&n->hamiltonian));
  PetscCall(n->hamiltonian.density(n->hamiltonian.context, state->q, log_density, state->gradient));
  PetscCheck(isfinite(*log_density), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "a chain starts where the log-density is %.6g", *log_density);
  windows_begin(state, n->config.warmup);
  state->scalar[NUTS_STEP_SIZE] = 1 / sqrt(sqrt((double)n->dimension)); /* right for standard normals */
  PetscCall(search_step_size(n));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ trajectories */

static void exchange(Proposal *a, Proposal *b)
{
  const Proposal kept = *a;

  *a = *b;
  *b = kept;
}

/* Do two momenta still lead apart, along the sum of those between?  (Betancourt 2017, eq. A.4.3)
 * \param[in,out] valid  not asked where it is already false */
static PetscErrorCode goes_on(const Nuts *n, const double *begin, const double *end, const double *sum,
                              PetscBool *valid)
{
  const double *const ends[] = {begin, end};

  PetscFunctionBeginUser;
  for (int i = 0; i < 2 && *valid; i++) {
    double product;

    PetscCall(hamiltonian_product(&n->hamiltonian, ends[i], sum, &product));
    *valid = product > 0 ? PETSC_TRUE : PETSC_FALSE;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* sum = a + b, where the momenta of one side of a seam and the first of the other are wanted. */
static void add(const Nuts *n, const double *a, const double *b, double *sum)
{
  for (PetscInt i = 0; i < n->config.dimension; i++) sum[i] = a[i] + b[i];
}

/* One point more.  \param[out] valid  it did not diverge */
static PetscErrorCode grow_point(Nuts *n, Stretch *stretch, PetscBool *valid)
{
  PhasePoint *const point = n->moving;
  double energy;

  PetscFunctionBeginUser;
  PetscCall(hamiltonian_leapfrog(&n->hamiltonian, n->step, point));
  n->steps++;
  PetscCall(hamiltonian_energy(&n->hamiltonian, point, &energy));
  const double gain = n->first_energy - energy;
  if (!(gain >= -LARGEST_ERROR)) n->divergent = PETSC_TRUE;
  *valid = n->divergent ? PETSC_FALSE : PETSC_TRUE;
  n->acceptance += fmin(1, exp(gain));
  stretch->log_weight = gain;
  PetscCall(copy(n, point->q, stretch->proposal->q));
  PetscCall(copy(n, point->gradient, stretch->proposal->gradient));
  stretch->proposal->log_density = point->log_density;
  stretch->proposal->energy = energy;
  PetscCall(copy(n, point->p, stretch->momentum));
  PetscCall(copy(n, point->p, stretch->begin));
  PetscCall(copy(n, point->p, stretch->end));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Join two stretches of equal length, of which the first has the begin and the second the end of the whole. */
static PetscErrorCode join(Nuts *n, Seam *seam, const Stretch *first, const Stretch *second, Stretch *whole,
                           PetscBool *valid)
{
  double *const sum = whole->momentum;

  PetscFunctionBeginUser;
  whole->log_weight = log_sum(first->log_weight, second->log_weight);
  if (draw_uniform(n) < exp(second->log_weight - whole->log_weight)) exchange(whole->proposal, &seam->proposal);
  add(n, first->momentum, second->begin, sum);
  PetscCall(goes_on(n, whole->begin, second->begin, sum, valid));
  add(n, second->momentum, first->end, sum);
  PetscCall(goes_on(n, first->end, whole->end, sum, valid));
  add(n, first->momentum, second->momentum, sum);
  PetscCall(goes_on(n, whole->begin, whole->end, sum, valid));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* 2^depth points more.  \param[in,out] stretch  has the vectors to fill
 * \param[out] valid  neither diverged nor turned back within */
static PetscErrorCode grow(Nuts *n, PetscInt depth, Stretch *stretch,
                           PetscBool *valid) /* NOLINT: depth <= NUTS_MOST_DEPTH */
{
  Seam *const seam = &n->seam[depth];

  PetscFunctionBeginUser;
  if (depth == 0) {
    PetscCall(grow_point(n, stretch, valid));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  Stretch first = {seam->first_momentum, stretch->begin, seam->first_end, stretch->proposal, -INFINITY};
  PetscCall(grow(n, depth - 1, &first, valid));
  if (!*valid) PetscFunctionReturn(PETSC_SUCCESS);
  Stretch second = {seam->second_momentum, seam->second_begin, stretch->end, &seam->proposal, -INFINITY};
  PetscCall(grow(n, depth - 1, &second, valid));
  if (*valid) PetscCall(join(n, seam, &first, &second, stretch, valid));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Double the trajectory at one of its ends.  \param[in,out] log_weight  of all of it
 * \param[out] valid  may it be doubled once more? */
static PetscErrorCode double_trajectory(Nuts *n, PetscInt depth, double *log_weight, PetscBool *valid)
{
  const PetscBool ahead = draw_uniform(n) > 0.5 ? PETSC_TRUE : PETSC_FALSE;
  Stretch added = {ahead ? n->momentum_forward : n->momentum_backward, ahead ? n->seam_forward : n->seam_backward,
                   ahead ? n->end_forward : n->end_backward, &n->proposal, -INFINITY};

  PetscFunctionBeginUser;
  n->moving = ahead ? &n->forward : &n->backward;
  n->step = (ahead ? 1 : -1) * n->state.scalar[NUTS_STEP_SIZE];
  /* what there is so far lies on the other side of the seam */
  PetscCall(copy(n, n->momentum, ahead ? n->momentum_backward : n->momentum_forward));
  PetscCall(ahead ? copy(n, n->end_forward, n->seam_backward) : copy(n, n->end_backward, n->seam_forward));
  PetscCall(grow(n, depth, &added, valid));
  if (!*valid) PetscFunctionReturn(PETSC_SUCCESS);
  /* biased towards what was added: further away (Betancourt 2017, section A.3.2) */
  if (draw_uniform(n) < exp(added.log_weight - *log_weight)) exchange(&n->sample, &n->proposal);
  *log_weight = log_sum(*log_weight, added.log_weight);
  add(n, n->momentum_backward, n->seam_forward, n->momentum);
  PetscCall(goes_on(n, n->end_backward, n->seam_forward, n->momentum, valid));
  add(n, n->momentum_forward, n->seam_backward, n->momentum);
  PetscCall(goes_on(n, n->seam_backward, n->end_forward, n->momentum, valid));
  add(n, n->momentum_backward, n->momentum_forward, n->momentum);
  PetscCall(goes_on(n, n->end_backward, n->end_forward, n->momentum, valid));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A trajectory of one point, with new momenta. */
static PetscErrorCode begin_trajectory(Nuts *n)
{
  double *const momenta[] = {n->backward.p,   n->momentum,     n->end_forward,
                             n->end_backward, n->seam_forward, n->seam_backward};

  PetscFunctionBeginUser;
  n->steps = 0;
  n->acceptance = 0;
  n->divergent = PETSC_FALSE;
  n->uniforms = 0;
  PetscCall(begin_at(n, OF_ITERATION, &n->forward));
  PetscCall(hamiltonian_energy(&n->hamiltonian, &n->forward, &n->first_energy));
  PetscCall(copy(n, n->forward.q, n->backward.q));
  PetscCall(copy(n, n->forward.gradient, n->backward.gradient));
  n->backward.log_density = n->forward.log_density;
  for (size_t i = 0; i < PETSC_STATIC_ARRAY_LENGTH(momenta); i++) PetscCall(copy(n, n->forward.p, momenta[i]));
  PetscCall(copy(n, n->forward.q, n->sample.q));
  PetscCall(copy(n, n->forward.gradient, n->sample.gradient));
  n->sample.log_density = n->forward.log_density;
  n->sample.energy = n->first_energy;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ iterations */

static PetscErrorCode adapt(Nuts *n, PetscInt iteration, double acceptance)
{
  PetscBool closed;

  PetscFunctionBeginUser;
  dual_averaging_learn(n->state.scalar, n->config.target_acceptance, acceptance);
  windows_learn(&n->config, &n->state, iteration, &closed);
  if (closed) {
    PetscCall(hamiltonian_set_mass(&n->hamiltonian));
    PetscCall(search_step_size(n));
  }
  if (iteration == n->config.warmup - 1) dual_averaging_end(n->state.scalar);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Go to the end of the trajectory, or stay: trajectories are reversible for the density that they follow, so that the
 * ratio of densities decides.  Not before the mass matrix is learnt: far from where the chain is to be, that density
 * may be so wrong that none would be left again.  \param[out] probability  of going */
static PetscErrorCode move(Nuts *n, PetscInt iteration, double *probability)
{
  const PetscInt begin = windows_end(n->config.warmup);
  double *const scalar = n->state.scalar, correction = 0;

  PetscFunctionBeginUser;
  *probability = 1;
  if (n->config.exact && iteration >= begin) {
    if (iteration == begin)
      PetscCall(
          hamiltonian_correction(&n->hamiltonian, n->state.q, scalar[NUTS_LOG_DENSITY], &scalar[NUTS_CORRECTION]));
    PetscCall(hamiltonian_correction(&n->hamiltonian, n->sample.q, n->sample.log_density, &correction));
    *probability = fmin(1, exp(correction - scalar[NUTS_CORRECTION]));
    if (draw_uniform(n) >= *probability) PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(copy(n, n->sample.q, n->state.q));
  PetscCall(copy(n, n->sample.gradient, n->state.gradient));
  scalar[NUTS_LOG_DENSITY] = n->sample.log_density;
  scalar[NUTS_CORRECTION] = correction;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode nuts_step(Nuts *n, NutsTransition *transition)
{
  const PetscInt iteration = (PetscInt)n->state.scalar[NUTS_ITERATION];
  PetscInt depth = 0;
  PetscBool valid = PETSC_TRUE;
  double log_weight = 0, accepted = 0;

  PetscFunctionBeginUser;
  PetscCall(begin_trajectory(n));
  while (valid && depth < n->config.max_depth) {
    PetscCall(double_trajectory(n, depth, &log_weight, &valid));
    depth++;
  }
  PetscCall(move(n, iteration, &accepted));
  *transition = (NutsTransition){.log_density = n->state.scalar[NUTS_LOG_DENSITY] + n->state.scalar[NUTS_CORRECTION],
                                 .energy = n->sample.energy,
                                 .acceptance = n->acceptance / (double)n->steps,
                                 .step_size = n->state.scalar[NUTS_STEP_SIZE],
                                 .depth = depth,
                                 .steps = n->steps,
                                 .divergent = n->divergent,
                                 .accepted = accepted,
                                 .warmup = iteration < n->config.warmup ? PETSC_TRUE : PETSC_FALSE};
  if (transition->warmup) PetscCall(adapt(n, iteration, transition->acceptance));
  n->state.scalar[NUTS_ITERATION] = (double)(iteration + 1);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ state */

const double *nuts_position(const Nuts *nuts)
{
  return nuts->state.q;
}

PetscInt nuts_iteration(const Nuts *nuts)
{
  return (PetscInt)nuts->state.scalar[NUTS_ITERATION];
}

size_t nuts_state_size(const Nuts *nuts)
{
  return nuts_whole_size(&nuts->config);
}

PetscErrorCode nuts_state_save(const Nuts *nuts, double *state)
{
  PetscFunctionBeginUser;
  PetscCall(nuts_gather(&nuts->config, &nuts->state, state));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode nuts_state_restore(Nuts *nuts, const double *state)
{
  PetscFunctionBeginUser;
  PetscCall(nuts_scatter(&nuts->config, state, &nuts->state));
  PetscCall(hamiltonian_set_mass(&nuts->hamiltonian));
  PetscFunctionReturn(PETSC_SUCCESS);
}
