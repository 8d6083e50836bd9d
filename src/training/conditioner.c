/** \file conditioner.c  What the network is told of an observation, in its own units.  \ingroup training */
#include "internal.h"

struct Conditioner {
  NetworkShape shape;
  Normalisation normalisation;
  BandPowers *bands; /* NULL if no band powers are told */
  double *power; /* [network_spectra_count()] */
};

PetscErrorCode spectra_create(const NetworkShape *shape, BandPowers **bands)
{
  PetscFunctionBeginUser;
  if (shape->config.spectra)
    PetscCall(band_powers_create(shape->ny, shape->nx, shape->bins, shape->config.spectra, BANDS_TO_CORNER, bands));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode conditioner_create(const NetworkShape *shape, const Normalisation *normalisation,
                                  Conditioner **conditioner)
{
  Conditioner *c = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&c));
  *conditioner = c;
  c->shape = *shape;
  c->normalisation = *normalisation;
  PetscCall(spectra_create(shape, &c->bands));
  PetscCall(PetscMalloc1(network_spectra_count(shape), &c->power));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void scale_channels(const Conditioner *c, const float *channels, Scalar *observation)
{
  const PetscInt bins = c->shape.bins, data = observation_data_channels(bins, c->shape.observation_channels);
  const size_t pixels = (size_t)c->shape.ny * (size_t)c->shape.nx;

  for (PetscInt k = 0; k < c->shape.observation_channels; k++) {
    const Scalar factor = k >= data ? 1 : (Scalar)(1 / c->normalisation.map_std[k % bins]);

    for (size_t i = (size_t)k * pixels; i < (size_t)(k + 1) * pixels; i++)
      observation[i] = factor * (Scalar)channels[i];
  }
}

void conditioner_apply(Conditioner *c, const float *channels, Scalar *observation, Scalar *spectra)
{
  const Normalisation *n = &c->normalisation;

  scale_channels(c, channels, observation);
  if (!c->bands) return;
  band_powers_of(c->bands, channels, c->power);
  for (PetscInt i = 0; i < n->spectra; i++)
    spectra[i] = (Scalar)((c->power[i] - n->spectra_mean[i]) / n->spectra_std[i]);
}

PetscErrorCode conditioner_destroy(Conditioner **conditioner)
{
  PetscFunctionBeginUser;
  if (!*conditioner) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(band_powers_destroy(&(*conditioner)->bands));
  PetscCall(PetscFree((*conditioner)->power));
  PetscCall(PetscFree(*conditioner));
  PetscFunctionReturn(PETSC_SUCCESS);
}
