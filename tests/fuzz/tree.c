/** \file tree.c  Edits of HDF5 files, from bytes. */
#include "edit.h"

#include "support/internal.h"

enum { MOST_OBJECTS = 4096, MOST_ATTRIBUTES = 256 };

typedef struct {
  char from[PETSC_MAX_PATH_LEN], to[PETSC_MAX_PATH_LEN];
  uint8_t *bytes; /* [size] as it was */
  size_t size;
  PetscBool sound; /* is that what stands in `to`? */
} File;

struct Tree {
  int files, objects, attributes;
  File *file; /* [files] */
  Object object[MOST_OBJECTS];
  char attribute[MOST_ATTRIBUTES][NAME_SIZE]; /* every name that an attribute has anywhere */
  PetscBool edited[MOST_OBJECTS];
  int visited; /* the file that tree_create() is in */
};

/* ---- what there is to edit ---- */

static herr_t note_attribute(hid_t object, const char *name, const H5A_info_t *info, void *context)
{
  Tree *tree = context;

  (void)object, (void)info;
  for (int i = 0; i < tree->attributes; i++)
    if (!strcmp(tree->attribute[i], name)) return 0;
  if (tree->attributes < MOST_ATTRIBUTES) snprintf(tree->attribute[tree->attributes++], NAME_SIZE, "%s", name);
  return 0;
}

static herr_t note_object(hid_t root, const char *name, const H5O_info_t *info, void *context)
{
  Tree *tree = context;
  const hid_t object = H5Oopen(root, name, H5P_DEFAULT);

  (void)info;
  if (tree->objects < MOST_OBJECTS) {
    Object *o = &tree->object[tree->objects++];

    o->file = tree->visited;
    snprintf(o->name, NAME_SIZE, "%s", strcmp(name, ".") ? name : "/");
  }
  H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, NULL, note_attribute, tree);
  H5Oclose(object);
  return 0;
}

PetscErrorCode tree_create(int count, char (*from)[PETSC_MAX_PATH_LEN], char (*to)[PETSC_MAX_PATH_LEN], Tree **tree)
{
  Tree *t = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&t));
  *tree = t;
  t->files = count;
  PetscCall(PetscCalloc1((size_t)count, &t->file));
  for (t->visited = 0; t->visited < count; t->visited++) {
    File *f = &t->file[t->visited];

    PetscCall(PetscStrncpy(f->from, from[t->visited], sizeof f->from));
    PetscCall(PetscStrncpy(f->to, to[t->visited], sizeof f->to));
    PetscCall(fuzz_get(f->from, &f->bytes, &f->size));
    const hid_t file = H5Fopen(f->from, H5F_ACC_RDONLY, H5P_DEFAULT);
    NEPHRITE_HDF5_READ(file, f->from);
    NEPHRITE_HDF5_READ(H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, note_object, t, H5O_INFO_BASIC), f->from);
    H5Fclose(file);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode tree_of_seed(const Fuzz *fuzz, const char *name, char to[PETSC_MAX_PATH_LEN], Tree **tree)
{
  char paths[2][PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  fuzz_path(paths[0], fuzz->seeds, name);
  fuzz_path(paths[1], fuzz->scratch, name);
  PetscCall(PetscStrncpy(to, paths[1], PETSC_MAX_PATH_LEN));
  PetscCall(tree_create(1, &paths[0], &paths[1], tree));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- all of it ---- */

/* An object goes by a number that is its name's, so that inputs keep their meaning when files get more datasets:
 * FNV-1a. */
static uint16_t number_of(int file, const char *name)
{
  uint32_t hash = 2166136261u + (uint32_t)file;

  for (; *name; name++) hash = (hash ^ (uint8_t)*name) * 16777619u;
  return (uint16_t)(hash ^ hash >> 16);
}

/* The object whose number is this one, or the next. */
static int find_object(const Tree *tree, int number)
{
  int best = 0;
  uint16_t least = UINT16_MAX;

  for (int i = 0; i < tree->objects; i++) {
    const uint16_t distance = (uint16_t)(number_of(tree->object[i].file, tree->object[i].name) - number);

    if (distance < least) least = distance, best = i;
  }
  return best;
}

static const char *find_attribute(const Tree *tree, int number)
{
  const char *best = "none";
  uint8_t least = UINT8_MAX;

  for (int i = 0; i < tree->attributes; i++) {
    const uint8_t distance = (uint8_t)(number_of(0, tree->attribute[i]) - number);

    if (distance < least) least = distance, best = tree->attribute[i];
  }
  return best;
}

static void decode(const Tree *tree, const uint8_t *record, Edit *edit)
{
  const int index = find_object(tree, record[1] + 256 * record[2]);

  *edit = (Edit){.what = record[0],
                 .index = index,
                 .object = &tree->object[index],
                 .other = &tree->object[find_object(tree, record[3] + 256 * record[9])],
                 .attribute = find_attribute(tree, record[3]),
                 .type = record[4],
                 .shape = record[5],
                 .axis = record[6],
                 .value = record[7],
                 .place = record[8],
                 .layout = record[9]};
}

static PetscErrorCode apply(Edit *edit, hid_t file, const File *named)
{
  static const char long_name[] =
      "a name that is longer than any name of nephrite, a name that is longer than any name "
      "of nephrite, and so on, and so on, and so on, and so on, and so on";
  static const char *const new_names[] = {"extra", "a/b/c/d/e/f/g/h", "digest/extra", "mask", "truth/kappa", long_name};

  PetscFunctionBeginUser;
  switch (edit->what % 12) {
  case 0:
  case 1:
  case 2:
    PetscCall(edit_dataset(edit, file, edit->object->name));
    break;
  case 3:
  case 4:
    edit_value(edit, file);
    break;
  case 5:
  case 6:
    edit_attribute(edit, file, ATTRIBUTE_TEXT);
    break;
  case 7:
  case 8:
    edit_attribute(edit, file, ATTRIBUTE_NUMBERS);
    break;
  case 9:
    edit_attribute(edit, file, ATTRIBUTE_GONE);
    break;
  case 10:
    edit_link(edit, file, named->from);
    break;
  default:
    if (edit->type % 2)
      edit_join(edit, file);
    else
      PetscCall(edit_dataset(edit, file, new_names[edit->place % 6]));
    break;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode restore(File *file)
{
  PetscFunctionBeginUser;
  if (!file->sound) PetscCall(fuzz_put(file->to, file->bytes, file->size));
  file->sound = PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The edits of one of the files. */
static PetscErrorCode edit_file(Tree *tree, int number, const uint8_t *records, size_t count, int flags)
{
  File *named = &tree->file[number];
  hid_t file = -1;
  Edit edit = {0};

  PetscFunctionBeginUser;
  for (size_t i = 0; i < count; i++) {
    decode(tree, records + i * TREE_RECORD, &edit);
    if (edit.object->file != number) continue;
    if (file < 0) file = H5Fopen(named->to, H5F_ACC_RDWR, H5P_DEFAULT);
    NEPHRITE_HDF5_READ(file, named->to);
    named->sound = PETSC_FALSE;
    tree->edited[edit.index] = PETSC_TRUE;
    PetscCall(apply(&edit, file, named));
  }
  for (int i = 0; i < tree->objects && file >= 0; i++) {
    if (tree->object[i].file != number || !tree->edited[i]) continue;
    tree->edited[i] = PETSC_FALSE;
    if (flags & TREE_SEAL && strncmp(tree->object[i].name, PRODUCT_DIGEST_GROUP, strlen(PRODUCT_DIGEST_GROUP)))
      tree_seal_dataset(file, tree->object[i].name);
  }
  if (file >= 0) H5Fclose(file);
  PetscFunctionReturn(PETSC_SUCCESS);
}

void tree_spoil(Tree *tree, int file)
{
  tree->file[file].sound = PETSC_FALSE;
}

static PetscErrorCode edit_files(Tree *tree, const uint8_t *bytes, size_t size)
{
  const size_t records = size ? PetscMin((size - 1) / TREE_RECORD, TREE_MOST_RECORDS) : 0;

  PetscFunctionBeginUser;
  for (int i = 0; i < tree->files; i++) PetscCall(restore(&tree->file[i]));
  for (int i = 0; i < tree->files; i++) PetscCall(edit_file(tree, i, bytes + 1, records, size ? bytes[0] : 0));
  H5Eclear2(H5E_DEFAULT);
  PetscFunctionReturn(PETSC_SUCCESS);
}

void tree_edit(Tree *tree, const uint8_t *bytes, size_t size)
{
  if (edit_files(tree, bytes, size)) fuzz_finding("%s", error_message());
}
