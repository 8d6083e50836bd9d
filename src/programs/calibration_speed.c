/** \file calibration_speed.c  How fast truths are compared with draws, beside reading as much memory.  \ingroup
 * programs
 *
 * The draws of one truth are made once and serve every truth, each with its own centres: what all draws would take is
 * never there at once, and making them is no part of the time of comparing them. */
#include "calibration_measures.h"

#include <sys/resource.h>
#include <time.h>

enum { TILE_BYTES = 1 << 18 }; /* within the cache of any core */

typedef struct {
  const MeasureConfig *config;
  MPI_Comm comm;
  PetscMPIInt rank, size;
  Metric *metric;
  float *truth; /* [dimension] */
  float *draw; /* [draws][dimension] */
  double *excess; /* [draws][centres] */
  int64_t *m; /* [truths][centres] */
  float *buffer; /* to be read */
  size_t buffer_bytes;
} Speed;

/* By the clock on the wall, and of the processor: on a machine with other work only the second is ours. */
typedef struct {
  double wall, processor; /* seconds */
} Duration;

/* Of the slowest rank, or of the one with most memory. */
typedef struct {
  Duration making; /* draws and truths */
  Duration learning; /* of the metric, which goes through all truths */
  Duration comparing;
  Duration memory_pass, cache_pass; /* reading all draws of its truths */
  double megabytes; /* before memory is read */
} Costs;
enum { COSTS = sizeof(Costs) / sizeof(double) };

static Duration now(void)
{
  struct timespec time = {0};

  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (Duration){MPI_Wtime(), (double)time.tv_sec + 1e-9 * (double)time.tv_nsec};
}

static void add_since(Duration start, Duration *sum)
{
  const Duration end = now();

  sum->wall += end.wall - start.wall;
  sum->processor += end.processor - start.processor;
}

/* ---- comparing ---- */

static void make_truth(Speed *s, int64_t t, Costs *costs)
{
  const Duration start = now();

  random_normal_float((RandomKey){(uint64_t)s->config->seed, STREAM_PARAMETERS, (uint64_t)t}, 0,
                      (size_t)s->config->dimension, s->truth);
  add_since(start, &costs->making);
}

static PetscErrorCode prepare(Speed *s, Costs *costs)
{
  const MeasureConfig *c = s->config;
  const Duration start = now();

  PetscFunctionBeginUser;
  random_normal_float((RandomKey){(uint64_t)c->seed, STREAM_POSTERIOR, 0}, 0, (size_t)c->draws * (size_t)c->dimension,
                      s->draw);
  add_since(start, &costs->making);
  PetscCall(metric_create((MetricKind)c->metric, c->dimension, (RandomKey){(uint64_t)c->seed, STREAM_CALIBRATION, 0},
                          &s->metric));
  for (int64_t t = 0; t < c->truths; t++) {
    make_truth(s, t, costs);
    const Duration learning = now();
    PetscCall(metric_learn(s->metric, s->truth));
    add_since(learning, &costs->learning);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The truths of this rank. */
static PetscErrorCode compare(Speed *s, Costs *costs)
{
  const MeasureConfig *c = s->config;
  int64_t ties = 0;

  PetscFunctionBeginUser;
  for (int64_t t = s->rank; t < c->truths; t += s->size) {
    const DrawBlock block = {t, s->truth, c->draws, s->draw};

    make_truth(s, t, costs);
    const Duration start = now();
    PetscCall(metric_excess(s->metric, &block, c->centres, s->excess));
    counts_add(c->draws, c->centres, s->excess, s->m + t * c->centres, &ties);
    add_since(start, &costs->comparing);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- reading ---- */

/* The sum over a buffer, in as many partial sums as keep a core's vector units busy.  \param count multiple of LANES */
enum { LANES = 64 };
static float sum_of(size_t count, const float *restrict value)
{
  float part[LANES] = {0}, sum = 0;

  for (size_t i = 0; i < count; i += LANES)
    for (size_t j = 0; j < LANES; j++) part[j] += value[i + j];
  for (size_t j = 0; j < LANES; j++) sum += part[j];
  return sum;
}

/* How long it takes to read \p bytes, if it goes on as with these.  \param[out] sum  has to be used */
static Duration reading(double bytes, size_t buffer_bytes, const float *buffer, size_t repeats, double *sum)
{
  const double share = bytes / ((double)repeats * (double)buffer_bytes);
  const Duration start = now();
  Duration passed = {0};

  for (size_t i = 0; i < repeats; i++) *sum += (double)sum_of(buffer_bytes / sizeof *buffer, buffer);
  add_since(start, &passed);
  return (Duration){share * passed.wall, share * passed.processor};
}

/* After all that is measured of memory. */
static PetscErrorCode buffer_create(Speed *s)
{
  PetscFunctionBeginUser;
  s->buffer_bytes = (size_t)s->config->buffer / TILE_BYTES * TILE_BYTES;
  const size_t values = s->buffer_bytes / sizeof *s->buffer;
  PetscCall(PetscMalloc1(values, &s->buffer));
  for (size_t i = 0; i < values; i++) s->buffer[i] = (float)(i % 2); /* what was never written to need not be there */
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* All ranks at once, as they compare at once. */
static PetscErrorCode read_memory(Speed *s, Costs *costs)
{
  enum { PASSES = 3 };
  const MeasureConfig *c = s->config;
  const double mine = (double)((c->truths - s->rank + s->size - 1) / s->size);
  const double bytes = sizeof *s->draw * mine * (double)c->draws * (double)c->dimension;
  double sum = 0;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Barrier(s->comm));
  costs->memory_pass = reading(bytes, s->buffer_bytes, s->buffer, PASSES, &sum);
  PetscCallMPI(MPI_Barrier(s->comm));
  costs->cache_pass = reading(bytes, TILE_BYTES, s->buffer, PASSES * s->buffer_bytes / TILE_BYTES, &sum);
  PetscCheck(sum > 0, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "%.6g is the sum of what was written as 0 and 1", sum);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- all of it ---- */

static PetscErrorCode speed_create(MPI_Comm comm, const MeasureConfig *c, Speed *s)
{
  const size_t draws = (size_t)c->draws, q = (size_t)c->dimension, centres = (size_t)c->centres;

  PetscFunctionBeginUser;
  *s = (Speed){.config = c, .comm = comm};
  PetscCallMPI(MPI_Comm_rank(comm, &s->rank));
  PetscCallMPI(MPI_Comm_size(comm, &s->size));
  PetscCall(PetscMalloc3(q, &s->truth, draws * q, &s->draw, draws * centres, &s->excess));
  PetscCall(PetscCalloc1((size_t)c->truths * centres, &s->m));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode speed_clear(Speed *s)
{
  PetscFunctionBeginUser;
  PetscCall(metric_destroy(&s->metric));
  PetscCall(PetscFree3(s->truth, s->draw, s->excess));
  PetscCall(PetscFree(s->m));
  PetscCall(PetscFree(s->buffer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param bytes  that a rank went through, by its processor's seconds; 0: nothing to say */
static void print_duration(const char *what, Duration duration, double bytes)
{
  printf("%-28s %12.4g %12.4g", what, duration.wall, duration.processor);
  if (bytes > 0) printf(" %12.4g", bytes / duration.processor / 1e9);
  printf("\n");
}

static PetscErrorCode print_costs(const Speed *s, const Costs *costs)
{
  const MeasureConfig *c = s->config;
  const CountTable table = {c->truths, c->draws, c->centres, s->m};
  const double bytes = 4. * c->truths * c->draws * (double)c->dimension;
  MiraScore score;

  PetscFunctionBeginUser;
  PetscCall(mira_score(&table, (RandomKey){(uint64_t)c->seed, STREAM_CALIBRATION, (uint64_t)1 << 32}, 0, &score));
  printf("%d truths x %d draws in %d dimensions, %d centres: %.4g GB of draws, on %d ranks\n", (int)c->truths,
         (int)c->draws, (int)c->dimension, (int)c->centres, bytes / 1e9, s->size);
  printf("%-28s %12s %12s %12s\n", "seconds of the slowest rank", "wall", "processor", "GB/s");
  print_duration("making draws and truths", costs->making, 0);
  print_duration("learning from truths", costs->learning, 0);
  print_duration("comparing", costs->comparing, bytes / s->size);
  print_duration("a pass from memory", costs->memory_pass, bytes / s->size);
  print_duration("a pass from cache", costs->cache_pass, bytes / s->size);
  const Duration passes = {costs->comparing.wall / costs->memory_pass.wall,
                           costs->comparing.processor / costs->memory_pass.processor};
  print_duration("comparing / pass", passes, 0);
  print_duration("comparing / pass / centres", (Duration){passes.wall / c->centres, passes.processor / c->centres}, 0);
  printf("%-28s %12.4g MiB per rank\n", "memory", costs->megabytes);
  printf("%-28s %12.6f\n", "MIRA score", score.score);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode run_alone(Speed *s, Costs *costs)
{
  struct rusage usage;

  PetscFunctionBeginUser;
  PetscCall(prepare(s, costs));
  PetscCall(compare(s, costs));
  getrusage(RUSAGE_SELF, &usage);
  costs->megabytes = (double)usage.ru_maxrss / 1024; /* in KiB on Linux */
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Counts of all truths on every rank, costs of the rank that had most of each. */
static PetscErrorCode gather(Speed *s, Costs *costs)
{
  PetscFunctionBeginUser;
  for (int64_t t = 0; t < s->config->truths; t++)
    PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, s->m + t * s->config->centres, (PetscMPIInt)s->config->centres,
                               MPI_INT64_T, MPI_SUM, s->comm));
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, costs, COSTS, MPI_DOUBLE, MPI_MAX, s->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode measure_speed(MPI_Comm comm, const MeasureConfig *config)
{
  Speed speed = {0};
  Costs costs = {0};

  PetscFunctionBeginUser;
  PetscErrorCode error = group_agree(comm, speed_create(comm, config, &speed));
  if (!error) error = group_agree(comm, run_alone(&speed, &costs));
  if (!error) error = group_agree(comm, buffer_create(&speed));
  if (!error) error = read_memory(&speed, &costs);
  if (!error) error = gather(&speed, &costs);
  if (!error && speed.rank == 0) error = print_costs(&speed, &costs);
  PetscCall(speed_clear(&speed));
  PetscFunctionReturn(error);
}
