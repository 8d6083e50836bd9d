/** \file target_observation.c  A user's observation.  An input is a list of edits (tree.h), whose flags also choose
 * what the survey observes. */
#include "readers.h"
#include "tree.h"

enum { OF_CONVERGENCE = 2, NOISE_RANGE = 4 };

static char copy[1][PETSC_MAX_PATH_LEN];
static Tree *tree;

PetscErrorCode fuzz_prepare(const Fuzz *fuzz)
{
  char from[1][PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  fuzz_path(from[0], fuzz->seeds, "observation.h5");
  fuzz_path(copy[0], fuzz->scratch, "observation.h5");
  PetscCall(tree_create(1, from, copy, &tree));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void fuzz_read(const Fuzz *fuzz, const uint8_t *bytes, size_t size)
{
  const int flags = size ? bytes[0] : 0;
  SurveyConfig survey = fuzz->configuration.survey;

  if (flags & OF_CONVERGENCE) survey.observation = OBSERVATION_CONVERGENCE;
  if (flags & NOISE_RANGE) survey.noise_range[0] = 0.5, survey.noise_range[1] = 2;
  if (tree_edit(tree, bytes, size)) fuzz_finding("%s", error_message());
  read_observation(fuzz, &survey, copy[0]);
}
