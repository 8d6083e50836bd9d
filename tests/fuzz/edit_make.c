/** \file edit_make.c  Types, shapes, layouts and values for edits. */
#include "edit.h"

#include <math.h>

/* What may be wrong of a number. */
const double special_values[SPECIAL_VALUES] = {0,           1,      -1,     0.5,    NAN,         INFINITY,
                                               -INFINITY,   1e300,  -1e300, 1e-310, 2147483648., 4294967297.,
                                               9.007199e15, 9.3e18, 3,      1048576};

hid_t text_type(size_t size)
{
  const hid_t type = H5Tcopy(H5T_C_S1);

  H5Tset_size(type, size);
  return type;
}

static hid_t compound_type(void)
{
  const hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(double));

  H5Tinsert(type, "x", 0, H5T_IEEE_F64LE);
  return type;
}

static hid_t flag_type(void) /* as h5py writes a bool */
{
  const hid_t type = H5Tenum_create(H5T_STD_I8LE);
  const int8_t no = 0, yes = 1;

  H5Tenum_insert(type, "FALSE", &no);
  H5Tenum_insert(type, "TRUE", &yes);
  return type;
}

static hid_t half_type(void)
{
  const hid_t type = H5Tcopy(H5T_IEEE_F32LE);

  H5Tset_fields(type, 15, 10, 5, 0, 10);
  H5Tset_size(type, 2);
  H5Tset_ebias(type, 15);
  return type;
}

hid_t make_type(uint8_t code, hid_t old)
{
  switch (code % 21) {
  case 1:
    return H5Tcopy(H5T_IEEE_F32LE);
  case 2:
    return H5Tcopy(H5T_IEEE_F64LE);
  case 3:
    return H5Tcopy(H5T_STD_I64LE);
  case 4:
    return H5Tcopy(H5T_STD_U64LE);
  case 5:
    return H5Tcopy(H5T_STD_I8LE);
  case 6:
    return H5Tcopy(H5T_IEEE_F64BE);
  case 7:
    return H5Tcopy(H5T_STD_I32BE);
  case 8:
    return text_type(4);
  case 9:
    return text_type((size_t)1 << 29);
  case 10:
    return text_type(H5T_VARIABLE);
  case 11:
    return compound_type();
  case 12:
    return H5Tarray_create2(H5T_IEEE_F64LE, 1, (hsize_t[]){1024});
  case 13:
    return H5Tcreate(H5T_OPAQUE, 1 << 20);
  case 14:
    return H5Tcopy(H5T_STD_REF_OBJ);
  case 15:
    return H5Tvlen_create(H5T_IEEE_F64LE);
  case 16:
    return flag_type();
  case 17:
    return half_type();
  case 18:
    return H5Tcopy(H5T_STD_B8LE);
  case 19:
    return H5Tcopy(H5T_NATIVE_LDOUBLE);
  case 20:
    return H5Tcopy(H5T_STD_REF_DSETREG);
  default:
    return old >= 0 ? H5Tcopy(old) : H5Tcopy(H5T_IEEE_F64LE);
  }
}

static void insert_axis(int *rank, hsize_t *shape, int axis, hsize_t length)
{
  memmove(shape + axis + 1, shape + axis, (size_t)(*rank - axis) * sizeof *shape);
  shape[axis] = length;
  ++*rank;
}

/* \param[in,out] rank, shape [MOST_AXES]  \param chosen  an axis */
static void change_shape(uint8_t code, int chosen, int *rank, hsize_t *shape)
{
  hsize_t *axis = &shape[*rank ? chosen % *rank : 0];

  switch (code % 16) {
  case 1:
    *axis *= 2;
    break;
  case 2:
    *axis /= 2;
    break;
  case 3:
    *axis = 0;
    break;
  case 4:
    *axis = 1;
    break;
  case 5:
    *axis = (hsize_t)1 << 31;
    break;
  case 6:
    *axis = ((hsize_t)1 << 61) + 1; /* eight bytes for each are eight bytes in all */
    break;
  case 7:
    ++*axis;
    break;
  case 8: /* the first axis away */
    if (*rank) memmove(shape, shape + 1, (size_t)(--*rank) * sizeof *shape);
    break;
  case 9:
    insert_axis(rank, shape, 0, 1);
    break;
  case 10:
    insert_axis(rank, shape, *rank, 1);
    break;
  case 11:
    insert_axis(rank, shape, *rank, 1000);
    break;
  case 12:
    *rank = 0;
    break;
  case 13:
    for (*rank = 0; *rank < 7; ++*rank) shape[*rank] = 1;
    break;
  case 14:
    for (*rank = 0; *rank < MOST_AXES; ++*rank) shape[*rank] = 1;
    break;
  case 15: {
    const hsize_t first = shape[0];

    shape[0] = *axis;
    *axis = first;
    break;
  }
  default:
    break;
  }
}

enum { NULL_SPACE = 16 * 7 };

/* Beside the codes of change_shape() there is the space without any value. */
hid_t make_space(const Edit *edit, hid_t old)
{
  hsize_t shape[MOST_AXES + 1] = {1};
  int rank = old >= 0 ? H5Sget_simple_extent_ndims(old) : 1;

  if (edit->shape >= NULL_SPACE && edit->shape < NULL_SPACE + 16) return H5Screate(H5S_NULL);
  if (rank < 0 || rank >= MOST_AXES) rank = 0;
  if (old >= 0) H5Sget_simple_extent_dims(old, shape, NULL);
  change_shape(edit->shape, edit->axis, &rank, shape);
  return rank ? H5Screate_simple(rank, shape, NULL) : H5Screate(H5S_SCALAR);
}

PetscBool is_small(hid_t type, hid_t space)
{
  hsize_t shape[MOST_AXES] = {0};
  const int rank = H5Sget_simple_extent_dims(space, shape, NULL);
  size_t bytes = H5Tget_size(type);

  for (int a = 0; a < rank && bytes; a++) /* HDF5's own count of values overflows */
    bytes = shape[a] <= MOST_BYTES / bytes ? bytes * shape[a] : MOST_BYTES + 1;
  return rank >= 0 && bytes <= MOST_BYTES ? PETSC_TRUE : PETSC_FALSE;
}

hid_t make_layout(const Edit *edit, hid_t space, PetscBool small)
{
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  hsize_t chunk[MOST_AXES] = {0};
  const int rank = H5Sget_simple_extent_ndims(space);
  const int kind = small ? edit->layout % 6 : 1;

  H5Sget_simple_extent_dims(space, chunk, NULL);
  for (int a = 0; a < rank; a++) chunk[a] = PetscMax(1, PetscMin(chunk[a], 16));
  if (kind == 1 || kind == 2 || kind == 3) H5Pset_chunk(list, rank, chunk);
  if (kind == 2) H5Pset_fletcher32(list);
  if (kind == 3) H5Pset_deflate(list, 1);
  if (kind == 4) H5Pset_layout(list, H5D_COMPACT);
  if (kind == 5) H5Pset_external(list, "/dev/zero", 0, H5F_UNLIMITED);
  if (!small) H5Pset_fill_time(list, H5D_FILL_TIME_NEVER);
  return list;
}

void make_values(const Edit *edit, size_t count, const double *old, size_t old_count, double *values)
{
  const uint8_t code = edit->value % (SPECIAL_VALUES + 1);

  for (size_t i = 0; i < count; i++)
    values[i] = code ? special_values[code - 1] : old_count ? old[i % old_count] : (double)i;
}

PetscBool is_virtual(hid_t dataset)
{
  const hid_t list = H5Dget_create_plist(dataset);
  const PetscBool virtual = H5Pget_layout(list) == H5D_VIRTUAL ? PETSC_TRUE : PETSC_FALSE;

  H5Pclose(list);
  return virtual;
}
