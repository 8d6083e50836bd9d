#!/usr/bin/env python3
# nephrite-test: long
"""kill -9 of mpirun, of one rank or of all of nephrite-infer, twenty times at random while it draws, joins and looks at what is
there: no file is half there under its name, and the draws and their calibration are in the end those of a run that nothing disturbed."""

import unittest

import campaign_products
from kills import KILLS, WRITING, KillCase

OBSERVATIONS = 16
DRAWING, JOINING, CHECKING = "drawing", "joining", "checking"


def inferred(campaign):
    """Files of what is inferred, as paths in the campaign, and when each was written."""
    found = [
        name
        for name in campaign_products.products(campaign)
        if name.startswith(("posterior", "coverage", "calibration"))
    ]
    return {name: (campaign / name).stat().st_mtime_ns for name in found}


class InferKills(KillCase):
    """Of any method."""

    program = "nephrite-infer"
    needs = {}  # programs to run before, and what they make
    renewed = ()  # parts of the names of files that a run which goes on writes again: what chains are at

    def prepare(self, campaign):
        made = self.root / "made"
        campaign.mkdir()
        for program, folder in self.needs.items():
            if not (made / folder).exists():
                self.finish(made, program)
            (campaign / folder).symlink_to(made / folder)

    def look(self, campaign):
        return inferred(campaign)

    def fell_in(self, campaign, before):
        """Every file that bears its name is whole, and what an earlier run had finished was not made again."""
        now = inferred(campaign)
        self.assertEqual(campaign_products.faults(campaign), {})
        final = {name for name in now if "/parts/" not in name}
        for name, time in before.items():
            self.assertTrue("/parts/" in name or name in final, f"{name} is gone")
            if name in now and not any(part in name for part in self.renewed):
                self.assertEqual(now[name], time, f"{name} was finished and made again")
        if final - before.keys():
            found = [JOINING]
        elif now.keys() - before.keys():
            found = [DRAWING]
        else:
            found = [CHECKING] if before else []
        return found + super().fell_in(campaign, before)

    def assert_kills_leave_no_trace(self, options, files, kills):
        """`files`: all that is there in the end"""
        self.options = options
        self.kill_at_random_times({WRITING: 1, DRAWING: 1, JOINING: 1, CHECKING: 1}, kills)
        self.assertEqual(sorted(inferred(self.root / "whole")), files)


class Diffusion(InferKills):
    # Writing a file takes as long as drawing what is in it, so that kills fall in both.
    config = f"""
seed: 3
survey: {{map_size: 16, field_of_view: 2, bins: 2}}
simulate: {{realisations: 40, shard_size: 40}}
network: {{depth: 2, width: 16, heads: 2, patch: 4, cosmology_tokens: 2, bottleneck: 8, time_frequencies: 16,
          conditioning: channels, dropout: 0}}
train: {{steps: 10, batch: 4, micro_batch: 4, held_out: {OBSERVATIONS}, validations: 8, validate_every: 10, checkpoint_every: 10,
        learning_rate: 1e-2}}
infer: {{observations: {OBSERVATIONS}, draws: 11, batch: 3, evaluations: 16, keep_maps: 8}}
calibrate: {{centres: 3, bootstraps: 50, levels: 5}}
"""
    needs = {"nephrite-simulate": "sims", "nephrite-train": "checkpoints"}

    @staticmethod
    def observations(folder):
        return [f"{folder}/observation-{o:05d}.h5" for o in range(OBSERVATIONS)]

    def test_draws_of_a_farm_killed_at_random_times_are_those_of_one_that_was_not(self):
        self.assert_kills_leave_no_trace({"task": "posterior"}, self.observations("posterior"), KILLS)

    def test_so_is_a_calibration(self):
        self.assert_kills_leave_no_trace(
            {"task": "coverage"}, ["calibration.h5", *self.observations("coverage")], KILLS // 2
        )


class Hmc(InferKills):
    """Chains that are saved at every step, so that kills fall in the writing of these, too."""

    config = """
seed: 3
survey: {map_size: 16, field_of_view: 4, bins: 2}
prior: {Omega_c: 'fixed:0.27', Omega_b: 'fixed:0.05', h: 'fixed:0.67', n_s: 'fixed:0.96', w_0: 'fixed:-1'}
simulate: {realisations: 12, shard_size: 12}
train: {held_out: 8, source: online}
infer: {method: hmc, observations: 3, draws: 24, chains: 2, warmup: 30, thinning: 1, checkpoint_minutes: 0}
"""
    renewed = ("-begun",)

    def test_draws_of_chains_killed_at_random_times_are_those_of_chains_that_were_not(self):
        files = [f"posterior-hmc/observation-{o:05d}.h5" for o in range(3)]
        self.assert_kills_leave_no_trace({"task": "posterior"}, files, KILLS)


if __name__ == "__main__":
    unittest.main(verbosity=2)
