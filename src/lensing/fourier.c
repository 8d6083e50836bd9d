/** \file fourier.c  Two FFTW plans and their arrays.  \ingroup lensing */
#include "nephrite/lensing.h"

#include <complex.h>
#include <fftw3.h>

struct Fourier {
  double *map; /* [ny][nx] */
  double complex *modes; /* [ny][nx/2+1] */
  fftw_plan forward, inverse;
};

PetscErrorCode fourier_create(PetscInt ny, PetscInt nx, Fourier **fourier)
{
  const size_t rows = (size_t)ny, columns = (size_t)nx;
  Fourier *f = NULL;

  PetscFunctionBeginUser;
  PetscCheck(ny > 0 && nx > 0, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "a map of %d x %d pixels cannot be transformed",
             (int)ny, (int)nx);
  PetscCall(PetscNew(&f));
  *fourier = f;
  f->map = fftw_alloc_real(rows * columns);
  f->modes = fftw_alloc_complex(rows * (columns / 2 + 1));
  PetscCheck(f->map && f->modes, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "no memory to transform a map of %d x %d pixels", (int)ny, (int)nx);
  f->forward = fftw_plan_dft_r2c_2d(ny, nx, f->map, f->modes, FFTW_ESTIMATE);
  f->inverse = fftw_plan_dft_c2r_2d(ny, nx, f->modes, f->map, FFTW_ESTIMATE);
  PetscCheck(f->forward && f->inverse, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "FFTW has no plan for a map of %d x %d pixels", (int)ny, (int)nx);
  PetscFunctionReturn(PETSC_SUCCESS);
}

double *fourier_map(Fourier *fourier)
{
  return fourier->map;
}

double complex *fourier_modes(Fourier *fourier)
{
  return fourier->modes;
}

void fourier_forward(Fourier *fourier)
{
  fftw_execute(fourier->forward);
}

void fourier_inverse(Fourier *fourier)
{
  fftw_execute(fourier->inverse);
}

PetscErrorCode fourier_destroy(Fourier **fourier)
{
  PetscFunctionBeginUser;
  if (!*fourier) PetscFunctionReturn(PETSC_SUCCESS);
  if ((*fourier)->forward) fftw_destroy_plan((*fourier)->forward);
  if ((*fourier)->inverse) fftw_destroy_plan((*fourier)->inverse);
  fftw_free((*fourier)->map);
  fftw_free((*fourier)->modes);
  PetscCall(PetscFree(*fourier));
  PetscFunctionReturn(PETSC_SUCCESS);
}
