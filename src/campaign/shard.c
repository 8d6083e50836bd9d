/** \file shard.c  Names and contents of shards, and how one is written.  \ingroup campaign */
#include "campaign/internal.h"

#include <string.h>

PetscErrorCode shard_layout(const char *directory, int64_t realisations, PetscInt shard_size, ShardLayout *layout)
{
  const int64_t shards = (realisations + shard_size - 1) / shard_size;

  PetscFunctionBeginUser;
  PetscCheck(shards <= 99999, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "simulate_shard_size %" PetscInt_FMT " makes more than 99999 shards; use a larger one", shard_size);
  PetscCall(PetscStrncpy(layout->directory, directory, sizeof layout->directory));
  layout->realisations = realisations;
  layout->shard_size = shard_size;
  layout->shards = (PetscInt)shards;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscInt shard_rows(const ShardLayout *layout, PetscInt shard)
{
  const int64_t left = layout->realisations - (int64_t)shard * layout->shard_size;

  return left < layout->shard_size ? (PetscInt)left : layout->shard_size;
}

PetscErrorCode shard_path(const ShardLayout *layout, PetscInt shard, char *path)
{
  PetscFunctionBeginUser;
  snprintf(path, PETSC_MAX_PATH_LEN, "%.*s/sims/shard-%05d.h5", PETSC_MAX_PATH_LEN - 32, layout->directory, (int)shard);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode shard_check_place(ProductReader *reader, const ShardLayout *layout, PetscInt shard)
{
  const int64_t first = (int64_t)shard * layout->shard_size;
  char path[PETSC_MAX_PATH_LEN];
  int64_t found;

  PetscFunctionBeginUser;
  PetscCall(shard_path(layout, shard, path));
  PetscCall(product_read_attribute_int(reader, NULL, "first_realisation", 1, &found));
  PetscCheck(found == first, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: holds realisations from %lld on instead of %lld: it was made under another name", path,
             (long long)found, (long long)first);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode shard_open(const ShardLayout *layout, PetscInt shard, ProductReader **reader)
{
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  PetscCall(shard_path(layout, shard, path));
  PetscCall(product_open(path, "shard", SHARD_FORMAT, reader));
  PetscCall(shard_check_place(*reader, layout, shard));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode index_path(const char *directory, char *path)
{
  PetscFunctionBeginUser;
  snprintf(path, PETSC_MAX_PATH_LEN, "%.*s/sims/campaign.h5", PETSC_MAX_PATH_LEN - 32, directory);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode prior_names(const Prior *prior, char *names, size_t size)
{
  size_t used = 0;

  PetscFunctionBeginUser;
  for (PetscInt p = 0; p < prior_count(prior) && used < size; p++)
    used += (size_t)snprintf(names + used, size - used, "%s%s", p ? "," : "", prior_name(prior, p));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode declare_datasets(ProductWriter *writer, const ShardMaker *maker, PetscInt rows)
{
  const ShardRecipe *recipe = maker->recipe;
  const hsize_t bins = (hsize_t)recipe->survey->bins, ny = (hsize_t)survey_ny(recipe->survey);
  const hsize_t nx = (hsize_t)survey_nx(recipe->survey), parameters = (hsize_t)prior_count(recipe->prior);
  char names[OPTION_TEXT_SIZE];

  PetscFunctionBeginUser;
  PetscCall(product_declare_compressed(writer,
                                       &(ProductDataset){"kappa",
                                                         H5T_NATIVE_FLOAT,
                                                         4,
                                                         {(hsize_t)rows, bins, ny, nx},
                                                         DIGEST_ROWS,
                                                         "1",
                                                         "convergence [realisation, bin, y, x]"},
                                       (int)maker->compression));
  PetscCall(product_declare(writer, &(ProductDataset){"theta",
                                                      H5T_NATIVE_DOUBLE,
                                                      2,
                                                      {(hsize_t)rows, parameters},
                                                      DIGEST_ROWS,
                                                      "1",
                                                      "parameters [realisation, parameter]"}));
  PetscCall(prior_names(recipe->prior, names, sizeof names));
  PetscCall(product_attribute_text(writer, "theta", "parameters", names));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscInt shard_report_every(const SurveyConfig *survey, PetscInt shard_size)
{
  const size_t report_values = 1 << 21; /* about a tenth of a second's work */
  const size_t wanted = PetscMax(report_values / survey_map_values(survey), 1);
  const size_t reports = ((size_t)shard_size + wanted - 1) / wanted;

  return (PetscInt)(((size_t)shard_size + reports - 1) / reports);
}

static PetscErrorCode report(const ShardMaker *maker, PetscInt rows_done)
{
  int64_t taken;

  PetscFunctionBeginUser;
  if (!maker->reports || rows_done % maker->report_every) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(work_queue_take(maker->reports, &taken));
  const int64_t done = taken < 0 ? maker->maps : (taken + 1) * maker->report_every;
  PetscCall(progress_update(maker->progress, maker->present + PetscMin(done, maker->maps), NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A realisation, of whose map every rank of the group has a slab. */
typedef struct {
  PetscInt lines; /* of the map, on this rank */
  float *kappa; /* [bins][lines][nx] */
  double *theta; /* [parameters] */
} SlabOfMap;

static PetscErrorCode slab_of_map_create(const ShardMaker *maker, SlabOfMap *slab)
{
  const SurveyConfig *survey = maker->recipe->survey;
  PetscInt first;

  PetscFunctionBeginUser;
  slab->lines = survey_ny(survey); /* a file's maps are not divided */
  if (maker->simulator) simulator_slab(maker->simulator, &first, &slab->lines);
  PetscCall(PetscMalloc2((size_t)survey->bins * (size_t)slab->lines * (size_t)survey_nx(survey), &slab->kappa,
                         (size_t)prior_count(maker->recipe->prior), &slab->theta));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode make_map(const ShardMaker *maker, int64_t index, SlabOfMap *slab, SimulatorCounts *counts)
{
  PetscFunctionBeginUser;
  if (maker->map_file)
    PetscCall(map_file_get(maker->map_file, index, slab->kappa, slab->theta));
  else
    PetscCall(simulator_realisation(maker->simulator, index, slab->kappa, slab->theta, counts));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_rows(const ShardMaker *maker, PetscInt shard, ProductWriter *writer, SlabOfMap *slab,
                                 SimulatorCounts *counts)
{
  const int64_t first = (int64_t)shard * maker->layout->shard_size;
  const hsize_t leader = maker->groups.leaders == MPI_COMM_NULL ? 0 : 1;
  double longest = 0; /* seconds of a map */

  PetscFunctionBeginUser;
  for (PetscInt row = 0; row < shard_rows(maker->layout, shard); row++) {
    const double begun = MPI_Wtime();
    PetscBool stop;

    PetscCall(interrupt_agreed_within(maker->groups.members, 2 * longest, &stop));
    PetscCheck(!stop, PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED, "interrupted");
    PetscCall(make_map(maker, first + row, slab, counts));
    PetscCall(product_write_slabs(writer, "kappa", (hsize_t)row, (hsize_t)slab->lines, slab->kappa));
    PetscCall(product_write(writer, "theta", (hsize_t)row, leader, slab->theta));
    PetscCall(report(maker, row + 1));
    longest = PetscMax(longest, MPI_Wtime() - begun);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode fill_shard(const ShardMaker *maker, PetscInt shard, ProductWriter *writer)
{
  const int64_t first = (int64_t)shard * maker->layout->shard_size;
  SimulatorCounts counts = {0};
  SlabOfMap slab = {0};
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(declare_datasets(writer, maker, shard_rows(maker->layout, shard)));
  PetscCall(product_attribute_int(writer, NULL, "first_realisation", 1, &first));
  if (maker->recipe->tables) PetscCall(product_attribute_int(writer, NULL, "tables_digest", 1, &maker->recipe->tables));
  error = group_agree(maker->groups.members, slab_of_map_create(maker, &slab));
  if (!error) error = write_rows(maker, shard, writer, &slab, &counts);
  PetscCall(PetscFree2(slab.kappa, slab.theta));
  PetscCall(error);
  PetscCall(product_attribute_int(writer, NULL, "redrawn", 1, &counts.redrawn));
  PetscCall(product_attribute_int(writer, NULL, "without_nonlinear_scale", 1, &counts.linear_redshifts));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode shard_write(const ShardMaker *maker, PetscInt shard)
{
  const ShardRecipe *recipe = maker->recipe;
  const ProductInfo info = {"shard", SHARD_FORMAT, recipe->configuration, recipe->seed};
  const int64_t map_bytes = maker->compression ? 0 : (int64_t)(survey_map_values(recipe->survey) * sizeof(float));
  char path[PETSC_MAX_PATH_LEN];
  ProductWriter *writer = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(shard_path(maker->layout, shard, path));
  error = product_create(maker->groups.members, path, &info, map_bytes * shard_rows(maker->layout, shard), &writer);
  if (!error) error = fill_shard(maker, shard, writer);
  if (!error) error = product_commit(writer, NULL);
  PetscCall(product_writer_destroy(&writer));
  PetscFunctionReturn(error);
}
