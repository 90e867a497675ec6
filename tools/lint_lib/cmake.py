"""The targets that the CMakeLists.txt files declare."""

import os
import re

_CALL = re.compile(r"\b(cc_\w+)\s*\(([^()]*)\)")
_LIST_KEYWORDS = {"HDRS", "SRCS", "DEPS", "PRIVATE_DEPS", "FILES", "LABELS"}
_VALUE_KEYWORDS = {"TIMEOUT", "DATA"}
_FLAG_KEYWORDS = {"TESTONLY", "GRPC"}


class Target:
    """One cc_library, cc_test, cc_service or cc_proto."""

    def __init__(self, function, directory, words, where):
        self.function = function
        self.directory = directory
        self.where = where  # "path:line"
        self.name = words[0]
        self.lists = {keyword: [] for keyword in _LIST_KEYWORDS}
        current = None
        for word in words[1:]:
            if word in _LIST_KEYWORDS:
                current = self.lists[word]
            elif word in _VALUE_KEYWORDS:
                current = []
            elif word in _FLAG_KEYWORDS:
                current = None
            elif current is not None:
                current.append(word)
        self.deps = set(self.lists["DEPS"]) | set(self.lists["PRIVATE_DEPS"])

    @property
    def alias(self):
        """How others name it among their DEPS."""
        if self.function == "cc_library":
            return self.directory.rsplit("/", 1)[0].replace("/", "::") + "::" + self.name
        if self.function == "cc_proto":
            return f"protos::{self.name}"
        if self.function == "cc_service":
            return f"{self.name}_service"
        return self.name

    def files(self):
        files = self.lists["HDRS"] + self.lists["SRCS"]
        if self.function == "cc_service":
            files.append("main.cc")
        return [os.path.normpath(f"{self.directory}/{file}") for file in files]


def _calls(tree, path):
    text = re.sub(r"#[^\n]*", lambda match: " " * len(match.group()), tree.text(path))
    for match in _CALL.finditer(text):
        words = match.group(2).split()
        if words:
            line = text.count("\n", 0, match.start()) + 1
            yield Target(match.group(1), os.path.dirname(path), words,
                         f"{path}:{line}")


def targets(tree):
    """Every target below protos/, libs/, services/ and tests/."""
    return [target
            for path in tree.named("CMakeLists.txt")
            if path.startswith(("protos/", "libs/", "services/", "tests/"))
            for target in _calls(tree, path)]


def layers(tree):
    """The directories of libs/, lowest first."""
    text = tree.text("libs/CMakeLists.txt")
    return re.findall(r"^\s*add_subdirectory\((\w+)\)", text, re.MULTILINE)
