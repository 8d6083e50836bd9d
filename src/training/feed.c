/** \file feed.c  Batches: map from a source, flips, observation, diffusion noise and time.  \ingroup training */
#include "internal.h"

#include <omp.h>
#include <string.h>

/* PETSc's stack of callers, kept in its debug build, belongs to one thread. */
#ifdef PETSC_USE_DEBUG
enum { THREADED = 0 };
#else
enum { THREADED = 1 };
#endif

/* What one thread works with. */
typedef struct {
  Exposure *exposure;
  Conditioner *conditioner;
  float *kappa; /* [bins][ny][nx] flipped map */
  Scalar *noise; /* [bins][ny][nx] */
} Worker;

struct Feed {
  NetworkShape shape;
  Normalisation normalisation;
  double time_mean, time_scale;
  PetscInt capacity;
  int worker_count;
  Worker *workers; /* [worker_count] */
  Batch batch;
  float *kappa; /* [capacity][bins][ny][nx] */
  double *theta; /* [capacity][parameters] */
  uint64_t *keys; /* [capacity] index of each sample's random numbers */
  int64_t *realisation; /* [capacity] */
};

static size_t plane(const NetworkShape *shape)
{
  return (size_t)shape->ny * (size_t)shape->nx;
}

static size_t map_size(const NetworkShape *shape)
{
  return (size_t)shape->bins * plane(shape);
}

static size_t observation_size(const NetworkShape *shape)
{
  return (size_t)shape->observation_channels * plane(shape);
}

static PetscErrorCode worker_create(const NetworkShape *shape, const SurveyConfig *survey,
                                    const Normalisation *normalisation, Worker *worker)
{
  PetscFunctionBeginUser;
  PetscCall(exposure_create(survey, &worker->exposure));
  PetscCheck(exposure_channels(worker->exposure) == shape->observation_channels, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "an observation has %d channels, the network %d", (int)exposure_channels(worker->exposure),
             (int)shape->observation_channels);
  PetscCall(conditioner_create(shape, normalisation, &worker->conditioner));
  PetscCall(PetscMalloc1(map_size(shape), &worker->kappa));
  PetscCall(PetscMalloc1(map_size(shape), &worker->noise));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode worker_destroy(Worker *worker)
{
  PetscFunctionBeginUser;
  PetscCall(exposure_destroy(&worker->exposure));
  PetscCall(conditioner_destroy(&worker->conditioner));
  PetscCall(PetscFree(worker->kappa));
  PetscCall(PetscFree(worker->noise));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode batch_create(const NetworkShape *shape, PetscInt capacity, Batch *batch)
{
  const size_t samples = (size_t)capacity;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1(samples * map_size(shape), &batch->x));
  PetscCall(PetscMalloc1(samples * map_size(shape), &batch->z));
  PetscCall(PetscMalloc1(samples * (size_t)shape->parameters, &batch->theta));
  PetscCall(PetscMalloc1(samples * (size_t)shape->parameters, &batch->z_theta));
  PetscCall(PetscMalloc1(samples * observation_size(shape), &batch->observation));
  PetscCall(PetscMalloc1(samples * (size_t)network_summary_count(shape), &batch->summaries));
  PetscCall(PetscMalloc1(samples, &batch->t));
  PetscCall(PetscMalloc1(samples, &batch->t_theta));
  PetscCall(PetscMalloc1(samples, &batch->dropout));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode batch_destroy(Batch *batch)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(batch->x));
  PetscCall(PetscFree(batch->z));
  PetscCall(PetscFree(batch->theta));
  PetscCall(PetscFree(batch->z_theta));
  PetscCall(PetscFree(batch->observation));
  PetscCall(PetscFree(batch->summaries));
  PetscCall(PetscFree(batch->t));
  PetscCall(PetscFree(batch->t_theta));
  PetscCall(PetscFree(batch->dropout));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode feed_create(const NetworkShape *shape, const SurveyConfig *survey, const TrainConfig *train,
                           const Normalisation *normalisation, PetscInt capacity, Feed **feed)
{
  Feed *f = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&f));
  *feed = f;
  f->shape = *shape;
  f->normalisation = *normalisation;
  f->time_mean = train->time_mean;
  f->time_scale = train->time_scale;
  f->capacity = capacity;
  f->worker_count = THREADED ? omp_get_max_threads() : 1;
  PetscCall(PetscCalloc1(f->worker_count, &f->workers));
  for (int w = 0; w < f->worker_count; w++) PetscCall(worker_create(shape, survey, normalisation, &f->workers[w]));
  PetscCall(batch_create(shape, capacity, &f->batch));
  PetscCall(PetscMalloc1((size_t)capacity * map_size(shape), &f->kappa));
  PetscCall(PetscMalloc1((size_t)capacity * (size_t)shape->parameters, &f->theta));
  PetscCall(PetscMalloc1((size_t)capacity, &f->keys));
  PetscCall(PetscMalloc1((size_t)capacity, &f->realisation));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode feed_destroy(Feed **feed)
{
  PetscFunctionBeginUser;
  if (!*feed) PetscFunctionReturn(PETSC_SUCCESS);
  for (int w = 0; (*feed)->workers && w < (*feed)->worker_count; w++) PetscCall(worker_destroy(&(*feed)->workers[w]));
  PetscCall(PetscFree((*feed)->workers));
  PetscCall(batch_destroy(&(*feed)->batch));
  PetscCall(PetscFree((*feed)->kappa));
  PetscCall(PetscFree((*feed)->theta));
  PetscCall(PetscFree((*feed)->keys));
  PetscCall(PetscFree((*feed)->realisation));
  PetscCall(PetscFree(*feed));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Two flips with probability 1/2 each; the observation is made of the flipped map. */
static void flip(const NetworkShape *shape, RandomKey key, const float *restrict kappa, float *restrict flipped)
{
  const size_t ny = (size_t)shape->ny, nx = (size_t)shape->nx;
  double u[2]; /* of y, of x */

  random_uniform(key, 0, 2, u);
  for (size_t bin = 0; bin < (size_t)shape->bins; bin++)
    for (size_t y = 0; y < ny; y++) {
      const float *row = kappa + (bin * ny + (u[0] < 0.5 ? ny - 1 - y : y)) * nx;
      float *out = flipped + (bin * ny + y) * nx;

      for (size_t x = 0; x < nx; x++) out[x] = row[u[1] < 0.5 ? nx - 1 - x : x];
    }
}

static void normals(RandomKey key, uint64_t position, size_t count, Scalar *out)
{
#ifdef NEPHRITE_FLOAT64
  random_normal(key, position, count, out);
#else
  random_normal_float(key, position, count, out);
#endif
}

/* Times and noise of sample b, and with them the noisy data.  Diffusion noise: first the map's, then the parameters'.
 */
static void diffuse(Feed *f, Worker *worker, int64_t seed, size_t b)
{
  const size_t size = map_size(&f->shape), parameters = (size_t)f->shape.parameters;
  const RandomKey noise = {(uint64_t)seed, STREAM_DIFFUSION_NOISE, f->keys[b]};
  Batch *batch = &f->batch;
  const NetworkFlow flow = (NetworkFlow)f->shape.config.flow;
  Scalar theta_noise[NEPHRITE_MAX_PARAMETERS];
  double normal;

  random_normal((RandomKey){(uint64_t)seed, STREAM_TIME, f->keys[b]}, 0, 1, &normal);
  objective_times(flow, f->keys[b], objective_time(f->time_mean, f->time_scale, normal), &batch->t[b],
                  &batch->t_theta[b]);
  if (flow == FLOW_PARAMETERS_FIRST && batch->t[b] == 0) /* of a map that is not on its way yet nothing is shown */
    memset(batch->z + b * size, 0, size * sizeof *batch->z);
  else {
    normals(noise, 0, size, worker->noise);
    objective_mix(size, batch->t[b], batch->x + b * size, worker->noise, batch->z + b * size);
  }
  normals(noise, size, parameters, theta_noise);
  objective_mix(parameters, batch->t_theta[b], batch->theta + b * parameters, theta_noise,
                batch->z_theta + b * parameters);
}

/* Sample b from f->kappa and f->theta, everything random keyed by f->keys[b]. */
static PetscErrorCode prepare(Feed *f, Worker *worker, int64_t seed, PetscBool flipped, size_t b)
{
  const NetworkShape *shape = &f->shape;
  const Normalisation *normalisation = &f->normalisation;
  const size_t size = map_size(shape), parameters = (size_t)shape->parameters;
  const RandomKey shape_noise = {(uint64_t)seed, STREAM_NOISE, f->keys[b]};
  const float *kappa = f->kappa + b * size;
  const float *channels = NULL;
  const size_t told = (size_t)network_summary_count(shape);
  Scalar *summaries = told ? f->batch.summaries + b * told : NULL;

  PetscFunctionBeginUser;
  if (flipped) {
    flip(shape, (RandomKey){(uint64_t)seed, STREAM_AUGMENTATION, f->keys[b]}, kappa, worker->kappa);
    kappa = worker->kappa;
  }
  PetscCall(exposure_take(worker->exposure, shape_noise, kappa, &channels));
  conditioner_apply(worker->conditioner, channels, f->batch.observation + b * observation_size(shape), summaries);
  for (size_t bin = 0; bin < (size_t)shape->bins; bin++) {
    const Scalar factor = (Scalar)(1 / normalisation->map_std[bin]);

    for (size_t i = bin * plane(shape); i < (bin + 1) * plane(shape); i++)
      f->batch.x[b * size + i] = factor * (Scalar)kappa[i];
  }
  PetscCall(normalise_parameters(normalisation, f->theta + b * parameters, f->batch.theta + b * parameters));
  diffuse(f, worker, seed, b);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode prepare_all(Feed *f, int64_t seed, PetscBool flipped, PetscInt count)
{
  PetscErrorCode first_error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
#pragma omp parallel for schedule(static) num_threads(f->worker_count)
  for (PetscInt b = 0; b < count; b++) {
    const PetscErrorCode error = prepare(f, &f->workers[omp_get_thread_num()], seed, flipped, (size_t)b);

    if (error) {
#pragma omp critical
      first_error = error;
    }
  }
  PetscCall(first_error);
  f->batch.count = count;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Maps and parameters of items first … first + count-1, one after another: HDF5 is not for threads. */
static PetscErrorCode get_maps(Feed *f, BatchSource *source, int64_t first, PetscInt count, int64_t *realisation)
{
  PetscFunctionBeginUser;
  PetscAssert(count <= f->capacity, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "%d samples in a batch for %d", (int)count,
              (int)f->capacity);
  for (PetscInt b = 0; b < count; b++)
    PetscCall(batch_source_get(source, first + b, f->kappa + (size_t)b * map_size(&f->shape),
                               f->theta + b * f->shape.parameters, realisation ? realisation + b : NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode feed_training(Feed *feed, BatchSource *source, int64_t seed, int64_t first, PetscInt count,
                             const Batch **batch)
{
  PetscFunctionBeginUser;
  PetscCall(get_maps(feed, source, first, count, NULL));
  for (PetscInt b = 0; b < count; b++) {
    feed->keys[b] = TRAINING_KEY | (uint64_t)(first + b);
    feed->batch.dropout[b] = (uint64_t)(first + b);
  }
  PetscCall(prepare_all(feed, seed, PETSC_TRUE, count));
  *batch = &feed->batch;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode feed_validation(Feed *feed, BatchSource *source, int64_t seed, int64_t first, PetscInt count,
                               const Batch **batch)
{
  PetscFunctionBeginUser;
  PetscCall(get_maps(feed, source, first, count, feed->realisation));
  for (PetscInt b = 0; b < count; b++) feed->keys[b] = VALIDATION_KEY | (uint64_t)feed->realisation[b];
  PetscCall(prepare_all(feed, seed, PETSC_FALSE, count));
  *batch = &feed->batch;
  PetscFunctionReturn(PETSC_SUCCESS);
}
