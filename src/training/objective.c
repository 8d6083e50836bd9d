/** \file objective.c  The flow-matching loss: noisy data, its weight, where backward starts.  \ingroup training */
#include "nephrite/training.h"

#include <math.h>

/* Sums are taken over a fixed number of pieces, so that they do not depend on the number of threads. */
enum { PIECES = 32 };

void objective_mix(size_t count, Scalar t, const Scalar *restrict clean, const Scalar *restrict noise,
                   Scalar *restrict z)
{
  for (size_t i = 0; i < count; i++) z[i] = t * clean[i] + (1 - t) * noise[i];
}

double objective_time(double mean, double scale, double normal)
{
  return 1 / (1 + exp(-(normal + mean) * scale)); /* Esser et al. 2024: logit-normal */
}

void objective_times(NetworkFlow flow, uint64_t index, double time, Scalar *t, Scalar *t_theta)
{
  const PetscBool to_map = index % 2 ? PETSC_TRUE : PETSC_FALSE;

  *t = flow == FLOW_JOINT || to_map ? (Scalar)time : 0;
  *t_theta = flow == FLOW_JOINT || !to_map ? (Scalar)time : 1;
}

/* How much map and parameters of a sample count. */
typedef struct {
  double field, theta;
} Parts;

static Parts parts_of(const NetworkShape *shape, Scalar t_theta)
{
  if (shape->config.flow == FLOW_JOINT) return (Parts){1, 1};
  return t_theta < 1 ? (Parts){0, 2} : (Parts){2, 0};
}

/* sum of (prediction - clean)^2, and bar = factor (prediction - clean) where bar is wanted */
static double squared_error(size_t count, const Scalar *restrict clean, const Scalar *restrict prediction,
                            double factor, Scalar *restrict bar)
{
  double sum = 0;

  if (bar)
    for (size_t i = 0; i < count; i++) bar[i] = (Scalar)(factor * ((double)prediction[i] - (double)clean[i]));
  for (size_t i = 0; i < count; i++) {
    const double error = (double)prediction[i] - (double)clean[i];

    sum += error * error;
  }
  return sum;
}

static double squared_error_in_pieces(size_t count, const Scalar *clean, const Scalar *prediction, double factor,
                                      Scalar *bar)
{
  double partial[PIECES], sum = 0;

#pragma omp parallel for schedule(static)
  for (int piece = 0; piece < PIECES; piece++) {
    const size_t first = count * (size_t)piece / PIECES, end = count * (size_t)(piece + 1) / PIECES;

    partial[piece] = squared_error(end - first, clean + first, prediction + first, factor, bar ? bar + first : NULL);
  }
  for (int piece = 0; piece < PIECES; piece++) sum += partial[piece];
  return sum;
}

/* sum over bins of pixels (mean error)^2, which is the share of the means in squared_error(), and its slope added to
 * bar */
static double squared_error_of_means(const NetworkShape *shape, const Scalar *restrict clean,
                                     const Scalar *restrict prediction, double factor, Scalar *restrict bar)
{
  const size_t plane = (size_t)shape->ny * (size_t)shape->nx;
  double sum = 0;

  for (PetscInt bin = 0; bin < shape->bins; bin++) {
    const size_t first = (size_t)bin * plane;
    double error = 0;

    for (size_t i = first; i < first + plane; i++) error += (double)prediction[i] - (double)clean[i];
    sum += error * error / (double)plane;
    if (bar)
      for (size_t i = first; i < first + plane; i++) bar[i] += (Scalar)(factor * error / (double)plane);
  }
  return sum;
}

/* The velocity is (clean - z)/(1 - t); near t = 1 its error is held finite by the floor (Li & He 2025). */
static double velocity_weight(const NetworkShape *shape, Scalar t)
{
  return pow(fmax(1 - (double)t, shape->config.time_floor), -2);
}

PetscErrorCode objective_loss(const NetworkShape *shape, ObjectiveWeights weights, const ObjectiveBatch *batch,
                              Loss *loss, Scalar *x_bar, Scalar *theta_bar)
{
  const size_t pixels = (size_t)shape->bins * (size_t)shape->ny * (size_t)shape->nx;
  const size_t parameters = (size_t)shape->parameters;
  const double terms = (double)(pixels + parameters);

  PetscFunctionBeginUser;
  *loss = (Loss){0};
  for (size_t b = 0; b < (size_t)batch->batch; b++) {
    const Scalar t = batch->t[b], t_theta = batch->t_theta ? batch->t_theta[b] : t;
    const Parts parts = parts_of(shape, t_theta);
    const double of_field = parts.field * velocity_weight(shape, t);
    const double of_theta = parts.theta * velocity_weight(shape, t_theta);
    const double factor = 2 / (terms * batch->global_batch), mean_factor = of_field * (weights.mean - 1);
    const double field = of_field * squared_error_in_pieces(pixels, batch->x + b * pixels, batch->x_hat + b * pixels,
                                                            factor * of_field, x_bar ? x_bar + b * pixels : NULL);
    const double theta =
        of_theta * squared_error(parameters, batch->theta + b * parameters, batch->theta_hat + b * parameters,
                                 weights.theta * factor * of_theta, theta_bar ? theta_bar + b * parameters : NULL);
    double means = 0;

    if (weights.mean != 1 && of_field > 0)
      means = mean_factor * squared_error_of_means(shape, batch->x + b * pixels, batch->x_hat + b * pixels,
                                                   factor * mean_factor, x_bar ? x_bar + b * pixels : NULL);

    PetscCheck(
        isfinite(field) && isfinite(theta), PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
        "the loss of sample %zu of the batch is not finite: field part %.6g at time %.6g, parameter part %.6g at "
        "%.6g",
        b, field, (double)t, theta, (double)t_theta);
    loss->total += (field + means + weights.theta * theta) / terms;
    loss->field += field / (double)pixels;
    loss->theta += theta / (double)parameters;
  }
  PetscCall(PetscLogFlops((x_bar ? 5. : 3.) * terms * batch->batch)); /* difference, square and sum; gradient */
  PetscFunctionReturn(PETSC_SUCCESS);
}
