/** A program that fails in every way a real one can, for the tests of what all programs share. */
#include "program.h"

#include <omp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum {
  FAULT_NONE,
  FAULT_CONFIG,
  FAULT_INPUT,
  FAULT_INTERNAL,
  FAULT_INTERRUPTED,
  FAULT_DIFFERS,
  FAULT_PETSC, /* an error of PETSC's own, inside of PETSc */
  FAULT_ALONE, /* one rank fails while the others wait for it in a collective call */
  FAULT_OPEN, /* fails with a product begun and not destroyed */
  FAULT_CRASH,
  FAULT_SIGNAL, /* works until it is asked to stop */
  FAULT_WRITE, /* writes a product of -rows rows, which the disk may not have room for */
} Fault;

typedef struct {
  int fault;
  PetscInt rank, rows, threads;
  PetscBool expect;
  char directory[OPTION_TEXT_SIZE];
} FaultConfig;

static const OptionSpec specs[] = {
    {"fault", VALUE_CHOICE, offsetof(FaultConfig, fault), "", "none", 0, 0,
     "none|config|input|internal|interrupted|differs|petsc|alone|open|crash|signal|write", SCOPE_RUN,
     "what goes wrong"},
    {"rank", VALUE_INT, offsetof(FaultConfig, rank), "", "0", 0, 1024, NULL, SCOPE_RUN, "rank on which it goes wrong"},
    {"rows", VALUE_INT, offsetof(FaultConfig, rows), "rows", "16", 1, 1 << 20, NULL, SCOPE_RUN, "rows of 64 KiB"},
    {"expect", VALUE_FLAG, offsetof(FaultConfig, expect), "", "false", 0, 0, NULL, SCOPE_RUN,
     "tell how large the product will be"},
    {"threads", VALUE_INT, offsetof(FaultConfig, threads), "", "0", 0, 64, NULL, SCOPE_RUN, "threads"},
    {"directory", VALUE_TEXT, offsetof(FaultConfig, directory), "", ".", 0, 0, NULL, SCOPE_RUN, "where to write"},
};
static const OptionTable table = {"faults", specs, sizeof specs / sizeof *specs};
static const OptionTable *const tables[] = {&table};
static const ProgramOptions options_of_faults = {tables, 1, NULL};

static PetscErrorCode fail_with_class(const FaultConfig *config)
{
  static const PetscErrorCode class[] = {[FAULT_CONFIG] = (PetscErrorCode)NEPHRITE_ERR_CONFIG,
                                         [FAULT_INPUT] = (PetscErrorCode)NEPHRITE_ERR_INPUT,
                                         [FAULT_INTERNAL] = (PetscErrorCode)NEPHRITE_ERR_INTERNAL,
                                         [FAULT_INTERRUPTED] = (PetscErrorCode)NEPHRITE_ERR_INTERRUPTED,
                                         [FAULT_DIFFERS] = (PetscErrorCode)NEPHRITE_ERR_DIFFERS};

  PetscFunctionBeginUser;
  SETERRQ(PETSC_COMM_SELF, class[config->fault], "the fault asked for");
}

static PetscErrorCode fail_alone(MPI_Comm comm, PetscBool here)
{
  PetscFunctionBeginUser;
  PetscCheck(!here, PETSC_COMM_SELF, NEPHRITE_ERR_INPUT, "this rank failed alone");
  PetscCallMPI(MPI_Barrier(comm));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode write_product(MPI_Comm comm, const FaultConfig *config)
{
  enum { ROW = 1 << 14 };
  const ProductInfo info = {"shard", 1, "", 1};
  const hsize_t rows = (hsize_t)config->rows;
  ProductWriter *writer = NULL;
  PetscMPIInt rank, size;
  char path[OPTION_TEXT_SIZE + 16];
  float *row = NULL;

  PetscFunctionBeginUser;
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  PetscCallMPI(MPI_Comm_size(comm, &size));
  PetscCall(PetscCalloc1(ROW, &row));
  snprintf(path, sizeof path, "%s/a.h5", config->directory);
  PetscCall(product_create(comm, path, &info, config->expect ? (int64_t)rows * ROW * 4 : 0, &writer));
  PetscCall(
      product_declare(writer, &(ProductDataset){"kappa", H5T_NATIVE_FLOAT, 2, {rows, ROW}, DIGEST_ROWS, "1", "maps"}));
  PetscCheck(config->fault != FAULT_OPEN, PETSC_COMM_SELF, NEPHRITE_ERR_INTERNAL, "a product is left open");
  for (hsize_t i = 0; i < rows; i += (hsize_t)size) {
    const hsize_t mine = i + (hsize_t)rank;

    row[0] = (float)mine;
    PetscCall(product_write(writer, "kappa", mine < rows ? mine : 0, mine < rows ? 1 : 0, row));
  }
  PetscCall(product_commit(writer, NULL));
  PetscCall(product_writer_destroy(&writer));
  PetscCall(PetscFree(row));
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode wait_for_signal(MPI_Comm comm)
{
  PetscBool stop = PETSC_FALSE;

  PetscFunctionBeginUser;
  printf("waiting\n");
  fflush(stdout);
  while (!stop) {
    usleep(10000);
    PetscCall(interrupt_agreed(comm, &stop));
  }
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_INTERRUPTED, "stopped after a unit, run again");
}

static PetscErrorCode run(MPI_Comm comm, const Options *options, const Configuration *configuration)
{
  FaultConfig config = {0};
  PetscMPIInt rank;

  PetscFunctionBeginUser;
  (void)configuration;
  PetscCall(options_fill(options, &table, &config));
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  const PetscBool here = rank == config.rank ? PETSC_TRUE : PETSC_FALSE;

  switch ((Fault)config.fault) {
  case FAULT_NONE:
    if (here) printf("threads %d\n", omp_get_max_threads());
    break;
  case FAULT_PETSC:
    if (here) PetscCall(PetscOptionsInsertStringYAML(NULL, "{"));
    break;
  case FAULT_ALONE:
    PetscCall(fail_alone(comm, here));
    break;
  case FAULT_CRASH:
    if (here) raise(SIGSEGV);
    PetscCallMPI(MPI_Barrier(comm));
    break;
  case FAULT_SIGNAL:
    PetscCall(wait_for_signal(comm));
    break;
  case FAULT_OPEN:
  case FAULT_WRITE:
    PetscCall(write_product(comm, &config));
    break;
  default:
    if (here) PetscCall(fail_with_class(&config));
  }
  PetscFunctionReturn(PETSC_SUCCESS);
}

int main(int argc, char **argv)
{
  static const Program program = {
      .name = "faults", .purpose = "fail as asked", .usage = "-fault NAME", .options = &options_of_faults, .run = run};

  return program_main(argc, argv, &program);
}
