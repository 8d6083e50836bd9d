/** \file simulate_options.c  The `simulate` section of a campaign file.  \ingroup campaign */
#include "nephrite/campaign.h"

static const OptionSpec specs[] = {
    {"simulate_realisations", VALUE_INT64, offsetof(SimulateConfig, realisations), "maps", "100000", 1, 1e12, NULL,
     SCOPE_TRAINING | SCOPE_POSTERIOR, "tomographic maps of the campaign; may be raised later to make more"},
    {"simulate_shard_size", VALUE_INT, offsetof(SimulateConfig, shard_size), "maps", "256", 1, 1 << 20, NULL,
     SCOPE_SIMULATION, "maps in a shard, the unit of work of a group of ranks and of a restart"},
    {"simulate_maps", VALUE_TEXT, offsetof(SimulateConfig, maps), "", "", 0, 0, NULL, SCOPE_SIMULATION,
     "HDF5 file of maps made elsewhere, kappa[map][bin][y][x] and theta[map][parameter] (tools/ingest writes one), "
     "instead of simulated ones; empty to simulate"},
    {"simulate_group_size", VALUE_INT, offsetof(SimulateConfig, group_size), "ranks", "1", 1, 1 << 20, NULL, SCOPE_RUN,
     "ranks that make a map together; more than one for maps that are too large for one"},
    {"simulate_compression", VALUE_INT, offsetof(SimulateConfig, compression), "", "0", 0, 9, NULL, SCOPE_RUN,
     "lossless compression of the maps of new shards, from 0 (none, fastest) to 9 (most)"},
};

const OptionTable simulate_options = {"simulate", specs, sizeof specs / sizeof *specs};
