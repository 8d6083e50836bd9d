/** \file calibration_measures.h  What nephrite-calibration measures: how small an error each test of calibration sees,
 * and how fast truths are compared with draws.  \ingroup programs */
#ifndef NEPHRITE_PROGRAMS_CALIBRATION_MEASURES_H
#define NEPHRITE_PROGRAMS_CALIBRATION_MEASURES_H

#include "nephrite/calibration.h"

typedef enum { MEASURE_POWER, MEASURE_SPEED } MeasureTask;

/** The options of nephrite-calibration. */
typedef struct {
  int task; /**< MeasureTask */
  int metric; /**< MetricKind */
  int64_t seed;
  PetscInt truths, draws, dimension, centres;
  PetscInt experiments, nulls; /**< power: for each distortion; undistorted, besides */
  PetscInt bins, bootstraps, levels; /**< power: as in the `calibrate` section */
  double noise; /**< power: of the datum, where the prior's width is 1 */
  double significance; /**< power: of the tests, two-sided */
  char biases[OPTION_TEXT_SIZE], widths[OPTION_TEXT_SIZE]; /**< power: numbers with commas between */
  int64_t buffer; /**< speed: bytes read to learn the memory's speed */
} MeasureConfig;

/** Gaussian posteriors that are known exactly, distorted on purpose: the share of experiments in which each test
 * rejects them.  The table does not depend on the number of ranks.  Collective on \p comm. Errors: NEPHRITE_ERR_CONFIG:
 * a list of distortions is none, or there are too few undistorted experiments or too few draws;
 * NEPHRITE_ERR_INTERRUPTED. */
PetscErrorCode measure_power(MPI_Comm comm, const MeasureConfig *config);
/** Time and memory of the counts of truths and draws that are there at once, beside a pass of reading as much.
 * Collective on \p comm. */
PetscErrorCode measure_speed(MPI_Comm comm, const MeasureConfig *config);

#endif
