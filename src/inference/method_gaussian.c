/** \file method_gaussian.c  Draws from the exact posterior of a Gaussian field.  \ingroup inference
 *
 * Parameters by a Markov chain on their exact likelihood, the map integrated out; then a map given each.  The chain's
 * steps follow the likelihood with spectra of an emulator, and the exact one accepts or refuses each draw.  Where all
 * parameters are fixed there is no chain, and masks and noise that varies are no obstacle. */
#include "inference/internal.h"

typedef struct {
  PetscBool free; /* some parameter is not fixed */
  int64_t observation; /* that the rest is of; -1 for none */
  Emulator *emulator; /* where some are free, unless without infer_emulator */
  ParameterPosterior *parameters; /* where some are free */
  ParameterPosterior *followed; /* with spectra of the emulator, where there is one */
  ConstrainedField *field;
} Exact;

/* Steps of a chain where the user does not say. */
enum { WARM_UP = 2000, THINNING = 50 };

static PetscErrorCode create(Worker *w)
{
  const InferenceSetup *s = w->setup;
  Exact *e = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&e));
  w->state = e;
  e->observation = -1;
  for (PetscInt p = 0; p < prior_count(s->prior); p++)
    if (!prior_is_fixed(s->prior, p)) e->free = PETSC_TRUE;
  PetscCheck(s->survey->field == FIELD_GAUSSIAN, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "-infer_method gaussian is exact for survey_field gaussian alone");
  PetscCheck(!e->free || (!survey_has_mask(s->survey) && !s->survey->counts[0]), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "-infer_method gaussian knows the likelihood of parameters where all pixels are seen alike: with "
             "survey_mask or survey_counts every parameter of the prior must be fixed");
  if (e->free && s->infer->emulator) PetscCall(emulator_create(s->survey, s->prior, &e->emulator));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode forget(Exact *e)
{
  PetscFunctionBeginUser;
  e->observation = -1;
  PetscCall(parameter_posterior_destroy(&e->parameters));
  PetscCall(parameter_posterior_destroy(&e->followed));
  PetscCall(constrained_field_destroy(&e->field));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode destroy(Worker *w)
{
  Exact *e = w->state;

  PetscFunctionBeginUser;
  if (e) PetscCall(forget(e));
  if (e) PetscCall(emulator_destroy(&e->emulator));
  PetscCall(PetscFree(w->state));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode look_at(Worker *w, Exact *e)
{
  const Observation observation = worker_observation(w);
  const InferenceSetup *s = w->setup;

  PetscFunctionBeginUser;
  if (e->observation == w->observation) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(forget(e));
  if (e->free) PetscCall(parameter_posterior_create(s->survey, s->prior, &observation, &e->parameters));
  if (e->emulator) {
    PetscCall(parameter_posterior_create(s->survey, s->prior, &observation, &e->followed));
    parameter_posterior_use(e->followed, e->emulator);
  }
  PetscCall(constrained_field_create(s->survey, &observation, NULL, &e->field));
  e->observation = w->observation;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode log_density(void *context, const double *theta, double *value)
{
  PetscFunctionBeginUser;
  PetscCall(parameter_posterior_evaluate(context, theta, value));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode draw_parameters(Worker *w, Exact *e, RandomKey key, Block *block)
{
  const InferConfig *infer = w->setup->infer;
  const ParameterDensity followed = {log_density, e->followed, NULL};
  const ParameterDensity density = {log_density, e->parameters, e->followed ? &followed : NULL};
  const ChainLength length = {infer->warmup ? infer->warmup : WARM_UP, block->count,
                              infer->thinning ? infer->thinning : THINNING};
  ChainDraws draws = {.theta = block->theta};

  PetscFunctionBeginUser;
  PetscCall(parameter_chain_run(w->setup->prior, &density, &length, key, block->first / w->block_draws, &draws));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode fixed_parameters(const Worker *w, Block *block)
{
  const PetscInt parameters = prior_count(w->setup->prior);
  double mean[NEPHRITE_MAX_PARAMETERS], std[NEPHRITE_MAX_PARAMETERS];

  PetscFunctionBeginUser;
  PetscCall(prior_moments(w->setup->prior, mean, std));
  for (PetscInt d = 0; d < block->count; d++) PetscCall(PetscArraycpy(block->theta + d * parameters, mean, parameters));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode set_spectra(Worker *w, Exact *e, const double *theta)
{
  const LensingSpectra *spectra = NULL;
  char name[256];

  PetscFunctionBeginUser;
  prior_describe(w->setup->prior, theta, name, sizeof name);
  PetscCall(worker_spectra(w, theta, &spectra));
  PetscCall(constrained_field_set_spectra(e->field, spectra, name));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode draw(Worker *w, RandomKey key, Block *block)
{
  const PetscInt parameters = prior_count(w->setup->prior);
  Exact *e = w->state;

  PetscFunctionBeginUser;
  PetscCall(look_at(w, e));
  PetscCall(e->free ? draw_parameters(w, e, key, block) : fixed_parameters(w, block));
  for (PetscInt d = 0; d < block->count; d++) {
    const uint64_t position = (uint64_t)(block->first + d) * constrained_field_normals(e->field);

    PetscCheck(!interrupt_seen(), PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED,
               "interrupted; finished chains are kept, run again to go on");
    if (e->free || d == 0) PetscCall(set_spectra(w, e, block->theta + d * parameters));
    PetscCall(constrained_field_draw(e->field, key, position, block->kappa + (size_t)d * worker_map_size(w)));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

const InferenceMethod method_gaussian = {.suffix = "-gaussian",
                                         .scope = SCOPE_SIMULATION | SCOPE_POSTERIOR,
                                         .create = create,
                                         .draw = draw,
                                         .destroy = destroy,
                                         .chains = PETSC_TRUE};
