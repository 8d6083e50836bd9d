/** \file embedding.c  From maps, parameters and time to tokens.  \ingroup network */
#include "internal.h"

#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------ tables */

void position_table(const Dimensions *dims, Scalar *position)
{
  const size_t W = dims->W, Q = W / 4;

  for (size_t n = 0; n < dims->F; n++) {
    const double iy = (double)(n / dims->field.columns), ix = (double)(n % dims->field.columns);
    Scalar *row = position + n * W;

    for (size_t j = 0; j < Q; j++) {
      const double omega = pow(10000, -(double)j / (double)Q);

      row[j] = (Scalar)sin(ix * omega);
      row[Q + j] = (Scalar)cos(ix * omega);
      row[2 * Q + j] = (Scalar)sin(iy * omega);
      row[3 * Q + j] = (Scalar)cos(iy * omega);
    }
  }
}

/* The first D/4 pairs turn with the token's row y, the others with its column x. */
static void rotation_of_token(double base, size_t D, double y, double x, Scalar *pairs)
{
  for (size_t i = 0; i < D / 2; i++) {
    const double along = i < D / 4 ? y : x, index = (double)(i < D / 4 ? i : i - D / 4);
    const double angle = along * pow(base, -4 * index / (double)D); /* base^(-2i/R), R = D/2 */

    pairs[2 * i] = (Scalar)cos(angle);
    pairs[2 * i + 1] = (Scalar)sin(angle);
  }
}

/* A token's place is its centre in units of field patches, counted from the first field token's centre. */
static Scalar *rotation_of_grid(double base, size_t D, const PatchGrid *grid, size_t unit, Scalar *table)
{
  const double ratio = (double)grid->patch / (double)unit, centre = (ratio - 1) / 2;

  for (size_t n = 0; n < grid->tokens; n++) {
    const double y = (double)(n / grid->columns) * ratio + centre, x = (double)(n % grid->columns) * ratio + centre;

    rotation_of_token(base, D, y, x, table + n * D);
  }
  return table + grid->tokens * D;
}

static Scalar *rotation_of_cosmology(const Dimensions *dims, Scalar *table)
{
  for (size_t k = 0; k < dims->K; k++) rotation_of_token(1, dims->D, 0, 0, table + k * dims->D);
  return table + dims->K * dims->D;
}

void rotation_tables(const NetworkShape *shape, const Dimensions *dims, Scalar *without, Scalar *with)
{
  const double base = shape->config.rope_base;
  const size_t unit = dims->field.patch;

  rotation_of_grid(base, dims->D, &dims->field, unit, rotation_of_cosmology(dims, without));
  with = rotation_of_cosmology(dims, with);
  if (dims->O) with = rotation_of_grid(base, dims->D, &dims->observation, unit, with);
  rotation_of_grid(base, dims->D, &dims->field, unit, with);
}

/* ------------------------------------------------------------------ patches */

/* Index of pixel (y, x) of the grid's first channel among the patch vectors: channel fastest. */
static size_t patch_index(const PatchGrid *grid, size_t y, size_t x)
{
  const size_t p = grid->patch, token = y / p * grid->columns + x / p;

  return token * grid->values + (y % p * p + x % p) * grid->channels;
}

void patches_gather(const PatchGrid *grid, const MapChannels *channels, const Scalar *map, Scalar *patches)
{
  for (size_t channel = 0; channel < channels->count; channel++)
    for (size_t y = 0; y < channels->ny; y++)
      for (size_t x = 0; x < channels->nx; x++) patches[patch_index(grid, y, x) + channels->first + channel] = *map++;
}

void patches_scatter(const PatchGrid *grid, const MapChannels *channels, const Scalar *patches, Scalar *map)
{
  for (size_t channel = 0; channel < channels->count; channel++)
    for (size_t y = 0; y < channels->ny; y++)
      for (size_t x = 0; x < channels->nx; x++) *map++ = patches[patch_index(grid, y, x) + channels->first + channel];
}

MapChannels output_channels(const Dimensions *d)
{
  return (MapChannels){.first = 0, .count = d->bins, .ny = d->ny, .nx = d->nx};
}

PatchGrid output_grid(const Dimensions *d)
{
  PatchGrid grid = d->field;

  grid.channels = d->bins;
  grid.values = grid.patch * grid.patch * grid.channels;
  return grid;
}

static MapChannels field_channels(const Dimensions *d)
{
  return (MapChannels){.first = 0, .count = d->shown, .ny = d->ny, .nx = d->nx};
}

static MapChannels observed_channels(const Dimensions *d)
{
  return (MapChannels){.first = d->O ? 0 : d->shown, .count = d->observation_channels, .ny = d->ny, .nx = d->nx};
}

static size_t map_size(const MapChannels *channels)
{
  return channels->count * channels->ny * channels->nx;
}

/* ------------------------------------------------------------------ time */

/* u_j = exp(-ln(max_period) j / (E/2)) */
static double frequency(const Network *n, size_t j)
{
  return exp(-log(n->shape.config.time_max_period) * (double)j / (double)(n->dims.E / 2));
}

static void silu(size_t count, const Scalar *x, Scalar *y)
{
  for (size_t i = 0; i < count; i++) y[i] = (Scalar)((double)x[i] / (1 + exp(-(double)x[i])));
}

/* y_bar *= silu'(x) = s (1 + x (1 - s)) */
static void silu_backward(size_t count, const Scalar *x, Scalar *y_bar)
{
  for (size_t i = 0; i < count; i++) {
    const double s = 1 / (1 + exp(-(double)x[i]));

    y_bar[i] *= (Scalar)(s * (1 + (double)x[i] * (1 - s)));
  }
}

/* At sampling all draws of a step share the time: their modulation vectors are computed once. */
static size_t distinct_times(const Network *n)
{
  if (n->mode == NETWORK_TRAINING || n->dims.modulated) return n->batch;
  for (size_t b = 1; b < n->batch; b++)
    if (n->times[b] != n->times[0]) return n->batch;
  return 1;
}

void embed_time(Network *n, const Scalar *z_theta)
{
  const size_t half = n->dims.E / 2, W = n->dims.W, rows = distinct_times(n);

  n->modulation_rows = rows;
  for (size_t b = 0; b < rows; b++)
    for (size_t j = 0; j < half; j++) {
      const double angle = (double)n->times[b] * frequency(n, j);

      n->frequencies[b * 2 * half + j] = (Scalar)cos(angle);
      n->frequencies[b * 2 * half + half + j] = (Scalar)sin(angle);
    }
  affine_forward(n, &n->weights.time1, rows, n->frequencies, n->time_hidden);
  silu(rows * W, n->time_hidden, n->time_silu);
  affine_forward(n, &n->weights.time2, rows, n->time_silu, n->time);
  if (n->dims.modulated) {
    affine_forward(n, &n->weights.time_cosmology, rows, z_theta, n->time_theta);
    for (size_t i = 0; i < rows * W; i++) n->time[i] += n->time_theta[i];
  }
  silu(rows * W, n->time, n->c_hat);
}

/* What the parameters in the modulation add to their gradient. */
static void theta_modulation_backward(Network *n, Scalar *theta_bar)
{
  const Linear *linear = &n->weights.time_cosmology;

  affine_gradient(n, linear, n->batch, n->c_hat_bar, n->theta);
  for (size_t b = 0; theta_bar && b < n->batch; b++)
    for (size_t p = 0; p < n->dims.P; p++) {
      double sum = 0;

      for (size_t i = 0; i < n->dims.W; i++)
        sum += (double)linear->weight[i * n->dims.P + p] * (double)n->c_hat_bar[b * n->dims.W + i];
      theta_bar[b * n->dims.P + p] += (Scalar)sum;
    }
}

void time_backward(Network *n, const NetworkInputGradient *wanted)
{
  const size_t B = n->batch, W = n->dims.W, half = n->dims.E / 2;

  silu_backward(B * W, n->time, n->c_hat_bar);
  if (n->dims.modulated) theta_modulation_backward(n, wanted->z_theta);
  affine_gradient(n, &n->weights.time2, B, n->c_hat_bar, n->time_silu);
  affine_backward(n, &n->weights.time2, B, n->c_hat_bar, n->time_bar);
  silu_backward(B * W, n->time_hidden, n->time_bar);
  affine_gradient(n, &n->weights.time1, B, n->time_bar, n->frequencies);
  if (!wanted->t) return;
  affine_backward(n, &n->weights.time1, B, n->time_bar, n->frequencies_bar);
  for (size_t b = 0; b < B; b++) {
    const Scalar *cosine = n->frequencies + b * 2 * half, *sine = cosine + half;
    const Scalar *cosine_bar = n->frequencies_bar + b * 2 * half, *sine_bar = cosine_bar + half;
    double sum = 0;

    for (size_t j = 0; j < half; j++)
      sum += frequency(n, j) * ((double)cosine[j] * (double)sine_bar[j] - (double)sine[j] * (double)cosine_bar[j]);
    wanted->t[b] = (Scalar)sum;
  }
}

/* ------------------------------------------------------------------ forward */

/* Where a sample's field tokens begin in a sequence of T tokens. */
static Scalar *field_rows(const Network *n, Scalar *x, size_t T, size_t sample)
{
  return x + (sample * T + T - n->dims.F) * n->dims.W;
}

void embed_cosmology(Network *n, const Scalar *z_theta)
{
  const Dimensions *d = &n->dims;
  const size_t size = d->K * d->W, T = tokens_in_block(d, 0);

  memcpy(n->theta, z_theta, n->batch * d->P * sizeof *n->theta);
  affine_forward(n, &n->weights.cosmology_embed, n->batch, n->theta, n->cosmology);
  for (size_t b = 0; b < n->batch; b++) {
    Scalar *x = n->stores[0].x + b * T * d->W;

    for (size_t i = 0; i < size; i++) x[i] = n->cosmology[b * size + i] + n->weights.cosmology_token[i];
    if (d->S) add_bias(1, size, n->summary_tokens + b * size, x);
  }
}

void embed_summaries(Network *n, const Scalar *summaries)
{
  memcpy(n->summaries, summaries, n->batch * n->dims.S * sizeof *n->summaries);
  affine_forward(n, &n->weights.summary_embed, n->batch, n->summaries, n->summary_tokens);
}

static void pack_embedding(const Network *n, const Linear *embed1, const Linear *embed2)
{
  const Linear *const maps[] = {embed1, embed2};

#pragma omp parallel num_threads(n->threads)
  linear_pack_forward(n, maps, 2);
}

void embed_field(Network *n, const Scalar *z)
{
  const Dimensions *d = &n->dims;
  const MapChannels channels = field_channels(d);
  const size_t T = tokens_in_block(d, 0), values = d->F * d->field.values;

  pack_embedding(n, &n->weights.field_embed1, &n->weights.field_embed2);
#pragma omp parallel for num_threads(n->threads)
  for (size_t b = 0; b < n->batch; b++) {
    Scalar *x = field_rows(n, n->stores[0].x, T, b), *bottle = n->bottle + b * d->F * d->bottleneck;

    patches_gather(&d->field, &channels, z + b * map_size(&channels), n->patches + b * values);
    linear_forward(n, &n->weights.field_embed1, d->F, n->patches + b * values, bottle);
    linear_forward(n, &n->weights.field_embed2, d->F, bottle, x);
    add_bias(d->F, d->W, n->weights.field_embed2.bias, x);
    for (size_t i = 0; i < d->F * d->W; i++) x[i] += n->weights.position[i];
  }
}

void embed_observation(Network *n, const Scalar *observation)
{
  const Dimensions *d = &n->dims;
  const MapChannels channels = observed_channels(d);
  const size_t values = d->O * d->observation.values;

  if (d->O) pack_embedding(n, &n->weights.observation_embed1, &n->weights.observation_embed2);
#pragma omp parallel for num_threads(n->threads)
  for (size_t b = 0; b < n->batch; b++) {
    const Scalar *map = observation + b * map_size(&channels);

    if (!d->O) {
      patches_gather(&d->field, &channels, map, n->patches + b * d->F * d->field.values);
      continue;
    }
    Scalar *tokens = n->observation_tokens + b * d->O * d->W,
           *bottle = n->observation_bottle + b * d->O * d->bottleneck;

    patches_gather(&d->observation, &channels, map, n->observation_patches + b * values);
    linear_forward(n, &n->weights.observation_embed1, d->O, n->observation_patches + b * values, bottle);
    linear_forward(n, &n->weights.observation_embed2, d->O, bottle, tokens);
    add_bias(d->O, d->W, n->weights.observation_embed2.bias, tokens);
  }
}

/* [cosmology | field] -> [cosmology | observation | field], just before block dims.start. */
void insert_observation(Network *n)
{
  const Dimensions *d = &n->dims;
  const size_t W = d->W, without = d->K + d->F;

  for (size_t b = 0; b < n->batch; b++) {
    Scalar *x = n->stores[d->start].x + b * d->T * W;

    if (d->start) {
      const Scalar *before = n->before + b * without * W;

      memcpy(x, before, d->K * W * sizeof *x);
      memcpy(x + (d->K + d->O) * W, before + d->K * W, d->F * W * sizeof *x);
    }
    memcpy(x + d->K * W, n->observation_tokens + b * d->O * W, d->O * W * sizeof *x);
  }
}

/* ------------------------------------------------------------------ backward */

/* Take the observation's rows out of x_bar and close the gap. */
void split_observation(Network *n)
{
  const Dimensions *d = &n->dims;
  const size_t W = d->W, without = d->K + d->F;

  for (size_t b = 0; b < n->batch; b++) {
    const Scalar *from = n->x_bar + b * d->T * W;
    Scalar *to = n->x_bar + b * without * W; /* never beyond `from`: moving upwards overwrites nothing still needed */

    memcpy(n->observation_bar + b * d->O * W, from + d->K * W, d->O * W * sizeof *to);
    memmove(to, from, d->K * W * sizeof *to);
    memmove(to + d->K * W, from + (d->K + d->O) * W, d->F * W * sizeof *to);
  }
}

/** One of the two patch embeddings, backwards. */
typedef struct {
  const PatchGrid *grid;
  const Linear *embed1, *embed2;
  const Scalar *tokens_bar, *bottle, *patches; /* [B][tokens][W], [B][tokens][bottleneck], [B][tokens][values] */
} PatchBackward;

static void patch_gradients(Network *n, const PatchBackward *p, PetscBool inputs_wanted)
{
  const size_t rows = n->batch * p->grid->tokens;

  affine_gradient(n, p->embed2, rows, p->tokens_bar, p->bottle);
  affine_backward(n, p->embed2, rows, p->tokens_bar, n->bottle_bar);
  affine_gradient(n, p->embed1, rows, n->bottle_bar, p->patches);
  if (inputs_wanted) affine_backward(n, p->embed1, rows, n->bottle_bar, n->patch_bar);
}

static void scatter_batch(const Network *n, const PatchGrid *grid, const MapChannels *channels, Scalar *map_bar)
{
  for (size_t b = 0; b < n->batch; b++)
    patches_scatter(grid, channels, n->patch_bar + b * grid->tokens * grid->values, map_bar + b * map_size(channels));
}

static void field_backward(Network *n, const NetworkInputGradient *wanted)
{
  const Dimensions *d = &n->dims;
  const size_t size = d->F * d->W, T = d->K + d->F;
  const MapChannels channels = field_channels(d), observed = observed_channels(d);
  const PatchBackward p = {&d->field, &n->weights.field_embed1, &n->weights.field_embed2, n->h, n->bottle, n->patches};
  const PetscBool observation = wanted->observation && !d->O ? PETSC_TRUE : PETSC_FALSE;

  for (size_t b = 0; b < n->batch; b++) memcpy(n->h + b * size, field_rows(n, n->x_bar, T, b), size * sizeof *n->h);
  add_column_sums(n->batch, size, n->h, gradient_of(n, n->weights.position));
  patch_gradients(n, &p, wanted->z || observation ? PETSC_TRUE : PETSC_FALSE);
  if (wanted->z) scatter_batch(n, &d->field, &channels, wanted->z);
  if (observation) scatter_batch(n, &d->field, &observed, wanted->observation);
}

static void observation_backward(Network *n, const NetworkInputGradient *wanted)
{
  const Dimensions *d = &n->dims;
  const MapChannels channels = observed_channels(d);
  const PatchBackward p = {&d->observation,    &n->weights.observation_embed1, &n->weights.observation_embed2,
                           n->observation_bar, n->observation_bottle,          n->observation_patches};

  patch_gradients(n, &p, wanted->observation ? PETSC_TRUE : PETSC_FALSE);
  if (wanted->observation) scatter_batch(n, &d->observation, &channels, wanted->observation);
}

static void cosmology_backward(Network *n, const NetworkInputGradient *wanted)
{
  const Dimensions *d = &n->dims;
  const size_t size = d->K * d->W, T = d->K + d->F;

  for (size_t b = 0; b < n->batch; b++)
    memcpy(n->cosmology_bar + b * size, n->x_bar + b * T * d->W, size * sizeof *n->cosmology_bar);
  add_column_sums(n->batch, size, n->cosmology_bar, gradient_of(n, n->weights.cosmology_token));
  if (d->S) affine_gradient(n, &n->weights.summary_embed, n->batch, n->cosmology_bar, n->summaries);
  affine_gradient(n, &n->weights.cosmology_embed, n->batch, n->cosmology_bar, n->theta);
  if (wanted->z_theta) affine_backward(n, &n->weights.cosmology_embed, n->batch, n->cosmology_bar, wanted->z_theta);
}

void embed_backward(Network *n, const NetworkInputGradient *wanted)
{
  if (n->dims.O) observation_backward(n, wanted);
  field_backward(n, wanted);
  cosmology_backward(n, wanted);
}
