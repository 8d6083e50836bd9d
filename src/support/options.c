/** \file options.c  The campaign file and the command line, checked as a whole.  \ingroup support
 *
 * Nothing is ever silently ignored: every name is declared in a table, or PETSc's own (-log_view and the like), or
 * refused.  PETSc reads the YAML, into a database of our own; the command line is read here, since PETSc would drop
 * stray words and act on some names (-options_file) at once.
 */
#include "support/internal.h"

#include <string.h>

/* Options of PETSc itself that a user may give beside ours; they end at '*'. */
static const char *const petsc_options[] = {
    "log_*",
    "malloc*",
    "options_left*",
    "options_view*",
    "options_monitor*",
    "info*",
    "no_signal_handler",
    "on_error_*",
    "memory_*",
    "start_in_debugger",
    "debugger_*",
    "mpi*",
    "get_total_flops",
    "petsc*",
    "checkstack",
    "not_shared_tmp",
    "shared_tmp",
    "tmp",
    "saws*",
    "viewer_*",
    "fp_trap",
    "error_output_*",
    "use_gpu_*",
    "device_*",
    "x_virtual",
};

PetscBool option_is_petsc(const char *name)
{
  for (size_t i = 0; i < sizeof petsc_options / sizeof *petsc_options; i++) {
    const size_t length = strcspn(petsc_options[i], "*");
    const PetscBool prefix = petsc_options[i][length] == '*' ? PETSC_TRUE : PETSC_FALSE;

    if (!strncmp(name, petsc_options[i], length) && (prefix || !name[length])) return PETSC_TRUE;
  }
  return PETSC_FALSE;
}

PetscBool option_is_name(const char *word)
{
  const char *name = word + (word[0] == '-') + (word[0] == '-' && word[1] == '-');

  return name > word && ((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z')) ? PETSC_TRUE : PETSC_FALSE;
}

PetscInt option_find(const Options *options, const char *name)
{
  for (PetscInt i = 0; i < options->count; i++)
    if (!strcmp(options->spec[i]->name, name)) return i;
  return -1;
}

/* Levenshtein's distance, one row at a time. */
static size_t edit_distance(const char *a, const char *b)
{
  enum { LONGEST = 64 };
  size_t row[LONGEST + 1];
  const size_t na = strlen(a), nb = strlen(b);

  if (na > LONGEST || nb > LONGEST) return LONGEST;
  for (size_t j = 0; j <= nb; j++) row[j] = j;
  for (size_t i = 1; i <= na; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= nb; j++) {
      const size_t change = diagonal + (a[i - 1] != b[j - 1]);
      const size_t insertion = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
      diagonal = row[j];
      row[j] = change < insertion ? change : insertion;
    }
  }
  return row[nb];
}

/* Is \p name what follows a section's name?  "bins" is nearer to "survey_bins" than to "seed". */
static PetscBool lacks_section(const char *name, const char *whole)
{
  const size_t short_length = strlen(name), length = strlen(whole);

  return length > short_length && whole[length - short_length - 1] == '_' &&
                 !strcmp(whole + length - short_length, name)
             ? PETSC_TRUE
             : PETSC_FALSE;
}

static const char *nearest_name(const Options *options, const char *name)
{
  PetscInt best = 0;
  size_t least = SIZE_MAX;

  for (PetscInt i = 0; i < options->count; i++) {
    const char *known = options->spec[i]->name;
    const size_t distance = lacks_section(name, known) ? 1 : edit_distance(name, known);

    if (distance < least) least = distance, best = i;
  }
  return options->spec[best]->name;
}

/* Take one name and value from the database, or refuse it. */
static PetscErrorCode take_option(Options *options, const char *name, const char *value, const char *origin)
{
  const PetscInt i = option_find(options, name);
  const char *text = value ? value : "";

  PetscFunctionBeginUser;
  if (i < 0 && option_is_petsc(name)) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCheck(i >= 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "%s: unknown option %s; did you mean %s?", origin, name,
             nearest_name(options, name));
  if (!*text && options->spec[i]->type == VALUE_FLAG) text = "true";
  PetscCheck(*text || options->spec[i]->type == VALUE_TEXT, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%s: option %s has no value", origin, name);
  PetscCall(PetscFree(options->text[i]));
  PetscCall(PetscStrallocpy(text, &options->text[i]));
  options->given[i] = PETSC_TRUE;
  PetscCall(option_check_value(options->spec[i], text, origin));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode take_database(Options *options, PetscOptions database, const char *origin)
{
  PetscInt count = 0;
  char **names = NULL, **values = NULL;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(
      PetscOptionsLeftGet(database, &count, &names, &values)); /* nothing was asked of it yet: this is all of it */
  for (PetscInt i = 0; i < count && !error; i++) error = take_option(options, names[i], values[i], origin);
  PetscCall(PetscOptionsLeftRestore(database, &count, &names, &values));
  PetscFunctionReturn(error);
}

/* Rank 0 reads the file; its text, or the reason why there is none, goes to all. */
static PetscErrorCode read_file(MPI_Comm comm, const char *path, char **text)
{
  PetscMPIInt rank;
  int length = 0;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  *text = NULL;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (rank == 0) error = file_read_text(path, text, &length);
  PetscCall(group_agree(comm, error));
  PetscCallMPI(MPI_Bcast(&length, 1, MPI_INT, 0, comm));
  if (rank != 0) PetscCall(PetscCalloc1((size_t)length + 1, text));
  PetscCallMPI(MPI_Bcast(*text, length, MPI_CHAR, 0, comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode try_yaml(char *text, size_t length, PetscBool *sound)
{
  PetscOptions database = NULL;
  const char kept = text[length];

  PetscFunctionBeginUser;
  text[length] = '\0';
  PetscCall(PetscOptionsCreate(&database));
  *sound = PetscOptionsInsertStringYAML(database, text) ? PETSC_FALSE : PETSC_TRUE;
  PetscCall(PetscOptionsDestroy(&database));
  text[length] = kept;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Go back from a bad beginning of the text, in steps that double, to one that is sound.
 * \param[in,out] good, bad  lines of beginnings that are; there are none in between at the end */
static PetscErrorCode go_back(char *text, const size_t *end, int *good, int *bad)
{
  const int from = *bad;
  PetscBool sound = PETSC_FALSE;

  PetscFunctionBeginUser;
  for (int step = 1, at; !sound; step *= 2) {
    at = PetscMax(from - step, *good);
    if (at == *good) PetscFunctionReturn(PETSC_SUCCESS);
    PetscCall(try_yaml(text, end[at], &sound));
    *(sound ? good : bad) = at;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* PETSc does not say where its YAML parser gave up: in a line with which a sound beginning of the text becomes bad, if
 * there are several, one near the end, since what stands in braces over several lines is bad until they close. */
static PetscErrorCode refuse_yaml(const char *path, char *text)
{
  int lines = 0, good = 0, bad;
  size_t *end = NULL; /* [lines + 1] of each line; before the first, 0 */

  PetscFunctionBeginUser;
  for (const char *c = text; *c; c++) lines += *c == '\n' || !c[1];
  PetscCall(PetscCalloc1((size_t)lines + 1, &end));
  for (int line = 1; line <= lines; line++) {
    end[line] = end[line - 1] + strcspn(text + end[line - 1], "\n");
    end[line] += text[end[line]] == '\n';
  }
  bad = lines;
  PetscErrorCode error = PETSC_SUCCESS;
  while (bad - good > 1 && !error) error = go_back(text, end, &good, &bad);
  PetscCall(PetscFree(end));
  PetscCall(error);
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "%s: line %d, or what it begins, is no \"name: value\" of YAML", path,
          bad);
}

static PetscErrorCode take_file(MPI_Comm comm, Options *options, const char *path)
{
  char *text = NULL;
  PetscOptions database = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(read_file(comm, path, &text));
  PetscCall(PetscOptionsCreate(&database));
  error = PetscOptionsInsertStringYAML(database, text);
  if (error)
    error = refuse_yaml(path, text);
  else
    error = options_refuse_repeated(options, path, text);
  if (!error) error = take_database(options, database, path);
  PetscCall(PetscOptionsDestroy(&database));
  PetscCall(PetscFree(text));
  PetscFunctionReturn(error);
}

/* "-name value" or, for a flag, "-name"; words that are neither are refused. */
static PetscErrorCode take_arguments(Options *options, int argc, char *const *argv)
{
  PetscFunctionBeginUser;
  for (int i = 0; i < argc; i++) {
    const char *name = argv[i] + (argv[i][0] == '-' && argv[i][1] == '-' ? 2 : 1);

    PetscCheck(option_is_name(argv[i]), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
               "command line: \"%s\" belongs to no option; options are written -name value", argv[i]);
    const PetscBool has_value = i + 1 < argc && !option_is_name(argv[i + 1]) ? PETSC_TRUE : PETSC_FALSE;
    const PetscInt known = option_find(options, name);

    /* "-campaign -dry_run" must not run in the default directory; an empty text is written "" */
    PetscCheck(has_value || known < 0 || options->spec[known]->type != VALUE_TEXT, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
               "command line: option %s has no value", name);
    PetscCall(take_option(options, name, has_value ? argv[i + 1] : NULL, "command line"));
    i += has_value ? 1 : 0;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode fill_defaults(Options *options)
{
  PetscFunctionBeginUser;
  for (PetscInt i = 0; i < options->count; i++) {
    if (options->text[i]) continue;
    PetscCheck(options->spec[i]->fallback, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "option %s must be given: %s",
               options->spec[i]->name, options->spec[i]->sentence);
    PetscCall(PetscStrallocpy(options->spec[i]->fallback, &options->text[i]));
    PetscCall(option_check_value(options->spec[i], options->text[i], "default"));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode flatten_tables(Options *options, const OptionTable *const *tables, size_t table_count)
{
  size_t count = 0;

  PetscFunctionBeginUser;
  for (size_t t = 0; t < table_count; t++) count += tables[t]->count;
  PetscCall(PetscMalloc1(table_count, &options->tables));
  for (size_t t = 0; t < table_count; t++) options->tables[options->table_count++] = tables[t];
  PetscCall(PetscCalloc3(count, &options->spec, count, &options->text, count, &options->given));
  for (size_t t = 0; t < table_count; t++)
    for (size_t s = 0; s < tables[t]->count; s++) options->spec[options->count++] = &tables[t]->specs[s];
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The command line is gone through twice: it names the file, and it wins over what the file says. */
static PetscErrorCode read_everything(MPI_Comm comm, int argc, char *const *argv, Options *options)
{
  PetscInt config;

  PetscFunctionBeginUser;
  PetscCall(group_agree(comm, take_arguments(options, argc, argv)));
  config = option_find(options, "config");
  if (config >= 0 && options->text[config] && *options->text[config]) {
    char *path = NULL;
    PetscErrorCode error;

    PetscCall(PetscStrallocpy(options->text[config], &path));
    error = take_file(comm, options, path);
    if (!error) error = take_arguments(options, argc, argv);
    PetscCall(PetscFree(path));
    PetscCall(error);
  }
  PetscCall(fill_defaults(options));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode options_create(MPI_Comm comm, int argc, char *const *argv, const OptionTable *const *tables,
                              size_t table_count, Options **options)
{
  Options *o = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&o));
  *options = o;
  PetscCall(flatten_tables(o, tables, table_count));
  PetscCall(group_agree(comm, read_everything(comm, argc, argv, o)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscBool options_given(const Options *options, const char *name)
{
  const PetscInt i = option_find(options, name);

  return i >= 0 ? options->given[i] : PETSC_FALSE;
}

const char *options_text(const Options *options, const char *name)
{
  const PetscInt i = option_find(options, name);

  return i >= 0 ? options->text[i] : NULL;
}

PetscErrorCode options_fill(const Options *options, const OptionTable *table, void *config)
{
  PetscFunctionBeginUser;
  for (size_t s = 0; s < table->count; s++) {
    const PetscInt i = option_find(options, table->specs[s].name);

    PetscCheck(i >= 0, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "section %s was not read", table->section);
    PetscCall(option_store_value(options->spec[i], options->text[i], config));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode options_destroy(Options **options)
{
  PetscFunctionBeginUser;
  if (!*options) PetscFunctionReturn(PETSC_SUCCESS);
  for (PetscInt i = 0; i < (*options)->count; i++) PetscCall(PetscFree((*options)->text[i]));
  PetscCall(PetscFree3((*options)->spec, (*options)->text, (*options)->given));
  PetscCall(PetscFree((*options)->tables));
  PetscCall(PetscFree(*options));
  PetscFunctionReturn(PETSC_SUCCESS);
}
