/** \file target_weights.c  Files of weights, as tools/weights or anybody makes them.  An input is a list of edits
 * (tree.h). */
#include "tree.h"

static char copy[1][PETSC_MAX_PATH_LEN];
static Tree *tree;

PetscErrorCode fuzz_prepare(const Fuzz *fuzz)
{
  char from[1][PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  fuzz_path(from[0], fuzz->seeds, "weights.h5");
  fuzz_path(copy[0], fuzz->scratch, "weights.h5");
  PetscCall(tree_create(1, from, copy, &tree));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void fuzz_read(const Fuzz *fuzz, const uint8_t *bytes, size_t size)
{
  Model *model = NULL;

  if (tree_edit(tree, bytes, size)) fuzz_finding("%s", error_message());
  PetscErrorCode error = model_load(copy[0], &model);
  if (!error) error = model_check_parameters(model, fuzz->prior, copy[0]);
  fuzz_judge(error);
  if (model_destroy(&model)) fuzz_finding("%s", error_message());
}
