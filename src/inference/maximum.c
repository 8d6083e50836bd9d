/** \file maximum.c  To the maximum of a log-density, by PETSc's TAO.  \ingroup inference
 *
 * A limited-memory quasi-Newton method (Nocedal 1980) with the line search of Moré & Thuente 1994, which interpolates:
 * where the density is 0 it is shown a value above the one at the start, from which it turns back. */
#include "nephrite/inference.h"

#include <math.h>
#include <petsctao.h>

typedef struct {
  MPI_Comm comm;
  LogDensity *density;
  void *context;
  PetscInt dimension, all; /* coordinates on this rank, and on all */
  PetscBool seen; /* a density above 0 */
  double first; /* value where it began */
} Hill;

/* TAO goes downhill. */
static PetscErrorCode evaluate(Tao tao, Vec x, PetscReal *value, Vec gradient, void *context)
{
  Hill *hill = context;
  const PetscScalar *at;
  PetscScalar *slope;
  double log_density = -INFINITY;
  PetscBool stop;

  (void)tao;
  PetscFunctionBeginUser;
  PetscCall(interrupt_agreed(hill->comm, &stop));
  PetscCheck(!stop, PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED, "interrupted on the way to a maximum");
  PetscCall(VecGetArrayRead(x, &at));
  PetscCall(VecGetArrayWrite(gradient, &slope));
  PetscErrorCode error = hill->density(hill->context, at, &log_density, slope);
  if (isfinite(log_density) && !hill->seen) hill->first = -log_density;
  if (isfinite(log_density)) hill->seen = PETSC_TRUE;
  *value = isfinite(log_density) ? -log_density : hill->first + fabs(hill->first) + 1e3;
  for (PetscInt i = 0; i < hill->dimension; i++) slope[i] = isfinite(log_density) ? -slope[i] : 0;
  PetscCall(VecRestoreArrayWrite(gradient, &slope));
  PetscCall(VecRestoreArrayRead(x, &at));
  PetscFunctionReturn(error);
}

static PetscErrorCode set_up(Tao tao, Hill *hill, const MaximumSearch *search, Vec x)
{
  PetscFunctionBeginUser;
  PetscCall(TaoSetType(tao, TAOLMVM));
  PetscCall(TaoSetSolution(tao, x));
  PetscCall(TaoSetObjectiveAndGradient(tao, NULL, evaluate, hill));
  PetscCall(TaoSetTolerances(tao, search->tolerance * sqrt((double)hill->all), 0, 0));
  PetscCall(TaoSetMaximumIterations(tao, search->most_iterations));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode climb(Tao tao, Hill *hill, const MaximumSearch *search, Vec x, Maximum *found)
{
  TaoConvergedReason reason;
  PetscReal value, gradient;

  PetscFunctionBeginUser;
  PetscCall(set_up(tao, hill, search, x));
  PetscCall(TaoSolve(tao));
  PetscCall(TaoGetSolutionStatus(tao, &found->iterations, &value, &gradient, NULL, NULL, &reason));
  PetscCall(TaoGetCurrentFunctionEvaluations(tao, &found->evaluations));
  found->log_density = hill->seen ? -value : -INFINITY;
  found->gradient = gradient / sqrt((double)hill->all);
  found->converged = reason > 0 ? PETSC_TRUE : PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode maximum_find(MPI_Comm comm, const MaximumSearch *search, LogDensity *density, void *context, double *x,
                            Maximum *found)
{
  Hill hill = {.comm = comm, .density = density, .context = context, .dimension = search->dimension};
  Tao tao = NULL;
  Vec at = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(VecCreateMPIWithArray(comm, 1, search->dimension, PETSC_DETERMINE, x, &at));
  error = VecGetSize(at, &hill.all);
  if (!error) error = TaoCreate(comm, &tao);
  if (!error) error = climb(tao, &hill, search, at, found);
  PetscCall(TaoDestroy(&tao));
  PetscCall(VecDestroy(&at));
  PetscFunctionReturn(error);
}
