/** \file uniform.h  Random bits as a number between 0 and 1.  \ingroup support */
#ifndef NEPHRITE_SUPPORT_UNIFORM_H
#define NEPHRITE_SUPPORT_UNIFORM_H

#include <stdint.h>
#include <string.h>

/** The upper 52 bits as an odd multiple of 2^-53, exactly: uniform in (0, 1), never an end (53 bits would round to 1).
 */
static inline double to_uniform(uint64_t word)
{
  const uint64_t bits = word >> 12 | UINT64_C(0x3ff0000000000000); /* of a number in [1, 2) */
  double value;

  memcpy(&value, &bits, sizeof value);
  return value - (1 - 0x1p-53);
}

#endif
