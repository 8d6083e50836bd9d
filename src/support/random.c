/** \file random.c  Random numbers that are a function of their key and position, never of call order.  \ingroup support
 */
#include "nephrite/support.h"
#include "uniform.h"

#include <Random123/philox.h>

enum { WORDS = 4 }; /* 64-bit words of one Philox 4x64 block (Salmon et al. 2011) */

static philox4x64_ctr_t block(RandomKey key, uint64_t number)
{
  const philox4x64_ctr_t counter = {{key.index, number, 0, 0}};
  const philox4x64_key_t philox_key = {{key.seed, (uint64_t)key.stream}};

  return philox4x64(counter, philox_key);
}

void random_uniform(RandomKey key, uint64_t position, size_t count, double *out)
{
  for (size_t done = 0; done < count;) { /* positions need not begin or end at a block */
    const uint64_t at = position + done;
    const size_t first = (size_t)(at % WORDS);
    const size_t take = count - done < WORDS - first ? count - done : WORDS - first;
    const philox4x64_ctr_t words = block(key, at / WORDS);

    for (size_t i = 0; i < take; i++) out[done + i] = to_uniform(words.v[first + i]);
    done += take;
  }
}

uint64_t random_bits(RandomKey key, uint64_t position)
{
  return block(key, position / WORDS).v[position % WORDS];
}

void random_words(RandomKey key, uint64_t position, size_t count, uint64_t *out)
{
  size_t done = 0;

  for (; (position + done) % WORDS && done < count; done++) out[done] = random_bits(key, position + done);
  for (; count - done >= WORDS; done += WORDS) { /* whole blocks */
    const philox4x64_ctr_t words = block(key, (position + done) / WORDS);

    for (int i = 0; i < WORDS; i++) out[done + (size_t)i] = words.v[i];
  }
  for (; done < count; done++) out[done] = random_bits(key, position + done);
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
