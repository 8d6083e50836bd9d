/** Spectra and white noise that the tests of fields share. */
#ifndef FIELD_FIXTURES_H
#define FIELD_FIXTURES_H

#include "nephrite/field.h"
#include "nephrite_test.h"

#include <stdlib.h>

enum { ELL_COUNT = 12 };

static const double test_pixel = 7e-4; /* radians, 2.4 arcmin */

/** C_ij = (1+i)(1+j) r_ij 2e-9 (ell/500)^-1.2, with r_ij = 1 or \p correlation, and shifts that such fields have. */
static inline LensingSpectra *power_law_spectra(PetscInt bins, double correlation)
{
  LensingSpectra *spectra = NULL;

  assert_ok(lensing_spectra_create(bins, ELL_COUNT, &spectra));
  for (int l = 0; l < ELL_COUNT; l++) spectra->ell[l] = 20 * pow(2, l);
  for (PetscInt i = 0; i < bins; i++) {
    spectra->shift[i] = 0.015 * (double)(1 + i);
    for (PetscInt j = i; j < bins; j++)
      for (int l = 0; l < ELL_COUNT; l++)
        spectra->power[lensing_pair(bins, i, j) * ELL_COUNT + l] =
            (double)((1 + i) * (1 + j)) * (i == j ? 1 : correlation) * 2e-9 * pow(spectra->ell[l] / 500, -1.2);
  }
  return spectra;
}

/** The same in closed form. */
static inline double power_law(PetscInt i, PetscInt j, double correlation, double ell)
{
  return (double)((1 + i) * (1 + j)) * (i == j ? 1 : correlation) * 2e-9 * pow(ell / 500, -1.2);
}

#endif
