/** \file guess_sample.c  Covariances of maps and what is observed of them, by which maps are guessed.  \ingroup
 * training
 */
#include "internal.h"

#include <string.h>

struct GuessSample {
  size_t bins, pixels;
  BandPowers *bands; /* of maps and channels together */
  float *together; /* [2 bins][ny][nx] */
  double *power; /* [pairs][GUESS_BANDS] */
};

PetscErrorCode guess_sample_create(const NetworkShape *shape, GuessSample **sample)
{
  GuessSample *s = NULL;

  PetscFunctionBeginUser;
  if (!guess_count(shape)) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscNew(&s));
  *sample = s;
  s->bins = (size_t)shape->bins;
  s->pixels = (size_t)(shape->ny * shape->nx);
  PetscCall(band_powers_create(shape->ny, shape->nx, 2 * shape->bins, GUESS_BANDS, BANDS_TO_CORNER, &s->bands));
  PetscCall(PetscMalloc1(2 * s->bins * s->pixels, &s->together));
  PetscCall(PetscMalloc1(band_powers_count(s->bands), &s->power));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The means of two of the maps as a mode of their own, which band powers leave out. */
static double power_of_means(const GuessSample *s, size_t i, size_t j)
{
  double first = 0, second = 0;

  for (size_t p = 0; p < s->pixels; p++) {
    first += (double)s->together[i * s->pixels + p];
    second += (double)s->together[j * s->pixels + p];
  }
  return first * second / (double)s->pixels;
}

void guess_sample_of(GuessSample *s, const float *kappa, const float *channels, double *covariance)
{
  if (!s) return;
  const size_t maps = 2 * s->bins, pairs = maps * (maps + 1) / 2, size = s->bins * s->pixels;
  size_t pair = 0;

  memcpy(s->together, kappa, size * sizeof *kappa);
  memcpy(s->together + size, channels, size * sizeof *channels);
  band_powers_of(s->bands, s->together, s->power);
  for (size_t i = 0; i < maps; i++)
    for (size_t j = i; j < maps; j++, pair++) {
      covariance[pair] = power_of_means(s, i, j);
      for (size_t b = 0; b < GUESS_BANDS; b++) covariance[(b + 1) * pairs + pair] = s->power[pair * GUESS_BANDS + b];
    }
}

PetscErrorCode guess_sample_destroy(GuessSample **sample)
{
  PetscFunctionBeginUser;
  if (!*sample) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(band_powers_destroy(&(*sample)->bands));
  PetscCall(PetscFree((*sample)->together));
  PetscCall(PetscFree((*sample)->power));
  PetscCall(PetscFree(*sample));
  PetscFunctionReturn(PETSC_SUCCESS);
}
