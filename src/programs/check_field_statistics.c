/** \file check_field_statistics.c  Many maps of this build against the moments and one-point densities of another
 * code's.
 *
 * As many maps as the file's are made of its spectra and shifts.  An error is |ours - file| over what may differ: 5
 * standard errors of the difference, both sets of maps being finite, plus 3% of the value, since the code behind the
 * shipped file interpolates C_ell and normalises the variance in ways of its own.  So 1 is the tolerance.
 * \ingroup programs */
#include "check_field.h"

#include <math.h>

static const double STANDARD_ERRORS = 5, SYSTEMATIC = 0.03;

enum { POWERS = 4, MOMENTS = 3, SEED = 20 };

static const char *const moment_name[MOMENTS] = {"variance", "skewness", "excess_kurtosis"};

/** What is gathered over the maps of one cosmology. */
typedef struct {
  PetscInt bins, cells, maps;
  size_t pixels;
  double *edge; /* [cells+1] of the density's abscissa kappa/sigma */
  double *sigma; /* [bins] unit of that abscissa */
  double *power; /* [maps][bins][POWERS] mean of (kappa/sigma)^1 … 4 over a map */
  double *density, *density_square; /* [bins][cells] sums over maps of a map's density and its square */
  double *count; /* [cells] of the map at hand */
} Gathered;

/** A quantity of the file with its standard error, and ours. */
typedef struct {
  double ours, our_error, theirs, their_error;
} Compared;

static double excess(const Compared *c)
{
  const double allowed = STANDARD_ERRORS * hypot(c->our_error, c->their_error) + SYSTEMATIC * fabs(c->theirs);
  const double difference = fabs(c->ours - c->theirs);

  return difference > 0 ? difference / allowed : 0; /* both 0 where no map has such a pixel */
}

/* ------------------------------------------------------------------ gathering */

/* Cells of equal width; what is outside them counts in none. */
static void gather_bin(Gathered *g, PetscInt map, PetscInt bin, const float *kappa)
{
  const double low = g->edge[0], width = (g->edge[g->cells] - low) / (double)g->cells;
  double sum[POWERS] = {0};

  for (PetscInt c = 0; c < g->cells; c++) g->count[c] = 0;
  for (size_t i = 0; i < g->pixels; i++) {
    const double value = kappa[i] / g->sigma[bin], square = value * value;
    const double cell = floor((value - low) / width);

    sum[0] += value, sum[1] += square, sum[2] += square * value, sum[3] += square * square;
    if (cell >= 0 && cell < (double)g->cells) g->count[(PetscInt)cell]++;
  }
  for (int p = 0; p < POWERS; p++) g->power[(map * g->bins + bin) * POWERS + p] = sum[p] / (double)g->pixels;
  for (PetscInt c = 0; c < g->cells; c++) {
    const double density = g->count[c] / (double)g->pixels / width;

    g->density[bin * g->cells + c] += density;
    g->density_square[bin * g->cells + c] += density * density;
  }
}

static PetscErrorCode gather_maps(Gathered *g, Field *field, uint64_t cosmology, float *kappa)
{
  PetscFunctionBeginUser;
  for (PetscInt map = 0; map < g->maps; map++) {
    const RandomKey key = {.seed = SEED + cosmology, .stream = STREAM_FIELD, .index = (uint64_t)map};

    PetscCall(field_realise_keyed(field, key, kappa));
    for (PetscInt bin = 0; bin < g->bins; bin++) gather_bin(g, map, bin, kappa + (size_t)bin * g->pixels);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ comparing */

/* From mean powers to variance, skewness and excess kurtosis about the mean, in units of sigma. */
static void to_moments(const double m[POWERS], double moment[MOMENTS])
{
  const double mean = m[0], variance = m[1] - mean * mean;
  const double third = m[2] - 3 * mean * m[1] + 2 * mean * mean * mean;
  const double fourth = m[3] - 4 * mean * m[2] + 6 * mean * mean * m[1] - 3 * mean * mean * mean * mean;

  moment[0] = variance;
  moment[1] = third / pow(variance, 1.5);
  moment[2] = fourth / (variance * variance) - 3;
}

/* Moments over all pixels of all maps, and their standard errors by the jackknife over maps. */
static void jackknife(const Gathered *g, PetscInt bin, double moment[MOMENTS], double error[MOMENTS])
{
  double mean[POWERS] = {0}, square[MOMENTS] = {0}, without[POWERS], left[MOMENTS];
  const double n = (double)g->maps;

  for (PetscInt map = 0; map < g->maps; map++)
    for (int p = 0; p < POWERS; p++) mean[p] += g->power[(map * g->bins + bin) * POWERS + p] / n;
  to_moments(mean, moment);
  for (PetscInt map = 0; map < g->maps; map++) {
    for (int p = 0; p < POWERS; p++)
      without[p] = (n * mean[p] - g->power[(map * g->bins + bin) * POWERS + p]) / (n - 1);
    to_moments(without, left);
    for (int k = 0; k < MOMENTS; k++) square[k] += (left[k] - moment[k]) * (left[k] - moment[k]);
  }
  for (int k = 0; k < MOMENTS; k++) error[k] = sqrt(square[k] * (n - 1) / n);
}

static PetscErrorCode compare_moments(ProductReader *file, const char *group, const Gathered *g, CheckReport *report)
{
  const hsize_t bins = (hsize_t)g->bins;
  double moment[MOMENTS], error[MOMENTS], *theirs = NULL, *their_error = NULL;
  char name[128];

  PetscFunctionBeginUser;
  for (int k = 0; k < MOMENTS; k++) {
    CheckWorst worst = {0};

    snprintf(name, sizeof name, "%s%s_error", group, moment_name[k]);
    PetscCall(check_field_read(file, name, 1, &bins, &their_error));
    snprintf(name, sizeof name, "%s%s", group, moment_name[k]);
    PetscCall(check_field_read(file, name, 1, &bins, &theirs));
    for (PetscInt bin = 0; bin < g->bins; bin++) {
      jackknife(g, bin, moment, error);
      const double unit = k ? 1 : g->sigma[bin] * g->sigma[bin];
      const Compared c = {moment[k] * unit, error[k] * unit, theirs[bin], their_error[bin]};

      check_worst(&worst, excess(&c), "bin %d: %.5g +- %.2g, file %.5g +- %.2g", (int)bin, c.ours, c.our_error,
                  c.theirs, c.their_error);
    }
    PetscCall(PetscFree(theirs));
    PetscCall(PetscFree(their_error));
    PetscCall(check_report_add(report, name, worst.error, worst.where, 1, CHECK_DECIDES));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode compare_density(ProductReader *file, const char *group, const Gathered *g, CheckReport *report)
{
  const hsize_t shape[] = {(hsize_t)g->bins, (hsize_t)g->cells};
  const double n = (double)g->maps;
  double *theirs = NULL, *their_error = NULL;
  CheckWorst worst = {0};
  char name[128];

  PetscFunctionBeginUser;
  snprintf(name, sizeof name, "%spdf_error", group);
  PetscCall(check_field_read(file, name, 2, shape, &their_error));
  snprintf(name, sizeof name, "%spdf", group);
  PetscCall(check_field_read(file, name, 2, shape, &theirs));
  for (PetscInt i = 0; i < g->bins * g->cells; i++) {
    const double mean = g->density[i] / n, spread = fmax(0, g->density_square[i] / n - mean * mean);
    const Compared c = {mean, sqrt(spread / (n - 1)), theirs[i], their_error[i]};

    check_worst(&worst, excess(&c), "bin %d, kappa/sigma > %.6g: %.4g +- %.2g, file %.4g +- %.2g", (int)(i / g->cells),
                g->edge[i % g->cells], c.ours, c.our_error, c.theirs, c.their_error);
  }
  PetscCall(PetscFree(theirs));
  PetscCall(PetscFree(their_error));
  PetscCall(check_report_add(report, name, worst.error, worst.where, 1, CHECK_DECIDES));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ one cosmology */

/** The pixels of the file's maps. */
typedef struct {
  PetscInt size; /* along both axes */
  double pixel; /* radians */
} Pixels;

static PetscErrorCode gathered_create(ProductReader *file, const char *group, const Pixels *pixels, Gathered *g)
{
  hsize_t shape[PRODUCT_MAX_RANK];
  const hsize_t bins = (hsize_t)g->bins;
  int64_t maps;
  char name[128];

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_int(file, group, "n_maps", 1, &maps));
  PetscCheck(maps > 1, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "n_maps of %s is %lld; there must be several", group,
             (long long)maps);
  PetscCall(PetscIntCast(maps, &g->maps));
  g->pixels = (size_t)pixels->size * (size_t)pixels->size;
  PetscCall(product_shape(file, "pdf_edges", NULL, shape));
  PetscCall(check_field_read(file, "pdf_edges", 1, shape, &g->edge));
  PetscCheck(shape[0] > 1, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "pdf_edges bound no cell");
  PetscCall(PetscIntCast((PetscInt64)shape[0] - 1, &g->cells));
  snprintf(name, sizeof name, "%spdf_sigma", group);
  PetscCall(check_field_read(file, name, 1, &bins, &g->sigma));
  PetscCall(PetscCalloc1((size_t)(g->maps * g->bins * POWERS), &g->power));
  PetscCall(PetscCalloc3((size_t)(g->bins * g->cells), &g->density, (size_t)(g->bins * g->cells), &g->density_square,
                         (size_t)g->cells, &g->count));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode gathered_destroy(Gathered *g)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(g->edge));
  PetscCall(PetscFree(g->sigma));
  PetscCall(PetscFree(g->power));
  PetscCall(PetscFree3(g->density, g->density_square, g->count));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/** What one cosmology's comparison holds. */
typedef struct {
  LensingSpectra *spectra;
  Field *field;
  Gathered gathered;
  float *kappa;
} Cosmos;

static PetscErrorCode compare(ProductReader *file, PetscInt number, const Pixels *pixels, Cosmos *c,
                              CheckReport *report)
{
  Gathered *const g = &c->gathered;
  char group[64];

  PetscFunctionBeginUser;
  snprintf(group, sizeof group, "cosmology_%d/", (int)number);
  PetscCall(check_field_read_spectra(file, group, &c->spectra));
  g->bins = c->spectra->bins;
  PetscCall(gathered_create(file, group, pixels, g));
  PetscCall(field_create(
      PETSC_COMM_SELF, &(FieldShape){FIELD_LOGNORMAL, g->bins, pixels->size, pixels->size, pixels->pixel}, &c->field));
  PetscCall(field_set_spectra(c->field, c->spectra));
  PetscCall(PetscMalloc1((size_t)g->bins * g->pixels, &c->kappa));
  PetscCall(gather_maps(g, c->field, (uint64_t)number, c->kappa));
  PetscCall(compare_moments(file, group, g, report));
  PetscCall(compare_density(file, group, g, report));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode compare_cosmology(ProductReader *file, PetscInt number, const Pixels *pixels, CheckReport *report)
{
  Cosmos c = {0};

  PetscFunctionBeginUser;
  const PetscErrorCode error = compare(file, number, pixels, &c, report);
  PetscCall(gathered_destroy(&c.gathered));
  PetscCall(field_destroy(&c.field));
  PetscCall(lensing_spectra_destroy(&c.spectra));
  PetscCall(PetscFree(c.kappa));
  PetscFunctionReturn(error);
}

PetscErrorCode check_field_statistics(ProductReader *file, CheckReport *report)
{
  char group[64] = "cosmology_0";
  Pixels pixels;
  double field_of_view_deg;
  int64_t size;
  PetscBool has = PETSC_TRUE;

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_int(file, NULL, "map_size", 1, &size));
  PetscCall(product_read_attribute_real(file, NULL, "field_of_view", 1, &field_of_view_deg));
  PetscCall(PetscIntCast(size, &pixels.size));
  pixels.pixel = field_of_view_deg * M_PI / 180 / (double)size;
  for (PetscInt number = 0; has; number++) {
    PetscCall(compare_cosmology(file, number, &pixels, report));
    snprintf(group, sizeof group, "cosmology_%d", (int)number + 1);
    PetscCall(product_has(file, group, &has));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
