/** \file product_rows.c  Rows of a product, from the ranks that have them to the rank that writes.  \ingroup support */
#include "support/internal.h"

#include <string.h>

/* Rows of a rank are received in pieces of about this size, and in messages that an int can count. */
enum { PIECE_BYTES = 1 << 26, MESSAGE_BYTES = 1 << 30 };

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

PetscErrorCode product_put(const ProductWriter *w, const WrittenDataset *d, const hsize_t *offset,
                           const hsize_t *extent, const void *values)
{
  const hid_t in_file = H5Dget_space(d->id);
  const hid_t in_memory = d->rank ? H5Screate_simple(d->rank, extent, NULL) : H5Screate(H5S_SCALAR);

  PetscFunctionBeginUser;
  if (d->rank) NEPHRITE_HDF5_WRITE(H5Sselect_hyperslab(in_file, H5S_SELECT_SET, offset, NULL, extent, NULL), w->part);
  NEPHRITE_HDF5_WRITE(H5Dwrite(d->id, d->type, in_memory, in_file, H5P_DEFAULT, values), w->part);
  H5Sclose(in_memory);
  H5Sclose(in_file);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_rows(const ProductWriter *w, const WrittenDataset *d, hsize_t first, hsize_t count,
                                 const void *values)
{
  const hsize_t offset[PRODUCT_MAX_RANK] = {first};
  hsize_t extent[PRODUCT_MAX_RANK];

  PetscFunctionBeginUser;
  memcpy(extent, d->shape, sizeof extent);
  extent[0] = count;
  PetscCall(product_put(w, d, offset, extent, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static hsize_t rows_of_piece(const WrittenDataset *d, hsize_t left)
{
  return PetscMin(left, PetscMax(PIECE_BYTES / PetscMax(d->row_bytes, 1), 1));
}

PetscErrorCode product_send(const ProductWriter *w, PetscMPIInt rank, const void *bytes, size_t count)
{
  const char *const from = bytes;

  PetscFunctionBeginUser;
  for (size_t done = 0; done < count; done += MESSAGE_BYTES)
    PetscCallMPI(MPI_Send(from + done, (int)PetscMin(count - done, MESSAGE_BYTES), MPI_BYTE, rank, 0, w->comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_receive(const ProductWriter *w, PetscMPIInt rank, void *bytes, size_t count)
{
  char *const to = bytes;

  PetscFunctionBeginUser;
  for (size_t done = 0; done < count; done += MESSAGE_BYTES)
    PetscCallMPI(
        MPI_Recv(to + done, (int)PetscMin(count - done, MESSAGE_BYTES), MPI_BYTE, rank, 0, w->comm, MPI_STATUS_IGNORE));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode send_rows(const ProductWriter *w, const WrittenDataset *d, hsize_t count, const void *values)
{
  PetscFunctionBeginUser;
  for (hsize_t done = 0, rows = 0; done < count; done += rows) {
    rows = rows_of_piece(d, count - done);
    PetscCall(product_send(w, 0, (const char *)values + done * d->row_bytes, rows * d->row_bytes));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_make_buffer(ProductWriter *w, size_t bytes)
{
  PetscFunctionBeginUser;
  if (bytes <= w->buffer_bytes) PetscFunctionReturn(PETSC_SUCCESS);
  w->buffer_bytes = 0;
  PetscCall(PetscFree(w->buffer));
  PetscCall(PetscMalloc1(bytes, &w->buffer));
  w->buffer_bytes = bytes;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* After a failed write the rest is still received, so that the sender does not wait for ever.
 * \param[in,out] written  the first failure of writing */
static PetscErrorCode receive_rows(ProductWriter *w, const WrittenDataset *d, PetscMPIInt rank, const hsize_t range[2],
                                   PetscErrorCode *written)
{
  PetscFunctionBeginUser;
  for (hsize_t done = 0, rows = 0; done < range[1]; done += rows) {
    rows = rows_of_piece(d, range[1] - done);
    PetscCall(product_make_buffer(w, rows * d->row_bytes));
    PetscCall(product_receive(w, rank, w->buffer, rows * d->row_bytes));
    if (!*written) *written = write_rows(w, d, range[0] + done, rows, w->buffer);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param range  {first, count} of this rank */
static PetscErrorCode gather_rows(ProductWriter *w, const WrittenDataset *d, const hsize_t range[2], const void *values)
{
  hsize_t *ranges = NULL; /* [size][2] on rank 0 */
  PetscErrorCode written = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  if (w->rank == 0) PetscCall(PetscMalloc1(2 * (size_t)w->size, &ranges));
  PetscCallMPI(MPI_Gather(range, 2, MPI_UNSIGNED_LONG_LONG, ranges, 2, MPI_UNSIGNED_LONG_LONG, 0, w->comm));
  if (w->rank != 0) PetscFunctionReturn(send_rows(w, d, range[1], values));
  if (range[1]) written = write_rows(w, d, range[0], range[1], values);
  for (PetscMPIInt rank = 1; rank < w->size; rank++) PetscCall(receive_rows(w, d, rank, &ranges[2 * rank], &written));
  PetscCall(PetscFree(ranges));
  PetscFunctionReturn(written);
}

/* Only rows that exist, and all of a dataset that has one digest. */
PetscErrorCode product_find_rows(const ProductWriter *w, const char *name, const hsize_t range[2],
                                 WrittenDataset **found)
{
  WrittenDataset *d = NULL;

  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < w->count; i++)
    if (!strcmp(w->dataset[i].name, name)) d = &w->dataset[i];
  *found = d;
  PetscCheck(d, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "%s: no dataset %s was declared", w->path, name);
  const hsize_t rows = d->rank ? d->shape[0] : 1;
  PetscCheck(range[1] <= rows && range[0] <= rows - range[1], PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "%s: rows %llu to %llu are outside of dataset %s", w->path, (unsigned long long)range[0],
             (unsigned long long)(range[0] + range[1]), name);
  PetscCheck(d->guard == DIGEST_ROWS || !range[1] || range[1] == rows, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "%s: %llu of %llu rows of dataset %s are written; it has one digest, so one rank writes all of it",
             w->path, (unsigned long long)range[1], (unsigned long long)rows, name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_write(ProductWriter *w, const char *name, hsize_t first, hsize_t count, const void *values)
{
  const hsize_t range[2] = {first, count};
  WrittenDataset *d = NULL;

  PetscFunctionBeginUser;
  PetscCall(product_settle(w, product_find_rows(w, name, range, &d)));
  PetscCall(PetscLogEventBegin(w->event, 0, 0, 0, 0));
  digest_rows(d, first, count, values);
  const PetscErrorCode error = gather_rows(w, d, range, values);
  PetscCall(PetscLogEventEnd(w->event, 0, 0, 0, 0));
  PetscCall(product_settle(w, error));
  PetscFunctionReturn(PETSC_SUCCESS);
}
