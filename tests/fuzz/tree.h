/** \file tree.h  Edits of HDF5 files.
 *
 * Bytes of an HDF5 file that are changed at random end at the checksums of HDF5's own metadata.  Here an input is a
 * list of edits instead: of the types, shapes, values, links and attributes of sound files, made by HDF5 itself.  What
 * comes out is valid HDF5, so that whatever then goes wrong is ours. */
#ifndef NEPHRITE_FUZZ_TREE_H
#define NEPHRITE_FUZZ_TREE_H

#include "fuzz.h"

/** An input is one byte of TreeFlags and records of this size; what is left over at the end is not looked at. */
enum { TREE_RECORD = 10, TREE_MOST_RECORDS = 8 };
/** Make the digests of what was edited right, so that damage passes them. */
enum { TREE_SEAL = 1 };

typedef struct Tree Tree;
/** \param from [count] sound files, read once  \param to [count] where edited copies will be
 * \param[out] tree  lives as long as the process */
PetscErrorCode tree_create(int count, char (*from)[PETSC_MAX_PATH_LEN], char (*to)[PETSC_MAX_PATH_LEN], Tree **tree);
/** The same of one of the seeds.  \param[out] to  its copy, of the same name */
PetscErrorCode tree_of_seed(const Fuzz *fuzz, const char *name, char to[PETSC_MAX_PATH_LEN], Tree **tree);
/** Make the copies: sound, but for the edits of this input.  That it cannot is a finding. */
void tree_edit(Tree *tree, const uint8_t *bytes, size_t size);
/** Copy \p file was changed by other hands: the next tree_edit() makes it anew. */
void tree_spoil(Tree *tree, int file);
/** Make the digest of a dataset right.  \param file  open for writing */
void tree_seal_dataset(hid_t file, const char *name);

#endif
