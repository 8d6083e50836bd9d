/** \file internal.h  What the parts of calibration share.  \ingroup calibration */
#ifndef NEPHRITE_CALIBRATION_INTERNAL_H
#define NEPHRITE_CALIBRATION_INTERNAL_H

#include "nephrite/calibration.h"

/** A truth drawn with replacement.  \param position of the random number \returns 0 … truths-1 */
int64_t resampled_truth(RandomKey key, uint64_t position, int64_t truths);
/** Standard deviation of the mean of \p value over bootstrap samples; 0 for less than two of them.
 * \param value [count] */
double bootstrap_error(int64_t count, const double *value, RandomKey key, PetscInt bootstraps);

/** The spaces and metrics in which truths are compared with draws: groups of calibration.h5. */
enum { COMPARISONS = 7 };
const char *comparison_name(int comparison); /**< "joint/raw" */

/** Scalars whose ranks are tested: parameters that are not fixed, and S8 = sigma_8 sqrt(Omega_m/0.3). */
typedef struct {
  PetscInt count, parameters;
  PetscInt column[NEPHRITE_MAX_PARAMETERS + 1]; /**< in theta; \p parameters stands for S8 */
  char names[OPTION_TEXT_SIZE]; /**< with commas between */
} Scalars;
PetscErrorCode scalars_of(const Prior *prior, Scalars *scalars);
const char *scalar_name(const Prior *prior, const Scalars *scalars, PetscInt scalar);
double scalar_value(const Scalars *scalars, PetscInt scalar, const double *theta);

/** What the coverage files of all observations say. */
typedef struct {
  const InferenceSetup *setup;
  const CalibrateConfig *calibrate;
  int64_t truths, draws, centres, ties;
  PetscInt bins;
  Scalars scalars;
  int64_t *count[COMPARISONS]; /* [truths][centres] */
  int64_t *rank; /* [scalars][truths] */
  double *width; /* [truths][scalars] posterior standard deviations */
  double *truth; /* [truths][scalars] */
  double *mean_correlation, *wiener_correlation; /* [truths][bins] with the true map */
  PetscBool has_wiener;
  int64_t digest; /**< of all files together */
} Results;
/** Digest alone, which says whether calibration.h5 is up to date. */
PetscErrorCode results_digest(const InferenceSetup *setup, int64_t *digest);
/** Errors: NEPHRITE_ERR_INPUT: a file is damaged, or has another number of centres. */
PetscErrorCode results_read(const InferenceSetup *setup, const CalibrateConfig *calibrate, Results *results);
PetscErrorCode results_destroy(Results *results);
double standard_deviation(int64_t count, const double *value, int64_t stride);

enum { MOST_CELLS = 10 }; /**< along an axis */
/** Cells of the prior with equal numbers of truths along each of two parameters. */
typedef struct {
  PetscInt cells; /**< along each; 0: too few truths, or one of the parameters is fixed */
  PetscInt scalar[2]; /**< Omega_c, sigma_8 */
  double edge[2][MOST_CELLS + 1]; /**< [axis][cells + 1] */
} PriorGrid;
PetscErrorCode grid_place(const Results *results, PriorGrid *grid);
/** MIRA of the truths of each cell: [Omega_c][sigma_8]; no number where there are none. */
typedef struct {
  double score[MOST_CELLS * MOST_CELLS], error[MOST_CELLS * MOST_CELLS];
  int64_t truths[MOST_CELLS * MOST_CELLS];
} GridScores;
PetscErrorCode grid_score(const Results *results, const PriorGrid *grid, const CountTable *table, RandomKey key,
                          GridScores *scores);

/** Scores, coverage, ranks and widths to calibration.h5, and in short to standard output.  Not collective. */
PetscErrorCode calibration_write(const Results *results, const char *path);
enum { CALIBRATION_FORMAT = 1 };

#endif
