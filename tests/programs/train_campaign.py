"""A small campaign to train on, and what tests of nephrite-train ask of it."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

import h5py
import numpy as np

from tiny_campaign import command, run_program

CONFIG = """
seed: 3
survey: {map_size: 16, field_of_view: 2, bins: 2}
simulate: {realisations: 40, shard_size: 16}
network: {depth: 4, width: 16, heads: 2, patch: 4, observation_patch: 8, observation_start: 1, cosmology_tokens: 2,
          bottleneck: 8, time_frequencies: 16, spectra: 3, output: residual, dropout: 0.3}
train: {steps: 20, batch: 6, micro_batch: 4, held_out: 8, checkpoint_every: 10, validate_every: 10, learning_rate: 3e-3,
        final_learning_rate: 1e-3, warmup: 3, ema_decay: 0.9}
"""


class TrainCase(unittest.TestCase):
    """Maps, and a training of 20 steps that nothing disturbed: cls.whole."""

    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-train-"))
        (cls.root / "tiny.yaml").write_text(CONFIG)
        cls.maps = cls.root / "maps"
        subprocess.run(command("nephrite-simulate", cls.maps, {}, 1), check=True, capture_output=True)
        cls.whole = cls.new_campaign("whole")
        run = cls.train(cls.whole)
        assert run.code == 0, run.err

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    @classmethod
    def new_campaign(cls, name, checkpoints=()):
        """A campaign with the maps of all, and checkpoints of the uninterrupted one."""
        campaign = cls.root / name
        (campaign / "checkpoints").mkdir(parents=True)
        (campaign / "sims").symlink_to(cls.maps / "sims")
        for step in checkpoints:
            shutil.copy(cls.checkpoint(cls.whole, step), campaign / "checkpoints")
        return campaign

    @staticmethod
    def checkpoint(campaign, step):
        return campaign / "checkpoints" / f"step-{step:08d}.h5"

    @staticmethod
    def steps(campaign):
        return sorted(int(p.name[5:-3]) for p in (campaign / "checkpoints").glob("step-*.h5"))

    @staticmethod
    def train(campaign, options={}, ranks=1, file_kib=None):
        return run_program("nephrite-train", campaign, options, ranks, file_kib)

    def assertEnds(self, run, code, *words):
        self.assertEqual(run.code, code, run.err or run.out)
        for word in words:
            self.assertIn(word, run.err)
        lines = [line for line in run.err.splitlines() if line.startswith("nephrite-train:")]
        self.assertEqual(len(lines), 1 if code else 0, run.err)

    def assertSameTraining(self, first, second):
        """Every number that training goes on from, bit for bit; times are another matter."""
        differing = []

        def compare(name, item):
            timed = name.endswith(("samples_per_second", "seconds"))
            if isinstance(item, h5py.Dataset) and not timed and not np.array_equal(item[()], b[name][()]):
                differing.append(name)

        with h5py.File(first) as a, h5py.File(second) as b:
            a.visititems(compare)
            for group in ("weights", "ema", "m", "v", "history"):
                self.assertGreater(len(a[group]), 5)
        self.assertEqual(differing, [])

    @staticmethod
    def loss(campaign):
        with h5py.File(campaign / "training.h5") as file:
            return file["loss"][:]

    @staticmethod
    def flip_byte(path, share=0.3):
        data = bytearray(path.read_bytes())
        data[int(share * len(data))] ^= 0x10
        path.write_bytes(data)
