/** \file kernels_mlp.c  SwiGLU (Shazeer 2020, arXiv:2002.05202).  \ingroup network */
#include "exponential.h"
#include "kernels.h"

void NETWORK_KERNEL(swiglu_forward)(const SwigluForward *arguments)
{
  const size_t M = arguments->hidden;
  const Scalar *restrict g_bias = arguments->bias, *restrict u_bias = arguments->bias + M;

  for (size_t row = 0; row < arguments->rows; row++) {
    const Scalar *restrict g_row = arguments->gu + row * 2 * M, *restrict u_row = g_row + M;
    Scalar *restrict a = arguments->a + row * M;

    for (size_t j = 0; j < M; j++) {
      const Scalar g = g_row[j] + g_bias[j], u = u_row[j] + u_bias[j];

      a[j] = g * sigmoid(g) * u;
    }
  }
}

/* silu'(g) = s (1 + g (1 - s)), s = sigmoid(g). */
void NETWORK_KERNEL(swiglu_backward)(const SwigluBackward *arguments)
{
  const size_t M = arguments->hidden;
  const Scalar *restrict g_bias = arguments->bias, *restrict u_bias = arguments->bias + M;

  for (size_t row = 0; row < arguments->rows; row++) {
    const Scalar *restrict g_row = arguments->gu + row * 2 * M, *restrict u_row = g_row + M;
    const Scalar *restrict a_bar = arguments->a_bar + row * M;
    Scalar *restrict g_bar = arguments->gu_bar + row * 2 * M, *restrict u_bar = g_bar + M;
    Scalar *restrict a = arguments->a + row * M;

    for (size_t j = 0; j < M; j++) {
      const Scalar g = g_row[j] + g_bias[j], u = u_row[j] + u_bias[j];
      const Scalar s = sigmoid(g), silu = g * s;

      a[j] = silu * u;
      u_bar[j] = a_bar[j] * silu;
      g_bar[j] = a_bar[j] * u * s * (1 + g * (1 - s));
    }
  }
}
