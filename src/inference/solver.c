/** \file solver.c  Which integrators there are, and what they take.  \ingroup inference */
#include "inference/solver.h"

const Solver *solver_of(const SamplerSettings *settings)
{
  static const Solver solvers[] = {
      [SOLVER_HEUN] = {heun_integrate, HEUN_WORK, 0},
      [SOLVER_MULTISTEP2] = {multistep_integrate, MULTISTEP_WORK, 0},
      [SOLVER_MULTISTEP3] = {multistep_integrate, MULTISTEP_WORK, 0},
      [SOLVER_ADAPTIVE] = {adaptive_integrate, ADAPTIVE_WORK, ADAPTIVE_VECTORS * sizeof(double)},
  };

  return &solvers[settings->solver];
}

SamplerSettings sampler_settings(const InferConfig *infer)
{
  return (SamplerSettings){.solver = (SamplerSolver)infer->solver,
                           .closing = (SamplerClosing)infer->closing,
                           .evaluations = infer->evaluations,
                           .noise_left = infer->noise_left,
                           .spacing = infer->spacing,
                           .tolerance = infer->tolerance};
}

PetscInt sampler_evaluations(const SamplerSettings *settings)
{
  switch (settings->solver) {
  case SOLVER_HEUN:
    return heun_evaluations(settings);
  case SOLVER_ADAPTIVE:
    return 0;
  default:
    return settings->evaluations;
  }
}

PetscErrorCode solver_check(const SamplerSettings *settings)
{
  const PetscBool heun = settings->solver == SOLVER_HEUN ? PETSC_TRUE : PETSC_FALSE;
  const PetscInt steps = heun ? heun_steps(settings) : settings->evaluations;
  const PetscInt least = heun && settings->closing != CLOSING_PREDICTION ? 1 : 2;

  PetscFunctionBeginUser;
  PetscCheck(settings->solver == SOLVER_ADAPTIVE || steps >= least, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%" PetscInt_FMT " evaluations are too few for a draw", settings->evaluations);
  if (heun) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCheck(settings->noise_left > 0 && settings->noise_left < 1, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "infer_noise_left is %.6g; it must lie in (0, 1)", settings->noise_left);
  PetscCheck(settings->solver == SOLVER_ADAPTIVE || settings->spacing > 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "infer_spacing is %.6g; it must be positive", settings->spacing);
  PetscCheck(settings->solver != SOLVER_ADAPTIVE || settings->tolerance > 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "infer_tolerance is %.6g; it must be positive", settings->tolerance);
  PetscFunctionReturn(PETSC_SUCCESS);
}
