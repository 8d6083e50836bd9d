/** \file normalisation.c  Statistics that bring maps and parameters to unit size for the network.  \ingroup training */
#include "internal.h"

#include <math.h>

/* Of one realisation: mean square of the map per bin, then the parameters.  Every rank fills its rows of the table;
 * their sum over ranks is complete, and the statistics are then taken in one order whatever the number of ranks. */
static size_t row_size(const NetworkShape *shape)
{
  return (size_t)shape->bins + (size_t)shape->parameters;
}

static PetscErrorCode fill_row(BatchSource *source, const NetworkShape *shape, int64_t item, float *kappa, double *row)
{
  const size_t pixels = (size_t)shape->ny * (size_t)shape->nx;

  PetscFunctionBeginUser;
  PetscCall(batch_source_get(source, item, kappa, row + shape->bins, NULL));
  for (size_t bin = 0; bin < (size_t)shape->bins; bin++) {
    double sum = 0;

    for (size_t i = bin * pixels; i < (bin + 1) * pixels; i++) sum += (double)kappa[i] * (double)kappa[i];
    row[bin] = sum / (double)pixels;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Maps that may be under way from ranks that simulate. */
enum { AHEAD = 16 };

static PetscErrorCode fill_share(MPI_Comm comm, BatchSource *source, const NetworkShape *shape, int64_t count,
                                 double *table)
{
  const size_t pixels = (size_t)shape->bins * (size_t)shape->ny * (size_t)shape->nx;
  int64_t first, mine;
  float *kappa = NULL;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  share_of(comm, count, &first, &mine);
  PetscCall(PetscMalloc1(pixels, &kappa));
  for (int64_t i = first; i < first + mine && !error; i++) {
    error = batch_source_expect(source, i, PetscMin(AHEAD, first + mine - i));
    if (!error) error = fill_row(source, shape, i, kappa, table + (size_t)i * row_size(shape));
  }
  PetscCall(PetscFree(kappa));
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

static PetscErrorCode summarise(const NetworkShape *shape, const double *table, size_t rows, Normalisation *n)
{
  const size_t columns = row_size(shape);

  PetscFunctionBeginUser;
  n->bins = shape->bins;
  n->parameters = shape->parameters;
  for (size_t bin = 0; bin < (size_t)shape->bins; bin++) {
    n->map_std[bin] = sqrt(column_mean(table, rows, columns, bin)); /* the mean of a map is 0 */
    PetscCheck(isfinite(n->map_std[bin]) && n->map_std[bin] > 0, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "the convergence of bin %zu has standard deviation %.6g over %zu training maps; it must be positive",
               bin, n->map_std[bin], rows);
  }
  for (size_t p = 0; p < (size_t)shape->parameters; p++) {
    const size_t column = (size_t)shape->bins + p;
    double std;

    n->theta_mean[p] = column_mean(table, rows, columns, column);
    std = column_std(table, rows, columns, column, n->theta_mean[p]);
    n->theta_std[p] = std > 1e-12 * fabs(n->theta_mean[p]) ? std : 1; /* a fixed parameter is 0 to the network */
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode normalisation_measure(MPI_Comm comm, BatchSource *source, const NetworkShape *shape, int64_t count,
                                     Normalisation *normalisation)
{
  const size_t cells = (size_t)count * row_size(shape);
  double *table = NULL; /* [count][bins + parameters] */

  PetscFunctionBeginUser;
  PetscCall(PetscCalloc1(cells, &table));
  PetscCall(fill_share(comm, source, shape, count, table));
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, table, (int)cells, MPI_DOUBLE, MPI_SUM, comm));
  PetscCall(summarise(shape, table, (size_t)count, normalisation));
  PetscCall(PetscFree(table));
  PetscFunctionReturn(PETSC_SUCCESS);
}
