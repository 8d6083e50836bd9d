/* nephrite-test: long
 * The published network at its full size learns, and in the memory that was foretold. */
#include "../network/example.h"

#include "nephrite/training.h"

#include <sys/resource.h>

enum { BATCH = 2, STEPS = 3 };

/** Three steps on the same batch: the loss before each of them, and after all. */
typedef struct {
  double loss[STEPS + 1];
} Course;

static double loss_at(Network *network, Example *e, Scalar *const clean[2], Scalar *const bar[2])
{
  const ObjectiveBatch batch = {BATCH, BATCH, clean[0], clean[1], e->t, NULL, e->x, e->theta};
  Loss loss;

  assert_ok(network_forward(network, &e->input, e->x, e->theta));
  assert_ok(objective_loss(network_shape(network), (ObjectiveWeights){1, 1}, &batch, &loss, bar[0], bar[1]));
  return loss.total / BATCH;
}

/* Maps of unit variance, noisy ones made of them as in training; the same dropout at every step. */
static Example batch_of(const NetworkShape *shape, Scalar *clean[2])
{
  Example e = example_create(shape, BATCH);

  clean[0] = example_array(21, e.maps), clean[1] = example_array(22, e.thetas);
  for (size_t b = 0; b < BATCH; b++) {
    const size_t map = e.maps / BATCH, theta = e.thetas / BATCH;

    objective_mix(map, e.t[b], clean[0] + b * map, e.x + b * map, e.z + b * map); /* x: noise, until it is an answer */
    objective_mix(theta, e.t[b], clean[1] + b * theta, e.theta + b * theta, e.z_theta + b * theta);
  }
  return e;
}

static Course course_of(NetworkMode mode)
{
  const OptimizerConfig config = {.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .clip = 1, .ema_decay = 0.9996};
  const NetworkShape shape = published_shape();
  Scalar *clean[2];
  Example e = batch_of(&shape, clean);
  Scalar *bar[] = {example_array(0, e.maps), example_array(0, e.thetas)};
  Network *network = NULL;
  Optimizer *optimizer = NULL;
  Course course;
  double norm;

  e.input.dropout = e.dropout, e.input.seed = 5;
  assert_ok(network_create(&shape, BATCH, mode, &network));
  assert_ok(network_initialise(network, 1));
  assert_ok(optimizer_create(&config, network_parameter_count(network), network_weights(network), &optimizer));
  for (int step = 1; step <= STEPS; step++) {
    course.loss[step - 1] = loss_at(network, &e, clean, bar);
    assert_ok(network_zero_gradient(network));
    assert_ok(network_backward(network, bar[0], bar[1], NULL, NULL, NULL));
    assert_ok(optimizer_step(optimizer, step, 1e-4, network_weights(network), network_gradient(network), &norm));
  }
  course.loss[STEPS] = loss_at(network, &e, clean, bar);
  assert_ok(optimizer_destroy(&optimizer));
  assert_ok(network_destroy(&network));
  example_destroy(&e);
  free(clean[0]), free(clean[1]), free(bar[0]), free(bar[1]);
  return course;
}

static double peak_gib(void)
{
  struct rusage usage;

  getrusage(RUSAGE_SELF, &usage);
  return (double)usage.ru_maxrss / 0x1p20;
}

static void the_published_network_learns_a_repeated_batch_within_the_memory_foretold(void **state)
{
  const NetworkMode modes[] = {NETWORK_RECOMPUTING,
                               NETWORK_TRAINING}; /* the peak is of all so far: the smaller first */
  const NetworkShape shape = published_shape();
  const double others = 0.2; /* GiB: libraries and the batch */
  Course course[2];

  (void)state;
  for (int i = 0; i < 2; i++) {
    NetworkEstimate estimate;

    course[i] = course_of(modes[i]);
    assert_ok(network_estimate(&shape, BATCH, modes[i], &estimate));
    const double foretold =
        ((double)estimate.arena_bytes + 3 * (double)estimate.parameters * sizeof(Scalar)) / 0x1p30 + others;
    if (!(peak_gib() < foretold && foretold < 12)) fail_msg("%.3f GiB, foretold %.3f", peak_gib(), foretold);
    for (int step = 1; step <= STEPS; step++) {
      assert_true(isfinite(course[i].loss[step]));
      if (!(course[i].loss[step] < course[i].loss[step - 1]))
        fail_msg("loss %.6g after %.6g", course[i].loss[step], course[i].loss[step - 1]);
    }
  }
  assert_memory_equal(&course[0], &course[1], sizeof course[0]);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_published_network_learns_a_repeated_batch_within_the_memory_foretold))
