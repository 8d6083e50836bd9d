/** \file scalars.c  The parameters whose posteriors are judged one by one.  \ingroup calibration */
#include "calibration/internal.h"

#include <math.h>

/* Where these stand in theta, in every prior. */
enum { OMEGA_C, OMEGA_B, SIGMA_8 };

double omega_m_of(const double *theta)
{
  return theta[OMEGA_C] + theta[OMEGA_B];
}

double s8_of(const double *theta)
{
  return theta[SIGMA_8] * sqrt(fmax(omega_m_of(theta), 0) / 0.3);
}

/* Beyond the columns of theta. */
static const struct {
  const char *name;
  double (*value)(const double *theta);
} derived[DERIVED_SCALARS] = {{"Omega_m", omega_m_of}, {"S8", s8_of}};

static const char *column_name(const Prior *prior, PetscInt column)
{
  const PetscInt parameters = prior_count(prior);

  return column < parameters ? prior_name(prior, column) : derived[column - parameters].name;
}

static PetscErrorCode add_scalar(const Prior *prior, PetscInt column, Scalars *scalars)
{
  PetscFunctionBeginUser;
  scalars->column[scalars->count] = column;
  PetscCall(PetscStrlcat(scalars->names, scalars->count++ ? "," : "", sizeof scalars->names));
  PetscCall(PetscStrlcat(scalars->names, column_name(prior, column), sizeof scalars->names));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode scalars_of(const Prior *prior, Scalars *scalars)
{
  PetscInt p;

  PetscFunctionBeginUser;
  *scalars = (Scalars){.parameters = prior_count(prior)};
  for (p = 0; p < scalars->parameters; p++)
    if (!prior_is_fixed(prior, p)) PetscCall(add_scalar(prior, p, scalars));
  const PetscBool matter = !prior_is_fixed(prior, OMEGA_C) || !prior_is_fixed(prior, OMEGA_B);
  if (matter) PetscCall(add_scalar(prior, p, scalars));
  if (matter || !prior_is_fixed(prior, SIGMA_8)) PetscCall(add_scalar(prior, p + 1, scalars));
  PetscFunctionReturn(PETSC_SUCCESS);
}

const char *scalar_name(const Prior *prior, const Scalars *scalars, PetscInt scalar)
{
  return column_name(prior, scalars->column[scalar]);
}

PetscInt scalar_find(const Prior *prior, const Scalars *scalars, const char *name)
{
  PetscInt i = scalars->count;

  while (i-- > 0 && strcmp(scalar_name(prior, scalars, i), name) != 0) continue;
  return i;
}

PetscBool scalar_is_known(const Prior *prior, const char *name)
{
  for (PetscInt column = 0; column < prior_count(prior) + DERIVED_SCALARS; column++)
    if (!strcmp(column_name(prior, column), name)) return PETSC_TRUE;
  return PETSC_FALSE;
}

double scalar_value(const Scalars *scalars, PetscInt scalar, const double *theta)
{
  const PetscInt column = scalars->column[scalar];

  return column < scalars->parameters ? theta[column] : derived[column - scalars->parameters].value(theta);
}
