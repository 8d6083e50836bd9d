#!/usr/bin/env python3
"""nephrite-simulate with groups of ranks that make a map together, and with compressed shards."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import h5py
import numpy as np

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("NEPHRITE_BUILD", SOURCE / "build"))
USAGE, INPUT, IO, INTERRUPTED = 64, 65, 74, 75
SHARDS, MAPS = 6, 52

CONFIG = """
seed: 3
survey: {map_size: 24, field_of_view: 2, bins: 2}
simulate: {realisations: 52, shard_size: 10}
train: {held_out: 8}
"""
GROUP = "simulate_group_size"

sys.path.insert(0, str(SOURCE / "tools"))
from nephrite_tools.inspect import pieces


class GroupsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-groups-"))
        (cls.root / "tiny.yaml").write_text(CONFIG)
        cls.alone = cls.root / "alone"
        done = cls.simulate(cls.alone)
        assert done.returncode == 0, done.stderr

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    @classmethod
    def command(cls, campaign, options, ranks):
        words = [str(BUILD / "nephrite-simulate"), "-config", str(cls.root / "tiny.yaml"), "-campaign", str(campaign)]
        for name, value in options.items():
            words += ["-" + name, str(value)]
        return (["mpirun", "-n", str(ranks)] if ranks > 1 else []) + words

    @classmethod
    def simulate(cls, campaign, options={}, ranks=1, file_kib=None):
        words = cls.command(campaign, options, ranks)
        environment = dict(os.environ, OMPI_MCA_odls_base_sigkill_timeout="0")  # a second for each failure
        if file_kib:  # no file may grow beyond this, as on a full disk; MPI is told to do without files
            words = ["sh", "-c", f'ulimit -f {2 * file_kib}; exec "$0" "$@"', *words]
            environment.update(OMPI_MCA_btl="self,tcp", PMIX_MCA_gds="hash")
        return subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment)

    def start_and_wait_for_shards(self, campaign, count, options, ranks):
        words = self.command(campaign, {**options, "simulate_realisations": 4000}, ranks)
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while len(list(campaign.glob("sims/shard-*.h5"))) < count:
            self.assertIsNone(process.poll(), "the program ended before it could be disturbed")
            time.sleep(0.002)
        return process

    def assertEnds(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stderr or done.stdout)
        for word in words:
            self.assertIn(word, done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith("nephrite-simulate:")]
        self.assertEqual(len(lines), 1 if code else 0, done.stderr)

    def assertSameMaps(self, campaign, other=None):
        """Parameters are those of one rank, and maps to rounding; the files are alike in all but that."""
        for path in sorted(((other or self.alone) / "sims").glob("*.h5")):
            with h5py.File(path) as expected, h5py.File(campaign / "sims" / path.name) as made:
                np.testing.assert_array_equal(made["theta"][:], expected["theta"][:])
                kappa = expected["kappa"][:]
                np.testing.assert_allclose(made["kappa"][:], kappa, rtol=1e-6, atol=1e-6 * np.abs(kappa).max())
                self.assertEqual(made["kappa"].chunks, expected["kappa"].chunks)
                for holder in ("/", "kappa", "theta"):
                    self.assertEqual(sorted(made[holder].attrs), sorted(expected[holder].attrs))
                self.assertEqual(made.attrs["configuration"], expected.attrs["configuration"])
        self.assertEqual(list((campaign / "sims").glob("*.part")), [])

    def inspect(self, campaign):
        done = subprocess.run(
            [str(SOURCE / "tools/inspect"), "--verify", campaign / "sims"], capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stdout)

    # ---- maps

    def test_groups_make_the_maps_of_one_rank(self):
        for size, ranks in ((2, 4), (4, 4)):
            campaign = self.root / f"groups{size}of{ranks}"
            self.assertEnds(self.simulate(campaign, {GROUP: size}, ranks), 0)
            self.assertSameMaps(campaign)
            self.inspect(campaign)

    def test_gaussian_and_oblong_maps_are_made_by_groups(self):
        few = {"simulate_realisations": 20}
        for name, more in (
            ("gaussian", {"survey_field": "gaussian"}),
            ("oblong", {"survey_map_size": "20,32"}),
            ("odd", {"survey_field": "gaussian", "survey_map_size": "15,21"}),
        ):
            alone, together = self.root / f"{name}-alone", self.root / f"{name}-together"
            self.assertEnds(self.simulate(alone, {**few, **more}), 0)
            self.assertEnds(self.simulate(together, {**few, **more, GROUP: 2}, ranks=2), 0)
            self.assertSameMaps(together, alone)

    def test_draws_without_a_lognormal_field_are_replaced_by_the_same_ones(self):
        hard = {"simulate_realisations": 40, "prior_A_IA": "uniform:-300,300"}
        alone, together = self.root / "replaced-alone", self.root / "replaced-together"
        self.assertEnds(self.simulate(alone, hard), 0)
        self.assertEnds(self.simulate(together, {**hard, GROUP: 2}, ranks=2), 0)
        self.assertSameMaps(together, alone)
        with h5py.File(alone / "sims/campaign.h5") as a, h5py.File(together / "sims/campaign.h5") as b:
            self.assertGreater(a.attrs["redrawn"], 0)
            self.assertEqual(a.attrs["redrawn"], b.attrs["redrawn"])

    @unittest.skipIf("ASAN_OPTIONS" in os.environ, "a sanitizer's own memory is much larger than the maps'")
    def test_a_dry_run_tells_the_memory_of_a_rank_of_a_group(self):
        campaign, large = self.root / "dry", {"dry_run": "true", "survey_map_size": 512, "survey_bins": 5}
        memory = []
        for size in (1, 2):
            done = self.simulate(campaign, {**large, GROUP: size}, ranks=2)
            self.assertEnds(done, 0)
            self.assertRegex(done.stdout, rf"MB per rank, {size} ranks? to a map")
            memory.append(float(done.stdout.split("memory")[1].split()[0]))
        self.assertLess(memory[1], memory[0] - 10)  # half of 37 MB, and what MPI takes
        self.assertFalse(campaign.exists())

    # ---- going on

    def test_maps_are_kept_whatever_the_size_of_the_groups_that_made_them(self):
        campaign = self.root / "kept"
        self.assertEnds(self.simulate(campaign, {GROUP: 2}, ranks=2), 0)
        for options, ranks in (({}, 1), ({"simulate_compression": 3}, 2)):
            done = self.simulate(campaign, options, ranks)
            self.assertEnds(done, 0)
            self.assertIn("complete already", done.stdout)
        for number in (0, 3):
            (campaign / f"sims/shard-{number:05d}.h5").unlink()
        done = self.simulate(campaign, {GROUP: 4}, ranks=4)
        self.assertEnds(done, 0)
        self.assertIn("going on: 32 of 52 maps are there", done.stdout)
        self.assertSameMaps(campaign)

    def test_an_interrupted_group_stops_and_others_go_on(self):
        campaign = self.root / "interrupted"
        process = self.start_and_wait_for_shards(campaign, 2, {GROUP: 2}, ranks=4)
        process.send_signal(signal.SIGUSR1)
        _, error = process.communicate(timeout=60)
        self.assertEqual(process.returncode, INTERRUPTED, error)
        self.assertRegex(error, r"interrupted with \d+ of 400 shards finished, which are kept")
        self.assertEqual(list(campaign.glob("sims/*.part")), [])
        self.assertEnds(self.simulate(campaign, {GROUP: 4}, ranks=4), 0)
        self.assertSameMaps(campaign)

    def test_a_rank_that_is_killed_ends_its_group_and_others_go_on(self):
        campaign = self.root / "killed"
        process = self.start_and_wait_for_shards(campaign, 2, {GROUP: 2}, ranks=2)
        ranks = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(ranks[-1]), signal.SIGKILL)
        process.communicate(timeout=60)
        self.assertNotEqual(process.returncode, 0)
        self.assertEnds(self.simulate(campaign), 0)
        self.assertSameMaps(campaign)

    # ---- faults

    def test_groups_that_cannot_be_are_refused_before_anything_is_made(self):
        campaign = self.root / "refused"
        for options, ranks, *words in (
            ({GROUP: 3}, 4, "simulate_group_size 3 needs a multiple of 3 ranks", "there are 4", "can have 1, 2, 4"),
            ({GROUP: 2}, 1, "needs a multiple of 2 ranks, and there are 1"),
            ({GROUP: 2, "dry_run": "true"}, 1, "needs a multiple of 2 ranks, and there are 1"),
            ({GROUP: 0}, 1, "simulate_group_size"),
            ({"simulate_compression": 10}, 1, "simulate_compression"),
            ({GROUP: 2, "survey_map_size": "24,23"}, 2, "simulate_group_size 2: a log-normal map of 24 x 23 pixels"),
            ({GROUP: 5, "survey_map_size": "24,4"}, 5, "4 rows cannot be divided over 5 ranks"),
        ):
            self.assertEnds(self.simulate(campaign, options, ranks), USAGE, *words)
        self.assertFalse(campaign.exists())

    def test_a_universe_that_cannot_be_is_one_error_of_the_group(self):
        done = self.simulate(self.root / "senseless", {GROUP: 2, "prior_h": "fixed:-1"}, ranks=2)
        self.assertEnds(done, USAGE, "no usable universe")

    def test_a_full_disk_ends_the_group_and_loses_nothing(self):
        campaign = self.root / "full"
        done = self.simulate(campaign, {GROUP: 2}, ranks=2, file_kib=20)
        self.assertEnds(done, IO, "shard-0000")
        self.assertEqual(list(campaign.glob("sims/*")), [])
        self.assertEnds(self.simulate(campaign, {GROUP: 2}, ranks=2), 0)
        self.assertSameMaps(campaign)

    # ---- compression

    def test_compressed_shards_hold_the_same_values_under_the_same_digests(self):
        for ranks, group in ((1, 1), (2, 2)):
            campaign = self.root / f"compressed{ranks}"
            self.assertEnds(self.simulate(campaign, {"simulate_compression": 6, GROUP: group}, ranks), 0)
            self.assertSameMaps(campaign)
            self.inspect(campaign)
            for number in range(SHARDS):
                name = f"sims/shard-{number:05d}.h5"
                with h5py.File(self.alone / name) as plain, h5py.File(campaign / name) as deflated:
                    self.assertEqual((plain["kappa"].compression, plain["kappa"].shuffle), (None, False))
                    self.assertEqual((deflated["kappa"].compression, deflated["kappa"].compression_opts), ("gzip", 6))
                    self.assertTrue(deflated["kappa"].shuffle and deflated["kappa"].fletcher32)
                    if ranks == 1:
                        np.testing.assert_array_equal(deflated["kappa"][:], plain["kappa"][:])
                        np.testing.assert_array_equal(deflated["digest/kappa"][:], plain["digest/kappa"][:])
                    sizes = [file["kappa"].id.get_storage_size() for file in (deflated, plain)]
                    self.assertLess(sizes[0], 0.95 * sizes[1])
            done = self.simulate(campaign)  # a reader holds every shard to the index
            self.assertEnds(done, 0)
            self.assertIn("complete already", done.stdout)

    # ---- verification of maps larger than memory

    def test_inspect_reads_all_of_an_array_in_pieces_of_bounded_size(self):
        for shape in ((5,), (1000,), (3, 2), (2, 3, 40, 25), (1, 1, 7, 300)):
            seen = np.zeros(shape, int)
            for piece in pieces(shape, 4, limit=400):
                seen[piece] += 1
                self.assertLessEqual(4 * seen[piece].size, max(400, 4 * shape[-1]))
            self.assertTrue(np.all(seen == 1), shape)


if __name__ == "__main__":
    unittest.main()
