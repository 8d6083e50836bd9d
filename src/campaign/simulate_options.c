/** \file simulate_options.c  The `simulate` section of a campaign file.  \ingroup campaign */
#include "nephrite/campaign.h"

static const OptionSpec specs[] = {
    {"simulate_realisations", VALUE_INT64, offsetof(SimulateConfig, realisations), "maps", "100000", 1, 1e12, NULL,
     SCOPE_TRAINING | SCOPE_POSTERIOR, "tomographic maps of the campaign; may be raised later to make more"},
    {"simulate_shard_size", VALUE_INT, offsetof(SimulateConfig, shard_size), "maps", "256", 1, 1 << 20, NULL,
     SCOPE_SIMULATION, "maps in a shard, the unit of work of a rank and of a restart"},
};

const OptionTable simulate_options = {"simulate", specs, sizeof specs / sizeof *specs};
