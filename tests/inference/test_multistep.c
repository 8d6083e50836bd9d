/* nephrite-test: float64 */
#include "inference/gaussian_flow.h"

static const SamplerSolver solvers[] = {SOLVER_MULTISTEP2, SOLVER_MULTISTEP3};
enum { SOLVERS = sizeof solvers / sizeof *solvers };

static SamplerSettings multistep(SamplerSolver solver, PetscInt evaluations, double spacing)
{
  return (SamplerSettings){.solver = solver, .evaluations = evaluations, .noise_left = 0.02, .spacing = spacing};
}

/* Noise after step 1, 2, …, n-1. */
static double noise_after(const SamplerSettings *s, int step)
{
  const double least = pow(s->noise_left, 1 / s->spacing);

  return pow(1 - (1 - least) * step / (double)(s->evaluations - 1), s->spacing);
}

static PetscErrorCode predict_mu(void *context, const Scalar *z, double t, Scalar *x_hat)
{
  const GaussianFlow *g = context;

  (void)z, (void)t;
  PetscFunctionBeginUser;
  for (int i = 0; i < GAUSSIAN_COUNT; i++) x_hat[i] = (Scalar)g->mu[i];
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void what_does_not_change_is_reached_on_a_straight_line(void **state)
{
  (void)state;
  for (int m = 0; m < SOLVERS; m++)
    for (PetscInt evaluations = 2; evaluations < 40; evaluations += 5) {
      const SamplerSettings settings = multistep(solvers[m], evaluations, 1.7);
      GaussianFlow g = gaussian_flow(1);
      Scalar z[GAUSSIAN_COUNT];

      assert_ok(gaussian_run(&g, &settings, predict_mu, z));
      assert_int_equal(g.steps, evaluations);
      for (int i = 0; i < GAUSSIAN_COUNT; i++) {
        for (int step = 1; step < evaluations; step++) {
          const double sigma = noise_after(&settings, step);

          assert_within((double)g.z[step][i], (1 - sigma) * g.mu[i] + sigma * g.noise[i], 1e-12); /* some rounding */
        }
        assert_true(z[i] == (Scalar)g.mu[i]);
      }
    }
}

static PetscErrorCode predict_line(void *context, const Scalar *z, double t, Scalar *x_hat)
{
  const GaussianFlow *g = context;

  (void)z;
  PetscFunctionBeginUser;
  for (int i = 0; i < GAUSSIAN_COUNT; i++) x_hat[i] = (Scalar)(g->mu[i] + g->s[i] * (1 - t));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* z = sigma eps + mu (1 - sigma) + s sigma ln(1/sigma).  The first step knows one prediction and is wrong until it is
 * corrected. */
static void what_changes_with_the_noise_linearly_is_followed_exactly(void **state)
{
  (void)state;
  for (int m = 0; m < SOLVERS; m++) {
    const SamplerSettings settings = multistep(solvers[m], 9, 3);
    GaussianFlow g = gaussian_flow(1);
    Scalar z[GAUSSIAN_COUNT];

    assert_ok(gaussian_run(&g, &settings, predict_line, z));
    for (int i = 0; i < GAUSSIAN_COUNT; i++) {
      for (int step = 2; step < settings.evaluations; step++) {
        const double sigma = noise_after(&settings, step);
        const double expected = sigma * g.noise[i] + g.mu[i] * (1 - sigma) - g.s[i] * sigma * log(sigma);

        assert_within((double)g.z[step][i], expected, 1e-11); /* quadrature of 12 points over steps up to ln 3 */
      }
      assert_within((double)z[i], g.mu[i] + g.s[i] * settings.noise_left, 1e-12);
    }
  }
}

/* A step's error is of the third power with two nodes, of the fourth with three, and the corrector adds one; but the
 * first steps have fewer, so that both converge with the third order in the end. */
static void halving_the_steps_leaves_an_eighth_of_the_error(void **state)
{
  (void)state;
  for (int m = 0; m < SOLVERS; m++)
    for (PetscInt steps = 64; steps <= 256; steps *= 2) {
      const SamplerSettings coarse = multistep(solvers[m], steps + 1, 2);
      const SamplerSettings fine = multistep(solvers[m], 2 * steps + 1, 2);

      assert_within(log2(gaussian_error(0.4, &coarse, 0.02) / gaussian_error(0.4, &fine, 0.02)), 3, 0.15);
    }
}

static void three_predictions_leave_less_of_the_error_than_two(void **state)
{
  (void)state;
  for (double spacing = 1; spacing < 4; spacing++)
    for (PetscInt evaluations = 16; evaluations <= 64; evaluations *= 2) {
      const SamplerSettings two = multistep(SOLVER_MULTISTEP2, evaluations, spacing);
      const SamplerSettings three = multistep(SOLVER_MULTISTEP3, evaluations, spacing);

      assert_true(gaussian_error(0.4, &three, 0.02) < 0.7 * gaussian_error(0.4, &two, 0.02));
    }
}

static void times_are_spaced_as_documented_from_noise_to_what_is_left_of_it(void **state)
{
  const SamplerSettings settings = multistep(SOLVER_MULTISTEP3, 5, 2);
  const double root = sqrt(0.02);
  GaussianFlow g = gaussian_flow(1);
  Scalar z[GAUSSIAN_COUNT];

  (void)state;
  assert_ok(gaussian_run(&g, &settings, gaussian_predict, z));
  assert_int_equal(g.calls, 5);
  assert_int_equal(sampler_evaluations(&settings), 5);
  assert_true(g.t[0] == 0);
  assert_close(g.t[4], 0.98, 1e-14);
  for (int i = 0; i < 5; i++) assert_within(sqrt(1 - g.t[i]), 1 - (1 - root) * i / 4, 1e-14);
}

static void a_hundred_thousand_steps_are_no_worse_than_a_thousand(void **state)
{
  (void)state;
  for (int m = 0; m < SOLVERS; m++) {
    const SamplerSettings settings = multistep(solvers[m], 100001, 2);

    assert_true(gaussian_error(0.4, &settings, 0.02) < 1e-9); /* rounding of 1e5 steps; closed forms would leave 1e-2 */
  }
}

static void a_prediction_that_fails_ends_it(void **state)
{
  const SamplerSettings settings = multistep(SOLVER_MULTISTEP2, 9, 2);
  GaussianFlow g = gaussian_flow(1);
  Scalar z[GAUSSIAN_COUNT];

  (void)state;
  assert_fails(gaussian_run(&g, &settings, failing_predict, z), NEPHRITE_ERR_INTERNAL, "no prediction");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(what_does_not_change_is_reached_on_a_straight_line),
                   cmocka_unit_test(what_changes_with_the_noise_linearly_is_followed_exactly),
                   cmocka_unit_test(halving_the_steps_leaves_an_eighth_of_the_error),
                   cmocka_unit_test(three_predictions_leave_less_of_the_error_than_two),
                   cmocka_unit_test(times_are_spaced_as_documented_from_noise_to_what_is_left_of_it),
                   cmocka_unit_test(a_hundred_thousand_steps_are_no_worse_than_a_thousand),
                   cmocka_unit_test(a_prediction_that_fails_ends_it))
