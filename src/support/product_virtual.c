/** \file product_virtual.c  Reading datasets that join those of other products.  \ingroup support
 *
 * HDF5 fills the rows of a missing file with zeros and knows no digests, so rows are read from the product they are in.
 */
#include "support/internal.h"

#include <string.h>

typedef struct {
  char path[PETSC_MAX_PATH_LEN], dataset[128];
  hsize_t first, rows; /* of the joined dataset */
  ProductReader *reader; /* NULL until something is read from it */
} Source;

struct ProductSources {
  size_t count;
  Source *source; /* [count] in the order of rows */
};

/* A relative name is relative to the file that names it, wherever the program runs. */
static PetscErrorCode resolve(const char *joined, Source *source, const char *name)
{
  const char *slash = strrchr(joined, '/');
  const int folder = name[0] == '/' || !slash ? 0 : (int)(slash - joined) + 1;

  PetscFunctionBeginUser;
  if (!strcmp(name, ".")) PetscFunctionReturn(PetscStrncpy(source->path, joined, sizeof source->path)); /* itself */
  PetscCheck(snprintf(source->path, sizeof source->path, "%.*s%s", folder, joined, name) < (int)sizeof source->path,
             PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: joins a file whose name is too long", joined);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_names(const ProductReader *r, hid_t creation, size_t index, Source *source)
{
  char name[PETSC_MAX_PATH_LEN] = "";

  PetscFunctionBeginUser;
  NEPHRITE_HDF5_READ(H5Pget_virtual_filename(creation, index, name, sizeof name), r->path);
  NEPHRITE_HDF5_READ(H5Pget_virtual_dsetname(creation, index, source->dataset, sizeof source->dataset), r->path);
  PetscCall(resolve(r->path, source, name));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_mapping(const ProductReader *r, hid_t creation, size_t index, Source *source)
{
  hsize_t low[PRODUCT_MAX_RANK], high[PRODUCT_MAX_RANK];
  hid_t space;

  PetscFunctionBeginUser;
  NEPHRITE_HDF5_READ(space = H5Pget_virtual_vspace(creation, index), r->path);
  const herr_t bounds = H5Sget_select_bounds(space, low, high);
  H5Sclose(space);
  NEPHRITE_HDF5_READ(bounds, r->path);
  PetscCall(read_names(r, creation, index, source));
  source->first = low[0];
  source->rows = high[0] - low[0] + 1;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_mappings(const ProductReader *r, hid_t creation, ProductSources *sources)
{
  size_t count = 0;
  hsize_t rows = 0;

  PetscFunctionBeginUser;
  NEPHRITE_HDF5_READ(H5Pget_virtual_count(creation, &count), r->path);
  PetscCall(PetscCalloc1(count, &sources->source));
  sources->count = count;
  for (size_t i = 0; i < count; i++) {
    Source *source = &sources->source[i];

    PetscCall(read_mapping(r, creation, i, source));
    /* as they are written: a row that two files were said to hold would stand for one that none holds */
    PetscCheck(source->first == rows, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
               "%s: joins rows from %llu on after row %llu: the file is damaged", r->path,
               (unsigned long long)source->first, (unsigned long long)rows);
    rows += source->rows;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscBool is_virtual(hid_t dataset)
{
  const hid_t creation = H5Dget_create_plist(dataset);
  const H5D_layout_t layout = H5Pget_layout(creation);

  H5Pclose(creation);
  return layout == H5D_VIRTUAL ? PETSC_TRUE : PETSC_FALSE;
}

static PetscErrorCode check_source(const ProductReader *r, const Source *source)
{
  ProductReader *reader = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error = product_reader_create(source->path, PETSC_TRUE, &reader);
  crash_begin(source->path);
  const hid_t dataset = error ? -1 : H5Dopen2(reader->file, source->dataset, H5P_DEFAULT);
  crash_end();
  const PetscBool sound = dataset >= 0 && !is_virtual(dataset) ? PETSC_TRUE : PETSC_FALSE;
  if (dataset >= 0) H5Dclose(dataset);
  PetscCall(product_close(&reader));
  PetscCall(error);
  PetscCheck(sound, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: joins dataset %s of %s, which is not there or joins others itself", r->path, source->dataset,
             source->path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_sources_check(const ProductReader *r, const OpenedDataset *d)
{
  size_t count = 0;
  Source source = {0};
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  if (!is_virtual(d->id)) PetscFunctionReturn(PETSC_SUCCESS);
  const hid_t creation = H5Dget_create_plist(d->id);
  H5Pget_virtual_count(creation, &count);
  for (size_t i = 0; i < count && !error; i++) {
    error = read_names(r, creation, i, &source);
    if (!error) error = check_source(r, &source);
  }
  H5Pclose(creation);
  PetscFunctionReturn(error);
}

PetscErrorCode product_sources_find(const ProductReader *r, OpenedDataset *d)
{
  hid_t creation;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  NEPHRITE_HDF5_READ(creation = H5Dget_create_plist(d->id), r->path);
  const PetscBool outside = H5Pget_external_count(creation) > 0 ? PETSC_TRUE : PETSC_FALSE;
  if (H5Pget_layout(creation) == H5D_VIRTUAL) {
    PetscCall(PetscNew(&d->sources));
    error = read_mappings(r, creation, d->sources);
  }
  H5Pclose(creation);
  PetscCall(error);
  PetscCheck(!outside, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: dataset %s is not in the file but in another one",
             r->path, d->name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A source that has another shape than the join says would be read beyond the caller's array, and one that joins files
 * itself might join itself. */
static PetscErrorCode open_source(const OpenedDataset *d, Source *source)
{
  OpenedDataset *found = NULL;

  PetscFunctionBeginUser;
  if (source->reader) PetscFunctionReturn(PETSC_SUCCESS);
  PetscErrorCode error = product_reader_create(source->path, PETSC_FALSE, &source->reader);
  if (!error) error = product_find(source->reader, source->dataset, &found);
  if (!error) {
    const PetscBool fits = !found->sources && found->rank == d->rank && found->shape[0] == source->rows &&
                                   !memcmp(found->shape + 1, d->shape + 1, sizeof d->shape - sizeof *d->shape)
                               ? PETSC_TRUE
                               : PETSC_FALSE;
    if (!fits)
      error =
          PetscError(PETSC_COMM_SELF, __LINE__, PETSC_FUNCTION_NAME, __FILE__, NEPHRITE_ERR_INPUT, PETSC_ERROR_INITIAL,
                     "%s: dataset %s is not what the file that joins it says", source->path, source->dataset);
  }
  if (error) PetscCall(product_close(&source->reader));
  PetscFunctionReturn(error);
}

PetscErrorCode product_sources_read(OpenedDataset *d, hid_t type, hsize_t first, hsize_t count, void *values)
{
  const size_t row_bytes = d->row_bytes / H5Tget_size(d->type) * H5Tget_size(type);
  hsize_t found = 0;

  PetscFunctionBeginUser;
  for (size_t i = 0; i < d->sources->count; i++) {
    Source *source = &d->sources->source[i];
    const hsize_t from = PetscMax(first, source->first);
    const hsize_t to = PetscMin(first + count, source->first + source->rows);

    if (from >= to) continue;
    PetscCall(open_source(d, source));
    PetscCall(product_read(source->reader, source->dataset, type, from - source->first, to - from,
                           (char *)values + (from - first) * row_bytes));
    found += to - from;
  }
  PetscCheck(found == count, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "dataset %s: no file holds some of the rows from %llu to %llu", d->name, (unsigned long long)first,
             (unsigned long long)(first + count - 1));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode product_sources_destroy(ProductSources **sources)
{
  PetscFunctionBeginUser;
  if (!*sources) PetscFunctionReturn(PETSC_SUCCESS);
  for (size_t i = 0; i < (*sources)->count; i++) PetscCall(product_close(&(*sources)->source[i].reader));
  PetscCall(PetscFree((*sources)->source));
  PetscCall(PetscFree(*sources));
  PetscFunctionReturn(PETSC_SUCCESS);
}
