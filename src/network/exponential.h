/** \file exponential.h  The exponential in loops that vectorise (libm's is a call for each element).  \ingroup network
 */
#ifndef NEPHRITE_NETWORK_EXPONENTIAL_H
#define NEPHRITE_NETWORK_EXPONENTIAL_H

#include "nephrite/network.h"

#include <math.h>

/** e^x to about 1e-7, relative; beyond the range of normal numbers its value at the end of that range. */
static inline float exponential_float(float x)
{
  const float low = -87.0f, high = 88.0f, log2_e = 1.44269504f, ln_2 = 0.693147182f;
  union {
    int32_t bits;
    float value;
  } power;

  x = x < low ? low : x;
  x = x > high ? high : x;
  const float scaled = x * log2_e;
  const int32_t n = (int32_t)(scaled + (scaled < 0 ? -0.5f : 0.5f));
  /* One step of reduction is enough with a fused multiply-add: ln_2 as a float is off by 2e-9 only. */
  const float y = x - (float)n * ln_2;
  /* The polynomial of expf in the Cephes library (Moshier 1992). */
  float p = 1.9875691500e-4f;
  p = p * y + 1.3981999507e-3f;
  p = p * y + 8.3334519073e-3f;
  p = p * y + 4.1665795894e-2f;
  p = p * y + 1.6666665459e-1f;
  p = p * y + 5.0000001201e-1f;
  p = p * y * y + y + 1;
  power.bits = (n + 127) * (1 << 23);
  return p * power.value;
}

/** The double build is for tests of exactness: libm's function. */
static inline double exponential_double(double x)
{
  return exp(x);
}

#define exponential(x) _Generic((x), float : exponential_float, double : exponential_double)(x)

static inline Scalar sigmoid(Scalar x)
{
  return 1 / (1 + exponential(-x));
}

#endif
