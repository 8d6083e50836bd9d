/** \file universe.c  All tables of one cosmology.  \ingroup cosmology */
#include "nephrite/cosmology.h"

PetscErrorCode universe_create(const Cosmology *cosmology, double z_max, Universe *universe)
{
  PetscFunctionBeginUser;
  universe->cosmology = *cosmology;
  PetscCall(background_create(cosmology, z_max, &universe->background));
  PetscCall(growth_create(cosmology, z_max, &universe->growth));
  PetscCall(matter_power_create(cosmology, universe->growth, &universe->power));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode universe_destroy(Universe *universe)
{
  PetscFunctionBeginUser;
  PetscCall(matter_power_destroy(&universe->power));
  PetscCall(growth_destroy(&universe->growth));
  PetscCall(background_destroy(&universe->background));
  PetscFunctionReturn(PETSC_SUCCESS);
}
