/** \file target_weights.c  Files of weights, as tools/weights or anybody makes them.  An input is a list of edits
 * (tree.h). */
#include "tree.h"

static char copy[PETSC_MAX_PATH_LEN];
static Tree *tree;

PetscErrorCode fuzz_prepare(const Fuzz *fuzz)
{
  PetscFunctionBeginUser;
  PetscCall(tree_of_seed(fuzz, "weights.h5", copy, &tree));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void fuzz_read(const Fuzz *fuzz, const uint8_t *bytes, size_t size)
{
  Model *model = NULL;

  tree_edit(tree, bytes, size);
  PetscErrorCode error = model_load(copy, &model);
  if (!error) error = model_check_parameters(model, fuzz->prior, copy);
  fuzz_judge(error);
  if (model_destroy(&model)) fuzz_finding("%s", error_message());
}
