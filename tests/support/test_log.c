#include "nephrite_test.h"

static void a_part_is_the_same_event_whoever_asks(void **state)
{
  PetscLogEvent first, again, other;

  (void)state;
  assert_ok(log_event("field maps", &first));
  assert_ok(log_install());
  assert_ok(log_event("field maps", &again));
  assert_ok(log_event("shifts", &other));
  assert_int_equal(first, again);
  assert_int_not_equal(first, other);
}

static void a_part_that_is_not_in_the_list_is_refused(void **state)
{
  PetscLogEvent event;

  (void)state;
  assert_fails(log_event("tea", &event), NEPHRITE_ERR_INTERNAL, "\"tea\"");
}

static int times_seen(const char *stage_name, PetscLogEvent event)
{
  PetscEventPerfInfo info;
  PetscLogStage stage;

  assert_ok(PetscLogStageGetId(stage_name, &stage));
  assert_ok(PetscLogEventGetPerfInfo(stage, event, &info));
  return info.count;
}

static void a_part_counts_to_the_stage_it_is_in_and_not_to_the_one_around(void **state)
{
  PetscLogEvent event;

  (void)state;
  assert_ok(PetscLogDefaultBegin());
  assert_ok(log_event("train forward", &event));
  assert_ok(log_stage("Training"));
  assert_ok(log_stage("Validation"));
  assert_ok(PetscLogEventBegin(event, 0, 0, 0, 0));
  assert_ok(PetscLogEventEnd(event, 0, 0, 0, 0));
  assert_ok(PetscLogStagePop());
  assert_ok(PetscLogStagePop());
  assert_int_equal(times_seen("Validation", event), 1);
  assert_int_equal(times_seen("Training", event), 0);
  assert_int_equal(times_seen("Main Stage", event), 0);
}

static void a_stage_that_is_not_in_the_list_is_refused(void **state)
{
  (void)state;
  assert_fails(log_stage("Tea"), NEPHRITE_ERR_INTERNAL, "\"Tea\"");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_part_is_the_same_event_whoever_asks),
                   cmocka_unit_test(a_part_that_is_not_in_the_list_is_refused),
                   cmocka_unit_test(a_part_counts_to_the_stage_it_is_in_and_not_to_the_one_around),
                   cmocka_unit_test(a_stage_that_is_not_in_the_list_is_refused))
