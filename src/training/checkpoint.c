/** \file checkpoint.c  Everything that training needs to go on exactly, in one file.  \ingroup training */
#include "internal.h"

#include <inttypes.h>
#include <math.h>

/* The arrays, each a group of tensors. */
typedef struct {
  const char *group, *description;
} Group;
static const Group groups[ARRAYS] = {{"weights", "weights after the last step"},
                                     {"ema", "exponential average of the weights, for inference"},
                                     {"m", "AdamW's mean of gradients, not corrected for its start at 0"},
                                     {"v", "AdamW's mean of squared gradients, not corrected for its start at 0"}};

struct CheckpointWriter {
  const Network *network;
  char path[PETSC_MAX_PATH_LEN];
  ProductWriter *product;
};

struct CheckpointReader {
  const Network *network;
  ProductReader *product;
};

static PetscErrorCode write_tensor(ProductWriter *writer, const Group *group, const NetworkTensor *tensor,
                                   const Scalar *values)
{
  char name[128];
  ProductDataset dataset = {.name = name,
                            .type = NEPHRITE_H5_SCALAR,
                            .rank = tensor->rank,
                            .digest = DIGEST_WHOLE,
                            .units = "1",
                            .description = group->description};

  PetscFunctionBeginUser;
  snprintf(name, sizeof name, "%s/%s", group->group, tensor->name);
  for (int axis = 0; axis < tensor->rank; axis++) dataset.shape[axis] = (hsize_t)tensor->shape[axis];
  PetscCall(product_declare(writer, &dataset));
  PetscCall(product_write(writer, name, 0, dataset.shape[0], values + tensor->offset));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_tensor(ProductReader *reader, const Group *group, const NetworkTensor *tensor,
                                  Scalar *values)
{
  char name[128];
  hsize_t shape[PRODUCT_MAX_RANK];

  PetscFunctionBeginUser;
  snprintf(name, sizeof name, "%s/%s", group->group, tensor->name);
  for (int axis = 0; axis < tensor->rank; axis++) shape[axis] = (hsize_t)tensor->shape[axis];
  PetscCall(product_read_all(reader, name, NEPHRITE_H5_SCALAR, tensor->rank, shape, values + tensor->offset));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Small datasets: where training stands. */
static PetscErrorCode write_values(ProductWriter *writer, const char *name, hid_t type, PetscInt count,
                                   const void *values, const char *description)
{
  const ProductDataset dataset = {.name = name,
                                  .type = type,
                                  .rank = count ? 1 : 0,
                                  .shape = {(hsize_t)count},
                                  .digest = DIGEST_WHOLE,
                                  .units = "1",
                                  .description = description};

  PetscFunctionBeginUser;
  PetscCall(product_declare(writer, &dataset));
  PetscCall(product_write(writer, name, 0, count ? (hsize_t)count : 1, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

enum { SCALAR = 0 };

static PetscErrorCode write_state(ProductWriter *writer, const TrainingState *state)
{
  const Normalisation *n = &state->normalisation;

  PetscFunctionBeginUser;
  PetscCall(write_values(writer, "step", H5T_NATIVE_INT64, SCALAR, &state->step, "optimiser steps done"));
  PetscCall(write_values(writer, "position", H5T_NATIVE_INT64, SCALAR, &state->position,
                         "position of the next sample in the training sequence"));
  PetscCall(write_values(writer, "trained", H5T_NATIVE_INT64, SCALAR, &state->trained,
                         "realisations of the campaign, from the first, that may have been trained on"));
  PetscCall(write_values(writer, "planned", H5T_NATIVE_INT64, SCALAR, &state->planned,
                         "optimiser steps that the run was to make in all"));
  PetscCall(write_values(writer, "patience_from", H5T_NATIVE_INT64, SCALAR, &state->patience_from,
                         "step after which validations count for an early end"));
  PetscCall(write_values(writer, "map_std", H5T_NATIVE_DOUBLE, n->bins, n->map_std,
                         "standard deviation of the convergence per bin, which maps are divided by"));
  PetscCall(write_values(writer, "theta_low", H5T_NATIVE_DOUBLE, n->parameters, n->theta_low,
                         "lower bound of each parameter; without bounds that is theta_high"));
  PetscCall(
      write_values(writer, "theta_high", H5T_NATIVE_DOUBLE, n->parameters, n->theta_high,
                   "upper bound of each parameter, which the network has as the normal of its share of the interval"));
  PetscCall(write_values(writer, "theta_mean", H5T_NATIVE_DOUBLE, n->parameters, n->theta_mean,
                         "mean of each parameter, or of its normal, subtracted"));
  PetscCall(write_values(writer, "theta_std", H5T_NATIVE_DOUBLE, n->parameters, n->theta_std,
                         "standard deviation of each parameter, or of its normal, divided by"));
  if (n->guesses)
    PetscCall(write_values(writer, "guess_covariance", H5T_NATIVE_DOUBLE, n->guesses, n->guess,
                           "covariances of maps and observed data, by which the map is guessed"));
  if (n->responses)
    PetscCall(write_values(writer, "response", H5T_NATIVE_DOUBLE, n->responses, n->response,
                           "how the power of maps follows the parameters"));
  if (n->one_points)
    PetscCall(write_values(writer, "one_point_unit", H5T_NATIVE_DOUBLE, n->one_points, n->one_point_unit,
                           "standard deviation of what the network is told the distribution of"));
  if (n->summaries) {
    PetscCall(write_values(writer, "summary_mean", H5T_NATIVE_DOUBLE, n->summaries, n->summary_mean,
                           "mean of each number that the network is told of an observation, subtracted"));
    PetscCall(write_values(writer, "summary_std", H5T_NATIVE_DOUBLE, n->summaries, n->summary_std,
                           "standard deviation of each such number, divided by"));
  }
  PetscCall(history_write(&state->history, "history/", writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_values(ProductReader *reader, const char *name, PetscInt count, double *values)
{
  const hsize_t shape = (hsize_t)count;

  PetscFunctionBeginUser;
  PetscCall(product_read_all(reader, name, H5T_NATIVE_DOUBLE, 1, &shape, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_number(ProductReader *reader, const char *name, int64_t *number)
{
  PetscFunctionBeginUser;
  PetscCall(product_read_all(reader, name, H5T_NATIVE_INT64, 0, NULL, number));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Since version 2. */
static PetscErrorCode read_plan(ProductReader *reader, TrainingState *state)
{
  PetscBool has;

  PetscFunctionBeginUser;
  state->planned = state->patience_from = 0;
  PetscCall(product_has(reader, "planned", &has));
  if (!has) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(read_number(reader, "planned", &state->planned));
  PetscCall(read_number(reader, "patience_from", &state->patience_from));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Since version 3. */
static PetscErrorCode read_bounds(ProductReader *reader, Normalisation *n)
{
  PetscBool has;

  PetscFunctionBeginUser;
  PetscCall(PetscArrayzero(n->theta_low, n->parameters));
  PetscCall(PetscArrayzero(n->theta_high, n->parameters));
  PetscCall(product_has(reader, "theta_low", &has));
  if (!has) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(read_values(reader, "theta_low", n->parameters, n->theta_low));
  PetscCall(read_values(reader, "theta_high", n->parameters, n->theta_high));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_state(ProductReader *reader, const NetworkShape *shape, TrainingState *state)
{
  Normalisation *n = &state->normalisation;

  PetscFunctionBeginUser;
  PetscCall(read_number(reader, "step", &state->step));
  PetscCall(read_number(reader, "position", &state->position));
  PetscCall(read_number(reader, "trained", &state->trained));
  PetscCall(read_plan(reader, state));
  n->bins = shape->bins;
  n->parameters = shape->parameters;
  PetscCall(read_values(reader, "map_std", n->bins, n->map_std));
  PetscCall(read_bounds(reader, n));
  PetscCall(read_values(reader, "theta_mean", n->parameters, n->theta_mean));
  PetscCall(read_values(reader, "theta_std", n->parameters, n->theta_std));
  n->guesses = guess_count(shape);
  if (n->guesses) PetscCall(read_values(reader, "guess_covariance", n->guesses, n->guess));
  n->responses = guess_response_count(shape);
  if (n->responses) PetscCall(read_values(reader, "response", n->responses, n->response));
  n->one_points = network_one_point_count(shape);
  if (n->one_points) PetscCall(read_values(reader, "one_point_unit", n->one_points, n->one_point_unit));
  n->summaries = network_summary_count(shape);
  if (n->summaries) {
    PetscCall(read_values(reader, "summary_mean", n->summaries, n->summary_mean));
    PetscCall(read_values(reader, "summary_std", n->summaries, n->summary_std));
  }
  PetscCall(history_read(reader, "history/", &state->history));
  PetscFunctionReturn(PETSC_SUCCESS);
}

const char *checkpoint_bad_tensor(const Network *network, const Scalar *values)
{
  for (PetscInt i = 0; i < network_tensor_count(network); i++) {
    const NetworkTensor *tensor = network_tensor(network, i);

    for (size_t k = tensor->offset; k < tensor->offset + tensor->size; k++)
      if (!isfinite(values[k])) return tensor->name;
  }
  return NULL;
}

PetscErrorCode checkpoint_create(const char *path, const CheckpointOwner *owner, const Network *network,
                                 const TrainingState *state, CheckpointWriter **writer)
{
  const ProductInfo info = {CHECKPOINT_KIND, CHECKPOINT_VERSION, owner->configuration, owner->seed};
  const int64_t bytes =
      checkpoint_bytes(network_parameter_count(network), network_tensor_count(network), state->history.steps);
  CheckpointWriter *w = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&w));
  *writer = w;
  w->network = network;
  PetscCall(PetscStrncpy(w->path, path, sizeof w->path));
  PetscCall(product_create(PETSC_COMM_SELF, path, &info, bytes, &w->product));
  PetscCall(architecture_write(w->product, network_shape(network)));
  PetscCall(write_state(w->product, state));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode checkpoint_put(CheckpointWriter *writer, TrainingArray array, const Scalar *values)
{
  const char *bad = checkpoint_bad_tensor(writer->network, values);

  PetscFunctionBeginUser;
  PetscCheck(!bad, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "%s is not written: %s/%s holds values that are not finite",
             writer->path, groups[array].group, bad);
  for (PetscInt i = 0; i < network_tensor_count(writer->network); i++)
    PetscCall(write_tensor(writer->product, &groups[array], network_tensor(writer->network, i), values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode checkpoint_commit(CheckpointWriter *writer)
{
  PetscFunctionBeginUser;
  PetscCall(product_commit(writer->product, NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode checkpoint_writer_destroy(CheckpointWriter **writer)
{
  PetscFunctionBeginUser;
  if (!*writer) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(product_writer_destroy(&(*writer)->product));
  PetscCall(PetscFree(*writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

int64_t checkpoint_bytes(size_t parameters, PetscInt tensors, int64_t steps)
{
  const size_t values = ARRAYS * parameters * sizeof(Scalar);
  const size_t unused = values / 14; /* of the last chunk of each tensor: measured at the published size */
  const size_t each_dataset = 1024; /* header, attributes, digest: measured */

  return (int64_t)(values + unused + ARRAYS * (size_t)tensors * each_dataset + (size_t)steps * sizeof(StepRecord));
}

PetscErrorCode checkpoint_open(const char *path, const Network *network, CheckpointReader **reader)
{
  CheckpointReader *r = NULL;
  int64_t step;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&r));
  *reader = r;
  r->network = network;
  PetscCall(product_open(path, CHECKPOINT_KIND, CHECKPOINT_VERSION, &r->product));
  PetscCall(product_check(r->product));
  PetscCall(read_number(r->product, "step", &step));
  PetscCall(checkpoint_check_name(path, step));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode checkpoint_get_state(CheckpointReader *reader, TrainingState *state)
{
  PetscFunctionBeginUser;
  PetscCall(read_state(reader->product, network_shape(reader->network), state));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode checkpoint_get(CheckpointReader *reader, TrainingArray array, Scalar *values)
{
  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < network_tensor_count(reader->network); i++)
    PetscCall(read_tensor(reader->product, &groups[array], network_tensor(reader->network, i), values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode checkpoint_close(CheckpointReader **reader)
{
  PetscFunctionBeginUser;
  if (!*reader) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(product_close(&(*reader)->product));
  PetscCall(PetscFree(*reader));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode checkpoint_refuse_newer(const char *path)
{
  ProductReader *reader = NULL;
  int64_t version = 0;

  PetscFunctionBeginUser;
  PetscErrorCode error = product_open_foreign(path, &reader);
  if (!error) error = product_read_attribute_int(reader, NULL, "format_version", 1, &version);
  PetscCall(product_close(&reader));
  if (error) error_clear(); /* damage: who reads the file will see it */
  PetscCheck(
      error || version <= CHECKPOINT_VERSION, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
      "%s: a later version of nephrite made it, of format %d; this one reads up to %d: go on with that version, or "
      "move the file away",
      path, (int)version, CHECKPOINT_VERSION);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode checkpoint_describe(const char *path, NetworkShape *shape, char **configuration)
{
  ProductReader *reader = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error = product_open(path, CHECKPOINT_KIND, CHECKPOINT_VERSION, &reader);
  if (!error) error = architecture_read(reader, path, shape);
  if (!error) error = product_read_attribute_text(reader, NULL, "configuration", configuration);
  PetscCall(product_close(&reader));
  PetscCall(error);
  PetscFunctionReturn(PETSC_SUCCESS);
}
