/** \file simulate.c  Make what is missing of a campaign.  \ingroup campaign
 *
 * A shard is made whole by one group of ranks, whose leader takes it from a queue; so its bytes do not depend on how
 * many groups there are, and a restart makes the shards that are not there.
 */
#include "campaign/internal.h"

#include <inttypes.h>
#include <unistd.h>

static PetscErrorCode check_configuration(ProductReader *reader, const Options *options, const char *path)
{
  char *configuration = NULL;

  PetscFunctionBeginUser;
  PetscCall(product_read_attribute_text(reader, NULL, "configuration", &configuration));
  const PetscErrorCode error = options_require_same(options, SCOPE_SIMULATION, configuration, path);
  PetscCall(PetscFree(configuration));
  PetscFunctionReturn(error);
}

/* The names of the files are options; what is in them may have changed. */
static PetscErrorCode check_tables(ProductReader *reader, const ShardRecipe *recipe, const char *path)
{
  int64_t tables;

  PetscFunctionBeginUser;
  if (!recipe->tables) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(product_read_attribute_int(reader, NULL, "tables_digest", 1, &tables));
  PetscCheck(tables == recipe->tables, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s was made with another content of survey_n_of_z, survey_shift_table or simulate_maps", path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param[out] rows maps in it */
static PetscErrorCode check_contents(ProductReader *reader, const ShardLayout *layout, PetscInt shard, hsize_t *rows)
{
  hsize_t shape[PRODUCT_MAX_RANK];

  PetscFunctionBeginUser;
  PetscCall(shard_check_place(reader, layout, shard));
  PetscCall(product_shape(reader, "theta", NULL, NULL));
  PetscCall(product_shape(reader, "kappa", NULL, shape));
  PetscCall(product_verify(reader));
  *rows = shape[0];
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode advise_to_delete(PetscErrorCode error)
{
  char message[768];

  PetscFunctionBeginUser;
  PetscCall(PetscStrncpy(message, error_message(), sizeof message));
  SETERRQ(PETSC_COMM_SELF, error, "%s; delete the file and run again to have it made anew", message);
}

/* Is this shard there, whole and of this configuration?  Errors: NEPHRITE_ERR_INPUT if it is damaged or of another. */
static PetscErrorCode shard_is_done(const ShardMaker *maker, PetscInt shard, const Options *options, PetscBool *done)
{
  const ShardLayout *layout = maker->layout;
  char path[PETSC_MAX_PATH_LEN];
  ProductReader *reader = NULL;
  hsize_t rows = 0;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(shard_path(layout, shard, path));
  *done = access(path, F_OK) ? PETSC_FALSE : PETSC_TRUE;
  if (!*done) PetscFunctionReturn(PETSC_SUCCESS);
  error = product_open(path, "shard", SHARD_FORMAT, &reader);
  if (error) error = advise_to_delete(error);
  if (!error) error = check_configuration(reader, options, path);
  if (!error) error = check_tables(reader, maker->recipe, path);
  if (!error && check_contents(reader, layout, shard, &rows)) error = advise_to_delete(NEPHRITE_ERR_INPUT);
  PetscCall(product_close(&reader));
  PetscCall(error);
  /* The last shard of a campaign that has since grown holds fewer maps than it should: it is made again, larger. */
  *done = rows == (hsize_t)shard_rows(layout, shard) ? PETSC_TRUE : PETSC_FALSE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Of this run's shards those that are this rank's to look at, every byte of them: reading a campaign is work to divide.
 * \param[in,out] there [shards] */
static PetscErrorCode find_part(MPI_Comm comm, const ShardMaker *maker, const Options *options, int *there)
{
  PetscMPIInt rank, size;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  for (PetscInt i = rank;; i += size) {
    const PetscInt shard = (PetscInt)stage_share_unit(maker->share, i);
    PetscBool done = PETSC_FALSE;

    if (shard >= maker->layout->shards) break;
    PetscCheck(!interrupt_seen(), PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED,
               "%s/sims: interrupted while the shards there were verified; run again to go on",
               maker->layout->directory);
    PetscCall(shard_is_done(maker, shard, options, &done));
    there[shard] = done ? 1 : 0;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Of this run's shards.  \param[out] missing [shards]  \param[out] count of them  \param[out] present maps there */
static PetscErrorCode find_missing(MPI_Comm comm, const ShardMaker *maker, const Options *options, int *missing,
                                   int *count, int64_t *present)
{
  const ShardLayout *layout = maker->layout;
  int *const there = missing; /* the list is never ahead of the shard that is looked at */

  PetscFunctionBeginUser;
  *count = 0;
  *present = 0;
  PetscCall(PetscArrayzero(there, layout->shards));
  PetscCall(group_agree(comm, find_part(comm, maker, options, there)));
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, there, (PetscMPIInt)layout->shards, MPI_INT, MPI_MAX, comm));
  for (PetscInt shard = maker->share.number - 1; shard < layout->shards; shard += maker->share.count)
    if (there[shard])
      *present += shard_rows(layout, shard);
    else
      missing[(*count)++] = (int)shard;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Where a group's maps come from. */
static PetscErrorCode create_source(ShardMaker *maker)
{
  const ShardRecipe *recipe = maker->recipe;

  PetscFunctionBeginUser;
  if (recipe->maps[0])
    PetscCall(map_file_open(recipe->maps, recipe->survey, recipe->prior, &maker->map_file));
  else
    PetscCall(simulator_create(maker->groups.members, recipe->survey, recipe->prior, recipe->seed, &maker->simulator));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Take shards until none is left.  A group that fails, or is asked to stop, takes the rest so that the others stop too.
 * \param[out] finished shards of this group, on its leader */
static PetscErrorCode work(WorkQueue *queue, ShardMaker *maker, const int *missing, int *finished)
{
  const MPI_Comm members = maker->groups.members;
  int64_t unit = 0;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = create_source(maker);
  PetscCall(log_stage("Simulation"));
  while (!error) {
    error = work_queue_take_together(members, queue, &unit);
    if (error || unit < 0) break;
    error = shard_write(maker, missing[unit]);
    if (!error && queue) (*finished)++;
  }
  while (queue && unit >= 0) PetscCall(work_queue_take(queue, &unit));
  PetscCall(PetscLogStagePop());
  PetscCall(log_stage("Ending"));
  PetscCall(simulator_destroy(&maker->simulator));
  PetscCall(map_file_close(&maker->map_file));
  PetscFunctionReturn(error);
}

static PetscErrorCode create_queues(MPI_Comm leaders, int shards, int64_t maps, WorkQueue **queue, WorkQueue **reports)
{
  PetscFunctionBeginUser;
  if (leaders == MPI_COMM_NULL) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(work_queue_create(leaders, shards, queue));
  PetscCall(work_queue_create(leaders, maps, reports));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* \param[out] finished shards of all groups, also when they were stopped */
static PetscErrorCode make_missing(MPI_Comm comm, ShardMaker *maker, const int *missing, int count, int *finished)
{
  WorkQueue *queue = NULL;
  int mine = 0;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(group_agree(comm, create_queues(maker->groups.leaders, count, maker->maps, &queue, &maker->reports)));
  PetscCall(progress_create(comm, "simulate", "maps", maker->present + maker->maps, maker->present, &maker->progress));
  error = work(queue, maker, missing, &mine);
  PetscCall(work_queue_destroy(&queue));
  PetscCall(work_queue_destroy(&maker->reports));
  PetscCallMPI(MPI_Allreduce(&mine, finished, 1, MPI_INT, MPI_SUM, comm));
  error = group_agree(comm, error);
  if (!error) PetscCall(progress_finish(maker->progress, maker->present + maker->maps));
  PetscCall(progress_destroy(&maker->progress));
  PetscFunctionReturn(error);
}

/* Does the index list just these shards?  If not it is written anew. */
static PetscErrorCode index_is_current(const ShardLayout *layout, const Options *options, PetscBool *current)
{
  CampaignReader *reader = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = campaign_reader_open(layout->directory, options, &reader);
  *current = !error && campaign_reader_count(reader) == layout->realisations ? PETSC_TRUE : PETSC_FALSE;
  if (*current) error = campaign_reader_check(reader);
  if (error) {
    *current = PETSC_FALSE;
    error_clear();
  }
  PetscCall(campaign_reader_close(&reader));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode report(const ShardLayout *layout, const char *state)
{
  CampaignReader *reader = NULL;
  SimulatorCounts counts;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = campaign_reader_open(layout->directory, NULL, &reader);
  if (!error) {
    campaign_reader_counts(reader, &counts);
    printf("simulate  %s/sims: %" PRId64 " maps in %d shards, %s; %" PRId64 " draws replaced, %" PRId64
           " maps with linear power at some redshift\n",
           layout->directory, layout->realisations, (int)layout->shards, state, counts.redrawn,
           counts.linear_redshifts);
  }
  PetscCall(campaign_reader_close(&reader));
  PetscFunctionReturn(error);
}

/* A shard holds what its maps depend on, so that it is the same whatever else changes; the index, what runs as is. */
static PetscErrorCode write_index(const ShardLayout *layout, const ShardRecipe *recipe, const Options *options)
{
  ShardRecipe whole = *recipe;
  char *yaml = NULL;

  PetscFunctionBeginUser;
  PetscCall(options_yaml(options, SCOPE_PRODUCTS, &yaml));
  whole.configuration = yaml;
  const PetscErrorCode error = index_write(layout, &whole);
  PetscCall(PetscFree(yaml));
  PetscFunctionReturn(error);
}

static PetscErrorCode complete_index(const ShardLayout *layout, const ShardRecipe *recipe, const Options *options,
                                     int made)
{
  PetscBool current = PETSC_FALSE;

  PetscFunctionBeginUser;
  if (!made) PetscCall(index_is_current(layout, options, &current));
  if (!current) PetscCall(write_index(layout, recipe, options));
  PetscCall(report(layout, current ? "complete already" : "complete"));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode simulate_check_groups(MPI_Comm comm, const SurveyConfig *survey, const SimulateConfig *simulate)
{
  const FieldShape shape = simulator_shape(survey);
  char sizes[256] = "", reason[512];
  size_t used = 0;
  PetscMPIInt ranks;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_size(comm, &ranks));
  for (PetscMPIInt size = 1; size <= ranks && used < sizeof sizes; size++)
    if (ranks % size == 0)
      used += (size_t)snprintf(sizes + used, sizeof sizes - used, "%s%d", size > 1 ? ", " : "", size);
  PetscCheck(ranks % simulate->group_size == 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "simulate_group_size %" PetscInt_FMT " needs a multiple of %" PetscInt_FMT
             " ranks, and there are %d; of these, groups can have %s",
             simulate->group_size, simulate->group_size, ranks, sizes);
  PetscCheck(!simulate->maps[0] || simulate->group_size == 1, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "simulate_group_size is %" PetscInt_FMT "; maps of simulate_maps are not divided, it must be 1",
             simulate->group_size);
  const PetscErrorCode error = field_check(&shape, (PetscMPIInt)simulate->group_size);
  if (!error) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscStrncpy(reason, error_message(), sizeof reason));
  SETERRQ(PETSC_COMM_SELF, error, "simulate_group_size %" PetscInt_FMT ": %s", simulate->group_size, reason);
}

static PetscErrorCode form_groups(MPI_Comm comm, PetscInt size, ShardGroups *groups)
{
  PetscInt number, count;

  PetscFunctionBeginUser;
  PetscCall(group_split(comm, size, &groups->members, &number, &count));
  PetscCall(group_leaders(comm, groups->members, &groups->leaders));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode dissolve_groups(ShardGroups *groups)
{
  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_free(&groups->members));
  if (groups->leaders != MPI_COMM_NULL) PetscCallMPI(MPI_Comm_free(&groups->leaders));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Maps of this run's shards. */
static int64_t share_maps(const ShardLayout *layout, StageShare share)
{
  int64_t maps = 0;

  for (PetscInt shard = share.number - 1; shard < layout->shards; shard += share.count)
    maps += shard_rows(layout, shard);
  return maps;
}

/* \param[out] made shards */
static PetscErrorCode make_share(MPI_Comm comm, const Options *options, const SimulateConfig *simulate,
                                 ShardMaker *maker, int *made)
{
  const ShardLayout *layout = maker->layout;
  const int64_t maps = share_maps(layout, maker->share);
  int *missing = NULL, count = 0;
  PetscMPIInt rank;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCall(PetscMalloc1(layout->shards, &missing));
  error = find_missing(comm, maker, options, missing, &count, &maker->present);
  maker->maps = maps - maker->present;
  if (!error && rank == 0 && maker->present && count)
    printf("simulate  going on: %" PRId64 " of %" PRId64 " maps are there\n", maker->present, maps);
  if (!count) status_complete("maps", maps);
  if (!error && count) {
    PetscCall(form_groups(comm, simulate->group_size, &maker->groups));
    error = make_missing(comm, maker, missing, count, made);
    PetscCall(dissolve_groups(&maker->groups));
  }
  PetscCall(PetscFree(missing));
  const int shards = (int)stage_share_of(maker->share, layout->shards);
  PetscCheck(error != NEPHRITE_ERR_INTERRUPTED || !count, PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED,
             "%s/sims: interrupted with %d of %d shards finished, which are kept; run again to go on",
             layout->directory, shards - count + *made, shards);
  PetscFunctionReturn(error);
}

/* Shards that are not there, or not as they should be; it is for other shares to say why. */
static PetscErrorCode count_absent(const ShardLayout *layout, PetscInt *absent)
{
  PetscFunctionBeginUser;
  for (PetscInt shard = *absent = 0; shard < layout->shards; shard++) {
    ProductReader *reader = NULL;
    hsize_t shape[PRODUCT_MAX_RANK] = {0};
    PetscErrorCode error = shard_open(layout, shard, &reader);

    if (!error) error = product_shape(reader, "kappa", NULL, shape);
    PetscCall(product_close(&reader));
    if (error || shape[0] != (hsize_t)shard_rows(layout, shard)) (*absent)++;
  }
  if (*absent) error_clear();
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The last of several shares to end finds all shards there. */
static PetscErrorCode complete(MPI_Comm comm, const Options *options, const ShardMaker *maker, int made)
{
  const ShardLayout *layout = maker->layout;
  const StageShare share = maker->share;
  PetscInt absent = 0;
  StageLock *lock = NULL;
  PetscMPIInt rank;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (rank == 0 && share.count > 1) error = count_absent(layout, &absent);
  PetscCall(group_agree(comm, error));
  PetscCallMPI(MPI_Bcast(&absent, 1, MPIU_INT, 0, comm));
  if (absent && rank == 0)
    printf("simulate  share %d of %d complete; %d of %d shards are still to come from other shares\n",
           (int)share.number, (int)share.count, (int)absent, (int)layout->shards);
  if (absent) PetscFunctionReturn(PETSC_SUCCESS);
  error = stage_lock_create(comm, layout->directory, "index", (StageShare){1, 1}, &lock);
  if (!error)
    error = group_agree(comm, rank == 0 ? complete_index(layout, maker->recipe, options, made) : PETSC_SUCCESS);
  PetscCall(stage_lock_destroy(&lock));
  PetscFunctionReturn(error);
}

/* \param[out] digest  of the contents of the files that the survey names, 0 where it names none */
static PetscErrorCode digest_tables(MPI_Comm comm, const SurveyConfig *survey, const char *maps, int64_t *digest)
{
  uint64_t both = 0;
  PetscMPIInt rank;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (rank == 0 && survey->n_of_z[0]) error = file_digest(survey->n_of_z, &both);
  if (rank == 0 && survey->shift_table[0] && !error) error = file_digest(survey->shift_table, &both);
  if (rank == 0 && maps[0] && !error) error = file_digest(maps, &both);
  PetscCall(group_agree(comm, error));
  *digest = (int64_t)both;
  PetscCallMPI(MPI_Bcast(digest, 1, MPI_INT64_T, 0, comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode campaign_simulate(MPI_Comm comm, const Options *options, const CampaignConfig *campaign,
                                 const SurveyConfig *survey, const Prior *prior, const SimulateConfig *simulate)
{
  ShardLayout layout;
  ShardRecipe recipe = {.survey = survey, .prior = prior, .seed = campaign->seed, .maps = simulate->maps};
  ShardMaker maker = {.layout = &layout, .recipe = &recipe, .compression = simulate->compression};
  StageLock *lock = NULL;
  char *yaml = NULL, sims[PETSC_MAX_PATH_LEN];
  int made = 0;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(campaign_share(campaign, &maker.share));
  PetscCall(simulate_check_groups(comm, survey, simulate));
  PetscCall(digest_tables(comm, survey, simulate->maps, &recipe.tables));
  PetscCall(shard_layout(campaign->campaign, simulate->realisations, simulate->shard_size, &layout));
  maker.report_every = shard_report_every(survey, layout.shard_size);
  snprintf(sims, sizeof sims, "%.*s/sims", PETSC_MAX_PATH_LEN - 8, campaign->campaign);
  PetscCall(product_directory(comm, sims));
  PetscCall(options_yaml(options, SCOPE_SIMULATION, &yaml));
  recipe.configuration = yaml;
  error = stage_lock_create(comm, campaign->campaign, "simulate", maker.share, &lock);
  if (!error) error = make_share(comm, options, simulate, &maker, &made);
  PetscCall(stage_lock_destroy(&lock));
  if (!error) error = complete(comm, options, &maker, made);
  PetscCall(PetscFree(yaml));
  PetscFunctionReturn(error);
}
