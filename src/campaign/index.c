/** \file index.c  sims/campaign.h5: all shards as one array, with a digest of each.  \ingroup campaign */
#include "campaign/internal.h"

#include <string.h>

/* Digest and counts of every shard, read from the shards themselves. */
static PetscErrorCode survey_shards(const ShardLayout *layout, uint64_t *digest, int64_t *redrawn, int64_t *linear)
{
  PetscFunctionBeginUser;
  *redrawn = *linear = 0;
  for (PetscInt shard = 0; shard < layout->shards; shard++) {
    ProductReader *reader = NULL;
    int64_t count[2] = {0, 0};
    PetscErrorCode error;

    error = shard_open(layout, shard, &reader);
    if (!error) error = product_digest(reader, &digest[shard]);
    if (!error) error = product_read_attribute_int(reader, NULL, "redrawn", 1, &count[0]);
    if (!error) error = product_read_attribute_int(reader, NULL, "without_nonlinear_scale", 1, &count[1]);
    PetscCall(product_close(&reader));
    PetscCall(error);
    *redrawn += count[0];
    *linear += count[1];
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode join_shards(ProductWriter *writer, const ShardLayout *layout, const ShardRecipe *recipe)
{
  const hsize_t total = (hsize_t)layout->realisations, bins = (hsize_t)recipe->survey->bins;
  const hsize_t ny = (hsize_t)survey_ny(recipe->survey), nx = (hsize_t)survey_nx(recipe->survey);
  const hsize_t parameters = (hsize_t)prior_count(recipe->prior);
  char(*name)[32] = NULL, names[OPTION_TEXT_SIZE];
  const char **file = NULL;
  hsize_t *rows = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc3(layout->shards, &name, layout->shards, &file, layout->shards, &rows));
  for (PetscInt i = 0; i < layout->shards; i++) {
    snprintf(name[i], sizeof name[i], "shard-%05d.h5", (int)i);
    file[i] = name[i];
    rows[i] = (hsize_t)shard_rows(layout, i);
  }
  PetscCall(product_declare_virtual(writer,
                                    &(ProductDataset){"kappa",
                                                      H5T_NATIVE_FLOAT,
                                                      4,
                                                      {total, bins, ny, nx},
                                                      DIGEST_ROWS,
                                                      "1",
                                                      "convergence [realisation, bin, y, x]"},
                                    (int)layout->shards, file, rows));
  PetscCall(product_declare_virtual(
      writer,
      &(ProductDataset){
          "theta", H5T_NATIVE_DOUBLE, 2, {total, parameters}, DIGEST_ROWS, "1", "parameters [realisation, parameter]"},
      (int)layout->shards, file, rows));
  PetscCall(prior_names(recipe->prior, names, sizeof names));
  PetscCall(product_attribute_text(writer, "theta", "parameters", names));
  PetscCall(PetscFree3(name, file, rows));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_contents(ProductWriter *writer, const ShardLayout *layout, const ShardRecipe *recipe)
{
  const int64_t shard_size = layout->shard_size;
  const ProductDataset digests = {
      "shard_digest", H5T_NATIVE_UINT64, 1, {(hsize_t)layout->shards}, DIGEST_WHOLE, "1", "digest of each shard"};
  int64_t redrawn, linear;
  uint64_t *digest = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscCalloc1(layout->shards, &digest));
  error = survey_shards(layout, digest, &redrawn, &linear);
  if (!error) error = product_declare(writer, &digests);
  if (!error) error = product_write(writer, "shard_digest", 0, (hsize_t)layout->shards, digest);
  PetscCall(PetscFree(digest));
  PetscCall(error);
  PetscCall(product_attribute_int(writer, NULL, "realisations", 1, &layout->realisations));
  PetscCall(product_attribute_int(writer, NULL, "shard_size", 1, &shard_size));
  PetscCall(product_attribute_int(writer, NULL, "redrawn", 1, &redrawn));
  PetscCall(product_attribute_int(writer, NULL, "without_nonlinear_scale", 1, &linear));
  PetscCall(join_shards(writer, layout, recipe));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode index_write(const ShardLayout *layout, const ShardRecipe *recipe)
{
  const ProductInfo info = {"campaign", CAMPAIGN_FORMAT, recipe->configuration, recipe->seed};
  char path[PETSC_MAX_PATH_LEN];
  ProductWriter *writer = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(index_path(layout->directory, path));
  error = product_create(PETSC_COMM_SELF, path, &info, 0, &writer);
  if (!error) error = write_contents(writer, layout, recipe);
  if (!error) error = product_commit(writer, NULL);
  PetscCall(product_writer_destroy(&writer));
  PetscFunctionReturn(error);
}
