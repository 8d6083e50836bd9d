#!/usr/bin/env python3
"""What users and disks do wrong, in every program it concerns, on 1 and 4 ranks: each time the documented exit code, one
line that says what and where, nothing lost of what was finished, and nothing half-written under a product's name."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import h5py
import numpy as np

from run_program import BUILD, complaints

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
USAGE, INPUT, IO = 64, 65, 74
RANKS = 1, 4
STAGES = "simulate", "train", "infer"

CONFIG = """
seed: 3
survey: {map_size: 16, field_of_view: 2, bins: 2}
simulate: {realisations: 24, shard_size: 6}
network: {depth: 2, width: 16, heads: 2, patch: 4, cosmology_tokens: 2, bottleneck: 8, time_frequencies: 16,
          conditioning: channels, dropout: 0}
train: {steps: 4, batch: 4, micro_batch: 4, held_out: 8, validate_every: 4, checkpoint_every: 2}
infer: {observations: 2, draws: 4, batch: 2, evaluations: 8, solver: heun, closing: heun}
"""
# What is taken away of a finished campaign so that the stage has something to write.
UNFINISHED = {
    "simulate": ["sims/shard-00002.h5"],
    "train": ["checkpoints/step-00000004.h5"],
    "infer": ["posterior/observation-00001.h5"],
}
SMALLER_THAN_A_PRODUCT_KIB = {"simulate": 16, "train": 64, "infer": 8}


def run(program, ranks, *words, campaign=None, config="tiny.yaml", script=None, **environment):
    """`script` is what a shell does first."""
    command = [BUILD / f"nephrite-{program}"]
    if program != "check":
        command += ["-config", BadInput.root / config]
    command += ["-campaign", campaign] if campaign else []
    command = [str(word) for word in [*(["mpirun", "-n", ranks] if ranks > 1 else []), *command, *words]]
    if script:
        command = ["sh", "-c", f'{script}; exec "$0" "$@"', *command]
    environment = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = BadInput.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-bad-input-"))
        (cls.root / "tiny.yaml").write_text(CONFIG)
        cls.whole = cls.root / "whole"
        for stage in STAGES:
            done = run(stage, 1, campaign=cls.whole)
            assert done.returncode == 0, done.stderr

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    def campaign(self, without=()):
        """A finished campaign but for some of its products."""
        campaign = self.root / "campaign"
        shutil.rmtree(campaign, ignore_errors=True)
        shutil.copytree(self.whole, campaign)
        for product in without:
            path = campaign / product
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return campaign

    @staticmethod
    def files(campaign):
        """But for what stages say of themselves."""
        files = (path for path in sorted(campaign.rglob("*")) if path.is_file() and path.parent.name != "status")
        return {path: path.read_bytes() for path in files}

    def kept(self, before, campaign):
        """What was there is there, and what has come is whole."""
        after = self.files(campaign)
        self.assertEqual([path for path in before if after.get(path) != before[path]], [])
        for path in set(after) - set(before):
            self.assertEqual(path.suffix, ".h5", path)
            h5py.File(path).close()

    def refused(self, done, code, *words):
        lines = complaints(done)
        self.assertEqual((done.returncode, len(lines)), (code, 1), done.stderr)
        for word in words:
            self.assertIn(word, lines[0])
        self.assertNotIn("PETSC ERROR", done.stderr)

    def everywhere(self, programs, code, *expected, words=(), without=(), **how):
        """On each number of ranks each of the programs refuses, and leaves the campaign as it was."""
        for ranks in RANKS:
            for program in programs:
                with self.subTest(program=program, ranks=ranks):
                    campaign = self.campaign(without)
                    before = self.files(campaign)
                    self.refused(run(program, ranks, *words, campaign=campaign, **how), code, *expected)
                    self.kept(before, campaign)

    # ---- the configuration

    def test_an_unknown_option(self):
        self.everywhere(
            STAGES, USAGE, "unknown option survey_binz; did you mean survey_bins?", words=["-survey_binz", 2]
        )
        for ranks in RANKS:
            self.refused(run("check", ranks, "shift", "x.h5", "-tolerence", 1), USAGE, "did you mean tolerance?")

    def test_a_value_out_of_range(self):
        self.everywhere(STAGES, USAGE, "survey_field_of_view", "from 0.01 to 90", words=["-survey_field_of_view", -2])
        for ranks in RANKS:
            self.refused(run("check", ranks, "shift", "x.h5", "-tolerance", -2), USAGE, "tolerance", "from -1 to")

    def test_yaml_that_is_none(self):
        (self.root / "bad.yaml").write_text("seed: 3\nsurvey: {bins: 2\ntrain: {steps: 1}\n")
        self.everywhere(STAGES, USAGE, "bad.yaml: line 2", config="bad.yaml")

    def test_a_campaign_file_that_is_missing(self):
        self.everywhere(STAGES, INPUT, "none.yaml: cannot be opened: No such file", config="none.yaml")

    # ---- what is read

    def test_a_file_that_is_missing(self):
        begun = ["checkpoints", "training.h5", "posterior"]
        self.everywhere(["train"], INPUT, "sims/campaign.h5", "nephrite-simulate makes", without=["sims", *begun])
        self.everywhere(["infer"], INPUT, "sims/campaign.h5", "nephrite-simulate makes", without=["sims", "posterior"])
        self.everywhere(
            ["train"], INPUT, "shard-00001.h5", "nephrite-simulate makes", without=["sims/shard-00001.h5", *begun]
        )
        self.everywhere(["infer"], INPUT, "nephrite-train makes", without=["checkpoints"])
        self.everywhere(["infer"], INPUT, "none.h5: cannot be read: No such file", words=["-observation", "none.h5"])
        self.everywhere(["simulate"], INPUT, "none.h5: cannot be read", words=["-survey_n_of_z", "none.h5"])
        for ranks in RANKS:
            self.refused(run("check", ranks, "shift", "none.h5"), INPUT, "none.h5: cannot be read: No such file")

    def damage(self, how):
        """Of a shard that holds held-out realisations: training meets it at validation."""
        for ranks in RANKS:
            for program, without in (
                ("simulate", ()),
                ("train", ["checkpoints", "training.h5"]),
                ("infer", ["posterior"]),
            ):
                with self.subTest(program=program, ranks=ranks):
                    campaign = self.campaign(without)
                    how(campaign / "sims/shard-00003.h5")
                    before = self.files(campaign)
                    done = run(program, ranks, "-infer_observations", 8, campaign=campaign)
                    self.refused(done, INPUT, "shard-00003.h5", "anew")
                    self.kept(before, campaign)

    def test_a_truncated_shard(self):
        self.damage(lambda path: os.truncate(path, path.stat().st_size * 2 // 3))

    def test_a_flipped_bit_in_a_shard(self):
        def flip(path):
            with h5py.File(path) as file:
                at = file["kappa"].id.get_chunk_info(0).byte_offset
            data = bytearray(path.read_bytes())
            data[at + 100] ^= 1
            path.write_bytes(data)

        self.damage(flip)

    def test_a_truncated_reference_file(self):
        path = self.root / "reference.h5"
        path.write_bytes((SOURCE / "tests/reference/shift.h5").read_bytes()[:20000])
        for ranks in RANKS:
            self.refused(run("check", ranks, "shift", path), INPUT, "reference.h5", "truncated")

    def test_a_damaged_posterior(self):
        for ranks in RANKS:
            campaign = self.campaign()
            os.truncate(campaign / "posterior/observation-00001.h5", 2000)
            self.refused(run("infer", ranks, campaign=campaign), INPUT, "observation-00001.h5", "remove the file")

    def test_a_checkpoint_of_another_network(self):
        self.everywhere(["train", "infer"], INPUT, "network_width (16 there, 32 here)", words=["-network_width", 32])

    def test_a_checkpoint_of_a_later_version(self):
        for ranks in RANKS:
            for program in "train", "infer":
                campaign = self.campaign(["posterior"])
                with h5py.File(campaign / "checkpoints/step-00000004.h5", "r+") as file:
                    file.attrs.modify("format_version", np.int64(99))
                before = self.files(campaign)
                self.refused(run(program, ranks, campaign=campaign), INPUT, "step-00000004.h5", "format 99")
                self.kept(before, campaign)

    def observation(self, name, change):
        with h5py.File(self.whole / "posterior/observation-00000.h5") as made:
            shear, noise_std = made["observation/shear"][()], made["observation/noise_std"][()]
        attributes = {"field_of_view": 2.0}
        shear = change(shear, attributes)
        with h5py.File(self.root / name, "w") as file:
            file["shear"], file["noise_std"] = shear, noise_std
            file.attrs.update(attributes)
        return ["-observation", self.root / name]

    def test_an_observation_of_another_size(self):
        words = self.observation("small.h5", lambda shear, _: shear[:, :, :8, :8])
        self.everywhere(["infer"], INPUT, "small.h5", "[2, 2, 8, 8]", "[2, 2, 16, 16]", words=words)

    def test_an_observation_that_is_not_a_number(self):
        def spoil(shear, _):
            shear[1, 0, 3, 4] = np.nan
            return shear

        words = self.observation("nan.h5", spoil)
        self.everywhere(["infer"], INPUT, "nan.h5", "bin 1, component 0, at y 3, x 4", words=words)

    def test_an_observation_with_text_for_a_number(self):
        def say(shear, attributes):
            attributes["field_of_view"] = "2 deg"
            return shear

        words = self.observation("text.h5", say)
        self.everywhere(["infer"], INPUT, "text.h5: attribute field_of_view", words=words)

    # ---- what is written

    def test_a_directory_that_cannot_be_written(self):
        root = os.geteuid() == 0
        if root and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
            self.skipTest("root may write everywhere, and no file system can be made read-only here")
        for ranks in RANKS:
            for program in STAGES:
                with self.subTest(program=program, ranks=ranks):
                    campaign = self.campaign(UNFINISHED[program])
                    before = self.files(campaign)
                    # whoever is not root cannot write into folders of mode 555
                    folders = [campaign, *(path for path in campaign.iterdir() if path.is_dir())]
                    if root:
                        mount = f'mount --bind "{campaign}" "{campaign}" && mount -o remount,ro,bind "{campaign}"'
                        done = self.in_namespace(mount, program, ranks, campaign)
                    else:
                        [folder.chmod(0o555) for folder in folders]
                        done = run(program, ranks, campaign=campaign)
                        [folder.chmod(0o755) for folder in folders]
                    self.refused(done, IO, str(campaign), "cannot create")
                    self.kept(before, campaign)

    @staticmethod
    def in_namespace(mount, program, ranks, campaign):
        command = [BUILD / f"nephrite-{program}", "-config", BadInput.root / "tiny.yaml", "-campaign", campaign]
        command = [*(["mpirun", "-n", ranks] if ranks > 1 else []), *command]
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$0" "$@"', *map(str, command)],
            capture_output=True,
            text=True,
            timeout=120,
        )

    def test_a_full_disk(self):
        for ranks in RANKS:
            for program in STAGES:
                with self.subTest(program=program, ranks=ranks):
                    campaign = self.campaign(UNFINISHED[program])
                    before = self.files(campaign)
                    limit = f"ulimit -f {2 * SMALLER_THAN_A_PRODUCT_KIB[program]}"  # MPI is told to do without files
                    without_files = {"OMPI_MCA_btl": "self,tcp", "PMIX_MCA_gds": "hash"}
                    done = run(program, ranks, campaign=campaign, script=limit, **without_files)
                    self.refused(done, IO, str(campaign), "File too large")
                    self.kept(before, campaign)
                    done = run(program, ranks, campaign=campaign)
                    self.assertEqual(done.returncode, 0, done.stderr)

    # ---- no mistake

    def test_more_ranks_than_work(self):
        few = ["-simulate_realisations", 4, "-train_held_out", 1, "-train_batch", 2, "-infer_observations", 1]
        campaign = self.root / "few"
        for program in STAGES:
            done = run(program, 4, *few, "-infer_draws", 2, campaign=campaign)
            self.assertEqual((done.returncode, complaints(done)), (0, []), done.stderr)
        done = run("check", 4, "shift", SOURCE / "tests/reference/shift.h5")
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
