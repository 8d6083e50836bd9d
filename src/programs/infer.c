/** \file infer.c  nephrite-infer: draws from the posterior, and how well calibrated they are.  \ingroup programs */
#include "nephrite/calibration.h"
#include "program.h"

#include <inttypes.h>

static PetscErrorCode run(MPI_Comm comm, const Options *options, const Configuration *c)
{
  InferenceSetup setup = {options, &c->campaign, &c->survey, NULL, &c->simulate, &c->train, &c->infer};
  Prior *prior = NULL;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  error = prior_create(&c->prior, c->survey.bins, &prior);
  setup.prior = prior;
  if (!error && c->infer.task == TASK_POSTERIOR)
    error = posterior_farm(comm, &setup, "posterior", c->infer.observations, NULL, NULL);
  if (!error && c->infer.task == TASK_COVERAGE) error = coverage_run(comm, &setup);
  PetscCall(prior_destroy(&prior));
  PetscFunctionReturn(error);
}

static PetscErrorCode describe(MPI_Comm comm, const Options *options, const Configuration *c)
{
  const double map = 4. * c->survey.bins * survey_ny(&c->survey) * survey_nx(&c->survey);
  const double observations = c->infer.observation[0] ? 1 : c->infer.observations;
  const double kept =
      c->infer.task == TASK_COVERAGE ? PetscMin(c->infer.keep_maps, c->infer.observations) : observations;
  Model *model = NULL;
  Network *network = NULL;
  PetscMPIInt rank;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  (void)options;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (rank != 0) PetscFunctionReturn(PETSC_SUCCESS);
  error = model_load(c->infer.checkpoint[0] ? c->infer.checkpoint : c->campaign.campaign, &model);
  if (!error) error = network_create(&model->shape, c->infer.batch, NETWORK_INFERENCE, &network);
  if (!error) {
    printf("draws     %d for each of %.0f observations, %d network evaluations each: %.3g TFLOP in all\n",
           (int)c->infer.draws, observations, (int)c->infer.evaluations,
           observations * c->infer.draws * c->infer.evaluations * network_forward_flops(network) / 1e12);
    printf("memory    %.0f MB per rank for the network, %.0f MB for the draws of one observation\n",
           (double)network_arena_bytes(network) / 1e6, c->infer.draws * map / 1e6);
    printf("files     %.0f in %s, %.3f GB\n", observations, c->campaign.campaign, kept * c->infer.draws * map / 1e9);
  }
  PetscCall(network_destroy(&network));
  PetscCall(model_destroy(&model));
  PetscFunctionReturn(error);
}

int main(int argc, char **argv)
{
  const Program program = {.name = "nephrite-infer",
                           .purpose = "Draws convergence maps and parameters from the posterior of an observation.",
                           .usage = "-config FILE [-task posterior|coverage] [-observation FILE] [options]",
                           .options = &campaign_file,
                           .run = run,
                           .describe = describe};

  return program_main(argc, argv, &program);
}
