/** \file replay.c  A target without libFuzzer: reads every file, and every file of every folder, that it is given.
 *
 * usage: <target> FILE|FOLDER…   The last line says how many inputs were read.  A finding aborts, after the name of the
 * input. */
#include "fuzz.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* No reader takes longer, on any machine, nor more memory than is free to it: as the limits of tests/fuzz/run. */
enum { SECONDS = 100 };
static const rlim_t memory_bytes = (rlim_t)1 << 30;

static int inputs;

static PetscErrorCode replay_file(const char *path)
{
  uint8_t *bytes = NULL;
  size_t size;

  PetscFunctionBeginUser;
  PetscCall(fuzz_get(path, &bytes, &size));
  fprintf(stderr, "%s\n", path);
  alarm(SECONDS);
  LLVMFuzzerTestOneInput(bytes, size);
  alarm(0);
  inputs++;
  PetscCall(PetscFree(bytes));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode replay(const char *path)
{
  char inside[PETSC_MAX_PATH_LEN];
  DIR *folder = opendir(path);

  PetscFunctionBeginUser;
  if (!folder) PetscFunctionReturn(replay_file(path));
  PetscErrorCode error = PETSC_SUCCESS;
  for (const struct dirent *entry = readdir(folder); entry && !error; entry = readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    fuzz_path(inside, path, entry->d_name);
    error = replay_file(inside);
  }
  closedir(folder);
  PetscFunctionReturn(error);
}

/* Beyond what the libraries have taken: then an array of a size that nobody has checked cannot be had.  A sanitizer
 * takes terabytes for itself, and has limits of its own. */
static PetscErrorCode limit_memory(void)
{
  PetscLogDouble now;
  struct rlimit limit;

  PetscFunctionBeginUser;
  PetscCall(PetscMemoryGetCurrentUsage(&now));
  if (getrlimit(RLIMIT_DATA, &limit)) PetscFunctionReturn(PETSC_ERR_SYS);
  limit.rlim_cur = (rlim_t)now + memory_bytes;
#ifndef __SANITIZE_ADDRESS__
  if (setrlimit(RLIMIT_DATA, &limit)) PetscFunctionReturn(PETSC_ERR_SYS);
#endif
  PetscFunctionReturn(PETSC_SUCCESS);
}

int main(int argc, char **argv)
{
  PetscErrorCode error;

  if (LLVMFuzzerInitialize(&argc, &argv)) return 70;
  error = limit_memory();
  for (int i = 1; i < argc && !error; i++) error = replay(argv[i]);
  if (error) fprintf(stderr, "%s\n", error_message());
  printf("%d inputs\n", inputs);
  return error_exit_code(error);
}
