#include "nephrite_test.h"

#include "check.h"

#include <stdlib.h>

/* The shipped reference file with the report of one comparison. */
typedef struct {
  ProductReader *file;
  CheckReport *report;
  FILE *text;
} Comparison;

static Comparison compare(double tolerance)
{
  Comparison c = {.text = tmpfile()};

  assert_ok(product_open_foreign(NEPHRITE_REFERENCE "/calibration.h5", &c.file));
  assert_ok(check_report_create(tolerance, c.text, &c.report));
  assert_ok(check_calibration(c.file, c.report));
  return c;
}

static void close_comparison(Comparison *c)
{
  assert_ok(check_report_destroy(&c->report));
  assert_ok(product_close(&c->file));
  fclose(c->text);
}

static void every_quantity_of_the_reference_file_is_met(void **state)
{
  Comparison c = compare(-1);
  int decided, failed;

  (void)state;
  assert_ok(check_report_count(c.report, &decided, &failed));
  assert_int_equal(failed, 0);
  assert_true(decided >= 3 * 19);
  close_comparison(&c);
}

static void a_tolerance_below_rounding_fails(void **state)
{
  Comparison c = compare(1e-19);
  int decided, failed;

  (void)state;
  assert_ok(check_report_count(c.report, &decided, &failed));
  assert_true(failed > 20);
  close_comparison(&c);
}

static void a_file_of_another_kind_is_refused(void **state)
{
  ProductReader *file = NULL;
  CheckReport *report = NULL;
  FILE *text = tmpfile();

  (void)state;
  assert_ok(product_open_foreign(NEPHRITE_REFERENCE "/shift.h5", &file));
  assert_ok(check_report_create(-1, text, &report));
  assert_fails(check_calibration(file, report), NEPHRITE_ERR_INPUT, "no cases");
  assert_ok(check_report_destroy(&report));
  assert_ok(product_close(&file));
  fclose(text);
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(every_quantity_of_the_reference_file_is_met),
                   cmocka_unit_test(a_tolerance_below_rounding_fails),
                   cmocka_unit_test(a_file_of_another_kind_is_refused))
