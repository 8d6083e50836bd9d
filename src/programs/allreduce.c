/** \file allreduce.c  nephrite-allreduce: how long sums over ranks take as training makes them.  \ingroup programs */
#include "program.h"

#include <inttypes.h>

typedef struct {
  int64_t least, most, gradient;
  PetscInt repeats;
} AllreduceConfig;

#define MEMBER(name) offsetof(AllreduceConfig, name)
static const OptionSpec specs[] = {
    {"least", VALUE_INT64, MEMBER(least), "bytes", "1024", 4, 1LL << 32, NULL, SCOPE_RUN,
     "the shortest vector; each is four times as long as the one before"},
    {"most", VALUE_INT64, MEMBER(most), "bytes", "268435456", 4, 1LL << 32, NULL, SCOPE_RUN, "the longest vector"},
    {"gradient", VALUE_INT64, MEMBER(gradient), "bytes", "0", 0, 1LL << 32, NULL, SCOPE_RUN,
     "a vector besides, as long as a network's weights; 0 for none"},
    {"repeats", VALUE_INT, MEMBER(repeats), "", "5", 1, 1 << 20, NULL, SCOPE_RUN,
     "times that each is summed, of which the fastest counts"},
};
static const OptionTable table = {"allreduce", specs, sizeof specs / sizeof *specs};

static const OptionTable *const tables[] = {&table};
static const ProgramOptions options_of_allreduce = {tables, 1, NULL};

static PetscErrorCode one_line(MPI_Comm comm, int64_t bytes, PetscInt repeats)
{
  ReductionTimes times;
  int rank;

  PetscFunctionBeginUser;
  PetscCall(reduction_measure(comm, bytes, repeats, &times));
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (rank == 0)
    printf("%12" PRId64 " %14.4e %14.4e %14.4e\n", bytes, times.message_seconds, times.buckets_seconds,
           times.gather_seconds);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode allreduce_run(MPI_Comm comm, const Options *options, const Configuration *configuration)
{
  AllreduceConfig config = {0};
  int rank, size;

  PetscFunctionBeginUser;
  (void)configuration;
  PetscCall(options_fill(options, &table, &config));
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  if (rank == 0) {
    printf("%d ranks, buckets of %" PRId64 " bytes; seconds\n", size, reduction_bucket_bytes());
    printf("%12s %14s %14s %14s\n", "bytes", "one message", "in buckets", "gathered");
  }
  for (int64_t bytes = config.least; bytes <= config.most; bytes *= 4) PetscCall(one_line(comm, bytes, config.repeats));
  if (config.gradient) PetscCall(one_line(comm, config.gradient, config.repeats));
  PetscFunctionReturn(PETSC_SUCCESS);
}

int main(int argc, char **argv)
{
  static const Program program = {
      .name = "nephrite-allreduce",
      .purpose = "Times sums over ranks by the calls that training makes; tools/bench allreduce makes a model of them.",
      .usage = "[options]",
      .options = &options_of_allreduce,
      .run = allreduce_run,
  };

  return program_main(argc, argv, &program);
}
