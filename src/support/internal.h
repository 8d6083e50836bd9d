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

/** PETSc takes the last of two values of an option, and the first of several documents, without a word: refuse both.
 * \param text  YAML that PETSc could read  Errors: NEPHRITE_ERR_CONFIG naming the line. */
PetscErrorCode options_refuse_repeated(const Options *options, const char *path, const char *text);
/** A whole text file.  \param[out] text  ends with '\0'; free with PetscFree()  Errors: NEPHRITE_ERR_INPUT. */
PetscErrorCode file_read_text(const char *path, char **text, int *length);

/* ---- reading files that may be damaged ---- */

/** See to it that a crash between crash_begin() and crash_end() ends the program as damaged input does, naming the
 * file. Once, after PetscInitialize(). */
PetscErrorCode crash_install(void);
/** HDF5 is about to read this file.  \param path  borrowed until crash_end() */
void crash_begin(const char *path);
void crash_end(void);
/** Call HDF5 where a failure is the file's.  \p call may be an assignment of what it gives. */
#define NEPHRITE_HDF5_READ(call, path)                                                                                 \
  do {                                                                                                                 \
    crash_begin(path);                                                                                                 \
    const PetscBool failed_ = (call) < 0 ? PETSC_TRUE : PETSC_FALSE;                                                   \
    crash_end();                                                                                                       \
    if (failed_) PetscCall(error_from_hdf5(NEPHRITE_ERR_INPUT, #call, path));                                          \
  } while (0)

/* ---- what a stage is at ---- */

/** The process that is at a stage. */
typedef struct {
  char host[256], job[64]; /* job: of SLURM; "none" */
  long pid;
} StageHolder;

StageHolder stage_holder(void); /**< This process. */

/** How far it is. */
typedef struct {
  const char *unit; /* of what is counted, "maps"; borrowed during a call */
  int64_t done, total;
  double rate, seconds_left; /* rate: per second; not finite: not known */
} StatusProgress;

/** Say from now on in <directory>/status/<stage>.json what this process is at, until status_end(); what begins in
 * between is part of it.  One process of a run calls this and the next.  Where the file cannot be written, this is said
 * once, and the run goes on without. */
PetscErrorCode status_begin(const char *directory, const char *stage, int ranks);
/** Renew the file.  \param note  more words, may be NULL */
void status_progress(const StatusProgress *progress, const char *note);

/* ---- products ---- */

#define PRODUCT_DIGEST_GROUP "digest"

typedef struct {
  char name[128];
  hid_t id, type; /* id: on rank 0 */
  int rank;
  hsize_t shape[PRODUCT_MAX_RANK], chunk[PRODUCT_MAX_RANK];
  ProductDigest guard;
  int compression; /* 0 … 9 */
  size_t row_bytes;
  size_t digests;
  uint64_t *digest; /* [digests] of the rows this rank wrote, 0 elsewhere */
} WrittenDataset;

struct ProductWriter {
  MPI_Comm comm;
  PetscMPIInt rank, size;
  char path[PETSC_MAX_PATH_LEN], part[PETSC_MAX_PATH_LEN + 8];
  hid_t file; /* on rank 0, which alone calls HDF5; -1 elsewhere */
  PetscBool begun; /* HDF5 has seen the file */
  PetscBool failed; /* from then on HDF5 is not asked for anything */
  PetscBool published;
  PetscInt count, room;
  WrittenDataset *dataset; /* [count] */
  size_t buffer_bytes;
  char *buffer; /* [buffer_bytes] rows of other ranks, on rank 0 */
  PetscLogEvent event; /* writing */
};

/** Make this rank's failure everyone's.  The file is then not touched any more, and its room on the disk is given back
 * when the process ends, even if nobody comes to destroy the writer.  Collective. */
PetscErrorCode product_settle(ProductWriter *writer, PetscErrorCode local);
/** The declared dataset of this name.  \param range {first, count} of the rows to be written  Errors:
 * NEPHRITE_ERR_INTERNAL: it was not declared, has no such rows, or has one digest and these are not all of them. */
PetscErrorCode product_find_rows(const ProductWriter *writer, const char *name, const hsize_t range[2],
                                 WrittenDataset **found);
/** Write a hyperslab of a dataset, on rank 0 alone: not collective.  \param offset, extent [rank] */
PetscErrorCode product_put(const ProductWriter *writer, const WrittenDataset *dataset, const hsize_t *offset,
                           const hsize_t *extent, const void *values);
/** Any number of bytes between this rank and another, in messages that an int can count. */
PetscErrorCode product_send(const ProductWriter *writer, PetscMPIInt rank, const void *bytes, size_t count);
PetscErrorCode product_receive(const ProductWriter *writer, PetscMPIInt rank, void *bytes, size_t count);
/** Make writer->buffer hold \p bytes. */
PetscErrorCode product_make_buffer(ProductWriter *writer, size_t bytes);
/** Attribute of an object, on rank 0 alone: not collective. */
PetscErrorCode product_put_text(ProductWriter *writer, const char *object, const char *name, const char *text);

/** The products that a virtual dataset joins. */
typedef struct ProductSources ProductSources;

/* A dataset that was read before: handles and digests are kept, since maps are read one at a time. */
typedef struct OpenedDataset {
  struct OpenedDataset *next;
  char name[128];
  hid_t id, type; /* type: native counterpart of the stored one */
  int rank;
  hsize_t shape[PRODUCT_MAX_RANK];
  size_t row_bytes, digests;
  uint64_t *digest; /* [digests]; NULL in foreign files */
  ProductSources *sources; /* of a virtual dataset, which has no digests of its own; else NULL */
} OpenedDataset;

struct ProductReader {
  char path[PETSC_MAX_PATH_LEN];
  hid_t file;
  PetscBool foreign;
  OpenedDataset *opened;
};

/** Open a file without asking what kind of product it is. */
PetscErrorCode product_reader_create(const char *path, PetscBool foreign, ProductReader **reader);
/** The dataset of this name, opened if it was not.  Errors: NEPHRITE_ERR_INPUT. */
PetscErrorCode product_find(ProductReader *reader, const char *name, OpenedDataset **found);
/** Learn which products a dataset joins; none, and NULL, if it is not virtual. */
PetscErrorCode product_sources_find(const ProductReader *reader, OpenedDataset *dataset);
/** Of a file of others, whose joins HDF5 reads itself: with zeros for a file that is not there, and without end a join
 * of itself.  Errors: NEPHRITE_ERR_INPUT if a dataset that it joins is not there or virtual itself. */
PetscErrorCode product_sources_check(const ProductReader *reader, const OpenedDataset *dataset);
/** Read rows from where they are, verified there: HDF5 itself would give zeros for a missing file. */
PetscErrorCode product_sources_read(OpenedDataset *dataset, hid_t type, hsize_t first, hsize_t count, void *values);
PetscErrorCode product_sources_destroy(ProductSources **sources);

/** Digest of one row of a dataset: XXH3 of its bytes (little-endian), seeded by the dataset's name and the row's index.
 */
uint64_t product_row_digest(const char *name, uint64_t row, const void *bytes, size_t count);

/** Digest of a product, from those of its datasets: fed one at a time in the order of their names. */
typedef struct ProductDigestState ProductDigestState;
PetscErrorCode product_digest_begin(ProductDigestState **state);
PetscErrorCode product_digest_add(ProductDigestState *state, const char *name, size_t rows, const uint64_t *row_digest);
/** product_row_digest() of a row that comes in pieces: begin, add the bytes in order, and product_digest_end(). */
PetscErrorCode product_row_digest_begin(const char *name, uint64_t row, ProductDigestState **state);
void product_row_digest_add(ProductDigestState *state, const void *bytes, size_t count);
PetscErrorCode product_digest_end(ProductDigestState **state, uint64_t *digest);

#endif
