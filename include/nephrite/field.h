/** \file field.h
 * Convergence maps with given C_ij(ell): Gaussian or log-normal (physics, Maps 1-5).  \defgroup field Field
 */
#ifndef NEPHRITE_FIELD_H
#define NEPHRITE_FIELD_H

#include "nephrite/lensing.h"

/** What maps are made. */
typedef struct {
  FieldModel model;
  PetscInt bins, ny, nx;
  double pixel; /**< its side in radians */
} FieldShape;

/** A grid with its transforms and work space.  Use: set the spectra of a cosmology, then realise any number of maps.
 * One per thread; create from one thread at a time (FFTW's planner).
 *
 * Several ranks make one map together: each holds a slab, some rows of all bins, and no rank more than its share of
 * anything. */
typedef struct Field Field;

/** Can \p ranks together make such maps?  Not collective.
 * Errors: NEPHRITE_ERR_CONFIG: no bins or too many, fewer than 2 pixels along an axis, a pixel that is not positive,
 * more than one rank and an odd number of pixels along an axis of a log-normal map, more ranks than rows. */
PetscErrorCode field_check(const FieldShape *shape, PetscMPIInt ranks);
/** Collective on \p comm, whose ranks make each map together.  Errors: those of field_check(). */
PetscErrorCode field_create(MPI_Comm comm, const FieldShape *shape, Field **field);
/** Rows of the map that are on this rank: all of them, if it is alone.  There may be none. */
void field_slab(const Field *field, PetscInt *first_row, PetscInt *rows);
/** Prepare L(k) and sigma_i^2 from C_ij(ell) and, for log-normal fields, the shifts (physics, Maps 1-4).  Collective:
 * all ranks have the same spectra.
 * Errors: NEPHRITE_ERR_INPUT: spectra as for field_spectrum(); a shift that is not positive, naming the bin; no
 * log-normal field exists because xi_ij <= -lambda_i lambda_j somewhere, naming the pair. */
PetscErrorCode field_set_spectra(Field *field, const LensingSpectra *spectra);
/** White noise in, convergence out.  Collective.
 * \param white [bins][rows][nx] standard normal  \param[out] kappa [bins][rows][nx] */
PetscErrorCode field_realise(Field *field, const double *white, double *kappa);
/** The same with white noise keyed by \p key (position = index in [bins][ny][nx]), to float: the same map, to the
 * rounding of the transforms, for every number of ranks.  Collective.  \param[out] kappa [bins][rows][nx] */
PetscErrorCode field_realise_keyed(Field *field, RandomKey key, float *kappa);
/** Variance of the Gaussian field of each bin (sigma_i^2 of the log-normal), an expectation. \param[out] variance
 * [bins] */
PetscErrorCode field_gaussian_variance(const Field *field, double *variance);
/** Share of (mode, eigenvalue) pairs that were negative and set to zero. */
double field_negative_fraction(const Field *field);

/** Keep, from the next spectra on, what field_pull_back() needs: three times the memory of the spectra, and a map's.
 * Collective. */
PetscErrorCode field_record(Field *field);
/** From the derivatives of a number by the map of the last field_realise() to those by all that it was made from, once
 * for each map: the adjoint of physics, Maps 1-5, by hand.  Collective.
 *
 * Where an eigenvalue of a mode's matrix is negative its root is 0, and so is its derivative; where one crosses 0 the
 * map is continuous and the derivative is not.
 * \param kappa_bar [bins][rows][nx] derivatives by the convergence
 * \param[out] white_bar [bins][rows][nx] by the white noise
 * \param[out] spectra_bar  by C_ij(ell) of each pair i <= j and by lambda_i (0 for Gaussian fields), where the spectra
 * have these, the same on all ranks; its ell is left alone.  NULL if not wanted, on all ranks
 * Errors: NEPHRITE_ERR_INTERNAL: no map was realised with the spectra at hand since field_record(), or spectra_bar is
 * of another size than they. */
PetscErrorCode field_pull_back(Field *field, const double *kappa_bar, double *white_bar, LensingSpectra *spectra_bar);
PetscErrorCode field_destroy(Field **field);

/** P_ij(k) = C_ij(|k|)/pixel^2 on the grid, 0 at k = 0; cubic spline in log-log (not-a-knot ends), constant beyond
 * them. A pair whose C is not positive everywhere is interpolated in C instead of ln C. \param[out] power
 * [bins(bins+1)/2][ny][nx/2+1] Errors: NEPHRITE_ERR_INPUT: fewer than 4 multipoles, multipoles that are not positive
 * and increasing, a value that is no finite number. */
PetscErrorCode field_spectrum(const LensingSpectra *spectra, PetscInt ny, PetscInt nx, double pixel, double *power);

#endif
