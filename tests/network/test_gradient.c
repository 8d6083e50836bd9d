/* nephrite-test: float64
 * The gradient of the whole loss against its finite differences, tensor by tensor, in every variant of the network. */
#include "example.h"

#include "nephrite/training.h"

enum { BATCH = 3 };

/** A network at some point of its parameters, a batch, and the loss there. */
typedef struct {
  NetworkShape shape;
  Network *network;
  Example example;
  Scalar *clean_x, *clean_theta, *x_bar, *theta_bar;
  Scalar *true_t; /* the loss' own times, not varied with the embedding's */
} Point;

static Point point_create(NetworkShape shape)
{
  Point p = {.shape = shape, .example = example_create(&shape, BATCH)};

  assert_ok(network_create(&shape, BATCH, NETWORK_TRAINING, &p.network));
  example_weights(p.network);
  p.clean_x = example_array(21, p.example.maps);
  p.clean_theta = example_array(22, p.example.thetas);
  p.x_bar = example_array(0, p.example.maps);
  p.theta_bar = example_array(0, p.example.thetas);
  p.true_t = example_array(0, BATCH);
  memcpy(p.true_t, p.example.t, BATCH * sizeof *p.true_t);
  if (shape.config.dropout > 0) p.example.input.dropout = p.example.dropout, p.example.input.seed = 5;
  return p;
}

static void point_destroy(Point *p)
{
  assert_ok(network_destroy(&p->network));
  example_destroy(&p->example);
  free(p->clean_x);
  free(p->clean_theta);
  free(p->x_bar);
  free(p->theta_bar);
  free(p->true_t);
}

static double loss_at(Point *p, Scalar *x_bar, Scalar *theta_bar)
{
  const ObjectiveBatch batch = {BATCH,     BATCH, p->clean_x,   p->clean_theta,
                                p->true_t, NULL,  p->example.x, p->example.theta};
  NetworkShape joint = p->shape; /* the loss is of map and parameters at once, whatever the flow */
  Loss loss;

  joint.config.flow = FLOW_JOINT;
  if (p->example.input.dropout) p->example.input.dropout = p->example.dropout; /* after the struct was copied */
  assert_ok(network_forward(p->network, &p->example.input, p->example.x, p->example.theta));
  assert_ok(objective_loss(&joint, (ObjectiveWeights){1, 1}, &batch, &loss, x_bar, theta_bar));
  return loss.total / BATCH;
}

/* d(loss)/ds at values + s direction: central differences with one step of Richardson's extrapolation, error O(h^4). */
static double slope(Point *p, Scalar *values, const double *direction, size_t count)
{
  double estimate[2];

  for (int level = 0; level < 2; level++) {
    const double h = 4e-4 / (1 << level);
    double loss[2];

    for (int side = 0; side < 2; side++) {
      for (size_t i = 0; i < count; i++) values[i] += (side ? -2 : 1) * h * direction[i];
      loss[side] = loss_at(p, NULL, NULL);
    }
    for (size_t i = 0; i < count; i++) values[i] += h * direction[i];
    estimate[level] = (loss[0] - loss[1]) / (2 * h);
  }
  return (4 * estimate[1] - estimate[0]) / 3;
}

/* A random direction that leans along the gradient, so that the sum over elements cannot cancel. */
static void check_direction(Point *p, const char *name, Scalar *values, const Scalar *gradient, size_t count)
{
  double *direction = malloc(count * sizeof *direction), expected = 0, norm = 0;
  Scalar *random = example_array(77, count);

  for (size_t i = 0; i < count; i++) {
    direction[i] = random[i] + (gradient[i] > 0) - (gradient[i] < 0);
    norm += direction[i] * direction[i];
  }
  for (size_t i = 0; i < count; i++) {
    direction[i] /= sqrt(norm);
    expected += direction[i] * gradient[i];
  }
  const double measured = slope(p, values, direction, count);
  if (!(fabs(measured - expected) <= 1e-6 * fabs(expected)))
    fail_msg("%s: derivative %.12g, gradient along it %.12g", name, measured, expected);
  free(direction);
  free(random);
}

/* Single elements, to the scale of the tensor's largest: a small one has the rounding of the whole loss in it. */
static void check_elements(Point *p, const char *name, Scalar *values, const Scalar *gradient, size_t count)
{
  double largest = 0;

  for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs(gradient[i]));
  for (size_t k = 0; k < 2; k++) {
    const size_t i = k ? count - 1 : count / 3;
    const double one = 1, measured = slope(p, values + i, &one, 1);

    if (!(fabs(measured - gradient[i]) <= 1e-6 * largest))
      fail_msg("%s[%zu]: derivative %.12g, gradient %.12g, largest %.3g", name, i, measured, gradient[i], largest);
  }
}

static void check_point(Point p)
{
  const NetworkShape shape = p.shape;
  Example *e = &p.example;
  NetworkInputGradient bar = {example_array(0, e->shown), example_array(0, e->thetas), example_array(0, e->observed),
                              example_array(0, BATCH)};

  loss_at(&p, p.x_bar, p.theta_bar);
  assert_ok(network_zero_gradient(p.network));
  assert_ok(network_backward(p.network, p.x_bar, p.theta_bar, NULL, NULL, &bar));
  for (PetscInt i = 0; i < network_tensor_count(p.network); i++) {
    const NetworkTensor *tensor = network_tensor(p.network, i);
    Scalar *values = network_weights(p.network) + tensor->offset;
    const Scalar *gradient = network_gradient(p.network) + tensor->offset;

    check_direction(&p, tensor->name, values, gradient, tensor->size);
    check_elements(&p, tensor->name, values, gradient, tensor->size);
  }
  check_direction(&p, "input z", e->z, bar.z, e->shown);
  check_direction(&p, "input z_theta", e->z_theta, bar.z_theta, e->thetas);
  check_direction(&p, "input observation", e->observation, bar.observation, e->observed);
  if (shape.config.output == OUTPUT_CLEAN) /* through the embedding alone: not through the guess */
    check_direction(&p, "input t", e->t, bar.t, BATCH);
  free(bar.z), free(bar.z_theta), free(bar.observation), free(bar.t);
  point_destroy(&p);
}

static void check_all(NetworkShape shape)
{
  check_point(point_create(shape));
}

static void the_gradient_is_right_when_the_observation_enters_at_a_later_block(void **state)
{
  (void)state;
  check_all(example_shape());
}

static void the_gradient_is_right_when_the_observation_enters_at_the_first_block(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.config.observation_start = 0;
  shape.config.depth = 2;
  check_all(shape);
}

static void the_gradient_is_right_when_the_observation_s_patches_are_the_smaller_ones(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.config.patch = 4;
  shape.config.observation_patch = 2;
  shape.config.depth = 2;
  check_all(shape);
}

static void the_gradient_is_right_when_the_observation_comes_in_channels(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.config.conditioning = CONDITIONING_CHANNELS;
  shape.config.depth = 2;
  check_all(shape);
}

static void the_gradient_is_right_when_patches_do_not_divide_the_map(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.ny = 7, shape.nx = 9; /* 2 leaves one row and column over; 4 leaves three and one */
  shape.config.depth = 2;
  check_all(shape);
  shape.config.conditioning = CONDITIONING_CHANNELS;
  check_all(shape);
}

static void the_gradient_is_right_when_band_powers_are_told(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.config.spectra = 4;
  shape.config.depth = 2;
  check_all(shape);
  shape.config.conditioning = CONDITIONING_CHANNELS;
  check_all(shape);
}

static void the_gradient_is_right_when_the_heads_say_what_a_guess_leaves(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.config.output = OUTPUT_RESIDUAL;
  shape.config.depth = 2;
  check_all(shape);
  shape.config.conditioning = CONDITIONING_CHANNELS;
  shape.ny = 7, shape.nx = 9;
  check_all(shape);
}

static void the_gradient_is_right_when_parameters_have_a_time_of_their_own(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.config.output = OUTPUT_RESIDUAL;
  shape.config.depth = 2;
  for (int wiener = 0; wiener < 2; wiener++) {
    if (wiener) shape.config.output = OUTPUT_WIENER, shape.config.flow = FLOW_PARAMETERS_FIRST;
    Point p = point_create(shape);
    p.example.input.t_theta = p.example.t_theta;
    check_point(p);
  }
}

static void the_gradient_is_right_under_dropout(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.config.dropout = 0.3;
  shape.config.observation_start = 2; /* the middle blocks 1 and 2 drop, with sequences of both lengths */
  check_all(shape);
}

static void the_gradient_is_right_when_work_is_cut_into_pieces(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.ny = 24, shape.nx = 26; /* 156 field tokens: two row blocks per sample, two pieces of the attention matrix */
  shape.config.width = 104, shape.config.heads = 2; /* 277 hidden numbers: sums over more than is packed at a time */
  shape.config.depth = 1;
  shape.config.observation_start = 0;
  shape.config.dropout = 0;
  check_all(shape);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_gradient_is_right_when_the_observation_enters_at_a_later_block),
                   cmocka_unit_test(the_gradient_is_right_when_the_observation_enters_at_the_first_block),
                   cmocka_unit_test(the_gradient_is_right_when_the_observation_s_patches_are_the_smaller_ones),
                   cmocka_unit_test(the_gradient_is_right_when_the_observation_comes_in_channels),
                   cmocka_unit_test(the_gradient_is_right_when_patches_do_not_divide_the_map),
                   cmocka_unit_test(the_gradient_is_right_when_band_powers_are_told),
                   cmocka_unit_test(the_gradient_is_right_when_the_heads_say_what_a_guess_leaves),
                   cmocka_unit_test(the_gradient_is_right_when_parameters_have_a_time_of_their_own),
                   cmocka_unit_test(the_gradient_is_right_under_dropout),
                   cmocka_unit_test(the_gradient_is_right_when_work_is_cut_into_pieces))
