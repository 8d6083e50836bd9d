/** \file log.c  Parts of the work that PETSc's -log_view tells apart.  \ingroup support */
#include "nephrite/support.h"

PetscErrorCode log_event(const char *name, PetscLogEvent *event)
{
  static PetscClassId nephrite; /* of this process, as PETSc's own classes are */

  PetscFunctionBeginUser;
  if (!nephrite) PetscCall(PetscClassIdRegister("nephrite", &nephrite));
  PetscCall(PetscLogEventGetId(name, event));
  if (*event < 0) PetscCall(PetscLogEventRegister(name, nephrite, event));
  PetscFunctionReturn(PETSC_SUCCESS);
}
