/** \file check_network_train.c  Three optimiser steps against a reference file (doc/network.md, sections 8 and 9).
 *
 * Adam's first steps divide by |g|, so an element with a tiny gradient moves by the sign of rounding: weights are held
 * to |ours - file| / (sum of the learning rates), at worst and for 99.9% of all elements.  \ingroup programs */
#include "check_network.h"
#include "nephrite/training.h"

#include <math.h>
#include <stdlib.h>

/** The optimiser at work and the data of all steps. */
typedef struct {
  int64_t steps;
  size_t batch;
  Scalar *x, *theta, *observation, *t, *noise_x, *noise_theta; /* [steps][batch]… */
  Scalar *z, *z_theta, *x_hat, *theta_hat, *x_bar, *theta_bar; /* [batch]… */
  double *learning_rate;
  Scalar *loss, *norm; /* [steps] ours */
  Optimizer *optimizer;
} Train;

static PetscErrorCode read_train(NetworkCheck *check, Train *train)
{
  hsize_t shape[PRODUCT_MAX_RANK];
  int rank;

  PetscFunctionBeginUser;
  PetscCall(product_shape(check->file, "train/batches/t", &rank, shape));
  PetscCheck(rank == 2 && shape[1] <= check->batch, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "dataset train/batches/t must have two axes, the second no longer than inputs/t, %zu", check->batch);
  train->steps = (int64_t)shape[0];
  train->batch = shape[1];
  const size_t steps = shape[0], maps = train->batch * check->pixels, thetas = train->batch * check->parameters;
  const size_t observed = maps / (size_t)check->shape.bins * (size_t)check->shape.observation_channels;
  const struct {
    const char *name;
    Scalar **values;
    size_t count;
  } table[] = {
      {"train/batches/x", &train->x, steps * maps},
      {"train/batches/theta", &train->theta, steps * thetas},
      {"train/batches/observation", &train->observation, steps * observed},
      {"train/batches/t", &train->t, steps * train->batch},
      {"train/batches/eps_x", &train->noise_x, steps * maps},
      {"train/batches/eps_theta", &train->noise_theta, steps * thetas},
      {NULL, &train->z, maps},
      {NULL, &train->z_theta, thetas},
      {NULL, &train->x_hat, maps},
      {NULL, &train->theta_hat, thetas},
      {NULL, &train->x_bar, maps},
      {NULL, &train->theta_bar, thetas},
      {NULL, &train->loss, steps},
      {NULL, &train->norm, steps},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    if (table[i].name)
      PetscCall(check_network_read(check, table[i].name, table[i].count, table[i].values));
    else
      PetscCall(check_network_buffer(check, table[i].count * sizeof(Scalar), table[i].values));
  }
  PetscCall(check_network_read_double(check, "train/learning_rate", steps, &train->learning_rate));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode create_optimizer(NetworkCheck *check, Train *train)
{
  OptimizerConfig config;
  const struct {
    const char *name;
    double *value;
  } table[] = {
      {"beta1", &config.beta1},     {"beta2", &config.beta2},
      {"epsilon", &config.epsilon}, {"weight_decay", &config.weight_decay},
      {"clip_norm", &config.clip},  {"ema_decay", &config.ema_decay},
  };

  PetscFunctionBeginUser;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    PetscCall(product_read_attribute_real(check->file, "train", table[i].name, 1, table[i].value));
  PetscCall(optimizer_create(&config, network_parameter_count(check->network), network_weights(check->network),
                             &train->optimizer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode one_step(NetworkCheck *check, Train *train, size_t step)
{
  const size_t B = train->batch, maps = B * check->pixels, thetas = B * check->parameters;
  const size_t observed = maps / (size_t)check->shape.bins * (size_t)check->shape.observation_channels;
  const Scalar *x = train->x + step * maps, *theta = train->theta + step * thetas, *t = train->t + step * B;
  Loss loss;
  double norm;

  PetscFunctionBeginUser;
  for (size_t b = 0; b < B; b++) {
    const size_t map = b * check->pixels, parameter = b * check->parameters;

    objective_mix(check->pixels, t[b], x + map, train->noise_x + step * maps + map, train->z + map);
    objective_mix(check->parameters, t[b], theta + parameter, train->noise_theta + step * thetas + parameter,
                  train->z_theta + parameter);
  }
  const NetworkInput input = {.batch = (PetscInt)B,
                              .z = train->z,
                              .z_theta = train->z_theta,
                              .observation = train->observation + step * observed,
                              .t = t};
  const ObjectiveBatch batch = {(PetscInt)B, (PetscInt)B, x, theta, t, NULL, train->x_hat, train->theta_hat};
  PetscCall(network_forward(check->network, &input, train->x_hat, train->theta_hat));
  PetscCall(objective_loss(&check->shape, (ObjectiveWeights){1, 1}, &batch, &loss, train->x_bar, train->theta_bar));
  PetscCall(network_zero_gradient(check->network));
  PetscCall(network_backward(check->network, train->x_bar, train->theta_bar, NULL, NULL, NULL));
  PetscCall(optimizer_step(train->optimizer, (int64_t)step + 1, train->learning_rate[step],
                           network_weights(check->network), network_gradient(check->network), &norm));
  train->loss[step] = (Scalar)(loss.total / (double)B);
  train->norm[step] = (Scalar)norm;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int ascending(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;

  return (x > y) - (x < y);
}

/* error [count] = |ours - file| of all tensors of a group */
static PetscErrorCode element_errors(NetworkCheck *check, const char *group, const Scalar *ours, double *error,
                                     CheckWorst *worst)
{
  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < network_tensor_count(check->network); i++) {
    const NetworkTensor *tensor = network_tensor(check->network, i);
    double *theirs = error + tensor->offset;
    char name[160];

    snprintf(name, sizeof name, "%s/%s", group, tensor->name);
    PetscCall(check_network_read_into(check, name, tensor->size, theirs));
    for (size_t j = 0; j < tensor->size; j++) {
      const double difference = fabs((double)ours[tensor->offset + j] - theirs[j]);

      theirs[j] = isnan(difference) ? INFINITY : difference;
      check_worst(worst, theirs[j], "%s, number %zu", name, j);
    }
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode compare_weights(NetworkCheck *check, const Train *train, const char *group, const Scalar *ours)
{
  const size_t count = network_parameter_count(check->network);
  double *error, sum = 0;
  CheckWorst worst = {0};
  char line[64];

  PetscFunctionBeginUser;
  for (int64_t step = 0; step < train->steps; step++) sum += train->learning_rate[step];
  PetscCall(check_network_buffer(check, count * sizeof *error, &error));
  PetscCall(element_errors(check, group, ours, error, &worst));
  PetscCall(check_report_add(check->report, group, worst.error / sum, worst.where, check_network_tolerance(2e-3),
                             CHECK_DECIDES));
  qsort(error, count, sizeof *error, ascending);
  snprintf(line, sizeof line, "%s, 99.9%%", group);
  PetscCall(check_report_add(check->report, line, error[(size_t)(0.999 * (double)(count - 1))] / sum, "",
                             check_network_tolerance(1e-4), CHECK_DECIDES));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode run(NetworkCheck *check, Train *train)
{
  PetscFunctionBeginUser;
  PetscCall(read_train(check, train));
  PetscCall(check_network_weights(check, "weights"));
  PetscCall(create_optimizer(check, train));
  for (int64_t step = 0; step < train->steps; step++) PetscCall(one_step(check, train, (size_t)step));
  PetscCall(check_network_report(check, "train/loss", (size_t)train->steps, train->loss, 1e-6));
  PetscCall(check_network_report(check, "train/gradient_norm", (size_t)train->steps, train->norm, 2e-5));
  PetscCall(compare_weights(check, train, "train/weights", network_weights(check->network)));
  PetscCall(compare_weights(check, train, "train/ema", optimizer_ema(train->optimizer)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_network_train(NetworkCheck *check)
{
  Train train = {0};

  PetscFunctionBeginUser;
  const PetscErrorCode error = run(check, &train);
  PetscCall(optimizer_destroy(&train.optimizer));
  PetscFunctionReturn(error);
}
