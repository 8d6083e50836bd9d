/** \file configuration.c  The sections of a campaign file, for the programs that read one.  \ingroup programs */
#include "program.h"

#include <string.h>

/* The prior comes last: the nuisances of every bin are many lines of -help. */
static const OptionTable *const tables[] = {&campaign_options, &survey_options, &simulate_options,  &network_options,
                                            &train_options,    &infer_options,  &calibrate_options, &prior_options};

/* campaigns/<name of the campaign file without folder and suffix>, unless the user says otherwise. */
static PetscErrorCode default_directory(CampaignConfig *campaign)
{
  const char *slash = strrchr(campaign->config, '/');
  const char *name = slash ? slash + 1 : campaign->config;
  const char *dot = strrchr(name, '.');
  const int length = dot && dot > name ? (int)(dot - name) : (int)strlen(name);

  PetscFunctionBeginUser;
  if (campaign->campaign[0]) PetscFunctionReturn(PETSC_SUCCESS);
  if (!length) PetscFunctionReturn(PetscStrncpy(campaign->campaign, "campaigns/default", OPTION_TEXT_SIZE));
  PetscCheck(length < OPTION_TEXT_SIZE - 16, PETSC_COMM_SELF, NEPHRITE_ERR_CONFIG, "the name of %s is too long",
             campaign->config);
  snprintf(campaign->campaign, sizeof campaign->campaign, "campaigns/%.*s", length, name);
  PetscFunctionReturn(PETSC_SUCCESS);
}

static PetscErrorCode fill(const Options *options, Configuration *configuration)
{
  PetscFunctionBeginUser;
  PetscCall(options_fill(options, &campaign_options, &configuration->campaign));
  PetscCall(options_fill(options, &survey_options, &configuration->survey));
  PetscCall(options_fill(options, &prior_options, &configuration->prior));
  PetscCall(options_fill(options, &simulate_options, &configuration->simulate));
  PetscCall(options_fill(options, &network_options, &configuration->network));
  PetscCall(options_fill(options, &train_options, &configuration->train));
  PetscCall(options_fill(options, &infer_options, &configuration->infer));
  PetscCall(options_fill(options, &calibrate_options, &configuration->calibrate));
  PetscCall(default_directory(&configuration->campaign));
  PetscCall(survey_config_check(&configuration->survey));
  PetscCall(train_config_check(&configuration->train, &configuration->simulate));
  PetscFunctionReturn(PETSC_SUCCESS);
}

const ProgramOptions campaign_file = {tables, sizeof tables / sizeof *tables, fill};
