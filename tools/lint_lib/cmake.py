"""The targets that the CMakeLists.txt files declare.

Understands what those files use: the functions of cmake/targets.cmake, plain
add_library and add_executable, lists made with set(), and foreach() over words.
"""

import os
import re

_COMMAND = re.compile(r"\b(\w+)\s*\(((?:[^()]|\([^()]*\))*)\)")
_FOREACH = re.compile(r"\bforeach\s*\(([^()]*)\)(.*?)\bendforeach\s*\([^()]*\)", re.DOTALL)
_LIST_KEYWORDS = {"HDRS", "SRCS", "DEPS", "PRIVATE_DEPS", "FILES"}
_OTHER_KEYWORDS = {"TIMEOUT", "DATA", "LABELS", "TESTONLY", "GRPC"}
_PLAIN = {"add_library", "add_executable"}


class Target:
    """One library, test, service, tool, executable or set of protos."""

    def __init__(self, function, directory, words):
        self.function = function
        self.directory = directory
        self.name = words[0]
        self.lists = {keyword: [] for keyword in _LIST_KEYWORDS}
        current = self.lists["SRCS"] if function in _PLAIN else None
        for word in words[1:]:
            if word in _LIST_KEYWORDS:
                current = self.lists[word]
            elif word in _OTHER_KEYWORDS:
                current = None
            elif current is not None:
                current.append(word)
        self.deps = set(self.lists["DEPS"]) | set(self.lists["PRIVATE_DEPS"])

    @property
    def alias(self):
        """How others name it among their DEPS."""
        if self.function == "cc_library":
            return os.path.dirname(self.directory).replace("/", "::") + "::" + self.name
        if self.function == "cc_proto":
            return f"protos::{self.name}"
        if self.function == "cc_service":
            return f"{self.name}_service"
        if self.function == "cc_tool":
            return f"{self.name}_tool"
        return self.name

    def files(self):
        files = self.lists["HDRS"] + self.lists["SRCS"]
        if self.function in ("cc_service", "cc_tool"):
            files = [*files, "main.cc"]
        return [os.path.normpath(f"{self.directory}/{file}") for file in files]


def _unroll(text):
    """`text` with each foreach() over words written out."""
    def repeat(match):
        variable, *words = match.group(1).split()
        return "\n".join(match.group(2).replace(f"${{{variable}}}", word)
                         for word in words)

    return _FOREACH.sub(repeat, text)


def _commands(text):
    """(command, words) with the variables of set() replaced."""
    variables = {}
    for match in _COMMAND.finditer(_unroll(re.sub(r"#[^\n]*", "", text))):
        words = []
        for word in match.group(2).split():
            variable = re.fullmatch(r"\$\{(\w+)\}", word)
            if variable and variable.group(1) in variables:
                words += variables[variable.group(1)]
            else:
                words.append(word)
        if match.group(1) == "set" and words:
            variables[words[0]] = words[1:]
        elif words:
            yield match.group(1), words


def targets(tree):
    """Every target below protos/, libs/, services/, tools/ and tests/."""
    found = {}
    for path in tree.named("CMakeLists.txt"):
        if not path.startswith(("protos/", "libs/", "services/", "tools/", "tests/")):
            continue
        for command, words in _commands(tree.text(path)):
            if command in _PLAIN or (command.startswith("cc_") and len(words) > 1):
                target = Target(command, os.path.dirname(path), words)
                found[target.name] = target
            elif command == "target_link_libraries" and words[0] in found:
                found[words[0]].deps |= set(words[1:])
    return list(found.values())


def layers(tree):
    """The directories of libs/, lowest first."""
    text = tree.text("libs/CMakeLists.txt")
    return re.findall(r"^\s*add_subdirectory\((\w+)\)", text, re.MULTILINE)
