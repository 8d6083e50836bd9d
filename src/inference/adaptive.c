/** \file adaptive.c  A Runge-Kutta method whose steps follow from a tolerance.  \ingroup inference
 *
 * In the time y = -ln(1 - t) the flow is dz/dy = x_hat - z: nothing in it grows towards the data.  It is followed from
 * y = 0 to where settings->noise_left is left of the noise, by the pair of orders 5 and 4 of Dormand and Prince (1980),
 * and ends on the prediction there.
 */
#include "inference/solver.h"

#include <math.h>
#include <petscts.h>
#include <string.h>

#define FIRST_STEP 0.05 /* in y; the first error estimate puts it right */
enum { MAX_STEPS = 10000 };

typedef struct {
  const Flow *flow;
  Scalar *z, *x_hat; /* [count] each */
} Context;

static PetscErrorCode to_scalar(const Context *c, Vec vector)
{
  const PetscScalar *values;

  PetscFunctionBeginUser;
  PetscCall(VecGetArrayRead(vector, &values));
  for (size_t i = 0; i < c->flow->count; i++) c->z[i] = (Scalar)values[i];
  PetscCall(VecRestoreArrayRead(vector, &values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* dz/dy */
static PetscErrorCode rate(TS ts, PetscReal y, Vec state, Vec derivative, void *context)
{
  const Context *c = context;
  PetscScalar *values;

  (void)ts;
  PetscFunctionBeginUser;
  PetscCall(to_scalar(c, state));
  PetscCall(c->flow->predict(c->flow->context, c->z, -expm1(-y), c->x_hat));
  PetscCall(VecCopy(state, derivative));
  PetscCall(VecGetArray(derivative, &values));
  for (size_t i = 0; i < c->flow->count; i++) values[i] = (PetscScalar)c->x_hat[i] - values[i];
  PetscCall(VecRestoreArray(derivative, &values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode step_done(TS ts, PetscInt step, PetscReal y, Vec state, void *context)
{
  const Context *c = context;

  (void)ts, (void)y;
  PetscFunctionBeginUser;
  if (step == 0) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(to_scalar(c, state));
  PetscCall(flow_tell(c->flow, step, c->z));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* TS takes the root mean square over all numbers of error / tolerance.  Maps and parameters are to count alike, though
 * there are thousands of pixels for each parameter. */
static PetscErrorCode set_tolerance(const Flow *flow, double tolerance, Vec allowed)
{
  const size_t maps = flow->maps, rest = flow->count - flow->maps;
  const double parts = (maps ? 1 : 0) + (rest ? 1 : 0);
  PetscScalar *values;

  PetscFunctionBeginUser;
  PetscCall(VecGetArrayWrite(allowed, &values));
  for (size_t i = 0; i < flow->count; i++)
    values[i] = tolerance * sqrt(parts * (double)(i < maps ? maps : rest) / (double)flow->count);
  PetscCall(VecRestoreArrayWrite(allowed, &values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode configure(TS ts, const SamplerSettings *settings, Vec allowed, Context *context)
{
  PetscFunctionBeginUser;
  PetscCall(TSSetType(ts, TSRK));
  PetscCall(TSRKSetType(ts, TSRK5DP));
  PetscCall(TSSetRHSFunction(ts, NULL, rate, context));
  PetscCall(TSMonitorSet(ts, step_done, context, NULL));
  PetscCall(TSSetTolerances(ts, 0, allowed, 0, NULL));
  PetscCall(TSSetTime(ts, 0));
  PetscCall(TSSetTimeStep(ts, FIRST_STEP));
  PetscCall(TSSetMaxTime(ts, -log(settings->noise_left)));
  PetscCall(TSSetMaxSteps(ts, MAX_STEPS));
  PetscCall(TSSetExactFinalTime(ts, TS_EXACTFINALTIME_MATCHSTEP));
  PetscCall(TSSetErrorIfStepFails(ts, PETSC_FALSE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode solve(TS ts, double tolerance, Vec state)
{
  TSConvergedReason reason;

  PetscFunctionBeginUser;
  PetscCall(TSSolve(ts, state));
  PetscCall(TSGetConvergedReason(ts, &reason));
  PetscCheck(reason == TS_CONVERGED_TIME, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "no step is short enough for infer_tolerance %.6g; the rounding of a prediction is of order 1e-6",
             tolerance);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Along the flow until hardly any noise is left; what is left goes to c->z. */
static PetscErrorCode integrate(Context *c, const SamplerSettings *settings)
{
  Vec state = NULL, allowed = NULL;
  TS ts = NULL;
  PetscScalar *values;
  PetscInt count;

  PetscFunctionBeginUser;
  PetscCall(PetscIntCast((PetscInt64)c->flow->count, &count));
  PetscCall(VecCreateSeq(PETSC_COMM_SELF, count, &state));
  PetscCall(VecGetArrayWrite(state, &values));
  for (size_t i = 0; i < c->flow->count; i++) values[i] = (PetscScalar)c->z[i];
  PetscCall(VecRestoreArrayWrite(state, &values));
  PetscErrorCode error = VecDuplicate(state, &allowed);
  if (!error) error = set_tolerance(c->flow, settings->tolerance, allowed);
  if (!error) error = TSCreate(PETSC_COMM_SELF, &ts);
  if (!error) error = configure(ts, settings, allowed, c);
  if (!error) error = solve(ts, settings->tolerance, state);
  if (!error) error = to_scalar(c, state);
  PetscCall(TSDestroy(&ts));
  PetscCall(VecDestroy(&allowed));
  PetscCall(VecDestroy(&state));
  PetscFunctionReturn(error);
}

PetscErrorCode adaptive_integrate(const Flow *flow, const SamplerSettings *settings, Scalar *work, Scalar *z)
{
  Context context = {flow, z, work};

  PetscFunctionBeginUser;
  PetscCall(integrate(&context, settings));
  PetscCall(flow->predict(flow->context, z, 1 - settings->noise_left, context.x_hat));
  memcpy(z, context.x_hat, flow->count * sizeof *z);
  PetscFunctionReturn(PETSC_SUCCESS);
}
