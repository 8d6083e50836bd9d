/** \file shape_noise.c  White noise of the galaxies' own ellipticities, per pixel (physics, Maps 7).  \ingroup lensing
 */
#include "lensing/observer.h"

void shape_noise_add(RandomKey key, uint64_t position, double std, size_t count, double *plane)
{
  enum { PIECE = 256 }; /* of the stack; what a number is depends on its position alone */
  double normal[PIECE];

  for (size_t done = 0; done < count; done += PIECE) {
    const size_t take = count - done < PIECE ? count - done : PIECE;

    random_normal(key, position + done, take, normal);
    for (size_t i = 0; i < take; i++) plane[done + i] += std * normal[i];
  }
}
