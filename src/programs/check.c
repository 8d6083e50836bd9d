/** \file check.c  nephrite-check: this build against numbers from independent codes.  \ingroup programs */
#include "check.h"
#include "program.h"

#include <string.h>

typedef struct {
  const char *name;
  PetscErrorCode (*check)(ProductReader *file, CheckReport *report);
  const char *sentence;
} CheckKind;

static const CheckKind kinds[] = {
    {"cosmology", check_cosmology, "distances, growth, matter power and C_ell of given universes"},
    {"shift", check_shift, "log-normal shifts of given universes"},
    {"field", check_field, "maps and shear from given white noise, or statistics of many maps"},
    {"network", check_network, "the network: activations, gradients, optimiser steps, draws"},
    {"calibration", check_calibration, "MIRA, TARP and SBC of given truths and draws"},
    {NULL, NULL, NULL}, /* ends the table */
};

typedef struct {
  double tolerance;
  PetscInt threads;
} CheckConfig;

static const OptionSpec specs[] = {
    {"tolerance", VALUE_REAL, offsetof(CheckConfig, tolerance), "", "-1", -1, 1e300, NULL, SCOPE_RUN,
     "largest error allowed, instead of each quantity's own; negative for those"},
    {"threads", VALUE_INT, offsetof(CheckConfig, threads), "threads", "0", 0, 4096, NULL, SCOPE_RUN,
     "OpenMP threads; 0 for OMP_NUM_THREADS, or one where that is not set"},
};
static const OptionTable check_options = {"check", specs, sizeof specs / sizeof *specs};

static const OptionTable *const tables[] = {&check_options};
static const ProgramOptions options_of_check = {tables, 1, NULL};

static PetscErrorCode list_kinds(FILE *out)
{
  PetscFunctionBeginUser;
  fprintf(out, "\nkinds\n");
  for (const CheckKind *kind = kinds; kind->name; kind++) fprintf(out, "  %-12s %s\n", kind->name, kind->sentence);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode find_kind(const char *name, const CheckKind **found)
{
  char known[512] = "";

  PetscFunctionBeginUser;
  for (*found = kinds; (*found)->name; (*found)++) {
    if (!strcmp((*found)->name, name)) PetscFunctionReturn(PETSC_SUCCESS);
    PetscCall(PetscStrlcat(known, *known ? ", " : "", sizeof known));
    PetscCall(PetscStrlcat(known, (*found)->name, sizeof known));
  }
  SETERRQ(PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "there is no kind of check \"%s\"; there are %s", name, known);
}

static PetscErrorCode compare(const CheckKind *kind, const char *path, double tolerance)
{
  ProductReader *file = NULL;
  CheckReport *report = NULL;
  int decided = 0, failed = 0;

  PetscFunctionBeginUser;
  PetscCall(product_open_foreign(path, &file));
  PetscCall(check_report_create(tolerance, stdout, &report));
  PetscCall(kind->check(file, report));
  PetscCall(check_report_count(report, &decided, &failed));
  PetscCall(check_report_destroy(&report));
  PetscCall(product_close(&file));
  PetscCheck(!failed, PETSC_COMM_SELF, NEPHRITE_ERR_DIFFERS, "%d of %d quantities differ from %s by too much", failed,
             decided, path);
  printf("%s: all %d quantities of %s agree\n", kind->name, decided, path);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode check_run(MPI_Comm comm, const Options *options, const Configuration *configuration)
{
  CheckConfig config = {0};
  const CheckKind *kind = NULL;
  PetscMPIInt rank;

  PetscFunctionBeginUser;
  PetscCall(options_fill(options, &check_options, &config));
  PetscCall(find_kind(configuration->words[0], &kind));
  PetscCallMPI(MPI_Comm_rank(comm, &rank));
  if (rank == 0) PetscCall(compare(kind, configuration->words[1], config.tolerance));
  PetscFunctionReturn(PETSC_SUCCESS);
}

int main(int argc, char **argv)
{
  static const Program program = {
      .name = "nephrite-check",
      .purpose = "compare this build with numbers from independent codes and report each quantity's worst error",
      .usage = "KIND FILE [-tolerance X]",
      .words = 2,
      .options = &options_of_check,
      .run = check_run,
      .more_help = list_kinds,
  };

  return program_main(argc, argv, &program);
}
