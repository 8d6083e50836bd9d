/* nephrite-test: float64 */
#include "inference/gaussian_flow.h"

static SamplerSettings heun(PetscInt evaluations, SamplerClosing closing)
{
  return (SamplerSettings){.solver = SOLVER_HEUN, .closing = closing, .evaluations = evaluations};
}

static void halving_the_steps_leaves_a_quarter_of_the_error(void **state)
{
  (void)state;
  for (PetscInt steps = 64; steps <= 256; steps *= 2) {
    const SamplerSettings coarse = heun(2 * steps - 1, CLOSING_PREDICTION);
    const SamplerSettings fine = heun(4 * steps - 1, CLOSING_PREDICTION);

    /* the flow itself ends at t = 1; 0.2: what is left of third order */
    assert_within(log2(gaussian_error(0.4, &coarse, 0) / gaussian_error(0.4, &fine, 0)), 2, 0.2);
  }
}

static void steps_take_no_more_evaluations_than_are_allowed(void **state)
{
  (void)state;
  for (SamplerClosing closing = CLOSING_PREDICTION; closing <= CLOSING_PUBLISHED; closing++)
    for (PetscInt evaluations = 3; evaluations < 40; evaluations++) {
      const SamplerSettings settings = heun(evaluations, closing);
      const PetscInt used = sampler_evaluations(&settings);
      GaussianFlow g = gaussian_flow(1);
      Scalar z[GAUSSIAN_COUNT];

      assert_true(used <= evaluations && used + 2 > evaluations);
      assert_ok(gaussian_run(&g, &settings, gaussian_predict, z));
      assert_int_equal(g.calls, used);
    }
}

static void a_prediction_that_fails_ends_it(void **state)
{
  const SamplerSettings settings = heun(9, CLOSING_HEUN);
  GaussianFlow g = gaussian_flow(1);
  Scalar z[GAUSSIAN_COUNT];

  (void)state;
  assert_fails(gaussian_run(&g, &settings, failing_predict, z), NEPHRITE_ERR_INTERNAL, "no prediction");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(halving_the_steps_leaves_a_quarter_of_the_error),
                   cmocka_unit_test(steps_take_no_more_evaluations_than_are_allowed),
                   cmocka_unit_test(a_prediction_that_fails_ends_it))
