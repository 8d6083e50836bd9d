#!/usr/bin/env python3
"""What all programs share: exit codes on every rank, one line on standard error, signals, help."""

import os
import signal
import subprocess
import tempfile
import unittest

from run_program import CHECK, FAULTS, SIMULATE, command, expect_failure, run


class Failing(unittest.TestCase):
    expect = expect_failure

    def test_every_class_of_error_is_its_exit_code_and_one_line(self):
        codes = {"config": 64, "input": 65, "internal": 70, "interrupted": 75, "differs": 1}
        for fault, code in codes.items():
            with self.subTest(fault=fault):
                self.expect(run(0, FAULTS, "-fault", fault), code, "the fault asked for")

    def test_the_exit_code_does_not_depend_on_the_number_of_ranks(self):
        for ranks in 1, 2, 4:
            with self.subTest(ranks=ranks):
                done = run(ranks, FAULTS, "-fault", "input", "-rank", ranks - 1)
                self.expect(done, 65, "the fault asked for")

    def test_an_error_inside_of_petsc_is_internal_and_without_its_banner(self):
        self.expect(run(0, FAULTS, "-fault", "petsc"), 70, "YAML")

    def test_a_crash_is_a_crash_and_ends_the_job(self):
        # An address sanitizer would make an exit of its own of the signal.
        left = {"ASAN_OPTIONS": ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "handle_segv=0"]))}
        self.assertIn(run(2, FAULTS, "-fault", "crash", "-rank", 1, **left).returncode, (139, -signal.SIGSEGV))
        self.assertEqual(run(0, FAULTS, "-fault", "crash", **left).returncode, -signal.SIGSEGV)

    def test_success_is_silent_on_standard_error(self):
        done = run(2, FAULTS)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_an_error_with_a_product_left_open_neither_crashes_nor_hangs(self):
        with tempfile.TemporaryDirectory() as folder:
            for ranks in 0, 2:
                done = run(ranks, FAULTS, "-fault", "open", "-directory", folder)
                self.expect(done, 70, "a product is left open")


class Usage(unittest.TestCase):
    expect = expect_failure

    def test_mistakes_on_the_command_line_are_refused_before_any_work(self):
        self.expect(run(2, FAULTS, "-fualt", "none"), 64, "unknown option fualt; did you mean fault?")
        self.expect(run(0, FAULTS, "-rows", "many"), 64, 'option rows is "many"; it must be a whole number')
        self.expect(run(0, FAULTS, "-rows", "0"), 64, "from 1 to 1048576 rows")
        self.expect(run(0, FAULTS, "none"), 64, '"none" belongs to no option')
        self.expect(run(0, FAULTS, "-options_file", "/nowhere"), 64, "unknown option options_file")
        self.expect(run(0, CHECK), 64, "usage: nephrite-check KIND FILE")
        self.expect(run(0, CHECK, "cosmology", "-tolerance", "1"), 64, "usage: nephrite-check KIND FILE")
        self.expect(run(0, CHECK, "astrology", "x.h5"), 64, 'no kind of check "astrology"; there are cosmology')
        self.expect(run(0, CHECK, "cosmology", "/nowhere/x.h5"), 65, "/nowhere/x.h5: cannot be read")

    def test_help_and_version_are_printed_once_whatever_else_is_said(self):
        for ranks, words in (2, ["-help"]), (0, ["-h"]), (0, ["--help"]), (0, ["-nonsense", "-help"]):
            done = run(ranks, FAULTS, *words)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(done.stdout.count("usage: faults -fault NAME"), 1)
            self.assertIn("-rows <1 to 1048576 rows>  default 16\n      rows of 64 KiB\n", done.stdout)
            self.assertNotIn("PETSc Release", done.stdout)
        done = run(2, CHECK, "-version")
        self.assertRegex(done.stdout, r"\Anephrite-check \d+\.\d+\.\d+ \(.+\)\n\Z")

    def test_a_closed_pipe_ends_nothing(self):
        done = subprocess.run(["bash", "-c", 'set -o pipefail; "$0" -help | true', FAULTS], timeout=60)
        self.assertEqual(done.returncode, 0)

    def test_a_report_that_cannot_be_written_is_an_error(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run(command(0, FAULTS), stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 74)
        self.assertIn("standard output: cannot write: No space left on device", done.stderr)

    def test_options_of_petsc_work(self):
        done = run(0, FAULTS, "-log_view")
        self.assertEqual(done.returncode, 0)
        self.assertIn("PETSc Performance Summary", done.stdout)

    def test_threads_are_those_asked_for_else_those_of_the_environment_else_one(self):
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        for words, variables, threads in ([], {}, 1), ([], {"OMP_NUM_THREADS": "3"}, 3), (["-threads", "2"], {}, 2):
            done = subprocess.run(
                command(0, FAULTS, *words), capture_output=True, text=True, timeout=60, env={**environment, **variables}
            )
            self.assertIn(f"threads {threads}\n", done.stdout)


class CampaignFile(unittest.TestCase):
    def test_a_map_too_large_to_be_numbered_is_refused_before_any_memory_is_asked_for(self):
        done = run(0, SIMULATE, "-survey_map_size", "65536", "-dry_run")
        expect_failure(self, done, 64, "makes a map of 21474836480 values; at most 2147483647")

    def test_the_directory_is_named_after_the_campaign_file_unless_it_is_given(self):
        with tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "wide.survey.yaml")
            with open(config, "w") as file:
                file.write("survey: {map_size: 16, bins: 1}\nsimulate: {realisations: 4}\ntrain: {held_out: 1}\n")
            for words, directory in ([], "campaigns/wide.survey"), (["-campaign", "elsewhere"], "elsewhere"):
                done = run(0, SIMULATE, "-config", config, "-dry_run", *words)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertRegex(done.stdout, rf"campaign {directory}\n")
                self.assertFalse(os.path.exists(directory))


class Signals(unittest.TestCase):
    def ask_to_stop(self, ranks, *signals):
        program = subprocess.Popen(
            command(ranks, FAULTS, "-fault", "signal"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.assertEqual(program.stdout.readline(), "waiting\n")
        for number in signals:
            program.send_signal(number)
        _, errors = program.communicate(timeout=60)
        self.assertEqual(program.returncode, 75, errors)
        self.assertIn("stopped after a unit, run again", errors)

    def test_usr1_stops_all_ranks_in_good_order_even_if_it_comes_twice(self):
        self.ask_to_stop(2, signal.SIGUSR1, signal.SIGUSR1)

    def test_term_and_hup_do_so_too(self):
        self.ask_to_stop(0, signal.SIGTERM)
        self.ask_to_stop(0, signal.SIGHUP)


if __name__ == "__main__":
    unittest.main(verbosity=2)
