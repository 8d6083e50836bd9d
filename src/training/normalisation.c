/** \file normalisation.c  Statistics that bring maps and parameters to unit size for the network.  \ingroup training */
#include "internal.h"

#include <float.h>
#include <gsl/gsl_cdf.h>
#include <math.h>

/* ---- parameters ---- */

static PetscBool is_bounded(const Normalisation *n, PetscInt p)
{
  return n->theta_low[p] < n->theta_high[p] ? PETSC_TRUE : PETSC_FALSE;
}

/* Even at a bound the normal is not infinite: it is that of the least share that can be told from none. */
static double stretch(const Normalisation *n, PetscInt p, double theta)
{
  const double most = gsl_cdf_ugaussian_Qinv(DBL_EPSILON);

  if (!is_bounded(n, p)) return theta;
  return fmin(fmax(interval_to_normal(n->theta_low[p], n->theta_high[p], theta), -most), most);
}

PetscErrorCode normalise_parameters(const Normalisation *n, const double *theta, Scalar *z)
{
  PetscFunctionBeginUser;
  for (PetscInt p = 0; p < n->parameters; p++) {
    PetscCheck(!is_bounded(n, p) || (theta[p] >= n->theta_low[p] && theta[p] <= n->theta_high[p]), PETSC_COMM_SELF,
               NEPHRITE_ERR_INPUT,
               "parameter %d is %.6g; the model that training starts from was trained with a prior in [%.6g, %.6g]",
               (int)p, theta[p], n->theta_low[p], n->theta_high[p]);
    z[p] = (Scalar)((stretch(n, p, theta[p]) - n->theta_mean[p]) / n->theta_std[p]);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

void restore_parameters(const Normalisation *n, const Scalar *z, double *theta)
{
  for (PetscInt p = 0; p < n->parameters; p++) {
    const double y = n->theta_mean[p] + n->theta_std[p] * (double)z[p];

    theta[p] = is_bounded(n, p) ? interval_from_normal(n->theta_low[p], n->theta_high[p], y) : y;
  }
}

/* ---- statistics ---- */

/* Of one realisation: mean square of the map per bin, the parameters as stretched, band powers of an observation. Every
 * rank fills its rows of the table; their sum over ranks is complete, and the statistics are then taken in one order
 * whatever the number of ranks. */
static size_t row_size(const NetworkShape *shape)
{
  return (size_t)(shape->bins + shape->parameters + network_spectra_count(shape));
}

/* What a rank works with. */
typedef struct {
  const NetworkShape *shape;
  const NormalisationSample *sample;
  const Normalisation *bounds;
  float *kappa; /* [bins][ny][nx] */
  Exposure *exposure; /* NULL, both, where no band powers are told */
  BandPowers *bands;
} Measurement;

static PetscErrorCode measurement_create(const NetworkShape *shape, const NormalisationSample *sample,
                                         const Normalisation *bounds, Measurement *m)
{
  PetscFunctionBeginUser;
  *m = (Measurement){.shape = shape, .sample = sample, .bounds = bounds};
  PetscCall(PetscMalloc1((size_t)(shape->bins * shape->ny * shape->nx), &m->kappa));
  PetscCall(spectra_create(shape, &m->bands));
  if (m->bands) PetscCall(exposure_create(sample->survey, &m->exposure));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode measurement_destroy(Measurement *m)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(m->kappa));
  PetscCall(band_powers_destroy(&m->bands));
  PetscCall(exposure_destroy(&m->exposure));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode fill_row(Measurement *m, int64_t item, double *row)
{
  const NetworkShape *shape = m->shape;
  const size_t pixels = (size_t)shape->ny * (size_t)shape->nx;
  const RandomKey noise = {(uint64_t)m->sample->seed, STREAM_NOISE, TRAINING_KEY | (uint64_t)item};
  const float *channels = NULL;

  PetscFunctionBeginUser;
  PetscCall(batch_source_get(m->sample->source, item, m->kappa, row + shape->bins, NULL));
  for (size_t bin = 0; bin < (size_t)shape->bins; bin++) {
    double sum = 0;

    for (size_t i = bin * pixels; i < (bin + 1) * pixels; i++) sum += (double)m->kappa[i] * (double)m->kappa[i];
    row[bin] = sum / (double)pixels;
  }
  for (PetscInt p = 0; p < shape->parameters; p++) row[shape->bins + p] = stretch(m->bounds, p, row[shape->bins + p]);
  if (!m->bands) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(exposure_take(m->exposure, noise, m->kappa, &channels));
  band_powers_of(m->bands, channels, row + shape->bins + shape->parameters);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Maps that may be under way from ranks that simulate. */
enum { AHEAD = 16 };

static PetscErrorCode fill_share(MPI_Comm comm, const NetworkShape *shape, const NormalisationSample *sample,
                                 const Normalisation *bounds, double *table)
{
  Measurement measurement;
  int64_t first, mine;

  PetscFunctionBeginUser;
  share_of(comm, sample->count, &first, &mine);
  PetscErrorCode error = measurement_create(shape, sample, bounds, &measurement);
  for (int64_t i = first; i < first + mine && !error; i++) {
    error = batch_source_expect(sample->source, i, PetscMin(AHEAD, first + mine - i));
    if (!error) error = fill_row(&measurement, i, table + (size_t)i * row_size(shape));
  }
  PetscCall(measurement_destroy(&measurement));
  PetscCall(group_agree(comm, error));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static double column_mean(const double *table, size_t rows, size_t columns, size_t column)
{
  double sum = 0;

  for (size_t i = 0; i < rows; i++) sum += table[i * columns + column];
  return sum / (double)rows;
}

static double column_std(const double *table, size_t rows, size_t columns, size_t column, double mean)
{
  double sum = 0;

  for (size_t i = 0; i < rows; i++) sum += pow(table[i * columns + column] - mean, 2);
  return sqrt(sum / (double)rows);
}

/* What never varies is centred and not divided. */
static void centre(const double *table, size_t rows, size_t columns, size_t column, double *mean, double *std)
{
  *mean = column_mean(table, rows, columns, column);
  *std = column_std(table, rows, columns, column, *mean);
  if (*std <= 1e-12 * fabs(*mean)) *std = 1;
}

static PetscErrorCode summarise(const NetworkShape *shape, const double *table, size_t rows, Normalisation *n)
{
  const size_t columns = row_size(shape), theta = (size_t)shape->bins, spectra = theta + (size_t)shape->parameters;

  PetscFunctionBeginUser;
  n->bins = shape->bins;
  n->parameters = shape->parameters;
  n->spectra = network_spectra_count(shape);
  for (size_t bin = 0; bin < (size_t)shape->bins; bin++) {
    n->map_std[bin] = sqrt(column_mean(table, rows, columns, bin)); /* the mean of a map is 0 */
    PetscCheck(isfinite(n->map_std[bin]) && n->map_std[bin] > 0, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "the convergence of bin %zu has standard deviation %.6g over %zu training maps; it must be positive",
               bin, n->map_std[bin], rows);
  }
  for (size_t p = 0; p < (size_t)shape->parameters; p++) /* a fixed parameter is 0 to the network */
    centre(table, rows, columns, theta + p, &n->theta_mean[p], &n->theta_std[p]);
  for (size_t i = 0; i < (size_t)n->spectra; i++) /* and so is a band without modes */
    centre(table, rows, columns, spectra + i, &n->spectra_mean[i], &n->spectra_std[i]);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode normalisation_measure(MPI_Comm comm, const NetworkShape *shape, const NormalisationSample *sample,
                                     Normalisation *normalisation)
{
  const size_t cells = (size_t)sample->count * row_size(shape);
  double *table = NULL; /* [count][row_size()] */

  PetscFunctionBeginUser;
  PetscCall(PetscCalloc1(cells, &table));
  for (PetscInt p = 0; p < shape->parameters; p++)
    prior_bounds(sample->prior, p, &normalisation->theta_low[p], &normalisation->theta_high[p]);
  PetscCall(fill_share(comm, shape, sample, normalisation, table));
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, table, (int)cells, MPI_DOUBLE, MPI_SUM, comm));
  PetscCall(summarise(shape, table, (size_t)sample->count, normalisation));
  PetscCall(PetscFree(table));
  PetscFunctionReturn(PETSC_SUCCESS);
}
