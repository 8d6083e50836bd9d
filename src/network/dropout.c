/** \file dropout.c  Which elements are dropped: a function of seed, sample, block, place and position alone, so that
 * backward finds the same ones without storing them.  \ingroup network */
#include "internal.h"

/* Published: dropout acts in the middle half of the blocks. */
PetscBool dropout_acts(const Network *network, size_t block)
{
  const size_t quarter = network->dims.L / 4;

  return network->dropping && block >= quarter && block < 3 * quarter ? PETSC_TRUE : PETSC_FALSE;
}

void dropout_factors(const Network *network, DropPlace place, size_t block, size_t sample, ElementRange range,
                     Scalar *factors)
{
  enum { PLACES = 3, DECISIONS = 4, WORDS = 64 }; /* 16 of a word's 64 bits decide over one element */
  const RandomKey key = {(uint64_t)network->dropout_seed, STREAM_DROPOUT, network->dropout_index[sample]};
  const uint64_t base = (uint64_t)(block * PLACES + (size_t)place) << 40; /* room for 2^42 elements at each place */
  const unsigned dropped_below = (unsigned)(network->shape.config.dropout * 65536 + 0.5);
  const Scalar kept = (Scalar)(1 / (1 - network->shape.config.dropout));
  uint64_t words[WORDS];

  for (size_t done = 0; done < range.count;) {
    const size_t element = range.first + done, lane = element % DECISIONS;
    const size_t left = range.count - done, room = WORDS * DECISIONS - lane, take = left < room ? left : room;

    random_words(key, base + element / DECISIONS, (lane + take + DECISIONS - 1) / DECISIONS, words);
    for (size_t i = 0; i < take; i++) {
      const uint64_t word = words[(lane + i) / DECISIONS];
      const unsigned bits = (unsigned)(word >> 16 * ((lane + i) % DECISIONS)) & 0xffffu;

      factors[done + i] = bits < dropped_below ? 0 : kept;
    }
    done += take;
  }
}

void dropout_rows(const Network *network, DropPlace place, size_t block, RowBlock rows, DropRows target)
{
  const ElementRange range = {.first = rows.token * target.width, .count = rows.rows * target.width};

  dropout_factors(network, place, block, rows.sample, range, target.factors);
  network->kernels->scale(range.count, target.factors, target.values);
}
