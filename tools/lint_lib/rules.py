"""The rules. Each takes the tree and yields findings "path:line: what, cure"."""

import json
import os
import re
import subprocess

import yaml

from tools.lint_lib import cmake, proto_api
from tools.lint_lib.source import line_of, strip

# Files that may throw, because the code that they wrap demands it.
MAY_THROW = {
    "libs/rpc/echo_fixture.h": "plays a library that throws below a handler",
}

# Files of tests that may sleep for longer than it takes between two looks at a
# condition, and why.
MAY_SLEEP = {
    "tests/bench/registry_clients.cc": "sends at a fixed rate",
    "libs/rpc/rpc_stream_test.cc": "looks whether a count has stopped to grow",
}
_LONGEST_LOOK_MS = 20

_INCLUDE = re.compile(
    r'^[ \t]*#[ \t]*include[ \t]+"((?:libs|services|tools|tests|insula|prometheus)/[^"]+)"',
    re.MULTILINE)
_SLEEP = re.compile(
    r"\b(?:SleepFor|sleep_for|sleep_until|usleep|nanosleep|sleep)\s*\("
    r"(?:[\w:]*[mM]illiseconds\((?P<ms>\d+)\))?")
_TODO = re.compile(r"\b(?:TODO|FIXME|XXX)\b(?!\(#\d+\))")


def includes_agree_with_deps(tree):
    """What a file includes of ours, its target names among its DEPS, or compiles
    itself."""
    targets = cmake.targets(tree)
    header_owners = _header_owners(tree, targets)
    file_owners = {}
    for target in targets:
        for file in target.files():
            file_owners.setdefault(file, []).append(target)

    for path in tree.cpp():
        if not path.startswith(("libs/", "services/", "tools/", "tests/")):
            continue
        owners = file_owners.get(path)
        if owners is None:
            if path.endswith(".cc"):
                yield f"{path}:1: no target has this file, list it in CMakeLists.txt"
                continue
            # A private header: the targets of its directory include it.
            owners = [target for target in targets
                      if target.directory == os.path.dirname(path)]
        text = tree.text(path)
        for match in _INCLUDE.finditer(text):
            header = match.group(1)
            where = f"{path}:{line_of(text, match.start())}"
            wanted = header_owners.get(header)
            if wanted is None:
                if not os.path.isfile(os.path.join(tree.root, header)):
                    yield f"{where}: there is no {header}"
                elif os.path.dirname(header) != os.path.dirname(path):
                    yield (f"{where}: {header} is private to its directory, "
                           "or missing from HDRS there")
            elif not (_names(owners, wanted, targets) or _compiles(owners, header)):
                names = ", ".join(sorted({target.name for target in owners}))
                yield (f"{where}: includes {header}, "
                       f"add {wanted[0]} to the DEPS of {names}")


def _header_owners(tree, targets):
    """For each header that others may include, what they have to name."""
    owners = {}
    for target in targets:
        headers = []
        if target.function == "cc_library":
            headers = [f"{target.directory}/{name}" for name in target.lists["HDRS"]]
        elif target.function in ("cc_service", "cc_tool"):
            headers = [path for path in tree.named(".h")
                       if os.path.dirname(path) == target.directory]
        elif target.function == "cc_proto":
            headers = [proto.replace(".proto", ending)
                       for proto in target.lists["FILES"]
                       for ending in (".pb.h", ".grpc.pb.h")]
        for header in headers:
            owners.setdefault(header, []).append(target.alias)
    return owners


def _names(owners, wanted, targets):
    """Whether one of `owners` is, or depends on, one of the targets `wanted`. A
    test of a service or tool may use what that names."""
    for owner in owners:
        named = {owner.alias} | owner.deps
        for target in targets:
            if target.function in ("cc_service", "cc_tool") and target.alias in named:
                named |= target.deps
        if not named.isdisjoint(wanted):
            return True
    return False


def _compiles(owners, header):
    """Whether one of `owners` has the source that stands beside `header`."""
    source = header.removesuffix(".h") + ".cc"
    return any(source in owner.files() for owner in owners)


def includes_point_down(tree):
    """services, tools → libs → protos, and below libs/ only to lower layers."""
    order = {name: place for place, name in enumerate(cmake.layers(tree))}
    for path in tree.cpp():
        parts = path.split("/")
        if parts[0] not in ("libs", "services", "tools"):
            continue
        text = tree.text(path)
        for match in _INCLUDE.finditer(text):
            target = match.group(1).split("/")
            where = f"{path}:{line_of(text, match.start())}"
            if target[0] == "tests":
                yield f"{where}: nothing outside tests/ includes {match.group(1)}"
            elif target[0] in ("services", "tools") and target[:2] != parts[:2]:
                yield f"{where}: only {'/'.join(target[:2])} includes its headers"
            elif target[0] == parts[0] == "libs" and target[1] != parts[1]:
                if target[1] not in order:
                    yield f"{where}: {target[1]} is not listed in libs/CMakeLists.txt"
                elif order[target[1]] > order.get(parts[1], -1):
                    yield (f"{where}: {parts[1]} stands below {target[1]} in "
                           "libs/CMakeLists.txt and can't use it")


def nothing_throws(tree):
    """Failures are absl::Status; exceptions of others end where they are wrapped."""
    for path in tree.cpp():
        if path in MAY_THROW:  # The table says why.
            continue
        code = strip(tree.text(path))
        for match in re.finditer(r"\bthrow\b", code):
            yield (f"{path}:{line_of(code, match.start())}: throw, "
                   "return an absl::Status instead")


def no_brace_in_co_await_arguments(tree):
    """g++ 12 destroys an aggregate temporary in a co_await expression twice."""
    for path in tree.cpp():
        code = strip(tree.text(path))
        for match in re.finditer(r"\bco_await\b", code):
            brace = _first_in_arguments("{", code, match.end())
            if brace is not None:
                yield (f"{path}:{line_of(code, brace)}: '{{' in the arguments of a "
                       "co_await, name the value first")


def no_choice_around_co_await(tree):
    """g++ 12 miscompiles `co_await f(c ? a() : b())` with coroutines a and b, and
    `c ? co_await a() : co_await b()`, of which it runs both."""
    for path in tree.cpp():
        code = strip(tree.text(path))
        for match in re.finditer(r"\bco_await\b", code):
            choice = _first_in_arguments("?", code, match.end())
            if choice is None and re.search(r"[^:][?:]\s*$", code[:match.start()]):
                if not re.search(r"\bcase\b[^;?]*:\s*$|\bdefault:\s*$",
                                 code[:match.start()]):
                    choice = match.start()
            if choice is not None:
                yield (f"{path}:{line_of(code, choice)}: '?' around a co_await or in "
                       "its arguments, use if or name the value first")


def _first_in_arguments(wanted, code, position):
    """Where the operand of a co_await, which begins at `position`, has the first
    character `wanted` inside parentheses; None if nowhere."""
    depth = 0
    while position < len(code):
        character = code[position]
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
            if depth < 0:
                return None
        elif character == wanted and depth > 0:
            return position
        elif character in "{;,}" and depth == 0:
            return None
        position += 1
    return None


def no_co_await_in_a_short_circuit(tree):
    """g++ 12 miscompiles a co_await as an operand of && or ||: coroutines that
    do so die when the operand is skipped."""
    for path in tree.cpp():
        code = strip(tree.text(path))
        for match in re.finditer(r"\bco_await\b", code):
            if (re.search(r"(?:&&|\|\|)[\s!(]*$", code[:match.start()]) or
                    _is_left_operand(code, match.end())):
                yield (f"{path}:{line_of(code, match.start())}: co_await as an operand "
                       "of && or ||, name its result first")


def _is_left_operand(code, position):
    """Whether && or || follows the operand of a co_await that begins at `position`."""
    depth = 0
    while position < len(code):
        character = code[position]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth < 0:
                return False
        elif depth == 0:
            if code.startswith(("&&", "||"), position):
                return True
            if character in ";,?":
                return False
        position += 1
    return False


def headers_have_pragma_once(tree):
    for path in tree.named(".h"):
        if not re.search(r"^#pragma once$", tree.text(path), re.MULTILINE):
            yield f"{path}:1: no #pragma once"


def tests_do_not_sleep(tree):
    """A test waits for a condition; a fixed pause is too short or too long."""
    for path in tree.cpp():
        if not (path.startswith("tests/") or path.endswith("_test.cc")):
            continue
        if path in MAY_SLEEP:
            continue
        code = strip(tree.text(path))
        for match in _SLEEP.finditer(code):
            if match.group("ms") and int(match.group("ms")) <= _LONGEST_LOOK_MS:
                continue
            yield (f"{path}:{line_of(code, match.start())}: sleeps, "
                   "wait for a condition instead")


def todos_name_an_issue(tree):
    for path in tree.paths:
        if path.startswith("tools/lint_lib/") or not path.endswith(
                (".h", ".cc", ".py", ".txt", ".cmake", ".proto", ".yaml", ".yml", ".md")):
            continue
        text = tree.text(path)
        for match in _TODO.finditer(text):
            yield (f"{path}:{line_of(text, match.start())}: {match.group()} without an "
                   f"issue, write {match.group()}(#NUMBER)")


def data_files_parse(tree):
    """YAML and JSON files are YAML and JSON."""
    for path in tree.named(".yaml", ".yml", ".json"):
        if "/testdata/" in path:
            continue  # May be wrong on purpose.
        try:
            if path.endswith(".json"):
                json.loads(tree.text(path))
            else:
                list(yaml.safe_load_all(tree.text(path)))
        except (ValueError, yaml.YAMLError) as error:
            yield f"{path}:1: {' '.join(str(error).split())}"


def alerts_name_metrics_that_exist(tree):
    """Every metric of ours in an alert's expression stands in the code."""
    code = "\n".join(tree.text(path) for path in tree.cpp()
                     if path.startswith(("libs/", "services/")))
    exposed = set(re.findall(r'"((?:insula|[a-z]+_[a-z]+)_[a-z_]+)"', code))
    for path in tree.paths:
        if not re.fullmatch(r"deploy/prometheus/.*\.ya?ml", path):
            continue
        text = tree.text(path)
        for match in re.finditer(r"\b(?:insula|ingest_gateway|query_frontend|tenant_registry|"
                                 r"rule_sync|federation_pusher)_[a-z_]+", text):
            name = re.sub(r"_(?:bucket|count|sum)$", "", match.group())
            if not exposed & {name, match.group()}:
                yield (f"{path}:{line_of(text, match.start())}: no service has the "
                       f"metric {match.group()}")


def protos_keep_what_was_released(tree):
    """No field, enum value or method of protos/api.json is gone, renumbered,
    renamed or of another type."""
    if proto_api.API not in tree.paths:
        return
    try:
        present = proto_api.read(tree.root, tree.paths)
        released = json.loads(tree.text(proto_api.API))
    except (OSError, ValueError) as error:
        yield f"{proto_api.API}:1: {' '.join(str(error).split())}"
        return
    for broken in proto_api.broken_promises(released, present):
        yield (f"{proto_api.API}:1: {broken}, but clients of the last release count on "
               "it; leave it, and add what is new under a new number or name")


def code_is_formatted(tree):
    """As clang-format-19 formats it."""
    files = [path for path in tree.cpp()]
    if not files:
        return
    halves = [files[0::2], files[1::2]]  # Two processes: it is the slowest rule.
    running = [subprocess.Popen(["clang-format-19", "--dry-run", *half], cwd=tree.root,
                                stderr=subprocess.PIPE, text=True)
               for half in halves if half]
    for process in running:
        _, errors = process.communicate()
        seen = set()
        for path, line in re.findall(r"^([^\s:]+):(\d+):\d+: warning", errors, re.MULTILINE):
            if path not in seen:
                seen.add(path)
                yield f"{path}:{line}: not formatted, run tools/format"
        if process.returncode != 0:
            yield f"clang-format-19 failed: {errors.strip()}"


ALL = (
    includes_agree_with_deps,
    includes_point_down,
    nothing_throws,
    no_brace_in_co_await_arguments,
    no_choice_around_co_await,
    no_co_await_in_a_short_circuit,
    headers_have_pragma_once,
    tests_do_not_sleep,
    todos_name_an_issue,
    data_files_parse,
    alerts_name_metrics_that_exist,
    protos_keep_what_was_released,
    code_is_formatted,
)
