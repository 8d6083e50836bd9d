/** \file cells.c  Is the posterior calibrated in every cell?  \ingroup calibration */
#include "calibration/internal.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <string.h>

/* Cells have few truths, so the scatter within a cell is taken from all of them. */
static double scatter_within(const PosteriorGrid *grid, int64_t truths, const double *value, const double *mean)
{
  double square = 0;

  for (int64_t t = 0; t < truths; t++) {
    const double deviation = value[t] - mean[grid->cell[t]];

    square += deviation * deviation;
  }
  return sqrt(square / (double)(truths - grid->count));
}

void cell_means(const PosteriorGrid *grid, int64_t truths, const double *value, double expected, CellMeans *means)
{
  double most = 0;

  for (PetscInt c = 0; c < grid->count; c++) means->mean[c] = 0;
  for (int64_t t = 0; t < truths; t++) means->mean[grid->cell[t]] += value[t] / (double)grid->truths[grid->cell[t]];
  const double scatter = scatter_within(grid, truths, value, means->mean);

  means->chi2 = 0;
  for (PetscInt c = 0; c < grid->count; c++) {
    means->error[c] = scatter / sqrt((double)grid->truths[c]);
    means->deviation[c] = scatter > 0 ? (means->mean[c] - expected) / means->error[c] : 0;
    means->chi2 += means->deviation[c] * means->deviation[c];
    most = fmax(most, fabs(means->deviation[c]));
  }
  means->p_value = gsl_cdf_chisq_Q(means->chi2, (double)grid->count);
  means->least_p_value = fmin(1, 2 * gsl_cdf_ugaussian_Q(most) * (double)grid->count);
}

/* ---- to the file ---- */

/* Work for the cells of one grid. */
typedef struct {
  const Results *results;
  const PosteriorGrid *grid;
  ProductWriter *writer;
  double *value; /* [truths] */
  CellMeans means;
} Cells;

static PetscErrorCode write_place(const Cells *c)
{
  const PosteriorGrid *grid = c->grid;
  const Results *r = c->results;
  const hsize_t cells = (hsize_t)grid->count, range[2] = {cells, (hsize_t)grid->axes};
  char names[OPTION_TEXT_SIZE] = "";

  PetscFunctionBeginUser;
  for (PetscInt a = 0; a < grid->axes; a++) {
    if (a) PetscCall(PetscStrlcat(names, ",", sizeof names));
    PetscCall(PetscStrlcat(names, scalar_name(r->setup->prior, &r->scalars, grid->scalar[a]), sizeof names));
  }
  PetscCall(calibration_put(c->writer, "cells/low", H5T_NATIVE_DOUBLE, range,
                            "least mean of draws and truth in a cell [cell, axis]", grid->low));
  PetscCall(product_attribute_text(c->writer, "cells/low", "axes", names));
  PetscCall(calibration_put(c->writer, "cells/high", H5T_NATIVE_DOUBLE, range,
                            "greatest mean of draws and truth in a cell [cell, axis]", grid->high));
  PetscCall(calibration_put(c->writer, "cells/truths", H5T_NATIVE_INT64, (hsize_t[]){cells, 0}, "truths in a cell",
                            grid->truths));
  printf("coverage  %d cells by %s\n", (int)grid->count, names);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_scores(Cells *c, int comparison)
{
  const Results *r = c->results;
  const CountTable table = {r->truths, r->draws, r->centres, r->count[comparison]};

  PetscFunctionBeginUser;
  for (int64_t t = 0; t < r->truths; t++) c->value[t] = mira_of_truth(&table, t);
  cell_means(c->grid, r->truths, c->value, mira_expected(r->draws), &c->means);
  PetscCall(calibration_put_in(c->writer, comparison, "cells/score", c->grid->count,
                               "MIRA score of the truths in a cell", c->means.mean));
  PetscCall(calibration_put_in(c->writer, comparison, "cells/error", c->grid->count,
                               "its error, by the scatter within cells", c->means.error));
  PetscCall(calibration_put_in(c->writer, comparison, "cells/chi2", 0,
                               "of the scores of all cells, if calibrated in each", &c->means.chi2));
  PetscCall(
      calibration_put_in(c->writer, comparison, "cells/p_value", 0, "chance of a larger chi^2", &c->means.p_value));
  PetscCall(calibration_put_in(c->writer, comparison, "cells/least_p_value", 0,
                               "of the most deviant cell, times their number, at most 1", &c->means.least_p_value));
  if (strstr(comparison_name(comparison), "standardised")) /* one line for each space */
    printf("coverage  MIRA in cells %-24s p-value %.3g, most deviant cell %.3g\n", comparison_name(comparison),
           c->means.p_value, c->means.least_p_value);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Of residuals in each cell: standard deviation, above 1 where the posterior is too narrow. */
static void dispersion_in_cells(const Cells *c, double *dispersion)
{
  const PosteriorGrid *grid = c->grid;

  for (PetscInt i = 0; i < grid->count; i++) dispersion[i] = 0;
  for (int64_t t = 0; t < c->results->truths; t++) {
    const double deviation = c->value[t] - c->means.mean[grid->cell[t]];

    dispersion[grid->cell[t]] += deviation * deviation;
  }
  for (PetscInt i = 0; i < grid->count; i++) dispersion[i] = sqrt(dispersion[i] / (double)(grid->truths[i] - 1));
}

/* \param bias, error, dispersion [scalars][cells]  \param p_value [scalars] */
static void residuals_in_cells(Cells *c, double *bias, double *error, double *dispersion, double *p_value)
{
  const Results *r = c->results;
  const PetscInt scalars = r->scalars.count;

  for (PetscInt i = 0; i < scalars; i++) {
    const size_t row = (size_t)i * (size_t)c->grid->count;

    for (int64_t t = 0; t < r->truths; t++)
      c->value[t] = (r->truth[t * scalars + i] - r->mean[t * scalars + i]) / r->width[t * scalars + i];
    cell_means(c->grid, r->truths, c->value, 0, &c->means);
    for (PetscInt cell = 0; cell < c->grid->count; cell++) bias[row + (size_t)cell] = c->means.mean[cell];
    for (PetscInt cell = 0; cell < c->grid->count; cell++) error[row + (size_t)cell] = c->means.error[cell];
    dispersion_in_cells(c, dispersion + row);
    p_value[i] = c->means.p_value;
  }
}

static PetscErrorCode write_residuals(Cells *c)
{
  const hsize_t scalars = (hsize_t)c->results->scalars.count, shape[2] = {scalars, (hsize_t)c->grid->count};
  const size_t numbers = (size_t)(shape[0] * shape[1]);
  double *bias = NULL, *error = NULL, *dispersion = NULL, p_value[MOST_SCALARS];

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc3(numbers, &bias, numbers, &error, numbers, &dispersion));
  residuals_in_cells(c, bias, error, dispersion, p_value);
  PetscCall(calibration_put(c->writer, "cells/bias", H5T_NATIVE_DOUBLE, shape,
                            "mean of (truth - posterior mean)/posterior std [scalar, cell]", bias));
  PetscCall(product_attribute_text(c->writer, "cells/bias", "scalars", c->results->scalars.names));
  PetscCall(calibration_put(c->writer, "cells/bias_error", H5T_NATIVE_DOUBLE, shape,
                            "its error, by the scatter within cells [scalar, cell]", error));
  PetscCall(calibration_put(c->writer, "cells/dispersion", H5T_NATIVE_DOUBLE, shape,
                            "standard deviation of (truth - posterior mean)/posterior std [scalar, cell]", dispersion));
  PetscCall(calibration_put(c->writer, "cells/bias_p_value", H5T_NATIVE_DOUBLE, (hsize_t[]){scalars, 0},
                            "chance of larger biases of all cells, by chi^2 [scalar]", p_value));
  printf("coverage  bias in cells of %s: least p-value x %d = %.3g\n", c->results->scalars.names, (int)scalars,
         sbc_least_p_value((PetscInt)scalars, p_value));
  PetscCall(PetscFree3(bias, error, dispersion));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode cells_write(const Results *r, const PosteriorGrid *grid, ProductWriter *writer)
{
  Cells c = {.results = r, .grid = grid, .writer = writer};
  PetscErrorCode error;

  PetscFunctionBeginUser;
  if (!grid->count) PetscFunctionReturn(PETSC_SUCCESS);
  const size_t cells = (size_t)grid->count;
  PetscCall(PetscMalloc4((size_t)r->truths, &c.value, cells, &c.means.mean, cells, &c.means.error, cells,
                         &c.means.deviation));
  error = write_place(&c);
  for (int comparison = 0; comparison < COMPARISONS && !error; comparison++) error = write_scores(&c, comparison);
  if (!error) error = write_residuals(&c);
  PetscCall(PetscFree4(c.value, c.means.mean, c.means.error, c.means.deviation));
  PetscFunctionReturn(error);
}
