/** \file kernels_matrix.c  Products of a block of rows with panels of columns.
 *
 * The scheme of Goto & van de Geijn 2008: B comes in panels as wide as a tile of sums in registers, and a panel is gone
 * through for one tile of rows after the other while it is in the cache.  \ingroup network */
#include "kernels.h"
#include "simd.h"

#include <string.h>

enum { PANEL = 2 * LANES, TILE = TILE_ROWS }; /* columns and rows of a tile */

/** Where one tile's operands begin. */
typedef struct {
  size_t k;
  const Scalar *a, *b;
  size_t a_row, b_row;
  Scalar *c;
  size_t c_row;
  PetscBool add;
} Tile;

/* All loops but that over k are unrolled, which leaves the sums in registers.  Each sum runs over k in order in a tile
 * of any size: how a product is cut up does not show in its result. */
__attribute__((always_inline)) static inline void tile(const int rows, const int vectors, const size_t a_row,
                                                       const size_t a_column, const Tile *t)
{
  Vector sum[TILE][2];

#pragma GCC unroll 16
  for (int i = 0; i < rows; i++) {
    vector_ask(t->c + (size_t)i * t->c_row);
    if (vectors == 2) vector_ask(t->c + (size_t)i * t->c_row + LANES);
    sum[i][0] = sum[i][1] = vector_all(0);
  }
  for (size_t l = 0; l < t->k; l++) {
    const Vector b0 = vector_load(t->b + l * t->b_row);
    const Vector b1 = vectors == 2 ? vector_load(t->b + l * t->b_row + LANES) : b0;

#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
      const Vector a = vector_all(t->a[(size_t)i * a_row + l * a_column]);

      sum[i][0] = vector_multiply_add(a, b0, sum[i][0]);
      if (vectors == 2) sum[i][1] = vector_multiply_add(a, b1, sum[i][1]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows; i++) {
    Scalar *c = t->c + (size_t)i * t->c_row;

    vector_store(c, t->add ? vector_add(vector_load(c), sum[i][0]) : sum[i][0]);
    if (vectors == 2) vector_store(c + LANES, t->add ? vector_add(vector_load(c + LANES), sum[i][1]) : sum[i][1]);
  }
}

typedef void (*TileFunction)(const Tile *tile);

/* In either of the two ways A may lie: k contiguous in each row, or the rows of a strip contiguous at each k. */
#define TILE_FUNCTIONS(rows)                                                                                           \
  static void rows_##rows##_1(const Tile *t)                                                                           \
  {                                                                                                                    \
    tile(rows, 1, t->a_row, 1, t);                                                                                     \
  }                                                                                                                    \
  static void rows_##rows##_2(const Tile *t)                                                                           \
  {                                                                                                                    \
    tile(rows, 2, t->a_row, 1, t);                                                                                     \
  }                                                                                                                    \
  static void strip_##rows##_1(const Tile *t)                                                                          \
  {                                                                                                                    \
    tile(rows, 1, 1, TILE, t);                                                                                         \
  }                                                                                                                    \
  static void strip_##rows##_2(const Tile *t)                                                                          \
  {                                                                                                                    \
    tile(rows, 2, 1, TILE, t);                                                                                         \
  }
/* clang-format off */
#define TILE_ENTRY(rows) {rows, {{rows_##rows##_1, rows_##rows##_2}, {strip_##rows##_1, strip_##rows##_2}}}
/* clang-format on */
TILE_FUNCTIONS(1)
TILE_FUNCTIONS(2)
TILE_FUNCTIONS(4)
TILE_FUNCTIONS(6)
#if SIMD_WIDTH == 512
TILE_FUNCTIONS(8)
TILE_FUNCTIONS(10)
TILE_FUNCTIONS(12)
#endif

/** The sizes of tile there are, largest first. */
static const struct {
  size_t rows;
  TileFunction function[2][2]; /* [A by rows, in strips][vectors - 1] */
} tiles[] = {
#if SIMD_WIDTH == 512
    TILE_ENTRY(12), TILE_ENTRY(10), TILE_ENTRY(8),
#endif
    TILE_ENTRY(6),  TILE_ENTRY(4),  TILE_ENTRY(2), TILE_ENTRY(1),
};

/* A tile that is not full across goes through a full one of its own. */
static void tile_of_columns(TileFunction function, size_t rows, size_t columns, Tile t)
{
  Scalar whole[TILE * PANEL], *c = t.c;
  const size_t c_row = t.c_row;

  t.c = whole;
  t.c_row = PANEL;
  const PetscBool add = t.add;
  t.add = PETSC_FALSE;
  function(&t);
  for (size_t i = 0; i < rows; i++)
    for (size_t j = 0; j < columns; j++) c[i * c_row + j] = (add ? c[i * c_row + j] : 0) + whole[i * PANEL + j];
}

/* Where A begins for a tile from this row on. */
static const Scalar *left_factor(const MatrixProduct *p, size_t row)
{
  return p->a_strip ? p->a + row / TILE * p->a_strip + row % TILE : p->a + row * p->a_row;
}

static void one_tile(const MatrixProduct *p, size_t kind, size_t row, size_t column)
{
  const size_t left = p->n - column, columns = left < PANEL ? left : PANEL;
  const int wide = columns > LANES;
  const TileFunction function = tiles[kind].function[p->a_strip != 0][wide];
  const Tile t = {.k = p->k,
                  .a = left_factor(p, row),
                  .b = p->b + column / PANEL * p->b_panel,
                  .a_row = p->a_row,
                  .b_row = p->b_row,
                  .c = p->c + row * p->c_row + column,
                  .c_row = p->c_row,
                  .add = p->add};

  if (columns == (size_t)(wide ? PANEL : LANES))
    function(&t);
  else
    tile_of_columns(function, tiles[kind].rows, columns, t);
}

/* The tile for the next of the rows that are left: tiles of about equal size rather than full ones and a small rest,
 * which would leave the arithmetic waiting for itself.  In strips, full ones: none may reach into the next strip. */
static size_t fitting(const MatrixProduct *p, size_t left)
{
  const size_t count = (left + TILE - 1) / TILE;
  const size_t wanted = p->a_strip ? (size_t)TILE : (left + count - 1) / count;
  size_t kind = sizeof tiles / sizeof *tiles - 1;

  while (kind > 0 && tiles[kind].rows < wanted) kind--;
  while (tiles[kind].rows > left) kind++;
  return kind;
}

void NETWORK_KERNEL(multiply)(const MatrixProduct *p)
{
  for (size_t column = 0; column < p->n; column += PANEL) /* a panel of B stays in the nearest cache */
    for (size_t row = 0, kind; row < p->m; row += tiles[kind].rows) {
      kind = fitting(p, p->m - row);
      one_tile(p, kind, row, column);
    }
}

/* ------------------------------------------------------------------ into panels and strips */

/* Rows of x [count][width] contiguous, one after the other, into pieces of `most` columns, each piece after the last.
 */
__attribute__((always_inline)) static inline void cut(size_t count, size_t width, const size_t most, const Scalar *x,
                                                      size_t x_row, size_t distance, Scalar *restrict pieces)
{
  const size_t whole = width / most;

  for (size_t l = 0; l < count; l++) {
    const Scalar *row = x + l * x_row;
    Scalar *restrict out = pieces + l * most;

    for (size_t i = 0; i < whole; i++) memcpy(out + i * distance, row + i * most, most * sizeof *out);
    if (whole * most < width)
      for (size_t j = 0; j < most; j++)
        out[whole * distance + j] = whole * most + j < width ? row[whole * most + j] : 0;
  }
}

void NETWORK_KERNEL(pack_strips)(const MatrixStrips *s)
{
  cut(s->k, s->m, TILE, s->a, s->a_row, s->strip, s->strips);
}

/* Columns of B contiguous: a transposition by squares, a few columns from end to end before the next, which processors
 * foresee. */
static void pack_columns(const MatrixPack *p, size_t column, size_t columns, Scalar *restrict panel)
{
  const size_t whole_columns = columns / SQUARE * SQUARE, whole_rows = p->k / SQUARE * SQUARE;
  const Scalar *b = p->b + column * p->b_column;

  for (size_t j = 0; j < whole_columns; j += SQUARE)
    for (size_t l = 0; l < whole_rows; l += SQUARE)
      square_transpose(b + j * p->b_column + l, p->b_column, panel + l * PANEL + j, PANEL);
  for (size_t j = 0; j < PANEL; j++)
    for (size_t l = j < whole_columns ? whole_rows : 0; l < p->k; l++)
      panel[l * PANEL + j] = j < columns ? b[j * p->b_column + l] : 0;
}

void NETWORK_KERNEL(pack)(const MatrixPack *p)
{
  if (p->b_column == 1) {
    cut(p->k, p->n, PANEL, p->b, p->b_row, p->panel, p->panels);
    return;
  }
  for (size_t column = 0; column < p->n; column += PANEL) {
    const size_t left = p->n - column, columns = left < PANEL ? left : PANEL;

    pack_columns(p, column, columns, p->panels + column / PANEL * p->panel);
  }
}
