/** \file product_contents.c  What a file holds, where a reader cannot rely on it: its datasets, their types and shapes.
 * \ingroup support */
#include "support/internal.h"

#include <string.h>

typedef struct {
  ProductVisit *visit;
  void *context;
  PetscErrorCode error;
} Walk;

/* HDF5 visits objects in the order of their full names, group by group. */
static herr_t visit_object(hid_t root, const char *name, const H5O_info_t *info, void *context)
{
  Walk *walk = context;
  const size_t prefix = strlen(PRODUCT_DIGEST_GROUP);

  (void)root;
  if (info->type != H5O_TYPE_DATASET || !strncmp(name, PRODUCT_DIGEST_GROUP "/", prefix + 1)) return 0;
  walk->error = walk->visit(walk->context, name);
  return walk->error ? 1 : 0;
}

PetscErrorCode product_each_dataset(ProductReader *reader, ProductVisit *visit, void *context)
{
  Walk walk = {visit, context, PETSC_SUCCESS};

  PetscFunctionBeginUser;
  NEPHRITE_HDF5_READ(H5Ovisit2(reader->file, H5_INDEX_NAME, H5_ITER_INC, visit_object, &walk, H5O_INFO_BASIC),
                     reader->path);
  PetscFunctionReturn(walk.error);
}

static const char *class_name(hid_t type)
{
  switch (H5Tget_class(type)) {
  case H5T_FLOAT:
    return "float";
  case H5T_INTEGER:
    return H5Tget_sign(type) == H5T_SGN_NONE ? "uint" : "int";
  case H5T_STRING:
    return "text";
  case H5T_ENUM:
    return "enumeration";
  case H5T_COMPOUND:
    return "compound";
  default:
    return "of no numbers";
  }
}

PetscErrorCode product_type(ProductReader *reader, const char *name, char *text, size_t size)
{
  OpenedDataset *d = NULL;

  PetscFunctionBeginUser;
  PetscCall(product_find(reader, name, &d));
  hid_t stored; /* the native counterpart of a float16 would be a float32 */
  NEPHRITE_HDF5_READ(stored = H5Dget_type(d->id), reader->path);
  const H5T_class_t class = H5Tget_class(stored);
  if (class == H5T_FLOAT || class == H5T_INTEGER)
    snprintf(text, size, "%s%zu", class_name(stored), 8 * H5Tget_size(stored));
  else
    snprintf(text, size, "%s", class_name(stored));
  H5Tclose(stored);
  PetscFunctionReturn(PETSC_SUCCESS);
}

void product_shape_text(int rank, const hsize_t *shape, char *text, size_t size)
{
  size_t used = (size_t)snprintf(text, size, "[");

  for (int axis = 0; axis < rank && used < size; axis++)
    used += (size_t)snprintf(text + used, size - used, "%s%llu", axis ? ", " : "", (unsigned long long)shape[axis]);
  if (used < size) snprintf(text + used, size - used, "]");
}
