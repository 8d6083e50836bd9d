/** \file stage_fixture.h  A directory in which ranks lock a stage, and tell what it is at. */
#ifndef NEPHRITE_TESTS_SUPPORT_STAGE_FIXTURE_H
#define NEPHRITE_TESTS_SUPPORT_STAGE_FIXTURE_H

#include "nephrite_test.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[256];
static PetscMPIInt rank;
static const StageShare whole = {1, 1};

/* The same name on every rank. */
static int make_folder(const char *purpose)
{
  long number = (long)getpid();

  MPI_Comm_rank(PETSC_COMM_WORLD, &rank);
  MPI_Bcast(&number, 1, MPI_LONG, 0, PETSC_COMM_WORLD);
  snprintf(folder, sizeof folder, "/tmp/nephrite-test-%s-%ld", purpose, number);
  unsetenv("SLURM_JOB_ID");
  return product_directory(PETSC_COMM_WORLD, folder) ? -1 : 0;
}

#endif
