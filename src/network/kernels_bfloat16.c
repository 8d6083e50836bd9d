/** \file kernels_bfloat16.c  Numbers rounded to bfloat16, the upper half of a float32.  \ingroup network */
#include "kernels.h"

#include <string.h>

/* To the nearest, of two as near to the even one.  The carry must not make a number of what is none. */
static inline uint16_t rounded(float x)
{
  uint32_t bits;

  memcpy(&bits, &x, sizeof bits);
  const uint32_t nearest = bits + 0x7fff + (bits >> 16 & 1), quiet = bits | 0x400000;
  return (uint16_t)(((bits & 0x7fffffff) > 0x7f800000 ? quiet : nearest) >> 16);
}

void NETWORK_KERNEL(round_bfloat16)(const RoundBfloat16 *p)
{
  for (size_t i = 0; i < p->rows; i++) {
    const Scalar *restrict x = p->x + i * p->x_row;
    uint16_t *restrict y = p->y + i * p->width;

    for (size_t j = 0; j < p->width; j++) y[j] = rounded((float)x[j]);
  }
}
