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

/* What a rank works with. */
typedef struct {
  const NetworkShape *shape;
  const NormalisationSample *sample;
  const Normalisation *known; /* bounds of the parameters; then units of the one-point distributions */
  float *kappa; /* [bins][ny][nx] */
  double theta[NEPHRITE_MAX_PARAMETERS];
  Exposure *exposure; /* NULL where no statistic is of observations */
  Summaries *summaries;
  GuessSample *guess;
} Measurement;

static PetscErrorCode measurement_create(const NetworkShape *shape, const NormalisationSample *sample,
                                         const Normalisation *known, Measurement *m)
{
  PetscFunctionBeginUser;
  *m = (Measurement){.shape = shape, .sample = sample, .known = known};
  PetscCall(PetscMalloc1((size_t)(shape->bins * shape->ny * shape->nx), &m->kappa));
  PetscCall(summaries_create(shape, &m->summaries));
  if (network_summary_count(shape) || guess_count(shape)) PetscCall(exposure_create(sample->survey, &m->exposure));
  PetscCall(guess_sample_create(shape, &m->guess));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode measurement_destroy(Measurement *m)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(m->kappa));
  PetscCall(summaries_destroy(&m->summaries));
  PetscCall(guess_sample_destroy(&m->guess));
  PetscCall(exposure_destroy(&m->exposure));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The map of an item, its parameters, and what the network would be shown of it. */
static PetscErrorCode take(Measurement *m, int64_t item, const float **channels)
{
  const RandomKey noise = {(uint64_t)m->sample->seed, STREAM_NOISE, TRAINING_KEY | (uint64_t)item};

  PetscFunctionBeginUser;
  PetscCall(batch_source_get(m->sample->source, item, m->kappa, m->theta, NULL));
  if (m->exposure) PetscCall(exposure_take(m->exposure, noise, m->kappa, channels));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Rows of a table, one for each item.  Every rank fills its rows; their sum over ranks is complete, and the statistics
 * are then taken in one order whatever the number of ranks. */
typedef struct {
  int64_t rows;
  size_t columns;
  PetscErrorCode (*fill)(Measurement *m, int64_t item, double *row);
  double *values; /* [rows][columns] */
} Table;

/* Variances of what one-point distributions are told of. */
static PetscErrorCode fill_variances(Measurement *m, int64_t item, double *row)
{
  const float *channels = NULL;

  PetscFunctionBeginUser;
  PetscCall(take(m, item, &channels));
  summaries_variance(m->summaries, channels, row);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Mean square of the map per bin, the parameters as stretched, what is told of an observation, and covariances. */
static PetscErrorCode fill_moments(Measurement *m, int64_t item, double *row)
{
  const NetworkShape *shape = m->shape;
  const size_t pixels = (size_t)shape->ny * (size_t)shape->nx;
  const float *channels = NULL;

  PetscFunctionBeginUser;
  PetscCall(take(m, item, &channels));
  for (size_t bin = 0; bin < (size_t)shape->bins; bin++) {
    double sum = 0;

    for (size_t i = bin * pixels; i < (bin + 1) * pixels; i++) sum += (double)m->kappa[i] * (double)m->kappa[i];
    row[bin] = sum / (double)pixels;
  }
  row += shape->bins;
  for (PetscInt p = 0; p < shape->parameters; p++) row[p] = stretch(m->known, p, m->theta[p]);
  row += shape->parameters;
  if (network_summary_count(shape)) summaries_of(m->summaries, channels, m->known->one_point_unit, row);
  guess_sample_of(m->guess, m->kappa, channels, row + network_summary_count(shape));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Maps that may be under way from ranks that simulate. */
enum { AHEAD = 16 };

static PetscErrorCode fill_share(MPI_Comm comm, Measurement *m, Table *table)
{
  int64_t first, mine;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  share_of(comm, table->rows, &first, &mine);
  for (int64_t i = first; i < first + mine && !error; i++) {
    error = batch_source_expect(m->sample->source, i, PetscMin(AHEAD, first + mine - i));
    if (!error) error = table->fill(m, i, table->values + (size_t)i * table->columns);
  }
  PetscCall(group_agree(comm, error));
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, table->values, (int)((size_t)table->rows * table->columns), MPI_DOUBLE,
                             MPI_SUM, comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static double column_mean(const Table *table, size_t column)
{
  double sum = 0;

  for (size_t i = 0; i < (size_t)table->rows; i++) sum += table->values[i * table->columns + column];
  return sum / (double)table->rows;
}

static double column_std(const Table *table, size_t column, double mean)
{
  double sum = 0;

  for (size_t i = 0; i < (size_t)table->rows; i++) sum += pow(table->values[i * table->columns + column] - mean, 2);
  return sqrt(sum / (double)table->rows);
}

/* What never varies is centred and not divided. */
static void centre(const Table *table, size_t column, double *mean, double *std)
{
  *mean = column_mean(table, column);
  *std = column_std(table, column, *mean);
  if (*std <= 1e-12 * fabs(*mean)) *std = 1;
}

/* What is no value anywhere has any unit. */
static PetscErrorCode summarise_variances(const NetworkShape *shape, const Table *table, Normalisation *n)
{
  PetscFunctionBeginUser;
  n->one_points = network_one_point_count(shape);
  for (size_t i = 0; i < (size_t)n->one_points; i++) {
    const double variance = column_mean(table, i);

    n->one_point_unit[i] = variance > 0 ? sqrt(variance) : 1;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Maps and channels in units of the map of their bin. */
static void summarise_covariances(const Table *table, size_t first, PetscInt count, Normalisation *n)
{
  const size_t bins = (size_t)n->bins;
  size_t cell = 0;

  n->guesses = count;
  while (cell < (size_t)count)
    for (size_t i = 0; i < 2 * bins; i++)
      for (size_t j = i; j < 2 * bins; j++, cell++)
        n->guess[cell] = column_mean(table, first + cell) / (n->map_std[i % bins] * n->map_std[j % bins]);
}

/* Power of the maps and parameters as normalised, row by row. */
static void arrange_response(const Table *table, size_t theta, size_t first, const Normalisation *n, double *value,
                             double *power)
{
  const size_t bins = (size_t)n->bins, pairs = bins * (2 * bins + 1);

  for (size_t row = 0; row < (size_t)table->rows; row++) {
    const double *cell = table->values + row * table->columns;

    for (size_t p = 0; p < (size_t)n->parameters; p++)
      *value++ = (cell[theta + p] - n->theta_mean[p]) / n->theta_std[p];
    for (size_t band = 0; band <= GUESS_BANDS; band++)
      for (size_t bin = 0, pair = 0; bin < bins; pair += 2 * bins - bin, bin++)
        *power++ = cell[first + band * pairs + pair] / pow(n->map_std[bin], 2);
  }
}

static PetscErrorCode summarise_response(const NetworkShape *shape, const Table *table, size_t theta, size_t first,
                                         Normalisation *n)
{
  double *value = NULL, *power = NULL;

  PetscFunctionBeginUser;
  n->responses = guess_response_count(shape);
  if (!n->responses) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscMalloc2((size_t)(table->rows * n->parameters), &value,
                         (size_t)(table->rows * (GUESS_BANDS + 1) * n->bins), &power));
  arrange_response(table, theta, first, n, value, power);
  const PetscErrorCode error = guess_response_fit(
      &(ResponseSample){table->rows, n->parameters, n->bins, shape->ny, shape->nx, value, power}, n->response);
  PetscCall(PetscFree2(value, power));
  PetscFunctionReturn(error);
}

static PetscErrorCode summarise_moments(const NetworkShape *shape, const Table *table, Normalisation *n)
{
  const size_t theta = (size_t)shape->bins, summaries = theta + (size_t)shape->parameters;

  PetscFunctionBeginUser;
  n->bins = shape->bins;
  n->parameters = shape->parameters;
  n->summaries = network_summary_count(shape);
  for (size_t bin = 0; bin < (size_t)shape->bins; bin++) {
    n->map_std[bin] = sqrt(column_mean(table, bin)); /* the mean of a map is 0 */
    PetscCheck(isfinite(n->map_std[bin]) && n->map_std[bin] > 0, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "the convergence of bin %zu has standard deviation %.6g over %zu training maps; it must be positive",
               bin, n->map_std[bin], (size_t)table->rows);
  }
  for (size_t p = 0; p < (size_t)shape->parameters; p++) /* a fixed parameter is 0 to the network */
    centre(table, theta + p, &n->theta_mean[p], &n->theta_std[p]);
  for (size_t i = 0; i < (size_t)n->summaries; i++) /* and so is a band without modes */
    centre(table, summaries + i, &n->summary_mean[i], &n->summary_std[i]);
  summarise_covariances(table, summaries + (size_t)n->summaries, guess_count(shape), n);
  PetscCall(summarise_response(shape, table, theta, summaries + (size_t)n->summaries, n));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode tabulate(MPI_Comm comm, Measurement *m, Table *table,
                               PetscErrorCode (*summarise)(const NetworkShape *, const Table *, Normalisation *),
                               Normalisation *normalisation)
{
  PetscFunctionBeginUser;
  PetscCall(PetscCalloc1((size_t)table->rows * table->columns, &table->values));
  PetscErrorCode error = fill_share(comm, m, table);
  if (!error) error = summarise(m->shape, table, normalisation);
  PetscCall(PetscFree(table->values));
  PetscFunctionReturn(error);
}

/* Items that units are taken from: they need not be exact. */
enum { UNIT_ITEMS = 64 };

PetscErrorCode normalisation_measure(MPI_Comm comm, const NetworkShape *shape, const NormalisationSample *sample,
                                     Normalisation *normalisation)
{
  Table variances = {.rows = PetscMin(UNIT_ITEMS, sample->count),
                     .columns = (size_t)network_one_point_count(shape),
                     .fill = fill_variances};
  Table moments = {.rows = sample->count,
                   .columns =
                       (size_t)(shape->bins + shape->parameters + network_summary_count(shape) + guess_count(shape)),
                   .fill = fill_moments};
  Measurement measurement;

  PetscFunctionBeginUser;
  for (PetscInt p = 0; p < shape->parameters; p++)
    prior_bounds(sample->prior, p, &normalisation->theta_low[p], &normalisation->theta_high[p]);
  PetscErrorCode error = group_agree(comm, measurement_create(shape, sample, normalisation, &measurement));
  if (!error && variances.columns) error = tabulate(comm, &measurement, &variances, summarise_variances, normalisation);
  if (!error) error = tabulate(comm, &measurement, &moments, summarise_moments, normalisation);
  PetscCall(measurement_destroy(&measurement));
  PetscFunctionReturn(error);
}
