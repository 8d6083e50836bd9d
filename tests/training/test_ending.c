#include "../../src/training/internal.h"
#include "nephrite_test.h"

/* A training whose validations, at steps 10, 20, …, had these losses of the parameters. */
static Training trained(const TrainConfig *train, int count, const double *theta)
{
  Training t = {.comm = PETSC_COMM_SELF, .setup.train = train};

  for (int i = 0; i < count; i++)
    assert_ok(history_add_validation(&t.state.history, &(ValidationRecord){10 * (i + 1), 1, 1, theta[i]}));
  t.state.step = 10 * count;
  return t;
}

static void assert_end(const TrainConfig *train, int count, const double *theta, TrainingEnd end)
{
  Training t = trained(train, count, theta);

  assert_ok(training_find_end(&t));
  assert_int_equal(t.end, end);
  assert_ok(history_clear(&t.state.history));
}

static void the_end_comes_with_the_last_step_or_when_patience_is_at_its_end(void **state)
{
  const double theta[] = {3, 2, 2, 4, 1, 5};
  const TrainConfig patient = {.steps = 60, .patience = 3}, hasty = {.steps = 60, .patience = 2},
                    endless = {.steps = 60};

  (void)state;
  assert_end(&patient, 0, theta, END_NOT_YET);
  assert_end(&patient, 4, theta, END_NOT_YET); /* two worse than the best, one of them equal to it */
  assert_end(&hasty, 3, theta, END_NOT_YET);
  assert_end(&hasty, 4, theta, END_PATIENCE);
  assert_end(&hasty, 5, theta, END_NOT_YET); /* of a training that went on and became better */
  assert_end(&patient, 6, theta, END_STEPS);
  assert_end(&endless, 4, theta, END_NOT_YET);
}

static void a_plan_of_more_steps_begins_the_count_anew(void **state)
{
  const double theta[] = {1, 2, 3};
  const TrainConfig same = {.steps = 100, .patience = 2}, more = {.steps = 200, .patience = 2};
  Training t = trained(&same, 3, theta);

  (void)state;
  t.state.planned = 100;
  training_plan(&t);
  assert_ok(training_find_end(&t));
  assert_int_equal(t.end, END_PATIENCE);
  t.setup.train = &more;
  training_plan(&t);
  assert_ok(training_find_end(&t));
  assert_int_equal(t.end, END_NOT_YET);
  assert_true(t.state.planned == 200 && t.state.patience_from == 30);
  training_plan(&t); /* as at a restart: nothing changes */
  assert_int_equal(t.state.patience_from, 30);
  for (int64_t step = 40; step <= 50; step += 10)
    assert_ok(history_add_validation(&t.state.history, &(ValidationRecord){step, 1, 1, 4}));
  assert_ok(training_find_end(&t));
  assert_int_equal(t.end, END_PATIENCE);
  assert_ok(history_clear(&t.state.history));
}

static void a_new_training_counts_from_its_start(void **state)
{
  const TrainConfig train = {.steps = 100, .patience = 2};
  Training t = trained(&train, 0, NULL);

  (void)state;
  training_plan(&t);
  assert_true(t.state.planned == 100 && t.state.patience_from == 0);
}

static void time_for_another_step_counts_all_that_is_due_until_a_checkpoint_is_safe(void **state)
{
  const TrainConfig train = {.steps = 100, .batch = 8, .validate_every = 10, .validations = 80, .held_out = 1000};
  Training t = {.setup.train = &train, .longest = {.step = 2, .validation = 30, .checkpoint = 5}};

  (void)state;
  t.state.step = 3; /* the fourth is under way */
  assert_close(training_seconds_to_safety(&t), 1.2 * (2 + 2 * 5), 1e-12);
  t.state.step = 8; /* one validation: after the tenth */
  assert_close(training_seconds_to_safety(&t), 1.2 * (2 + 2 * 5 + 30), 1e-12);
  t.state.step = 9;
  assert_close(training_seconds_to_safety(&t), 1.2 * (2 + 2 * 5 + 30), 1e-12);
  t.longest.validation = 0; /* none yet: as long as training on so many */
  assert_close(training_seconds_to_safety(&t), 1.2 * (2 + 2 * 5 + 20), 1e-12);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_end_comes_with_the_last_step_or_when_patience_is_at_its_end),
                   cmocka_unit_test(a_plan_of_more_steps_begins_the_count_anew),
                   cmocka_unit_test(a_new_training_counts_from_its_start),
                   cmocka_unit_test(time_for_another_step_counts_all_that_is_due_until_a_checkpoint_is_safe))
