/** \file pull_back.c  Derivatives by white noise, spectra and shifts from those by the map: field_realise() in reverse.
 * \ingroup field
 *
 * A bar marks derivatives of some number F.  Each step of physics, Maps 1-5, is linear, acts on one pixel or one mode,
 * or is the square root of one mode's matrix.  Fourier transforms of even maps are symmetric matrices over the whole
 * grid: on the quarter they are their own adjoint if derivatives are told per mode of the whole grid.  Of a map that
 * several ranks make together each has the derivatives of its rows or modes; what all of them share is added up.
 */
#include "field/internal.h"

#include <omp.h>
#include <string.h>

/* The modes at hand, and how many values of them are kept: all of a slab's, with what lies between its bins. */
static const double complex *modes_of(const Field *f, size_t *values)
{
  size_t bin = (size_t)f->shape.ny * (size_t)(f->shape.nx / 2 + 1);
  const double complex *const modes = f->slab ? slab_modes(f->slab, &bin) : f->modes;

  *values = (size_t)f->shape.bins * bin;
  return modes;
}

static PetscErrorCode create_tape(Field *f)
{
  const FieldGrid correlation = correlation_grid(f);
  const size_t pairs = (size_t)f->pairs, values = pairs * quarter_size(&f->grid);
  size_t modes;

  PetscFunctionBeginUser;
  modes_of(f, &modes);
  PetscCall(PetscNew(&f->tape));
  PetscCall(PetscMalloc5(values, &f->tape->power, pairs * quarter_size(&correlation), &f->tape->correlation, values,
                         &f->tape->gaussian, values, &f->tape->adjoint, modes, &f->tape->white));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_record(Field *f)
{
  PetscFunctionBeginUser;
  if (f->tape) PetscFunctionReturn(PETSC_SUCCESS);
  f->ready = PETSC_FALSE; /* spectra that were set before are not on the tape */
  PetscCall(group_agree(f->comm, create_tape(f)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void tape_white(Field *f)
{
  size_t values;
  const double complex *const modes = modes_of(f, &values);

  if (values) memcpy(f->tape->white, modes, values * sizeof *modes); /* a rank may have none */
}

PetscErrorCode tape_destroy(Field *f)
{
  PetscFunctionBeginUser;
  if (!f->tape) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(lensing_spectra_destroy(&f->tape->spectra));
  PetscCall(PetscFree5(f->tape->power, f->tape->correlation, f->tape->gaussian, f->tape->adjoint, f->tape->white));
  PetscCall(PetscFree(f->tape));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode tape_spectra(Field *f, const LensingSpectra *spectra)
{
  FieldTape *const tape = f->tape;
  const PetscInt count = spectra->ell_count;

  PetscFunctionBeginUser;
  if (tape->spectra && tape->spectra->ell_count != count) PetscCall(lensing_spectra_destroy(&tape->spectra));
  if (!tape->spectra) PetscCall(lensing_spectra_create(f->shape.bins, count, &tape->spectra));
  PetscCall(PetscArraycpy(tape->spectra->ell, spectra->ell, count));
  PetscCall(PetscArraycpy(tape->spectra->power, spectra->power, f->pairs * count));
  PetscCall(PetscArraycpy(tape->spectra->shift, spectra->shift, f->shape.bins));
  PetscCall(PetscArraycpy(tape->power, f->root, (size_t)f->pairs * quarter_size(&f->grid)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* g_bar from kappa_bar, in f->pixels, in the place of kappa = lambda (exp(g - sigma^2/2) - 1).
 * \param[out] shift_bar [bins] by the lambda of this formula  \param[out] variance_bar [bins] by sigma^2: of the pixels
 * that are here */
static void through_exponential(Field *f, const double *kappa_bar, double *shift_bar, double *variance_bar)
{
  for (PetscInt bin = 0; bin < f->shape.bins; bin++) {
    const double shift = f->shift[bin];
    double by_shift = 0, by_exponent = 0;

    for (PetscInt line = 0; line < f->lines; line++) {
      const double *const bar = kappa_bar + line_place(f, bin, line);
      double *const kappa = line_pixels(f, bin, line);

      for (size_t i = 0; i < f->line_values; i++) {
        by_shift += bar[i] * kappa[i];
        kappa[i] = bar[i] * (kappa[i] + shift);
        by_exponent += kappa[i];
      }
    }
    shift_bar[bin] = by_shift / shift;
    variance_bar[bin] = -by_exponent / 2;
  }
}

/* g_bar of a Gaussian field, whose g is kappa. */
static void take_in(Field *f, const double *kappa_bar)
{
  for (PetscInt bin = 0; bin < f->shape.bins; bin++)
    for (PetscInt line = 0; line < f->lines; line++)
      memcpy(line_pixels(f, bin, line), kappa_bar + line_place(f, bin, line), f->line_values * sizeof *kappa_bar);
}

/* The map at hand, which the inverse transform left unnormalised. */
static void give_out(const Field *f, double *white_bar)
{
  const double scale = 1 / ((double)f->shape.ny * (double)f->shape.nx);

  for (PetscInt bin = 0; bin < f->shape.bins; bin++)
    for (PetscInt line = 0; line < f->lines; line++) {
      const double *const from = line_pixels(f, bin, line);
      double *const to = white_bar + line_place(f, bin, line);

      for (size_t i = 0; i < f->line_values; i++) to[i] = scale * from[i];
    }
}

/* S with dF = sum over the modes of the whole grid of tr(S dL), from the modes of g_bar: a matrix stands for itself and
 * its mirror images, among which it is divided. */
static void root_adjoint_of_map(Field *f, double *adjoint)
{
  const PetscInt ny = f->grid.ny, nx = f->grid.nx, columns = quarter_nx(&f->grid);
  const double pixels = (double)ny * (double)nx;
  const size_t size = quarter_size(&f->grid);

  if (f->slab) {
    slab_outer(f->slab, f->kernels, f->tape->white, 1 / pixels, adjoint);
    return;
  }
  memset(adjoint, 0, (size_t)f->pairs * size * sizeof *adjoint);
#pragma omp parallel for schedule(static) num_threads(f->threads)
  for (PetscInt row = 0; row < f->grid.rows; row++)
    for (PetscInt side = 0; side < (PetscInt)quarter_times(row, ny); side++) { /* k_y and -k_y; -k_x are conjugates */
      const PetscInt y = side ? ny - row : row;

      f->kernels->outer(&(OuterRow){.bins = f->shape.bins,
                                    .count = (size_t)columns,
                                    .product_stride = size,
                                    .mode_stride = (size_t)(ny * columns),
                                    .a = (const double *)(f->modes + y * columns),
                                    .z = (const double *)(f->tape->white + y * columns),
                                    .factor = 1 / (pixels * quarter_times(row, ny)),
                                    .product = adjoint + row * columns});
    }
}

/* What sigma_i^2 = (1/pixels) sum_k (L L^T)_ii adds. */
static void root_adjoint_of_variance(const Field *f, const double *variance_bar, double *adjoint)
{
  const double pixels = (double)f->grid.ny * (double)f->grid.nx;
  const size_t size = quarter_size(&f->grid);

  for (PetscInt i = 0; i < f->shape.bins; i++)
    for (PetscInt j = i; j < f->shape.bins; j++) {
      const size_t pair = (size_t)lensing_pair(f->shape.bins, i, j) * size;
      const double factor = (variance_bar[i] + variance_bar[j]) / pixels;

      for (size_t q = 0; q < size; q++) adjoint[pair + q] += factor * f->root[pair + q];
    }
}

/* Of a square grid matrices are the same at (y, x) and (x, y), and made once: so are their derivatives, then. */
static void share_across_diagonal(const FieldGrid *grid, double *quarter)
{
  const PetscInt columns = quarter_nx(grid);

  for (PetscInt y = 0; y < grid->rows; y++)
    for (PetscInt x = 0; x < quarter_first(y, grid); x++) {
      const double mean = (quarter[y * columns + x] + quarter[x * columns + y]) / 2;

      quarter[y * columns + x] = quarter[x * columns + y] = mean;
    }
}

/* From derivatives by L(k) to those by the matrices of which they are roots, in place. */
static void through_roots(Field *f, double *adjoint)
{
  const PetscInt columns = quarter_nx(&f->grid);
  const size_t size = quarter_size(&f->grid);

#pragma omp parallel for schedule(dynamic) num_threads(f->threads)
  for (PetscInt pair = 0; pair < f->pairs; pair++) share_across_diagonal(&f->grid, adjoint + (size_t)pair * size);
#pragma omp parallel for schedule(dynamic) num_threads(f->threads)
  for (PetscInt row = 0; row < f->grid.rows; row++) {
    const PetscInt first = quarter_first(row, &f->grid);
    const size_t place = (size_t)(row * columns + first);

    f->kernels->root_adjoint(&(RootAdjointBatch){.bins = f->shape.bins,
                                                 .count = (size_t)(columns - first),
                                                 .stride = size,
                                                 .matrix = f->tape->gaussian + place,
                                                 .adjoint = adjoint + place});
  }
#pragma omp parallel for schedule(dynamic) num_threads(f->threads)
  for (PetscInt pair = 0; pair < f->pairs; pair++) quarter_mirror(&f->grid, adjoint + (size_t)pair * size);
}

/* From derivatives by ln(1 + t) to those by xi, of one pair, in place: t = xi/(lambda_i lambda_j).
 * \param[in,out] bar  quarter of correlation_grid()  \return by ln(lambda_i lambda_j) */
static double through_logarithm(const Field *f, PetscInt pair, double *bar)
{
  const FieldGrid grid = correlation_grid(f);
  const PetscInt columns = quarter_nx(&grid);
  const double *const t = f->tape->correlation + (size_t)pair * quarter_size(&grid);
  PetscInt two[2];
  double by_shifts = 0;

  bins_of_pair(f->shape.bins, pair, two);
  const double scale = 1 / ((double)grid.ny * (double)grid.nx * f->shift[two[0]] * f->shift[two[1]]);
  for (PetscInt row = 0; row < grid.rows; row++)
    for (PetscInt x = 0; x < columns; x++) {
      const PetscInt p = row * columns + x;

      bar[p] /= 1 + t[p];
      by_shifts -= quarter_times(grid.first + row, grid.ny) * quarter_times(x, grid.nx) * bar[p] * t[p];
      bar[p] *= scale;
    }
  return by_shifts;
}

/* Through P^g = FFT ln(1 + t) and xi = FFT^-1 P, of one pair, in place.  \return as through_logarithm() */
static double through_whole(const Field *f, PetscInt pair, EvenTransform *even, double *bar)
{
  even_transform(even, bar, bar);
  const double by_shifts = through_logarithm(f, pair, bar);
  even_transform(even, bar, bar);
  return by_shifts;
}

/* Likewise of a pair of which other ranks have parts. */
static double through_slab(const Field *f, PetscInt pair, double *bar)
{
  size_t count;
  const double by_shifts = through_logarithm(f, pair, slab_to_correlation(f->slab, bar, &count));

  slab_from_correlation(f->slab, bar);
  return by_shifts;
}

/* From derivatives by P^g to those by P, in place.  \param[in,out] shift_bar [bins], added to */
static void through_logarithms(Field *f, double *adjoint, double *shift_bar)
{
  const size_t size = quarter_size(&f->grid);
  double by_shifts[NEPHRITE_MAX_PAIRS];

  for (PetscInt pair = 0; pair < f->pairs && f->grid.first == 0 && size; pair++)
    adjoint[(size_t)pair * size] = 0; /* P^g at k = 0 was set to 0 */
  if (f->slab)
    for (PetscInt pair = 0; pair < f->pairs; pair++)
      by_shifts[pair] = through_slab(f, pair, adjoint + (size_t)pair * size);
  else
#pragma omp parallel for schedule(dynamic) num_threads(f->threads)
    for (PetscInt pair = 0; pair < f->pairs; pair++)
      by_shifts[pair] = through_whole(f, pair, f->even[omp_get_thread_num()], adjoint + (size_t)pair * size);
  for (PetscInt i = 0; i < f->shape.bins; i++)
    for (PetscInt j = 0; j < f->shape.bins; j++) /* both orders of a pair; both factors of its product */
      shift_bar[i] += 2 * by_shifts[lensing_pair(f->shape.bins, i, j)] / f->shift[i];
}

/* Add up what the ranks have that make a map together. */
static PetscErrorCode sum_over_ranks(const Field *f, PetscInt count, double *value)
{
  PetscFunctionBeginUser;
  if (f->slab) PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, value, (int)count, MPI_DOUBLE, MPI_SUM, f->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* From the derivatives by L of the map, in tape->adjoint, and those by sigma_i^2 and lambda_i so far. */
static PetscErrorCode pull_back_spectra(Field *f, double *variance_bar, double *shift_bar, LensingSpectra *bar)
{
  FieldTape *const tape = f->tape;
  const PetscInt bins = f->shape.bins, count = bar->ell_count;

  PetscFunctionBeginUser;
  PetscCall(sum_over_ranks(f, bins, variance_bar)); /* each rank has modes of all pixels' variance */
  if (f->shape.model == FIELD_LOGNORMAL) root_adjoint_of_variance(f, variance_bar, tape->adjoint);
  through_roots(f, tape->adjoint);
  if (f->shape.model == FIELD_LOGNORMAL) through_logarithms(f, tape->adjoint, shift_bar);
  const PetscErrorCode error =
      spectrum_quarter_adjoint(tape->spectra, &f->grid, &(QuarterAdjoint){tape->power, tape->adjoint}, bar->power);
  PetscCall(f->slab ? group_agree(f->comm, error) : error);
  PetscCall(sum_over_ranks(f, f->pairs * count, bar->power));
  PetscCall(sum_over_ranks(f, bins, shift_bar));
  for (PetscInt i = 0; i < bins; i++)
    for (PetscInt j = i + 1; j < bins; j++) /* C_ij is two elements of the matrix */
      for (PetscInt l = 0; l < count; l++) bar->power[lensing_pair(bins, i, j) * count + l] *= 2;
  PetscCall(PetscArraycpy(bar->shift, shift_bar, bins));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check(const Field *f, const LensingSpectra *bar)
{
  PetscFunctionBeginUser;
  PetscCheck(f->ready && f->tape && f->tape->realised, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "derivatives of a map that was not recorded, or a second time");
  PetscCheck(!bar || (bar->bins == f->shape.bins && bar->ell_count == f->tape->spectra->ell_count), PETSC_COMM_SELF,
             NEPHRITE_ERR_INTERNAL, "derivatives by spectra of another size than the field's");
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode field_pull_back(Field *f, const double *kappa_bar, double *white_bar, LensingSpectra *spectra_bar)
{
  double shift_bar[NEPHRITE_MAX_BINS] = {0}, variance_bar[NEPHRITE_MAX_BINS] = {0};

  PetscFunctionBeginUser;
  PetscCall(check(f, spectra_bar));
  f->tape->realised = PETSC_FALSE;
  if (f->shape.model == FIELD_LOGNORMAL)
    through_exponential(f, kappa_bar, shift_bar, variance_bar);
  else
    take_in(f, kappa_bar);
  forward_transform(f);
  if (spectra_bar) root_adjoint_of_map(f, f->tape->adjoint); /* takes modes that are not yet multiplied by L */
  correlate_modes(f); /* z -> g is a symmetric matrix */
  backward_transform(f);
  give_out(f, white_bar);
  if (spectra_bar) PetscCall(pull_back_spectra(f, variance_bar, shift_bar, spectra_bar)); /* may overwrite the pixels */
  PetscFunctionReturn(PETSC_SUCCESS);
}
