/** \file method_hmc.c  Draws by Hamiltonian Monte Carlo on the simulator's own model.  \ingroup inference
 *
 * Map and parameters together, by the no-U-turn sampler.  A block is a chain.  It begins at parameters drawn from the
 * prior, which are far apart from chain to chain, as R-hat wants them, and at the most probable noise given these.
 *
 * Trajectories follow the posterior with spectra of an emulator, whose derivatives cost next to nothing; their ends are
 * accepted or not by the posterior with those of the lensing model, of which chains are thus samples. */
#include "inference/internal.h"

#include <math.h>

/* Where the user does not say. */
enum { WARM_UP = 500, THINNING = 4 };

typedef struct {
  MPI_Comm group; /* of the worker */
  Emulator *emulator; /* NULL without infer_emulator */
  int64_t observation; /* that the posteriors are of; -1 for none */
  FieldPosterior *exact; /* with spectra of the lensing model */
  FieldPosterior *followed; /* with those of the emulator, where there is one */
  double *map; /* [map_size] work space: this rank's rows, and on the first rank the whole */
  double *rows;
  double saved; /* when the chain at hand was, or was begun */
  int64_t gradients; /* in this run */
  double seconds; /* that they took */
} Hmc;

/* ------------------------------------------------------------------ the observation at hand */

static PetscErrorCode create(Worker *w)
{
  const InferConfig *infer = w->setup->infer;
  Hmc *h = NULL;

  PetscFunctionBeginUser;
  PetscCall(PetscNew(&h));
  w->state = h;
  h->observation = -1;
  w->warmup = infer->warmup ? infer->warmup : WARM_UP;
  w->thinning = infer->thinning ? infer->thinning : THINNING;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode prepare(Worker *w)
{
  Hmc *h = w->state;

  PetscFunctionBeginUser;
  h->group = w->group;
  PetscCall(PetscMalloc2(worker_map_size(w), &h->map, worker_map_size(w), &h->rows));
  if (w->setup->infer->emulator) PetscCall(emulator_create(w->setup->survey, w->setup->prior, &h->emulator));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode forget(Hmc *h)
{
  PetscFunctionBeginUser;
  h->observation = -1;
  PetscCall(field_posterior_destroy(&h->exact));
  PetscCall(field_posterior_destroy(&h->followed));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode destroy(Worker *w)
{
  Hmc *h = w->state;

  PetscFunctionBeginUser;
  if (!h) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(forget(h));
  PetscCall(emulator_destroy(&h->emulator));
  PetscCall(PetscFree2(h->map, h->rows));
  PetscCall(PetscFree(w->state));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode look_at(Worker *w, Hmc *h)
{
  const Observation observation = worker_observation(w);
  const InferenceSetup *s = w->setup;

  PetscFunctionBeginUser;
  if (h->observation == w->observation) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(forget(h));
  PetscCall(field_posterior_create(w->group, s->survey, s->prior, &observation, &h->exact));
  PetscCall(field_posterior_create(w->group, s->survey, s->prior, &observation, &h->followed));
  if (h->emulator) field_posterior_use(h->followed, h->emulator);
  h->observation = w->observation;
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* A trajectory may take minutes: it is left at once when the run is asked to stop. */
static PetscErrorCode log_density(void *context, const double *x, double *value, double *gradient)
{
  const double begun = MPI_Wtime();
  Hmc *h = context;
  PetscBool stop;

  PetscFunctionBeginUser;
  PetscCall(interrupt_agreed(h->group, &stop));
  PetscCheck(!stop, PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED,
             "interrupted; chains are kept as far as they are, run again to go on");
  PetscCall(field_posterior_evaluate(h->followed, x, value, gradient));
  h->gradients++;
  h->seconds += MPI_Wtime() - begun;
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode exact_log_density(void *context, const double *x, double *value, double *gradient)
{
  const Hmc *h = context;

  PetscFunctionBeginUser;
  PetscCall(field_posterior_evaluate(h->exact, x, value, gradient));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ------------------------------------------------------------------ a chain */

static RandomKey key_of(const Worker *w, PetscInt chain)
{
  const uint64_t realisation = (uint64_t)worker_realisation(w, w->observation),
                 most_chains = 1 << 14; /* infer_chains */

  return (RandomKey){(uint64_t)w->setup->campaign->seed, STREAM_CHAIN, realisation * most_chains + (uint64_t)chain};
}

/* Steps of a chain use positions from 0 up. */
#define START_POSITION (UINT64_C(1) << 63)

/* Parameters of the prior may have no field: others are drawn.  \param x [dimension] */
static PetscErrorCode start(Worker *w, Hmc *h, RandomKey key, double *x, Nuts *nuts)
{
  enum { ATTEMPTS = 1000, ITERATIONS = 50, STRIDE = NEPHRITE_MAX_PARAMETERS + NEPHRITE_MAX_PARAMETERS % 2 };
  double u[STRIDE], theta[NEPHRITE_MAX_PARAMETERS], exact = -INFINITY;
  Maximum found;

  PetscFunctionBeginUser;
  for (int attempt = 0; attempt < ATTEMPTS && !isfinite(exact); attempt++) {
    random_normal(key, START_POSITION + (uint64_t)attempt * STRIDE, STRIDE, u);
    prior_from_normal(w->setup->prior, u, theta, NULL);
    PetscCall(climb_at(h->group, h->followed, theta, ITERATIONS, x, &found));
    if (isfinite(found.log_density)) PetscCall(field_posterior_evaluate(h->exact, x, &exact, NULL));
  }
  PetscCheck(isfinite(exact), PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG,
             "none of %d draws of the prior has a field for a chain to start from", ATTEMPTS);
  PetscCall(nuts_start(nuts, x));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode begin_or_resume(Worker *w, Hmc *h, RandomKey key, Block *block, Nuts *nuts)
{
  PetscBool resumed = PETSC_FALSE;
  double *x = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(group_agree(w->group, w->leads ? chain_resume(w, block, &resumed) : PETSC_SUCCESS));
  PetscCallMPI(MPI_Bcast(&resumed, 1, MPIU_BOOL, 0, w->group));
  if (resumed) {
    PetscCall(nuts_state_restore(nuts, block->state));
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCall(PetscMalloc1(field_posterior_dimension(h->exact), &x));
  error = start(w, h, key, x, nuts);
  PetscCall(PetscFree(x));
  PetscFunctionReturn(error);
}

static void record_step(const NutsTransition *t, PetscInt step, Block *block)
{
  double *const row = block->trace + step * TRACE_COLUMNS;
  row[TRACE_LOG_DENSITY] = t->log_density;
  row[TRACE_ENERGY] = t->energy;
  row[TRACE_ACCEPTANCE] = t->acceptance;
  row[TRACE_STEP_SIZE] = t->step_size;
  row[TRACE_DEPTH] = (double)t->depth;
  row[TRACE_GRADIENTS] = (double)t->steps;
  row[TRACE_ACCEPTED] = t->accepted;
  row[TRACE_DIVERGENT] = t->divergent ? 1 : 0;
}

static PetscErrorCode record_draw(Worker *w, Hmc *h, const Nuts *nuts, PetscInt draw, Block *block)
{
  const GroupShare share = field_posterior_share(h->exact);
  const PetscInt parameters = prior_count(w->setup->prior);
  const size_t size = worker_map_size(w);
  double theta[NEPHRITE_MAX_PARAMETERS];

  PetscFunctionBeginUser;
  PetscCall(field_posterior_unpack(h->exact, nuts_position(nuts), theta, h->rows));
  PetscCall(group_gather(w->group, &share, h->rows, h->map));
  if (!w->leads) PetscFunctionReturn(PETSC_SUCCESS);
  PetscCall(PetscArraycpy(block->theta + draw * parameters, theta, parameters));
  for (size_t i = 0; i < size; i++) block->kappa[(size_t)draw * size + i] = (float)h->map[i];
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What a step after the warm-up leaves in the block: a row of the trace, and after the last one of a draw that draw. */
static PetscErrorCode record(Worker *w, Hmc *h, const Nuts *nuts, const NutsTransition *t, Block *block)
{
  const PetscInt step = nuts_iteration(nuts) - w->warmup - 1;

  PetscFunctionBeginUser;
  if (step < 0) PetscFunctionReturn(PETSC_SUCCESS);
  if (w->leads) record_step(t, step, block);
  if ((step + 1) % w->thinning == 0) PetscCall(record_draw(w, h, nuts, step / w->thinning, block));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode tell(Worker *w, const Hmc *h, const NutsTransition *t)
{
  char note[128];

  PetscFunctionBeginUser;
  if (!w->leads) PetscFunctionReturn(PETSC_SUCCESS);
  snprintf(note, sizeof note, "%s, %d gradients, %.1f/s", t->warmup ? "warm-up" : "drawing", (int)t->steps,
           (double)h->gradients / h->seconds);
  PetscCall(worker_advance(w, 1, note));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Is it time to save the chain? */
static PetscBool is_due(const Worker *w, const Hmc *h)
{
  return MPI_Wtime() - h->saved >= 60 * w->setup->infer->checkpoint_minutes ? PETSC_TRUE : PETSC_FALSE;
}

static PetscErrorCode save(Worker *w, Hmc *h, const Nuts *nuts, Block *block)
{
  PetscFunctionBeginUser;
  block->steps = nuts_iteration(nuts);
  if (w->leads) PetscCall(chain_save(w, block));
  h->saved = MPI_Wtime();
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* block->state is that before the step at hand, which may be left in its midst. */
static PetscErrorCode run(Worker *w, Hmc *h, Nuts *nuts, Block *block)
{
  const PetscInt steps = w->warmup + block_trace(w);
  NutsTransition transition;

  PetscFunctionBeginUser;
  h->saved = MPI_Wtime();
  while (nuts_iteration(nuts) < steps) {
    PetscCall(nuts_state_save(nuts, block->state));
    PetscCall(group_agree(w->group, is_due(w, h) ? save(w, h, nuts, block) : PETSC_SUCCESS));
    const PetscErrorCode error = nuts_step(nuts, &transition);
    if (error == (PetscErrorCode)NEPHRITE_ERR_INTERRUPTED) PetscCall(group_agree(w->group, save(w, h, nuts, block)));
    PetscCall(error);
    PetscCall(record(w, h, nuts, &transition, block));
    PetscCall(tell(w, h, &transition));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode sample(Worker *w, Hmc *h, RandomKey key, Nuts *nuts, Block *block)
{
  PetscErrorCode error;

  PetscFunctionBeginUser;
  block->state_size = nuts_state_size(nuts);
  if (w->leads) PetscCall(PetscMalloc1(block->state_size, &block->state));
  error = begin_or_resume(w, h, key, block, nuts);
  if (!error) error = run(w, h, nuts, block);
  PetscCall(PetscFree(block->state)); /* the chain has ended: a block of draws like others */
  PetscFunctionReturn(error);
}

static PetscErrorCode draw(Worker *w, RandomKey key, Block *block)
{
  const InferConfig *infer = w->setup->infer;
  Hmc *h = w->state;
  Nuts *nuts = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  (void)key; /* of the observation; a chain has one of its own */
  PetscCall(look_at(w, h));
  const RandomKey own = key_of(w, block->first / w->block_draws);
  const NutsConfig config = {.comm = w->group,
                             .share = field_posterior_share(h->exact),
                             .dimension = field_posterior_dimension(h->exact),
                             .dense = field_posterior_parameters(h->exact),
                             .warmup = w->warmup,
                             .max_depth = infer->max_depth,
                             .target_acceptance = infer->acceptance,
                             .exact = h->emulator ? exact_log_density : NULL,
                             .key = own};
  error = nuts_create(&config, log_density, h, &nuts);
  if (!error) error = sample(w, h, own, nuts, block);
  PetscCall(nuts_destroy(&nuts));
  PetscFunctionReturn(error);
}

static PetscErrorCode conclude(MPI_Comm comm, const Worker *w, int64_t draws)
{
  const Hmc *h = w->state;
  const double mine[2] = {w->leads ? (double)h->gradients : 0, w->leads ? h->seconds : 0};
  double all[2] = {0};
  PetscMPIInt rank;

  (void)draws;
  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Reduce(mine, all, 2, MPI_DOUBLE, MPI_SUM, 0, comm));
  if (rank == 0 && all[1] > 0)
    printf("%-9s %.0f gradients in this run, %.3g a second on each %s\n", w->farm->folder, all[0], all[0] / all[1],
           w->setup->infer->group_size > 1 ? "group" : "rank");
  PetscFunctionReturn(PETSC_SUCCESS);
}

const InferenceMethod method_hmc = {.suffix = "-hmc",
                                    .scope = SCOPE_SIMULATION | SCOPE_POSTERIOR,
                                    .create = create,
                                    .prepare = prepare,
                                    .draw = draw,
                                    .conclude = conclude,
                                    .destroy = destroy,
                                    .chains = PETSC_TRUE,
                                    .traced = PETSC_TRUE};
