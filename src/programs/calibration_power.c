/** \file calibration_power.c  How small an error of a posterior MIRA, TARP and SBC see.  \ingroup programs
 *
 * A linear Gaussian model, of which mean and width of the posterior are known: theta ~ N(0, 1) in every dimension, the
 * datum is theta plus noise of standard deviation n, so the posterior is N(datum/(1 + n^2), n^2/(1 + n^2)).  Draws are
 * made from it with a bias or of a wrong width.  All distortions of an experiment share their random numbers, so that a
 * test's answers to them can be compared. */
#include "calibration_measures.h"

#include <errno.h>
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>

/* What is wrong with draws, in the first so many dimensions. */
typedef struct {
  const char *kind; /* "none", "bias", "width" */
  double size; /* as the user wrote it */
  double bias, width; /* in standard deviations of the posterior */
  int64_t dimensions;
} Distortion;

/* What the tests say of an experiment. */
typedef struct {
  double mira, published; /* deviations from the expected score in standard errors */
  double tarp; /* max |ECP - alpha| */
  double sbc; /* the least p-value */
  double score; /* MIRA's, exact in the reference */
} Outcome;
enum { OUTCOME_NUMBERS = sizeof(Outcome) / sizeof(double) };

typedef struct {
  const MeasureConfig *config;
  MPI_Comm comm;
  PetscMPIInt rank, size;
  PetscInt cells; /* distortions, of which the first is none */
  Distortion *cell;
  Metric *metric; /* of the experiment at hand */
  float *truth; /* [truths][dimension] */
  double *mean; /* [truths][dimension] of the posteriors */
  double *normal; /* [draws][dimension] of one truth */
  float *draw; /* [draws][dimension] distorted */
  double *excess; /* [draws][centres] */
  double *column; /* [draws] */
  double *alpha, *ecp; /* [levels] */
  double *p_value; /* [dimension] */
  int64_t *m; /* [cells][truths][centres] */
  int64_t *position; /* [cells][dimension][truths] ranks of truths among draws */
  Outcome *outcome; /* [experiments][cells] */
  Outcome *null; /* [nulls] */
} Power;

/* Random numbers of STREAM_CALIBRATION that are of an experiment, behind the centres of its truths. */
enum { OF_BOOTSTRAP = 1 << 29, OF_REFERENCES = 1 << 30 };

/* Experiments with distortions come first, those without after them: each has its own truths, draws and centres. */
static RandomKey key_of(const Power *p, RandomStream stream, int64_t experiment, int64_t truth)
{
  return (RandomKey){(uint64_t)p->config->seed, stream, ((uint64_t)experiment << 32) + (uint64_t)truth};
}

/* ---- distortions ---- */

/* Numbers with commas between.  \param[out] value  as many as \p count says, or NULL to have them counted */
static PetscErrorCode read_list(const char *option, const char *text, double low, double high, PetscInt *count,
                                double *value)
{
  char *stop;

  PetscFunctionBeginUser;
  *count = 0;
  for (const char *c = text; *c; c = *stop == ',' ? stop + 1 : stop) {
    const double number = strtod(c, &stop);

    PetscCheck(stop > c && (!*stop || (*stop == ',' && stop[1])) && number >= low && number <= high, PETSC_COMM_SELF,
               NEPHRITE_ERR_CONFIG, "-%s is \"%s\"; it must be numbers from %.6g to %.6g with commas between", option,
               text, low, high);
    if (value) value[*count] = number;
    ++*count;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Each size in one dimension, then each in all. */
static void add_cells(Power *p, const char *kind, PetscInt sizes, const double *size)
{
  const int64_t dimensions[2] = {1, p->config->dimension};

  for (int extent = 0; extent < 2; extent++)
    for (PetscInt i = 0; i < sizes; i++) {
      Distortion *cell = &p->cell[p->cells++];

      *cell = (Distortion){kind, size[i], 0, 1, dimensions[extent]};
      *(kind[0] == 'b' ? &cell->bias : &cell->width) = size[i];
    }
}

static PetscErrorCode create_cells(Power *p)
{
  const MeasureConfig *c = p->config;
  PetscInt biases, widths;
  double *bias = NULL, *width = NULL;

  PetscFunctionBeginUser;
  PetscCall(read_list("biases", c->biases, -100, 100, &biases, NULL));
  PetscCall(read_list("widths", c->widths, 0, 100, &widths, NULL));
  PetscCall(PetscMalloc1(1 + 2 * (size_t)(biases + widths), &p->cell));
  PetscCall(PetscMalloc2((size_t)biases, &bias, (size_t)widths, &width));
  PetscCall(read_list("biases", c->biases, -100, 100, &biases, bias));
  PetscCall(read_list("widths", c->widths, 0, 100, &widths, width));
  p->cell[p->cells++] = (Distortion){"none", 0, 0, 1, 0};
  add_cells(p, "bias", biases, bias);
  add_cells(p, "width", widths, width);
  PetscCall(PetscFree2(bias, width));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param[out] draw [draws][dimension] */
static void distort(const Power *p, const Distortion *how, const double *mean, float *restrict draw)
{
  const double n = p->config->noise, deviation = n / sqrt(1 + n * n);
  const int64_t q = p->config->dimension;

  for (int64_t s = 0; s < p->config->draws; s++) {
    const double *z = p->normal + s * q;

    for (int64_t d = 0; d < how->dimensions; d++)
      draw[s * q + d] = (float)(mean[d] + deviation * (how->bias + how->width * z[d]));
    for (int64_t d = how->dimensions; d < q; d++) draw[s * q + d] = (float)(mean[d] + deviation * z[d]);
  }
}

/* ---- an experiment ---- */

/* Every rank has all truths, from which the metric learns. */
static PetscErrorCode make_truths(Power *p, int64_t experiment)
{
  const double n = p->config->noise;
  const int64_t q = p->config->dimension;

  PetscFunctionBeginUser;
  for (int64_t t = 0; t < p->config->truths; t++) {
    const RandomKey key = key_of(p, STREAM_PARAMETERS, experiment, t);

    random_normal(key, 0, (size_t)q, p->normal); /* the truth */
    random_normal(key, (uint64_t)q, (size_t)q, p->normal + q); /* the noise */
    for (int64_t d = 0; d < q; d++) {
      p->truth[t * q + d] = (float)p->normal[d];
      p->mean[t * q + d] = (p->normal[d] + n * p->normal[q + d]) / (1 + n * n);
    }
    PetscCall(metric_learn(p->metric, p->truth + t * q));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode compare_truth(Power *p, PetscInt cell, int64_t t)
{
  const MeasureConfig *c = p->config;
  const int64_t q = c->dimension;
  const DrawBlock block = {t, p->truth + t * q, c->draws, p->draw};
  int64_t ties = 0;

  PetscFunctionBeginUser;
  distort(p, &p->cell[cell], p->mean + t * q, p->draw);
  PetscCall(metric_excess(p->metric, &block, c->centres, p->excess));
  counts_add(c->draws, c->centres, p->excess, p->m + (cell * (int64_t)c->truths + t) * c->centres, &ties);
  for (int64_t d = 0; d < q; d++) {
    for (int64_t s = 0; s < c->draws; s++) p->column[s] = (double)p->draw[s * q + d];
    p->position[(cell * q + d) * c->truths + t] = sbc_rank(c->draws, p->column, 1, (double)block.truth[d]);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The truths of this rank. */
static PetscErrorCode compare_truths(Power *p, int64_t experiment, PetscInt cells)
{
  const MeasureConfig *c = p->config;

  PetscFunctionBeginUser;
  PetscCall(
      metric_create((MetricKind)c->metric, c->dimension, key_of(p, STREAM_CALIBRATION, experiment, 0), &p->metric));
  PetscCall(make_truths(p, experiment));
  PetscCall(PetscArrayzero(p->m, (size_t)cells * (size_t)c->truths * (size_t)c->centres));
  PetscCall(PetscArrayzero(p->position, (size_t)cells * (size_t)c->truths * (size_t)c->dimension));
  for (int64_t t = p->rank; t < c->truths; t += p->size) {
    random_normal(key_of(p, STREAM_POSTERIOR, experiment, t), 0, (size_t)c->draws * (size_t)c->dimension, p->normal);
    for (PetscInt cell = 0; cell < cells; cell++) PetscCall(compare_truth(p, cell, t));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* In pieces that MPI can count. */
static PetscErrorCode sum_over_ranks(MPI_Comm comm, int64_t count, int64_t *values)
{
  const int64_t piece = 1 << 20;

  PetscFunctionBeginUser;
  for (int64_t at = 0; at < count; at += piece)
    PetscCallMPI(
        MPI_Allreduce(MPI_IN_PLACE, values + at, (PetscMPIInt)PetscMin(piece, count - at), MPI_INT64_T, MPI_SUM, comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- what the tests say of it ---- */

static double in_errors(double difference, double error)
{
  return difference == 0 ? 0 : difference / error; /* infinite where all truths have one score, and a wrong one */
}

static PetscErrorCode judge_mira(const Power *p, const CountTable *table, int64_t experiment, Outcome *outcome)
{
  const double truths = (double)table->truths, draws = (double)table->draws;
  MiraScore score;
  double published;

  PetscFunctionBeginUser;
  PetscCall(mira_score(table, key_of(p, STREAM_CALIBRATION, experiment, OF_BOOTSTRAP), p->config->bootstraps, &score));
  outcome->score = score.score;
  outcome->mira = in_errors(score.score - score.expected, score.error);
  PetscCall(
      mira_score_published(table, RUN_EACH, 0, key_of(p, STREAM_CALIBRATION, experiment, OF_REFERENCES), &published));
  /* Of one truth, with m and the reference's place uniform: the mean of the square of (doc/calibration.md, section 3)
   * is (S+1)/(2S). */
  const double variance = (draws + 1) / (2 * draws) - score.expected * score.expected;
  outcome->published = in_errors(published - score.expected, sqrt(variance / truths));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode judge(Power *p, int64_t experiment, PetscInt cell, Outcome *outcome)
{
  const MeasureConfig *c = p->config;
  const int64_t q = c->dimension;
  const CountTable table = {c->truths, c->draws, c->centres, p->m + (int64_t)cell * c->truths * c->centres};

  PetscFunctionBeginUser;
  PetscCall(judge_mira(p, &table, experiment, outcome));
  PetscCall(tarp_coverage(&table, c->levels, p->alpha, (RandomKey){0}, 0, p->ecp, NULL));
  outcome->tarp = tarp_deviation(c->levels, p->alpha, p->ecp);
  for (int64_t d = 0; d < q; d++) {
    RankTest test;

    PetscCall(sbc_test(c->truths, c->draws, p->position + (cell * q + d) * c->truths, c->bins, NULL, NULL, &test));
    p->p_value[d] = test.p_value;
  }
  outcome->sbc = sbc_least_p_value((PetscInt)q, p->p_value);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Distortions are judged by one rank each: the others' outcomes stay 0 until they are summed. */
static PetscErrorCode judge_cells(Power *p, int64_t experiment, PetscInt cells, Outcome *outcome)
{
  PetscFunctionBeginUser;
  for (PetscInt cell = 0; cell < cells; cell++)
    if ((experiment + cell) % p->size == p->rank) PetscCall(judge(p, experiment, cell, &outcome[cell]));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param cells  the first so many distortions  \param[out] outcome [cells] */
static PetscErrorCode run_experiment(Power *p, int64_t experiment, PetscInt cells, Outcome *outcome)
{
  const MeasureConfig *c = p->config;
  const int64_t histories = (int64_t)cells * c->truths;

  PetscFunctionBeginUser;
  PetscErrorCode error = compare_truths(p, experiment, cells);
  PetscCall(metric_destroy(&p->metric));
  PetscCall(group_agree(p->comm, error));
  PetscCall(sum_over_ranks(p->comm, histories * c->centres, p->m));
  PetscCall(sum_over_ranks(p->comm, histories * c->dimension, p->position));
  PetscCall(group_agree(p->comm, judge_cells(p, experiment, cells, outcome)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode run_experiments(Power *p)
{
  const MeasureConfig *c = p->config;
  Progress *progress = NULL;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(progress_create(p->comm, "power", "experiments", c->experiments + c->nulls, 0, &progress));
  for (PetscInt e = 0; e < c->experiments + c->nulls && !error; e++) {
    const PetscBool distorted = e < c->experiments ? PETSC_TRUE : PETSC_FALSE;
    PetscBool stop;

    error = run_experiment(p, e, distorted ? p->cells : 1,
                           distorted ? p->outcome + (size_t)e * (size_t)p->cells : p->null + e - c->experiments);
    if (!error) error = progress_update(progress, e + 1, NULL);
    if (!error) error = interrupt_agreed(p->comm, &stop);
    if (!error && stop) {
      error_set_message("asked to stop: nothing is kept of the experiments so far");
      error = (PetscErrorCode)NEPHRITE_ERR_INTERRUPTED;
    }
  }
  PetscCall(progress_destroy(&progress));
  PetscFunctionReturn(error);
}

/* ---- the table ---- */

enum { MIRA, PUBLISHED, TARP, SBC, TESTS };

/* From when on each test rejects. */
typedef struct {
  double errors, deviation, p_value;
} Threshold;

static int compare_falling(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;

  return x < y ? 1 : x > y ? -1 : 0;
}

/* One more undistorted experiment is above the k-th largest of N with a chance of k/(N+1). */
static PetscErrorCode find_threshold(const Power *p, Threshold *threshold)
{
  const double significance = p->config->significance;
  const PetscInt nulls = p->config->nulls, k = (PetscInt)floor(significance * (nulls + 1) * (1 + 1e-12));
  double *deviation = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1((size_t)nulls, &deviation));
  for (PetscInt i = 0; i < nulls; i++) deviation[i] = p->null[i].tarp;
  qsort(deviation, (size_t)nulls, sizeof *deviation, compare_falling);
  *threshold = (Threshold){gsl_cdf_ugaussian_Qinv(significance / 2), deviation[k - 1], significance};
  PetscCall(PetscFree(deviation));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Shares of outcomes \p stride apart that each test rejects, and their mean score.  \param[out] share [TESTS + 1] */
static void shares_of(PetscInt count, const Outcome *outcome, PetscInt stride, const Threshold *threshold,
                      double *share)
{
  for (int i = 0; i <= TESTS; i++) share[i] = 0;
  for (PetscInt e = 0; e < count; e++) {
    const Outcome *o = &outcome[(size_t)e * (size_t)stride];

    share[MIRA] += fabs(o->mira) > threshold->errors;
    share[PUBLISHED] += fabs(o->published) > threshold->errors;
    share[TARP] += o->tarp > threshold->deviation;
    share[SBC] += o->sbc < threshold->p_value;
    share[TESTS] += o->score;
  }
  for (int i = 0; i <= TESTS; i++) share[i] /= count;
}

static void print_shares(const char *kind, const char *extent, double size, const double *share)
{
  printf("%-10s %-4s %8.6g %8.3f %10.3f %8.3f %8.3f %12.6f\n", kind, extent, size, share[MIRA], share[PUBLISHED],
         share[TARP], share[SBC], share[TESTS]);
}

static PetscErrorCode print_table(const Power *p)
{
  static const char *const metrics[] = {"raw", "minmax", "standardised"};
  const MeasureConfig *c = p->config;
  const double draws = (double)c->draws;
  double share[TESTS + 1];
  Threshold threshold = {0};

  PetscFunctionBeginUser;
  PetscCall(find_threshold(p, &threshold));
  printf("\n%d truths x %d draws in %d dimensions, %s metric, %d centres, noise %.6g, seed %" PRId64 "\n",
         (int)c->truths, (int)c->draws, (int)c->dimension, metrics[c->metric], (int)c->centres, c->noise, c->seed);
  printf("share of %d experiments that each test rejects at %.6g; score %.6f is expected\n", (int)c->experiments,
         c->significance, (2 * draws + 1) / (3 * draws));
  printf("%-10s %-4s %8s %8s %10s %8s %8s %12s\n", "distortion", "in", "size", "mira", "published", "tarp", "sbc",
         "score");
  for (PetscInt i = 0; i < p->cells; i++) {
    const Distortion *cell = &p->cell[i];

    shares_of(c->experiments, p->outcome + i, p->cells, &threshold, share);
    print_shares(cell->kind, i == 0 ? "-" : cell->dimensions == 1 ? "one" : "all", cell->size, share);
  }
  shares_of(c->nulls, p->null, 1, &threshold, share);
  print_shares("nulls", "-", 0, share);
  printf("nulls: %d undistorted experiments besides; TARP rejects deviations above %.6f, as so few of them have\n",
         (int)c->nulls, threshold.deviation);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- all of it ---- */

static PetscErrorCode power_create(MPI_Comm comm, const MeasureConfig *c, Power *p)
{
  const size_t truths = (size_t)c->truths, draws = (size_t)c->draws, q = (size_t)c->dimension;
  const size_t centres = (size_t)c->centres, levels = (size_t)c->levels;

  PetscFunctionBeginUser;
  *p = (Power){.config = c, .comm = comm};
  PetscCheck(c->significance * (c->nulls + 1) * (1 + 1e-12) >= 1, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "nulls is %d; a significance of %.6g needs at least %d", (int)c->nulls, c->significance,
             (int)ceil(1 / c->significance - 1e-6) - 1);
  PetscCheck(c->bins <= c->draws + 1, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "bins is %d; %d draws have no more than %d ranks", (int)c->bins, (int)c->draws, (int)c->draws + 1);
  PetscCallMPI(MPI_Comm_rank(comm, &p->rank));
  PetscCallMPI(MPI_Comm_size(comm, &p->size));
  PetscCall(create_cells(p));
  const size_t cells = (size_t)p->cells;
  PetscCall(PetscMalloc4(truths * q, &p->truth, truths * q, &p->mean, draws * q, &p->normal, draws * q, &p->draw));
  PetscCall(
      PetscMalloc5(draws * centres, &p->excess, draws, &p->column, levels, &p->alpha, levels, &p->ecp, q, &p->p_value));
  PetscCall(PetscMalloc2(cells * truths * centres, &p->m, cells * truths * q, &p->position));
  PetscCall(PetscCalloc2((size_t)c->experiments * cells, &p->outcome, (size_t)c->nulls, &p->null));
  for (PetscInt l = 0; l < c->levels; l++) p->alpha[l] = (double)l / (c->levels - 1);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode power_clear(Power *p)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(p->cell));
  PetscCall(PetscFree4(p->truth, p->mean, p->normal, p->draw));
  PetscCall(PetscFree5(p->excess, p->column, p->alpha, p->ecp, p->p_value));
  PetscCall(PetscFree2(p->m, p->position));
  PetscCall(PetscFree2(p->outcome, p->null));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode sum_outcomes(MPI_Comm comm, int64_t count, Outcome *outcome)
{
  PetscFunctionBeginUser;
  for (int64_t i = 0; i < count; i++)
    PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, outcome + i, OUTCOME_NUMBERS, MPI_DOUBLE, MPI_SUM, comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode measure_power(MPI_Comm comm, const MeasureConfig *config)
{
  Power power = {0};

  PetscFunctionBeginUser;
  PetscErrorCode error = group_agree(comm, power_create(comm, config, &power));
  if (!error) error = run_experiments(&power);
  if (!error) error = sum_outcomes(comm, (int64_t)config->experiments * power.cells, power.outcome);
  if (!error) error = sum_outcomes(comm, config->nulls, power.null);
  if (!error && power.rank == 0) error = print_table(&power);
  PetscCall(power_clear(&power));
  PetscFunctionReturn(error);
}
