/** \file reader.c  The maps of a campaign back from disk, one at a time, checked.  \ingroup campaign */
#include "campaign/internal.h"

#include <string.h>
#include <unistd.h>

/* Open shards at once: far below any limit of open files. */
enum { OPEN_SHARDS = 64 };

enum { MAP_RANK = 4, THETA_RANK = 2 };

struct CampaignReader {
  ShardLayout layout;
  hsize_t map[PRODUCT_MAX_RANK], theta[PRODUCT_MAX_RANK]; /* shapes of kappa and theta in the index */
  SimulatorCounts counts;
  uint64_t *digest; /* [shards] from the index */
  ProductReader **reader; /* [shards] NULL where not open */
  PetscInt open[OPEN_SHARDS], opened;
};

/* What to do about a shard or an index that is damaged or missing. */
static PetscErrorCode advise(PetscErrorCode error)
{
  char message[768];

  PetscFunctionBeginUser;
  if (error != (PetscErrorCode)NEPHRITE_ERR_INPUT) PetscFunctionReturn(error);
  PetscCall(PetscStrncpy(message, error_message(), sizeof message));
  SETERRQ(PETSC_COMM_SELF, error, "%s; remove it if it is there, and nephrite-simulate makes it anew", message);
}

/* Maps and parameters as the index joins them: of this survey and prior, since callers have room for those.
 * \param options  NULL: no maps are asked for */
static PetscErrorCode read_shapes(ProductReader *index, const Options *options, const char *path, CampaignReader *r)
{
  SurveyConfig survey;
  PriorConfig config;
  Prior *prior = NULL;
  int ranks[2];

  PetscFunctionBeginUser;
  PetscCall(product_shape(index, "kappa", &ranks[0], r->map));
  PetscCall(product_shape(index, "theta", &ranks[1], r->theta));
  PetscCheck(ranks[0] == MAP_RANK && ranks[1] == THETA_RANK, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: is damaged: kappa and theta have %d and %d axes", path, ranks[0], ranks[1]);
  if (!options) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(options_fill(options, &survey_options, &survey));
  PetscCall(options_fill(options, &prior_options, &config));
  PetscErrorCode error = prior_create(&config, survey.bins, &prior);
  const hsize_t parameters = error ? 0 : (hsize_t)prior_count(prior);
  PetscCall(prior_destroy(&prior));
  PetscCall(error);
  PetscCheck(r->map[1] == (hsize_t)survey.bins && r->map[2] == (hsize_t)survey_ny(&survey) &&
                 r->map[3] == (hsize_t)survey_nx(&survey) && r->theta[1] == parameters,
             PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: is damaged: kappa or theta has not the shape of its configuration", path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_index(const char *path, const char *directory, const Options *options, ProductReader *index,
                                 CampaignReader *r)
{
  const int64_t most = (int64_t)1 << 62;
  char *configuration = NULL;
  int64_t realisations, shard_size;
  hsize_t shape[PRODUCT_MAX_RANK];
  int rank;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_text(index, NULL, "configuration", &configuration));
  error = options ? options_require_same(options, SCOPE_SIMULATION, configuration, path) : PETSC_SUCCESS;
  PetscCall(PetscFree(configuration));
  PetscCall(error);
  PetscCall(product_read_attribute_int(index, NULL, "realisations", 1, &realisations));
  PetscCall(product_read_attribute_int(index, NULL, "shard_size", 1, &shard_size));
  PetscCheck(realisations > 0 && realisations < most && shard_size > 0 && shard_size <= PETSC_MAX_INT, PETSC_COMM_SELF,
             NEPHRITE_ERR_INPUT, "%s: is damaged: %lld maps, %lld in a shard", path, (long long)realisations,
             (long long)shard_size);
  PetscCall(shard_layout(directory, realisations, (PetscInt)shard_size, &r->layout));
  PetscCall(read_shapes(index, options, path, r));
  PetscCall(product_read_attribute_int(index, NULL, "redrawn", 1, &r->counts.redrawn));
  PetscCall(product_read_attribute_int(index, NULL, "without_nonlinear_scale", 1, &r->counts.linear_redshifts));
  PetscCall(product_shape(index, "shard_digest", &rank, shape));
  PetscCheck(rank == 1 && shape[0] == (hsize_t)r->layout.shards, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: is damaged: digests of %d shards are needed", path, (int)r->layout.shards);
  PetscCall(PetscCalloc2(r->layout.shards, &r->digest, r->layout.shards, &r->reader));
  PetscCall(product_read(index, "shard_digest", H5T_NATIVE_UINT64, 0, shape[0], r->digest));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode campaign_reader_open(const char *directory, const Options *options, CampaignReader **reader)
{
  CampaignReader *r = NULL;
  char path[PETSC_MAX_PATH_LEN];
  ProductReader *index = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&r));
  *reader = r;
  PetscCall(index_path(directory, path));
  PetscCheck(!access(path, F_OK), PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: there is no such file; nephrite-simulate makes it, and joins the campaign's maps in it", path);
  error = advise(product_open(path, "campaign", CAMPAIGN_FORMAT, &index));
  if (!error) error = read_index(path, directory, options, index, r);
  PetscCall(product_close(&index));
  PetscFunctionReturn(error);
}

PetscErrorCode campaign_reader_close(CampaignReader **reader)
{
  PetscFunctionBeginUser;
  if (!*reader) PetscFunctionReturn(PETSC_SUCCESS);
  for (PetscInt i = 0; i < (*reader)->opened; i++) PetscCall(product_close(&(*reader)->reader[(*reader)->open[i]]));
  PetscCall(PetscFree2((*reader)->digest, (*reader)->reader));
  PetscCall(PetscFree(*reader));
  PetscFunctionReturn(PETSC_SUCCESS);
}

int64_t campaign_reader_count(const CampaignReader *reader)
{
  return reader->layout.realisations;
}

void campaign_reader_counts(const CampaignReader *reader, SimulatorCounts *counts)
{
  *counts = reader->counts;
}

/* \param joined [rank] its shape in the index */
static PetscErrorCode check_shape(ProductReader *shard, const char *name, int rank, const hsize_t *joined, hsize_t rows,
                                  const char *path)
{
  hsize_t shape[PRODUCT_MAX_RANK];
  int found;

  PetscFunctionBeginUser;
  PetscCall(product_shape(shard, name, &found, shape));
  const PetscBool fits =
      found == rank && shape[0] == rows && !memcmp(shape + 1, joined + 1, (size_t)(rank - 1) * sizeof *shape);
  PetscCheck(fits, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "%s: dataset %s has not the shape that sims/campaign.h5 lists",
             path, name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A shard is what the index says, or it is refused: a stale or exchanged file has sound digests of its own. */
static PetscErrorCode check_shard(const CampaignReader *r, PetscInt shard, const char *path)
{
  const hsize_t rows = (hsize_t)shard_rows(&r->layout, shard);
  uint64_t digest;

  PetscFunctionBeginUser;
  PetscCall(product_digest(r->reader[shard], &digest));
  PetscCheck(digest == r->digest[shard], PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: is not the shard that sims/campaign.h5 lists; delete both and run nephrite-simulate again", path);
  PetscCall(check_shape(r->reader[shard], "kappa", MAP_RANK, r->map, rows, path));
  PetscCall(check_shape(r->reader[shard], "theta", THETA_RANK, r->theta, rows, path));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode open_shard(CampaignReader *r, PetscInt shard)
{
  char path[PETSC_MAX_PATH_LEN];
  PetscErrorCode error;

  PetscFunctionBeginUser;
  if (r->reader[shard]) PetscFunctionReturn(PETSC_SUCCESS);
  if (r->opened == OPEN_SHARDS) { /* the longest open goes */
    PetscCall(product_close(&r->reader[r->open[0]]));
    memmove(r->open, r->open + 1, (OPEN_SHARDS - 1) * sizeof *r->open);
    r->opened--;
  }
  PetscCall(shard_path(&r->layout, shard, path));
  error = advise(shard_open(&r->layout, shard, &r->reader[shard]));
  if (!error) error = check_shard(r, shard, path);
  if (error)
    PetscCall(product_close(&r->reader[shard]));
  else
    r->open[r->opened++] = shard;
  PetscFunctionReturn(error);
}

PetscErrorCode campaign_reader_check(CampaignReader *reader)
{
  PetscFunctionBeginUser;
  for (PetscInt shard = 0; shard < reader->layout.shards; shard++) PetscCall(open_shard(reader, shard));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode campaign_reader_get(CampaignReader *r, int64_t index, float *kappa, double *theta)
{
  const PetscInt shard = (PetscInt)(index / r->layout.shard_size);
  const hsize_t row = (hsize_t)(index % r->layout.shard_size);

  PetscFunctionBeginUser;
  PetscCheck(index >= 0 && index < r->layout.realisations, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "realisation %lld is wanted; the campaign in %s has %lld", (long long)index, r->layout.directory,
             (long long)r->layout.realisations);
  PetscCall(open_shard(r, shard));
  if (kappa) PetscCall(advise(product_read(r->reader[shard], "kappa", H5T_NATIVE_FLOAT, row, 1, kappa)));
  if (theta) PetscCall(advise(product_read(r->reader[shard], "theta", H5T_NATIVE_DOUBLE, row, 1, theta)));
  PetscFunctionReturn(PETSC_SUCCESS);
}
