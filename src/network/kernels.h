/** \file kernels.h  The network's inner loops: arithmetic only, one table of them per instruction set.
 *
 * A kernel is given its arguments as a struct, so that a call names them.  Arrays that a kernel writes overlap no other
 * array of the same call.  Rows are `stride` apart where that is given, else they follow each other.  \ingroup network
 */
#ifndef NEPHRITE_NETWORK_KERNELS_H
#define NEPHRITE_NETWORK_KERNELS_H

#include "nephrite/network.h"

/** h = x r gain + shift with r = (mean(x^2) + epsilon)^(-1/2) per row: an RMS norm with its weight and modulation. */
typedef struct {
  size_t rows, width;
  Scalar epsilon;
  const Scalar *x; /* [rows][width] */
  const Scalar *gain, *shift; /* [width] w (1 + gamma), beta */
  Scalar *h; /* [rows][width] */
  Scalar *r; /* [rows] */
} NormForward;

/** Backwards through ::NormForward, adding to x_bar; gives h again, for the gradient of the linear map that it entered.
 */
typedef struct {
  size_t rows, width;
  const Scalar *x, *r, *gain, *shift; /* as in the forward pass */
  const Scalar *h_bar; /* [rows][width] */
  Scalar *x_bar; /* [rows][width], added to */
  Scalar *h; /* [rows][width] */
  Scalar *sum_h_bar, *sum_h_bar_n; /* [width] sums over rows of h_bar and of h_bar x r */
} NormBackward;

/** y = x + alpha (f + bias). */
typedef struct {
  size_t rows, width;
  const Scalar *x, *f; /* [rows][width] */
  const Scalar *alpha, *bias; /* [width] */
  Scalar *y; /* [rows][width] */
} GateForward;

/** f_bar = alpha y_bar, and alpha_bar = sum over rows of y_bar (f + bias). */
typedef struct {
  size_t rows, width;
  const Scalar *y_bar, *f; /* [rows][width] */
  const Scalar *alpha, *bias; /* [width] */
  Scalar *f_bar; /* [rows][width] */
  Scalar *alpha_bar; /* [width] */
} GateBackward;

/** a = silu(g) u with (g | u) = gu + bias. */
typedef struct {
  size_t rows, hidden, gu_stride, a_stride;
  const Scalar *gu, *bias; /* [rows][gu_stride], [2 hidden] */
  Scalar *a; /* [rows][a_stride] */
} SwigluForward;

/** Backwards through ::SwigluForward; gives a again. */
typedef struct {
  size_t rows, hidden, gu_stride, a_stride;
  const Scalar *gu, *bias;
  const Scalar *a_bar; /* [rows][a_stride] */
  Scalar *gu_bar; /* [rows][gu_stride] */
  Scalar *a; /* [rows][a_stride] */
} SwigluBackward;

/** y = x + bias. */
typedef struct {
  size_t rows, width, stride; /* stride of x */
  const Scalar *x, *bias; /* [rows][stride], [width] */
  Scalar *y; /* [rows][width] */
} BiasForward;

/** product[row] = sum over columns of a b. */
typedef struct {
  size_t rows, width, stride; /* stride of a and b */
  const Scalar *a, *b; /* [rows][stride] */
  Scalar *product; /* [rows] */
} RowProducts;

/** Queries or keys of one head: y = rotation(norm(x + bias) weight) factor. */
typedef struct {
  size_t rows, width, stride; /* width D; stride of x */
  Scalar epsilon, factor;
  const Scalar *x, *bias, *weight; /* [rows][stride], [width], [width] */
  const Scalar *rotation; /* [rows][width] cos and sin of each pair in turn */
  Scalar *y; /* [rows][width] */
} RotaryForward;

/** Backwards through ::RotaryForward. */
typedef struct {
  size_t rows, width, stride; /* stride of x and of x_bar */
  Scalar epsilon, factor;
  const Scalar *x, *bias, *weight, *rotation;
  Scalar *y_bar; /* [rows][width], overwritten */
  Scalar *x_bar; /* [rows][stride] */
  Scalar *weight_bar; /* [width], added to */
} RotaryBackward;

/** Rows of attention: softmax in place, with the log of each row's sum of exponentials; again from that log; backwards.
 */
typedef struct {
  size_t rows, columns, stride;
  Scalar *s; /* [rows][stride] in: logits, out: probabilities */
  Scalar *log_sum; /* [rows] */
} Softmax;
typedef struct {
  size_t rows, columns, stride;
  const Scalar *p, *delta; /* [rows][stride], [rows] */
  Scalar *s_bar; /* [rows][stride] in: gradient of p, out: p (that - delta) */
} SoftmaxBackward;

/** C (+)= A B with B in panels of NetworkKernels.panel columns; what a panel has beyond the last column is read, so it
 * must be there, but does not matter. */
typedef struct {
  size_t m, n, k;
  const Scalar *a; /* by rows: A(i, l) = a[i a_row + l] */
  size_t a_row;
  size_t a_strip; /* unless 0: in strips of s = NetworkKernels.strip rows, A(i, l) = a[(i / s) a_strip + l s + i % s] */
  const Scalar *b; /* B(l, j) = b[(j / panel) b_panel + l b_row + j % panel] */
  size_t b_panel, b_row;
  Scalar *c; /* C(i, j) = c[i c_row + j] */
  size_t c_row;
  PetscBool add; /* to what C holds */
} MatrixProduct;

/** B [k][n] into panels [k][NetworkKernels.panel] that lie `panel` apart, with zeros beyond the last column.  One of
 * b_row and b_column is 1. */
typedef struct {
  size_t n, k;
  const Scalar *b; /* B(l, j) = b[l b_row + j b_column] */
  size_t b_row, b_column;
  size_t panel;
  Scalar *panels;
} MatrixPack;

/** A^T [k][m] into strips [k][NetworkKernels.strip] that lie `strip` apart. */
typedef struct {
  size_t m, k;
  const Scalar *a; /* A(i, l) = a[i + l a_row] */
  size_t a_row;
  size_t strip;
  Scalar *strips;
} MatrixStrips;

/** y = x rounded to bfloat16, bit by bit. */
typedef struct {
  size_t rows, width, x_row; /* distance of the rows of x */
  const Scalar *x;
  uint16_t *y; /* [rows][width] */
} RoundBfloat16;

typedef struct {
  const char *name; /* of the instruction set */
  size_t panel, strip; /* columns and rows of a tile */
  void (*multiply)(const MatrixProduct *arguments);
  void (*pack)(const MatrixPack *arguments);
  void (*pack_strips)(const MatrixStrips *arguments);
  void (*norm_forward)(const NormForward *arguments);
  void (*norm_backward)(const NormBackward *arguments);
  void (*gate_forward)(const GateForward *arguments);
  void (*gate_backward)(const GateBackward *arguments);
  void (*swiglu_forward)(const SwigluForward *arguments);
  void (*swiglu_backward)(const SwigluBackward *arguments);
  void (*bias_forward)(const BiasForward *arguments);
  void (*row_products)(const RowProducts *arguments);
  void (*rotary_forward)(const RotaryForward *arguments);
  void (*rotary_backward)(const RotaryBackward *arguments);
  void (*softmax_forward)(const Softmax *arguments);
  void (*softmax_again)(const Softmax *arguments);
  void (*softmax_backward)(const SoftmaxBackward *arguments);
  /** out[j] = sum over rows of x[row][j].  \param x [rows][stride] */
  void (*column_sum)(size_t rows, size_t width, size_t stride, const Scalar *x, Scalar *out);
  /** x *= factor, element by element. */
  void (*scale)(size_t count, const Scalar *factor, Scalar *x);
  void (*round_bfloat16)(const RoundBfloat16 *arguments);
} NetworkKernels;

extern const NetworkKernels network_kernels_baseline, network_kernels_avx2, network_kernels_avx512;

/** The tables that this processor can run, best last.  \param[out] tables [3]  \return how many */
int network_kernels_usable(const NetworkKernels *tables[3]);
/** The best of them. */
const NetworkKernels *network_kernels_best(void);

/* Names of the functions behind one table: one object file per instruction set has each of them. */
#define NETWORK_KERNEL_PASTE(name, isa) network_##name##_##isa
#define NETWORK_KERNEL_EXPAND(name, isa) NETWORK_KERNEL_PASTE(name, isa)
#define NETWORK_KERNEL(name) NETWORK_KERNEL_EXPAND(name, NEPHRITE_ISA)

#ifdef NEPHRITE_ISA
void NETWORK_KERNEL(multiply)(const MatrixProduct *arguments);
void NETWORK_KERNEL(pack)(const MatrixPack *arguments);
void NETWORK_KERNEL(pack_strips)(const MatrixStrips *arguments);
void NETWORK_KERNEL(norm_forward)(const NormForward *arguments);
void NETWORK_KERNEL(norm_backward)(const NormBackward *arguments);
void NETWORK_KERNEL(gate_forward)(const GateForward *arguments);
void NETWORK_KERNEL(gate_backward)(const GateBackward *arguments);
void NETWORK_KERNEL(swiglu_forward)(const SwigluForward *arguments);
void NETWORK_KERNEL(swiglu_backward)(const SwigluBackward *arguments);
void NETWORK_KERNEL(bias_forward)(const BiasForward *arguments);
void NETWORK_KERNEL(row_products)(const RowProducts *arguments);
void NETWORK_KERNEL(rotary_forward)(const RotaryForward *arguments);
void NETWORK_KERNEL(rotary_backward)(const RotaryBackward *arguments);
void NETWORK_KERNEL(softmax_forward)(const Softmax *arguments);
void NETWORK_KERNEL(softmax_again)(const Softmax *arguments);
void NETWORK_KERNEL(softmax_backward)(const SoftmaxBackward *arguments);
void NETWORK_KERNEL(column_sum)(size_t rows, size_t width, size_t stride, const Scalar *x, Scalar *out);
void NETWORK_KERNEL(scale)(size_t count, const Scalar *factor, Scalar *x);
void NETWORK_KERNEL(round_bfloat16)(const RoundBfloat16 *arguments);
#endif

#endif
