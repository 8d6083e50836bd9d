/** \file method_wiener.c  The Wiener filter at parameters that are given.  \ingroup inference */
#include "inference/internal.h"

static PetscErrorCode estimate(Worker *w, float *kappa)
{
  PetscFunctionBeginUser;
  PetscCall(worker_wiener(w, w->state, kappa));
  PetscFunctionReturn(PETSC_SUCCESS);
}

const InferenceMethod method_wiener = {.suffix = "-wiener",
                                       .scope = SCOPE_SIMULATION | SCOPE_ESTIMATE,
                                       .create = fiducial_create,
                                       .estimate = estimate,
                                       .description = "Wiener filter at the parameters of infer_fiducial [bin, y, x]",
                                       .destroy = fiducial_destroy};
