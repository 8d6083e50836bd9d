/** \file product_reader.c  Products back from disk, every row checked against its digest.  \ingroup support */
#include "support/internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- opening ---- */

PetscErrorCode product_reader_create(const char *path, PetscBool foreign, ProductReader **reader)
{
  ProductReader *r = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&r));
  *reader = r;
  r->file = -1;
  r->foreign = foreign;
  PetscCall(PetscStrncpy(r->path, path, sizeof r->path));
  if (access(path, R_OK)) {
    const int reason = errno;
    SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: cannot be read: %s", path, strerror(reason));
  }
  NEPHRITE_HDF5_READ(r->file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), r->path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_open_foreign(const char *path, ProductReader **reader)
{
  PetscFunctionBeginUser;
  PetscCall(product_reader_create(path, PETSC_TRUE, reader));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_open(const char *path, const char *kind, int format_version, ProductReader **reader)
{
  char *stored = NULL, other[64] = "";
  int64_t version = 0;
  PetscBool same;

  PetscFunctionBeginUser;
  PetscCall(product_reader_create(path, PETSC_FALSE, reader));
  if (product_read_attribute_text(*reader, NULL, "kind", &stored))
    SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: is not a %s of nephrite: its root has no readable kind", path,
            kind);
  same = strcmp(stored, kind) ? PETSC_FALSE : PETSC_TRUE;
  PetscCall(PetscStrncpy(other, stored, sizeof other));
  PetscCall(PetscFree(stored));
  PetscCheck(same, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: is not a %s of nephrite but a %s", path, kind, other);
  PetscCall(product_read_attribute_int(*reader, NULL, "format_version", 1, &version));
  PetscCheck(version >= 1 && version <= format_version, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: has format version %d of a %s; this build reads up to %d", path, (int)version, kind, format_version);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode free_opened(OpenedDataset **opened)
{
  PetscFunctionBeginUser;
  while (*opened) {
    OpenedDataset *next = (*opened)->next;

    PetscCall(product_sources_destroy(&(*opened)->sources));
    if ((*opened)->id >= 0) H5Dclose((*opened)->id);
    if ((*opened)->type >= 0) H5Tclose((*opened)->type);
    PetscCall(PetscFree((*opened)->digest));
    PetscCall(PetscFree(*opened));
    *opened = next;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_close(ProductReader **reader)
{
  PetscFunctionBeginUser;
  if (!*reader) PetscFunctionReturn(PETSC_SUCCESS);
  crash_begin((*reader)->path);
  const PetscErrorCode error = free_opened(&(*reader)->opened);
  if ((*reader)->file >= 0) H5Fclose((*reader)->file);
  crash_end();
  PetscCall(error);
  PetscCall(PetscFree(*reader));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- datasets ---- */

/* Of what it is given deflate makes 1/1032 at least. */
enum { SMALLEST_PART = 1100 };

/* \param stored  the type as it is in the file */
static PetscErrorCode describe_type(const ProductReader *r, hid_t stored, OpenedDataset *d)
{
  const H5T_class_t class = H5Tget_class(stored);

  PetscFunctionBeginUser;
  PetscCheck(r->foreign || class == H5T_INTEGER || class == H5T_FLOAT, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: dataset %s holds no numbers", r->path, d->name);
  NEPHRITE_HDF5_READ(d->type = H5Tget_native_type(stored, H5T_DIR_ASCEND), r->path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode describe_shape(const ProductReader *r, hid_t space, OpenedDataset *d)
{
  size_t bytes = H5Tget_size(d->type);

  PetscFunctionBeginUser;
  d->rank = H5Sget_simple_extent_ndims(space);
  PetscCheck(d->rank >= 0 && d->rank <= PRODUCT_MAX_RANK, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: dataset %s has %d axes; at most %d are read", r->path, d->name, d->rank, PRODUCT_MAX_RANK);
  NEPHRITE_HDF5_READ(H5Sget_simple_extent_dims(space, d->shape, NULL), r->path);
  for (int axis = d->rank - 1; axis >= 0; axis--) {
    if (axis == 0) d->row_bytes = bytes;
    PetscCheck(!bytes || d->shape[axis] <= PTRDIFF_MAX / bytes, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: dataset %s is larger than any memory", r->path, d->name);
    bytes *= d->shape[axis];
  }
  if (!d->rank) d->row_bytes = bytes;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode describe(const ProductReader *r, OpenedDataset *d)
{
  hid_t stored, space;

  PetscFunctionBeginUser;
  NEPHRITE_HDF5_READ(stored = H5Dget_type(d->id), r->path);
  PetscErrorCode error = describe_type(r, stored, d);
  H5Tclose(stored);
  PetscCall(error);
  NEPHRITE_HDF5_READ(space = H5Dget_space(d->id), r->path);
  error = describe_shape(r, space, d);
  H5Sclose(space);
  PetscFunctionReturn(error);
}

/* A dataset that was never written takes no room, whatever its size; of a product, all was written.  HDF5 could tell
 * the room of a dataset, but asks every chunk that there might be. \param least  bytes that the file has if it holds
 * the dataset */
static PetscErrorCode check_held(const ProductReader *r, const OpenedDataset *d, hsize_t least)
{
  hsize_t held = 0;

  PetscFunctionBeginUser;
  NEPHRITE_HDF5_READ(H5Fget_filesize(r->file, &held), r->path);
  PetscCheck(least <= held, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: has %llu bytes, and cannot hold all of dataset %s: it is damaged", r->path, (unsigned long long)held,
             d->name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_digests(const ProductReader *r, hid_t dataset, OpenedDataset *d)
{
  const hsize_t rows = d->rank ? d->shape[0] : 1;
  hid_t space;

  PetscFunctionBeginUser;
  NEPHRITE_HDF5_READ(space = H5Dget_space(dataset), r->path);
  const int axes = H5Sget_simple_extent_ndims(space); /* of more than one axis HDF5's count may overflow */
  d->digests = axes == 1 ? (size_t)H5Sget_simple_extent_npoints(space) : 0;
  H5Sclose(space);
  PetscCheck(d->digests == 1 || d->digests == rows, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: dataset %s has %zu digests for %llu rows", r->path, d->name, d->digests, (unsigned long long)rows);
  PetscCall(check_held(r, d, d->digests)); /* which are not compressed */
  PetscCall(PetscMalloc1(d->digests, &d->digest));
  NEPHRITE_HDF5_READ(H5Dread(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, d->digest), r->path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Digests of a virtual dataset are those of the files it joins, never its own. */
static PetscErrorCode load_digests(ProductReader *r, OpenedDataset *d)
{
  char name[160];
  PetscBool there;
  hid_t dataset;

  PetscFunctionBeginUser;
  PetscCall(check_held(r, d, d->row_bytes * (d->rank ? d->shape[0] : 1) / SMALLEST_PART));
  snprintf(name, sizeof name, PRODUCT_DIGEST_GROUP "/%s", d->name);
  PetscCall(product_has(r, name, &there));
  PetscCheck(there, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: dataset %s has no digest", r->path, d->name);
  NEPHRITE_HDF5_READ(dataset = H5Dopen2(r->file, name, H5P_DEFAULT), r->path);
  const PetscErrorCode error = read_digests(r, dataset, d);
  H5Dclose(dataset);
  PetscFunctionReturn(error);
}

PetscErrorCode product_find(ProductReader *r, const char *name, OpenedDataset **found)
{
  OpenedDataset *d = r->opened;

  PetscFunctionBeginUser;
  while (d && strcmp(d->name, name)) d = d->next;
  *found = d;
  if (d) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscNew(&d));
  d->next = r->opened;
  d->id = d->type = -1;
  r->opened = d; /* named only when it is whole, so that a failure leaves no half-opened dataset to be found */
  crash_begin(r->path);
  d->id = H5Dopen2(r->file, name, H5P_DEFAULT);
  crash_end();
  if (d->id < 0) {
    H5Eclear2(H5E_DEFAULT);
    SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: has no readable dataset %s", r->path, name);
  }
  PetscCall(PetscStrncpy(d->name, name, sizeof d->name));
  PetscErrorCode error = describe(r, d);
  if (!error) error = r->foreign ? product_sources_check(r, d) : product_sources_find(r, d);
  if (!error && !r->foreign && !d->sources) error = load_digests(r, d);
  if (error) d->name[0] = '\0';
  *found = d;
  PetscFunctionReturn(error);
}

PetscErrorCode product_shape(ProductReader *r, const char *name, int *rank, hsize_t shape[PRODUCT_MAX_RANK])
{
  OpenedDataset *d = NULL;

  PetscFunctionBeginUser;
  PetscCall(product_find(r, name, &d));
  if (rank) *rank = d->rank;
  if (shape) memcpy(shape, d->shape, sizeof d->shape);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_has(ProductReader *r, const char *name, PetscBool *has)
{
  char part[256];

  PetscFunctionBeginUser;
  PetscCall(PetscStrncpy(part, name, sizeof part));
  *has = PETSC_TRUE;
  crash_begin(r->path);
  for (char *c = part; *c && *has; c++) { /* every group on the way has to exist before the next is asked for */
    if (*c != '/' || c == part) continue;
    *c = '\0';
    if (H5Lexists(r->file, part, H5P_DEFAULT) <= 0) *has = PETSC_FALSE;
    *c = '/';
  }
  if (*has && H5Lexists(r->file, name, H5P_DEFAULT) <= 0) *has = PETSC_FALSE;
  crash_end();
  H5Eclear2(H5E_DEFAULT);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_rows(ProductReader *r, OpenedDataset *d, hid_t type, hsize_t range[2], void *values)
{
  const hid_t in_file = H5Dget_space(d->id);
  hsize_t offset[PRODUCT_MAX_RANK] = {range[0]}, extent[PRODUCT_MAX_RANK];
  hid_t in_memory = -1;
  herr_t status = 0;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  memcpy(extent, d->shape, sizeof extent);
  extent[0] = range[1];
  if (d->rank) {
    in_memory = H5Screate_simple(d->rank, extent, NULL);
    status = H5Sselect_hyperslab(in_file, H5S_SELECT_SET, offset, NULL, extent, NULL);
  } else
    in_memory = H5Screate(H5S_SCALAR);
  crash_begin(r->path);
  if (status >= 0) status = H5Dread(d->id, type, in_memory, in_file, H5P_DEFAULT, values);
  crash_end();
  if (status < 0) { /* asked for at once: every further call of HDF5 forgets the reason */
    char what[PETSC_MAX_PATH_LEN + 200];

    snprintf(what, sizeof what, "%s: dataset %s, rows %llu to %llu", r->path, d->name, (unsigned long long)range[0],
             (unsigned long long)(range[0] + range[1] - 1));
    error = error_from_hdf5(NEPHRITE_ERR_INPUT, "H5Dread()", what);
  }
  H5Sclose(in_memory);
  H5Sclose(in_file);
  PetscFunctionReturn(error);
}

static PetscErrorCode check_digests(const ProductReader *r, const OpenedDataset *d, hsize_t first, hsize_t count,
                                    const void *values)
{
  const char *bytes = values;
  const PetscBool by_row = d->digests == d->shape[0] && d->rank ? PETSC_TRUE : PETSC_FALSE;
  const hsize_t rows = d->rank ? d->shape[0] : 1;

  PetscFunctionBeginUser;
  if (by_row && d->digests > 1) {
    for (hsize_t i = 0; i < count; i++)
      PetscCheck(product_row_digest(d->name, first + i, bytes + i * d->row_bytes, d->row_bytes) == d->digest[first + i],
                 PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
                 "%s: row %llu of dataset %s does not match its digest: the file is damaged", r->path,
                 (unsigned long long)(first + i), d->name);
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  if (first == 0 && count == rows)
    PetscCheck(product_row_digest(d->name, 0, bytes, count * d->row_bytes) == d->digest[0], PETSC_COMM_SELF,
               NEPHRITE_ERR_INPUT, "%s: dataset %s does not match its digest: the file is damaged", r->path, d->name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_read(ProductReader *r, const char *name, hid_t type, hsize_t first, hsize_t count, void *values)
{
  OpenedDataset *d = NULL;
  hsize_t range[2] = {first, count};

  PetscFunctionBeginUser;
  PetscCall(product_find(r, name, &d));
  const hsize_t rows = d->rank ? d->shape[0] : 1;
  PetscCheck(count <= rows && first <= rows - count, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: dataset %s has %llu rows; rows %llu to %llu are wanted", r->path, name, (unsigned long long)rows,
             (unsigned long long)first, (unsigned long long)(first + count - 1));
  if (!count) PetscFunctionReturn(PETSC_SUCCESS);
  if (d->sources) PetscFunctionReturn(product_sources_read(d, type, first, count, values));
  if (d->digest && H5Tequal(type, d->type) > 0) {
    PetscCall(read_rows(r, d, type, range, values));
    PetscCall(check_digests(r, d, first, count, values));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  if (d->digest) { /* the digest is of the stored type: check that, then read again converted */
    void *stored = NULL;

    PetscCall(PetscMalloc(count * d->row_bytes, &stored));
    PetscErrorCode error = read_rows(r, d, d->type, range, stored);
    if (!error) error = check_digests(r, d, first, count, stored);
    PetscCall(PetscFree(stored));
    PetscCall(error);
  }
  PetscCall(read_rows(r, d, type, range, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_read_all(ProductReader *r, const char *name, hid_t type, int rank, const hsize_t *shape,
                                void *values)
{
  OpenedDataset *d = NULL;
  char found[128], wanted[128];

  PetscFunctionBeginUser;
  PetscCall(product_find(r, name, &d));
  if (d->rank == rank && (!rank || !memcmp(d->shape, shape, (size_t)rank * sizeof *shape)))
    PetscFunctionReturn(product_read(r, name, type, 0, rank ? shape[0] : 1, values));
  product_shape_text(d->rank, d->shape, found, sizeof found);
  product_shape_text(rank, shape, wanted, sizeof wanted);
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: dataset %s has shape %s; it must have %s", r->path, name, found,
          wanted);
}
