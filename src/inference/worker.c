/** \file worker.c  What a rank needs to draw, and the observation it is at.  \ingroup inference */
#include "inference/internal.h"

#include <string.h>

size_t worker_map_size(const PosteriorWorker *w)
{
  const SurveyConfig *survey = w->setup->survey;

  return (size_t)(survey->bins * survey_ny(survey) * survey_nx(survey));
}

int64_t posterior_count(const InferenceSetup *setup)
{
  return setup->infer->observation[0] ? 1 : setup->infer->observations;
}

PetscErrorCode posterior_truth(const InferenceSetup *setup, CampaignReader *reader, int64_t observation, float *kappa,
                               double *theta)
{
  PetscFunctionBeginUser;
  PetscCall(
      campaign_reader_get(reader, setup->simulate->realisations - setup->train->held_out + observation, kappa, theta));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* The model must be of this survey: maps, bins, what is observed, parameters. */
static PetscErrorCode check_model(const PosteriorWorker *w)
{
  const NetworkShape *shape = &w->model->shape;
  const SurveyConfig *survey = w->setup->survey;
  const char *path = w->setup->infer->checkpoint[0] ? w->setup->infer->checkpoint : w->setup->campaign->campaign;

  PetscFunctionBeginUser;
  PetscCall(options_require_same(w->setup->options, SCOPE_SIMULATION | SCOPE_NETWORK, w->model->configuration, path));
  PetscCheck(shape->ny == survey_ny(survey) && shape->nx == survey_nx(survey) && shape->bins == survey->bins &&
                 shape->observation_channels == observer_channels(w->observer) &&
                 shape->parameters == prior_count(w->setup->prior),
             PETSC_COMM_SELF, NEPHRITE_ERR_INPUT,
             "%s: its network is for %" PetscInt_FMT " bins of %" PetscInt_FMT " x %" PetscInt_FMT
             " pixels and %" PetscInt_FMT " parameters; the survey has %" PetscInt_FMT " of %" PetscInt_FMT
             " x %" PetscInt_FMT " and %" PetscInt_FMT,
             path, shape->bins, shape->nx, shape->ny, shape->parameters, survey->bins, survey_nx(survey),
             survey_ny(survey), prior_count(w->setup->prior));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode allocate(PosteriorWorker *w)
{
  const SurveyConfig *survey = w->setup->survey;
  const size_t pixels = (size_t)(survey_ny(survey) * survey_nx(survey));

  PetscFunctionBeginUser;
  PetscCall(PetscMalloc3(observer_raw_size(w->observer), &w->raw, (size_t)observer_channels(w->observer) * pixels,
                         &w->channels, survey->bins, &w->noise_std));
  if (strcmp(survey->mask, "none")) PetscCall(PetscMalloc1(pixels, &w->mask));
  if (w->setup->infer->observation[0]) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscMalloc2(worker_map_size(w), &w->truth, (size_t)prior_count(w->setup->prior), &w->truth_theta));
  PetscCall(campaign_reader_open(w->setup->campaign->campaign, w->setup->options, &w->reader));
  PetscCall(simulator_create(survey, w->setup->prior, w->setup->campaign->seed, &w->simulator));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode worker_create(const InferenceSetup *setup, PosteriorWorker *w)
{
  const InferConfig *infer = setup->infer;
  const SamplerClosing closing = (SamplerClosing)infer->closing;

  PetscFunctionBeginUser;
  w->setup = setup;
  w->observation = -1;
  w->blocks = (infer->draws + infer->batch - 1) / infer->batch;
  PetscCall(observer_create(setup->survey, &w->observer));
  PetscCall(model_load(infer->checkpoint[0] ? infer->checkpoint : setup->campaign->campaign, &w->model));
  PetscCall(check_model(w));
  PetscCall(sampler_create(w->model, PetscMin(infer->batch, infer->draws), sampler_steps(infer->evaluations, closing),
                           closing, &w->sampler));
  PetscCall(allocate(w));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode worker_destroy(PosteriorWorker *w)
{
  PetscFunctionBeginUser;
  PetscCall(PetscFree3(w->raw, w->channels, w->noise_std));
  PetscCall(PetscFree(w->mask));
  PetscCall(PetscFree2(w->truth, w->truth_theta));
  PetscCall(campaign_reader_close(&w->reader));
  PetscCall(simulator_destroy(&w->simulator));
  PetscCall(sampler_destroy(&w->sampler));
  PetscCall(observer_destroy(&w->observer));
  PetscCall(model_destroy(&w->model));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode observe_users_file(PosteriorWorker *w)
{
  const size_t pixels = (size_t)(survey_ny(w->setup->survey) * survey_nx(w->setup->survey));
  Observation *o = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = observation_read(w->setup->infer->observation, w->setup->survey, &o);
  if (!error) error = observer_present(w->observer, o->raw, o->mask, w->channels);
  if (!error) {
    memcpy(w->raw, o->raw, observer_raw_size(w->observer) * sizeof *w->raw);
    memcpy(w->noise_std, o->noise_std, (size_t)o->bins * sizeof *w->noise_std);
    if (w->mask) memcpy(w->mask, o->mask, pixels * sizeof *w->mask);
  }
  PetscCall(observation_destroy(&o));
  PetscFunctionReturn(error);
}

/* Streams of observation o: index 2 o for its noise, 2 o + 1 for its draws. */
static PetscErrorCode observe_held_out(PosteriorWorker *w, int64_t observation)
{
  const RandomKey noise = {(uint64_t)w->setup->campaign->seed, STREAM_POSTERIOR, 2 * (uint64_t)observation};

  PetscFunctionBeginUser;
  PetscCall(posterior_truth(w->setup, w->reader, observation, w->truth, w->truth_theta));
  PetscCall(observer_observe(w->observer, noise, w->truth, w->raw, w->mask));
  PetscCall(observer_present(w->observer, w->raw, w->mask, w->channels));
  PetscCall(observer_noise_std(w->observer, w->noise_std));
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode worker_observe(PosteriorWorker *w, int64_t observation)
{
  PetscFunctionBeginUser;
  if (w->observation == observation) PetscFunctionReturn(PETSC_SUCCESS);
  w->observation = -1;
  if (w->reader)
    PetscCall(observe_held_out(w, observation));
  else
    PetscCall(observe_users_file(w));
  w->observation = observation;
  PetscFunctionReturn(PETSC_SUCCESS);
}
