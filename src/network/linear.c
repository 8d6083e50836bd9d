/** \file linear.c  Matrix products and the linear maps made of them.  \ingroup network */
#include "internal.h"

#include <cblas.h>
#include <string.h>

#ifdef NEPHRITE_FLOAT64
#define GEMM cblas_dgemm
#else
#define GEMM cblas_sgemm
#endif

void product(const Product *p)
{
  const enum CBLAS_TRANSPOSE a_order = p->a_column == 1 ? CblasNoTrans : CblasTrans;
  const enum CBLAS_TRANSPOSE b_order = p->b_column == 1 ? CblasNoTrans : CblasTrans;
  const size_t a_stride = p->a_column == 1 ? p->a_row : p->a_column;
  const size_t b_stride = p->b_column == 1 ? p->b_row : p->b_column;

  GEMM(CblasRowMajor, a_order, b_order, (int)p->m, (int)p->n, (int)p->k, 1, p->a, (int)a_stride, p->b, (int)b_stride,
       p->add ? 1 : 0, p->c, (int)p->c_row);
}

void linear_forward(const Linear *linear, size_t rows, const Scalar *x, Scalar *y)
{
  product(&(Product){.m = rows,
                     .n = linear->out,
                     .k = linear->in,
                     .a = x,
                     .a_row = linear->in,
                     .a_column = 1,
                     .b = linear->weight,
                     .b_row = 1,
                     .b_column = linear->in,
                     .c = y,
                     .c_row = linear->out});
}

void linear_backward(const Linear *linear, size_t rows, const Scalar *y_bar, Scalar *x_bar)
{
  product(&(Product){.m = rows,
                     .n = linear->in,
                     .k = linear->out,
                     .a = y_bar,
                     .a_row = linear->out,
                     .a_column = 1,
                     .b = linear->weight,
                     .b_row = linear->in,
                     .b_column = 1,
                     .c = x_bar,
                     .c_row = linear->in});
}

void linear_gradient(const Network *network, const Linear *linear, size_t rows, const Scalar *y_bar, const Scalar *x)
{
  enum { TILE = 64 }; /* outputs per task: each element is summed by one thread, whatever their number */
  const size_t tiles = (linear->out + TILE - 1) / TILE;
  Scalar *weight_bar = gradient_of(network, linear->weight);

#pragma omp parallel for schedule(dynamic) num_threads(network->threads)
  for (size_t tile = 0; tile < tiles; tile++) {
    const size_t first = tile * TILE, left = linear->out - first;

    product(&(Product){.m = left < TILE ? left : TILE,
                       .n = linear->in,
                       .k = rows,
                       .a = y_bar + first,
                       .a_row = 1,
                       .a_column = linear->out,
                       .b = x,
                       .b_row = linear->in,
                       .b_column = 1,
                       .c = weight_bar + first * linear->in,
                       .c_row = linear->in,
                       .add = PETSC_TRUE});
  }
}

void add_bias(size_t rows, size_t width, const Scalar *bias, Scalar *y)
{
  for (size_t row = 0; row < rows; row++)
    for (size_t j = 0; j < width; j++) y[row * width + j] += bias[j];
}

void add_column_sums(size_t rows, size_t width, const Scalar *x, Scalar *sum)
{
  enum { GROUP = 64 };

  for (size_t first = 0; first < width; first += GROUP) {
    const size_t columns = width - first < GROUP ? width - first : GROUP;
    double total[GROUP] = {0};

    for (size_t row = 0; row < rows; row++)
      for (size_t j = 0; j < columns; j++) total[j] += (double)x[row * width + first + j];
    for (size_t j = 0; j < columns; j++) sum[first + j] += (Scalar)total[j];
  }
}

enum { COLUMNS = 256 }; /* per task */

void affine_forward(const Network *network, const Linear *linear, size_t rows, const Scalar *x, Scalar *y)
{
  const size_t tasks = (linear->out + COLUMNS - 1) / COLUMNS;

#pragma omp parallel for num_threads(network->threads)
  for (size_t task = 0; task < tasks; task++) {
    const size_t first = task * COLUMNS, left = linear->out - first, columns = left < COLUMNS ? left : COLUMNS;

    /* before the product, which adds to it */
    for (size_t row = 0; row < rows; row++)
      memcpy(y + row * linear->out + first, linear->bias + first, columns * sizeof *y);
    product(&(Product){.m = rows,
                       .n = columns,
                       .k = linear->in,
                       .a = x,
                       .a_row = linear->in,
                       .a_column = 1,
                       .b = linear->weight + first * linear->in,
                       .b_row = 1,
                       .b_column = linear->in,
                       .c = y + first,
                       .c_row = linear->out,
                       .add = PETSC_TRUE});
  }
}

void affine_backward(const Network *network, const Linear *linear, size_t rows, const Scalar *y_bar, Scalar *x_bar)
{
  const size_t tasks = (linear->in + COLUMNS - 1) / COLUMNS;

#pragma omp parallel for num_threads(network->threads)
  for (size_t task = 0; task < tasks; task++) {
    const size_t first = task * COLUMNS, left = linear->in - first;

    product(&(Product){.m = rows,
                       .n = left < COLUMNS ? left : COLUMNS,
                       .k = linear->out,
                       .a = y_bar,
                       .a_row = linear->out,
                       .a_column = 1,
                       .b = linear->weight + first,
                       .b_row = linear->in,
                       .b_column = 1,
                       .c = x_bar + first,
                       .c_row = linear->in});
  }
}

void affine_gradient(const Network *network, const Linear *linear, size_t rows, const Scalar *y_bar, const Scalar *x)
{
  linear_gradient(network, linear, rows, y_bar, x);
  if (linear->bias) add_column_sums(rows, linear->out, y_bar, gradient_of(network, linear->bias));
}
