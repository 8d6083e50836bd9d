/** \file attention.c  One head of one sample: from its queries, keys and values to its output, and back.
 *
 * Rows of the attention matrix are made a piece at a time, small enough for the cache, and again in backward from the
 * log of each row's sum (FlashAttention, Dao et al. 2022, arXiv:2205.14135), so that the matrix is never stored.
 * \ingroup network */
#include "internal.h"

#include <math.h>
#include <string.h>

/** Where one head's numbers are. */
typedef struct {
  size_t T, D, W, stride; /* stride of rows of the attention matrix */
  const BlockWeights *weights;
  const Scalar *rotation; /* [T][D] */
  const Scalar *qkv; /* [T][3W], from this head's first query on; k and v are W and 2W further */
  const Scalar *bias; /* of qkv, likewise */
  Scalar *o; /* [T][W], from this head's first column on */
  Scalar *log_sum; /* [T] */
} Head;

static Head head_of(const Network *n, HeadTask task)
{
  const Dimensions *d = &n->dims;
  const size_t T = tokens_in_block(d, task.block), column = task.head * d->D;
  const BlockStore *store = &n->stores[task.block];

  return (Head){.T = T,
                .D = d->D,
                .W = d->W,
                .stride = logit_stride(n->kernels, T),
                .weights = &n->blocks[task.block],
                .rotation = n->rotation[task.block >= d->start],
                .qkv = store->qkv + task.sample * T * 3 * d->W + column,
                .bias = n->blocks[task.block].qkv.bias + column,
                .o = store->o + task.sample * T * d->W + column,
                .log_sum = store->log_sum + (task.sample * d->H + task.head) * T};
}

static double query_factor(const Head *head)
{
  return 1 / sqrt((double)head->D);
}

/* x [T][D], rows x_row apart, into panels as the right factor of a product over tokens */
static void pack_down(const Network *n, const Head *head, const Scalar *x, size_t x_row, Scalar *panels)
{
  n->kernels->pack(&(MatrixPack){.n = head->D, .k = head->T, .b = x, .b_row = x_row, .b_column = 1, .panels = panels});
}

/* x [T][D] transposed, as the right factor of a product over D */
static void pack_across(const Network *n, const Head *head, const Scalar *x, Scalar *panels)
{
  n->kernels->pack(
      &(MatrixPack){.n = head->T, .k = head->D, .b = x, .b_row = 1, .b_column = head->D, .panels = panels});
}

/* q = rotation(norm(q)) / sqrt(D), k = rotation(norm(k)), v, each [T][D] */
static void fetch(const Network *n, const Head *head, ThreadScratch *scratch)
{
  RotaryForward arguments = {.rows = head->T,
                             .width = head->D,
                             .stride = 3 * head->W,
                             .epsilon = (Scalar)n->shape.config.rms_epsilon,
                             .factor = (Scalar)query_factor(head),
                             .x = head->qkv,
                             .bias = head->bias,
                             .weight = head->weights->q_norm,
                             .rotation = head->rotation,
                             .y = scratch->q};

  n->kernels->rotary_forward(&arguments);
  arguments.factor = 1;
  arguments.x += head->W;
  arguments.bias += head->W;
  arguments.weight = head->weights->k_norm;
  arguments.y = scratch->k;
  n->kernels->rotary_forward(&arguments);
  pack_across(n, head, scratch->k, scratch->k_across);
  for (size_t i = 0; i < head->T; i++) {
    const Scalar *v = head->qkv + i * 3 * head->W + 2 * head->W, *bias = head->bias + 2 * head->W;

    for (size_t j = 0; j < head->D; j++) scratch->v[i * head->D + j] = v[j] + bias[j];
  }
  pack_down(n, head, scratch->v, head->D, scratch->v_down);
}

/* S = A B^T for the piece's rows of A, with B^T [D][T] in panels; columns beyond T, up to the stride, become 0 */
static void product_across(const Network *n, const Head *head, RowBlock piece, MatrixProduct operands)
{
  operands.m = piece.rows;
  operands.n = operands.c_row = head->stride;
  operands.k = head->D;
  operands.a_column = 1;
  operands.b_row = n->kernels->panel;
  operands.b_panel = head->D * n->kernels->panel;
  n->kernels->multiply(&operands);
}

static void logits(const Network *n, const Head *head, RowBlock piece, ThreadScratch *scratch)
{
  const MatrixProduct operands = {
      .a = scratch->q + piece.token * head->D, .a_row = head->D, .b = scratch->k_across, .c = scratch->s};

  product_across(n, head, piece, operands);
}

/* C = A B for the piece's rows of A, with B [T][D] in panels */
static void product_down(const Network *n, const Head *head, RowBlock piece, MatrixProduct operands)
{
  operands.m = piece.rows;
  operands.n = head->D;
  operands.k = head->T;
  operands.a_row = head->stride;
  operands.a_column = 1;
  operands.b_row = n->kernels->panel;
  operands.b_panel = head->T * n->kernels->panel;
  n->kernels->multiply(&operands);
}

/* C (+)= A^T B over the piece's rows of A [rows][T] and of B [T][D] in panels */
static void product_transposed(const Network *n, const Head *head, RowBlock piece, MatrixProduct operands)
{
  operands.m = head->T;
  operands.n = head->D;
  operands.k = piece.rows;
  operands.a_row = 1;
  operands.a_column = head->stride;
  operands.b += piece.token * n->kernels->panel;
  operands.b_row = n->kernels->panel;
  operands.b_panel = head->T * n->kernels->panel;
  operands.add = piece.token > 0 ? PETSC_TRUE : PETSC_FALSE;
  n->kernels->multiply(&operands);
}

/* Factors [rows][stride] of a piece of the attention matrix. */
static void drop_factors(const Network *n, HeadTask task, const Head *head, RowBlock piece, Scalar *factors)
{
  for (size_t i = 0; i < piece.rows; i++) {
    const ElementRange row = {.first = (task.head * head->T + piece.token + i) * head->T, .count = head->T};

    dropout_factors(n, DROP_PROBABILITIES, task.block, task.sample, row, factors + i * head->stride);
    memset(factors + i * head->stride + head->T, 0, (head->stride - head->T) * sizeof *factors);
  }
}

void attention_forward(const Network *n, HeadTask task, ThreadScratch *scratch)
{
  const Head head = head_of(n, task);

  fetch(n, &head, scratch);
  for (size_t index = 0; index < row_blocks_per_sample(head.T); index++) {
    const RowBlock piece = row_block(index, head.T);

    logits(n, &head, piece, scratch);
    n->kernels->softmax_forward(&(Softmax){.rows = piece.rows,
                                           .columns = head.T,
                                           .stride = head.stride,
                                           .s = scratch->s,
                                           .log_sum = head.log_sum + piece.token});
    if (dropout_acts(n, task.block)) {
      drop_factors(n, task, &head, piece, scratch->factors);
      n->kernels->scale(piece.rows * head.stride, scratch->factors, scratch->s);
    }
    product_down(
        n, &head, piece,
        (MatrixProduct){.a = scratch->s, .b = scratch->v_down, .c = head.o + piece.token * head.W, .c_row = head.W});
  }
}

/** Gradients of one head's output and of its queries, keys and values, laid out as in ::Head. */
typedef struct {
  const Scalar *o_bar;
  Scalar *qkv_bar;
  Scalar *q_norm_bar, *k_norm_bar; /* [D] of this sample and head */
} HeadBar;

static HeadBar head_bar_of(const Network *n, HeadTask task)
{
  const Dimensions *d = &n->dims;
  const size_t T = tokens_in_block(d, task.block), column = task.head * d->D;
  Scalar *norms = n->qk_norm_bar + (task.sample * d->H + task.head) * 2 * d->D;

  memset(norms, 0, 2 * d->D * sizeof *norms);
  return (HeadBar){.o_bar = n->o_bar + task.sample * T * d->W + column,
                   .qkv_bar = n->qkv_bar + task.sample * T * 3 * d->W + column,
                   .q_norm_bar = norms,
                   .k_norm_bar = norms + d->D};
}

/* delta_i = sum_j P_ij P_bar_ij = o_bar_i . o_i */
static void row_deltas(const Head *head, const HeadBar *bar, RowBlock piece, Scalar *delta)
{
  for (size_t i = 0; i < piece.rows; i++) {
    const Scalar *o = head->o + (piece.token + i) * head->W, *o_bar = bar->o_bar + (piece.token + i) * head->W;
    Scalar sum = 0;

    for (size_t j = 0; j < head->D; j++) sum += o[j] * o_bar[j];
    delta[i] = sum;
  }
}

/* Of one piece of rows: s = P after dropout, s_bar = gradient of the logits. */
static void logit_gradients(const Network *n, HeadTask task, const Head *head, const HeadBar *bar, RowBlock piece,
                            ThreadScratch *scratch)
{
  const PetscBool drops = dropout_acts(n, task.block);

  logits(n, head, piece, scratch);
  n->kernels->softmax_again(&(Softmax){.rows = piece.rows,
                                       .columns = head->T,
                                       .stride = head->stride,
                                       .s = scratch->s,
                                       .log_sum = head->log_sum + piece.token});
  product_across(
      n, head, piece,
      (MatrixProduct){
          .a = bar->o_bar + piece.token * head->W, .a_row = head->W, .b = scratch->v_across, .c = scratch->s_bar});
  if (drops) {
    drop_factors(n, task, head, piece, scratch->factors);
    n->kernels->scale(piece.rows * head->stride, scratch->factors, scratch->s_bar);
  }
  row_deltas(head, bar, piece, scratch->delta);
  n->kernels->softmax_backward(&(SoftmaxBackward){.rows = piece.rows,
                                                  .columns = head->T,
                                                  .stride = head->stride,
                                                  .p = scratch->s,
                                                  .delta = scratch->delta,
                                                  .s_bar = scratch->s_bar});
  if (drops) n->kernels->scale(piece.rows * head->stride, scratch->factors, scratch->s);
}

/* One piece's part of v_bar = P^T o_bar and k_bar = S_bar^T q, and its rows of q_bar = S_bar k. */
static void input_gradients(const Network *n, const Head *head, const HeadBar *bar, RowBlock piece,
                            ThreadScratch *scratch)
{
  product_transposed(
      n, head, piece,
      (MatrixProduct){
          .a = scratch->s, .b = scratch->o_bar_down, .c = bar->qkv_bar + 2 * head->W, .c_row = 3 * head->W});
  product_transposed(n, head, piece,
                     (MatrixProduct){.a = scratch->s_bar, .b = scratch->q_down, .c = scratch->k_bar, .c_row = head->D});
  product_down(n, head, piece,
               (MatrixProduct){.a = scratch->s_bar, .b = scratch->k_down, .c = scratch->q_bar, .c_row = head->D});
}

static RotaryBackward rotary_backward_of_query(const Network *n, const Head *head, const HeadBar *bar, RowBlock piece)
{
  return (RotaryBackward){.rows = piece.rows,
                          .width = head->D,
                          .stride = 3 * head->W,
                          .epsilon = (Scalar)n->shape.config.rms_epsilon,
                          .factor = (Scalar)query_factor(head),
                          .x = head->qkv + piece.token * 3 * head->W,
                          .bias = head->bias,
                          .weight = head->weights->q_norm,
                          .rotation = head->rotation + piece.token * head->D,
                          .x_bar = bar->qkv_bar + piece.token * 3 * head->W,
                          .weight_bar = bar->q_norm_bar};
}

void attention_backward(const Network *n, HeadTask task, ThreadScratch *scratch)
{
  const Head head = head_of(n, task);
  const HeadBar bar = head_bar_of(n, task);
  const RowBlock all = {.rows = head.T};
  RotaryBackward arguments;

  fetch(n, &head, scratch);
  pack_down(n, &head, scratch->q, head.D, scratch->q_down);
  pack_down(n, &head, scratch->k, head.D, scratch->k_down);
  pack_down(n, &head, bar.o_bar, head.W, scratch->o_bar_down);
  pack_across(n, &head, scratch->v, scratch->v_across);
  for (size_t index = 0; index < row_blocks_per_sample(head.T); index++) {
    const RowBlock piece = row_block(index, head.T);

    logit_gradients(n, task, &head, &bar, piece, scratch);
    input_gradients(n, &head, &bar, piece, scratch);
    arguments = rotary_backward_of_query(n, &head, &bar, piece);
    arguments.y_bar = scratch->q_bar;
    n->kernels->rotary_backward(&arguments);
  }
  arguments = rotary_backward_of_query(n, &head, &bar, all);
  arguments.factor = 1;
  arguments.x += head.W;
  arguments.bias += head.W;
  arguments.weight = head.weights->k_norm;
  arguments.x_bar += head.W;
  arguments.weight_bar = bar.k_norm_bar;
  arguments.y_bar = scratch->k_bar;
  n->kernels->rotary_backward(&arguments);
}
