#!/usr/bin/env python3
# nephrite-test: long
"""kill -9 of mpirun, of one rank or of all of nephrite-simulate, twenty times at random: what is resumed ends as if nothing had happened."""

import hashlib
import unittest

from kills import KillCase


def digests(campaign):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (campaign / "sims").iterdir()}


class Kills(KillCase):
    program = "nephrite-simulate"
    config = """
seed: 5
survey: {map_size: 64, field_of_view: 5, bins: 3}
simulate: {realisations: 1500, shard_size: 20}
train: {held_out: 8}
"""

    def assert_same(self, campaign, whole):
        """Every byte: maps know neither their campaign's name nor the time."""
        super().assert_same(campaign, whole)
        self.assertEqual(digests(campaign), digests(whole))

    def test_a_campaign_killed_at_random_times_ends_as_one_that_was_not(self):
        self.kill_at_random_times()


if __name__ == "__main__":
    unittest.main(verbosity=2)
