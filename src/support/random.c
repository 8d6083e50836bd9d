/** \file random.c  Random numbers that are a function of their key and position, never of call order.  \ingroup support
 */
#include "nephrite/support.h"

#include <math.h>

#include <Random123/philox.h>

enum { WORDS = 4 }; /* 64-bit words of one Philox 4x64 block (Salmon et al. 2011) */

static philox4x64_ctr_t block(RandomKey key, uint64_t number)
{
  const philox4x64_ctr_t counter = {{key.index, number, 0, 0}};
  const philox4x64_key_t philox_key = {{key.seed, (uint64_t)key.stream}};

  return philox4x64(counter, philox_key);
}

/* The upper 53 bits as an odd multiple of 2^-54: uniform in (0, 1), never an end. */
static double to_uniform(uint64_t bits)
{
  return ((double)(bits >> 11) + 0.5) * 0x1p-53;
}

/* Box-Muller: words (0,1) and (2,3) of a block each give two normals. */
static void block_normals(RandomKey key, uint64_t number, double out[WORDS])
{
  const philox4x64_ctr_t words = block(key, number);

  for (int pair = 0; pair < WORDS; pair += 2) {
    const double radius = sqrt(-2 * log(to_uniform(words.v[pair])));
    const double angle = 2 * M_PI * to_uniform(words.v[pair + 1]);

    out[pair] = radius * cos(angle);
    out[pair + 1] = radius * sin(angle);
  }
}

static void block_uniforms(RandomKey key, uint64_t number, double out[WORDS])
{
  const philox4x64_ctr_t words = block(key, number);

  for (int i = 0; i < WORDS; i++) out[i] = to_uniform(words.v[i]);
}

typedef void (*BlockFunction)(RandomKey key, uint64_t number, double out[WORDS]);

/* Positions need not begin or end at a block: what is outside is computed and dropped. */
static void fill(BlockFunction generate, RandomKey key, uint64_t position, size_t count, double *out)
{
  double values[WORDS];

  for (size_t done = 0; done < count;) {
    const uint64_t at = position + done;
    const size_t first = (size_t)(at % WORDS);
    const size_t take = count - done < WORDS - first ? count - done : WORDS - first;

    generate(key, at / WORDS, values);
    for (size_t i = 0; i < take; i++) out[done + i] = values[first + i];
    done += take;
  }
}

void random_uniform(RandomKey key, uint64_t position, size_t count, double *out)
{
  fill(block_uniforms, key, position, count, out);
}

void random_normal(RandomKey key, uint64_t position, size_t count, double *out)
{
  fill(block_normals, key, position, count, out);
}

void random_normal_float(RandomKey key, uint64_t position, size_t count, float *out)
{
  enum { PIECE = 256 };
  double values[PIECE];

  for (size_t done = 0; done < count;) {
    const size_t take = count - done < PIECE ? count - done : PIECE;

    random_normal(key, position + done, take, values);
    for (size_t i = 0; i < take; i++) out[done + i] = (float)values[i];
    done += take;
  }
}

uint64_t random_bits(RandomKey key, uint64_t position)
{
  return block(key, position / WORDS).v[position % WORDS];
}

void random_words(RandomKey key, uint64_t position, size_t count, uint64_t *out)
{
  for (size_t done = 0; done < count;) {
    const uint64_t at = position + done;
    const size_t first = (size_t)(at % WORDS);
    const size_t take = count - done < WORDS - first ? count - done : WORDS - first;
    const philox4x64_ctr_t words = block(key, at / WORDS);

    for (size_t i = 0; i < take; i++) out[done + i] = words.v[first + i];
    done += take;
  }
}

void random_permutation(RandomKey key, int64_t count, int64_t *out)
{
  for (int64_t i = 0; i < count; i++) out[i] = i;
  for (int64_t i = count - 1; i > 0; i--) { /* Fisher and Yates; the bias of the product is below count / 2^53 */
    double u;
    random_uniform(key, (uint64_t)i, 1, &u);
    const int64_t j = (int64_t)(u * (double)(i + 1));
    const int64_t swap = out[i];
    out[i] = out[j];
    out[j] = swap;
  }
}
