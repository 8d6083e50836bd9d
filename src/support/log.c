/** \file log.c  Parts of the work that PETSc's -log_view tells apart.  \ingroup support */
#include "nephrite/support.h"

/* All of them, registered together: PETSc wants the same events in the same order on every rank, also on those that
 * never come to a part. */
static const char *const names[] = {
    "product write", "cosmology",       "angular power",    "shifts",           "field spectra",
    "field maps",    "train data",      "train forward",    "train objective",  "train backward",
    "train reduce",  "train optimiser", "train validation", "train checkpoint", "draw network",
};

PetscErrorCode log_install(void)
{
  PetscClassId nephrite;
  PetscLogEvent event;

  PetscFunctionBeginUser;
  PetscCall(PetscLogEventGetId(names[0], &event));
  if (event >= 0) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscClassIdRegister("nephrite", &nephrite));
  for (size_t i = 0; i < PETSC_STATIC_ARRAY_LENGTH(names); i++)
    PetscCall(PetscLogEventRegister(names[i], nephrite, &event));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode log_event(const char *name, PetscLogEvent *event)
{
  PetscFunctionBeginUser;
  PetscCall(log_install());
  PetscCall(PetscLogEventGetId(name, event));
  PetscCheck(*event >= 0, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "\"%s\" is no part of the work that is known", name);
  PetscFunctionReturn(PETSC_SUCCESS);
}
