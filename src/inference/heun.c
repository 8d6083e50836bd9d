/** \file heun.c  Heun's method on the flow, as published.  \ingroup inference
 *
 * v(z, t) = (x_hat(z, t) - z) / max(1 - t, tau) in equal steps, with one of three endings (network.md, section 8).
 */
#include "inference/solver.h"

#include <math.h>
#include <string.h>

/* Evaluations beyond two for each step. */
static PetscInt extra(const SamplerSettings *settings)
{
  static const PetscInt of_closing[] = {[CLOSING_PREDICTION] = -1, [CLOSING_HEUN] = 0, [CLOSING_PUBLISHED] = 1};

  return of_closing[settings->closing];
}

PetscInt heun_steps(const SamplerSettings *settings)
{
  return (settings->evaluations - extra(settings)) / 2;
}

PetscInt heun_evaluations(const SamplerSettings *settings)
{
  return 2 * heun_steps(settings) + extra(settings);
}

static void velocity_of(const Flow *flow, double t, const Scalar *x_hat, const Scalar *z, Scalar *velocity)
{
  const Scalar rate = (Scalar)(1 / fmax(1 - t, flow->time_floor));

  for (size_t i = 0; i < flow->count; i++) velocity[i] = (x_hat[i] - z[i]) * rate;
}

/* out = z + h a, or z + h (a + b)/2 where b is given. */
static void move(size_t count, double h, const Scalar *z, const Scalar *a, const Scalar *b, Scalar *out)
{
  const Scalar step = (Scalar)(b ? h / 2 : h);

  for (size_t i = 0; i < count; i++) out[i] = z[i] + step * (b ? a[i] + b[i] : a[i]);
}

/* From t to t + h. */
static PetscErrorCode heun_step(const Flow *flow, double t, double h, Scalar *work, Scalar *z)
{
  Scalar *x_hat = work, *a = x_hat + flow->count, *b = a + flow->count, *moved = b + flow->count; /* [count] each */

  PetscFunctionBeginUser;
  PetscCall(flow->predict(flow->context, z, t, x_hat));
  velocity_of(flow, t, x_hat, z, a);
  move(flow->count, h, z, a, NULL, moved);
  PetscCall(flow->predict(flow->context, moved, t + h, x_hat));
  velocity_of(flow, t + h, x_hat, moved, b);
  move(flow->count, h, z, a, b, z);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The last move: onto the prediction at t = 1 - h, or one more Euler step with the velocity at that time. */
static PetscErrorCode close_draws(const Flow *flow, SamplerClosing closing, double h, Scalar *work, Scalar *z)
{
  Scalar *x_hat = work, *velocity = x_hat + flow->count;

  PetscFunctionBeginUser;
  PetscCall(flow->predict(flow->context, z, 1 - h, x_hat));
  if (closing == CLOSING_PREDICTION) {
    memcpy(z, x_hat, flow->count * sizeof *z);
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  velocity_of(flow, 1 - h, x_hat, z, velocity);
  move(flow->count, h, z, velocity, NULL, z);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode heun_integrate(const Flow *flow, const SamplerSettings *settings, Scalar *work, Scalar *z)
{
  const PetscInt steps = heun_steps(settings);
  const PetscInt whole = settings->closing == CLOSING_PREDICTION ? steps - 1 : steps;
  const double h = 1. / (double)steps;

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < whole; i++) {
    PetscCall(heun_step(flow, (double)i * h, h, work, z));
    PetscCall(flow_tell(flow, i + 1, z));
  }
  if (settings->closing == CLOSING_HEUN) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(close_draws(flow, settings->closing, h, work, z));
  PetscCall(flow_tell(flow, whole + 1, z));
  PetscFunctionReturn(PETSC_SUCCESS);
}
