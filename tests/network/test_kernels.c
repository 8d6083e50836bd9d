/* Every instruction set that this processor has, against plain versions in double. */
#include "plain_kernels.h"

#include "example.h"

#include <float.h>

/* Rounding of Scalar, times the growth of a sum of a few dozen terms of either sign. */
static const double tolerance = 60 * (sizeof(Scalar) == sizeof(float) ? FLT_EPSILON : DBL_EPSILON);

enum { ROWS = 7, WIDTH = 36, STRIDE = 41, SIZE = ROWS * 2 * STRIDE };

typedef void (*KernelTest)(const NetworkKernels *kernels);

/* cmocka's state is the index of the table; a processor without it passes it over. */
static void on_every_table(KernelTest test)
{
  const NetworkKernels *tables[3];
  const int count = network_kernels_usable(tables);

  for (int i = 0; i < count; i++) test(tables[i]);
}

static void close_to(const NetworkKernels *kernels, const char *what, size_t count, const Scalar *ours,
                     const double *plain)
{
  double scale = 0;

  for (size_t i = 0; i < count; i++) scale = fmax(scale, fabs(plain[i]));
  for (size_t i = 0; i < count; i++)
    if (!(fabs((double)ours[i] - plain[i]) <= tolerance * scale))
      fail_msg("%s, %s[%zu]: %.9g instead of %.9g", kernels->name, what, i, (double)ours[i], plain[i]);
}

static void numbers(uint64_t index, size_t count, Scalar *out)
{
  example_numbers(index, count, 1, out);
}

static void copy_to_double(size_t count, const Scalar *from, double *to)
{
  for (size_t i = 0; i < count; i++) to[i] = (double)from[i];
}

/* One product: m rows, A by rows or in strips, packed B, into a C with room at the right that must stay as it is. */
static void check_product(const NetworkKernels *kernels, size_t m, size_t n, size_t k, PetscBool by_rows, PetscBool add)
{
  enum { MOST = 8192 };
  const size_t panel = kernels->panel, c_row = n + 3;
  Scalar a[MOST], b[MOST], c[MOST], panels[MOST], strips[MOST];
  double plain[MOST];
  const MatrixPack pack = {.n = n, .k = k, .b = b, .b_row = n, .b_column = 1, .panel = k * panel + 1, .panels = panels};
  const MatrixStrips turn = {.m = m, .k = k, .a = a, .a_row = m, .strip = k * kernels->strip + 1, .strips = strips};
  const MatrixProduct p = {.m = m,
                           .n = n,
                           .k = k,
                           .a = by_rows ? a : strips,
                           .a_row = k,
                           .a_strip = by_rows ? 0 : turn.strip,
                           .b = panels,
                           .b_panel = pack.panel,
                           .b_row = panel,
                           .c = c,
                           .c_row = c_row,
                           .add = add};

  assert_true(m * c_row <= MOST && (n + panel) * (k + 1) <= MOST && (m + kernels->strip) * (k + 1) <= MOST);
  numbers(1, m * k, a), numbers(2, k * n, b), numbers(3, m * c_row, c);
  kernels->pack(&pack);
  kernels->pack_strips(&turn);
  copy_to_double(m * c_row, c, plain);
  plain_multiply(&p, a, by_rows ? k : 1, by_rows ? 1 : m, panel, plain);
  kernels->multiply(&p);
  close_to(kernels, "C", m * c_row, c, plain);
}

static void products(const NetworkKernels *kernels)
{
  const size_t panel = kernels->panel;

  for (size_t m = 1; m <= 26; m++) /* every composition of tiles */
    check_product(kernels, m, panel + 1, 5, m % 2 ? PETSC_TRUE : PETSC_FALSE, m % 3 ? PETSC_TRUE : PETSC_FALSE);
  for (size_t n = 1; n <= 2 * panel + 1; n++) /* every remainder of columns */
    check_product(kernels, 13, n, 9, n % 2 ? PETSC_TRUE : PETSC_FALSE, n % 3 ? PETSC_TRUE : PETSC_FALSE);
}

static void a_product_is_the_sum_over_k_in_every_shape(void **state)
{
  (void)state;
  on_every_table(products);
}

static void packings(const NetworkKernels *kernels)
{
  enum { MOST = 8192 };
  const size_t panel = kernels->panel, n = panel + 3, k = 19;
  Scalar b[MOST], packed[MOST];

  assert_true(2 * panel * k + 3 <= MOST);
  numbers(1, n * k, b);

  for (int transposed = 0; transposed < 2; transposed++) {
    const MatrixPack p = {.n = n,
                          .k = k,
                          .b = b,
                          .b_row = transposed ? 1 : n,
                          .b_column = transposed ? k : 1,
                          .panel = k * panel + 3,
                          .panels = packed};

    kernels->pack(&p);
    for (size_t l = 0; l < k; l++)
      for (size_t j = 0; j < 2 * panel; j++) {
        const Scalar expected = j < n ? b[l * p.b_row + j * p.b_column] : 0;

        assert_true(packed[j / panel * p.panel + l * panel + j % panel] == expected);
      }
  }
}

static void packing_moves_every_element_to_its_panel_and_fills_with_zeros(void **state)
{
  (void)state;
  on_every_table(packings);
}

static void norms(const NetworkKernels *kernels)
{
  Scalar x[SIZE], gain[WIDTH], shift[WIDTH], h_bar[SIZE], h[SIZE], r[ROWS], x_bar[SIZE], sums[2 * WIDTH];
  double plain_h[SIZE], plain_r[ROWS], plain_x_bar[SIZE], plain_sums[2 * WIDTH];
  const NormForward forward = {ROWS, WIDTH, (Scalar)1e-6, x, gain, shift, h, r};
  const NormBackward backward = {ROWS, WIDTH, x, r, gain, shift, h_bar, x_bar, h, sums, sums + WIDTH};

  numbers(1, SIZE, x), numbers(2, WIDTH, gain), numbers(3, WIDTH, shift), numbers(4, SIZE, h_bar);
  numbers(5, SIZE, x_bar);
  plain_norm_forward(&forward, plain_h, plain_r);
  kernels->norm_forward(&forward);
  close_to(kernels, "h", ROWS * WIDTH, h, plain_h);
  close_to(kernels, "r", ROWS, r, plain_r);
  plain_norm_backward(&backward, plain_x_bar, plain_h, plain_sums);
  kernels->norm_backward(&backward);
  close_to(kernels, "x_bar", ROWS * WIDTH, x_bar, plain_x_bar);
  close_to(kernels, "h again", ROWS * WIDTH, h, plain_h);
  close_to(kernels, "sum of h_bar", WIDTH, sums, plain_sums);
  close_to(kernels, "sum of h_bar n", WIDTH, sums + WIDTH, plain_sums + WIDTH);
}

static void norms_and_their_gradients_are_right(void **state)
{
  (void)state;
  on_every_table(norms);
}

static void gates(const NetworkKernels *kernels)
{
  Scalar x[SIZE], f[SIZE], alpha[WIDTH], bias[WIDTH], y[SIZE], f_bar[SIZE], alpha_bar[WIDTH], sum[WIDTH];
  double plain_y[SIZE], plain_f_bar[SIZE], plain_alpha_bar[WIDTH] = {0}, plain_sum[WIDTH] = {0};

  numbers(1, SIZE, x), numbers(2, SIZE, f), numbers(3, WIDTH, alpha), numbers(4, WIDTH, bias);
  for (size_t i = 0; i < ROWS * WIDTH; i++) {
    const size_t j = i % WIDTH;

    plain_y[i] = (double)x[i] + (double)alpha[j] * ((double)f[i] + (double)bias[j]);
    plain_f_bar[i] = (double)alpha[j] * (double)x[i];
    plain_alpha_bar[j] += (double)x[i] * ((double)f[i] + (double)bias[j]);
    plain_sum[j] += (double)x[i];
  }
  kernels->gate_forward(&(GateForward){ROWS, WIDTH, x, f, alpha, bias, y});
  kernels->gate_backward(&(GateBackward){ROWS, WIDTH, x, f, alpha, bias, f_bar, alpha_bar});
  kernels->column_sum(ROWS, WIDTH, WIDTH, x, sum);
  close_to(kernels, "y", ROWS * WIDTH, y, plain_y);
  close_to(kernels, "f_bar", ROWS * WIDTH, f_bar, plain_f_bar);
  close_to(kernels, "alpha_bar", WIDTH, alpha_bar, plain_alpha_bar);
  close_to(kernels, "column sum", WIDTH, sum, plain_sum);
  for (size_t i = 0; i < ROWS; i++) {
    plain_sum[i] = 0;
    for (size_t j = 0; j < WIDTH; j++) {
      plain_y[i * WIDTH + j] = (double)x[i * STRIDE + j] + (double)bias[j];
      plain_sum[i] += (double)x[i * STRIDE + j] * (double)f[i * STRIDE + j];
    }
  }
  for (size_t j = 0; j < WIDTH; j++) {
    plain_alpha_bar[j] = 0;
    for (size_t i = 0; i < ROWS; i++) plain_alpha_bar[j] += (double)x[i * STRIDE + j];
  }
  kernels->column_sum(ROWS, WIDTH, STRIDE, x, alpha_bar);
  close_to(kernels, "column sum of rows apart", WIDTH, alpha_bar, plain_alpha_bar);
  kernels->bias_forward(&(BiasForward){ROWS, WIDTH, STRIDE, x, bias, y});
  kernels->row_products(&(RowProducts){ROWS, WIDTH, STRIDE, x, f, sum});
  close_to(kernels, "x + bias", ROWS * WIDTH, y, plain_y);
  close_to(kernels, "row products", ROWS, sum, plain_sum);
  numbers(6, SIZE, y);
  for (size_t i = 0; i < ROWS * WIDTH; i++) plain_y[i] = (double)f[i] * (double)y[i];
  kernels->scale(ROWS * WIDTH, f, y);
  for (size_t i = 0; i < ROWS * WIDTH; i++) assert_within((double)y[i], plain_y[i], tolerance * fabs(plain_y[i]));
}

static void gates_biases_and_sums_along_rows_and_columns_are_right(void **state)
{
  (void)state;
  on_every_table(gates);
}

static void swiglus(const NetworkKernels *kernels)
{
  enum { M = 37, GU = 2 * M + 5, A = M + 3 }; /* what lies between rows must stay as it is */
  Scalar gu[ROWS * GU], bias[2 * M], a_bar[ROWS * A], gu_bar[ROWS * GU] = {0}, a[ROWS * A] = {0};
  double plain_gu_bar[ROWS * GU] = {0}, plain_a[ROWS * A] = {0};
  const SwigluForward forward = {ROWS, M, GU, A, gu, bias, a};
  const SwigluBackward backward = {ROWS, M, GU, A, gu, bias, a_bar, gu_bar, a};

  example_numbers(1, ROWS * GU, 4, gu); /* into both tails of the sigmoid */
  numbers(2, 2 * M, bias), numbers(3, ROWS * A, a_bar);
  plain_swiglu_forward(&forward, plain_a);
  kernels->swiglu_forward(&forward);
  close_to(kernels, "a", ROWS * A, a, plain_a);
  plain_swiglu_backward(&backward, plain_gu_bar, plain_a);
  kernels->swiglu_backward(&backward);
  close_to(kernels, "gu_bar", ROWS * GU, gu_bar, plain_gu_bar);
  close_to(kernels, "a again", ROWS * A, a, plain_a);
}

static void swiglu_and_its_gradient_are_right(void **state)
{
  (void)state;
  on_every_table(swiglus);
}

static void rotations(const NetworkKernels *kernels)
{
  Scalar x[SIZE], bias[WIDTH], weight[WIDTH], rotation[SIZE], y[SIZE], y_bar[SIZE], x_bar[SIZE] = {0},
                                                                                    weight_bar[WIDTH];
  double plain_y[SIZE], plain_x_bar[SIZE] = {0}, plain_weight_bar[WIDTH];
  const RotaryForward forward = {ROWS, WIDTH, STRIDE, (Scalar)1e-6, (Scalar)0.3, x, bias, weight, rotation, y};
  const RotaryBackward backward = {ROWS, WIDTH,  STRIDE,   (Scalar)1e-6, (Scalar)0.3, x,
                                   bias, weight, rotation, y_bar,        x_bar,       weight_bar};

  numbers(1, SIZE, x), numbers(2, WIDTH, bias), numbers(3, WIDTH, weight), numbers(4, SIZE, y_bar);
  numbers(5, WIDTH, weight_bar);
  for (size_t i = 0; i < SIZE; i += 2) {
    rotation[i] = (Scalar)cos(0.1 * (double)i);
    rotation[i + 1] = (Scalar)sin(0.1 * (double)i);
  }
  plain_rotary_forward(&forward, plain_y);
  kernels->rotary_forward(&forward);
  close_to(kernels, "y", ROWS * WIDTH, y, plain_y);
  plain_rotary_backward(&backward, plain_x_bar, plain_weight_bar);
  kernels->rotary_backward(&backward);
  close_to(kernels, "x_bar", ROWS * STRIDE, x_bar, plain_x_bar);
  close_to(kernels, "weight_bar", WIDTH, weight_bar, plain_weight_bar);
}

static void normalised_rotated_queries_and_their_gradients_are_right(void **state)
{
  (void)state;
  on_every_table(rotations);
}

static void softmaxes(const NetworkKernels *kernels)
{
  for (size_t columns = 1; columns <= STRIDE; columns += 5) {
    Scalar s[SIZE], logits[SIZE], log_sum[ROWS], delta[ROWS], s_bar[SIZE];
    double plain_p[SIZE], plain_log_sum[ROWS], plain_s_bar[SIZE];
    const Softmax arguments = {ROWS, columns, STRIDE, s, log_sum};

    example_numbers(1, SIZE, 3, s), numbers(2, ROWS, delta), numbers(3, SIZE, s_bar);
    memcpy(logits, s, sizeof s);
    copy_to_double(SIZE, s, plain_p); /* what is beyond the columns stays */
    plain_softmax_forward(&arguments, plain_p, plain_log_sum);
    kernels->softmax_forward(&arguments);
    close_to(kernels, "p", ROWS * STRIDE, s, plain_p);
    close_to(kernels, "log sum", ROWS, log_sum, plain_log_sum);
    memcpy(s, logits, sizeof s);
    kernels->softmax_again(&arguments);
    close_to(kernels, "p again", ROWS * STRIDE, s, plain_p);
    copy_to_double(SIZE, s_bar, plain_s_bar);
    for (size_t i = 0; i < ROWS; i++)
      for (size_t j = 0; j < columns; j++)
        plain_s_bar[i * STRIDE + j] = plain_p[i * STRIDE + j] * ((double)s_bar[i * STRIDE + j] - (double)delta[i]);
    kernels->softmax_backward(&(SoftmaxBackward){ROWS, columns, STRIDE, s, delta, s_bar});
    close_to(kernels, "s_bar", ROWS * STRIDE, s_bar, plain_s_bar);
  }
}

static void softmax_and_its_gradient_are_right_for_every_remainder_of_columns(void **state)
{
  (void)state;
  on_every_table(softmaxes);
}

/* Through softmax of two columns: p_0 = 1/(1 + e^x), where the error of the exponential shows undiluted. */
static void exponentials(const NetworkKernels *kernels)
{
  for (double x = -86; x <= 0; x += 0.37) {
    Scalar s[2] = {(Scalar)x, 0}, log_sum;
    const double e = exp((double)s[0]);

    kernels->softmax_forward(&(Softmax){1, 2, 2, s, &log_sum});
    const double unfused = strcmp(kernels->name, "baseline") ? 0 : FLT_EPSILON / 2 * fabs(x); /* rounding of n ln 2 */
    assert_close((double)s[0], e / (1 + e), 2e-7 + unfused); /* three roundings of float */
  }
}

static void the_exponential_is_right_down_to_the_smallest_normal_numbers(void **state)
{
  (void)state;
  on_every_table(exponentials);
}

static void not_a_number(const NetworkKernels *kernels)
{
  Scalar s[3] = {0, NAN, 1}, log_sum, gu[2] = {NAN, 1}, bias[2] = {0}, a;

  kernels->softmax_forward(&(Softmax){1, 3, 3, s, &log_sum});
  assert_true(isnan(s[1]) && isnan(log_sum));
  kernels->swiglu_forward(&(SwigluForward){1, 1, 2, 1, gu, bias, &a});
  assert_true(isnan(a));
}

static void what_is_no_number_does_not_become_one(void **state)
{
  (void)state;
  on_every_table(not_a_number);
}

/* By comparison of all three candidates, in double: the number cut off, the next one, and the even one of the two. */
static void roundings(const NetworkKernels *kernels)
{
  enum { COUNT = 35 }; /* whole vectors and a rest */
  Scalar x[2 * COUNT];
  uint16_t y[2 * COUNT];

  const uint32_t all_ones = 0x7fffffff; /* no number, and with a carry a zero */
  float no_number;

  memcpy(&no_number, &all_ones, sizeof no_number);
  numbers(9, 2 * COUNT, x);
  x[0] = 0, x[1] = (Scalar)-0.0, x[2] = 1,
  x[3] = (Scalar)1.00390625; /* 1 + 2^-8, half-way to 1 + 2^-7: to the even 1 */
  x[4] = (Scalar)1.01171875; /* 1 + 3 2^-8, half-way: to the even 1 + 2^-6 */
  x[5] = (Scalar)-3.4e38; /* beyond the largest, 255/128 2^127 = 3.3895e38: nearer to 2^128, that is, infinite */
  x[6] = INFINITY, x[7] = (Scalar)no_number;
  kernels->round_bfloat16(&(RoundBfloat16){.rows = 2, .width = COUNT - 2, .x_row = COUNT, .x = x, .y = y});
  for (size_t i = 8; i < COUNT - 2; i++) {
    const double error = fabs(bfloat16_value(y[i]) - (double)(float)x[i]);

    for (int step = -1; step <= 1; step += 2)
      assert_true(error <= fabs(bfloat16_value((uint16_t)(y[i] + step)) - (double)(float)x[i]));
  }
  assert_true(y[0] == 0 && y[1] == 0x8000 && y[2] == 0x3f80 && y[3] == 0x3f80 && y[4] == 0x3f82);
  assert_true(isinf(bfloat16_value(y[5])) && isinf(bfloat16_value(y[6])) && isnan(bfloat16_value(y[7])));
  assert_true(fabs(bfloat16_value(y[COUNT - 2]) - (double)x[COUNT]) <= fabs((double)x[COUNT]) / 256); /* the next row */
}

static void numbers_are_rounded_to_the_nearest_bfloat16_and_to_even(void **state)
{
  (void)state;
  on_every_table(roundings);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_product_is_the_sum_over_k_in_every_shape),
                   cmocka_unit_test(packing_moves_every_element_to_its_panel_and_fills_with_zeros),
                   cmocka_unit_test(norms_and_their_gradients_are_right),
                   cmocka_unit_test(gates_biases_and_sums_along_rows_and_columns_are_right),
                   cmocka_unit_test(swiglu_and_its_gradient_are_right),
                   cmocka_unit_test(normalised_rotated_queries_and_their_gradients_are_right),
                   cmocka_unit_test(softmax_and_its_gradient_are_right_for_every_remainder_of_columns),
                   cmocka_unit_test(the_exponential_is_right_down_to_the_smallest_normal_numbers),
                   cmocka_unit_test(what_is_no_number_does_not_become_one),
                   cmocka_unit_test(numbers_are_rounded_to_the_nearest_bfloat16_and_to_even))
