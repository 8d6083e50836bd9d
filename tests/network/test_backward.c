#include "example.h"

#include <omp.h>

/** A network that has run forward, with some gradient of its outputs. */
typedef struct {
  Network *network;
  Example example;
  Scalar *x_bar, *theta_bar;
} Run;

static Run run_create(const NetworkShape *shape, PetscInt batch)
{
  Run r = {.example = example_create(shape, batch)};

  assert_ok(network_create(shape, batch + 1, NETWORK_TRAINING, &r.network)); /* room for more than is used */
  example_weights(r.network);
  r.x_bar = example_array(31, r.example.maps);
  r.theta_bar = example_array(32, r.example.thetas);
  assert_ok(network_forward(r.network, &r.example.input, r.example.x, r.example.theta));
  return r;
}

static void run_destroy(Run *r)
{
  assert_ok(network_destroy(&r->network));
  example_destroy(&r->example);
  free(r->x_bar);
  free(r->theta_bar);
}

static void backward(Run *r, GradientReady ready, void *context)
{
  assert_ok(network_backward(r->network, r->x_bar, r->theta_bar, ready, context, NULL));
}

/** What has been announced: the gradient as it was then. */
typedef struct {
  const Network *network;
  const Scalar *gradient;
  Scalar *copy;
  size_t end;
  int calls;
} Announced;

static PetscErrorCode keep(void *context, size_t offset, size_t count)
{
  Announced *a = context;

  assert_true(offset + count == a->end); /* decreasing, without gaps or overlap */
  memcpy(a->copy + offset, a->gradient + offset, count * sizeof *a->copy);
  a->end = offset;
  a->calls++;
  return PETSC_SUCCESS;
}

static void gradients_are_announced_from_the_end_when_they_are_final(void **state)
{
  const NetworkShape shape = example_shape();
  Run r = run_create(&shape, 2);
  const size_t count = network_parameter_count(r.network);
  Announced a = {r.network, network_gradient(r.network), malloc(count * sizeof(Scalar)), count, 0};

  (void)state;
  backward(&r, keep, &a);
  assert_true(a.end == 0);
  assert_int_equal(a.calls, 4 + 3); /* heads, four blocks, embeddings, time */
  assert_memory_equal(a.copy, network_gradient(r.network), count * sizeof *a.copy);
  free(a.copy);
  run_destroy(&r);
}

static PetscErrorCode refuse(void *context, size_t offset, size_t count)
{
  (void)context, (void)offset, (void)count;
  return NEPHRITE_ERR_INTERRUPTED;
}

static void an_error_of_the_listener_is_backward_s(void **state)
{
  const NetworkShape shape = example_shape();
  Run r = run_create(&shape, 2);

  (void)state;
  assert_int_equal(network_backward(r.network, r.x_bar, r.theta_bar, refuse, NULL, NULL), NEPHRITE_ERR_INTERRUPTED);
  run_destroy(&r);
}

static void gradients_add_up_until_they_are_zeroed(void **state)
{
  const NetworkShape shape = example_shape();
  Run r = run_create(&shape, 2);
  const size_t count = network_parameter_count(r.network);
  Scalar *once = malloc(count * sizeof *once), *gradient = network_gradient(r.network);

  (void)state;
  backward(&r, NULL, NULL);
  memcpy(once, gradient, count * sizeof *once);
  backward(&r, NULL, NULL);
  for (size_t i = 0; i < count; i++) /* the second sum starts elsewhere, so it rounds differently */
    assert_within((double)gradient[i], 2 * (double)once[i], 1e-4 * (1 + fabs((double)once[i])));
  for (size_t i = 0; i < count; i++) gradient[i] = (Scalar)NAN; /* nothing of it may be left */
  assert_ok(network_zero_gradient(r.network));
  backward(&r, NULL, NULL);
  assert_memory_equal(once, gradient, count * sizeof *once);
  assert_ok(network_zero_gradient(r.network));
  for (size_t i = 0; i < count; i++) assert_true(network_gradient(r.network)[i] == 0);
  free(once);
  run_destroy(&r);
}

static void the_gradient_is_the_same_for_every_number_of_threads(void **state)
{
  NetworkShape shape = example_shape();
  const int threads = omp_get_max_threads();
  Scalar *expected = NULL;

  (void)state;
  shape.ny = 24, shape.nx = 26; /* several pieces of work per sample */
  shape.config.width = 72; /* and several per weight matrix */
  for (int n = 1; n <= 3; n++) {
    omp_set_num_threads(n);
    Run r = run_create(&shape, 3);
    const size_t count = network_parameter_count(r.network);

    backward(&r, NULL, NULL);
    if (n == 1) {
      expected = malloc(count * sizeof *expected);
      memcpy(expected, network_gradient(r.network), count * sizeof *expected);
    }
    assert_memory_equal(expected, network_gradient(r.network), count * sizeof *expected);
    run_destroy(&r);
  }
  free(expected);
  omp_set_num_threads(threads);
}

static void a_network_for_inference_has_no_gradient(void **state)
{
  const NetworkShape shape = example_shape();
  Example e = example_create(&shape, 1);
  Network *network = NULL;

  (void)state;
  assert_ok(network_create(&shape, 1, NETWORK_INFERENCE, &network));
  assert_null(network_gradient(network));
  assert_fails(network_zero_gradient(network), NEPHRITE_ERR_INTERNAL, "no gradient");
  assert_ok(network_forward(network, &e.input, e.x, e.theta));
  assert_fails(network_backward(network, e.x, e.theta, NULL, NULL, NULL), NEPHRITE_ERR_INTERNAL, "for training");
  assert_ok(network_destroy(&network));
  example_destroy(&e);
}

static void backward_without_forward_is_refused(void **state)
{
  const NetworkShape shape = example_shape();
  Example e = example_create(&shape, 1);
  Network *network = NULL;

  (void)state;
  assert_ok(network_create(&shape, 1, NETWORK_TRAINING, &network));
  assert_fails(network_backward(network, e.x, e.theta, NULL, NULL, NULL), NEPHRITE_ERR_INTERNAL, "run forward");
  assert_ok(network_destroy(&network));
  example_destroy(&e);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(gradients_are_announced_from_the_end_when_they_are_final),
                   cmocka_unit_test(an_error_of_the_listener_is_backward_s),
                   cmocka_unit_test(gradients_add_up_until_they_are_zeroed),
                   cmocka_unit_test(the_gradient_is_the_same_for_every_number_of_threads),
                   cmocka_unit_test(a_network_for_inference_has_no_gradient),
                   cmocka_unit_test(backward_without_forward_is_refused))
