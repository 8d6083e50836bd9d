#include "check_fixture.h"

#define FILE_OF_THIS_KIND NEPHRITE_REFERENCE "/network.h5"

static void every_quantity_of_the_reference_file_is_met(void **state)
{
  int decided, failed;

  (void)state;
  assert_ok(check_file(check_network, FILE_OF_THIS_KIND, -1, &decided, &failed));
  assert_int_equal(failed, 0);
  assert_true(decided >= 30);
}

static void a_tolerance_below_rounding_fails(void **state)
{
  int failed;

  (void)state;
  assert_ok(check_file(check_network, FILE_OF_THIS_KIND, 1e-19, NULL, &failed));
  assert_true(failed > 10);
}

static void a_file_of_another_kind_is_refused(void **state)
{
  (void)state;
  assert_fails(check_file(check_network, NEPHRITE_REFERENCE "/shift.h5", -1, NULL, NULL), NEPHRITE_ERR_INPUT,
               "attribute");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(every_quantity_of_the_reference_file_is_met),
                   cmocka_unit_test(a_tolerance_below_rounding_fails),
                   cmocka_unit_test(a_file_of_another_kind_is_refused))
