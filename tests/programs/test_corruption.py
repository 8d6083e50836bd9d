#!/usr/bin/env python3
# nephrite-test: long
"""Files of every kind, damaged at random and exchanged for others: whoever reads one refuses it with 65 and its name in one
line, or ends as if it were sound; nobody crashes, hangs or makes something else of it.

NEPHRITE_TEST_CORRUPTIONS=500 damages a file of each kind so many times."""

import collections
import concurrent.futures
import dataclasses
import functools
import os
import random
import shutil
import subprocess
import time
import unittest

import h5py
import numpy as np

from campaign_products import SOURCE, differences
from faults import STAGES, WORKERS, FaultCase, calls_of, run
from run_program import complaints
from tiny_campaign import INPUT

TIMES = int(os.environ.get("NEPHRITE_TEST_CORRUPTIONS", 12))


@dataclasses.dataclass
class Reader:
    """A program that reads a file of a campaign in which some things are still to be made."""

    program: str
    options: dict = dataclasses.field(default_factory=dict)
    without: tuple = ()  # patterns


@dataclasses.dataclass
class Kind:
    file: str
    readers: list
    siblings: tuple = ()  # what is put in its place
    guarded: bool = True  # not so what a user has written, as plain as h5py does: of that any number may be meant


SIMULATE, TRAIN = Reader("nephrite-simulate"), Reader("nephrite-train")
TRAIN_ANEW = Reader("nephrite-train", without=("checkpoints", "training.h5"))
DRAW, COVER = Reader("nephrite-infer"), Reader("nephrite-infer", {"task": "coverage"})
DRAW_ANEW = Reader("nephrite-infer", without=("posterior",))
CALIBRATE = Reader("nephrite-infer", {"task": "coverage"}, ("calibration.h5",))
JOIN = Reader("nephrite-infer", {"task": "coverage"}, ("coverage/observation-00001.h5",))
CHAIN = Reader(*STAGES["hmc"], ("posterior-hmc/observation-00000.h5",))
TABLE = {"survey_shift_table": "given/shift.h5"}
KINDS = {
    "shard": Kind("sims/shard-00001.h5", [SIMULATE, TRAIN_ANEW], ("sims/shard-00002.h5",)),
    "index": Kind("sims/campaign.h5", [SIMULATE, TRAIN_ANEW, DRAW_ANEW], ("sims/shard-00001.h5",)),
    "checkpoint": Kind("checkpoints/step-00000003.h5", [TRAIN, DRAW_ANEW, DRAW], ("checkpoints/step-00000002.h5",)),
    "older checkpoint": Kind("checkpoints/step-00000002.h5", [TRAIN, DRAW_ANEW], ("checkpoints/step-00000003.h5",)),
    "history": Kind("training.h5", [TRAIN], ("checkpoints/step-00000003.h5",)),
    "posterior": Kind("posterior/observation-00001.h5", [DRAW], ("posterior/observation-00000.h5",)),
    "coverage": Kind("coverage/observation-00001.h5", [COVER, CALIBRATE], ("coverage/observation-00000.h5",)),
    "calibration": Kind("calibration.h5", [COVER], ("training.h5",)),
    "block": Kind(
        "coverage/parts/observation-00001-block-00001.h5", [JOIN], ("coverage/parts/observation-00001-block-00000.h5",)
    ),
    "chain": Kind("posterior-hmc/parts/observation-00000-block-00000-begun.h5", [CHAIN]),
    "weights": Kind(
        "given/weights.h5", [Reader("nephrite-infer", {"infer_checkpoint": "given/weights.h5"}, ("posterior",))]
    ),
    "shift table": Kind("given/shift.h5", [Reader("nephrite-simulate", TABLE, ("sims",))], guarded=False),
    "observation": Kind(
        "given/mine.h5", [Reader("nephrite-infer", {"observation": "given/mine.h5"}, ("posterior",))], guarded=False
    ),
}


# ---- what is done to the bytes of a file; each returns other bytes, or None where it cannot be done


def flip(data, numbers, _):
    for _ in range(numbers.choice((1, 1, 1, 2, 8, 64))):
        data[numbers.randrange(len(data))] ^= numbers.randrange(1, 256)
    return data


def truncate(data, numbers, _):
    return data[: numbers.choice((0, numbers.randrange(len(data)), len(data) - 1, len(data) // 512 * 512))]


def overwrite(data, numbers, _):
    size = min(numbers.choice((1, 8, 64, 512, 4096)), len(data))
    first = numbers.randrange(len(data) - size + 1)
    data[first : first + size] = numbers.choice((bytes(size), b"\xff" * size, numbers.randbytes(size)))
    return data


def move(data, numbers, _):
    """A stretch of the file into the place of another, as a disk may do with its blocks."""
    size = min(numbers.choice((8, 64, 512)), len(data) // 2)
    a, b = (numbers.randrange(len(data) - size + 1) for _ in range(2))
    data[a : a + size] = bytes(data[b : b + size])
    return data


def append(data, numbers, _):
    return data + numbers.randbytes(numbers.choice((1, 512, 4096)))


def swap_chunks(data, numbers, path):
    """Of one dataset, each with its checksum."""
    found = []

    def take(_, item):
        if isinstance(item, h5py.Dataset) and item.chunks and not item.is_virtual:
            chunks = [item.id.get_chunk_info(i) for i in range(item.id.get_num_chunks())]
            found.extend((a, b) for a in chunks for b in chunks if a.byte_offset < b.byte_offset and a.size == b.size)

    with h5py.File(path) as file:
        file.visititems(take)
    if not found:
        return None
    a, b = numbers.choice(found)
    first, second = (bytes(data[c.byte_offset : c.byte_offset + c.size]) for c in (a, b))
    data[a.byte_offset : a.byte_offset + a.size], data[b.byte_offset : b.byte_offset + b.size] = second, first
    return data if first != second else None


DAMAGES = [flip] * 8 + [truncate] * 3 + [overwrite] * 4 + [move] * 2 + [append] + [swap_chunks] * 2


class Corruption(FaultCase):
    bins = keep_maps = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.whole = cls.campaign_of("whole", {})
        cls.strangers = [
            cls.campaign_of("reseeded", {"seed": 4}),
            cls.campaign_of("other", {"prior_sigma_8": "uniform:0.6,1"}),
        ]

    @classmethod
    def run_in(cls, campaign, reader, **faults):
        """In the campaign, so that the names of what is given to it are the same in all."""
        return run(reader.program, campaign, reader.options, folder=campaign, **faults)

    @classmethod
    def campaign_of(cls, name, options):
        campaign = cls.root / name
        (campaign / "given").mkdir(parents=True)
        for program, more in STAGES.values():
            done = run(program, campaign, {**options, **more})
            assert done.returncode == 0, done.stderr
        cls.give(campaign)
        # Blocks that are not joined yet, and a chain that has not ended.
        cls.stop(campaign, options, JOIN, "coverage/observation-00001.h5")
        cls.stop(campaign, options, CHAIN, "posterior-hmc/parts/observation-00000-block-00000.h5")
        return campaign

    @classmethod
    def give(cls, campaign):
        """What a user has written."""
        subprocess.run(
            [SOURCE / "tools/weights", "export", campaign, campaign / "given/weights.h5"],
            check=True,
            capture_output=True,
        )
        with h5py.File(campaign / "given/shift.h5", "w") as file:
            for axis, values in (("Omega_m", (0.01, 1)), ("sigma_8", (0.1, 2)), ("w_0", (-3, 0))):
                file[axis] = np.array(values, float)
            file["shift"] = np.full((2, 2, 2, 2), 0.1)
        with h5py.File(campaign / "posterior/observation-00000.h5") as made, h5py.File(
            campaign / "given/mine.h5", "w"
        ) as file:
            file["shear"], file["noise_std"] = made["observation/shear"][()], made["observation/noise_std"][()]
            file.attrs["field_of_view"] = 2.0

    @classmethod
    def stop(cls, campaign, options, reader, before):
        """Make a product again, and die when a file is about to be written; put the product back."""
        product, options = campaign / reader.without[0], {**options, **reader.options}
        kept = product.read_bytes()
        product.unlink()
        shutil.copytree(campaign, cls.root / "rehearsal")
        _, calls = calls_of(reader.program, cls.root / "rehearsal", options)
        shutil.rmtree(cls.root / "rehearsal")
        at = next(call.number for call in calls if call.path.endswith(before + ".part"))
        run(reader.program, campaign, options, fault="kill", at=at)
        (campaign / before).with_name(product.name + ".part").unlink(missing_ok=True)
        product.write_bytes(kept)

    def prepared(self, reader):
        campaign = self.copy(self.whole)
        for pattern in reader.without:
            path = campaign / pattern
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return campaign

    @functools.cache
    def expected(self, name, number):
        """What a reader makes with the sound file."""
        reader = KINDS[name].readers[number]
        campaign = self.prepared(reader)
        done = self.run_in(campaign, reader)
        self.assertEqual(done.returncode, 0, done.stderr)
        return campaign

    def judge(self, name, number, how, data):
        """\returns what became of the damage, and in how many seconds"""
        kind, reader = KINDS[name], KINDS[name].readers[number]
        what, before = f"{name}, {how}, read by {reader}", self.prepared(reader)
        campaign = self.copy(before)
        path = campaign / kind.file
        path.unlink()
        path.write_bytes(data)
        begin = time.monotonic()
        done = self.run_in(campaign, reader)
        seconds = time.monotonic() - begin
        kept = path.exists() and path.read_bytes() == data
        if done.returncode == INPUT:
            outcome = "refused"
            lines = complaints(done)
            self.assertEqual(len(lines), 1, f"{what}: {done.stderr}")
            self.assertIn(path.name, lines[0], what)
            self.assertTrue(kept, what)
        else:
            outcome = "harmless, and still there" if kept else "made anew"
            self.assertEqual(done.returncode, 0, f"{what}: {done.stderr}")
        sound = before if done.returncode else self.expected(name, number)
        other = differences(campaign, sound, but=kind.file if kept else None)
        other = [name for name in other if "/parts/" not in name]  # of what is joined they may go at any time
        if not kind.guarded and other and not done.returncode:
            other, outcome = [], "taken at its word"
        self.assertEqual(other, [], f"{what}: {done.stdout}")
        shutil.rmtree(campaign)
        shutil.rmtree(before)
        return outcome, seconds

    def walk(self, tasks):
        """tasks: (kind, number of the reader, what is done, the bytes that come of it)"""
        met, longest, begin = collections.Counter(), collections.Counter(), time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            running = {pool.submit(self.judge, *task): task for task in tasks}
            for future in concurrent.futures.as_completed(running):
                name, _, how, _ = running[future]
                with self.subTest(kind=name, how=how):
                    outcome, seconds = future.result()
                    met[name, outcome] += 1
                    longest[name, outcome] = max(longest[name, outcome], seconds)
        print(f"{len(tasks)} files in {time.monotonic() - begin:.0f} s")
        for (name, outcome), count in sorted(met.items()):
            print(f"  {name:17} {outcome:26} {count:4}  at most {longest[name, outcome]:.1f} s", flush=True)

    def damaged(self, name, numbers):
        path = self.whole / KINDS[name].file
        while True:
            damage = numbers.choice(DAMAGES)
            data = damage(bytearray(path.read_bytes()), numbers, path)
            if data is not None:
                return damage.__name__, bytes(data)

    def test_a_file_damaged_at_random_is_refused_or_does_no_harm(self):
        tasks = []
        for name, kind in KINDS.items():
            for number in range(TIMES):
                numbers = random.Random(f"{self.seed} {name} {number}")
                how, data = self.damaged(name, numbers)
                tasks.append((name, numbers.randrange(len(kind.readers)), f"{how} {number}", data))
        self.walk(tasks)

    def mixed(self, name, group):
        """A file of which a group of datasets, with their digests, is another's: every row is what its digest says."""
        path = self.root / f"mixed-{group}.h5"
        path.write_bytes((self.whole / KINDS[name].file).read_bytes())
        with h5py.File(path, "r+") as file, h5py.File(self.whole / KINDS[name].siblings[0]) as other:
            for part in group, f"digest/{group}":
                del file[part]
                other.copy(part, file, name=part)
        seen = subprocess.run([SOURCE / "tools/inspect", "--verify", path], capture_output=True, text=True)
        differs = group != "map_std"  # the statistics are those of the first step
        self.assertEqual(seen.returncode, INPUT if differs else 0, seen.stdout)
        self.assertEqual("do not belong together" in seen.stdout, differs, seen.stdout)
        return path.read_bytes()

    def test_a_checkpoint_of_mixed_steps_is_refused_or_does_no_harm(self):
        tasks = []
        for name in "checkpoint", "older checkpoint":
            for group in "weights", "ema", "m", "step", "map_std":
                data = self.mixed(name, group)
                tasks += [(name, number, f"mixed {group}", data) for number in range(len(KINDS[name].readers))]
        self.walk(tasks)

    def test_another_file_in_its_place_is_refused_or_does_no_harm(self):
        tasks = []
        for name, kind in KINDS.items():
            others = {f"of {campaign.name}": campaign / kind.file for campaign in self.strangers if kind.guarded}
            others.update({f"that is {other}": self.whole / other for other in kind.siblings})
            for how, path in others.items():
                tasks += [(name, number, how, path.read_bytes()) for number in range(len(kind.readers))]
        self.walk(tasks)


if __name__ == "__main__":
    unittest.main(verbosity=2)
