/** \file check_field.c  One realisation from given white noise, spectra and shifts, against another code's.
 *
 * Errors are max |ours - file| of a bin over the rms of that bin in the file.  \ingroup programs */
#include "check_field.h"

#include <math.h>

/* Double precision in both builds; the file was made in double. */
static const double TOLERANCE = 1e-10;

typedef struct {
  ProductReader *file; /* borrowed */
  PetscInt bins, ny, nx;
  double pixel; /* radians */
  LensingSpectra *spectra;
  double *white, *kappa, *expected; /* [bins][ny][nx] */
  double *shear; /* [bins][2][ny][nx] */
} FieldCheck;

PetscErrorCode check_field_read(ProductReader *file, const char *name, int rank, const hsize_t *shape, double **values)
{
  hsize_t found[PRODUCT_MAX_RANK];
  size_t count = 1;
  int found_rank;

  PetscFunctionBeginUser;
  PetscCall(product_shape(file, name, &found_rank, found));
  PetscCheck(found_rank == rank, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "dataset %s has %d axes, not %d", name,
             found_rank, rank);
  for (int axis = 0; axis < rank; axis++) {
    PetscCheck(found[axis] == shape[axis], PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "dataset %s has %llu values along axis %d; the file's other datasets ask for %llu", name,
               (unsigned long long)found[axis], axis, (unsigned long long)shape[axis]);
    count *= found[axis];
  }
  PetscCall(PetscMalloc1(count, values));
  PetscCall(product_read(file, name, H5T_NATIVE_DOUBLE, 0, shape[0], *values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ spectra */

/* table [pairs][count + skipped], in the order of the file's pairs [pairs][2], to spectra->power. */
static PetscErrorCode order_pairs(const double *pair, const double *table, PetscInt skipped, LensingSpectra *spectra)
{
  const PetscInt bins = spectra->bins, pairs = bins * (bins + 1) / 2, count = spectra->ell_count;

  PetscFunctionBeginUser;
  for (PetscInt p = 0; p < pairs; p++) {
    const double i = pair[2 * p], j = pair[2 * p + 1];

    PetscCheck(i >= 0 && j >= 0 && i < bins && j < bins, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "dataset pairs has (%.6g, %.6g) in row %d; there are %d bins", i, j, (int)p, (int)bins);
    double *const power = spectra->power + lensing_pair(bins, (PetscInt)i, (PetscInt)j) * count;
    PetscCall(PetscArraycpy(power, table + p * (count + skipped) + skipped, count));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

typedef struct {
  double *ell, *table, *pair, *shift;
} SpectraRead;

static PetscErrorCode read_spectra(ProductReader *file, const char *group, SpectraRead *read, LensingSpectra **spectra)
{
  char name[128];
  hsize_t shape[PRODUCT_MAX_RANK], bins;
  PetscInt skipped = 0;

  PetscFunctionBeginUser;
  snprintf(name, sizeof name, "%sshift", group);
  PetscCall(product_shape(file, name, NULL, shape));
  bins = shape[0];
  PetscCheck(bins >= 1 && bins <= NEPHRITE_MAX_BINS, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "dataset %s is of %llu bins; there may be 1 to %d", name, (unsigned long long)bins, NEPHRITE_MAX_BINS);
  PetscCall(check_field_read(file, name, 1, &bins, &read->shift));
  snprintf(name, sizeof name, "%sell", group);
  PetscCall(product_shape(file, name, NULL, shape));
  const hsize_t pairs = bins * (bins + 1) / 2, count = shape[0];
  PetscCall(check_field_read(file, name, 1, &count, &read->ell));
  snprintf(name, sizeof name, "%sC_ell", group);
  PetscCall(check_field_read(file, name, 2, (hsize_t[]){pairs, count}, &read->table));
  PetscCall(check_field_read(file, "pairs", 2, (hsize_t[]){pairs, 2}, &read->pair));

  while (skipped < (PetscInt)count && !(read->ell[skipped] > 0)) skipped++;
  PetscCall(lensing_spectra_create((PetscInt)bins, (PetscInt)count - skipped, spectra));
  PetscCall(PetscArraycpy((*spectra)->ell, read->ell + skipped, (*spectra)->ell_count));
  PetscCall(PetscArraycpy((*spectra)->shift, read->shift, bins));
  PetscCall(order_pairs(read->pair, read->table, skipped, *spectra));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_field_read_spectra(ProductReader *file, const char *group, LensingSpectra **spectra)
{
  SpectraRead read = {0};

  PetscFunctionBeginUser;
  const PetscErrorCode error = read_spectra(file, group, &read, spectra);
  PetscCall(PetscFree(read.ell));
  PetscCall(PetscFree(read.table));
  PetscCall(PetscFree(read.pair));
  PetscCall(PetscFree(read.shift));
  PetscFunctionReturn(error);
}

/* ------------------------------------------------------------------ the realisation */

static double rms(const double *values, size_t count)
{
  double sum = 0;

  for (size_t i = 0; i < count; i++) sum += values[i] * values[i];
  return sqrt(sum / (double)count);
}

/* \param planes  maps of each bin: values are [bins][planes][ny][nx] */
static PetscErrorCode compare_maps(FieldCheck *c, const char *name, PetscInt planes, const double *ours,
                                   CheckReport *report)
{
  const size_t size = (size_t)planes * (size_t)c->ny * (size_t)c->nx;
  hsize_t shape[] = {(hsize_t)c->bins, (hsize_t)c->ny, (hsize_t)c->nx, 0};
  CheckWorst worst = {0};

  PetscFunctionBeginUser;
  if (planes > 1) shape[1] = (hsize_t)planes, shape[2] = (hsize_t)c->ny, shape[3] = (hsize_t)c->nx;
  PetscCall(PetscFree(c->expected));
  PetscCall(check_field_read(c->file, name, planes > 1 ? 4 : 3, shape, &c->expected));
  for (PetscInt bin = 0; bin < c->bins; bin++) {
    const double *const a = ours + (size_t)bin * size, *const b = c->expected + (size_t)bin * size;
    const double scale = rms(b, size);

    for (size_t i = 0; i < size; i++) {
      const size_t pixel = i % (size_t)(c->ny * c->nx);

      check_worst(&worst, fabs(a[i] - b[i]) / scale, "bin %d, y = %zu, x = %zu", (int)bin, pixel / (size_t)c->nx,
                  pixel % (size_t)c->nx);
    }
  }
  PetscCall(check_report_add(report, name, worst.error, worst.where, TOLERANCE, CHECK_DECIDES));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode compare_variance(FieldCheck *c, const Field *field, CheckReport *report)
{
  const hsize_t bins = (hsize_t)c->bins;
  double ours[NEPHRITE_MAX_BINS];
  CheckWorst worst = {0};

  PetscFunctionBeginUser;
  PetscCall(PetscFree(c->expected));
  PetscCall(check_field_read(c->file, "gaussian_variance", 1, &bins, &c->expected));
  PetscCall(field_gaussian_variance(field, ours));
  for (PetscInt bin = 0; bin < c->bins; bin++)
    check_worst(&worst, fabs(ours[bin] / c->expected[bin] - 1), "bin %d", (int)bin);
  PetscCall(check_report_add(report, "gaussian_variance", worst.error, worst.where, TOLERANCE, CHECK_DECIDES));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Eigenvalues that rounding alone makes negative or not differ between codes: shown, and the maps decide. */
static PetscErrorCode show_negative_fraction(FieldCheck *c, const Field *field, CheckReport *report)
{
  char ours_and_theirs[128];
  double theirs;

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_real(c->file, NULL, "negative_eigenvalue_fraction", 1, &theirs));
  const double ours = field_negative_fraction(field);
  snprintf(ours_and_theirs, sizeof ours_and_theirs, "%.3g here, %.3g in the file", ours, theirs);
  PetscCall(
      check_report_add(report, "negative_eigenvalue_fraction", fabs(ours - theirs), ours_and_theirs, 0, CHECK_INFORMS));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode compare_shear(FieldCheck *c, CheckReport *report)
{
  const PetscInt pixels = c->ny * c->nx;
  ShearTransform *transform = NULL;

  PetscFunctionBeginUser;
  PetscCall(shear_transform_create(c->ny, c->nx, &transform));
  for (PetscInt bin = 0; bin < c->bins; bin++) {
    double *const gamma = c->shear + 2 * bin * pixels;

    PetscCall(shear_from_convergence(transform, c->kappa + bin * pixels, gamma, gamma + pixels));
  }
  PetscCall(shear_transform_destroy(&transform));
  PetscCall(compare_maps(c, "shear", 2, c->shear, report));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The log-normal map comes with its Gaussian variance and its shear. */
static PetscErrorCode compare_model(FieldCheck *c, FieldModel model, Field **field, CheckReport *report)
{
  PetscFunctionBeginUser;
  PetscCall(field_destroy(field));
  PetscCall(field_create(PETSC_COMM_SELF, &(FieldShape){model, c->bins, c->ny, c->nx, c->pixel}, field));
  PetscCall(field_set_spectra(*field, c->spectra));
  PetscCall(field_realise(*field, c->white, c->kappa));
  if (model == FIELD_GAUSSIAN) {
    PetscCall(compare_maps(c, "convergence_gaussian", 1, c->kappa, report));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(compare_variance(c, *field, report));
  PetscCall(compare_maps(c, "convergence_lognormal", 1, c->kappa, report));
  PetscCall(compare_shear(c, report));
  PetscCall(show_negative_fraction(c, *field, report));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode set_up(FieldCheck *c)
{
  hsize_t shape[PRODUCT_MAX_RANK];
  double field_of_view_deg;
  int rank;

  PetscFunctionBeginUser;
  PetscCall(check_field_read_spectra(c->file, "", &c->spectra));
  c->bins = c->spectra->bins;
  PetscCall(product_shape(c->file, "white_noise", &rank, shape));
  PetscCheck(rank == 3 && shape[0] == (hsize_t)c->bins, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "dataset white_noise is not [bin][y][x] with %d bins", (int)c->bins);
  PetscCall(PetscIntCast((PetscInt64)shape[1], &c->ny));
  PetscCall(PetscIntCast((PetscInt64)shape[2], &c->nx));
  PetscCall(product_read_attribute_real(c->file, NULL, "field_of_view", 1, &field_of_view_deg));
  c->pixel = field_of_view_deg * M_PI / 180 / c->nx;
  PetscCall(check_field_read(c->file, "white_noise", 3, shape, &c->white));
  const size_t size = shape[0] * shape[1] * shape[2];
  PetscCall(PetscMalloc2(size, &c->kappa, 2 * size, &c->shear));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode compare_realisation(FieldCheck *c, Field **field, CheckReport *report)
{
  PetscFunctionBeginUser;
  PetscCall(set_up(c));
  PetscCall(compare_model(c, FIELD_GAUSSIAN, field, report));
  PetscCall(compare_model(c, FIELD_LOGNORMAL, field, report));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_field(ProductReader *file, CheckReport *report)
{
  FieldCheck c = {.file = file};
  Field *field = NULL;
  PetscBool realisation, statistics;

  PetscFunctionBeginUser;
  PetscCall(product_has(file, "white_noise", &realisation));
  PetscCall(product_has(file, "cosmology_0", &statistics));
  PetscCheck(realisation || statistics, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "the file has neither white_noise (one realisation) nor cosmology_0 (statistics of many)");
  if (!realisation) {
    PetscCall(check_field_statistics(file, report));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  const PetscErrorCode error = compare_realisation(&c, &field, report);
  PetscCall(field_destroy(&field));
  PetscCall(lensing_spectra_destroy(&c.spectra));
  PetscCall(PetscFree(c.white));
  PetscCall(PetscFree(c.expected));
  PetscCall(PetscFree2(c.kappa, c.shear));
  PetscFunctionReturn(error);
}
