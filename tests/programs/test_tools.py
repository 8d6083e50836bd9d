#!/usr/bin/env python3
# nephrite-test: tools
"""tools/quickstart and tools/install-packages, with programs in the place of the real ones that write down their calls."""

import csv
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
STAGES = [
    ("simulate", "nephrite-simulate", "sims/campaign.h5"),
    ("train", "nephrite-train", "training.h5"),
    ("posterior", "nephrite-infer", "posterior/observation-00000.h5"),
    ("coverage", "nephrite-infer", "calibration.h5"),
]
MPIRUN = """#!/bin/bash
echo "mpirun $1 $2" >>"$CALLS"
shift 2
trap 'kill -USR1 $child' USR1
"$@" & child=$!
wait $child; status=$?
while kill -0 $child 2>/dev/null; do wait $child; status=$?; done
exit $status
"""
PROGRAM = """#!/bin/bash
echo "$(basename "$0") $*" >>"$CALLS"
campaign=. task=$(basename "$0")
while [ $# -gt 0 ]; do
  case $1 in -campaign) campaign=$2 ;; -task) task=$2 ;; esac
  shift
done
case $task in
  nephrite-simulate) product=sims/campaign.h5 ;;
  nephrite-train) product=training.h5 ;;
  posterior) product=posterior/observation-00000.h5 ;;
  coverage) product=calibration.h5 ;;
esac
if [ "$task" = "${WAITS:-}" ]; then trap 'exit 75' USR1; : >"$campaign/waiting"; while :; do sleep 0.05; done; fi
if [ "$task" = "${FAILS:-}" ]; then exit "$WITH"; fi
if [ ! -e "$campaign/$product" ]; then
  mkdir -p "$(dirname "$campaign/$product")" "$campaign/status"
  echo x >"$campaign/$product"
  echo x >"$campaign/status/$task.json"
fi
"""


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def end_group(leader):
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


STUCK = """#!/bin/bash
trap '' USR1
(sleep 1.5)
echo "$$" >"$CAMPAIGN/alone"
mkfifo "$CAMPAIGN/never"
read -r _ <>"$CAMPAIGN/never"
"""
STAGES_WITH_LITTLE_PATIENCE = """
. "$1/tools/stages"
launcher=("$2/bin/stuck") build=$2/build config=$2/my.yaml campaign=$CAMPAIGN ranks=2 stuck_seconds=2
status=0; run_stage simulate || status=$?
exit "$status"
"""


class Quickstart(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.top = pathlib.Path(self.scratch.name)
        self.campaign = self.top / "campaign"
        self.calls = self.top / "calls"
        script(self.top / "bin/mpirun", MPIRUN)
        for program in {program for _, program, _ in STAGES}:
            script(self.top / "build" / program, PROGRAM)

    def tearDown(self):
        self.scratch.cleanup()

    def command(self, *more):
        tool = SOURCE / "tools/quickstart"
        return [tool, "--no-install", "--no-report", "--build", self.top / "build", "--campaign", self.campaign, *more]

    def environment(self, **more):
        return dict(os.environ, PATH=f"{self.top / 'bin'}:{os.environ['PATH']}", CALLS=str(self.calls), **more)

    def run_it(self, *more, **environment):
        self.calls.write_text("")
        return subprocess.run(
            self.command(*more),
            env=self.environment(**environment),
            cwd=self.top,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def stages(self):
        with open(self.campaign / "stages.csv", newline="") as file:
            return [(row["stage"], row["ranks"], row["exit_code"]) for row in csv.DictReader(file)]

    def test_stages_run_in_order_with_the_options_given(self):
        done = self.run_it("--ranks", "3", "--", "-train_steps", "7")
        self.assertEqual(done.returncode, 0, done.stderr)
        calls = self.calls.read_text().splitlines()
        self.assertEqual(calls[0::2], ["mpirun -n 3"] * 4)
        for call, (stage, program, _) in zip(calls[1::2], STAGES):
            self.assertTrue(
                call.startswith(f"{program} -config {SOURCE}/config/quickstart.yaml -campaign {self.campaign}")
            )
            self.assertTrue(call.endswith("-train_steps 7"))
            self.assertEqual("-task" in call, program == "nephrite-infer")
        self.assertEqual(self.stages(), [(stage, "3", "0") for stage, _, _ in STAGES])

    def test_the_number_of_ranks_does_not_follow_that_of_threads(self):
        first_calls = []
        for threads in ("1", "2"):
            self.run_it(OMP_NUM_THREADS=threads)
            first_calls.append(self.calls.read_text().splitlines()[0])
        self.assertEqual(first_calls[0], first_calls[1])

    def test_a_second_call_records_nothing_because_nothing_was_done(self):
        self.run_it()
        before = self.stages()
        done = self.run_it()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.stages(), before)

    def test_the_exit_code_of_a_stage_is_that_of_the_quickstart_and_later_stages_do_not_run(self):
        for code in (64, 65, 70, 74, 75):
            done = self.run_it(FAILS="nephrite-train", WITH=str(code))
            self.assertEqual(done.returncode, code)
            self.assertNotIn("nephrite-infer", self.calls.read_text())

    def test_a_signal_reaches_the_programs_and_their_exit_code_comes_back(self):
        self.campaign.mkdir()
        running = subprocess.Popen(
            self.command(),
            env=self.environment(WAITS="nephrite-train"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that all of it can be ended if the test fails
        )
        self.addCleanup(end_group, running.pid)
        while not (self.campaign / "waiting").exists():
            self.assertIsNone(running.poll())
            time.sleep(0.02)
        running.send_signal(signal.SIGUSR1)
        self.assertEqual(running.wait(timeout=60), 75)

    def test_a_launcher_that_waits_for_nobody_is_killed_and_counts_as_a_lost_rank(self):
        self.campaign.mkdir()
        script(self.top / "bin/stuck", STUCK)
        done = subprocess.run(
            ["bash", "-c", STAGES_WITH_LITTLE_PATIENCE, "bash", SOURCE, self.top],
            env=self.environment(CAMPAIGN=str(self.campaign)),
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 128 + signal.SIGKILL, done.stderr)
        self.assertIn("does not end though its processes have", done.stderr)
        launcher = int((self.campaign / "alone").read_text())
        self.assertFalse(pathlib.Path(f"/proc/{launcher}").exists())

    def test_a_missing_campaign_file_and_wrong_usage_are_refused(self):
        done = self.run_it("--config", "nothing.yaml")
        self.assertEqual(done.returncode, 65)
        self.assertIn("nothing.yaml", done.stderr)
        self.assertEqual(self.run_it("--nonsense").returncode, 64)
        self.assertEqual(self.calls.read_text(), "")


class InstallPackages(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.top = pathlib.Path(self.scratch.name)
        script(self.top / "apt-get", '#!/bin/bash\necho "apt-get $*" >>"$CALLS"\n')
        script(self.top / "sudo", '#!/bin/bash\necho sudo >>"$CALLS"\nexec "$@"\n')
        listed = (SOURCE / "tools/packages").read_text().splitlines()
        self.packages = [line.split() for line in listed if line and not line.startswith("#")]

    def tearDown(self):
        self.scratch.cleanup()

    def run_it(self, *arguments, missing=(), user="0"):
        names = [words[0] for words in self.packages if words[0] not in missing]
        script(self.top / "dpkg-query", "#!/bin/bash\n" + "\n".join(f"echo {name} installed" for name in names) + "\n")
        script(self.top / "id", f"#!/bin/bash\necho {user}\n")
        calls = self.top / "calls"
        calls.write_text("")
        environment = dict(os.environ, PATH=f"{self.top}:{os.environ['PATH']}", CALLS=str(calls))
        tool = [SOURCE / "tools/install-packages", *arguments]
        done = subprocess.run(tool, env=environment, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return calls.read_text(), done.stdout

    def test_nothing_is_called_when_nothing_is_missing(self):
        self.assertEqual(self.run_it("--ci")[0], "")

    def test_what_is_missing_is_installed_and_nothing_else(self):
        calls, _ = self.run_it(missing=("libgsl-dev", "cmake", "valgrind"))
        self.assertEqual(calls, "apt-get install -y -q --no-install-recommends cmake libgsl-dev\n")

    def test_ci_also_installs_what_only_ci_needs(self):
        self.assertIn("valgrind", self.run_it("--ci", missing=("valgrind",))[0])

    def test_sudo_is_used_by_others_than_root_only(self):
        self.assertTrue(self.run_it(missing=("cmake",), user="1000")[0].startswith("sudo\n"))
        self.assertNotIn("sudo", self.run_it(missing=("cmake",))[0])

    def test_no_install_installs_nothing(self):
        self.assertEqual(self.run_it("--no-install", missing=("cmake",))[0], "")

    def test_list_prints_what_is_missing(self):
        self.assertEqual(self.run_it("--list", missing=("cmake",)), ("", "cmake\n"))


if __name__ == "__main__":
    unittest.main()
