/** \file product_verify.c  A product as a whole: its digest, and every row held to its own.  \ingroup support */
#include "support/internal.h"

enum { VERIFY_BYTES = 1 << 24 };

static PetscErrorCode verify_dataset(ProductReader *r, const char *name)
{
  OpenedDataset *d = NULL;
  void *rows = NULL;

  PetscFunctionBeginUser;
  PetscCall(product_find(r, name, &d));
  if (!d->digest && !d->sources) PetscFunctionReturn(PETSC_SUCCESS);
  const hsize_t total = d->rank ? d->shape[0] : 1;
  const hsize_t wanted = d->digests == 1 ? total : PetscMax(VERIFY_BYTES / PetscMax(d->row_bytes, 1), 1);
  const hsize_t step = PetscMin(wanted, total);
  PetscCall(PetscMalloc(PetscMax(step * d->row_bytes, 1), &rows));
  PetscErrorCode error = PETSC_SUCCESS;
  for (hsize_t first = 0; first < total && !error; first += step)
    error = product_read(r, name, d->type, first, PetscMin(step, total - first), rows);
  PetscCall(PetscFree(rows));
  PetscFunctionReturn(error);
}

static PetscErrorCode visit_to_verify(void *reader, const char *name)
{
  return verify_dataset(reader, name);
}

typedef struct {
  ProductReader *reader;
  ProductDigestState *state;
} Digesting;

static PetscErrorCode visit_to_digest(void *context, const char *name)
{
  Digesting *digesting = context;
  OpenedDataset *d = NULL;

  PetscFunctionBeginUser;
  PetscCall(product_find(digesting->reader, name, &d));
  if (!d->sources) PetscCall(product_digest_add(digesting->state, name, d->digests, d->digest)); /* also of no rows */
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_digest(ProductReader *r, uint64_t *digest)
{
  Digesting digesting = {.reader = r};

  PetscFunctionBeginUser;
  PetscCall(product_digest_begin(&digesting.state));
  const PetscErrorCode error = product_each_dataset(r, visit_to_digest, &digesting);
  PetscCall(product_digest_end(&digesting.state, digest));
  PetscFunctionReturn(error);
}

PetscErrorCode product_check(ProductReader *r)
{
  uint64_t digest = 0;
  int64_t stored = 0;
  PetscBool has;

  PetscFunctionBeginUser;
  PetscCall(product_has_attribute(r, NULL, PRODUCT_DIGEST_GROUP, &has));
  if (!has) PetscFunctionReturn(PETSC_SUCCESS); /* an older file */
  PetscCall(product_read_attribute_int(r, NULL, PRODUCT_DIGEST_GROUP, 1, &stored));
  PetscCall(product_digest(r, &digest));
  PetscCheck((uint64_t)stored == digest, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: its datasets do not belong together: the digest of all is not the one it was written with", r->path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_verify(ProductReader *r)
{
  PetscFunctionBeginUser;
  PetscCall(product_check(r));
  PetscCall(product_each_dataset(r, visit_to_verify, r));
  PetscFunctionReturn(PETSC_SUCCESS);
}
