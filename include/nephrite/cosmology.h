/** \file cosmology.h
 * Flat wCDM / CPL background, growth and matter power.  Distances in Mpc/h, k in h/Mpc, P in (Mpc/h)^3.
 * \defgroup cosmology Cosmology
 */
#ifndef NEPHRITE_COSMOLOGY_H
#define NEPHRITE_COSMOLOGY_H

#include "nephrite/support.h"

/** A flat universe without radiation or massive neutrinos; Omega_m = Omega_c + Omega_b, dark energy takes the rest. */
typedef struct {
  double Omega_c, Omega_b, sigma_8, h, n_s, w_0, w_a;
} Cosmology;

/** c/H0 in Mpc/h. */
#define NEPHRITE_HUBBLE_DISTANCE 2997.92458

/** Is this a universe in which everything below is defined?  (Omega_c >= 0, Omega_b > 0, Omega_m <= 1, sigma_8 > 0, …) */
PetscBool cosmology_is_physical(const Cosmology *cosmology);

/** Distances and expansion, tabulated once for one cosmology. */
typedef struct Background Background;
PetscErrorCode background_create(const Cosmology *cosmology, double z_max, Background **background);
double background_comoving_distance(const Background *background, double z); /**< Mpc/h; 0 <= z <= z_max */
double background_expansion(const Background *background, double z);         /**< E(z) = H(z)/H0 */
double background_Omega_m(const Background *background, double z);
double background_Omega_de(const Background *background, double z);
PetscErrorCode background_destroy(Background **background);

/** First- and second-order growth, tabulated once for one cosmology. */
typedef struct Growth Growth;
PetscErrorCode growth_create(const Cosmology *cosmology, double z_max, Growth **growth);
double growth_factor(const Growth *growth, double z);  /**< D(z)/D(0) */
double growth_epsilon(const Growth *growth, double z); /**< -D2/D^2, 3/7 in Einstein-de Sitter */
PetscErrorCode growth_destroy(Growth **growth);

/** Linear and nonlinear matter power, tabulated once for one cosmology in (ln k, z). */
typedef struct MatterPower MatterPower;
PetscErrorCode matter_power_create(const Cosmology *cosmology, const Background *background, const Growth *growth,
                                   double z_max, MatterPower **power);
double matter_power_linear(const MatterPower *power, double k, double z);
double matter_power_nonlinear(const MatterPower *power, double k, double z);
/** In how many of the tabulated redshifts is there no nonlinear scale, so that nonlinear power is the linear one? */
PetscInt matter_power_linear_redshifts(const MatterPower *power);
PetscErrorCode matter_power_destroy(MatterPower **power);

#endif
