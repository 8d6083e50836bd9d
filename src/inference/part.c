/** \file part.c  A block of draws: the unit of work, published whole by the rank that made it.  \ingroup inference */
#include "inference/internal.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

enum { PART_FORMAT = 2 }; /* 2: drawn by infer_solver */

/* A block of draws, or what there is of it so far. */
static const char *kind_of(const Block *block)
{
  return block->state ? "chain" : "draws";
}

/* ---- blocks ---- */

static void block_range(const Worker *w, PetscInt index, Block *block)
{
  block->first = index * w->block_draws;
  block->count = PetscMin(w->block_draws, w->setup->infer->draws - block->first);
  block->moments.count = block->count;
}

PetscInt block_trace(const Worker *w)
{
  return w->method->traced ? w->block_draws * w->thinning : 0;
}

PetscErrorCode block_create(const Worker *w, Block *block)
{
  const size_t draws = (size_t)PetscMax(w->block_draws, 1), size = worker_map_size(w);

  PetscFunctionBeginUser;
  PetscCall(PetscCalloc5(draws * size, &block->kappa, draws * (size_t)prior_count(w->setup->prior), &block->theta, size,
                         &block->moments.mean, size, &block->moments.square, w->farm->tally ? w->farm->tally->size : 0,
                         &block->tally));
  PetscCall(PetscCalloc1((size_t)block_trace(w) * TRACE_COLUMNS, &block->trace));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode block_destroy(Block *block)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree5(block->kappa, block->theta, block->moments.mean, block->moments.square, block->tally));
  PetscCall(PetscFree(block->trace));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What follows from the draws. */
static PetscErrorCode sum_up(Worker *w, int64_t observation, Block *block)
{
  const PosteriorTally *tally = w->farm->tally;

  PetscFunctionBeginUser;
  moments_measure(worker_map_size(w), block->kappa, &block->moments);
  if (!tally) PetscFunctionReturn(PETSC_SUCCESS);
  const PosteriorDraws draws = {.observation = observation,
                                .draws = block->count,
                                .parameters = prior_count(w->setup->prior),
                                .map_size = worker_map_size(w),
                                .kappa = block->kappa,
                                .theta = block->theta,
                                .truth_kappa = w->truth,
                                .truth_theta = w->truth_theta};
  PetscCall(tally->add(tally->context, &draws, block->tally));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- their files ---- */

/* `<folder>/parts/` and `observation-00007-block-`. */
static PetscErrorCode part_names(const Worker *w, int64_t observation, char *folder, char *prefix)
{
  char whole[PETSC_MAX_PATH_LEN];
  const char *name;

  PetscFunctionBeginUser;
  PetscCall(posterior_path(w->setup, w->farm->folder, observation, whole));
  name = strrchr(whole, '/') + 1;
  snprintf(folder, PETSC_MAX_PATH_LEN, "%.*sparts/", (int)(name - whole), whole);
  snprintf(prefix, PETSC_MAX_PATH_LEN, "%.*s-block-", (int)strlen(name) - (int)strlen(".h5"), name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* `<folder>/parts/observation-00007-block-00002.h5`, or with the name of a user's file; of a chain that has not ended
 * `-block-00002-begun.h5`. */
static PetscErrorCode part_path(const Worker *w, int64_t observation, const Block *block, char *path)
{
  const int index = (int)(block->first / w->block_draws);
  char folder[PETSC_MAX_PATH_LEN], prefix[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  PetscCall(part_names(w, observation, folder, prefix));
  PetscCheck(snprintf(path, PETSC_MAX_PATH_LEN, "%s%s%05d%s.h5", folder, prefix, index, block->state ? "-begun" : "") <
                 PETSC_MAX_PATH_LEN,
             PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "the name %s%s is too long", folder, prefix);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode part_remove(const Worker *w, int64_t observation)
{
  char folder[PETSC_MAX_PATH_LEN], prefix[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  PetscCall(part_names(w, observation, folder, prefix));
  DIR *directory = opendir(folder);
  if (!directory) PetscFunctionReturn(PETSC_SUCCESS);
  for (const struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
    if (!strncmp(entry->d_name, prefix, strlen(prefix))) unlinkat(dirfd(directory), entry->d_name, 0);
  closedir(directory);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* One dataset of a part: what to write, or where to read to. */
typedef struct {
  ProductDataset dataset;
  void *values;
} PartDataset;

enum { PART_DATASETS = 6 };

/* \param[out] list  \param[out] count of them: of a chain that has not ended what is wanted to go on; of a block no
 * maps where they are not kept, no tally where there is none */
static void list_datasets(const Worker *w, int64_t observation, const Block *block, PartDataset list[PART_DATASETS],
                          int *count)
{
  const SurveyConfig *survey = w->setup->survey;
  const hsize_t rows = (hsize_t)block->count, bins = (hsize_t)survey->bins;
  const hsize_t ny = (hsize_t)survey_ny(survey), nx = (hsize_t)survey_nx(survey);
  const hsize_t parameters = (hsize_t)prior_count(w->setup->prior);

  *count = 0;
  list[(*count)++] = (PartDataset){
      {"theta", H5T_NATIVE_DOUBLE, 2, {rows, parameters}, DIGEST_ROWS, "1", "drawn parameters"}, block->theta};
  if (worker_keeps_maps(w, observation) || block->state)
    list[(*count)++] = (PartDataset){
        {"kappa", H5T_NATIVE_FLOAT, 4, {rows, bins, ny, nx}, DIGEST_ROWS, "1", "drawn convergence"}, block->kappa};
  if (w->method->traced)
    list[(*count)++] = (PartDataset){{"trace",
                                      H5T_NATIVE_DOUBLE,
                                      2,
                                      {(hsize_t)block_trace(w), TRACE_COLUMNS},
                                      DIGEST_ROWS,
                                      "1",
                                      "what the sampler says of each step"},
                                     block->trace};
  if (block->state) {
    list[(*count)++] = (PartDataset){
        {"state", H5T_NATIVE_DOUBLE, 1, {(hsize_t)block->state_size}, DIGEST_WHOLE, "1", "of the sampler"},
        block->state};
    return;
  }
  list[(*count)++] =
      (PartDataset){{"mean", H5T_NATIVE_DOUBLE, 3, {bins, ny, nx}, DIGEST_WHOLE, "1", "mean of the drawn convergence"},
                    block->moments.mean};
  list[(*count)++] = (PartDataset){
      {"square", H5T_NATIVE_DOUBLE, 3, {bins, ny, nx}, DIGEST_WHOLE, "1", "sum of squared deviations from that mean"},
      block->moments.square};
  if (w->farm->tally)
    list[(*count)++] = (PartDataset){{"tally",
                                      H5T_NATIVE_INT64,
                                      1,
                                      {(hsize_t)w->farm->tally->size},
                                      DIGEST_WHOLE,
                                      "1",
                                      "numbers that add up over draws"},
                                     block->tally};
}

static PetscErrorCode write_datasets(Worker *w, int64_t observation, const Block *block, ProductWriter *writer)
{
  const int64_t first = block->first;
  PartDataset list[PART_DATASETS];
  int count;

  PetscFunctionBeginUser;
  PetscCall(origin_write(w, observation, writer));
  PetscCall(product_attribute_int(writer, NULL, "first_draw", 1, &first));
  if (block->state) PetscCall(product_attribute_int(writer, NULL, "steps", 1, &block->steps));
  list_datasets(w, observation, block, list, &count);
  for (int i = 0; i < count; i++) {
    PetscCall(product_declare(writer, &list[i].dataset));
    PetscCall(product_write(writer, list[i].dataset.name, 0, list[i].dataset.shape[0], list[i].values));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode publish(Worker *w, int64_t observation, const Block *block)
{
  const ProductInfo info = {kind_of(block), PART_FORMAT, w->configuration, w->setup->campaign->seed};
  const int64_t maps = worker_keeps_maps(w, observation) || block->state ? block->count : 0;
  char path[PETSC_MAX_PATH_LEN];
  ProductWriter *writer = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(part_path(w, observation, block, path));
  error = product_create(PETSC_COMM_SELF, path, &info, (maps * 4 + 16) * (int64_t)worker_map_size(w), &writer);
  if (!error) error = write_datasets(w, observation, block, writer);
  if (!error) error = product_commit(writer, NULL);
  PetscCall(product_writer_destroy(&writer));
  PetscFunctionReturn(error);
}

PetscErrorCode part_write(Worker *w, int64_t observation, PetscInt index)
{
  const RandomKey key = {(uint64_t)w->setup->campaign->seed, STREAM_POSTERIOR,
                         (uint64_t)worker_realisation(w, observation)};
  Block block = {0};
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = worker_observe(w, observation);
  if (!error && w->leads) error = block_create(w, &block);
  block_range(w, index, &block);
  error = group_agree(w->group, error);
  if (!error) error = w->method->draw(w, key, &block);
  if (!error && w->leads) error = sum_up(w, observation, &block);
  if (!error && w->leads) error = publish(w, observation, &block);
  PetscCall(block_destroy(&block));
  PetscCall(group_agree(w->group, error));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_datasets(Worker *w, int64_t observation, ProductReader *reader, const Block *block)
{
  PartDataset list[PART_DATASETS];
  int count;

  PetscFunctionBeginUser;
  list_datasets(w, observation, block, list, &count);
  for (int i = 0; i < count; i++) {
    const ProductDataset *d = &list[i].dataset;

    PetscCall(product_read_all(reader, d->name, d->type, d->rank, d->shape, list[i].values));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode part_read(Worker *w, int64_t observation, PetscInt index, Block *block)
{
  char path[PETSC_MAX_PATH_LEN];
  ProductReader *reader = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  block_range(w, index, block);
  PetscCall(part_path(w, observation, block, path));
  error = product_open(path, kind_of(block), PART_FORMAT, &reader);
  if (!error) error = read_datasets(w, observation, reader, block);
  PetscCall(product_close(&reader));
  PetscFunctionReturn(error);
}

/* ---- what an earlier run has left ---- */

/* Has the part every dataset in the shape that is wanted now? */
static PetscErrorCode has_datasets(const Worker *w, int64_t observation, const Block *block, ProductReader *reader,
                                   PetscBool *has)
{
  PartDataset list[PART_DATASETS];
  int count;

  PetscFunctionBeginUser;
  *has = PETSC_TRUE;
  list_datasets(w, observation, block, list, &count);
  for (int i = 0; i < count && *has; i++) {
    hsize_t shape[PRODUCT_MAX_RANK];

    PetscCall(product_has(reader, list[i].dataset.name, has));
    if (!*has) break;
    PetscCall(product_shape(reader, list[i].dataset.name, NULL, shape));
    *has = shape[0] == list[i].dataset.shape[0] ? PETSC_TRUE : PETSC_FALSE;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode examine(Worker *w, int64_t observation, const char *path, const Block *block, PetscBool *fits)
{
  const unsigned scope = w->method->scope | SCOPE_CALIBRATION;
  ProductReader *reader = NULL;
  int64_t first = -1;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = product_open(path, kind_of(block), PART_FORMAT, &reader);
  if (!error) error = origin_require(w, scope, reader, path);
  if (!error) error = product_read_attribute_int(reader, NULL, "first_draw", 1, &first);
  if (!error) error = origin_compare(w, observation, reader, fits);
  if (first != block->first) *fits = PETSC_FALSE;
  if (!error && *fits) error = has_datasets(w, observation, block, reader, fits);
  if (!error && *fits) error = product_verify(reader);
  PetscCall(product_close(&reader));
  PetscFunctionReturn(error);
}

/* Is the file of this block there, sound and ours?  Another one is no error. */
static PetscErrorCode is_there(Worker *w, int64_t observation, const Block *block, PetscBool *there)
{
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  *there = PETSC_FALSE;
  PetscCall(part_path(w, observation, block, path));
  if (access(path, F_OK)) PetscFunctionReturn(PETSC_SUCCESS);
  const PetscErrorCode error = examine(w, observation, path, block, there);
  if (error) *there = PETSC_FALSE;
  if (error == (PetscErrorCode)NEPHRITE_ERR_INPUT)
    error_clear();
  else
    PetscCall(error);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode part_is_done(Worker *w, int64_t observation, PetscInt index, PetscBool *done)
{
  Block block = {0};

  PetscFunctionBeginUser;
  block_range(w, index, &block);
  PetscCall(is_there(w, observation, &block, done));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- chains that have not ended ---- */

PetscErrorCode chain_save(Worker *w, const Block *block)
{
  PetscFunctionBeginUser;
  PetscCall(publish(w, w->observation, block));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode read_steps(const Worker *w, const char *path, const Block *block, int64_t *steps)
{
  ProductReader *reader = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = product_open(path, kind_of(block), PART_FORMAT, &reader);
  if (!error) error = origin_require(w, w->method->scope, reader, path);
  if (!error) error = product_read_attribute_int(reader, NULL, "steps", 1, steps);
  PetscCall(product_close(&reader));
  PetscFunctionReturn(error);
}

PetscErrorCode chain_steps(Worker *w, int64_t observation, PetscInt index, int64_t *steps)
{
  double any = 0;
  Block block = {.state = &any}; /* looked for by the name of a chain */
  char path[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  *steps = 0;
  block_range(w, index, &block);
  PetscCall(part_path(w, observation, &block, path));
  if (access(path, F_OK)) PetscFunctionReturn(PETSC_SUCCESS);
  const PetscErrorCode error = read_steps(w, path, &block, steps);
  if (error == (PetscErrorCode)NEPHRITE_ERR_INPUT) {
    *steps = 0;
    error_clear();
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscFunctionReturn(error);
}

PetscErrorCode chain_resume(Worker *w, Block *block, PetscBool *resumed)
{
  PetscFunctionBeginUser;
  PetscCall(is_there(w, w->observation, block, resumed));
  if (*resumed) PetscCall(part_read(w, w->observation, block->first / w->block_draws, block));
  PetscFunctionReturn(PETSC_SUCCESS);
}
