#!/usr/bin/env python3
"""Sixteen ranks, on however few cores, make what one rank makes: maps, training and draws."""

import pathlib
import shutil
import tempfile
import unittest

import h5py
import numpy as np

from tiny_campaign import run_program

RANKS = 16

# Work for every rank: 16 shards, 2 samples of a step for each, 16 blocks of draws.
CONFIG = """
seed: 5
survey: {map_size: 16, field_of_view: 2, bins: 2}
simulate: {realisations: 64, shard_size: 4}
network: {depth: 2, width: 16, heads: 2, patch: 4, cosmology_tokens: 2, bottleneck: 8, time_frequencies: 16,
          conditioning: channels, dropout: 0.3}
train: {steps: 4, batch: 32, micro_batch: 2, held_out: 16, validations: 16, validate_every: 4, checkpoint_every: 4,
        warmup: 2}
infer: {observations: 4, draws: 8, batch: 2, evaluations: 8}
"""


class SixteenRanks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-sixteen-"))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        (cls.root / "tiny.yaml").write_text(CONFIG)
        cls.alone = cls.root / "alone"
        for program in ("simulate", "train", "infer"):
            cls.run_on(1, program, cls.alone)

    @staticmethod
    def run_on(ranks, program, campaign):
        made = run_program(f"nephrite-{program}", campaign, {}, ranks)
        assert made.code == 0, made.err

    def made_by_all(self, program, *given):
        """A campaign with some of what one rank has made, from which all have made the rest."""
        campaign = self.root / program
        campaign.mkdir()
        for folder in given:
            (campaign / folder).symlink_to(self.alone / folder)
        self.run_on(RANKS, program, campaign)
        return campaign

    def assertSameDatasets(self, one, other):
        def compare(name, item):
            if isinstance(item, h5py.Dataset):
                np.testing.assert_array_equal(b[name][()], item[()], f"{other}: {name}")

        with h5py.File(one) as a, h5py.File(other) as b:
            a.visititems(compare)

    def test_maps_are_the_same_bit_for_bit(self):
        campaign = self.made_by_all("simulate")
        files = sorted((self.alone / "sims").iterdir())
        self.assertEqual(len(files), 17)
        for path in files:
            same = (campaign / "sims" / path.name).read_bytes() == path.read_bytes()
            self.assertTrue(same, path.name)

    def test_training_is_the_same_to_the_rounding_of_sums(self):
        campaign = self.made_by_all("train", "sims")
        with h5py.File(self.alone / "training.h5") as one, h5py.File(campaign / "training.h5") as all_of_them:
            for name in ("loss", "field", "theta", "gradient_norm", "validation/loss"):
                np.testing.assert_allclose(all_of_them[name], one[name], rtol=1e-5)  # as for fewer ranks, test_train.py

    def test_draws_are_the_same_bit_for_bit(self):
        campaign = self.made_by_all("infer", "sims", "checkpoints")
        files = sorted((self.alone / "posterior").glob("observation-*.h5"))
        self.assertEqual(len(files), 4)
        for path in files:
            self.assertSameDatasets(path, campaign / "posterior" / path.name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
