/** \file train.c  nephrite-train: convergence maps to a denoiser of maps and parameters.  \ingroup programs */
#include "program.h"

#include <inttypes.h>

static TrainingSetup setup_of(const Options *options, const Configuration *c, const Prior *prior)
{
  return (TrainingSetup){.options = options,
                         .campaign = &c->campaign,
                         .survey = &c->survey,
                         .prior = prior,
                         .simulate = &c->simulate,
                         .network = &c->network,
                         .train = &c->train};
}

static PetscErrorCode run(MPI_Comm comm, const Options *options, const Configuration *c)
{
  Prior *prior = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error = prior_create(&c->prior, c->survey.bins, &prior);
  if (!error) {
    const TrainingSetup setup = setup_of(options, c, prior);

    error = training_run(comm, &setup);
  }
  PetscCall(prior_destroy(&prior));
  PetscFunctionReturn(error);
}

static void print_estimate(const Configuration *c, const TrainingEstimate *e)
{
  const double rank_bytes = (double)e->network.arena_bytes + e->optimizer_bytes + e->batch_bytes;
  const double kept = (double)(c->train.keep + 2); /* the best one, and one being written */

  printf("network   %zu parameters in %d tensors, %d blocks, %.3g GFLOP forward per sample\n", e->network.parameters,
         (int)e->network.tensors, (int)c->network.depth, e->network.forward_flops / 1e9);
  printf("steps     %" PRId64
         " of %d samples on %d ranks, %d at once per rank; %.4g TFLOP per step, %.3g EFLOP in all\n",
         c->train.steps, (int)c->train.batch, e->trainers, (int)e->micro_batch, e->step_flops / 1e12,
         e->step_flops * (double)c->train.steps / 1e18);
  if (c->train.simulation_ranks)
    printf("maps      from %d more ranks, which simulate\n", (int)c->train.simulation_ranks);
  printf("memory    %.3f GB per rank: network %.3f, optimiser %.3f, batch %.3f\n", rank_bytes / 1e9,
         (double)e->network.arena_bytes / 1e9, e->optimizer_bytes / 1e9, e->batch_bytes / 1e9);
  printf("files     checkpoints of %.3f GB in %s/checkpoints, up to %.0f of them: %.3f GB\n", e->checkpoint_bytes / 1e9,
         c->campaign.campaign, kept, kept * e->checkpoint_bytes / 1e9);
}

static PetscErrorCode describe(MPI_Comm comm, const Options *options, const Configuration *c)
{
  Prior *prior = NULL;
  TrainingEstimate estimate;
  PetscMPIInt rank, size;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  PetscErrorCode error = prior_create(&c->prior, c->survey.bins, &prior);
  if (!error) {
    const TrainingSetup setup = setup_of(options, c, prior);

    error = group_agree(comm, training_estimate(&setup, size, &estimate));
  }
  PetscCall(prior_destroy(&prior));
  if (!error && rank == 0) print_estimate(c, &estimate);
  PetscFunctionReturn(error);
}

int main(int argc, char **argv)
{
  const Program program = {.name = "nephrite-train",
                           .purpose = "Trains the diffusion transformer on a campaign's maps.",
                           .usage = "-config FILE [options]",
                           .options = &campaign_file,
                           .run = run,
                           .describe = describe};

  return program_main(argc, argv, &program);
}
