/** \file posterior.c  The posterior file of an observation, joined from its blocks of draws.  \ingroup inference */
#include "inference/internal.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

PetscErrorCode posterior_path(const InferenceSetup *setup, const char *folder, int64_t observation, char *path)
{
  const char *user = setup->infer->observation, *slash = strrchr(user, '/'), *name = slash ? slash + 1 : user;
  const char *dot = strrchr(name, '.');
  const int length = dot && dot > name ? (int)(dot - name) : (int)strlen(name);
  const int room = PETSC_MAX_PATH_LEN / 2 - 32;

  PetscFunctionBeginUser;
  if (*user)
    snprintf(path, PETSC_MAX_PATH_LEN, "%.*s/%s/%.*s.h5", room, setup->campaign->campaign, folder,
             PetscMin(length, room), name);
  else
    snprintf(path, PETSC_MAX_PATH_LEN, "%.*s/%s/observation-%05lld.h5", room, setup->campaign->campaign, folder,
             (long long)observation);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode posterior_is_done(const InferenceSetup *setup, const char *folder, int64_t observation, PetscBool *done)
{
  char path[PETSC_MAX_PATH_LEN], *configuration = NULL;
  ProductReader *reader = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(posterior_path(setup, folder, observation, path));
  *done = access(path, F_OK) ? PETSC_FALSE : PETSC_TRUE;
  if (!*done) PetscFunctionReturn(PETSC_SUCCESS);
  error = product_open(path, "posterior", POSTERIOR_FORMAT, &reader);
  if (!error) error = product_read_attribute_text(reader, NULL, "configuration", &configuration);
  if (!error)
    error =
        options_require_same(setup->options, SCOPE_SIMULATION | SCOPE_NETWORK | SCOPE_POSTERIOR, configuration, path);
  PetscCall(PetscFree(configuration));
  PetscCall(product_close(&reader));
  PetscFunctionReturn(error);
}

/* ---- joining ---- */

static PetscErrorCode read_part(PosteriorWorker *w, int64_t observation, PetscInt block, float *kappa, double *theta)
{
  char path[PETSC_MAX_PATH_LEN];
  ProductReader *reader = NULL;
  PetscInt first, count;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  part_range(w->setup, block, &first, &count);
  PetscCall(part_path(w, observation, block, path));
  error = product_open(path, "draws", 1, &reader);
  if (!error)
    error =
        product_read(reader, "kappa", H5T_NATIVE_FLOAT, 0, (hsize_t)count, kappa + (size_t)first * worker_map_size(w));
  if (!error)
    error = product_read(reader, "theta", H5T_NATIVE_DOUBLE, 0, (hsize_t)count,
                         theta + first * prior_count(w->setup->prior));
  PetscCall(product_close(&reader));
  PetscFunctionReturn(error);
}

/* Declare and write a dataset of this one rank at once. */
static PetscErrorCode put(ProductWriter *writer, const ProductDataset *dataset, const void *values)
{
  PetscFunctionBeginUser;
  PetscCall(product_declare(writer, dataset));
  PetscCall(product_write(writer, dataset->name, 0, dataset->rank ? dataset->shape[0] : 1, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode put_map(PosteriorWorker *w, ProductWriter *writer, const char *name, const char *description,
                              const float *map)
{
  const SurveyConfig *survey = w->setup->survey;

  PetscFunctionBeginUser;
  PetscCall(put(writer,
                &(ProductDataset){name,
                                  H5T_NATIVE_FLOAT,
                                  3,
                                  {(hsize_t)survey->bins, (hsize_t)survey_ny(survey), (hsize_t)survey_nx(survey)},
                                  DIGEST_WHOLE,
                                  "1",
                                  description},
                map));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Mean and standard deviation over draws, pixel by pixel. */
static PetscErrorCode put_moments(PosteriorWorker *w, ProductWriter *writer, const float *kappa)
{
  const size_t size = worker_map_size(w);
  const PetscInt draws = w->setup->infer->draws;
  float *mean = NULL, *std = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc2(size, &mean, size, &std));
  for (size_t i = 0; i < size; i++) {
    double sum = 0, square = 0;

    for (PetscInt d = 0; d < draws; d++) sum += kappa[(size_t)d * size + i];
    for (PetscInt d = 0; d < draws; d++) square += pow(kappa[(size_t)d * size + i] - sum / draws, 2);
    mean[i] = (float)(sum / draws);
    std[i] = (float)sqrt(square / (draws - 1));
  }
  PetscCall(put_map(w, writer, "mean/kappa", "mean of the drawn convergence [bin, y, x]", mean));
  PetscCall(put_map(w, writer, "std/kappa", "standard deviation of the drawn convergence [bin, y, x]", std));
  PetscCall(PetscFree2(mean, std));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode put_observation(PosteriorWorker *w, ProductWriter *writer)
{
  const SurveyConfig *survey = w->setup->survey;
  const hsize_t bins = (hsize_t)survey->bins, ny = (hsize_t)survey_ny(survey), nx = (hsize_t)survey_nx(survey);
  const ProductDataset shear = {"observation/shear",
                                H5T_NATIVE_FLOAT,
                                4,
                                {bins, 2, ny, nx},
                                DIGEST_WHOLE,
                                "1",
                                "observed shear [bin, component, y, x]"};
  const ProductDataset channels = {"observation/channels",
                                   H5T_NATIVE_FLOAT,
                                   3,
                                   {(hsize_t)observer_channels(w->observer), ny, nx},
                                   DIGEST_WHOLE,
                                   "1",
                                   "what the network was shown, not normalised [channel, y, x]"};
  const ProductDataset noise = {"observation/noise_std",
                                H5T_NATIVE_DOUBLE,
                                1,
                                {bins},
                                DIGEST_WHOLE,
                                "1",
                                "standard deviation of the noise per pixel"};
  const ProductDataset mask = {"observation/mask",   H5T_NATIVE_FLOAT, 2, {ny, nx}, DIGEST_WHOLE, "1",
                               "1 = observed [y, x]"};

  PetscFunctionBeginUser;
  if (survey->observation == OBSERVATION_SHEAR)
    PetscCall(put(writer, &shear, w->raw));
  else
    PetscCall(put_map(w, writer, "observation/convergence", "observed convergence [bin, y, x]", w->raw));
  PetscCall(put(writer, &channels, w->channels));
  PetscCall(put(writer, &noise, w->noise_std));
  if (w->mask) PetscCall(put(writer, &mask, w->mask));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What only a known truth allows: the truth itself, and the Wiener filter at the true parameters. */
static PetscErrorCode put_truth(PosteriorWorker *w, ProductWriter *writer)
{
  const ProductDataset theta = {
      "truth/theta", H5T_NATIVE_DOUBLE, 1, {(hsize_t)prior_count(w->setup->prior)}, DIGEST_WHOLE,
      "1",           "true parameters"};
  const LensingSpectra *spectra = NULL;
  float *filtered = NULL;

  PetscFunctionBeginUser;
  if (!w->truth) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(put_map(w, writer, "truth/kappa", "true convergence [bin, y, x]", w->truth));
  PetscCall(put(writer, &theta, w->truth_theta));
  if (w->mask) PetscFunctionReturn(PETSC_SUCCESS); /* the filter is diagonal in Fourier space without a mask only */
  PetscCall(PetscMalloc1(worker_map_size(w), &filtered));
  PetscCall(simulator_spectra(w->simulator, w->truth_theta, &spectra));
  PetscCall(wiener_filter(w->setup->survey, spectra, w->noise_std, w->raw, filtered));
  PetscCall(put_map(w, writer, "wiener/kappa", "Wiener filter of the observation at the true parameters [bin, y, x]",
                    filtered));
  PetscCall(PetscFree(filtered));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode put_draws(PosteriorWorker *w, ProductWriter *writer, int64_t observation, const float *kappa,
                                const double *theta)
{
  const SurveyConfig *survey = w->setup->survey;
  const hsize_t draws = (hsize_t)w->setup->infer->draws, parameters = (hsize_t)prior_count(w->setup->prior);
  const ProductDataset thetas = {
      "theta", H5T_NATIVE_DOUBLE, 2, {draws, parameters}, DIGEST_ROWS, "1", "drawn parameters [draw, parameter]"};
  const ProductDataset maps = {"kappa",
                               H5T_NATIVE_FLOAT,
                               4,
                               {draws, (hsize_t)survey->bins, (hsize_t)survey_ny(survey), (hsize_t)survey_nx(survey)},
                               DIGEST_ROWS,
                               "1",
                               "drawn convergence [draw, bin, y, x]"};
  char names[OPTION_TEXT_SIZE] = "";

  PetscFunctionBeginUser;
  PetscCall(put(writer, &thetas, theta));
  for (PetscInt p = 0; p < prior_count(w->setup->prior); p++) {
    PetscCall(PetscStrlcat(names, p ? "," : "", sizeof names));
    PetscCall(PetscStrlcat(names, prior_name(w->setup->prior, p), sizeof names));
  }
  PetscCall(product_attribute_text(writer, "theta", "parameters", names));
  if (observation < w->keep_maps || !w->reader) PetscCall(put(writer, &maps, kappa));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode fill_posterior(PosteriorWorker *w, ProductWriter *writer, int64_t observation, const float *kappa,
                                     const double *theta)
{
  const PosteriorDraws view = {
      observation, w->setup->infer->draws, prior_count(w->setup->prior), worker_map_size(w), kappa, theta,
      w->truth,    w->truth_theta};
  const int64_t step = w->model->step, realisation = w->setup->simulate->realisations - w->setup->train->held_out;
  const int64_t truth_index = w->reader ? realisation + observation : -1;

  PetscFunctionBeginUser;
  PetscCall(product_attribute_int(writer, NULL, "checkpoint_step", 1, &step));
  PetscCall(product_attribute_int(writer, NULL, "realisation", 1, &truth_index));
  PetscCall(product_attribute_real(writer, NULL, "field_of_view", 1, &w->setup->survey->field_of_view_deg));
  PetscCall(put_draws(w, writer, observation, kappa, theta));
  PetscCall(put_moments(w, writer, kappa));
  PetscCall(put_observation(w, writer));
  PetscCall(put_truth(w, writer));
  if (w->summary) PetscCall(w->summary(w->context, &view, writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_posterior(PosteriorWorker *w, int64_t observation, const float *kappa, const double *theta)
{
  const ProductInfo info = {"posterior", POSTERIOR_FORMAT, w->configuration, w->setup->campaign->seed};
  char path[PETSC_MAX_PATH_LEN];
  ProductWriter *writer = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(posterior_path(w->setup, w->folder, observation, path));
  error = product_create(PETSC_COMM_SELF, path, &info, 0, &writer);
  if (!error) error = fill_posterior(w, writer, observation, kappa, theta);
  if (!error) error = product_commit(writer, NULL);
  PetscCall(product_writer_destroy(&writer));
  PetscFunctionReturn(error);
}

PetscErrorCode posterior_join(PosteriorWorker *w, int64_t observation)
{
  const size_t draws = (size_t)w->setup->infer->draws;
  float *kappa = NULL;
  double *theta = NULL;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(worker_observe(w, observation));
  PetscCall(PetscMalloc2(draws * worker_map_size(w), &kappa, draws * (size_t)prior_count(w->setup->prior), &theta));
  for (PetscInt block = 0; block < w->blocks && !error; block++) error = read_part(w, observation, block, kappa, theta);
  if (!error) error = write_posterior(w, observation, kappa, theta);
  PetscCall(PetscFree2(kappa, theta));
  PetscCall(error);
  for (PetscInt block = 0; block < w->blocks; block++) { /* what they held is safe now */
    char path[PETSC_MAX_PATH_LEN];

    PetscCall(part_path(w, observation, block, path));
    unlink(path);
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}
