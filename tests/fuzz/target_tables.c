/** \file target_tables.c  A user's n(z), shifts, mask, galaxy counts and maps, all in one file.  An input is a list of
 * edits (tree.h). */
#include "readers.h"
#include "tree.h"

static char copy[1][PETSC_MAX_PATH_LEN];
static Tree *tree;
static float *kappa; /* [bins][ny][nx] */
static double *theta; /* [parameters] */

PetscErrorCode fuzz_prepare(const Fuzz *fuzz)
{
  char from[1][PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  fuzz_path(from[0], fuzz->seeds, "tables.h5");
  fuzz_path(copy[0], fuzz->scratch, "tables.h5");
  PetscCall(tree_create(1, from, copy, &tree));
  PetscCall(PetscMalloc1(survey_map_values(&fuzz->configuration.survey), &kappa));
  PetscCall(PetscMalloc1((size_t)prior_count(fuzz->prior), &theta));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void fuzz_read(const Fuzz *fuzz, const uint8_t *bytes, size_t size)
{
  SurveyConfig survey = fuzz->configuration.survey;

  if (tree_edit(tree, bytes, size)) fuzz_finding("%s", error_message());
  read_maps(fuzz, &survey, copy[0], kappa, theta);
  read_tables(&survey, copy[0]);
}
