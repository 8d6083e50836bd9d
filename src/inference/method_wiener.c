/** \file method_wiener.c  The Wiener filter at parameters that are given.  \ingroup inference */
#include "inference/internal.h"

typedef struct {
  double theta[NEPHRITE_MAX_PARAMETERS];
} Fiducial;

static PetscErrorCode create(Worker *w)
{
  Fiducial *f = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&f));
  w->state = f;
  PetscCall(fiducial_read(w->setup, f->theta));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode destroy(Worker *w)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(w->state));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode estimate(Worker *w, float *kappa)
{
  const Fiducial *f = w->state;

  PetscFunctionBeginUser;
  PetscCall(worker_wiener(w, f->theta, kappa));
  PetscFunctionReturn(PETSC_SUCCESS);
}

const InferenceMethod method_wiener = {.scope = SCOPE_SIMULATION | SCOPE_ESTIMATE,
                                       .create = create,
                                       .estimate = estimate,
                                       .description = "Wiener filter at the parameters of infer_fiducial [bin, y, x]",
                                       .destroy = destroy};
