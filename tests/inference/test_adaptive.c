/* nephrite-test: float64 */
#include "inference/gaussian_flow.h"

static SamplerSettings adaptive(double tolerance)
{
  return (SamplerSettings){.solver = SOLVER_ADAPTIVE, .noise_left = 0.01, .tolerance = tolerance};
}

static void a_draw_is_as_exact_as_was_asked_for(void **state)
{
  (void)state;
  for (double s = 0.1; s < 2; s *= 3)
    for (double tolerance = 1e-3; tolerance > 1e-8; tolerance /= 10) {
      const SamplerSettings settings = adaptive(tolerance);

      /* errors of some twenty steps, in units of the spread; that of 0.1 takes up a tenth of them again */
      assert_true(gaussian_error(s, &settings, 0.01) < 4 * tolerance);
    }
}

static void a_smaller_tolerance_takes_more_evaluations(void **state)
{
  int last = 0;

  (void)state;
  for (double tolerance = 1e-2; tolerance > 1e-9; tolerance /= 10) {
    const SamplerSettings settings = adaptive(tolerance);
    GaussianFlow g = gaussian_flow(0.3);
    Scalar z[GAUSSIAN_COUNT];

    assert_ok(gaussian_run(&g, &settings, gaussian_predict, z));
    assert_true(g.calls > last);
    assert_true(g.steps > 2 && g.calls > 5 * g.steps);
    last = g.calls;
  }
  assert_true(last < GAUSSIAN_MAX_STEPS * 4);
  assert_int_equal(sampler_evaluations(&(SamplerSettings){.solver = SOLVER_ADAPTIVE}), 0);
}

/* A flow of many easy pixels and two hard parameters. */
enum { MAX_PIXELS = 1000, PARAMETERS = 2 };
typedef struct {
  size_t pixels;
  int calls;
} Lopsided;

static PetscErrorCode lopsided_predict(void *context, const Scalar *z, double t, Scalar *x_hat)
{
  Lopsided *l = context;
  const double square = 0.02 * 0.02;

  PetscFunctionBeginUser;
  l->calls++;
  for (size_t i = 0; i < l->pixels; i++) x_hat[i] = 1;
  for (size_t i = l->pixels; i < l->pixels + PARAMETERS; i++)
    x_hat[i] = (Scalar)(t * square / (t * t * square + (1 - t) * (1 - t)) * (double)z[i]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int lopsided_calls(size_t pixels)
{
  const SamplerSettings settings = adaptive(1e-5);
  Lopsided l = {pixels, 0};
  const Flow flow = {.maps = pixels, .count = pixels + PARAMETERS, .predict = lopsided_predict, .context = &l};
  Scalar z[MAX_PIXELS + PARAMETERS], work[MAX_PIXELS + PARAMETERS];

  for (size_t i = 0; i < flow.count; i++) z[i] = 1;
  assert_ok(adaptive_integrate(&flow, &settings, work, z));
  return l.calls;
}

static void parameters_do_not_drown_in_pixels(void **state)
{
  (void)state;
  assert_int_equal(lopsided_calls(MAX_PIXELS), lopsided_calls(2));
  assert_true(lopsided_calls(0) >= lopsided_calls(2)); /* no pixels halve the mean */
}

static PetscErrorCode trembling_predict(void *context, const Scalar *z, double t, Scalar *x_hat)
{
  GaussianFlow *g = context;

  PetscFunctionBeginUser;
  PetscCall(gaussian_predict(context, z, t, x_hat));
  for (int i = 0; i < GAUSSIAN_COUNT; i++) x_hat[i] += g->calls % 2 ? 1 : -1;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void what_no_step_can_follow_is_refused(void **state)
{
  const SamplerSettings settings = adaptive(1e-6);
  GaussianFlow g = gaussian_flow(1);
  Scalar z[GAUSSIAN_COUNT];

  (void)state;
  assert_fails(gaussian_run(&g, &settings, trembling_predict, z), NEPHRITE_ERR_CONFIG, "infer_tolerance 1e-06");
}

static void a_prediction_that_fails_ends_it(void **state)
{
  const SamplerSettings settings = adaptive(1e-4);
  GaussianFlow g = gaussian_flow(1);
  Scalar z[GAUSSIAN_COUNT];

  (void)state;
  assert_fails(gaussian_run(&g, &settings, failing_predict, z), NEPHRITE_ERR_INTERNAL, "no prediction");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_draw_is_as_exact_as_was_asked_for),
                   cmocka_unit_test(a_smaller_tolerance_takes_more_evaluations),
                   cmocka_unit_test(parameters_do_not_drown_in_pixels),
                   cmocka_unit_test(what_no_step_can_follow_is_refused),
                   cmocka_unit_test(a_prediction_that_fails_ends_it))
