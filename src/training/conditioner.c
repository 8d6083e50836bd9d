/** \file conditioner.c  What the network is told of an observation, in its own units.  \ingroup training */
#include "internal.h"

struct Conditioner {
  NetworkShape shape;
  Normalisation normalisation;
  Summaries *summaries;
  double *values; /* [network_summary_count()] of an observation */
};

PetscErrorCode conditioner_create(const NetworkShape *shape, const Normalisation *normalisation,
                                  Conditioner **conditioner)
{
  Conditioner *c = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&c));
  *conditioner = c;
  c->shape = *shape;
  c->normalisation = *normalisation;
  PetscCall(summaries_create(shape, &c->summaries));
  PetscCall(PetscMalloc1(network_summary_count(shape), &c->values));
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

void conditioner_apply(Conditioner *c, const float *channels, Scalar *observation, Scalar *summaries)
{
  const Normalisation *n = &c->normalisation;

  scale_channels(c, channels, observation);
  summaries_of(c->summaries, channels, n->one_point_unit, c->values);
  for (PetscInt i = 0; i < network_summary_count(&c->shape); i++)
    summaries[i] = (Scalar)((c->values[i] - n->summary_mean[i]) / n->summary_std[i]);
}

PetscErrorCode conditioner_destroy(Conditioner **conditioner)
{
  PetscFunctionBeginUser;
  if (!*conditioner) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(summaries_destroy(&(*conditioner)->summaries));
  PetscCall(PetscFree((*conditioner)->values));
  PetscCall(PetscFree(*conditioner));
  PetscFunctionReturn(PETSC_SUCCESS);
}
