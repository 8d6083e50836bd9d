/** \file field.c  The handle: grid, transforms and work space.  \ingroup field */
#include "field/internal.h"

#include <string.h>

static PetscErrorCode plan_transforms(Field *f)
{
  const int size[2] = {(int)f->grid.ny, (int)f->grid.nx}, bins = (int)f->bins;
  const int pixels = size[0] * size[1], modes = size[0] * (size[1] / 2 + 1);

  PetscFunctionBeginUser;
  /* Estimated plans: measured ones depend on timing, and with them the last bit of a map. */
  f->forward = fftw_plan_dft_r2c_2d(size[0], size[1], f->pixels, f->modes, FFTW_ESTIMATE);
  f->backward = fftw_plan_dft_c2r_2d(size[0], size[1], f->modes, f->pixels, FFTW_ESTIMATE);
  f->all_forward =
      fftw_plan_many_dft_r2c(2, size, bins, f->pixels, NULL, 1, pixels, f->modes, NULL, 1, modes, FFTW_ESTIMATE);
  f->all_backward =
      fftw_plan_many_dft_c2r(2, size, bins, f->modes, NULL, 1, modes, f->pixels, NULL, 1, pixels, FFTW_ESTIMATE);
  PetscCheck(f->forward && f->backward && f->all_forward && f->all_backward, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "FFTW has no plan for a map of %d x %d pixels", size[1], size[0]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode allocate(Field *f)
{
  const size_t bins = (size_t)f->bins, pixels = (size_t)(f->grid.ny * f->grid.nx);
  const size_t modes = (size_t)(f->grid.ny * quarter_nx(&f->grid));
  const size_t quarter = (size_t)(quarter_ny(&f->grid) * quarter_nx(&f->grid));

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc4((size_t)f->pairs * modes, &f->power, quarter * bins * bins, &f->root, bins, &f->shift, bins,
                         &f->variance));
  PetscCall(PetscMalloc1(bins * pixels, &f->white));
  f->pixels = fftw_alloc_real(bins * pixels);
  f->modes = fftw_alloc_complex(bins * modes);
  PetscCheck(f->pixels && f->modes, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "no memory for %zu maps of %" PetscInt_FMT " x %" PetscInt_FMT " pixels", bins, f->grid.nx, f->grid.ny);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_create(FieldModel model, PetscInt bins, PetscInt ny, PetscInt nx, double pixel, Field **field)
{
  Field *f = NULL;

  PetscFunctionBeginUser;
  PetscCheck(bins >= 1 && bins <= NEPHRITE_MAX_BINS, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%" PetscInt_FMT " tomographic bins; there may be 1 to %d", bins, NEPHRITE_MAX_BINS);
  PetscCheck(ny >= 2 && nx >= 2 && pixel > 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "a map of %" PetscInt_FMT " x %" PetscInt_FMT " pixels of %g radians is no map", nx, ny, pixel);
  PetscCall(PetscNew(&f));
  *field = f;
  f->model = model;
  f->grid = (FieldGrid){ny, nx, pixel};
  f->bins = bins;
  f->pairs = bins * (bins + 1) / 2;
  PetscCall(allocate(f));
  PetscCall(plan_transforms(f));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_destroy(Field **field)
{
  Field *f = *field;

  PetscFunctionBeginUser;
  if (!f) PetscFunctionReturn(PETSC_SUCCESS);
  fftw_destroy_plan(f->forward);
  fftw_destroy_plan(f->backward);
  fftw_destroy_plan(f->all_forward);
  fftw_destroy_plan(f->all_backward);
  fftw_free(f->pixels);
  fftw_free(f->modes);
  PetscCall(PetscFree4(f->power, f->root, f->shift, f->variance));
  PetscCall(PetscFree(f->white));
  PetscCall(PetscFree(*field));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_set_spectra(Field *f, const LensingSpectra *spectra)
{
  PetscFunctionBeginUser;
  PetscCheck(spectra->bins == f->bins, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "spectra of %" PetscInt_FMT " bins for a field of %" PetscInt_FMT, spectra->bins, f->bins);
  f->ready = PETSC_FALSE;
  memcpy(f->shift, spectra->shift, (size_t)f->bins * sizeof *f->shift);
  PetscCall(field_spectrum(spectra, f->grid.ny, f->grid.nx, f->grid.pixel, f->power));
  if (f->model == FIELD_LOGNORMAL) PetscCall(lognormal_gaussian_power(f));
  PetscCall(gaussian_roots(f));
  f->ready = PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Leaves the maps in f->pixels. */
static PetscErrorCode realise(Field *f, const double *white)
{
  PetscFunctionBeginUser;
  PetscCheck(f->ready, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "a field is realised before its spectra are set");
  gaussian_realise(f, white);
  if (f->model == FIELD_LOGNORMAL) lognormal_transform(f);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_realise(Field *f, const double *white, double *kappa)
{
  PetscFunctionBeginUser;
  PetscCall(realise(f, white));
  memcpy(kappa, f->pixels, (size_t)(f->bins * f->grid.ny * f->grid.nx) * sizeof *kappa);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_realise_keyed(Field *f, RandomKey key, float *kappa)
{
  const size_t size = (size_t)(f->bins * f->grid.ny * f->grid.nx);

  PetscFunctionBeginUser;
  random_normal(key, 0, size, f->white);
  PetscCall(realise(f, f->white));
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
