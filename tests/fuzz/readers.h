/** \file readers.h  Readers of files that users make, for the targets that damage such files. */
#ifndef NEPHRITE_FUZZ_READERS_H
#define NEPHRITE_FUZZ_READERS_H

#include "campaign/internal.h"
#include "fuzz.h"
#include "lensing/internal.h"
#include "lensing/observer.h"

/* Judge what each says of this file.  \param survey  that the file is for; its names of files are changed */
static inline void read_observation(const Fuzz *fuzz, const SurveyConfig *survey, const char *path)
{
  Observation *observation = NULL;

  fuzz_judge(observation_read(path, survey, prior_count(fuzz->prior), &observation));
  if (observation_destroy(&observation)) fuzz_finding("%s", error_message());
}

/* n(z), shifts, mask and galaxy counts. */
static inline void read_tables(SurveyConfig *survey, const char *path)
{
  SourceBins *bins = NULL;
  ShiftTable *shifts = NULL;
  Mask *mask = NULL;
  ShapeNoise *noise = NULL;

  if (PetscStrncpy(survey->n_of_z, path, sizeof survey->n_of_z) ||
      PetscStrncpy(survey->mask, path, sizeof survey->mask) ||
      PetscStrncpy(survey->counts, path, sizeof survey->counts))
    fuzz_finding("%s", error_message());
  fuzz_judge(source_bins_create(survey, &bins));
  fuzz_judge(shift_table_create(path, survey->bins, &shifts));
  fuzz_judge(mask_create(survey, &mask));
  fuzz_judge(shape_noise_create(survey, &noise));
  if (source_bins_destroy(&bins) || shift_table_destroy(&shifts) || mask_destroy(&mask) || shape_noise_destroy(&noise))
    fuzz_finding("%s", error_message());
}

/* Maps that tools/ingest or anybody has put together.  \param kappa, theta  of one map */
static inline void read_maps(const Fuzz *fuzz, const SurveyConfig *survey, const char *path, float *kappa,
                             double *theta)
{
  MapFile *file = NULL;

  PetscErrorCode error = map_file_open(path, survey, fuzz->prior, &file);
  for (int64_t i = 0; i < 3 && !error; i++) error = map_file_get(file, i, kappa, theta);
  fuzz_judge(error);
  if (map_file_close(&file)) fuzz_finding("%s", error_message());
}

#endif
