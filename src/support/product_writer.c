/** \file product_writer.c  Products appear whole or not at all.  \ingroup support
 *
 * Rank 0 of the communicator writes, the others send it their rows: the file is the same for every number of ranks, and
 * a failed write is one rank's failure.  With HDF5 1.10 on MPI-IO the ranks that could not write waited for ever for
 * each other when the disk was full, every chunk was written twice, and one rank was slower by itself
 * (doc/design-decisions.md).
 */
#include "nephrite/version.h"
#include "support/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <gsl/gsl_version.h>
#include <limits.h>
#include <petscversion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* The state of the HDF5 library, which is one per process as well. */
static PetscBool write_failed = PETSC_FALSE;

PetscBool product_write_failed(void)
{
  return write_failed;
}

PetscErrorCode product_settle(ProductWriter *w, PetscErrorCode local)
{
  PetscFunctionBeginUser;
  const PetscErrorCode error = group_agree(w->comm, local);
  if (!error) PetscFunctionReturn(PETSC_SUCCESS);
  w->failed = PETSC_TRUE;
  if (w->begun) write_failed = PETSC_TRUE;
  if (w->rank == 0) unlink(w->part);
  PetscFunctionReturn(error);
}

/* ---- creation ---- */

static PetscErrorCode split_directory(const char *path, char directory[PETSC_MAX_PATH_LEN])
{
  char *slash;

  PetscFunctionBeginUser;
  PetscCall(PetscStrncpy(directory, path, PETSC_MAX_PATH_LEN));
  slash = strrchr(directory, '/');
  if (!slash)
    PetscCall(PetscStrncpy(directory, ".", PETSC_MAX_PATH_LEN));
  else
    slash[slash == directory ? 1 : 0] = '\0';
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* HDF5 tells little of why a file cannot be made; the system tells all. */
static PetscErrorCode probe(const char *path, const char *part, int64_t bytes)
{
  char directory[PETSC_MAX_PATH_LEN];
  struct statvfs system;
  int file;

  PetscFunctionBeginUser;
  PetscCall(split_directory(path, directory));
  file = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (file < 0) PetscCall(error_from_errno(errno, "create", part));
  close(file);
  if (bytes > 0 && !statvfs(directory, &system)) {
    const double room = (double)system.f_bavail * (double)system.f_frsize;

    if (room < (double)bytes) unlink(part);
    PetscCheck(room >= (double)bytes, PETSC_COMM_SELF, NEPHRITE_ERR_IO, "%s needs %.1f MB, and %s has %.1f MB left",
               path, (double)bytes / 1e6, directory, room / 1e6);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode open_file(ProductWriter *w)
{
  hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_FILE_CREATE);

  PetscFunctionBeginUser;
  NEPHRITE_HDF5_WRITE(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110), w->part);
  NEPHRITE_HDF5_WRITE(H5Pset_obj_track_times(creation, 0), w->part);
  w->file = H5Fcreate(w->part, H5F_ACC_TRUNC, creation, access);
  NEPHRITE_HDF5_WRITE(w->file, w->part);
  H5Pclose(access);
  H5Pclose(creation);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_provenance(ProductWriter *w, const ProductInfo *info)
{
  unsigned major, minor, release;
  char libraries[256];
  const int64_t version = info->format_version, seed = info->seed;

  PetscFunctionBeginUser;
  H5get_libversion(&major, &minor, &release);
  snprintf(libraries, sizeof libraries, "PETSc %d.%d.%d, HDF5 %u.%u.%u, GSL %s", PETSC_VERSION_MAJOR,
           PETSC_VERSION_MINOR, PETSC_VERSION_SUBMINOR, major, minor, release, gsl_version);
  PetscCall(product_attribute_text(w, NULL, "format", "nephrite"));
  PetscCall(product_attribute_text(w, NULL, "kind", info->kind));
  PetscCall(product_attribute_int(w, NULL, "format_version", 1, &version));
  PetscCall(product_attribute_text(w, NULL, "configuration", info->configuration));
  PetscCall(product_attribute_int(w, NULL, "seed", 1, &seed));
  PetscCall(product_attribute_text(w, NULL, "version", NEPHRITE_VERSION));
  PetscCall(product_attribute_text(w, NULL, "revision", NEPHRITE_REVISION));
  PetscCall(product_attribute_text(w, NULL, "libraries", libraries));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_create(MPI_Comm comm, const char *path, const ProductInfo *info, int64_t bytes_expected,
                              ProductWriter **writer)
{
  ProductWriter *w = NULL;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&w));
  *writer = w;
  w->file = -1;
  PetscCall(log_event("product write", &w->event));
  PetscCallMPI(MPI_Comm_dup(comm, &w->comm)); /* our messages are not to be mistaken for the caller's */
  PetscCallMPI(MPI_Comm_rank(comm, &w->rank));
  PetscCallMPI(MPI_Comm_size(comm, &w->size));
  PetscCall(PetscStrncpy(w->path, path, sizeof w->path));
  snprintf(w->part, sizeof w->part, "%s.part", path);
  if (w->rank == 0) error = probe(path, w->part, bytes_expected);
  PetscCall(product_settle(w, error));
  w->begun = PETSC_TRUE;
  PetscCall(product_settle(w, w->rank == 0 ? open_file(w) : PETSC_SUCCESS));
  PetscCall(write_provenance(w, info));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- the end ---- */

/* The order in which HDF5 visits objects: by name within a group, so that '/' comes before every other character. */
static int by_path(const void *a, const void *b)
{
  const unsigned char *x = (const unsigned char *)((const WrittenDataset *)a)->name;
  const unsigned char *y = (const unsigned char *)((const WrittenDataset *)b)->name;

  while (*x && *x == *y) x++, y++;
  return (*x == '/' ? 1 : 2 * *x) - (*y == '/' ? 1 : 2 * *y);
}

/* The digests of a dataset's rows: each was written by one rank, elsewhere its digest is 0.
 * \param[out] all [digests] free with PetscFree() */
static PetscErrorCode join_digests(const ProductWriter *w, const WrittenDataset *d, uint64_t **all)
{
  PetscFunctionBeginUser;
  PetscCheck(d->digests <= INT_MAX, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "%s: dataset %s has %zu rows, too many",
             w->path, d->name, d->digests);
  PetscCall(PetscMalloc1(d->digests, all));
  PetscCallMPI(MPI_Allreduce(d->digest, *all, (int)d->digests, MPI_UINT64_T, MPI_BOR, w->comm));
  const PetscBool empty = d->rank && !d->shape[0] ? PETSC_TRUE : PETSC_FALSE;
  for (size_t row = 0; row < d->digests && !empty; row++)
    PetscCheck((*all)[row], PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "%s: row %zu of dataset %s was not written",
               w->path, row, d->name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The digests of a dataset become a dataset themselves, and part of the product's. */
static PetscErrorCode write_digests_of(ProductWriter *w, PetscInt dataset, ProductDigestState *state)
{
  const WrittenDataset d = w->dataset[dataset]; /* a copy: the array grows below */
  char name[sizeof d.name + sizeof PRODUCT_DIGEST_GROUP];
  uint64_t *all = NULL;
  const ProductDataset spec = {name, H5T_NATIVE_UINT64, 1, {d.digests}, DIGEST_WHOLE, "1", NULL};

  PetscFunctionBeginUser;
  snprintf(name, sizeof name, PRODUCT_DIGEST_GROUP "/%s", d.name);
  PetscErrorCode error = join_digests(w, &d, &all);
  if (!error) error = product_digest_add(state, d.name, d.digests, all);
  if (!error) error = product_declare(w, &spec);
  if (!error) error = product_write(w, name, 0, w->rank == 0 ? d.digests : 0, all);
  PetscCall(PetscFree(all));
  PetscFunctionReturn(error);
}

/* Of every dataset, and at the root of all together. */
static PetscErrorCode write_digests(ProductWriter *w, uint64_t *digest)
{
  const PetscInt count = w->count; /* without those of the digests themselves */
  ProductDigestState *state = NULL;
  int64_t all;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  if (count) qsort(w->dataset, (size_t)count, sizeof *w->dataset, by_path);
  PetscCall(product_digest_begin(&state));
  for (PetscInt i = 0; i < count && !error; i++) error = write_digests_of(w, i, state);
  PetscCall(product_digest_end(&state, digest));
  all = (int64_t)*digest;
  if (!error) error = product_attribute_int(w, NULL, PRODUCT_DIGEST_GROUP, 1, &all);
  PetscFunctionReturn(error);
}

static PetscErrorCode close_file(ProductWriter *w)
{
  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < w->count; i++) {
    NEPHRITE_HDF5_WRITE(H5Dclose(w->dataset[i].id), w->part);
    w->dataset[i].id = -1;
  }
  NEPHRITE_HDF5_WRITE(H5Fflush(w->file, H5F_SCOPE_GLOBAL), w->part);
  NEPHRITE_HDF5_WRITE(H5Fclose(w->file), w->part);
  w->file = -1;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode sync_to_disk(const char *path, int flags)
{
  const int file = open(path, flags);
  int failed;

  PetscFunctionBeginUser;
  if (file < 0) PetscCall(error_from_errno(errno, "open", path));
  failed = fsync(file) ? errno : 0;
  close(file);
  if (failed) PetscCall(error_from_errno(failed, "flush to disk", path));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode publish(ProductWriter *w)
{
  char directory[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  PetscCall(sync_to_disk(w->part, O_RDWR));
  if (rename(w->part, w->path)) PetscCall(error_from_errno(errno, "create", w->path));
  PetscCall(split_directory(w->path, directory));
  PetscCall(sync_to_disk(directory, O_RDONLY | O_DIRECTORY));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_commit(ProductWriter *w, uint64_t *digest)
{
  uint64_t own = 0;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscLogEventBegin(w->event, 0, 0, 0, 0));
  error = write_digests(w, digest ? digest : &own);
  if (!error) error = product_settle(w, w->rank == 0 ? close_file(w) : PETSC_SUCCESS);
  if (!error) error = product_settle(w, w->rank == 0 ? publish(w) : PETSC_SUCCESS);
  PetscCall(PetscLogEventEnd(w->event, 0, 0, 0, 0));
  PetscCall(error);
  w->published = PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_writer_destroy(ProductWriter **writer)
{
  ProductWriter *w = *writer;

  PetscFunctionBeginUser;
  if (!w) PetscFunctionReturn(PETSC_SUCCESS);
  if (!w->failed && w->file >= 0) close_file(w); /* after a failure the file is left to the end of the process */
  if (!w->published && w->rank == 0) unlink(w->part);
  for (PetscInt i = 0; i < w->count; i++) PetscCall(PetscFree(w->dataset[i].digest));
  PetscCall(PetscFree(w->dataset));
  PetscCall(PetscFree(w->buffer));
  PetscCallMPI(MPI_Comm_free(&w->comm));
  PetscCall(PetscFree(*writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}
