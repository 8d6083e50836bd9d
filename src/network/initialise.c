/** \file initialise.c  Starting values of the weights.  \ingroup network */
#include "internal.h"

#include <math.h>

enum { PIECE = 256 };

/* out = scale times the stream's numbers, uniform in (-1, 1) or normal. */
static void fill(RandomKey key, Start start, double scale, size_t count, Scalar *out)
{
  double values[PIECE];

  for (size_t done = 0; done < count; done += PIECE) {
    const size_t take = count - done < PIECE ? count - done : PIECE;

    if (start == START_NORMAL)
      random_normal(key, done, take, values);
    else {
      random_uniform(key, done, take, values);
      for (size_t i = 0; i < take; i++) values[i] = 2 * values[i] - 1;
    }
    for (size_t i = 0; i < take; i++) out[done + i] = (Scalar)(scale * values[i]);
  }
}

PetscErrorCode network_initialise(Network *network, int64_t seed)
{
  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < network->tensor_count; i++) {
    const NetworkTensor *tensor = &network->tensors[i];
    const RandomKey key = {(uint64_t)seed, STREAM_INITIAL_WEIGHTS, (uint64_t)i};
    Scalar *values = network->values + tensor->offset;

    switch (network->starts[i]) {
    case START_ZERO:
    case START_ONE:
      for (size_t j = 0; j < tensor->size; j++) values[j] = network->starts[i] == START_ONE;
      break;
    case START_NORMAL:
      fill(key, START_NORMAL, 0.02, tensor->size, values);
      break;
    case START_XAVIER: /* Glorot & Bengio 2010 */
      fill(key, START_XAVIER, sqrt(6. / (tensor->shape[0] + tensor->shape[1])), tensor->size, values);
      break;
    case START_POSITION:
      position_table(&network->dims, values);
      break;
    }
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
