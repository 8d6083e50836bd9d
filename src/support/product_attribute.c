/** \file product_attribute.c  Attributes of products and of files of others.  \ingroup support */
#include "support/internal.h"

#include <string.h>

static PetscErrorCode open_attribute(ProductReader *r, const char *object, const char *name, hid_t *attribute)
{
  PetscFunctionBeginUser;
  *attribute = H5Aopen_by_name(r->file, object ? object : "/", name, H5P_DEFAULT, H5P_DEFAULT);
  if (*attribute < 0) {
    H5Eclear2(H5E_DEFAULT);
    SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: %s has no attribute %s", r->path, object ? object : "the root",
            name);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Fixed-length text; a user's file may hold variable-length text as well (h5py writes it so). */
static PetscErrorCode read_text(ProductReader *r, const char *name, hid_t attribute, hid_t type, char **text)
{
  PetscFunctionBeginUser;
  if (H5Tis_variable_str(type) > 0) {
    const hid_t memory = H5Tcopy(H5T_C_S1);
    char *value = NULL;
    herr_t status;

    H5Tset_size(memory, H5T_VARIABLE);
    H5Tset_cset(memory, H5Tget_cset(type));
    status = H5Aread(attribute, memory, &value);
    if (status >= 0) PetscCall(PetscStrallocpy(value ? value : "", text));
    if (status >= 0 && value) H5free_memory(value);
    H5Tclose(memory);
    NEPHRITE_HDF5_READ(status, r->path);
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  const size_t size = H5Tget_size(type);
  PetscCheck(H5Tget_class(type) == H5T_STRING && size < 1 << 24, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: attribute %s is not text", r->path, name);
  PetscCall(PetscCalloc1(size + 1, text));
  NEPHRITE_HDF5_READ(H5Aread(attribute, type, *text), r->path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_read_attribute_text(ProductReader *r, const char *object, const char *name, char **text)
{
  hid_t attribute, type, space;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  *text = NULL;
  PetscCall(open_attribute(r, object, name, &attribute));
  type = H5Aget_type(attribute);
  space = H5Aget_space(attribute);
  const hssize_t values = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
  H5Sclose(space);
  error = values == 1 ? read_text(r, name, attribute, type, text)
                      : PetscError(PETSC_COMM_SELF, __LINE__, PETSC_FUNCTION_NAME, __FILE__, NEPHRITE_ERR_INPUT,
                                   PETSC_ERROR_INITIAL, "%s: attribute %s is not one text", r->path, name);
  H5Tclose(type);
  H5Aclose(attribute);
  if (error) PetscCall(PetscFree(*text));
  PetscFunctionReturn(error);
}

static PetscErrorCode read_numbers(ProductReader *r, const char *object, const char *name, hid_t type, int count,
                                   void *values)
{
  hid_t attribute, space;
  hssize_t points;
  herr_t status = -1;

  PetscFunctionBeginUser;
  PetscCall(open_attribute(r, object, name, &attribute));
  space = H5Aget_space(attribute);
  points = H5Sget_simple_extent_npoints(space);
  if (points == count) status = H5Aread(attribute, type, values);
  H5Sclose(space);
  H5Aclose(attribute);
  PetscCheck(points == count, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: attribute %s has %d values, not %d", r->path,
             name, (int)points, count);
  NEPHRITE_HDF5_READ(status, r->path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_read_attribute_real(ProductReader *r, const char *object, const char *name, int count,
                                           double *values)
{
  PetscFunctionBeginUser;
  PetscCall(read_numbers(r, object, name, H5T_NATIVE_DOUBLE, count, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_read_attribute_int(ProductReader *r, const char *object, const char *name, int count,
                                          int64_t *values)
{
  PetscFunctionBeginUser;
  PetscCall(read_numbers(r, object, name, H5T_NATIVE_INT64, count, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}
