/** \file target_raw.c  Whatever bytes a user calls an HDF5 file, given to every reader of users' files.  An input is
 * the file.
 *
 * HDF5 itself may crash on such a file: see tests/fuzz/triage, which tells its crashes from ours. */
#include "readers.h"

static char path[PETSC_MAX_PATH_LEN];
static float *kappa; /* [bins][ny][nx] */
static double *theta; /* [parameters] */

PetscErrorCode fuzz_prepare(const Fuzz *fuzz)
{
  PetscFunctionBeginUser;
  fuzz_path(path, fuzz->scratch, "raw.h5");
  PetscCall(PetscMalloc1(survey_map_values(&fuzz->configuration.survey), &kappa));
  PetscCall(PetscMalloc1((size_t)prior_count(fuzz->prior), &theta));
  PetscFunctionReturn(PETSC_SUCCESS);
}

void fuzz_read(const Fuzz *fuzz, const uint8_t *bytes, size_t size)
{
  SurveyConfig survey = fuzz->configuration.survey;
  Model *model = NULL;

  if (fuzz_put(path, bytes, size)) fuzz_finding("%s", error_message());
  read_observation(fuzz, &survey, path);
  fuzz_judge(model_load(path, &model));
  if (model_destroy(&model)) fuzz_finding("%s", error_message());
  read_maps(fuzz, &survey, path, kappa, theta);
  read_tables(&survey, path);
}
