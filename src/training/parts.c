/** \file parts.c  Weights, averages and moments: whole on every rank, or in parts, one to a rank.  \ingroup training
 *
 * Sharing the optimiser among ranks is the first stage of ZeRO (Rajbhandari et al. 2020, arXiv:1910.02054).  The
 * gradient is free between a step and the next: it serves as room for an array that is put together. */
#include "internal.h"

#include <string.h>

PetscErrorCode training_parts(Training *training)
{
  const int64_t count = (int64_t)network_parameter_count(training->network);
  int64_t first, own;

  PetscFunctionBeginUser;
  PetscCheck(count < PETSC_MPI_INT_MAX, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "the network has %lld parameters; at most %d can be trained", (long long)count, PETSC_MPI_INT_MAX);
  training->own_first = 0;
  training->own_count = (size_t)count;
  if (!training->setup.train->shard_optimizer) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscMalloc2(training->size, &training->part_count, training->size, &training->part_first));
  for (int rank = 0; rank < training->size; rank++) { /* whole pieces, whose squares are then the same as ever */
    share_of_rank(rank, training->size, NORM_PIECES, &first, &own);
    const size_t begin = norm_piece_begin((size_t)count, (int)first);

    training->part_first[rank] = (int)begin;
    training->part_count[rank] = (int)(norm_piece_begin((size_t)count, (int)(first + own)) - begin);
  }
  training->own_first = (size_t)training->part_first[training->rank];
  training->own_count = (size_t)training->part_count[training->rank];
  PetscFunctionReturn(PETSC_SUCCESS);
}

Scalar *training_own(Training *training, TrainingArray array)
{
  switch (array) {
  case ARRAY_EMA:
    return optimizer_ema(training->optimizer);
  case ARRAY_M:
    return optimizer_m(training->optimizer);
  case ARRAY_V:
    return optimizer_v(training->optimizer);
  default:
    return network_weights(training->network) + training->own_first;
  }
}

PetscErrorCode training_whole(Training *training, TrainingArray array, Scalar **whole)
{
  Scalar *const room = network_gradient(training->network);

  PetscFunctionBeginUser;
  *whole = array == ARRAY_WEIGHTS ? network_weights(training->network) : training_own(training, array);
  if (array == ARRAY_WEIGHTS || !training->part_count) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCallMPI(MPI_Allgatherv(training_own(training, array), (int)training->own_count, NEPHRITE_MPI_SCALAR, room,
                              training->part_count, training->part_first, NEPHRITE_MPI_SCALAR, training->comm));
  *whole = room;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode training_collect(Training *training, TrainingArray array, Scalar **whole)
{
  Scalar *const room = network_gradient(training->network);

  PetscFunctionBeginUser;
  *whole = NULL;
  if (array != ARRAY_WEIGHTS && training->part_count) {
    PetscCallMPI(MPI_Gatherv(training_own(training, array), (int)training->own_count, NEPHRITE_MPI_SCALAR, room,
                             training->part_count, training->part_first, NEPHRITE_MPI_SCALAR, 0, training->comm));
    if (training->rank == 0) *whole = room;
  } else if (training->rank == 0)
    PetscCall(training_whole(training, array, whole)); /* it is */
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode training_share_weights(Training *training)
{
  PetscFunctionBeginUser;
  if (training->part_count)
    PetscCallMPI(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, network_weights(training->network),
                                training->part_count, training->part_first, NEPHRITE_MPI_SCALAR, training->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode training_take(Training *training, TrainingArray array)
{
  /* Values in one message: below what MPI implementations get wrong, above its latency. */
  enum { PIECE = 1 << 24 };
  Scalar *const room = network_gradient(training->network);
  const size_t count = network_parameter_count(training->network);

  PetscFunctionBeginUser;
  for (size_t first = 0; first < count; first += PIECE) {
    const size_t take = count - first < PIECE ? count - first : PIECE;

    PetscCallMPI(MPI_Bcast(room + first, (int)take, NEPHRITE_MPI_SCALAR, 0, training->comm));
  }
  if (array == ARRAY_WEIGHTS)
    memcpy(network_weights(training->network), room, count * sizeof *room);
  else
    memcpy(training_own(training, array), room + training->own_first, training->own_count * sizeof *room);
  PetscFunctionReturn(PETSC_SUCCESS);
}
