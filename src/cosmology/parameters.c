/** \file parameters.c  Which universes are admitted.  \ingroup cosmology */
#include "internal.h"

/* Wide limits, to keep fitting formulae from overflowing; priors are narrower. */
static const struct {
  const char *name;
  size_t offset;
  double low, high;
} limits[] = {
    {"Omega_c", offsetof(Cosmology, Omega_c), 0, 1},    {"Omega_b", offsetof(Cosmology, Omega_b), 1e-4, 1},
    {"sigma_8", offsetof(Cosmology, sigma_8), 1e-3, 5}, {"h", offsetof(Cosmology, h), 0.1, 3},
    {"n_s", offsetof(Cosmology, n_s), -0.5, 3},         {"w_0", offsetof(Cosmology, w_0), -5, -0.01},
    {"w_a", offsetof(Cosmology, w_a), -10, 5},
};

static double member(const Cosmology *cosmology, size_t offset)
{
  return *(const double *)((const char *)cosmology + offset);
}

/* The index of the first parameter out of its limits (NaN is out of any); their number if there is none. */
static size_t first_outside(const Cosmology *cosmology)
{
  size_t i = 0;

  for (; i < PETSC_STATIC_ARRAY_LENGTH(limits); i++) {
    const double value = member(cosmology, limits[i].offset);

    if (!(value >= limits[i].low && value <= limits[i].high)) break;
  }
  return i;
}

static PetscBool matter_fits(const Cosmology *cosmology)
{
  return cosmology->Omega_c + cosmology->Omega_b <= 1 ? PETSC_TRUE : PETSC_FALSE;
}

/* Growth begins in matter domination: dark energy must fade towards the past. */
static PetscBool matter_once_dominated(const Cosmology *cosmology)
{
  return cosmology->w_0 + cosmology->w_a <= -0.01 ? PETSC_TRUE : PETSC_FALSE;
}

PetscBool cosmology_is_physical(const Cosmology *cosmology)
{
  return first_outside(cosmology) == PETSC_STATIC_ARRAY_LENGTH(limits) && matter_fits(cosmology) &&
                 matter_once_dominated(cosmology)
             ? PETSC_TRUE
             : PETSC_FALSE;
}

PetscErrorCode cosmology_check(const Cosmology *cosmology)
{
  const size_t outside = first_outside(cosmology);

  PetscFunctionBeginUser;
  if (outside < PETSC_STATIC_ARRAY_LENGTH(limits))
    SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s is %.6g; it must lie in [%.6g, %.6g]", limits[outside].name,
            member(cosmology, limits[outside].offset), limits[outside].low, limits[outside].high);
  PetscCheck(matter_fits(cosmology), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "Omega_m = Omega_c + Omega_b is %.6g; a flat universe has at most 1",
             cosmology->Omega_c + cosmology->Omega_b);
  PetscCheck(matter_once_dominated(cosmology), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "w_0 + w_a is %.6g; it must be at most -0.01, so that matter once dominated",
             cosmology->w_0 + cosmology->w_a);
  PetscFunctionReturn(PETSC_SUCCESS);
}

double cosmology_w(const Cosmology *cosmology, double z)
{
  return cosmology->w_0 + cosmology->w_a * z / (1 + z);
}

PetscErrorCode check_redshift_range(double z_max)
{
  PetscFunctionBeginUser;
  PetscCheck(z_max > 0 && z_max <= NEPHRITE_Z_LIMIT, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "redshifts up to %.6g are asked for; the end must lie in (0, %.6g]", z_max, NEPHRITE_Z_LIMIT);
  PetscFunctionReturn(PETSC_SUCCESS);
}
