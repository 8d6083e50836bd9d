/** \file optimizer.c  AdamW, gradient clipping and the exponential average, in one pass over memory.  \ingroup training
 */
#include "nephrite/training.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { PIECES = 256 }; /* of the parameters, for the threads */

/* For PETSc's log: 20 of update(), a square root among them, and 2 of the norm. */
#define FLOPS_PER_WEIGHT 22.

struct Optimizer {
  OptimizerConfig config;
  size_t count;
  size_t frozen_from, frozen_to; /* [from, to) is left alone; empty if equal */
  Scalar *m, *v, *ema; /* [count] each */
};

PetscErrorCode optimizer_create(const OptimizerConfig *config, size_t count, const Scalar *weights,
                                Optimizer **optimizer)
{
  Optimizer *o = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&o));
  *optimizer = o;
  o->config = *config;
  o->count = count;
  PetscCall(PetscCalloc1(count, &o->m));
  PetscCall(PetscCalloc1(count, &o->v));
  PetscCall(PetscMalloc1(count, &o->ema));
  memcpy(o->ema, weights, count * sizeof *weights);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode optimizer_freeze(Optimizer *optimizer, size_t offset, size_t count)
{
  PetscFunctionBeginUser;
  PetscCheck(offset <= optimizer->count && count <= optimizer->count - offset, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "weights %zu to %zu are to be frozen, of %zu", offset, offset + count, optimizer->count);
  optimizer->frozen_from = offset;
  optimizer->frozen_to = offset + count;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Eight chains of additions hide the latency of one. */
static double sum_of_squares(size_t count, const Scalar *restrict g)
{
  double chain[8] = {0}, sum = 0;
  size_t i = 0;

  for (; i + 8 <= count; i += 8)
    for (size_t c = 0; c < 8; c++) chain[c] += (double)g[i + c] * (double)g[i + c];
  for (; i < count; i++) sum += (double)g[i] * (double)g[i];
  for (size_t c = 0; c < 8; c++) sum += chain[c];
  return sum;
}

size_t norm_piece_begin(size_t total, int piece)
{
  return total / NORM_PIECES * (size_t)piece + total % NORM_PIECES * (size_t)piece / NORM_PIECES;
}

/* Of own parameters [begin, end), without those that are frozen. */
static double piece_squares(const Optimizer *o, const Scalar *gradient, size_t begin, size_t end)
{
  const size_t before = end < o->frozen_from ? end : o->frozen_from;
  const size_t after = begin > o->frozen_to ? begin : o->frozen_to;
  double sum = 0;

  if (begin < before) sum += sum_of_squares(before - begin, gradient + begin);
  if (after < end) sum += sum_of_squares(end - after, gradient + after);
  return sum;
}

void optimizer_squares(const Optimizer *optimizer, size_t first, size_t total, const Scalar *gradient,
                       double squares[NORM_PIECES])
{
#pragma omp parallel for schedule(static)
  for (int piece = 0; piece < NORM_PIECES; piece++) {
    const size_t begin = norm_piece_begin(total, piece), end = norm_piece_begin(total, piece + 1);
    const PetscBool own = begin >= first && end <= first + optimizer->count ? PETSC_TRUE : PETSC_FALSE;

    squares[piece] = own ? piece_squares(optimizer, gradient, begin - first, end - first) : 0;
  }
}

double optimizer_norm(const double squares[NORM_PIECES])
{
  double sum = 0;

  for (int piece = 0; piece < NORM_PIECES; piece++) sum += squares[piece];
  return sqrt(sum);
}

/* What is the same for every element of a step. */
typedef struct {
  Scalar clip, beta1, beta2, correct1, correct2, epsilon, learning_rate, decay, follow;
} StepFactors;

static StepFactors step_factors(const OptimizerConfig *config, int64_t step, double learning_rate, double norm)
{
  return (StepFactors){
      .clip = (Scalar)(norm > config->clip ? config->clip / norm : 1),
      .beta1 = (Scalar)config->beta1,
      .beta2 = (Scalar)config->beta2,
      .correct1 = (Scalar)(1 / (1 - pow(config->beta1, (double)step))),
      .correct2 = (Scalar)(1 / (1 - pow(config->beta2, (double)step))),
      .epsilon = (Scalar)config->epsilon,
      .learning_rate = (Scalar)learning_rate,
      .decay = (Scalar)(learning_rate * config->weight_decay),
      .follow = (Scalar)(1 - config->ema_decay),
  };
}

static Scalar root(Scalar value)
{
#ifdef NEPHRITE_FLOAT64
  return sqrt(value);
#else
  return sqrtf(value);
#endif
}

/* Loshchilov & Hutter 2019, algorithm 2, with the average of the new weights. */
static void update(const StepFactors *f, size_t count, const Scalar *restrict gradient, Scalar *restrict weights,
                   Scalar *restrict m, Scalar *restrict v, Scalar *restrict ema)
{
  for (size_t i = 0; i < count; i++) {
    const Scalar g = f->clip * gradient[i];

    m[i] = f->beta1 * m[i] + (1 - f->beta1) * g;
    v[i] = f->beta2 * v[i] + (1 - f->beta2) * g * g;
    const Scalar direction = f->correct1 * m[i] / (root(f->correct2 * v[i]) + f->epsilon);
    weights[i] -= f->learning_rate * direction + f->decay * weights[i];
    ema[i] += f->follow * (weights[i] - ema[i]); /* loses less to rounding than the sum of two products */
  }
}

static void update_range(Optimizer *o, const StepFactors *factors, size_t from, size_t to, Scalar *weights,
                         const Scalar *gradient)
{
  const StepFactors f = *factors;

#pragma omp parallel for schedule(static)
  for (int piece = 0; piece < PIECES; piece++) {
    const size_t first = from + (to - from) * (size_t)piece / PIECES;
    const size_t end = from + (to - from) * (size_t)(piece + 1) / PIECES;

    update(&f, end - first, gradient + first, weights + first, o->m + first, o->v + first, o->ema + first);
  }
}

PetscErrorCode optimizer_apply(Optimizer *optimizer, int64_t step, double learning_rate, double norm, Scalar *weights,
                               const Scalar *gradient)
{
  PetscFunctionBeginUser;
  PetscAssert(step >= 1, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "optimiser step %" PRId64 " before the first", step);
  PetscCheck(isfinite(norm), PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "the norm of the gradient is %.6g", norm);
  const StepFactors factors = step_factors(&optimizer->config, step, learning_rate, norm);
  update_range(optimizer, &factors, 0, optimizer->frozen_from, weights, gradient);
  update_range(optimizer, &factors, optimizer->frozen_to, optimizer->count, weights, gradient);
  PetscCall(
      PetscLogFlops(FLOPS_PER_WEIGHT * (double)(optimizer->count - (optimizer->frozen_to - optimizer->frozen_from))));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode optimizer_step(Optimizer *optimizer, int64_t step, double learning_rate, Scalar *weights,
                              const Scalar *gradient, double *norm)
{
  double squares[NORM_PIECES];

  PetscFunctionBeginUser;
  optimizer_squares(optimizer, 0, optimizer->count, gradient, squares);
  *norm = optimizer_norm(squares);
  PetscCall(optimizer_apply(optimizer, step, learning_rate, *norm, weights, gradient));
  PetscFunctionReturn(PETSC_SUCCESS);
}

Scalar *optimizer_ema(Optimizer *optimizer)
{
  return optimizer->ema;
}

Scalar *optimizer_m(Optimizer *optimizer)
{
  return optimizer->m;
}

Scalar *optimizer_v(Optimizer *optimizer)
{
  return optimizer->v;
}

PetscErrorCode optimizer_destroy(Optimizer **optimizer)
{
  PetscFunctionBeginUser;
  if (!*optimizer) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscFree((*optimizer)->m));
  PetscCall(PetscFree((*optimizer)->v));
  PetscCall(PetscFree((*optimizer)->ema));
  PetscCall(PetscFree(*optimizer));
  PetscFunctionReturn(PETSC_SUCCESS);
}
