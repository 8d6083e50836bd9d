#!/usr/bin/env python3
# nephrite-test: tools
"""The order of modules: includes go one way, and each module has one public header."""

import os
import pathlib
import re
import unittest

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
MODULES = "support cosmology lensing field campaign network training inference calibration programs".split()
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]', re.M)


def files(folder):
    return sorted(path for path in (SOURCE / folder).rglob("*") if path.suffix in (".c", ".h"))


def includes(path):
    """(quote, name) of everything that a file includes."""
    return INCLUDE.findall(path.read_text())


def module_of(path):
    """src/<module>/part.c and include/nephrite/<module>.h belong to a module."""
    parts = path.relative_to(SOURCE).parts
    return parts[1] if parts[0] == "src" else path.stem


def module_included(path, name):
    """The module that an include names, or None if it is of no module (version.h, a library, a neighbour)."""
    if name.startswith("nephrite/"):
        module = pathlib.Path(name).stem
        return module if module != "version" else None
    return name.split("/")[0] if "/" in name and name.split("/")[0] in MODULES else None


class Includes(unittest.TestCase):
    def test_includes_go_from_a_module_to_those_before_it_only(self):
        for path in [*files("src"), *files("include")]:
            here = MODULES.index(module_of(path))
            for _, name in includes(path):
                module = module_included(path, name)
                if module is None:
                    continue
                with self.subTest(file=str(path.relative_to(SOURCE)), include=name):
                    self.assertIn(module, MODULES)
                    self.assertLessEqual(MODULES.index(module), here)

    def test_parts_of_a_module_are_reached_through_its_public_header_only(self):
        for path in files("src"):
            for quote, name in includes(path):
                if "/" not in name or name.startswith("nephrite/") or quote == "<":
                    continue
                with self.subTest(file=str(path.relative_to(SOURCE)), include=name):
                    self.assertEqual(name.split("/")[0], module_of(path))

    def test_every_module_has_one_public_header_and_no_other_is_installed(self):
        present = sorted(path.relative_to(SOURCE / "include").as_posix() for path in files("include"))
        self.assertEqual(present, sorted(f"nephrite/{module}.h" for module in MODULES if module != "programs"))

    def test_every_folder_of_sources_is_a_module_and_every_module_has_sources(self):
        self.assertEqual(sorted(path.name for path in (SOURCE / "src").iterdir() if path.is_dir()), sorted(MODULES))
        for module in MODULES:
            self.assertTrue(list((SOURCE / "src" / module).glob("*.c")), f"src/{module} is empty")

    def test_public_headers_stand_alone(self):
        for path in files("include"):
            text = path.read_text()
            with self.subTest(file=path.name):
                self.assertRegex(
                    text, rf"#ifndef NEPHRITE_{path.stem.upper()}_H\n#define NEPHRITE_{path.stem.upper()}_H"
                )
                for quote, name in includes(path):
                    self.assertFalse(quote == '"' and not name.startswith("nephrite/"), name)

    def test_included_files_exist(self):
        for path in files("src"):
            for quote, name in includes(path):
                if quote == "<" or name == "nephrite/version.h":
                    continue
                candidates = [path.parent / name, SOURCE / "include" / name, SOURCE / "src" / name]
                candidates.append(SOURCE / "src/programs" / name)
                with self.subTest(file=str(path.relative_to(SOURCE)), include=name):
                    self.assertTrue(any(candidate.exists() for candidate in candidates))

    def test_files_fit_a_sitting(self):
        for path in [*files("src"), *files("include")]:
            limit = (
                200 if path.stem in ("simulate", "train", "infer", "check") and module_of(path) == "programs" else 500
            )
            with self.subTest(file=str(path.relative_to(SOURCE))):
                self.assertLessEqual(len(path.read_text().splitlines()), limit)


if __name__ == "__main__":
    unittest.main(verbosity=2)
