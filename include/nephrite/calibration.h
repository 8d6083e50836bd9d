/** \file calibration.h
 * MIRA, TARP and SBC: are truths exchangeable with draws?  \defgroup calibration Calibration
 *
 * MIRA and TARP are two readings of one table of counts m = #{draws nearer to a centre than the truth is}, which are
 * uniform on 0 … S if the posterior is right (calibration, section 1).
 */
#ifndef NEPHRITE_CALIBRATION_H
#define NEPHRITE_CALIBRATION_H

#include "nephrite/inference.h"

/** How distances are measured, and where centres lie (calibration, section 1). */
typedef enum {
  METRIC_RAW, /**< units of the data, centres uniform on [0, 1] */
  METRIC_MINMAX, /**< least and greatest of the truths go to 0 and 1, centres uniform on [0, 1] */
  METRIC_STANDARDISED, /**< mean and standard deviation of the truths go to 0 and 1, centres uniform on [-2, 2] */
} CalibrationMetric;

/** Counts of one space and metric, one truth at a time: draws of different truths need never be held together. */
typedef struct Counts Counts;
/** \param truth [truths][dimension] sets the metric; borrowed until counts_destroy()
 * \param key  of the centres; spaces and metrics have different ones */
PetscErrorCode counts_create(CalibrationMetric metric, int64_t dimension, int64_t truths, const float *truth,
                             RandomKey key, Counts **counts);
/** Use these centres, in units of the data, instead of keyed ones.  \param centre [truths][centres][dimension] borrowed
 */
PetscErrorCode counts_set_centres(Counts *counts, const float *centre);
/** Compare the draws of truth \p t.  \param draw [draws][dimension]  \param[out] m [centres], 0 … draws
 * \param[out] ties draws exactly as far as the truth, may be NULL */
PetscErrorCode counts_of(Counts *counts, int64_t t, int64_t draws, const float *draw, int64_t centres, int64_t *m,
                         int64_t *ties);
PetscErrorCode counts_destroy(Counts **counts);

/** A table of counts.  \param m [truths][centres] */
typedef struct {
  int64_t truths, draws, centres;
  const int64_t *m;
} CountTable;

/** Score, its error by bootstrap over truths, its value if calibrated: (2S+1)/(3S). */
typedef struct {
  double score, error, expected;
} MiraScore;
/** Exact in the reference draw: the mean of (S+1)/(2S) + m (S-m)/S^2 (calibration, section 3). */
PetscErrorCode mira_score(const CountTable *table, RandomKey key, PetscInt bootstraps, MiraScore *score);
/** One run of the published estimator: centre \p centre of each truth, a keyed reference draw for each.
 * \param resample PETSC_TRUE draws truths with replacement (a bootstrap sample) */
PetscErrorCode mira_score_published(const CountTable *table, int64_t centre, RandomKey key, PetscBool resample,
                                    double *score);

/** Expected coverage: the share of truths with m/S < alpha.  \param alpha [levels]  \param[out] ecp [levels]
 * \param[out] error [levels] by bootstrap over truths, may be NULL */
PetscErrorCode tarp_coverage(const CountTable *table, PetscInt levels, const double *alpha, RandomKey key,
                             PetscInt bootstraps, double *ecp, double *error);

/** Rank of a truth among draws that lie \p stride apart: how many are smaller. */
int64_t sbc_rank(int64_t draws, const double *draw, int64_t stride, double truth);
typedef struct {
  double chi2, p_value;
} RankTest;
/** Are ranks uniform on 0 … draws?  \param rank [truths]  \param[out] histogram, expected [bins], may be NULL
 * Errors: NEPHRITE_ERR_CONFIG if there are more bins than ranks. */
PetscErrorCode sbc_test(int64_t truths, int64_t draws, const int64_t *rank, PetscInt bins, double *histogram,
                        double *expected, RankTest *test);

/** -task coverage: draws for many held-out observations, then calibration.h5.  Collective on \p comm. */
PetscErrorCode coverage_run(MPI_Comm comm, const InferenceSetup *setup);

#endif
