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
  size_t map_size, channel_size, summary_size;
  PetscInt parameters;
  int64_t evaluations; /* of the network, each of one draw */
  Conditioner *conditioner;
  Guess *guess;
  SamplerCondition shown; /* what the network has yet to see; it keeps what depends on it */
  Scalar *channels, *summaries; /* [batch][channel_size], [batch][summary_size] */
  Scalar *z; /* [batch][map_size], and behind the maps at hand [batch][parameters] */
  Scalar *work; /* [solver->work] such */
  Scalar *still, *unwanted; /* [batch][map_size + parameters]; of ::FLOW_PARAMETERS_FIRST, see Batch */
  Scalar *t, *t_theta; /* [batch] */
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
  s->summary_size = (size_t)network_summary_count(shape);
  s->parameters = shape->parameters;
  const size_t numbers = (size_t)batch * (s->map_size + (size_t)s->parameters);
  const size_t aside = shape->config.flow == FLOW_PARAMETERS_FIRST ? numbers : 0;
  PetscCall(PetscMalloc3((size_t)batch * s->channel_size, &s->channels, numbers, &s->z,
                         solver_of(settings)->work * numbers, &s->work));
  PetscCall(PetscMalloc2(batch, &s->t, batch, &s->t_theta));
  PetscCall(PetscCalloc2(aside, &s->still, aside, &s->unwanted));
  PetscCall(PetscMalloc1((size_t)batch * s->summary_size, &s->summaries));
  PetscCall(conditioner_create(shape, &model->normalisation, &s->conditioner));
  PetscCall(guess_create(shape, &model->normalisation, batch, &s->guess));
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
  PetscCall(guess_destroy(&s->guess));
  PetscCall(PetscFree3(s->channels, s->z, s->work));
  PetscCall(PetscFree2(s->t, s->t_theta));
  PetscCall(PetscFree2(s->still, s->unwanted));
  PetscCall(PetscFree(s->summaries));
  PetscCall(PetscFree(*sampler));
  PetscFunctionReturn(PETSC_SUCCESS);
}

int64_t sampler_evaluated(const Sampler *s)
{
  return s->evaluations;
}

/* ---- the flow of a batch ---- */

/* What a flow moves: all, as maps [draws][map_size] and behind them parameters [draws][parameters], or one of them. */
typedef enum { MOVE_ALL, MOVE_PARAMETERS, MOVE_MAPS } Moved;

/* A batch as its flow sees it. */
typedef struct {
  Sampler *sampler;
  const SamplerCondition *condition;
  PetscInt draws;
  Moved moved;
  size_t maps, thetas; /* numbers of all draws */
  PetscInt steps, told; /* of flows before; and of this one */
  const SamplerMonitor *monitor;
} Batch;

static PetscErrorCode check_finite(const Batch *b, const Scalar *x_hat, size_t count)
{
  double sum = 0;

  PetscFunctionBeginUser;
  for (size_t i = 0; i < count; i++) sum += (double)x_hat[i];
  PetscCheck(isfinite(sum), PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "a prediction is not finite: the checkpoint of step %lld has diverged",
             (long long)b->sampler->model->step);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void set_times(const Batch *b, double t)
{
  for (PetscInt d = 0; d < b->draws; d++) {
    b->sampler->t[d] = b->moved == MOVE_PARAMETERS ? 0 : (Scalar)t;
    b->sampler->t_theta[d] = b->moved == MOVE_MAPS ? 1 : (Scalar)t;
  }
}

/* While parameters move there is no map yet, and while maps move parameters stay as they were drawn; what the network
 * says of what does not move is not wanted. */
static PetscErrorCode predict(void *context, const Scalar *z, double t, Scalar *x_hat)
{
  const Batch *b = context;
  Sampler *s = b->sampler;
  const PetscBool of_maps = b->moved == MOVE_PARAMETERS ? PETSC_FALSE : PETSC_TRUE;
  const PetscBool of_thetas = b->moved == MOVE_MAPS ? PETSC_FALSE : PETSC_TRUE;
  const size_t behind = of_maps ? b->maps : 0;
  NetworkInput input = {.batch = b->draws,
                        .z_theta = of_thetas ? z + behind : s->z + b->maps,
                        .observation = s->shown.channels,
                        .summaries = s->shown.summaries,
                        .t = s->t,
                        .t_theta = s->t_theta};

  PetscFunctionBeginUser;
  set_times(b, t);
  PetscCall(PetscLogEventBegin(s->event, 0, 0, 0, 0));
  input.z = guess_maps(s->guess, s->t, of_maps ? z : s->still);
  PetscCall(network_forward(s->network, &input, of_maps ? x_hat : s->unwanted,
                            of_thetas ? x_hat + behind : s->unwanted + b->maps));
  if (of_maps) guess_complete(s->guess, s->t, x_hat);
  PetscCall(PetscLogEventEnd(s->event, 0, 0, 0, 0));
  s->shown = (SamplerCondition){0};
  s->evaluations += b->draws;
  PetscCall(check_finite(b, x_hat, behind + (of_thetas ? b->thetas : 0)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode tell(void *context, PetscInt step, const Scalar *z)
{
  Batch *b = context;
  const Scalar *maps = b->moved == MOVE_PARAMETERS ? b->sampler->z : z;
  const Scalar *thetas = b->moved == MOVE_PARAMETERS ? z
                         : b->moved == MOVE_MAPS     ? b->sampler->z + b->maps
                                                     : z + b->maps;

  PetscFunctionBeginUser;
  b->told = b->steps + step;
  PetscCall(b->monitor->step_done(b->monitor->context, b->told, maps, thetas));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param[in,out] z  what moves */
static PetscErrorCode integrate(Batch *batch, Moved moved, Scalar *z)
{
  Sampler *const s = batch->sampler;
  const size_t maps = moved == MOVE_PARAMETERS ? 0 : batch->maps, thetas = moved == MOVE_MAPS ? 0 : batch->thetas;
  const Flow flow = {.maps = maps,
                     .count = maps + thetas,
                     .time_floor = s->model->shape.config.time_floor,
                     .predict = predict,
                     .step_done = batch->monitor ? tell : NULL,
                     .context = batch};

  PetscFunctionBeginUser;
  batch->moved = moved;
  batch->steps = batch->told;
  set_times(batch, 0);
  guess_observe(s->guess, batch->draws, batch->condition->channels, s->z + batch->maps, s->t_theta);
  PetscCall(solver_of(&s->settings)->integrate(&flow, &s->settings, s->work, z));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode sampler_integrate(Sampler *s, const SamplerCondition *condition, PetscInt draws, Scalar *z,
                                 Scalar *z_theta, const SamplerMonitor *monitor)
{
  Batch batch = {.sampler = s,
                 .condition = condition,
                 .draws = draws,
                 .maps = (size_t)draws * s->map_size,
                 .thetas = (size_t)(draws * s->parameters),
                 .monitor = monitor};

  PetscFunctionBeginUser;
  PetscCheck(draws >= 1 && draws <= s->batch, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "%" PetscInt_FMT " draws at once; the sampler has room for 1 to %" PetscInt_FMT, draws, s->batch);
  memcpy(s->z, z, batch.maps * sizeof *z);
  memcpy(s->z + batch.maps, z_theta, batch.thetas * sizeof *z_theta);
  s->shown = *condition;
  if (s->model->shape.config.flow == FLOW_JOINT) {
    PetscCall(integrate(&batch, MOVE_ALL, s->z));
  } else {
    PetscCall(integrate(&batch, MOVE_PARAMETERS, s->z + batch.maps));
    PetscCall(integrate(&batch, MOVE_MAPS, s->z));
  }
  memcpy(z, s->z, batch.maps * sizeof *z);
  memcpy(z_theta, s->z + batch.maps, batch.thetas * sizeof *z_theta);
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
  conditioner_apply(s->conditioner, channels, s->channels, s->summaries);
  for (size_t d = 1; d < (size_t)count; d++) {
    memcpy(s->channels + d * s->channel_size, s->channels, s->channel_size * sizeof *s->channels);
    if (s->summary_size)
      memcpy(s->summaries + d * s->summary_size, s->summaries, s->summary_size * sizeof *s->summaries);
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
    error = sampler_integrate(s, &(SamplerCondition){s->channels, s->summaries}, range->count, z, z_theta, NULL);
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
