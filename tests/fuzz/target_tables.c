/** \file target_tables.c  A user's n(z), shifts, mask, galaxy counts and maps, all in one file.  An input is a list of
 * edits (tree.h). */
#include "readers.h"
#include "tree.h"

static char copy[PETSC_MAX_PATH_LEN];
static Tree *tree;
static float *kappa; /* [bins][ny][nx] */
static double *theta; /* [parameters] */

PetscErrorCode fuzz_prepare(const Fuzz *fuzz)
{
  PetscFunctionBeginUser;
  PetscCall(tree_of_seed(fuzz, "tables.h5", copy, &tree));
  PetscCall(PetscMalloc1(survey_map_values(&fuzz->configuration.survey), &kappa));
  PetscCall(PetscMalloc1((size_t)prior_count(fuzz->prior), &theta));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void fuzz_read(const Fuzz *fuzz, const uint8_t *bytes, size_t size)
{
  SurveyConfig survey = fuzz->configuration.survey;

  tree_edit(tree, bytes, size);
  read_maps(fuzz, &survey, copy, kappa, theta);
  read_tables(&survey, copy);
}
