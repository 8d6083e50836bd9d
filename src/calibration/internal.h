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
enum { COMPARISONS = 10 };
const char *comparison_name(int comparison); /**< "joint/raw" */

double omega_m_of(const double *theta);
double s8_of(const double *theta); /**< sigma_8 sqrt(Omega_m/0.3) */

enum { DERIVED_SCALARS = 2, MOST_SCALARS = NEPHRITE_MAX_PARAMETERS + DERIVED_SCALARS };
/** Scalars that are judged one by one: parameters that are not fixed, Omega_m, and S8 = sigma_8 sqrt(Omega_m/0.3). */
typedef struct {
  PetscInt count, parameters;
  PetscInt column[MOST_SCALARS]; /**< in theta; \p parameters and beyond: derived ones */
  char names[OPTION_TEXT_SIZE]; /**< with commas between */
} Scalars;
PetscErrorCode scalars_of(const Prior *prior, Scalars *scalars);
const char *scalar_name(const Prior *prior, const Scalars *scalars, PetscInt scalar);
double scalar_value(const Scalars *scalars, PetscInt scalar, const double *theta);
PetscInt scalar_find(const Prior *prior, const Scalars *scalars, const char *name); /**< -1: there is none, or fixed */
PetscBool scalar_is_known(const Prior *prior, const char *name); /**< fixed or not */

/** What the coverage files of all observations say. */
typedef struct {
  const InferenceSetup *setup;
  const CalibrateConfig *calibrate;
  int64_t truths, draws, centres, ties;
  PetscInt bins;
  Scalars scalars;
  int64_t *count[COMPARISONS]; /* [truths][centres] */
  int64_t *rank; /* [scalars][truths] */
  double *mean, *width; /* [truths][scalars] of the posterior: means and standard deviations */
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

enum { MOST_AXES = 4 };
/** Cells with equal numbers of truths, by where the posterior lies: along the first of some scalars, along the second
 * in each of these, and so on.
 *
 * Where it lies is the mean of draws and truth together. Among truths with the same data that is a symmetric function
 * of what calibration says is exchangeable, so a calibrated posterior is calibrated in every cell.  It is not, where
 * cells are of truths alone: those with a large parameter lie above most of their draws, and should. */
typedef struct {
  PetscInt axes, along; /**< cells along each axis */
  PetscInt count; /**< along^axes; 0: too few truths, or nothing to divide by */
  PetscInt scalar[MOST_AXES];
  PetscInt *cell; /* [truths] */
  int64_t *truths; /* [count] in each cell */
  double *low, *high; /* [count][axes] of where posteriors lie */
} PosteriorGrid;
/** Errors: NEPHRITE_ERR_CONFIG: calibrate_grid names what is no parameter, one twice, or too many. */
PetscErrorCode grid_check(const Prior *prior, const CalibrateConfig *calibrate);
PetscErrorCode grid_create(const Results *results, PosteriorGrid *grid);
PetscErrorCode grid_destroy(PosteriorGrid *grid);

/** A number of every truth, in cells: its mean, what that would be by the scatter of all truths, and whether the cells
 * are as they should be together. */
typedef struct {
  double *mean, *error, *deviation; /* [cells] deviation from what is expected, in errors */
  double chi2, p_value; /**< of all cells: the chance of a larger sum of squares of deviations */
  double least_p_value; /**< of the most deviant cell, times their number, at most 1 */
} CellMeans;
/** \param value [truths]  \param expected of every truth  \param[out] means  whose arrays the caller has */
void cell_means(const PosteriorGrid *grid, int64_t truths, const double *value, double expected, CellMeans *means);
/** Cells, what MIRA and the residuals of all scalars say in each, to calibration.h5; nothing without cells. */
PetscErrorCode cells_write(const Results *results, const PosteriorGrid *grid, ProductWriter *writer);

/** MIRA of one truth, the mean over its centres. */
double mira_of_truth(const CountTable *table, int64_t truth);
double mira_expected(int64_t draws); /**< its expectation, if calibrated */

/** Declare and write.  \param shape ends with 0: {0, 0} is a scalar */
PetscErrorCode calibration_put(ProductWriter *writer, const char *name, hid_t type, const hsize_t shape[2],
                               const char *description, const void *values);
/** Numbers of a comparison, in its group.  \param count  0 for one by itself */
PetscErrorCode calibration_put_in(ProductWriter *writer, int comparison, const char *name, PetscInt count,
                                  const char *description, const double *values);
/** Scores, coverage, ranks and widths to calibration.h5, and in short to standard output.  Not collective. */
PetscErrorCode calibration_write(const Results *results, const char *path);
enum { CALIBRATION_FORMAT = 2 };

#endif
