/** \file product_declare.c  The datasets of a product: layout on disk, checksums, and joins of other products.
 * \ingroup support */
#include "support/internal.h"

#include <string.h>

/* Small rows share a chunk.  HDF5 holds a whole chunk, twice, to take its checksum, and can have none of 4 GiB. */
enum { SMALL_ROWS_BYTES = 1 << 14, CHUNK_BYTES = 1 << 20, LARGEST_CHUNK_BYTES = 1 << 25 };

/* Equal parts of an axis, none with more than \p largest: the last chunk is as long on the disk as the others, so parts
 * that would waste more than an eighth are single indices. */
static hsize_t divide_axis(hsize_t length, hsize_t largest)
{
  const hsize_t parts = 1 + (length - 1) / PetscMax(largest, 1), part = 1 + (length - 1) / parts;

  return 8 * (part * parts - length) > length ? 1 : part;
}

/* Whole rows, as many as are read together; a row too large for one chunk is divided along its own axes, the first ones
 * entirely, so that a chunk is one stretch of the row. */
static void choose_chunk(const ProductDataset *spec, size_t row_bytes, hsize_t chunk[PRODUCT_MAX_RANK])
{
  const size_t wanted = spec->digest == DIGEST_ROWS ? SMALL_ROWS_BYTES : CHUNK_BYTES;
  hsize_t bytes = PetscMax(row_bytes, 1);

  for (int axis = 0; axis < spec->rank; axis++) chunk[axis] = PetscMax(spec->shape[axis], 1);
  chunk[0] = PetscMin(chunk[0], PetscMax(wanted / bytes, 1));
  for (int axis = 1; axis < spec->rank && bytes > LARGEST_CHUNK_BYTES; axis++) {
    const hsize_t each = bytes / chunk[axis];

    chunk[axis] = divide_axis(chunk[axis], LARGEST_CHUNK_BYTES / each);
    if (chunk[axis] > 1) break;
    bytes = each;
  }
}

/* Compressed chunks get their room when they are written, which is when their length is known. */
static PetscErrorCode set_filters(const ProductDataset *spec, int compression, hid_t list)
{
  PetscFunctionBeginUser;
  if (compression) {
    NEPHRITE_HDF5_WRITE(H5Pset_shuffle(list), spec->name);
    NEPHRITE_HDF5_WRITE(H5Pset_deflate(list, (unsigned)compression), spec->name);
  }
  NEPHRITE_HDF5_WRITE(H5Pset_fletcher32(list), spec->name);
  NEPHRITE_HDF5_WRITE(H5Pset_alloc_time(list, compression ? H5D_ALLOC_TIME_INCR : H5D_ALLOC_TIME_EARLY), spec->name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode creation_list(const ProductDataset *spec, const WrittenDataset *d, hid_t *list)
{
  PetscFunctionBeginUser;
  *list = H5Pcreate(H5P_DATASET_CREATE);
  NEPHRITE_HDF5_WRITE(H5Pset_obj_track_times(*list, 0), spec->name);
  if (spec->rank == 0) { /* a scalar lives in the object header, which has a checksum of its own */
    NEPHRITE_HDF5_WRITE(H5Pset_layout(*list, H5D_COMPACT), spec->name);
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  NEPHRITE_HDF5_WRITE(H5Pset_chunk(*list, spec->rank, d->chunk), spec->name);
  PetscCall(set_filters(spec, d->compression, *list));
  NEPHRITE_HDF5_WRITE(H5Pset_fill_time(*list, H5D_FILL_TIME_NEVER), spec->name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Every group on the way to a dataset, made here because those that HDF5 makes by itself carry the time. */
static PetscErrorCode make_groups(ProductWriter *w, const char *name)
{
  char part[160];
  const hid_t creation = H5Pcreate(H5P_GROUP_CREATE);

  PetscFunctionBeginUser;
  PetscCall(PetscStrncpy(part, name, sizeof part));
  NEPHRITE_HDF5_WRITE(H5Pset_obj_track_times(creation, 0), w->part);
  for (char *c = strchr(part, '/'); c; c = strchr(c + 1, '/')) {
    *c = '\0';
    if (H5Lexists(w->file, part, H5P_DEFAULT) <= 0) {
      const hid_t group = H5Gcreate2(w->file, part, H5P_DEFAULT, creation, H5P_DEFAULT);

      NEPHRITE_HDF5_WRITE(group, w->part);
      H5Gclose(group);
    }
    *c = '/';
  }
  H5Pclose(creation);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode make_dataset(ProductWriter *w, const ProductDataset *spec, hid_t creation, hid_t *dataset)
{
  const hid_t stored = H5Tcopy(spec->type);
  const hid_t space = spec->rank ? H5Screate_simple(spec->rank, spec->shape, NULL) : H5Screate(H5S_SCALAR);

  PetscFunctionBeginUser;
  NEPHRITE_HDF5_WRITE(H5Tset_order(stored, H5T_ORDER_LE), spec->name);
  PetscCall(make_groups(w, spec->name));
  *dataset = H5Dcreate2(w->file, spec->name, stored, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  NEPHRITE_HDF5_WRITE(*dataset, w->part);
  H5Tclose(stored);
  H5Sclose(space);
  if (spec->units) PetscCall(product_put_text(w, spec->name, "units", spec->units));
  if (spec->description) PetscCall(product_put_text(w, spec->name, "description", spec->description));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode next_dataset(ProductWriter *w, WrittenDataset **dataset)
{
  PetscFunctionBeginUser;
  if (w->count == w->room) {
    WrittenDataset *larger = NULL;

    w->room = 2 * w->room + 16;
    PetscCall(PetscCalloc1((size_t)w->room, &larger));
    if (w->count) memcpy(larger, w->dataset, (size_t)w->count * sizeof *larger);
    PetscCall(PetscFree(w->dataset));
    w->dataset = larger;
  }
  *dataset = &w->dataset[w->count++];
  (*dataset)->id = (*dataset)->type = -1;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode declare(ProductWriter *w, const ProductDataset *spec, int compression)
{
  WrittenDataset *d = NULL;
  hid_t creation;

  PetscFunctionBeginUser;
  PetscCall(next_dataset(w, &d));
  PetscCall(PetscStrncpy(d->name, spec->name, sizeof d->name));
  d->rank = spec->rank;
  memcpy(d->shape, spec->shape, sizeof d->shape);
  d->guard = spec->rank ? spec->digest : DIGEST_WHOLE;
  d->type = spec->type;
  d->compression = compression;
  d->row_bytes = H5Tget_size(spec->type);
  for (int axis = 1; axis < spec->rank; axis++) d->row_bytes *= spec->shape[axis];
  d->digests = d->guard == DIGEST_ROWS ? spec->shape[0] : 1;
  PetscCall(PetscCalloc1(d->digests, &d->digest));
  choose_chunk(spec, d->row_bytes, d->chunk);
  if (w->rank != 0) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(creation_list(spec, d, &creation));
  PetscCall(make_dataset(w, spec, creation, &d->id));
  H5Pclose(creation);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_declare(ProductWriter *w, const ProductDataset *spec)
{
  PetscFunctionBeginUser;
  PetscCall(product_settle(w, declare(w, spec, 0)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_declare_compressed(ProductWriter *w, const ProductDataset *spec, int level)
{
  PetscFunctionBeginUser;
  PetscCall(product_settle(w, declare(w, spec, level)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Rows of every source follow each other along the first axis. */
static PetscErrorCode map_sources(ProductWriter *w, const ProductDataset *spec, int count, const char *const *files,
                                  const hsize_t *rows)
{
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(spec->rank, spec->shape, NULL);
  hsize_t offset[PRODUCT_MAX_RANK] = {0}, extent[PRODUCT_MAX_RANK];
  hid_t dataset;

  PetscFunctionBeginUser;
  memcpy(extent, spec->shape, sizeof extent);
  NEPHRITE_HDF5_WRITE(H5Pset_obj_track_times(creation, 0), spec->name);
  for (int i = 0; i < count; i++) {
    extent[0] = rows[i];
    const hid_t source = H5Screate_simple(spec->rank, extent, NULL);

    NEPHRITE_HDF5_WRITE(H5Sselect_hyperslab(space, H5S_SELECT_SET, offset, NULL, extent, NULL), spec->name);
    NEPHRITE_HDF5_WRITE(H5Pset_virtual(creation, space, files[i], spec->name, source), spec->name);
    H5Sclose(source);
    offset[0] += rows[i];
  }
  PetscCall(make_dataset(w, spec, creation, &dataset));
  H5Dclose(dataset);
  H5Pclose(creation);
  H5Sclose(space);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_declare_virtual(ProductWriter *w, const ProductDataset *spec, int count,
                                       const char *const *files, const hsize_t *rows)
{
  PetscFunctionBeginUser;
  PetscCall(product_settle(w, w->rank == 0 ? map_sources(w, spec, count, files, rows) : PETSC_SUCCESS));
  PetscFunctionReturn(PETSC_SUCCESS);
}
