/** \file calibration.c  nephrite-calibration: what tests of calibration detect, and what they cost.  \ingroup programs
 */
#include "calibration_measures.h"
#include "program.h"

#define MEMBER(name) offsetof(MeasureConfig, name)
static const OptionSpec specs[] = {
    {"task", VALUE_CHOICE, MEMBER(task), "", "power", 0, 0, "power|speed", SCOPE_RUN,
     "how small an error of a posterior each test sees, or how fast truths are compared with draws"},
    {"metric", VALUE_CHOICE, MEMBER(metric), "", "standardised", 0, 0, "raw|minmax|standardised", SCOPE_RUN,
     "how MIRA and TARP measure distances"},
    {"seed", VALUE_INT64, MEMBER(seed), "", "1", 0, 9e15, NULL, SCOPE_RUN, "seed of every random number"},
    {"truths", VALUE_INT, MEMBER(truths), "truths", "500", 2, 1e6, NULL, SCOPE_RUN, "truths of an experiment"},
    {"draws", VALUE_INT, MEMBER(draws), "draws", "500", 2, 1e6, NULL, SCOPE_RUN, "draws for each truth"},
    {"dimension", VALUE_INT, MEMBER(dimension), "", "6", 1, 1e8, NULL, SCOPE_RUN, "numbers of a truth"},
    {"centres", VALUE_INT, MEMBER(centres), "centres", "64", 1, 1e6, NULL, SCOPE_RUN,
     "random centres for each truth in MIRA and TARP"},
    {"experiments", VALUE_INT, MEMBER(experiments), "", "100", 1, 1e6, NULL, SCOPE_RUN,
     "power: experiments with each distortion"},
    {"nulls", VALUE_INT, MEMBER(nulls), "", "999", 1, 1e6, NULL, SCOPE_RUN,
     "power: experiments without distortion besides, which say when TARP rejects"},
    {"significance", VALUE_REAL, MEMBER(significance), "", "0.01", 1e-6, 0.5, NULL, SCOPE_RUN,
     "power: chance with which a test is to reject what is right"},
    {"biases", VALUE_TEXT, MEMBER(biases), "", "0.05,0.1,0.15,0.2,0.3,0.5", 0, 0, NULL, SCOPE_RUN,
     "power: biases of the draws, in standard deviations of the posterior, in one dimension and in all"},
    {"widths", VALUE_TEXT, MEMBER(widths), "", "0.7,0.8,0.9,0.95,1.05,1.1,1.2,1.4", 0, 0, NULL, SCOPE_RUN,
     "power: standard deviations of the draws over that of the posterior, in one dimension and in all"},
    {"noise", VALUE_REAL, MEMBER(noise), "", "0.5", 1e-3, 1e3, NULL, SCOPE_RUN,
     "power: noise of the datum, in standard deviations of the prior"},
    {"bins", VALUE_INT, MEMBER(bins), "bins", "20", 2, 1000, NULL, SCOPE_RUN, "power: bins of the histograms of ranks"},
    {"bootstraps", VALUE_INT, MEMBER(bootstraps), "", "200", 10, 1e6, NULL, SCOPE_RUN,
     "power: bootstrap samples of the truths for the error of MIRA"},
    {"levels", VALUE_INT, MEMBER(levels), "", "21", 2, 10001, NULL, SCOPE_RUN,
     "power: credibilities from 0 to 1 at which TARP compares"},
    {"buffer", VALUE_INT64, MEMBER(buffer), "bytes", "536870912", 1 << 20, 1LL << 40, NULL, SCOPE_RUN,
     "speed: memory of a rank that is read to learn how fast that goes"},
};
static const OptionTable table = {"calibration", specs, sizeof specs / sizeof *specs};

static const OptionTable *const tables[] = {&table};
static const ProgramOptions options_of_calibration = {tables, 1, NULL};

static PetscErrorCode calibration_run(MPI_Comm comm, const Options *options, const Configuration *configuration)
{
  MeasureConfig config = {0};

  PetscFunctionBeginUser;
  (void)configuration;
  PetscCall(options_fill(options, &table, &config));
  if (config.task == MEASURE_POWER)
    PetscCall(measure_power(comm, &config));
  else
    PetscCall(measure_speed(comm, &config));
  PetscFunctionReturn(PETSC_SUCCESS);
}

int main(int argc, char **argv)
{
  static const Program program = {
      .name = "nephrite-calibration",
      .purpose = "Measures what MIRA, TARP and SBC detect, and what they cost; tools/bench calibration sums it up.",
      .usage = "[options]",
      .options = &options_of_calibration,
      .run = calibration_run,
  };

  return program_main(argc, argv, &program);
}
