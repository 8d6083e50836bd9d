/** \file check_calibration_tarp.c  TARP's coverage against the published package (doc/calibration.md, section 7).
 * \ingroup programs */
#include "check_calibration.h"

#include <math.h>

/* The curve of the package: its edges are those of equal bins between the least and the greatest m/S, and the last one
 * holds what equals it.  \param alpha, ecp [edges] */
static PetscErrorCode package_curve(const CountTable *table, PetscInt edges, double *alpha, double *ecp)
{
  const RandomKey key = {0, STREAM_CALIBRATION, 0};
  int64_t least = table->draws, greatest = 0;

  PetscFunctionBeginUser;
  for (int64_t t = 0; t < table->truths; t++) {
    least = PetscMin(least, table->m[t]);
    greatest = PetscMax(greatest, table->m[t]);
  }
  const double low = (double)least / (double)table->draws, high = (double)greatest / (double)table->draws;
  const double step = (high - low) / (edges - 1);

  for (PetscInt e = 0; e < edges; e++) alpha[e] = e * step + low; /* rounded as NumPy does: counts lie on edges */
  PetscCall(tarp_coverage(table, edges, alpha, key, 0, ecp, NULL));
  ecp[edges - 1] = 1;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Linear between \p x, increasing; constant beyond its ends. */
static double interpolate(PetscInt count, const double *x, const double *y, double at)
{
  PetscInt i = 1;

  if (at <= x[0]) return y[0];
  if (at >= x[count - 1]) return y[count - 1];
  while (x[i] < at) i++;
  return y[i - 1] + (y[i] - y[i - 1]) * (at - x[i - 1]) / (x[i] - x[i - 1]);
}

static PetscErrorCode count_of(const CalibrationCase *c, const char *dataset, PetscInt *count)
{
  hsize_t shape[PRODUCT_MAX_RANK];
  char path[256];

  PetscFunctionBeginUser;
  PetscCall(product_shape(c->file, calibration_case_path(c, dataset, path), NULL, shape));
  PetscCall(PetscIntCast((PetscInt64)shape[0], count));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* With the file's centres: the same numbers, at the package's own edges. */
static PetscErrorCode compare_coverage(CalibrationCase *c, PetscInt edges, double *alpha, double *ecp)
{
  const CountTable table = {c->truths, c->draws, 1, c->fixed};
  double *const our_alpha = alpha + edges, *const our_ecp = ecp + edges;
  CheckWorst worst[2] = {0};

  PetscFunctionBeginUser;
  PetscCall(calibration_case_read(c, "tarp/alpha", H5T_NATIVE_DOUBLE, edges, alpha));
  PetscCall(calibration_case_read(c, "tarp/ecp", H5T_NATIVE_DOUBLE, edges, ecp));
  PetscCall(package_curve(&table, edges, our_alpha, our_ecp));
  /* counts may lie on edges, so that these must be the file's to the last bit */
  PetscCall(tarp_coverage(&table, edges - 1, alpha, (RandomKey){0, STREAM_CALIBRATION, 0}, 0, our_ecp, NULL));
  for (PetscInt e = 0; e < edges; e++) {
    check_worst(&worst[0], fabs(our_alpha[e] - alpha[e]), "edge %d", (int)e);
    check_worst(&worst[1], fabs(our_ecp[e] - ecp[e]), "alpha %.6g", alpha[e]);
  }
  PetscCall(calibration_case_report(c, "tarp/alpha", &worst[0], CHECK_EXACT_TOLERANCE));
  PetscCall(calibration_case_report(c, "tarp/ecp", &worst[1], CHECK_EXACT_TOLERANCE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Work for random references. */
typedef struct {
  PetscInt points, edges;
  double *grid, *mean, *std; /* [points] the package's */
  double *moments; /* [points][2] ours */
  double *alpha, *ecp; /* [edges] */
  int64_t *m; /* [truths] */
} CurveRuns;

static PetscErrorCode run_curves(CalibrationCase *c, CurveRuns *r)
{
  const CountTable table = {c->truths, c->draws, 1, r->m};

  PetscFunctionBeginUser;
  for (int64_t run = 0; run < c->runs; run++) {
    calibration_take_run(c, run, r->m);
    PetscCall(package_curve(&table, r->edges, r->alpha, r->ecp));
    for (PetscInt p = 0; p < r->points; p++)
      calibration_add_value(interpolate(r->edges, r->alpha, r->ecp, r->grid[p]), run, r->moments + 2 * p);
  }
  for (PetscInt p = 0; p < r->points; p++) calibration_finish_moments(c->runs, r->moments + 2 * p);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode compare_curves(CalibrationCase *c, CurveRuns *r)
{
  CheckWorst worst[2] = {0};

  PetscFunctionBeginUser;
  PetscCall(calibration_case_read(c, "tarp/grid", H5T_NATIVE_DOUBLE, r->points, r->grid));
  PetscCall(calibration_case_read(c, "tarp/ecp_mean", H5T_NATIVE_DOUBLE, r->points, r->mean));
  PetscCall(calibration_case_read(c, "tarp/ecp_std", H5T_NATIVE_DOUBLE, r->points, r->std));
  PetscCall(run_curves(c, r));
  for (PetscInt p = 0; p < r->points; p++) {
    char at[32];

    snprintf(at, sizeof at, "at %.6g", r->grid[p]);
    calibration_compare_moments(r->moments + 2 * p, (double)c->runs, (double[]){r->mean[p], r->std[p]},
                                (double)c->tarp_runs, worst, at);
  }
  PetscCall(calibration_report_moments(c, "tarp/random", worst));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_calibration_tarp(CalibrationCase *c)
{
  CurveRuns r = {0};
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(count_of(c, "tarp/alpha", &r.edges));
  PetscCall(count_of(c, "tarp/grid", &r.points));
  PetscCheck(r.edges >= 2, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "dataset %s/tarp/alpha has one value", c->name);
  PetscCall(PetscMalloc4(r.points, &r.grid, r.points, &r.mean, r.points, &r.std, (size_t)c->truths, &r.m));
  PetscCall(PetscCalloc3(2 * (size_t)r.points, &r.moments, 2 * (size_t)r.edges, &r.alpha, 2 * (size_t)r.edges, &r.ecp));
  error = compare_coverage(c, r.edges, r.alpha, r.ecp);
  if (!error) error = compare_curves(c, &r);
  PetscCall(PetscFree4(r.grid, r.mean, r.std, r.m));
  PetscCall(PetscFree3(r.moments, r.alpha, r.ecp));
  PetscFunctionReturn(error);
}
