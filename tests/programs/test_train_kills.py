#!/usr/bin/env python3
# nephrite-test: long
"""kill -9 of mpirun, of one rank or of all of nephrite-train, twenty times at random, many in the writing of a checkpoint: the network
that comes of it in the end is the one of a training that nothing disturbed, bit for bit."""

import unittest

from kills import WRITING, KillCase

STEPS = 120


class TrainKills(KillCase):
    program = "nephrite-train"
    # A step takes less than its checkpoint, which is written and synchronised after each.
    config = f"""
seed: 5
survey: {{map_size: 16, field_of_view: 2, bins: 2}}
simulate: {{realisations: 40, shard_size: 16}}
network: {{depth: 4, width: 16, heads: 2, patch: 4, cosmology_tokens: 2, bottleneck: 8, time_frequencies: 16}}
train: {{steps: {STEPS}, batch: 4, held_out: 8, checkpoint_every: 1, validate_every: 7, validations: 4, warmup: 3,
        learning_rate: 3e-3, ema_decay: 0.9, shard_optimizer: true}}
"""

    def prepare(self, campaign):
        maps = self.root / "maps"
        if not maps.exists():
            self.finish(maps, "nephrite-simulate")
        campaign.mkdir()
        (campaign / "sims").symlink_to(maps / "sims")

    def test_a_training_killed_at_random_times_ends_as_one_that_was_not(self):
        self.kill_at_random_times({WRITING: 2})


if __name__ == "__main__":
    unittest.main(verbosity=2)
