#include "nephrite/training.h"
#include "nephrite_test.h"

enum { COUNT = 1000, STEPS = 5 };

static const OptimizerConfig published = {
    .beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-8, .weight_decay = 0.01, .clip = 1, .ema_decay = 0.9};

/* Keyed numbers for weights (index 0) and the gradient of each step. */
static void fill(uint64_t index, double scale, Scalar *out)
{
  double normals[COUNT];

  random_normal((RandomKey){7, STREAM_INITIAL_WEIGHTS, index}, 0, COUNT, normals);
  for (size_t i = 0; i < COUNT; i++) out[i] = (Scalar)(scale * normals[i]);
}

static double norm_of(const Scalar *values)
{
  double sum = 0;

  for (size_t i = 0; i < COUNT; i++) sum += (double)values[i] * (double)values[i];
  return sqrt(sum);
}

/* The formulas of the manual, one element at a time, all in double. */
typedef struct {
  double w, m, v, ema;
} Element;

static void plain_step(const OptimizerConfig *c, int step, double rate, double norm, double gradient, Element *e)
{
  const double g = norm > c->clip ? gradient * (c->clip / norm) : gradient;

  e->m = c->beta1 * e->m + (1 - c->beta1) * g;
  e->v = c->beta2 * e->v + (1 - c->beta2) * g * g;
  const double m_hat = e->m / (1 - pow(c->beta1, step)), v_hat = e->v / (1 - pow(c->beta2, step));
  e->w = e->w - rate * (m_hat / (sqrt(v_hat) + c->epsilon) + c->weight_decay * e->w);
  e->ema = c->ema_decay * e->ema + (1 - c->ema_decay) * e->w;
}

static void five_steps_are_those_of_the_formulas_in_double(void **state)
{
  static Scalar weights[COUNT], gradient[COUNT];
  static Element plain[COUNT];
  Optimizer *optimizer = NULL;

  (void)state;
  fill(0, 1, weights);
  for (size_t i = 0; i < COUNT; i++) plain[i] = (Element){weights[i], 0, 0, weights[i]};
  assert_ok(optimizer_create(&published, COUNT, weights, &optimizer));
  for (int step = 1; step <= STEPS; step++) {
    const double rate = 0.01 / step;
    double norm;

    fill((uint64_t)step, step % 2 ? 1 : 1e-3, gradient); /* norms of about 32 and 0.03: clipped, not clipped */
    assert_ok(optimizer_step(optimizer, step, rate, weights, gradient, &norm));
    assert_close(norm, norm_of(gradient), 1e-12);
    for (size_t i = 0; i < COUNT; i++) plain_step(&published, step, rate, norm, gradient[i], &plain[i]);
  }
  for (size_t i = 0; i < COUNT; i++) { /* float32: a few roundings of values of order 1, and of the moments' sizes */
    assert_within(weights[i], plain[i].w, 2e-6);
    assert_within(optimizer_ema(optimizer)[i], plain[i].ema, 2e-6);
    assert_close(optimizer_v(optimizer)[i], plain[i].v, 2e-6);
    assert_within(optimizer_m(optimizer)[i], plain[i].m, 2e-8);
  }
  assert_ok(optimizer_destroy(&optimizer));
}

static void the_first_step_moves_every_weight_by_the_learning_rate(void **state)
{
  static Scalar weights[COUNT], gradient[COUNT];
  const OptimizerConfig config = {.beta1 = 0.9, .beta2 = 0.95, .epsilon = 1e-12, .clip = 1e30, .ema_decay = 0.5};
  Optimizer *optimizer = NULL;
  double norm;

  (void)state;
  fill(1, 1, gradient);
  assert_ok(optimizer_create(&config, COUNT, weights, &optimizer));
  assert_ok(optimizer_step(optimizer, 1, 0.125, weights, gradient, &norm));
  for (size_t i = 0; i < COUNT; i++) assert_close(weights[i], gradient[i] > 0 ? -0.125 : 0.125, 1e-5);
  assert_ok(optimizer_destroy(&optimizer));
}

static void a_gradient_longer_than_the_clip_acts_by_its_direction_alone(void **state)
{
  static Scalar weights[2][COUNT], gradient[COUNT];
  Optimizer *optimizer = NULL;
  double norm;

  (void)state;
  for (int run = 0; run < 2; run++) {
    fill(0, 1, weights[run]);
    fill(1, run ? 64 : 1, gradient); /* a power of two: only the exponents differ */
    assert_ok(optimizer_create(&published, COUNT, weights[run], &optimizer));
    assert_ok(optimizer_step(optimizer, 1, 0.01, weights[run], gradient, &norm));
    assert_true(norm > published.clip);
    assert_ok(optimizer_destroy(&optimizer));
  }
  assert_memory_equal(weights[0], weights[1], sizeof weights[0]);
}

static void the_average_starts_as_the_weights_and_follows_them(void **state)
{
  static Scalar weights[COUNT], before[COUNT], gradient[COUNT];
  Optimizer *optimizer = NULL;
  double norm;

  (void)state;
  fill(0, 1, weights);
  fill(1, 1, gradient);
  memcpy(before, weights, sizeof before);
  assert_ok(optimizer_create(&published, COUNT, weights, &optimizer));
  assert_memory_equal(optimizer_ema(optimizer), weights, sizeof weights);
  assert_ok(optimizer_step(optimizer, 1, 0.5, weights, gradient, &norm));
  for (size_t i = 0; i < COUNT; i++) /* a tenth of the way, up to roundings of values of order 1 */
    assert_within(optimizer_ema(optimizer)[i] - before[i], 0.1 * ((double)weights[i] - before[i]), 1e-6);
  assert_ok(optimizer_destroy(&optimizer));
}

static void frozen_weights_stay_and_count_in_no_norm(void **state)
{
  static Scalar weights[COUNT], before[COUNT], gradient[COUNT];
  Optimizer *optimizer = NULL;
  double norm, sum = 0;

  (void)state;
  fill(0, 1, weights);
  fill(1, 1, gradient);
  memcpy(before, weights, sizeof before);
  assert_ok(optimizer_create(&published, COUNT, weights, &optimizer));
  assert_ok(optimizer_freeze(optimizer, 100, 50));
  assert_ok(optimizer_step(optimizer, 1, 0.5, weights, gradient, &norm));
  assert_memory_equal(weights + 100, before + 100, 50 * sizeof *weights); /* weight decay leaves them alone too */
  assert_memory_equal(optimizer_ema(optimizer) + 100, before + 100, 50 * sizeof *weights);
  for (size_t i = 0; i < COUNT; i++) {
    if (i >= 100 && i < 150) continue;
    assert_true(weights[i] != before[i]);
    sum += (double)gradient[i] * (double)gradient[i];
  }
  assert_close(norm, sqrt(sum), 1e-12);
  assert_fails(optimizer_freeze(optimizer, COUNT - 1, 2), NEPHRITE_ERR_INTERNAL, "frozen");
  assert_ok(optimizer_destroy(&optimizer));
}

static void a_gradient_with_nan_or_infinity_is_refused_and_changes_nothing(void **state)
{
  static Scalar weights[COUNT], before[COUNT], gradient[COUNT], zero[COUNT];
  const double bad[] = {NAN, INFINITY};
  Optimizer *optimizer = NULL;
  double norm;

  (void)state;
  fill(0, 1, weights);
  memcpy(before, weights, sizeof before);
  assert_ok(optimizer_create(&published, COUNT, weights, &optimizer));
  for (size_t i = 0; i < 2; i++) {
    fill(1, 1, gradient);
    gradient[COUNT - 1] = (Scalar)bad[i];
    assert_fails(optimizer_step(optimizer, 1, 0.5, weights, gradient, &norm), NEPHRITE_ERR_INTERNAL,
                 "norm of the gradient");
    assert_memory_equal(weights, before, sizeof before);
    assert_memory_equal(optimizer_m(optimizer), zero, sizeof zero);
    assert_memory_equal(optimizer_v(optimizer), zero, sizeof zero);
    assert_memory_equal(optimizer_ema(optimizer), before, sizeof before);
  }
  assert_ok(optimizer_destroy(&optimizer));
}

static void destroy_accepts_nothing_and_leaves_nothing(void **state)
{
  const Scalar weight = 1;
  Optimizer *optimizer = NULL;

  (void)state;
  assert_ok(optimizer_destroy(&optimizer));
  assert_ok(optimizer_create(&published, 1, &weight, &optimizer));
  assert_ok(optimizer_destroy(&optimizer));
  assert_null(optimizer);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(five_steps_are_those_of_the_formulas_in_double),
                   cmocka_unit_test(the_first_step_moves_every_weight_by_the_learning_rate),
                   cmocka_unit_test(a_gradient_longer_than_the_clip_acts_by_its_direction_alone),
                   cmocka_unit_test(the_average_starts_as_the_weights_and_follows_them),
                   cmocka_unit_test(frozen_weights_stay_and_count_in_no_norm),
                   cmocka_unit_test(a_gradient_with_nan_or_infinity_is_refused_and_changes_nothing),
                   cmocka_unit_test(destroy_accepts_nothing_and_leaves_nothing))
