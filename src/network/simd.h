/** \file simd.h  The vector operations that products and exponentials need, for each instruction set and both types of
 * Scalar.  Plain loops are left to the compiler; these it does not make well by itself.  \ingroup network */
#ifndef NEPHRITE_NETWORK_SIMD_H
#define NEPHRITE_NETWORK_SIMD_H

#include "nephrite/network.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#if defined(__AVX512F__)
#define SIMD_WIDTH 512
#elif defined(__AVX2__) && defined(__FMA__)
#define SIMD_WIDTH 256
#else
#define SIMD_WIDTH 128
#endif

#define SIMD_PASTE(a, b, c, d) a##b##c##d
#define SIMD_EXPAND(a, b, c, d) SIMD_PASTE(a, b, c, d)
#if SIMD_WIDTH == 128
#define SIMD_PREFIX _mm
#else
#define SIMD_PREFIX SIMD_EXPAND(_mm, SIMD_WIDTH, , )
#endif
#ifdef NEPHRITE_FLOAT64
#define SIMD_TYPE_SUFFIX d
#define SIMD_SUFFIX _pd
#else
#define SIMD_TYPE_SUFFIX
#define SIMD_SUFFIX _ps
#endif
/** SIMD(_add) is _mm512_add_ps, _mm_add_pd, … */
#define SIMD(name) SIMD_EXPAND(SIMD_PREFIX, name, SIMD_SUFFIX, )
#define SIMD_INTEGER(name) SIMD_EXPAND(SIMD_PREFIX, name, _epi32, )

typedef SIMD_EXPAND(__m, SIMD_WIDTH, SIMD_TYPE_SUFFIX, ) Vector;

enum { LANES = SIMD_WIDTH / 8 / (int)sizeof(Scalar) };

/** Rows of a tile of a product, whose sums stay in registers: twice as many vectors of sums, two of one factor and one
 * of the other. */
#if SIMD_WIDTH == 512
enum { TILE_ROWS = 12 }; /* 27 of 32 registers */
#else
enum { TILE_ROWS = 6 }; /* 15 of 16 */
#endif

static inline Vector vector_load(const Scalar *x)
{
  return SIMD(_loadu)(x);
}

static inline void vector_store(Scalar *x, Vector v)
{
  SIMD(_storeu)(x, v);
}

/** The first \p count lanes, at most LANES; zeros in the others. */
static inline Vector vector_load_some(const Scalar *x, size_t count)
{
  Scalar whole[LANES] = {0};

  if (count == LANES) return vector_load(x);
  memcpy(whole, x, count * sizeof *x);
  return vector_load(whole);
}

static inline void vector_store_some(Scalar *x, Vector v, size_t count)
{
  Scalar whole[LANES];

  if (count == LANES) {
    vector_store(x, v);
    return;
  }
  vector_store(whole, v);
  memcpy(x, whole, count * sizeof *x);
}

/** Ask for what lies at x, to be there when it is wanted.  Inlined before anything else: to gcc a function that only
 * prefetches has no effect, and its calls are dropped. */
__attribute__((always_inline)) static inline void vector_ask(const Scalar *x)
{
  _mm_prefetch((const char *)x, _MM_HINT_T0);
}

static inline Vector vector_all(Scalar x)
{
  return SIMD(_set1)(x);
}

static inline Vector vector_add(Vector a, Vector b)
{
  return SIMD(_add)(a, b);
}

static inline Vector vector_subtract(Vector a, Vector b)
{
  return SIMD(_sub)(a, b);
}

static inline Vector vector_multiply(Vector a, Vector b)
{
  return SIMD(_mul)(a, b);
}

static inline Vector vector_divide(Vector a, Vector b)
{
  return SIMD(_div)(a, b);
}

/** The larger of each pair, and b where one is no number. */
static inline Vector vector_maximum(Vector a, Vector b)
{
  return SIMD(_max)(a, b);
}

#if SIMD_WIDTH == 128
static inline Vector vector_multiply_add(Vector a, Vector b, Vector c)
{
  return SIMD(_add)(SIMD(_mul)(a, b), c);
}
#else
/** a b + c, fused where the processor can. */
static inline Vector vector_multiply_add(Vector a, Vector b, Vector c)
{
  return SIMD(_fmadd)(a, b, c);
}
#endif

/* Of every pair of neighbours (u, v): (u, u), (v, v) and (v, u). */
#ifdef NEPHRITE_FLOAT64
enum { FIRST_TWICE = 0, SECOND_TWICE = (1 << LANES) - 1, SWAPPED = 0x55 & SECOND_TWICE }; /* a bit for each lane */
#else
enum { FIRST_TWICE = 0xa0, SECOND_TWICE = 0xf5, SWAPPED = 0xb1 }; /* two bits for each of four lanes */
#endif
#define vector_pairs(v, order) SIMD(_shuffle)(v, v, order)

static inline Scalar vector_sum(Vector v)
{
  Scalar lanes[LANES], sum = 0;

  vector_store(lanes, v);
  for (int i = 0; i < LANES; i++) sum += lanes[i];
  return sum;
}

/* The smallest squares that a vector register of any processor transposes. */
#ifdef NEPHRITE_FLOAT64
enum { SQUARE = 2 };

/** out[j][i] = in[i][j], i, j < SQUARE.  \param in, out  rows in_row and out_row apart */
static inline void square_transpose(const Scalar *in, size_t in_row, Scalar *out, size_t out_row)
{
  const __m128d row0 = _mm_loadu_pd(in), row1 = _mm_loadu_pd(in + in_row);

  _mm_storeu_pd(out, _mm_unpacklo_pd(row0, row1));
  _mm_storeu_pd(out + out_row, _mm_unpackhi_pd(row0, row1));
}
#else
enum { SQUARE = 4 };

/** out[j][i] = in[i][j], i, j < SQUARE.  \param in, out  rows in_row and out_row apart */
static inline void square_transpose(const Scalar *in, size_t in_row, Scalar *out, size_t out_row)
{
  __m128 row0 = _mm_loadu_ps(in), row1 = _mm_loadu_ps(in + in_row), row2 = _mm_loadu_ps(in + 2 * in_row),
         row3 = _mm_loadu_ps(in + 3 * in_row);

  _MM_TRANSPOSE4_PS(row0, row1, row2, row3);
  _mm_storeu_ps(out, row0);
  _mm_storeu_ps(out + out_row, row1);
  _mm_storeu_ps(out + 2 * out_row, row2);
  _mm_storeu_ps(out + 3 * out_row, row3);
}
#endif

#ifdef NEPHRITE_FLOAT64
/** The double build is for tests of exactness: libm's function. */
static inline Vector vector_exponential(Vector x)
{
  Scalar lanes[LANES];

  vector_store(lanes, x);
  for (int i = 0; i < LANES; i++) lanes[i] = exp(lanes[i]);
  return vector_load(lanes);
}
#else
#define SIMD_FROM_BITS SIMD_EXPAND(SIMD_PREFIX, _castsi, SIMD_WIDTH, _ps)
#define SIMD_TO_FLOAT SIMD_EXPAND(SIMD_PREFIX, _cvtepi32_ps, , )
#define SIMD_TO_INTEGER SIMD_EXPAND(SIMD_PREFIX, _cvtps_epi32, , ) /* to nearest */

/** e^x to 2e-7, relative; without fused multiply-adds, where the compiler joins the two steps of the reduction again,
 * to 2e-7 + 6e-8 |x|.  Beyond the range of normal numbers, its value at the end of that range. */
static inline Vector vector_exponential(Vector x)
{
  /* The polynomial of expf in the Cephes library (Moshier 1992). */
  const float coefficients[] = {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f,
                                5.0000001201e-1f};
  const Vector one = vector_all(1);

  x = vector_maximum(vector_all(-87.0f), x); /* in this order of arguments what is no number stays so */
  x = SIMD(_min)(vector_all(88.0f), x);
  const SIMD_EXPAND(__m, SIMD_WIDTH, i, ) n = SIMD_TO_INTEGER(vector_multiply(x, vector_all(1.44269504f)));
  /* y = x - n ln 2 in two steps, the first without rounding: n times a number of few bits (Cody & Waite 1980). */
  const Vector y = vector_multiply_add(SIMD_TO_FLOAT(n), vector_all(2.12194440e-4f),
                                       vector_multiply_add(SIMD_TO_FLOAT(n), vector_all(-0.693359375f), x));
  Vector p = vector_all(1.9875691500e-4f);
  for (int i = 0; i < 5; i++) p = vector_multiply_add(p, y, vector_all(coefficients[i]));
  p = vector_add(vector_multiply_add(vector_multiply(p, y), y, y), one);
  const Vector power =
      SIMD_FROM_BITS(SIMD_EXPAND(SIMD_PREFIX, _slli_epi32, , )(SIMD_INTEGER(_add)(n, SIMD_INTEGER(_set1)(127)), 23));
  return vector_multiply(p, power);
}
#endif

/** 1 / (1 + e^-x) */
static inline Vector vector_sigmoid(Vector x)
{
  const Vector one = vector_all(1);

  return vector_divide(one, vector_add(one, vector_exponential(vector_subtract(vector_all(0), x))));
}

#endif
