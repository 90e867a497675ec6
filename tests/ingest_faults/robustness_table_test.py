#!/usr/bin/env python3
"""docs/robustness.md names tests that exist, and has every row."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def faults_of(text):
    """What is wrong with the table."""
    faults = []
    rows = []
    for line in text.splitlines():
        row = re.match(r"\| I(\d+) \|", line)
        if row is None:
            continue
        rows.append(int(row[1]))
        file = None
        for word in re.findall(r"`([^`]+)`", line.rsplit(" | ", 1)[1]):
            if "/" in word:
                path = ROOT / word
                file = path.read_text() if path.is_file() else None
                if file is None:
                    faults.append(f"I{row[1]}: no file {word}")
            elif file is not None and not re.search(rf"\b{re.escape(word)}\b", file):
                faults.append(f"I{row[1]}: {word} is not in the file before it")
    if rows != list(range(1, 39)):
        faults.append(f"rows are {rows}")
    return faults


class RobustnessTableTest(unittest.TestCase):
    def setUp(self):
        self.text = (ROOT / "docs/robustness.md").read_text()

    def test_every_row_names_what_exists(self):
        self.assertEqual(faults_of(self.text), [])

    def test_what_does_not_exist_is_found(self):
        for wrong in (self.text.replace("`ADirectoryOfFormat1IsRead`", "`Gone`"),
                      self.text.replace("libs/spool/record_test.cc", "libs/gone.cc"),
                      self.text.replace("| I31 |", "| I32 |")):
            self.assertEqual(len(faults_of(wrong)), 1)


if __name__ == "__main__":
    unittest.main()
