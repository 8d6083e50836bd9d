/** \file contents.c  What a posterior file holds beside the draws.  \ingroup inference */
#include "inference/internal.h"

#include <inttypes.h>
#include <math.h>

/* Declare and write a dataset of this one rank at once. */
static PetscErrorCode put(ProductWriter *writer, const ProductDataset *dataset, const void *values)
{
  PetscFunctionBeginUser;
  PetscCall(product_declare(writer, dataset));
  PetscCall(product_write(writer, dataset->name, 0, dataset->shape[0], values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode put_map(const Worker *w, ProductWriter *writer, const char *name, const char *description,
                              const float *map)
{
  const SurveyConfig *survey = w->setup->survey;
  const ProductDataset dataset = {name,
                                  H5T_NATIVE_FLOAT,
                                  3,
                                  {(hsize_t)survey->bins, (hsize_t)survey_ny(survey), (hsize_t)survey_nx(survey)},
                                  DIGEST_WHOLE,
                                  "1",
                                  description};

  PetscFunctionBeginUser;
  PetscCall(put(writer, &dataset, map));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode contents_moments(const Worker *w, const Moments *moments, ProductWriter *writer)
{
  const size_t size = worker_map_size(w);
  float *map = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1(size, &map));
  for (size_t i = 0; i < size; i++) map[i] = (float)moments->mean[i];
  error = put_map(w, writer, "mean/kappa", "mean of the drawn convergence [bin, y, x]", map);
  for (size_t i = 0; i < size; i++) map[i] = (float)sqrt(moments->square[i] / (moments->count - 1));
  if (!error) error = put_map(w, writer, "std/kappa", "standard deviation of the drawn convergence [bin, y, x]", map);
  PetscCall(PetscFree(map));
  PetscFunctionReturn(error);
}

/* ---- Markov chains ---- */

/* \param name  and description */
static PetscErrorCode put_numbers(ProductWriter *writer, const char *const name[2], PetscInt count,
                                  const double *values)
{
  const ProductDataset dataset = {name[0], H5T_NATIVE_DOUBLE, 1, {(hsize_t)count}, DIGEST_WHOLE, "1", name[1]};

  PetscFunctionBeginUser;
  PetscCall(put(writer, &dataset, values));
  PetscFunctionReturn(PETSC_SUCCESS);
}

enum { R_HAT, ESS_BULK, ESS_TAIL, DIAGNOSTICS };

/* One parameter over all chains.  \param value [draws] work space  \param[out] found [DIAGNOSTICS] */
static PetscErrorCode diagnose(const Worker *w, const double *theta, PetscInt parameter, double *value, double *found)
{
  const PetscInt parameters = prior_count(w->setup->prior);
  McmcDiagnostics diagnostics;

  PetscFunctionBeginUser;
  for (PetscInt d = 0; d < w->setup->infer->draws; d++) value[d] = theta[d * parameters + parameter];
  PetscCall(mcmc_diagnose(w->blocks, w->block_draws, value, &diagnostics));
  found[R_HAT] = diagnostics.r_hat;
  found[ESS_BULK] = diagnostics.ess_bulk;
  found[ESS_TAIL] = diagnostics.ess_tail;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The worst of all parameters.  \param value [parameters] */
static PetscInt worst(const Prior *prior, const double *value, PetscBool largest)
{
  PetscInt at = -1;

  for (PetscInt p = 0; p < prior_count(prior); p++)
    if (isfinite(value[p]) && (at < 0 || (largest ? value[p] > value[at] : value[p] < value[at]))) at = p;
  return at;
}

static void say_diagnostics(const Worker *w, double all[DIAGNOSTICS][NEPHRITE_MAX_PARAMETERS])
{
  const Prior *const prior = w->setup->prior;
  const PetscInt mixed = worst(prior, all[R_HAT], PETSC_TRUE), bulk = worst(prior, all[ESS_BULK], PETSC_FALSE),
                 tail = worst(prior, all[ESS_TAIL], PETSC_FALSE);

  if (mixed < 0 || bulk < 0 || tail < 0) return; /* nothing is free, or no chain has moved */
  printf("%-9s observation %" PRId64 ": R-hat up to %.4f (%s), of effective draws %.0f (%s), in the tails %.0f (%s)\n",
         w->farm->folder, w->observation, all[R_HAT][mixed], prior_name(prior, mixed), all[ESS_BULK][bulk],
         prior_name(prior, bulk), all[ESS_TAIL][tail], prior_name(prior, tail));
}

static PetscErrorCode put_diagnostics(const Worker *w, const double *theta, double *value, ProductWriter *writer)
{
  static const char *const name[][2] = {
      [R_HAT] = {"diagnostics/r_hat",
                 "rank-normalised split R-hat of each parameter's chains; 1 where they have mixed"},
      [ESS_BULK] = {"diagnostics/ess_bulk", "effective number of draws of each parameter"},
      [ESS_TAIL] = {"diagnostics/ess_tail", "effective number of draws for its 5% and 95% quantiles"}};
  const PetscInt parameters = prior_count(w->setup->prior);
  double all[DIAGNOSTICS][NEPHRITE_MAX_PARAMETERS], found[DIAGNOSTICS] = {0};

  PetscFunctionBeginUser;
  for (PetscInt p = 0; p < parameters; p++) {
    PetscCall(diagnose(w, theta, p, value, found));
    for (int k = 0; k < DIAGNOSTICS; k++) all[k][p] = found[k];
  }
  for (int k = 0; k < DIAGNOSTICS; k++) PetscCall(put_numbers(writer, name[k], parameters, all[k]));
  say_diagnostics(w, all);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode contents_diagnostics(const Worker *w, const double *theta, ProductWriter *writer)
{
  enum { LEAST_DRAWS = 8 }; /* of each chain: mcmc_diagnose() */
  double *value = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  if (w->block_draws < LEAST_DRAWS) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscMalloc1(w->setup->infer->draws, &value));
  error = put_diagnostics(w, theta, value, writer);
  PetscCall(PetscFree(value));
  PetscFunctionReturn(error);
}

static const ProductDataset trace_datasets[TRACE_COLUMNS] = {
    [TRACE_LOG_DENSITY] = {.name = "chain/log_density",
                           .description = "log-density of map and parameters, up to a constant"},
    [TRACE_ENERGY] = {.name = "chain/energy", .description = "of position and momenta"},
    [TRACE_ACCEPTANCE] = {.name = "chain/acceptance", .description = "mean acceptance along the trajectory"},
    [TRACE_STEP_SIZE] = {.name = "chain/step_size", .description = "of the leapfrog integrator"},
    [TRACE_DEPTH] = {.name = "chain/depth", .description = "doublings of the trajectory"},
    [TRACE_ACCEPTED] = {.name = "chain/accepted",
                        .description = "probability with which the exact density took the trajectory's end"},
    [TRACE_GRADIENTS] = {.name = "chain/gradients", .description = "gradients taken"},
    [TRACE_DIVERGENT] = {.name = "chain/divergent", .description = "1: the energy was not kept, 0: it was"}};

/* One column of all chains.  \param column [blocks][steps] work space */
static PetscErrorCode put_column(const Worker *w, const double *trace, TraceColumn which, double *column,
                                 ProductWriter *writer)
{
  const PetscInt steps = block_trace(w);
  ProductDataset dataset = trace_datasets[which];

  PetscFunctionBeginUser;
  dataset.type = H5T_NATIVE_DOUBLE;
  dataset.rank = 2;
  dataset.shape[0] = (hsize_t)w->blocks;
  dataset.shape[1] = (hsize_t)steps;
  dataset.digest = DIGEST_WHOLE;
  dataset.units = "1";
  for (PetscInt i = 0; i < w->blocks * steps; i++) column[i] = trace[i * TRACE_COLUMNS + (PetscInt)which];
  PetscCall(put(writer, &dataset, column));
  PetscFunctionReturn(PETSC_SUCCESS);
}

enum { E_BFMI, DIVERGENCES, ACCEPTED, HEALTH };

/* One chain.  \param columns [TRACE_COLUMNS][blocks][steps]  \param[out] health [HEALTH][blocks] */
static void judge_chain(const Worker *w, const double *columns, PetscInt chain, double *health)
{
  const PetscInt steps = block_trace(w), size = w->blocks * steps;
  const double *const energy = columns + TRACE_ENERGY * size + chain * steps;
  const double *const divergent = columns + TRACE_DIVERGENT * size + chain * steps;
  const double *const accepted = columns + TRACE_ACCEPTED * size + chain * steps;

  health[E_BFMI * w->blocks + chain] = mcmc_e_bfmi(steps, energy);
  health[DIVERGENCES * w->blocks + chain] = health[ACCEPTED * w->blocks + chain] = 0;
  for (PetscInt i = 0; i < steps; i++) {
    health[DIVERGENCES * w->blocks + chain] += divergent[i];
    health[ACCEPTED * w->blocks + chain] += accepted[i] / (double)steps;
  }
}

static void say_health(const Worker *w, const double *health)
{
  double divergences = 0, mixing = INFINITY, accepted = INFINITY;

  for (PetscInt c = 0; c < w->blocks; c++) {
    divergences += health[DIVERGENCES * w->blocks + c];
    mixing = fmin(mixing, health[E_BFMI * w->blocks + c]);
    accepted = fmin(accepted, health[ACCEPTED * w->blocks + c]);
  }
  printf("%-9s observation %" PRId64 ": %.0f of %" PetscInt_FMT
         " trajectories diverged, E-BFMI at least %.2f, ends accepted at least %.0f%%%s\n",
         w->farm->folder, w->observation, divergences, w->blocks * block_trace(w), mixing, 100 * accepted,
         accepted < 0.5 ? ": -infer_emulator false would be better" : "");
}

/* \param columns [TRACE_COLUMNS][blocks][steps] */
static PetscErrorCode put_health(const Worker *w, const double *columns, ProductWriter *writer)
{
  static const char *const name[HEALTH][2] = {
      [E_BFMI] = {"diagnostics/e_bfmi", "how well each chain explores its energies (Betancourt 2016); below 0.3 badly"},
      [DIVERGENCES] = {"diagnostics/divergences", "steps of each chain whose trajectory diverged"},
      [ACCEPTED] = {"diagnostics/accepted",
                    "share of trajectories' ends that the exact density accepted, of each chain"}};
  double *health = NULL;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1(HEALTH * (size_t)w->blocks, &health));
  for (PetscInt c = 0; c < w->blocks; c++) judge_chain(w, columns, c, health);
  for (int k = 0; k < HEALTH && !error; k++) error = put_numbers(writer, name[k], w->blocks, health + k * w->blocks);
  say_health(w, health);
  PetscCall(PetscFree(health));
  PetscFunctionReturn(error);
}

PetscErrorCode contents_trace(const Worker *w, const double *trace, ProductWriter *writer)
{
  const PetscInt size = w->blocks * block_trace(w);
  double *columns = NULL;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1(TRACE_COLUMNS * (size_t)size, &columns));
  for (int k = 0; k < TRACE_COLUMNS && !error; k++)
    error = put_column(w, trace, (TraceColumn)k, columns + k * size, writer);
  if (!error) error = put_health(w, columns, writer);
  PetscCall(PetscFree(columns));
  PetscFunctionReturn(error);
}

/* ---- maps and what was observed ---- */

PetscErrorCode contents_estimate(const Worker *w, const float *kappa, ProductWriter *writer)
{
  PetscFunctionBeginUser;
  PetscCall(put_map(w, writer, "estimate/kappa", w->method->description, kappa));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode put_raw(const Worker *w, ProductWriter *writer)
{
  const SurveyConfig *survey = w->setup->survey;
  const ProductDataset shear = {"observation/shear",
                                H5T_NATIVE_FLOAT,
                                4,
                                {(hsize_t)survey->bins, 2, (hsize_t)survey_ny(survey), (hsize_t)survey_nx(survey)},
                                DIGEST_WHOLE,
                                "1",
                                "observed shear [bin, component, y, x]"};

  PetscFunctionBeginUser;
  if (survey->observation == OBSERVATION_SHEAR)
    PetscCall(put(writer, &shear, w->raw));
  else
    PetscCall(put_map(w, writer, "observation/convergence", "observed convergence [bin, y, x]", w->raw));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode put_observation(const Worker *w, ProductWriter *writer)
{
  const SurveyConfig *survey = w->setup->survey;
  const hsize_t ny = (hsize_t)survey_ny(survey), nx = (hsize_t)survey_nx(survey);
  const ProductDataset channels = {"observation/channels",
                                   H5T_NATIVE_FLOAT,
                                   3,
                                   {(hsize_t)observer_channels(w->observer), ny, nx},
                                   DIGEST_WHOLE,
                                   "1",
                                   "what the network was shown, not normalised [channel, y, x]"};
  const ProductDataset noise = {"observation/noise_std",
                                H5T_NATIVE_DOUBLE,
                                survey->counts[0] ? 3 : 1,
                                {(hsize_t)survey->bins, ny, nx},
                                DIGEST_WHOLE,
                                "1",
                                survey->counts[0] ? "standard deviation of the noise per component [bin, y, x]"
                                                  : "standard deviation of the noise per pixel and component [bin]"};
  const ProductDataset mask = {"observation/mask",   H5T_NATIVE_FLOAT, 2, {ny, nx}, DIGEST_WHOLE, "1",
                               "1 = observed [y, x]"};

  PetscFunctionBeginUser;
  PetscCall(put_raw(w, writer));
  PetscCall(put(writer, &channels, w->channels));
  PetscCall(put(writer, &noise, w->noise_std));
  if (w->mask) PetscCall(put(writer, &mask, w->mask));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The Wiener filter at the true parameters: what a linear method does at best. */
static PetscErrorCode put_wiener(Worker *w, ProductWriter *writer)
{
  float *filtered = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc1(worker_map_size(w), &filtered));
  error = worker_wiener(w, w->truth_theta, filtered);
  if (!error)
    error = put_map(w, writer, "wiener/kappa", "Wiener filter of the observation at the true parameters [bin, y, x]",
                    filtered);
  PetscCall(PetscFree(filtered));
  PetscFunctionReturn(error);
}

static PetscErrorCode put_truth(Worker *w, ProductWriter *writer)
{
  const ProductDataset theta = {
      "truth/theta", H5T_NATIVE_DOUBLE, 1, {(hsize_t)prior_count(w->setup->prior)}, DIGEST_WHOLE,
      "1",           "true parameters"};

  PetscFunctionBeginUser;
  if (w->truth_known) PetscCall(put_map(w, writer, "truth/kappa", "true convergence [bin, y, x]", w->truth));
  if (!w->theta_known) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(put(writer, &theta, w->truth_theta));
  PetscCall(put_wiener(w, writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode contents_write(Worker *w, ProductWriter *writer)
{
  PetscFunctionBeginUser;
  PetscCall(put_observation(w, writer));
  PetscCall(put_truth(w, writer));
  PetscFunctionReturn(PETSC_SUCCESS);
}
