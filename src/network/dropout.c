/** \file dropout.c  Which elements are dropped: a function of seed, sample, block, place and position alone, so that
 * backward finds the same ones without storing them.  \ingroup network */
#include "internal.h"

#include <string.h>

PetscBool dropout_acts(const Network *network, size_t block)
{
  const BlockRange blocks = network_dropout_blocks(&network->shape.config);

  return network->dropping && (PetscInt)block >= blocks.begin && (PetscInt)block < blocks.end ? PETSC_TRUE
                                                                                              : PETSC_FALSE;
}

enum { PLACES = 3, DECISIONS = 4, WORDS = 64 }; /* 16 of a word's 64 bits decide over one element */

/* Factors of the elements that some words decide over. */
static void decide(size_t count, const uint64_t *restrict words, double probability, Scalar *restrict factors)
{
  const uint32_t dropped_below = (uint32_t)(probability * 65536 + 0.5);
  const Scalar kept = (Scalar)(1 / (1 - probability));

  for (size_t i = 0; i < count; i++)
    for (unsigned k = 0; k < DECISIONS; k++) {
      const uint32_t bits = (uint32_t)(words[i] >> 16 * k) & 0xffffu;

      factors[DECISIONS * i + k] = bits < dropped_below ? 0 : kept;
    }
}

void dropout_factors(const Network *network, DropPlace place, size_t block, size_t sample, ElementRange range,
                     Scalar *factors)
{
  const RandomKey key = {(uint64_t)network->dropout_seed, STREAM_DROPOUT, network->dropout_index[sample]};
  const uint64_t base = (uint64_t)(block * PLACES + (size_t)place) << 40; /* room for 2^42 elements at each place */
  uint64_t words[WORDS];
  Scalar piece[WORDS * DECISIONS];

  for (size_t done = 0; done < range.count;) { /* ranges need not begin or end at a word */
    const size_t element = range.first + done, lane = element % DECISIONS;
    const size_t left = range.count - done, room = WORDS * DECISIONS - lane, take = left < room ? left : room;
    const size_t count = (lane + take + DECISIONS - 1) / DECISIONS;

    random_words(key, base + element / DECISIONS, count, words);
    decide(count, words, network->shape.config.dropout, piece);
    memcpy(factors + done, piece + lane, take * sizeof *factors);
    done += take;
  }
}

void drop_rows(const Network *network, size_t rows, DropRows target)
{
  for (size_t row = 0; row < rows; row++)
    network->kernels->scale(target.width, target.factors + row * target.width, target.values + row * target.stride);
}

void dropout_rows(const Network *network, DropPlace place, size_t block, RowBlock rows, DropRows target)
{
  const ElementRange range = {.first = rows.token * target.width, .count = rows.rows * target.width};

  dropout_factors(network, place, block, rows.sample, range, target.factors);
  drop_rows(network, rows.rows, target);
}
