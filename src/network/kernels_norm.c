/** \file kernels_norm.c  RMS norms with modulation, gated residuals, sums over rows.  \ingroup network */
#include "kernels.h"

#include <math.h>
#include <string.h>

void NETWORK_KERNEL(norm_forward)(const NormForward *arguments)
{
  const size_t W = arguments->width;
  const Scalar *restrict gain = arguments->gain, *restrict shift = arguments->shift;

  for (size_t row = 0; row < arguments->rows; row++) {
    const Scalar *restrict x = arguments->x + row * W;
    Scalar *restrict h = arguments->h + row * W;
    Scalar squares = 0;

    for (size_t j = 0; j < W; j++) squares += x[j] * x[j];
    const Scalar r = 1 / (Scalar)sqrt(squares / (Scalar)W + arguments->epsilon);
    for (size_t j = 0; j < W; j++) h[j] = x[j] * r * gain[j] + shift[j];
    arguments->r[row] = r;
  }
}

/* With n = x r and g = gain h_bar: x_bar += r (g - n (g.n) / W). */
void NETWORK_KERNEL(norm_backward)(const NormBackward *arguments)
{
  const size_t W = arguments->width;
  const Scalar *restrict gain = arguments->gain, *restrict shift = arguments->shift;
  Scalar *restrict sum_h_bar = arguments->sum_h_bar, *restrict sum_h_bar_n = arguments->sum_h_bar_n;

  memset(sum_h_bar, 0, W * sizeof *sum_h_bar);
  memset(sum_h_bar_n, 0, W * sizeof *sum_h_bar_n);
  for (size_t row = 0; row < arguments->rows; row++) {
    const Scalar *restrict x = arguments->x + row * W, *restrict h_bar = arguments->h_bar + row * W;
    Scalar *restrict x_bar = arguments->x_bar + row * W, *restrict h = arguments->h + row * W;
    const Scalar r = arguments->r[row];
    Scalar along = 0;

    for (size_t j = 0; j < W; j++) along += gain[j] * h_bar[j] * x[j];
    along *= r / (Scalar)W;
#pragma omp simd /* seven arrays are more than the compiler compares */
    for (size_t j = 0; j < W; j++) {
      const Scalar n = x[j] * r;

      x_bar[j] += r * (gain[j] * h_bar[j] - n * along);
      h[j] = n * gain[j] + shift[j];
      sum_h_bar[j] += h_bar[j];
      sum_h_bar_n[j] += h_bar[j] * n;
    }
  }
}

void NETWORK_KERNEL(gate_forward)(const GateForward *arguments)
{
  const size_t W = arguments->width;
  const Scalar *restrict alpha = arguments->alpha, *restrict bias = arguments->bias;

  for (size_t row = 0; row < arguments->rows; row++) {
    const Scalar *restrict x = arguments->x + row * W, *restrict f = arguments->f + row * W;
    Scalar *restrict y = arguments->y + row * W;

    for (size_t j = 0; j < W; j++) y[j] = x[j] + alpha[j] * (f[j] + bias[j]);
  }
}

void NETWORK_KERNEL(gate_backward)(const GateBackward *arguments)
{
  const size_t W = arguments->width;
  const Scalar *restrict alpha = arguments->alpha, *restrict bias = arguments->bias;
  Scalar *restrict alpha_bar = arguments->alpha_bar;

  memset(alpha_bar, 0, W * sizeof *alpha_bar);
  for (size_t row = 0; row < arguments->rows; row++) {
    const Scalar *restrict y_bar = arguments->y_bar + row * W, *restrict f = arguments->f + row * W;
    Scalar *restrict f_bar = arguments->f_bar + row * W;

    for (size_t j = 0; j < W; j++) {
      f_bar[j] = alpha[j] * y_bar[j];
      alpha_bar[j] += y_bar[j] * (f[j] + bias[j]);
    }
  }
}

void NETWORK_KERNEL(bias_forward)(const BiasForward *arguments)
{
  const size_t W = arguments->width;
  const Scalar *restrict bias = arguments->bias;

  for (size_t row = 0; row < arguments->rows; row++) {
    const Scalar *restrict x = arguments->x + row * arguments->stride;
    Scalar *restrict y = arguments->y + row * W;

    for (size_t j = 0; j < W; j++) y[j] = x[j] + bias[j];
  }
}

void NETWORK_KERNEL(row_products)(const RowProducts *arguments)
{
  for (size_t row = 0; row < arguments->rows; row++) {
    const Scalar *restrict a = arguments->a + row * arguments->stride, *restrict b =
                                                                           arguments->b + row * arguments->stride;
    Scalar sum = 0;

    for (size_t j = 0; j < arguments->width; j++) sum += a[j] * b[j];
    arguments->product[row] = sum;
  }
}

void NETWORK_KERNEL(column_sum)(size_t rows, size_t width, size_t stride, const Scalar *x, Scalar *out)
{
  Scalar *restrict sum = out;

  memset(sum, 0, width * sizeof *sum);
  for (size_t row = 0; row < rows; row++) {
    const Scalar *restrict x_row = x + row * stride;

    for (size_t j = 0; j < width; j++) sum[j] += x_row[j];
  }
}

void NETWORK_KERNEL(scale)(size_t count, const Scalar *factor, Scalar *x)
{
  const Scalar *restrict f = factor;
  Scalar *restrict y = x;

  for (size_t i = 0; i < count; i++) y[i] *= f[i];
}
