/** \file mira.c  The MIRA score (arXiv:2605.02014), exact in the reference draw and as published.  \ingroup calibration
 */
#include "nephrite/calibration.h"

#include <math.h>

/* Mean over all references of the published p/[(N+1)/(N+2)], a function of the count alone (calibration, section 3). */
static double score_of_count(double m, double draws)
{
  return (draws + 1) / (2 * draws) + m * (draws - m) / (draws * draws);
}

/* Mean over the centres of a truth. */
static double score_of_truth(const CountTable *table, int64_t t)
{
  double sum = 0;

  for (int64_t k = 0; k < table->centres; k++)
    sum += score_of_count((double)table->m[t * table->centres + k], (double)table->draws);
  return sum / (double)table->centres;
}

static double resampled_mean(const double *value, int64_t count, RandomKey key, uint64_t sample)
{
  double sum = 0;

  for (int64_t i = 0; i < count; i++) {
    double u;
    random_uniform(key, sample * (uint64_t)count + (uint64_t)i, 1, &u);
    sum += value[(int64_t)(u * (double)count)];
  }
  return sum / (double)count;
}

PetscErrorCode mira_score(const CountTable *table, RandomKey key, PetscInt bootstraps, MiraScore *score)
{
  double *value = NULL, sum = 0, boot = 0, square = 0;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)table->truths, &value));
  for (int64_t t = 0; t < table->truths; t++) sum += value[t] = score_of_truth(table, t);
  for (PetscInt b = 0; b < bootstraps; b++) {
    const double mean = resampled_mean(value, table->truths, key, (uint64_t)b) - sum / (double)table->truths;
    boot += mean;
    square += mean * mean;
  }
  score->score = sum / (double)table->truths;
  score->error = bootstraps > 1 ? sqrt((square - boot * boot / bootstraps) / (bootstraps - 1)) : 0;
  score->expected = (2. * (double)table->draws + 1) / (3. * (double)table->draws);
  PetscCall(PetscFree(value));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Given m, a random reference has j = 0 … S-1 draws nearer to the centre with equal chances, and the truth is within
 * its radius if m <= j; so the published run needs the counts alone. */
PetscErrorCode mira_score_published(const CountTable *table, int64_t centre, RandomKey key, PetscBool resample,
                                    double *score)
{
  const double others = (double)table->draws - 1;

  PetscFunctionBeginUser;
  *score = 0;
  for (int64_t i = 0; i < table->truths; i++) {
    double u[2];

    random_uniform(key, 2 * (uint64_t)i, 2, u);
    const int64_t t = resample ? (int64_t)(u[1] * (double)table->truths) : i;
    const double j = floor(u[0] * (double)table->draws), m = (double)table->m[t * table->centres + centre];
    *score += (m <= j ? j + 1 : others - j + 1) / (others + 1);
  }
  *score /= (double)table->truths;
  PetscFunctionReturn(PETSC_SUCCESS);
}
