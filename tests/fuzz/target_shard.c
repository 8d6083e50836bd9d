/** \file target_shard.c  The maps of a campaign: its index, and two shards of it.  An input is a list of edits
 * (tree.h), whose flags also choose who reads them. */
#include "campaign/internal.h"
#include "tree.h"

enum { VERIFY = 2 }; /* a flag: as nephrite-simulate does, instead of reading maps */

enum { FILES = 3 };
static const char *const names[FILES] = {"sims/campaign.h5", "sims/shard-00000.h5", "sims/shard-00001.h5"};
static char copy[FILES][PETSC_MAX_PATH_LEN];
static Tree *tree;
static float *kappa; /* [bins][ny][nx] */
static double *theta; /* [parameters] */

PetscErrorCode fuzz_prepare(const Fuzz *fuzz)
{
  char from[FILES][PETSC_MAX_PATH_LEN], sims[PETSC_MAX_PATH_LEN], campaign[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  fuzz_path(campaign, fuzz->seeds, "campaign");
  fuzz_path(sims, fuzz->scratch, "sims");
  PetscCall(product_directory(PETSC_COMM_SELF, sims));
  for (int i = 0; i < FILES; i++) {
    fuzz_path(from[i], campaign, names[i]);
    fuzz_path(copy[i], fuzz->scratch, names[i]);
  }
  PetscCall(tree_create(FILES, from, copy, &tree));
  PetscCall(PetscMalloc1(survey_map_values(&fuzz->configuration.survey), &kappa));
  PetscCall(PetscMalloc1((size_t)prior_count(fuzz->prior), &theta));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The index has a digest of each shard, of the digests in it. */
static void seal_index(void)
{
  uint64_t digest[FILES - 1] = {0};
  const hid_t index = H5Fopen(copy[0], H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t dataset = H5Dopen2(index, "shard_digest", H5P_DEFAULT);

  for (int i = 1; i < FILES; i++) {
    ProductReader *reader = NULL;

    if (product_open(copy[i], "shard", SHARD_FORMAT, &reader) || product_digest(reader, &digest[i - 1]))
      digest[i - 1] = 0;
    if (product_close(&reader)) digest[i - 1] = 0;
  }
  const hid_t space = H5Dget_space(dataset);
  const hid_t list = H5Dget_create_plist(dataset);
  if (H5Sget_simple_extent_npoints(space) == FILES - 1 && H5Pget_layout(list) != H5D_VIRTUAL)
    H5Dwrite(dataset, H5T_NATIVE_UINT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, digest);
  H5Pclose(list);
  H5Sclose(space);
  H5Dclose(dataset);
  tree_seal_dataset(index, "shard_digest");
  H5Fclose(index);
  tree_spoil(tree, 0);
  error_clear();
}

static PetscErrorCode read_maps(const Fuzz *fuzz)
{
  CampaignReader *reader = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error = campaign_reader_open(fuzz->scratch, fuzz->options, &reader);
  const int64_t last = error ? 0 : campaign_reader_count(reader) - 1;
  if (!error) error = campaign_reader_get(reader, 0, kappa, theta);
  if (!error) error = campaign_reader_get(reader, last, kappa, theta); /* of another shard */
  PetscCall(campaign_reader_close(&reader));
  PetscFunctionReturn(error);
}

/* As nephrite-simulate does before it keeps a shard. */
static PetscErrorCode verify(const char *path)
{
  ProductReader *reader = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error = product_open(path, "shard", SHARD_FORMAT, &reader);
  if (!error) error = product_verify(reader);
  PetscCall(product_close(&reader));
  PetscFunctionReturn(error);
}

void fuzz_read(const Fuzz *fuzz, const uint8_t *bytes, size_t size)
{
  tree_edit(tree, bytes, size);
  if (size > TREE_RECORD && bytes[0] & TREE_SEAL) seal_index();
  if (size && bytes[0] & VERIFY)
    for (int i = 1; i < FILES; i++) fuzz_judge(verify(copy[i]));
  else
    fuzz_judge(read_maps(fuzz));
}
