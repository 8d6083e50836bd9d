/** \file slab.c  A map divided over a group of ranks by FFTW-MPI.  \ingroup field
 *
 * Pixels are divided along y.  Their transforms are left transposed, divided along kx with all ky of a kx together,
 * which saves half of the communication: modes are correlated one by one, in whatever order they are.  A rank may have
 * none.
 */
#include "field/internal.h"

#include <fftw3-mpi.h>
#include <string.h>

struct Slab {
  MPI_Comm comm;
  FieldShape shape;
  ptrdiff_t first_row, rows; /* y of the pixels */
  ptrdiff_t first_column, columns; /* kx of the modes */
  ptrdiff_t first_correlation, correlation_rows; /* y of the correlation's quarter */
  size_t bin_stride; /* doubles */
  double *values; /* [bins][bin_stride]: pixels [rows][2 (nx/2+1)], or modes [columns][ny][2] */
  double *root; /* [pairs][ny] of one kx */
  fftw_plan forward, backward; /* of one bin, in place */
  fftw_plan to_correlation, from_correlation; /* of a quarter, in the place of the first bin */
};

static PetscErrorCode divide(Slab *s)
{
  const ptrdiff_t ny = s->shape.ny, half = s->shape.nx / 2 + 1, cache_line = 8;
  ptrdiff_t first_even, even_columns, values, even_values;

  PetscFunctionBeginUser;
  values =
      2 * fftw_mpi_local_size_2d_transposed(ny, half, s->comm, &s->rows, &s->first_row, &s->columns, &s->first_column);
  even_values = fftw_mpi_local_size_2d_transposed(half, ny / 2 + 1, s->comm, &even_columns, &first_even,
                                                  &s->correlation_rows, &s->first_correlation);
  PetscCheck(even_columns == s->columns && (!even_columns || first_even == s->first_column), PETSC_COMM_SELF,
             NEPHRITE_ERR_INTERNAL, "FFTW divides spectra and modes of a map of %d x %d pixels differently",
             (int)s->shape.nx, (int)s->shape.ny);
  values = PetscMax(PetscMax(values, even_values), 1);
  s->bin_stride = (size_t)((values + cache_line - 1) / cache_line * cache_line);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode allocate(Slab *s)
{
  const size_t bins = (size_t)s->shape.bins, ny = (size_t)s->shape.ny;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1(bins * (bins + 1) / 2 * ny, &s->root));
  s->values = fftw_alloc_real(bins * s->bin_stride);
  PetscCheck(s->values, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "no memory for %zu x %td rows of %d pixels", bins,
             s->rows, (int)s->shape.nx);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Estimated plans, as on one rank.  Collective. */
static PetscErrorCode plan_transforms(Slab *s)
{
  const ptrdiff_t ny = s->shape.ny, nx = s->shape.nx;
  const unsigned in = FFTW_ESTIMATE | FFTW_MPI_TRANSPOSED_IN, out = FFTW_ESTIMATE | FFTW_MPI_TRANSPOSED_OUT;
  double *const pixels = s->values;
  fftw_complex *const modes = (fftw_complex *)s->values;
  PetscBool planned;

  PetscFunctionBeginUser;
  s->forward = fftw_mpi_plan_dft_r2c_2d(ny, nx, pixels, modes, s->comm, out);
  s->backward = fftw_mpi_plan_dft_c2r_2d(ny, nx, modes, pixels, s->comm, in);
  planned = s->forward && s->backward ? PETSC_TRUE : PETSC_FALSE;
  if (s->shape.model == FIELD_LOGNORMAL) {
    s->to_correlation =
        fftw_mpi_plan_r2r_2d(nx / 2 + 1, ny / 2 + 1, pixels, pixels, s->comm, FFTW_REDFT00, FFTW_REDFT00, out);
    s->from_correlation =
        fftw_mpi_plan_r2r_2d(nx / 2 + 1, ny / 2 + 1, pixels, pixels, s->comm, FFTW_REDFT00, FFTW_REDFT00, in);
    if (!s->to_correlation || !s->from_correlation) planned = PETSC_FALSE;
  }
  PetscCheck(planned, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "FFTW has no plan for a map of %d x %d pixels", (int)nx,
             (int)ny);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode slab_create(MPI_Comm comm, const FieldShape *shape, Slab **slab)
{
  Slab *s = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&s));
  *slab = s;
  s->shape = *shape;
  PetscCallMPI(MPI_Comm_dup(comm, &s->comm));
  fftw_mpi_init(); /* does nothing the second time */
  PetscCall(group_agree(s->comm, divide(s)));
  PetscCall(group_agree(s->comm, allocate(s)));
  PetscCall(group_agree(s->comm, plan_transforms(s)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode slab_destroy(Slab **slab)
{
  Slab *s = *slab;

  PetscFunctionBeginUser;
  if (!s) PetscFunctionReturn(PETSC_SUCCESS);
  fftw_plan const plans[] = {s->forward, s->backward, s->to_correlation, s->from_correlation};
  for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
    if (plans[i]) fftw_destroy_plan(plans[i]);
  fftw_free(s->values);
  PetscCall(PetscFree(s->root));
  PetscCallMPI(MPI_Comm_free(&s->comm));
  PetscCall(PetscFree(*slab));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void slab_rows(const Slab *s, PetscInt *first_row, PetscInt *rows)
{
  *first_row = s->rows ? (PetscInt)s->first_row : s->shape.ny;
  *rows = (PetscInt)s->rows;
}

FieldGrid slab_modes_grid(const Slab *s)
{
  return (FieldGrid){s->shape.nx, s->shape.ny, s->shape.pixel, (PetscInt)s->first_column, (PetscInt)s->columns};
}

FieldGrid slab_correlation_grid(const Slab *s)
{
  return (FieldGrid){s->shape.ny, s->shape.nx, s->shape.pixel, (PetscInt)s->first_correlation,
                     (PetscInt)s->correlation_rows};
}

double *slab_pixels(const Slab *s, size_t *line, size_t *bin)
{
  *line = 2 * (size_t)(s->shape.nx / 2 + 1);
  *bin = s->bin_stride;
  return s->values;
}

double complex *slab_modes(const Slab *s, size_t *bin)
{
  *bin = s->bin_stride / 2;
  return (double complex *)s->values;
}

/* L of one kx along all ky, of which the quarter has the first half.  \param quarter [pairs] at a distance of \p stride
 */
static void unfold_roots(Slab *s, const double *quarter, size_t stride)
{
  const PetscInt ny = s->shape.ny, pairs = s->shape.bins * (s->shape.bins + 1) / 2;

  for (PetscInt pair = 0; pair < pairs; pair++) {
    const double *const from = quarter + (size_t)pair * stride;
    double *const to = s->root + (size_t)pair * (size_t)ny;

    memcpy(to, from, (size_t)(ny / 2 + 1) * sizeof *to);
    for (PetscInt y = ny / 2 + 1; y < ny; y++) to[y] = from[ny - y];
  }
}

void slab_forward(Slab *s)
{
  for (PetscInt bin = 0; bin < s->shape.bins; bin++) {
    double *const values = s->values + (size_t)bin * s->bin_stride;

    fftw_mpi_execute_dft_r2c(s->forward, values, (fftw_complex *)values);
  }
}

void slab_backward(Slab *s)
{
  for (PetscInt bin = 0; bin < s->shape.bins; bin++) {
    double *const values = s->values + (size_t)bin * s->bin_stride;

    fftw_mpi_execute_dft_c2r(s->backward, (fftw_complex *)values, values);
  }
}

void slab_correlate(Slab *s, const FieldKernels *kernels, const double *root)
{
  const size_t ny = (size_t)s->shape.ny, half = ny / 2 + 1;

  for (size_t column = 0; column < (size_t)s->columns; column++) {
    const CorrelateRow row = {.bins = s->shape.bins,
                              .count = ny,
                              .root_stride = ny,
                              .mode_stride = s->bin_stride / 2,
                              .root = s->root,
                              .mode = s->values + 2 * column * ny};

    unfold_roots(s, root + column * half, (size_t)s->columns * half);
    kernels->correlate(&row);
  }
}

/* Means of a mode and its mirror image, of which the quarter has the first.
 * \param[out] quarter [pairs] at a distance of \p stride */
static void fold_products(const Slab *s, double *quarter, size_t stride)
{
  const PetscInt ny = s->shape.ny, pairs = s->shape.bins * (s->shape.bins + 1) / 2;

  for (PetscInt pair = 0; pair < pairs; pair++) {
    const double *const from = s->root + (size_t)pair * (size_t)ny;
    double *const to = quarter + (size_t)pair * stride;

    for (PetscInt y = 0; y <= ny / 2; y++) to[y] = (from[y] + from[y ? ny - y : 0]) / 2;
  }
}

void slab_outer(Slab *s, const FieldKernels *kernels, const double complex *white, double factor, double *quarter)
{
  const size_t ny = (size_t)s->shape.ny, half = ny / 2 + 1;
  const size_t pairs = (size_t)(s->shape.bins * (s->shape.bins + 1) / 2);

  for (size_t column = 0; column < (size_t)s->columns; column++) {
    memset(s->root, 0, pairs * ny * sizeof *s->root);
    kernels->outer(&(OuterRow){.bins = s->shape.bins,
                               .count = ny,
                               .product_stride = ny,
                               .mode_stride = s->bin_stride / 2,
                               .a = s->values + 2 * column * ny,
                               .z = (const double *)(white + column * ny),
                               .factor = factor,
                               .product = s->root});
    fold_products(s, quarter + column * half, (size_t)s->columns * half);
  }
}

static size_t quarter_values(const Slab *s)
{
  return (size_t)s->columns * (size_t)(s->shape.ny / 2 + 1);
}

double *slab_to_correlation(Slab *s, const double *quarter, size_t *count)
{
  if (s->columns) memcpy(s->values, quarter, quarter_values(s) * sizeof *quarter); /* else there is no quarter */
  fftw_execute(s->to_correlation);
  *count = (size_t)s->correlation_rows * (size_t)(s->shape.nx / 2 + 1);
  return s->values;
}

void slab_from_correlation(Slab *s, double *quarter)
{
  fftw_execute(s->from_correlation);
  if (s->columns) memcpy(quarter, s->values, quarter_values(s) * sizeof *quarter);
}
