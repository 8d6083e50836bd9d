/** \file kernels_attention.c  Normalised and rotated queries and keys, softmax.  \ingroup network */
#include "kernels.h"
#include "simd.h"

static Scalar inverse_rms(size_t width, const Scalar *x, const Scalar *bias, Scalar epsilon)
{
  Scalar squares = 0;

  for (size_t j = 0; j < width; j++) squares += (x[j] + bias[j]) * (x[j] + bias[j]);
  return 1 / (Scalar)sqrt(squares / (Scalar)width + epsilon);
}

/* Rotary positions on adjacent elements (Su et al. 2021, arXiv:2104.09864): (u, v) -> (u cos - v sin, v cos + u sin).
 */
void NETWORK_KERNEL(rotary_forward)(const RotaryForward *arguments)
{
  const size_t D = arguments->width;
  const Scalar *restrict bias = arguments->bias, *restrict weight = arguments->weight;

  for (size_t row = 0; row < arguments->rows; row++) {
    const Scalar *restrict x = arguments->x + row * arguments->stride;
    const Scalar *restrict rotation = arguments->rotation + row * D;
    Scalar *restrict y = arguments->y + row * D;
    const Scalar r = inverse_rms(D, x, bias, arguments->epsilon) * arguments->factor;

    for (size_t j = 0; j < D; j += 2) {
      const Scalar u = (x[j] + bias[j]) * weight[j] * r, v = (x[j + 1] + bias[j + 1]) * weight[j + 1] * r;

      y[j] = u * rotation[j] - v * rotation[j + 1];
      y[j + 1] = v * rotation[j] + u * rotation[j + 1];
    }
  }
}

void NETWORK_KERNEL(rotary_backward)(const RotaryBackward *arguments)
{
  const size_t D = arguments->width;
  const Scalar *restrict bias = arguments->bias, *restrict weight = arguments->weight;
  Scalar *restrict weight_bar = arguments->weight_bar;
  const Scalar factor = arguments->factor;

  for (size_t row = 0; row < arguments->rows; row++) {
    const Scalar *restrict x = arguments->x + row * arguments->stride;
    const Scalar *restrict rotation = arguments->rotation + row * D;
    Scalar *restrict y_bar = arguments->y_bar + row * D, *restrict x_bar = arguments->x_bar + row * arguments->stride;
    const Scalar r = inverse_rms(D, x, bias, arguments->epsilon);
    Scalar along = 0;

    for (size_t j = 0; j < D; j += 2) {
      const Scalar u = y_bar[j] * factor, v = y_bar[j + 1] * factor;

      y_bar[j] = u * rotation[j] + v * rotation[j + 1];
      y_bar[j + 1] = v * rotation[j] - u * rotation[j + 1];
    }
    for (size_t j = 0; j < D; j++) {
      const Scalar n = (x[j] + bias[j]) * r;

      weight_bar[j] += y_bar[j] * n;
      along += weight[j] * y_bar[j] * n;
    }
    along /= (Scalar)D;
    for (size_t j = 0; j < D; j++) x_bar[j] = r * (weight[j] * y_bar[j] - (x[j] + bias[j]) * r * along);
  }
}

static Scalar largest(size_t count, const Scalar *x)
{
  Scalar lanes[LANES];
  size_t i = 0;
  Scalar top = x[0];

  if (count >= LANES) {
    Vector tops = vector_load(x);

    for (i = LANES; i + LANES <= count; i += LANES) tops = vector_maximum(tops, vector_load(x + i));
    vector_store(lanes, tops);
    for (int lane = 0; lane < LANES; lane++) top = lanes[lane] > top ? lanes[lane] : top;
  }
  for (; i < count; i++) top = x[i] > top ? x[i] : top;
  return top;
}

/* x = e^(x - shift), and their sum */
static Scalar exponentials(size_t count, Scalar shift, Scalar *x)
{
  const Vector shifts = vector_all(shift);
  Vector sums = vector_all(0);
  Scalar rest = 0;
  size_t i = 0;

  for (; i + LANES <= count; i += LANES) {
    const Vector e = vector_exponential(vector_subtract(vector_load(x + i), shifts));

    vector_store(x + i, e);
    sums = vector_add(sums, e);
  }
  if (i < count)
    vector_store_some(x + i, vector_exponential(vector_subtract(vector_load_some(x + i, count - i), shifts)),
                      count - i);
  for (; i < count; i++) rest += x[i];
  return vector_sum(sums) + rest;
}

void NETWORK_KERNEL(softmax_forward)(const Softmax *arguments)
{
  const size_t T = arguments->columns;

  for (size_t row = 0; row < arguments->rows; row++) {
    Scalar *restrict s = arguments->s + row * arguments->stride;
    const Scalar top = largest(T, s), sum = exponentials(T, top, s), inverse = 1 / sum;

    for (size_t j = 0; j < T; j++) s[j] *= inverse;
    arguments->log_sum[row] = top + (Scalar)log(sum);
  }
}

void NETWORK_KERNEL(softmax_again)(const Softmax *arguments)
{
  for (size_t row = 0; row < arguments->rows; row++)
    exponentials(arguments->columns, arguments->log_sum[row], arguments->s + row * arguments->stride);
}

void NETWORK_KERNEL(softmax_backward)(const SoftmaxBackward *arguments)
{
  const size_t T = arguments->columns;

  for (size_t row = 0; row < arguments->rows; row++) {
    const Scalar *restrict p = arguments->p + row * arguments->stride;
    Scalar *restrict s_bar = arguments->s_bar + row * arguments->stride;
    const Scalar delta = arguments->delta[row];

    for (size_t j = 0; j < T; j++) s_bar[j] = p[j] * (s_bar[j] - delta);
  }
}
