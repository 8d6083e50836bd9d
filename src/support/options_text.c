/** \file options_text.c  The configuration as text: YAML that runs as is, comparison with a product's, help.  \ingroup
 * support */
#include "support/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

PetscErrorCode file_read_text(const char *path, char **text, int *length)
{
  FILE *file = fopen(path, "r");
  struct stat status;
  size_t got = 0;
  const int reason = errno;

  PetscFunctionBeginUser;
  PetscCheck(file, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: cannot be opened: %s", path, strerror(reason));
  if (!fstat(fileno(file), &status) && S_ISREG(status.st_mode) && status.st_size < 1 << 24) {
    PetscCall(PetscCalloc1((size_t)status.st_size + 1, text));
    got = fread(*text, 1, (size_t)status.st_size, file);
  }
  fclose(file);
  PetscCheck(*text && got == (size_t)status.st_size, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: cannot be read as a text file", path);
  if (strlen(*text) < got) {
    const size_t zero = strlen(*text);

    PetscCall(PetscFree(*text));
    SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: byte %zu is 0; it must be text in UTF-8", path, zero);
  }
  *length = (int)got;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- a growing text ---- */

typedef struct {
  char *text;
  size_t used, size;
} Text;

static PetscErrorCode text_append(Text *text, const char *piece)
{
  const size_t length = strlen(piece);

  PetscFunctionBeginUser;
  if (text->used + length + 1 > text->size) {
    char *larger = NULL;

    text->size = 2 * (text->used + length + 1);
    PetscCall(PetscCalloc1(text->size, &larger));
    if (text->text) memcpy(larger, text->text, text->used);
    PetscCall(PetscFree(text->text));
    text->text = larger;
  }
  memcpy(text->text + text->used, piece, length + 1);
  text->used += length;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Text that YAML might read as something else stands in quotes; a quote inside is doubled. */
static PetscErrorCode append_value(Text *yaml, const OptionSpec *spec, const char *value)
{
  PetscFunctionBeginUser;
  if (spec->type != VALUE_TEXT) PetscFunctionReturn(text_append(yaml, value));
  PetscCall(text_append(yaml, "'"));
  for (const char *c = value; *c; c++) {
    const char piece[3] = {*c, *c == '\'' ? '\'' : '\0', '\0'};
    PetscCall(text_append(yaml, piece));
  }
  PetscCall(text_append(yaml, "'"));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode append_line(Text *yaml, const char *indent, const char *key, const OptionSpec *spec,
                                  const char *value)
{
  PetscFunctionBeginUser;
  PetscCall(text_append(yaml, indent));
  PetscCall(text_append(yaml, key));
  PetscCall(text_append(yaml, ": "));
  PetscCall(append_value(yaml, spec, value));
  PetscCall(text_append(yaml, "\n"));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The part of an option's name after "section_", or NULL if it does not belong there. */
static const char *key_in_section(const char *name, const char *section)
{
  const size_t length = strlen(section);

  return length && !strncmp(name, section, length) && name[length] == '_' ? name + length + 1 : NULL;
}

/* Options of a table inside its section, or those that stand at the top. */
static PetscErrorCode append_table(Text *yaml, const Options *options, const OptionTable *table, unsigned scope,
                                   PetscBool nested)
{
  PetscBool begun = PETSC_FALSE;

  PetscFunctionBeginUser;
  for (size_t s = 0; s < table->count; s++) {
    const OptionSpec *spec = &table->specs[s];
    const char *key = key_in_section(spec->name, table->section);

    if ((key != NULL) != (nested == PETSC_TRUE) || (scope != ~0u && !(spec->scope & scope))) continue;
    if (nested && !begun) {
      PetscCall(text_append(yaml, table->section));
      PetscCall(text_append(yaml, ":\n"));
      begun = PETSC_TRUE;
    }
    PetscCall(append_line(yaml, nested ? "  " : "", key ? key : spec->name, spec,
                          options->text[option_find(options, spec->name)]));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode options_yaml(const Options *options, unsigned scope, char **yaml)
{
  Text text = {0};

  PetscFunctionBeginUser;
  for (size_t t = 0; t < options->table_count; t++)
    PetscCall(append_table(&text, options, options->tables[t], scope, PETSC_FALSE));
  for (size_t t = 0; t < options->table_count; t++)
    PetscCall(append_table(&text, options, options->tables[t], scope, PETSC_TRUE));
  if (!text.text) PetscCall(text_append(&text, ""));
  *yaml = text.text;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- comparison with a product ---- */

static PetscErrorCode collect_difference(const Options *options, unsigned scope, const char *name, const char *stored,
                                         Text *differences)
{
  const PetscInt i = option_find(options, name);
  char line[512];

  PetscFunctionBeginUser;
  if (i < 0 || !(options->spec[i]->scope & scope) || option_same_value(options->spec[i], stored, options->text[i]))
    PetscFunctionReturn(PETSC_SUCCESS);
  snprintf(line, sizeof line, "%s%s (%s there, %s here)", differences->used ? ", " : "", name, stored,
           options->text[i]);
  PetscCall(text_append(differences, line));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode options_require_same(const Options *options, unsigned scope, const char *yaml, const char *path)
{
  PetscOptions database = NULL;
  PetscInt count = 0;
  char **names = NULL, **values = NULL;
  Text differences = {0};
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscOptionsCreate(&database));
  error = PetscOptionsInsertStringYAML(database, yaml);
  if (error)
    error_clear();
  else {
    PetscCall(PetscOptionsLeftGet(database, &count, &names, &values));
    for (PetscInt i = 0; i < count; i++)
      PetscCall(collect_difference(options, scope, names[i], values[i] ? values[i] : "", &differences));
    PetscCall(PetscOptionsLeftRestore(database, &count, &names, &values));
  }
  PetscCall(PetscOptionsDestroy(&database));
  PetscCheck(!error, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: its stored configuration is damaged", path);
  if (differences.text) {
    error = PetscError(PETSC_COMM_SELF, __LINE__, PETSC_FUNCTION_NAME, __FILE__, NEPHRITE_ERR_INPUT,
                       PETSC_ERROR_INITIAL, "%s was made with another configuration: %s", path, differences.text);
    PetscCall(PetscFree(differences.text));
  }
  PetscFunctionReturn(error);
}

/* ---- help ---- */

static void print_range(const OptionSpec *spec, FILE *out)
{
  switch (spec->type) {
  case VALUE_INT:
  case VALUE_INT64:
  case VALUE_INT_PAIR:
  case VALUE_REAL:
  case VALUE_REAL_PAIR:
    fprintf(out, "%s%.15g to %.15g%s%s",
            spec->type == VALUE_INT_PAIR || spec->type == VALUE_REAL_PAIR ? "one or two of " : "", spec->low,
            spec->high, *spec->unit ? " " : "", spec->unit);
    break;
  case VALUE_TEXT:
    fprintf(out, "text");
    break;
  case VALUE_CHOICE:
    fprintf(out, "%s", spec->choices);
    break;
  case VALUE_FLAG:
    fprintf(out, "true|false");
    break;
  }
}

PetscErrorCode options_print_help(const OptionTable *const *tables, size_t table_count, FILE *out)
{
  PetscFunctionBeginUser;
  for (size_t t = 0; t < table_count; t++) {
    fprintf(out, "\n%s\n", tables[t]->section);
    for (size_t s = 0; s < tables[t]->count; s++) {
      const OptionSpec *spec = &tables[t]->specs[s];

      fprintf(out, "  -%s <", spec->name);
      print_range(spec, out);
      if (!spec->fallback)
        fprintf(out, ">  must be given\n");
      else
        fprintf(out, ">  default %s\n", *spec->fallback ? spec->fallback : "none");
      fprintf(out, "      %s\n", spec->sentence);
    }
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
