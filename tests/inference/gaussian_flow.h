/** A flow whose solution is known: independent normals N(mu, s^2), in the place of maps and parameters. */
#ifndef NEPHRITE_GAUSSIAN_FLOW_H
#define NEPHRITE_GAUSSIAN_FLOW_H

#include "inference/solver.h"
#include "nephrite_test.h"

#include <stdlib.h>

enum { GAUSSIAN_MAPS = 6, GAUSSIAN_COUNT = 8, GAUSSIAN_MAX_STEPS = 256 };

/** With z = t x + (1 - t) eps the mean of x given z is mu + t s^2 (z - t mu) / v, v = t^2 s^2 + (1 - t)^2, and the flow
 * keeps z - t mu over sqrt(v): it takes eps to t mu + sqrt(v) eps. */
typedef struct {
  double mu[GAUSSIAN_COUNT], s[GAUSSIAN_COUNT], noise[GAUSSIAN_COUNT];
  int calls;
  double t[GAUSSIAN_MAX_STEPS]; /* of the calls */
  int steps;
  Scalar z[GAUSSIAN_MAX_STEPS][GAUSSIAN_COUNT]; /* after each step, as told */
} GaussianFlow;

static inline GaussianFlow gaussian_flow(double s)
{
  GaussianFlow g = {.calls = 0};

  for (int i = 0; i < GAUSSIAN_COUNT; i++) {
    g.mu[i] = 0.3 * i - 1;
    g.s[i] = s * (1 + 0.2 * i);
    g.noise[i] = 0.5 * i - 1.6;
  }
  return g;
}

static inline double gaussian_spread(const GaussianFlow *g, int i, double t)
{
  return sqrt(t * t * g->s[i] * g->s[i] + (1 - t) * (1 - t));
}

/** Where the flow has taken number i at time t. */
static inline double gaussian_state(const GaussianFlow *g, int i, double t)
{
  return t * g->mu[i] + gaussian_spread(g, i, t) * g->noise[i];
}

/** The prediction there: where a draw lands if it is moved onto the prediction at t. */
static inline double gaussian_landing(const GaussianFlow *g, int i, double t)
{
  return g->mu[i] + t * g->s[i] * g->s[i] / gaussian_spread(g, i, t) * g->noise[i];
}

static inline PetscErrorCode gaussian_predict(void *context, const Scalar *z, double t, Scalar *x_hat)
{
  GaussianFlow *g = context;

  PetscFunctionBeginUser;
  assert_true(z != x_hat);
  if (g->calls < GAUSSIAN_MAX_STEPS) g->t[g->calls] = t;
  g->calls++;
  for (int i = 0; i < GAUSSIAN_COUNT; i++) {
    const double v = t * t * g->s[i] * g->s[i] + (1 - t) * (1 - t);

    x_hat[i] = (Scalar)(g->mu[i] + t * g->s[i] * g->s[i] / v * ((double)z[i] - t * g->mu[i]));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static inline PetscErrorCode gaussian_step_done(void *context, PetscInt step, const Scalar *z)
{
  GaussianFlow *g = context;

  PetscFunctionBeginUser;
  assert_int_equal(step, ++g->steps);
  if (step < GAUSSIAN_MAX_STEPS) memcpy(g->z[step], z, sizeof g->z[step]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static inline PetscErrorCode failing_predict(void *context, const Scalar *z, double t, Scalar *x_hat)
{
  GaussianFlow *g = context;

  PetscFunctionBeginUser;
  PetscCheck(g->calls < 2, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "no prediction");
  PetscCall(gaussian_predict(context, z, t, x_hat));
  PetscFunctionReturn(PETSC_SUCCESS);
}

typedef PetscErrorCode (*Predict)(void *context, const Scalar *z, double t, Scalar *x_hat);

/** Integrate from g->noise.  \param[out] z [GAUSSIAN_COUNT] */
static inline PetscErrorCode gaussian_run(GaussianFlow *g, const SamplerSettings *settings, Predict predict, Scalar *z)
{
  const Flow flow = {.maps = GAUSSIAN_MAPS,
                     .count = GAUSSIAN_COUNT,
                     .time_floor = 1e-9,
                     .predict = predict,
                     .step_done = gaussian_step_done,
                     .context = g};
  const Solver *solver = solver_of(settings);
  Scalar *work = calloc(solver->work * GAUSSIAN_COUNT, sizeof *work);

  assert_non_null(work);
  g->calls = g->steps = 0;
  for (int i = 0; i < GAUSSIAN_COUNT; i++) z[i] = (Scalar)g->noise[i];
  const PetscErrorCode error = solver->integrate(&flow, settings, work, z);
  free(work);
  return error;
}

/** The largest error of a draw that lands on the prediction where \p noise_left is left, over the spread. */
static inline double gaussian_error(double s, const SamplerSettings *settings, double noise_left)
{
  GaussianFlow g = gaussian_flow(s);
  Scalar z[GAUSSIAN_COUNT];
  double error = 0;

  assert_ok(gaussian_run(&g, settings, gaussian_predict, z));
  for (int i = 0; i < GAUSSIAN_COUNT; i++)
    error = fmax(error, fabs((double)z[i] - gaussian_landing(&g, i, 1 - noise_left)) / g.s[i]);
  return error;
}

#endif
