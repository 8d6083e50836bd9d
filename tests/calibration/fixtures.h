/** Truths and draws whose calibration is known. */
#ifndef CALIBRATION_FIXTURES_H
#define CALIBRATION_FIXTURES_H

#include "nephrite/calibration.h"
#include "nephrite_test.h"

#include <stdlib.h>

/** Gaussian draws around observed means, and a truth that is one more draw. */
typedef struct {
  int64_t truths, draws, dimension;
  float *truth; /* [truths][dimension] */
  float *draw; /* [truths][draws][dimension] */
} Experiment;

/** \param width of the draws, in that of the true posterior  \param bias of their mean, likewise, in every dimension */
static inline Experiment gaussian_experiment(int64_t truths, int64_t draws, int64_t dimension, double width,
                                             double bias)
{
  Experiment e = {truths, draws, dimension, NULL, NULL};
  const size_t values = (size_t)((draws + 2) * dimension);
  double *normal = calloc(values, sizeof *normal);

  e.truth = calloc((size_t)(truths * dimension), sizeof *e.truth);
  e.draw = calloc((size_t)(truths * draws * dimension), sizeof *e.draw);
  assert_true(normal && e.truth && e.draw);
  for (int64_t t = 0; t < truths; t++) {
    random_normal((RandomKey){5, STREAM_POSTERIOR, (uint64_t)t}, 0, values, normal);
    for (int64_t d = 0; d < dimension; d++) {
      const double mean = 2 * normal[d];

      e.truth[t * dimension + d] = (float)(mean + normal[dimension + d]);
      for (int64_t s = 0; s < draws; s++)
        e.draw[(t * draws + s) * dimension + d] = (float)(mean + bias + width * normal[(s + 2) * dimension + d]);
    }
  }
  free(normal);
  return e;
}

static inline void experiment_destroy(Experiment *e)
{
  free(e->truth);
  free(e->draw);
}

/** Counts of an experiment.  \param metric  has learned nothing yet  \returns [truths][centres], free() it */
static inline int64_t *count_experiment(const Experiment *e, Metric *metric, int64_t centres)
{
  int64_t *m = calloc((size_t)(e->truths * centres), sizeof *m), ties = 0;
  double *excess = calloc((size_t)(e->draws * centres), sizeof *excess);

  assert_true(m && excess);
  for (int64_t t = 0; t < e->truths; t++) assert_ok(metric_learn(metric, e->truth + t * e->dimension));
  for (int64_t t = 0; t < e->truths; t++) {
    const DrawBlock block = {t, e->truth + t * e->dimension, e->draws, e->draw + t * e->draws * e->dimension};

    assert_ok(metric_excess(metric, &block, centres, excess));
    counts_add(e->draws, centres, excess, m + t * centres, &ties);
  }
  free(excess);
  return m;
}

/** The same with a new metric of this kind. */
static inline int64_t *count_with(const Experiment *e, MetricKind kind, int64_t centres)
{
  Metric *metric = NULL;
  int64_t *m;

  assert_ok(metric_create(kind, e->dimension, (RandomKey){1, STREAM_CALIBRATION, 0}, &metric));
  m = count_experiment(e, metric, centres);
  assert_ok(metric_destroy(&metric));
  return m;
}

#endif
