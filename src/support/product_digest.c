/** \file product_digest.c  Digests that tie every row of a product to its place.  \ingroup support
 *
 * Fletcher32 sees a changed byte within a chunk but not a sound chunk in another one's place; these do.
 */
#include "support/internal.h"

#include <string.h>
#include <xxhash.h>

struct ProductDigestState {
  XXH3_state_t *xxh;
};

uint64_t product_row_digest(const char *name, uint64_t row, const void *bytes, size_t count)
{
  return XXH3_64bits_withSeed(bytes, count, XXH64(name, strlen(name), row));
}

PetscErrorCode product_digest_begin(ProductDigestState **state)
{
  PetscFunctionBeginUser;
  PetscCall(PetscNew(state));
  (*state)->xxh = XXH3_createState();
  PetscCheck((*state)->xxh, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "no memory for a digest");
  XXH3_64bits_reset((*state)->xxh);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_row_digest_begin(const char *name, uint64_t row, ProductDigestState **state)
{
  PetscFunctionBeginUser;
  PetscCall(product_digest_begin(state));
  XXH3_64bits_reset_withSeed((*state)->xxh, XXH64(name, strlen(name), row));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void product_row_digest_add(ProductDigestState *state, const void *bytes, size_t count)
{
  XXH3_64bits_update(state->xxh, bytes, count);
}

PetscErrorCode product_digest_add(ProductDigestState *state, const char *name, size_t rows, const uint64_t *row_digest)
{
  PetscFunctionBeginUser;
  XXH3_64bits_update(state->xxh, name, strlen(name) + 1);
  XXH3_64bits_update(state->xxh, row_digest, rows * sizeof *row_digest);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_digest_end(ProductDigestState **state, uint64_t *digest)
{
  PetscFunctionBeginUser;
  if (!*state) PetscFunctionReturn(PETSC_SUCCESS);
  if (digest) *digest = XXH3_64bits_digest((*state)->xxh);
  XXH3_freeState((*state)->xxh);
  PetscCall(PetscFree(*state));
  PetscFunctionReturn(PETSC_SUCCESS);
}
