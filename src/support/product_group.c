/** \file product_group.c  Which groups a file has, where a reader does not know their names.  \ingroup support */
#include "support/internal.h"

#include <string.h>

typedef struct {
  PetscInt left; /* groups to pass over */
  char *name;
  size_t size;
} GroupSearch;

/* Stops with 1 at the group that is wanted. */
static herr_t visit_link(hid_t root, const char *name, const H5L_info_t *link, void *context)
{
  GroupSearch *search = context;
  H5O_info_t object;

  (void)link;
  if (!strcmp(name, PRODUCT_DIGEST_GROUP)) return 0;
  if (H5Oget_info_by_name2(root, name, &object, H5O_INFO_BASIC, H5P_DEFAULT) < 0) return -1;
  if (object.type != H5O_TYPE_GROUP || search->left-- > 0) return 0;
  if (PetscStrncpy(search->name, name, search->size)) return -1;
  return 1;
}

PetscErrorCode product_group(ProductReader *reader, PetscInt index, char *name, size_t size)
{
  GroupSearch search = {index, name, size};

  PetscFunctionBeginUser;
  name[0] = '\0';
  NEPHRITE_HDF5_READ(H5Literate(reader->file, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_link, &search), reader->path);
  PetscFunctionReturn(PETSC_SUCCESS);
}
