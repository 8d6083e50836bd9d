/* nephrite-test: mpi
 * The gradient of one global batch, however ranks and threads share the work. */
#include "../../src/training/internal.h"
#include "../network/example.h"

#include <omp.h>

enum { GLOBAL = 5, MICRO = 2 }; /* divided by none of the numbers of ranks; accumulated */

typedef struct {
  NetworkShape shape;
  Network *network;
  Example example;
  Scalar *clean_x, *clean_theta, *x_bar, *theta_bar; /* of the global batch */
  size_t count;
} Problem;

static Problem problem_create(NetworkMode mode)
{
  Problem p = {.shape = example_shape()};

  p.shape.config.dropout = 0.3;
  p.example = example_create(&p.shape, GLOBAL);
  p.clean_x = example_array(21, p.example.maps), p.clean_theta = example_array(22, p.example.thetas);
  p.x_bar = example_array(0, p.example.maps), p.theta_bar = example_array(0, p.example.thetas);
  assert_ok(network_create(&p.shape, MICRO, mode, &p.network));
  example_weights(p.network);
  p.count = network_parameter_count(p.network);
  return p;
}

static void problem_destroy(Problem *p)
{
  assert_ok(network_destroy(&p->network));
  example_destroy(&p->example);
  free(p->clean_x), free(p->clean_theta), free(p->x_bar), free(p->theta_bar);
}

/* Samples first … first + count-1 of the global batch; \p reducer may be NULL. */
static void backward(Problem *p, size_t first, size_t count, Reducer *reducer)
{
  const Example *e = &p->example;
  const size_t map = e->maps / GLOBAL, observed = e->observed / GLOBAL, theta = e->thetas / GLOBAL;
  Scalar *x = e->x + first * map, *theta_hat = e->theta + first * theta;
  Scalar *x_bar = p->x_bar + first * map, *theta_bar = p->theta_bar + first * theta;
  const NetworkInput input = {(PetscInt)count,
                              e->z + first * map,
                              e->z_theta + first * theta,
                              e->observation + first * observed,
                              NULL,
                              e->t + first,
                              NULL,
                              e->dropout + first,
                              5};
  const ObjectiveBatch batch = {
      (PetscInt)count, GLOBAL, p->clean_x + first * map, p->clean_theta + first * theta, e->t + first, NULL, x,
      theta_hat};
  Loss loss;

  assert_ok(network_forward(p->network, &input, x, theta_hat));
  assert_ok(objective_loss(&p->shape, (ObjectiveWeights){1, 1}, &batch, &loss, x_bar, theta_bar));
  assert_ok(network_backward(p->network, x_bar, theta_bar, reducer ? reducer_ready : NULL, reducer, NULL));
}

/* As in a step of training: micro-batches, the last of which sends gradients off.  \param[out] gradient [count] */
static void gradient_of_part(Problem *p, MPI_Comm comm, Scalar *gradient)
{
  int64_t first, count;
  Reducer *reducer = NULL;

  share_of(comm, GLOBAL, &first, &count);
  assert_ok(reducer_create(comm, p->count, network_gradient(p->network), &reducer));
  assert_ok(network_zero_gradient(p->network));
  for (int64_t done = 0; done < count; done += MICRO) {
    const int64_t take = count - done < MICRO ? count - done : MICRO;

    backward(p, (size_t)(first + done), (size_t)take, done + take == count ? reducer : NULL);
  }
  assert_ok(reducer_finish(reducer, NULL, NULL));
  memcpy(gradient, network_gradient(p->network), p->count * sizeof *gradient);
  assert_ok(reducer_destroy(&reducer));
}

static Scalar *gradient_by(MPI_Comm comm, int threads, NetworkMode mode)
{
  const int before = omp_get_max_threads();

  omp_set_num_threads(threads);
  Problem p = problem_create(mode);
  Scalar *gradient = malloc(p.count * sizeof *gradient);

  gradient_of_part(&p, comm, gradient);
  problem_destroy(&p);
  omp_set_num_threads(before);
  return gradient;
}

static double length(size_t count, const Scalar *a, const Scalar *b)
{
  double sum = 0;

  for (size_t i = 0; i < count; i++) sum += pow((double)a[i] - (b ? (double)b[i] : 0), 2);
  return sqrt(sum);
}

static void the_gradient_of_a_global_batch_does_not_depend_on_the_ranks_that_share_it(void **state)
{
  Problem p = problem_create(NETWORK_TRAINING);
  Scalar *alone = gradient_by(MPI_COMM_SELF, 1, NETWORK_TRAINING);
  Scalar *together = gradient_by(MPI_COMM_WORLD, 1, NETWORK_TRAINING);

  (void)state;
  for (PetscInt i = 0; i < network_tensor_count(p.network); i++) { /* of float32 sums over samples in another order */
    const NetworkTensor *tensor = network_tensor(p.network, i);
    const Scalar *expected = alone + tensor->offset;
    const double error = length(tensor->size, together + tensor->offset, expected);

    if (!(error <= 1e-5 * length(tensor->size, expected, NULL)))
      fail_msg("%s: off by %.3g of %.3g", tensor->name, error, length(tensor->size, expected, NULL));
  }
  problem_destroy(&p);
  free(alone), free(together);
}

static void threads_and_recomputing_change_no_bit_of_it_on_any_number_of_ranks(void **state)
{
  Problem p = problem_create(NETWORK_TRAINING);
  Scalar *expected = gradient_by(MPI_COMM_WORLD, 1, NETWORK_TRAINING);

  (void)state;
  for (int threads = 1; threads <= 2; threads++) {
    Scalar *kept = gradient_by(MPI_COMM_WORLD, threads, NETWORK_TRAINING);
    Scalar *again = gradient_by(MPI_COMM_WORLD, threads, NETWORK_RECOMPUTING);

    assert_memory_equal(kept, expected, p.count * sizeof *kept);
    assert_memory_equal(again, expected, p.count * sizeof *again);
    free(kept), free(again);
  }
  problem_destroy(&p);
  free(expected);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_gradient_of_a_global_batch_does_not_depend_on_the_ranks_that_share_it),
                   cmocka_unit_test(threads_and_recomputing_change_no_bit_of_it_on_any_number_of_ranks))
