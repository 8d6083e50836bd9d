#!/usr/bin/env python3
"""What is installed suffices to build against: headers, library and nephrite.pc."""

import os
import pathlib
import subprocess
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["NEPHRITE_BUILD"])

PROGRAM = r"""
#include <nephrite/calibration.h>
#include <nephrite/inference.h>
#include <math.h>

int main(int argc, char **argv)
{
  Background *background = NULL;
  const Cosmology universe = {.Omega_c = 0.25, .Omega_b = 0.05, .sigma_8 = 0.8, .h = 0.7, .n_s = 0.96, .w_0 = -1};

  if (PetscInitialize(&argc, &argv, NULL, NULL) || error_install()) return 1;
  if (background_create(&universe, 2, &background)) return 2;
  if (fabs(background_expansion(background, 0) - 1) > 1e-12) return 3;
  if (background_destroy(&background)) return 4;
  return PetscFinalize();
}
"""


def run(*words, **options):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300, **options)


class Install(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        done = run("cmake", "--install", BUILD, "--prefix", self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_program_builds_against_the_installed_library(self):
        found = [*self.folder.glob("lib*/**/nephrite.pc")]
        self.assertEqual(len(found), 1)
        environment = {**os.environ, "PKG_CONFIG_PATH": str(found[0].parent)}
        flags = run("pkg-config", "--cflags", "--libs", "nephrite", env=environment)
        self.assertEqual(flags.returncode, 0, flags.stderr)
        source, program = self.folder / "program.c", self.folder / "program"
        source.write_text(PROGRAM)
        done = run("cc", "-std=c17", source, "-o", program, *flags.stdout.split())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(run(program).returncode, 0)

    def test_programs_and_headers_are_where_they_belong(self):
        headers = {path.name for path in (self.folder / "include/nephrite").iterdir()}
        self.assertIn("support.h", headers)
        for program in BUILD.glob("nephrite-*"):
            if os.access(program, os.X_OK) and program.is_file() and not program.name.endswith("float64"):
                self.assertTrue((self.folder / "bin" / program.name).exists(), program.name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
