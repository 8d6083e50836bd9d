/** \file matter_power.c  Matter power of one cosmology: linear today, filtered variance, halofit at any redshift.
 * \ingroup cosmology */
#include "internal.h"

struct MatterPower {
  Cosmology cosmology;
  const Growth *growth; /* borrowed */
  TransferFunction transfer;
  double amplitude; /* P = amplitude k^n_s T^2 D^2 */
  double today[POWER_POINTS];
  FilteredVariance variance;
};

static double shape(const MatterPower *power, double k)
{
  const double T = transfer_function(&power->transfer, k);

  return pow(k, power->cosmology.n_s) * T * T;
}

PetscErrorCode matter_power_create(const Cosmology *cosmology, const Growth *growth, MatterPower **power)
{
  MatterPower *p = NULL;

  PetscFunctionBeginUser;
  PetscCall(cosmology_check(cosmology));
  PetscCall(PetscNew(&p));
  *power = p; /* handed over at once: matter_power_destroy() frees it whatever fails below */
  p->cosmology = *cosmology;
  p->growth = growth;
  transfer_function_prepare(cosmology, &p->transfer);
  for (int i = 0; i < POWER_POINTS; i++) p->today[i] = shape(p, exp(POWER_LN_K_MIN + i * POWER_LN_K_STEP));

  const double unnormalised = power_sigma_8(p->today, cosmology->n_s);
  p->amplitude = cosmology->sigma_8 / unnormalised * (cosmology->sigma_8 / unnormalised);
  for (int i = 0; i < POWER_POINTS; i++) p->today[i] *= p->amplitude;
  filtered_variance(p->today, &p->variance);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static Halofit halofit_at(const MatterPower *power, double z)
{
  const Density density = cosmology_density(&power->cosmology, -log1p(z));

  return halofit_prepare(&power->variance, growth_factor(power->growth, z),
                         density.matter / (density.matter + density.dark_energy), power->cosmology.w_0);
}

double matter_power_linear(const MatterPower *power, double k, double z)
{
  const double D = growth_factor(power->growth, z);

  return power->amplitude * D * D * shape(power, k);
}

double matter_power_nonlinear(const MatterPower *power, double k, double z)
{
  const Halofit halofit = halofit_at(power, z);
  const double volume = k * k * k / (2 * M_PI * M_PI);

  return halofit_dimensionless(&halofit, k, volume * matter_power_linear(power, k, z)) / volume;
}

PetscBool matter_power_has_nonlinear_scale(const MatterPower *power, double z)
{
  return halofit_at(power, z).nonlinear;
}

const double *matter_power_linear_today(const MatterPower *power)
{
  return power->today;
}

PetscBool matter_power_nonlinear_row(const MatterPower *power, double z, double *nonlinear)
{
  const Halofit halofit = halofit_at(power, z);

  halofit_row(&halofit, growth_factor(power->growth, z), power->today, nonlinear);
  return halofit.nonlinear;
}

double matter_power_sigma_8(const MatterPower *power)
{
  return power_sigma_8(power->today, power->cosmology.n_s);
}

PetscErrorCode matter_power_destroy(MatterPower **power)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(*power));
  PetscFunctionReturn(PETSC_SUCCESS);
}
