/** \file kernels_attention.c  Normalised and rotated queries and keys, softmax.  \ingroup network */
#include "kernels.h"
#include "simd.h"

static Scalar inverse_rms(size_t width, const Scalar *x, const Scalar *bias, Scalar epsilon)
{
  Scalar squares = 0;

  for (size_t j = 0; j < width; j++) squares += (x[j] + bias[j]) * (x[j] + bias[j]);
  return 1 / (Scalar)sqrt(squares / (Scalar)width + epsilon);
}

/* Rows of one head lie far apart among those of all, which processors do not foresee: ask for one that comes soon. */
__attribute__((always_inline)) static inline void ask_ahead(size_t row, size_t rows, size_t width, size_t stride,
                                                            const Scalar *x)
{
  enum { AHEAD = 8, LINE = 64 / sizeof(Scalar) };

  if (row + AHEAD >= rows) return;
  for (size_t j = 0; j < width; j += LINE) vector_ask(x + (row + AHEAD) * stride + j);
}

/** Rotate by the angles of the table, or back. */
typedef enum { TURN_FORWARD, TURN_BACK } Turn;

/* Rotary positions on adjacent elements (Su et al. 2021, arXiv:2104.09864): (u, v) -> (u cos - v sin, v cos + u sin).
 * A vector holds whole pairs. */
__attribute__((always_inline)) static inline void rotate(Turn turn, size_t D, const Scalar *restrict rotation,
                                                         Scalar *restrict y)
{
  const Scalar sign = turn == TURN_FORWARD ? 1 : -1;
  Scalar alternating[LANES];
  size_t j = 0;

  for (int lane = 0; lane < LANES; lane++) alternating[lane] = lane % 2 ? sign : -sign;
  for (const Vector signs = vector_load(alternating); j + LANES <= D; j += LANES) {
    const Vector uv = vector_load(y + j), cos_sin = vector_load(rotation + j);
    const Vector sine = vector_multiply(signs, vector_pairs(cos_sin, SECOND_TWICE));

    vector_store(y + j, vector_multiply_add(uv, vector_pairs(cos_sin, FIRST_TWICE),
                                            vector_multiply(vector_pairs(uv, SWAPPED), sine)));
  }
  for (; j < D; j += 2) {
    const Scalar u = y[j], v = y[j + 1];

    y[j] = u * rotation[j] - sign * v * rotation[j + 1];
    y[j + 1] = v * rotation[j] + sign * u * rotation[j + 1];
  }
}

void NETWORK_KERNEL(rotary_forward)(const RotaryForward *arguments)
{
  const size_t D = arguments->width;
  const Scalar *restrict bias = arguments->bias, *restrict weight = arguments->weight;

  for (size_t row = 0; row < arguments->rows; row++) {
    const Scalar *restrict x = arguments->x + row * arguments->stride;
    Scalar *restrict y = arguments->y + row * D;
    ask_ahead(row, arguments->rows, D, arguments->stride, arguments->x);
    const Scalar r = inverse_rms(D, x, bias, arguments->epsilon) * arguments->factor;

    for (size_t j = 0; j < D; j++) y[j] = (x[j] + bias[j]) * weight[j] * r;
    rotate(TURN_FORWARD, D, arguments->rotation + row * D, y);
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
    Scalar *restrict y_bar = arguments->y_bar + row * D, *restrict x_bar = arguments->x_bar + row * arguments->stride;
    Scalar along = 0;

    ask_ahead(row, arguments->rows, D, arguments->stride, arguments->x);
    const Scalar r = inverse_rms(D, x, bias, arguments->epsilon);
    rotate(TURN_BACK, D, arguments->rotation + row * D, y_bar);
    for (size_t j = 0; j < D; j++) {
      const Scalar n = (x[j] + bias[j]) * r;

      y_bar[j] *= factor;
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
