/** Networks that tests of the network share, and numbers for them. */
#ifndef NEPHRITE_TESTS_NETWORK_EXAMPLE_H
#define NEPHRITE_TESTS_NETWORK_EXAMPLE_H

#include "nephrite_test.h"

#include "nephrite/network.h"

#include <stdlib.h>

/** Everything different from everything else, so that no two sizes can be taken for each other. */
static inline NetworkShape example_shape(void)
{
  return (NetworkShape){.ny = 8,
                        .nx = 12,
                        .bins = 2,
                        .observation_channels = 3,
                        .parameters = 5,
                        .config = {.depth = 4,
                                   .width = 24,
                                   .heads = 3,
                                   .patch = 2,
                                   .observation_patch = 4,
                                   .observation_start = 1,
                                   .cosmology_tokens = 3,
                                   .bottleneck = 7,
                                   .time_frequencies = 10,
                                   .conditioning = CONDITIONING_TOKENS,
                                   .dropout = 0,
                                   .dropout_first = -1,
                                   .dropout_last = -1,
                                   .rms_epsilon = 1e-6,
                                   .time_floor = 0.05,
                                   .rope_base = 1e4,
                                   .time_max_period = 1e4}};
}

/** The published network on the published data. */
static inline NetworkShape published_shape(void)
{
  return (NetworkShape){.ny = 128,
                        .nx = 128,
                        .bins = 5,
                        .observation_channels = 5,
                        .parameters = 6,
                        .config = {.depth = 12,
                                   .width = 768,
                                   .heads = 12,
                                   .patch = 8,
                                   .observation_patch = 8,
                                   .cosmology_tokens = 16,
                                   .bottleneck = 128,
                                   .time_frequencies = 256,
                                   .conditioning = CONDITIONING_TOKENS,
                                   .dropout = 0.3,
                                   .dropout_first = -1,
                                   .dropout_last = -1,
                                   .rms_epsilon = 1e-6,
                                   .time_floor = 0.05,
                                   .rope_base = 1e4,
                                   .time_max_period = 1e4}};
}

/** Standard normal numbers times a scale, a function of seed and index alone. */
static inline void example_numbers(uint64_t index, size_t count, double scale, Scalar *out)
{
  const RandomKey key = {.seed = 11, .stream = STREAM_NOISE, .index = index};

  for (size_t i = 0; i < count; i++) {
    double value;

    random_normal(key, i, 1, &value);
    out[i] = (Scalar)(scale * value);
  }
}

/** Weights in which nothing is zero or one, as after some training: each part of the network matters. */
static inline void example_weights(Network *network)
{
  for (PetscInt i = 0; i < network_tensor_count(network); i++) {
    const NetworkTensor *tensor = network_tensor(network, i);
    Scalar *values = network_weights(network) + tensor->offset;
    const size_t length = strlen(tensor->name);
    const PetscBool norm =
        strstr(tensor->name, "norm") && !strcmp(tensor->name + length - 6, "weight") ? PETSC_TRUE : PETSC_FALSE;

    example_numbers(1000 + (uint64_t)i, tensor->size, 0.3, values);
    for (size_t j = 0; norm && j < tensor->size; j++) values[j] += 1;
  }
}

/** The upper half of a float32. */
static inline double bfloat16_value(uint16_t bits)
{
  const uint32_t whole = (uint32_t)bits << 16;
  float value;

  memcpy(&value, &whole, sizeof value);
  return (double)value;
}

/** Inputs and outputs of one network for a batch. */
typedef struct {
  NetworkInput input;
  size_t maps, shown, observed, thetas; /* numbers in the whole batch */
  Scalar *z, *z_theta, *observation, *summaries, *t, *t_theta, *x, *theta; /* t_theta is not given unless asked for */
  uint64_t dropout[8];
} Example;

static inline Scalar *example_array(uint64_t index, size_t count)
{
  Scalar *values = calloc(count, sizeof *values);

  example_numbers(index, count, 1, values);
  return values;
}

static inline Example example_create(const NetworkShape *shape, PetscInt batch)
{
  const size_t pixels = (size_t)batch * (size_t)shape->ny * (size_t)shape->nx;
  Example e = {.maps = pixels * (size_t)shape->bins,
               .shown = pixels * (size_t)network_map_channels(shape),
               .observed = pixels * (size_t)shape->observation_channels,
               .thetas = (size_t)batch * (size_t)shape->parameters};

  e.z = example_array(1, e.shown);
  e.z_theta = example_array(2, e.thetas);
  e.observation = example_array(3, e.observed);
  e.summaries = example_array(7, (size_t)(batch * network_summary_count(shape)));
  e.t = example_array(4, (size_t)batch);
  e.t_theta = example_array(8, (size_t)batch);
  e.x = example_array(5, e.maps);
  e.theta = example_array(6, e.thetas);
  for (PetscInt b = 0; b < batch; b++) {
    e.t[b] = (Scalar)(0.1 + 0.8 * b / batch);
    e.t_theta[b] = (Scalar)(0.8 - 0.5 * b / batch);
    e.dropout[b] = (uint64_t)(100 + 7 * b);
  }
  e.input = (NetworkInput){
      .batch = batch, .z = e.z, .z_theta = e.z_theta, .observation = e.observation, .summaries = e.summaries, .t = e.t};
  return e;
}

static inline void example_destroy(Example *e)
{
  free(e->z);
  free(e->z_theta);
  free(e->observation);
  free(e->summaries);
  free(e->t);
  free(e->t_theta);
  free(e->x);
  free(e->theta);
}

#endif
