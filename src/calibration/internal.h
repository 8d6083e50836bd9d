/** \file internal.h  What the parts of calibration share.  \ingroup calibration */
#ifndef NEPHRITE_CALIBRATION_INTERNAL_H
#define NEPHRITE_CALIBRATION_INTERNAL_H

#include "nephrite/calibration.h"

typedef enum { SPACE_THETA, SPACE_KAPPA, SPACE_JOINT, SPACES } CalibrationSpace;
enum { METRICS = 2, TARP_LEVELS = 21, CALIBRATION_FORMAT = 1 };

/** "theta/raw", "joint/standardised": names of the groups in posterior files and in calibration.h5. */
const char *space_name(CalibrationSpace space);
const char *metric_name(int metric);

/** Counts of every observation in coverage/, and what else becomes calibration.h5.  Not collective. */
PetscErrorCode calibration_write(const InferenceSetup *setup, const char *path);

#endif
