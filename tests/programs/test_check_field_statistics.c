/* nephrite-test: long, since it makes 3,000 maps */
#include "check.h"
#include "nephrite_test.h"

/* Variance, skewness, kurtosis and one-point density at three cosmologies: physics, Maps, required agreement. */
static void our_maps_have_the_statistics_of_another_codes_maps(void **state)
{
  ProductReader *file = NULL;
  CheckReport *report = NULL;
  FILE *lines = tmpfile();
  int decided = 0, failed = -1;

  (void)state;
  assert_non_null(lines);
  assert_ok(product_open_foreign(NEPHRITE_REFERENCE "/field_statistics.h5", &file));
  assert_ok(check_report_create(-1, lines, &report));
  assert_ok(check_field(file, report));
  assert_ok(check_report_count(report, &decided, &failed));
  assert_int_equal(decided, 12);
  assert_int_equal(failed, 0);
  assert_ok(check_report_destroy(&report));
  assert_ok(product_close(&file));
  fclose(lines);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(our_maps_have_the_statistics_of_another_codes_maps))
