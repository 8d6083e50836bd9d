#!/usr/bin/env python3
"""nephrite-infer end to end on tiny maps and a tiny network: what products hold, ranks, resuming, refusals."""

import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import h5py
import numpy as np

from counts_by_definition import excess, s8_omega_m
from tiny_campaign import INPUT, INTERRUPTED, SOURCE, USAGE, command, run_program

SEED, HELD_OUT, REALISATIONS, OBSERVATIONS, DRAWS, CENTRES = 3, 8, 24, 5, 6, 3

# The network has hardly learned anything; the published closing and few steps leave some of the noise in its draws.
CONFIG = f"""
seed: {SEED}
survey: {{map_size: 16, field_of_view: 2, bins: 2}}
simulate: {{realisations: {REALISATIONS}, shard_size: 24}}
network: {{depth: 2, width: 16, heads: 2, patch: 4, cosmology_tokens: 2, bottleneck: 8, time_frequencies: 16,
          conditioning: channels, dropout: 0}}
train: {{steps: 10, batch: 4, micro_batch: 4, held_out: {HELD_OUT}, validate_every: 10, checkpoint_every: 10,
        learning_rate: 1e-2}}
infer: {{observations: {OBSERVATIONS}, draws: {DRAWS}, batch: 4, evaluations: 8, solver: heun, closing: heun}}
calibrate: {{centres: {CENTRES}, bootstraps: 50, levels: 5}}
"""


def run(program, campaign, ranks=1, **options):
    return run_program(program, campaign, options, ranks, timeout=120)


class InferTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-infer-"))
        (cls.root / "tiny.yaml").write_text(CONFIG)
        cls.trained = cls.root / "trained"
        for program in ("nephrite-simulate", "nephrite-train"):
            made = run(program, cls.trained)
            assert made.code == 0, made.err
        cls.whole = cls.new_campaign("whole")
        for task in ("posterior", "coverage"):
            made = run("nephrite-infer", cls.whole, task=task, infer_keep_maps=OBSERVATIONS)
            assert made.code == 0, made.err

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    @classmethod
    def new_campaign(cls, name):
        """A campaign with maps and checkpoint of the trained one, and nothing inferred."""
        campaign = cls.root / name
        campaign.mkdir()
        for folder in ("sims", "checkpoints"):
            (campaign / folder).symlink_to(cls.trained / folder)
        return campaign

    @staticmethod
    def posterior(campaign, observation, folder="posterior"):
        return campaign / folder / f"observation-{observation:05d}.h5"

    def assert_refused(self, made, code, *texts):
        self.assertEqual(made.code, code, made.err)
        lines = [line for line in made.err.splitlines() if line.startswith("nephrite-infer")]
        self.assertEqual(len(lines), 1, made.err)
        for text in texts:
            self.assertIn(text, lines[0])

    def assert_same_draws(self, one, other, tolerance=0.0):
        """Every dataset, bit for bit or to a tolerance."""
        names = []
        with h5py.File(one) as a, h5py.File(other) as b:
            a.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            names = [name for name in names if not tolerance or not name.startswith("digest")]
            self.assertGreater(len(names), 8)
            for name in names:
                if not tolerance:
                    np.testing.assert_array_equal(a[name][()], b[name][()], f"{other}: {name}")
                    continue
                difference = np.abs(a[name][()] - b[name][()]).max()
                self.assertLessEqual(difference, tolerance * np.abs(a[name]).max(), f"{other}: {name}")

    def user_file(self, name="mine.h5", change=None):
        """The first held-out observation as a user's file, with its truth; `change` edits it."""
        path = self.root / name
        with h5py.File(self.posterior(self.whole, 0)) as made, h5py.File(path, "w") as file:
            file["shear"], file["noise_std"] = made["observation/shear"][()], made["observation/noise_std"][()]
            file["truth/kappa"], file["truth/theta"] = made["truth/kappa"][()], made["truth/theta"][()]
            file.attrs["field_of_view"] = 2.0
            if change:
                change(file)
        return path


class Posterior(InferTest):
    def test_a_posterior_file_holds_draws_moments_observation_and_truth(self):
        scatter = []
        for o in range(OBSERVATIONS):
            with h5py.File(self.posterior(self.whole, o)) as file, h5py.File(
                self.whole / "sims/shard-00000.h5"
            ) as sims:
                index = REALISATIONS - HELD_OUT + o
                self.assertEqual(file.attrs["realisation"], index)
                np.testing.assert_array_equal(file["truth/kappa"][()], sims["kappa"][index])
                np.testing.assert_array_equal(file["truth/theta"][()], sims["theta"][index])
                self.assertEqual(file["theta"].shape, (DRAWS, 6))
                kappa = file["kappa"][()].astype(float)
                self.assertEqual(kappa.shape, (DRAWS, 2, 16, 16))
                np.testing.assert_allclose(file["mean/kappa"][()], kappa.mean(0), atol=1e-9)
                np.testing.assert_allclose(file["std/kappa"][()], kappa.std(0, ddof=1), rtol=1e-5)
                self.assertGreater(file["std/kappa"][()].min(), 0)
                self.assertEqual(file["theta"].attrs["parameters"].decode(), "Omega_c,Omega_b,sigma_8,h,n_s,w_0")
                self.assertEqual(file["observation/channels"].shape, (2, 16, 16))
                self.assertIn("wiener/kappa", file)
                scatter.append((kappa - kappa.mean(0)).ravel())
        # observations do not share their noise: the correlation of 6 x 512 numbers
        self.assertLess(abs(np.corrcoef(scatter[0], scatter[1])[0, 1]), 0.1)

    def test_observations_are_the_truth_sheared_with_the_noise_they_claim(self):
        noise = []
        for o in range(OBSERVATIONS):
            with h5py.File(self.posterior(self.whole, o)) as file:
                k = np.fft.fftfreq(16)
                kx, ky = np.meshgrid(k, k)
                square = kx**2 + ky**2
                square[0, 0] = 1
                cosine, sine = (kx**2 - ky**2) / square, 2 * kx * ky / square
                sine[8, :], sine[:, 8] = 0, 0
                modes = np.fft.fft2(file["truth/kappa"][()])
                gamma = np.stack([np.fft.ifft2(cosine * modes).real, np.fft.ifft2(sine * modes).real], 1)
                noise.append((file["observation/shear"][()] - gamma) / file["observation/noise_std"][0])
        noise = np.array(noise)
        self.assertAlmostEqual(noise.std(), 1, delta=4 / np.sqrt(2 * noise.size))
        self.assertAlmostEqual(noise.mean(), 0, delta=4 / np.sqrt(noise.size))
        self.assertLess(abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]), 0.15)

    def test_draws_do_not_depend_on_the_number_of_ranks(self):
        for ranks in (2, 12):  # 12: more than the ten units of work
            campaign = self.new_campaign(f"ranks-{ranks}")
            made = run("nephrite-infer", campaign, ranks)
            self.assertEqual(made.code, 0, made.err)
            self.assertIn(f"{OBSERVATIONS * DRAWS}/{OBSERVATIONS * DRAWS} draws", made.out)
            for o in range(OBSERVATIONS):
                self.assert_same_draws(self.posterior(self.whole, o), self.posterior(campaign, o))
            self.assertFalse((campaign / "posterior/parts").exists())

    def test_draws_do_not_depend_on_the_batch(self):
        campaign = self.new_campaign("batch")
        self.assertEqual(run("nephrite-infer", campaign, infer_batch=DRAWS, infer_observations=1).code, 0)
        self.assert_same_draws(self.posterior(self.whole, 0), self.posterior(campaign, 0), 1e-4)

    def test_only_a_removed_file_is_made_again(self):
        campaign = self.new_campaign("removed")
        shutil.copytree(self.whole / "posterior", campaign / "posterior")
        before = {o: self.posterior(campaign, o).stat().st_mtime_ns for o in range(OBSERVATIONS)}
        self.posterior(campaign, 2).unlink()
        made = run("nephrite-infer", campaign)
        self.assertEqual(made.code, 0, made.err)
        self.assert_same_draws(self.posterior(self.whole, 2), self.posterior(campaign, 2))
        for o in set(before) - {2}:
            self.assertEqual(self.posterior(campaign, o).stat().st_mtime_ns, before[o])
        self.assertIn("complete already", run("nephrite-infer", campaign).out)

    def test_blocks_that_a_kill_left_beside_the_file_they_were_joined_to_are_removed(self):
        campaign = self.new_campaign("joined")
        parts = campaign / "posterior/parts"
        shutil.copytree(self.whole / "posterior", campaign / "posterior")
        parts.mkdir()
        joined, other = (parts / f"observation-{o:05d}-block-00001.h5" for o in (OBSERVATIONS - 1, OBSERVATIONS))
        for block in (joined, other):
            block.touch()
        self.assertIn("complete already", run("nephrite-infer", campaign).out)
        self.assertEqual(list(parts.iterdir()), [other])  # of an observation that another run has begun
        other.unlink()
        self.assertIn("complete already", run("nephrite-infer", campaign).out)
        self.assertFalse(parts.exists())

    def test_an_interrupted_run_goes_on_from_its_blocks_and_a_damaged_one_is_drawn_again(self):
        options = {"infer_draws": 1200, "infer_batch": 10, "infer_observations": 1, "infer_evaluations": 100}
        whole, campaign = self.new_campaign("long"), self.new_campaign("interrupted")
        self.assertEqual(run("nephrite-infer", whole, **options).code, 0)
        process = subprocess.Popen(
            command("nephrite-infer", campaign, options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        parts = campaign / "posterior/parts"
        while process.poll() is None and len(list(parts.glob("*.h5"))) < 4:
            time.sleep(0.002)
        process.send_signal(signal.SIGUSR1)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, INTERRUPTED, err)
        self.assertIn("run again", err)
        finished = sorted(parts.glob("*.h5"))
        self.assertGreaterEqual(len(finished), 4)
        self.assertLess(len(finished), 120)
        self.assertFalse(self.posterior(campaign, 0).exists())
        damaged = bytearray(finished[1].read_bytes())
        damaged[len(damaged) // 2] ^= 1
        finished[1].write_bytes(damaged)
        shutil.copy(finished[2], parts / finished[2].name.replace("00002", "90000"))  # as of smaller blocks
        made = run("nephrite-infer", campaign, 2, **options)
        self.assertEqual(made.code, 0, made.err)
        self.assert_same_draws(self.posterior(whole, 0), self.posterior(campaign, 0))
        self.assertFalse(parts.exists())

    def test_a_new_checkpoint_draws_again_and_other_options_are_refused(self):
        campaign = self.new_campaign("further")
        shutil.copytree(self.whole / "posterior", campaign / "posterior")
        self.assert_refused(
            run("nephrite-infer", campaign, infer_draws=7), INPUT, "observation-00000.h5", "infer_draws"
        )
        (campaign / "checkpoints").unlink()
        shutil.copytree(self.trained / "checkpoints", campaign / "checkpoints")
        trained = run("nephrite-train", campaign, train_steps=20)
        self.assertEqual(trained.code, 0, trained.err)
        newest = campaign / "checkpoints/step-00000020.h5"
        made = run("nephrite-infer", campaign, train_steps=20, infer_observations=1, infer_checkpoint=newest)
        self.assertEqual(made.code, 0, made.err)
        self.assertIn("drawn again", made.out)
        with h5py.File(self.posterior(campaign, 0)) as file:
            self.assertEqual(file.attrs["checkpoint_step"], 20)
        with self.assertRaises(AssertionError):
            self.assert_same_draws(self.posterior(self.whole, 0), self.posterior(campaign, 0), 1e-4)


class Solvers(InferTest):
    OPTIONS = {
        "heun": {"infer_evaluations": 9, "infer_closing": "prediction"},
        "multistep2": {"infer_evaluations": 9},
        "multistep3": {"infer_evaluations": 9},
        "adaptive": {"infer_tolerance": 1e-3},
    }

    @classmethod
    def solve(cls, campaign, solver, ranks=1, **options):
        return run(
            "nephrite-infer",
            campaign,
            ranks,
            infer_observations=1,
            infer_solver=solver,
            **{**cls.OPTIONS[solver], **options},
        )

    def test_each_draws_from_the_same_noise_along_the_same_flow(self):
        exact = self.new_campaign("exact")
        made = self.solve(exact, "adaptive")
        self.assertEqual(made.code, 0, made.err)
        evaluations = float(re.search(r"([\d.]+) evaluations of the network for a draw", made.out)[1])
        self.assertGreater(evaluations, 7)
        with h5py.File(self.posterior(exact, 0)) as file, h5py.File(self.whole / "sims/shard-00000.h5") as sims:
            expected, spread = file["theta"][()], sims["theta"][()].std(0)
        for solver in ("heun", "multistep2", "multistep3"):
            campaign = self.new_campaign(f"solver-{solver}")
            made = self.solve(campaign, solver)
            self.assertEqual(made.code, 0, made.err)
            self.assertIn("\nposterior 9 evaluations of the network for a draw\n", made.out)
            with h5py.File(self.posterior(campaign, 0)) as file:
                self.assertIn(f"solver: {solver}", file.attrs["configuration"].decode())
                self.assertGreater(np.abs(file["theta"][()] - expected).max(), 0)
                np.testing.assert_array_less(np.abs(file["theta"][()] - expected).max(0), 0.01 * spread)

    def test_no_two_of_them_draw_alike_nor_one_with_other_options(self):
        cases = [(solver, {}) for solver in self.OPTIONS]
        cases += [("multistep3", {"infer_spacing": 5}), ("multistep3", {"infer_noise_left": 0.3})]
        cases += [("heun", {"infer_closing": "heun"}), ("adaptive", {"infer_tolerance": 0.1})]
        draws = set()
        for number, (solver, options) in enumerate(cases):
            campaign = self.new_campaign(f"alike-{number}")
            made = self.solve(campaign, solver, **options)
            self.assertEqual(made.code, 0, made.err)
            with h5py.File(self.posterior(campaign, 0)) as file:
                draws.add(file["theta"][()].tobytes())
        self.assertEqual(len(draws), len(cases))

    def test_draws_of_one_are_not_taken_for_those_of_another(self):
        campaign = self.new_campaign("one")
        self.assertEqual(self.solve(campaign, "multistep3").code, 0)
        before = self.posterior(campaign, 0).read_bytes()
        self.assertIn("complete already", self.solve(campaign, "multistep3", 2).out)
        self.assert_refused(
            self.solve(campaign, "multistep2"), INPUT, "observation-00000.h5", "infer_solver (multistep3 there"
        )
        for option, value in {"infer_spacing": 5, "infer_noise_left": 0.3, "infer_tolerance": 0.1}.items():
            self.assert_refused(self.solve(campaign, "multistep3", **{option: value}), INPUT, option)
        self.assertEqual(self.posterior(campaign, 0).read_bytes(), before)

    def test_files_from_before_there_were_solvers_are_heuns(self):
        campaign = self.new_campaign("older")
        shutil.copytree(self.whole / "posterior", campaign / "posterior")
        for o in range(OBSERVATIONS):
            with h5py.File(self.posterior(campaign, o), "r+") as file:
                file.attrs.modify("format_version", 1)
        self.assertIn("complete already", run("nephrite-infer", campaign).out)
        self.assert_refused(run("nephrite-infer", campaign, infer_solver="multistep2"), INPUT, "infer_solver heun")

    def test_a_killed_run_goes_on_to_the_same_draws(self):
        for solver in ("multistep3", "adaptive"):
            options = {"infer_draws": 400, "infer_batch": 10}
            whole, campaign = self.new_campaign(f"{solver}-whole"), self.new_campaign(f"{solver}-killed")
            self.assertEqual(self.solve(whole, solver, **options).code, 0)
            words = {"infer_observations": 1, "infer_solver": solver, **self.OPTIONS[solver], **options}
            process = subprocess.Popen(
                command("nephrite-infer", campaign, words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            parts = campaign / "posterior/parts"
            while process.poll() is None and len(list(parts.glob("*.h5"))) < 3:
                time.sleep(0.002)
            process.kill()
            process.wait(timeout=60)
            self.assertFalse(self.posterior(campaign, 0).exists())
            made = self.solve(campaign, solver, 2, **options)
            self.assertEqual(made.code, 0, made.err)
            self.assert_same_draws(self.posterior(whole, 0), self.posterior(campaign, 0))

    def test_values_that_cannot_be_are_refused(self):
        campaign = self.new_campaign("unsolvable")
        for option, value in {
            "infer_solver": "euler",
            "infer_noise_left": 0,
            "infer_spacing": 0.5,
            "infer_tolerance": 0,
            "infer_evaluations": 1,
        }.items():
            self.assert_refused(run("nephrite-infer", campaign, **{option: value}), USAGE, option)
        self.assertFalse((campaign / "posterior").exists())

    def test_a_dry_run_says_what_a_draw_takes_or_that_its_tolerance_decides(self):
        said = {solver: self.solve(self.trained, solver, dry_run="true").out for solver in self.OPTIONS}
        for solver in ("heun", "multistep2", "multistep3"):
            self.assertIn("9 evaluations of the network each", said[solver])
        self.assertIn("as many evaluations of the network as infer_tolerance needs", said["adaptive"])
        self.assertIn("for one of each draw", said["adaptive"])


class UsersFile(InferTest):
    def test_a_users_observation_is_drawn_from_and_again_when_it_changes(self):
        campaign = self.new_campaign("user")
        made = run("nephrite-infer", campaign, observation=self.user_file())
        self.assertEqual(made.code, 0, made.err)
        with h5py.File(campaign / "posterior/mine.h5") as file, h5py.File(self.posterior(self.whole, 0)) as held_out:
            for name in ("observation/channels", "observation/shear", "truth/kappa", "truth/theta", "wiener/kappa"):
                np.testing.assert_array_equal(file[name][()], held_out[name][()], name)
            self.assertEqual(file.attrs["realisation"], -1)
            self.assertEqual(file["kappa"].shape, (DRAWS, 2, 16, 16))
            first = file["kappa"][()]
        self.assertIn("complete already", run("nephrite-infer", campaign, observation=self.user_file()).out)

        def brighter(file):
            file["shear"][...] *= 3
            del file["truth"]

        made = run("nephrite-infer", campaign, observation=self.user_file(change=brighter))
        self.assertEqual(made.code, 0, made.err)
        self.assertIn("drawn again", made.out)
        with h5py.File(campaign / "posterior/mine.h5") as file:
            self.assertGreater(
                np.abs(file["kappa"][()] - first).max(), 1e-5 * np.abs(first).max()
            )  # it has hardly learned
            self.assertNotIn("truth", file)

    def test_what_does_not_fit_is_refused_saying_what_does(self):
        def smaller(file):
            shear = file["shear"][:, :, :8, :8]
            del file["shear"], file["truth"]
            file["shear"] = shear

        def not_a_number(file):
            file["shear"][1, 0, 3, 4] = np.nan

        def noisier(file):
            file["noise_std"][...] *= 1.1

        def masked(file):
            file["mask"] = np.arange(256).reshape(16, 16) > 0

        def wider(file):
            file.attrs["field_of_view"] = 4.0

        cases = [
            (smaller, ("[2, 2, 8, 8]", "[2, 2, 16, 16]")),
            (not_a_number, ("bin 1, component 0, at y 3, x 4",)),
            (noisier, ("noise_std", "trained with")),
            (masked, ("survey_mask",)),
            (wider, ("15 arcmin", "7.5 arcmin")),
        ]
        campaign = self.new_campaign("refused")
        for change, texts in cases:
            with self.subTest(change.__name__):
                path = self.user_file(f"{change.__name__}.h5", change)
                self.assert_refused(run("nephrite-infer", campaign, observation=path), INPUT, *texts)
        self.assert_refused(run("nephrite-infer", campaign, 2, observation=self.user_file("b.h5", smaller)), INPUT)
        self.assertFalse((campaign / "posterior").exists())


class KaiserSquires(InferTest):
    @staticmethod
    def e_mode(shear):
        """Of [bin, component, y, x], from the definition, divided by what shear shows of each mode."""
        k = np.fft.fftfreq(16)
        kx, ky = np.meshgrid(k, k)
        square = kx**2 + ky**2
        square[0, 0] = 1
        cosine, sine = (kx**2 - ky**2) / square, 2 * kx * ky / square
        sine[8, :], sine[:, 8] = 0, 0
        shown = cosine**2 + sine**2
        modes = cosine * np.fft.fft2(shear[:, 0]) + sine * np.fft.fft2(shear[:, 1])
        return np.fft.ifft2(np.divide(modes, shown, where=shown > 0, out=np.zeros_like(modes))).real, (kx, ky)

    def test_a_file_holds_the_e_mode_of_the_shear_and_needs_no_checkpoint(self):
        campaign = self.root / "ks"
        campaign.mkdir()
        (campaign / "sims").symlink_to(self.trained / "sims")
        made = run("nephrite-infer", campaign, 2, infer_method="ks")
        self.assertEqual(made.code, 0, made.err)
        self.assertIn(f"{OBSERVATIONS}/{OBSERVATIONS} observations", made.out)
        self.assertFalse((campaign / "posterior").exists())
        for o in range(OBSERVATIONS):
            with h5py.File(self.posterior(campaign, o, "posterior-ks")) as file:
                shear = file["observation/shear"][()].astype(float)
                expected, _ = self.e_mode(shear)
                np.testing.assert_allclose(file["estimate/kappa"][()], expected, atol=1e-6 * np.abs(expected).max())
                for absent in ("kappa", "theta", "mean", "std"):
                    self.assertNotIn(absent, file)
                self.assertIn("Kaiser", file["estimate/kappa"].attrs["description"].decode())
                with h5py.File(self.posterior(self.whole, o)) as drawn:
                    np.testing.assert_array_equal(file["truth/kappa"][()], drawn["truth/kappa"][()])
                    np.testing.assert_array_equal(file["observation/shear"][()], drawn["observation/shear"][()])
        self.assertIn("complete already", run("nephrite-infer", campaign, infer_method="ks").out)
        self.assert_refused(
            run("nephrite-infer", campaign, infer_method="ks", infer_smoothing=2), INPUT, "infer_smoothing"
        )

    def test_smoothing_is_by_a_gaussian_in_arcmin(self):
        campaign = self.root / "smooth"
        made = run("nephrite-infer", campaign, infer_method="ks", infer_smoothing=10, observation=self.user_file())
        self.assertEqual(made.code, 0, made.err)
        with h5py.File(campaign / "posterior-ks/mine.h5") as file:
            sharp, (kx, ky) = self.e_mode(file["observation/shear"][()].astype(float))
            sigma = 10 / 7.5  # pixels of 7.5 arcmin
            window = np.exp(-((2 * np.pi * sigma) ** 2) * (kx**2 + ky**2) / 2)
            expected = np.fft.ifft2(window * np.fft.fft2(sharp)).real
            np.testing.assert_allclose(file["estimate/kappa"][()], expected, atol=1e-6 * np.abs(expected).max())

    def test_of_a_convergence_it_is_the_observation(self):
        campaign = self.root / "convergence"
        campaign.mkdir()
        (campaign / "sims").symlink_to(self.trained / "sims")
        made = run("nephrite-infer", campaign, infer_method="ks", survey_observation="convergence")
        self.assertEqual(made.code, 0, made.err)
        with h5py.File(self.posterior(campaign, 1, "posterior-ks")) as file:
            np.testing.assert_array_equal(file["estimate/kappa"][()], file["observation/convergence"][()])

    def test_calibration_of_a_map_alone_is_refused(self):
        made = run("nephrite-infer", self.new_campaign("ks-coverage"), task="coverage", infer_method="ks")
        self.assert_refused(made, USAGE, "-infer_method", "ks")

    def test_a_dry_run_needs_no_network(self):
        made = run("nephrite-infer", self.root / "ks-dry", infer_method="ks", dry_run="true")
        self.assertEqual(made.code, 0, made.err)
        self.assertIn("posterior-ks", made.out)
        self.assertNotIn("network", made.out)


class Refusals(InferTest):
    def test_configurations_that_cannot_be(self):
        campaign = self.new_campaign("impossible")
        self.assert_refused(
            run("nephrite-infer", campaign, task="coverage", observation=self.user_file()), USAGE, "-observation"
        )
        self.assert_refused(
            run("nephrite-infer", campaign, infer_observations=HELD_OUT + 1), USAGE, "train_held_out leaves 8"
        )
        self.assert_refused(
            run("nephrite-infer", campaign, train_held_out=HELD_OUT + 2), USAGE, "trained on those below 16"
        )

    def test_a_checkpoint_of_another_network_or_none_is_refused(self):
        campaign = self.new_campaign("other")
        made = run("nephrite-infer", campaign, network_width=32)
        self.assert_refused(made, INPUT, "network_width (16 there, 32 here)")
        self.assert_refused(run("nephrite-infer", campaign, survey_sigma_e=0.3), INPUT, "survey_sigma_e")
        self.assert_refused(run("nephrite-infer", campaign, infer_checkpoint="none.h5"), INPUT, "none.h5")

    def test_a_dry_run_says_what_is_needed_and_makes_nothing(self):
        campaign = self.root / "dry"
        made = run("nephrite-infer", campaign, dry_run="true")
        self.assertEqual(made.code, 0, made.err)
        self.assertIn("not trained yet", made.out)
        self.assertIn(f"{DRAWS} for each of {OBSERVATIONS} observations, 8 evaluations", made.out)
        self.assertFalse(campaign.exists())
        made = run("nephrite-infer", self.trained, dry_run="true", infer_evaluations=9)
        self.assertNotIn("not trained yet", made.out)
        self.assertIn("8 evaluations", made.out)


class Coverage(InferTest):
    @classmethod
    def truths_and_draws(cls, campaign):
        """theta [T, q], theta draws [T, S, q], and the same of maps, as distances see them: float32."""
        names = ("truth/theta", "theta", "truth/kappa", "kappa")
        values = {name: [] for name in names}
        for o in range(OBSERVATIONS):
            with h5py.File(cls.posterior(campaign, o, "coverage")) as file:
                for name in names:
                    values[name].append(file[name][()].astype(np.float32).astype(float))
        truth, draw, maps, drawn = (np.array(values[name]) for name in names)
        return truth, draw, maps.reshape(OBSERVATIONS, -1), drawn.reshape(OBSERVATIONS, DRAWS, -1)

    def test_draws_are_those_of_the_posterior(self):
        for o in range(OBSERVATIONS):
            with h5py.File(self.posterior(self.whole, o)) as file, h5py.File(
                self.posterior(self.whole, o, "coverage")
            ) as counted:
                for name in ("theta", "kappa", "mean/kappa", "truth/kappa"):
                    np.testing.assert_array_equal(counted[name][()], file[name][()], name)

    def test_counts_are_those_of_the_definition(self):
        truth, draw, maps, drawn = self.truths_and_draws(self.whole)
        raw = [excess(SEED, truth, draw, CENTRES, 0, False), excess(SEED, maps, drawn, CENTRES, 1, False)]
        standard = [excess(SEED, truth, draw, CENTRES, 2, True), excess(SEED, maps, drawn, CENTRES, 3, True)]
        expected = {
            "theta/raw": raw[0],
            "theta/standardised": standard[0],
            "kappa/raw": raw[1],
            "kappa/standardised": standard[1],
            "joint/raw": raw[0] + raw[1],
            "joint/standardised": standard[0] + standard[1],
            "joint/block": standard[0] + standard[1] / maps.shape[1],
        }
        with h5py.File(self.whole / "calibration.h5") as file:
            self.assertEqual(file.attrs["ties"], 0)
            for name, further in expected.items():
                np.testing.assert_array_equal(file[f"{name}/counts"][()], (further < 0).sum(1), name)

    def test_scores_and_coverage_are_those_of_the_counts(self):
        with h5py.File(self.whole / "calibration.h5") as file:
            for space in ("theta/raw", "kappa/standardised", "joint/block"):
                m = file[f"{space}/counts"][()]
                score = (DRAWS + 1) / (2 * DRAWS) + m * (DRAWS - m) / DRAWS**2
                self.assertAlmostEqual(file[f"{space}/mira/score"][()], score.mean(), places=12)
                self.assertAlmostEqual(file[f"{space}/mira/expected"][()], (2 * DRAWS + 1) / (3 * DRAWS), places=12)
                alpha = file[f"{space}/tarp/alpha"][()]
                np.testing.assert_allclose(alpha, [0, 0.25, 0.5, 0.75, 1])
                ecp = [(m / DRAWS < level).mean() for level in alpha]
                np.testing.assert_allclose(file[f"{space}/tarp/ecp"][()], ecp)
                self.assertAlmostEqual(file[f"{space}/tarp/deviation"][()], np.abs(ecp - alpha).max())

    def test_ranks_widths_and_correlations_are_those_of_the_draws(self):
        with h5py.File(self.whole / "calibration.h5") as file:
            names = file["sbc/rank"].attrs["scalars"].decode().split(",")
            self.assertEqual(names, ["Omega_c", "Omega_b", "sigma_8", "h", "n_s", "w_0", "Omega_m", "S8"])
            for o in range(OBSERVATIONS):
                with h5py.File(self.posterior(self.whole, o, "coverage")) as made:
                    theta, truth = made["theta"][()], made["truth/theta"][()]
                    maps = {name: made[f"{name}/kappa"][()] for name in ("mean", "wiener", "truth")}
                theta, truth = (np.append(t, np.stack(s8_omega_m(t.T)[::-1], -1), -1) for t in (theta, truth))
                np.testing.assert_array_equal(file["sbc/rank"][:, o], (theta < truth).sum(0))
                np.testing.assert_allclose(file["width/posterior"][o], theta.std(0, ddof=1), rtol=1e-9)
                for name in ("mean", "wiener"):
                    expected = [np.corrcoef(maps[name][b].ravel(), maps["truth"][b].ravel())[0, 1] for b in range(2)]
                    np.testing.assert_allclose(file[f"correlation/{name}"][o], expected, rtol=1e-6)
            ratio = (file["width/posterior"][()] / file["width/prior"][()]).mean(0)
            np.testing.assert_allclose(file["width/ratio"][()], ratio)
            self.assertEqual(file["sbc/histogram"][()].sum(), 8 * OBSERVATIONS)

    def test_counts_do_not_depend_on_ranks_or_on_which_maps_are_kept(self):
        campaign = self.new_campaign("kept")
        made = run("nephrite-infer", campaign, 2, task="coverage", infer_keep_maps=2, infer_batch=5)
        self.assertEqual(made.code, 0, made.err)
        kept = ["kappa" in h5py.File(self.posterior(campaign, o, "coverage")) for o in range(OBSERVATIONS)]
        self.assertEqual(kept, [True, True, False, False, False])
        with h5py.File(self.whole / "calibration.h5") as a, h5py.File(campaign / "calibration.h5") as b:
            for name in ("theta/raw/counts", "joint/block/counts", "sbc/rank"):
                np.testing.assert_array_equal(a[name][()], b[name][()], name)

    def test_what_is_complete_is_left_and_other_levels_make_only_calibration_anew(self):
        campaign = self.new_campaign("levels")
        shutil.copytree(self.whole / "coverage", campaign / "coverage")
        shutil.copy2(self.whole / "calibration.h5", campaign)
        before = (campaign / "calibration.h5").stat().st_mtime_ns
        made = run("nephrite-infer", campaign, task="coverage")
        self.assertEqual(made.out.count("complete already"), 2, made.out)
        self.assertEqual((campaign / "calibration.h5").stat().st_mtime_ns, before)
        made = run("nephrite-infer", campaign, task="coverage", calibrate_levels=9)
        self.assertEqual(made.out.count("complete already"), 1, made.out)
        with h5py.File(campaign / "calibration.h5") as file:
            self.assertEqual(file["joint/raw/tarp/ecp"].shape, (9,))
        made = run("nephrite-infer", campaign, task="coverage", calibrate_centres=9)
        self.assert_refused(made, INPUT, "counts of 3 centres; calibrate_centres is 9")

    def test_cells_along_what_is_no_parameter_are_refused_before_anything_is_drawn(self):
        campaign = self.new_campaign("grid")
        made = run("nephrite-infer", campaign, task="coverage", calibrate_grid="Omega_m,S_8")
        self.assert_refused(made, USAGE, "calibrate_grid: 'S_8' is neither a parameter")
        self.assertFalse((campaign / "coverage").exists())

    def test_counts_of_an_older_nephrite_are_not_taken_for_all(self):
        campaign = self.new_campaign("older")
        shutil.copytree(self.whole / "coverage", campaign / "coverage")
        with h5py.File(self.posterior(campaign, 2, "coverage"), "a") as file:
            for name in ("counts/peaks", "digest/counts/peaks"):
                del file[name]
            del file.attrs["digest"]
        made = run("nephrite-infer", campaign, task="coverage")
        self.assert_refused(made, INPUT, "was drawn before peaks/standardised was compared", "observation-00002")


class OtherCampaigns(unittest.TestCase):
    """Campaigns that are set up differently from the start."""

    def test_fixed_parameters_stay_fixed_and_masks_and_online_training_work(self):
        with tempfile.TemporaryDirectory(prefix="nephrite-infer-") as name:
            campaign = pathlib.Path(name) / "online"
            (campaign.parent / "tiny.yaml").write_text(CONFIG + "prior: {w_0: 'fixed:-1', h: 'fixed:0.7'}\n")
            options = {"train_source": "online", "survey_mask": "random", "train_steps": 4, "train_validate_every": 4}
            for program in ("nephrite-train", "nephrite-infer"):
                made = run(program, campaign, **options, task="coverage")
                self.assertEqual(made.code, 0, made.err)
            self.assertFalse((campaign / "sims").exists())
            with h5py.File(campaign / "coverage/observation-00001.h5") as file:
                self.assertTrue((file["theta"][:, [3, 5]] == [0.7, -1]).all())
                self.assertIn("wiener/kappa", file)
                mask = file["observation/mask"][()]
                self.assertTrue(0 < mask.mean() < 1)
                self.assertTrue((file["observation/shear"][()][..., mask == 0] == 0).all())
                self.assertEqual(file["observation/channels"].shape, (5, 16, 16))
            with h5py.File(campaign / "calibration.h5") as file:
                self.assertEqual(file["sbc/rank"].attrs["scalars"].decode(), "Omega_c,Omega_b,sigma_8,n_s,Omega_m,S8")
                self.assertTrue(np.isfinite(file["correlation/wiener"][()]).all())
                self.assertTrue(np.isfinite(file["theta/standardised/mira/score"][()]))


class ParametersFirst(InferTest):
    """A network that draws the parameters and then, given them, the map, which it completes from a Wiener filter."""

    OPTIONS = {"network_flow": "parameters_first", "network_output": "wiener", "network_one_point": 2}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.in_turn = cls.root / "in-turn"
        cls.in_turn.mkdir()
        (cls.in_turn / "sims").symlink_to(cls.trained / "sims")
        made = run("nephrite-train", cls.in_turn, **cls.OPTIONS)
        assert made.code == 0, made.err

    def drawn(self, name, ranks=1, **options):
        campaign = self.root / name
        campaign.mkdir()
        for folder in ("sims", "checkpoints"):
            (campaign / folder).symlink_to(self.in_turn / folder)
        made = run("nephrite-infer", campaign, ranks, **options)
        self.assertEqual(made.code, 0, made.err)
        return campaign

    def test_it_learns_other_weights_than_the_joint_flow_and_draws_with_its_own(self):
        with h5py.File(next((self.in_turn / "checkpoints").iterdir())) as own, h5py.File(
            next((self.trained / "checkpoints").iterdir())
        ) as joint:
            self.assertEqual((own.attrs["flow"], joint.attrs["flow"]), (b"parameters_first", b"joint"))
            self.assertGreater(
                np.abs(own["ema/cosmology.embed.weight"][()] - joint["ema/cosmology.embed.weight"]).max(), 0
            )
        campaign, again = self.drawn("alone", **self.OPTIONS), self.drawn("shared", 2, **self.OPTIONS)
        for observation in range(OBSERVATIONS):
            one, other = (self.posterior(c, observation) for c in (campaign, again))
            with h5py.File(one) as a, h5py.File(other) as b:
                for name in ("theta", "kappa"):
                    self.assertTrue(np.isfinite(a[name][()]).all())
                    np.testing.assert_allclose(a[name][()], b[name][()], rtol=1e-4, atol=1e-5)

    def test_exported_weights_draw_the_same(self):
        weights = self.root / "in-turn.h5"
        words = [SOURCE / "tools/weights", "export", next((self.in_turn / "checkpoints").iterdir()), weights]
        subprocess.run(words, check=True, capture_output=True)
        drawn = [self.drawn("kept", **self.OPTIONS), self.drawn("exported", infer_checkpoint=weights, **self.OPTIONS)]
        with h5py.File(weights) as file:
            # bands, pairs of two maps and two of data
            self.assertEqual(file.attrs["guess_covariance"].shape, (15 * 10,))
            self.assertEqual(file.attrs["one_point_unit"].shape, (3 * 4,))  # pairs, scales
        with h5py.File(self.posterior(drawn[0], 1)) as a, h5py.File(self.posterior(drawn[1], 1)) as b:
            for name in ("theta", "kappa"):
                np.testing.assert_array_equal(a[name][()], b[name][()])

    def test_a_draw_takes_the_evaluations_twice(self):
        said = [
            run("nephrite-infer", c, dry_run="true", infer_evaluations=10).out for c in (self.trained, self.in_turn)
        ]
        for text, evaluations in zip(said, (10, 20)):
            self.assertIn(f"{evaluations} evaluations of the network each", text)

    def test_a_configuration_that_asks_for_the_other_flow_is_refused(self):
        for campaign, flow, output in (self.in_turn, "joint", "wiener"), (self.trained, "parameters_first", "clean"):
            options = {"network_flow": flow, "network_output": output, "network_one_point": 2 * (output == "wiener")}
            made = run("nephrite-infer", campaign, **options)
            self.assert_refused(made, INPUT, "network_flow", flow)


del InferTest  # the cases above inherit from it; by itself it has no tests

if __name__ == "__main__":
    unittest.main()
