/** \file parameter_chain.c  Markov chains of parameters.  \ingroup inference
 *
 * Random-walk Metropolis with normal proposals (Metropolis et al. 1953).  During the warm-up the proposal takes the
 * covariance of the chain's own past (Haario, Saksman & Tamminen 2001) and the length at which the share of accepted
 * steps is best (Roberts & Rosenthal 2001; by the recursion of Andrieu & Thoms 2008, section 4); it is then frozen, so
 * that what is kept is a Markov chain.  Each stretch of the warm-up learns the covariance anew, and so forgets the way
 * from the start.
 *
 * Where there is an approximate density, the warm-up is of it, and so are the steps from one draw to the next, of which
 * the exact density then accepts or refuses the end: they are one proposal, reversible under the approximate density,
 * so the chance to accept is that of the exact one's change over the approximate one's (Liu 2001, section 9.4.3).
 */
#include "inference/modes.h"
#include "nephrite/inference.h"

#include <math.h>
#include <string.h>

enum { STEP_NUMBERS = 2 * NEPHRITE_MAX_PARAMETERS, MOST_STARTS = 1000 };

/* Stretches of the warm-up, in eighths of it: the first finds the posterior, the last the length of the steps. */
static const PetscInt stretch_ends[] = {1, 2, 4, 7, 8};
enum { STRETCHES = PETSC_STATIC_ARRAY_LENGTH(stretch_ends) };

typedef struct {
  const Prior *prior;
  const ParameterDensity *density;
  RandomKey key;
  uint64_t position; /* of the chain's random numbers */
  PetscInt parameters, count; /* count: of parameters that are not fixed */
  PetscInt *which; /* [count] of theta */
  double *spread; /* [count] standard deviation of the prior */
  double *theta, *next; /* [parameters] where the chain is, and where it may go */
  double log_density; /* that is followed */
  double exact; /* log-density at the last draw, where the followed one is an approximation */
  double *root; /* [count][count] of the proposal's covariance, lower triangle */
  double log_length, length_sum; /* of the steps, in units of that covariance; summed over a stretch */
  /* What a stretch of the warm-up has seen. */
  PetscInt seen;
  double *mean, *product; /* [count], [count][count] sum of products of deviations */
} Chain;

/* ---- one step ---- */

static PetscErrorCode follow(const Chain *c, const double *theta, double *log_density)
{
  const ParameterDensity *const followed = c->density->approximate ? c->density->approximate : c->density;

  PetscFunctionBeginUser;
  PetscCall(followed->evaluate(followed->context, theta, log_density));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode propose(Chain *c, uint64_t step, double *log_uniform)
{
  const uint64_t position = c->position + step * STEP_NUMBERS;
  double white[NEPHRITE_MAX_PARAMETERS];
  const double length = exp(c->log_length);

  PetscFunctionBeginUser;
  random_normal(c->key, position, (size_t)c->count, white);
  random_uniform(c->key, position + NEPHRITE_MAX_PARAMETERS, 1, log_uniform);
  *log_uniform = log(*log_uniform);
  PetscCall(PetscArraycpy(c->next, c->theta, c->parameters));
  for (PetscInt i = 0; i < c->count; i++)
    for (PetscInt j = 0; j <= i; j++) c->next[c->which[i]] += length * c->root[i * c->count + j] * white[j];
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param[out] probability  with which the step is accepted  \param[out] accepted  whether it is */
static PetscErrorCode make_step(Chain *c, uint64_t step, double *probability, PetscBool *accepted)
{
  double log_uniform, log_density;

  PetscFunctionBeginUser;
  PetscCheck(!interrupt_seen(), PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED, "asked to stop in a chain of parameters");
  PetscCall(propose(c, step, &log_uniform));
  PetscCall(follow(c, c->next, &log_density));
  const double change = log_density - c->log_density;
  *probability = change >= 0 ? 1 : change < 0 ? exp(change) : 0; /* 0 for what is no number */
  *accepted = change > log_uniform ? PETSC_TRUE : PETSC_FALSE;
  if (*accepted) {
    PetscCall(PetscArraycpy(c->theta, c->next, c->parameters));
    c->log_density = log_density;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- the warm-up ---- */

static void forget(Chain *c)
{
  c->seen = 0;
  c->length_sum = 0;
  memset(c->mean, 0, (size_t)c->count * sizeof *c->mean);
  memset(c->product, 0, (size_t)(c->count * c->count) * sizeof *c->product);
  c->log_length = log(2.38 / sqrt(c->count)); /* best for normals (Roberts & Rosenthal 2001) */
}

/* The share of steps to accept: 0.44 in one dimension, towards 0.234 in many (Roberts & Rosenthal 2001). */
static double best_acceptance(PetscInt dimensions)
{
  return 0.234 + 0.206 / dimensions;
}

static void learn(Chain *c, double probability)
{
  double before[NEPHRITE_MAX_PARAMETERS], after[NEPHRITE_MAX_PARAMETERS];

  c->seen++;
  for (PetscInt i = 0; i < c->count; i++) {
    before[i] = c->theta[c->which[i]] - c->mean[i];
    c->mean[i] += before[i] / c->seen;
    after[i] = c->theta[c->which[i]] - c->mean[i];
  }
  for (PetscInt i = 0; i < c->count; i++)
    for (PetscInt j = 0; j <= i; j++) c->product[i * c->count + j] += before[i] * after[j];
  c->log_length += (probability - best_acceptance(c->count)) / pow(c->seen, 0.6);
  c->length_sum += c->log_length;
}

/* The covariance that was seen becomes the proposal's.  A little of the prior's is added, as if five more steps had
 * seen a thousandth of it, so that a direction in which the chain has not moved stays open. */
static PetscErrorCode take_covariance(Chain *c)
{
  const double seen = c->seen, share = seen / (seen + 5);

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < c->count; i++)
    for (PetscInt j = 0; j <= i; j++)
      c->root[i * c->count + j] =
          share * c->product[i * c->count + j] / seen + (i == j ? (1 - share) * 1e-3 * c->spread[i] * c->spread[i] : 0);
  PetscCheck(matrix_cholesky(c->count, 0, c->root), PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "the covariance of %d steps of a chain is not positive definite", (int)c->seen);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode warm_up(Chain *c, PetscInt steps)
{
  PetscInt step = 0;

  PetscFunctionBeginUser;
  for (int s = 0; s < STRETCHES; s++) {
    forget(c);
    for (; step < (PetscInt)((int64_t)steps * stretch_ends[s] / 8); step++) {
      double probability;
      PetscBool accepted;

      PetscCall(make_step(c, (uint64_t)step + 1, &probability, &accepted));
      learn(c, probability);
    }
    if (s > 0 && s + 1 < STRETCHES && c->seen) PetscCall(take_covariance(c));
  }
  if (c->seen) c->log_length = c->length_sum / c->seen;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- a chain ---- */

/* Draws from the prior are further apart than the posterior is wide.  They are keyed by the chain: those of
 * realisations have the seed of the campaign, and among them is the truth. */
static PetscErrorCode find_start(Chain *c)
{
  const uint64_t seed = random_bits(c->key, c->position);
  PetscInt attempts = 0;

  PetscFunctionBeginUser;
  c->log_density = -INFINITY;
  for (PetscInt start = 0; start < MOST_STARTS && !isfinite(c->log_density); start++) {
    PetscCall(prior_draw(c->prior, seed, 0, attempts, c->theta, &attempts));
    PetscCall(follow(c, c->theta, &c->log_density));
  }
  PetscCheck(isfinite(c->log_density), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "the observation is impossible at %d draws from the prior: a chain of parameters finds no start",
             (int)MOST_STARTS);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode chain_create(Chain *c)
{
  double mean[NEPHRITE_MAX_PARAMETERS], std[NEPHRITE_MAX_PARAMETERS];

  PetscFunctionBeginUser;
  c->parameters = prior_count(c->prior);
  PetscCall(prior_moments(c->prior, mean, std));
  for (PetscInt p = 0; p < c->parameters; p++) c->count += std[p] > 0;
  PetscCheck(c->count, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "the prior fixes all parameters: none is left to draw");
  const size_t n = (size_t)c->count;
  PetscCall(PetscMalloc4(n, &c->which, n, &c->spread, c->parameters, &c->theta, c->parameters, &c->next));
  PetscCall(PetscCalloc3(n * n, &c->root, n, &c->mean, n * n, &c->product));
  c->count = 0;
  for (PetscInt p = 0; p < c->parameters; p++)
    if (std[p] > 0) {
      c->which[c->count] = p;
      c->spread[c->count++] = std[p];
    }
  for (PetscInt i = 0; i < c->count; i++) c->root[i * (c->count + 1)] = c->spread[i];
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode chain_destroy(Chain *c)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree4(c->which, c->spread, c->theta, c->next));
  PetscCall(PetscFree3(c->root, c->mean, c->product));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The steps of a draw.  \param[in,out] taken  how many steps were */
static PetscErrorCode wander(Chain *c, uint64_t first, PetscInt steps, int64_t *taken)
{
  PetscFunctionBeginUser;
  for (PetscInt step = 0; step < steps; step++) {
    double probability;
    PetscBool accepted;

    PetscCall(make_step(c, first + (uint64_t)step, &probability, &accepted));
    *taken += accepted;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Whether the exact density accepts where steps have led; if not, the chain is where it was.
 * \param last  number of the last step  \param from [parameters], \param followed  where it was, and its density there
 */
static PetscErrorCode judge(Chain *c, uint64_t last, const double *from, double followed, PetscBool *accepted)
{
  const uint64_t position = c->position + last * STEP_NUMBERS + NEPHRITE_MAX_PARAMETERS + 1;
  double uniform, exact;

  PetscFunctionBeginUser;
  random_uniform(c->key, position, 1, &uniform);
  PetscCall(c->density->evaluate(c->density->context, c->theta, &exact));
  /* a chain that begins where the exact density is 0 leaves as soon as it can */
  const double change = isinf(c->exact) ? INFINITY : exact - c->exact - (c->log_density - followed);
  *accepted = isfinite(exact) && change > log(uniform) ? PETSC_TRUE : PETSC_FALSE;
  if (*accepted) {
    c->exact = exact;
  } else {
    PetscCall(PetscArraycpy(c->theta, from, c->parameters));
    c->log_density = followed;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode run(Chain *c, const ChainLength *length, ChainDraws *out)
{
  double from[NEPHRITE_MAX_PARAMETERS];
  int64_t taken = 0;
  PetscInt kept = 0;

  PetscFunctionBeginUser;
  PetscCall(find_start(c));
  PetscCall(warm_up(c, length->warm_up));
  if (c->density->approximate) PetscCall(c->density->evaluate(c->density->context, c->theta, &c->exact));
  for (PetscInt draw = 0; draw < length->draws; draw++) {
    const uint64_t first = (uint64_t)length->warm_up + (uint64_t)draw * (uint64_t)length->thinning + 1;
    const double followed = c->log_density;
    PetscBool accepted = PETSC_TRUE;

    PetscCall(PetscArraycpy(from, c->theta, c->parameters));
    PetscCall(wander(c, first, length->thinning, &taken));
    if (c->density->approximate) PetscCall(judge(c, first + (uint64_t)length->thinning - 1, from, followed, &accepted));
    kept += accepted ? 1 : 0;
    PetscCall(PetscArraycpy(out->theta + draw * c->parameters, c->theta, c->parameters));
    if (out->log_density) out->log_density[draw] = c->density->approximate ? c->exact : c->log_density;
  }
  out->acceptance = (double)taken / ((double)length->draws * length->thinning);
  out->accepted = (double)kept / length->draws;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode parameter_chain_run(const Prior *prior, const ParameterDensity *density, const ChainLength *length,
                                   RandomKey key, PetscInt chain, ChainDraws *draws)
{
  /* half of all positions are the chains', 2^40 each */
  Chain c = {.prior = prior, .density = density, .key = key, .position = UINT64_C(1) << 63 | (uint64_t)chain << 40};

  PetscFunctionBeginUser;
  PetscCheck(length->draws > 0 && length->thinning > 0 && length->warm_up >= 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "a chain of %d draws, one every %d steps after %d, has none; draws and steps must be positive",
             (int)length->draws, (int)length->thinning, (int)length->warm_up);
  PetscErrorCode error = chain_create(&c);
  if (!error) error = run(&c, length, draws);
  PetscCall(chain_destroy(&c));
  PetscFunctionReturn(error);
}
