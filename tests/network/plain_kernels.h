/** The kernels as one would write them from the formulas: in double, one number after the other, libm's functions. */
#ifndef NEPHRITE_TESTS_NETWORK_PLAIN_KERNELS_H
#define NEPHRITE_TESTS_NETWORK_PLAIN_KERNELS_H

#include "network/kernels.h"

#include <math.h>

/* \param a  rows a_row apart, columns a_column */
static void plain_multiply(const MatrixProduct *p, const Scalar *a, size_t a_row, size_t a_column, size_t panel,
                           double *c)
{
  for (size_t i = 0; i < p->m; i++)
    for (size_t j = 0; j < p->n; j++) {
      double sum = p->add ? (double)p->c[i * p->c_row + j] : 0;

      for (size_t l = 0; l < p->k; l++)
        sum += (double)a[i * a_row + l * a_column] * (double)p->b[j / panel * p->b_panel + l * p->b_row + j % panel];
      c[i * p->c_row + j] = sum;
    }
}

static double plain_inverse_rms(size_t width, const Scalar *x, const Scalar *bias, double epsilon)
{
  double squares = 0;

  for (size_t j = 0; j < width; j++) squares += pow((double)x[j] + (bias ? (double)bias[j] : 0), 2);
  return 1 / sqrt(squares / (double)width + epsilon);
}

static void plain_norm_forward(const NormForward *p, double *h, double *r)
{
  for (size_t i = 0; i < p->rows; i++) {
    r[i] = plain_inverse_rms(p->width, p->x + i * p->width, NULL, (double)p->epsilon);
    for (size_t j = 0; j < p->width; j++)
      h[i * p->width + j] = (double)p->x[i * p->width + j] * r[i] * (double)p->gain[j] + (double)p->shift[j];
  }
}

static void plain_norm_backward(const NormBackward *p, double *x_bar, double *h, double *sums)
{
  const size_t W = p->width;

  for (size_t j = 0; j < 2 * W; j++) sums[j] = 0;
  for (size_t i = 0; i < p->rows; i++) {
    const double r = (double)p->r[i];
    double dot = 0;

    for (size_t j = 0; j < W; j++) dot += (double)p->gain[j] * (double)p->h_bar[i * W + j] * (double)p->x[i * W + j];
    for (size_t j = 0; j < W; j++) {
      const double x = (double)p->x[i * W + j], h_bar = (double)p->h_bar[i * W + j], gain = (double)p->gain[j];

      x_bar[i * W + j] = (double)p->x_bar[i * W + j] + r * gain * h_bar - x * r * r * r * dot / (double)W;
      h[i * W + j] = x * r * gain + (double)p->shift[j];
      sums[j] += h_bar;
      sums[W + j] += h_bar * x * r;
    }
  }
}

static double plain_sigmoid(double x)
{
  return 1 / (1 + exp(-x));
}

static void plain_swiglu_forward(const SwigluForward *p, double *a)
{
  const size_t M = p->hidden;

  for (size_t i = 0; i < p->rows; i++)
    for (size_t j = 0; j < M; j++) {
      const double g = (double)p->gu[i * p->gu_stride + j] + (double)p->bias[j];

      a[i * p->a_stride + j] =
          g * plain_sigmoid(g) * ((double)p->gu[i * p->gu_stride + M + j] + (double)p->bias[M + j]);
    }
}

static void plain_swiglu_backward(const SwigluBackward *p, double *gu_bar, double *a)
{
  const size_t M = p->hidden;

  for (size_t i = 0; i < p->rows; i++)
    for (size_t j = 0; j < M; j++) {
      const double g = (double)p->gu[i * p->gu_stride + j] + (double)p->bias[j], s = plain_sigmoid(g);
      const double u = (double)p->gu[i * p->gu_stride + M + j] + (double)p->bias[M + j],
                   a_bar = (double)p->a_bar[i * p->a_stride + j];

      a[i * p->a_stride + j] = g * s * u;
      gu_bar[i * p->gu_stride + j] = a_bar * u * s * (1 + g * (1 - s));
      gu_bar[i * p->gu_stride + M + j] = a_bar * g * s;
    }
}

static void plain_rotary_forward(const RotaryForward *p, double *y)
{
  const size_t D = p->width;

  for (size_t i = 0; i < p->rows; i++) {
    const Scalar *x = p->x + i * p->stride, *rotation = p->rotation + i * D;
    const double r = plain_inverse_rms(D, x, p->bias, (double)p->epsilon) * (double)p->factor;

    for (size_t j = 0; j < D; j += 2) {
      const double u = ((double)x[j] + (double)p->bias[j]) * r * (double)p->weight[j];
      const double v = ((double)x[j + 1] + (double)p->bias[j + 1]) * r * (double)p->weight[j + 1];

      y[i * D + j] = u * (double)rotation[j] - v * (double)rotation[j + 1];
      y[i * D + j + 1] = v * (double)rotation[j] + u * (double)rotation[j + 1];
    }
  }
}

static void plain_rotary_backward(const RotaryBackward *p, double *x_bar, double *weight_bar)
{
  const size_t D = p->width;

  for (size_t j = 0; j < D; j++) weight_bar[j] = (double)p->weight_bar[j];
  for (size_t i = 0; i < p->rows; i++) {
    const Scalar *x = p->x + i * p->stride, *rotation = p->rotation + i * D, *y_bar = p->y_bar + i * D;
    const double r = plain_inverse_rms(D, x, p->bias, (double)p->epsilon);
    double dot = 0;

    for (int pass = 0; pass < 2; pass++) /* first the dot product, then what needs it */
      for (size_t j = 0; j < D; j++) {
        const double sign = j % 2 ? -1 : 1, cosine = (double)rotation[j & ~(size_t)1], sine = (double)rotation[j | 1];
        const double turned = (double)p->factor * ((double)y_bar[j] * cosine + sign * (double)y_bar[j ^ 1] * sine);
        const double n = ((double)x[j] + (double)p->bias[j]) * r;

        if (pass == 0)
          dot += (double)p->weight[j] * turned * n;
        else {
          x_bar[i * p->stride + j] = r * ((double)p->weight[j] * turned - n * dot / (double)D);
          weight_bar[j] += turned * n;
        }
      }
  }
}

static void plain_softmax_forward(const Softmax *p, double *probability, double *log_sum)
{
  for (size_t i = 0; i < p->rows; i++) {
    double sum = 0;

    for (size_t j = 0; j < p->columns; j++) sum += exp((double)p->s[i * p->stride + j]);
    log_sum[i] = log(sum);
    for (size_t j = 0; j < p->columns; j++)
      probability[i * p->stride + j] = exp((double)p->s[i * p->stride + j] - log_sum[i]);
  }
}

#endif
