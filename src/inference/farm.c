/** \file farm.c  Observations and blocks of draws, taken from a queue by whoever is free.  \ingroup inference */
#include "inference/internal.h"

#include <inttypes.h>
#include <string.h>

/* What is still to be done, the same on every rank. */
typedef struct {
  int64_t *observation; /* [observations] without a posterior file */
  int64_t observations;
  int64_t *unit; /* [units] observation x blocks + block, not drawn yet */
  int64_t units;
} Todo;

static PetscErrorCode list_observations(const InferenceSetup *setup, const char *folder, Todo *todo)
{
  const int64_t all = posterior_count(setup);

  PetscFunctionBeginUser;
  for (int64_t o = 0; o < all; o++) {
    PetscBool done;

    PetscCall(posterior_is_done(setup, folder, o, &done));
    if (!done) todo->observation[todo->observations++] = setup->infer->observation[0] ? USER_OBSERVATION : o;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode list_units(const PosteriorWorker *worker, Todo *todo)
{
  PetscFunctionBeginUser;
  for (int64_t i = 0; i < todo->observations; i++)
    for (PetscInt block = 0; block < worker->blocks; block++) {
      PetscBool done;

      PetscCall(part_is_done(worker, todo->observation[i], block, &done));
      if (!done) todo->unit[todo->units++] = i * worker->blocks + block;
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Rank 0 has looked; all learn. */
static PetscErrorCode share(MPI_Comm comm, PetscErrorCode local, int64_t *list, int64_t *count)
{
  PetscFunctionBeginUser;
  PetscCall(group_agree(comm, local));
  PetscCallMPI(MPI_Bcast(count, 1, MPI_INT64_T, 0, comm));
  PetscCallMPI(MPI_Bcast(list, (int)*count, MPI_INT64_T, 0, comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Take units until none is left.  A rank that fails or is asked to stop takes the rest, so that the others stop too. */
typedef PetscErrorCode (*UnitTask)(PosteriorWorker *worker, const Todo *todo, int64_t unit);

static PetscErrorCode work_off(MPI_Comm comm, PosteriorWorker *worker, const Todo *todo, int64_t count, UnitTask task,
                               Progress *progress)
{
  WorkQueue *queue = NULL;
  int64_t unit = 0;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(work_queue_create(comm, count, &queue));
  while (!error) {
    error = work_queue_take(queue, &unit);
    if (error || unit < 0) break;
    if (interrupt_seen())
      error = PetscError(PETSC_COMM_SELF, __LINE__, PETSC_FUNCTION_NAME, __FILE__, NEPHRITE_ERR_INTERRUPTED,
                         PETSC_ERROR_INITIAL, "interrupted; finished draws are kept, run again to go on");
    else
      error = task(worker, todo, unit);
    /* Units are taken in order: those before this one are done or in work. */
    if (!error && progress) PetscCall(progress_update(progress, (unit + 1) * worker->setup->infer->batch, NULL));
  }
  while (unit >= 0) PetscCall(work_queue_take(queue, &unit));
  PetscCall(work_queue_destroy(&queue));
  PetscCall(group_agree(comm, error));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode draw_unit(PosteriorWorker *worker, const Todo *todo, int64_t unit)
{
  const int64_t which = todo->unit[unit];

  PetscFunctionBeginUser;
  PetscCall(part_write(worker, todo->observation[which / worker->blocks], (PetscInt)(which % worker->blocks)));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode join_unit(PosteriorWorker *worker, const Todo *todo, int64_t unit)
{
  PetscFunctionBeginUser;
  PetscCall(posterior_join(worker, todo->observation[unit]));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode draw_and_join(MPI_Comm comm, PosteriorWorker *worker, Todo *todo)
{
  PetscMPIInt rank;
  Progress *progress = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCall(PetscMalloc1((size_t)(todo->observations * worker->blocks), &todo->unit));
  error = rank == 0 ? list_units(worker, todo) : PETSC_SUCCESS;
  PetscCall(share(comm, error, todo->unit, &todo->units));
  const int64_t draws = todo->units * worker->setup->infer->batch;
  PetscCall(progress_create(comm, worker->folder, "draws", draws, 0, &progress));
  error = work_off(comm, worker, todo, todo->units, draw_unit, progress);
  if (!error && todo->units) PetscCall(progress_finish(progress, draws));
  PetscCall(progress_destroy(&progress));
  PetscCall(error);
  PetscCall(work_off(comm, worker, todo, todo->observations, join_unit, NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode farm(MPI_Comm comm, PosteriorWorker *worker, const InferenceSetup *setup, Todo *todo)
{
  char parts[PETSC_MAX_PATH_LEN];
  PetscMPIInt rank;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCall(PetscMalloc1((size_t)posterior_count(setup), &todo->observation));
  error = rank == 0 ? list_observations(setup, worker->folder, todo) : PETSC_SUCCESS;
  PetscCall(share(comm, error, todo->observation, &todo->observations));
  if (todo->observations) {
    snprintf(parts, sizeof parts, "%.*s/%s/parts", PETSC_MAX_PATH_LEN - 64, setup->campaign->campaign, worker->folder);
    PetscCall(product_directory(comm, parts));
    PetscCall(group_agree(comm, worker_create(setup, worker)));
    PetscCall(draw_and_join(comm, worker, todo));
  }
  if (rank == 0)
    printf("%-9s %s/%s: %" PRId64 " observations of %d draws, %s\n", worker->folder, setup->campaign->campaign,
           worker->folder, posterior_count(setup), (int)setup->infer->draws,
           todo->observations ? "complete" : "complete already");
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* What must hold of the configuration before any work. */
static PetscErrorCode check_setup(const InferenceSetup *setup)
{
  PetscFunctionBeginUser;
  PetscCheck(setup->infer->observation[0] || setup->infer->observations <= setup->train->held_out, PETSC_COMM_SELF,
             NEPHRITE_ERR_CONFIG, "infer_observations is %" PetscInt_FMT "; train_held_out leaves %lld to observe",
             setup->infer->observations, (long long)setup->train->held_out);
  PetscFunctionReturn(PETSC_SUCCESS);
}

PetscErrorCode posterior_farm(MPI_Comm comm, const InferenceSetup *setup, const char *folder, int64_t keep_maps,
                              PosteriorSummary summary, void *context)
{
  PosteriorWorker worker = {.folder = folder, .keep_maps = keep_maps, .summary = summary, .context = context};
  Todo todo = {0};
  StageLock *lock = NULL;
  char *yaml = NULL, directory[PETSC_MAX_PATH_LEN];
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(check_setup(setup));
  snprintf(directory, sizeof directory, "%.*s/%s", PETSC_MAX_PATH_LEN - 32, setup->campaign->campaign, folder);
  PetscCall(product_directory(comm, directory));
  PetscCall(options_yaml(setup->options, ~(unsigned)SCOPE_RUN, &yaml));
  worker.configuration = yaml;
  error = stage_lock_create(comm, setup->campaign->campaign, folder, &lock);
  if (!error) error = farm(comm, &worker, setup, &todo);
  PetscCall(stage_lock_destroy(&lock));
  PetscCall(worker_destroy(&worker));
  PetscCall(PetscFree(todo.observation));
  PetscCall(PetscFree(todo.unit));
  PetscCall(PetscFree(yaml));
  PetscFunctionReturn(error);
}
