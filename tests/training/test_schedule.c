#include "../../src/training/internal.h"
#include "nephrite_test.h"

static TrainConfig make(int schedule, int64_t warmup)
{
  return (TrainConfig){
      .steps = 101, .learning_rate = 5e-3, .final_learning_rate = 1e-4, .schedule = schedule, .warmup = warmup};
}

static void the_linear_schedule_goes_from_the_first_to_the_last_value(void **state)
{
  const TrainConfig train = make(SCHEDULE_LINEAR, 0);

  (void)state;
  assert_close(schedule_learning_rate(&train, 1), 5e-3, 1e-15);
  assert_close(schedule_learning_rate(&train, 51), 2.55e-3, 1e-14);
  assert_close(schedule_learning_rate(&train, 101), 1e-4, 1e-13);
  for (int64_t step = 2; step <= 101; step++)
    assert_within(schedule_learning_rate(&train, step - 1) - schedule_learning_rate(&train, step), 4.9e-5, 1e-17);
}

static void the_cosine_schedule_has_the_same_ends_and_middle(void **state)
{
  const TrainConfig train = make(SCHEDULE_COSINE, 0);

  (void)state;
  assert_close(schedule_learning_rate(&train, 1), 5e-3, 1e-15);
  assert_close(schedule_learning_rate(&train, 26), 1e-4 + 4.9e-3 * (1 + sqrt(0.5)) / 2, 1e-14);
  assert_close(schedule_learning_rate(&train, 51), 2.55e-3, 1e-14);
  assert_close(schedule_learning_rate(&train, 101), 1e-4, 1e-13);
}

static void the_constant_schedule_stays_at_the_first_value(void **state)
{
  const TrainConfig train = make(SCHEDULE_CONSTANT, 0);

  (void)state;
  for (int64_t step = 1; step <= 101; step++) assert_close(schedule_learning_rate(&train, step), 5e-3, 0);
}

static void warm_up_rises_evenly_to_the_first_value_and_the_schedule_fills_the_rest(void **state)
{
  const TrainConfig train = make(SCHEDULE_LINEAR, 4);

  (void)state;
  for (int64_t step = 1; step <= 5; step++)
    assert_close(schedule_learning_rate(&train, step), 1e-3 * (double)step, 1e-14);
  assert_close(schedule_learning_rate(&train, 53), 2.55e-3, 1e-14);
  assert_close(schedule_learning_rate(&train, 101), 1e-4, 1e-13);
}

static void a_training_of_one_step_uses_the_first_value(void **state)
{
  TrainConfig train = make(SCHEDULE_LINEAR, 0);

  (void)state;
  train.steps = 1;
  assert_close(schedule_learning_rate(&train, 1), 5e-3, 0);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(the_linear_schedule_goes_from_the_first_to_the_last_value),
                   cmocka_unit_test(the_cosine_schedule_has_the_same_ends_and_middle),
                   cmocka_unit_test(the_constant_schedule_stays_at_the_first_value),
                   cmocka_unit_test(warm_up_rises_evenly_to_the_first_value_and_the_schedule_fills_the_rest),
                   cmocka_unit_test(a_training_of_one_step_uses_the_first_value))
