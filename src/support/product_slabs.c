/** \file product_slabs.c  A row of a product that no rank holds whole.  \ingroup support
 *
 * Its bytes reach the writer in the order in which they are stored, plane by plane and within it rank by rank, so that
 * one digest goes along; they are gathered into whole chunks, since HDF5 would read and check a part of one again.
 */
#include "support/internal.h"

#include <string.h>

/* Lines of a rank are received in pieces of at most this size. */
enum { PIECE_BYTES = 1 << 24 };

/** A row as it comes in. */
typedef struct {
  ProductWriter *writer;
  WrittenDataset *dataset;
  hsize_t row;
  int axis; /* along which chunks divide the row: before it they have one index, after it all */
  size_t index_bytes; /* of one index of that axis */
  size_t written, held, wanted; /* bytes of the row on disk; in the chunk at hand; that will make it whole */
  char *chunk;
  ProductDigestState *digest;
} RowInPieces;

/* Bytes of the chunk that begins where the row is written so far. */
static size_t next_chunk(const RowInPieces *r)
{
  const WrittenDataset *const d = r->dataset;
  const hsize_t place = r->written / r->index_bytes % d->shape[r->axis];

  return PetscMin(d->chunk[r->axis], d->shape[r->axis] - place) * r->index_bytes;
}

static PetscErrorCode row_begin(ProductWriter *w, WrittenDataset *d, hsize_t row, RowInPieces *r)
{
  PetscFunctionBeginUser;
  r->writer = w;
  r->dataset = d;
  r->row = row;
  for (r->axis = d->rank - 1; r->axis > 1 && d->chunk[r->axis] == d->shape[r->axis];) r->axis--;
  r->index_bytes = d->row_bytes;
  for (int axis = 1; axis <= r->axis; axis++) r->index_bytes /= d->shape[axis];
  r->wanted = next_chunk(r);
  PetscCall(PetscMalloc1(r->wanted, &r->chunk)); /* none is longer than the first */
  PetscCall(product_make_buffer(w, PIECE_BYTES));
  PetscCall(product_row_digest_begin(d->name, row, &r->digest));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_chunk(const RowInPieces *r)
{
  const WrittenDataset *const d = r->dataset;
  hsize_t offset[PRODUCT_MAX_RANK] = {r->row}, extent[PRODUCT_MAX_RANK];
  hsize_t place = r->written / r->index_bytes;

  PetscFunctionBeginUser;
  for (int axis = 0; axis < d->rank; axis++) extent[axis] = axis < r->axis ? 1 : d->shape[axis];
  extent[r->axis] = r->held / r->index_bytes;
  for (int axis = r->axis; axis > 0; axis--) {
    offset[axis] = place % d->shape[axis];
    place /= d->shape[axis];
  }
  PetscCall(product_put(r->writer, d, offset, extent, r->chunk));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode row_add(RowInPieces *r, const char *bytes, size_t count)
{
  PetscFunctionBeginUser;
  product_row_digest_add(r->digest, bytes, count);
  for (size_t done = 0; done < count;) {
    const size_t take = PetscMin(count - done, r->wanted - r->held);

    memcpy(r->chunk + r->held, bytes + done, take);
    r->held += take;
    done += take;
    if (r->held < r->wanted) continue;
    PetscCall(write_chunk(r));
    r->written += r->held;
    r->held = 0;
    if (r->written < r->dataset->row_bytes) r->wanted = next_chunk(r);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode row_end(RowInPieces *r)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree(r->chunk));
  PetscCall(product_digest_end(&r->digest, r->dataset ? &r->dataset->digest[r->row] : NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What the ranks have of a row. */
typedef struct {
  hsize_t planes;
  size_t line_bytes;
  hsize_t *lines; /* [size] of every rank, on rank 0 */
} Division;

static PetscErrorCode check_row(const ProductWriter *w, const char *name, hsize_t row, WrittenDataset **d)
{
  PetscFunctionBeginUser;
  PetscCall(product_find_rows(w, name, (const hsize_t[]){row, 1}, d));
  PetscCheck((*d)->rank >= 3 && (*d)->guard == DIGEST_ROWS && (*d)->row_bytes, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "%s: dataset %s has no rows that can be divided into lines", w->path, name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode gather_division(const ProductWriter *w, const WrittenDataset *d, hsize_t lines,
                                      Division *division)
{
  hsize_t total = 0;

  PetscFunctionBeginUser;
  division->planes = d->shape[1];
  division->line_bytes = d->row_bytes / (d->shape[1] * d->shape[2]);
  if (w->rank == 0) PetscCall(PetscMalloc1((size_t)w->size, &division->lines));
  PetscCallMPI(MPI_Gather(&lines, 1, MPI_UNSIGNED_LONG_LONG, division->lines, 1, MPI_UNSIGNED_LONG_LONG, 0, w->comm));
  for (PetscMPIInt rank = 0; w->rank == 0 && rank < w->size; rank++) total += division->lines[rank];
  PetscCheck(w->rank || total == d->shape[2], PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL,
             "%s: the ranks have %llu of the %llu lines of dataset %s", w->path, (unsigned long long)total,
             (unsigned long long)d->shape[2], d->name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode send_lines(const ProductWriter *w, const Division *division, hsize_t lines, const char *values)
{
  const size_t plane_bytes = lines * division->line_bytes;

  PetscFunctionBeginUser;
  for (hsize_t plane = 0; plane < division->planes; plane++)
    for (size_t done = 0; done < plane_bytes; done += PIECE_BYTES)
      PetscCall(product_send(w, 0, values + plane * plane_bytes + done, PetscMin(plane_bytes - done, PIECE_BYTES)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* After a failed write the rest is still received, so that the sender does not wait for ever.
 * \param[in,out] failed  the first failure of writing */
static PetscErrorCode receive_lines(RowInPieces *r, PetscMPIInt rank, size_t plane_bytes, PetscErrorCode *failed)
{
  ProductWriter *const w = r->writer;

  PetscFunctionBeginUser;
  for (size_t done = 0; done < plane_bytes; done += PIECE_BYTES) {
    const size_t piece = PetscMin(plane_bytes - done, PIECE_BYTES);

    PetscCall(product_receive(w, rank, w->buffer, piece));
    if (!*failed) *failed = row_add(r, w->buffer, piece);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode assemble(RowInPieces *r, const Division *division, const char *values)
{
  PetscErrorCode failed = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  for (hsize_t plane = 0; plane < division->planes; plane++) {
    const size_t own_bytes = division->lines[0] * division->line_bytes;

    if (own_bytes && !failed) failed = row_add(r, values + plane * own_bytes, own_bytes);
    for (PetscMPIInt rank = 1; rank < r->writer->size; rank++)
      PetscCall(receive_lines(r, rank, division->lines[rank] * division->line_bytes, &failed));
  }
  PetscFunctionReturn(failed);
}

PetscErrorCode product_write_slabs(ProductWriter *w, const char *name, hsize_t row, hsize_t lines, const void *values)
{
  WrittenDataset *d = NULL;
  Division division = {0};
  RowInPieces in_pieces = {0};
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(product_settle(w, check_row(w, name, row, &d)));
  if (w->size == 1 && lines == d->shape[2]) PetscFunctionReturn(product_write(w, name, row, 1, values));
  PetscCall(PetscLogEventBegin(w->event, 0, 0, 0, 0));
  error = gather_division(w, d, lines, &division);
  if (!error && w->rank == 0) error = row_begin(w, d, row, &in_pieces);
  error = product_settle(w, error);
  if (!error)
    error = product_settle(w, w->rank == 0 ? assemble(&in_pieces, &division, values)
                                           : send_lines(w, &division, lines, values));
  PetscCall(row_end(&in_pieces));
  PetscCall(PetscFree(division.lines));
  PetscCall(PetscLogEventEnd(w->event, 0, 0, 0, 0));
  PetscFunctionReturn(error);
}
