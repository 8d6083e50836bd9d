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
/** Errors: NEPHRITE_ERR_INPUT: this shard holds other realisations than its name says. */
PetscErrorCode shard_check_place(ProductReader *reader, const ShardLayout *layout, PetscInt shard);
/** Open a shard that is there.  Errors: NEPHRITE_ERR_INPUT: damaged, or it holds other realisations than its name says.
 */
PetscErrorCode shard_open(const ShardLayout *layout, PetscInt shard, ProductReader **reader);
/** <directory>/sims/campaign.h5 */
PetscErrorCode index_path(const char *directory, char *path);

/** Numbers in one map: bins x ny x nx. */
static inline size_t survey_map_values(const SurveyConfig *survey)
{
  return (size_t)survey->bins * (size_t)survey_ny(survey) * (size_t)survey_nx(survey);
}

/** What a shard is made from. */
typedef struct {
  const SurveyConfig *survey;
  const Prior *prior;
  const char *configuration; /* YAML */
  int64_t seed;
  const char *maps; /* file of maps made elsewhere, or "" */
  int64_t tables; /* digest of the files survey_n_of_z, survey_shift_table and simulate_maps, 0 without */
} ShardRecipe;

/** Maps made elsewhere, and their parameters, in a file of a user's own. */
typedef struct MapFile MapFile;
/** Errors: NEPHRITE_ERR_INPUT: unreadable, or kappa, theta, its attribute `parameters` or the file's `field_of_view`
 * are not of this survey and prior. */
PetscErrorCode map_file_open(const char *path, const SurveyConfig *survey, const Prior *prior, MapFile **file);
/** \param[out] kappa [bins][ny][nx]  \param[out] theta [prior_count()]
 * Errors: NEPHRITE_ERR_INPUT: there are not so many maps, a value that is not finite, no physical universe, or one
 * outside of the prior. */
PetscErrorCode map_file_get(MapFile *file, int64_t index, float *kappa, double *theta);
PetscErrorCode map_file_close(MapFile **file);

/** The ranks in groups that make shards. */
typedef struct {
  MPI_Comm members; /**< of this rank's group */
  MPI_Comm leaders; /**< the first rank of every group; MPI_COMM_NULL on the others */
} ShardGroups;

/** What a group makes shards with. */
typedef struct {
  const ShardLayout *layout;
  const ShardRecipe *recipe;
  PetscInt compression;
  StageShare share; /**< of all shards */
  ShardGroups groups;
  Simulator *simulator; /* or */
  MapFile *map_file;
  Progress *progress;
  WorkQueue *reports; /**< counts, over all groups, how often report_every maps were made; on leaders */
  PetscInt report_every;
  int64_t present, maps; /**< there, and to be made by all groups */
} ShardMaker;

/** Maps between two reports: each costs a word with rank 0, which may be busy with a map of its own. */
PetscInt shard_report_every(const SurveyConfig *survey, PetscInt shard_size);
/** Make one shard.  Collective on the group.
 * Errors: NEPHRITE_ERR_INTERRUPTED if asked to stop before it is whole, NEPHRITE_ERR_IO. */
PetscErrorCode shard_write(const ShardMaker *maker, PetscInt shard);
/** "Omega_c,Omega_b,…": names of theta, as products carry them.  \param[out] names [size] */
PetscErrorCode prior_names(const Prior *prior, char *names, size_t size);

/** Write sims/campaign.h5 over shards that are all there.  Not collective. */
PetscErrorCode index_write(const ShardLayout *layout, const ShardRecipe *recipe);

/** Is every shard the one that the index lists?  Errors: NEPHRITE_ERR_INPUT naming the first that is not. */
PetscErrorCode campaign_reader_check(CampaignReader *reader);
/** Counts of the whole campaign, from its index. */
void campaign_reader_counts(const CampaignReader *reader, SimulatorCounts *counts);

/** How a realisation came out. */
typedef struct {
  int error; /* PetscErrorCode of making it … */
  char reason[512]; /* … and its message */
  double theta[NEPHRITE_MAX_PARAMETERS];
} MapLetter;

/** A map that is made before it is asked for, or that travels between ranks. */
typedef struct TravellingMap TravellingMap;
struct TravellingMap {
  int64_t position; /* of the training sequence */
  PetscBool made;
  MapLetter letter;
  float *kappa; /* [values]; NULL before the first use */
  MPI_Request requests[2]; /* of letter and kappa */
  TravellingMap *next; /* in a list */
};

/** Ask the ranks on the other side for a realisation.  \param[out] map  that of stream_wait() */
PetscErrorCode stream_ask(MPI_Comm simulators, int64_t realisation, size_t values, TravellingMap *map);
/** Wait for a map that was asked for.  Its letter says whether it could be made. */
PetscErrorCode stream_wait(TravellingMap *map);

#endif
