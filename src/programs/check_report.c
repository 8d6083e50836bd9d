/** \file check_report.c  One line per compared quantity, and the count of those that fail.  \ingroup programs */
#include "check.h"

#include <math.h>
#include <stdarg.h>

struct CheckReport {
  double tolerance; /* of every deciding line; negative: each its own */
  FILE *out; /* borrowed */
  int decided, failed;
};

PetscErrorCode check_report_create(double tolerance, FILE *out, CheckReport **report)
{
  PetscFunctionBeginUser;
  PetscCall(PetscNew(report));
  (*report)->tolerance = tolerance;
  (*report)->out = out;
  fprintf(out, "%-36s %12s %12s  %-6s %s\n", "quantity", "worst error", "tolerance", "", "where");
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_report_add(CheckReport *report, const char *quantity, double worst, const char *where,
                                double tolerance, CheckVerdict verdict)
{
  const double limit = report->tolerance >= 0 ? report->tolerance : tolerance;

  PetscFunctionBeginUser;
  if (verdict == CHECK_INFORMS) {
    fprintf(report->out, "%-36s %12.3e %12s  %-6s %s\n", quantity, worst, "", "info", where);
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  const PetscBool passes = worst <= limit ? PETSC_TRUE : PETSC_FALSE; /* false for NaN */

  report->decided++;
  report->failed += !passes;
  fprintf(report->out, "%-36s %12.3e %12.3e  %-6s %s\n", quantity, worst, limit, passes ? "ok" : "FAIL", where);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_report_count(const CheckReport *report, int *decided, int *failed)
{
  PetscFunctionBeginUser;
  if (decided) *decided = report->decided;
  if (failed) *failed = report->failed;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_report_destroy(CheckReport **report)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(*report));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void check_worst(CheckWorst *worst, double error, const char *format, ...)
{
  va_list values;
  const PetscBool first = worst->where[0] == '\0' ? PETSC_TRUE : PETSC_FALSE;

  if (!first && (isnan(worst->error) || error <= worst->error)) return;
  worst->error = error;
  va_start(values, format);
  vsnprintf(worst->where, sizeof worst->where, format, values);
  va_end(values);
}
