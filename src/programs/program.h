/** \file program.h
 * What the mains share: command line, configuration, start and end of a run.  \defgroup programs Programs
 */
#ifndef NEPHRITE_PROGRAMS_PROGRAM_H
#define NEPHRITE_PROGRAMS_PROGRAM_H

#include "nephrite/calibration.h"

/** Every section of a campaign file, checked and filled; all zero in a program that reads none. */
typedef struct {
  CampaignConfig campaign; /**< with the default directory filled in */
  SurveyConfig survey;
  PriorConfig prior;
  SimulateConfig simulate;
  NetworkConfig network;
  TrainConfig train;
  InferConfig infer;
  CalibrateConfig calibrate;
  char *const *words; /**< [Program::words] what stands on the command line before the options */
} Configuration;

/** What a program does, once everything is ready.  Collective on \p comm; its error becomes the exit code of all ranks.
 */
typedef PetscErrorCode (*ProgramTask)(MPI_Comm comm, const Options *options, const Configuration *configuration);

/** The options a program knows, and what becomes of them. */
typedef struct {
  const OptionTable *const *tables;
  size_t count;
  PetscErrorCode (*fill)(const Options *options, Configuration *configuration); /**< also checks; may be NULL */
} ProgramOptions;
extern const ProgramOptions
    campaign_file; /**< every section of a campaign file, so that one file serves all programs */

/** One main. */
typedef struct {
  const char *name; /**< "nephrite-simulate" */
  const char *purpose; /**< one sentence for -help */
  const char *usage; /**< what follows the name: "-config FILE [options]" */
  int words; /**< how many words are expected before the options */
  const ProgramOptions *options; /**< &campaign_file, or a program's own */
  ProgramTask run;
  ProgramTask describe; /**< -dry_run: print what a run would need; NULL if the program has none */
  PetscErrorCode (*more_help)(FILE *out); /**< printed by -help before the options; may be NULL */
} Program;

/** All of main().  \returns the exit code (0, 1, 64, 65, 70, 74 or 75), the same on every rank */
int program_main(int argc, char **argv, const Program *program);

#endif
