/** \file cosmology.h
 * Flat wCDM / CPL background, growth and matter power.  Distances in Mpc/h, k in h/Mpc, P in (Mpc/h)^3.
 *
 * The objects are tables of one cosmology, cheap enough to be made anew for each (all of them well below a
 * millisecond). \defgroup cosmology Cosmology
 */
#ifndef NEPHRITE_COSMOLOGY_H
#define NEPHRITE_COSMOLOGY_H

#include "nephrite/support.h"

/** A flat universe without radiation or massive neutrinos; Omega_m = Omega_c + Omega_b, dark energy takes the rest and
 * has w(a) = w_0 + w_a (1 - a). */
typedef struct {
  double Omega_c, Omega_b, sigma_8, h, n_s, w_0, w_a;
} Cosmology;

/** c/H0 in Mpc/h. */
#define NEPHRITE_HUBBLE_DISTANCE 2997.92458

/** Redshifts above this are refused: growth starts at z = 999 with matter alone. */
#define NEPHRITE_Z_LIMIT 100.

/** Is this a universe in which everything below is defined?  Omega_c >= 0, Omega_b > 0, Omega_m <= 1, sigma_8 > 0,
 * matter once dominated (w_0 < 0, w_0 + w_a < 0), and nothing far beyond what the fitting formulae were made for. */
PetscBool cosmology_is_physical(const Cosmology *cosmology);
/** The same, saying which parameter is at fault.  Errors: NEPHRITE_ERR_INPUT. */
PetscErrorCode cosmology_check(const Cosmology *cosmology);

/** Equation of state w at redshift \p z (Chevallier & Polarski 2001; Linder 2003). */
double cosmology_w(const Cosmology *cosmology, double z);

/** Distances and expansion, tabulated once for one cosmology. */
typedef struct Background Background;
/** \param z_max  the table's end, in (0, NEPHRITE_Z_LIMIT]
 * Errors: NEPHRITE_ERR_INPUT if the cosmology is not physical, NEPHRITE_ERR_CONFIG if z_max is out of range. */
PetscErrorCode background_create(const Cosmology *cosmology, double z_max, Background **background);
double background_comoving_distance(const Background *background, double z); /**< Mpc/h; 0 <= z <= z_max */
double background_expansion(const Background *background, double z); /**< E(z) = H(z)/H0 */
double background_Omega_m(const Background *background, double z); /**< matter's share of the density at z */
double background_Omega_de(const Background *background, double z); /**< dark energy's share at z */
PetscErrorCode background_destroy(Background **background);

/** First- and second-order growth, tabulated once for one cosmology. */
typedef struct Growth Growth;
/** \param z_max and errors as background_create() */
PetscErrorCode growth_create(const Cosmology *cosmology, double z_max, Growth **growth);
double growth_factor(const Growth *growth, double z); /**< D(z)/D(0); 0 <= z <= z_max */
double growth_epsilon(const Growth *growth, double z); /**< -D2/D^2, 3/7 in Einstein-de Sitter */
PetscErrorCode growth_destroy(Growth **growth);

/** The wavenumbers at which power is tabulated: as many to a decade as the baryon wiggles need. */
enum { POWER_POINTS_PER_DECADE = 96, POWER_POINTS = 8 * POWER_POINTS_PER_DECADE + 1 };
#define POWER_K_MIN 1e-4 /**< h/Mpc */
#define POWER_LN_K_MIN (-9.210340371976182) /**< ln POWER_K_MIN */
#define POWER_LN_K_STEP (2.302585092994046 / POWER_POINTS_PER_DECADE) /**< of ln k */

/** Linear and nonlinear matter power of one cosmology. */
typedef struct MatterPower MatterPower;
/** \param growth  of the same cosmology; borrowed, to outlive the power.  Its z_max holds here too.
 * Errors: NEPHRITE_ERR_INPUT if the cosmology is not physical. */
PetscErrorCode matter_power_create(const Cosmology *cosmology, const Growth *growth, MatterPower **power);
/** Eisenstein & Hu 1998 with wiggles, normalised to sigma_8. */
double matter_power_linear(const MatterPower *power, double k, double z);
/** Takahashi et al. 2012, whose terms in w take w_0; the linear power where there is no nonlinear scale. */
double matter_power_nonlinear(const MatterPower *power, double k, double z);
/** Is there a scale at which the variance of the linear density is 1? */
PetscBool matter_power_has_nonlinear_scale(const MatterPower *power, double z);
/** Power at redshift 0 on the grid of wavenumbers; times growth_factor()^2 it is that of another redshift.
 * \returns [POWER_POINTS], borrowed */
const double *matter_power_linear_today(const MatterPower *power);
/** Nonlinear power at one redshift on the grid of wavenumbers.  \param[out] nonlinear [POWER_POINTS]
 * \returns matter_power_has_nonlinear_scale() */
PetscBool matter_power_nonlinear_row(const MatterPower *power, double z, double *nonlinear);
/** sigma_8 by integration of the tabulated linear power: what normalisation made it. */
double matter_power_sigma_8(const MatterPower *power);
PetscErrorCode matter_power_destroy(MatterPower **power);

/** All of the above for one cosmology. */
typedef struct {
  Cosmology cosmology;
  Background *background;
  Growth *growth;
  MatterPower *power;
} Universe;
/** \param[in,out] universe  zeros; what it holds, also after a failure, is freed by universe_destroy()
 * Errors: those of background_create(). */
PetscErrorCode universe_create(const Cosmology *cosmology, double z_max, Universe *universe);
PetscErrorCode universe_destroy(Universe *universe);

#endif
