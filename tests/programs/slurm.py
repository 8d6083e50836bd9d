"""A SLURM of its own for a class of tests, and jobs/ in it."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", HERE.parents[1]))
BUILD = pathlib.Path(os.environ.get("NEPHRITE_BUILD", SOURCE / "build"))


def is_there():
    programs = ("slurmctld", "slurmd", "munged", "sbatch", "unshare")
    if os.geteuid() or not all(shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin") for program in programs):
        return False
    return subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode == 0


class SlurmCase(unittest.TestCase):
    NODES, CPUS = 2, 2
    CONFIG = ""  # of my.yaml
    SITE = ""  # of the site file
    held = {}  # jobs that wait for their time, and since when

    @classmethod
    def setUpClass(cls):
        if not is_there():
            raise unittest.SkipTest("needs SLURM, munge, and root for host names of their own")
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-slurm-"))
        cls.root.chmod(0o711)  # munged wants the way to its socket open
        cls.addClassCleanup(shutil.rmtree, cls.root)
        (cls.root / "my.yaml").write_text(cls.CONFIG)
        (cls.root / "site").write_text(f"build={BUILD}\n{cls.SITE}\n")
        cluster = cls.root / "cluster"
        cls.addClassCleanup(subprocess.run, [HERE / "cluster", "down", cluster], check=True)
        words = [HERE / "cluster", "up", cluster, str(cls.NODES), str(cls.CPUS)]
        path = os.environ["PATH"] + ":/usr/sbin"
        up = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "PATH": path})
        name, value = up.stdout.split("=")
        cls.environment = {**os.environ, name: value.strip(), "PATH": path}
        for setting in ("btl_tcp_if_include", "oob_tcp_if_include"):
            cls.environment[f"OMPI_MCA_{setting}"] = "lo"
        for setting in ("NEPHRITE_ROOT", "OMPI_MCA_rmaps_base_oversubscribe"):
            cls.environment.pop(setting, None)

    def tearDown(self):
        """What a test that failed has left in the queue is not the next one's."""
        self.call("scancel", "--user", str(os.getuid()))
        end = time.monotonic() + 60
        while self.call("squeue", "--noheader") and time.monotonic() < end:
            time.sleep(0.2)

    def call(self, *words, expect=0):
        words = [str(word) for word in words]
        done = subprocess.run(
            words, env=self.environment, cwd=self.root, capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual(done.returncode, expect, f"{words}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def submit(self, *options, expect=0):
        words = (SOURCE / "jobs/campaign", "my.yaml", "--site", self.root / "site", *options)
        return self.call(*words, expect=expect)

    def status(self, campaign):
        """What jobs/status prints, and its exit code."""
        words = [str(SOURCE / "jobs/status"), str(campaign), "--exit-code"]
        done = subprocess.run(words, env=self.environment, cwd=self.root, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stderr, "")
        return done.stdout, done.returncode

    def job(self, number):
        """The fields of each job of an array, or of a job."""
        told = self.call("scontrol", "--oneliner", "show", "job", number)
        fields = (dict(word.split("=", 1) for word in line.split() if "=" in word) for line in told.splitlines())
        return [job for job in fields if "JobId" in job]

    def job_of(self, campaign, stage):
        rows = [line.split(",") for line in (campaign / "jobs/submitted.csv").read_text().splitlines()[1:]]
        return next(row[1] for row in rows if row[0] == stage)

    def hasten(self):
        """SLURM holds a job that was queued again for two minutes.  Some of them it needs, to clear the nodes."""
        held = {}
        for line in self.call("squeue", "--noheader", "--array", "--format", "%A %T %r").splitlines():
            number, state, reason = line.split(maxsplit=2)
            if state == "PENDING" and reason == "BeginTime":
                held[number] = self.held.get(number, time.monotonic())
                if time.monotonic() - held[number] > 4:
                    words = ["scontrol", "update", f"JobId={number}", "StartTime=now"]
                    subprocess.run(words, env=self.environment, capture_output=True, check=False)
        self.held = held

    def logs(self, campaign):
        return "".join(f"--- {path}\n{path.read_text()}" for path in sorted((campaign / "logs").glob("*.log")))

    def wait(self, condition, campaign, what, seconds=240):
        """The jobs being what they are: not any longer when all have ended."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or not self.call("squeue", "--noheader"):
                if condition():
                    return
                self.fail(f"{what} has not come to be\n{self.status(campaign)[0]}\n{self.logs(campaign)}")
            self.hasten()
            time.sleep(0.2)
