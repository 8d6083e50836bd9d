/* nephrite-test: float64 */
#include "nephrite_test.h"

#include "check.h"

static void in_double_every_quantity_of_the_reference_file_is_met_to_1e_10(void **state)
{
  ProductReader *file = NULL;
  CheckReport *report = NULL;
  FILE *text = tmpfile();
  int decided, failed;

  (void)state;
  assert_ok(product_open_foreign(NEPHRITE_REFERENCE "/network.h5", &file));
  assert_ok(check_report_create(1e-10, text, &report));
  assert_ok(check_network(file, report));
  assert_ok(check_report_count(report, &decided, &failed));
  assert_int_equal(failed, 0);
  assert_true(decided >= 30);
  assert_ok(check_report_destroy(&report));
  assert_ok(product_close(&file));
  fclose(text);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(in_double_every_quantity_of_the_reference_file_is_met_to_1e_10))
