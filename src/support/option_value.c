/** \file option_value.c  From the text of an option to its value, refusing what does not fit.  \ingroup support */
#include "support/internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static PetscErrorCode refuse(const OptionSpec *spec, const char *text, const char *origin, const char *expected)
{
  PetscFunctionBeginUser;
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "%s: option %s is \"%s\"; %s", origin, spec->name, text, expected);
}

/* The range of a number in words: "it must be a whole number from 1 to 64 bins". */
static void range_in_words(const OptionSpec *spec, const char *kind, char *words, size_t size)
{
  snprintf(words, size, "it must be %s from %.15g to %.15g%s%s", kind, spec->low, spec->high, *spec->unit ? " " : "",
           spec->unit);
}

static PetscBool parse_real(const char *text, const char **end, double *value)
{
  char *stop = NULL;

  errno = 0;
  *value = strtod(text, &stop);
  *end = stop;
  return stop != text && !errno && isfinite(*value) ? PETSC_TRUE : PETSC_FALSE;
}

/* Whole numbers may be written 100000 or 1e5. */
static PetscBool parse_int(const char *text, const char **end, int64_t *value)
{
  char *stop = NULL;
  double real;

  errno = 0;
  const long long whole = strtoll(text, &stop, 10);
  if (stop != text && !errno && (!*stop || !strchr(".eE", *stop))) {
    *end = stop;
    *value = (int64_t)whole;
    return PETSC_TRUE;
  }
  if (!parse_real(text, end, &real) || real != floor(real) || fabs(real) > 9e15) return PETSC_FALSE;
  *value = (int64_t)real;
  return PETSC_TRUE;
}

static int choice_index(const char *choices, const char *text)
{
  const size_t length = strlen(text);
  int index = 0;

  for (const char *c = choices; length; c++, index++) {
    const size_t size = strcspn(c, "|");

    if (size == length && !strncmp(c, text, size)) return index;
    c += size;
    if (!*c) break;
  }
  return -1;
}

/* 1 for true, 0 for false, -1 for neither: the words of YAML. */
static int flag_value(const char *text)
{
  static const char *const words[2][5] = {{"false", "no", "off", "0", "False"}, {"true", "yes", "on", "1", "True"}};

  for (int value = 0; value < 2; value++)
    for (int i = 0; i < 5; i++)
      if (!strcmp(text, words[value][i])) return value;
  return -1;
}

/* "64" or "64,32". */
static PetscBool parse_pair(const char *text, int64_t pair[2])
{
  const char *end = NULL;

  if (!parse_int(text, &end, &pair[0])) return PETSC_FALSE;
  pair[1] = pair[0];
  if (*end == '\0') return PETSC_TRUE;
  return *end == ',' && parse_int(end + 1, &end, &pair[1]) && *end == '\0' ? PETSC_TRUE : PETSC_FALSE;
}

/* "0.5" or "0.5,2". */
static PetscBool parse_real_pair(const char *text, double pair[2])
{
  const char *end = NULL;

  if (!parse_real(text, &end, &pair[0])) return PETSC_FALSE;
  pair[1] = pair[0];
  if (*end == '\0') return PETSC_TRUE;
  return *end == ',' && parse_real(end + 1, &end, &pair[1]) && *end == '\0' ? PETSC_TRUE : PETSC_FALSE;
}

static PetscErrorCode check_whole(const OptionSpec *spec, const char *text, const char *origin)
{
  int64_t value[2];
  const char *end = NULL;
  char words[256];
  PetscBool sound;

  PetscFunctionBeginUser;
  range_in_words(spec, spec->type == VALUE_INT_PAIR ? "a whole number, or two with a comma," : "a whole number", words,
                 sizeof words);
  if (spec->type == VALUE_INT_PAIR)
    sound = parse_pair(text, value);
  else {
    sound = parse_int(text, &end, &value[0]) && !*end ? PETSC_TRUE : PETSC_FALSE;
    value[1] = value[0];
  }
  for (int i = 0; i < 2 && sound; i++)
    if ((double)value[i] < spec->low || (double)value[i] > spec->high ||
        (spec->type != VALUE_INT64 && (value[i] < PETSC_MIN_INT || value[i] > PETSC_MAX_INT)))
      sound = PETSC_FALSE;
  if (!sound) PetscCall(refuse(spec, text, origin, words));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_real(const OptionSpec *spec, const char *text, const char *origin)
{
  const PetscBool two = spec->type == VALUE_REAL_PAIR ? PETSC_TRUE : PETSC_FALSE;
  const char *end = NULL;
  double value[2];
  char words[256];
  PetscBool sound;

  PetscFunctionBeginUser;
  range_in_words(spec, two ? "a number, or two with a comma," : "a number", words, sizeof words);
  if (two)
    sound = parse_real_pair(text, value);
  else {
    sound = parse_real(text, &end, &value[0]) && !*end ? PETSC_TRUE : PETSC_FALSE;
    value[1] = value[0];
  }
  for (int i = 0; i < 2 && sound; i++)
    if (value[i] < spec->low || value[i] > spec->high) sound = PETSC_FALSE;
  if (!sound) PetscCall(refuse(spec, text, origin, words));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode option_check_value(const OptionSpec *spec, const char *text, const char *origin)
{
  char words[256];

  PetscFunctionBeginUser;
  switch (spec->type) {
  case VALUE_INT:
  case VALUE_INT64:
  case VALUE_INT_PAIR:
    PetscCall(check_whole(spec, text, origin));
    break;
  case VALUE_REAL:
  case VALUE_REAL_PAIR:
    PetscCall(check_real(spec, text, origin));
    break;
  case VALUE_TEXT:
    if (strlen(text) >= OPTION_TEXT_SIZE) PetscCall(refuse(spec, text, origin, "it is too long"));
    for (const char *c = text; *c; c++) /* a line break would not survive the effective configuration */
      if ((unsigned char)*c < ' ') PetscCall(refuse(spec, text, origin, "it must be one line without tabs"));
    break;
  case VALUE_CHOICE:
    snprintf(words, sizeof words, "it must be one of %s", spec->choices);
    if (choice_index(spec->choices, text) < 0) PetscCall(refuse(spec, text, origin, words));
    break;
  case VALUE_FLAG:
    if (flag_value(text) < 0) PetscCall(refuse(spec, text, origin, "it must be true or false"));
    break;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscBool option_same_value(const OptionSpec *spec, const char *a, const char *b)
{
  int64_t whole[2][2];
  double real[2][2];

  switch (spec->type) {
  case VALUE_INT:
  case VALUE_INT64:
  case VALUE_INT_PAIR:
    return parse_pair(a, whole[0]) && parse_pair(b, whole[1]) && !memcmp(whole[0], whole[1], sizeof whole[0])
               ? PETSC_TRUE
               : PETSC_FALSE;
  case VALUE_REAL:
  case VALUE_REAL_PAIR:
    return parse_real_pair(a, real[0]) && parse_real_pair(b, real[1]) && real[0][0] == real[1][0] &&
                   real[0][1] == real[1][1]
               ? PETSC_TRUE
               : PETSC_FALSE;
  case VALUE_FLAG:
    return flag_value(a) >= 0 && flag_value(a) == flag_value(b) ? PETSC_TRUE : PETSC_FALSE;
  default:
    return strcmp(a, b) ? PETSC_FALSE : PETSC_TRUE;
  }
}

PetscErrorCode option_store_value(const OptionSpec *spec, const char *text, void *config)
{
  char *member = (char *)config + spec->offset;
  const char *end = NULL;
  int64_t whole[2] = {0, 0};

  PetscFunctionBeginUser;
  switch (spec->type) {
  case VALUE_INT:
    parse_int(text, &end, whole);
    *(PetscInt *)(void *)member = (PetscInt)whole[0];
    break;
  case VALUE_INT64:
    parse_int(text, &end, (int64_t *)(void *)member);
    break;
  case VALUE_INT_PAIR:
    parse_pair(text, whole);
    for (int i = 0; i < 2; i++) ((PetscInt *)(void *)member)[i] = (PetscInt)whole[i];
    break;
  case VALUE_REAL:
    parse_real(text, &end, (double *)(void *)member);
    break;
  case VALUE_REAL_PAIR:
    parse_real_pair(text, (double *)(void *)member);
    break;
  case VALUE_TEXT:
    PetscCall(PetscStrncpy(member, text, OPTION_TEXT_SIZE));
    break;
  case VALUE_CHOICE:
    *(int *)(void *)member = choice_index(spec->choices, text);
    break;
  case VALUE_FLAG:
    *(PetscBool *)(void *)member = flag_value(text) ? PETSC_TRUE : PETSC_FALSE;
    break;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
