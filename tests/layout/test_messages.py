#!/usr/bin/env python3
# nephrite-test: tools
"""Messages for users read well."""

import os
import pathlib
import unittest

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))


class Messages(unittest.TestCase):
    def test_numbers_are_not_left_to_petsc_which_writes_5_with_a_point_and_nothing_behind(self):
        for path in sorted((SOURCE / "src").rglob("*.[ch]")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                with self.subTest(file=str(path.relative_to(SOURCE)), line=number):
                    self.assertNotIn("%g", line, "write %.6g")


if __name__ == "__main__":
    unittest.main(verbosity=2)
