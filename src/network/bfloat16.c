/** \file bfloat16.c  Products of the blocks' linear maps in bfloat16, summed in float32, made by oneDNN.
 * \ingroup network */
#include "bfloat16.h"

#include <omp.h>
#include <string.h>

/* On this thread alone: some of oneDNN's ways open a parallel region of their own wherever ours has a single thread.  A
 * void function within a parallel region cannot return an error: check() finds it. */
static void execute(Bfloat16 *b, const_dnnl_primitive_t primitive, int count, const dnnl_exec_arg_t *arguments)
{
  const int threads = omp_get_max_threads();

  omp_set_num_threads(1);
  const dnnl_status_t status = dnnl_primitive_execute(primitive, b->stream[omp_get_thread_num()], count, arguments);
  omp_set_num_threads(threads);
  if (status) {
#pragma omp atomic write
    b->failed = (int)status;
  }
}

static void pack_factor(Bfloat16 *b, const Factor *factor, const Scalar *plain)
{
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, factor->plain}, {DNNL_ARG_TO, factor->packed}};

  dnnl_memory_set_data_handle(factor->plain, (void *)plain); /* which is read only */
  execute(b, factor->pack, 2, arguments);
}

/* From this thread's left factor to its sums. */
static void multiply_factor(Bfloat16 *b, const Shape *shape, const Factor *factor)
{
  const Bfloat16Product *product = bfloat16_find(b, shape);
  const int thread = omp_get_thread_num();

  if (!product) {
#pragma omp atomic write
    b->failed = (int)dnnl_unimplemented;
    return;
  }
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, product->a[thread]},
                                       {DNNL_ARG_WEIGHTS, factor->packed},
                                       {DNNL_ARG_DST, product->c[thread]},
                                       {DNNL_ARG_SCRATCHPAD, product->work[thread]}};

  execute(b, product->primitive, sizeof arguments / sizeof *arguments, arguments);
}

static void pack(const Network *n, const Linear *const *maps, size_t count, Direction direction)
{
  for (size_t i = 0; i < count; i++) {
    const Linear *map = maps[i];
    const Factors *weight = &map->bfloat16->weight[direction];
    const size_t column = direction == DIRECTION_FORWARD ? map->in : 1; /* distance of B's columns */

#pragma omp for schedule(dynamic) nowait
    for (size_t j = 0; j < weight->count; j++)
      pack_factor(n->bfloat16, &weight->factor[j], map->weight + weight->factor[j].first * column);
  }
}

static void multiply(const Network *n, const Linear *linear, Direction direction, size_t rows, const Scalar *x,
                     Scalar *y)
{
  const PetscBool forward = direction == DIRECTION_FORWARD ? PETSC_TRUE : PETSC_FALSE;
  const size_t x_width = forward ? linear->in : linear->out, x_row = forward ? linear->in_row : linear->out_row;
  const size_t y_row = forward ? linear->out_row : linear->in_row;
  const Factors *weight = &linear->bfloat16->weight[direction];
  const ThreadScratch *scratch = &n->scratch[omp_get_thread_num()];
  const Scalar *sums = scratch->sums;

  n->kernels->round_bfloat16(
      &(RoundBfloat16){.rows = rows, .width = x_width, .x_row = x_row, .x = x, .y = scratch->left});
  for (size_t i = 0; i < weight->count; i++) {
    const Factor *factor = &weight->factor[i];

    multiply_factor(n->bfloat16, &(Shape){.m = rows, .n = factor->columns, .k = x_width}, factor);
    for (size_t row = 0; row < rows; row++)
      memcpy(y + row * y_row + factor->first, sums + row * factor->columns, factor->columns * sizeof *y);
  }
}

/* ------------------------------------------------------------------ gradients of weights */

/** One tile of a weight's gradient. */
typedef struct {
  size_t row, rows; /* of the gradient */
  size_t piece; /* of its columns */
  size_t tokens; /* of a sample, which it is a sum over */
} Tile;

/* gradient (+)= the tile that was summed */
static void hand_on(const Network *n, const Linear *linear, const Tile *tile, const Factor *factor, const Scalar *sums)
{
  Scalar *gradient = gradient_of(n, linear->weight) + tile->row * linear->in + factor->first;

  for (size_t i = 0; i < tile->rows; i++, gradient += linear->in, sums += factor->columns)
    if (n->gradient_is_zero)
      memcpy(gradient, sums, factor->columns * sizeof *sums);
    else
      for (size_t j = 0; j < factor->columns; j++) gradient[j] += sums[j];
}

/* One sample after the other, in one order whatever the number of threads. */
static void gradient_tile(const Network *n, const Linear *linear, const Tile *tile, const Scalar *y_bar)
{
  const ThreadScratch *scratch = &n->scratch[omp_get_thread_num()];
  const Bfloat16Map *map = linear->bfloat16;
  const size_t tokens = tile->tokens;
  const Factor *factor = &map->input[tokens == n->dims.T].factor[tile->piece];

  for (size_t sample = 0; sample < n->batch; sample++) {
    const Factor *of_sample = factor + sample * map->pieces;
    const Shape shape = {tile->rows, factor->columns, tokens, PETSC_TRUE, sample > 0 ? PETSC_TRUE : PETSC_FALSE};

    n->kernels->round_bfloat16(&(RoundBfloat16){.rows = tokens,
                                                .width = tile->rows,
                                                .x_row = linear->out_row,
                                                .x = y_bar + sample * tokens * linear->out_row + tile->row,
                                                .y = scratch->left});
    multiply_factor(n->bfloat16, &shape, of_sample);
  }
  hand_on(n, linear, tile, factor, scratch->sums);
}

static void gradient(const Network *n, const Linear *linear, size_t rows, const Scalar *y_bar, const Scalar *x)
{
  const Bfloat16Map *map = linear->bfloat16;
  const size_t tokens = rows / n->batch, tiles = (linear->out + TILE_ROWS - 1) / TILE_ROWS;
  const Factors *input = &map->input[tokens == n->dims.T];

#pragma omp parallel num_threads(n->threads)
  {
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < n->batch * map->pieces; i++)
      pack_factor(n->bfloat16, &input->factor[i],
                  x + i / map->pieces * tokens * linear->in_row + input->factor[i].first);
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < tiles * map->pieces; i++) {
      const size_t row = i / map->pieces * TILE_ROWS, left = linear->out - row;
      const Tile tile = {row, left < TILE_ROWS ? left : TILE_ROWS, i % map->pieces, tokens};

      gradient_tile(n, linear, &tile, y_bar);
    }
  }
}

/* ------------------------------------------------------------------ all of them */

static PetscErrorCode check(const Network *n)
{
  PetscFunctionBeginUser;
  PetscCheck(!n->bfloat16->failed, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "oneDNN could not make a product in bfloat16 (status %d)", n->bfloat16->failed);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static const Bfloat16Products all = {.create = bfloat16_create,
                                     .packed_bytes = bfloat16_packed_bytes,
                                     .bind = bfloat16_bind,
                                     .destroy = bfloat16_destroy,
                                     .pack = pack,
                                     .multiply = multiply,
                                     .gradient = gradient,
                                     .check = check};

/* oneDNN would emulate the instructions, at less than a third of float32's rate. */
PetscErrorCode bfloat16_products(const Bfloat16Products **products)
{
  const unsigned needed = dnnl_cpu_isa_avx512_core_bf16, isa = (unsigned)dnnl_get_effective_cpu_isa();
  char host[256] = "";

  PetscFunctionBeginUser;
  *products = NULL;
  PetscCall(PetscGetHostName(host, sizeof host));
  PetscCheck((isa & needed) == needed, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "train_precision is bfloat16, and the processor of %s has no instructions for it (AVX512-BF16 or AMX), or "
             "ONEDNN_MAX_CPU_ISA hides them; train on nodes that have them, or in float32",
             host);
  *products = &all;
  PetscFunctionReturn(PETSC_SUCCESS);
}
