/** \file background.c  Expansion and comoving distance of flat wCDM / CPL.  \ingroup cosmology */
#include "internal.h"

struct Background {
  Cosmology cosmology;
  HermiteTable distance; /* Mpc/h against ln(1+z) */
};

/* E^2(a) = Omega_m a^-3 + Omega_DE a^(-3(1+w0+wa)) exp(-3 wa (1-a)); Linder 2003. */
Density cosmology_density(const Cosmology *cosmology, double ln_a)
{
  const double Omega_m = cosmology->Omega_c + cosmology->Omega_b;
  double exponent = -3 * (1 + cosmology->w_0 + cosmology->w_a) * ln_a;

  if (cosmology->w_a != 0) exponent += 3 * cosmology->w_a * expm1(ln_a);
  return (Density){.matter = Omega_m * exp(-3 * ln_a), .dark_energy = (1 - Omega_m) * exp(exponent)};
}

static double expansion(const Cosmology *cosmology, double ln_a)
{
  const Density density = cosmology_density(cosmology, ln_a);

  return sqrt(density.matter + density.dark_energy);
}

/* dchi/dln(1+z) */
static double distance_slope(const Cosmology *cosmology, double ln_1z)
{
  return NEPHRITE_HUBBLE_DISTANCE * exp(ln_1z) / expansion(cosmology, -ln_1z);
}

/* Five-point Gauss-Legendre on [-1, 1]: 1e-15 on a cell of the table. */
enum { GAUSS_POINTS = 5 };
static const double gauss_x[GAUSS_POINTS] = {-0.906179845938664, -0.5384693101056831, 0, 0.5384693101056831,
                                             0.906179845938664};
static const double gauss_w[GAUSS_POINTS] = {0.2369268850561891, 0.4786286704993665, 0.5688888888888889,
                                             0.4786286704993665, 0.2369268850561891};

static void integrate_distance(const Cosmology *cosmology, HermiteTable *table)
{
  table->value[0] = 0;
  table->slope[0] = distance_slope(cosmology, 0);
  for (PetscInt cell = 0; cell < table->cells; cell++) {
    const double left = (double)cell * table->step, half = table->step / 2;
    double sum = 0;

    for (int g = 0; g < GAUSS_POINTS; g++)
      sum += gauss_w[g] * distance_slope(cosmology, left + half * (1 + gauss_x[g]));
    table->value[cell + 1] = table->value[cell] + half * sum;
    table->slope[cell + 1] = distance_slope(cosmology, left + table->step);
  }
}

PetscErrorCode background_create(const Cosmology *cosmology, double z_max, Background **background)
{
  Background *b = NULL;

  PetscFunctionBeginUser;
  PetscCall(cosmology_check(cosmology));
  PetscCall(check_redshift_range(z_max));
  PetscCall(PetscNew(&b));
  *background = b; /* handed over at once: background_destroy() frees it whatever fails below */
  b->cosmology = *cosmology;
  PetscCall(hermite_allocate(0, log1p(z_max), redshift_cells(z_max), &b->distance));
  integrate_distance(cosmology, &b->distance);
  PetscFunctionReturn(PETSC_SUCCESS);
}

double background_comoving_distance(const Background *background, double z)
{
  return hermite_value(&background->distance, log1p(z));
}

double background_expansion(const Background *background, double z)
{
  return expansion(&background->cosmology, -log1p(z));
}

double background_Omega_m(const Background *background, double z)
{
  const Density density = cosmology_density(&background->cosmology, -log1p(z));

  return density.matter / (density.matter + density.dark_energy);
}

double background_Omega_de(const Background *background, double z)
{
  const Density density = cosmology_density(&background->cosmology, -log1p(z));

  return density.dark_energy / (density.matter + density.dark_energy);
}

PetscErrorCode background_destroy(Background **background)
{
  PetscFunctionBeginUser;
  if (*background) {
    PetscCall(hermite_free(&(*background)->distance));
    PetscCall(PetscFree(*background));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
