/** \file options_repeated.c  What a campaign file says twice.  \ingroup support
 *
 * A walk over the keys of YAML as campaign files have it: mappings nested by indentation or in braces.  Keys in quotes,
 * anchors and the like are passed over: at worst a repetition goes unnoticed.
 */
#include "support/internal.h"

#include <string.h>

enum { DEEPEST = 8, NAME_SIZE = 128, IN_BRACES = 100000 };

typedef struct {
  char name[NAME_SIZE]; /* with those above it, joined and ended by '_' */
  int place; /* column, or IN_BRACES times the number of open braces: what is further in is larger */
} Level;

typedef struct {
  const char *at, *line_start;
  int line, braces;
  PetscBool key_may_begin;
  PetscInt depth;
  Level level[DEEPEST];
} KeyWalk;

static const char *end_of_quotes(KeyWalk *w)
{
  const char quote = *w->at;
  const char *c = w->at + 1;

  for (; *c && *c != quote; c++) {
    if (quote == '"' && *c == '\\' && c[1]) c++;
    if (*c == '\n') w->line++;
  }
  return *c ? c + 1 : c;
}

/* One step over what is no key. */
static void skip(KeyWalk *w)
{
  const char c = *w->at;

  if (c == '\'' || c == '"') {
    w->at = end_of_quotes(w);
    w->key_may_begin = PETSC_FALSE;
    return;
  }
  if (c == '#' && (w->at == w->line_start || strchr(" \t,{", w->at[-1]))) {
    w->at += strcspn(w->at, "\n");
    return;
  }
  w->at++;
  if (c == '\n') {
    w->line++;
    w->line_start = w->at;
  }
  if (c == '{' || c == '[') w->braces++;
  if ((c == '}' || c == ']') && w->braces) w->braces--;
  if (c == '\n' || c == '{' || (c == ',' && w->braces))
    w->key_may_begin = PETSC_TRUE;
  else if (c != ' ')
    w->key_may_begin = PETSC_FALSE;
}

/* Length of the key that stands here, or 0. */
static size_t key_length(const KeyWalk *w)
{
  const size_t length =
      w->key_may_begin ? strspn(w->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") : 0;

  return length && w->at[length] == ':' && strchr(" \n\r\t", w->at[length + 1]) ? length : 0;
}

/* \param[out] name the option that the key and those above it make */
static void take_key(KeyWalk *w, size_t length, char name[NAME_SIZE])
{
  const int place = w->braces ? IN_BRACES * w->braces : (int)(w->at - w->line_start);

  while (w->depth && w->level[w->depth - 1].place >= place) w->depth--;
  snprintf(name, NAME_SIZE, "%s%.*s", w->depth ? w->level[w->depth - 1].name : "", (int)length, w->at);
  if (w->depth < DEEPEST) {
    Level *level = &w->level[w->depth++];

    level->place = place;
    snprintf(level->name, NAME_SIZE, "%.*s_", NAME_SIZE - 2, name);
  }
  w->at += length;
  w->key_may_begin = PETSC_FALSE;
}

static PetscErrorCode note(const Options *options, const KeyWalk *w, const char *path, const char *name, int *line)
{
  const PetscInt i = option_find(options, name);

  PetscFunctionBeginUser;
  if (i < 0) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCheck(!line[i], PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "%s: option %s is given twice, in lines %d and %d", path,
             name, line[i], w->line);
  line[i] = w->line;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode walk(const Options *options, const char *path, const char *text, int *line)
{
  KeyWalk w = {.at = text, .line_start = text, .line = 1, .key_may_begin = PETSC_TRUE};
  PetscBool begun = PETSC_FALSE;
  char name[NAME_SIZE];

  PetscFunctionBeginUser;
  while (*w.at) {
    const size_t length = key_length(&w);

    PetscCheck(!begun || w.at != w.line_start || strncmp(w.at, "---", 3), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
               "%s: line %d begins a second document; a campaign file is one", path, w.line);
    if (!length) {
      skip(&w);
      continue;
    }
    begun = PETSC_TRUE;
    take_key(&w, length, name);
    PetscCall(note(options, &w, path, name, line));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode options_refuse_repeated(const Options *options, const char *path, const char *text)
{
  int *line = NULL; /* [count] where each option was given; 0: not yet */

  PetscFunctionBeginUser;
  PetscCall(PetscCalloc1(options->count, &line));
  const PetscErrorCode error = walk(options, path, text, line);
  PetscCall(PetscFree(line));
  PetscFunctionReturn(error);
}
