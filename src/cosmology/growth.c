/** \file growth.c  First- and second-order growth of matter fluctuations.  \ingroup cosmology */
#include "internal.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_odeiv2.h>

#define FIRST_A 1e-3 /* deep in matter domination */
#define TOLERANCE 1e-9 /* relative, of each ODE step */

struct Growth {
  HermiteTable first, second; /* D and D2 against ln a, as integrated: D = a at FIRST_A */
  double today; /* D(a = 1) */
};

enum { D, D_SLOPE, D2, D2_SLOPE, EQUATIONS };

/* D'' + (2 + E'/E) D' = 3/2 Omega_m(a) D and D2'' + (2 + E'/E) D2' = 3/2 Omega_m(a) (D2 - D^2), primes d/dln a
 * (Bouchet et al. 1995); E'/E = -3/2 (Omega_m(a) + (1 + w) Omega_DE(a)). */
static int growth_equations(double ln_a, const double y[], double slope[], void *context)
{
  const Cosmology *cosmology = context;
  const Density density = cosmology_density(cosmology, ln_a);
  const double Omega_m = density.matter / (density.matter + density.dark_energy);
  const double w = cosmology->w_0 - cosmology->w_a * expm1(ln_a);
  const double friction = 2 - 1.5 * (1 + w * (1 - Omega_m));

  slope[D] = y[D_SLOPE];
  slope[D_SLOPE] = 1.5 * Omega_m * y[D] - friction * y[D_SLOPE];
  slope[D2] = y[D2_SLOPE];
  slope[D2_SLOPE] = 1.5 * Omega_m * (y[D2] - y[D] * y[D]) - friction * y[D2_SLOPE];
  return GSL_SUCCESS;
}

static PetscErrorCode integrate_to(gsl_odeiv2_driver *driver, Growth *growth)
{
  double ln_a = log(FIRST_A);
  double y[EQUATIONS] = {FIRST_A, FIRST_A, -3. / 7 * FIRST_A * FIRST_A, -6. / 7 * FIRST_A * FIRST_A};

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i <= growth->first.cells; i++) {
    /* the last point is a = 1 exactly */
    const double target = i < growth->first.cells ? growth->first.first + (double)i * growth->first.step : 0;

    NEPHRITE_GSL(gsl_odeiv2_driver_apply(driver, &ln_a, target, y), "growth of structure");
    growth->first.value[i] = y[D];
    growth->first.slope[i] = y[D_SLOPE];
    growth->second.value[i] = y[D2];
    growth->second.slope[i] = y[D2_SLOPE];
  }
  growth->today = y[D];
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode growth_create(const Cosmology *cosmology, double z_max, Growth **growth)
{
  Growth *g = NULL;
  Cosmology copy = *cosmology; /* GSL's context is not const */
  gsl_odeiv2_system system = {growth_equations, NULL, EQUATIONS, &copy};
  gsl_odeiv2_driver *driver = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(cosmology_check(cosmology));
  PetscCall(check_redshift_range(z_max));
  PetscCall(PetscNew(&g));
  *growth = g; /* handed over at once: growth_destroy() frees it whatever fails below */
  PetscCall(hermite_allocate(-log1p(z_max), 0, redshift_cells(z_max), &g->first));
  PetscCall(hermite_allocate(-log1p(z_max), 0, redshift_cells(z_max), &g->second));
  driver = gsl_odeiv2_driver_alloc_y_new(&system, gsl_odeiv2_step_rk8pd, 0.1, 0, TOLERANCE);
  PetscCheck(driver, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "no memory for the growth equations");
  error = integrate_to(driver, g);
  gsl_odeiv2_driver_free(driver);
  PetscCall(error);
  PetscFunctionReturn(PETSC_SUCCESS);
}

double growth_factor(const Growth *growth, double z)
{
  return hermite_value(&growth->first, -log1p(z)) / growth->today;
}

double growth_epsilon(const Growth *growth, double z)
{
  const double ln_a = -log1p(z), first = hermite_value(&growth->first, ln_a);

  return -hermite_value(&growth->second, ln_a) / (first * first);
}

PetscErrorCode growth_destroy(Growth **growth)
{
  PetscFunctionBeginUser;
  if (*growth) {
    PetscCall(hermite_free(&(*growth)->first));
    PetscCall(hermite_free(&(*growth)->second));
    PetscCall(PetscFree(*growth));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
