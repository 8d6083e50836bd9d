/** \file elementary.h  Exponential and logarithm, for loops that compilers are to make into vector instructions.
 * \ingroup support
 *
 * To a few units in the last place.  Nothing checks for overflow: arguments must be as said. */
#ifndef NEPHRITE_SUPPORT_ELEMENTARY_H
#define NEPHRITE_SUPPORT_ELEMENTARY_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline double from_bits(int64_t bits)
{
  double x;

  memcpy(&x, &bits, sizeof x);
  return x;
}

static inline int64_t to_bits(double x)
{
  int64_t bits;

  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* exp(r) - 1, |r| <= ln(2)/2, by its series to 1e-17. */
static inline double exponential_less_one(double r)
{
  double sum = 1. / 87178291200; /* 1/14! */

  sum = sum * r + 1. / 6227020800;
  sum = sum * r + 1. / 479001600;
  sum = sum * r + 1. / 39916800;
  sum = sum * r + 1. / 3628800;
  sum = sum * r + 1. / 362880;
  sum = sum * r + 1. / 40320;
  sum = sum * r + 1. / 5040;
  sum = sum * r + 1. / 720;
  sum = sum * r + 1. / 120;
  sum = sum * r + 1. / 24;
  sum = sum * r + 1. / 6;
  sum = sum * r + 0.5;
  sum = sum * r + 1;
  return sum * r;
}

/* exp(x) = 2^n exp(r).  \param[out] r  \return n */
static inline int split_exponent(double x, double *r)
{
  const int n = (int)(x * (1 / M_LN2) + (x < 0 ? -0.5 : 0.5));

  *r = x - n * M_LN2;
  return n;
}

static inline double power_of_two(int n)
{
  return from_bits((int64_t)(n + 1023) << 52);
}

/* ln(1 + x), x > -1: 1 + x = 2^k (1 + f), 1 + f between sqrt(1/2) and sqrt(2); ln(1 + f) = 2 artanh(f/(2 + f)) by its
 * series. */
static inline double logarithm_of_one_more(double x)
{
  const int64_t one = (int64_t)1023 << 52, root_half = 0x3fe6a09e667f3bcd; /* the bits of 1 and sqrt(1/2) */
  const int64_t fraction = ((int64_t)1 << 52) - 1;
  const int64_t shifted = to_bits(1 + x) + (one - root_half);
  const int k = (int)(shifted >> 52) - 1023;
  const double f = k ? from_bits((shifted & fraction) + root_half) - 1 : x; /* 1 + x loses digits of a small x */
  const double s = f / (2 + f), z = s * s;
  double sum = 1. / 23;

  sum = sum * z + 1. / 21;
  sum = sum * z + 1. / 19;
  sum = sum * z + 1. / 17;
  sum = sum * z + 1. / 15;
  sum = sum * z + 1. / 13;
  sum = sum * z + 1. / 11;
  sum = sum * z + 1. / 9;
  sum = sum * z + 1. / 7;
  sum = sum * z + 1. / 5;
  sum = sum * z + 1. / 3;
  return k * M_LN2 + 2 * (s + s * z * sum);
}

/* exp(x), |x| < 700. */
static inline double exponential_of(double x)
{
  double r;
  const int n = split_exponent(x, &r);

  return power_of_two(n) * (exponential_less_one(r) + 1);
}

#endif
