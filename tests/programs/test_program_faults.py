#!/usr/bin/env python3
"""Full disks, and a rank that fails while others wait for it: no hang, the documented exit code, nothing left behind."""
# nephrite-test: long

import os
import resource
import subprocess
import tempfile
import unittest

from run_program import FAULTS, command, expect_failure, run

MEBIBYTE = 1 << 20


class Alone(unittest.TestCase):
    def test_a_rank_that_fails_alone_ends_the_job(self):
        expect_failure(self, run(2, FAULTS, "-fault", "alone", "-rank", 1), 65, "this rank failed alone")


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def expect(self, done, text):
        expect_failure(self, done, 74, text)

    def test_a_limit_on_the_size_of_files_is_an_error_not_a_signal(self):
        # Far above what MPI itself keeps in files, below the 100 MB that are asked for.
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64 * MEBIBYTE, 64 * MEBIBYTE))
        for ranks in 0, 1, 2, 4:
            with self.subTest(ranks=ranks):
                done = run(
                    ranks, FAULTS, "-fault", "write", "-rows", 1600, "-directory", self.folder.name, before=limit
                )
                self.expect(done, "File too large")
                self.assertEqual(os.listdir(self.folder.name), [])

    def test_a_full_disk_is_an_error_on_all_ranks_and_leaves_nothing(self):
        if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
            self.skipTest("needs a small file system, which root alone can make")
        for ranks in 0, 1, 2, 4:
            for rows, more, text in (80, [], "No space left on device"), (80, ["-expect"], "needs 5.2 MB"):
                with self.subTest(ranks=ranks, more=more):
                    program = command(ranks, FAULTS, "-fault", "write", "-rows", rows, "-directory", ".", *more)
                    script = 'mount -t tmpfs -o size=4m tmpfs "$0" && cd "$0" && { "$@"; code=$?; ls; exit $code; }'
                    done = subprocess.run(
                        ["unshare", "--mount", "bash", "-c", script, self.folder.name, *program],
                        capture_output=True,
                        text=True,
                        timeout=120,
                    )
                    self.expect(done, text)
                    self.assertEqual(done.stdout, "")

    def test_a_folder_that_cannot_be_written_is_named(self):
        self.expect(
            run(2, FAULTS, "-fault", "write", "-directory", "/dev/null/x"), "/dev/null/x/a.h5.part: cannot create"
        )


if __name__ == "__main__":
    unittest.main(verbosity=2)
