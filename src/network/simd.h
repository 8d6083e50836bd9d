/** \file simd.h  The few vector operations that matrix products need, for each instruction set and both types of
 * Scalar.
 *
 * Everything else is left to the compiler; it does not keep a tile of sums in registers by itself.  \ingroup network */
#ifndef NEPHRITE_NETWORK_SIMD_H
#define NEPHRITE_NETWORK_SIMD_H

#include "nephrite/network.h"

#include <immintrin.h>

#ifdef NEPHRITE_FLOAT64
#define SIMD_SUFFIX pd
#define SIMD_TYPE_SUFFIX d
#else
#define SIMD_SUFFIX ps
#define SIMD_TYPE_SUFFIX
#endif

#if defined(__AVX512F__)
#define SIMD_WIDTH 512
#elif defined(__AVX2__) && defined(__FMA__)
#define SIMD_WIDTH 256
#else
#define SIMD_WIDTH 128
#endif

#define SIMD_PASTE2(a, b) a##b
#define SIMD_PASTE4(a, b, c, d) a##b##c##d
#define SIMD_TYPE(width, suffix) SIMD_PASTE4(__m, width, suffix, )
#define SIMD_NAME(prefix, name, suffix) SIMD_PASTE4(prefix, name, _, suffix)
#define SIMD_EXPAND(macro, ...) macro(__VA_ARGS__)
#if SIMD_WIDTH == 128
#define SIMD(name) SIMD_EXPAND(SIMD_NAME, _mm, name, SIMD_SUFFIX)
#else
#define SIMD(name) SIMD_EXPAND(SIMD_NAME, SIMD_EXPAND(SIMD_PASTE2, _mm, SIMD_WIDTH), name, SIMD_SUFFIX)
#endif

typedef SIMD_EXPAND(SIMD_TYPE, SIMD_WIDTH, SIMD_TYPE_SUFFIX) Vector;

enum { LANES = SIMD_WIDTH / 8 / (int)sizeof(Scalar) };

static inline Vector vector_load(const Scalar *x)
{
  return SIMD(_loadu)(x);
}

static inline void vector_store(Scalar *x, Vector v)
{
  SIMD(_storeu)(x, v);
}

static inline Vector vector_all(Scalar x)
{
  return SIMD(_set1)(x);
}

static inline Vector vector_add(Vector a, Vector b)
{
  return SIMD(_add)(a, b);
}

/** a b + c, fused where the processor can. */
static inline Vector vector_multiply_add(Vector a, Vector b, Vector c)
{
#if SIMD_WIDTH == 128
  return SIMD(_add)(SIMD(_mul)(a, b), c);
#else
  return SIMD(_fmadd)(a, b, c);
#endif
}

#endif
