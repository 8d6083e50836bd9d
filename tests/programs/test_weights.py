#!/usr/bin/env python3
"""tools/weights: what is exported is read by others, and goes back into training and inference as the same bits."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap
import unittest

import h5py
import numpy as np
import yaml

from tiny_campaign import INPUT, IO, SOURCE, USAGE, run_program
from train_campaign import TrainCase

sys.path.insert(0, str(SOURCE / "tools"))
from nephrite_tools import weights_file  # noqa: E402

STAGE_2 = {"network_dropout": 0, "train_learning_rate": 1e-3, "train_final_learning_rate": 1e-4, "train_warmup": 0,
           "train_steps": 6, "train_checkpoint_every": 3, "train_ema_decay": 0.99}  # fmt: skip
INFER = {"infer_observations": 2, "infer_draws": 4, "infer_batch": 4, "infer_evaluations": 5}


# Of networks with network_output wiener and network_one_point.
OTHERS = ("guess_covariance", "response", "one_point_unit")
STATISTICS = [name for name in weights_file.STATISTICS if name not in OTHERS]


class WeightsCase(TrainCase):
    """With the exported weights of the training of all."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.exported = cls.root / "exported.h5"
        done = cls.export(cls.whole, cls.exported)
        assert done.returncode == 0, done.stderr
        cls.source = cls.best(cls.whole)

    @staticmethod
    def weights(*words, file_kib=None):
        limit = ["sh", "-c", f'ulimit -f {2 * file_kib}; exec "$0" "$@"'] if file_kib else []
        words = [*limit, str(SOURCE / "tools/weights"), *map(str, words)]
        return subprocess.run(words, capture_output=True, text=True, timeout=120)

    @classmethod
    def export(cls, source, output, *words, **more):
        return cls.weights("export", source, output, *words, **more)

    @classmethod
    def best(cls, campaign):
        with h5py.File(campaign / "training.h5") as file:
            best = np.argmin(file["validation/theta"])
            return cls.checkpoint(campaign, file["validation/step"][best])

    def assertRefused(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stderr)
        lines = done.stderr.splitlines()
        if code != USAGE or "usage:" not in done.stderr:  # argparse says how it is used before
            self.assertEqual(len(lines), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def changed(self, name, change):
        """The exported file with something else in it."""
        path = self.root / name
        shutil.copy(self.exported, path)
        with h5py.File(path, "r+") as file:
            change(file)
        return path


class Export(WeightsCase):
    def test_a_file_has_every_averaged_weight_by_its_name_and_what_they_are_of(self):
        with h5py.File(self.exported) as file, h5py.File(self.source) as checkpoint:
            self.assertEqual(sorted(file), sorted(checkpoint["ema"]))
            for name, tensor in checkpoint["ema"].items():
                self.assertEqual(file[name].dtype, np.float32)
                self.assertTrue(file[name].fletcher32)
                self.assertEqual(file[name][()].tobytes(), tensor[()].tobytes(), name)
            architecture = (*weights_file.ARCHITECTURE, *weights_file.LATER)
            for name in (*architecture, "dropout", "seed", "revision"):
                self.assertEqual(file.attrs[name], checkpoint.attrs[name], name)
            for name in (*STATISTICS, "step", "position", "trained"):
                np.testing.assert_array_equal(file.attrs[name], checkpoint[name][()])
            configuration = yaml.safe_load(checkpoint.attrs["configuration"])
            for where_made in "config", "campaign":
                del configuration[where_made]
            self.assertEqual(yaml.safe_load(file.attrs["configuration"]), configuration)
            self.assertEqual(file.attrs["parameter_names"], b"Omega_c,Omega_b,sigma_8,h,n_s,w_0")
            self.assertEqual((file.attrs["kind"], file.attrs["what"]), (b"weights", b"ema"))

    def test_the_weights_of_the_last_step_are_exported_where_they_are_asked_for(self):
        output = self.root / "last.h5"
        done = self.export(self.checkpoint(self.whole, 20), output, "--what", "weights")
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(output) as file, h5py.File(self.checkpoint(self.whole, 20)) as checkpoint:
            for name, tensor in checkpoint["weights"].items():
                self.assertEqual(file[name][()].tobytes(), tensor[()].tobytes(), name)
            self.assertEqual(file.attrs["what"], b"weights")

    def test_parameters_that_vary_beside_those_of_wcdm_are_named(self):
        campaign, output = self.root / "varied", self.root / "varied.h5"
        options = {"train_source": "online", "train_steps": 1, "train_validations": 1, "train_warmup": 0}
        self.assertEnds(self.train(campaign, {**options, "prior_m_2": "normal:0,0.01", "prior_h": "fixed:0.7"}), 0)
        self.assertEqual(self.export(campaign, output).returncode, 0)
        self.assertEqual(weights_file.read(output).parameters[5:], ["w_0", "m_2"])
        self.assertEqual(weights_file.read(output).theta_mean.shape, (7,))

    def test_equal_weights_are_an_equal_file(self):
        again = self.root / "again.h5"
        self.assertEqual(self.export(self.source, again).returncode, 0)
        self.assertEqual(again.read_bytes(), self.exported.read_bytes())

    def test_of_a_campaign_the_best_checkpoint_is_taken_and_no_other_for_it(self):
        campaign, output = self.new_campaign("best"), self.root / "best.h5"
        options = {"train_learning_rate": 0.02, "train_schedule": "constant", "train_validate_every": 1}
        self.assertEnds(self.train(campaign, {**options, "train_checkpoint_every": 20, "train_keep": 1}), 0)
        best = self.best(campaign)
        self.assertNotEqual(best, self.checkpoint(campaign, 20))  # else this tests nothing
        done = self.export(campaign, output)
        self.assertIn(f"of {best}", done.stdout)
        with h5py.File(output) as file, h5py.File(best) as checkpoint:
            self.assertEqual(file.attrs["step"], checkpoint["step"][()])
        self.flip_byte(best)
        self.assertRefused(self.export(campaign, output, "--force"), INPUT, best.name)
        best.unlink()
        done = self.export(campaign, output, "--force")
        self.assertIn(f"of {self.checkpoint(campaign, 20)}", done.stdout)
        self.flip_byte(self.checkpoint(campaign, 20))
        done = self.export(campaign, output, "--force")
        self.assertRefused(done, INPUT, self.checkpoint(campaign, 20).name)
        self.assertTrue(output.exists())

    def test_tools_inspect_says_whether_a_file_of_weights_is_whole(self):
        damaged = self.root / "damaged.h5"
        shutil.copy(self.exported, damaged)
        self.flip_byte(damaged, 0.5)
        for path, code, word in ((self.exported, 0, "whole, every checksum"), (damaged, INPUT, "DAMAGED")):
            words = [SOURCE / "tools/inspect", "--verify", path]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, code, done.stdout)
            self.assertIn(word, done.stdout)

    def test_tools_inspect_finds_a_flipped_byte_wherever_it_is(self):
        """Among the tensors or in what describes them; what HDF5 has no checksum of, room that is not used, says nothing."""
        damaged, found, size = self.root / "damaged-anywhere.h5", [], self.exported.stat().st_size
        for byte in range(3, size, size // 50):
            shutil.copy(self.exported, damaged)
            self.flip_byte(damaged, byte / size)
            words = [SOURCE / "tools/inspect", "--verify", damaged]
            found.append(subprocess.run(words, capture_output=True, text=True, timeout=60).returncode)
        self.assertLessEqual(set(found), {0, INPUT})
        self.assertGreater(found.count(INPUT), 25)

    def test_what_cannot_be_exported_is_refused_and_nothing_is_written(self):
        output = self.root / "never.h5"
        damaged, later = self.root / "flipped.h5", self.root / "later.h5"
        shutil.copy(self.source, damaged)
        self.flip_byte(damaged)
        shutil.copy(self.source, later)
        with h5py.File(later, "r+") as file:
            file.attrs["format_version"] += 1
        truncated = self.root / "truncated.h5"
        truncated.write_bytes(self.source.read_bytes()[:20000])
        self.assertRefused(self.export(damaged, output), INPUT, "flipped.h5", "ema/")
        self.assertRefused(self.export(later, output), INPUT, "later.h5: a later version of nephrite made it")
        self.assertRefused(self.export(truncated, output), INPUT, "truncated.h5", "truncated file")
        self.assertRefused(self.export(self.root / "nothing.h5", output), INPUT, "nothing.h5: there is no such file")
        self.assertRefused(self.export(self.root, output), INPUT, "holds no checkpoint step-*.h5")
        shard = self.maps / "sims/shard-00000.h5"
        self.assertRefused(self.export(shard, output), INPUT, "is not a checkpoint of nephrite but a shard")
        self.assertRefused(self.export(self.exported, output), INPUT, "is not a checkpoint of nephrite but a weights")
        self.assertEqual(list(self.root.glob("never*")), [])

    def test_nothing_is_written_over_unless_that_is_asked_for(self):
        output = self.root / "mine.h5"
        output.write_text("mine")
        self.assertRefused(self.export(self.source, output), USAGE, "mine.h5: exists already; --force writes over it")
        self.assertEqual(output.read_text(), "mine")
        self.assertEqual(self.export(self.source, output, "--force").returncode, 0)
        self.assertEqual(output.read_bytes(), self.exported.read_bytes())
        copy = self.root / "copy.h5"
        shutil.copy(self.source, copy)
        self.assertRefused(self.export(copy, copy, "--force"), USAGE, "is the checkpoint itself")
        self.assertEqual(copy.read_bytes(), self.source.read_bytes())
        self.assertRefused(self.export(self.source, self.root, "--force"), USAGE, "is a directory")

    def test_a_full_disk_leaves_neither_half_a_file_nor_less_than_there_was(self):
        output = self.root / "full.h5"
        output.write_text("mine")
        done = self.export(self.source, output, "--force", file_kib=40)
        self.assertRefused(done, IO, "full.h5: cannot be written")
        self.assertEqual([path.name for path in self.root.glob("full*")], ["full.h5"])
        self.assertEqual(output.read_text(), "mine")
        self.assertRefused(self.export(self.source, self.exported / "below.h5"), IO, "below.h5: cannot be written")

    def test_usage(self):
        self.assertIn("--what", self.weights("export", "--help").stdout)
        self.assertIn("export", self.weights("--help").stdout)
        for words in [], ["export"], ["export", self.source], ["import", "a", "b"]:
            self.assertRefused(self.weights(*words), USAGE, "usage: tools/weights")
        self.assertRefused(self.export(self.source, self.root / "x.h5", "--what", "m"), USAGE, "--what")


class Import(WeightsCase):
    def second_stage(self, name, source, options={}, ranks=1):
        campaign = self.new_campaign(name)
        run = self.train(campaign, {**STAGE_2, "train_start_from": source, **options}, ranks)
        return campaign, run

    def test_a_second_stage_from_exported_weights_is_that_from_the_checkpoint_bit_for_bit(self):
        first, run = self.second_stage("from-checkpoint", self.source)
        self.assertEnds(run, 0)
        second, run = self.second_stage("from-file", self.exported)
        self.assertEnds(run, 0)
        self.assertIn(f"starts with the averaged weights of {self.exported}", run.out)
        np.testing.assert_array_equal(self.loss(first), self.loss(second))
        self.assertSameTraining(self.checkpoint(first, 6), self.checkpoint(second, 6))

    def draws(self, checkpoint, name, **options):
        campaign = self.new_campaign(name)
        run = run_program("nephrite-infer", campaign, {**INFER, "infer_checkpoint": checkpoint, **options})
        return campaign / "posterior", run

    def test_draws_with_exported_weights_are_those_with_the_checkpoint_byte_for_byte(self):
        digests = []
        for name, checkpoint in ("drawn", self.source), ("drawn-again", self.exported):
            folder, run = self.draws(checkpoint, name)
            self.assertEqual(run.code, 0, run.err)
            with h5py.File(folder / "observation-00001.h5") as file:
                self.assertEqual(file.attrs["checkpoint_step"], h5py.File(self.source)["step"][()])
                values = [file[name][()].tobytes() for name in ("theta", "kappa", "mean/kappa")]
            digests.append([hashlib.sha256(value).hexdigest() for value in values])
        self.assertEqual(*digests)

    def test_weights_in_double_precision_without_checksums_or_history_do_as_well(self):
        """As a person makes them from a state dict."""
        path, model = self.root / "by-hand.h5", weights_file.read(self.exported)
        with h5py.File(path, "w") as file, h5py.File(self.exported) as exported:
            for name, tensor in model.tensors.items():
                file[name] = tensor.astype(np.float64)
            for name in (*weights_file.ARCHITECTURE, *weights_file.LATER):
                value = exported.attrs[name]
                file.attrs[name] = value.decode() if isinstance(value, bytes) else value
            for name in STATISTICS:
                file.attrs[name] = exported.attrs[name]
        folder, run = self.draws(path, "by-hand")
        self.assertEqual(run.code, 0, run.err)
        expected, _ = self.draws(self.exported, "by-hand-expected")
        with h5py.File(folder / "observation-00000.h5") as a, h5py.File(expected / "observation-00000.h5") as b:
            np.testing.assert_array_equal(a["theta"], b["theta"])
            np.testing.assert_array_equal(a["kappa"], b["kappa"])
            self.assertEqual(a.attrs["checkpoint_step"], 0)
        campaign, run = self.second_stage("by-hand-trained", path)
        self.assertEnds(run, 0)
        with h5py.File(self.checkpoint(campaign, 6)) as file:
            self.assertEqual(file["position"][()], 6 * 6)  # the training sequence begins anew
            self.assertEqual(file["trained"][()], 32)
        _, run = self.draws(path, "by-hand-wider", network_rms_epsilon=1e-5)
        self.assertEqual(run.code, INPUT)
        self.assertIn("network_rms_epsilon", run.err)

    def test_what_was_trained_on_is_not_held_out_by_a_second_stage_or_observed(self):
        for name, source in ("checkpoint", self.source), ("file", self.exported):
            options = {"train_held_out": 9}
            _, run = self.second_stage(f"leak-{name}", source, options)
            self.assertEnds(run, USAGE, "train_held_out is 9", "trained on the first 32; at most 8")
            _, run = self.draws(source, f"leak-drawn-{name}", **options)
            self.assertEqual(run.code, USAGE)
            self.assertIn("trained on those below 32", run.err)
        _, run = self.second_stage("held-out-less", self.exported, {"train_held_out": 7})
        self.assertEnds(run, 0)

    def test_other_maps_may_be_held_out_whatever_their_numbers(self):
        campaign = self.root / "other-maps"
        options = {**STAGE_2, "seed": 4, "train_source": "online", "train_held_out": 12, "train_validations": 2}
        self.assertEnds(self.train(campaign, {**options, "train_start_from": self.exported}), 0)

    def test_a_file_that_cannot_be_is_refused_by_all_ranks_in_one_line(self):
        name = "block.2.attention.qkv.weight"

        def not_finite(file):
            file[name][3, 4] = np.nan

        def missing(file):
            del file[name]

        def unknown(file):
            file["module." + name] = [1.0]

        def parameters(file):
            file.attrs["parameter_names"] = "Omega_c,Omega_b,sigma_8,h,w_0,n_s"

        for change, word in (
            (not_finite, f"tensor {name} is "),
            (missing, f"has no tensor {name}"),
            (unknown, f"holds module.{name}, which is no tensor"),
            (parameters, "its parameters are Omega_c,Omega_b,sigma_8,h,w_0,n_s; the prior has Omega_c"),
        ):
            path = self.changed(f"{change.__name__}.h5", change)
            for ranks in (1, 2):
                _, run = self.second_stage(f"{change.__name__}{ranks}", path, ranks=ranks)
                self.assertEnds(run, INPUT, word, path.name)
            _, run = self.draws(path, f"{change.__name__}-drawn")
            self.assertEqual(run.code, INPUT, run.err)
            self.assertIn(word, run.err)

    def test_a_changed_byte_is_refused_or_changes_nothing(self):
        data, path = self.exported.read_bytes(), self.root / "byte.h5"
        folder, _ = self.draws(self.exported, "byte-sound")
        with h5py.File(folder / "observation-00000.h5") as file:
            sound = file["theta"][()]
        refused = 0
        for number, place in enumerate(np.linspace(0, len(data) - 1, 24).astype(int)):
            changed = bytearray(data)
            changed[place] ^= 0x10
            path.write_bytes(changed)
            folder, run = self.draws(path, f"byte{number}", infer_observations=1)
            if run.code == 0:
                with h5py.File(folder / "observation-00000.h5") as file:
                    np.testing.assert_array_equal(file["theta"], sound, f"byte {place}")
            else:
                self.assertEqual(run.code, INPUT, f"byte {place}: {run.err}")
                refused += 1
        self.assertGreater(refused, 12)

    def test_a_network_of_another_shape_is_refused(self):
        _, run = self.second_stage("wider", self.exported, {"network_width": 24})
        self.assertEnds(run, INPUT, "train_start_from", "weights")
        _, run = self.draws(self.exported, "wider-drawn", network_width=24)
        self.assertEqual(run.code, INPUT)
        self.assertIn("network_width (16 there, 24 here)", run.err)


class Manual(WeightsCase):
    """What the manual tells a user to type does what it says."""

    def snippets(self):
        text = (SOURCE / "doc/manual.md").read_text()
        section = text.split("## Weights for other programs\n")[1].split("\n## ")[0]
        return re.findall(r"```python\n(.*?)```", section, re.S)

    def run_snippet(self, snippet, folder):
        environment = {**os.environ, "PYTHONPATH": str(SOURCE / "tools"), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", snippet], cwd=folder, capture_output=True, text=True, env=environment, timeout=60
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_reading_and_writing_with_h5py(self):
        folder = self.root / "manual"
        folder.mkdir()
        shutil.copy(self.exported, folder / "weights.h5")
        reading, writing = [s for s in self.snippets() if "torch" not in s]
        self.assertIn("block.0.attention.qkv.weight (48, 16)", self.run_snippet(reading, folder))
        model = textwrap.dedent(
            """
            from nephrite_tools import weights_file
            model = weights_file.read("weights.h5")
            tensors, shape, statistics = model.tensors, model.shape, model
        """
        )
        self.run_snippet(model + writing, folder)
        campaign = self.new_campaign("manual-drawn")
        options = {**INFER, "infer_observations": 1, "infer_checkpoint": folder / "mine.h5"}
        run = run_program("nephrite-infer", campaign, options)
        self.assertEqual(run.code, 0, run.err)


TWIN = """
import json, math, sys
import torch
from nephrite_tools.torch_network import Network

task = json.load(sys.stdin)
with open(task["data"], "rb") as file:
    values = torch.frombuffer(bytearray(file.read()), dtype=torch.float32)
network, shape = Network(task["shape"]), task["shape"]
network.load_state_dict({name: values[at : at + math.prod(size)].view(size) for name, at, size in task["arrays"]})
maps = torch.randn(2, shape["bins"] + shape["observation_channels"], *shape["map"])
z, observation = maps.split([shape["bins"], shape["observation_channels"]], 1)
with torch.no_grad():
    told = torch.randn(2, shape["told"])
    x, theta = network(z, torch.randn(2, shape["parameters"]), observation, torch.tensor([0.2, 0.9]), told)
assert x.shape == z.shape and theta.shape == (2, shape["parameters"])
assert x.isfinite().all() and theta.isfinite().all() and x.std() > 0
print("runs")
"""


class Torch(WeightsCase):
    @unittest.skipUnless(os.environ.get("NEPHRITE_TORCH"), "NEPHRITE_TORCH names no Python with torch")
    def test_the_network_in_pytorch_takes_exported_weights(self):
        """That Python need have neither h5py nor numpy, so the arrays go through a file."""
        model, data, arrays, at = weights_file.read(self.exported), self.root / "arrays.bin", [], 0
        with open(data, "wb") as out:
            for name, tensor in model.tensors.items():
                arrays.append((name, at, tensor.shape))
                at += tensor.size
                out.write(np.asarray(tensor, "<f4").tobytes())
        task = json.dumps({"data": str(data), "arrays": arrays, "shape": model.shape})
        environment = {**os.environ, "PYTHONPATH": str(SOURCE / "tools"), "PYTHONDONTWRITEBYTECODE": "1"}
        words = [os.environ["NEPHRITE_TORCH"], "-c", TWIN]
        done = subprocess.run(words, input=task, capture_output=True, text=True, env=environment, timeout=120)
        self.assertEqual((done.returncode, done.stdout), (0, "runs\n"), done.stderr)


del TrainCase, WeightsCase  # the cases above inherit from them; by themselves they have no tests

if __name__ == "__main__":
    unittest.main()
