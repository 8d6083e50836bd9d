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

static PetscErrorCode declare_datasets(ProductWriter *writer, const ShardRecipe *recipe, PetscInt rows)
{
  const hsize_t bins = (hsize_t)recipe->survey->bins, ny = (hsize_t)survey_ny(recipe->survey);
  const hsize_t nx = (hsize_t)survey_nx(recipe->survey), parameters = (hsize_t)prior_count(recipe->prior);
  char names[OPTION_TEXT_SIZE];

  PetscFunctionBeginUser;
  PetscCall(product_declare(writer, &(ProductDataset){"kappa",
                                                      H5T_NATIVE_FLOAT,
                                                      4,
                                                      {(hsize_t)rows, bins, ny, nx},
                                                      DIGEST_ROWS,
                                                      "1",
                                                      "convergence [realisation, bin, y, x]"}));
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

static PetscErrorCode write_rows(ProductWriter *writer, int64_t first, PetscInt rows, Simulator *simulator,
                                 float *kappa, double *theta, SimulatorCounts *counts, Progress *progress,
                                 WorkQueue *done)
{
  PetscFunctionBeginUser;
  for (PetscInt row = 0; row < rows; row++) {
    int64_t finished;

    PetscCheck(!interrupt_seen(), PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED, "interrupted");
    PetscCall(simulator_realisation(simulator, first + row, kappa, theta, counts));
    PetscCall(product_write(writer, "kappa", (hsize_t)row, 1, kappa));
    PetscCall(product_write(writer, "theta", (hsize_t)row, 1, theta));
    PetscCall(work_queue_take(done, &finished));
    PetscCall(progress_update(progress, finished + 1, NULL));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode fill_shard(ProductWriter *writer, const ShardLayout *layout, PetscInt shard,
                                 const ShardRecipe *recipe, Simulator *simulator, Progress *progress, WorkQueue *done)
{
  const SurveyConfig *survey = recipe->survey;
  const int64_t first = (int64_t)shard * layout->shard_size;
  SimulatorCounts counts = {0};
  float *kappa = NULL;
  double *theta = NULL;

  PetscFunctionBeginUser;
  PetscCall(declare_datasets(writer, recipe, shard_rows(layout, shard)));
  PetscCall(product_attribute_int(writer, NULL, "first_realisation", 1, &first));
  PetscCall(PetscMalloc2((size_t)(survey->bins * survey_ny(survey) * survey_nx(survey)), &kappa,
                         (size_t)prior_count(recipe->prior), &theta));
  const PetscErrorCode error =
      write_rows(writer, first, shard_rows(layout, shard), simulator, kappa, theta, &counts, progress, done);
  PetscCall(PetscFree2(kappa, theta));
  PetscCall(error);
  PetscCall(product_attribute_int(writer, NULL, "redrawn", 1, &counts.redrawn));
  PetscCall(product_attribute_int(writer, NULL, "without_nonlinear_scale", 1, &counts.linear_redshifts));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode shard_write(const ShardLayout *layout, PetscInt shard, const ShardRecipe *recipe, Simulator *simulator,
                           Progress *progress, WorkQueue *done)
{
  const ProductInfo info = {"shard", SHARD_FORMAT, recipe->configuration, recipe->seed};
  const SurveyConfig *survey = recipe->survey;
  const int64_t map = (int64_t)survey->bins * survey_ny(survey) * survey_nx(survey) * (int64_t)sizeof(float);
  char path[PETSC_MAX_PATH_LEN];
  ProductWriter *writer = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(shard_path(layout, shard, path));
  error = product_create(PETSC_COMM_SELF, path, &info, map * shard_rows(layout, shard), &writer);
  if (!error) error = fill_shard(writer, layout, shard, recipe, simulator, progress, done);
  if (!error) error = product_commit(writer, NULL);
  PetscCall(product_writer_destroy(&writer));
  PetscFunctionReturn(error);
}
