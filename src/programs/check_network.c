/** \file check_network.c  The network against a reference file (doc/network.md, section 9).
 *
 * Errors are max |ours - file| / max |file| of a dataset.  \ingroup programs */
#include "check_network.h"
#include "nephrite/training.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ shared with check_network_train.c */

PetscErrorCode check_network_buffer(NetworkCheck *check, size_t bytes, void *buffer)
{
  void *memory = NULL;

  PetscFunctionBeginUser;
  PetscCheck(check->buffer_count < CHECK_NETWORK_BUFFERS, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "a network check wants more than %d buffers", CHECK_NETWORK_BUFFERS);
  PetscCall(PetscCalloc1(bytes, (char **)&memory));
  check->buffers[check->buffer_count++] = memory;
  *(void **)buffer = memory;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_numbers(NetworkCheck *check, const char *name, hid_t type, size_t count, void *values)
{
  hsize_t shape[PRODUCT_MAX_RANK];
  size_t found = 1;
  int rank;

  PetscFunctionBeginUser;
  PetscCall(product_shape(check->file, name, &rank, shape));
  for (int axis = 0; axis < rank; axis++) found *= shape[axis];
  PetscCheck(found == count, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "dataset %s has %zu numbers; the file's attributes ask for %zu", name, found, count);
  PetscCall(product_read(check->file, name, type, 0, rank ? shape[0] : 1, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_network_read(NetworkCheck *check, const char *name, size_t count, Scalar **values)
{
  PetscFunctionBeginUser;
  PetscCall(check_network_buffer(check, count * sizeof **values, values));
  PetscCall(read_numbers(check, name, NEPHRITE_H5_SCALAR, count, *values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_network_read_into(NetworkCheck *check, const char *name, size_t count, double *values)
{
  PetscFunctionBeginUser;
  PetscCall(read_numbers(check, name, H5T_NATIVE_DOUBLE, count, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_network_read_double(NetworkCheck *check, const char *name, size_t count, double **values)
{
  PetscFunctionBeginUser;
  PetscCall(check_network_buffer(check, count * sizeof **values, values));
  PetscCall(read_numbers(check, name, H5T_NATIVE_DOUBLE, count, *values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static double largest_error(size_t count, const double *theirs, const Scalar *ours, size_t *where)
{
  double error = 0, scale = 0;

  *where = 0;
  for (size_t i = 0; i < count; i++) {
    const double difference = fabs((double)ours[i] - theirs[i]);

    scale = fmax(scale, fabs(theirs[i]));
    if (difference <= error) continue; /* what is no number is larger than every number */
    error = isnan(difference) ? INFINITY : difference;
    *where = i;
  }
  return error > 0 ? error / scale : 0;
}

PetscErrorCode check_network_compare(NetworkCheck *check, const char *dataset, size_t count, const Scalar *ours,
                                     CheckWorst *worst)
{
  double *theirs = NULL;
  size_t where;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1(count, &theirs));
  const PetscErrorCode error = read_numbers(check, dataset, H5T_NATIVE_DOUBLE, count, theirs);
  if (!error) {
    const double largest = largest_error(count, theirs, ours, &where);

    check_worst(worst, largest, "%s, number %zu of %zu", dataset, where, count);
  }
  PetscCall(PetscFree(theirs));
  PetscFunctionReturn(error);
}

PetscErrorCode check_network_weights(NetworkCheck *check, const char *group)
{
  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < network_tensor_count(check->network); i++) {
    const NetworkTensor *tensor = network_tensor(check->network, i);
    char name[160];

    snprintf(name, sizeof name, "%s/%s", group, tensor->name);
    PetscCall(
        read_numbers(check, name, NEPHRITE_H5_SCALAR, tensor->size, network_weights(check->network) + tensor->offset));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

double check_network_tolerance(double of_float)
{
  return sizeof(Scalar) == sizeof(float) ? of_float : 1e-10;
}

/* ------------------------------------------------------------------ the network that the file describes */

static PetscErrorCode read_integers(NetworkCheck *check)
{
  NetworkShape *shape = &check->shape;
  NetworkConfig *config = &shape->config;
  const struct {
    const char *name;
    PetscInt *value;
  } table[] = {
      {"bins", &shape->bins},
      {"observation_channels", &shape->observation_channels},
      {"parameters", &shape->parameters},
      {"patch", &config->patch},
      {"observation_patch", &config->observation_patch},
      {"cosmology_tokens", &config->cosmology_tokens},
      {"observation_start", &config->observation_start},
      {"width", &config->width},
      {"heads", &config->heads},
      {"depth", &config->depth},
      {"bottleneck", &config->bottleneck},
      {"time_frequencies", &config->time_frequencies},
  };
  int64_t map_size[2], value;

  PetscFunctionBeginUser;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    PetscCall(product_read_attribute_int(check->file, NULL, table[i].name, 1, &value));
    PetscCall(PetscIntCast(value, table[i].value));
  }
  PetscCall(product_read_attribute_int(check->file, NULL, "map_size", 2, map_size));
  PetscCall(PetscIntCast(map_size[0], &shape->ny));
  PetscCall(PetscIntCast(map_size[1], &shape->nx));
  PetscCall(product_read_attribute_int(check->file, NULL, "mlp_hidden", 1, &value));
  PetscCheck(value == 4 * (int64_t)config->width * 2 / 3, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "attribute mlp_hidden is %d; a width of %d has %d here", (int)value, (int)config->width,
             4 * (int)config->width * 2 / 3);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_shape(NetworkCheck *check)
{
  NetworkConfig *config = &check->shape.config;
  const struct {
    const char *name;
    double *value;
  } table[] = {
      {"rms_epsilon", &config->rms_epsilon},
      {"time_floor", &config->time_floor},
      {"rope_base", &config->rope_base},
      {"time_max_period", &config->time_max_period},
  };

  PetscFunctionBeginUser;
  PetscCall(read_integers(check));
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    PetscCall(product_read_attribute_real(check->file, NULL, table[i].name, 1, table[i].value));
  config->conditioning = CONDITIONING_TOKENS;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode set_up(NetworkCheck *check)
{
  const NetworkShape *shape = &check->shape;
  hsize_t batch[PRODUCT_MAX_RANK];

  PetscFunctionBeginUser;
  PetscCall(read_shape(check));
  PetscCall(product_shape(check->file, "inputs/t", NULL, batch));
  check->batch = batch[0];
  check->pixels = (size_t)shape->bins * (size_t)shape->ny * (size_t)shape->nx;
  check->parameters = (size_t)shape->parameters;
  PetscCall(network_create(shape, (PetscInt)check->batch, NETWORK_TRAINING, &check->network));
  PetscCall(check_network_weights(check, "weights"));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ forward, loss, backward */

/** Inputs, outputs and their gradients; shapes as in network_forward(). */
typedef struct {
  Scalar *x, *theta, *observation, *t, *z, *z_theta; /* as in the file */
  Scalar *x_hat, *theta_hat, *x_bar, *theta_bar;
  NetworkInputGradient input_bar;
} Pass;

static PetscErrorCode read_pass(NetworkCheck *check, Pass *pass)
{
  const size_t maps = check->batch * check->pixels, thetas = check->batch * check->parameters;
  const size_t observed = maps / (size_t)check->shape.bins * (size_t)check->shape.observation_channels;
  const struct {
    const char *name; /* NULL: ours to compute */
    Scalar **values;
    size_t count;
  } table[] = {
      {"inputs/x", &pass->x, maps},
      {"inputs/theta", &pass->theta, thetas},
      {"inputs/observation", &pass->observation, observed},
      {"inputs/t", &pass->t, check->batch},
      {"inputs/z", &pass->z, maps},
      {"inputs/z_theta", &pass->z_theta, thetas},
      {NULL, &pass->x_hat, maps},
      {NULL, &pass->theta_hat, thetas},
      {NULL, &pass->x_bar, maps},
      {NULL, &pass->theta_bar, thetas},
      {NULL, &pass->input_bar.z, maps},
      {NULL, &pass->input_bar.z_theta, thetas},
      {NULL, &pass->input_bar.observation, observed},
      {NULL, &pass->input_bar.t, check->batch},
  };

  PetscFunctionBeginUser;
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    if (table[i].name)
      PetscCall(check_network_read(check, table[i].name, table[i].count, table[i].values));
    else
      PetscCall(check_network_buffer(check, table[i].count * sizeof(Scalar), table[i].values));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_network_report(NetworkCheck *check, const char *dataset, size_t count, const Scalar *ours,
                                    double tolerance)
{
  CheckWorst worst = {0};

  PetscFunctionBeginUser;
  PetscCall(check_network_compare(check, dataset, count, ours, &worst));
  PetscCall(check_report_add(check->report, dataset, worst.error, worst.where, check_network_tolerance(tolerance),
                             CHECK_DECIDES));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_activation(NetworkCheck *check, const char *name)
{
  char dataset[160];
  PetscBool has;
  size_t count;
  Scalar *values = NULL;

  PetscFunctionBeginUser;
  snprintf(dataset, sizeof dataset, "activations/%s", name);
  PetscCall(product_has(check->file, dataset, &has));
  if (!has) PetscFunctionReturn(PETSC_SUCCESS); /* some files hold only the first three blocks */
  PetscCall(network_activation(check->network, name, &count, NULL));
  PetscCall(PetscMalloc1(count, &values));
  PetscErrorCode error = network_activation(check->network, name, &count, values);
  if (!error) error = check_network_report(check, dataset, count, values, 1e-5);
  PetscCall(PetscFree(values));
  PetscFunctionReturn(error);
}

static PetscErrorCode check_forward(NetworkCheck *check, const Pass *pass)
{
  const char *const names[] = {"time", "tokens", "observation_tokens"};
  const NetworkInput input = {.batch = (PetscInt)check->batch,
                              .z = pass->z,
                              .z_theta = pass->z_theta,
                              .observation = pass->observation,
                              .t = pass->t};

  PetscFunctionBeginUser;
  PetscCall(network_forward(check->network, &input, pass->x_hat, pass->theta_hat));
  for (int i = 0; i < 3; i++) PetscCall(check_activation(check, names[i]));
  for (PetscInt block = 0; block < check->shape.config.depth; block++) {
    char name[32];

    snprintf(name, sizeof name, "block.%d", (int)block);
    PetscCall(check_activation(check, name));
  }
  PetscCall(check_network_report(check, "forward/x", check->batch * check->pixels, pass->x_hat, 1e-5));
  PetscCall(check_network_report(check, "forward/theta", check->batch * check->parameters, pass->theta_hat, 1e-5));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_loss(NetworkCheck *check, const Pass *pass)
{
  const size_t B = check->batch;
  Scalar *field, *theta, total;
  Loss loss;

  PetscFunctionBeginUser;
  PetscCall(check_network_buffer(check, B * sizeof *field, &field));
  PetscCall(check_network_buffer(check, B * sizeof *theta, &theta));
  for (size_t b = 0; b < B; b++) {
    const ObjectiveBatch sample = {.batch = 1,
                                   .global_batch = (PetscInt)B,
                                   .x = pass->x + b * check->pixels,
                                   .theta = pass->theta + b * check->parameters,
                                   .t = pass->t + b,
                                   .x_hat = pass->x_hat + b * check->pixels,
                                   .theta_hat = pass->theta_hat + b * check->parameters};

    PetscCall(objective_loss(&check->shape, (ObjectiveWeights){1, 1}, &sample, &loss, NULL, NULL));
    field[b] = (Scalar)loss.field;
    theta[b] = (Scalar)loss.theta;
  }
  const ObjectiveBatch all = {(PetscInt)B, (PetscInt)B, pass->x,     pass->theta,
                              pass->t,     NULL,        pass->x_hat, pass->theta_hat};
  PetscCall(objective_loss(&check->shape, (ObjectiveWeights){1, 1}, &all, &loss, pass->x_bar, pass->theta_bar));
  total = (Scalar)(loss.total / (double)B);
  PetscCall(check_network_report(check, "loss/total", 1, &total, 1e-6));
  PetscCall(check_network_report(check, "loss/field", B, field, 1e-6));
  PetscCall(check_network_report(check, "loss/theta", B, theta, 1e-6));
  PetscCall(check_network_report(check, "output_gradient/x", B * check->pixels, pass->x_bar, 2e-5));
  PetscCall(check_network_report(check, "output_gradient/theta", B * check->parameters, pass->theta_bar, 2e-5));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_gradient(NetworkCheck *check, const Pass *pass)
{
  const size_t B = check->batch, maps = B * check->pixels;
  const size_t observed = maps / (size_t)check->shape.bins * (size_t)check->shape.observation_channels;
  CheckWorst worst = {0};

  PetscFunctionBeginUser;
  PetscCall(network_zero_gradient(check->network));
  PetscCall(network_backward(check->network, pass->x_bar, pass->theta_bar, NULL, NULL, &pass->input_bar));
  for (PetscInt i = 0; i < network_tensor_count(check->network); i++) {
    const NetworkTensor *tensor = network_tensor(check->network, i);
    char dataset[160];

    snprintf(dataset, sizeof dataset, "gradient/%s", tensor->name);
    PetscCall(
        check_network_compare(check, dataset, tensor->size, network_gradient(check->network) + tensor->offset, &worst));
  }
  PetscCall(check_report_add(check->report, "gradient, every tensor", worst.error, worst.where,
                             check_network_tolerance(2e-5), CHECK_DECIDES));
  PetscCall(check_network_report(check, "input_gradient/z", maps, pass->input_bar.z, 2e-5));
  PetscCall(
      check_network_report(check, "input_gradient/z_theta", B * check->parameters, pass->input_bar.z_theta, 2e-5));
  PetscCall(check_network_report(check, "input_gradient/observation", observed, pass->input_bar.observation, 2e-5));
  PetscCall(check_network_report(check, "input_gradient/t", B, pass->input_bar.t, 2e-5));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode run(NetworkCheck *check)
{
  Pass pass = {0};

  PetscFunctionBeginUser;
  PetscCall(set_up(check));
  PetscCall(read_pass(check, &pass));
  PetscCall(check_forward(check, &pass));
  PetscCall(check_loss(check, &pass));
  PetscCall(check_gradient(check, &pass));
  PetscCall(check_network_sample(check));
  PetscCall(check_network_train(check));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode check_network(ProductReader *file, CheckReport *report)
{
  NetworkCheck check = {.file = file, .report = report};

  PetscFunctionBeginUser;
  const PetscErrorCode error = run(&check);
  for (int i = 0; i < check.buffer_count; i++) PetscCall(PetscFree(check.buffers[i]));
  PetscCall(network_destroy(&check.network));
  PetscFunctionReturn(error);
}
