/** \file backward.c  From the gradient of the outputs to that of every parameter, finishing the flat vector from its
 * end.
 *
 * Sums over tokens are made per row block and then added in the order of the blocks, so that the result does not depend
 * on the number of threads.  \ingroup network */
#include "internal.h"

#include <omp.h>
#include <string.h>

/* ------------------------------------------------------------------ sums over row blocks */

static Scalar *partial_of(const Network *n, size_t row_block, size_t column)
{
  return n->partial + row_block * partial_size(&n->dims) + column;
}

/* gradient [width] += the row blocks' sums at `column` */
static void add_partials(const Network *n, size_t row_blocks, size_t column, size_t width, Scalar *gradient)
{
  for (size_t j = 0; j < width; j++) {
    double sum = 0;

    for (size_t i = 0; i < row_blocks; i++) sum += (double)*partial_of(n, i, column + j);
    gradient[j] += (Scalar)sum;
  }
}

/** The gradients of one modulated norm, of one gate: which of the modulation's vectors they are. */
typedef struct {
  size_t vectors; /* of the modulation: 6 in a block, 2 in the head */
  size_t pieces; /* row blocks per sample */
  const Scalar *modulation; /* [B][vectors W] */
} ModulationBar;

/* out [B][..] vector number `vector` = the sample's sums at `column` */
static void collect(const Network *n, const ModulationBar *m, size_t column, size_t vector)
{
  const size_t W = n->dims.W;

  for (size_t b = 0; b < n->batch; b++) {
    Scalar *out = n->modulation_bar + (b * m->vectors + vector) * W;

    for (size_t j = 0; j < W; j++) {
      double sum = 0;

      for (size_t piece = 0; piece < m->pieces; piece++)
        sum += (double)*partial_of(n, b * m->pieces + piece, column * W + j);
      out[j] = (Scalar)sum;
    }
  }
}

/* h = n w (1 + gamma) + beta: the sums of h_bar and h_bar n at `column` and after it give the gradients of beta (vector
 * number `vector`), gamma (the next one) and w. */
static void collect_norm(const Network *n, const ModulationBar *m, size_t column, size_t vector, const Scalar *weight)
{
  const size_t W = n->dims.W;
  Scalar *weight_bar = gradient_of(n, weight);

  collect(n, m, column, vector);
  collect(n, m, column + 1, vector + 1);
  for (size_t b = 0; b < n->batch; b++) {
    const Scalar *gamma = m->modulation + (b * m->vectors + vector + 1) * W;
    Scalar *gamma_bar = n->modulation_bar + (b * m->vectors + vector + 1) * W;

    for (size_t j = 0; j < W; j++) {
      weight_bar[j] += (1 + gamma[j]) * gamma_bar[j];
      gamma_bar[j] *= weight[j];
    }
  }
}

/* modulation = A c_hat + a */
static void modulation_backward(Network *n, const Linear *linear)
{
  affine_gradient(n, linear, n->batch, n->modulation_bar, n->c_hat);
  affine_backward(n, linear, n->batch, n->modulation_bar, n->time_bar);
  for (size_t i = 0; i < n->batch * n->dims.W; i++) n->c_hat_bar[i] += n->time_bar[i];
}

/* ------------------------------------------------------------------ heads */

static void field_head_backward(Network *n, RowBlock rows, size_t index, ThreadScratch *scratch)
{
  const Dimensions *d = &n->dims;
  const size_t W = d->W, at = rows.sample * d->F + rows.token;
  const size_t token = rows.sample * d->T + d->T - d->F + rows.token;
  const Linear *linear = &n->weights.head_field;

  linear_backward(n, linear, rows.rows, n->head_y + at * linear->out, scratch->h);
  n->kernels->norm_backward(&(NormBackward){.rows = rows.rows,
                                            .width = W,
                                            .x = n->final + token * W,
                                            .r = n->head_r + at,
                                            .gain = n->head_gain + rows.sample * W,
                                            .shift = n->head_modulation + rows.sample * 2 * W,
                                            .h_bar = scratch->h,
                                            .x_bar = n->x_bar + token * W,
                                            .h = n->h + at * W,
                                            .sum_h_bar = partial_of(n, index, PARTIAL_H1 * W),
                                            .sum_h_bar_n = partial_of(n, index, PARTIAL_H1N * W)});
}

static void cosmology_head_backward(Network *n, const Scalar *theta_bar)
{
  const Dimensions *d = &n->dims;
  const size_t W = d->W;
  const Linear *linear = &n->weights.head_cosmology;

  affine_gradient(n, linear, n->batch, theta_bar, n->mean_h);
  affine_backward(n, linear, n->batch, theta_bar, n->time_bar);
  memset(n->mean_bar, 0, n->batch * W * sizeof *n->mean_bar);
  n->kernels->norm_backward(&(NormBackward){.rows = n->batch,
                                            .width = W,
                                            .x = n->mean,
                                            .r = n->mean_r,
                                            .gain = n->weights.head_cosmology_norm,
                                            .shift = n->zeros,
                                            .h_bar = n->time_bar,
                                            .x_bar = n->mean_bar,
                                            .h = n->h,
                                            .sum_h_bar = partial_of(n, 0, PARTIAL_H1 * W),
                                            .sum_h_bar_n = partial_of(n, 0, PARTIAL_H1N * W)});
  add_partials(n, 1, PARTIAL_H1N * W, W, gradient_of(n, n->weights.head_cosmology_norm));
  for (size_t b = 0; b < n->batch; b++)
    for (size_t i = 0; i < d->K * W; i++) n->x_bar[b * d->T * W + i] += n->mean_bar[b * W + i % W] / (Scalar)d->K;
}

/* From the gradient of the answer to that of the heads. */
static void residual_backward(Network *n, const Scalar *theta_bar)
{
  const size_t values = n->shape.config.output == OUTPUT_RESIDUAL ? n->dims.F * output_grid(&n->dims).values : 0;
  const size_t P = n->dims.P;

#pragma omp parallel for num_threads(n->threads)
  for (size_t b = 0; b < n->batch; b++) {
    for (size_t i = b * values; i < (b + 1) * values; i++) n->head_y[i] *= n->map_factors.residual[b];
    for (size_t i = b * P; i < (b + 1) * P; i++) n->theta_bar[i] = n->theta_factors.residual[b] * theta_bar[i];
  }
}

/* What the answer has of z, where that is wanted. */
static void guess_backward(const Network *n, size_t size, const ResidualFactors *factors, const Scalar *bar,
                           Scalar *z_bar)
{
  if (!z_bar) return;
  for (size_t i = 0; i < n->batch * size; i++) z_bar[i] += factors->guess[i / size] * bar[i];
}

static void heads_backward(Network *n, const Scalar *map_bar, const Scalar *theta_bar)
{
  const Dimensions *d = &n->dims;
  const PatchGrid grid = output_grid(d);
  const MapChannels channels = output_channels(d);
  const size_t pieces = row_blocks_per_sample(d->F), row_blocks = n->batch * pieces;
  const ModulationBar modulation = {.vectors = 2, .pieces = pieces, .modulation = n->head_modulation};
  const Linear *map = &n->weights.head_field;
  const PetscBool residual = n->shape.config.output != OUTPUT_CLEAN ? PETSC_TRUE : PETSC_FALSE;

  memset(n->x_bar, 0, n->batch * d->T * d->W * sizeof *n->x_bar);
  memset(n->head_y, 0, n->batch * d->F * grid.values * sizeof *n->head_y); /* padded pixels: no gradient */
#pragma omp parallel for num_threads(n->threads)
  for (size_t b = 0; b < n->batch; b++)
    patches_gather(&grid, &channels, map_bar + b * d->bins * d->ny * d->nx, n->head_y + b * d->F * grid.values);
  if (residual) residual_backward(n, theta_bar);
#pragma omp parallel num_threads(n->threads)
  {
    linear_pack_backward(n, &map, 1);
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < row_blocks; i++)
      field_head_backward(n, row_block(i, d->F), i, &n->scratch[omp_get_thread_num()]);
  }
  affine_gradient(n, &n->weights.head_field, n->batch * d->F, n->head_y, n->h);
  collect_norm(n, &modulation, PARTIAL_H1, 0, n->weights.head_field_norm);
  modulation_backward(n, &n->weights.head_modulation);
  cosmology_head_backward(n, residual ? n->theta_bar : theta_bar);
}

/* ------------------------------------------------------------------ one block */

static size_t first_row(const Network *n, size_t block, RowBlock rows)
{
  return rows.sample * tokens_in_block(&n->dims, block) + rows.token;
}

/* From x_bar after the block through the gate and the MLP's second map: f2_bar, a, gu_bar. */
static void mlp_backward(const Network *n, size_t block, RowBlock rows, size_t index, ThreadScratch *scratch)
{
  const size_t W = n->dims.W, M = n->dims.M, at = first_row(n, block, rows);
  const BlockStore *store = &n->stores[block];
  const BlockWeights *weights = &n->blocks[block];
  const size_t M_row = n->dims.M_row, G_row = n->dims.G_row;
  const DropRows a_bar = {M, M_row, scratch->a, scratch->factors}, a = {M, M_row, n->a + at * M_row, scratch->factors};

  n->kernels->gate_backward(&(GateBackward){.rows = rows.rows,
                                            .width = W,
                                            .y_bar = n->x_bar + at * W,
                                            .f = store->f2 + at * W,
                                            .alpha = store->modulation + (rows.sample * 6 + 5) * W,
                                            .bias = weights->w3.bias,
                                            .f_bar = n->f2_bar + at * W,
                                            .alpha_bar = partial_of(n, index, PARTIAL_ALPHA2 * W)});
  n->kernels->column_sum(rows.rows, W, W, n->f2_bar + at * W, partial_of(n, index, PARTIAL_W3 * W));
  linear_backward(n, &weights->w3, rows.rows, n->f2_bar + at * W, scratch->a);
  if (dropout_acts(n, block)) dropout_rows(n, DROP_HIDDEN, block, rows, a_bar);
  n->kernels->swiglu_backward(&(SwigluBackward){.rows = rows.rows,
                                                .hidden = M,
                                                .gu_stride = G_row,
                                                .a_stride = M_row,
                                                .gu = store->gu + at * G_row,
                                                .bias = weights->w12.bias,
                                                .a_bar = scratch->a,
                                                .gu_bar = n->gu_bar + at * G_row,
                                                .a = a.values});
  if (dropout_acts(n, block)) drop_rows(n, rows.rows, a);
  n->kernels->column_sum(rows.rows, 2 * M, G_row, n->gu_bar + at * G_row, partial_of(n, index, PARTIAL_W12 * W));
}

/* Through the MLP's first map and norm2 into x_bar between the halves; then the gate of attention: f1_bar, o_bar. */
static void middle_backward(const Network *n, size_t block, RowBlock rows, size_t index, ThreadScratch *scratch)
{
  const size_t W = n->dims.W, at = first_row(n, block, rows);
  const BlockStore *store = &n->stores[block];
  const BlockWeights *weights = &n->blocks[block];
  const Scalar *modulation = store->modulation + rows.sample * 6 * W;
  const PetscBool drops = dropout_acts(n, block);

  linear_backward(n, &weights->w12, rows.rows, n->gu_bar + at * n->dims.G_row, scratch->h);
  n->kernels->norm_backward(&(NormBackward){.rows = rows.rows,
                                            .width = W,
                                            .x = store->x_mid + at * W,
                                            .r = store->r2 + at,
                                            .gain = store->gain + (rows.sample * 2 + 1) * W,
                                            .shift = modulation + 3 * W,
                                            .h_bar = scratch->h,
                                            .x_bar = n->x_bar + at * W,
                                            .h = n->h + at * W,
                                            .sum_h_bar = partial_of(n, index, PARTIAL_H2 * W),
                                            .sum_h_bar_n = partial_of(n, index, PARTIAL_H2N * W)});
  n->kernels->gate_backward(&(GateBackward){.rows = rows.rows,
                                            .width = W,
                                            .y_bar = n->x_bar + at * W,
                                            .f = store->f1 + at * W,
                                            .alpha = modulation + 2 * W,
                                            .bias = drops ? n->zeros : weights->proj.bias,
                                            .f_bar = n->f1_bar + at * W,
                                            .alpha_bar = partial_of(n, index, PARTIAL_ALPHA1 * W)});
  if (drops) dropout_rows(n, DROP_PROJECTION, block, rows, (DropRows){W, W, n->f1_bar + at * W, scratch->factors});
  n->kernels->column_sum(rows.rows, W, W, n->f1_bar + at * W, partial_of(n, index, PARTIAL_PROJ * W));
  linear_backward(n, &weights->proj, rows.rows, n->f1_bar + at * W, n->o_bar + at * W);
}

/* From the gradient of queries, keys and values into x_bar before the block. */
static void queries_keys_values_backward(const Network *n, size_t block, RowBlock rows, size_t index,
                                         ThreadScratch *scratch)
{
  const size_t W = n->dims.W, at = first_row(n, block, rows);
  const BlockStore *store = &n->stores[block];

  n->kernels->column_sum(rows.rows, 3 * W, 3 * W, n->qkv_bar + at * 3 * W, partial_of(n, index, PARTIAL_QKV * W));
  linear_backward(n, &n->blocks[block].qkv, rows.rows, n->qkv_bar + at * 3 * W, scratch->h);
  n->kernels->norm_backward(&(NormBackward){.rows = rows.rows,
                                            .width = W,
                                            .x = store->x + at * W,
                                            .r = store->r1 + at,
                                            .gain = store->gain + rows.sample * 2 * W,
                                            .shift = store->modulation + rows.sample * 6 * W,
                                            .h_bar = scratch->h,
                                            .x_bar = n->x_bar + at * W,
                                            .h = n->h + at * W,
                                            .sum_h_bar = partial_of(n, index, PARTIAL_H1 * W),
                                            .sum_h_bar_n = partial_of(n, index, PARTIAL_H1N * W)});
}

/* Biases, norms and modulation, from the sums that the row blocks left. */
static void small_gradients(Network *n, size_t block, size_t pieces)
{
  const Dimensions *d = &n->dims;
  const size_t W = d->W, D = d->D, row_blocks = n->batch * pieces;
  const BlockWeights *weights = &n->blocks[block];
  const ModulationBar modulation = {.vectors = 6, .pieces = pieces, .modulation = n->stores[block].modulation};
  Scalar *q_norm_bar = gradient_of(n, weights->q_norm), *k_norm_bar = gradient_of(n, weights->k_norm);

  add_partials(n, row_blocks, PARTIAL_QKV * W, 3 * W, gradient_of(n, weights->qkv.bias));
  add_partials(n, row_blocks, PARTIAL_PROJ * W, W, gradient_of(n, weights->proj.bias));
  add_partials(n, row_blocks, PARTIAL_W12 * W, 2 * d->M, gradient_of(n, weights->w12.bias));
  add_partials(n, row_blocks, PARTIAL_W3 * W, W, gradient_of(n, weights->w3.bias));
  for (size_t i = 0; i < n->batch * d->H; i++)
    for (size_t j = 0; j < D; j++) {
      q_norm_bar[j] += n->qk_norm_bar[i * 2 * D + j];
      k_norm_bar[j] += n->qk_norm_bar[i * 2 * D + D + j];
    }
  collect_norm(n, &modulation, PARTIAL_H1, 0, weights->norm1);
  collect(n, &modulation, PARTIAL_ALPHA1, 2);
  collect_norm(n, &modulation, PARTIAL_H2, 3, weights->norm2);
  collect(n, &modulation, PARTIAL_ALPHA2, 5);
  modulation_backward(n, &weights->modulation);
}

static void block_backward(Network *n, size_t block)
{
  const size_t T = tokens_in_block(&n->dims, block), H = n->dims.H, heads = n->batch * H;
  const size_t pieces = row_blocks_per_sample(T), row_blocks = n->batch * pieces, rows = n->batch * T;
  const BlockWeights *weights = &n->blocks[block];
  const Linear *const maps[] = {&weights->qkv, &weights->proj, &weights->w12, &weights->w3};

#pragma omp parallel num_threads(n->threads)
  {
    ThreadScratch *scratch = &n->scratch[omp_get_thread_num()];

    linear_pack_backward(n, maps, sizeof maps / sizeof *maps);
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < row_blocks; i++) {
      mlp_backward(n, block, row_block(i, T), i, scratch);
      middle_backward(n, block, row_block(i, T), i, scratch);
    }
  }
  lap(n, NETWORK_WAITING);
  linear_gradient(n, &weights->w3, rows, n->f2_bar, n->a);
  linear_gradient(n, &weights->w12, rows, n->gu_bar, n->h);
  linear_gradient(n, &weights->proj, rows, n->f1_bar, n->stores[block].o);
#pragma omp parallel num_threads(n->threads)
  {
    ThreadScratch *scratch = &n->scratch[omp_get_thread_num()];

#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < heads; i++) {
      attention_backward(n, (HeadTask){block, i / H, i % H}, scratch);
      lap(n, NETWORK_ATTENTION);
    }
    lap(n, NETWORK_WAITING);
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < row_blocks; i++) {
      queries_keys_values_backward(n, block, row_block(i, T), i, scratch);
      lap(n, NETWORK_ROWS);
    }
  }
  lap(n, NETWORK_WAITING);
  linear_gradient(n, &weights->qkv, rows, n->qkv_bar, n->h);
  small_gradients(n, block, pieces);
  lap(n, NETWORK_ENDS);
}

/* ------------------------------------------------------------------ the whole */

/** Whom to tell that the gradient is final from `end` on. */
typedef struct {
  const Network *network;
  GradientReady ready;
  void *context;
  size_t end;
} Announcer;

static PetscErrorCode announce(Announcer *announcer, size_t begin)
{
  PetscFunctionBeginUser;
  if (announcer->ready) PetscCall(announcer->ready(announcer->context, begin, announcer->end - begin));
  announcer->end = begin;
  laps_begin(announcer->network); /* whoever was told had time of his own */
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A gradient that starts from zero: the products of linear_gradient() overwrite it, everything else adds to it. */
static void begin_gradient(Network *n)
{
  for (PetscInt i = 0; i < n->tensor_count && n->gradient_is_zero; i++) {
    const NetworkTensor *tensor = &n->tensors[i];
    const size_t length = strlen(tensor->name), suffix = strlen(".weight");
    const PetscBool of_product =
        tensor->rank == 2 && length > suffix && !strcmp(tensor->name + length - suffix, ".weight");

    if (!of_product) memset(n->gradient + tensor->offset, 0, tensor->size * sizeof *n->gradient);
  }
}

static size_t offset_of(const Network *n, const Scalar *weight)
{
  return (size_t)(weight - n->values);
}

/* Have a block's activations in the store that it shares with others.  On the way the input of the block after it is
 * written again, the same as it is. */
static PetscErrorCode hold(Network *n, size_t block)
{
  PetscFunctionBeginUser;
  if (n->mode != NETWORK_RECOMPUTING || n->held == block) PetscFunctionReturn(PETSC_SUCCESS);
  block_forward(n, block);
  PetscCall(PetscLogFlops(block_forward_flops(&n->dims, block) * (double)n->batch));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode network_backward(Network *n, const Scalar *x_bar, const Scalar *theta_bar, GradientReady ready,
                                void *context, const NetworkInputGradient *input_gradient)
{
  const NetworkInputGradient nothing = {0}, *wanted = input_gradient ? input_gradient : &nothing;
  Announcer announcer = {n, ready, context, n->parameter_count};

  PetscFunctionBeginUser;
  PetscCheck(n->mode != NETWORK_INFERENCE && n->batch, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "backward needs a network for training that has run forward");
  laps_begin(n);
  begin_gradient(n);
  memset(n->c_hat_bar, 0, n->batch * n->dims.W * sizeof *n->c_hat_bar);
  heads_backward(n, x_bar, theta_bar);
  lap(n, NETWORK_ENDS);
  PetscCall(announce(&announcer, offset_of(n, n->weights.head_field_norm)));
  for (size_t block = n->dims.L; block-- > 0;) {
    PetscCall(hold(n, block));
    block_backward(n, block);
    if (block == n->dims.start && n->dims.O) split_observation(n);
    PetscCall(announce(&announcer, offset_of(n, n->blocks[block].norm1)));
  }
  embed_backward(n, wanted);
  if (n->shape.config.output == OUTPUT_RESIDUAL)
    guess_backward(n, n->dims.bins * n->dims.ny * n->dims.nx, &n->map_factors, x_bar, wanted->z);
  if (n->shape.config.output != OUTPUT_CLEAN)
    guess_backward(n, n->dims.P, &n->theta_factors, theta_bar, wanted->z_theta);
  PetscCall(announce(&announcer, offset_of(n, n->weights.cosmology_embed.weight)));
  time_backward(n, wanted);
  lap(n, NETWORK_ENDS);
  n->gradient_is_zero = PETSC_FALSE;
  PetscCall(announce(&announcer, 0));
  if (n->bfloat16_products) PetscCall(n->bfloat16_products->check(n));
  PetscCall(PetscLogFlops(2 * network_forward_flops(n) * (double)n->batch));
  PetscFunctionReturn(PETSC_SUCCESS);
}
