/** \file simulate.c  nephrite-simulate: log-normal wCDM convergence maps to shards.  \ingroup programs */
#include "program.h"

#include <inttypes.h>
#include <sys/resource.h>

static PetscErrorCode run(MPI_Comm comm, const Options *options, const Configuration *c)
{
  Prior *prior = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = prior_create(&c->prior, c->survey.bins, &prior);
  if (!error) error = campaign_simulate(comm, options, &c->campaign, &c->survey, prior, &c->simulate);
  PetscCall(prior_destroy(&prior));
  PetscFunctionReturn(error);
}

/* Seconds for one realisation, with everything but the write, of this rank's group. */
static PetscErrorCode time_realisations(Simulator *simulator, const Configuration *c, double *seconds)
{
  enum { TIMED_PIXELS = 1 << 20 };
  const int64_t pixels = (int64_t)survey_ny(&c->survey) * survey_nx(&c->survey);
  const int timed = pixels > TIMED_PIXELS ? 1 : 4;
  float *kappa = NULL;
  double theta[NEPHRITE_MAX_PARAMETERS], start;
  PetscInt first, rows;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  simulator_slab(simulator, &first, &rows);
  PetscCall(PetscMalloc1((size_t)c->survey.bins * (size_t)rows * (size_t)survey_nx(&c->survey), &kappa));
  start = MPI_Wtime();
  for (int64_t i = 0; i < timed && !error; i++) error = simulator_realisation(simulator, i, kappa, theta, NULL);
  *seconds = (MPI_Wtime() - start) / timed;
  PetscCall(PetscFree(kappa));
  PetscFunctionReturn(error);
}

static void print_time(double total_seconds, double seconds_each, int ranks)
{
  const double minute = 60, hour = 3600;
  const char *unit = total_seconds < 2 * minute ? "seconds" : total_seconds < 2 * hour ? "minutes" : "hours";
  const double in_unit = total_seconds / (*unit == 's' ? 1 : *unit == 'm' ? minute : hour);

  printf("time      %.2f ms per map here: %.3g %s on %d rank%s\n", 1e3 * seconds_each, in_unit, unit, ranks,
         ranks == 1 ? "" : "s");
}

/* What a map costs. */
typedef struct {
  double seconds, megabytes; /* of a group; of its rank that needs most */
} MapCost;

/* Make maps as a run would, but for the write.  The most memory that a rank ever had, since transforms need some of
 * their own. */
static PetscErrorCode measure(MPI_Comm group, const Configuration *c, MapCost *cost)
{
  Prior *prior = NULL;
  Simulator *simulator = NULL;
  struct rusage usage;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = prior_create(&c->prior, c->survey.bins, &prior);
  if (!error) error = simulator_create(group, &c->survey, prior, c->campaign.seed, &simulator);
  if (!error) error = time_realisations(simulator, c, &cost->seconds);
  getrusage(RUSAGE_SELF, &usage);
  cost->megabytes = (double)usage.ru_maxrss * 1024 / 1e6;
  PetscCall(simulator_destroy(&simulator));
  PetscCall(prior_destroy(&prior));
  PetscFunctionReturn(error);
}

static PetscErrorCode describe(MPI_Comm comm, const Options *options, const Configuration *c)
{
  const double map_bytes = 4. * c->survey.bins * survey_ny(&c->survey) * survey_nx(&c->survey);
  const double maps = (double)c->simulate.realisations;
  const int64_t shards = (c->simulate.realisations + c->simulate.shard_size - 1) / c->simulate.shard_size;
  const int group_size = (int)c->simulate.group_size;
  MapCost cost = {0};
  MPI_Comm group;
  PetscInt number, groups;
  double largest;
  PetscMPIInt rank, size;

  PetscFunctionBeginUser;
  (void)options;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  PetscCall(simulate_check_groups(comm, &c->survey, &c->simulate));
  PetscCall(group_split(comm, group_size, &group, &number, &groups));
  PetscCall(group_agree(comm, measure(group, c, &cost)));
  PetscCallMPI(MPI_Comm_free(&group));
  PetscCallMPI(MPI_Reduce(&cost.megabytes, &largest, 1, MPI_DOUBLE, MPI_MAX, 0, comm));
  if (rank != 0) PetscFunctionReturn(PETSC_SUCCESS);
  printf("maps      %" PRId64 " of %d bins, %d x %d pixels of %.3f arcmin\n", c->simulate.realisations,
         (int)c->survey.bins, (int)survey_nx(&c->survey), (int)survey_ny(&c->survey),
         survey_pixel(&c->survey) * 180 * 60 / PETSC_PI);
  printf("files     %" PRId64 " shards of %d maps in %s/sims, %.3f GB in all\n", shards, (int)c->simulate.shard_size,
         c->campaign.campaign, maps * map_bytes / 1e9);
  printf("memory    %.0f MB per rank, %d rank%s to a map\n", largest, group_size, group_size == 1 ? "" : "s");
  if (!c->simulate.maps[0]) print_time(maps * cost.seconds / groups, cost.seconds, size);
  PetscFunctionReturn(PETSC_SUCCESS);
}

int main(int argc, char **argv)
{
  const Program program = {.name = "nephrite-simulate",
                           .purpose = "Simulates tomographic convergence maps of universes drawn from the prior.",
                           .usage = "-config FILE [options]",
                           .options = &campaign_file,
                           .run = run,
                           .describe = describe};

  return program_main(argc, argv, &program);
}
