/** \file log.c  Stages and parts of the work that PETSc's -log_view tells apart.  \ingroup support */
#include "nephrite/support.h"

/* All of them, registered together: PETSc wants the same ones in the same order on every rank, also on those that never
 * come to a part. */

/* What comes before them, the start of a program, is PETSc's Main Stage. */
static const char *const stages[] = {"Simulation", "Training", "Validation", "Checkpoint", "Inference", "Ending"};

static const char *const parts[] = {
    "product write", "cosmology",       "angular power",    "shifts",           "field spectra",
    "field maps",    "train data",      "train forward",    "train objective",  "train backward",
    "train reduce",  "train optimiser", "train validation", "train checkpoint", "draw network",
};

PetscErrorCode log_install(void)
{
  PetscClassId nephrite;
  PetscLogEvent event;
  PetscLogStage stage;

  PetscFunctionBeginUser;
  PetscCall(PetscLogEventGetId(parts[0], &event));
  if (event >= 0) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscClassIdRegister("nephrite", &nephrite));
  for (size_t i = 0; i < PETSC_STATIC_ARRAY_LENGTH(parts); i++)
    PetscCall(PetscLogEventRegister(parts[i], nephrite, &event));
  for (size_t i = 0; i < PETSC_STATIC_ARRAY_LENGTH(stages); i++) PetscCall(PetscLogStageRegister(stages[i], &stage));
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

PetscErrorCode log_stage(const char *name)
{
  PetscLogStage stage;

  PetscFunctionBeginUser;
  PetscCall(log_install());
  PetscCall(PetscLogStageGetId(name, &stage));
  PetscCheck(stage >= 0, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "\"%s\" is no stage of a program that is known", name);
  PetscCall(PetscLogStagePush(stage));
  PetscFunctionReturn(PETSC_SUCCESS);
}
