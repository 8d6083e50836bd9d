/** \file checkpoint_files.c  Which checkpoints a campaign has, and which of them stay.  \ingroup training */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

PetscErrorCode checkpoint_path(const char *directory, int64_t step, char path[PETSC_MAX_PATH_LEN])
{
  PetscFunctionBeginUser;
  const int length = snprintf(path, PETSC_MAX_PATH_LEN, "%s/checkpoints/step-%08" PRId64 ".h5", directory, step);
  PetscCheck(length < PETSC_MAX_PATH_LEN, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "%s: the name of the campaign directory is too long", directory);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The step in "step-00001000.h5" and what follows that; -1 if the name begins otherwise. */
static int64_t step_of(const char *name, const char **rest)
{
  int64_t step;
  int length = 0;

  if (sscanf(name, "step-%" SCNd64 ".h5%n", &step, &length) != 1 || length == 0) return -1;
  *rest = name + length;
  return step;
}

PetscErrorCode checkpoint_check_name(const char *path, int64_t step)
{
  const char *const slash = strrchr(path, '/'), *rest = "";
  const int64_t named = step_of(slash ? slash + 1 : path, &rest);

  PetscFunctionBeginUser;
  PetscCheck(named < 0 || *rest || named == step, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: holds step %" PRId64 ": it was made under another name", path, step);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static int newest_first(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

  return (x < y) - (x > y);
}

static PetscErrorCode collect(DIR *folder, PetscInt *count, int64_t **steps)
{
  PetscInt capacity = 0;

  PetscFunctionBeginUser;
  for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
    const char *rest = NULL;
    const int64_t step = step_of(entry->d_name, &rest);

    if (step < 0 || *rest) continue;
    if (*count == capacity) {
      capacity = 2 * capacity + 16;
      PetscCall(PetscRealloc((size_t)capacity * sizeof **steps, steps));
    }
    (*steps)[(*count)++] = step;
  }
  if (*count) qsort(*steps, (size_t)*count, sizeof **steps, newest_first);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode checkpoint_list(const char *directory, PetscInt *count, int64_t **steps)
{
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  *count = 0;
  *steps = NULL;
  snprintf(path, sizeof path, "%s/checkpoints", directory);
  DIR *folder = opendir(path);
  if (!folder && errno == ENOENT) PetscFunctionReturn(PETSC_SUCCESS);
  if (!folder) PetscCall(error_from_errno(errno, "list", path));
  const PetscErrorCode error = collect(folder, count, steps);
  closedir(folder);
  PetscCall(error);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A job that was killed while it wrote leaves a part, whose step may not come again. */
static PetscErrorCode remove_parts(const char *directory, DIR *folder)
{
  char path[2 * PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
    const char *rest = NULL;

    if (step_of(entry->d_name, &rest) < 0 || strcmp(rest, ".part")) continue;
    snprintf(path, sizeof path, "%s/checkpoints/%s", directory, entry->d_name);
    if (unlink(path) && errno != ENOENT) PetscCall(error_from_errno(errno, "remove", path));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode checkpoint_remove_parts(const char *directory)
{
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  snprintf(path, sizeof path, "%s/checkpoints", directory);
  DIR *folder = opendir(path);
  if (!folder) PetscCall(error_from_errno(errno, "list", path));
  const PetscErrorCode error = remove_parts(directory, folder);
  closedir(folder);
  PetscFunctionReturn(error);
}

PetscErrorCode checkpoint_prune(const char *directory, int64_t newest, PetscInt keep, int64_t best)
{
  char path[PETSC_MAX_PATH_LEN];
  PetscInt count, kept = 0;
  int64_t *steps = NULL;

  PetscFunctionBeginUser;
  PetscCall(checkpoint_list(directory, &count, &steps));
  for (PetscInt i = 0; i < count; i++) {
    if (steps[i] <= newest && (steps[i] == best || kept < keep)) {
      kept++;
      continue;
    }
    PetscCall(checkpoint_path(directory, steps[i], path));
    if (unlink(path) && errno != ENOENT) PetscCall(error_from_errno(errno, "remove", path));
  }
  PetscCall(PetscFree(steps));
  PetscFunctionReturn(PETSC_SUCCESS);
}
