/** \file fuzz.h  What a target of fuzzing consists of: tests/fuzz/target_<reader>.c defines the two functions below,
 * and fuzz.c calls them, judges what they return, and looks at what they leave behind. */
#ifndef NEPHRITE_FUZZ_H
#define NEPHRITE_FUZZ_H

#include "program.h"

/** What a reader is given beside its file. */
typedef struct {
  char seeds[PETSC_MAX_PATH_LEN]; /**< folder that tests/fuzz/seeds.py has filled */
  char scratch[PETSC_MAX_PATH_LEN]; /**< folder of this process, for the files it reads */
  Options *options; /**< of the campaign in `seeds` */
  Configuration configuration;
  Prior *prior;
} Fuzz;

/** Once, before anything is read. */
PetscErrorCode fuzz_prepare(const Fuzz *fuzz);
/** Make a file of an input, and read it by whatever reads such files.  What readers own is given back. */
void fuzz_read(const Fuzz *fuzz, const uint8_t *bytes, size_t size);

/** To be told what every reader has returned: success, or that configuration or input are to blame, in words.  All else
 * is a finding. */
void fuzz_judge(PetscErrorCode error);
/** Tell what was found and abort, as a sanitizer does.  Does not return. */
void fuzz_finding(const char *format, ...);
/** \param[out] path <folder>/<name>, which must fit */
void fuzz_path(char path[PETSC_MAX_PATH_LEN], const char *folder, const char *name);
/** Put bytes into a file, in place of what it had. */
PetscErrorCode fuzz_put(const char *path, const uint8_t *bytes, size_t size);
/** All of a file.  \param[out] bytes  free with PetscFree() */
PetscErrorCode fuzz_get(const char *path, uint8_t **bytes, size_t *size);

#endif
