/** \file moments.c  Mean and spread of maps that are never all in memory.  \ingroup inference */
#include "inference/internal.h"

void moments_measure(size_t size, const float *map, Moments *moments)
{
  for (size_t i = 0; i < size; i++) {
    double mean = 0, square = 0;

    for (PetscInt n = 0; n < moments->count; n++) mean += map[(size_t)n * size + i];
    mean /= (double)moments->count;
    for (PetscInt n = 0; n < moments->count; n++) {
      const double deviation = map[(size_t)n * size + i] - mean;

      square += deviation * deviation;
    }
    moments->mean[i] = mean;
    moments->square[i] = square;
  }
}

/* Chan, Golub & LeVeque 1983, eq. 2.1 */
void moments_join(size_t size, Moments *all, const Moments *more)
{
  const double n = (double)all->count, m = (double)more->count;

  for (size_t i = 0; i < size; i++) {
    const double difference = more->mean[i] - all->mean[i];

    all->mean[i] += difference * m / (n + m);
    all->square[i] += more->square[i] + difference * difference * n * m / (n + m);
  }
  all->count += more->count;
}
