/** \file target_observation.c  A user's observation.  An input is a list of edits (tree.h), whose flags also choose
 * what the survey observes. */
#include "readers.h"
#include "tree.h"

enum { OF_CONVERGENCE = 2, NOISE_RANGE = 4 };

static char copy[PETSC_MAX_PATH_LEN];
static Tree *tree;

PetscErrorCode fuzz_prepare(const Fuzz *fuzz)
{
  PetscFunctionBeginUser;
  PetscCall(tree_of_seed(fuzz, "observation.h5", copy, &tree));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void fuzz_read(const Fuzz *fuzz, const uint8_t *bytes, size_t size)
{
  const int flags = size ? bytes[0] : 0;
  SurveyConfig survey = fuzz->configuration.survey;

  if (flags & OF_CONVERGENCE) survey.observation = OBSERVATION_CONVERGENCE;
  if (flags & NOISE_RANGE) survey.noise_range[0] = 0.5, survey.noise_range[1] = 2;
  tree_edit(tree, bytes, size);
  read_observation(fuzz, &survey, copy);
}
