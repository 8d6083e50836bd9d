/** \file calibration.h
 * MIRA, TARP and SBC from one table of counts.  \defgroup calibration Calibration
 */
#ifndef NEPHRITE_CALIBRATION_H
#define NEPHRITE_CALIBRATION_H

#include "nephrite/support.h"

/** How distances are measured (calibration, section 1). */
typedef enum { METRIC_RAW, METRIC_MINMAX, METRIC_STANDARDISED } CalibrationMetric;

/** counts[t][c] = draws of truth t closer to centre c than the truth is.  Draws are shown one truth at a time, so they
 * need never be held together. */
typedef struct Counts Counts;
/** \param dimension q  \param truths T  \param draws S  \param centres C per truth  \param truth [truths][dimension]
 * sets offsets and scales of the metric, and is borrowed until counts_destroy() */
PetscErrorCode counts_create(CalibrationMetric metric, int64_t dimension, int64_t truths, int64_t draws,
                             int64_t centres, int64_t seed, const float *truth, Counts **counts);
/** Use given centres instead of keyed ones.  \param centre [truths][centres][dimension], borrowed */
PetscErrorCode counts_set_centres(Counts *counts, const float *centre);
/** \param draw [draws][dimension] of truth \p t.  Order and rank of the calls do not matter. */
PetscErrorCode counts_add(Counts *counts, int64_t t, const float *draw);
/** Join the tables of all ranks.  Collective. */
PetscErrorCode counts_reduce(MPI_Comm comm, Counts *counts);
const int64_t *counts_table(const Counts *counts); /**< [truths][centres]; -1 where not added */
int64_t counts_ties(const Counts *counts);
PetscErrorCode counts_destroy(Counts **counts);

typedef struct {
  double score, error, expected; /**< mean over truths, bootstrap standard deviation, (2S+1)/(3S) */
} MiraScore;
/** The score exact in the reference draw (calibration, section 3). */
PetscErrorCode mira_score(int64_t truths, int64_t draws, int64_t centres, const int64_t *table, int64_t seed,
                          PetscInt bootstraps, MiraScore *score);
/** One run of the published estimator.  \param m [truths] counts … see calibration.md */
PetscErrorCode mira_score_published(int64_t truths, int64_t draws, const int64_t *m, int64_t seed, int64_t run,
                                    double *score);

/** Expected coverage at \p alpha.  \param[out] ecp, error [levels]  \param[out] max_deviation */
PetscErrorCode tarp_coverage(int64_t truths, int64_t draws, int64_t centres, const int64_t *table, PetscInt levels,
                             const double *alpha, int64_t seed, PetscInt bootstraps, double *ecp, double *error,
                             double *max_deviation);

typedef struct {
  double chi2, p_value;
} RankTest;
/** Rank of a truth among its draws. */
int64_t sbc_rank(int64_t draws, const double *draw, int64_t stride, double truth);
/** \param rank [truths]  \param[out] histogram [bins], expected [bins] may be NULL */
PetscErrorCode sbc_test(int64_t truths, int64_t draws, const int64_t *rank, PetscInt bins, double *histogram,
                        double *expected, RankTest *test);

#endif
