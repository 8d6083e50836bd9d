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

/* Rows a large power of two apart get in each other's way in a cache: they share few of its sets. */
static size_t row_distance(size_t width)
{
  enum { CLASH = 1024, LINE = 64 }; /* bytes */

  return width * sizeof(Scalar) % CLASH ? width : width + LINE / sizeof(Scalar);
}

void dimensions_of(const NetworkShape *shape, Dimensions *dims)
{
  const NetworkConfig *config = &shape->config;
  const PetscBool tokens = config->conditioning == CONDITIONING_TOKENS ? PETSC_TRUE : PETSC_FALSE;
  const size_t ny = (size_t)shape->ny, nx = (size_t)shape->nx;
  const size_t bins = (size_t)shape->bins, observed = (size_t)shape->observation_channels;
  const size_t shown = (size_t)network_map_channels(shape);

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
                       .S = (size_t)network_summary_count(shape),
                       .modulated = config->flow == FLOW_PARAMETERS_FIRST ? PETSC_TRUE : PETSC_FALSE,
                       .ny = ny,
                       .nx = nx,
                       .bins = bins,
                       .observation_channels = observed,
                       .shown = shown,
                       .field = patch_grid(ny, nx, config->patch, tokens ? shown : shown + observed)};
  if (tokens) dims->observation = patch_grid(ny, nx, config->observation_patch, observed);
  dims->F = dims->field.tokens;
  dims->O = dims->observation.tokens;
  dims->T = dims->K + dims->O + dims->F;
  dims->M_row = row_distance(dims->M);
  dims->G_row = row_distance(2 * dims->M);
}

/** What the table below says of a tensor.  \p columns is 0 for a vector. */
typedef struct {
  const char *name;
  size_t rows, columns;
  Start start;
} TensorRow;

/* Of those before the blocks: where that of the parameters in the modulation and that of the summaries are, and how
 * many the observation's tokens need, at the end. */
enum { TIME_COSMOLOGY = 4, SUMMARY_EMBED = 8, OBSERVATION_EMBED = 3 };
enum { TENSORS_BEFORE = 16, TENSORS_PER_BLOCK = 14, TENSORS_AFTER = 8 };

/* In the order of layout_bind(), which takes them in turn. */
static void rows_before(const Dimensions *d, TensorRow rows[TENSORS_BEFORE])
{
  const TensorRow table[TENSORS_BEFORE] = {
      {"time.linear1.weight", d->W, d->E, START_NORMAL},
      {"time.linear1.bias", d->W, 0, START_ZERO},
      {"time.linear2.weight", d->W, d->W, START_NORMAL},
      {"time.linear2.bias", d->W, 0, START_ZERO},
      {"time.cosmology.weight", d->W, d->P, START_NORMAL},
      {"cosmology.embed.weight", d->K * d->W, d->P, START_NORMAL},
      {"cosmology.embed.bias", d->K * d->W, 0, START_ZERO},
      {"cosmology.token", d->K, d->W, START_NORMAL},
      {"cosmology.summaries.weight", d->K * d->W, d->S, START_NORMAL},
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

static void append_before(LayoutCursor *cursor, const Dimensions *dims)
{
  TensorRow rows[TENSORS_BEFORE];
  const TensorRow *cosmology = rows + TIME_COSMOLOGY + 1, *summaries = rows + SUMMARY_EMBED;
  const TensorRow *field = summaries + 1, *observation = rows + TENSORS_BEFORE - OBSERVATION_EMBED;

  rows_before(dims, rows);
  append(cursor, "", rows, TIME_COSMOLOGY);
  if (dims->modulated) append(cursor, "", rows + TIME_COSMOLOGY, 1);
  append(cursor, "", cosmology, (size_t)(summaries - cosmology));
  if (dims->S) append(cursor, "", summaries, 1);
  append(cursor, "", field, (size_t)(observation - field));
  if (dims->O) append(cursor, "", observation, OBSERVATION_EMBED);
}

PetscErrorCode layout_create(const Dimensions *dims, PetscInt *count, NetworkTensor **tensors, Start **starts)
{
  TensorRow block[TENSORS_PER_BLOCK], after[TENSORS_AFTER];
  const size_t capacity = TENSORS_BEFORE + TENSORS_PER_BLOCK * dims->L + TENSORS_AFTER;
  LayoutCursor cursor = {0};

  PetscFunctionBeginUser;
  PetscCall(PetscCalloc1(capacity, tensors));
  PetscCall(PetscCalloc1(capacity, starts));
  cursor.tensors = *tensors;
  cursor.starts = *starts;
  rows_of_block(dims, block);
  rows_after(dims, after);
  append_before(&cursor, dims);
  for (size_t l = 0; l < dims->L; l++) {
    char prefix[32];

    snprintf(prefix, sizeof prefix, "block.%zu.", l);
    append(&cursor, prefix, block, TENSORS_PER_BLOCK);
  }
  append(&cursor, "", after, TENSORS_AFTER);
  *count = cursor.count;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/** The flat vector as far as it is given out; without values there are only sizes. */
typedef struct {
  Scalar *values;
  size_t used;
} FlatVector;

static void take(FlatVector *vector, size_t size, Scalar **part)
{
  *part = vector->values ? vector->values + vector->used : NULL;
  vector->used += size;
}

static void take_without_bias(FlatVector *vector, size_t out, size_t in, Linear *linear)
{
  linear->out = out;
  linear->in = in;
  linear->out_row = out;
  linear->in_row = in;
  take(vector, out * in, &linear->weight);
}

static void take_linear(FlatVector *vector, size_t out, size_t in, Linear *linear)
{
  take_without_bias(vector, out, in, linear);
  take(vector, out, &linear->bias);
}

static void bind_block(const Dimensions *d, FlatVector *vector, BlockWeights *block)
{
  take(vector, d->W, &block->norm1);
  take_linear(vector, 3 * d->W, d->W, &block->qkv);
  take(vector, d->D, &block->q_norm);
  take(vector, d->D, &block->k_norm);
  take_linear(vector, d->W, d->W, &block->proj);
  take(vector, d->W, &block->norm2);
  take_linear(vector, 2 * d->M, d->W, &block->w12);
  block->w12.out_row = d->G_row;
  take_linear(vector, d->W, d->M, &block->w3);
  block->w3.in_row = d->M_row;
  take_linear(vector, 6 * d->W, d->W, &block->modulation);
}

PetscErrorCode layout_bind(const Dimensions *d, Scalar *values, size_t count, Weights *weights, BlockWeights *blocks)
{
  FlatVector vector = {.values = values};

  PetscFunctionBeginUser;
  take_linear(&vector, d->W, d->E, &weights->time1);
  take_linear(&vector, d->W, d->W, &weights->time2);
  if (d->modulated) take_without_bias(&vector, d->W, d->P, &weights->time_cosmology);
  take_linear(&vector, d->K * d->W, d->P, &weights->cosmology_embed);
  take(&vector, d->K * d->W, &weights->cosmology_token);
  if (d->S) take_without_bias(&vector, d->K * d->W, d->S, &weights->summary_embed);
  take_without_bias(&vector, d->bottleneck, d->field.values, &weights->field_embed1);
  take_linear(&vector, d->W, d->bottleneck, &weights->field_embed2);
  take(&vector, d->F * d->W, &weights->position);
  if (d->O) {
    take_without_bias(&vector, d->bottleneck, d->observation.values, &weights->observation_embed1);
    take_linear(&vector, d->W, d->bottleneck, &weights->observation_embed2);
  }
  for (size_t l = 0; l < d->L; l++) bind_block(d, &vector, &blocks[l]);
  take(&vector, d->W, &weights->head_field_norm);
  take_linear(&vector, 2 * d->W, d->W, &weights->head_modulation);
  take_linear(&vector, d->field.patch * d->field.patch * d->bins, d->W, &weights->head_field);
  take(&vector, d->W, &weights->head_cosmology_norm);
  take_linear(&vector, d->P, d->W, &weights->head_cosmology);
  PetscCheck(vector.used == count, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "network layout: %zu numbers bound of %zu in the table of tensors", vector.used, count);
  PetscFunctionReturn(PETSC_SUCCESS);
}
