/** \file check_theory.h  What the comparisons of cosmology and shifts share.  \ingroup programs */
#ifndef NEPHRITE_PROGRAMS_CHECK_THEORY_H
#define NEPHRITE_PROGRAMS_CHECK_THEORY_H

#include "check.h"
#include "nephrite/lensing.h"

/** One axis of a file, or all of a dataset's values. */
typedef struct {
  PetscInt count;
  double *values; /**< [count] */
} CheckValues;

/** A whole dataset as double.  \param rank, shape  what it must have; a 0 in \p shape is filled in
 * \param[out] values  give back with check_values_destroy(), also after a failure
 * Errors: NEPHRITE_ERR_INPUT: missing, or another shape. */
PetscErrorCode check_values_read(ProductReader *file, const char *name, int rank, hsize_t *shape, CheckValues *values);
PetscErrorCode check_values_destroy(CheckValues *values);

/** Models by rows: "theta" with its attribute "parameters", names in any order. */
typedef struct {
  PetscInt models, columns;
  char *names;
  CheckValues values; /**< [models][columns] */
} CheckModels;
/** \param name "theta" or "<group>/theta" */
PetscErrorCode check_models_read(ProductReader *file, const char *name, CheckModels *models);
PetscErrorCode check_models_destroy(CheckModels *models);
/** Is there a column of this name? */
PetscBool check_models_have(const CheckModels *models, const char *parameter);
/** Put one row's parameters where they belong; others keep their values.  Omega_m is taken as Omega_c + Omega_b with
 * \p cosmology->Omega_b as it then is.  Errors: NEPHRITE_ERR_INPUT for a name that nephrite does not know. */
PetscErrorCode check_models_row(const CheckModels *models, PetscInt row, Cosmology *cosmology,
                                Systematics *systematics);

#endif
