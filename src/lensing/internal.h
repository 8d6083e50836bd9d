/** \file internal.h  What the parts of lensing share.  \ingroup lensing */
#ifndef NEPHRITE_LENSING_INTERNAL_H
#define NEPHRITE_LENSING_INTERNAL_H

#include "nephrite/lensing.h"

struct SourceBins {
  PetscInt bins, count;
  double *z; /* [count] */
  double *density; /* [bins][count] unit integral */
};

/** Quadrature nodes in redshift from 0 up, and what one cosmology has there. */
typedef struct {
  PetscInt count;
  double *z, *chi, *dchi; /* [count] redshift, distance and quadrature weight in Mpc/h */
  double *kernel; /* [bins][count] q_i(chi), h/Mpc */
} LineOfSight;

/* ------------------------------------------------------------------ efficiency.c */

/** Lensing efficiency of source bins.  Between two knots of the table n_i is linear and 1/chi smooth: two
 * Gauss-Legendre points there are as good as exact, whatever the shape of n_i. */
typedef struct {
  SourceBins *bins; /* owned: a copy, with points added where it is coarse */
  PetscInt intervals;
  double *s; /* [intervals][2] redshifts, on the table's own scale */
  double *weight; /* [bins][intervals][2] quadrature weight times n_i */
  double *inverse; /* [intervals][2] 1/chi(s + delta_z), 0 where that is not in the sky */
  double *number; /* [intervals + 1] work: int n_i from a knot up */
  double *nearness; /* [intervals + 1] work: int n_i/chi from a knot up */
  const Background *background; /* borrowed, of efficiency_prepare() */
  double delta_z;
} Efficiency;

PetscErrorCode efficiency_create(const SourceBins *bins, Efficiency **efficiency);
/** Take up a cosmology and a photo-z shift.  \param background  borrowed; reaches source_bins_z_max() + delta_z */
void efficiency_prepare(Efficiency *efficiency, const Background *background, double delta_z);
/** int_z dz' n_i(z' - delta_z) (1 - chi(z)/chi(z')) at every node, for n_i(z - delta_z) of unit integral over z > 0.
 * \param[out] values [sight->count]  \param[out] visible  share of the bin that its shift leaves at z > 0
 * Errors: NEPHRITE_ERR_INPUT if that is nothing. */
PetscErrorCode efficiency_evaluate(Efficiency *efficiency, PetscInt bin, const LineOfSight *sight, double *values,
                                   double *visible);
PetscErrorCode efficiency_destroy(Efficiency **efficiency);

/* ------------------------------------------------------------------ angular_power.c */

/** Power at k = (ell + 1/2)/chi.
 * \param power [POWER_POINTS] nonlinear power at the redshift of chi  \param ln_ell [ell_count] ln(ell + 1/2)
 * \param[out] at_ell [ell_count] */
void angular_power_look_up(double chi, const double *power, PetscInt ell_count, const double *ln_ell, double *at_ell);
/** Add the contribution of one node to C_ij(ell) (Limber).
 * \param at_ell [spectra->ell_count] of angular_power_look_up() at the node */
void angular_power_add(const LineOfSight *sight, PetscInt node, const double *at_ell, LensingSpectra *spectra);

/* ------------------------------------------------------------------ shift.c */

/** Variance and third moment of the convergence smoothed over one pixel. */
typedef struct {
  PetscInt points;
  double ln_radius_min; /* of the radii the table serves */
  double *squared; /* [points] W^2(kR) at equal steps of ln kR */
  double *slope; /* [points] dW^2/dlnR */
  double angle; /* radius of the pixel's top-hat, radians */
  double second[NEPHRITE_MAX_BINS], third[NEPHRITE_MAX_BINS];
} PixelMoments;

PetscErrorCode pixel_moments_create(double pixel, PixelMoments **moments);
void pixel_moments_clear(PixelMoments *moments);
/** Matter at one node as the moments need it. */
typedef struct {
  const double *linear_today, *nonlinear; /* [POWER_POINTS] */
  double growth, epsilon;
} NodeMatter;
void pixel_moments_add(PixelMoments *moments, const LineOfSight *sight, PetscInt bins, PetscInt node,
                       const NodeMatter *matter);
/** \param[out] shift [bins].  Errors: NEPHRITE_ERR_INPUT for a bin without positive skewness. */
PetscErrorCode pixel_moments_shift(const PixelMoments *moments, PetscInt bins, double *shift);
PetscErrorCode pixel_moments_destroy(PixelMoments **moments);

/* ------------------------------------------------------------------ shift_table.c */

/** A user's shifts, linear between their nodes. */
typedef struct ShiftTable ShiftTable;
PetscErrorCode shift_table_create(const char *path, PetscInt bins, ShiftTable **table);
/** \param[out] shift [bins].  Errors: NEPHRITE_ERR_INPUT outside the axes. */
PetscErrorCode shift_table_look_up(const ShiftTable *table, const Cosmology *cosmology, double *shift);
PetscErrorCode shift_table_destroy(ShiftTable **table);

#endif
