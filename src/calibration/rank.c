/** \file rank.c  Simulation-based calibration: ranks of scalars (Talts et al. 2018, arXiv:1804.06788).
 * \ingroup calibration */
#include "nephrite/calibration.h"

#include <gsl/gsl_cdf.h>

int64_t sbc_rank(int64_t draws, const double *draw, int64_t stride, double truth)
{
  int64_t rank = 0;

  for (int64_t d = 0; d < draws; d++) rank += draw[d * stride] < truth;
  return rank;
}

PetscErrorCode sbc_test(int64_t truths, int64_t draws, const int64_t *rank, PetscInt bins, double *histogram,
                        double *expected, RankTest *test)
{
  double *count = NULL, *share = NULL;

  PetscFunctionBeginUser;
  PetscCheck(bins >= 2 && bins <= draws + 1, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%" PetscInt_FMT " bins for %lld possible ranks", bins, (long long)(draws + 1));
  PetscCall(PetscCalloc2(bins, &count, bins, &share));
  for (int64_t t = 0; t < truths; t++) count[rank[t] * bins / (draws + 1)]++;
  for (int64_t r = 0; r <= draws; r++) share[r * bins / (draws + 1)] += (double)truths / (double)(draws + 1);
  test->chi2 = 0;
  for (PetscInt b = 0; b < bins; b++) {
    test->chi2 += (count[b] - share[b]) * (count[b] - share[b]) / share[b];
    if (histogram) histogram[b] = count[b];
    if (expected) expected[b] = share[b];
  }
  test->p_value = gsl_cdf_chisq_Q(test->chi2, (double)(bins - 1));
  PetscCall(PetscFree2(count, share));
  PetscFunctionReturn(PETSC_SUCCESS);
}

double sbc_least_p_value(PetscInt count, const double *p_value)
{
  double least = 1;

  for (PetscInt i = 0; i < count; i++) least = PetscMin(least, p_value[i] * count);
  return least;
}
