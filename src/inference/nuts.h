/** \file nuts.h  What the parts of Hamiltonian Monte Carlo share.  \ingroup inference */
#ifndef NEPHRITE_INFERENCE_NUTS_H
#define NEPHRITE_INFERENCE_NUTS_H

#include "nephrite/inference.h"

#include <math.h>

/** ln(exp(a) + exp(b)) */
static inline double log_sum(double a, double b)
{
  const double larger = fmax(a, b);

  return larger > -INFINITY ? larger + log(exp(a - larger) + exp(b - larger)) : larger;
}

/* ------------------------------------------------------------------ hamiltonian.c */

/** H = -log p(q) + p^T M^-1 p/2.  The inverse mass matrix M^-1 is an estimate of the covariance of q: dense for the
 * first coordinates, diagonal for the others.  The ranks of a group all have the first ones, and divide the others. */
typedef struct {
  MPI_Comm comm; /* borrowed */
  PetscMPIInt rank, ranks;
  PetscInt dimension, dense; /* on this rank */
  LogDensity *density;
  LogDensity *exact; /* NULL: that is exact */
  void *context;
  double *variance; /* [dimension] the diagonal of M^-1; of the dense block not used.  Borrowed */
  double *covariance; /* [dense][dense] of M^-1.  Borrowed */
  double *factor; /* [dense][dense] its Cholesky factor, lower, rows: hamiltonian_set_mass() */
} Hamiltonian;

/** A point of phase space. */
typedef struct {
  double *q, *p, *gradient; /* [dimension] on this rank: position, momentum, gradient of log p */
  double log_density;
} PhasePoint;

/** Not collective; what follows is, but for momenta. */
PetscErrorCode hamiltonian_create(const NutsConfig *config, LogDensity *density, void *context,
                                  Hamiltonian *hamiltonian);
/** Take up what variance and covariance hold.  Errors: NEPHRITE_ERR_INTERNAL: they are no positive matrix. */
PetscErrorCode hamiltonian_set_mass(Hamiltonian *hamiltonian);
/** Momenta of mass M from standard normals, in place. */
void hamiltonian_momentum(const Hamiltonian *hamiltonian, double *p);
/** a^T M^-1 b of all coordinates, the same on all ranks bit for bit, so that they decide alike. */
PetscErrorCode hamiltonian_product(const Hamiltonian *hamiltonian, const double *a, const double *b, double *product);
/** H; infinite where it is no number. */
PetscErrorCode hamiltonian_energy(const Hamiltonian *hamiltonian, const PhasePoint *point, double *energy);
/** log p and its gradient at point->q. */
PetscErrorCode hamiltonian_differentiate(const Hamiltonian *hamiltonian, PhasePoint *point);
/** A leapfrog step, reversible and exact to third order (Neal 2011, 1206.1901, eqs 2.28-2.30).
 * \param step may be negative */
PetscErrorCode hamiltonian_leapfrog(const Hamiltonian *hamiltonian, double step, PhasePoint *point);
/** Where there is another exact density: its logarithm at a position less log_density, which trajectories follow. */
PetscErrorCode hamiltonian_correction(const Hamiltonian *hamiltonian, const double *q, double log_density,
                                      double *correction);
PetscErrorCode hamiltonian_destroy(Hamiltonian *hamiltonian);

/* ------------------------------------------------------------------ nuts_adapt.c */

/** All of a chain's state that is one number.  \see NutsState */
enum {
  NUTS_ITERATION, /* done */
  NUTS_LOG_DENSITY,
  NUTS_CORRECTION, /* exact log-density less that */
  NUTS_STEP_SIZE,
  NUTS_DUAL_COUNT, /* dual averaging: steps since it was begun, */
  NUTS_DUAL_CENTRE, /* mu, */
  NUTS_DUAL_ERROR, /* mean of target minus acceptance, */
  NUTS_DUAL_LOG_STEP, /* and the mean of ln(step size) */
  NUTS_WINDOW_SIZE,
  NUTS_WINDOW_END, /* iteration at which the mass matrix is taken up next */
  NUTS_WINDOW_COUNT, /* draws in the window's moments */
  NUTS_SCALARS
};

/** Where the parts of a chain's state on this rank stand in one array. */
typedef struct {
  size_t size;
  double *values; /* [size], owned */
  double *scalar; /* [NUTS_SCALARS] */
  double *q, *gradient; /* [dimension] */
  double *variance, *covariance; /* [dimension], [dense][dense] of the Hamiltonian */
  double *mean, *square; /* [dimension] of the window: Welford's mean and sum of squared deviations */
  double *product; /* [dense][dense] sum of products of deviations */
} NutsState;

/** Begin dual averaging at the step size at hand. */
void dual_averaging_begin(double *scalar);
/** Learn from the acceptance of an iteration (Hoffman & Gelman 2014, 1111.4246, eq. 6). */
void dual_averaging_learn(double *scalar, double target, double acceptance);
/** Take the mean of what was learnt. */
void dual_averaging_end(double *scalar);
/** Iteration of a warm-up from which the mass matrix is no longer learnt. */
PetscInt windows_end(PetscInt warmup);
/** Begin the first window of a warm-up. */
void windows_begin(NutsState *state, PetscInt warmup);
/** Add the position after iteration \p iteration of the warm-up to the moments, where it lies in a window.
 * \param[out] closed  a window ended: variance and covariance have been taken from it */
void windows_learn(const NutsConfig *config, NutsState *state, PetscInt iteration, PetscBool *closed);

/* ------------------------------------------------------------------ nuts_state.c */

enum { NUTS_MOST_DEPTH = 20 }; /**< doublings that an iteration may be allowed */

/** What nuts_create() refuses; and the share of a chain on one rank, which need not say that it has all coordinates.
 * Collective.  \param[out] complete  with its share */
PetscErrorCode nuts_config_complete(const NutsConfig *config, NutsConfig *complete);
/** Coordinates of all ranks.  \param config  complete, here and below */
uint64_t nuts_whole_dimension(const NutsConfig *config);
/** Zeros. */
PetscErrorCode nuts_state_create(const NutsConfig *config, NutsState *state);
/** Of a chain that has learnt nothing yet: zeros, and a mass matrix of ones. */
PetscErrorCode nuts_state_begin(const NutsConfig *config, NutsState *state);
/** Numbers of the whole state, that of a chain on one rank. */
size_t nuts_whole_size(const NutsConfig *config);
/** Collective.  \param[out] whole  on the first rank, elsewhere not looked at */
PetscErrorCode nuts_gather(const NutsConfig *config, const NutsState *state, double *whole);
/** Collective.  \param whole  on the first rank, elsewhere not looked at */
PetscErrorCode nuts_scatter(const NutsConfig *config, const double *whole, NutsState *state);

#endif
