/** \file counts.c  How many draws are nearer to a centre than the truth is.  \ingroup calibration
 *
 * With y = draw - truth and w = centre - truth, |draw - centre| < |truth - centre| means |y|^2 < 2 y.w: nothing large
 * cancels, and all centres of a truth are one matrix product, tile by tile in the dimension.
 */
#include "nephrite/calibration.h"

#include <cblas.h>
#include <math.h>

enum { TILE = 256 };

struct Counts {
  CalibrationMetric metric;
  int64_t dimension, truths;
  const float *truth, *centre;
  double *offset, *scale; /* [dimension]: x' = (x - offset)/scale */
  RandomKey key;
};

static void set_metric(Counts *c, int64_t d)
{
  double low = INFINITY, high = -INFINITY, sum = 0, square = 0;

  for (int64_t t = 0; t < c->truths; t++) {
    const double x = c->truth[t * c->dimension + d];

    low = fmin(low, x);
    high = fmax(high, x);
    sum += x;
  }
  for (int64_t t = 0; t < c->truths; t++) square += pow(c->truth[t * c->dimension + d] - sum / (double)c->truths, 2);
  c->offset[d] = 0;
  c->scale[d] = 1;
  if (c->metric == METRIC_MINMAX) {
    c->offset[d] = low;
    c->scale[d] = high - low + 1e-8;
  } else if (c->metric == METRIC_STANDARDISED) {
    c->offset[d] = sum / (double)c->truths;
    c->scale[d] = fmax(sqrt(square / (double)c->truths), 1e-30);
  }
}

PetscErrorCode counts_create(CalibrationMetric metric, int64_t dimension, int64_t truths, const float *truth,
                             RandomKey key, Counts **counts)
{
  Counts *c = NULL;

  PetscFunctionBeginUser;
  PetscCheck(dimension > 0 && truths > 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "calibration of %lld truths in %lld dimensions", (long long)truths, (long long)dimension);
  PetscCall(PetscNew(&c));
  *counts = c;
  c->metric = metric;
  c->dimension = dimension;
  c->truths = truths;
  c->truth = truth;
  c->key = key;
  PetscCall(PetscMalloc2((size_t)dimension, &c->offset, (size_t)dimension, &c->scale));
  for (int64_t d = 0; d < dimension; d++) set_metric(c, d);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode counts_set_centres(Counts *counts, const float *centre)
{
  PetscFunctionBeginUser;
  counts->centre = centre;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode counts_destroy(Counts **counts)
{
  PetscFunctionBeginUser;
  if (!*counts) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscFree2((*counts)->offset, (*counts)->scale));
  PetscCall(PetscFree(*counts));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* w of one centre over a tile of dimensions; keyed centres have position centre x dimension + d of their truth. */
static void centre_tile(const Counts *c, int64_t t, int64_t centres, int64_t k, int64_t first, int64_t width, double *w)
{
  const float *truth = c->truth + t * c->dimension;
  double u[TILE];

  if (!c->centre)
    random_uniform((RandomKey){c->key.seed, c->key.stream, c->key.index + (uint64_t)t},
                   (uint64_t)(k * c->dimension + first), (size_t)width, u);
  for (int64_t i = 0; i < width; i++) {
    const int64_t d = first + i;
    const double at = (truth[d] - c->offset[d]) / c->scale[d];

    if (c->centre)
      w[i] = (c->centre[(t * centres + k) * c->dimension + d] - c->offset[d]) / c->scale[d] - at;
    else
      w[i] = (c->metric == METRIC_STANDARDISED ? 4 * u[i] - 2 : u[i]) - at;
  }
}

/* y over a tile; adds to |y|^2. */
static double draw_tile(const Counts *c, int64_t t, const float *draw, int64_t first, int64_t width, double *y)
{
  const float *truth = c->truth + t * c->dimension;
  double square = 0;

  for (int64_t i = 0; i < width; i++) {
    const int64_t d = first + i;

    y[i] = ((double)draw[d] - (double)truth[d]) / c->scale[d];
    square += y[i] * y[i];
  }
  return square;
}

PetscErrorCode counts_of(Counts *c, int64_t t, int64_t draws, const float *draw, int64_t centres, int64_t *m,
                         int64_t *ties)
{
  double *y, *w, *product, *square;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc4((size_t)(draws * TILE), &y, (size_t)(centres * TILE), &w, (size_t)(draws * centres), &product,
                         (size_t)draws, &square));
  PetscCall(PetscArrayzero(product, (size_t)(draws * centres)));
  PetscCall(PetscArrayzero(square, (size_t)draws));
  for (int64_t first = 0; first < c->dimension; first += TILE) {
    const int64_t width = c->dimension - first < TILE ? c->dimension - first : TILE;

    for (int64_t s = 0; s < draws; s++)
      square[s] += draw_tile(c, t, draw + s * c->dimension, first, width, y + s * TILE);
    for (int64_t k = 0; k < centres; k++) centre_tile(c, t, centres, k, first, width, w + k * TILE);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)draws, (int)centres, (int)width, 1, y, TILE, w, TILE, 1,
                product, (int)centres);
  }
  if (ties) *ties = 0;
  for (int64_t k = 0; k < centres; k++) {
    m[k] = 0;
    for (int64_t s = 0; s < draws; s++) {
      m[k] += square[s] < 2 * product[s * centres + k];
      if (ties) *ties += square[s] == 2 * product[s * centres + k];
    }
  }
  PetscCall(PetscFree4(y, w, product, square));
  PetscFunctionReturn(PETSC_SUCCESS);
}
