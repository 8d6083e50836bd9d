/** \file campaign_options.c  What every program shares: where a campaign is, its seed, threads.  \ingroup campaign */
#include "nephrite/campaign.h"

static const OptionSpec specs[] = {
    {"config", VALUE_TEXT, offsetof(CampaignConfig, config), "", "", 0, 0, NULL, SCOPE_RUN,
     "campaign file (YAML); the command line overrides it"},
    {"campaign", VALUE_TEXT, offsetof(CampaignConfig, campaign), "", "", 0, 0, NULL, SCOPE_RUN,
     "directory of the campaign's products; empty for campaigns/<name of the campaign file>"},
    {"seed", VALUE_INT64, offsetof(CampaignConfig, seed), "", "1", 0, 9e15, NULL,
     SCOPE_SIMULATION | SCOPE_TRAINING | SCOPE_POSTERIOR, "seed of every random number of the campaign"},
    {"threads", VALUE_INT, offsetof(CampaignConfig, threads), "", "0", 0, 4096, NULL, SCOPE_RUN,
     "OpenMP threads per rank; 0 for OMP_NUM_THREADS, or 1 where that is not set"},
    {"dry_run", VALUE_FLAG, offsetof(CampaignConfig, dry_run), "", "false", 0, 0, NULL, SCOPE_RUN,
     "check the configuration, say what the run would need, and end"},
};

const OptionTable campaign_options = {"campaign", specs, sizeof specs / sizeof *specs};
