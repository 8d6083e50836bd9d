/** \file calibration.h
 * MIRA, TARP and SBC: are truths exchangeable with draws?  \defgroup calibration Calibration
 *
 * MIRA and TARP are two readings of one table of counts m = #{draws nearer to a centre than the truth is}, which are
 * uniform on 0 … S if the posterior is right (doc/calibration.md, section 1).
 */
#ifndef NEPHRITE_CALIBRATION_H
#define NEPHRITE_CALIBRATION_H

#include "nephrite/inference.h"

/** The `calibrate` section. */
typedef struct {
  PetscInt centres; /**< per truth */
  PetscInt bootstraps;
  PetscInt levels; /**< credibilities at which coverage is given, from 0 to 1 */
  PetscInt bins; /**< of the histograms of ranks, at most */
  char grid[OPTION_TEXT_SIZE]; /**< scalars along which truths are divided into cells */
  PetscInt cells; /**< along each of them, at most */
} CalibrateConfig;
extern const OptionTable calibrate_options;

/* ------------------------------------------------------------------ distances and counts */

/** How distances are measured, and where centres lie (doc/calibration.md, section 1). */
typedef enum {
  METRIC_RAW, /**< units of the data, centres uniform on [0, 1] */
  METRIC_MINMAX, /**< least and greatest of the truths go to 0 and 1, centres uniform on [0, 1] */
  METRIC_STANDARDISED, /**< mean and standard deviation of the other truths (of all, if these are two) go to 0 and 1,
                          centres uniform on [-2, 2] */
} MetricKind;

/** Distances in a space of q dimensions.  Truths and draws are shown to it and not kept. */
typedef struct Metric Metric;
/** \param dimension  q  \param key of the centres: those of truth t have index key.index + t */
PetscErrorCode metric_create(MetricKind kind, int64_t dimension, RandomKey key, Metric **metric);
/** Show a truth, which sets offsets and scales: all of them before the first metric_excess().  A dimension in which no
 * truth differs from the others counts for nothing, except in METRIC_RAW.  \param truth [dimension] */
PetscErrorCode metric_learn(Metric *metric, const float *truth);
/** Use these centres instead of keyed ones.  \param centre [truths][centres][dimension] in units of the data; borrowed
 * for the life of the metric */
PetscErrorCode metric_set_centres(Metric *metric, int64_t centres, const float *centre);

/** Some draws for one truth. */
typedef struct {
  int64_t truth_index; /**< 0 … truths-1 */
  const float *truth; /* [dimension] one of those that the metric has learned from */
  int64_t draws;
  const float *draw; /* [draws][dimension] */
} DrawBlock;
/** By how much the square of each draw's distance from each centre exceeds the truth's: negative for a draw that is
 * nearer.  Formed from differences to the truth in float64, so that nothing large cancels.  Excesses of two spaces add
 * up to that of both together.  \param[out] excess [draws][centres] */
PetscErrorCode metric_excess(const Metric *metric, const DrawBlock *block, int64_t centres, double *excess);
PetscErrorCode metric_destroy(Metric **metric);

/** Add the draws of a block to the counts of its truth.  \param excess [draws][centres]
 * \param[in,out] m [centres] draws nearer than the truth  \param[in,out] ties draws exactly as far as the truth */
void counts_add(int64_t draws, int64_t centres, const double *excess, int64_t *m, int64_t *ties);

/** A table of counts.  \param m [truths][centres] */
typedef struct {
  int64_t truths, draws, centres;
  const int64_t *m;
} CountTable;

/* ------------------------------------------------------------------ summaries */

/** Few numbers of a map and its parameters: distances in all pixels hardly feel a parameter. */
typedef enum {
  SUMMARY_S8_OMEGA_M, /**< S8 = sigma_8 sqrt(Omega_m/0.3), and Omega_m */
  SUMMARY_SPECTRA, /**< band powers of all pairs of bins, in sr */
  SUMMARY_PEAKS, /**< numbers of local maxima of each bin by their height */
} SummaryKind;
typedef struct Summary Summary;
/** Use from one thread; create from one thread at a time (FFTW's planner). */
PetscErrorCode summary_create(SummaryKind kind, const SurveyConfig *survey, Summary **summary);
int64_t summary_dimension(const Summary *summary);
/** \param kappa [bins][ny][nx]  \param theta [parameters], those of a prior  \param[out] value [summary_dimension()] */
PetscErrorCode summary_of(Summary *summary, const float *kappa, const double *theta, float *value);
PetscErrorCode summary_destroy(Summary **summary);

/* ------------------------------------------------------------------ MIRA */

/** Score, its error by bootstrap over truths, its value if calibrated: (2S+1)/(3S). */
typedef struct {
  double score, error, expected;
} MiraScore;
/** Exact in the reference draw: the mean of (S+1)/(2S) + m (S-m)/S^2 (doc/calibration.md, section 3).
 * \param key of the bootstrap  \param bootstraps  below 2: the error is 0 */
PetscErrorCode mira_score(const CountTable *table, RandomKey key, PetscInt bootstraps, MiraScore *score);

/** Which truths a run of the published estimator goes through. */
typedef enum {
  RUN_EACH, /**< every truth once: a repeat */
  RUN_RESAMPLED, /**< as many truths, drawn with replacement: a bootstrap sample */
} MiraRun;
/** One run of the published estimator, with one centre and one reference draw for each truth.
 * \param centre  which centre of each truth  \param key of the references, and of the truths if resampled */
PetscErrorCode mira_score_published(const CountTable *table, MiraRun run, int64_t centre, RandomKey key, double *score);
/** Mean and standard deviation of the published estimator over \p runs runs, which take the centres in turn.
 * \param key  run r has index key.index + r  \param[out] moments {mean, standard deviation} */
PetscErrorCode mira_published(const CountTable *table, MiraRun run, RandomKey key, PetscInt runs, double moments[2]);

/* ------------------------------------------------------------------ TARP */

/** Expected coverage: the share of truths with m/S < alpha.  \param alpha [levels]  \param[out] ecp [levels]
 * \param[out] error [levels] by bootstrap over truths, may be NULL */
PetscErrorCode tarp_coverage(const CountTable *table, PetscInt levels, const double *alpha, RandomKey key,
                             PetscInt bootstraps, double *ecp, double *error);
/** max |ECP - alpha|.  \param alpha, ecp [levels] */
double tarp_deviation(PetscInt levels, const double *alpha, const double *ecp);

/* ------------------------------------------------------------------ SBC */

/** Rank of a truth among draws that lie \p stride apart: how many are smaller. */
int64_t sbc_rank(int64_t draws, const double *draw, int64_t stride, double truth);
typedef struct {
  double chi2, p_value;
} RankTest;
/** Are ranks uniform on 0 … draws?  \param rank [truths]  \param[out] histogram, expected [bins], may be NULL
 * Errors: NEPHRITE_ERR_CONFIG if there are fewer than two bins, or more than ranks. */
PetscErrorCode sbc_test(int64_t truths, int64_t draws, const int64_t *rank, PetscInt bins, double *histogram,
                        double *expected, RankTest *test);
/** The chance that the least of \p count independent p-values is as small as the least of these (Bonferroni's bound).
 * \param p_value [count] */
double sbc_least_p_value(PetscInt count, const double *p_value);

/* ------------------------------------------------------------------ -task coverage */

/** Draws for many held-out observations, then calibration.h5.  Collective on \p comm.
 * Errors: those of posterior_farm(); NEPHRITE_ERR_CONFIG with an observation whose truth is not known. */
PetscErrorCode coverage_run(MPI_Comm comm, const InferenceSetup *setup, const CalibrateConfig *calibrate);

#endif
