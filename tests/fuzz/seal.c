/** \file seal.c  Digests of what was edited, made right. */
#include "edit.h"
#include "support/internal.h"

static hsize_t rows_of(hid_t space)
{
  hsize_t shape[MOST_AXES] = {1};

  return H5Sget_simple_extent_dims(space, shape, NULL) > 0 ? shape[0] : 1;
}

static size_t digests_of(hid_t file, const char *name)
{
  const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(dataset);
  const hssize_t count = H5Sget_simple_extent_npoints(space);

  H5Sclose(space);
  H5Dclose(dataset);
  return count > 0 ? (size_t)count : 0;
}

/* \param values  of all rows */
static void put_digests(hid_t file, const char *dataset, size_t rows, const char *values, size_t bytes)
{
  char name[NAME_SIZE + 16];
  uint64_t digest[4096];

  snprintf(name, sizeof name, PRODUCT_DIGEST_GROUP "/%s", dataset);
  const PetscBool whole = digests_of(file, name) == 1 || rows == 1 ? PETSC_TRUE : PETSC_FALSE;
  const hsize_t count = whole ? 1 : rows;
  if (!count || count > 4096) return;
  for (size_t i = 0; i < count; i++)
    digest[i] = product_row_digest(dataset, i, values + i * (bytes / count), bytes / count);
  const hid_t space = H5Screate_simple(1, &count, NULL);
  H5Ldelete(file, name, H5P_DEFAULT);
  const hid_t stored = H5Dcreate2(file, name, H5T_STD_U64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(stored, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, digest);
  H5Dclose(stored);
  H5Sclose(space);
}

void tree_seal_dataset(hid_t file, const char *name)
{
  static char values[MOST_BYTES];
  const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(dataset);
  const hid_t stored = H5Dget_type(dataset), type = H5Tget_native_type(stored, H5T_DIR_ASCEND);
  const hssize_t points = H5Sget_simple_extent_npoints(space);
  const size_t size = H5Tget_size(type);
  const PetscBool plain = H5Tdetect_class(type, H5T_VLEN) == 0 && H5Tis_variable_str(type) == 0;

  if (plain && !is_virtual(dataset) && is_small(type, space) &&
      H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0)
    put_digests(file, name, (size_t)rows_of(space), values, (size_t)points * size);
  H5Tclose(type);
  H5Tclose(stored);
  H5Sclose(space);
  H5Dclose(dataset);
}
