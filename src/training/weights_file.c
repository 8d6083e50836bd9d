/** \file weights_file.c  Weights as a plain HDF5 file, made by tools/weights or by a person: a dataset for each tensor,
 * attributes for the rest.  \ingroup training
 *
 * No digests guard such a file, and whoever made it may have erred, so everything in it is checked. */
#include "internal.h"

#include <math.h>
#include <string.h>

/* What is being read. */
typedef struct {
  ProductReader *reader;
  const char *path;
  Network *network; /* only to know its tensors */
  Model *model;
} Reading;

/* ---- attributes ---- */

/* Numbers of samples, steps and realisations stay below where keys of random numbers have other uses. */
static const int64_t most = (int64_t)1 << 62;

static PetscErrorCode read_count(const Reading *r, const char *name, int64_t *count)
{
  PetscBool has;

  PetscFunctionBeginUser;
  *count = 0;
  PetscCall(product_has_attribute(r->reader, NULL, name, &has));
  if (!has) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(product_read_attribute_int(r->reader, NULL, name, 1, count));
  PetscCheck(*count >= 0 && *count < most, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: attribute %s is %lld; it must be a number from 0 up", r->path, name, (long long)*count);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_text(const Reading *r, const char *name, char **text)
{
  PetscBool has;

  PetscFunctionBeginUser;
  PetscCall(product_has_attribute(r->reader, NULL, name, &has));
  if (has) PetscCall(product_read_attribute_text(r->reader, NULL, name, text));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_version(const Reading *r)
{
  int64_t version;

  PetscFunctionBeginUser;
  PetscCall(read_count(r, "format_version", &version));
  PetscCheck(version <= WEIGHTS_VERSION, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: has format version %lld of weights; this build reads up to %d", r->path, (long long)version,
             WEIGHTS_VERSION);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Where they come from.  Who does not say that a campaign's maps were trained on has not trained on them. */
static PetscErrorCode read_origin(const Reading *r)
{
  Model *model = r->model;

  PetscFunctionBeginUser;
  PetscCall(read_count(r, "step", &model->step));
  PetscCall(read_count(r, "position", &model->position));
  PetscCall(read_count(r, "trained", &model->trained));
  PetscCall(read_text(r, "parameter_names", &model->parameter_names));
  PetscCall(read_text(r, "configuration", &model->configuration));
  if (!model->configuration) PetscCall(architecture_yaml(&model->shape, &model->configuration));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_statistic(const Reading *r, const char *name, PetscInt count, double least, double *values)
{
  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_real(r->reader, NULL, name, (int)count, values));
  for (PetscInt i = 0; i < count; i++)
    PetscCheck(isfinite(values[i]) && values[i] > least, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: attribute %s is %.6g at index %d; it must be finite%s", r->path, name, values[i], (int)i,
               least == 0 ? " and positive" : "");
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Without them parameters have none. */
static PetscErrorCode read_bounds(const Reading *r, Normalisation *n)
{
  PetscBool has;

  PetscFunctionBeginUser;
  PetscCall(product_has_attribute(r->reader, NULL, "theta_low", &has));
  if (!has) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(read_statistic(r, "theta_low", n->parameters, -INFINITY, n->theta_low));
  PetscCall(read_statistic(r, "theta_high", n->parameters, -INFINITY, n->theta_high));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_normalisation(const Reading *r)
{
  Normalisation *n = &r->model->normalisation;

  PetscFunctionBeginUser;
  n->bins = r->model->shape.bins;
  n->parameters = r->model->shape.parameters;
  PetscCall(read_statistic(r, "map_std", n->bins, 0, n->map_std));
  PetscCall(read_bounds(r, n));
  PetscCall(read_statistic(r, "theta_mean", n->parameters, -INFINITY, n->theta_mean));
  PetscCall(read_statistic(r, "theta_std", n->parameters, 0, n->theta_std));
  n->guesses = guess_count(&r->model->shape);
  if (n->guesses) PetscCall(read_statistic(r, "guess_covariance", n->guesses, -INFINITY, n->guess));
  n->responses = guess_response_count(&r->model->shape);
  if (n->responses) PetscCall(read_statistic(r, "response", n->responses, -INFINITY, n->response));
  n->one_points = network_one_point_count(&r->model->shape);
  if (n->one_points) PetscCall(read_statistic(r, "one_point_unit", n->one_points, 0, n->one_point_unit));
  n->summaries = network_summary_count(&r->model->shape);
  if (!n->summaries) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(read_statistic(r, "summary_mean", n->summaries, -INFINITY, n->summary_mean));
  PetscCall(read_statistic(r, "summary_std", n->summaries, 0, n->summary_std));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- tensors ---- */

static PetscErrorCode check_shape(const Reading *r, const NetworkTensor *tensor)
{
  hsize_t found[PRODUCT_MAX_RANK] = {0}, wanted[PRODUCT_MAX_RANK] = {0};
  int rank;
  char found_text[128], wanted_text[128];

  PetscFunctionBeginUser;
  PetscCall(product_shape(r->reader, tensor->name, &rank, found));
  for (int axis = 0; axis < tensor->rank; axis++) wanted[axis] = (hsize_t)tensor->shape[axis];
  if (rank == tensor->rank && !memcmp(found, wanted, sizeof found)) PetscFunctionReturn(PETSC_SUCCESS);
  product_shape_text(rank, found, found_text, sizeof found_text);
  product_shape_text(tensor->rank, wanted, wanted_text, sizeof wanted_text);
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: tensor %s has shape %s; by its attributes the network has %s",
          r->path, tensor->name, found_text, wanted_text);
}

static PetscErrorCode check_type(const Reading *r, const NetworkTensor *tensor)
{
  char type[32];

  PetscFunctionBeginUser;
  PetscCall(product_type(r->reader, tensor->name, type, sizeof type));
  PetscCheck(!strcmp(type, "float32") || !strcmp(type, "float64"), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: tensor %s is %s; it must be float32 or float64", r->path, tensor->name, type);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_tensor(const Reading *r, const NetworkTensor *tensor)
{
  Scalar *values = r->model->weights + tensor->offset;
  PetscBool has;

  PetscFunctionBeginUser;
  PetscCall(product_has(r->reader, tensor->name, &has));
  PetscCheck(has, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: has no tensor %s at its root", r->path, tensor->name);
  PetscCall(check_shape(r, tensor));
  PetscCall(check_type(r, tensor));
  PetscCall(product_read(r->reader, tensor->name, NEPHRITE_H5_SCALAR, 0, (hsize_t)tensor->shape[0], values));
  for (size_t i = 0; i < tensor->size; i++)
    PetscCheck(isfinite(values[i]), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: tensor %s is %.6g at element %zu; it must be finite in float32", r->path, tensor->name,
               (double)values[i], i);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A ProductVisit: what the network has no place for was meant for another one. */
static PetscErrorCode refuse_unknown(void *reading, const char *name)
{
  const Reading *r = reading;

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < network_tensor_count(r->network); i++)
    if (!strcmp(network_tensor(r->network, i)->name, name)) PetscFunctionReturn(PETSC_SUCCESS);
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: holds %s, which is no tensor of the network of its attributes",
          r->path, name);
}

static PetscErrorCode read_tensors(Reading *r)
{
  PetscFunctionBeginUser;
  r->model->weight_count = network_parameter_count(r->network);
  PetscCall(PetscMalloc1(r->model->weight_count, &r->model->weights));
  for (PetscInt i = 0; i < network_tensor_count(r->network); i++)
    PetscCall(read_tensor(r, network_tensor(r->network, i)));
  PetscCall(product_each_dataset(r->reader, refuse_unknown, r));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- all of it ---- */

/* There is no such network, or none that fits into memory: the fault is the file's. */
static PetscErrorCode create_network(Reading *r)
{
  char reason[512];

  PetscFunctionBeginUser;
  const PetscErrorCode error = network_create(&r->model->shape, 1, NETWORK_INFERENCE, &r->network);
  if (error != (PetscErrorCode)NEPHRITE_ERR_CONFIG) PetscFunctionReturn(error);
  snprintf(reason, sizeof reason, "%s", error_message());
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: its attributes are of no network: %s", r->path, reason);
}

static PetscErrorCode read_everything(Reading *r)
{
  PetscFunctionBeginUser;
  PetscCall(product_open_foreign(r->path, &r->reader));
  PetscCall(check_version(r));
  PetscCall(architecture_read(r->reader, r->path, &r->model->shape));
  PetscCall(read_origin(r));
  PetscCall(read_normalisation(r));
  PetscCall(create_network(r));
  PetscCall(read_tensors(r));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode weights_file_load(const char *path, Model *model)
{
  Reading reading = {.path = path, .model = model};

  PetscFunctionBeginUser;
  const PetscErrorCode error = read_everything(&reading);
  PetscCall(network_destroy(&reading.network));
  PetscCall(product_close(&reading.reader));
  PetscFunctionReturn(error);
}

static PetscErrorCode find_kind(ProductReader *reader, const char *path, PetscBool *is)
{
  char *kind = NULL;
  PetscBool has, described;

  PetscFunctionBeginUser;
  PetscCall(product_has_attribute(reader, NULL, "kind", &has));
  PetscCall(product_has_attribute(reader, NULL, "depth", &described));
  PetscCheck(has || described, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: is neither a checkpoint of nephrite nor a file of weights: its root has no attribute kind or depth",
             path);
  *is = has ? PETSC_FALSE : PETSC_TRUE;
  if (!has) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(product_read_attribute_text(reader, NULL, "kind", &kind));
  *is = strcmp(kind, WEIGHTS_KIND) ? PETSC_FALSE : PETSC_TRUE;
  PetscCall(PetscFree(kind));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode weights_file_is(const char *path, PetscBool *is)
{
  ProductReader *reader = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error = product_open_foreign(path, &reader);
  if (!error) error = find_kind(reader, path, is);
  PetscCall(product_close(&reader));
  PetscFunctionReturn(error);
}
