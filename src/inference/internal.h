/** \file internal.h  What the parts of inference share.  \ingroup inference */
#ifndef NEPHRITE_INFERENCE_INTERNAL_H
#define NEPHRITE_INFERENCE_INTERNAL_H

#include "nephrite/inference.h"

/** A user's observation has this number, far from those of held-out realisations. */
#define USER_OBSERVATION (INT64_C(1) << 40)

/** What one rank draws with: made once, used for every unit it takes. */
typedef struct {
  const InferenceSetup *setup;
  const char *folder; /**< "posterior" or "coverage" */
  const char *configuration; /**< YAML */
  PetscInt blocks; /**< units of an observation */
  int64_t keep_maps;
  PosteriorSummary summary;
  void *context;
  Model *model;
  Sampler *sampler;
  Observer *observer;
  Simulator *simulator; /* NULL where the truth is not known */
  CampaignReader *reader; /* likewise */
  /* The observation at hand. */
  int64_t observation;
  float *truth; /* [map_size] or NULL */
  double *truth_theta; /* [parameters] or NULL */
  float *raw, *mask, *channels; /* mask NULL without one */
  double *noise_std; /* [bins] */
} PosteriorWorker;

PetscErrorCode worker_create(const InferenceSetup *setup, PosteriorWorker *worker);
/** Make observation \p observation the one at hand. */
PetscErrorCode worker_observe(PosteriorWorker *worker, int64_t observation);
PetscErrorCode worker_destroy(PosteriorWorker *worker);
size_t worker_map_size(const PosteriorWorker *worker);

/** Draw block \p block of an observation and publish it under posterior_part(). */
PetscErrorCode part_write(PosteriorWorker *worker, int64_t observation, PetscInt block);
PetscErrorCode part_path(const PosteriorWorker *worker, int64_t observation, PetscInt block, char *path);
/** First draw and number of draws of a block. */
void part_range(const InferenceSetup *setup, PetscInt block, PetscInt *first, PetscInt *count);
/** Is the block there, whole, and drawn from the same checkpoint?  A damaged one is no error: it is drawn again. */
PetscErrorCode part_is_done(const PosteriorWorker *worker, int64_t observation, PetscInt block, PetscBool *done);
/** Join an observation's blocks into its posterior file, and remove them. */
PetscErrorCode posterior_join(PosteriorWorker *worker, int64_t observation);
/** Does the posterior file of an observation exist?  Errors: NEPHRITE_ERR_INPUT if it is damaged or of another
 * configuration. */
PetscErrorCode posterior_is_done(const InferenceSetup *setup, const char *folder, int64_t observation, PetscBool *done);

#endif
