/** \file field.c  The handle: grid, transforms and work space.  \ingroup field */
#include "field/internal.h"

#include <math.h>
#include <string.h>

/* Estimated plans: measured ones depend on timing, and with them the last bit of a map. */
static PetscErrorCode plan_transforms(Field *f)
{
  const int size[2] = {(int)f->grid.ny, (int)f->grid.nx}, bins = (int)f->bins;
  const int pixels = size[0] * size[1], modes = size[0] * (size[1] / 2 + 1);

  PetscFunctionBeginUser;
  f->forward =
      fftw_plan_many_dft_r2c(2, size, bins, f->pixels, NULL, 1, pixels, f->modes, NULL, 1, modes, FFTW_ESTIMATE);
  f->backward =
      fftw_plan_many_dft_c2r(2, size, bins, f->modes, NULL, 1, modes, f->pixels, NULL, 1, pixels, FFTW_ESTIMATE);
  PetscCheck(f->forward && f->backward, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "FFTW has no plan for a map of %d x %d pixels", size[1], size[0]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode allocate(Field *f)
{
  const size_t bins = (size_t)f->bins, pixels = (size_t)f->grid.ny * (size_t)f->grid.nx;
  const size_t modes = (size_t)f->grid.ny * (size_t)quarter_nx(&f->grid);

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc4((size_t)f->pairs * quarter_size(&f->grid), &f->root, bins, &f->shift, bins, &f->variance,
                         (size_t)quarter_nx(&f->grid), &f->negative));
  f->pixels = fftw_alloc_real(bins * pixels);
  f->modes = fftw_alloc_complex(bins * modes);
  PetscCheck(f->pixels && f->modes, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "no memory for %zu maps of %" PetscInt_FMT " x %" PetscInt_FMT " pixels", bins, f->grid.nx, f->grid.ny);
  if (f->model == FIELD_LOGNORMAL) PetscCall(even_transform_create(f->grid.ny, f->grid.nx, &f->even));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_create(FieldModel model, PetscInt bins, PetscInt ny, PetscInt nx, double pixel, Field **field)
{
  Field *f = NULL;

  PetscFunctionBeginUser;
  PetscCheck(bins >= 1 && bins <= NEPHRITE_MAX_BINS, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%" PetscInt_FMT " tomographic bins; there may be 1 to %d", bins, NEPHRITE_MAX_BINS);
  PetscCheck(ny >= 2 && nx >= 2 && pixel > 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "a map of %" PetscInt_FMT " x %" PetscInt_FMT " pixels of %.6g radians is no map", nx, ny, pixel);
  PetscCall(PetscNew(&f));
  *field = f;
  f->model = model;
  f->grid = (FieldGrid){ny, nx, pixel};
  f->bins = bins;
  f->pairs = bins * (bins + 1) / 2;
  f->kernels = field_kernels_best();
  PetscCall(allocate(f));
  PetscCall(plan_transforms(f));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_destroy(Field **field)
{
  Field *f = *field;

  PetscFunctionBeginUser;
  if (!f) PetscFunctionReturn(PETSC_SUCCESS);
  if (f->forward) fftw_destroy_plan(f->forward);
  if (f->backward) fftw_destroy_plan(f->backward);
  PetscCall(even_transform_destroy(&f->even));
  fftw_free(f->pixels);
  fftw_free(f->modes);
  PetscCall(PetscFree4(f->root, f->shift, f->variance, f->negative));
  PetscCall(PetscFree(*field));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_set_spectra(Field *f, const LensingSpectra *spectra)
{
  PetscFunctionBeginUser;
  PetscCheck(spectra->bins == f->bins, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "spectra of %" PetscInt_FMT " bins for a field of %" PetscInt_FMT, spectra->bins, f->bins);
  f->ready = PETSC_FALSE;
  for (PetscInt i = 0; i < f->bins && f->model == FIELD_LOGNORMAL; i++)
    PetscCheck(spectra->shift[i] > 0 && isfinite(spectra->shift[i]), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "the log-normal shift of bin %" PetscInt_FMT " is %.6g; it must be positive", i, spectra->shift[i]);
  memcpy(f->shift, spectra->shift, (size_t)f->bins * sizeof *f->shift);
  PetscCall(spectrum_quarter(spectra, &f->grid, f->root));
  if (f->model == FIELD_LOGNORMAL) PetscCall(lognormal_gaussian_power(f));
  gaussian_roots(f);
  f->ready = PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* From white noise to convergence, in place in f->pixels. */
static PetscErrorCode realise(Field *f)
{
  const size_t pixels = (size_t)f->grid.ny * (size_t)f->grid.nx;
  const double scale = 1 / (double)pixels; /* of the inverse transform */

  PetscFunctionBeginUser;
  PetscCheck(f->ready, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "a field is realised before its spectra are set");
  gaussian_realise(f);
  for (PetscInt bin = 0; bin < f->bins; bin++) {
    double *const map = f->pixels + (size_t)bin * pixels;

    if (f->model == FIELD_LOGNORMAL)
      f->kernels->lognormal(pixels, (const double[]){scale, f->variance[bin] / 2, f->shift[bin]}, map);
    else
      for (size_t i = 0; i < pixels; i++) map[i] *= scale;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static size_t map_size(const Field *f)
{
  return (size_t)f->bins * (size_t)f->grid.ny * (size_t)f->grid.nx;
}

PetscErrorCode field_realise(Field *f, const double *white, double *kappa)
{
  PetscFunctionBeginUser;
  memcpy(f->pixels, white, map_size(f) * sizeof *white);
  PetscCall(realise(f));
  memcpy(kappa, f->pixels, map_size(f) * sizeof *kappa);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_realise_keyed(Field *f, RandomKey key, float *kappa)
{
  const size_t size = map_size(f);

  PetscFunctionBeginUser;
  random_normal(key, 0, size, f->pixels);
  PetscCall(realise(f));
  for (size_t i = 0; i < size; i++) kappa[i] = (float)f->pixels[i];
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_gaussian_variance(const Field *field, double *variance)
{
  PetscFunctionBeginUser;
  memcpy(variance, field->variance, (size_t)field->bins * sizeof *variance);
  PetscFunctionReturn(PETSC_SUCCESS);
}

double field_negative_fraction(const Field *field)
{
  return field->negative_fraction;
}
