/** \file farm.c  Observations and blocks of draws, taken from a queue by whoever is free.  \ingroup inference */
#include "inference/internal.h"

#include <inttypes.h>
#include <unistd.h>

/* What is still to be done, the same on every rank. */
typedef struct {
  int64_t *observation; /* [observations] without a posterior file */
  int64_t observations;
  int64_t *unit; /* [units] place in observation x blocks + block, not drawn yet */
  int64_t units, kept; /* kept: steps of these that chains which were stopped have made */
} Todo;

/* Observations of this run. */
static int64_t share_observations(const Worker *w)
{
  return stage_share_of(w->share, posterior_count(w->setup));
}

/* Of this run's observations those that are this rank's to look at, every byte of what is there.
 * \param[in,out] there [count] */
static PetscErrorCode find_part(MPI_Comm comm, Worker *w, int64_t count, int *there)
{
  PetscMPIInt rank, size;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  for (int64_t i = rank; i < count; i += size) {
    const int64_t observation = stage_share_unit(w->share, i);
    PetscBool done;

    PetscCheck(!interrupt_seen(), PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED,
               "interrupted while the draws there were verified; run again to go on");
    PetscCall(posterior_is_done(w, observation, &done));
    if (done) PetscCall(posterior_verify(w, observation));
    there[i] = done ? 1 : 0;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode list_observations(MPI_Comm comm, Worker *w, int64_t count, Todo *todo)
{
  int *there = NULL;

  PetscFunctionBeginUser;
  PetscCheck(count <= PETSC_MPI_INT_MAX, comm, NEPHRITE_ERR_CONFIG, "%" PRId64 " observations are too many", count);
  PetscCall(PetscCalloc1((size_t)count, &there));
  PetscErrorCode error = group_agree(comm, find_part(comm, w, count, there));
  if (!error) PetscCallMPI(MPI_Allreduce(MPI_IN_PLACE, there, (PetscMPIInt)count, MPI_INT, MPI_MAX, comm));
  for (int64_t i = 0; i < count && !error; i++)
    if (!there[i]) todo->observation[todo->observations++] = stage_share_unit(w->share, i);
  PetscCall(PetscFree(there));
  PetscFunctionReturn(error);
}

static PetscErrorCode list_units(Worker *w, Todo *todo)
{
  PetscFunctionBeginUser;
  for (int64_t i = 0; i < todo->observations; i++)
    for (PetscInt block = 0; block < w->blocks; block++) {
      PetscBool done;
      int64_t steps = 0;

      PetscCall(part_is_done(w, todo->observation[i], block, &done));
      if (done) continue;
      todo->unit[todo->units++] = i * w->blocks + block;
      if (w->method->traced) PetscCall(chain_steps(w, todo->observation[i], block, &steps));
      todo->kept += steps;
    }
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Rank 0 has looked; all learn. */
static PetscErrorCode share(MPI_Comm comm, PetscErrorCode local, int64_t *list, int64_t *count)
{
  PetscFunctionBeginUser;
  PetscCall(group_agree(comm, local));
  PetscCallMPI(MPI_Bcast(count, 1, MPI_INT64_T, 0, comm));
  PetscCheck(*count <= PETSC_MPI_INT_MAX, comm, NEPHRITE_ERR_CONFIG, "%" PRId64 " units of work are too many", *count);
  PetscCallMPI(MPI_Bcast(list, (int)*count, MPI_INT64_T, 0, comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* ---- working the lists off ---- */

/* Draws, steps of chains or observations, as the progress lines count them. */
struct Account {
  Progress *progress;
  WorkQueue *finished; /* a count that all ranks share */
  int64_t there, total; /* before this run, and in the end */
};

PetscErrorCode worker_advance(Worker *w, PetscInt steps, const char *note)
{
  const Account *const account = w->account;
  int64_t before = 0;

  PetscFunctionBeginUser;
  if (!account) PetscFunctionReturn(PETSC_SUCCESS);
  for (PetscInt i = 0; i < steps; i++) PetscCall(work_queue_take(account->finished, &before));
  PetscCall(progress_update(account->progress, before < 0 ? account->total : account->there + before + 1, note));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Steps of a block that the progress lines count. */
static PetscInt block_steps(const Worker *w, int64_t unit)
{
  const PetscInt first = (PetscInt)(unit % w->blocks) * w->block_draws;

  return w->method->traced ? w->warmup + block_trace(w)
                           : PetscMin(w->block_draws, w->setup->infer->draws - first); /* the last may be short */
}

static PetscErrorCode draw_unit(Worker *w, const Todo *todo, int64_t unit)
{
  const int64_t which = todo->unit[unit];
  const double begun = MPI_Wtime();
  PetscBool stop;

  PetscFunctionBeginUser;
  PetscCall(interrupt_agreed_within(w->group, 1.2 * w->longest, &stop));
  PetscCheck(!stop, PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED,
             "interrupted; finished draws are kept, run again to go on");
  PetscCall(part_write(w, todo->observation[which / w->blocks], (PetscInt)(which % w->blocks)));
  if (w->method->traced) PetscFunctionReturn(PETSC_SUCCESS); /* it has told of each step, and can be stopped at any */
  w->longest = PetscMax(w->longest, MPI_Wtime() - begun);
  PetscCall(worker_advance(w, block_steps(w, which), NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode join_unit(Worker *w, const Todo *todo, int64_t unit)
{
  PetscFunctionBeginUser;
  PetscCheck(!interrupt_seen(), PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED,
             "interrupted; finished draws are kept, run again to go on");
  PetscCall(posterior_join(w, todo->observation[unit]));
  PetscCall(worker_advance(w, 1, NULL));
  PetscFunctionReturn(PETSC_SUCCESS);
}

typedef PetscErrorCode (*UnitTask)(Worker *worker, const Todo *todo, int64_t unit);

/* A task, and the ranks that do it together: of each group the first one takes units for all. */
typedef struct {
  UnitTask task;
  MPI_Comm members, takers; /* takers: MPI_COMM_NULL on the others */
} Team;

/* Take units until none is left.  A rank that fails or is asked to stop takes the rest, so that the others stop too.
 * Waiting for the last of them is part of the stage: joining goes on from there. */
static PetscErrorCode work_off(MPI_Comm comm, Worker *w, const Todo *todo, int64_t units, const Team *team)
{
  WorkQueue *queue = NULL;
  int64_t unit = 0;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  if (team->takers != MPI_COMM_NULL) PetscCall(work_queue_create(team->takers, units, &queue));
  PetscCall(log_stage("Inference"));
  while (!error) {
    error = work_queue_take_together(team->members, queue, &unit);
    if (error || unit < 0) break;
    error = team->task(w, todo, unit);
  }
  while (queue && unit >= 0) PetscCall(work_queue_take(queue, &unit));
  PetscCall(work_queue_destroy(&queue));
  error = group_agree(comm, error);
  PetscCall(PetscLogStagePop());
  PetscFunctionReturn(error);
}

/* What is counted for progress, and how much of it this run has. */
static const char *unit_of(const Worker *w)
{
  return !w->blocks ? "observations" : w->method->traced ? "steps" : "draws";
}

static int64_t total_of(const Worker *w)
{
  int64_t total = 0;

  if (!w->blocks) return share_observations(w);
  for (int64_t b = 0; b < share_observations(w) * w->blocks; b++) total += block_steps(w, b);
  return total;
}

/* Of the blocks on the list. */
static int64_t missing_steps(const Worker *w, const Todo *todo)
{
  int64_t steps = 0;

  for (int64_t i = 0; i < todo->units; i++) steps += block_steps(w, todo->unit[i]);
  return steps;
}

/* One of the two kinds of unit, with progress lines. */
static PetscErrorCode work_off_and_tell(MPI_Comm comm, Worker *w, const Todo *todo, int64_t units, const Team *team,
                                        const char *what, Account account)
{
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(progress_create(comm, w->farm->folder, what, account.total, account.there, &account.progress));
  PetscCall(work_queue_create(comm, account.total - account.there, &account.finished));
  w->account = &account;
  error = work_off(comm, w, todo, units, team);
  w->account = NULL;
  PetscCall(work_queue_destroy(&account.finished));
  if (!error) PetscCall(progress_finish(account.progress, account.total));
  PetscCall(progress_destroy(&account.progress));
  PetscFunctionReturn(error);
}

/* ---- the farm ---- */

static PetscErrorCode draw_blocks(MPI_Comm comm, Worker *w, Todo *todo)
{
  const int64_t total = total_of(w);
  PetscMPIInt rank;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCall(PetscMalloc1((size_t)(todo->observations * w->blocks), &todo->unit));
  PetscCall(share(comm, rank == 0 ? list_units(w, todo) : PETSC_SUCCESS, todo->unit, &todo->units));
  if (!todo->units) {
    status_complete(unit_of(w), total);
    PetscFunctionReturn(PETSC_SUCCESS);
  }
  PetscCallMPI(MPI_Bcast(&todo->kept, 1, MPI_INT64_T, 0, comm));
  const int64_t missing = missing_steps(w, todo);
  const Team groups = {draw_unit, w->group, w->leaders};
  PetscCall(group_agree(comm, worker_prepare(w)));
  PetscCall(work_off_and_tell(comm, w, todo, todo->units, &groups, unit_of(w),
                              (Account){.there = total - missing + todo->kept, .total = total}));
  if (w->method->conclude) PetscCall(w->method->conclude(comm, w, missing));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static void parts_folder(const Worker *w, char folder[PETSC_MAX_PATH_LEN])
{
  snprintf(folder, PETSC_MAX_PATH_LEN, "%.*s/%s/parts", PETSC_MAX_PATH_LEN / 2, w->setup->campaign->campaign,
           w->farm->folder);
}

static PetscErrorCode draw_and_join(MPI_Comm comm, Worker *w, Todo *todo)
{
  const Team each = {join_unit, PETSC_COMM_SELF, comm};
  char parts[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  parts_folder(w, parts);
  PetscCall(product_directory(comm, parts));
  PetscCall(draw_blocks(comm, w, todo));
  PetscCall(work_off(comm, w, todo, todo->observations, &each));
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* All of this run are joined.  A run that was killed between a file and the removal of its blocks has left some. */
static PetscErrorCode remove_parts(const Worker *w, int64_t absent)
{
  char parts[PETSC_MAX_PATH_LEN];

  PetscFunctionBeginUser;
  parts_folder(w, parts);
  if (access(parts, F_OK)) PetscFunctionReturn(PETSC_SUCCESS);
  for (int64_t o = w->share.number - 1; o < posterior_count(w->setup); o += w->share.count)
    PetscCall(part_remove(w, o));
  if (!absent) rmdir(parts); /* unless it holds blocks of other observations */
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Observations that other shares have still to make. */
static PetscErrorCode count_absent(Worker *w, int64_t *absent)
{
  PetscFunctionBeginUser;
  *absent = 0;
  for (int64_t o = 0; o < posterior_count(w->setup) && w->share.count > 1; o++) {
    PetscBool done;

    PetscCall(posterior_is_done(w, o, &done));
    if (!done) (*absent)++;
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode clear_away(Worker *w, int64_t *absent)
{
  PetscFunctionBeginUser;
  PetscCall(count_absent(w, absent));
  PetscCall(remove_parts(w, *absent));
  if (*absent)
    printf("%-9s share %d of %d complete; %" PRId64 " observations are still to come from other shares\n",
           w->farm->folder, (int)w->share.number, (int)w->share.count, *absent);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode estimate_all(MPI_Comm comm, Worker *w, const Todo *todo)
{
  const int64_t total = total_of(w);
  const Team each = {join_unit, PETSC_COMM_SELF, comm};

  PetscFunctionBeginUser;
  PetscCall(group_agree(comm, worker_prepare(w)));
  PetscCall(work_off_and_tell(comm, w, todo, todo->observations, &each, unit_of(w),
                              (Account){.there = total - todo->observations, .total = total}));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode farm_locked(MPI_Comm comm, Worker *w, Todo *todo, int64_t *absent)
{
  const InferenceSetup *setup = w->setup;
  const int64_t count = share_observations(w);
  char draws[64] = "", part[64] = "";
  PetscMPIInt rank;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (w->blocks) snprintf(draws, sizeof draws, " of %d draws", (int)setup->infer->draws);
  if (w->share.count > 1) snprintf(part, sizeof part, " (share %d of %d)", (int)w->share.number, (int)w->share.count);
  PetscCall(PetscMalloc1((size_t)count, &todo->observation));
  PetscCall(list_observations(comm, w, count, todo));
  if (todo->observations)
    PetscCall(w->blocks ? draw_and_join(comm, w, todo) : estimate_all(comm, w, todo));
  else
    status_complete(unit_of(w), total_of(w));
  PetscCall(log_stage("Ending"));
  if (rank == 0)
    printf("%-9s %s/%s: %" PRId64 " observation%s%s%s, %s\n", w->farm->folder, setup->campaign->campaign,
           w->farm->folder, count, count == 1 ? "" : "s", draws, part,
           todo->observations ? "complete" : "complete already");
  PetscCall(group_agree(comm, rank == 0 ? clear_away(w, absent) : PETSC_SUCCESS));
  PetscCallMPI(MPI_Bcast(absent, 1, MPI_INT64_T, 0, comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode run_farm(MPI_Comm comm, Worker *w, int64_t *absent)
{
  const InferenceSetup *setup = w->setup;
  char folder[PETSC_MAX_PATH_LEN];
  Todo todo = {0};
  StageLock *lock = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  snprintf(folder, sizeof folder, "%.*s/%s", PETSC_MAX_PATH_LEN / 2, setup->campaign->campaign, w->farm->folder);
  PetscCall(product_directory(comm, folder));
  error = stage_lock_create(comm, setup->campaign->campaign, w->farm->folder, w->share, &lock);
  if (!error) error = farm_locked(comm, w, &todo, absent);
  PetscCall(stage_lock_destroy(&lock));
  PetscCall(PetscFree(todo.observation));
  PetscCall(PetscFree(todo.unit));
  PetscFunctionReturn(error);
}

PetscErrorCode posterior_farm(MPI_Comm comm, const InferenceSetup *setup, const PosteriorFarm *farm, int64_t *absent)
{
  Worker worker = {0};
  char *yaml = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(options_yaml(setup->options, ~0u, &yaml));
  error = worker_create(setup, farm, yaml, &worker);
  /* a user's file that does not fit is refused before anything is made */
  if (!error && setup->infer->observation[0]) error = worker_observe(&worker, 0);
  error = group_agree(comm, error);
  if (!error) error = worker_form_group(comm, &worker);
  if (!error) error = run_farm(comm, &worker, absent);
  PetscCall(worker_destroy(&worker));
  PetscCall(PetscFree(yaml));
  PetscFunctionReturn(error);
}
