/** \file check.h
 * Comparisons of this build with a file of numbers from independent codes: one function per kind of file, all reporting
 * in the same way.  \ingroup programs
 */
#ifndef NEPHRITE_PROGRAMS_CHECK_H
#define NEPHRITE_PROGRAMS_CHECK_H

#include "nephrite/support.h"

/** The lines of a comparison: each quantity's worst error, where it is, its tolerance and the verdict. */
typedef struct CheckReport CheckReport;

/** What a line of the report decides. */
typedef enum {
  CHECK_DECIDES, /**< the quantity fails if its worst error is above its tolerance, or is no number */
  CHECK_INFORMS, /**< shown, never fails */
} CheckVerdict;

/** \param tolerance  replaces the tolerance of every deciding line; negative: none given  \param out  where lines go */
PetscErrorCode check_report_create(double tolerance, FILE *out, CheckReport **report);
/** Add one line.
 * \param quantity  "comoving_distance"  \param worst  the largest error found, relative or absolute as the kind's
 * documentation says  \param where  of it: "cosmology 12, z = 0.5"  \param tolerance  unless the user gave one */
PetscErrorCode check_report_add(CheckReport *report, const char *quantity, double worst, const char *where,
                                double tolerance, CheckVerdict verdict);
/** Quantities added that decide, and how many of them failed; either may be NULL. */
PetscErrorCode check_report_count(const CheckReport *report, int *decided, int *failed);
PetscErrorCode check_report_destroy(CheckReport **report);

/** The worst error of one quantity while it is gone through; begin with {0}. */
typedef struct {
  double error;
  char where[128];
} CheckWorst;
/** Keep \p error and its place if it is the largest so far; what is no number is larger than every number.
 * \param format  of printf(), for the place */
void check_worst(CheckWorst *worst, double error, const char *format, ...);

/* The kinds.  Each reads what it needs of a file of its layout (any file of that layout, not only the one shipped) and
 * adds a line per quantity.  Errors: NEPHRITE_ERR_INPUT if the file lacks something. */
PetscErrorCode check_cosmology(ProductReader *file, CheckReport *report);
PetscErrorCode check_shift(ProductReader *file, CheckReport *report);
PetscErrorCode check_field(ProductReader *file, CheckReport *report);
PetscErrorCode check_network(ProductReader *file, CheckReport *report);
PetscErrorCode check_calibration(ProductReader *file, CheckReport *report);

#endif
