/** \file bfloat16.h  What the plan of products in bfloat16 (bfloat16_plan.c) and their making (bfloat16.c) share.
 *
 * C (+)= A B.  A is rounded by a kernel of ours and C handed on from where it was summed, both in the thread's scratch,
 * since oneDNN is at its best with matrices whose rows follow each other.  B (a weight, or the input of a map) serves
 * many A: oneDNN packs it into the layout that it wants.  All that products need is made before the first step, and
 * each is made by the thread that asks for it, so that no sum depends on the number of threads.  \ingroup network */
#ifndef NEPHRITE_NETWORK_BFLOAT16_H
#define NEPHRITE_NETWORK_BFLOAT16_H

#include "internal.h"

#include <oneapi/dnnl/dnnl.h>

enum {
  MAPS = 4, /* of a block */
  WEIGHT_COLUMNS = 256, /* of a packed weight, at most: there are so many pieces for the threads to pack */
  TILE_ROWS = 128, /* of a gradient, at most: as many tiles whatever the number of threads */
  TILE_COLUMNS = 768
};

/** All that tells one product from another. */
typedef struct {
  size_t m, n, k;
  PetscBool transposed; /* A lies as [k][m], else as [m][k] */
  PetscBool add; /* to what C holds */
} Shape;

/** Products of one shape. */
typedef struct {
  Shape shape;
  dnnl_primitive_desc_t plan;
  dnnl_primitive_t primitive;
  dnnl_memory_t *a, *c, *work; /* [threads] in their scratch */
} Bfloat16Product;

/** B [k][columns]: some columns of a weight, or of one sample's input. */
typedef struct {
  size_t first, columns;
  size_t offset, bytes; /* of where it is packed */
  dnnl_memory_desc_t plain_desc, packed_desc;
  dnnl_primitive_t pack;
  dnnl_memory_t plain, packed; /* the former is given its place at each packing */
} Factor;

typedef struct {
  size_t count, bytes;
  Factor *factor;
} Factors;

struct Bfloat16Map {
  Factors weight[2]; /* of either direction */
  Factors input[2]; /* [capacity][pieces] of sequences without and with the observation's tokens */
  size_t pieces; /* of the columns of an input */
};

struct Bfloat16 {
  dnnl_engine_t engine;
  dnnl_stream_t *stream; /* [threads] */
  Bfloat16Map map[MAPS];
  size_t products, room;
  Bfloat16Product *product; /* [products] */
  int threads;
  int failed; /* what oneDNN said last, if a product could not be made */
};

/* ------------------------------------------------------------------ bfloat16_plan.c */

PetscErrorCode bfloat16_create(Network *network);
PetscErrorCode bfloat16_bind(Network *network);
PetscErrorCode bfloat16_destroy(Network *network);
size_t bfloat16_packed_bytes(const Bfloat16Map *map);
/** The products of one shape; NULL if none were planned. */
const Bfloat16Product *bfloat16_find(const Bfloat16 *bfloat16, const Shape *shape);

#endif
