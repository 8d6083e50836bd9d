/** \file band_powers.c  Auto and cross spectra of a few maps, averaged in bands of wavenumber.  \ingroup lensing */
#include "nephrite/lensing.h"

#include <complex.h>
#include <math.h>

struct BandPowers {
  PetscInt maps, bands, ny, nx;
  Fourier *fourier;
  double _Complex *modes; /* [maps][ny][nx/2+1] */
  int *band; /* [ny][nx/2+1], 0 outside of all */
  double *share; /* [ny][nx/2+1] of a mode's power in the mean of its band; 0 outside of all */
};

static size_t mode_count(const BandPowers *b)
{
  return (size_t)(b->ny * (b->nx / 2 + 1));
}

/* In units of the fundamental mode of the longer side. */
static double wavenumber(const BandPowers *b, PetscInt y, PetscInt x)
{
  const PetscInt longer = PetscMax(b->nx, b->ny);

  return hypot((double)fourier_frequency(y, b->ny) * longer / b->ny, (double)x * longer / b->nx);
}

/* The fundamental mode lies well inside of the first band and the highest one inside of the last, whatever the
 * rounding; -1 outside of all. */
static int band_of(const BandPowers *b, double wavenumber, double highest)
{
  const double place = log(wavenumber * 1.01) / log(highest * 1.01) * (double)b->bands;

  return place < 0 || place >= (double)b->bands ? -1 : (int)place;
}

/* A mode off kx = 0 and off the Nyquist column stands for its conjugate as well. */
static PetscErrorCode place_modes(BandPowers *b, double highest)
{
  const PetscInt columns = b->nx / 2 + 1;
  double *total = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscCalloc1(b->bands, &total));
  for (PetscInt y = 0; y < b->ny; y++)
    for (PetscInt x = 0; x < columns; x++) {
      const PetscInt mode = y * columns + x;
      const int band = band_of(b, wavenumber(b, y, x), highest);

      b->band[mode] = PetscMax(band, 0);
      b->share[mode] = band < 0 ? 0 : x == 0 || 2 * x == b->nx ? 1 : 2;
      total[b->band[mode]] += b->share[mode];
    }
  const double unit = 1 / ((double)b->ny * (double)b->nx); /* of an unnormalised transform's square, in pixels */
  for (size_t mode = 0; mode < mode_count(b); mode++)
    if (b->share[mode] > 0) b->share[mode] *= unit / total[b->band[mode]];
  PetscCall(PetscFree(total));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode band_powers_create(PetscInt ny, PetscInt nx, PetscInt maps, PetscInt bands, BandLimit limit,
                                  BandPowers **band_powers)
{
  const double nyquist = (double)PetscMax(ny, nx) / 2, corner = nyquist * sqrt(2);
  BandPowers *b = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&b));
  *band_powers = b;
  b->maps = maps;
  b->bands = bands;
  b->ny = ny;
  b->nx = nx;
  PetscCall(fourier_create(ny, nx, &b->fourier));
  PetscCall(PetscMalloc1((size_t)maps * mode_count(b), &b->modes));
  PetscCall(PetscMalloc2(mode_count(b), &b->band, mode_count(b), &b->share));
  PetscCall(place_modes(b, limit == BANDS_TO_NYQUIST ? nyquist : corner * 1.01));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscInt band_powers_count(const BandPowers *b)
{
  return b->maps * (b->maps + 1) / 2 * b->bands;
}

PetscInt band_powers_band(const BandPowers *b, PetscInt y, PetscInt x)
{
  const PetscInt mode = y * (b->nx / 2 + 1) + x;

  return b->share[mode] > 0 ? b->band[mode] : -1;
}

static void powers_of_pair(const BandPowers *b, const double _Complex *first, const double _Complex *second,
                           double *power)
{
  for (PetscInt i = 0; i < b->bands; i++) power[i] = 0;
  for (size_t mode = 0; mode < mode_count(b); mode++)
    power[b->band[mode]] += b->share[mode] * creal(first[mode] * conj(second[mode]));
}

void band_powers_of(BandPowers *b, const float *maps, double *power)
{
  const size_t modes = mode_count(b);

  fourier_forward_maps(b->fourier, b->maps, maps, b->modes);
  for (PetscInt i = 0; i < b->maps; i++)
    for (PetscInt j = i; j < b->maps; j++, power += b->bands)
      powers_of_pair(b, b->modes + (size_t)i * modes, b->modes + (size_t)j * modes, power);
}

PetscErrorCode band_powers_destroy(BandPowers **band_powers)
{
  BandPowers *b = *band_powers;

  PetscFunctionBeginUser;
  if (!b) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(fourier_destroy(&b->fourier));
  PetscCall(PetscFree(b->modes));
  PetscCall(PetscFree2(b->band, b->share));
  PetscCall(PetscFree(*band_powers));
  PetscFunctionReturn(PETSC_SUCCESS);
}
