/** \file check_field.h  What the two comparisons of maps share.  \ingroup programs */
#ifndef NEPHRITE_PROGRAMS_CHECK_FIELD_H
#define NEPHRITE_PROGRAMS_CHECK_FIELD_H

#include "check.h"
#include "nephrite/field.h"

/** A whole dataset as double.
 * \param rank, shape  what it must have  \param[out] values  free with PetscFree(), also after a failure
 * Errors: NEPHRITE_ERR_INPUT: missing, or another shape. */
PetscErrorCode check_field_read(ProductReader *file, const char *name, int rank, const hsize_t *shape, double **values);

/** The spectra and shifts in \p group ("" for the root, else ending in '/'): ell, C_ell, shift, and the root's pairs.
 * A multipole of 0, where a logarithmic table has no value, is left out. */
PetscErrorCode check_field_read_spectra(ProductReader *file, const char *group, LensingSpectra **spectra);

/** Maps of this build against the moments and densities of many maps of another code: every group cosmology_0, … */
PetscErrorCode check_field_statistics(ProductReader *file, CheckReport *report);

#endif
