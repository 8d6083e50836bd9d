/** \file internal.h  What the parts of cosmology share.  \ingroup cosmology */
#ifndef NEPHRITE_COSMOLOGY_INTERNAL_H
#define NEPHRITE_COSMOLOGY_INTERNAL_H

#include "nephrite/cosmology.h"

#include <math.h>

/** A function tabulated at equal steps of its argument with its slope there: cubic Hermite between. */
typedef struct {
  double first, step;
  PetscInt cells;
  double *value, *slope; /* [cells + 1] */
} HermiteTable;

static inline double hermite_value(const HermiteTable *table, double x)
{
  const double position = (x - table->first) / table->step;
  const PetscInt cell = PetscMin(PetscMax((PetscInt)position, 0), table->cells - 1);
  const double t = position - (double)cell, s = 1 - t;
  const double *f = table->value + cell, *d = table->slope + cell;

  return s * s * ((1 + 2 * t) * f[0] + t * table->step * d[0]) + t * t * ((1 + 2 * s) * f[1] - s * table->step * d[1]);
}

static inline PetscErrorCode hermite_allocate(double first, double last, PetscInt cells, HermiteTable *table)
{
  PetscFunctionBeginUser;
  table->first = first;
  table->step = (last - first) / cells;
  table->cells = cells;
  PetscCall(PetscMalloc2(cells + 1, &table->value, cells + 1, &table->slope));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static inline PetscErrorCode hermite_free(HermiteTable *table)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree2(table->value, table->slope));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/** Cells of a table over ln(1+z): cubic Hermite at this step is good to 1e-9. */
static inline PetscInt redshift_cells(double z_max)
{
  return 1 + (PetscInt)(log1p(z_max) / 0.016);
}

/** Errors as background_create(). */
PetscErrorCode check_redshift_range(double z_max);

/** Matter and dark energy in units of today's critical density. */
typedef struct {
  double matter, dark_energy;
} Density;
Density cosmology_density(const Cosmology *cosmology, double ln_a);

/** The scales and amplitudes of Eisenstein & Hu 1998 for one cosmology. */
typedef struct {
  double h; /* k here is in h/Mpc */
  double baryon_fraction;
  double k_equality, k_silk; /* 1/Mpc */
  double sound_horizon; /* Mpc */
  double alpha_c, beta_c, alpha_b, beta_b, beta_node;
} TransferFunction;
void transfer_function_prepare(const Cosmology *cosmology, TransferFunction *transfer);
/** T(k), 1 for k -> 0; may be negative where baryons dominate. */
double transfer_function(const TransferFunction *transfer, double k);
/** Amplitude of P = amplitude k^n_s T^2, with sigma_8 in 8 Mpc/h top-hats.
 * \param power [POWER_POINTS] on the grid, of any normalisation  \param n_s slope below the grid */
double power_sigma_8(const double *power, double n_s);

/** Variance of the linear density under Gaussian filters and its slopes, today, on a grid of radii. */
enum { RADII_STRIDE = 4, RADII = 150 }; /* a radius for every fourth wavenumber, 1e-4 to 160 Mpc/h */
typedef struct {
  double ln_variance[RADII], slope[RADII], curvature[RADII]; /* ln sigma^2, d/dlnR and d^2/dlnR^2 of it */
} FilteredVariance;
void filtered_variance(const double *power, FilteredVariance *variance);

/** Coefficients of halofit at one redshift. */
typedef struct {
  PetscBool nonlinear; /* is there a nonlinear scale?  Without one the rest is not set */
  double k_nonlinear; /* h/Mpc */
  double a, b, c_f3, gamma, alpha, beta, nu, f1, f2;
} Halofit;
/** \param growth D(z)/D(0)  \param Omega_m  at that redshift  \param w_0  of dark energy */
Halofit halofit_prepare(const FilteredVariance *variance, double growth, double Omega_m, double w_0);
/** k^3 P/(2 pi^2) from the linear one. */
double halofit_dimensionless(const Halofit *halofit, double k, double linear);
/** \param linear_today [POWER_POINTS]  \param[out] nonlinear [POWER_POINTS] */
void halofit_row(const Halofit *halofit, double growth, const double *linear_today, double *nonlinear);

#endif
