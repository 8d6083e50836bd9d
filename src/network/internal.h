/** \file internal.h  What the parts of the network share.
 *
 * Letters, here and in all parts: B batch, T tokens of the sequence (K cosmology, O observation, F field), W width,
 * H heads, D = W/H, M hidden width of the MLP, L depth.  Formulas are those of doc/network.md.  \ingroup network */
#ifndef NEPHRITE_NETWORK_INTERNAL_H
#define NEPHRITE_NETWORK_INTERNAL_H

#include "kernels.h"
#include "nephrite/network.h"

/* ------------------------------------------------------------------ sizes */

/** One patch grid over the map; where the patch does not divide the map the grid reaches beyond its high ends. */
typedef struct {
  size_t patch, rows, columns, tokens; /* tokens = rows columns */
  size_t channels; /* per pixel */
  size_t values; /* of one patch vector, patch^2 channels */
} PatchGrid;

typedef struct {
  size_t W, H, D, M, L;
  size_t M_row, G_row; /* distances of the rows of arrays [..][M] and [..][2M] */
  size_t K, F, O; /* tokens; O = 0 when the observation comes in channels */
  size_t start; /* first block with the observation's tokens; 0 when there are none */
  size_t T; /* K + O + F, of the longest sequence */
  size_t E, bottleneck, P, S; /* S: numbers told of the observation */
  PetscBool modulated; /* by the parameters, beside the time */
  size_t ny, nx, bins, observation_channels;
  size_t shown; /* maps beside the observation's channels */
  PatchGrid field, observation;
} Dimensions;

void dimensions_of(const NetworkShape *shape, Dimensions *dims);

/** What is planned of a linear map's products in bfloat16. */
typedef struct Bfloat16Map Bfloat16Map;

/** A linear map y = W x + b. */
typedef struct {
  size_t out, in;
  size_t in_row, out_row; /* distances of the rows of x and y */
  Scalar *weight, *bias; /* [out][in], [out] or NULL */
  Scalar *panels; /* the weight packed, by linear_pack_forward() or linear_pack_backward(); blocks share theirs */
  const Bfloat16Map *bfloat16; /* NULL: its products are of Scalars; else the panels are Bfloat16Products' own */
} Linear;

/** Where each tensor's values are in the flat vector of parameters. */
typedef struct {
  Scalar *norm1, *norm2, *q_norm, *k_norm;
  Linear qkv, proj, w12, w3, modulation;
} BlockWeights;

typedef struct {
  Linear time1, time2, time_cosmology, cosmology_embed, summary_embed, field_embed1, field_embed2, observation_embed1,
      observation_embed2;
  Linear head_modulation, head_field, head_cosmology;
  Scalar *cosmology_token, *position, *head_field_norm, *head_cosmology_norm;
} Weights;

typedef enum { START_ZERO, START_ONE, START_NORMAL, START_XAVIER, START_POSITION } Start;

/** All tensors in order.  \param[out] tensors, starts  owned by the caller, PetscFree() */
PetscErrorCode layout_create(const Dimensions *dims, PetscInt *count, NetworkTensor **tensors, Start **starts);
/** Give weights and blocks [L] their sizes, and their places in the flat vector if values is not NULL. */
PetscErrorCode layout_bind(const Dimensions *dims, Scalar *values, size_t count, Weights *weights,
                           BlockWeights *blocks);

/* ------------------------------------------------------------------ memory */

/** What a block's forward pass leaves for its backward pass.  At inference all blocks share one; where backward runs
 * blocks forward again, all but `x`. */
typedef struct {
  Scalar *x, *x_mid; /* [B][T][W] into the block, and between its halves */
  Scalar *r1, *r2; /* [B][T] inverse root mean squares of norm1 and norm2 */
  Scalar *qkv, *o; /* [B][T][3W] without bias, [B][T][W] heads' outputs */
  Scalar *log_sum; /* [B][H][T] of the exponentials of each row of logits */
  Scalar *f1, *f2; /* [B][T][W] outputs of attention and MLP; without bias, unless dropout is on */
  Scalar *gu; /* [B][T][G_row], 2M of each row, without bias */
  Scalar *modulation; /* [B][6W] beta1 gamma1 alpha1 beta2 gamma2 alpha2 */
  Scalar *gain; /* [B][2W] norm1 (1 + gamma1), norm2 (1 + gamma2) */
} BlockStore;

/** How products are cut up: depth and columns at a time of what is packed on the way, and stays in the cache until it
 * is used; depth of packed weights, whose sums are gone through once per piece; rows of a gradient per task. */
enum { PRODUCT_DEPTH = 192, PRODUCT_COLUMNS = 384, PACKED_DEPTH = 1024, PRODUCT_ROWS = 384 };

/** What one thread works in. */
typedef struct {
  Scalar *h, *f; /* [ROWS][W] */
  Scalar *gu, *a; /* [ROWS][G_row], [ROWS][M_row] */
  Scalar *q, *k, *v; /* [T][D] of one head */
  Scalar *k_across, *v_across; /* k and v transposed [D][T], in panels */
  Scalar *q_down, *k_down, *v_down, *o_bar_down; /* [T][D] in panels, if they need be packed */
  Scalar *q_bar, *k_bar; /* [ROWS][D], [T][D] */
  Scalar *s, *s_bar; /* [ROWS][logit_stride()] rows of attention */
  Scalar *delta; /* [ROWS] */
  Scalar *factors; /* [ROWS][max(logit_stride(), M)] of dropout */
  Scalar *panels, *strips; /* of the factors of a product that packs on the way */
  void *left, *sums, *work; /* of a product in bfloat16: its left factor, itself, and what it works in */
} ThreadScratch;

/** Rows of the attention matrix lie a whole number of vectors apart. */
static inline size_t logit_stride(const NetworkKernels *kernels, size_t tokens)
{
  const size_t lanes = kernels->panel / 2;

  return (tokens + lanes - 1) / lanes * lanes;
}

/** Rows of the batch that one task works on: at most ROWS tokens, of one sample.  Blocks begin at multiples of
 * ROW_UNIT, since products dislike odd numbers of rows; the last one may so have a unit more than its share. */
enum { ROWS = 184, ROW_UNIT = 4, ROW_SHARE = ROWS - ROW_UNIT };

/** Time of the first thread, which alone writes it: the clock is read where one part ends and the next begins. */
typedef struct {
  double last, seconds[NETWORK_PARTS];
} Laps;

typedef struct Bfloat16Products Bfloat16Products;
typedef struct Bfloat16 Bfloat16;

/** Bytes that products in bfloat16 need beside packed weights; 0 where there are none. */
typedef struct {
  size_t left, sums, work; /* of each thread */
  size_t inputs; /* of all together */
} Bfloat16Bytes;

/* [B] of z and of a head in the answer. */
typedef struct {
  Scalar *guess, *residual;
} ResidualFactors;

struct Network {
  NetworkShape shape;
  Dimensions dims;
  NetworkMode mode; /* without NETWORK_BFLOAT16 */
  size_t capacity; /* batch that the arena is laid out for */
  int threads;
  const NetworkKernels *kernels;
  Laps *laps;
  const Bfloat16Products *bfloat16_products; /* NULL: everything is computed in Scalar */
  Bfloat16 *bfloat16; /* theirs */
  Bfloat16Bytes bfloat16_bytes;

  PetscInt tensor_count;
  NetworkTensor *tensors;
  Start *starts;
  size_t parameter_count;
  Weights weights;
  BlockWeights *blocks; /* [L] */

  void *arena;
  size_t arena_bytes;
  Scalar *values, *gradient; /* [parameter_count] */
  PetscBool gradient_is_zero; /* whatever it holds: the next backward pass overwrites instead of adding */
  BlockStore *stores; /* [L] */
  ThreadScratch *scratch; /* [threads] */
  Scalar *rotation[2]; /* [T][D] without and with the observation's tokens */

  /* forward */
  Scalar *time_theta; /* [B][W] what the parameters add to the time */
  Scalar *frequencies, *time_hidden, *time_silu, *time, *c_hat; /* [B][E], [B][W] before and after silu, c, silu(c) */
  Scalar *patches, *bottle; /* [B][F][values], [B][F][bottleneck] */
  Scalar *observation_patches, *observation_bottle, *observation_tokens; /* the same of the observation; [B][O][W] */
  Scalar *theta, *cosmology; /* [B][P] input, [B][K W] */
  Scalar *summaries, *summary_tokens; /* the same of what is told of the observation, [B][S] and [B][K W] */
  Scalar *before; /* [B][K+F][W] into the observation's insertion, if it is not at block 0 */
  Scalar *final; /* [B][T][W] out of the last block */
  Scalar *head_modulation, *head_gain; /* [B][2W], [B][W] */
  Scalar *head_r, *head_y; /* [B][F], [B][F][patch^2 bins] outputs, later their gradient */
  Scalar *mean, *mean_r, *mean_h; /* [B][W], [B], [B][W] of the cosmology tokens' mean */
  Scalar *zeros; /* [max(6W, 2M)] */
  Scalar *times; /* [B] as they are embedded */
  ResidualFactors map_factors, theta_factors; /* of OUTPUT_RESIDUAL */
  /* backward */
  Scalar *x_bar; /* [B][T][W] */
  Scalar *observation_bar; /* [B][O][W] */
  Scalar *f2_bar, *f1_bar, *o_bar; /* [B][T][W] */
  Scalar *a, *gu_bar, *h, *qkv_bar; /* [B][T][M_row], [B][T][G_row], [B][T][W], [B][T][3W] */
  Scalar *partial; /* [row blocks][partial_size()] */
  Scalar *mean_bar; /* [B][W] */
  Scalar *theta_bar; /* [B][P] at the head; of OUTPUT_RESIDUAL */
  Scalar *qk_norm_bar; /* [B][H][2D] */
  Scalar *modulation_bar, *c_hat_bar; /* [B][6W], [B][W] */
  Scalar *time_bar, *frequencies_bar; /* [B][W], [B][E] */
  Scalar *bottle_bar, *patch_bar; /* [B][F or O][bottleneck], [B][F or O][values] */
  Scalar *cosmology_bar; /* [B][K W] */
  void *packed_inputs; /* of a map whose gradient is made in bfloat16, packed */
  uint64_t *dropout_index; /* [B] */

  /* the last forward pass */
  size_t batch; /* 0: none yet */
  size_t observed_batch; /* samples whose observation is embedded */
  size_t modulation_rows; /* batch, or 1 when all its times are equal */
  PetscBool dropping;
  size_t held; /* the block that was last to run forward: what a shared store holds */
  int64_t dropout_seed;
};

/** Bytes that arena_create() would take. */
size_t arena_size(Network *network);
/** Size and place everything in one block of memory. */
PetscErrorCode arena_create(Network *network);

/* ------------------------------------------------------------------ shared small things */

/** A piece of one sample's tokens. */
typedef struct {
  size_t sample, token, rows;
} RowBlock;
static inline size_t row_blocks_per_sample(size_t tokens)
{
  return (tokens + ROW_SHARE - 1) / ROW_SHARE;
}
/** Piece \p index of the batch's samples, \p tokens each, cut into pieces as equal as possible. */
static inline RowBlock row_block(size_t index, size_t tokens)
{
  const size_t pieces = row_blocks_per_sample(tokens), piece = index % pieces, next = piece + 1;
  const size_t begin = tokens * piece / pieces / ROW_UNIT * ROW_UNIT;
  const size_t end = next == pieces ? tokens : tokens * next / pieces / ROW_UNIT * ROW_UNIT;

  return (RowBlock){.sample = index / pieces, .token = begin, .rows = end - begin};
}

/** Tokens in the sequence of a block, and what block comes with the observation's. */
static inline size_t tokens_in_block(const Dimensions *dims, size_t block)
{
  return block < dims->start ? dims->K + dims->F : dims->T;
}

/** Sums over a row block's tokens that backward leaves, to be added up in order of the blocks (so that the result does
 * not depend on the number of threads): offsets into one row of Network.partial. */
enum {
  PARTIAL_ALPHA1,
  PARTIAL_H1,
  PARTIAL_H1N,
  PARTIAL_ALPHA2,
  PARTIAL_H2,
  PARTIAL_H2N,
  PARTIAL_PROJ,
  PARTIAL_W3,
  PARTIAL_QKV,
  PARTIAL_W12 = PARTIAL_QKV + 3
}; /* in units of W */
static inline size_t partial_size(const Dimensions *dims)
{
  return PARTIAL_W12 * dims->W + 2 * dims->M;
}

static inline Scalar *gradient_of(const Network *network, const Scalar *weight)
{
  return network->gradient + (weight - network->values);
}

/** This sample's row of modulation vectors, \p size numbers each. */
static inline const Scalar *modulation_of(const Network *network, const Scalar *all, size_t size, size_t sample)
{
  return all + (network->modulation_rows == 1 ? 0 : sample * size);
}

/* ------------------------------------------------------------------ laps.c */

void laps_begin(const Network *network);
/** The time since the last lap was spent on \p part.  For any thread to call: the first one's counts. */
void lap(const Network *network, NetworkPart part);

/* ------------------------------------------------------------------ linear.c */

/** C (+)= A B with A(i, l) = a[i a_row + l a_column], B(l, j) = b[l b_row + j b_column], C(i, j) = c[i c_row + j]; of
 * each pair of strides of A and B one is 1. */
typedef struct {
  size_t m, n, k;
  const Scalar *a, *b;
  size_t a_row, a_column, b_row, b_column;
  Scalar *c;
  size_t c_row;
  PetscBool add; /* to what C holds */
} Product;
/** On this thread, packing on the way. */
void product(const Network *network, const Product *p, ThreadScratch *scratch);
/** Turn \p product around to A^T [k][m] with rows a_row apart: to strips of it, which are made in \p scratch and hold
 * at most PRODUCT_DEPTH x PRODUCT_ROWS. */
void pack_left(const Network *network, const Scalar *a, size_t a_row, ThreadScratch *scratch, MatrixProduct *product);
/** Numbers in a thread's panels and strips. */
size_t packed_panels_size(const Network *network);
size_t packed_strips_size(const Network *network);
/** Numbers in panels of a matrix [rows][columns]. */
size_t panels_size(const Network *network, size_t columns, size_t rows);

/* In all of these the time before a map or a gradient is that of work row by row, unless told otherwise by lap(). */
/** Pack the weights of some maps for linear_forward() or for linear_backward(): to be called by all threads of a
 * parallel region, who go on when all is packed. */
void linear_pack_forward(const Network *network, const Linear *const *maps, size_t count);
void linear_pack_backward(const Network *network, const Linear *const *maps, size_t count);
/** Y = X Wᵀ without the bias, on this thread.  \param x [rows][in_row]  \param y [rows][out_row] */
void linear_forward(const Network *network, const Linear *linear, size_t rows, const Scalar *x, Scalar *y);
/** X̄ = Ȳ W, on this thread. */
void linear_backward(const Network *network, const Linear *linear, size_t rows, const Scalar *y_bar, Scalar *x_bar);
/** W̄ += Ȳᵀ X over all rows, on all threads, as are those that follow. */
void linear_gradient(const Network *network, const Linear *linear, size_t rows, const Scalar *y_bar, const Scalar *x);
/** Y = X Wᵀ + b. */
void affine_forward(const Network *network, const Linear *linear, size_t rows, const Scalar *x, Scalar *y);
void affine_backward(const Network *network, const Linear *linear, size_t rows, const Scalar *y_bar, Scalar *x_bar);
/** W̄ += Ȳᵀ X, b̄ += Σ ȳ. */
void affine_gradient(const Network *network, const Linear *linear, size_t rows, const Scalar *y_bar, const Scalar *x);

/** y[row][j] += bias[j], on this thread.  \param y [rows][width] */
void add_bias(size_t rows, size_t width, const Scalar *bias, Scalar *y);
/** sum[j] += Σ_row x[row][j], in double: rows may be many. */
void add_column_sums(size_t rows, size_t width, const Scalar *x, Scalar *sum);

/* ------------------------------------------------------------------ bfloat16.c, or bfloat16_absent.c without oneDNN */

typedef enum { DIRECTION_FORWARD, DIRECTION_BACKWARD } Direction;

/** The products of the blocks' linear maps in bfloat16, summed in float32.  They take the place of those in linear.c,
 * of which each is said there. */
struct Bfloat16Products {
  /** Plan all products that steps will need, before the arena is placed: Network.bfloat16 and bfloat16_bytes, and
   * Linear.bfloat16 of the blocks' maps.  Errors: NEPHRITE_ERR_INTERNAL: oneDNN has no such product. */
  PetscErrorCode (*create)(Network *network);
  /** Bytes of a map's packed weight, in either direction. */
  size_t (*packed_bytes)(const Bfloat16Map *map);
  /** Once the arena is placed. */
  PetscErrorCode (*bind)(Network *network);
  PetscErrorCode (*destroy)(Network *network);
  /** By all threads of a parallel region; they need not end together. */
  void (*pack)(const Network *network, const Linear *const *maps, size_t count, Direction direction);
  /** linear_forward() or linear_backward(). */
  void (*multiply)(const Network *network, const Linear *linear, Direction direction, size_t rows, const Scalar *x,
                   Scalar *y);
  /** linear_gradient(). */
  void (*gradient)(const Network *network, const Linear *linear, size_t rows, const Scalar *y_bar, const Scalar *x);
  /** Have all products so far been made?  Errors: NEPHRITE_ERR_INTERNAL. */
  PetscErrorCode (*check)(const Network *network);
};
/** Errors: NEPHRITE_ERR_CONFIG, naming the option train_precision, where this build or this processor has none. */
PetscErrorCode bfloat16_products(const Bfloat16Products **products);

/* ------------------------------------------------------------------ forward.c */

/** One block, from its store's x to the input of what follows it. */
void block_forward(Network *network, size_t block);
/** Per sample. */
double block_forward_flops(const Dimensions *dims, size_t block);

/* ------------------------------------------------------------------ dropout.c */

typedef enum { DROP_PROBABILITIES, DROP_PROJECTION, DROP_HIDDEN } DropPlace;
typedef struct {
  size_t first, count;
} ElementRange;
/** Rows of a sample to drop from: values [rows][stride], and room for factors [rows][width]. */
typedef struct {
  size_t width, stride;
  Scalar *values, *factors;
} DropRows;
/** Blocks begin … end-1. */
typedef struct {
  PetscInt begin, end;
} BlockRange;
/** Which blocks drop: of a configuration that leaves it open, those of the middle half, as published. */
BlockRange network_dropout_blocks(const NetworkConfig *config);
PetscBool dropout_acts(const Network *network, size_t block);
/** Factors 0 or 1/(1-p) of a range of elements at one place of one block and sample. */
void dropout_factors(const Network *network, DropPlace place, size_t block, size_t sample, ElementRange range,
                     Scalar *factors);
/** Multiply rows by factors that are there. */
void drop_rows(const Network *network, size_t rows, DropRows target);
/** Multiply a row block's values by their factors, which are left there for other values of the same place. */
void dropout_rows(const Network *network, DropPlace place, size_t block, RowBlock rows, DropRows target);

/* ------------------------------------------------------------------ embedding.c */

/** Some channels of the patch vectors, as a map [count][ny][nx]. */
typedef struct {
  size_t first, count, ny, nx;
} MapChannels;
MapChannels output_channels(const Dimensions *dims);
/** The patches of the output: the field's, without the observation's channels. */
PatchGrid output_grid(const Dimensions *dims);
/** Pixels of the grid beyond the map are left as they are. */
void patches_gather(const PatchGrid *grid, const MapChannels *channels, const Scalar *map, Scalar *patches);
void patches_scatter(const PatchGrid *grid, const MapChannels *channels, const Scalar *patches, Scalar *map);

/** Sine-cosine starting values of field.position [F][W]. */
void position_table(const Dimensions *dims, Scalar *position);
/** cos, sin of each pair of each token, [K+F][D] and [T][D]. */
void rotation_tables(const NetworkShape *shape, const Dimensions *dims, Scalar *without, Scalar *with);

/** network->times, and the parameters where they modulate.  \param z_theta [batch][P] */
void embed_time(Network *network, const Scalar *z_theta);
void embed_cosmology(Network *network, const Scalar *z_theta);
void embed_summaries(Network *network, const Scalar *summaries);
void embed_field(Network *network, const Scalar *z);
void embed_observation(Network *network, const Scalar *observation);
void insert_observation(Network *network);

void split_observation(Network *network);
void embed_backward(Network *network, const NetworkInputGradient *wanted);
void time_backward(Network *network, const NetworkInputGradient *wanted);

/* ------------------------------------------------------------------ attention.c */

/** One head of one sample, on this thread. */
typedef struct {
  size_t block, sample, head;
} HeadTask;
void attention_forward(const Network *network, HeadTask task, ThreadScratch *scratch);
void attention_backward(const Network *network, HeadTask task, ThreadScratch *scratch);

#endif
