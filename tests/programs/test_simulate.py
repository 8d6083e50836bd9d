#!/usr/bin/env python3
"""nephrite-simulate end to end on tiny maps: ranks, resuming, faults."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import h5py
import numpy as np
import yaml

from tiny_campaign import INPUT, INTERRUPTED, IO, USAGE, command, run_program

CONFIG = """
seed: 3
survey: {map_size: 16, field_of_view: 2, bins: 2}
simulate: {realisations: 400, shard_size: 30}
train: {held_out: 8}
"""
MAPS, SHARDS, SHARD_SIZE = 400, 14, 30


def shard(campaign, number):
    return campaign / "sims" / f"shard-{number:05d}.h5"


def products(campaign):
    """Content of every file by name."""
    return {path.name: path.read_bytes() for path in (campaign / "sims").iterdir()}


class SimulateTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-simulate-"))
        (cls.root / "tiny.yaml").write_text(CONFIG)
        cls.whole = cls.root / "whole"
        run = cls.simulate(cls.whole)
        assert run.code == 0, run.err

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    @staticmethod
    def simulate(campaign, options={}, ranks=1, file_kib=None):
        return run_program("nephrite-simulate", campaign, options, ranks, file_kib)

    @staticmethod
    def start(campaign, options={}, ranks=1):
        words = command("nephrite-simulate", campaign, options, ranks)
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def start_and_wait_for_shards(self, campaign, count, ranks=1):
        process = self.start(campaign, ranks=ranks)
        while len(list(campaign.glob("sims/shard-*.h5"))) < count:
            self.assertIsNone(process.poll(), "the program ended before it could be disturbed")
            time.sleep(0.002)
        return process

    @staticmethod
    def ranks_of(mpirun):
        """Process numbers of what mpirun has started."""
        children = pathlib.Path(f"/proc/{mpirun.pid}/task/{mpirun.pid}/children").read_text()
        return [int(number) for number in children.split()]

    def copy_of_whole(self, name, without=()):
        campaign = self.root / name
        shutil.copytree(self.whole, campaign)
        for number in without:
            shard(campaign, number).unlink()
        return campaign

    def assertEnds(self, run, code, *words):
        self.assertEqual(run.code, code, run.err or run.out)
        for word in words:
            self.assertIn(word, run.err)
        lines = [line for line in run.err.splitlines() if line.startswith("nephrite-simulate:")]
        self.assertEqual(len(lines), 1 if code else 0, run.err)

    def assertWhole(self, campaign):
        """The same files as those of the uninterrupted run, byte for byte, and no others."""
        made, expected = products(campaign), products(self.whole)
        self.assertEqual(sorted(made), sorted(expected))
        self.assertEqual([name for name in made if made[name] != expected[name]], [])

    # ---- maps

    def test_files_are_the_same_on_any_number_of_ranks(self):
        for ranks in (2, 4):
            campaign = self.root / f"ranks{ranks}"
            self.assertEnds(self.simulate(campaign, ranks=ranks), 0)
            self.assertWhole(campaign)

    def test_files_are_the_same_on_any_number_of_threads(self):
        campaign = self.root / "threads"
        self.assertEnds(self.simulate(campaign, {"threads": 3}, ranks=2), 0)
        self.assertWhole(campaign)

    def test_more_ranks_than_shards_are_no_trouble(self):
        few = {"simulate_realisations": 10, "simulate_shard_size": 6}
        alone, crowded = self.root / "alone", self.root / "crowded"
        self.assertEnds(self.simulate(alone, few), 0)
        self.assertEnds(self.simulate(crowded, few, ranks=4), 0)
        self.assertEqual(products(alone), products(crowded))

    def stored_configuration(self, product, name):
        """A directory for a campaign beside whose campaign file is the configuration that the product holds."""
        folder = self.root / name
        folder.mkdir()
        with h5py.File(product) as file:
            (folder / "tiny.yaml").write_bytes(file.attrs["configuration"])
        return folder / "campaign"

    def test_the_index_holds_the_configuration_that_makes_the_same_campaign(self):
        again = self.stored_configuration(self.whole / "sims/campaign.h5", "from-index")
        self.assertEnds(self.simulate(again, ranks=2), 0)
        self.assertWhole(again)

    def test_a_shard_holds_the_configuration_that_makes_the_same_shard(self):
        last = shard(self.whole, SHARDS - 1)
        again = self.stored_configuration(last, "from-shard")
        with h5py.File(last) as file:
            end = int(file.attrs["first_realisation"][()]) + len(file["theta"])
        self.assertEnds(self.simulate(again, {"simulate_realisations": end, "train_held_out": 8}, ranks=2), 0)
        self.assertEqual(shard(again, SHARDS - 1).read_bytes(), last.read_bytes())

    def test_the_index_shows_every_map_with_names_and_units(self):
        with h5py.File(self.whole / "sims/campaign.h5") as index, h5py.File(shard(self.whole, 13)) as last:
            self.assertEqual(index["kappa"].shape, (MAPS, 2, 16, 16))
            self.assertEqual(index["kappa"].dtype, np.float32)
            self.assertEqual(index["theta"].dtype, np.float64)
            parameters = index["theta"].attrs["parameters"]
            self.assertEqual(parameters.decode(), "Omega_c,Omega_b,sigma_8,h,n_s,w_0")
            np.testing.assert_array_equal(index["kappa"][390:], last["kappa"][:])
            np.testing.assert_array_equal(index["theta"][390:], last["theta"][:])
            self.assertEqual(index.attrs["realisations"], MAPS)
            for dataset in (index["kappa"], index["theta"], last["kappa"], last["theta"]):
                self.assertIn("units", dataset.attrs)
                self.assertIn("description", dataset.attrs)
            self.assertTrue(last["kappa"].fletcher32 and last["theta"].fletcher32)
            kappa, theta = index["kappa"][:], index["theta"][:]
        self.assertEqual(len(np.unique(kappa[:, 0, 0, 0])), MAPS)
        strength = kappa[:, 1].std(axis=(1, 2))
        self.assertGreater(np.corrcoef(theta[:, 2], strength)[0, 1], 0.3)  # a larger sigma_8 makes stronger lensing
        self.assertTrue(np.all(np.abs(theta[:, 1] - 0.0492) < 5 * 0.006))

    def test_the_stored_configuration_runs_as_is(self):
        with h5py.File(shard(self.whole, 0)) as file:
            configuration = file.attrs["configuration"].decode()
        self.assertEqual(yaml.safe_load(configuration)["survey"]["map_size"], 16)
        folder = self.root / "again"
        folder.mkdir()
        (folder / "tiny.yaml").write_text(configuration)
        options = {"simulate_realisations": 30, "train_held_out": 8}
        self.assertEnds(self.simulate(folder / "campaign", options), 0)
        self.assertEqual(shard(folder / "campaign", 0).read_bytes(), shard(self.whole, 0).read_bytes())

    def test_gaussian_fields_and_varying_nuisances_are_simulated(self):
        campaign = self.root / "gaussian"
        options = {"survey_field": "gaussian", "simulate_realisations": 12, "prior_m_2": "normal:0,0.01"}
        self.assertEnds(self.simulate(campaign, {**options, "prior_A_IA": "uniform:0,1"}), 0)
        with h5py.File(campaign / "sims/campaign.h5") as index:
            self.assertEqual(index["theta"].attrs["parameters"].decode()[-9:], ",A_IA,m_2")
            self.assertEqual(index["theta"].shape, (12, 8))

    def test_a_dry_run_tells_what_is_needed_and_writes_nothing(self):
        campaign = self.root / "dry"
        run = self.simulate(campaign, {"dry_run": "true"}, ranks=2)
        self.assertEnds(run, 0)
        self.assertFalse(campaign.exists())
        for words in (
            "400 of 2 bins, 16 x 16 pixels of 7.5",
            "14 shards of 30 maps",
            "0.001 GB",
            "MB per rank",
            "2 ranks",
        ):
            self.assertIn(words, run.out)

    # ---- going on

    def test_a_complete_campaign_says_so_and_changes_nothing(self):
        campaign = self.copy_of_whole("complete")
        times = {path: path.stat().st_mtime_ns for path in (campaign / "sims").iterdir()}
        run = self.simulate(campaign, ranks=2)
        self.assertEnds(run, 0)
        self.assertIn("complete already", run.out)
        self.assertEqual({path: path.stat().st_mtime_ns for path in times}, times)
        self.assertFalse((campaign / "simulate.lock").exists())

    def test_a_deleted_shard_is_made_again_the_same(self):
        campaign = self.copy_of_whole("deleted", without=[0, 13])
        run = self.simulate(campaign, ranks=2)
        self.assertEnds(run, 0)
        self.assertIn("going on: 360 of 400 maps are there", run.out)
        self.assertWhole(campaign)

    def test_a_deleted_index_is_made_again_the_same(self):
        campaign = self.copy_of_whole("unlisted")
        (campaign / "sims/campaign.h5").unlink()
        self.assertEnds(self.simulate(campaign), 0)
        self.assertWhole(campaign)

    def test_a_killed_program_goes_on_to_the_same_files(self):
        campaign = self.root / "killed"
        process = self.start_and_wait_for_shards(campaign, 2)
        process.kill()
        process.communicate()
        self.assertFalse((campaign / "sims/campaign.h5").exists())
        self.assertTrue((campaign / "simulate.lock").exists())  # of a process that is no more
        run = self.simulate(campaign, ranks=2)
        self.assertEnds(run, 0)
        self.assertIn("going on", run.out)
        self.assertWhole(campaign)

    def test_a_rank_that_is_killed_ends_the_run_which_goes_on_to_the_same_files(self):
        campaign = self.root / "rank-killed"
        process = self.start_and_wait_for_shards(campaign, 2, ranks=2)
        os.kill(self.ranks_of(process)[-1], signal.SIGKILL)
        process.communicate(timeout=60)
        self.assertNotEqual(process.returncode, 0)
        self.assertEnds(self.simulate(campaign), 0)
        self.assertWhole(campaign)

    def kill_while_there(self, path, campaign):
        """Run and kill -9 as soon as the file is there.  Returns whether it was not yet finished: it is still there."""
        process = self.start(campaign)
        while process.poll() is None and not os.path.exists(path):
            pass
        process.kill()
        process.communicate()
        return path.exists()

    def test_a_program_that_is_killed_at_a_file_goes_on_to_the_same_files(self):
        for name, without in (("shard-00005.h5", [5]), ("campaign.h5", [])):
            for attempt in range(20):  # one is enough, unless the machine is too busy to be in time
                campaign = self.copy_of_whole(f"killed-at-{name}-{attempt}", without)
                (campaign / "sims/campaign.h5").unlink()
                caught = self.kill_while_there(campaign / f"sims/{name}.part", campaign)
                if caught:
                    self.assertFalse((campaign / "sims" / name).exists())
                self.assertEnds(self.simulate(campaign), 0)
                self.assertWhole(campaign)
                if caught:
                    break
            self.assertTrue(caught, f"never killed while {name} was written")

    def test_a_lock_of_another_host_is_respected_and_one_of_a_dead_process_is_not(self):
        campaign = self.copy_of_whole("locked", without=[3])
        lock = campaign / "simulate.lock"
        lock.write_text("host elsewhere pid 4242 job none\n")
        for ranks in 1, 2:
            self.assertEnds(self.simulate(campaign, ranks=ranks), INTERRUPTED, "process 4242 on elsewhere", "delete")
        self.assertTrue(lock.exists() and not shard(campaign, 3).exists())
        dead = subprocess.Popen(["true"])
        dead.wait()
        lock.write_text(f"host {os.uname().nodename} pid {dead.pid} job none\n")
        self.assertEnds(self.simulate(campaign, ranks=2), 0)
        self.assertWhole(campaign)
        self.assertFalse(lock.exists())

    def test_sigusr1_to_mpirun_stops_all_ranks_and_the_run_goes_on_to_the_same_files(self):
        for ranks in (1, 2):
            campaign = self.root / f"interrupted{ranks}"
            process = self.start_and_wait_for_shards(campaign, 2, ranks)
            process.send_signal(signal.SIGUSR1)
            _, error = process.communicate(timeout=60)
            self.assertEqual(process.returncode, INTERRUPTED, error)
            self.assertRegex(error, r"interrupted with \d+ of 14 shards finished, which are kept; run again")
            self.assertEqual(list(campaign.glob("sims/*.part")), [])
            self.assertEnds(self.simulate(campaign, ranks=2), 0)
            self.assertWhole(campaign)

    def test_a_second_run_at_the_same_time_ends_at_once(self):
        campaign = self.root / "twice"
        process = self.start_and_wait_for_shards(campaign, 1)
        self.assertEnds(self.simulate(campaign), INTERRUPTED, "simulate.lock", str(process.pid))
        self.assertEqual(process.wait(60), 0)
        process.communicate()
        self.assertWhole(campaign)

    def test_a_campaign_that_grows_keeps_its_maps(self):
        campaign = self.copy_of_whole("growing")
        run = self.simulate(campaign, {"simulate_realisations": 425}, ranks=2)
        self.assertEnds(run, 0)
        self.assertIn("going on: 390 of 425 maps are there", run.out)
        with h5py.File(campaign / "sims/campaign.h5") as grown, h5py.File(self.whole / "sims/campaign.h5") as whole:
            self.assertEqual(grown["kappa"].shape[0], 425)
            np.testing.assert_array_equal(grown["kappa"][:MAPS], whole["kappa"][:])
            np.testing.assert_array_equal(grown["theta"][:MAPS], whole["theta"][:])

    # ---- faults

    def test_other_options_than_those_of_the_maps_are_refused_naming_them(self):
        campaign = self.copy_of_whole("other")
        before = products(campaign)
        for option, value in (
            ("seed", 4),
            ("survey_bins", 3),
            ("survey_field_of_view", 2.5),
            ("prior_sigma_8", "normal:0.8,0.1"),
            ("simulate_shard_size", 31),
        ):
            self.assertEnds(self.simulate(campaign, {option: value}), INPUT, option, "shard-00000.h5")
        self.assertEnds(self.simulate(campaign, {"seed": 4}, ranks=2), INPUT, "seed", "shard-00000.h5")
        self.assertEqual(products(campaign), before)
        self.assertEnds(self.simulate(campaign, {"survey_field_of_view": "2.0", "threads": 1}), 0)  # the same number

    def test_options_that_make_no_sense_are_refused_before_anything_is_made(self):
        campaign = self.root / "senseless"
        for option, value, words in (
            ("simulate_realizations", 5, "simulate_realisations"),
            ("simulate_realisations", 0, "simulate_realisations"),
            ("simulate_shard_size", "many", "simulate_shard_size"),
            ("prior_h", "normal:0.7", "normal:MEAN,STD"),
            ("prior_h", "fixed:-1", "no usable universe"),
            ("prior_m_3", "normal:0,0.1", "only 2 bins"),
        ):
            self.assertEnds(self.simulate(campaign, {option: value}), USAGE, words)
        self.assertEnds(self.simulate(campaign, {"prior_h": "fixed:-1"}, ranks=2), USAGE, "no usable universe")
        self.assertEqual(list(campaign.glob("sims/*")), [])

    def test_a_damaged_shard_is_refused_by_name_and_made_again_when_deleted(self):
        campaign = self.copy_of_whole("damaged")
        os.truncate(shard(campaign, 5), 20000)
        self.assertEnds(self.simulate(campaign, ranks=2), INPUT, "shard-00005.h5", "delete the file")
        shard(campaign, 5).unlink()
        self.assertEnds(self.simulate(campaign, ranks=2), 0)
        self.assertWhole(campaign)

    def test_a_flipped_byte_is_found_in_any_map_of_a_complete_campaign(self):
        campaign = self.copy_of_whole("flipped")
        whole = shard(campaign, 4).read_bytes()
        data = h5py.File(shard(campaign, 4))["kappa"].id.get_chunk_info(1).byte_offset
        shard(campaign, 4).write_bytes(whole[: data + 7] + bytes([whole[data + 7] ^ 4]) + whole[data + 8 :])
        for ranks in 1, 4:
            self.assertEnds(self.simulate(campaign, ranks=ranks), INPUT, "shard-00004.h5", "row", "delete the file")
        shard(campaign, 4).write_bytes(whole)
        self.assertEnds(self.simulate(campaign), 0)
        self.assertWhole(campaign)

    def test_exchanged_shards_are_refused(self):
        campaign = self.copy_of_whole("exchanged")
        shutil.copy(shard(self.whole, 3), shard(campaign, 8))
        self.assertEnds(
            self.simulate(campaign), INPUT, "shard-00008.h5", "holds realisations from 90 on instead of 240"
        )

    def test_a_full_disk_ends_the_run_and_loses_nothing(self):
        for ranks in (1, 2):
            campaign = self.copy_of_whole(f"full{ranks}", without=[2, 7, 8])
            before = products(campaign)
            self.assertEnds(self.simulate(campaign, ranks=ranks, file_kib=40), IO, "shard-0000")
            self.assertEqual({name: content for name, content in products(campaign).items() if name in before}, before)
            self.assertEqual(sorted(set(products(campaign)) - set(before)), [])  # nor what was written of a shard
            self.assertEnds(self.simulate(campaign), 0)
            self.assertWhole(campaign)

    def test_a_directory_that_cannot_be_made_is_an_input_output_error(self):
        (self.root / "file").write_text("")
        run = self.simulate(self.root / "anywhere", {"campaign": self.root / "file/x"}, ranks=2)
        self.assertEnds(run, IO, "file/x")


if __name__ == "__main__":
    unittest.main()
