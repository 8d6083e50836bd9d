/** \file internal.h  What the parts of field share.  \ingroup field */
#ifndef NEPHRITE_FIELD_INTERNAL_H
#define NEPHRITE_FIELD_INTERNAL_H

#include "field/kernels.h"
#include "nephrite/field.h"

#include <complex.h>
#include <fftw3.h>

enum { NEPHRITE_MAX_PAIRS = NEPHRITE_MAX_BINS * (NEPHRITE_MAX_BINS + 1) / 2 };

/** A periodic grid of square pixels.  Spectra and correlations are even in y and x: one quarter of the grid, rows 0 …
 * ny/2 by columns 0 … nx/2, holds them all; some of its rows are here. */
typedef struct {
  PetscInt ny, nx;
  double pixel; /**< radians */
  PetscInt first, rows; /**< of the quarter's rows */
} FieldGrid;

static inline FieldGrid whole_grid(PetscInt ny, PetscInt nx, double pixel)
{
  return (FieldGrid){ny, nx, pixel, 0, ny / 2 + 1};
}
static inline PetscInt quarter_nx(const FieldGrid *grid)
{
  return grid->nx / 2 + 1;
}
/** Values of the rows that are here. */
static inline size_t quarter_size(const FieldGrid *grid)
{
  return (size_t)grid->rows * (size_t)quarter_nx(grid);
}

/** How many of the n indices of an axis index i of its quarter stands for: itself, and its mirror image. */
static inline double quarter_times(PetscInt i, PetscInt n)
{
  return i == 0 || 2 * i == n ? 1 : 2;
}

/** Of a square grid, spectra are the same at (y, x) and (x, y); of use where both are here. */
static inline PetscBool quarter_is_symmetric(const FieldGrid *grid)
{
  return grid->ny == grid->nx && grid->rows == grid->ny / 2 + 1 ? PETSC_TRUE : PETSC_FALSE;
}
/** First column to compute in row y. */
static inline PetscInt quarter_first(PetscInt y, const FieldGrid *grid)
{
  return quarter_is_symmetric(grid) ? y : 0;
}

/** Fill what lies before quarter_first() from beyond the diagonal.  \param[in,out] quarter [rows][nx/2+1] */
void quarter_mirror(const FieldGrid *grid, double *quarter);

/** The Fourier transform of a real map that is even in y and x, which is real and even too: quarter to quarter,
 * unnormalised, the same in both directions. */
typedef struct EvenTransform EvenTransform;
PetscErrorCode even_transform_create(PetscInt ny, PetscInt nx, EvenTransform **transform);
/** \param in [ny/2+1][nx/2+1]  \param[out] out likewise; may be \p in */
void even_transform(EvenTransform *transform, const double *in, double *out);
PetscErrorCode even_transform_destroy(EvenTransform **transform);

/** A map divided over a group of ranks: each has some rows of its pixels, or some columns kx of its modes. */
typedef struct Slab Slab;
/** Collective.  \p shape has passed field_check(). */
PetscErrorCode slab_create(MPI_Comm comm, const FieldShape *shape, Slab **slab);
void slab_rows(const Slab *slab, PetscInt *first_row, PetscInt *rows);
/** The quarter of the transposed grid, whose rows are columns kx of the map's modes: those that are here. */
FieldGrid slab_modes_grid(const Slab *slab);
/** The rows that are here, each padded.  \param[out] line, bin  values from row to row and from bin to bin
 * \return [bins][rows][nx] at these distances; borrowed */
double *slab_pixels(const Slab *slab, size_t *line, size_t *bin);
/** The modes that are here, in the place of the pixels.  \param[out] bin  values from bin to bin
 * \return [bins][columns][ny] at this distance; borrowed */
double complex *slab_modes(const Slab *slab, size_t *bin);
void slab_forward(Slab *slab); /**< Modes from pixels.  Collective. */
void slab_backward(Slab *slab); /**< Pixels from modes.  Collective. */
/** Multiply the bins of each mode by L(k), as correlate_modes().  \param root [pairs] quarters of slab_modes_grid() */
void slab_correlate(Slab *slab, const FieldKernels *kernels, const double *root);
/** The symmetric part of Re(conj(a_i) z_j), a the modes that are here, mean of a mode and its mirror image.
 * \param white  z, laid out as slab_modes()  \param[out] quarter [pairs] of slab_modes_grid(), times \p factor */
void slab_outer(Slab *slab, const FieldKernels *kernels, const double complex *white, double factor, double *quarter);
/** The quarter of the map's grid, of which those rows of a correlation are here. */
FieldGrid slab_correlation_grid(const Slab *slab);
/** The even transform of a quarter of slab_modes_grid(), as even_transform(), to a part of the correlation.  Overwrites
 * the pixels.  Collective.  \param[out] count of values here  \return the quarter of slab_correlation_grid(); borrowed
 */
double *slab_to_correlation(Slab *slab, const double *quarter, size_t *count);
/** And back.  Collective.  \param[out] quarter  from what slab_to_correlation() returned */
void slab_from_correlation(Slab *slab, double *quarter);
PetscErrorCode slab_destroy(Slab **slab);

/** What of the way from spectra and white noise to a map its derivatives are made from. */
typedef struct {
  LensingSpectra *spectra; /* NULL until any are set */
  double *power; /* [pairs][quarter of field->grid] P_ij */
  double *correlation; /* [pairs][quarter of the correlation's grid] xi_ij/(lambda_i lambda_j), log-normal only */
  double *gaussian; /* as power, of P^g_ij, or P_ij for Gaussian fields */
  double *adjoint; /* the same, work space: derivatives by L, P^g, xi, P in turn, per mode of the whole grid */
  double complex *white; /* modes of the white noise, laid out as those of the field or slab */
  PetscBool realised; /* white is that of the map in field->pixels, which is of these spectra */
} FieldTape;

struct Field {
  MPI_Comm comm; /* borrowed */
  FieldShape shape;
  FieldGrid grid; /* of the modes that are here: with several ranks, the transposed one of the map's */
  PetscInt pairs;
  PetscBool ready; /* spectra are set */
  const FieldKernels *kernels;
  double *root; /* [pairs][rows][nx/2+1] of the grid: the spectrum of g while it is made, then its square root L(k) */
  double *shift, *variance; /* [bins] */
  unsigned char *negative; /* [threads][nx/2+1] work space */
  double negative_fraction;
  Slab *slab; /* with several ranks, else NULL */
  int threads; /* of this rank; nothing that is computed depends on how many there are */
  EvenTransform **even; /* [threads] of log-normal fields on one rank, else NULL */
  double *pixels; /* [bins][lines][line_values], at the distances of line_stride and bin_stride */
  PetscInt lines; /* rows of a slab; a whole map is one line */
  size_t line_values, line_stride, bin_stride;
  uint64_t first_pixel; /* of a bin, on this rank */
  double complex *modes; /* [bins][ny][nx/2+1] on one rank, else NULL */
  fftw_plan forward[NEPHRITE_MAX_BINS], backward[NEPHRITE_MAX_BINS]; /* of each bin, on one rank */
  FieldTape *tape; /* NULL unless derivatives are wanted */
  PetscLogEvent prepare, make; /* setting spectra, and making maps */
};

/** A line of the map: where it is in field->pixels, and its place among those of [bins][rows][nx] on this rank. */
static inline double *line_pixels(const Field *f, PetscInt bin, PetscInt line)
{
  return f->pixels + (size_t)bin * f->bin_stride + (size_t)line * f->line_stride;
}
static inline size_t line_place(const Field *f, PetscInt bin, PetscInt line)
{
  return ((size_t)bin * (size_t)f->lines + (size_t)line) * f->line_values;
}

/** Steps 1: C_ij(|k|)/pixel^2 on the quarter.  \param[out] quarter [pairs][rows][nx/2+1] */
PetscErrorCode spectrum_quarter(const LensingSpectra *spectra, const FieldGrid *grid, double *quarter);
/** A number's derivatives by spectra on the quarter, each per mode of the whole grid. */
typedef struct {
  const double *power, *derivative; /* [pairs][rows][nx/2+1] */
} QuarterAdjoint;
/** Its derivatives by the table that the spectra come from.  \param[out] power_bar [pairs][ell_count] */
PetscErrorCode spectrum_quarter_adjoint(const LensingSpectra *spectra, const FieldGrid *grid, const QuarterAdjoint *at,
                                        double *power_bar);
/** From the spectrum of a log-normal convergence to that of its Gaussian field (physics, Maps 2), in place in
 * field->root.  Errors: NEPHRITE_ERR_INPUT where no log-normal field exists. */
PetscErrorCode lognormal_gaussian_power(Field *field);
/** L(k) from the spectra in field->root, in place, and sigma_i^2 (physics, Maps 3 and 4). */
PetscErrorCode gaussian_roots(Field *field);
/** The bins of a pair in the order of lensing_pair(). */
void bins_of_pair(PetscInt bins, PetscInt pair, PetscInt two[2]);
/** The grid whose quarter correlations are on: that of the map, of which those rows are here. */
FieldGrid correlation_grid(const Field *field);
/** Keep spectra, and P_ij that is in field->root. */
PetscErrorCode tape_spectra(Field *field, const LensingSpectra *spectra);
PetscErrorCode tape_destroy(Field *field);
/** Keep the modes that are at hand as those of the white noise. */
void tape_white(Field *field);
/** Modes from field->pixels, and back; unnormalised.  Collective. */
void forward_transform(Field *field);
void backward_transform(Field *field);
/** Multiply the bins of each mode that is here by L(k). */
void correlate_modes(Field *field);
/** g = FFT^-1 [L FFT z] from the white noise z in field->pixels, in place, but ny nx times too large. */
void gaussian_realise(Field *field);

#endif
