/** \file part.c  A block of draws: the unit of work, published whole by the rank that made it.  \ingroup inference */
#include "inference/internal.h"

#include <unistd.h>

enum { PART_FORMAT = 1 };

void part_range(const InferenceSetup *setup, PetscInt block, PetscInt *first, PetscInt *count)
{
  *first = block * setup->infer->batch;
  *count = PetscMin(setup->infer->batch, setup->infer->draws - *first);
}

PetscErrorCode part_path(const PosteriorWorker *w, int64_t observation, PetscInt block, char *path)
{
  PetscFunctionBeginUser;
  snprintf(path, PETSC_MAX_PATH_LEN, "%.*s/%s/parts/observation-%05lld-block-%05d.h5", PETSC_MAX_PATH_LEN - 96,
           w->setup->campaign->campaign, w->folder, w->setup->infer->observation[0] ? 99999LL : (long long)observation,
           (int)block);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode fill_part(PosteriorWorker *w, ProductWriter *writer, PetscInt count, const float *kappa,
                                const double *theta)
{
  const SurveyConfig *survey = w->setup->survey;
  const hsize_t rows = (hsize_t)count;
  const int64_t step = w->model->step;

  PetscFunctionBeginUser;
  PetscCall(product_attribute_int(writer, NULL, "checkpoint_step", 1, &step));
  PetscCall(product_declare(
      writer, &(ProductDataset){"kappa",
                                H5T_NATIVE_FLOAT,
                                4,
                                {rows, (hsize_t)survey->bins, (hsize_t)survey_ny(survey), (hsize_t)survey_nx(survey)},
                                DIGEST_ROWS,
                                "1",
                                "drawn convergence [draw, bin, y, x]"}));
  PetscCall(product_declare(writer, &(ProductDataset){"theta",
                                                      H5T_NATIVE_DOUBLE,
                                                      2,
                                                      {rows, (hsize_t)prior_count(w->setup->prior)},
                                                      DIGEST_ROWS,
                                                      "1",
                                                      "drawn parameters [draw, parameter]"}));
  PetscCall(product_write(writer, "kappa", 0, rows, kappa));
  PetscCall(product_write(writer, "theta", 0, rows, theta));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode publish_part(PosteriorWorker *w, const char *path, PetscInt count, const float *kappa,
                                   const double *theta)
{
  const ProductInfo info = {"draws", PART_FORMAT, w->configuration, w->setup->campaign->seed};
  ProductWriter *writer = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = product_create(PETSC_COMM_SELF, path, &info, (int64_t)count * (int64_t)worker_map_size(w) * 4, &writer);
  if (!error) error = fill_part(w, writer, count, kappa, theta);
  if (!error) error = product_commit(writer, NULL);
  PetscCall(product_writer_destroy(&writer));
  PetscFunctionReturn(error);
}

PetscErrorCode part_write(PosteriorWorker *w, int64_t observation, PetscInt block)
{
  const RandomKey key = {(uint64_t)w->setup->campaign->seed, STREAM_POSTERIOR, 2 * (uint64_t)observation + 1};
  char path[PETSC_MAX_PATH_LEN];
  float *kappa = NULL;
  double *theta = NULL;
  PetscInt first, count;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  part_range(w->setup, block, &first, &count);
  PetscCall(part_path(w, observation, block, path));
  PetscCall(worker_observe(w, observation));
  PetscCall(PetscMalloc2((size_t)count * worker_map_size(w), &kappa,
                         (size_t)count * (size_t)prior_count(w->setup->prior), &theta));
  error = sampler_draw(w->sampler, w->channels, key, first, count, kappa, theta);
  if (!error) error = publish_part(w, path, count, kappa, theta);
  PetscCall(PetscFree2(kappa, theta));
  PetscFunctionReturn(error);
}

PetscErrorCode part_is_done(const PosteriorWorker *w, int64_t observation, PetscInt block, PetscBool *done)
{
  char path[PETSC_MAX_PATH_LEN], *configuration = NULL;
  ProductReader *reader = NULL;
  int64_t step = -1;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  *done = PETSC_FALSE;
  PetscCall(part_path(w, observation, block, path));
  if (access(path, F_OK)) PetscFunctionReturn(PETSC_SUCCESS);
  error = product_open(path, "draws", PART_FORMAT, &reader);
  if (!error) error = product_read_attribute_text(reader, NULL, "configuration", &configuration);
  if (!error) error = options_require_same(w->setup->options, ~0u, configuration, path);
  if (!error) error = product_read_attribute_int(reader, NULL, "checkpoint_step", 1, &step);
  if (!error) error = product_verify(reader);
  PetscCall(PetscFree(configuration));
  PetscCall(product_close(&reader));
  *done = !error && step == w->model->step ? PETSC_TRUE : PETSC_FALSE;
  if (error) error_clear();
  PetscFunctionReturn(PETSC_SUCCESS);
}
