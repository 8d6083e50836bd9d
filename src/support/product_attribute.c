/** \file product_attribute.c  Attributes of products and of files of others.  \ingroup support */
#include "support/internal.h"

#include <string.h>

/* ---- writing ---- */

/* \p values of memory type \p type, as one value or a list of \p count. */
static PetscErrorCode write_attribute(ProductWriter *w, const char *object, const char *name, hid_t type, int count,
                                      const void *values)
{
  const hsize_t size = (hsize_t)count;
  hid_t space, target, attribute;

  PetscFunctionBeginUser;
  space = count > 1 ? H5Screate_simple(1, &size, NULL) : H5Screate(H5S_SCALAR);
  target = H5Oopen(w->file, object ? object : "/", H5P_DEFAULT);
  NEPHRITE_HDF5_WRITE(target, w->part);
  attribute = H5Acreate2(target, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  NEPHRITE_HDF5_WRITE(attribute, w->part);
  NEPHRITE_HDF5_WRITE(H5Awrite(attribute, type, values), w->part);
  H5Aclose(attribute);
  H5Oclose(target);
  H5Sclose(space);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_put_text(ProductWriter *w, const char *object, const char *name, const char *text)
{
  hid_t type = H5Tcopy(H5T_C_S1);

  PetscFunctionBeginUser;
  NEPHRITE_HDF5_WRITE(H5Tset_size(type, strlen(text) + 1), w->part);
  PetscCall(write_attribute(w, object, name, type, 1, text));
  H5Tclose(type);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_attribute_text(ProductWriter *w, const char *object, const char *name, const char *text)
{
  PetscFunctionBeginUser;
  PetscCall(product_settle(w, w->rank == 0 ? product_put_text(w, object, name, text) : PETSC_SUCCESS));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode put_numbers(ProductWriter *w, const char *object, const char *name, hid_t type, int count,
                                  const void *values)
{
  PetscFunctionBeginUser;
  PetscCall(product_settle(w, w->rank == 0 ? write_attribute(w, object, name, type, count, values) : PETSC_SUCCESS));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_attribute_real(ProductWriter *w, const char *object, const char *name, int count,
                                      const double *values)
{
  PetscFunctionBeginUser;
  PetscCall(put_numbers(w, object, name, H5T_NATIVE_DOUBLE, count, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_attribute_int(ProductWriter *w, const char *object, const char *name, int count,
                                     const int64_t *values)
{
  PetscFunctionBeginUser;
  PetscCall(put_numbers(w, object, name, H5T_NATIVE_INT64, count, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- reading ---- */

PetscErrorCode product_has_attribute(ProductReader *r, const char *object, const char *name, PetscBool *has)
{
  PetscFunctionBeginUser;
  crash_begin(r->path);
  *has = H5Aexists_by_name(r->file, object ? object : "/", name, H5P_DEFAULT) > 0 ? PETSC_TRUE : PETSC_FALSE;
  crash_end();
  H5Eclear2(H5E_DEFAULT);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode open_attribute(ProductReader *r, const char *object, const char *name, hid_t *attribute)
{
  PetscFunctionBeginUser;
  crash_begin(r->path);
  *attribute = H5Aopen_by_name(r->file, object ? object : "/", name, H5P_DEFAULT, H5P_DEFAULT);
  crash_end();
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
    PetscErrorCode error = PETSC_SUCCESS;

    H5Tset_size(memory, H5T_VARIABLE);
    H5Tset_cset(memory, H5Tget_cset(type));
    crash_begin(r->path);
    const herr_t status = H5Aread(attribute, memory, &value);
    crash_end();
    if (status < 0)
      error = error_from_hdf5(NEPHRITE_ERR_INPUT, "H5Aread()", r->path);
    else
      error = PetscStrallocpy(value ? value : "", text);
    if (!error && value) H5free_memory(value);
    H5Tclose(memory);
    PetscFunctionReturn(error);
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
  herr_t status = 0;
  char where[PETSC_MAX_PATH_LEN + 64];
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(open_attribute(r, object, name, &attribute));
  space = H5Aget_space(attribute);
  points = H5Sget_simple_extent_npoints(space);
  snprintf(where, sizeof where, "%s: attribute %.48s", r->path, name);
  crash_begin(r->path);
  if (points == count) status = H5Aread(attribute, type, values);
  crash_end();
  if (status < 0) error = error_from_hdf5(NEPHRITE_ERR_INPUT, "H5Aread()", where);
  H5Sclose(space);
  H5Aclose(attribute);
  PetscCheck(points == count, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: attribute %s has %d values, not %d", r->path,
             name, (int)points, count);
  PetscFunctionReturn(error);
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
