/** \file edit_dataset.c  Edits of datasets and links. */
#include "edit.h"

/* The numbers of a dataset that is not large.  \param[out] values  NULL if there are none; free with PetscFree() */
static PetscErrorCode old_values(hid_t dataset, hid_t space, double **values, size_t *count)
{
  const hssize_t points = H5Sget_simple_extent_npoints(space);

  PetscFunctionBeginUser;
  *count = 0;
  *values = NULL;
  if (points <= 0 || !is_small(H5T_NATIVE_DOUBLE, space) || is_virtual(dataset)) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscMalloc1((size_t)points, values));
  if (H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, *values) >= 0) *count = (size_t)points;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_values(const Edit *edit, hid_t dataset, hid_t space, const double *old, size_t old_count)
{
  const hssize_t points = H5Sget_simple_extent_npoints(space);
  double *values = NULL;

  PetscFunctionBeginUser;
  if (points <= 0 || !is_small(H5T_NATIVE_DOUBLE, space)) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscMalloc1((size_t)points, &values));
  make_values(edit, (size_t)points, old, old_count, values);
  H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  PetscCall(PetscFree(values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode put_dataset(const Edit *edit, hid_t file, const char *name, hid_t type, hid_t space,
                                  const double *old, size_t old_count)
{
  const hid_t list = make_layout(edit, space, is_small(type, space));
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);

  PetscFunctionBeginUser;
  H5Pset_create_intermediate_group(links, 1);
  const hid_t dataset = H5Dcreate2(file, name, type, space, links, list, H5P_DEFAULT);
  if (dataset >= 0 && is_small(type, space)) PetscCall(write_values(edit, dataset, space, old, old_count));
  H5Dclose(dataset);
  H5Pclose(links);
  H5Pclose(list);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode edit_dataset(const Edit *edit, hid_t file, const char *name)
{
  const hid_t dataset = H5Dopen2(file, edit->object->name, H5P_DEFAULT);
  const hid_t old_space = H5Dget_space(dataset), old_type = H5Dget_type(dataset);
  const hid_t space = make_space(edit, old_space), type = make_type(edit->type, old_type);
  double *old = NULL;
  size_t old_count = 0;

  PetscFunctionBeginUser;
  if (dataset >= 0) PetscCall(old_values(dataset, old_space, &old, &old_count));
  H5Dclose(dataset);
  H5Ldelete(file, name, H5P_DEFAULT);
  PetscCall(put_dataset(edit, file, name, type, space, old, old_count));
  PetscCall(PetscFree(old));
  H5Tclose(type);
  H5Tclose(old_type);
  H5Sclose(space);
  H5Sclose(old_space);
  PetscFunctionReturn(PETSC_SUCCESS);
}

void edit_value(const Edit *edit, hid_t file)
{
  const hid_t dataset = H5Dopen2(file, edit->object->name, H5P_DEFAULT), space = H5Dget_space(dataset);
  const hid_t one = H5Screate(H5S_SCALAR);
  hsize_t place[MOST_AXES] = {0}, shape[MOST_AXES] = {0};
  const int rank = H5Sget_simple_extent_ndims(space);

  H5Sget_simple_extent_dims(space, shape, NULL);
  for (int a = 0; a < rank; a++) place[a] = shape[a] ? (hsize_t)(edit->place >> a) % shape[a] : 0;
  if (rank > 0) H5Sselect_elements(space, H5S_SELECT_SET, 1, place);
  if (H5Sget_simple_extent_npoints(space) > 0 && is_small(H5T_NATIVE_DOUBLE, space) && !is_virtual(dataset))
    H5Dwrite(dataset, H5T_NATIVE_DOUBLE, one, space, H5P_DEFAULT, &special_values[edit->value % SPECIAL_VALUES]);
  H5Sclose(one);
  H5Sclose(space);
  H5Dclose(dataset);
}

void edit_join(const Edit *edit, hid_t file)
{
  const char *name = edit->object->name;
  static const char *const files[] = {".", "campaign.h5", "shard-00000.h5", "shard-00001.h5", "/dev/null", "none.h5"};
  const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(dataset), type = H5Dget_type(dataset);
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE), source = make_space(edit, space);
  hsize_t first[MOST_AXES] = {0}, shape[MOST_AXES] = {0};
  const int rank = H5Sget_simple_extent_ndims(space);

  H5Sget_simple_extent_dims(space, shape, NULL);
  if (rank > 0 && edit->place % 2) shape[0] = PetscMax(1, shape[0] / 2);
  if (rank > 0 && edit->place % 2) H5Sselect_hyperslab(source, H5S_SELECT_SET, first, NULL, shape, NULL);
  for (int part = 0; part < 2; part++) {
    first[0] = part && edit->place % 4 > 1 ? shape[0] : 0;
    if (rank > 0 && edit->place % 2) H5Sselect_hyperslab(space, H5S_SELECT_SET, first, NULL, shape, NULL);
    if (part <= edit->place % 2)
      H5Pset_virtual(list, space, files[edit->value % 6], edit->place & 8 ? edit->object->name : edit->other->name,
                     source);
  }
  H5Sselect_all(space);
  H5Dclose(dataset);
  H5Ldelete(file, name, H5P_DEFAULT);
  H5Dclose(H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT));
  H5Pclose(list);
  H5Sclose(source);
  H5Sclose(space);
  H5Tclose(type);
}

void edit_link(const Edit *edit, hid_t file, const char *path)
{
  const char *name = edit->object->name, *other = edit->other->name;

  H5Ldelete(file, name, H5P_DEFAULT);
  switch (edit->value % 7) {
  case 0: /* nothing in its place */
    break;
  case 1:
    H5Lcreate_soft(other, file, name, H5P_DEFAULT, H5P_DEFAULT);
    break;
  case 2:
    H5Lcreate_soft(name, file, name, H5P_DEFAULT, H5P_DEFAULT); /* to itself */
    break;
  case 3:
    H5Lcreate_external(path, other, file, name, H5P_DEFAULT, H5P_DEFAULT);
    break;
  case 4:
    H5Lcreate_external("none.h5", other, file, name, H5P_DEFAULT, H5P_DEFAULT);
    break;
  case 5:
    H5Lcreate_hard(file, other, file, name, H5P_DEFAULT, H5P_DEFAULT);
    break;
  default:
    H5Lcreate_hard(file, "/", file, name, H5P_DEFAULT, H5P_DEFAULT); /* round in circles */
    break;
  }
}
