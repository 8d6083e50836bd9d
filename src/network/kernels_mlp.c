/** \file kernels_mlp.c  SwiGLU (Shazeer 2020, arXiv:2002.05202).  \ingroup network */
#include "kernels.h"
#include "simd.h"

/** One row. */
typedef struct {
  const Scalar *g, *u, *g_bias, *u_bias, *a_bar;
  Scalar *a, *g_bar, *u_bar;
} SwigluRow;

static inline void forward_vector(const SwigluRow *r, size_t j, size_t count)
{
  const Vector g = vector_add(vector_load_some(r->g + j, count), vector_load_some(r->g_bias + j, count));
  const Vector u = vector_add(vector_load_some(r->u + j, count), vector_load_some(r->u_bias + j, count));

  vector_store_some(r->a + j, vector_multiply(vector_multiply(g, vector_sigmoid(g)), u), count);
}

void NETWORK_KERNEL(swiglu_forward)(const SwigluForward *arguments)
{
  const size_t M = arguments->hidden;

  for (size_t row = 0; row < arguments->rows; row++) {
    const SwigluRow r = {.g = arguments->gu + row * arguments->gu_stride,
                         .u = arguments->gu + row * arguments->gu_stride + M,
                         .g_bias = arguments->bias,
                         .u_bias = arguments->bias + M,
                         .a = arguments->a + row * arguments->a_stride};
    size_t j = 0;

    for (; j + LANES <= M; j += LANES) forward_vector(&r, j, LANES);
    if (j < M) forward_vector(&r, j, M - j);
  }
}

/* silu'(g) = s (1 + g (1 - s)) = s + silu (1 - s), s = sigmoid(g) */
static inline void backward_vector(const SwigluRow *r, size_t j, size_t count)
{
  const Vector g = vector_add(vector_load_some(r->g + j, count), vector_load_some(r->g_bias + j, count));
  const Vector u = vector_add(vector_load_some(r->u + j, count), vector_load_some(r->u_bias + j, count));
  const Vector a_bar = vector_load_some(r->a_bar + j, count);
  const Vector s = vector_sigmoid(g), silu = vector_multiply(g, s);
  const Vector slope = vector_multiply_add(silu, vector_subtract(vector_all(1), s), s);

  vector_store_some(r->a + j, vector_multiply(silu, u), count);
  vector_store_some(r->u_bar + j, vector_multiply(a_bar, silu), count);
  vector_store_some(r->g_bar + j, vector_multiply(vector_multiply(a_bar, u), slope), count);
}

void NETWORK_KERNEL(swiglu_backward)(const SwigluBackward *arguments)
{
  const size_t M = arguments->hidden;

  for (size_t row = 0; row < arguments->rows; row++) {
    const SwigluRow r = {.g = arguments->gu + row * arguments->gu_stride,
                         .u = arguments->gu + row * arguments->gu_stride + M,
                         .g_bias = arguments->bias,
                         .u_bias = arguments->bias + M,
                         .a_bar = arguments->a_bar + row * arguments->a_stride,
                         .a = arguments->a + row * arguments->a_stride,
                         .g_bar = arguments->gu_bar + row * arguments->gu_stride,
                         .u_bar = arguments->gu_bar + row * arguments->gu_stride + M};
    size_t j = 0;

    for (; j + LANES <= M; j += LANES) backward_vector(&r, j, LANES);
    if (j < M) backward_vector(&r, j, M - j);
  }
}
