#!/usr/bin/env python3
"""Documents say what is there: links resolve, options are real, the option list is current."""

import os
import pathlib
import re
import subprocess
import sys
import unittest

import yaml

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
PROGRAM = pathlib.Path(os.environ.get("NEPHRITE_BUILD", SOURCE / "build/release")) / "nephrite-simulate"
DOCUMENTS = sorted([*SOURCE.glob("*.md"), *SOURCE.glob("doc/*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"```.*?```", re.S)
HEADING = re.compile(r"^#+ (.*)$", re.M)
MACHINE_PATH = re.compile(r"(?<![\w.~}])/(?:home|root|work)/")


def anchors(text):
    """The anchors that a Markdown page gives its headings."""
    headings = HEADING.findall(CODE_BLOCK.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def flatten(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}_")
        else:
            yield f"{prefix}{key}"


def known_options():
    printed = subprocess.run([PROGRAM, "-help"], capture_output=True, text=True, check=True, timeout=60).stdout
    return set(re.findall(r"^  -(\w+) <", printed, re.M))


class Documents(unittest.TestCase):
    def test_every_relative_link_leads_to_a_file_of_the_tree(self):
        for document in DOCUMENTS:
            for target in LINK.findall(CODE_BLOCK.sub("", document.read_text())):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                file = document.parent / path if path else document
                with self.subTest(document=document.name, link=target):
                    self.assertTrue(file.exists(), "leads nowhere")
                    if anchor:
                        self.assertIn(anchor, anchors(file.read_text()), "no such heading")

    def test_every_document_in_doc_is_linked_from_the_readme(self):
        linked = set(LINK.findall((SOURCE / "README.md").read_text()))
        for document in SOURCE.glob("doc/*.md"):
            self.assertIn(f"doc/{document.name}", linked)

    def test_no_document_names_a_path_of_its_authors_machines(self):
        for document in DOCUMENTS + sorted(SOURCE.glob("config/*.yaml")) + sorted(SOURCE.glob("config/weights/*.md")):
            self.assertIsNone(MACHINE_PATH.search(document.read_text()), document.name)

    def test_every_file_of_tools_named_in_a_document_exists(self):
        ignored = {line.lstrip("/") for line in (SOURCE / ".gitignore").read_text().splitlines()}  # a user's own
        for document in DOCUMENTS:
            for tool in re.findall(r"(?<!/)\b((?:tools|jobs|config|\.ci)/[\w.-]+[\w])", document.read_text()):
                if tool in ignored:
                    continue
                with self.subTest(document=document.name, file=tool):
                    self.assertTrue((SOURCE / tool).exists())


class Options(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.known = known_options()

    def test_help_lists_the_options_of_every_section(self):
        for name in ("config", "seed", "survey_map_size", "network_width", "train_steps", "infer_draws"):
            self.assertIn(name, self.known)

    def test_every_option_of_the_shipped_campaigns_is_real(self):
        for campaign in sorted(SOURCE.glob("config/*.yaml")):
            for name in flatten(yaml.safe_load(campaign.read_text())):
                with self.subTest(campaign=campaign.name):
                    self.assertIn(name, self.known)

    def test_every_option_in_the_yaml_of_a_document_is_real(self):
        for document in DOCUMENTS:
            for block in re.findall(r"```yaml\n(.*?)```", document.read_text(), re.S):
                for name in flatten(yaml.safe_load(block)):
                    with self.subTest(document=document.name):
                        self.assertIn(name, self.known)

    def test_every_option_named_in_a_document_is_real(self):
        sections = {name.split("_")[0] for name in self.known if "_" in name} - {"w"}
        pattern = re.compile(r"(?<![\w-])-((?:%s)_[a-zA-Z0-9_]*[a-zA-Z0-9])\b" % "|".join(sorted(sections)))
        for document in DOCUMENTS:
            for name in pattern.findall(document.read_text()):
                with self.subTest(document=document.name):
                    self.assertIn(name, self.known)

    def test_the_list_of_options_is_what_the_programs_say(self):
        tool = [sys.executable, SOURCE / "tools/generate-options", "--check", "--program", PROGRAM]
        done = subprocess.run(tool, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
