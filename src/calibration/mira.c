/** \file mira.c  The MIRA score (arXiv:2605.02014), exact in the reference draw and as published.  \ingroup calibration
 */
#include "calibration/internal.h"

#include <math.h>

/* Mean over all references of the published p/[(N+1)/(N+2)], a function of the count alone (doc/calibration.md, 3). */
static double score_of_count(double m, double draws)
{
  return (draws + 1) / (2 * draws) + m * (draws - m) / (draws * draws);
}

double mira_expected(int64_t draws)
{
  return (2. * (double)draws + 1) / (3. * (double)draws);
}

double mira_of_truth(const CountTable *table, int64_t t)
{
  double sum = 0;

  for (int64_t k = 0; k < table->centres; k++)
    sum += score_of_count((double)table->m[t * table->centres + k], (double)table->draws);
  return sum / (double)table->centres;
}

PetscErrorCode mira_score(const CountTable *table, RandomKey key, PetscInt bootstraps, MiraScore *score)
{
  double *value = NULL, sum = 0;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)table->truths, &value));
  for (int64_t t = 0; t < table->truths; t++) sum += value[t] = mira_of_truth(table, t);
  score->score = sum / (double)table->truths;
  score->error = bootstrap_error(table->truths, value, key, bootstraps);
  score->expected = mira_expected(table->draws);
  PetscCall(PetscFree(value));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Given m, a random reference has j = 0 … S-1 draws nearer to the centre with equal chances, and the truth is within
 * its radius if m <= j; so the published run needs the counts alone. */
PetscErrorCode mira_score_published(const CountTable *table, MiraRun run, int64_t centre, RandomKey key, double *score)
{
  const double others = (double)table->draws - 1;

  PetscFunctionBeginUser;
  *score = 0;
  for (int64_t i = 0; i < table->truths; i++) {
    const int64_t t = run == RUN_EACH ? i : resampled_truth(key, 2 * (uint64_t)i, table->truths);
    const double m = (double)table->m[t * table->centres + centre];
    double u, nearer;

    random_uniform(key, 2 * (uint64_t)i + 1, 1, &u);
    nearer = floor(u * (double)table->draws);
    *score += (m <= nearer ? nearer + 1 : others - nearer + 1) / (others + 1);
  }
  *score /= (double)table->truths;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode mira_published(const CountTable *table, MiraRun run, RandomKey key, PetscInt runs, double moments[2])
{
  double mean = 0, square = 0;

  PetscFunctionBeginUser;
  for (PetscInt r = 0; r < runs; r++) {
    const RandomKey own = {key.seed, key.stream, key.index + (uint64_t)r};
    double score;

    PetscCall(mira_score_published(table, run, r % table->centres, own, &score));
    const double deviation = score - mean;
    mean += deviation / (r + 1);
    square += deviation * (score - mean);
  }
  moments[0] = mean;
  moments[1] = runs > 1 ? sqrt(square / (runs - 1)) : 0;
  PetscFunctionReturn(PETSC_SUCCESS);
}
