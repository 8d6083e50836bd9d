/** \file bootstrap.c  Errors over truths: truths are drawn with replacement.  \ingroup calibration */
#include "calibration/internal.h"

#include <math.h>

int64_t resampled_truth(RandomKey key, uint64_t position, int64_t truths)
{
  double u;

  random_uniform(key, position, 1, &u);
  return (int64_t)(u * (double)truths);
}

double bootstrap_error(int64_t count, const double *value, RandomKey key, PetscInt bootstraps)
{
  double centre = 0, sum = 0, square = 0;

  if (bootstraps < 2) return 0;
  for (int64_t i = 0; i < count; i++) centre += value[i] / (double)count;
  for (PetscInt b = 0; b < bootstraps; b++) {
    double mean = 0; /* less that of all, so that the sum of squares loses nothing */

    for (int64_t i = 0; i < count; i++)
      mean += value[resampled_truth(key, (uint64_t)b * (uint64_t)count + (uint64_t)i, count)] - centre;
    mean /= (double)count;
    sum += mean;
    square += mean * mean;
  }
  return sqrt(fmax(square - sum * sum / bootstraps, 0) / (bootstraps - 1));
}
