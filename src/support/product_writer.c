/** \file product_writer.c  Products appear whole or not at all.  \ingroup support
 *
 * One rank writes through POSIX, several through MPI-IO, with the same layout of the file: early allocation, no object
 * times, format V110 (whose metadata carry checksums), Fletcher32 on every chunk.
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
  if (w->size > 1) {
    NEPHRITE_HDF5_WRITE(H5Pset_fapl_mpio(access, w->comm, MPI_INFO_NULL), w->part);
    NEPHRITE_HDF5_WRITE(H5Pset_coll_metadata_write(access, 1), w->part);
    NEPHRITE_HDF5_WRITE(H5Pset_all_coll_metadata_ops(access, 1), w->part);
    NEPHRITE_HDF5_WRITE(H5Pset_dxpl_mpio(w->transfer, H5FD_MPIO_COLLECTIVE), w->part);
  }
  w->file = H5Fcreate(w->part, H5F_ACC_TRUNC, creation, access);
  H5Pclose(access);
  H5Pclose(creation);
  NEPHRITE_HDF5_WRITE(w->file, w->part);
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
  w->comm = comm;
  w->file = -1;
  w->transfer = H5Pcreate(H5P_DATASET_XFER);
  PetscCallMPI(MPI_Comm_rank(comm, &w->rank));
  PetscCallMPI(MPI_Comm_size(comm, &w->size));
  PetscCall(PetscStrncpy(w->path, path, sizeof w->path));
  snprintf(w->part, sizeof w->part, "%s.part", path);
  if (w->rank == 0) error = probe(path, w->part, bytes_expected);
  PetscCall(product_settle(w, error));
  w->begun = PETSC_TRUE;
  PetscCall(product_settle(w, open_file(w)));
  PetscCall(product_settle(w, write_provenance(w, info)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- attributes ---- */

/* \p values of memory type \p type, as one value or a list of \p count. */
static PetscErrorCode write_attribute(ProductWriter *w, const char *object, const char *name, hid_t type, int count,
                                      const void *values)
{
  const hsize_t size = (hsize_t)count;
  hid_t space, target, attribute;

  PetscFunctionBeginUser;
  space = count > 1 ? H5Screate_simple(1, &size, NULL) : H5Screate(H5S_SCALAR);
  target = H5Oopen(w->file, object ? object : "/", H5P_DEFAULT);
  NEPHRITE_HDF5_WRITE(target, w->part);
  attribute = H5Acreate2(target, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
  NEPHRITE_HDF5_WRITE(attribute, w->part);
  NEPHRITE_HDF5_WRITE(H5Awrite(attribute, type, values), w->part);
  H5Aclose(attribute);
  H5Oclose(target);
  H5Sclose(space);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_attribute_text(ProductWriter *w, const char *object, const char *name, const char *text)
{
  hid_t type = H5Tcopy(H5T_C_S1);

  PetscFunctionBeginUser;
  NEPHRITE_HDF5_WRITE(H5Tset_size(type, strlen(text) + 1), w->part);
  PetscCall(write_attribute(w, object, name, type, 1, text));
  H5Tclose(type);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_attribute_real(ProductWriter *w, const char *object, const char *name, int count,
                                      const double *values)
{
  PetscFunctionBeginUser;
  PetscCall(write_attribute(w, object, name, H5T_NATIVE_DOUBLE, count, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_attribute_int(ProductWriter *w, const char *object, const char *name, int count,
                                     const int64_t *values)
{
  PetscFunctionBeginUser;
  PetscCall(write_attribute(w, object, name, H5T_NATIVE_INT64, count, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- values ---- */

static void digest_rows(WrittenDataset *d, hsize_t first, hsize_t count, const void *values)
{
  const char *bytes = values;

  if (!count) return;
  if (d->guard == DIGEST_WHOLE) {
    d->digest[0] = product_row_digest(d->name, 0, bytes, count * d->row_bytes);
    return;
  }
  for (hsize_t i = 0; i < count; i++)
    d->digest[first + i] = product_row_digest(d->name, first + i, bytes + i * d->row_bytes, d->row_bytes);
}

static PetscErrorCode write_rows(ProductWriter *w, WrittenDataset *d, hsize_t first, hsize_t count, const void *values)
{
  const hid_t in_file = H5Dget_space(d->id);
  hsize_t offset[PRODUCT_MAX_RANK] = {0}, extent[PRODUCT_MAX_RANK];
  hid_t in_memory;

  PetscFunctionBeginUser;
  offset[0] = first;
  memcpy(extent, d->shape, sizeof extent);
  extent[0] = PetscMax(count, 1);
  if (d->rank) {
    in_memory = H5Screate_simple(d->rank, extent, NULL);
    if (count) NEPHRITE_HDF5_WRITE(H5Sselect_hyperslab(in_file, H5S_SELECT_SET, offset, NULL, extent, NULL), d->name);
  } else
    in_memory = H5Screate(H5S_SCALAR);
  if (!count) {
    NEPHRITE_HDF5_WRITE(H5Sselect_none(in_file), d->name);
    NEPHRITE_HDF5_WRITE(H5Sselect_none(in_memory), d->name);
  }
  NEPHRITE_HDF5_WRITE(H5Dwrite(d->id, d->type, in_memory, in_file, w->transfer, values), w->part);
  H5Sclose(in_memory);
  H5Sclose(in_file);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_write(ProductWriter *w, const char *name, hsize_t first, hsize_t count, const void *values)
{
  WrittenDataset *d = NULL;

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < w->count; i++)
    if (!strcmp(w->dataset[i].name, name)) d = &w->dataset[i];
  PetscCheck(d, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "%s: no dataset %s was declared", w->path, name);
  PetscCheck(first + count <= (d->rank ? d->shape[0] : 1), PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "%s: rows %llu to %llu are outside of dataset %s", w->path, (unsigned long long)first,
             (unsigned long long)(first + count), name);
  digest_rows(d, first, count, values);
  PetscCall(product_settle(w, write_rows(w, d, first, count, values)));
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

/* Every row was written by one rank; elsewhere its digest is 0. */
static PetscErrorCode write_digests(ProductWriter *w, uint64_t *digest)
{
  const PetscInt count = w->count; /* the digests themselves become datasets of the writer below */
  ProductDigestState *state = NULL;

  PetscFunctionBeginUser;
  qsort(w->dataset, (size_t)count, sizeof *w->dataset, by_path);
  PetscCall(product_digest_begin(&state));
  for (PetscInt i = 0; i < count; i++) {
    char name[160];
    const size_t digests = w->dataset[i].digests;
    uint64_t *all = NULL;

    snprintf(name, sizeof name, PRODUCT_DIGEST_GROUP "/%s", w->dataset[i].name);
    PetscCall(PetscMalloc1(digests, &all));
    PetscCheck(digests <= INT_MAX, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "%s: dataset %s has %zu rows, too many",
               w->path, w->dataset[i].name, digests);
    PetscCallMPI(MPI_Allreduce(w->dataset[i].digest, all, (int)digests, MPI_UINT64_T, MPI_BOR, w->comm));
    PetscCall(product_digest_add(state, w->dataset[i].name, digests, all));
    PetscCall(product_declare(w, &(ProductDataset){name, H5T_NATIVE_UINT64, 1, {digests}, DIGEST_WHOLE, "1", NULL}));
    PetscCall(product_write(w, name, 0, w->rank == 0 ? digests : 0, all));
    PetscCall(PetscFree(all));
  }
  PetscCall(product_digest_end(&state, digest));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode close_file(ProductWriter *w)
{
  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < w->count; i++) {
    NEPHRITE_HDF5_WRITE(H5Dclose(w->dataset[i].id), w->part);
    H5Tclose(w->dataset[i].type);
    w->dataset[i].id = w->dataset[i].type = -1;
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
  PetscFunctionBeginUser;
  PetscCall(write_digests(w, digest));
  PetscCall(product_settle(w, close_file(w)));
  PetscCall(product_settle(w, w->rank == 0 ? publish(w) : PETSC_SUCCESS));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_writer_destroy(ProductWriter **writer)
{
  ProductWriter *w = *writer;

  PetscFunctionBeginUser;
  if (!w) PetscFunctionReturn(PETSC_SUCCESS);
  const PetscBool published = w->file < 0 && !w->failed ? PETSC_TRUE : PETSC_FALSE;
  if (!w->failed && w->file >= 0) close_file(w); /* after a failure the file is left to the end of the process */
  for (PetscInt i = 0; i < w->count; i++) PetscCall(PetscFree(w->dataset[i].digest));
  PetscCall(PetscFree(w->dataset));
  H5Pclose(w->transfer);
  if (!published && w->rank == 0) unlink(w->part);
  PetscCall(PetscFree(*writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}
