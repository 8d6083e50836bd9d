#!/usr/bin/env python3
"""<campaign>/status/<stage>.json: what a stage is at, and how it ended, for scripts to read."""

import json
import shutil
import signal
import subprocess
import time
import unittest

from tiny_campaign import INPUT, INTERRUPTED, command, run_program
from train_campaign import TrainCase


class Status(TrainCase):
    def status(self, campaign, stage):
        with open(campaign / f"status/{stage}.json") as file:
            return json.load(file)

    def test_a_finished_stage_tells_what_it_did_and_a_run_with_nothing_to_do_leaves_it(self):
        campaign = self.root / "finished"
        for ranks in (2, 1):
            self.assertEqual(run_program("nephrite-simulate", campaign, {}, ranks).code, 0)
            told = self.status(campaign, "simulate")
            self.assertEqual((told["state"], told["exit_code"], told["message"]), ("done", 0, ""))
            self.assertEqual((told["unit"], told["ranks"]), ("maps", 2))
            self.assertEqual(told["done"], told["total"])
            self.assertGreater(told["memory_mb_most"], 1)
            self.assertGreaterEqual(told["memory_mb_most"], told["memory_mb_mean"])
            self.assertLessEqual(told["started"], told["updated"])

    def test_what_was_stopped_between_its_last_unit_and_its_end_is_complete_when_it_is_run_again(self):
        campaign = self.new_campaign("complete")
        stages = {
            "simulate": ("nephrite-simulate", {}, "maps"),
            "train": ("nephrite-train", {}, "samples"),
            "posterior": ("nephrite-infer", {"infer_draws": 4, "infer_evaluations": 5}, "draws"),
            "posterior-ks": ("nephrite-infer", {"infer_method": "ks"}, "observations"),
        }
        for stage, (program, options, unit) in stages.items():
            told = []
            for _ in range(2):
                shutil.rmtree(campaign / "status", ignore_errors=True)
                run = run_program(program, campaign, options, 2)
                self.assertEqual(run.code, 0, run.err)
                told.append(self.status(campaign, stage))
                self.assertEqual((told[-1]["state"], told[-1]["unit"]), ("done", unit))
                self.assertEqual(told[-1]["done"], told[-1]["total"])
            self.assertGreater(told[0]["done"], 0)
            self.assertEqual(told[1]["done"], told[0]["done"], stage)

    def test_maps_that_were_there_count(self):
        campaign, options = self.root / "resumed", {"simulate_realisations": 40, "simulate_shard_size": 10}
        self.assertEqual(run_program("nephrite-simulate", campaign, options).code, 0)
        (campaign / "sims/shard-00001.h5").unlink()
        run = run_program("nephrite-simulate", campaign, options)
        self.assertIn("30 of 40 maps are there", run.out)
        told = self.status(campaign, "simulate")
        self.assertEqual((told["done"], told["total"]), (40, 40))

    def test_a_running_stage_tells_how_far_it_is_and_an_interrupted_one_that_it_may_go_on(self):
        campaign = self.new_campaign("running")
        options = {"train_steps": 10**8, "train_schedule": "constant"}
        run = subprocess.Popen(
            command("nephrite-train", campaign, options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        deadline, told = time.monotonic() + 60, {}
        while not told.get("rate") and time.monotonic() < deadline:
            time.sleep(0.1)
            if (campaign / "status/train.json").exists():
                told = self.status(campaign, "train")  # never half-written
        self.assertEqual((told["state"], told["process"]), ("running", run.pid), told)
        self.assertGreater(told["rate"], 0)
        self.assertGreater(told["seconds_left"], 0)
        self.assertIn("loss", told["note"])
        self.addCleanup(run.kill)
        run.send_signal(signal.SIGUSR1)
        run.communicate(timeout=60)
        self.assertEqual(run.returncode, INTERRUPTED)
        told = self.status(campaign, "train")
        self.assertEqual((told["state"], told["exit_code"]), ("interrupted", INTERRUPTED))
        self.assertIn("run again to go on", told["message"])

    def test_a_failed_stage_tells_the_line_that_explains_it(self):
        campaign = self.new_campaign("failed")
        (campaign / "sims").unlink()  # which other campaigns have too
        shutil.copytree(self.maps / "sims", campaign / "sims")
        shard = sorted((campaign / "sims").glob("shard-*.h5"))[0]
        shard.write_bytes(shard.read_bytes()[:-100])
        run = run_program("nephrite-simulate", campaign, {}, 2)
        self.assertEqual(run.code, INPUT)
        told = self.status(campaign, "simulate")
        self.assertEqual((told["state"], told["exit_code"]), ("failed", INPUT))
        self.assertIn(f"nephrite-simulate: {told['message']}\n", run.err)


if __name__ == "__main__":
    unittest.main()
