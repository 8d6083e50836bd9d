/** \file solver.h  Integrators of the probability-flow ODE, each a function of a prediction.  \ingroup inference
 *
 * dz/dt = (x_hat(z, t) - z) / (1 - t) from t = 0, where z is noise, to t = 1 (network.md, section 8).  Nothing here
 * knows of maps or networks: what is integrated are numbers, all alike.
 */
#ifndef NEPHRITE_INFERENCE_SOLVER_H
#define NEPHRITE_INFERENCE_SOLVER_H

#include "nephrite/inference.h"

/** What is integrated.  Everything is borrowed. */
typedef struct {
  size_t maps; /**< numbers of maps, in front */
  size_t count; /**< all numbers: behind the maps are the parameters */
  double time_floor; /**< tau of the velocity (x_hat - z) / max(1 - t, tau); Heun's method alone has it */
  /** \param z [count]  \param[out] x_hat [count], not z */
  PetscErrorCode (*predict)(void *context, const Scalar *z, double t, Scalar *x_hat);
  /** Told of every finished step, from 1 on; may be NULL. */
  PetscErrorCode (*step_done)(void *context, PetscInt step, const Scalar *z);
  void *context; /**< for both */
} Flow;

/** One of ::SamplerSolver. */
typedef struct {
  /** \param work [solver->work][flow->count] for what it likes  \param[in,out] z [flow->count] noise; a draw */
  PetscErrorCode (*integrate)(const Flow *flow, const SamplerSettings *settings, Scalar *work, Scalar *z);
  size_t work; /**< arrays of flow->count */
  size_t more_bytes; /**< that it allocates itself, for each of flow->count */
} Solver;

/** By settings->solver. */
const Solver *solver_of(const SamplerSettings *settings);
/** Errors: NEPHRITE_ERR_CONFIG for settings without a draw. */
PetscErrorCode solver_check(const SamplerSettings *settings);

/** Heun's method in equal steps; settings->closing says how it ends.  Two evaluations a step. */
PetscErrorCode heun_integrate(const Flow *flow, const SamplerSettings *settings, Scalar *work, Scalar *z);
enum { HEUN_WORK = 4 };
/** Steps that at most settings->evaluations make. */
PetscInt heun_steps(const SamplerSettings *settings);
/** Evaluations that these steps take. */
PetscInt heun_evaluations(const SamplerSettings *settings);

/** Exponential multistep methods with the last two or three predictions.  One evaluation a step. */
PetscErrorCode multistep_integrate(const Flow *flow, const SamplerSettings *settings, Scalar *work, Scalar *z);
enum { MULTISTEP_WORK = 5 };

/** A Runge-Kutta method that chooses its steps.  Errors: NEPHRITE_ERR_CONFIG if settings->tolerance is out of reach. */
PetscErrorCode adaptive_integrate(const Flow *flow, const SamplerSettings *settings, Scalar *work, Scalar *z);
enum { ADAPTIVE_WORK = 1, ADAPTIVE_VECTORS = 12 };

/** Tell of a step. */
static inline PetscErrorCode flow_tell(const Flow *flow, PetscInt step, const Scalar *z)
{
  return flow->step_done ? flow->step_done(flow->context, step, z) : PETSC_SUCCESS;
}

#endif
