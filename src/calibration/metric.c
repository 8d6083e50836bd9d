/** \file metric.c  How much further from a centre a draw is than the truth.  \ingroup calibration
 *
 * With y = draw - truth and w = centre - truth, |draw - centre|^2 - |truth - centre|^2 = |y|^2 - 2 y.w: nothing large
 * cancels, and all centres of a truth are one matrix product, tile by tile in the dimension.
 */
#include "nephrite/calibration.h"

#include <cblas.h>
#include <math.h>

enum { TILE = 256 };

/* Kept apart from 0 in a division, as in the published packages (mira_score 0.1.7). */
static const double minmax_epsilon = 1e-8;

struct Metric {
  MetricKind kind;
  int64_t dimension, learned, given_centres;
  const float *given; /* [truths][given_centres][dimension], or NULL for keyed centres */
  double *low, *high, *mean, *square; /* [dimension] of the truths; square: sum of squared deviations */
  RandomKey key;
};

PetscErrorCode metric_create(MetricKind kind, int64_t dimension, RandomKey key, Metric **metric)
{
  Metric *m = NULL;

  PetscFunctionBeginUser;
  PetscCheck(dimension > 0, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "a space of %lld dimensions", (long long)dimension);
  PetscCall(PetscNew(&m));
  *metric = m;
  m->kind = kind;
  m->dimension = dimension;
  m->key = key;
  const size_t q = (size_t)dimension;
  if (kind == METRIC_MINMAX) PetscCall(PetscMalloc2(q, &m->low, q, &m->high));
  if (kind == METRIC_STANDARDISED) PetscCall(PetscCalloc2(q, &m->mean, q, &m->square));
  for (size_t d = 0; kind == METRIC_MINMAX && d < q; d++) {
    m->low[d] = INFINITY;
    m->high[d] = -INFINITY;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode metric_destroy(Metric **metric)
{
  PetscFunctionBeginUser;
  if (!*metric) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscFree2((*metric)->low, (*metric)->high));
  PetscCall(PetscFree2((*metric)->mean, (*metric)->square));
  PetscCall(PetscFree(*metric));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode metric_learn(Metric *m, const float *truth)
{
  const double count = (double)++m->learned;

  PetscFunctionBeginUser;
  for (int64_t d = 0; m->kind == METRIC_MINMAX && d < m->dimension; d++) {
    m->low[d] = fmin(m->low[d], (double)truth[d]);
    m->high[d] = fmax(m->high[d], (double)truth[d]);
  }
  for (int64_t d = 0; m->kind == METRIC_STANDARDISED && d < m->dimension; d++) {
    const double deviation = (double)truth[d] - m->mean[d];

    m->mean[d] += deviation / count;
    m->square[d] += deviation * ((double)truth[d] - m->mean[d]);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode metric_set_centres(Metric *metric, int64_t centres, const float *centre)
{
  PetscFunctionBeginUser;
  metric->given_centres = centres;
  metric->given = centre;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* x -> (x - offset) factor, over a tile; factor 0 where truths do not differ. */
typedef struct {
  double offset[TILE], factor[TILE];
} Scaling;

static void scale_by_extremes(const Metric *m, int64_t d, double *offset, double *factor)
{
  *offset = m->low[d];
  *factor = m->high[d] > m->low[d] ? 1 / (m->high[d] - m->low[d] + minmax_epsilon) : 0;
}

/* Mean and standard deviation of the other truths.  Of all, the truth itself would be a part and its draws would not:
 * it would fit the scale better than they do, by one part in the number of truths in each of many dimensions. */
static void scale_by_others(const Metric *m, int64_t d, double truth, double *offset, double *factor)
{
  const double rounding = 1e-12; /* of what is left of a sum of squares from which the only deviation is taken */
  const PetscBool others_differ = m->learned > 2 ? PETSC_TRUE : PETSC_FALSE;
  const double count = (double)m->learned, others = others_differ ? count - 1 : count;
  const double deviation = others_differ ? truth - m->mean[d] : 0;
  const double square = m->square[d] - deviation * deviation * count / others;

  *offset = m->mean[d] - deviation / others;
  *factor = square > rounding * m->square[d] ? 1 / sqrt(square / others) : 0;
}

/* \param truth  [width] of the tile */
static void scaling_of(const Metric *m, const float *truth, int64_t first, int64_t width, Scaling *scaling)
{
  for (int64_t i = 0; i < width; i++) {
    scaling->offset[i] = 0;
    scaling->factor[i] = 1;
    if (m->kind == METRIC_MINMAX) scale_by_extremes(m, first + i, &scaling->offset[i], &scaling->factor[i]);
    if (m->kind == METRIC_STANDARDISED)
      scale_by_others(m, first + i, (double)truth[i], &scaling->offset[i], &scaling->factor[i]);
  }
}

/* A tile of one centre, scaled.  Number k q + d of its truth's key belongs to centre k, dimension d. */
static void centre_tile(const Metric *m, int64_t truth_index, int64_t k, int64_t first, int64_t width,
                        const Scaling *scaling, double *centre)
{
  if (m->given) {
    const float *given = m->given + (truth_index * m->given_centres + k) * m->dimension + first;

    for (int64_t i = 0; i < width; i++) centre[i] = ((double)given[i] - scaling->offset[i]) * scaling->factor[i];
    return;
  }
  random_uniform((RandomKey){m->key.seed, m->key.stream, m->key.index + (uint64_t)truth_index},
                 (uint64_t)(k * m->dimension + first), (size_t)width, centre);
  for (int64_t i = 0; m->kind == METRIC_STANDARDISED && i < width; i++) centre[i] = 4 * centre[i] - 2;
}

/* y of one draw over a tile.  \returns its part of |y|^2 */
static double draw_tile(const float *restrict truth, const float *restrict draw, int64_t width, const double *factor,
                        double *restrict y)
{
  for (int64_t i = 0; i < width; i++) y[i] = ((double)draw[i] - (double)truth[i]) * factor[i];
  return cblas_ddot((int)width, y, 1, y, 1);
}

/* Work of one tile. */
typedef struct {
  Scaling scaling;
  int64_t stride; /* TILE, or all of a smaller dimension: rows of few numbers are to lie close together */
  double *y, *w, *square; /* [draws][stride], [centres][stride], [draws] */
} Tile;

static void add_tile(const Metric *m, const DrawBlock *block, int64_t centres, int64_t first, Tile *tile,
                     double *excess)
{
  const int64_t width = m->dimension - first < TILE ? m->dimension - first : TILE;
  const float *truth = block->truth + first;

  scaling_of(m, truth, first, width, &tile->scaling);
  for (int64_t s = 0; s < block->draws; s++)
    tile->square[s] += draw_tile(truth, block->draw + s * m->dimension + first, width, tile->scaling.factor,
                                 tile->y + s * tile->stride);
  for (int64_t k = 0; k < centres; k++) {
    double *w = tile->w + k * tile->stride;

    centre_tile(m, block->truth_index, k, first, width, &tile->scaling, w);
    for (int64_t i = 0; i < width; i++) w[i] -= ((double)truth[i] - tile->scaling.offset[i]) * tile->scaling.factor[i];
  }
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)block->draws, (int)centres, (int)width, -2, tile->y,
              (int)tile->stride, tile->w, (int)tile->stride, 1, excess, (int)centres);
}

PetscErrorCode metric_excess(const Metric *m, const DrawBlock *block, int64_t centres, double *excess)
{
  const size_t draws = (size_t)block->draws;
  Tile *tile = NULL;

  PetscFunctionBeginUser;
  PetscCheck(!m->given || centres == m->given_centres, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "%lld centres are wanted, %lld are given", (long long)centres, (long long)m->given_centres);
  PetscCall(PetscNew(&tile));
  tile->stride = PetscMin(m->dimension, TILE);
  PetscCall(PetscMalloc2(draws * (size_t)tile->stride, &tile->y, (size_t)(centres * tile->stride), &tile->w));
  PetscCall(PetscCalloc1(draws, &tile->square));
  PetscCall(PetscArrayzero(excess, draws * (size_t)centres));
  for (int64_t first = 0; first < m->dimension; first += TILE) add_tile(m, block, centres, first, tile, excess);
  for (int64_t s = 0; s < block->draws; s++)
    for (int64_t k = 0; k < centres; k++) excess[s * centres + k] += tile->square[s];
  PetscCall(PetscFree2(tile->y, tile->w));
  PetscCall(PetscFree(tile->square));
  PetscCall(PetscFree(tile));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void counts_add(int64_t draws, int64_t centres, const double *excess, int64_t *m, int64_t *ties)
{
  int64_t *restrict count = m, equal = 0; /* apart from *ties, which compilers cannot know */

  for (int64_t s = 0; s < draws; s++)
    for (int64_t k = 0; k < centres; k++) {
      count[k] += excess[s * centres + k] < 0;
      equal += excess[s * centres + k] == 0;
    }
  *ties += equal;
}
