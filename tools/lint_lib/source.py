"""The files of the tree, and C++ text without comments and literals."""

import os
import re
import subprocess

_TOKEN = re.compile(
    r"""(?P<line>//[^\n]*)
      | (?P<block>/\*.*?\*/)
      | (?P<raw>(?:u8|[uUL])?R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)")
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<number>(?<![\w.])\d(?:'?[\w.])*)
      | (?P<char>'(?:\\.|[^'\\\n])+')""",
    re.VERBOSE | re.DOTALL)


def _blank(match):
    if match.lastgroup == "number":  # Its ' is no quote.
        return match.group()
    return re.sub(r"[^\n]", " ", match.group())


def strip(text):
    """C++ `text` with comments, strings and characters blanked; every other
    character keeps its place."""
    return _TOKEN.sub(_blank, text)


class Tree:
    """The files under `root` that git tracks or would track."""

    def __init__(self, root):
        self.root = root
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root, capture_output=True, text=True, check=True).stdout
        self.paths = sorted(
            path for path in set(listed.split("\0"))
            if path and os.path.isfile(os.path.join(root, path)))
        self._texts = {}

    def text(self, path):
        if path not in self._texts:
            with open(os.path.join(self.root, path), encoding="utf-8",
                      errors="replace") as file:
                self._texts[path] = file.read()
        return self._texts[path]

    def named(self, *endings):
        return [path for path in self.paths if path.endswith(endings)]

    def cpp(self):
        return self.named(".h", ".cc")


def line_of(text, position):
    return text.count("\n", 0, position) + 1
