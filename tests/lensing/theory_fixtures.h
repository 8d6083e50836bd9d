/** A survey, universes and files for the tests of lensing. */
#ifndef LENSING_THEORY_FIXTURES_H
#define LENSING_THEORY_FIXTURES_H

#include "../cosmology/fixtures.h"
#include "nephrite/lensing.h"

#include <unistd.h>

static inline SurveyConfig lsst_y10(void)
{
  return (SurveyConfig){.map_size = {128, 128},
                        .field_of_view_deg = 5,
                        .bins = 5,
                        .galaxies_per_arcmin2 = 27,
                        .sigma_e = 0.26,
                        .smail_z0 = 0.11,
                        .smail_alpha = 0.68,
                        .smail_beta = 2,
                        .photoz_scatter = 0.05,
                        .mask = "none"};
}

/** The n(z) and multipoles of cosmology.h5. */
typedef struct {
  SourceBins *bins;
  LensingModel *model;
  LensingSpectra *spectra;
  double *ell;
  size_t ell_count;
} ReferenceModel;

static inline ReferenceModel reference_model_make(void)
{
  ReferenceModel r = {0};
  size_t redshifts;
  double *z = reference_read("cosmology.h5", "n_of_z/z", &redshifts),
         *n = reference_read("cosmology.h5", "n_of_z/n", NULL);

  r.ell = reference_read("cosmology.h5", "ell", &r.ell_count);
  assert_ok(source_bins_from_table(5, (PetscInt)redshifts, z, n, &r.bins));
  assert_ok(lensing_model_create(r.bins, (PetscInt)r.ell_count, r.ell, 5 * M_PI / 180 / 128, &r.model));
  assert_ok(lensing_model_spectra_create(r.model, &r.spectra));
  free(z), free(n);
  return r;
}

static inline void reference_model_free(ReferenceModel *r)
{
  assert_ok(lensing_spectra_destroy(&r->spectra));
  assert_ok(lensing_model_destroy(&r->model));
  assert_ok(source_bins_destroy(&r->bins));
  free(r->ell);
}

/** A name in the build directory's folder of tests that no other test has. */
static inline void scratch_name(char *path, size_t size, const char *stem)
{
  snprintf(path, size, "%s-%d.h5", stem, (int)getpid());
}

/** Add a dataset of doubles to a plain HDF5 file, made if need be. */
static inline void scratch_write(const char *path, const char *name, int rank, const hsize_t *shape,
                                 const double *values)
{
  const hid_t file = access(path, F_OK) ? H5Fcreate(path, H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT)
                                        : H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(rank, shape, NULL);
  const hid_t dataset = H5Dcreate2(file, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);

  assert_true(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
  H5Dclose(dataset), H5Sclose(space), H5Fclose(file);
}

#endif
