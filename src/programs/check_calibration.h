/** \file check_calibration.h  What the comparisons of MIRA, SBC and TARP share.  \ingroup programs */
#ifndef NEPHRITE_PROGRAMS_CHECK_CALIBRATION_H
#define NEPHRITE_PROGRAMS_CHECK_CALIBRATION_H

#include "check.h"
#include "nephrite/calibration.h"

/** One group of the file: truths, draws, and what the packages made of them. */
typedef struct {
  ProductReader *file; /* borrowed */
  CheckReport *report; /* borrowed */
  char name[128];
  int64_t truths, draws, dimension;
  int64_t runs, bootstraps, tarp_runs; /**< of the packages */
  float *truth, *centre; /* [truths][dimension] */
  float *draw; /* [draws][dimension] of one truth */
  double *excess; /* [draws][runs] */
  int64_t *fixed; /* [truths] counts with the file's centres */
  int64_t *raw, *minmax; /* [truths][runs] with our random ones */
  int64_t *rank; /* [dimension][truths] */
} CalibrationCase;

/** Means of at most thousands of float64 numbers. */
#define CHECK_EXACT_TOLERANCE 1e-12

/** "<case>/<dataset>"  \param[out] path [256]  \returns path */
const char *calibration_case_path(const CalibrationCase *c, const char *dataset, char path[256]);
/** A whole dataset of \p count numbers.  \param type in memory  Errors: NEPHRITE_ERR_INPUT: missing, or of another
 * size. */
PetscErrorCode calibration_case_read(const CalibrationCase *c, const char *dataset, hid_t type, int64_t count,
                                     void *values);
PetscErrorCode calibration_case_report(const CalibrationCase *c, const char *quantity, const CheckWorst *worst,
                                       double tolerance);

/** Keep the largest errors of {mean, standard deviation} over runs, ours against theirs: of the mean in its standard
 * errors, of the standard deviation relative.  \param what  for the place, may be "" */
void calibration_compare_moments(const double ours[2], double our_runs, const double theirs[2], double their_runs,
                                 CheckWorst worst[2], const char *what);
PetscErrorCode calibration_report_moments(const CalibrationCase *c, const char *quantity, const CheckWorst worst[2]);

/** {mean, standard deviation} of values one after another; begin with {0, 0}. */
void calibration_add_value(double value, int64_t index, double moments[2]);
void calibration_finish_moments(int64_t count, double moments[2]);

/** One random centre for each truth.  \param[out] m [truths] */
void calibration_take_run(const CalibrationCase *c, int64_t run, int64_t *m);

/** Coverage with the file's centres, and its curve over random ones. */
PetscErrorCode check_calibration_tarp(CalibrationCase *c);

#endif
