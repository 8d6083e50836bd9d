/** Numbers from the golden files of tests/reference, read with plain HDF5. */
#ifndef REFERENCE_FILE_H
#define REFERENCE_FILE_H

#include "nephrite_test.h"

#include <stdlib.h>

/** A whole dataset.  \param file  "cosmology.h5"  \param[out] count may be NULL  \returns free() it */
static inline double *reference_read(const char *file, const char *name, size_t *count)
{
  char path[1024];
  hid_t opened, dataset, space;

  snprintf(path, sizeof path, "%s/%s", NEPHRITE_REFERENCE, file);
  opened = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  if (opened < 0) fail_msg("%s cannot be opened", path);
  dataset = H5Dopen2(opened, name, H5P_DEFAULT);
  if (dataset < 0) fail_msg("%s has no %s", path, name);
  space = H5Dget_space(dataset);

  const size_t values = (size_t)H5Sget_simple_extent_npoints(space);
  double *read = malloc(values * sizeof *read);

  if (!read || H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, read) < 0)
    fail_msg("%s: %s cannot be read", path, name);
  if (count) *count = values;
  H5Sclose(space), H5Dclose(dataset), H5Fclose(opened);
  return read;
}

#endif
