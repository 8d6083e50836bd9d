/** \file internal.h  What the parts of support share.  \ingroup support */
#ifndef NEPHRITE_SUPPORT_INTERNAL_H
#define NEPHRITE_SUPPORT_INTERNAL_H

#include "nephrite/support.h"

struct Options {
  const OptionTable **tables;
  size_t table_count;
  PetscInt count;
  const OptionSpec **spec; /* [count], borrowed from the tables */
  char **text; /* [count] as the user wrote it, or the default */
  PetscBool *given; /* [count] */
};

/** Index of an option in options->spec, or -1. */
PetscInt option_find(const Options *options, const char *name);
/** Is \p text a value of this option?  Errors: NEPHRITE_ERR_CONFIG, naming \p origin (file or command line). */
PetscErrorCode option_check_value(const OptionSpec *spec, const char *text, const char *origin);
/** Do two texts mean the same value of this option?  1e5 and 100000 do. */
PetscBool option_same_value(const OptionSpec *spec, const char *a, const char *b);
/** Put a checked value into the member of \p config that the option fills. */
PetscErrorCode option_store_value(const OptionSpec *spec, const char *text, void *config);

/** A whole text file.  \param[out] text  ends with '\0'; free with PetscFree()  Errors: NEPHRITE_ERR_INPUT. */
PetscErrorCode file_read_text(const char *path, char **text, int *length);

/* ---- products ---- */

#define PRODUCT_DIGEST_GROUP "digest"

/** Digest of one row of a dataset: XXH3 of its bytes (little-endian), seeded by the dataset's name and the row's index.
 */
uint64_t product_row_digest(const char *name, uint64_t row, const void *bytes, size_t count);

/** Digest of a product, from those of its datasets: fed one at a time in the order of their names. */
typedef struct ProductDigestState ProductDigestState;
PetscErrorCode product_digest_begin(ProductDigestState **state);
PetscErrorCode product_digest_add(ProductDigestState *state, const char *name, size_t rows, const uint64_t *row_digest);
PetscErrorCode product_digest_end(ProductDigestState **state, uint64_t *digest);

#endif
