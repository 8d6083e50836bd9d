/** \file method_diffusion.c  Draws by the network of a checkpoint.  \ingroup inference */
#include "inference/internal.h"

#include <inttypes.h>
#include <xxhash.h>

typedef struct {
  Model *model;
  Sampler *sampler; /* NULL until prepare() */
} Diffusion;

/* The model must be of this survey: maps, bins, what is observed, parameters. */
static PetscErrorCode check_model(const Worker *w, const Model *model)
{
  const NetworkShape *shape = &model->shape;
  const SurveyConfig *survey = w->setup->survey;
  const char *path = model->path;

  PetscFunctionBeginUser;
  PetscCall(options_require_same(w->setup->options, SCOPE_SIMULATION | SCOPE_NETWORK, model->configuration, path));
  PetscCall(model_check_parameters(model, w->setup->prior, path));
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

/* What the model has seen in training is no test of it. */
static PetscErrorCode check_not_trained_on(const InferenceSetup *s, const Model *model)
{
  const int64_t first = truth_source_realisation(s, 0);

  PetscFunctionBeginUser;
  PetscCheck(s->infer->observation[0] || first >= model->trained, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "with train_held_out %" PRId64 " the first observation is realisation %" PRId64
             "; the checkpoint was trained on those below %" PRId64,
             s->train->held_out, first, model->trained);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode create(Worker *w)
{
  const char *checkpoint = w->setup->infer->checkpoint;
  Diffusion *d = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&d));
  w->state = d;
  PetscCall(model_load(checkpoint[0] ? checkpoint : w->setup->campaign->campaign, &d->model));
  PetscCall(check_model(w, d->model));
  PetscCall(check_not_trained_on(w->setup, d->model));
  w->trained = PETSC_TRUE;
  w->checkpoint_step = d->model->step;
  w->checkpoint = (int64_t)XXH3_64bits(d->model->weights, d->model->weight_count * sizeof *d->model->weights);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode prepare(Worker *w)
{
  const InferConfig *infer = w->setup->infer;
  const SamplerSettings settings = sampler_settings(infer);
  Diffusion *d = w->state;

  PetscFunctionBeginUser;
  PetscCall(sampler_create(d->model, PetscMin(infer->batch, infer->draws), &settings, &d->sampler));
  PetscCall(PetscFree(d->model->weights)); /* the sampler's network has them now */
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A fixed parameter is 0 to the network, but for its last error; its draws are what it is fixed to. */
static PetscErrorCode restore_fixed(const Worker *w, Block *block)
{
  const PetscInt parameters = prior_count(w->setup->prior);
  double mean[NEPHRITE_MAX_PARAMETERS], std[NEPHRITE_MAX_PARAMETERS];

  PetscFunctionBeginUser;
  PetscCall(prior_moments(w->setup->prior, mean, std));
  for (PetscInt p = 0; p < parameters; p++)
    for (PetscInt d = 0; prior_is_fixed(w->setup->prior, p) && d < block->count; d++)
      block->theta[d * parameters + p] = mean[p];
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode draw(Worker *w, RandomKey key, Block *block)
{
  Diffusion *d = w->state;

  PetscFunctionBeginUser;
  PetscCall(sampler_draw(d->sampler, w->channels, &(SamplerRange){key, block->first, block->count}, block->kappa,
                         block->theta));
  PetscCall(restore_fixed(w, block));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What a draw has taken: with the adaptive solver nobody knows before. */
static PetscErrorCode tell_evaluations(MPI_Comm comm, const Worker *w, int64_t draws)
{
  const Diffusion *d = w->state;
  int64_t evaluated = sampler_evaluated(d->sampler);
  PetscMPIInt rank;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, &evaluated, 1, MPI_INT64_T, MPI_SUM, comm));
  if (rank == 0)
    printf("%-9s %.6g evaluations of the network for a draw\n", w->farm->folder, (double)evaluated / (double)draws);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode destroy(Worker *w)
{
  Diffusion *d = w->state;

  PetscFunctionBeginUser;
  if (!d) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(sampler_destroy(&d->sampler));
  PetscCall(model_destroy(&d->model));
  PetscCall(PetscFree(w->state));
  PetscFunctionReturn(PETSC_SUCCESS);
}

const InferenceMethod method_diffusion = {.suffix = "",
                                          .scope = SCOPE_SIMULATION | SCOPE_NETWORK | SCOPE_POSTERIOR,
                                          .create = create,
                                          .prepare = prepare,
                                          .draw = draw,
                                          .conclude = tell_evaluations,
                                          .destroy = destroy};
