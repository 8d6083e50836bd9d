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

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_part_is_the_same_event_whoever_asks),
                   cmocka_unit_test(a_part_that_is_not_in_the_list_is_refused))
