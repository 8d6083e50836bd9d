/** \file fourier.c  Two FFTW plans and their arrays.  \ingroup lensing */
#include "nephrite/lensing.h"

#include <complex.h>
#include <fftw3-mpi.h>

struct Fourier {
  FourierPart part;
  double *map; /* [rows][line] */
  double complex *modes; /* [ny][columns] or [columns][ny] */
  fftw_plan forward, inverse;
};

static PetscErrorCode check_size(PetscInt ny, PetscInt nx)
{
  PetscFunctionBeginUser;
  PetscCheck(ny > 0 && nx > 0, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "a map of %d x %d pixels cannot be transformed",
             (int)ny, (int)nx);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode allocate(PetscInt ny, PetscInt nx, size_t values, size_t modes, Fourier *f)
{
  PetscFunctionBeginUser;
  f->map = fftw_alloc_real(values);
  f->modes = fftw_alloc_complex(modes);
  PetscCheck(f->map && f->modes, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "no memory to transform a map of %d x %d pixels", (int)ny, (int)nx);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_plans(PetscInt ny, PetscInt nx, const Fourier *f)
{
  PetscFunctionBeginUser;
  PetscCheck(f->forward && f->inverse, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "FFTW has no plan for a map of %d x %d pixels", (int)ny, (int)nx);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode fourier_create(PetscInt ny, PetscInt nx, Fourier **fourier)
{
  const PetscInt columns = nx / 2 + 1;
  Fourier *f = NULL;

  PetscFunctionBeginUser;
  PetscCall(check_size(ny, nx));
  PetscCall(PetscNew(&f));
  *fourier = f;
  f->part = (FourierPart){.rows = ny, .line = nx, .columns = columns};
  PetscCall(allocate(ny, nx, (size_t)ny * (size_t)nx, (size_t)ny * (size_t)columns, f));
  f->forward = fftw_plan_dft_r2c_2d(ny, nx, f->map, f->modes, FFTW_ESTIMATE);
  f->inverse = fftw_plan_dft_c2r_2d(ny, nx, f->modes, f->map, FFTW_ESTIMATE);
  PetscCall(check_plans(ny, nx, f));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode create_slab(MPI_Comm comm, PetscInt ny, PetscInt nx, Fourier *f)
{
  const unsigned in = FFTW_ESTIMATE | FFTW_MPI_TRANSPOSED_IN, out = FFTW_ESTIMATE | FFTW_MPI_TRANSPOSED_OUT;
  ptrdiff_t rows, first_row, columns, first_column;

  PetscFunctionBeginUser;
  fftw_mpi_init(); /* does nothing the second time */
  const ptrdiff_t values =
      fftw_mpi_local_size_2d_transposed(ny, nx / 2 + 1, comm, &rows, &first_row, &columns, &first_column);
  f->part = (FourierPart){(PetscInt)rows, 2 * (nx / 2 + 1), (PetscInt)first_column, (PetscInt)columns, PETSC_TRUE};
  PetscCall(group_agree(comm, allocate(ny, nx, 2 * (size_t)values + 1, (size_t)values + 1, f)));
  f->forward = fftw_mpi_plan_dft_r2c_2d(ny, nx, f->map, f->modes, comm, out);
  f->inverse = fftw_mpi_plan_dft_c2r_2d(ny, nx, f->modes, f->map, comm, in);
  PetscCall(group_agree(comm, check_plans(ny, nx, f)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode fourier_create_slab(MPI_Comm comm, PetscInt ny, PetscInt nx, Fourier **fourier)
{
  PetscMPIInt ranks;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_size(comm, &ranks));
  if (ranks == 1) {
    PetscCall(fourier_create(ny, nx, fourier));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(check_size(ny, nx));
  PetscCall(PetscNew(fourier));
  PetscCall(create_slab(comm, ny, nx, *fourier));
  PetscFunctionReturn(PETSC_SUCCESS);
}

FourierPart fourier_part(const Fourier *fourier)
{
  return fourier->part;
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

void fourier_forward_maps(Fourier *fourier, PetscInt count, const float *maps, double _Complex *modes)
{
  const FourierPart *part = &fourier->part;
  const size_t pixels = (size_t)(part->rows * part->line), size = (size_t)(part->rows * part->columns);

  for (size_t m = 0; m < (size_t)count; m++) {
    for (size_t i = 0; i < pixels; i++) fourier->map[i] = (double)maps[m * pixels + i];
    fourier_forward(fourier);
    for (size_t mode = 0; mode < size; mode++) modes[m * size + mode] = fourier->modes[mode];
  }
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
