/** \file edit.h  What the parts of tree.h share: an edit, and what it does to a file.
 *
 * An edit that cannot be (an attribute that is not there, a chunk of 5 GB) is passed over: failures of HDF5 are not
 * looked at. */
#ifndef NEPHRITE_FUZZ_EDIT_H
#define NEPHRITE_FUZZ_EDIT_H

#include "tree.h"

enum { NAME_SIZE = 128, MOST_AXES = 32 };
enum { MOST_BYTES = 1 << 16 }; /* of a dataset that is written or sealed; larger ones keep their fill value */

typedef struct {
  int file;
  char name[NAME_SIZE]; /* "/" for the root */
} Object;

/* A record of an input. */
typedef struct {
  uint8_t what, type, shape, axis, value, place, layout;
  const Object *object, *other;
  int index; /* of the object */
  const char *attribute;
} Edit;

/* ---- edit_make.c: types, shapes, values ---- */

extern const double special_values[];
enum { SPECIAL_VALUES = 16 };
/** Text of fixed length, or H5T_VARIABLE.  Close it. */
hid_t text_type(size_t size);
/** The type that the edit asks for, or \p old.  Close it. */
hid_t make_type(uint8_t code, hid_t old);
/** \p old, changed as the edit asks for.  Close it. */
hid_t make_space(const Edit *edit, hid_t old);
/** How a dataset is stored: contiguous, chunked with filters or without, in the header, elsewhere.  Close it. */
hid_t make_layout(const Edit *edit, hid_t space, PetscBool small);
/** What was there, over and over, or a special value. */
void make_values(const Edit *edit, size_t count, const double *old, size_t old_count, double *values);
/** HDF5 holds an attribute as a whole in memory, and so does a sealed dataset. */
PetscBool is_small(hid_t type, hid_t space);
/** HDF5 does not come to an end with a dataset that joins itself. */
PetscBool is_virtual(hid_t dataset);

/* ---- edit_dataset.c, edit_attribute.c ---- */

/** Another type, shape, layout or content, under \p name; also where there was no dataset. */
PetscErrorCode edit_dataset(const Edit *edit, hid_t file, const char *name);
/** One number of many. */
void edit_value(const Edit *edit, hid_t file);
/** Rows of another dataset, or of itself, joined. */
void edit_join(const Edit *edit, hid_t file);
/** Another link in its place, or none.  \param path  of a sound file */
void edit_link(const Edit *edit, hid_t file, const char *path);
typedef enum { ATTRIBUTE_GONE, ATTRIBUTE_TEXT, ATTRIBUTE_NUMBERS } AttributeEdit;
void edit_attribute(const Edit *edit, hid_t file, AttributeEdit what);

#endif
