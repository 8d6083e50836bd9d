/** \file arena.c  All memory of a network in one block, laid out before the first step.  \ingroup network */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64 }; /* bytes: a cache line, and the widest vector */

/** One array: where its address goes and how many bytes it has. */
typedef struct {
  void **pointer;
  size_t bytes;
} ArenaItem;

/** The first pass only counts (memory is NULL); the second places. */
typedef struct {
  char *memory;
  size_t used;
} Arena;

static void place(Arena *arena, const ArenaItem *items, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    *items[i].pointer = arena->memory && items[i].bytes ? arena->memory + arena->used : NULL;
    arena->used += (items[i].bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  }
}

#define SCALARS(member, count)                                                                                         \
  {                                                                                                                    \
    (void **)&(member), (count) * sizeof(Scalar)                                                                       \
  }
#define BYTES(member, count)                                                                                           \
  {                                                                                                                    \
    (void **)&(member), (count)                                                                                        \
  }
#define PLACE(arena, items) place(arena, items, sizeof(items) / sizeof *(items))

static void place_parameters(Network *n, Arena *arena)
{
  const ArenaItem items[] = {
      SCALARS(n->values, n->parameter_count),
      SCALARS(n->gradient, n->mode != NETWORK_INFERENCE ? n->parameter_count : 0),
  };

  PLACE(arena, items);
}

/* What only backward looks at again is not kept at inference: it stays in the threads' scratch. */
static void place_store(const Network *n, Arena *arena, BlockStore *store, size_t T)
{
  const Dimensions *d = &n->dims;
  const size_t B = n->capacity, kept = n->mode != NETWORK_INFERENCE ? B * T : 0;
  const ArenaItem items[] = {
      SCALARS(store->x, B * T * d->W),
      SCALARS(store->x_mid, B * T * d->W),
      SCALARS(store->r1, B * T),
      SCALARS(store->r2, B * T),
      SCALARS(store->qkv, B * T * 3 * d->W),
      SCALARS(store->o, B * T * d->W),
      SCALARS(store->log_sum, B * d->H * T),
      SCALARS(store->modulation, B * 6 * d->W),
      SCALARS(store->gain, B * 2 * d->W),
      SCALARS(store->f1, kept * d->W),
      SCALARS(store->f2, kept * d->W),
      SCALARS(store->gu, kept * d->G_row),
  };

  PLACE(arena, items);
}

/* Instead of the x that the store has from the shared one. */
static void place_input(const Network *n, Arena *arena, BlockStore *store, size_t T)
{
  const ArenaItem items[] = {SCALARS(store->x, n->capacity * T * n->dims.W)};

  PLACE(arena, items);
}

static void place_stores(Network *n, Arena *arena)
{
  if (n->mode == NETWORK_TRAINING) {
    for (size_t l = 0; l < n->dims.L; l++) place_store(n, arena, &n->stores[l], tokens_in_block(&n->dims, l));
    return;
  }
  place_store(n, arena, &n->stores[0], n->dims.T);
  for (size_t l = 1; l < n->dims.L; l++) {
    n->stores[l] = n->stores[0];
    if (n->mode == NETWORK_RECOMPUTING) place_input(n, arena, &n->stores[l], tokens_in_block(&n->dims, l));
  }
}

static void place_forward(Network *n, Arena *arena)
{
  const Dimensions *d = &n->dims;
  const size_t B = n->capacity, W = d->W;
  const ArenaItem items[] = {
      SCALARS(n->rotation[0], (d->K + d->F) * d->D),
      SCALARS(n->rotation[1], d->T * d->D),
      SCALARS(n->frequencies, B * d->E),
      SCALARS(n->time_hidden, B * W),
      SCALARS(n->time_silu, B * W),
      SCALARS(n->time, B * W),
      SCALARS(n->time_theta, d->modulated ? B * W : 0),
      SCALARS(n->c_hat, B * W),
      SCALARS(n->patches, B * d->F * d->field.values),
      SCALARS(n->bottle, B * d->F * d->bottleneck),
      SCALARS(n->observation_patches, B * d->O * d->observation.values),
      SCALARS(n->observation_bottle, B * d->O * d->bottleneck),
      SCALARS(n->observation_tokens, B * d->O * W),
      SCALARS(n->theta, B * d->P),
      SCALARS(n->cosmology, B * d->K * W),
      SCALARS(n->summaries, B * d->S),
      SCALARS(n->summary_tokens, d->S ? B * d->K * W : 0),
      SCALARS(n->before, d->start ? B * (d->K + d->F) * W : 0),
      SCALARS(n->final, n->mode != NETWORK_INFERENCE ? B * d->T * W : 0),
      SCALARS(n->head_modulation, B * 2 * W),
      SCALARS(n->head_gain, B * W),
      SCALARS(n->head_r, B * d->F),
      SCALARS(n->head_y, B * d->F * d->field.patch * d->field.patch * d->bins),
      SCALARS(n->times, B),
      SCALARS(n->map_factors.guess, B),
      SCALARS(n->map_factors.residual, B),
      SCALARS(n->theta_factors.guess, B),
      SCALARS(n->theta_factors.residual, B),
      SCALARS(n->mean, B * W),
      SCALARS(n->mean_r, B),
      SCALARS(n->mean_h, B * W),
      SCALARS(n->zeros, 6 * W > 2 * d->M ? 6 * W : 2 * d->M),
      BYTES(n->dropout_index, B * sizeof *n->dropout_index),
  };

  PLACE(arena, items);
  if (!n->final) n->final = n->stores[0].x; /* blocks work back and forth between x and x_mid */
}

/* Room for a map's weight in panels, for either direction. */
static void place_panels(const Network *n, Arena *arena, Linear *linear)
{
  const size_t forward = panels_size(n, linear->out, linear->in);
  const size_t backward = n->mode != NETWORK_INFERENCE ? panels_size(n, linear->in, linear->out) : 0;
  const size_t bytes = linear->bfloat16 ? n->bfloat16_products->packed_bytes(linear->bfloat16)
                                        : (forward > backward ? forward : backward) * sizeof(Scalar);
  const ArenaItem items[] = {BYTES(linear->panels, bytes)};

  PLACE(arena, items);
}

static void place_all_panels(Network *n, Arena *arena)
{
  Weights *weights = &n->weights;
  BlockWeights *first = &n->blocks[0];
  Linear *const maps[] = {&weights->field_embed1,
                          &weights->field_embed2,
                          &weights->observation_embed1,
                          &weights->observation_embed2,
                          &weights->head_field,
                          &first->qkv,
                          &first->proj,
                          &first->w12,
                          &first->w3};

  for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) place_panels(n, arena, maps[i]);
  for (size_t l = 1; l < n->dims.L; l++) { /* one block is at work at a time */
    n->blocks[l].qkv.panels = first->qkv.panels;
    n->blocks[l].proj.panels = first->proj.panels;
    n->blocks[l].w12.panels = first->w12.panels;
    n->blocks[l].w3.panels = first->w3.panels;
  }
}

static void place_backward(Network *n, Arena *arena)
{
  const Dimensions *d = &n->dims;
  const size_t B = n->capacity, BT = B * d->T, W = d->W;
  const ArenaItem items[] = {
      SCALARS(n->x_bar, BT * W),
      SCALARS(n->f1_bar, BT * W),
      SCALARS(n->f2_bar, BT * W),
      SCALARS(n->o_bar, BT * W),
      SCALARS(n->h, BT * W),
      SCALARS(n->a, BT * d->M_row),
      SCALARS(n->gu_bar, BT * d->G_row),
      SCALARS(n->qkv_bar, BT * 3 * W),
      SCALARS(n->observation_bar, B * d->O * W),
      SCALARS(n->partial, B * row_blocks_per_sample(d->T) * partial_size(d)),
      SCALARS(n->mean_bar, B * W),
      SCALARS(n->theta_bar, B * d->P),
      SCALARS(n->qk_norm_bar, B * d->H * 2 * d->D),
      SCALARS(n->modulation_bar, B * 6 * W),
      SCALARS(n->c_hat_bar, B * W),
      SCALARS(n->time_bar, B * W),
      SCALARS(n->frequencies_bar, B * d->E),
      SCALARS(n->cosmology_bar, B * d->K * W),
      SCALARS(n->bottle_bar, B * (d->F > d->O ? d->F : d->O) * d->bottleneck),
      SCALARS(n->patch_bar, B * (d->F * d->field.values > d->O * d->observation.values ? d->F * d->field.values
                                                                                       : d->O * d->observation.values)),
      BYTES(n->packed_inputs, n->bfloat16_bytes.inputs),
  };

  PLACE(arena, items);
}

static void place_scratch(const Network *n, Arena *arena, ThreadScratch *scratch)
{
  const Dimensions *d = &n->dims;
  const size_t training = n->mode != NETWORK_INFERENCE ? 1 : 0, stride = logit_stride(n->kernels, d->T);
  const ArenaItem items[] = {
      SCALARS(scratch->h, ROWS * d->W),
      SCALARS(scratch->f, ROWS * d->W),
      SCALARS(scratch->gu, ROWS * d->G_row),
      SCALARS(scratch->a, ROWS * d->M_row),
      SCALARS(scratch->q, d->T * d->D),
      SCALARS(scratch->k, d->T * d->D),
      SCALARS(scratch->v, d->T * d->D),
      SCALARS(scratch->k_across, panels_size(n, d->T, d->D)),
      SCALARS(scratch->v_down, panels_size(n, d->D, d->T)),
      SCALARS(scratch->q_down, training * panels_size(n, d->D, d->T)),
      SCALARS(scratch->k_down, training * panels_size(n, d->D, d->T)),
      SCALARS(scratch->v_across, training * panels_size(n, d->T, d->D)),
      SCALARS(scratch->o_bar_down, training * panels_size(n, d->D, d->T)),
      SCALARS(scratch->s, ROWS * stride),
      SCALARS(scratch->q_bar, training * ROWS * d->D),
      SCALARS(scratch->k_bar, training * d->T * d->D),
      SCALARS(scratch->s_bar, training * ROWS * stride),
      SCALARS(scratch->delta, training * ROWS),
      SCALARS(scratch->factors, training * ROWS * (stride > d->M ? stride : d->M)),
      SCALARS(scratch->panels, packed_panels_size(n)),
      SCALARS(scratch->strips, training * packed_strips_size(n)),
      BYTES(scratch->left, n->bfloat16_bytes.left),
      BYTES(scratch->sums, n->bfloat16_bytes.sums),
      BYTES(scratch->work, n->bfloat16_bytes.work),
  };

  PLACE(arena, items);
}

static size_t lay_out(Network *network, char *memory)
{
  Arena arena = {.memory = memory};

  place_parameters(network, &arena);
  place_stores(network, &arena);
  place_forward(network, &arena);
  place_all_panels(network, &arena);
  if (network->mode != NETWORK_INFERENCE) place_backward(network, &arena);
  for (int thread = 0; thread < network->threads; thread++) place_scratch(network, &arena, &network->scratch[thread]);
  return arena.used;
}

size_t arena_size(Network *network)
{
  return lay_out(network, NULL);
}

/* Large pages, where the system has them for the asking, spare a large network some 3% of its time. */
static void *allocate(size_t bytes)
{
  const size_t page = (size_t)1 << 21, alignment = bytes < page ? ALIGNMENT : page;
  void *memory = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);

  if (memory && alignment == page)
    madvise(memory, bytes, MADV_HUGEPAGE); /* a wish: whether it is granted is no matter */
  return memory;
}

PetscErrorCode arena_create(Network *network)
{
  PetscFunctionBeginUser;
  network->arena_bytes = arena_size(network);
  network->arena = allocate(network->arena_bytes);
  PetscCheck(network->arena, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "the network needs %.3g GiB for a batch of %zu, which this machine refuses; a smaller batch needs less",
             (double)network->arena_bytes / 0x1p30, network->capacity);
  memset(network->arena, 0, network->arena_bytes);
  lay_out(network, network->arena);
  PetscFunctionReturn(PETSC_SUCCESS);
}
