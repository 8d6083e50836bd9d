/** \file nuts_adapt.c  Step size and mass matrix learnt in the warm-up.  \ingroup inference
 *
 * As in Stan (Carpenter et al. 2017; its reference manual, "HMC algorithm parameters"): the step size by dual
 * averaging, the mass matrix in windows that double, between a beginning and an end in which only the step size is
 * learnt.
 */
#include "inference/nuts.h"

#include <math.h>

/* ------------------------------------------------------------------ step size */

/* Hoffman & Gelman 2014, section 3.2.1 */
#define SHRINKAGE 0.05 /* gamma */
#define DELAY 10 /* t_0 */
#define FORGETTING 0.75 /* kappa */

void dual_averaging_begin(double *scalar)
{
  scalar[NUTS_DUAL_CENTRE] = log(10 * scalar[NUTS_STEP_SIZE]);
  scalar[NUTS_DUAL_COUNT] = scalar[NUTS_DUAL_ERROR] = scalar[NUTS_DUAL_LOG_STEP] = 0;
}

void dual_averaging_learn(double *scalar, double target, double acceptance)
{
  const double count = ++scalar[NUTS_DUAL_COUNT], share = 1 / (count + DELAY), weight = pow(count, -FORGETTING);

  scalar[NUTS_DUAL_ERROR] += share * (target - acceptance - scalar[NUTS_DUAL_ERROR]);
  const double log_step = scalar[NUTS_DUAL_CENTRE] - scalar[NUTS_DUAL_ERROR] * sqrt(count) / SHRINKAGE;
  scalar[NUTS_DUAL_LOG_STEP] += weight * (log_step - scalar[NUTS_DUAL_LOG_STEP]);
  scalar[NUTS_STEP_SIZE] = exp(log_step);
}

void dual_averaging_end(double *scalar)
{
  if (scalar[NUTS_DUAL_COUNT] > 0) scalar[NUTS_STEP_SIZE] = exp(scalar[NUTS_DUAL_LOG_STEP]);
}

/* ------------------------------------------------------------------ mass matrix */

/* The iterations of a warm-up: before the first window, in it, and after the last. */
typedef struct {
  PetscInt before, first, after;
} Schedule;

static Schedule schedule_of(PetscInt warmup)
{
  enum { BEFORE = 75, FIRST = 25, AFTER = 50, LEAST = 20 };

  if (warmup < LEAST) return (Schedule){warmup, 0, 0}; /* too short to learn a mass matrix */
  if (warmup >= BEFORE + FIRST + AFTER) return (Schedule){BEFORE, FIRST, AFTER};
  const PetscInt before = (PetscInt)(0.15 * (double)warmup), after = (PetscInt)(0.1 * (double)warmup);
  return (Schedule){before, warmup - before - after, after};
}

PetscInt windows_end(PetscInt warmup)
{
  return warmup - schedule_of(warmup).after;
}

static void clear_moments(const NutsConfig *config, NutsState *state)
{
  state->scalar[NUTS_WINDOW_COUNT] = 0;
  for (PetscInt i = 0; i < config->dimension; i++) state->mean[i] = state->square[i] = 0;
  for (PetscInt i = 0; i < config->dense * config->dense; i++) state->product[i] = 0;
}

void windows_begin(NutsState *state, PetscInt warmup)
{
  const Schedule schedule = schedule_of(warmup);

  state->scalar[NUTS_WINDOW_SIZE] = (double)schedule.first;
  state->scalar[NUTS_WINDOW_END] = (double)(schedule.before + schedule.first - 1);
}

/* Welford 1962 */
static void add_position(const NutsConfig *config, NutsState *state)
{
  const double count = ++state->scalar[NUTS_WINDOW_COUNT];
  const PetscInt dense = config->dense;

  for (PetscInt i = 0; i < dense; i++)
    for (PetscInt j = 0; j < dense; j++)
      state->product[i * dense + j] +=
          (state->q[i] - state->mean[i]) * (state->q[j] - state->mean[j]) * (count - 1) / count;
  for (PetscInt i = 0; i < config->dimension; i++) {
    const double deviation = state->q[i] - state->mean[i];

    state->mean[i] += deviation / count;
    state->square[i] += deviation * (state->q[i] - state->mean[i]);
  }
}

/* Covariances, shrunk towards a small unit matrix while draws are few, as Stan does. */
static void take_covariance(const NutsConfig *config, NutsState *state)
{
  const double count = state->scalar[NUTS_WINDOW_COUNT], weight = count / (count + 5) / (count - 1);
  const double floor = 1e-3 * 5 / (count + 5);
  const PetscInt dense = config->dense;

  if (count < 2) return;
  for (PetscInt i = 0; i < config->dimension; i++) state->variance[i] = weight * state->square[i] + floor;
  for (PetscInt i = 0; i < dense; i++)
    for (PetscInt j = 0; j < dense; j++)
      state->covariance[i * dense + j] = weight * state->product[i * dense + j] + (i == j ? floor : 0);
}

/* Each window is twice as long as the one before; the last takes what is left, if less than another would need. */
static void open_window(NutsState *state, PetscInt warmup, PetscInt iteration)
{
  const PetscInt last = warmup - schedule_of(warmup).after - 1;

  if (iteration == last) {
    state->scalar[NUTS_WINDOW_END] = -1; /* none */
    return;
  }
  const PetscInt size = 2 * (PetscInt)state->scalar[NUTS_WINDOW_SIZE], end = iteration + size;
  state->scalar[NUTS_WINDOW_SIZE] = (double)size;
  state->scalar[NUTS_WINDOW_END] = (double)(end + 2 * size > last ? last : end);
}

void windows_learn(const NutsConfig *config, NutsState *state, PetscInt iteration, PetscBool *closed)
{
  const Schedule schedule = schedule_of(config->warmup);

  *closed = PETSC_FALSE;
  if (iteration < schedule.before || iteration >= config->warmup - schedule.after) return;
  add_position(config, state);
  if ((double)iteration != state->scalar[NUTS_WINDOW_END]) return;
  take_covariance(config, state);
  clear_moments(config, state);
  open_window(state, config->warmup, iteration);
  *closed = PETSC_TRUE;
}
