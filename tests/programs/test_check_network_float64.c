/* nephrite-test: float64 */
#include "check_fixture.h"

static void in_double_every_quantity_of_the_reference_file_is_met_to_1e_10(void **state)
{
  int decided, failed;

  (void)state;
  assert_ok(check_file(check_network, NEPHRITE_REFERENCE "/network.h5", 1e-10, &decided, &failed));
  assert_int_equal(failed, 0);
  assert_true(decided >= 30);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(in_double_every_quantity_of_the_reference_file_is_met_to_1e_10))
