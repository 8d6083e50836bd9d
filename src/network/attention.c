/** \file attention.c  One head of one sample: from its queries, keys and values to its output, and back.
 *
 * Rows of the attention matrix are made a piece at a time, small enough for the cache, and again in backward from the
 * log of each row's sum (FlashAttention, Dao et al. 2022, arXiv:2205.14135), so that the matrix is never stored.
 * \ingroup network */
#include "internal.h"

#include <math.h>
#include <string.h>

/** The right factor [T][D] of a product over tokens, in panels. */
typedef struct {
  const Scalar *b;
  size_t b_panel, b_row;
} RightFactor;

/** One head at work: where its numbers are. */
typedef struct {
  const Network *n;
  const NetworkKernels *kernels;
  HeadTask task;
  ThreadScratch *scratch;
  size_t T, D, W, stride; /* stride of rows of the attention matrix */
  const BlockWeights *weights;
  const Scalar *rotation; /* [T][D] */
  const Scalar *qkv; /* [T][3W], from this head's first query on; k and v are W and 2W further */
  const Scalar *bias; /* of qkv, likewise */
  Scalar *o; /* [T][W], from this head's first column on */
  Scalar *log_sum; /* [T] */
  RightFactor v;
  PetscBool drops;
  /* backward */
  const Scalar *o_bar; /* as o */
  Scalar *qkv_bar; /* as qkv */
  Scalar *q_norm_bar, *k_norm_bar; /* [D] of this sample and head */
  RightFactor q, k, o_bar_factor;
} Head;

static Head head_of(const Network *n, HeadTask task, ThreadScratch *scratch)
{
  const Dimensions *d = &n->dims;
  const size_t T = tokens_in_block(d, task.block), column = task.head * d->D;
  const BlockStore *store = &n->stores[task.block];

  return (Head){.n = n,
                .kernels = n->kernels,
                .task = task,
                .scratch = scratch,
                .T = T,
                .D = d->D,
                .W = d->W,
                .stride = logit_stride(n->kernels, T),
                .weights = &n->blocks[task.block],
                .rotation = n->rotation[task.block >= d->start],
                .qkv = store->qkv + task.sample * T * 3 * d->W + column,
                .bias = n->blocks[task.block].qkv.bias + column,
                .o = store->o + task.sample * T * d->W + column,
                .log_sum = store->log_sum + (task.sample * d->H + task.head) * T,
                .drops = dropout_acts(n, task.block)};
}

/* ------------------------------------------------------------------ operands */

/* x [T][D], rows x_row apart: where whole panels make up a row they are panels as they are, else they are packed. */
static RightFactor right_factor(const Head *head, const Scalar *x, size_t x_row, Scalar *panels)
{
  const size_t panel = head->kernels->panel;

  if (head->D % panel == 0) return (RightFactor){x, panel, x_row};
  head->kernels->pack(&(MatrixPack){
      .n = head->D, .k = head->T, .b = x, .b_row = x_row, .b_column = 1, .panel = head->T * panel, .panels = panels});
  return (RightFactor){panels, head->T * panel, panel};
}

/* x [T][D] transposed, for a product over D */
static void transpose(const Head *head, const Scalar *x, Scalar *panels)
{
  head->kernels->pack(&(MatrixPack){.n = head->T,
                                    .k = head->D,
                                    .b = x,
                                    .b_row = 1,
                                    .b_column = head->D,
                                    .panel = head->D * head->kernels->panel,
                                    .panels = panels});
}

static double query_factor(const Head *head)
{
  return 1 / sqrt((double)head->D);
}

/* q = rotation(norm(q)) / sqrt(D), k = rotation(norm(k)), v, each [T][D] */
static void fetch(Head *head)
{
  ThreadScratch *scratch = head->scratch;
  RotaryForward arguments = {.rows = head->T,
                             .width = head->D,
                             .stride = 3 * head->W,
                             .epsilon = (Scalar)head->n->shape.config.rms_epsilon,
                             .factor = (Scalar)query_factor(head),
                             .x = head->qkv,
                             .bias = head->bias,
                             .weight = head->weights->q_norm,
                             .rotation = head->rotation,
                             .y = scratch->q};

  head->kernels->rotary_forward(&arguments);
  arguments.factor = 1;
  arguments.x += head->W;
  arguments.bias += head->W;
  arguments.weight = head->weights->k_norm;
  arguments.y = scratch->k;
  head->kernels->rotary_forward(&arguments);
  head->kernels->bias_forward(&(BiasForward){.rows = head->T,
                                             .width = head->D,
                                             .stride = 3 * head->W,
                                             .x = head->qkv + 2 * head->W,
                                             .bias = head->bias + 2 * head->W,
                                             .y = scratch->v});
  transpose(head, scratch->k, scratch->k_across);
  head->v = right_factor(head, scratch->v, head->D, scratch->v_down);
}

/* ------------------------------------------------------------------ the three kinds of product */

/* S = A B^T for some rows of A [rows][D], with B^T [D][T] in panels; columns beyond T, up to the stride, become 0 */
static void product_across(const Head *head, size_t rows, MatrixProduct operands)
{
  operands.m = rows;
  operands.n = operands.c_row = head->stride;
  operands.k = head->D;
  operands.b_row = head->kernels->panel;
  operands.b_panel = head->D * head->kernels->panel;
  head->kernels->multiply(&operands);
}

/* C = S B for some rows of S [rows][T] */
static void product_down(const Head *head, size_t rows, const RightFactor *b, MatrixProduct operands)
{
  operands.m = rows;
  operands.n = head->D;
  operands.k = head->T;
  operands.a_row = head->stride;
  operands.b = b->b;
  operands.b_row = b->b_row;
  operands.b_panel = b->b_panel;
  head->kernels->multiply(&operands);
}

_Static_assert((int)ROWS <= (int)PRODUCT_DEPTH, "a piece of rows of the attention matrix has room in the strips");

/* C (+)= S^T B over the piece's rows of S [rows][T] and of B */
static void product_transposed(const Head *head, RowBlock piece, const RightFactor *b, MatrixProduct operands)
{
  const Scalar *s = operands.a;
  Scalar *c = operands.c;

  operands.n = head->D;
  operands.k = piece.rows;
  operands.b = b->b + piece.token * b->b_row;
  operands.b_row = b->b_row;
  operands.b_panel = b->b_panel;
  operands.add = piece.token > 0 ? PETSC_TRUE : PETSC_FALSE;
  for (size_t first = 0; first < head->T; first += PRODUCT_ROWS) {
    operands.m = head->T - first < PRODUCT_ROWS ? head->T - first : PRODUCT_ROWS;
    pack_left(head->n, s + first, head->stride, head->scratch, &operands);
    operands.c = c + first * operands.c_row;
    head->kernels->multiply(&operands);
  }
}

/* ------------------------------------------------------------------ forward */

/* s = q k^T for a piece of rows */
static void logits(const Head *head, RowBlock piece)
{
  const ThreadScratch *scratch = head->scratch;

  product_across(
      head, piece.rows,
      (MatrixProduct){
          .a = scratch->q + piece.token * head->D, .a_row = head->D, .b = scratch->k_across, .c = scratch->s});
}

static Softmax softmax_of(const Head *head, RowBlock piece)
{
  return (Softmax){.rows = piece.rows,
                   .columns = head->T,
                   .stride = head->stride,
                   .s = head->scratch->s,
                   .log_sum = head->log_sum + piece.token};
}

/* Dropout factors [rows][stride] of a piece of the attention matrix. */
static void drop_factors(const Head *head, RowBlock piece)
{
  Scalar *factors = head->scratch->factors;

  for (size_t i = 0; i < piece.rows; i++) {
    const ElementRange row = {.first = (head->task.head * head->T + piece.token + i) * head->T, .count = head->T};

    dropout_factors(head->n, DROP_PROBABILITIES, head->task.block, head->task.sample, row, factors + i * head->stride);
    memset(factors + i * head->stride + head->T, 0, (head->stride - head->T) * sizeof *factors);
  }
}

static void drop(const Head *head, RowBlock piece, Scalar *x)
{
  head->kernels->scale(piece.rows * head->stride, head->scratch->factors, x);
}

void attention_forward(const Network *n, HeadTask task, ThreadScratch *scratch)
{
  Head head = head_of(n, task, scratch);

  fetch(&head);
  for (size_t index = 0; index < row_blocks_per_sample(head.T); index++) {
    const RowBlock piece = row_block(index, head.T);
    const Softmax softmax = softmax_of(&head, piece);

    logits(&head, piece);
    n->kernels->softmax_forward(&softmax);
    if (head.drops) {
      drop_factors(&head, piece);
      drop(&head, piece, scratch->s);
    }
    product_down(&head, piece.rows, &head.v,
                 (MatrixProduct){.a = scratch->s, .c = head.o + piece.token * head.W, .c_row = head.W});
  }
}

/* ------------------------------------------------------------------ backward */

static void begin_backward(Head *head)
{
  const Dimensions *d = &head->n->dims;
  const HeadTask task = head->task;
  const size_t column = task.head * head->D;
  ThreadScratch *scratch = head->scratch;
  Scalar *norms = head->n->qk_norm_bar + (task.sample * d->H + task.head) * 2 * head->D;

  memset(norms, 0, 2 * head->D * sizeof *norms);
  head->q_norm_bar = norms;
  head->k_norm_bar = norms + head->D;
  head->o_bar = head->n->o_bar + task.sample * head->T * head->W + column;
  head->qkv_bar = head->n->qkv_bar + task.sample * head->T * 3 * head->W + column;
  head->q = right_factor(head, scratch->q, head->D, scratch->q_down);
  head->k = right_factor(head, scratch->k, head->D, scratch->k_down);
  head->o_bar_factor = right_factor(head, head->o_bar, head->W, scratch->o_bar_down);
  transpose(head, scratch->v, scratch->v_across);
}

/* Of one piece of rows: s = P after dropout, s_bar = gradient of the logits. */
static void logit_gradients(const Head *head, RowBlock piece)
{
  const ThreadScratch *scratch = head->scratch;
  const Softmax softmax = softmax_of(head, piece);
  const size_t at = piece.token * head->W;

  logits(head, piece);
  head->kernels->softmax_again(&softmax);
  product_across(head, piece.rows,
                 (MatrixProduct){.a = head->o_bar + at, .a_row = head->W, .b = scratch->v_across, .c = scratch->s_bar});
  if (head->drops) {
    drop_factors(head, piece);
    drop(head, piece, scratch->s_bar);
  }
  /* delta_i = sum_j P_ij P_bar_ij = o_i . o_bar_i */
  head->kernels->row_products(&(RowProducts){.rows = piece.rows,
                                             .width = head->D,
                                             .stride = head->W,
                                             .a = head->o + at,
                                             .b = head->o_bar + at,
                                             .product = scratch->delta});
  head->kernels->softmax_backward(&(SoftmaxBackward){.rows = piece.rows,
                                                     .columns = head->T,
                                                     .stride = head->stride,
                                                     .p = scratch->s,
                                                     .delta = scratch->delta,
                                                     .s_bar = scratch->s_bar});
  if (head->drops) drop(head, piece, scratch->s);
}

/* One piece's part of v_bar = P^T o_bar and k_bar = S_bar^T q, and its rows of q_bar = S_bar k. */
static void input_gradients(const Head *head, RowBlock piece)
{
  const ThreadScratch *scratch = head->scratch;

  product_transposed(head, piece, &head->o_bar_factor,
                     (MatrixProduct){.a = scratch->s, .c = head->qkv_bar + 2 * head->W, .c_row = 3 * head->W});
  product_transposed(head, piece, &head->q,
                     (MatrixProduct){.a = scratch->s_bar, .c = scratch->k_bar, .c_row = head->D});
  product_down(head, piece.rows, &head->k, (MatrixProduct){.a = scratch->s_bar, .c = scratch->q_bar, .c_row = head->D});
}

static RotaryBackward query_backward(const Head *head, RowBlock piece)
{
  return (RotaryBackward){.rows = piece.rows,
                          .width = head->D,
                          .stride = 3 * head->W,
                          .epsilon = (Scalar)head->n->shape.config.rms_epsilon,
                          .factor = (Scalar)query_factor(head),
                          .x = head->qkv + piece.token * 3 * head->W,
                          .bias = head->bias,
                          .weight = head->weights->q_norm,
                          .rotation = head->rotation + piece.token * head->D,
                          .y_bar = head->scratch->q_bar,
                          .x_bar = head->qkv_bar + piece.token * 3 * head->W,
                          .weight_bar = head->q_norm_bar};
}

static RotaryBackward key_backward(const Head *head)
{
  RotaryBackward arguments = query_backward(head, (RowBlock){.rows = head->T});

  arguments.factor = 1;
  arguments.x += head->W;
  arguments.bias += head->W;
  arguments.weight = head->weights->k_norm;
  arguments.y_bar = head->scratch->k_bar;
  arguments.x_bar += head->W;
  arguments.weight_bar = head->k_norm_bar;
  return arguments;
}

void attention_backward(const Network *n, HeadTask task, ThreadScratch *scratch)
{
  Head head = head_of(n, task, scratch);

  fetch(&head);
  begin_backward(&head);
  for (size_t index = 0; index < row_blocks_per_sample(head.T); index++) {
    const RowBlock piece = row_block(index, head.T);

    logit_gradients(&head, piece);
    input_gradients(&head, piece);
    const RotaryBackward query = query_backward(&head, piece);
    n->kernels->rotary_backward(&query);
  }
  const RotaryBackward key = key_backward(&head);
  n->kernels->rotary_backward(&key);
}
