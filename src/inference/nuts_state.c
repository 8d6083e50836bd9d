/** \file nuts_state.c  What a chain is, and its state between iterations, on one rank or several.  \ingroup inference
 */
#include "inference/nuts.h"

#include <math.h>

/* ------------------------------------------------------------------ configuration */

uint64_t nuts_whole_dimension(const NutsConfig *config)
{
  return (uint64_t)config->dense + (uint64_t)config->share.pieces * (uint64_t)config->share.total;
}

static PetscErrorCode check_config(const NutsConfig *config)
{
  PetscFunctionBeginUser;
  PetscCheck(config->dense >= 0 && config->dense <= config->dimension && nuts_whole_dimension(config) >= 1 &&
                 config->warmup >= 0,
             PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "a chain in %" PetscInt_FMT " dimensions, %" PetscInt_FMT
             " of them with a dense mass matrix, with %" PetscInt_FMT " iterations of warm-up",
             config->dimension, config->dense, config->warmup);
  PetscCheck(config->max_depth >= 1 && config->max_depth <= NUTS_MOST_DEPTH, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "trajectories that double %" PetscInt_FMT " times; it may be 1 to %d", config->max_depth, NUTS_MOST_DEPTH);
  PetscCheck(config->target_acceptance > 0 && config->target_acceptance < 1, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "a target acceptance of %.6g; it must lie in (0, 1)", config->target_acceptance);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_share(const NutsConfig *config)
{
  const GroupShare *const share = &config->share;

  PetscFunctionBeginUser;
  PetscCheck(config->dense + share->pieces * share->length == config->dimension, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "a share of %" PetscInt_FMT " x %" PetscInt_FMT " and %" PetscInt_FMT
             " coordinates in common where there are %" PetscInt_FMT,
             share->pieces, share->length, config->dense, config->dimension);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode nuts_config_complete(const NutsConfig *config, NutsConfig *complete)
{
  const PetscInt others = config->dimension - config->dense;

  PetscFunctionBeginUser;
  *complete = *config;
  if (!config->share.pieces) complete->share = (GroupShare){1, others, 0, others};
  PetscCall(group_agree(config->comm, check_config(complete)));
  PetscCall(group_agree(config->comm, check_share(complete)));
  PetscCall(group_share_check(config->comm, &complete->share));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ state */

enum { STATE_VECTORS = 5 };

PetscErrorCode nuts_state_create(const NutsConfig *config, NutsState *state)
{
  const size_t dimension = (size_t)config->dimension, square = (size_t)config->dense * (size_t)config->dense;

  PetscFunctionBeginUser;
  state->size = NUTS_SCALARS + STATE_VECTORS * dimension + 2 * square;
  PetscCall(PetscCalloc1(state->size, &state->values));
  double *next = state->values;
  state->scalar = next;
  state->q = next += NUTS_SCALARS;
  state->gradient = next += dimension;
  state->variance = next += dimension;
  state->mean = next += dimension;
  state->square = next += dimension;
  state->covariance = next += dimension;
  state->product = next + square;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode nuts_state_begin(const NutsConfig *config, NutsState *state)
{
  const PetscInt dense = config->dense;

  PetscFunctionBeginUser;
  PetscCall(PetscArrayzero(state->values, state->size));
  for (PetscInt i = 0; i < config->dimension; i++) state->variance[i] = 1;
  for (PetscInt i = 0; i < dense; i++) state->covariance[i * dense + i] = 1;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The whole is laid out as the state of a chain on one rank. */
size_t nuts_whole_size(const NutsConfig *config)
{
  const size_t dense = (size_t)config->dense;

  return NUTS_SCALARS + STATE_VECTORS * (size_t)nuts_whole_dimension(config) + 2 * dense * dense;
}

/* Where a vector stands in a state, of one rank or the whole; behind the last are the two dense matrices. */
static size_t state_place(uint64_t dimension, int number)
{
  return NUTS_SCALARS + (size_t)number * (size_t)dimension;
}

PetscErrorCode nuts_gather(const NutsConfig *config, const NutsState *state, double *whole)
{
  const uint64_t dimension = (uint64_t)config->dimension, all = nuts_whole_dimension(config);
  const PetscInt dense = config->dense;
  PetscMPIInt rank;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(config->comm, &rank));
  const PetscBool first = rank ? PETSC_FALSE : PETSC_TRUE;
  if (first) PetscCall(PetscArraycpy(whole, state->values, NUTS_SCALARS));
  for (int v = 0; v < STATE_VECTORS; v++) {
    const double *const from = state->values + state_place(dimension, v);
    double *const to = first ? whole + state_place(all, v) : NULL;

    if (first) PetscCall(PetscArraycpy(to, from, dense));
    PetscCall(group_gather(config->comm, &config->share, from + dense, first ? to + dense : NULL));
  }
  if (first) PetscCall(PetscArraycpy(whole + state_place(all, STATE_VECTORS), state->covariance, 2 * dense * dense));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What all ranks have alike, from the first.  \param from  NULL elsewhere */
static PetscErrorCode spread(MPI_Comm comm, const double *from, PetscInt count, double *to)
{
  PetscFunctionBeginUser;
  if (from) PetscCall(PetscArraycpy(to, from, count));
  PetscCallMPI(MPI_Bcast(to, (int)count, MPI_DOUBLE, 0, comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode nuts_scatter(const NutsConfig *config, const double *whole, NutsState *state)
{
  const uint64_t dimension = (uint64_t)config->dimension, all = nuts_whole_dimension(config);
  const PetscInt dense = config->dense;
  PetscMPIInt rank;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(config->comm, &rank));
  const PetscBool first = rank ? PETSC_FALSE : PETSC_TRUE;
  PetscCall(spread(config->comm, first ? whole : NULL, NUTS_SCALARS, state->values));
  for (int v = 0; v < STATE_VECTORS; v++) {
    const double *const from = first ? whole + state_place(all, v) : NULL;
    double *const to = state->values + state_place(dimension, v);

    PetscCall(spread(config->comm, from, dense, to));
    PetscCall(group_scatter(config->comm, &config->share, first ? from + dense : NULL, to + dense));
  }
  PetscCall(spread(config->comm, first ? whole + state_place(all, STATE_VECTORS) : NULL, 2 * dense * dense,
                   state->covariance));
  PetscFunctionReturn(PETSC_SUCCESS);
}
