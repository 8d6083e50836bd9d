/** \file kernels.h  The field's inner loops: arithmetic only, one table of them per instruction set.  \ingroup field
 *
 * Spectra of all pairs of bins stand side by side, one row per pair (lensing_pair()): the same operation goes along
 * many Fourier modes at once.
 */
#ifndef NEPHRITE_FIELD_KERNELS_H
#define NEPHRITE_FIELD_KERNELS_H

#include "nephrite/field.h"

/** Symmetric square roots of symmetric matrices, negative eigenvalues taken as 0, by Jacobi's method (Golub & Van Loan
 * 2013, section 8.5). */
typedef struct {
  PetscInt bins;
  size_t count, stride; /* matrices; values between pairs */
  double *matrix; /* [pairs][stride] in: matrices, out: their roots */
  unsigned char *negative; /* [count] eigenvalues below 0 */
} RootBatch;

/** g = L z for the modes of a row, in place. */
typedef struct {
  PetscInt bins;
  size_t count, root_stride, mode_stride; /* modes; values between pairs, complex values between bins */
  const double *root; /* [pairs][root_stride] */
  double *mode; /* [bins][mode_stride][2] real and imaginary parts */
} CorrelateRow;

typedef struct {
  const char *name; /* of the instruction set */
  void (*roots)(const RootBatch *batch);
  void (*correlate)(const CorrelateRow *row);
  /** Sum of x^2. */
  double (*sum_square)(size_t count, const double *x);
  /** x = factor exp(x), element by element, to a few units in the last place; |x| below 700. */
  void (*exponential)(size_t count, double factor, double *x);
  /** x = ln(1 + x) likewise; x > -1. */
  void (*logarithm)(size_t count, double *x);
  /** x = shift (exp(scale x - offset) - 1) likewise. */
  void (*lognormal)(size_t count, const double parameters[3], double *x); /* parameters: scale, offset, shift */
} FieldKernels;

extern const FieldKernels field_kernels_baseline, field_kernels_avx2, field_kernels_avx512;

/** The tables that this processor can run, best last.  \param[out] tables [3]  \return how many */
int field_kernels_usable(const FieldKernels *tables[3]);
/** The best of them. */
const FieldKernels *field_kernels_best(void);

#endif
