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

/** The adjoint of RootBatch: from the derivatives of a number by the roots L to those by the matrices L L = A, by
 * Daleckii and Krein's divided differences in the eigenbasis of A (Higham 2008, theorem 3.11).
 *
 * An eigenvalue below 0 has root 0 whatever it is.  So has, as far as derivatives go, one that is 0 to rounding: that
 * of its root is infinite, and what is computed there is noise. */
typedef struct {
  PetscInt bins;
  size_t count, stride; /* matrices; values between pairs */
  const double *matrix; /* [pairs][stride] A */
  double *adjoint; /* [pairs][stride] in: S with dF = tr(S dL), out: M with dF = tr(M dA) */
} RootAdjointBatch;

/** g = L z for the modes of a row, in place. */
typedef struct {
  PetscInt bins;
  size_t count, root_stride, mode_stride; /* modes; values between pairs, complex values between bins */
  const double *root; /* [pairs][root_stride] */
  double *mode; /* [bins][mode_stride][2] real and imaginary parts */
} CorrelateRow;

/** The symmetric part of Re(conj(a_i) z_j) of the modes of a row. */
typedef struct {
  PetscInt bins;
  size_t count, product_stride, mode_stride; /* modes; values between pairs, complex values between bins */
  const double *a, *z; /* [bins][mode_stride][2] real and imaginary parts */
  double factor;
  double *product; /* [pairs][product_stride], added to: factor times it */
} OuterRow;

typedef struct {
  const char *name; /* of the instruction set */
  void (*roots)(const RootBatch *batch);
  void (*root_adjoint)(const RootAdjointBatch *batch);
  void (*correlate)(const CorrelateRow *row);
  void (*outer)(const OuterRow *row);
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
