/** Maps and files that the tests of shear, masks and observers share. */
#ifndef LENSING_FIXTURES_H
#define LENSING_FIXTURES_H

#include "nephrite/lensing.h"
#include "nephrite_test.h"

#include <stdlib.h>
#include <unistd.h>

/** Room for \p count values; the test ends where there is none. */
static inline void *room(size_t count, size_t size)
{
  void *values = calloc(count, size);

  assert_non_null(values);
  return values;
}

/** Keyed standard normals.  \returns free() it */
static inline double *white_map(uint64_t index, size_t count)
{
  double *map = room(count, sizeof *map);

  random_normal((RandomKey){.seed = 7, .stream = STREAM_FIELD, .index = index}, 0, count, map);
  return map;
}

/** A survey of \p nx x \p ny pixels with two bins and no mask. */
static inline SurveyConfig small_survey(PetscInt nx, PetscInt ny, ObservationKind kind)
{
  return (SurveyConfig){.map_size = {nx, ny},
                        .field_of_view_deg = 5,
                        .bins = 2,
                        .observation = (int)kind,
                        .galaxies_per_arcmin2 = 27,
                        .sigma_e = 0.26,
                        .mask = "none"};
}

/** A file in the working directory with one float dataset [ny][nx]; unlink() it. */
static inline void write_plane(const char *path, const char *dataset, hsize_t ny, hsize_t nx, const float *values)
{
  const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(2, (const hsize_t[]){ny, nx}, NULL);
  const hid_t set = H5Dcreate2(file, dataset, H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);

  assert_true(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  H5Dclose(set), H5Sclose(space), H5Fclose(file);
}

#endif
