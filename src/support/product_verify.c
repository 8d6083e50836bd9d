/** \file product_verify.c  A product as a whole: its digest, and every row held to its own.  \ingroup support */
#include "support/internal.h"

#include <string.h>

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

/* What to do with each dataset, and the first error of doing it. */
typedef struct {
  ProductReader *reader;
  ProductDigestState *state; /* NULL: verify; otherwise add the digests */
  PetscErrorCode error;
} Walk;

static PetscErrorCode walk_dataset(Walk *walk, const char *name)
{
  OpenedDataset *d = NULL;

  PetscFunctionBeginUser;
  if (!walk->state) PetscFunctionReturn(verify_dataset(walk->reader, name));
  PetscCall(product_find(walk->reader, name, &d));
  if (d->digest) PetscCall(product_digest_add(walk->state, name, d->digests, d->digest));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* HDF5 visits objects in the order of their full names, group by group. */
static herr_t visit(hid_t root, const char *name, const H5O_info_t *info, void *context)
{
  Walk *walk = context;
  const size_t prefix = strlen(PRODUCT_DIGEST_GROUP);

  (void)root;
  if (info->type != H5O_TYPE_DATASET || !strncmp(name, PRODUCT_DIGEST_GROUP "/", prefix + 1)) return 0;
  walk->error = walk_dataset(walk, name);
  return walk->error ? 1 : 0;
}

static PetscErrorCode walk_product(Walk *walk)
{
  PetscFunctionBeginUser;
  NEPHRITE_HDF5_READ(H5Ovisit2(walk->reader->file, H5_INDEX_NAME, H5_ITER_INC, visit, walk, H5O_INFO_BASIC),
                     walk->reader->path);
  PetscFunctionReturn(walk->error);
}

PetscErrorCode product_digest(ProductReader *r, uint64_t *digest)
{
  Walk walk = {.reader = r};

  PetscFunctionBeginUser;
  PetscCall(product_digest_begin(&walk.state));
  const PetscErrorCode error = walk_product(&walk);
  PetscCall(product_digest_end(&walk.state, digest));
  PetscFunctionReturn(error);
}

PetscErrorCode product_verify(ProductReader *r)
{
  Walk walk = {.reader = r};

  PetscFunctionBeginUser;
  PetscCall(walk_product(&walk));
  PetscFunctionReturn(PETSC_SUCCESS);
}
