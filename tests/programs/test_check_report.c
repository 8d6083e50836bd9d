#include "check.h"
#include "nephrite_test.h"

/* The report's lines go to a file in memory; assertions read them there. */
typedef struct {
  char *text;
  size_t size;
  FILE *stream;
  CheckReport *report;
} Printed;

static void begin(Printed *printed, double tolerance)
{
  printed->stream = open_memstream(&printed->text, &printed->size);
  assert_non_null(printed->stream);
  assert_ok(check_report_create(tolerance, printed->stream, &printed->report));
}

static void expect(Printed *printed, int decided, int failed)
{
  int counted, count_failed;

  assert_ok(check_report_count(printed->report, &counted, &count_failed));
  assert_int_equal(counted, decided);
  assert_int_equal(count_failed, failed);
  fflush(printed->stream);
}

static void end(Printed *printed)
{
  assert_ok(check_report_destroy(&printed->report));
  assert_null(printed->report);
  fclose(printed->stream);
  free(printed->text);
}

static void a_quantity_fails_above_its_tolerance_and_where_it_is_no_number(void **state)
{
  Printed printed = {0};

  (void)state;
  begin(&printed, -1);
  assert_ok(check_report_add(printed.report, "distance", 1e-5, "z = 3", 1e-5, CHECK_DECIDES));
  expect(&printed, 1, 0);
  assert_null(strstr(printed.text, "FAIL"));
  assert_ok(check_report_add(printed.report, "growth", 1.01e-5, "z = 4", 1e-5, CHECK_DECIDES));
  expect(&printed, 2, 1);
  assert_ok(check_report_add(printed.report, "power", NAN, "k = 2", 1e-5, CHECK_DECIDES));
  expect(&printed, 3, 2);
  assert_non_null(strstr(printed.text, "FAIL   k = 2"));
  end(&printed);
}

static void a_tolerance_of_the_user_replaces_every_default(void **state)
{
  Printed printed = {0};

  (void)state;
  begin(&printed, 1e-3);
  assert_ok(check_report_add(printed.report, "distance", 5e-4, "", 1e-5, CHECK_DECIDES));
  assert_ok(check_report_add(printed.report, "growth", 5e-3, "", 1, CHECK_DECIDES));
  expect(&printed, 2, 1);
  end(&printed);
}

static void information_never_fails(void **state)
{
  Printed printed = {0};

  (void)state;
  begin(&printed, 0);
  assert_ok(check_report_add(printed.report, "drawn", INFINITY, "", 0, CHECK_INFORMS));
  expect(&printed, 0, 0);
  end(&printed);
}

static void the_worst_error_keeps_its_place_and_no_number_is_worst(void **state)
{
  CheckWorst worst = {0};

  (void)state;
  check_worst(&worst, 0, "z = %g", 0.);
  assert_string_equal(worst.where, "z = 0");
  check_worst(&worst, 2, "z = %g", 1.);
  check_worst(&worst, 1, "z = %g", 2.);
  assert_true(worst.error == 2);
  assert_string_equal(worst.where, "z = 1");
  check_worst(&worst, NAN, "z = %g", 3.);
  check_worst(&worst, 1e9, "z = %g", 4.);
  assert_true(isnan(worst.error));
  assert_string_equal(worst.where, "z = 3");
}

NEPHRITE_TEST_MAIN(cmocka_unit_test(a_quantity_fails_above_its_tolerance_and_where_it_is_no_number),
                   cmocka_unit_test(a_tolerance_of_the_user_replaces_every_default),
                   cmocka_unit_test(information_never_fails),
                   cmocka_unit_test(the_worst_error_keeps_its_place_and_no_number_is_worst))
