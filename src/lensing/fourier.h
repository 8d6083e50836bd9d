/** \file fourier.h  The discrete Fourier transform of a periodic real map, on one rank.  \ingroup lensing
 *
 * Unnormalised both ways: inverse(forward(map)) is ny nx times the map.  Plans are FFTW_ESTIMATE, which are the same in
 * every run; plans chosen by timing would change the last bit of a map from one run to the next.
 */
#ifndef NEPHRITE_LENSING_FOURIER_H
#define NEPHRITE_LENSING_FOURIER_H

#include "nephrite/support.h"

#include <complex.h>

/** One map, its modes, and the two plans between them. */
typedef struct Fourier Fourier;

/** FFTW's planner is not safe in threads: create such objects, and whatever contains one, from one thread at a time.
 * Errors: NEPHRITE_ERR_INTERNAL if FFTW has no memory or no plan. */
PetscErrorCode fourier_create(PetscInt ny, PetscInt nx, Fourier **fourier);
/** The map, [ny][nx].  Borrowed. */
double *fourier_map(Fourier *fourier);
/** The modes with k_x >= 0, [ny][nx/2+1]; the others are their complex conjugates.  Borrowed. */
double complex *fourier_modes(Fourier *fourier);
/** modes = transform of the map. */
void fourier_forward(Fourier *fourier);
/** map = inverse transform of the modes, which are destroyed. */
void fourier_inverse(Fourier *fourier);
PetscErrorCode fourier_destroy(Fourier **fourier);

/** Signed frequency of index i of n, in cycles per n pixels: 0, 1, … -2, -1 (NumPy's fftfreq times n). */
static inline PetscInt fourier_frequency(PetscInt i, PetscInt n)
{
  return i < (n + 1) / 2 ? i : i - n;
}

#endif
