/** \file forward.c  From noisy map, parameters, observation and time to the clean map and parameters.  \ingroup network
 */
#include "internal.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* gain = weight (1 + gamma), a norm and its modulation in one */
static void combine_gain(size_t W, const Scalar *weight, const Scalar *gamma, Scalar *gain)
{
  for (size_t j = 0; j < W; j++) gain[j] = weight[j] * (1 + gamma[j]);
}

static void block_modulation(Network *n, size_t block)
{
  const size_t W = n->dims.W;
  const BlockWeights *weights = &n->blocks[block];
  BlockStore *store = &n->stores[block];

  affine_forward(n, &weights->modulation, n->modulation_rows, n->c_hat, store->modulation);
  for (size_t b = 0; b < n->modulation_rows; b++) {
    const Scalar *row = store->modulation + b * 6 * W;

    combine_gain(W, weights->norm1, row + W, store->gain + b * 2 * W);
    combine_gain(W, weights->norm2, row + 4 * W, store->gain + b * 2 * W + W);
  }
}

/* qkv = Wqkv (norm1(x) (1 + gamma1) + beta1), without the bias */
static void queries_keys_values(const Network *n, size_t block, RowBlock rows, ThreadScratch *scratch)
{
  const size_t W = n->dims.W, at = rows.sample * tokens_in_block(&n->dims, block) + rows.token;
  const BlockStore *store = &n->stores[block];

  n->kernels->norm_forward(&(NormForward){.rows = rows.rows,
                                          .width = W,
                                          .epsilon = (Scalar)n->shape.config.rms_epsilon,
                                          .x = store->x + at * W,
                                          .gain = modulation_of(n, store->gain, 2 * W, rows.sample),
                                          .shift = modulation_of(n, store->modulation, 6 * W, rows.sample),
                                          .h = scratch->h,
                                          .r = store->r1 + at});
  linear_forward(n, &n->blocks[block].qkv, rows.rows, scratch->h, store->qkv + at * 3 * W);
}

/* x_mid = x + alpha1 (Wo o + bo) */
static void attention_output(const Network *n, size_t block, RowBlock rows, ThreadScratch *scratch)
{
  const size_t W = n->dims.W, at = rows.sample * tokens_in_block(&n->dims, block) + rows.token;
  const BlockStore *store = &n->stores[block];
  const Linear *proj = &n->blocks[block].proj;
  const Scalar *bias = proj->bias;
  Scalar *f = store->f1 ? store->f1 + at * W : scratch->f;

  linear_forward(n, proj, rows.rows, store->o + at * W, f);
  if (dropout_acts(n, block)) {
    add_bias(rows.rows, W, bias, f);
    dropout_rows(n, DROP_PROJECTION, block, rows, (DropRows){W, W, f, scratch->factors});
    bias = n->zeros;
  }
  n->kernels->gate_forward(&(GateForward){.rows = rows.rows,
                                          .width = W,
                                          .x = store->x + at * W,
                                          .f = f,
                                          .alpha = modulation_of(n, store->modulation, 6 * W, rows.sample) + 2 * W,
                                          .bias = bias,
                                          .y = store->x_mid + at * W});
}

static Scalar *stream_after(const Network *n, size_t block)
{
  if (block + 1 == n->dims.L) return n->final;
  return block + 1 == n->dims.start ? n->before : n->stores[block + 1].x;
}

/* x = x_mid + alpha2 mlp(norm2(x_mid) (1 + gamma2) + beta2) */
static void mlp(const Network *n, size_t block, RowBlock rows, ThreadScratch *scratch)
{
  const size_t W = n->dims.W, M = n->dims.M, at = rows.sample * tokens_in_block(&n->dims, block) + rows.token;
  const BlockStore *store = &n->stores[block];
  const BlockWeights *weights = &n->blocks[block];
  const Scalar *modulation = modulation_of(n, store->modulation, 6 * W, rows.sample);
  Scalar *gu = store->gu ? store->gu + at * n->dims.G_row : scratch->gu,
         *f = store->f2 ? store->f2 + at * W : scratch->f;

  n->kernels->norm_forward(&(NormForward){.rows = rows.rows,
                                          .width = W,
                                          .epsilon = (Scalar)n->shape.config.rms_epsilon,
                                          .x = store->x_mid + at * W,
                                          .gain = modulation_of(n, store->gain, 2 * W, rows.sample) + W,
                                          .shift = modulation + 3 * W,
                                          .h = scratch->h,
                                          .r = store->r2 + at});
  linear_forward(n, &weights->w12, rows.rows, scratch->h, gu);
  n->kernels->swiglu_forward(&(SwigluForward){.rows = rows.rows,
                                              .hidden = M,
                                              .gu_stride = n->dims.G_row,
                                              .a_stride = n->dims.M_row,
                                              .gu = gu,
                                              .bias = weights->w12.bias,
                                              .a = scratch->a});
  if (dropout_acts(n, block))
    dropout_rows(n, DROP_HIDDEN, block, rows, (DropRows){M, n->dims.M_row, scratch->a, scratch->factors});
  linear_forward(n, &weights->w3, rows.rows, scratch->a, f);
  n->kernels->gate_forward(&(GateForward){.rows = rows.rows,
                                          .width = W,
                                          .x = store->x_mid + at * W,
                                          .f = f,
                                          .alpha = modulation + 5 * W,
                                          .bias = weights->w3.bias,
                                          .y = stream_after(n, block) + at * W});
}

void block_forward(Network *n, size_t block)
{
  const size_t T = tokens_in_block(&n->dims, block), H = n->dims.H;
  const size_t row_blocks = n->batch * row_blocks_per_sample(T), heads = n->batch * H;
  const BlockWeights *weights = &n->blocks[block];
  const Linear *const maps[] = {&weights->qkv, &weights->proj, &weights->w12, &weights->w3};

  n->held = block;
  block_modulation(n, block);
  lap(n, NETWORK_ENDS);
#pragma omp parallel num_threads(n->threads)
  {
    ThreadScratch *scratch = &n->scratch[omp_get_thread_num()];

    linear_pack_forward(n, maps, sizeof maps / sizeof *maps);
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < row_blocks; i++) queries_keys_values(n, block, row_block(i, T), scratch);
    lap(n, NETWORK_WAITING);
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < heads; i++) {
      attention_forward(n, (HeadTask){block, i / H, i % H}, scratch);
      lap(n, NETWORK_ATTENTION);
    }
    lap(n, NETWORK_WAITING);
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < row_blocks; i++) {
      attention_output(n, block, row_block(i, T), scratch);
      mlp(n, block, row_block(i, T), scratch);
      lap(n, NETWORK_ROWS);
    }
  }
  lap(n, NETWORK_WAITING);
}

/* x_hat = Wf (norm_f(x) (1 + gamma) + beta) + bf on the field's tokens */
static void field_head(Network *n, RowBlock rows, ThreadScratch *scratch)
{
  const Dimensions *d = &n->dims;
  const size_t W = d->W, at = rows.sample * d->F + rows.token;
  const Linear *linear = &n->weights.head_field;
  Scalar *y = n->head_y + at * linear->out;

  n->kernels->norm_forward(&(NormForward){.rows = rows.rows,
                                          .width = W,
                                          .epsilon = (Scalar)n->shape.config.rms_epsilon,
                                          .x = n->final + (rows.sample * d->T + d->T - d->F + rows.token) * W,
                                          .gain = modulation_of(n, n->head_gain, W, rows.sample),
                                          .shift = modulation_of(n, n->head_modulation, 2 * W, rows.sample),
                                          .h = scratch->h,
                                          .r = n->head_r + at});
  linear_forward(n, linear, rows.rows, scratch->h, y);
  add_bias(rows.rows, linear->out, linear->bias, y);
}

/* theta_hat = Wc norm_c(mean over the cosmology tokens) + bc */
static void cosmology_head(Network *n, Scalar *theta)
{
  const Dimensions *d = &n->dims;
  const size_t W = d->W;

  for (size_t b = 0; b < n->batch; b++) {
    const Scalar *x = n->final + b * d->T * W;

    for (size_t j = 0; j < W; j++) {
      double sum = 0;

      for (size_t k = 0; k < d->K; k++) sum += (double)x[k * W + j];
      n->mean[b * W + j] = (Scalar)(sum / (double)d->K);
    }
  }
  n->kernels->norm_forward(&(NormForward){.rows = n->batch,
                                          .width = W,
                                          .epsilon = (Scalar)n->shape.config.rms_epsilon,
                                          .x = n->mean,
                                          .gain = n->weights.head_cosmology_norm,
                                          .shift = n->zeros,
                                          .h = n->mean_h,
                                          .r = n->mean_r});
  affine_forward(n, &n->weights.head_cosmology, n->batch, n->mean_h, theta);
}

static void heads_forward(Network *n, Scalar *x, Scalar *theta)
{
  const Dimensions *d = &n->dims;
  const size_t W = d->W, row_blocks = n->batch * row_blocks_per_sample(d->F);
  const MapChannels channels = output_channels(d);
  const PatchGrid grid = output_grid(d);
  const Linear *map = &n->weights.head_field;

  affine_forward(n, &n->weights.head_modulation, n->modulation_rows, n->c_hat, n->head_modulation);
  for (size_t b = 0; b < n->modulation_rows; b++)
    combine_gain(W, n->weights.head_field_norm, n->head_modulation + b * 2 * W + W, n->head_gain + b * W);
#pragma omp parallel num_threads(n->threads)
  {
    linear_pack_forward(n, &map, 1);
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < row_blocks; i++) field_head(n, row_block(i, d->F), &n->scratch[omp_get_thread_num()]);
  }
#pragma omp parallel for num_threads(n->threads)
  for (size_t b = 0; b < n->batch; b++)
    patches_scatter(&grid, &channels, n->head_y + b * d->F * grid.values, x + b * d->bins * d->ny * d->nx);
  cosmology_head(n, theta);
}

static const Scalar *theta_times(const NetworkInput *input)
{
  return input->t_theta ? input->t_theta : input->t;
}

/* The best linear guess of x from z = t x + (1-t) noise, where x has unit variance, is t z/(t^2 + (1-t)^2), and what it
 * leaves has variance (1-t)^2/(t^2 + (1-t)^2).  With that as their unit the heads speak of numbers of order 1 at all
 * times (Karras et al. 2022, arXiv:2206.00364, section 5). */
static void find_factors(const Network *n, const Scalar *t, const ResidualFactors *factors)
{
  for (size_t b = 0; b < n->batch; b++) {
    const double s = (double)t[b], square = s * s + (1 - s) * (1 - s);

    factors->guess[b] = (Scalar)(s / square);
    factors->residual[b] = (Scalar)((1 - s) / sqrt(square));
  }
}

static void add_guess(const Network *n, size_t size, const ResidualFactors *factors, const Scalar *z, Scalar *x)
{
#pragma omp parallel for num_threads(n->threads)
  for (size_t b = 0; b < n->batch; b++)
    for (size_t i = b * size; i < (b + 1) * size; i++) x[i] = factors->guess[b] * z[i] + factors->residual[b] * x[i];
}

static void complete_residual(Network *n, const NetworkInput *input, Scalar *x, Scalar *theta)
{
  const Dimensions *d = &n->dims;

  if (n->shape.config.output == OUTPUT_RESIDUAL) {
    find_factors(n, input->t, &n->map_factors);
    add_guess(n, d->bins * d->ny * d->nx, &n->map_factors, input->z, x);
  }
  find_factors(n, theta_times(input), &n->theta_factors);
  add_guess(n, d->P, &n->theta_factors, input->z_theta, theta);
}

/* What backward must know of this pass. */
static void remember(Network *n, const NetworkInput *input)
{
  n->batch = (size_t)input->batch;
  n->dropping = input->dropout && n->shape.config.dropout > 0 ? PETSC_TRUE : PETSC_FALSE;
  n->dropout_seed = input->seed;
  if (n->dropping) memcpy(n->dropout_index, input->dropout, n->batch * sizeof *n->dropout_index);
}

PetscErrorCode network_forward(Network *n, const NetworkInput *input, Scalar *x, Scalar *theta)
{
  PetscFunctionBeginUser;
  PetscCheck(input->batch >= 1 && (size_t)input->batch <= n->capacity, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "a batch of %d samples; the network was made for 1 to %zu", (int)input->batch, n->capacity);
  PetscCheck(input->observation || n->observed_batch == (size_t)input->batch, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "a batch of %d samples without observation; the last observation was of %zu", (int)input->batch,
             n->observed_batch);
  PetscCheck(!input->observation || !n->dims.S || input->summaries, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "an observation without its summaries; the network is told %zu of them", n->dims.S);
  PetscCheck(!input->dropout || n->mode != NETWORK_INFERENCE, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "dropout in a network for inference");
  laps_begin(n);
  remember(n, input);
  if (input->observation) {
    embed_observation(n, input->observation);
    if (n->dims.S) embed_summaries(n, input->summaries);
    n->observed_batch = n->batch;
  }
  for (size_t b = 0; b < n->batch; b++) n->times[b] = (input->t[b] + theta_times(input)[b]) / 2;
  embed_time(n, input->z_theta);
  embed_cosmology(n, input->z_theta);
  embed_field(n, input->z);
  for (size_t block = 0; block < n->dims.L; block++) {
    if (block == n->dims.start && n->dims.O) insert_observation(n);
    block_forward(n, block);
  }
  heads_forward(n, x, theta);
  if (n->shape.config.output != OUTPUT_CLEAN) complete_residual(n, input, x, theta);
  lap(n, NETWORK_ENDS);
  if (n->bfloat16_products) PetscCall(n->bfloat16_products->check(n));
  PetscCall(PetscLogFlops(network_forward_flops(n) * (double)n->batch));
  PetscFunctionReturn(PETSC_SUCCESS);
}
