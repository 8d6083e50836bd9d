/** All that comes out of a network, for tests of what must not change it. */
#ifndef NEPHRITE_TESTS_NETWORK_OUTCOME_H
#define NEPHRITE_TESTS_NETWORK_OUTCOME_H

#include "example.h"

enum { BATCH = 3 };

/** Outputs, gradients of parameters and of inputs. */
typedef struct {
  Example example;
  NetworkInputGradient bar;
  Scalar *gradient, *x_bar, *theta_bar;
  size_t count;
} Outcome;

static inline Network *outcome_network(const NetworkShape *shape, NetworkMode mode)
{
  Network *network = NULL;

  assert_ok(network_create(shape, BATCH, mode, &network));
  example_weights(network);
  return network;
}

/* Forward once, and backward as often as asked for. */
static inline Outcome outcome_of(const NetworkShape *shape, NetworkMode mode, int times)
{
  Network *network = outcome_network(shape, mode);
  Outcome o = {.example = example_create(shape, BATCH), .count = network_parameter_count(network)};
  Example *e = &o.example;

  o.bar = (NetworkInputGradient){example_array(0, e->shown), example_array(0, e->thetas), example_array(0, e->observed),
                                 example_array(0, BATCH)};
  o.x_bar = example_array(31, e->maps);
  o.theta_bar = example_array(32, e->thetas);
  o.gradient = malloc(o.count * sizeof *o.gradient);
  if (shape->config.dropout > 0) e->input.dropout = e->dropout, e->input.seed = 5;
  assert_ok(network_forward(network, &e->input, e->x, e->theta));
  assert_ok(network_zero_gradient(network));
  for (int i = 0; i < times; i++) assert_ok(network_backward(network, o.x_bar, o.theta_bar, NULL, NULL, &o.bar));
  memcpy(o.gradient, network_gradient(network), o.count * sizeof *o.gradient);
  assert_ok(network_destroy(&network));
  return o;
}

static inline void outcome_destroy(Outcome *o)
{
  example_destroy(&o->example);
  free(o->bar.z), free(o->bar.z_theta), free(o->bar.observation), free(o->bar.t);
  free(o->gradient), free(o->x_bar), free(o->theta_bar);
}

static inline void assert_same_outcome(const Outcome *a, const Outcome *b)
{
  const Example *e = &a->example;

  assert_memory_equal(a->example.x, b->example.x, e->maps * sizeof(Scalar));
  assert_memory_equal(a->example.theta, b->example.theta, e->thetas * sizeof(Scalar));
  assert_memory_equal(a->gradient, b->gradient, a->count * sizeof(Scalar));
  assert_memory_equal(a->bar.z, b->bar.z, e->shown * sizeof(Scalar));
  assert_memory_equal(a->bar.z_theta, b->bar.z_theta, e->thetas * sizeof(Scalar));
  assert_memory_equal(a->bar.observation, b->bar.observation, e->observed * sizeof(Scalar));
  assert_memory_equal(a->bar.t, b->bar.t, BATCH * sizeof(Scalar));
}

#endif
