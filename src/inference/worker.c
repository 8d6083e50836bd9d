/** \file worker.c  What a rank needs to draw, and the observation it is at.  \ingroup inference */
#include "inference/internal.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

size_t worker_map_size(const Worker *w)
{
  const SurveyConfig *survey = w->setup->survey;

  return (size_t)(survey->bins * survey_ny(survey) * survey_nx(survey));
}

int64_t worker_realisation(const Worker *w, int64_t observation)
{
  return w->truths ? truth_source_realisation(w->setup, observation) : USER_OBSERVATION;
}

PetscBool worker_keeps_maps(const Worker *w, int64_t observation)
{
  return !w->truths || observation < w->farm->keep_maps ? PETSC_TRUE : PETSC_FALSE;
}

/* ---- what does not change with the observation ---- */

static PetscErrorCode check_held_out(const InferenceSetup *s)
{
  PetscFunctionBeginUser;
  PetscCheck(s->infer->observations <= s->train->held_out, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "infer_observations is %" PetscInt_FMT "; train_held_out leaves %" PRId64 " to observe",
             s->infer->observations, s->train->held_out);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode allocate(Worker *w)
{
  const SurveyConfig *survey = w->setup->survey;
  const size_t pixels = (size_t)(survey_ny(survey) * survey_nx(survey));

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc5(observer_raw_size(w->observer), &w->raw, (size_t)observer_channels(w->observer) * pixels,
                         &w->channels, observer_noise_size(w->observer), &w->noise_std, worker_map_size(w), &w->truth,
                         prior_count(w->setup->prior), &w->truth_theta));
  if (survey_has_mask(survey)) PetscCall(PetscMalloc1(pixels, &w->mask));
  PetscFunctionReturn(PETSC_SUCCESS);
}

const InferenceMethod *method_of(const InferConfig *infer)
{
  static const InferenceMethod *const methods[] = {[METHOD_DIFFUSION] = &method_diffusion,
                                                   [METHOD_GAUSSIAN] = &method_gaussian,
                                                   [METHOD_HMC] = &method_hmc,
                                                   [METHOD_WIENER] = &method_wiener,
                                                   [METHOD_KAISER_SQUIRES] = &method_kaiser_squires};

  return infer->task == TASK_MAP ? &method_map : methods[infer->method];
}

/* How the draws of an observation are shared among units of work. */
static PetscErrorCode cut_draws(Worker *w)
{
  const InferConfig *infer = w->setup->infer;

  PetscFunctionBeginUser;
  if (!w->method->draw) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCheck(!w->method->chains || infer->draws % infer->chains == 0, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "infer_draws is %" PetscInt_FMT "; it must be a multiple of infer_chains, %" PetscInt_FMT
             ", which make as many draws each",
             infer->draws, infer->chains);
  w->block_draws = posterior_block_draws(w->setup);
  w->blocks = (infer->draws + w->block_draws - 1) / w->block_draws;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode worker_create(const InferenceSetup *setup, const PosteriorFarm *farm, const char *configuration,
                             Worker *w)
{
  const InferConfig *infer = setup->infer;

  PetscFunctionBeginUser;
  w->setup = setup;
  w->farm = farm;
  w->configuration = configuration;
  w->method = method_of(infer);
  w->group = w->leaders = MPI_COMM_NULL;
  w->observation = -1;
  PetscCall(campaign_share(setup->campaign, &w->share));
  PetscCall(cut_draws(w));
  PetscCall(observer_create(setup->survey, &w->observer));
  PetscCall(allocate(w));
  if (w->method->create) PetscCall(w->method->create(w));
  if (infer->observation[0]) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(check_held_out(setup));
  PetscCall(truth_source_create(setup, &w->truths));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_group(const Worker *w)
{
  const PetscInt size = w->setup->infer->group_size;
  const FieldShape shape = simulator_shape(w->setup->survey);

  PetscFunctionBeginUser;
  PetscCheck(size == 1 || w->method->traced, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "infer_group_size is %" PetscInt_FMT "; chains of -infer_method hmc alone are divided over ranks", size);
  PetscCall(field_check(&shape, (PetscMPIInt)size));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode worker_form_group(MPI_Comm comm, Worker *w)
{
  PetscInt group, groups;

  PetscFunctionBeginUser;
  PetscCall(group_agree(comm, check_group(w)));
  PetscCall(group_split(comm, w->setup->infer->group_size, &w->group, &group, &groups));
  PetscCall(group_leaders(comm, w->group, &w->leaders));
  w->leads = w->leaders == MPI_COMM_NULL ? PETSC_FALSE : PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode worker_prepare(Worker *w)
{
  PetscFunctionBeginUser;
  if (w->method->prepare) PetscCall(w->method->prepare(w));
  PetscFunctionReturn(PETSC_SUCCESS);
}

Observation worker_observation(const Worker *w)
{
  return (Observation){.raw = w->raw, .noise_std = w->noise_std, .mask = w->mask};
}

PetscErrorCode worker_spectra(Worker *w, const double *theta, const LensingSpectra **spectra)
{
  const InferenceSetup *s = w->setup;

  PetscFunctionBeginUser;
  if (!w->simulator)
    PetscCall(simulator_create(PETSC_COMM_SELF, s->survey, s->prior, s->campaign->seed, &w->simulator));
  PetscCall(simulator_spectra(w->simulator, theta, spectra));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode worker_wiener(Worker *w, const double *theta, float *kappa)
{
  const Observation observation = worker_observation(w);
  const LensingSpectra *spectra = NULL;
  char name[256];

  PetscFunctionBeginUser;
  PetscCall(worker_spectra(w, theta, &spectra));
  prior_describe(w->setup->prior, theta, name, sizeof name);
  PetscCall(wiener_filter(w->setup->survey, spectra, name, &observation, kappa));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode worker_destroy(Worker *w)
{
  PetscFunctionBeginUser;
  if (w->method && w->method->destroy) PetscCall(w->method->destroy(w));
  PetscCall(PetscFree5(w->raw, w->channels, w->noise_std, w->truth, w->truth_theta));
  PetscCall(PetscFree(w->mask));
  PetscCall(truth_source_destroy(&w->truths));
  PetscCall(simulator_destroy(&w->simulator));
  PetscCall(observer_destroy(&w->observer));
  if (w->leaders != MPI_COMM_NULL) PetscCallMPI(MPI_Comm_free(&w->leaders));
  if (w->group != MPI_COMM_NULL) PetscCallMPI(MPI_Comm_free(&w->group));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- the observation at hand ---- */

/* A user's file may come without a mask where the survey has one: all is observed. */
static void take_mask(Worker *w, const Observation *o)
{
  const size_t pixels = (size_t)(survey_ny(w->setup->survey) * survey_nx(w->setup->survey));

  for (size_t i = 0; w->mask && i < pixels; i++) w->mask[i] = o->mask ? o->mask[i] : 1;
}

static PetscErrorCode take_file(Worker *w, const Observation *o)
{
  const size_t parameters = (size_t)prior_count(w->setup->prior);

  PetscFunctionBeginUser;
  PetscCall(observer_present(w->observer, o->raw, o->mask, o->noise_std, w->channels));
  memcpy(w->raw, o->raw, observer_raw_size(w->observer) * sizeof *w->raw);
  memcpy(w->noise_std, o->noise_std, observer_noise_size(w->observer) * sizeof *w->noise_std);
  take_mask(w, o);
  w->truth_known = o->truth_kappa ? PETSC_TRUE : PETSC_FALSE;
  w->theta_known = o->truth_theta ? PETSC_TRUE : PETSC_FALSE;
  if (w->truth_known) memcpy(w->truth, o->truth_kappa, worker_map_size(w) * sizeof *w->truth);
  if (w->theta_known) memcpy(w->truth_theta, o->truth_theta, parameters * sizeof *w->truth_theta);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode observe_users_file(Worker *w)
{
  const InferenceSetup *s = w->setup;
  Observation *observation = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = observation_read(s->infer->observation, s->survey, prior_count(s->prior), &observation);
  if (!error) error = take_file(w, observation);
  PetscCall(observation_destroy(&observation));
  PetscFunctionReturn(error);
}

/* Noise of realisation i has index i of the noise stream; training and validation use indices from 2^62 on. */
static PetscErrorCode observe_held_out(Worker *w, int64_t observation)
{
  const RandomKey noise = {(uint64_t)w->setup->campaign->seed, STREAM_NOISE,
                           (uint64_t)worker_realisation(w, observation)};

  PetscFunctionBeginUser;
  PetscCall(truth_source_get(w->truths, observation, w->truth, w->truth_theta));
  PetscCall(observer_observe(w->observer, noise, w->truth, w->raw, w->mask));
  observer_noise_std(w->observer, noise, w->noise_std);
  PetscCall(observer_present(w->observer, w->raw, w->mask, w->noise_std, w->channels));
  w->truth_known = w->theta_known = PETSC_TRUE;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* All that draws of the observation at hand depend on. */
static uint64_t observation_digest(const Worker *w)
{
  const size_t pixels = (size_t)(survey_ny(w->setup->survey) * survey_nx(w->setup->survey));
  const uint64_t mask = w->mask ? XXH3_64bits(w->mask, pixels * sizeof *w->mask) : 0;
  const uint64_t raw = XXH3_64bits_withSeed(w->raw, observer_raw_size(w->observer) * sizeof *w->raw, mask);

  return XXH3_64bits_withSeed(w->noise_std, observer_noise_size(w->observer) * sizeof *w->noise_std, raw);
}

PetscErrorCode worker_observe(Worker *w, int64_t observation)
{
  PetscFunctionBeginUser;
  if (w->observation == observation) PetscFunctionReturn(PETSC_SUCCESS);
  w->observation = -1;
  if (w->truths)
    PetscCall(observe_held_out(w, observation));
  else
    PetscCall(observe_users_file(w));
  w->shown = (int64_t)observation_digest(w);
  w->observation = observation;
  PetscFunctionReturn(PETSC_SUCCESS);
}
