/** \file diffusion.c  Draws of map and parameters by the probability-flow ODE of the network.  \ingroup inference
 *
 * What is here knows of networks, keys and units; how the flow is integrated is in solver.h.
 */
#include "inference/solver.h"

#include <math.h>
#include <string.h>

struct Sampler {
  const Model *model;
  Network *network;
  SamplerSettings settings;
  PetscInt batch;
  size_t map_size, channel_size, spectra_size;
  PetscInt parameters;
  int64_t evaluations; /* of the network, each of one draw */
  Conditioner *conditioner;
  SamplerCondition shown; /* what the network has yet to see; it keeps what depends on it */
  Scalar *channels, *spectra; /* [batch][channel_size], [batch][spectra_size] */
  Scalar *z; /* [batch][map_size], and behind the maps at hand [batch][parameters] */
  Scalar *work; /* [solver->work] such */
  Scalar *t; /* [batch] */
  PetscLogEvent event; /* an evaluation of the network */
};

PetscErrorCode sampler_create(const Model *model, PetscInt batch, const SamplerSettings *settings, Sampler **sampler)
{
  const NetworkShape *shape = &model->shape;
  Sampler *s = NULL;

  PetscFunctionBeginUser;
  PetscCall(solver_check(settings));
  PetscCall(PetscNew(&s));
  *sampler = s;
  PetscCall(log_event("draw network", &s->event));
  s->model = model;
  s->batch = batch;
  s->settings = *settings;
  s->map_size = (size_t)(shape->bins * shape->ny * shape->nx);
  s->channel_size = (size_t)(shape->observation_channels * shape->ny * shape->nx);
  s->spectra_size = (size_t)network_spectra_count(shape);
  s->parameters = shape->parameters;
  const size_t numbers = (size_t)batch * (s->map_size + (size_t)s->parameters);
  PetscCall(PetscMalloc4((size_t)batch * s->channel_size, &s->channels, batch, &s->t, numbers, &s->z,
                         solver_of(settings)->work * numbers, &s->work));
  PetscCall(PetscMalloc1((size_t)batch * s->spectra_size, &s->spectra));
  PetscCall(conditioner_create(shape, &model->normalisation, &s->conditioner));
  PetscCall(network_create(shape, batch, NETWORK_INFERENCE, &s->network));
  PetscCheck(network_parameter_count(s->network) == model->weight_count, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "the checkpoint holds %zu weights; its network has %zu", model->weight_count,
             network_parameter_count(s->network));
  memcpy(network_weights(s->network), model->weights, model->weight_count * sizeof *model->weights);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode sampler_destroy(Sampler **sampler)
{
  Sampler *s = *sampler;

  PetscFunctionBeginUser;
  if (!s) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(network_destroy(&s->network));
  PetscCall(conditioner_destroy(&s->conditioner));
  PetscCall(PetscFree4(s->channels, s->t, s->z, s->work));
  PetscCall(PetscFree(s->spectra));
  PetscCall(PetscFree(*sampler));
  PetscFunctionReturn(PETSC_SUCCESS);
}

int64_t sampler_evaluated(const Sampler *s)
{
  return s->evaluations;
}

/* ---- the flow of a batch ---- */

/* A batch as its flow sees it: maps [draws][map_size] and behind them parameters [draws][parameters]. */
typedef struct {
  Sampler *sampler;
  PetscInt draws;
  size_t maps; /* draws map_size */
  const SamplerMonitor *monitor;
} Batch;

static PetscErrorCode check_finite(const Batch *b, const Scalar *x_hat)
{
  const Sampler *s = b->sampler;
  double sum = 0;

  PetscFunctionBeginUser;
  for (size_t i = 0; i < b->maps + (size_t)(b->draws * s->parameters); i++) sum += (double)x_hat[i];
  PetscCheck(isfinite(sum), PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "a prediction is not finite: the checkpoint of step %lld has diverged", (long long)s->model->step);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode predict(void *context, const Scalar *z, double t, Scalar *x_hat)
{
  const Batch *b = context;
  Sampler *s = b->sampler;
  NetworkInput input = {.batch = b->draws,
                        .z = z,
                        .z_theta = z + b->maps,
                        .observation = s->shown.channels,
                        .spectra = s->shown.spectra,
                        .t = s->t};

  PetscFunctionBeginUser;
  for (PetscInt d = 0; d < b->draws; d++) s->t[d] = (Scalar)t;
  PetscCall(PetscLogEventBegin(s->event, 0, 0, 0, 0));
  PetscCall(network_forward(s->network, &input, x_hat, x_hat + b->maps));
  PetscCall(PetscLogEventEnd(s->event, 0, 0, 0, 0));
  s->shown = (SamplerCondition){0};
  s->evaluations += b->draws;
  PetscCall(check_finite(b, x_hat));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode tell(void *context, PetscInt step, const Scalar *z)
{
  const Batch *b = context;

  PetscFunctionBeginUser;
  PetscCall(b->monitor->step_done(b->monitor->context, step, z, z + b->maps));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode sampler_integrate(Sampler *s, const SamplerCondition *condition, PetscInt draws, Scalar *z,
                                 Scalar *z_theta, const SamplerMonitor *monitor)
{
  const size_t maps = (size_t)draws * s->map_size, thetas = (size_t)(draws * s->parameters);
  Batch batch = {s, draws, maps, monitor};
  const Flow flow = {.maps = maps,
                     .count = maps + thetas,
                     .time_floor = s->model->shape.config.time_floor,
                     .predict = predict,
                     .step_done = monitor ? tell : NULL,
                     .context = &batch};

  PetscFunctionBeginUser;
  PetscCheck(draws >= 1 && draws <= s->batch, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "%" PetscInt_FMT " draws at once; the sampler has room for 1 to %" PetscInt_FMT, draws, s->batch);
  memcpy(s->z, z, maps * sizeof *z);
  memcpy(s->z + maps, z_theta, thetas * sizeof *z_theta);
  s->shown = *condition;
  PetscCall(solver_of(&s->settings)->integrate(&flow, &s->settings, s->work, s->z));
  memcpy(z, s->z, maps * sizeof *z);
  memcpy(z_theta, s->z + maps, thetas * sizeof *z_theta);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- keyed draws in physical units ---- */

static PetscErrorCode starting_noise(const Sampler *s, const SamplerRange *range, Scalar *z, Scalar *z_theta)
{
  const size_t numbers = s->map_size + (size_t)s->parameters;
  double *normal = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1(numbers, &normal));
  for (PetscInt d = 0; d < range->count; d++) {
    random_normal(range->key, (uint64_t)(range->first + d) * numbers, numbers, normal);
    for (size_t i = 0; i < s->map_size; i++) z[(size_t)d * s->map_size + i] = (Scalar)normal[i];
    for (PetscInt p = 0; p < s->parameters; p++)
      z_theta[d * s->parameters + p] = (Scalar)normal[s->map_size + (size_t)p];
  }
  PetscCall(PetscFree(normal));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* One copy of what the network is told for each of \p count draws. */
static void tell_all(Sampler *s, const float *channels, PetscInt count)
{
  conditioner_apply(s->conditioner, channels, s->channels, s->spectra);
  for (size_t d = 1; d < (size_t)count; d++) {
    memcpy(s->channels + d * s->channel_size, s->channels, s->channel_size * sizeof *s->channels);
    if (s->spectra_size) memcpy(s->spectra + d * s->spectra_size, s->spectra, s->spectra_size * sizeof *s->spectra);
  }
}

static void to_physical(const Sampler *s, const Scalar *z, const Scalar *z_theta, float *kappa, double *theta)
{
  const Normalisation *n = &s->model->normalisation;
  const size_t pixels = s->map_size / (size_t)s->model->shape.bins;

  for (size_t i = 0; i < s->map_size; i++) kappa[i] = (float)(n->map_std[i / pixels] * z[i]);
  restore_parameters(n, z_theta, theta);
}

static PetscErrorCode draw_batch(Sampler *s, const SamplerRange *range, float *kappa, double *theta)
{
  Scalar *z = NULL, *z_theta = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc2((size_t)range->count * s->map_size, &z, (size_t)(range->count * s->parameters), &z_theta));
  PetscErrorCode error = starting_noise(s, range, z, z_theta);
  if (!error)
    error = sampler_integrate(s, &(SamplerCondition){s->channels, s->spectra}, range->count, z, z_theta, NULL);
  for (PetscInt d = 0; d < range->count && !error; d++)
    to_physical(s, z + (size_t)d * s->map_size, z_theta + d * s->parameters, kappa + (size_t)d * s->map_size,
                theta + d * s->parameters);
  PetscCall(PetscFree2(z, z_theta));
  PetscFunctionReturn(error);
}

PetscErrorCode sampler_draw(Sampler *s, const float *channels, const SamplerRange *range, float *kappa, double *theta)
{
  PetscFunctionBeginUser;
  tell_all(s, channels, PetscMin(s->batch, range->count));
  for (PetscInt done = 0; done < range->count; done += s->batch) {
    const SamplerRange batch = {range->key, range->first + done, PetscMin(s->batch, range->count - done)};

    PetscCall(draw_batch(s, &batch, kappa + (size_t)done * s->map_size, theta + done * s->parameters));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
