/** \file multistep.c  Exponential multistep methods: one evaluation a step, all of them used again.  \ingroup inference
 *
 * With sigma = 1 - t the flow (x_hat - z)/(1 - t) has the solution
 *
 *   z(sigma1) = r z(sigma0) + sigma1 int_{sigma1}^{sigma0} x_hat dsigma / sigma^2,   r = sigma1 / sigma0,
 *
 * in which x_hat alone is unknown.  As in DPM-Solver++ (Lu et al. 2022, arXiv:2211.01095, eq. 8) it is replaced by a
 * polynomial through the last predictions.  Theirs is one in lambda = ln(t / sigma), which is infinite at both ends;
 * ours is one in sigma, in which a prediction is smooth from noise to data.  It begins at t = 0 and knows no floor of
 * the velocity; a draw ends exactly on the prediction at the last time.
 *
 * Once a step has been made and the network asked at its end, the answer corrects it before the next one begins, with a
 * polynomial through one prediction more (UniC of Zhao et al. 2023, arXiv:2302.04867), for no further evaluation.
 */
#include "inference/solver.h"

#include <math.h>
#include <petscdt.h>
#include <string.h>

enum { MAX_NODES = 4, POINTS = 12 };

/* Points and weights on (0, 1). */
typedef struct {
  PetscReal x[POINTS], w[POINTS];
} Quadrature;

/* Predictions so far, the last one first. */
typedef struct {
  Quadrature rule; /* for their integrals */
  int count, capacity;
  double sigma[MAX_NODES];
  Scalar *x_hat[MAX_NODES]; /* [flow->count] each */
} History;

/* Make room in front, where the oldest one was. */
static Scalar *history_push(History *h, double sigma)
{
  Scalar *oldest = h->x_hat[h->capacity - 1];

  for (int j = h->capacity - 1; j > 0; j--) {
    h->sigma[j] = h->sigma[j - 1];
    h->x_hat[j] = h->x_hat[j - 1];
  }
  h->sigma[0] = sigma;
  h->x_hat[0] = oldest;
  h->count = PetscMin(h->count + 1, h->capacity);
  return oldest;
}

/* A step in noise, made with so many of the last predictions. */
typedef struct {
  double from, to;
  int nodes;
} Step;

/* The Lagrange polynomial that is 1 at node j and 0 at the others. */
static double lagrange(int nodes, const double *node, int j, double sigma)
{
  double product = 1;

  for (int i = 0; i < nodes; i++)
    if (i != j) product *= (sigma - node[i]) / (node[j] - node[i]);
  return product;
}

/* weight[j] = sigma1 int L_j dsigma/sigma^2 over the step, by Gauss and Legendre in ln sigma: without the cancellation
 * that closed forms have in small steps.  \param node [step->nodes]  \param[out] weight [step->nodes] */
static void weigh(const Quadrature *rule, const Step *step, const double *node, double *weight)
{
  const double length = log(step->from / step->to);

  for (int j = 0; j < step->nodes; j++) weight[j] = 0;
  for (int k = 0; k < POINTS; k++) {
    const double y = length * rule->x[k], factor = length * rule->w[k] * exp(y - length); /* y = ln(sigma0 / sigma) */

    for (int j = 0; j < step->nodes; j++) weight[j] += factor * lagrange(step->nodes, node, j, step->from * exp(-y));
  }
}

/* out = r z + sum of the predictions by their weights.  \param[out] out [count], may be z */
static void advance(const Flow *flow, const History *h, const Step *step, const Scalar *z, Scalar *out)
{
  const double r = step->to / step->from;
  double weight[MAX_NODES];

  weigh(&h->rule, step, h->sigma, weight);
  for (size_t i = 0; i < flow->count; i++) {
    double sum = r * (double)z[i];

    for (int j = 0; j < step->nodes; j++) sum += weight[j] * (double)h->x_hat[j][i];
    out[i] = (Scalar)sum;
  }
}

/* The noise where evaluation i = 0 … n-1 is made: from all of it to settings->noise_left (Karras et al. 2022,
 * arXiv:2206.00364, eq. 5, with sigma_max = 1). */
static double sigma_of(const SamplerSettings *settings, PetscInt i)
{
  const double least = pow(settings->noise_left, 1 / settings->spacing);

  return pow(1 - (1 - least) * (double)i / (double)(settings->evaluations - 1), settings->spacing);
}

PetscErrorCode multistep_integrate(const Flow *flow, const SamplerSettings *settings, Scalar *work, Scalar *z)
{
  const int nodes = settings->solver == SOLVER_MULTISTEP2 ? 2 : 3;
  Scalar *begun = work; /* [count] z where a step begins: as predicted, then as corrected */
  History history = {.capacity = nodes + 1};

  PetscFunctionBeginUser;
  PetscCall(PetscDTGaussQuadrature(POINTS, 0, 1, history.rule.x, history.rule.w));
  memcpy(begun, z, flow->count * sizeof *z);
  for (int j = 0; j < history.capacity; j++) history.x_hat[j] = work + (size_t)(1 + j) * flow->count;
  for (PetscInt i = 0; i < settings->evaluations; i++) {
    const double sigma = sigma_of(settings, i);
    Scalar *x_hat = history_push(&history, sigma);

    PetscCall(flow->predict(flow->context, z, 1 - sigma, x_hat));
    if (i + 1 < settings->evaluations) {
      const Step corrected = {history.sigma[1], sigma, history.count};
      const Step next = {sigma, sigma_of(settings, i + 1), PetscMin(nodes, history.count)};

      if (i > 0) advance(flow, &history, &corrected, begun, begun);
      advance(flow, &history, &next, begun, z);
    } else
      memcpy(z, x_hat, flow->count * sizeof *z);
    PetscCall(flow_tell(flow, i + 1, z));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
