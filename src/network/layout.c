/** \file layout.c  Every tensor: its name, shape, starting values and place in the flat vector.
 *
 * The order is that of the data flow, so that backward finishes the vector from its end to its start.
 * \ingroup network */
#include "internal.h"

#include <string.h>

static PatchGrid patch_grid(size_t ny, size_t nx, PetscInt patch, size_t channels)
{
  const size_t p = (size_t)patch;
  PatchGrid grid = {.patch = p, .rows = (ny + p - 1) / p, .columns = (nx + p - 1) / p, .channels = channels};

  grid.tokens = grid.rows * grid.columns;
  grid.values = p * p * channels;
  return grid;
}

void dimensions_of(const NetworkShape *shape, Dimensions *dims)
{
  const NetworkConfig *config = &shape->config;
  const PetscBool tokens = config->conditioning == CONDITIONING_TOKENS ? PETSC_TRUE : PETSC_FALSE;
  const size_t ny = (size_t)shape->ny, nx = (size_t)shape->nx;
  const size_t bins = (size_t)shape->bins, observed = (size_t)shape->observation_channels;

  *dims = (Dimensions){.W = (size_t)config->width,
                       .H = (size_t)config->heads,
                       .D = (size_t)(config->width / config->heads),
                       .M = 4 * (size_t)config->width * 2 / 3,
                       .L = (size_t)config->depth,
                       .K = (size_t)config->cosmology_tokens,
                       .start = tokens ? (size_t)config->observation_start : 0,
                       .E = (size_t)config->time_frequencies,
                       .bottleneck = (size_t)config->bottleneck,
                       .P = (size_t)shape->parameters,
                       .ny = ny,
                       .nx = nx,
                       .bins = bins,
                       .observation_channels = observed,
                       .field = patch_grid(ny, nx, config->patch, tokens ? bins : bins + observed)};
  if (tokens) dims->observation = patch_grid(ny, nx, config->observation_patch, observed);
  dims->F = dims->field.tokens;
  dims->O = dims->observation.tokens;
  dims->T = dims->K + dims->O + dims->F;
}

/** What the table below says of a tensor.  \p columns is 0 for a vector. */
typedef struct {
  const char *name;
  size_t rows, columns;
  Start start;
} TensorRow;

enum { TENSORS_BEFORE = 14, TENSORS_PER_BLOCK = 14, TENSORS_AFTER = 8 };

/* In the order of layout_bind(), which takes them in turn. */
static void rows_before(const Dimensions *d, TensorRow rows[TENSORS_BEFORE])
{
  const TensorRow table[TENSORS_BEFORE] = {
      {"time.linear1.weight", d->W, d->E, START_NORMAL},
      {"time.linear1.bias", d->W, 0, START_ZERO},
      {"time.linear2.weight", d->W, d->W, START_NORMAL},
      {"time.linear2.bias", d->W, 0, START_ZERO},
      {"cosmology.embed.weight", d->K * d->W, d->P, START_NORMAL},
      {"cosmology.embed.bias", d->K * d->W, 0, START_ZERO},
      {"cosmology.token", d->K, d->W, START_NORMAL},
      {"field.embed1.weight", d->bottleneck, d->field.values, START_XAVIER},
      {"field.embed2.weight", d->W, d->bottleneck, START_XAVIER},
      {"field.embed2.bias", d->W, 0, START_ZERO},
      {"field.position", d->F, d->W, START_POSITION},
      {"observation.embed1.weight", d->bottleneck, d->observation.values, START_XAVIER},
      {"observation.embed2.weight", d->W, d->bottleneck, START_XAVIER},
      {"observation.embed2.bias", d->W, 0, START_ZERO},
  };

  memcpy(rows, table, sizeof table);
}

static void rows_of_block(const Dimensions *d, TensorRow rows[TENSORS_PER_BLOCK])
{
  const TensorRow table[TENSORS_PER_BLOCK] = {
      {"norm1.weight", d->W, 0, START_ONE},
      {"attention.qkv.weight", 3 * d->W, d->W, START_XAVIER},
      {"attention.qkv.bias", 3 * d->W, 0, START_ZERO},
      {"attention.q_norm.weight", d->D, 0, START_ONE},
      {"attention.k_norm.weight", d->D, 0, START_ONE},
      {"attention.proj.weight", d->W, d->W, START_XAVIER},
      {"attention.proj.bias", d->W, 0, START_ZERO},
      {"norm2.weight", d->W, 0, START_ONE},
      {"mlp.w12.weight", 2 * d->M, d->W, START_XAVIER},
      {"mlp.w12.bias", 2 * d->M, 0, START_ZERO},
      {"mlp.w3.weight", d->W, d->M, START_XAVIER},
      {"mlp.w3.bias", d->W, 0, START_ZERO},
      {"modulation.weight", 6 * d->W, d->W, START_ZERO},
      {"modulation.bias", 6 * d->W, 0, START_ZERO},
  };

  memcpy(rows, table, sizeof table);
}

static void rows_after(const Dimensions *d, TensorRow rows[TENSORS_AFTER])
{
  const size_t values = d->field.patch * d->field.patch * d->bins;
  const TensorRow table[TENSORS_AFTER] = {
      {"head.field.norm.weight", d->W, 0, START_ONE},
      {"head.field.modulation.weight", 2 * d->W, d->W, START_ZERO},
      {"head.field.modulation.bias", 2 * d->W, 0, START_ZERO},
      {"head.field.linear.weight", values, d->W, START_ZERO},
      {"head.field.linear.bias", values, 0, START_ZERO},
      {"head.cosmology.norm.weight", d->W, 0, START_ONE},
      {"head.cosmology.linear.weight", d->P, d->W, START_ZERO},
      {"head.cosmology.linear.bias", d->P, 0, START_ZERO},
  };

  memcpy(rows, table, sizeof table);
}

/** Where layout_create() has got to. */
typedef struct {
  NetworkTensor *tensors;
  Start *starts;
  PetscInt count;
  size_t offset;
} LayoutCursor;

static void append(LayoutCursor *cursor, const char *prefix, const TensorRow *rows, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    NetworkTensor *tensor = &cursor->tensors[cursor->count];

    snprintf(tensor->name, sizeof tensor->name, "%s%s", prefix, rows[i].name);
    tensor->rank = rows[i].columns ? 2 : 1;
    tensor->shape[0] = (PetscInt)rows[i].rows;
    tensor->shape[1] = rows[i].columns ? (PetscInt)rows[i].columns : 1;
    tensor->size = rows[i].rows * (rows[i].columns ? rows[i].columns : 1);
    tensor->offset = cursor->offset;
    cursor->offset += tensor->size;
    cursor->starts[cursor->count++] = rows[i].start;
  }
}

PetscErrorCode layout_create(const Dimensions *dims, PetscInt *count, NetworkTensor **tensors, Start **starts)
{
  TensorRow before[TENSORS_BEFORE], block[TENSORS_PER_BLOCK], after[TENSORS_AFTER];
  const size_t capacity = TENSORS_BEFORE + TENSORS_PER_BLOCK * dims->L + TENSORS_AFTER;
  LayoutCursor cursor = {0};

  PetscFunctionBeginUser;
  PetscCall(PetscCalloc1(capacity, tensors));
  PetscCall(PetscCalloc1(capacity, starts));
  cursor.tensors = *tensors;
  cursor.starts = *starts;
  rows_before(dims, before);
  rows_of_block(dims, block);
  rows_after(dims, after);
  append(&cursor, "", before, dims->O ? TENSORS_BEFORE : TENSORS_BEFORE - 3);
  for (size_t l = 0; l < dims->L; l++) {
    char prefix[32];

    snprintf(prefix, sizeof prefix, "block.%zu.", l);
    append(&cursor, prefix, block, TENSORS_PER_BLOCK);
  }
  append(&cursor, "", after, TENSORS_AFTER);
  *count = cursor.count;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static Scalar *take(Scalar **next, size_t size)
{
  Scalar *here = *next;

  *next += size;
  return here;
}

static Linear take_linear(Scalar **next, size_t out, size_t in)
{
  Linear linear = {.out = out, .in = in};

  linear.weight = take(next, out * in);
  linear.bias = take(next, out);
  return linear;
}

static Linear take_linear_without_bias(Scalar **next, size_t out, size_t in)
{
  return (Linear){.out = out, .in = in, .weight = take(next, out * in)};
}

static void bind_block(const Dimensions *d, Scalar **next, BlockWeights *block)
{
  block->norm1 = take(next, d->W);
  block->qkv = take_linear(next, 3 * d->W, d->W);
  block->q_norm = take(next, d->D);
  block->k_norm = take(next, d->D);
  block->proj = take_linear(next, d->W, d->W);
  block->norm2 = take(next, d->W);
  block->w12 = take_linear(next, 2 * d->M, d->W);
  block->w3 = take_linear(next, d->W, d->M);
  block->modulation = take_linear(next, 6 * d->W, d->W);
}

PetscErrorCode layout_bind(const Dimensions *d, Scalar *values, size_t count, Weights *weights, BlockWeights *blocks)
{
  Scalar *next = values;

  PetscFunctionBeginUser;
  weights->time1 = take_linear(&next, d->W, d->E);
  weights->time2 = take_linear(&next, d->W, d->W);
  weights->cosmology_embed = take_linear(&next, d->K * d->W, d->P);
  weights->cosmology_token = take(&next, d->K * d->W);
  weights->field_embed1 = take_linear_without_bias(&next, d->bottleneck, d->field.values);
  weights->field_embed2 = take_linear(&next, d->W, d->bottleneck);
  weights->position = take(&next, d->F * d->W);
  if (d->O) {
    weights->observation_embed1 = take_linear_without_bias(&next, d->bottleneck, d->observation.values);
    weights->observation_embed2 = take_linear(&next, d->W, d->bottleneck);
  }
  for (size_t l = 0; l < d->L; l++) bind_block(d, &next, &blocks[l]);
  weights->head_field_norm = take(&next, d->W);
  weights->head_modulation = take_linear(&next, 2 * d->W, d->W);
  weights->head_field = take_linear(&next, d->field.patch * d->field.patch * d->bins, d->W);
  weights->head_cosmology_norm = take(&next, d->W);
  weights->head_cosmology = take_linear(&next, d->P, d->W);
  PetscCheck(next == values + count, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "network layout: %td numbers bound of %zu in the table of tensors", next - values, count);
  PetscFunctionReturn(PETSC_SUCCESS);
}
