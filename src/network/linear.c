/** \file linear.c  Matrix products and the linear maps made of them.
 *
 * The weights of a block are packed into panels once for all rows of a batch; what is used once is packed on the way.
 * \ingroup network */
#include "internal.h"

#include <omp.h>
#include <string.h>

static size_t minimum(size_t a, size_t b)
{
  return a < b ? a : b;
}

/* The pieces of `count` that are at most `most` long, as equal as possible: how many, and where piece i begins. */
static size_t pieces_of(size_t count, size_t most)
{
  return (count + most - 1) / most;
}

static size_t piece_begin(size_t count, size_t pieces, size_t i)
{
  return count * i / pieces;
}

size_t panels_size(const Network *n, size_t columns, size_t rows)
{
  return pieces_of(columns, n->kernels->panel) * n->kernels->panel * rows;
}

/* ------------------------------------------------------------------ products that pack on the way */

/* Panels and strips this much further apart than they are long do not all begin in the same few sets of a cache. */
enum { CACHE_LINE = 64 / sizeof(Scalar) };

size_t packed_panels_size(const Network *n)
{
  const size_t panel = n->kernels->panel;

  return pieces_of(PRODUCT_COLUMNS, panel) * (PRODUCT_DEPTH * panel + CACHE_LINE);
}

size_t packed_strips_size(const Network *n)
{
  const size_t strip = n->kernels->strip;

  return pieces_of(PRODUCT_ROWS, strip) * (PRODUCT_DEPTH * strip + CACHE_LINE);
}

void pack_left(const Network *n, const Scalar *a, size_t a_row, ThreadScratch *scratch, MatrixProduct *product)
{
  product->a = scratch->strips;
  product->a_strip = product->k * n->kernels->strip + CACHE_LINE;
  n->kernels->pack_strips(&(MatrixStrips){
      .m = product->m, .k = product->k, .a = a, .a_row = a_row, .strip = product->a_strip, .strips = scratch->strips});
}

static void pack_right(const Network *n, const Product *p, size_t first, size_t column, ThreadScratch *scratch,
                       MatrixProduct *block)
{
  block->b = scratch->panels;
  block->b_row = n->kernels->panel;
  block->b_panel = block->k * n->kernels->panel + CACHE_LINE;
  n->kernels->pack(&(MatrixPack){.n = block->n,
                                 .k = block->k,
                                 .b = p->b + first * p->b_row + column * p->b_column,
                                 .b_row = p->b_row,
                                 .b_column = p->b_column,
                                 .panel = block->b_panel,
                                 .panels = scratch->panels});
}

/* C = A B for the columns from `column` on that fit the cache beside what is read of A. */
static void product_of_columns(const Network *n, const Product *p, size_t column, ThreadScratch *scratch)
{
  const size_t pieces = pieces_of(p->k, PRODUCT_DEPTH);

  for (size_t i = 0; i < pieces; i++) {
    const size_t first = piece_begin(p->k, pieces, i);
    MatrixProduct block = {.m = p->m,
                           .n = minimum(PRODUCT_COLUMNS, p->n - column),
                           .k = piece_begin(p->k, pieces, i + 1) - first,
                           .a = p->a + first * p->a_column,
                           .a_row = p->a_row,
                           .c = p->c + column,
                           .c_row = p->c_row,
                           .add = p->add || i > 0 ? PETSC_TRUE : PETSC_FALSE};

    if (p->a_column != 1) pack_left(n, block.a, p->a_column, scratch, &block);
    pack_right(n, p, first, column, scratch, &block);
    n->kernels->multiply(&block);
  }
}

void product(const Network *n, const Product *p, ThreadScratch *scratch)
{
  for (size_t column = 0; column < p->n; column += PRODUCT_COLUMNS) product_of_columns(n, p, column, scratch);
}

/* ------------------------------------------------------------------ products with packed weights */

/* All panels of all maps, in parallel; to be called by every thread of a parallel region. */
static void pack_panels(const Network *n, const Linear *const *maps, size_t count, Direction direction)
{
  const PetscBool forward = direction == DIRECTION_FORWARD ? PETSC_TRUE : PETSC_FALSE;
  const size_t panel = n->kernels->panel;

  for (size_t i = 0; i < count; i++) {
    const Linear *map = maps[i];
    const size_t columns = forward ? map->out : map->in, rows = forward ? map->in : map->out;
    const size_t row_stride = forward ? 1 : map->in, column_stride = forward ? map->in : 1;

#pragma omp for nowait
    for (size_t first = 0; first < columns; first += panel)
      n->kernels->pack(&(MatrixPack){.n = minimum(panel, columns - first),
                                     .k = rows,
                                     .b = map->weight + first * column_stride,
                                     .b_row = row_stride,
                                     .b_column = column_stride,
                                     .panel = rows * panel,
                                     .panels = map->panels + first * rows});
  }
}

/* Maps that are packed together are all of one kind. */
static void pack_maps(const Network *n, const Linear *const *maps, size_t count, Direction direction)
{
  if (maps[0]->bfloat16)
    n->bfloat16_products->pack(n, maps, count, direction);
  else
    pack_panels(n, maps, count, direction);
#pragma omp barrier
  lap(n, NETWORK_LINEAR);
}

void linear_pack_forward(const Network *n, const Linear *const *maps, size_t count)
{
  pack_maps(n, maps, count, DIRECTION_FORWARD);
}

void linear_pack_backward(const Network *n, const Linear *const *maps, size_t count)
{
  pack_maps(n, maps, count, DIRECTION_BACKWARD);
}

/* Some columns at a time: their sums stay in the cache until they are complete. */
static void multiply_packed(const Network *n, MatrixProduct whole)
{
  const size_t pieces = pieces_of(whole.k, PACKED_DEPTH), panel = n->kernels->panel;

  for (size_t column = 0; column < whole.n; column += PRODUCT_COLUMNS)
    for (size_t i = 0; i < pieces; i++) {
      const size_t begin = piece_begin(whole.k, pieces, i);
      MatrixProduct part = whole;

      part.n = minimum(PRODUCT_COLUMNS, whole.n - column);
      part.k = piece_begin(whole.k, pieces, i + 1) - begin;
      part.a += begin;
      part.b += column * whole.k + begin * panel;
      part.b_row = panel;
      part.b_panel = whole.k * panel;
      part.c += column;
      part.add = i > 0 ? PETSC_TRUE : PETSC_FALSE;
      n->kernels->multiply(&part);
    }
}

/* By the weights packed for this direction, from one side of a map to the other. */
static void linear_multiply(const Network *n, const Linear *linear, Direction direction, size_t rows, const Scalar *x,
                            Scalar *y)
{
  const PetscBool forward = direction == DIRECTION_FORWARD ? PETSC_TRUE : PETSC_FALSE;
  const MatrixProduct whole = {.m = rows,
                               .n = forward ? linear->out : linear->in,
                               .k = forward ? linear->in : linear->out,
                               .a = x,
                               .a_row = forward ? linear->in_row : linear->out_row,
                               .b = linear->panels,
                               .c = y,
                               .c_row = forward ? linear->out_row : linear->in_row};

  lap(n, NETWORK_ROWS);
  if (linear->bfloat16)
    n->bfloat16_products->multiply(n, linear, direction, rows, x, y);
  else
    multiply_packed(n, whole);
  lap(n, NETWORK_LINEAR);
}

void linear_forward(const Network *n, const Linear *linear, size_t rows, const Scalar *x, Scalar *y)
{
  linear_multiply(n, linear, DIRECTION_FORWARD, rows, x, y);
}

void linear_backward(const Network *n, const Linear *linear, size_t rows, const Scalar *y_bar, Scalar *x_bar)
{
  linear_multiply(n, linear, DIRECTION_BACKWARD, rows, y_bar, x_bar);
}

static void product_gradient(const Network *n, const Linear *linear, size_t rows, const Scalar *y_bar, const Scalar *x)
{
  /* Each element is summed by one thread and in the order of the rows, whatever the number of threads. */
  const size_t strip = n->kernels->strip, strips = pieces_of(linear->out, strip), threads = (size_t)n->threads;
  const size_t wanted = pieces_of(strips, PRODUCT_ROWS / strip);
  const size_t tiles = minimum(strips, pieces_of(wanted, threads) * threads);
  Scalar *weight_bar = gradient_of(n, linear->weight);

#pragma omp parallel for schedule(dynamic) num_threads(n->threads)
  for (size_t tile = 0; tile < tiles; tile++) {
    const size_t begin = piece_begin(strips, tiles, tile) * strip;
    const size_t end = minimum(piece_begin(strips, tiles, tile + 1) * strip, linear->out);
    const Product p = {.m = end - begin,
                       .n = linear->in,
                       .k = rows,
                       .a = y_bar + begin,
                       .a_row = 1,
                       .a_column = linear->out_row,
                       .b = x,
                       .b_row = linear->in_row,
                       .b_column = 1,
                       .c = weight_bar + begin * linear->in,
                       .c_row = linear->in,
                       .add = n->gradient_is_zero ? PETSC_FALSE : PETSC_TRUE};

    product(n, &p, &n->scratch[omp_get_thread_num()]);
  }
}

void linear_gradient(const Network *n, const Linear *linear, size_t rows, const Scalar *y_bar, const Scalar *x)
{
  if (linear->bfloat16)
    n->bfloat16_products->gradient(n, linear, rows, y_bar, x);
  else
    product_gradient(n, linear, rows, y_bar, x);
  lap(n, NETWORK_GRADIENT);
}

/* ------------------------------------------------------------------ small maps outside the blocks */

/* Of a product by all threads: in how many tasks its columns, by whole panels, and the columns of one. */
static size_t column_tasks(const Network *n, size_t columns)
{
  const size_t tasks = pieces_of(columns, PRODUCT_COLUMNS), threads = (size_t)n->threads;

  return minimum(pieces_of(columns, n->kernels->panel), tasks < threads ? threads : tasks);
}

static size_t task_begin(const Network *n, size_t columns, size_t task)
{
  const size_t panel = n->kernels->panel;

  return minimum(columns, piece_begin(pieces_of(columns, panel), column_tasks(n, columns), task) * panel);
}

void affine_forward(const Network *n, const Linear *linear, size_t rows, const Scalar *x, Scalar *y)
{
  const size_t tasks = column_tasks(n, linear->out);

#pragma omp parallel for num_threads(n->threads)
  for (size_t task = 0; task < tasks; task++) {
    const size_t first = task_begin(n, linear->out, task), columns = task_begin(n, linear->out, task + 1) - first;
    const Product p = {.m = rows,
                       .n = columns,
                       .k = linear->in,
                       .a = x,
                       .a_row = linear->in,
                       .a_column = 1,
                       .b = linear->weight + first * linear->in,
                       .b_row = 1,
                       .b_column = linear->in,
                       .c = y + first,
                       .c_row = linear->out,
                       .add = linear->bias ? PETSC_TRUE : PETSC_FALSE};

    for (size_t row = 0; linear->bias && row < rows; row++) /* the bias first: the product adds to it */
      memcpy(y + row * linear->out + first, linear->bias + first, columns * sizeof *y);
    product(n, &p, &n->scratch[omp_get_thread_num()]);
  }
  lap(n, NETWORK_ENDS);
}

void affine_backward(const Network *n, const Linear *linear, size_t rows, const Scalar *y_bar, Scalar *x_bar)
{
  const size_t tasks = column_tasks(n, linear->in);

#pragma omp parallel for num_threads(n->threads)
  for (size_t task = 0; task < tasks; task++) {
    const size_t first = task_begin(n, linear->in, task);
    const Product p = {.m = rows,
                       .n = task_begin(n, linear->in, task + 1) - first,
                       .k = linear->out,
                       .a = y_bar,
                       .a_row = linear->out,
                       .a_column = 1,
                       .b = linear->weight + first,
                       .b_row = linear->in,
                       .b_column = 1,
                       .c = x_bar + first,
                       .c_row = linear->in};

    product(n, &p, &n->scratch[omp_get_thread_num()]);
  }
  lap(n, NETWORK_ENDS);
}

void affine_gradient(const Network *n, const Linear *linear, size_t rows, const Scalar *y_bar, const Scalar *x)
{
  linear_gradient(n, linear, rows, y_bar, x);
  if (linear->bias) add_column_sums(rows, linear->out, y_bar, gradient_of(n, linear->bias));
}

/* ------------------------------------------------------------------ biases */

void add_bias(size_t rows, size_t width, const Scalar *bias, Scalar *y)
{
  for (size_t row = 0; row < rows; row++)
    for (size_t j = 0; j < width; j++) y[row * width + j] += bias[j];
}

void add_column_sums(size_t rows, size_t width, const Scalar *x, Scalar *sum)
{
  enum { GROUP = 64 };

  for (size_t first = 0; first < width; first += GROUP) {
    const size_t columns = minimum(GROUP, width - first);
    double total[GROUP] = {0};

    for (size_t row = 0; row < rows; row++)
      for (size_t j = 0; j < columns; j++) total[j] += (double)x[row * width + first + j];
    for (size_t j = 0; j < columns; j++) sum[first + j] += (Scalar)total[j];
  }
}
