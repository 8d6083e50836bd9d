/** \file tarp.c  Expected coverage (Lemos, Coogan et al. 2023, arXiv:2302.03026).  \ingroup calibration */
#include "calibration/internal.h"

#include <math.h>

/* The share of centres of one truth with m/S < alpha. */
static double covered(const CountTable *table, int64_t t, double alpha)
{
  int64_t inside = 0;

  for (int64_t k = 0; k < table->centres; k++)
    inside += (double)table->m[t * table->centres + k] / (double)table->draws < alpha;
  return (double)inside / (double)table->centres;
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
    if (error) error[l] = bootstrap_error(table->truths, value, key, bootstraps);
  }
  PetscCall(PetscFree(value));
  PetscFunctionReturn(PETSC_SUCCESS);
}

double tarp_deviation(PetscInt levels, const double *alpha, const double *ecp)
{
  double worst = 0;

  for (PetscInt l = 0; l < levels; l++) worst = fmax(worst, fabs(ecp[l] - alpha[l]));
  return worst;
}
