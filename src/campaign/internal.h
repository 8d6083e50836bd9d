/** \file internal.h  What the parts of campaign share.  \ingroup campaign */
#ifndef NEPHRITE_CAMPAIGN_INTERNAL_H
#define NEPHRITE_CAMPAIGN_INTERNAL_H

#include "nephrite/campaign.h"

enum { SHARD_FORMAT = 1, CAMPAIGN_FORMAT = 1 };

/** Which realisations are in which shard. */
typedef struct {
  char directory[PETSC_MAX_PATH_LEN]; /**< of the campaign */
  int64_t realisations;
  PetscInt shard_size, shards;
} ShardLayout;

PetscErrorCode shard_layout(const char *directory, int64_t realisations, PetscInt shard_size, ShardLayout *layout);
/** Realisations in a shard; the last one may hold fewer. */
PetscInt shard_rows(const ShardLayout *layout, PetscInt shard);
/** <directory>/sims/shard-00007.h5  \param[out] path [PETSC_MAX_PATH_LEN] */
PetscErrorCode shard_path(const ShardLayout *layout, PetscInt shard, char *path);
/** <directory>/sims/campaign.h5 */
PetscErrorCode index_path(const char *directory, char *path);

/** What a shard is made from. */
typedef struct {
  const SurveyConfig *survey;
  const Prior *prior;
  const char *configuration; /* YAML */
  int64_t seed;
} ShardRecipe;

/** Make one shard.  Not collective.
 * \param progress told of each map; may be NULL  \param done counts the maps of all ranks, for the progress
 * Errors: NEPHRITE_ERR_INTERRUPTED if asked to stop before it is whole, NEPHRITE_ERR_IO. */
PetscErrorCode shard_write(const ShardLayout *layout, PetscInt shard, const ShardRecipe *recipe, Simulator *simulator,
                           Progress *progress, WorkQueue *done);
/** "Omega_c,Omega_b,…": names of theta, as products carry them.  \param[out] names [size] */
PetscErrorCode prior_names(const Prior *prior, char *names, size_t size);

/** Write sims/campaign.h5 over shards that are all there.  Not collective. */
PetscErrorCode index_write(const ShardLayout *layout, const ShardRecipe *recipe);

#endif
