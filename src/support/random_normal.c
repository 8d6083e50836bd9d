/** \file random_normal.c  Standard normals in vectors, from the words of random.c.  \ingroup support
 *
 * Box-Muller with a logarithm, sine and cosine of our own, written so that any compiler turns the loops into vectors
 * and every machine computes the same bits: additions, products, divisions and roots only, no fused ones, no library
 * that differs between sites.  Good to a few units in the last place. */
#include "nephrite/support.h"
#include "uniform.h"

#include <math.h>
#include <string.h>

enum { PAIRS = 64 }; /* of numbers at a time */

static double from_bits(uint64_t bits)
{
  double value;

  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint64_t to_bits(double value)
{
  uint64_t bits;

  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* ln x of a positive, normal x: x = 2^k z with sqrt(1/2) <= z < sqrt(2), ln z = 2 artanh((z - 1)/(z + 1)) by its
 * series, whose argument is below 0.172: eleven terms leave 1e-18. */
static double logarithm(double x)
{
  const uint64_t one = UINT64_C(0x3ff0000000000000), root_half = UINT64_C(0x3fe6a09e667f3bcd);
  const uint64_t shifted = to_bits(x) + (one - root_half);
  const double k = from_bits(shifted >> 52 | UINT64_C(0x4330000000000000)) - (0x1p52 + 1023); /* exponent as a number */
  const double z = from_bits((shifted & UINT64_C(0x000fffffffffffff)) + root_half);
  const double s = (z - 1) / (z + 1), y = s * s;
  double sum = 2. / 23;

  sum = 2. / 21 + y * sum;
  sum = 2. / 19 + y * sum;
  sum = 2. / 17 + y * sum;
  sum = 2. / 15 + y * sum;
  sum = 2. / 13 + y * sum;
  sum = 2. / 11 + y * sum;
  sum = 2. / 9 + y * sum;
  sum = 2. / 7 + y * sum;
  sum = 2. / 5 + y * sum;
  sum = 2. / 3 + y * sum;
  return k * M_LN2 + (2 * s + s * y * sum);
}

/* sin x and cos x of |x| <= pi/4 by their series: the terms left out are below 1e-16. */
static double sine(double x)
{
  const double y = x * x;
  double sum = -1. / 1307674368000;

  sum = 1. / 6227020800 + y * sum;
  sum = -1. / 39916800 + y * sum;
  sum = 1. / 362880 + y * sum;
  sum = -1. / 5040 + y * sum;
  sum = 1. / 120 + y * sum;
  sum = -1. / 6 + y * sum;
  return x + x * y * sum;
}

static double cosine(double x)
{
  const double y = x * x;
  double sum = 1. / 20922789888000;

  sum = -1. / 87178291200 + y * sum;
  sum = 1. / 479001600 + y * sum;
  sum = -1. / 3628800 + y * sum;
  sum = 1. / 40320 + y * sum;
  sum = -1. / 720 + y * sum;
  sum = 1. / 24 + y * sum;
  return 1 - 0.5 * y + y * y * sum;
}

/* Cosine and sine of a share of the full circle, 0 < turn < 1: the nearest quarter is taken off, exactly. */
static void circle(const double *restrict turn, double *restrict c, double *restrict s)
{
  for (int i = 0; i < PAIRS; i++) {
    const double quarter = (4 * turn[i] + 0x1.8p52) - 0x1.8p52; /* 0 … 4, to the nearest */
    const double x = 2 * M_PI * (turn[i] - 0.25 * quarter);
    const double cos_x = cosine(x), sin_x = sine(x);
    const int odd = fabs(fabs(quarter - 2) - 1) < 0.5; /* 1 or 3 */
    const double across = odd ? sin_x : cos_x, up = odd ? cos_x : sin_x;

    c[i] = fabs(quarter - 1.5) < 1 ? -across : across; /* 1 or 2 */
    s[i] = fabs(quarter - 2.5) < 1 ? -up : up; /* 2 or 3 */
  }
}

/* Numbers 2 first … 2 first + 2 PAIRS-1. */
static void pairs(RandomKey key, uint64_t first, double *restrict out)
{
  uint64_t words[2 * PAIRS];
  double uniform[PAIRS], turn[PAIRS], radius[PAIRS], c[PAIRS], s[PAIRS];

  random_words(key, 2 * first, 2 * PAIRS, words);
  for (int i = 0; i < PAIRS; i++) {
    uniform[i] = to_uniform(words[2 * i]);
    turn[i] = to_uniform(words[2 * i + 1]);
  }
  for (int i = 0; i < PAIRS; i++) radius[i] = sqrt(-2 * logarithm(uniform[i]));
  circle(turn, c, s);
  for (int i = 0; i < PAIRS; i++) {
    out[2 * i] = radius[i] * c[i];
    out[2 * i + 1] = radius[i] * s[i];
  }
}

void random_normal(RandomKey key, uint64_t position, size_t count, double *out)
{
  double values[2 * PAIRS];

  for (size_t done = 0; done < count;) {
    const uint64_t at = position + done;
    const size_t odd = (size_t)(at % 2), room = 2 * PAIRS - odd;
    const size_t take = count - done < room ? count - done : room;

    pairs(key, at / 2, values);
    memcpy(out + done, values + odd, take * sizeof *out);
    done += take;
  }
}

void random_normal_float(RandomKey key, uint64_t position, size_t count, float *out)
{
  enum { PIECE = 2 * PAIRS };
  double values[PIECE];

  for (size_t done = 0; done < count;) {
    const size_t take = count - done < PIECE ? count - done : PIECE;

    random_normal(key, position + done, take, values);
    for (size_t i = 0; i < take; i++) out[done + i] = (float)values[i];
    done += take;
  }
}
