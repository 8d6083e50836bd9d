/** \file edit_attribute.c  Edits of attributes. */
#include "edit.h"

static const char *const special_texts[] = {
    "",   "none", "shard", "checkpoint", "weights", "a: &a [*a]", "a: {b: {c: d", "\xff\xfe", "survey: {map_size: 3}",
    "-1", "1e999"};
enum { SPECIAL_TEXTS = sizeof special_texts / sizeof *special_texts, TEXT_SIZE = 4096 };

/* The text of the attribute with one byte changed, a special one, or one that is long. */
static void make_text(const Edit *edit, hid_t attribute, char *text)
{
  const int code = edit->value % (SPECIAL_TEXTS + 2);
  const hid_t type = H5Aget_type(attribute);

  memset(text, 0, TEXT_SIZE);
  if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 && H5Tget_size(type) < TEXT_SIZE)
    H5Aread(attribute, type, text);
  H5Tclose(type);
  if (code < SPECIAL_TEXTS)
    snprintf(text, TEXT_SIZE, "%s", special_texts[code]);
  else if (code == SPECIAL_TEXTS)
    memset(text, edit->place, TEXT_SIZE - 1);
  else
    text[(edit->axis * 256 + edit->shape) % (int)PetscMax(1, strlen(text))] = (char)edit->place;
}

static void put_text(const Edit *edit, hid_t object, hid_t old, hid_t space)
{
  char text[TEXT_SIZE + 4] = "";
  const char *variable = text;
  const PetscBool fixed = edit->layout % 4 ? PETSC_TRUE : PETSC_FALSE;

  make_text(edit, old, text);
  const hid_t type = text_type(fixed ? PetscMax(1, strlen(text) + edit->layout % 4 - 1) : H5T_VARIABLE);
  if (edit->layout & 4) H5Tset_strpad(type, H5T_STR_NULLPAD); /* may fill all of its bytes */
  if (edit->layout & 8) H5Tset_strpad(type, H5T_STR_SPACEPAD);
  if (edit->layout & 16) H5Tset_cset(type, H5T_CSET_UTF8);
  H5Adelete(object, edit->attribute);
  const hid_t attribute =
      is_small(type, space) ? H5Acreate2(object, edit->attribute, type, space, H5P_DEFAULT, H5P_DEFAULT) : -1;
  if (attribute >= 0 && H5Sget_simple_extent_npoints(space) == 1)
    H5Awrite(attribute, type, fixed ? (const void *)text : &variable);
  H5Aclose(attribute);
  H5Tclose(type);
}

static void put_numbers(const Edit *edit, hid_t object, hid_t old, hid_t space)
{
  enum { MOST = 4096 };
  double values[MOST], before[MOST];
  const hid_t old_type = H5Aget_type(old), type = make_type(edit->type, old_type), old_space = H5Aget_space(old);
  const hssize_t points = H5Sget_simple_extent_npoints(space), count = H5Sget_simple_extent_npoints(old_space);
  size_t known = 0;

  if (count > 0 && count <= MOST && is_small(old_type, old_space) && H5Aread(old, H5T_NATIVE_DOUBLE, before) >= 0)
    known = (size_t)count;
  H5Adelete(object, edit->attribute);
  const hid_t attribute =
      is_small(type, space) ? H5Acreate2(object, edit->attribute, type, space, H5P_DEFAULT, H5P_DEFAULT) : -1;
  if (points > 0 && points <= MOST && is_small(type, space)) {
    make_values(edit, (size_t)points, before, known, values);
    H5Awrite(attribute, H5T_NATIVE_DOUBLE, values);
  }
  H5Aclose(attribute);
  H5Sclose(old_space);
  H5Tclose(old_type);
  H5Tclose(type);
}

void edit_attribute(const Edit *edit, hid_t file, AttributeEdit what)
{
  const hid_t object = H5Oopen(file, edit->object->name, H5P_DEFAULT);
  const hid_t old = H5Aopen(object, edit->attribute, H5P_DEFAULT), old_space = H5Aget_space(old);
  const hid_t space = what == ATTRIBUTE_TEXT && edit->type % 4 ? H5Screate(H5S_SCALAR) : make_space(edit, old_space);

  if (what == ATTRIBUTE_TEXT) put_text(edit, object, old, space);
  if (what == ATTRIBUTE_NUMBERS) put_numbers(edit, object, old, space);
  H5Aclose(old);
  if (what == ATTRIBUTE_GONE) H5Adelete(object, edit->attribute);
  H5Sclose(space);
  H5Sclose(old_space);
  H5Oclose(object);
}
