/** \file field.c  The handle: grid, transforms and work space.  \ingroup field */
#include "field/internal.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { PIECE = 1 << 12 }; /* pixels that a thread takes at a time */

/* Estimated plans: measured ones depend on timing, and with them the last bit of a map. */
static PetscErrorCode plan_transforms(Field *f)
{
  const int ny = (int)f->shape.ny, nx = (int)f->shape.nx;
  const size_t count = (size_t)ny * (size_t)(nx / 2 + 1);

  PetscFunctionBeginUser;
  for (PetscInt bin = 0; bin < f->shape.bins; bin++) {
    double *const pixels = f->pixels + (size_t)bin * f->bin_stride;
    double complex *const modes = f->modes + (size_t)bin * count;

    f->forward[bin] = fftw_plan_dft_r2c_2d(ny, nx, pixels, modes, FFTW_ESTIMATE);
    f->backward[bin] = fftw_plan_dft_c2r_2d(ny, nx, modes, pixels, FFTW_ESTIMATE);
    PetscCheck(f->forward[bin] && f->backward[bin], PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
               "FFTW has no plan for a map of %d x %d pixels", nx, ny);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* All of a map on this rank. */
static PetscErrorCode create_whole(Field *f)
{
  const FieldShape *const shape = &f->shape;
  const size_t bins = (size_t)shape->bins, pixels = (size_t)shape->ny * (size_t)shape->nx;

  PetscFunctionBeginUser;
  f->grid = whole_grid(shape->ny, shape->nx, shape->pixel);
  f->lines = 1;
  f->line_values = f->line_stride = f->bin_stride = pixels;
  f->pixels = fftw_alloc_real(bins * pixels);
  f->modes = fftw_alloc_complex(bins * (size_t)shape->ny * (size_t)quarter_nx(&f->grid));
  PetscCheck(f->pixels && f->modes, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "no memory for %zu maps of %" PetscInt_FMT " x %" PetscInt_FMT " pixels", bins, shape->nx, shape->ny);
  if (shape->model == FIELD_LOGNORMAL) {
    PetscCall(PetscCalloc1(f->threads, &f->even));
    for (int t = 0; t < f->threads; t++) PetscCall(even_transform_create(shape->ny, shape->nx, &f->even[t]));
  }
  PetscCall(plan_transforms(f));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A part of it. */
static PetscErrorCode create_slab(Field *f)
{
  PetscInt first_row;

  PetscFunctionBeginUser;
  PetscCall(slab_create(f->comm, &f->shape, &f->slab));
  slab_rows(f->slab, &first_row, &f->lines);
  f->grid = slab_modes_grid(f->slab);
  f->first_pixel = (uint64_t)first_row * (uint64_t)f->shape.nx;
  f->line_values = (size_t)f->shape.nx;
  f->pixels = slab_pixels(f->slab, &f->line_stride, &f->bin_stride);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode allocate_roots(Field *f)
{
  const size_t bins = (size_t)f->shape.bins;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc4((size_t)f->pairs * quarter_size(&f->grid), &f->root, bins, &f->shift, bins, &f->variance,
                         (size_t)f->threads * (size_t)quarter_nx(&f->grid), &f->negative));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_check(const FieldShape *shape, PetscMPIInt ranks)
{
  const PetscInt ny = shape->ny, nx = shape->nx;

  PetscFunctionBeginUser;
  PetscCheck(shape->bins >= 1 && shape->bins <= NEPHRITE_MAX_BINS, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%" PetscInt_FMT " tomographic bins; there may be 1 to %d", shape->bins, NEPHRITE_MAX_BINS);
  PetscCheck(ny >= 2 && nx >= 2 && shape->pixel > 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "a map of %" PetscInt_FMT " x %" PetscInt_FMT " pixels of %.6g radians is no map", nx, ny, shape->pixel);
  PetscCheck(ranks <= ny, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "a map of %" PetscInt_FMT " rows cannot be divided over %d ranks; use groups of at most %" PetscInt_FMT,
             ny, ranks, ny);
  PetscCheck(ranks == 1 || shape->model == FIELD_GAUSSIAN || (ny % 2 == 0 && nx % 2 == 0), PETSC_COMM_SELF,
             NEPHRITE_ERR_CONFIG,
             "a log-normal map of %" PetscInt_FMT " x %" PetscInt_FMT
             " pixels cannot be divided over %d ranks: both sides must be even; make it on one rank each, or of one "
             "pixel more",
             nx, ny, ranks);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_create(MPI_Comm comm, const FieldShape *shape, Field **field)
{
  PetscMPIInt ranks;
  Field *f = NULL;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_size(comm, &ranks));
  PetscCall(field_check(shape, ranks));
  PetscCall(PetscNew(&f));
  *field = f;
  f->comm = comm;
  f->shape = *shape;
  f->pairs = shape->bins * (shape->bins + 1) / 2;
  f->threads = (int)PetscMin(omp_get_max_threads(), f->pairs); /* more would find little to do */
  f->kernels = field_kernels_best();
  PetscCall(log_event("field spectra", &f->prepare));
  PetscCall(log_event("field maps", &f->make));
  PetscCall(ranks > 1 ? create_slab(f) : create_whole(f));
  PetscCall(group_agree(comm, allocate_roots(f)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void field_slab(const Field *f, PetscInt *first_row, PetscInt *rows)
{
  *first_row = 0;
  *rows = f->shape.ny;
  if (f->slab) slab_rows(f->slab, first_row, rows);
}

PetscErrorCode field_destroy(Field **field)
{
  Field *f = *field;

  PetscFunctionBeginUser;
  if (!f) PetscFunctionReturn(PETSC_SUCCESS);
  for (PetscInt bin = 0; bin < f->shape.bins; bin++) {
    if (f->forward[bin]) fftw_destroy_plan(f->forward[bin]);
    if (f->backward[bin]) fftw_destroy_plan(f->backward[bin]);
  }
  for (int t = 0; t < f->threads && f->even; t++) PetscCall(even_transform_destroy(&f->even[t]));
  PetscCall(PetscFree(f->even));
  PetscCall(tape_destroy(f));
  if (!f->slab) fftw_free(f->pixels);
  fftw_free(f->modes);
  PetscCall(slab_destroy(&f->slab));
  PetscCall(PetscFree4(f->root, f->shift, f->variance, f->negative));
  PetscCall(PetscFree(*field));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_spectra(const Field *f, const LensingSpectra *spectra)
{
  PetscFunctionBeginUser;
  PetscCheck(spectra->bins == f->shape.bins, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "spectra of %" PetscInt_FMT " bins for a field of %" PetscInt_FMT, spectra->bins, f->shape.bins);
  for (PetscInt i = 0; i < f->shape.bins && f->shape.model == FIELD_LOGNORMAL; i++)
    PetscCheck(spectra->shift[i] > 0 && isfinite(spectra->shift[i]), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "the log-normal shift of bin %" PetscInt_FMT " is %.6g; it must be positive", i, spectra->shift[i]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode set_spectra(Field *f, const LensingSpectra *spectra)
{
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = check_spectra(f, spectra);
  if (!error) error = spectrum_quarter(spectra, &f->grid, f->root);
  PetscCall(f->slab ? group_agree(f->comm, error) : error);
  memcpy(f->shift, spectra->shift, (size_t)f->shape.bins * sizeof *f->shift);
  if (f->tape) PetscCall(tape_spectra(f, spectra));
  if (f->shape.model == FIELD_LOGNORMAL) PetscCall(lognormal_gaussian_power(f));
  if (f->tape) PetscCall(PetscArraycpy(f->tape->gaussian, f->root, (size_t)f->pairs * quarter_size(&f->grid)));
  PetscCall(gaussian_roots(f));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_set_spectra(Field *f, const LensingSpectra *spectra)
{
  PetscFunctionBeginUser;
  f->ready = PETSC_FALSE;
  if (f->tape) f->tape->realised = PETSC_FALSE;
  PetscCall(PetscLogEventBegin(f->prepare, 0, 0, 0, 0));
  const PetscErrorCode error = set_spectra(f, spectra);
  PetscCall(PetscLogEventEnd(f->prepare, 0, 0, 0, 0));
  PetscCall(error);
  f->ready = PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A part of a line, for one thread; where lines are cut does not depend on the number of threads. */
typedef struct {
  PetscInt bin, line;
  size_t start, count;
  double *pixels;
} Piece;

static int64_t count_pieces(const Field *f)
{
  return (int64_t)f->shape.bins * f->lines * (int64_t)((f->line_values + PIECE - 1) / PIECE);
}

static Piece piece_of(const Field *f, int64_t number)
{
  const int64_t of_line = (int64_t)((f->line_values + PIECE - 1) / PIECE), line = number / of_line;
  const size_t start = (size_t)(number % of_line) * PIECE;
  const PetscInt bin = (PetscInt)(line / f->lines), line_of_bin = (PetscInt)(line % f->lines);

  return (Piece){bin, line_of_bin, start, PetscMin(f->line_values - start, PIECE),
                 line_pixels(f, bin, line_of_bin) + start};
}

/* From white noise to convergence, in place in f->pixels. */
static void realise(Field *f)
{
  const double scale = 1 / ((double)f->shape.ny * (double)f->shape.nx); /* of the inverse transform */
  const int64_t pieces = count_pieces(f);

  gaussian_realise(f);
#pragma omp parallel for schedule(static) num_threads(f->threads)
  for (int64_t n = 0; n < pieces; n++) {
    const Piece p = piece_of(f, n);

    if (f->shape.model == FIELD_LOGNORMAL)
      f->kernels->lognormal(p.count, (const double[]){scale, f->variance[p.bin] / 2, f->shift[p.bin]}, p.pixels);
    else
      for (size_t i = 0; i < p.count; i++) p.pixels[i] *= scale;
  }
  if (f->tape) f->tape->realised = PETSC_TRUE;
}

static PetscErrorCode check_ready(const Field *f)
{
  PetscFunctionBeginUser;
  PetscCheck(f->ready, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "a field is realised before its spectra are set");
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_realise(Field *f, const double *white, double *kappa)
{
  const size_t bytes = f->line_values * sizeof *kappa;

  PetscFunctionBeginUser;
  PetscCall(check_ready(f));
  for (PetscInt bin = 0; bin < f->shape.bins; bin++)
    for (PetscInt line = 0; line < f->lines; line++)
      memcpy(line_pixels(f, bin, line), white + line_place(f, bin, line), bytes);
  realise(f);
  for (PetscInt bin = 0; bin < f->shape.bins; bin++)
    for (PetscInt line = 0; line < f->lines; line++)
      memcpy(kappa + line_place(f, bin, line), line_pixels(f, bin, line), bytes);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void fill_with_noise(Field *f, RandomKey key)
{
  const uint64_t map = (uint64_t)f->shape.ny * (uint64_t)f->shape.nx;
  const int64_t pieces = count_pieces(f);

#pragma omp parallel for schedule(static) num_threads(f->threads)
  for (int64_t n = 0; n < pieces; n++) {
    const Piece p = piece_of(f, n);
    const uint64_t position =
        (uint64_t)p.bin * map + f->first_pixel + (uint64_t)p.line * f->line_values + (uint64_t)p.start;

    random_normal(key, position, p.count, p.pixels);
  }
}

static void store(const Field *f, float *kappa)
{
  const int64_t pieces = count_pieces(f);

#pragma omp parallel for schedule(static) num_threads(f->threads)
  for (int64_t n = 0; n < pieces; n++) {
    const Piece p = piece_of(f, n);
    float *const out = kappa + line_place(f, p.bin, p.line) + p.start;

    for (size_t i = 0; i < p.count; i++) out[i] = (float)p.pixels[i];
  }
}

/* Of a map, on this rank, for PETSc's log: two transforms of each bin, and the bins of each mode from those before. */
static double map_flops(const Field *f)
{
  const double pixels = (double)f->lines * (double)f->line_values;
  const double transform = 2.5 * pixels * log2((double)f->shape.ny * (double)f->shape.nx);

  return 2 * f->shape.bins * transform + 2 * f->pairs * pixels;
}

PetscErrorCode field_realise_keyed(Field *f, RandomKey key, float *kappa)
{
  PetscFunctionBeginUser;
  PetscCall(check_ready(f));
  PetscCall(PetscLogEventBegin(f->make, 0, 0, 0, 0));
  fill_with_noise(f, key);
  realise(f);
  store(f, kappa);
  PetscCall(PetscLogFlops(map_flops(f)));
  PetscCall(PetscLogEventEnd(f->make, 0, 0, 0, 0));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_gaussian_variance(const Field *field, double *variance)
{
  PetscFunctionBeginUser;
  memcpy(variance, field->variance, (size_t)field->shape.bins * sizeof *variance);
  PetscFunctionReturn(PETSC_SUCCESS);
}

double field_negative_fraction(const Field *field)
{
  return field->negative_fraction;
}
