/** \file check_shift.c  Log-normal shifts against their independent evaluation and the published table.
 *
 * Errors are relative.  The evaluation decides; the published table, if the file has it, is shown: its halofit takes
 * the dark energy without dividing by E^2.  Bins are those of group n_of_z (z, n), or without it those of LSST Y10 up
 * to z = 5, where n(z) behind the shipped file ends.  \ingroup programs */
#include "check_theory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double worst_tolerance = 1e-2, median_tolerance = 3e-3;

typedef struct {
  ProductReader *file; /* borrowed */
  CheckModels models;
  CheckValues bin, expected;
  Cosmology cosmology; /* what is alike in all models */
  SourceBins *bins;
  LensingModel *lensing;
  LensingSpectra *spectra;
  double *shift; /* [models] ours */
  double *error; /* [models] work */
} ShiftCheck;

/* Parameters that are no columns of theta are attributes of the root. */
static PetscErrorCode read_common_parameters(ShiftCheck *c)
{
  const struct {
    const char *name;
    double *place;
  } common[] = {{"Omega_b", &c->cosmology.Omega_b}, {"h", &c->cosmology.h}, {"n_s", &c->cosmology.n_s}};

  PetscFunctionBeginUser;
  c->cosmology.w_0 = -1;
  for (size_t i = 0; i < sizeof common / sizeof *common; i++)
    if (!check_models_have(&c->models, common[i].name))
      PetscCall(product_read_attribute_real(c->file, NULL, common[i].name, 1, common[i].place));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode bins_of_file(ShiftCheck *c)
{
  CheckValues z = {0}, n = {0};
  hsize_t shape[2] = {0, 0};
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = check_values_read(c->file, "n_of_z/z", 1, &shape[1], &z);
  if (!error) error = check_values_read(c->file, "n_of_z/n", 2, shape, &n);
  if (!error) error = source_bins_from_table((PetscInt)shape[0], z.count, z.values, n.values, &c->bins);
  PetscCall(check_values_destroy(&z));
  PetscCall(check_values_destroy(&n));
  PetscFunctionReturn(error);
}

static PetscErrorCode bins_of_lsst_y10(ShiftCheck *c)
{
  enum { BINS = 5, COUNT = 2501 };
  const double z_end = 5;
  const SurveyConfig survey = {
      .bins = BINS, .smail_z0 = 0.11, .smail_alpha = 0.68, .smail_beta = 2, .photoz_scatter = 0.05};
  SourceBins *whole = NULL;
  double z[COUNT], n[BINS * COUNT];

  PetscFunctionBeginUser;
  PetscCall(source_bins_create(&survey, &whole));
  for (PetscInt k = 0; k < COUNT; k++) {
    z[k] = k * z_end / (COUNT - 1);
    for (PetscInt i = 0; i < BINS; i++) n[i * COUNT + k] = source_bins_density(whole, i, z[k]);
  }
  PetscCall(source_bins_destroy(&whole));
  PetscCall(source_bins_from_table(BINS, COUNT, z, n, &c->bins));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode set_up(ShiftCheck *c)
{
  const double any_ell = 100; /* spectra are not compared here */
  double radius_arcmin;
  PetscBool n_of_z;

  PetscFunctionBeginUser;
  PetscCall(check_models_read(c->file, "theta", &c->models));
  PetscCall(read_common_parameters(c));
  PetscCall(check_values_read(c->file, "bin", 1, (hsize_t[]){(hsize_t)c->models.models}, &c->bin));
  PetscCall(product_has(c->file, "n_of_z/z", &n_of_z));
  if (n_of_z)
    PetscCall(bins_of_file(c));
  else
    PetscCall(bins_of_lsst_y10(c));
  for (PetscInt i = 0; i < c->bin.count; i++)
    PetscCheck(c->bin.values[i] >= 0 && c->bin.values[i] < source_bins_count(c->bins), PETSC_COMM_SELF,
               NEPHRITE_ERR_INPUT, "dataset bin has %.6g in row %d; there are %d bins", c->bin.values[i], (int)i,
               (int)source_bins_count(c->bins));
  PetscCall(product_read_attribute_real(c->file, NULL, "radius_arcmin", 1, &radius_arcmin));
  /* the disc has the area of the pixel */
  PetscCall(lensing_model_create(c->bins, 1, &any_ell, radius_arcmin / 60 * M_PI / 180 * sqrt(M_PI), &c->lensing));
  PetscCall(lensing_model_spectra_create(c->lensing, &c->spectra));
  PetscCall(PetscMalloc2(c->models.models, &c->shift, c->models.models, &c->error));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* One row per model and bin: a cosmology is evaluated once for the rows that follow each other. */
static PetscErrorCode evaluate(ShiftCheck *c)
{
  const size_t row_size = (size_t)c->models.columns * sizeof(double);
  const double *theta = c->models.values.values;

  PetscFunctionBeginUser;
  for (PetscInt row = 0; row < c->models.models; row++, theta += c->models.columns) {
    Cosmology cosmology = c->cosmology;
    Systematics systematics = {0};

    if (row == 0 || memcmp(theta, theta - c->models.columns, row_size)) {
      PetscCall(check_models_row(&c->models, row, &cosmology, &systematics));
      PetscCall(lensing_model_evaluate(c->lensing, &cosmology, &systematics, c->spectra, NULL));
    }
    c->shift[row] = c->spectra->shift[(PetscInt)c->bin.values[row]];
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int ascending(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;

  return (x > y) - (x < y);
}

static PetscErrorCode compare(ShiftCheck *c, const char *name, CheckVerdict verdict, CheckReport *report)
{
  const PetscInt rows = c->models.models;
  CheckWorst worst = {0};
  char line[64];

  PetscFunctionBeginUser;
  PetscCall(check_values_read(c->file, name, 1, (hsize_t[]){(hsize_t)rows}, &c->expected));
  for (PetscInt row = 0; row < rows; row++) {
    Cosmology cosmology = c->cosmology;
    Systematics systematics = {0};

    PetscCall(check_models_row(&c->models, row, &cosmology, &systematics));
    c->error[row] = fabs(c->shift[row] / c->expected.values[row] - 1);
    check_worst(&worst, c->error[row], "bin %d, Omega_m = %.4g, sigma_8 = %.4g, w_0 = %.4g", (int)c->bin.values[row],
                cosmology.Omega_c + cosmology.Omega_b, cosmology.sigma_8, cosmology.w_0);
  }
  PetscCall(check_report_add(report, name, worst.error, worst.where, worst_tolerance, verdict));
  qsort(c->error, (size_t)rows, sizeof *c->error, ascending);
  snprintf(line, sizeof line, "%s, median", name);
  PetscCall(check_report_add(report, line, c->error[rows / 2], "all rows", median_tolerance, verdict));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode compare_all(ShiftCheck *c, CheckReport *report)
{
  PetscBool published;

  PetscFunctionBeginUser;
  PetscCall(set_up(c));
  PetscCall(evaluate(c));
  PetscCall(compare(c, "shift_evaluated", CHECK_DECIDES, report));
  PetscCall(product_has(c->file, "shift", &published));
  if (published) PetscCall(compare(c, "shift", CHECK_INFORMS, report));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_shift(ProductReader *file, CheckReport *report)
{
  ShiftCheck c = {.file = file};

  PetscFunctionBeginUser;
  const PetscErrorCode error = compare_all(&c, report);
  PetscCall(check_models_destroy(&c.models));
  PetscCall(check_values_destroy(&c.bin));
  PetscCall(check_values_destroy(&c.expected));
  PetscCall(lensing_spectra_destroy(&c.spectra));
  PetscCall(lensing_model_destroy(&c.lensing));
  PetscCall(source_bins_destroy(&c.bins));
  PetscCall(PetscFree2(c.shift, c.error));
  PetscFunctionReturn(error);
}
