/* Products in bfloat16 against plain ones of rounded factors, and networks that use them against float32. */
#include "network/internal.h"
#include "outcome.h"

#include <omp.h>

static NetworkMode with_bfloat16(NetworkMode mode)
{
  return (NetworkMode)(mode | NETWORK_BFLOAT16);
}

/* ------------------------------------------------------------------ products */

/** Factors as float32, and rounded to bfloat16 by the plainest of kernels. */
typedef struct {
  size_t rows, width, row; /* distance of the rows */
  Scalar *values;
  double *rounded; /* [rows][width] */
} Matrix;

static Matrix matrix_of(size_t rows, size_t width, size_t row, Scalar *values)
{
  Matrix m = {rows, width, row, values, calloc(rows * width, sizeof(double))};
  uint16_t *bits = calloc(rows * width, sizeof *bits);

  network_kernels_baseline.round_bfloat16(&(RoundBfloat16){rows, width, row, values, bits});
  for (size_t i = 0; i < rows * width; i++) m.rounded[i] = bfloat16_value(bits[i]);
  free(bits);
  return m;
}

static Matrix matrix_create(uint64_t index, size_t rows, size_t width, size_t row)
{
  return matrix_of(rows, width, row, example_array(index, rows * row));
}

static void matrix_destroy(Matrix *m)
{
  free(m->values), free(m->rounded);
}

/* |c - A B| for A [m][k], B [k][n] by strides, to the rounding of a float32 sum of k terms in any order. */
static void assert_product(const char *what, const Scalar *c, size_t c_row, const size_t sizes[3], const double *a,
                           const size_t a_strides[2], const double *b, const size_t b_strides[2])
{
  for (size_t i = 0; i < sizes[0]; i++)
    for (size_t j = 0; j < sizes[1]; j++) {
      double sum = 0, scale = 0;

      for (size_t l = 0; l < sizes[2]; l++) {
        const double term = a[i * a_strides[0] + l * a_strides[1]] * b[l * b_strides[0] + j * b_strides[1]];

        sum += term;
        scale += fabs(term);
      }
      if (!(fabs((double)c[i * c_row + j] - sum) <= 1e-6 * scale))
        fail_msg("%s[%zu][%zu]: %.9g instead of %.9g", what, i, j, (double)c[i * c_row + j], sum);
    }
}

static void pack(Network *n, const Linear *linear, Direction direction)
{
#pragma omp parallel num_threads(n->threads)
  {
    if (direction == DIRECTION_FORWARD)
      linear_pack_forward(n, &linear, 1);
    else
      linear_pack_backward(n, &linear, 1);
  }
}

static void check_both_directions(Network *n, const Linear *linear, size_t rows)
{
  const size_t out = linear->out, in = linear->in;
  Matrix w = matrix_of(out, in, in, linear->weight), x = matrix_create(51, rows, in, linear->in_row),
         y_bar = matrix_create(52, rows, out, linear->out_row);
  Scalar *y = example_array(0, rows * linear->out_row), *x_bar = example_array(0, rows * linear->in_row);

  pack(n, linear, DIRECTION_FORWARD);
  linear_forward(n, linear, rows, x.values, y);
  assert_product("y", y, linear->out_row, (const size_t[]){rows, out, in}, x.rounded, (const size_t[]){in, 1},
                 w.rounded, (const size_t[]){1, in});
  pack(n, linear, DIRECTION_BACKWARD);
  linear_backward(n, linear, rows, y_bar.values, x_bar);
  assert_product("x_bar", x_bar, linear->in_row, (const size_t[]){rows, in, out}, y_bar.rounded,
                 (const size_t[]){out, 1}, w.rounded, (const size_t[]){in, 1});
  free(w.rounded), matrix_destroy(&x), matrix_destroy(&y_bar), free(y), free(x_bar);
}

static void check_gradient(Network *n, const Linear *linear, size_t rows)
{
  const size_t out = linear->out, in = linear->in;
  Matrix x = matrix_create(53, rows, in, linear->in_row), y_bar = matrix_create(54, rows, out, linear->out_row);
  const Scalar *gradient = gradient_of(n, linear->weight);
  Scalar *once = calloc(out * in, sizeof *once);

  n->gradient_is_zero = PETSC_TRUE; /* whatever was there is overwritten */
  linear_gradient(n, linear, rows, y_bar.values, x.values);
  assert_product("w_bar", gradient, in, (const size_t[]){out, in, rows}, y_bar.rounded, (const size_t[]){1, out},
                 x.rounded, (const size_t[]){in, 1});
  memcpy(once, gradient, out * in * sizeof *once);
  n->gradient_is_zero = PETSC_FALSE; /* and now added to */
  linear_gradient(n, linear, rows, y_bar.values, x.values);
  for (size_t i = 0; i < out * in; i++) assert_true(gradient[i] == 2 * once[i]);
  matrix_destroy(&x), matrix_destroy(&y_bar), free(once);
}

/* All maps of a block, at all numbers of rows that its work is cut into, of one sample and of as many as there may be.
 */
static void check_maps(const NetworkShape *shape)
{
  Network *n = outcome_network(shape, with_bfloat16(NETWORK_TRAINING));
  const BlockWeights *block = &n->blocks[n->dims.L - 1];
  const Linear *const maps[] = {&block->qkv, &block->proj, &block->w12, &block->w3};

  for (size_t first = 0; first < n->dims.L; first += n->dims.L - 1) /* with a sequence of either length */
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
      const size_t T = tokens_in_block(&n->dims, first);

      for (size_t piece = 0; piece < row_blocks_per_sample(T); piece++)
        check_both_directions(n, maps[i], row_block(piece, T).rows);
      for (n->batch = 1; n->batch <= BATCH; n->batch += BATCH - 1) check_gradient(n, maps[i], n->batch * T);
    }
  assert_ok(n->bfloat16_products->check(n));
  assert_ok(network_destroy(&n));
}

static void products_are_those_of_rounded_factors(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  check_maps(&shape);
  shape.ny = 24, shape.nx = 26; /* several pieces of work per sample, of odd numbers of tokens */
  shape.config.width = 104, shape.config.heads = 2; /* 277 hidden numbers: pieces and tiles of several sizes */
  check_maps(&shape);
}

static void products_wider_than_a_tile_with_rows_set_apart_are_right(void **state)
{
  NetworkShape shape = example_shape();
  Network *n = NULL;

  (void)state;
  shape.config.width = 384, shape.config.depth = 2; /* 1024 numbers enter the last map: two pieces of a gradient */
  assert_ok(network_create(&shape, 1, with_bfloat16(NETWORK_TRAINING), &n));
  n->batch = 1;
  const Linear *const maps[] = {&n->blocks[1].w12, &n->blocks[1].w3};
  assert_true(maps[0]->out_row > maps[0]->out && maps[1]->in == 1024 && maps[1]->in_row > 1024);
  for (size_t i = 0; i < 2; i++) {
    example_numbers(55, maps[i]->out * maps[i]->in, 1, maps[i]->weight);
    check_both_directions(n, maps[i], n->dims.T);
    check_gradient(n, maps[i], n->dims.T);
  }
  assert_ok(n->bfloat16_products->check(n));
  assert_ok(network_destroy(&n));
}

/* ------------------------------------------------------------------ networks */

static double length(size_t count, const Scalar *a, const Scalar *b)
{
  double sum = 0;

  for (size_t i = 0; i < count; i++) sum += pow((double)a[i] - (b ? (double)b[i] : 0), 2);
  return sqrt(sum);
}

static void assert_near(const char *what, size_t count, const Scalar *ours, const Scalar *float32, double tolerance)
{
  const double error = length(count, ours, float32) / length(count, float32, NULL);
  if (!(error <= tolerance && error > 0)) fail_msg("%s: off by %.3g of its length", what, error);
}

/* Factors are off by 2^-9 of themselves at most, by 2^-9/sqrt(3) in root mean square, a product by sqrt(2) times that:
 * 0.16%.  It comes in anew in each of four maps of four blocks, and in backward again: a per cent or so of a tensor.
 * The gradients of norms of queries and keys are sums over tokens and heads that cancel for the most part. */
static double tolerance_of(const char *tensor)
{
  return strstr(tensor, "q_norm") || strstr(tensor, "k_norm") ? 0.06 : 0.03;
}

static void outputs_and_gradients_are_those_of_float32_to_the_rounding_of_factors(void **state)
{
  NetworkShape shape = example_shape();

  (void)state;
  shape.config.width = 72;
  Network *network = outcome_network(&shape, NETWORK_TRAINING); /* to know its tensors */
  Outcome exact = outcome_of(&shape, NETWORK_TRAINING, 1),
          rounded = outcome_of(&shape, with_bfloat16(NETWORK_TRAINING), 1);
  const Example *e = &exact.example;

  assert_near("x", e->maps, rounded.example.x, e->x, 0.01);
  assert_near("theta", e->thetas, rounded.example.theta, e->theta, 0.01);
  assert_near("gradient of z", e->shown, rounded.bar.z, exact.bar.z, 0.03);
  assert_near("gradient of the observation", e->observed, rounded.bar.observation, exact.bar.observation, 0.03);
  assert_near("all gradients", exact.count, rounded.gradient, exact.gradient, 0.01);
  for (PetscInt i = 0; i < network_tensor_count(network); i++) {
    const NetworkTensor *tensor = network_tensor(network, i);

    if (!strcmp(tensor->name, "head.field.linear.bias") || !strcmp(tensor->name, "head.cosmology.linear.bias"))
      continue; /* of these no product comes between */
    assert_near(tensor->name, tensor->size, rounded.gradient + tensor->offset, exact.gradient + tensor->offset,
                tolerance_of(tensor->name));
  }
  assert_ok(network_destroy(&network));
  outcome_destroy(&exact), outcome_destroy(&rounded);
}

/* With dropout and without, of sequences of two lengths and in pieces. */
static void neither_threads_nor_recomputing_change_a_bit(void **state)
{
  const int before = omp_get_max_threads();
  NetworkShape shape = example_shape();

  (void)state;
  shape.ny = 24, shape.nx = 26, shape.config.width = 48, shape.config.depth = 2;
  shape.config.dropout_first = 0, shape.config.dropout_last = 1;
  for (int drops = 0; drops < 2; drops++) {
    shape.config.dropout = drops ? 0.3 : 0;
    omp_set_num_threads(1);
    Outcome expected = outcome_of(&shape, with_bfloat16(NETWORK_TRAINING), 1);

    for (int threads = 1; threads <= 3; threads++) {
      omp_set_num_threads(threads);
      Outcome outcome = outcome_of(&shape, with_bfloat16(threads == 2 ? NETWORK_TRAINING : NETWORK_RECOMPUTING), 1);

      assert_same_outcome(&outcome, &expected);
      outcome_destroy(&outcome);
    }
    outcome_destroy(&expected);
  }
  omp_set_num_threads(before);
}

static void all_memory_is_foretold(void **state)
{
  NetworkShape shape = example_shape();
  NetworkEstimate estimate, float32;
  Network *network = NULL;

  (void)state;
  shape.config.width = 96;
  assert_ok(network_estimate(&shape, BATCH, NETWORK_TRAINING, &float32));
  assert_ok(network_estimate(&shape, BATCH, with_bfloat16(NETWORK_TRAINING), &estimate));
  assert_ok(network_create(&shape, BATCH, with_bfloat16(NETWORK_TRAINING), &network));
  assert_true(network_arena_bytes(network) == estimate.arena_bytes);
  assert_true(network_parameter_count(network) == float32.parameters && estimate.tensors == float32.tensors);
  assert_ok(network_destroy(&network));
}

static void a_network_for_inference_is_refused(void **state)
{
  const NetworkShape shape = example_shape();
  Network *network = NULL;

  (void)state;
  assert_fails(network_create(&shape, 1, with_bfloat16(NETWORK_INFERENCE), &network), NEPHRITE_ERR_INTERNAL,
               "inference");
  assert_ok(network_destroy(&network));
}

/* Where there is no bfloat16 ctest is told that nothing was tested (77). */
int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_are_those_of_rounded_factors),
      cmocka_unit_test(products_wider_than_a_tile_with_rows_set_apart_are_right),
      cmocka_unit_test(outputs_and_gradients_are_those_of_float32_to_the_rounding_of_factors),
      cmocka_unit_test(neither_threads_nor_recomputing_change_a_bit),
      cmocka_unit_test(all_memory_is_foretold),
      cmocka_unit_test(a_network_for_inference_is_refused)};

  if (PetscInitialize(&argc, &argv, NULL, NULL) || error_install()) return 70;
  if (network_mode_check(NETWORK_BFLOAT16)) {
    printf("skipped: %s\n", error_message());
    return PetscFinalize() ? 70 : 77;
  }
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  return PetscFinalize() || failed;
}
