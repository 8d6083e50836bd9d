#!/usr/bin/env python3
"""nephrite-train end to end on tiny maps and a tiny network: ranks, resuming, faults."""

import csv
import re
import shutil
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

from tiny_campaign import INPUT, INTERNAL, INTERRUPTED, IO, USAGE, command
from train_campaign import TrainCase


class TrainTest(TrainCase):
    # ---- the course

    def test_losses_do_not_depend_on_ranks_though_they_do_not_divide_the_batch(self):
        for ranks in (2, 4):
            campaign = self.new_campaign(f"ranks{ranks}")
            self.assertEnds(self.train(campaign, ranks=ranks), 0)
            np.testing.assert_allclose(self.loss(campaign), self.loss(self.whole), rtol=1e-5)
        with h5py.File(self.whole / "training.h5") as one, h5py.File(campaign / "training.h5") as four:
            for name in ("theta", "field", "loss"):
                np.testing.assert_allclose(four["validation/" + name], one["validation/" + name], rtol=1e-5)

    def test_more_ranks_than_samples_train_all_the_same(self):
        losses = []
        for ranks in (1, 4):
            campaign = self.new_campaign(f"few{ranks}")
            self.assertEnds(self.train(campaign, {"train_batch": 3, "train_steps": 6}, ranks), 0)
            losses.append(self.loss(campaign))
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)

    def test_gradients_accumulated_over_micro_batches_are_those_of_the_batch(self):
        campaign = self.new_campaign("micro")
        self.assertEnds(self.train(campaign, {"train_micro_batch": 1}), 0)
        np.testing.assert_allclose(self.loss(campaign), self.loss(self.whole), rtol=1e-5)

    def test_an_optimiser_shared_among_ranks_trains_the_same_network(self):
        options = {"train_shard_optimizer": "true", "train_freeze_position": "true"}
        whole = self.new_campaign("own-optimizer")
        self.assertEnds(self.train(whole, {"train_freeze_position": "true"}), 0)
        for ranks in (1, 2, 4):
            campaign = self.new_campaign(f"shared-optimizer{ranks}")
            if ranks == 4:  # goes on from a checkpoint that one rank wrote
                shutil.copy(self.checkpoint(whole, 10), campaign / "checkpoints")
            self.assertEnds(self.train(campaign, options, ranks), 0)
            with h5py.File(self.checkpoint(whole, 20)) as one, h5py.File(self.checkpoint(campaign, 20)) as shared:
                for name in ("history/loss", "history/validation/theta", "history/gradient_norm"):
                    np.testing.assert_allclose(shared[name], one[name], rtol=1e-5)
                for group in ("weights", "ema", "m", "v"):
                    for name, tensor in one[group].items():
                        scale = np.abs(tensor[:]).max() + 1e-12
                        np.testing.assert_allclose(shared[group][name][:] / scale, tensor[:] / scale, atol=1e-4)

    def test_sharing_the_optimiser_changes_no_bit_nor_does_switching_it_on_or_off(self):
        frozen = {"train_freeze_position": "true"}
        shared = {**frozen, "train_shard_optimizer": "true"}
        for ranks in (2, 4):
            whole = self.new_campaign(f"unshared{ranks}")
            self.assertEnds(self.train(whole, frozen, ranks), 0)
            for name, begun_by, options in (
                ("on", None, shared),
                ("later-on", "unshared", shared),
                ("off", "on", frozen),
            ):
                campaign = self.new_campaign(f"{name}{ranks}")
                if begun_by:
                    shutil.copy(self.checkpoint(self.root / f"{begun_by}{ranks}", 10), campaign / "checkpoints")
                self.assertEnds(self.train(campaign, options, ranks), 0)
                self.assertSameTraining(self.checkpoint(campaign, 20), self.checkpoint(whole, 20))

    def test_the_blocks_that_drop_may_be_chosen(self):
        published = self.new_campaign("dropout-published")
        self.assertEnds(self.train(published, {"network_dropout_first": 1, "network_dropout_last": 2}), 0)
        np.testing.assert_array_equal(self.loss(published), self.loss(self.whole))
        all_blocks = self.new_campaign("dropout-all")
        self.assertEnds(self.train(all_blocks, {"network_dropout_first": 0, "network_dropout_last": 3}), 0)
        self.assertFalse(np.array_equal(self.loss(all_blocks), self.loss(self.whole)))
        run = self.train(all_blocks, {"network_dropout_last": 4})
        self.assertEnds(run, USAGE, "network_dropout_last is 4", "[0, 3]")

    def test_threads_change_no_bit(self):
        campaign = self.new_campaign("threads")
        self.assertEnds(self.train(campaign, {"threads": 2}), 0)
        self.assertSameTraining(self.checkpoint(campaign, 20), self.checkpoint(self.whole, 20))

    def test_the_history_has_every_step_and_validation(self):
        with h5py.File(self.whole / "training.h5") as file:
            np.testing.assert_array_equal(file["step"], np.arange(1, 21))
            np.testing.assert_array_equal(file["validation/step"], [10, 20])
            for name in ("loss", "field", "theta", "gradient_norm", "learning_rate", "samples_per_second", "seconds"):
                self.assertEqual(file[name].shape, (20,))
                self.assertTrue(np.all(file[name][:] > 0))
                self.assertIn("units", file[name].attrs)
            np.testing.assert_allclose(file["learning_rate"][:4], np.array([1, 2, 3, 4]) * 3e-3 / 4)
            self.assertAlmostEqual(file["learning_rate"][-1], 1e-3)

    def test_the_history_tells_the_time_of_a_step_apart(self):
        campaign = self.new_campaign("times")
        self.assertEnds(self.train(campaign, ranks=2), 0)
        with h5py.File(campaign / "training.h5") as file:
            times = {name: file[name + "_seconds"][:] for name in ("compute", "communication", "data", "checkpoint")}
            step = file["seconds"][:]
        for name in ("compute", "communication", "data"):
            self.assertTrue(np.all(times[name] > 0), name)
        self.assertTrue(np.all(times["compute"] + times["communication"] + times["data"] < step))
        np.testing.assert_array_equal(np.flatnonzero(times["checkpoint"]), [10])  # of step 10, counted with step 11

    def test_the_log_of_petsc_counts_the_operations_of_every_part(self):
        campaign, log = self.new_campaign("log"), self.root / "log.csv"
        options = {"train_steps": 4, "train_warmup": 0, "log_view": f":{log}:ascii_csv"}
        plan = self.train(campaign, {**options, "dry_run": "true"})
        per_sample = float(re.search(r"([\d.e+-]+) GFLOP forward", plan.out)[1]) * 1e9
        run = self.train(campaign, options)
        self.assertEnds(run, 0)
        with open(log) as file:
            rows = [row for row in csv.DictReader(file) if float(row["Time"]) > 0]
        flops_in = {(row["Stage Name"], row["Event Name"]): float(row["FLOP"]) for row in rows}
        flops = {event: count for (stage, event), count in flops_in.items() if stage == "Training"}
        stage_of = {row["Event Name"]: row["Stage Name"] for row in rows if row["Event Name"] != "summary"}
        self.assertAlmostEqual(flops["train forward"] / (4 * 6 * per_sample), 1, delta=0.01)
        self.assertAlmostEqual(flops["train backward"] / flops["train forward"], 2, delta=2e-5)  # 6 digits
        for part in ("train optimiser", "train objective"):
            self.assertGreater(flops[part], 0, part)
        self.assertEqual(stage_of["train validation"], "Validation")
        self.assertGreater(flops_in["Validation", "train validation"], 0)
        self.assertEqual(stage_of["train checkpoint"], "Checkpoint")
        shares = re.search(r"network of rank 0: (.*)", run.out)[1]
        self.assertAlmostEqual(sum(map(float, re.findall(r"([\d.]+)%", shares))), 100, delta=0.5)
        self.assertRegex(run.out, r"train     memory per rank: at most \d+ MB \(rank [01]\), mean \d+ MB")

    def test_what_each_checkpoint_cost_is_said_and_told_by_the_history_across_restarts(self):
        campaign = self.new_campaign("costs")
        for steps, costs in ((10, [5, 10]), (15, [5, 10, 15])):
            options = {"train_steps": steps, "train_checkpoint_every": 5, "train_validate_every": 15, "train_keep": 9}
            run = self.train(campaign, {**options, "train_warmup": 3, "train_shard_optimizer": "true"}, 2)
            self.assertEnds(run, 0)
            with h5py.File(campaign / "training.h5") as file:
                np.testing.assert_array_equal(file["checkpoint/step"], costs)
                self.assertTrue(np.all(file["checkpoint/seconds"][:] > 0))
                sizes = [self.checkpoint(campaign, step).stat().st_size for step in costs]
                np.testing.assert_array_equal(file["checkpoint/bytes"], sizes)
            self.assertRegex(run.out, rf"step {steps}  checkpoint  {sizes[-1] / 1e6:.3f} MB in [0-9.]+ s, \d+ MB/s")
            (campaign / "training.h5").replace(campaign / "kept.h5")
            self.assertEnds(self.train(campaign, {**options, "train_steps": steps}), 0)  # complete, but for the history
            with h5py.File(campaign / "training.h5") as file, h5py.File(campaign / "kept.h5") as kept:
                np.testing.assert_array_equal(file["loss"], kept["loss"])
                self.assertNotIn("checkpoint", file)
                self.assertEqual(file.attrs["end"], kept.attrs["end"])
            (campaign / "kept.h5").replace(campaign / "training.h5")

    def test_training_learns(self):
        losses = []
        for name, steps, rate in (("start", 1, 0), ("end", 300, 0.01)):
            campaign = self.new_campaign("learns-" + name)
            options = {"train_steps": steps, "train_learning_rate": rate, "train_warmup": 0, "train_batch": 16}
            self.assertEnds(self.train(campaign, {**options, "network_dropout": 0, "train_validate_every": 300}), 0)
            with h5py.File(campaign / "training.h5") as file:
                losses.append(file["validation/loss"][-1])
        self.assertLess(losses[1], 0.9 * losses[0])  # of maps not trained on, at the same noise; a share of it is noise

    def test_every_step_has_samples_of_its_own(self):
        campaign = self.new_campaign("samples")
        options = {"train_learning_rate": 0, "train_final_learning_rate": 0, "train_steps": 6, "train_warmup": 0}
        self.assertEnds(self.train(campaign, {**options, "network_dropout": 0}), 0)
        self.assertEqual(len(np.unique(self.loss(campaign))), 6)

    def test_validation_is_of_the_averaged_weights(self):
        campaign = self.new_campaign("averaged")
        options = {"train_ema_decay": 0.99999999, "train_theta_weight": 100, "train_learning_rate": 0.03}
        self.assertEnds(self.train(campaign, options), 0)
        with h5py.File(campaign / "training.h5") as file:
            theta = file["validation/theta"][:]  # of the starting weights, which answer 0 for every parameter
        self.assertAlmostEqual(theta[0], theta[1], delta=1e-3 * theta[0])

    def test_held_out_realisations_are_validated_on_and_never_trained_on(self):
        campaign = self.root / "damaged-maps"
        shutil.copytree(self.maps, campaign)
        shard = campaign / "sims" / "shard-00002.h5"
        data = bytearray(shard.read_bytes())
        with h5py.File(shard) as file:
            held_out = [file["kappa"][row].tobytes() for row in range(8)]  # realisations 32 to 39
        for kappa in held_out:
            data[data.index(kappa) + 100] ^= 1
        shard.write_bytes(data)
        run = self.train(campaign, {"train_checkpoint_every": 9}, ranks=2)
        self.assertEnds(run, INPUT, "shard-00002.h5")
        self.assertEqual(self.steps(campaign), [9])  # more than one pass over the others, before validation at step 10

    def test_online_training_needs_no_shards_and_agrees_between_ranks(self):
        losses = []
        for ranks in (1, 2):
            campaign = self.root / f"online{ranks}"
            run = self.train(campaign, {"train_source": "online", "train_steps": 4, "train_validations": 3}, ranks)
            self.assertEnds(run, 0)
            losses.append(self.loss(campaign))
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)

    def test_a_frozen_position_stays_at_its_table(self):
        campaign = self.new_campaign("frozen")
        self.assertEnds(self.train(campaign, {"train_freeze_position": "true", "train_weight_decay": 0.1}), 0)
        with h5py.File(self.checkpoint(campaign, 20)) as end:
            table = end["weights/field.position"][:]  # row by row: sines and cosines of the column, then of the row
            self.assertTrue(np.all(table[0] == np.tile([0] * 4 + [1] * 4, 2)))
            np.testing.assert_allclose(table[1, 0], np.sin(1), rtol=1e-6)
            np.testing.assert_array_equal(end["ema/field.position"][:], table)
        with h5py.File(self.checkpoint(self.whole, 20)) as end:
            self.assertFalse(np.array_equal(end["weights/field.position"][:], table))

    def test_a_dry_run_tells_what_is_needed_and_writes_nothing(self):
        campaign = self.root / "dry"
        run = self.train(campaign, {"dry_run": "true"}, ranks=2)
        self.assertEnds(run, 0)
        self.assertFalse(campaign.exists())
        for word in ("parameters", "GB per rank", "checkpoints of", "3 at once per rank"):
            self.assertIn(word, run.out)
        with h5py.File(self.checkpoint(self.whole, 20)) as file:
            parameters = sum(item.size for item in file["weights"].values())
        self.assertIn(f"network   {parameters} parameters", run.out)

    def test_computing_activations_again_takes_less_memory_and_changes_no_bit(self):
        memory = []
        for recompute in ("false", "true"):
            run = self.train(
                self.root / "dry2", {"dry_run": "true", "network_width": 256, "train_recompute": recompute}
            )
            memory.append(float(re.search(r"network ([0-9.]+),", run.out).group(1)))
        self.assertLess(memory[1], memory[0])
        campaign = self.new_campaign("recompute", [10])  # goes on from where activations were kept
        self.assertEnds(self.train(campaign, {"train_recompute": "true"}), 0)
        self.assertSameTraining(self.checkpoint(campaign, 20), self.checkpoint(self.whole, 20))

    # ---- going on

    def test_a_resumed_training_equals_the_uninterrupted_one_bit_for_bit(self):
        for ranks in (1, 2):
            whole = self.whole if ranks == 1 else self.new_campaign("whole2")
            if ranks == 2:
                self.assertEnds(self.train(whole, ranks=2), 0)
            campaign = self.new_campaign(f"resumed{ranks}")
            shutil.copy(self.checkpoint(whole, 10), campaign / "checkpoints")
            run = self.train(campaign, ranks=ranks)
            self.assertEnds(run, 0)
            self.assertIn("goes on from step 10", run.out)
            self.assertSameTraining(self.checkpoint(campaign, 20), self.checkpoint(whole, 20))
            np.testing.assert_array_equal(self.loss(campaign), self.loss(whole))

    def test_a_complete_training_says_so_and_changes_nothing(self):
        campaign = self.new_campaign("complete", [20])
        before = self.checkpoint(campaign, 20).read_bytes()
        run = self.train(campaign)
        self.assertEnds(run, 0)
        self.assertIn("complete: 20 of 20 steps", run.out)
        self.assertEqual(self.checkpoint(campaign, 20).read_bytes(), before)
        self.assertEqual(self.steps(campaign), [20])

    def test_more_steps_may_be_asked_for_later(self):
        campaign = self.new_campaign("longer", [20])
        run = self.train(campaign, {"train_steps": 25})
        self.assertEnds(run, 0)
        self.assertRegex(run.out, "goes on with other options: .*train_steps")
        self.assertEqual(len(self.loss(campaign)), 25)

    def interrupt(self, campaign, options, ranks):
        """Start, wait for the second checkpoint, and send SIGUSR1 to the program or to mpirun."""
        process = subprocess.Popen(
            command("nephrite-train", campaign, options, ranks),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while len(self.steps(campaign)) < 2 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGUSR1)
        process.stdout_text, process.stderr_text = process.communicate(timeout=120)
        return process

    def test_sigusr1_ends_with_a_checkpoint_from_which_training_goes_on_exactly(self):
        options = {"train_schedule": "constant", "train_steps": 100000, "train_validate_every": 7}
        campaign = self.new_campaign("interrupted")
        process = self.interrupt(campaign, options, 1)
        self.assertEqual(process.returncode, INTERRUPTED, process.stderr_text)
        step = int(re.search(r"interrupted after step (\d+) of 100000", process.stderr_text).group(1))
        self.assertEqual(self.steps(campaign)[-1], step)
        options["train_steps"] = step + 5
        self.assertEnds(self.train(campaign, options), 0)
        straight = self.new_campaign("straight")
        self.assertEnds(self.train(straight, options), 0)
        self.assertSameTraining(self.checkpoint(campaign, step + 5), self.checkpoint(straight, step + 5))

    def test_sigusr1_to_mpirun_stops_all_ranks(self):
        campaign = self.new_campaign("interrupted2")
        process = self.interrupt(campaign, {"train_schedule": "constant", "train_steps": 100000}, 2)
        self.assertEqual(process.returncode, INTERRUPTED, process.stderr_text)
        self.assertIn("progress is saved", process.stderr_text)

    def test_a_killed_training_goes_on_as_if_nothing_had_happened(self):
        campaign = self.new_campaign("killed")
        options = {"train_checkpoint_every": 1}
        for kill_at in (4, 9):
            process = subprocess.Popen(
                command("nephrite-train", campaign, options, 1), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            while (self.steps(campaign) or [0])[-1] < kill_at and process.poll() is None:
                time.sleep(0.005)
            process.kill()
            process.wait()
        self.assertLess(self.steps(campaign)[-1], 20)  # else this tests nothing
        self.assertEnds(self.train(campaign, options), 0)
        self.assertSameTraining(self.checkpoint(campaign, 20), self.checkpoint(self.whole, 20))

    def test_the_best_checkpoint_stays_when_older_ones_go(self):
        campaign = self.new_campaign("best")
        options = {"train_learning_rate": 0.02, "train_schedule": "constant", "train_validate_every": 1}
        self.assertEnds(self.train(campaign, {**options, "train_checkpoint_every": 20, "train_keep": 1}), 0)
        with h5py.File(campaign / "training.h5") as file:
            best = int(np.argmin(file["validation/theta"])) + 1
        self.assertLess(best, 20)  # else this tests nothing
        self.assertEqual(self.steps(campaign), [best, 20])

    def test_a_second_stage_starts_with_the_averaged_weights_of_the_first(self):
        campaign = self.new_campaign("second")
        options = {"train_start_from": self.checkpoint(self.whole, 20), "train_learning_rate": 0, "train_steps": 1}
        options["train_warmup"] = 0
        self.assertEnds(self.train(campaign, options), 0)
        with h5py.File(self.checkpoint(self.whole, 20)) as first, h5py.File(self.checkpoint(campaign, 1)) as second:
            for name in first["ema"]:
                np.testing.assert_array_equal(first["ema"][name], second["weights"][name])
            np.testing.assert_array_equal(first["map_std"], second["map_std"])
            self.assertEqual(second["position"][()], 21 * 6)
        options["network_width"] = 24
        self.assertEnds(self.train(self.new_campaign("second2"), options), INPUT, "train_start_from", "weights")

    # ---- faults

    def test_a_damaged_newest_checkpoint_is_reported_and_the_one_before_used(self):
        campaign = self.new_campaign("damaged", [10, 20])
        self.flip_byte(self.checkpoint(campaign, 20))
        run = self.train(campaign, ranks=2)
        self.assertEnds(run, 0)
        self.assertRegex(run.out, r"skips a damaged checkpoint: .*step-00000020\.h5")
        self.assertIn("goes on from step 10", run.out)
        self.assertEqual(self.steps(campaign), [10, 20])

    def test_damaged_checkpoints_alone_are_no_beginning(self):
        campaign = self.new_campaign("hopeless", [10, 20])
        for step in (10, 20):
            self.flip_byte(self.checkpoint(campaign, step))
        self.assertEnds(self.train(campaign), INPUT, "none of the 2 checkpoints", "step-000000")
        self.assertEqual(self.steps(campaign), [10, 20])

    def test_a_checkpoint_of_another_network_or_survey_is_refused_naming_the_option(self):
        campaign = self.new_campaign("other", [20])
        self.assertEnds(self.train(campaign, {"network_width": 24}), INPUT, "network_width", "24", "16")
        self.assertEnds(self.train(campaign, {"survey_sigma_e": 0.3}), INPUT, "survey_sigma_e")
        self.assertEnds(self.train(campaign, {"survey_field_of_view": 3}), INPUT, "survey_field_of_view")

    def test_realisations_trained_on_are_not_held_out_later(self):
        campaign = self.new_campaign("leak", [10])
        self.assertEnds(self.train(campaign, {"train_held_out": 9}), USAGE, "train_held_out", "at most 8")

    def test_numbers_that_are_not_finite_stop_training_and_are_never_written(self):
        campaign = self.new_campaign("diverged", [10])
        options = {"train_learning_rate": 1, "train_weight_decay": 10, "train_schedule": "constant", "train_warmup": 0}
        run = self.train(campaign, {**options, "train_steps": 1000, "train_validate_every": 1000}, ranks=2)
        self.assertEnds(run, INTERNAL, "not finite", "last good checkpoint", "step-000000")
        step = int(re.search(r"step (\d+):", run.err).group(1))
        self.assertIn(self.checkpoint(campaign, (step - 1) // 10 * 10).name, run.err)
        for saved in self.steps(campaign):
            with h5py.File(self.checkpoint(campaign, saved)) as file:
                for group in ("weights", "ema", "m", "v"):
                    self.assertTrue(all(np.all(np.isfinite(item[:])) for item in file[group].values()))

    def test_a_full_disk_ends_training_and_leaves_the_checkpoints_that_were_there(self):
        for ranks in (1, 2):
            campaign = self.new_campaign(f"full{ranks}", [10])
            run = self.train(campaign, ranks=ranks, file_kib=100)
            self.assertEnds(run, IO, "HDF5")
            self.assertEqual(self.steps(campaign), [10])
            self.assertEnds(self.train(campaign), 0)

    def test_missing_maps_are_named(self):
        campaign = self.root / "nothing"
        self.assertEnds(self.train(campaign, ranks=2), INPUT, "sims/campaign.h5", "nephrite-simulate makes it")
        campaign = self.new_campaign("short")
        self.assertEnds(self.train(campaign, {"simulate_realisations": 60}), INPUT, "has 40 maps")


if __name__ == "__main__":
    unittest.main()
