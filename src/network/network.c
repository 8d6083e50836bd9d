/** \file network.c  Creation, destruction and what can be asked of a network.  \ingroup network */
#include "internal.h"

#include <limits.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

PetscErrorCode network_mode_check(NetworkMode mode)
{
  const Bfloat16Products *products = NULL;

  PetscFunctionBeginUser;
  if (mode & NETWORK_BFLOAT16) PetscCall(bfloat16_products(&products));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Everything but memory for numbers. */
static PetscErrorCode plan(const NetworkShape *shape, PetscInt batch, NetworkMode mode, Network **network)
{
  Network *n = NULL;

  PetscFunctionBeginUser;
  PetscCall(network_shape_check(shape));
  PetscCheck(batch >= 1, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "a network for a batch of %d samples; at least 1 is needed", (int)batch);
  PetscCall(PetscNew(&n));
  *network = n;
  n->shape = *shape;
  n->mode = (NetworkMode)(mode & ~(unsigned)NETWORK_BFLOAT16);
  n->capacity = (size_t)batch;
  n->threads = omp_get_max_threads();
  n->kernels = network_kernels_best();
  dimensions_of(shape, &n->dims);
  PetscCall(layout_create(&n->dims, &n->tensor_count, &n->tensors, &n->starts));
  n->parameter_count = n->tensors[n->tensor_count - 1].offset + n->tensors[n->tensor_count - 1].size;
  PetscCall(PetscCalloc1(n->dims.L, &n->blocks));
  PetscCall(PetscCalloc1(n->dims.L, &n->stores));
  PetscCall(PetscCalloc1((size_t)n->threads, &n->scratch));
  PetscCall(PetscNew(&n->laps));
  PetscCall(layout_bind(&n->dims, NULL, n->parameter_count, &n->weights, n->blocks)); /* sizes */
  if (mode & NETWORK_BFLOAT16) {
    PetscCheck(n->mode != NETWORK_INFERENCE, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
               "a network for inference in bfloat16");
    PetscCall(bfloat16_products(&n->bfloat16_products));
    PetscCall(n->bfloat16_products->create(n));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode network_create(const NetworkShape *shape, PetscInt batch, NetworkMode mode, Network **network)
{
  PetscFunctionBeginUser;
  PetscCall(plan(shape, batch, mode, network));
  Network *const n = *network;
  PetscCall(arena_create(n));
  PetscCall(layout_bind(&n->dims, n->values, n->parameter_count, &n->weights, n->blocks));
  rotation_tables(shape, &n->dims, n->rotation[0], n->rotation[1]);
  if (n->bfloat16_products) PetscCall(n->bfloat16_products->bind(n));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode network_estimate(const NetworkShape *shape, PetscInt batch, NetworkMode mode, NetworkEstimate *estimate)
{
  Network *network = NULL;

  PetscFunctionBeginUser;
  const PetscErrorCode error = plan(shape, batch, mode, &network);
  if (!error)
    *estimate = (NetworkEstimate){.parameters = network->parameter_count,
                                  .tensors = network->tensor_count,
                                  .arena_bytes = arena_size(network),
                                  .forward_flops = network_forward_flops(network)};
  PetscCall(network_destroy(&network));
  PetscFunctionReturn(error);
}

PetscErrorCode network_destroy(Network **network)
{
  PetscFunctionBeginUser;
  if (!*network) PetscFunctionReturn(PETSC_SUCCESS);
  if ((*network)->bfloat16_products) PetscCall((*network)->bfloat16_products->destroy(*network));
  free((*network)->arena);
  PetscCall(PetscFree((*network)->tensors));
  PetscCall(PetscFree((*network)->starts));
  PetscCall(PetscFree((*network)->blocks));
  PetscCall(PetscFree((*network)->stores));
  PetscCall(PetscFree((*network)->scratch));
  PetscCall(PetscFree((*network)->laps));
  PetscCall(PetscFree(*network));
  PetscFunctionReturn(PETSC_SUCCESS);
}

const NetworkShape *network_shape(const Network *network)
{
  return &network->shape;
}

size_t network_parameter_count(const Network *network)
{
  return network->parameter_count;
}

PetscInt network_tensor_count(const Network *network)
{
  return network->tensor_count;
}

const NetworkTensor *network_tensor(const Network *network, PetscInt tensor)
{
  return &network->tensors[tensor];
}

size_t network_arena_bytes(const Network *network)
{
  return network->arena_bytes;
}

Scalar *network_weights(Network *network)
{
  return network->values;
}

Scalar *network_gradient(Network *network)
{
  if (network->gradient_is_zero) memset(network->gradient, 0, network->parameter_count * sizeof *network->gradient);
  network->gradient_is_zero = PETSC_FALSE;
  return network->gradient;
}

/* Multiply-adds count twice; what is not a matrix product is left out. */
double block_forward_flops(const Dimensions *d, size_t block)
{
  const double W = (double)d->W, M = (double)d->M, T = (double)tokens_in_block(d, block);

  return 2 * T * (4 * W * W + 3 * M * W) + 4 * T * T * W + 12 * W * W;
}

double network_forward_flops(const Network *network)
{
  const Dimensions *d = &network->dims;
  const double W = (double)d->W, K = (double)d->K, F = (double)d->F, O = (double)d->O;
  const double bottleneck = (double)d->bottleneck, values = (double)(d->field.patch * d->field.patch * d->bins);
  double flops = 2 * W * ((double)d->E + W + (d->modulated ? (double)d->P : 0));

  flops += 2 * K * W * (double)(d->P + d->S) + 2 * F * bottleneck * ((double)d->field.values + W);
  flops += 2 * O * bottleneck * ((double)d->observation.values + W);
  for (size_t l = 0; l < d->L; l++) flops += block_forward_flops(d, l);
  return flops + 4 * W * W + 2 * F * W * values + 2 * W * (double)d->P;
}

PetscErrorCode network_zero_gradient(Network *network)
{
  PetscFunctionBeginUser;
  PetscCheck(network->gradient, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "a network for inference has no gradient");
  network->gradient_is_zero = PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/** Rows [begin, end) of each sample's `tokens` rows of an array [B][tokens][width], and then more of them. */
typedef struct {
  const Scalar *values;
  size_t tokens, width, skip_from, skip_to; /* rows in [skip_from, skip_to) are left out */
} ActivationView;

/* The stream after block l is what the next block starts from, where the observation's tokens may have come between. */
static ActivationView after_block(const Network *n, size_t l)
{
  const Dimensions *d = &n->dims;

  if (l + 1 == d->L) return (ActivationView){n->final, d->T, d->W, 0, 0};
  if (l + 1 == d->start) return (ActivationView){n->before, d->K + d->F, d->W, 0, 0};
  return (ActivationView){n->stores[l + 1].x, tokens_in_block(d, l + 1), d->W, 0, 0};
}

static PetscErrorCode find_activation(const Network *n, const char *name, ActivationView *view)
{
  const Dimensions *d = &n->dims;
  char *end = NULL;

  PetscFunctionBeginUser;
  if (!strcmp(name, "time"))
    *view = (ActivationView){n->time, 1, d->W, 0, 0};
  else if (!strcmp(name, "tokens")) {
    const size_t skipped = d->start ? 0 : d->O;

    *view = (ActivationView){n->stores[0].x, tokens_in_block(d, 0), d->W, d->K, d->K + skipped};
  } else if (!strcmp(name, "observation_tokens") && d->O) {
    *view = (ActivationView){n->observation_tokens, d->O, d->W, 0, 0};
  } else {
    const unsigned long l = strncmp(name, "block.", 6) ? ULONG_MAX : strtoul(name + 6, &end, 10);

    PetscCheck(end && !*end && end > name + 6 && l < d->L, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "no activation \"%s\"; there are time, tokens, observation_tokens (if observed by tokens) and block.0 … "
               "block.%zu",
               name, d->L - 1);
    *view = after_block(n, l);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode network_activation(const Network *network, const char *name, size_t *count, Scalar *values)
{
  ActivationView view;
  size_t written = 0;

  PetscFunctionBeginUser;
  PetscCheck(network->mode != NETWORK_INFERENCE && network->batch, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "activations are kept by a network for training that has run forward");
  PetscCall(find_activation(network, name, &view));
  for (size_t row = 0; row < network->batch * view.tokens; row++) {
    const size_t token = row % view.tokens;

    if (token >= view.skip_from && token < view.skip_to) continue;
    if (values) memcpy(values + written, view.values + row * view.width, view.width * sizeof *values);
    written += view.width;
  }
  *count = written;
  PetscFunctionReturn(PETSC_SUCCESS);
}
