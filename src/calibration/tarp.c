/** \file tarp.c  Expected coverage (Lemos, Coogan et al. 2023, arXiv:2302.03026).  \ingroup calibration */
#include "nephrite/calibration.h"

#include <math.h>

/* The share of centres of one truth with m/S < alpha. */
static double covered(const CountTable *table, int64_t t, double alpha)
{
  int64_t inside = 0;

  for (int64_t k = 0; k < table->centres; k++)
    inside += (double)table->m[t * table->centres + k] / (double)table->draws < alpha;
  return (double)inside / (double)table->centres;
}

/* \param value [truths]  \returns the standard deviation of its mean over bootstrap samples of truths */
static double bootstrap_error(const double *value, int64_t count, RandomKey key, PetscInt bootstraps)
{
  double sum = 0, square = 0;

  for (PetscInt b = 0; b < bootstraps; b++) {
    double mean = 0;

    for (int64_t i = 0; i < count; i++) {
      double u;
      random_uniform(key, (uint64_t)b * (uint64_t)count + (uint64_t)i, 1, &u);
      mean += value[(int64_t)(u * (double)count)] / (double)count;
    }
    sum += mean;
    square += mean * mean;
  }
  return sqrt(fmax(square - sum * sum / bootstraps, 0) / (bootstraps - 1));
}

PetscErrorCode tarp_coverage(const CountTable *table, PetscInt levels, const double *alpha, RandomKey key,
                             PetscInt bootstraps, double *ecp, double *error)
{
  double *value = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)table->truths, &value));
  for (PetscInt l = 0; l < levels; l++) {
    double sum = 0;

    for (int64_t t = 0; t < table->truths; t++) sum += value[t] = covered(table, t, alpha[l]);
    ecp[l] = sum / (double)table->truths;
    if (error) error[l] = bootstraps > 1 ? bootstrap_error(value, table->truths, key, bootstraps) : 0;
  }
  PetscCall(PetscFree(value));
  PetscFunctionReturn(PETSC_SUCCESS);
}
