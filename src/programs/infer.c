/** \file infer.c  nephrite-infer: draws from the posterior, and how well calibrated they are.  \ingroup programs */
#include "program.h"

#include <inttypes.h>

static InferenceSetup setup_of(const Options *options, const Configuration *c, const Prior *prior)
{
  return (InferenceSetup){.options = options,
                          .campaign = &c->campaign,
                          .survey = &c->survey,
                          .prior = prior,
                          .simulate = &c->simulate,
                          .train = &c->train,
                          .infer = &c->infer};
}

static PetscErrorCode run_task(MPI_Comm comm, const InferenceSetup *setup, const CalibrateConfig *calibrate)
{
  char folder[POSTERIOR_FOLDER_SIZE];
  const PosteriorFarm all_maps = {folder, setup->infer->observations, NULL};
  int64_t absent;

  PetscFunctionBeginUser;
  posterior_folder(setup, folder);
  if (setup->infer->task == TASK_COVERAGE)
    PetscCall(coverage_run(comm, setup, calibrate));
  else
    PetscCall(posterior_farm(comm, setup, &all_maps, &absent));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode run(MPI_Comm comm, const Options *options, const Configuration *c)
{
  Prior *prior = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error = prior_create(&c->prior, c->survey.bins, &prior);
  if (!error) {
    const InferenceSetup setup = setup_of(options, c, prior);

    error = run_task(comm, &setup, &c->calibrate);
  }
  PetscCall(prior_destroy(&prior));
  PetscFunctionReturn(error);
}

/* ---- -dry_run ---- */

/* Seconds of a forward pass of one sample on this rank, as a share of the whole is soon measured. */
static PetscErrorCode time_forward(const NetworkShape *shape, double *seconds)
{
  const size_t pixels = (size_t)(shape->ny * shape->nx), bins = (size_t)shape->bins;
  const size_t shown = (size_t)network_map_channels(shape);
  const size_t channels = (size_t)shape->observation_channels, parameters = (size_t)shape->parameters;
  const size_t summaries = (size_t)network_summary_count(shape);
  Network *network = NULL;
  Scalar *in = NULL, *out = NULL, t = 0;
  PetscErrorCode error;

  PetscFunctionBeginUser;
  PetscCall(PetscCalloc2((shown + channels) * pixels + parameters + summaries, &in, bins * pixels + parameters, &out));
  error = network_create(shape, 1, NETWORK_INFERENCE, &network);
  if (!error) error = network_initialise(network, 0);
  const NetworkInput input = {.batch = 1,
                              .z = in,
                              .observation = in + shown * pixels,
                              .z_theta = in + (shown + channels) * pixels,
                              .summaries = in + (shown + channels) * pixels + parameters,
                              .t = &t};
  for (int pass = 0; pass < 2 && !error; pass++) { /* the first one touches memory for the first time */
    const double start = MPI_Wtime();

    error = network_forward(network, &input, out, out + bins * pixels);
    *seconds = MPI_Wtime() - start;
  }
  PetscCall(network_destroy(&network));
  PetscCall(PetscFree2(in, out));
  PetscFunctionReturn(error);
}

static void print_estimate(const Configuration *c, int ranks, const InferenceEstimate *e, double seconds)
{
  const double evaluations = (double)e->observations * e->draws * PetscMax(e->evaluations, 1);

  printf("network   %zu parameters, %.3g GFLOP forward per sample%s\n", e->network.parameters,
         e->network.forward_flops / 1e9, e->trained ? "" : "; not trained yet");
  printf("draws     %d for each of %" PRId64 " observations, ", (int)e->draws, e->observations);
  if (e->evaluations)
    printf("%d evaluations of the network each: %.4g TFLOP in all\n", (int)e->evaluations, e->flops / 1e12);
  else
    printf("each as many evaluations of the network as infer_tolerance needs: %.4g TFLOP in all for one of each\n",
           e->flops / 1e12);
  printf("memory    %.3f GB per rank: network %.3f, draws %.3f\n",
         ((double)e->network.arena_bytes + e->block_bytes) / 1e9, (double)e->network.arena_bytes / 1e9,
         e->block_bytes / 1e9);
  printf("files     %" PRId64 " in %s/%s, %.3f GB in all\n", e->observations, c->campaign.campaign,
         c->infer.task == TASK_COVERAGE ? "coverage" : "posterior", e->file_bytes / 1e9);
  printf("time      %.3g ms per evaluation here: %.3g hours on %d ranks%s\n", 1e3 * seconds,
         evaluations * seconds / ranks / 3600, ranks, e->evaluations ? "" : " for one of each draw");
}

static PetscErrorCode describe_draws(MPI_Comm comm, const InferenceSetup *setup, const Configuration *c)
{
  const int64_t keep_maps = c->infer.task == TASK_COVERAGE ? c->infer.keep_maps : c->infer.observations;
  InferenceEstimate estimate;
  double seconds = 0;
  PetscMPIInt rank, size;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  PetscCall(inference_estimate(setup, &c->network, keep_maps, &estimate));
  PetscCall(time_forward(&estimate.shape, &seconds)); /* on all ranks at once, as in a run */
  if (rank == 0) print_estimate(c, size, &estimate, seconds);
  PetscFunctionReturn(PETSC_SUCCESS);
}

/* Without a network: of a map alone its observation, itself and the truth, and the drawn maps where there are any. */
static void print_files(const InferenceSetup *setup)
{
  const SurveyConfig *survey = setup->survey;
  const double map = 4. * (double)survey->bins * (double)survey_ny(survey) * (double)survey_nx(survey);
  const int64_t observations = posterior_count(setup);
  const int draws = (int)posterior_draws(setup);
  char folder[POSTERIOR_FOLDER_SIZE];

  posterior_folder(setup, folder);
  if (draws)
    printf("draws     %d for each of %" PRId64 " observations, by %d chains\n", draws, observations,
           (int)setup->infer->chains);
  printf("files     %" PRId64 " in %s/%s, %.3f GB in all\n", observations, setup->campaign->campaign, folder,
         1e-9 * map * (6 + draws) * (double)observations);
}

static PetscErrorCode describe_task(MPI_Comm comm, const InferenceSetup *setup, const Configuration *c)
{
  PetscMPIInt rank;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (c->infer.method == METHOD_DIFFUSION && c->infer.task != TASK_MAP)
    PetscCall(describe_draws(comm, setup, c));
  else if (rank == 0)
    print_files(setup);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode describe(MPI_Comm comm, const Options *options, const Configuration *c)
{
  Prior *prior = NULL;

  PetscFunctionBeginUser;
  PetscErrorCode error = prior_create(&c->prior, c->survey.bins, &prior);
  if (!error) {
    const InferenceSetup setup = setup_of(options, c, prior);

    error = describe_task(comm, &setup, c);
  }
  PetscCall(prior_destroy(&prior));
  PetscFunctionReturn(error);
}

int main(int argc, char **argv)
{
  const Program program = {
      .name = "nephrite-infer",
      .purpose = "Draws convergence maps and parameters from the posterior of an observation.",
      .usage = "-config FILE [-task posterior|coverage|map] [-infer_method METHOD] [-observation FILE] [options]",
      .options = &campaign_file,
      .run = run,
      .describe = describe};

  return program_main(argc, argv, &program);
}
