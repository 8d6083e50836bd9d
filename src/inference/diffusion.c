/** \file diffusion.c  Heun's method on the probability-flow ODE of the network.  \ingroup inference
 *
 * v(z, t) = (x_hat(z, t) - z) / max(1 - t, tau) for map and parameters alike, from t = 0 (noise) to 1 (network.md, 8).
 */
#include "nephrite/inference.h"

#include <math.h>
#include <string.h>

struct Sampler {
  const Model *model;
  Network *network;
  PetscInt batch, steps;
  SamplerClosing closing;
  size_t map_size, channel_size;
  PetscInt parameters;
  const Scalar *shown; /* channels the network has yet to see; it keeps what depends on them */
  Scalar *channels; /* [batch][channel_size] */
  Scalar *z, *z_theta; /* [batch][map_size], [batch][parameters]: state */
  Scalar *moved, *moved_theta; /* z + h a */
  Scalar *x_hat, *theta_hat; /* the network's answer */
  Scalar *velocity, *velocity_theta; /* a */
  Scalar *late_velocity, *late_velocity_theta; /* b */
  Scalar *t; /* [batch] */
  PetscLogEvent event; /* an evaluation of the network */
};

PetscInt sampler_steps(PetscInt evaluations, SamplerClosing closing)
{
  const PetscInt extra[] = {[CLOSING_PREDICTION] = 1, [CLOSING_HEUN] = 0, [CLOSING_PUBLISHED] = -1};

  return (evaluations + extra[closing]) / 2;
}

PetscErrorCode sampler_create(const Model *model, PetscInt batch, PetscInt steps, SamplerClosing closing,
                              Sampler **sampler)
{
  const NetworkShape *shape = &model->shape;
  Sampler *s = NULL;

  PetscFunctionBeginUser;
  PetscCheck(steps >= 2 || (steps >= 1 && closing != CLOSING_PREDICTION), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%" PetscInt_FMT " steps are too few for a draw", steps);
  PetscCall(PetscNew(&s));
  *sampler = s;
  PetscCall(log_event("draw network", &s->event));
  s->model = model;
  s->batch = batch;
  s->steps = steps;
  s->closing = closing;
  s->map_size = (size_t)(shape->bins * shape->ny * shape->nx);
  s->channel_size = (size_t)(shape->observation_channels * shape->ny * shape->nx);
  s->parameters = shape->parameters;
  const size_t maps = (size_t)batch * s->map_size, thetas = (size_t)(batch * s->parameters);
  PetscCall(PetscMalloc2((size_t)batch * s->channel_size, &s->channels, batch, &s->t));
  PetscCall(PetscMalloc5(maps, &s->z, maps, &s->moved, maps, &s->x_hat, maps, &s->velocity, maps, &s->late_velocity));
  PetscCall(PetscMalloc5(thetas, &s->z_theta, thetas, &s->moved_theta, thetas, &s->theta_hat, thetas,
                         &s->velocity_theta, thetas, &s->late_velocity_theta));
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
  PetscCall(PetscFree2(s->channels, s->t));
  PetscCall(PetscFree5(s->z, s->moved, s->x_hat, s->velocity, s->late_velocity));
  PetscCall(PetscFree5(s->z_theta, s->moved_theta, s->theta_hat, s->velocity_theta, s->late_velocity_theta));
  PetscCall(PetscFree(*sampler));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The network's prediction at (z, t), in s->x_hat and s->theta_hat. */
static PetscErrorCode predict(Sampler *s, PetscInt draws, const Scalar *z, const Scalar *z_theta, double t)
{
  NetworkInput input = {.batch = draws, .z = z, .z_theta = z_theta, .observation = s->shown, .t = s->t};

  PetscFunctionBeginUser;
  for (PetscInt d = 0; d < draws; d++) s->t[d] = (Scalar)t;
  PetscCall(PetscLogEventBegin(s->event, 0, 0, 0, 0));
  PetscCall(network_forward(s->network, &input, s->x_hat, s->theta_hat));
  PetscCall(PetscLogEventEnd(s->event, 0, 0, 0, 0));
  s->shown = NULL;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void velocity_of(size_t count, double t, double floor, const Scalar *prediction, const Scalar *z,
                        Scalar *velocity)
{
  const Scalar rate = (Scalar)(1 / fmax(1 - t, floor));

  for (size_t i = 0; i < count; i++) velocity[i] = (prediction[i] - z[i]) * rate;
}

/* out = z + h a, or z + h (a + b)/2 where b is given. */
static void move(size_t count, double h, const Scalar *z, const Scalar *a, const Scalar *b, Scalar *out)
{
  const Scalar step = (Scalar)(b ? h / 2 : h);

  for (size_t i = 0; i < count; i++) out[i] = z[i] + step * (b ? a[i] + b[i] : a[i]);
}

/* One step of Heun's method from t to t + h; leaves v(z, t) in s->velocity. */
static PetscErrorCode heun_step(Sampler *s, PetscInt draws, double t, double h)
{
  const size_t maps = (size_t)draws * s->map_size, thetas = (size_t)(draws * s->parameters);
  const double floor = s->model->shape.config.time_floor;

  PetscFunctionBeginUser;
  PetscCall(predict(s, draws, s->z, s->z_theta, t));
  velocity_of(maps, t, floor, s->x_hat, s->z, s->velocity);
  velocity_of(thetas, t, floor, s->theta_hat, s->z_theta, s->velocity_theta);
  move(maps, h, s->z, s->velocity, NULL, s->moved);
  move(thetas, h, s->z_theta, s->velocity_theta, NULL, s->moved_theta);
  PetscCall(predict(s, draws, s->moved, s->moved_theta, t + h));
  velocity_of(maps, t + h, floor, s->x_hat, s->moved, s->late_velocity);
  velocity_of(thetas, t + h, floor, s->theta_hat, s->moved_theta, s->late_velocity_theta);
  move(maps, h, s->z, s->velocity, s->late_velocity, s->z);
  move(thetas, h, s->z_theta, s->velocity_theta, s->late_velocity_theta, s->z_theta);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The last move: onto the prediction at t = 1 - h, or one more Euler step with the velocity at that time. */
static PetscErrorCode close_draws(Sampler *s, PetscInt draws, double h)
{
  const size_t maps = (size_t)draws * s->map_size, thetas = (size_t)(draws * s->parameters);
  const double floor = s->model->shape.config.time_floor;

  PetscFunctionBeginUser;
  PetscCall(predict(s, draws, s->z, s->z_theta, 1 - h));
  if (s->closing == CLOSING_PREDICTION) {
    memcpy(s->z, s->x_hat, maps * sizeof *s->z);
    memcpy(s->z_theta, s->theta_hat, thetas * sizeof *s->z_theta);
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  velocity_of(maps, 1 - h, floor, s->x_hat, s->z, s->velocity);
  velocity_of(thetas, 1 - h, floor, s->theta_hat, s->z_theta, s->velocity_theta);
  move(maps, h, s->z, s->velocity, NULL, s->z);
  move(thetas, h, s->z_theta, s->velocity_theta, NULL, s->z_theta);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_finite(const Sampler *s, PetscInt draws)
{
  PetscFunctionBeginUser;
  for (PetscInt d = 0; d < draws; d++) {
    double sum = 0;

    for (size_t i = 0; i < s->map_size; i++) sum += s->z[(size_t)d * s->map_size + i];
    for (PetscInt p = 0; p < s->parameters; p++) sum += s->z_theta[d * s->parameters + p];
    PetscCheck(isfinite(sum), PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
               "a draw is not finite: the checkpoint of step %lld has diverged", (long long)s->model->step);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode tell(const Sampler *s, const SamplerMonitor *monitor, PetscInt step)
{
  PetscFunctionBeginUser;
  if (monitor) PetscCall(monitor->step_done(monitor->context, step, s->z, s->z_theta));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode sampler_integrate(Sampler *s, const Scalar *channels, PetscInt draws, Scalar *z, Scalar *z_theta,
                                 const SamplerMonitor *monitor)
{
  const size_t maps = (size_t)draws * s->map_size, thetas = (size_t)(draws * s->parameters);
  const PetscInt heun_steps = s->closing == CLOSING_PREDICTION ? s->steps - 1 : s->steps;
  const double h = 1. / (double)s->steps;

  PetscFunctionBeginUser;
  PetscCheck(draws >= 1 && draws <= s->batch, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "%" PetscInt_FMT " draws at once; the sampler has room for 1 to %" PetscInt_FMT, draws, s->batch);
  memcpy(s->z, z, maps * sizeof *z);
  memcpy(s->z_theta, z_theta, thetas * sizeof *z_theta);
  s->shown = channels;
  for (PetscInt i = 0; i < heun_steps; i++) {
    PetscCall(heun_step(s, draws, (double)i * h, h));
    PetscCall(tell(s, monitor, i + 1));
  }
  if (s->closing != CLOSING_HEUN) {
    PetscCall(close_draws(s, draws, h));
    PetscCall(tell(s, monitor, heun_steps + 1));
  }
  PetscCall(check_finite(s, draws));
  memcpy(z, s->z, maps * sizeof *z);
  memcpy(z_theta, s->z_theta, thetas * sizeof *z_theta);
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

/* Channel c is of bin c modulo the number of bins and enters in units of its map's standard deviation; a mask or
 * weights stay as they are.  One copy for each of \p count draws. */
static void normalise_channels(const Sampler *s, const float *channels, PetscInt count)
{
  const NetworkShape *shape = &s->model->shape;
  const size_t pixels = (size_t)(shape->ny * shape->nx);
  const PetscInt data = observation_data_channels(shape->bins, shape->observation_channels);

  for (PetscInt c = 0; c < shape->observation_channels; c++) {
    const Scalar factor = c >= data ? 1 : (Scalar)(1 / s->model->normalisation.map_std[c % shape->bins]);

    for (size_t i = (size_t)c * pixels; i < (size_t)(c + 1) * pixels; i++)
      s->channels[i] = factor * (Scalar)channels[i];
  }
  for (PetscInt d = 1; d < count; d++)
    memcpy(s->channels + (size_t)d * s->channel_size, s->channels, s->channel_size * sizeof *s->channels);
}

static void to_physical(const Sampler *s, const Scalar *z, const Scalar *z_theta, float *kappa, double *theta)
{
  const Normalisation *n = &s->model->normalisation;
  const size_t pixels = s->map_size / (size_t)s->model->shape.bins;

  for (size_t i = 0; i < s->map_size; i++) kappa[i] = (float)(n->map_std[i / pixels] * z[i]);
  for (PetscInt p = 0; p < s->parameters; p++) theta[p] = n->theta_mean[p] + n->theta_std[p] * z_theta[p];
}

static PetscErrorCode draw_batch(Sampler *s, const SamplerRange *range, float *kappa, double *theta)
{
  Scalar *z = NULL, *z_theta = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc2((size_t)range->count * s->map_size, &z, (size_t)(range->count * s->parameters), &z_theta));
  PetscErrorCode error = starting_noise(s, range, z, z_theta);
  if (!error) error = sampler_integrate(s, s->channels, range->count, z, z_theta, NULL);
  for (PetscInt d = 0; d < range->count && !error; d++)
    to_physical(s, z + (size_t)d * s->map_size, z_theta + d * s->parameters, kappa + (size_t)d * s->map_size,
                theta + d * s->parameters);
  PetscCall(PetscFree2(z, z_theta));
  PetscFunctionReturn(error);
}

PetscErrorCode sampler_draw(Sampler *s, const float *channels, const SamplerRange *range, float *kappa, double *theta)
{
  PetscFunctionBeginUser;
  normalise_channels(s, channels, PetscMin(s->batch, range->count));
  for (PetscInt done = 0; done < range->count; done += s->batch) {
    const SamplerRange batch = {range->key, range->first + done, PetscMin(s->batch, range->count - done)};

    PetscCall(draw_batch(s, &batch, kappa + (size_t)done * s->map_size, theta + done * s->parameters));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
