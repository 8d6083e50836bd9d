#!/usr/bin/env python3
# nephrite-test: long
"""kill -9 of mpirun, of one rank or of all of nephrite-simulate, twenty times at random: what is resumed ends as if nothing had happened."""

import unittest

from kills import KillCase


class Kills(KillCase):
    program = "nephrite-simulate"
    config = """
seed: 5
survey: {map_size: 64, field_of_view: 5, bins: 3}
simulate: {realisations: 1500, shard_size: 20}
train: {held_out: 8}
"""

    def test_a_campaign_killed_at_random_times_ends_as_one_that_was_not(self):
        self.kill_at_random_times()


if __name__ == "__main__":
    unittest.main(verbosity=2)
