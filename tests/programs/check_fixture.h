/** nephrite-check on the shipped reference files, for the tests of its kinds. */
#ifndef PROGRAMS_CHECK_FIXTURE_H
#define PROGRAMS_CHECK_FIXTURE_H

#include "nephrite_test.h"

#include "check.h"

#include <stdlib.h>

typedef PetscErrorCode (*CheckKind)(ProductReader *file, CheckReport *report);

/** Compare this build with a file.  \param[out] decided, failed  quantities, may be NULL  \returns the kind's error */
static inline PetscErrorCode check_file(CheckKind kind, const char *path, double tolerance, int *decided, int *failed)
{
  ProductReader *file = NULL;
  CheckReport *report = NULL;
  FILE *text = tmpfile();

  assert_ok(product_open_foreign(path, &file));
  assert_ok(check_report_create(tolerance, text, &report));
  const PetscErrorCode error = kind(file, report);
  assert_ok(check_report_count(report, decided, failed));
  assert_ok(check_report_destroy(&report));
  assert_ok(product_close(&file));
  fclose(text);
  return error;
}

#endif
