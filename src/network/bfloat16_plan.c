/** \file bfloat16_plan.c  Which products in bfloat16 a network needs, and what oneDNN needs to make them.
 * \ingroup network */
#include "bfloat16.h"

#include <omp.h>
#include <string.h>

enum {
  UNIT = 64, /* columns that oneDNN packs together */
  LINE = 64 /* bytes */
};

/* ------------------------------------------------------------------ small things */

static PetscErrorCode succeeds(dnnl_status_t status, const char *what)
{
  PetscFunctionBeginUser;
  PetscCheck(status == dnnl_success, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "oneDNN could not %s (status %d)", what,
             (int)status);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static size_t larger(size_t a, size_t b)
{
  return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
  return a < b ? a : b;
}

/* Pieces of as equal a width as whole units allow. */
static size_t piece_width(size_t columns, size_t most)
{
  const size_t pieces = (columns + most - 1) / most;

  return ((columns + pieces - 1) / pieces + UNIT - 1) / UNIT * UNIT;
}

static size_t pieces_of(size_t columns, size_t most)
{
  const size_t width = piece_width(columns, most);

  return (columns + width - 1) / width;
}

static Linear *map_of(BlockWeights *block, size_t map)
{
  Linear *const maps[MAPS] = {&block->qkv, &block->proj, &block->w12, &block->w3};

  return maps[map];
}

/* Lengths of sequences: 0 before the observation's tokens come in, 1 after. */
static size_t tokens_of(const Dimensions *d, int length)
{
  return length ? d->T : d->K + d->F;
}

static PetscErrorCode describe(size_t rows, size_t columns, size_t row, size_t column, dnnl_data_type_t type,
                               dnnl_memory_desc_t *desc)
{
  const dnnl_dims_t sizes = {(dnnl_dim_t)rows, (dnnl_dim_t)columns}, strides = {(dnnl_dim_t)row, (dnnl_dim_t)column};

  PetscFunctionBeginUser;
  PetscCall(succeeds(dnnl_memory_desc_init_by_strides(desc, 2, sizes, type, strides), "describe a matrix"));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ planning */

const Bfloat16Product *bfloat16_find(const Bfloat16 *b, const Shape *s)
{
  for (size_t i = 0; i < b->products; i++) {
    const Shape *t = &b->product[i].shape;

    if (t->m == s->m && t->n == s->n && t->k == s->k && t->transposed == s->transposed && t->add == s->add)
      return &b->product[i];
  }
  return NULL;
}

/* How B is packed: the same for all products with as large a B, since one B serves them; at first as oneDNN likes. */
static PetscErrorCode describe_right(const Bfloat16 *b, const Shape *s, dnnl_memory_desc_t *desc)
{
  const dnnl_dims_t sizes = {(dnnl_dim_t)s->k, (dnnl_dim_t)s->n};

  PetscFunctionBeginUser;
  for (size_t i = 0; i < b->products; i++) {
    const Bfloat16Product *p = &b->product[i];

    if (p->plan && p->shape.n == s->n && p->shape.k == s->k && p->shape.transposed == s->transposed) {
      *desc = *dnnl_primitive_desc_query_md(p->plan, dnnl_query_weights_md, 0);
      PetscFunctionReturn(PETSC_SUCCESS);
    }
  }
  PetscCall(succeeds(dnnl_memory_desc_init_by_tag(desc, 2, sizes, dnnl_bf16, dnnl_format_tag_any), "plan a matrix"));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The first of oneDNN's ways to make this product that works in memory it is given ("brgemm"), else the first. */
static dnnl_status_t choose(dnnl_engine_t engine, const dnnl_matmul_desc_t *desc,
                            const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *plan)
{
  dnnl_primitive_desc_iterator_t ways = NULL;
  dnnl_status_t status = dnnl_primitive_desc_iterator_create(&ways, desc, attributes, engine, NULL);

  *plan = NULL;
  while (!status && !*plan) {
    const char *name = "";

    *plan = dnnl_primitive_desc_iterator_fetch(ways);
    dnnl_primitive_desc_query(*plan, dnnl_query_impl_info_str, 0, &name);
    if (strncmp(name, "brg", 3)) {
      dnnl_primitive_desc_destroy(*plan);
      *plan = NULL;
      status = dnnl_primitive_desc_iterator_next(ways);
    }
  }
  dnnl_primitive_desc_iterator_destroy(ways);
  return *plan ? dnnl_success : dnnl_primitive_desc_create(plan, desc, attributes, engine, NULL);
}

static dnnl_status_t create_attributes(PetscBool add, dnnl_primitive_attr_t *attributes)
{
  dnnl_post_ops_t after = NULL;
  dnnl_status_t status = dnnl_primitive_attr_create(attributes);

  if (!status) status = dnnl_primitive_attr_set_scratchpad_mode(*attributes, dnnl_scratchpad_mode_user);
  if (!status && add) status = dnnl_post_ops_create(&after);
  if (!status && add) status = dnnl_post_ops_append_sum(after, 1);
  if (!status && add) status = dnnl_primitive_attr_set_post_ops(*attributes, after);
  if (after) dnnl_post_ops_destroy(after);
  return status;
}

static PetscErrorCode plan_product(const Bfloat16 *b, Bfloat16Product *product)
{
  const Shape *s = &product->shape;
  const size_t a_row = s->transposed ? 1 : s->k, a_column = s->transposed ? s->m : 1;
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_memory_desc_t left, right, sums;
  dnnl_matmul_desc_t desc;

  PetscFunctionBeginUser;
  PetscCall(describe(s->m, s->k, a_row, a_column, dnnl_bf16, &left));
  PetscCall(describe_right(b, s, &right));
  PetscCall(describe(s->m, s->n, s->n, 1, dnnl_f32, &sums));
  PetscCall(succeeds(dnnl_matmul_desc_init(&desc, &left, &right, NULL, &sums), "describe a product"));
  dnnl_status_t status = create_attributes(s->add, &attributes);
  if (!status) status = choose(b->engine, &desc, attributes, &product->plan);
  if (attributes) dnnl_primitive_attr_destroy(attributes);
  PetscCall(succeeds(status, "plan a product"));
  PetscCall(succeeds(dnnl_primitive_create(&product->primitive, product->plan), "prepare a product"));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Have a product of this shape. */
static PetscErrorCode want(Network *n, Shape shape)
{
  Bfloat16 *b = n->bfloat16;
  Bfloat16Bytes *bytes = &n->bfloat16_bytes;

  PetscFunctionBeginUser;
  if (bfloat16_find(b, &shape)) PetscFunctionReturn(PETSC_SUCCESS);
  if (b->products == b->room) {
    b->room = 2 * b->room + 16;
    PetscCall(PetscRealloc(b->room * sizeof *b->product, &b->product));
  }
  Bfloat16Product *const product = &b->product[b->products++];
  *product = (Bfloat16Product){.shape = shape};
  PetscCall(plan_product(b, product));
  const size_t work =
      dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(product->plan, dnnl_query_scratchpad_md, 0));
  bytes->left = larger(bytes->left, shape.m * shape.k * sizeof(uint16_t));
  bytes->sums = larger(bytes->sums, shape.m * shape.n * sizeof(float));
  bytes->work = larger(bytes->work, work);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* How to pack a factor of products of this shape from numbers so far apart, after those that are planned. */
static PetscErrorCode plan_factor(const Bfloat16 *b, const Shape *s, size_t row, size_t column, Factors *all,
                                  Factor *factor)
{
  dnnl_primitive_desc_t plan = NULL;

  PetscFunctionBeginUser;
  PetscCall(describe(s->k, s->n, row, column, dnnl_f32, &factor->plain_desc));
  PetscCall(describe_right(b, s, &factor->packed_desc));
  dnnl_status_t status =
      dnnl_reorder_primitive_desc_create(&plan, &factor->plain_desc, b->engine, &factor->packed_desc, b->engine, NULL);
  if (!status) status = dnnl_primitive_create(&factor->pack, plan);
  if (plan) dnnl_primitive_desc_destroy(plan);
  PetscCall(succeeds(status, "prepare the packing of a matrix"));
  factor->offset = all->bytes;
  factor->bytes = dnnl_memory_desc_get_size(&factor->packed_desc);
  all->bytes += (factor->bytes + LINE - 1) / LINE * LINE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Products of one piece of a weight with the rows of every size that there are. */
static PetscErrorCode want_rows(Network *n, Shape shape)
{
  const Dimensions *d = &n->dims;

  PetscFunctionBeginUser;
  for (int length = d->start ? 0 : 1; length < 2; length++)
    for (size_t piece = 0; piece < row_blocks_per_sample(tokens_of(d, length)); piece++) {
      shape.m = row_block(piece, tokens_of(d, length)).rows;
      PetscCall(want(n, shape));
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode plan_weight(Network *n, const Linear *linear, Direction direction, Factors *weight)
{
  const PetscBool forward = direction == DIRECTION_FORWARD ? PETSC_TRUE : PETSC_FALSE;
  const size_t columns = forward ? linear->out : linear->in, width = piece_width(columns, WEIGHT_COLUMNS);

  PetscFunctionBeginUser;
  weight->count = pieces_of(columns, WEIGHT_COLUMNS);
  PetscCall(PetscCalloc1(weight->count, &weight->factor));
  for (size_t i = 0; i < weight->count; i++) {
    Factor *factor = &weight->factor[i];

    factor->first = i * width;
    factor->columns = smaller(width, columns - factor->first);
    const Shape shape = {.n = factor->columns, .k = forward ? linear->in : linear->out};
    PetscCall(want_rows(n, shape));
    PetscCall(plan_factor(n->bfloat16, &shape, forward ? 1 : linear->in, forward ? linear->in : 1, weight, factor));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Products of one piece of a sample's input with every size of tile, the first sample's and those added to it. */
static PetscErrorCode want_tiles(Network *n, size_t out, Shape shape)
{
  PetscFunctionBeginUser;
  for (size_t first = 0; first < out; first += TILE_ROWS)
    for (int add = 0; add < 2; add++) {
      shape.m = smaller(TILE_ROWS, out - first);
      shape.add = add ? PETSC_TRUE : PETSC_FALSE;
      PetscCall(want(n, shape));
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode plan_input(Network *n, const Linear *linear, size_t tokens, Factors *input)
{
  const size_t pieces = pieces_of(linear->in, TILE_COLUMNS), width = piece_width(linear->in, TILE_COLUMNS);

  PetscFunctionBeginUser;
  input->count = n->capacity * pieces;
  PetscCall(PetscCalloc1(input->count, &input->factor));
  for (size_t i = 0; i < input->count; i++) {
    Factor *factor = &input->factor[i];

    factor->first = i % pieces * width;
    factor->columns = smaller(width, linear->in - factor->first);
    const Shape shape = {.n = factor->columns, .k = tokens, .transposed = PETSC_TRUE};
    PetscCall(want_tiles(n, linear->out, shape));
    PetscCall(plan_factor(n->bfloat16, &shape, linear->in_row, 1, input, factor));
  }
  n->bfloat16_bytes.inputs = larger(n->bfloat16_bytes.inputs, input->bytes);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode plan_all(Network *n)
{
  Bfloat16 *b = n->bfloat16;

  PetscFunctionBeginUser;
  PetscCall(succeeds(dnnl_engine_create(&b->engine, dnnl_cpu, 0), "start"));
  for (size_t i = 0; i < MAPS; i++) {
    const Linear *linear = map_of(&n->blocks[0], i);
    Bfloat16Map *map = &b->map[i];

    PetscCall(plan_weight(n, linear, DIRECTION_FORWARD, &map->weight[DIRECTION_FORWARD]));
    PetscCall(plan_weight(n, linear, DIRECTION_BACKWARD, &map->weight[DIRECTION_BACKWARD]));
    for (int length = n->dims.start ? 0 : 1; length < 2; length++)
      PetscCall(plan_input(n, linear, tokens_of(&n->dims, length), &map->input[length]));
    map->pieces = pieces_of(linear->in, TILE_COLUMNS);
    for (size_t l = 0; l < n->dims.L; l++) map_of(&n->blocks[l], i)->bfloat16 = map;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A product is planned for the number of threads that there are then: for the one that will make it. */
PetscErrorCode bfloat16_create(Network *n)
{
  const int threads = omp_get_max_threads();

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&n->bfloat16));
  n->bfloat16->threads = n->threads;
  omp_set_num_threads(1);
  const PetscErrorCode error = plan_all(n);
  omp_set_num_threads(threads);
  PetscFunctionReturn(error);
}

size_t bfloat16_packed_bytes(const Bfloat16Map *map)
{
  return larger(map->weight[DIRECTION_FORWARD].bytes, map->weight[DIRECTION_BACKWARD].bytes);
}

/* ------------------------------------------------------------------ places in the arena */

static PetscErrorCode at(const Bfloat16 *b, const dnnl_memory_desc_t *desc, void *place, dnnl_memory_t *memory)
{
  PetscFunctionBeginUser;
  PetscCall(succeeds(dnnl_memory_create(memory, desc, b->engine, place), "name a matrix"));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode bind_factors(const Bfloat16 *b, const Factors *factors, void *place)
{
  PetscFunctionBeginUser;
  for (size_t i = 0; i < factors->count; i++) {
    Factor *factor = &factors->factor[i];

    PetscCall(at(b, &factor->plain_desc, DNNL_MEMORY_NONE, &factor->plain));
    PetscCall(at(b, &factor->packed_desc, (char *)place + factor->offset, &factor->packed));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode bind_product(const Network *n, Bfloat16Product *product)
{
  const Bfloat16 *b = n->bfloat16;
  const_dnnl_primitive_desc_t plan = product->plan;

  PetscFunctionBeginUser;
  PetscCall(PetscCalloc3(b->threads, &product->a, b->threads, &product->c, b->threads, &product->work));
  for (int t = 0; t < b->threads; t++) {
    const ThreadScratch *scratch = &n->scratch[t];

    PetscCall(at(b, dnnl_primitive_desc_query_md(plan, dnnl_query_src_md, 0), scratch->left, &product->a[t]));
    PetscCall(at(b, dnnl_primitive_desc_query_md(plan, dnnl_query_dst_md, 0), scratch->sums, &product->c[t]));
    PetscCall(at(b, dnnl_primitive_desc_query_md(plan, dnnl_query_scratchpad_md, 0), scratch->work, &product->work[t]));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode bfloat16_bind(Network *n)
{
  Bfloat16 *b = n->bfloat16;

  PetscFunctionBeginUser;
  PetscCall(PetscCalloc1((size_t)b->threads, &b->stream));
  for (int t = 0; t < b->threads; t++)
    PetscCall(succeeds(dnnl_stream_create(&b->stream[t], b->engine, dnnl_stream_default_flags), "start a stream"));
  for (size_t i = 0; i < b->products; i++) PetscCall(bind_product(n, &b->product[i]));
  for (size_t i = 0; i < MAPS; i++)
    for (int j = 0; j < 2; j++) {
      PetscCall(bind_factors(b, &b->map[i].weight[j], map_of(&n->blocks[0], i)->panels));
      PetscCall(bind_factors(b, &b->map[i].input[j], n->packed_inputs));
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode destroy_factors(Factors *factors)
{
  PetscFunctionBeginUser;
  for (size_t i = 0; i < factors->count; i++) {
    Factor *factor = &factors->factor[i];

    if (factor->plain) dnnl_memory_destroy(factor->plain);
    if (factor->packed) dnnl_memory_destroy(factor->packed);
    if (factor->pack) dnnl_primitive_destroy(factor->pack);
  }
  PetscCall(PetscFree(factors->factor));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode destroy_product(const Bfloat16 *b, Bfloat16Product *product)
{
  PetscFunctionBeginUser;
  for (int t = 0; product->a && t < b->threads; t++) {
    if (product->a[t]) dnnl_memory_destroy(product->a[t]);
    if (product->c[t]) dnnl_memory_destroy(product->c[t]);
    if (product->work[t]) dnnl_memory_destroy(product->work[t]);
  }
  PetscCall(PetscFree3(product->a, product->c, product->work));
  if (product->primitive) dnnl_primitive_destroy(product->primitive);
  if (product->plan) dnnl_primitive_desc_destroy(product->plan);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode bfloat16_destroy(Network *n)
{
  Bfloat16 *b = n->bfloat16;

  PetscFunctionBeginUser;
  if (!b) PetscFunctionReturn(PETSC_SUCCESS);
  for (size_t i = 0; i < 2 * MAPS; i++) {
    PetscCall(destroy_factors(&b->map[i / 2].weight[i % 2]));
    PetscCall(destroy_factors(&b->map[i / 2].input[i % 2]));
  }
  for (size_t i = 0; i < b->products; i++) PetscCall(destroy_product(b, &b->product[i]));
  PetscCall(PetscFree(b->product));
  for (int t = 0; b->stream && t < b->threads; t++)
    if (b->stream[t]) dnnl_stream_destroy(b->stream[t]);
  PetscCall(PetscFree(b->stream));
  if (b->engine) dnnl_engine_destroy(b->engine);
  PetscCall(PetscFree(n->bfloat16));
  PetscFunctionReturn(PETSC_SUCCESS);
}
