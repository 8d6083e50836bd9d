/** \file simulate.c  nephrite-simulate: log-normal wCDM convergence maps to shards.  \ingroup programs */
#include "program.h"

#include <inttypes.h>

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

/* Seconds for one realisation, with everything but the write, on this rank. */
static PetscErrorCode time_realisations(Simulator *simulator, const Configuration *c, double *seconds)
{
  enum { TIMED = 4 };
  float *kappa = NULL;
  double theta[NEPHRITE_MAX_PARAMETERS], start;
  PetscErrorCode error = PETSC_SUCCESS;

  PetscFunctionBeginUser;
  PetscCall(
      PetscMalloc1((size_t)c->survey.bins * (size_t)survey_ny(&c->survey) * (size_t)survey_nx(&c->survey), &kappa));
  start = MPI_Wtime();
  for (int64_t i = 0; i < TIMED && !error; i++) error = simulator_realisation(simulator, i, kappa, theta, NULL);
  *seconds = (MPI_Wtime() - start) / TIMED;
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

static PetscErrorCode describe(MPI_Comm comm, const Options *options, const Configuration *c)
{
  const double map_bytes = 4. * c->survey.bins * survey_ny(&c->survey) * survey_nx(&c->survey);
  const double maps = (double)c->simulate.realisations;
  const int64_t shards = (c->simulate.realisations + c->simulate.shard_size - 1) / c->simulate.shard_size;
  Prior *prior = NULL;
  Simulator *simulator = NULL;
  PetscLogDouble memory = 0;
  double seconds = 0;
  PetscMPIInt rank, size;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  (void)options;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  error = prior_create(&c->prior, c->survey.bins, &prior);
  if (!error) error = simulator_create(PETSC_COMM_SELF, &c->survey, prior, c->campaign.seed, &simulator);
  if (!error) error = time_realisations(simulator, c, &seconds);
  PetscCall(PetscMemoryGetCurrentUsage(&memory));
  PetscCall(simulator_destroy(&simulator));
  PetscCall(prior_destroy(&prior));
  PetscCall(error);
  if (rank != 0) PetscFunctionReturn(PETSC_SUCCESS);
  printf("maps      %" PRId64 " of %d bins, %d x %d pixels of %.3f arcmin\n", c->simulate.realisations,
         (int)c->survey.bins, (int)survey_nx(&c->survey), (int)survey_ny(&c->survey),
         survey_pixel(&c->survey) * 180 * 60 / PETSC_PI);
  printf("files     %" PRId64 " shards of %d maps in %s/sims, %.3f GB in all\n", shards, (int)c->simulate.shard_size,
         c->campaign.campaign, maps * map_bytes / 1e9);
  printf("memory    %.0f MB per rank\n", memory / 1e6);
  print_time(maps * seconds / size, seconds, size);
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
