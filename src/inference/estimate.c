/** \file estimate.c  What an inference takes, before it is run.  \ingroup inference */
#include "inference/solver.h"

/* The trained network's shape, or the configuration's where nothing has been trained yet. */
static PetscErrorCode find_shape(const InferenceSetup *s, const NetworkConfig *network, NetworkShape *shape,
                                 PetscBool *trained)
{
  const TrainingSetup training = {.options = s->options,
                                  .campaign = s->campaign,
                                  .survey = s->survey,
                                  .prior = s->prior,
                                  .simulate = s->simulate,
                                  .network = network,
                                  .train = s->train};
  const PetscBool given = s->infer->checkpoint[0] ? PETSC_TRUE : PETSC_FALSE;
  Model *model = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = model_load(given ? s->infer->checkpoint : s->campaign->campaign, &model);
  *trained = error ? PETSC_FALSE : PETSC_TRUE;
  if (!error) *shape = model->shape;
  PetscCall(model_destroy(&model));
  if (given || error != (PetscErrorCode)NEPHRITE_ERR_INPUT) PetscFunctionReturn(error);
  error_clear();
  PetscCall(training_shape(&training, shape));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode inference_estimate(const InferenceSetup *s, const NetworkConfig *network, int64_t keep_maps,
                                  InferenceEstimate *e)
{
  const InferConfig *infer = s->infer;
  const SamplerSettings settings = sampler_settings(infer);
  const Solver *solver = solver_of(&settings);
  const PetscInt batch = PetscMin(infer->batch, infer->draws);

  PetscFunctionBeginUser;
  *e = (InferenceEstimate){.observations = posterior_count(s), .draws = infer->draws};
  PetscCall(find_shape(s, network, &e->shape, &e->trained));
  PetscCall(network_estimate(&e->shape, batch, NETWORK_INFERENCE, &e->network));
  const PetscInt flows = e->shape.config.flow == FLOW_JOINT ? 1 : 2;
  e->evaluations = flows * sampler_evaluations(&settings);
  e->flops = (double)e->observations * e->draws * PetscMax(e->evaluations, 1) * e->network.forward_flops;
  const double map = (double)e->shape.bins * (double)e->shape.ny * (double)e->shape.nx;
  const double channels = (double)e->shape.observation_channels * (double)e->shape.ny * (double)e->shape.nx;
  /* the sampler's state, what its solver works in, the starting noise, what does not flow; the drawn maps; their
   * moments, twice while joining */
  const double of_pixel =
      (2. * flows + (double)solver->work) * sizeof(Scalar) + (double)solver->more_bytes + sizeof(float);
  e->block_bytes =
      batch * (map * of_pixel + channels * sizeof(Scalar)) + guess_bytes(&e->shape, batch) + map * 4 * sizeof(double);
  const double kept = (double)(infer->observation[0] || keep_maps > e->observations ? e->observations : keep_maps);
  e->file_bytes = sizeof(float) * map * (kept * e->draws + 6. * (double)e->observations);
  PetscFunctionReturn(PETSC_SUCCESS);
}
