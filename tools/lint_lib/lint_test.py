"""Plants each fault that tools/lint looks for and expects it to be found."""

import os
import subprocess
import sys
import tempfile
import unittest

_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, _TOP)
sys.dont_write_bytecode = True

from tools.lint_lib.source import strip  # noqa: E402

# An API, and what is known of its last release.
_PROTO = """\
syntax = "proto3";
package insula.word;
enum Tone { TONE_UNSPECIFIED = 0; TONE_LOW = 1; }
message Word {
  message Part { bytes of = 1; }
  string text = 1;
  optional int64 count = 2;
  repeated Part parts = 3;
  map<string, Tone> tones = 4;
}
service Words {
  rpc Say(Word) returns (Word);
  rpc Sing(stream Word) returns (stream Word);
}
"""
_API = """\
{"messages": {
  "insula.word.Word": {
    "1": "string text", "2": "optional int64 count",
    "3": "repeated insula.word.Word.Part parts",
    "4": "repeated insula.word.Word.TonesEntry tones"},
  "insula.word.Word.Part": {"1": "bytes of"},
  "insula.word.Word.TonesEntry": {"1": "string key", "2": "insula.word.Tone value"}},
 "enums": {"insula.word.Tone": {"0": "TONE_UNSPECIFIED", "1": "TONE_LOW"}},
 "methods": {
  "insula.word.Words.Say": "insula.word.Word returns insula.word.Word",
  "insula.word.Words.Sing":
    "stream insula.word.Word returns stream insula.word.Word"}}
"""

# A small tree without a fault.
_CLEAN = {
    "libs/CMakeLists.txt": "add_subdirectory(low)\nadd_subdirectory(high)\n",
    "libs/low/CMakeLists.txt": "cc_library(low HDRS low.h SRCS low.cc)\n",
    "libs/low/low.h": "#pragma once\n\nint Low();\n",
    "libs/low/private.h": "#pragma once\n",
    "libs/low/low.cc": '#include "libs/low/low.h"\n\n'
                       '#include "libs/low/private.h"\n\n'
                       "// Does not throw; \"sleep(1)\" is a text.\n"
                       "int Low() { return 1'000; }\n",
    "libs/high/CMakeLists.txt":
        "cc_library(high  # Comment (with parentheses)\n"
        "  HDRS high.h\n  SRCS high.cc metrics.cc\n  DEPS libs::low)\n"
        "cc_test(high_test SRCS high_test.cc DEPS libs::high TIMEOUT 10)\n",
    "libs/high/high.h": '#pragma once\n\n#include "libs/low/low.h"\n',
    "libs/high/high.cc": '#include "libs/high/high.h"\n\n'
                         "awaitable<int> High() {\n"
                         "  const Options options{1};\n"
                         '  if (co_await Send(options, "{")) {\n'
                         "    co_return 1;\n  }\n  co_return 2;\n}\n",
    "libs/high/high_test.cc": '#include "libs/high/high.h"\n',
    # Lists of words, loops and plain targets.
    "tests/CMakeLists.txt":
        "set(parts\n  one.cc two.cc)\n"
        "add_library(parts STATIC ${parts})\n"
        "target_link_libraries(parts PUBLIC libs::low)\n"
        "foreach(test a b)\n  cc_test(${test}_test SRCS ${test}_test.cc DEPS parts)\n"
        "endforeach()\n",
    "tests/one.cc": '#include "libs/low/low.h"\n',
    "tests/two.cc": "int two;\n",
    # Compiles a source of another directory by itself.
    "tests/fuzz/CMakeLists.txt": "cc_test(fuzz_test SRCS fuzz.cc ../../libs/low/low.cc)\n",
    "tests/fuzz/fuzz.cc": '#include "libs/low/low.h"\n',
    "tests/a_test.cc": "int a;\n",
    "tests/b_test.cc": "int b;\n",
    "services/gate/CMakeLists.txt":
        "cc_service(gate SRCS gate.cc DEPS libs::high protos::word)\n",
    "services/gate/gate.cc": '#include "insula/word.pb.h"\n'
                             '#include "libs/high/high.h"\n',
    "services/gate/main.cc": "int main() {}\n",
    "services/gate/gate.h": "#pragma once\n",
    "protos/CMakeLists.txt": "cc_proto(word FILES insula/word.proto)\n",
    "protos/insula/word.proto": _PROTO,
    "protos/api.json": _API,
    "libs/high/metrics.cc": 'const char kName[] = "insula_seconds";\n',
    "deploy/prometheus/alerts.yml": "expr: rate(insula_seconds_bucket[5m])\n",
    "deploy/a.yaml": "a: 1\n---\nb: 2\n",
    "a.json": "{}\n",
    "notes.md": "TODO(#12): write.\n",
}


def _lint(changes):
    """What tools/lint prints about the clean tree with `changes`."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in {**_CLEAN, **changes}.items():
            place = os.path.join(root, path)
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "w", encoding="utf-8") as file:
                file.write(text)
        subprocess.run(["git", "init", "-q", root], check=True)
        with open(os.path.join(root, ".clang-format"), "w", encoding="utf-8") as file:
            file.write("BasedOnStyle: Google\nIncludeBlocks: Preserve\n")
        run = subprocess.run([sys.executable, f"{_TOP}/tools/lint", "--root", root],
                             capture_output=True, text=True, check=False)
        return run.returncode, run.stdout + run.stderr


class LintTest(unittest.TestCase):

    def _finds(self, expected, changes):
        status, output = _lint(changes)
        self.assertEqual(status, 1, output)
        # The planted fault may also be badly formatted; nothing else is wrong.
        findings = [line for line in output.splitlines()[:-1]
                    if "not formatted" not in line or expected in line]
        self.assertEqual(len(findings), 1, output)
        self.assertIn(expected, findings[0])

    def test_is_content_with_a_clean_tree(self):
        status, output = _lint({})
        self.assertEqual(status, 0, output)

    def test_finds_an_include_that_no_dep_names(self):
        self._finds("high_test.cc:1: includes libs/low/low.h, add libs::low",
                    {"libs/high/high_test.cc": '#include "libs/low/low.h"\n'})

    def test_finds_a_proto_include_that_no_dep_names(self):
        self._finds("add protos::word", {
            "libs/high/high_test.cc": '#include "insula/word.pb.h"\n'})

    def test_finds_an_include_of_a_missing_header(self):
        self._finds("there is no libs/low/gone.h", {
            "libs/low/low.cc": '#include "libs/low/gone.h"\n'})

    def test_finds_an_include_of_a_private_header(self):
        self._finds("libs/low/private.h is private", {
            "libs/high/high.cc": '#include "libs/low/private.h"\n'})

    def test_finds_an_include_that_no_linked_library_names(self):
        self._finds("two.cc:1: includes libs/high/high.h, add libs::high to the DEPS of parts",
                    {"tests/two.cc": '#include "libs/high/high.h"\n'})

    def test_finds_a_source_without_a_target(self):
        self._finds("tests/c_test.cc:1: no target", {"tests/c_test.cc": "int c;\n"})
        self._finds("libs/low/lost.cc:1: no target", {"libs/low/lost.cc": "int x;\n"})

    def test_finds_an_include_of_a_higher_layer(self):
        self._finds("low stands below high", {
            "libs/low/CMakeLists.txt":
                "cc_library(low HDRS low.h SRCS low.cc DEPS libs::high)\n",
            "libs/low/low.cc": '#include "libs/high/high.h"\n'})

    def test_finds_an_include_of_a_service_in_a_library(self):
        self._finds("only services/gate includes its headers", {
            "libs/high/CMakeLists.txt":
                _CLEAN["libs/high/CMakeLists.txt"].replace("DEPS libs::high",
                                                           "DEPS libs::high gate_service"),
            "libs/high/high_test.cc": '#include "services/gate/gate.h"\n'})

    def test_finds_a_throw(self):
        self._finds("low.cc:3: throw", {
            "libs/low/low.cc": "int Low() {\n  /* throw */\n  throw 1;\n}\n"})

    def test_finds_a_brace_in_the_arguments_of_a_co_await(self):
        for expression in ("co_await Send({1})", "co_await Send(Options{1}, 2)",
                           "co_await client->Send(1, Wrap(Options{.a = 1}))",
                           "co_await Send(\n      Options{1})"):
            with self.subTest(expression):
                self._finds("in the arguments of a co_await", {
                    "libs/high/high.cc":
                        f"awaitable<int> High() {{\n  co_return {expression};\n}}\n"})

    def test_finds_a_choice_around_a_co_await(self):
        for expression in ("co_await Guard(a ? Send(1) : Ask(2))",
                           "a ? co_await Send(1) : 0",
                           "a ? 0 : co_await Ask(2)"):
            with self.subTest(expression):
                self._finds("'?' around a co_await", {
                    "libs/high/high.cc":
                        f"awaitable<int> High() {{\n  co_return {expression};\n}}\n"})

    def test_takes_a_co_await_in_a_case(self):
        _, output = _lint({
            "libs/high/high.cc":
                "awaitable<int> High(int a) {\n  switch (a ? 1 : 2) {\n    case 1:\n"
                "      co_await Send(1);\n  }\n  co_return 1;\n}\n"})
        self.assertNotIn("around a co_await", output)

    def test_finds_a_co_await_in_a_short_circuit(self):
        for expression in ("a && co_await Send(1)", "co_await Send(1) || b",
                           "a && !co_await Send(1)"):
            with self.subTest(expression):
                self._finds("as an operand of && or ||", {
                    "libs/high/high.cc":
                        f"awaitable<int> High() {{\n  co_return {expression};\n}}\n"})

    def test_takes_a_co_await_of_a_race(self):
        status, output = _lint({
            "libs/high/high.cc":
                "awaitable<int> High() {\n  co_return co_await (Send(1) || Send(2));\n}\n"})
        self.assertNotIn("operand of &&", output)

    def test_finds_a_header_without_pragma_once(self):
        self._finds("private.h:1: no #pragma once", {"libs/low/private.h": "int x;\n"})

    def test_finds_a_sleep_in_a_test(self):
        self._finds("high_test.cc:2: sleeps", {
            "libs/high/high_test.cc":
                "void Wait() {\n  absl::SleepFor(absl::Seconds(1));\n}\n"})

    def test_takes_a_short_pause_between_two_looks(self):
        status, output = _lint({
            "libs/high/high_test.cc":
                "void Wait() {\n  while (!Done()) absl::SleepFor(absl::Milliseconds(5));\n}\n"})
        self.assertEqual(status, 0, output)

    def test_finds_a_todo_without_an_issue(self):
        self._finds("low.h:3: TODO without an issue", {
            "libs/low/low.h": "#pragma once\n\n// TODO: more.\n"})

    def test_finds_yaml_and_json_that_do_not_parse(self):
        self._finds("deploy/a.yaml:1: ", {"deploy/a.yaml": "a: [1\n"})
        self._finds("a.json:1: ", {"a.json": "{,}\n"})

    def test_finds_an_alert_on_a_metric_that_there_is_not(self):
        self._finds("alerts.yml:1: no service has the metric insula_gone_total", {
            "deploy/prometheus/alerts.yml": "expr: insula_gone_total > 0\n"})

    def test_finds_what_a_proto_no_longer_keeps_of_the_release(self):
        for expected, old, new in (
                ("has lost field 1, string text", "string text = 1;", "reserved 1;"),
                ("has lost field 1, string text", "text = 1;", "text = 5;"),
                ("was string text, is bytes text", "string text", "bytes text"),
                ("was string text, is string words", "text = 1", "words = 1"),
                ("was optional int64 count, is int64 count", "optional ", ""),
                ("was bytes of, is repeated bytes of", "bytes of", "repeated bytes of"),
                ("value 1 of insula.word.Tone was TONE_LOW, is TONE_HIGH", "TONE_LOW",
                 "TONE_HIGH"),
                ("method insula.word.Words.Say is gone",
                 "  rpc Say(Word) returns (Word);\n", ""),
                ("method insula.word.Words.Sing was stream", "(stream Word) returns",
                 "(Word) returns"),
                ("protos/api.json:1: insula/word.proto:6", "string text", "strin text")):
            with self.subTest(expected):
                self.assertEqual(_PROTO.count(old), 1)
                self._finds(expected, {
                    "protos/insula/word.proto": _PROTO.replace(old, new)})
        self._finds("insula.word.Word.Gone is gone", {
            "protos/api.json": _API.replace("Word.Part\": {", "Word.Gone\": {")})

    def test_takes_what_is_new_in_a_proto(self):
        status, output = _lint({
            "protos/insula/word.proto":
                _PROTO.replace("string text = 1;", "string text = 1; bool loud = 9;")
                      .replace("TONE_LOW = 1;", "TONE_LOW = 1; TONE_HIGH = 2;")
                      .replace("rpc Say(", "rpc Hum(Word) returns (Word);\n  rpc Say("),
            "protos/insula/new.proto": 'syntax = "proto3";\nmessage New {}\n'})
        self.assertEqual(status, 0, output)

    def test_finds_code_that_is_not_formatted(self):
        self._finds("low.h:3: not formatted", {
            "libs/low/low.h": "#pragma once\n\nint  Low( );\n"})

    def test_refuses_a_rule_that_there_is_not(self):
        run = subprocess.run([sys.executable, f"{_TOP}/tools/lint", "no_such_rule"],
                             capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 2)


class StripTest(unittest.TestCase):

    def test_blanks_comments_and_literals_and_keeps_places(self):
        for text, expected in (
                ('f("a{\\"b"); // {', "f(       );     "),
                ("x = '{'; y = 1'000;", "x =    ; y = 1'000;"),
                ('R"x({")")x" z', "            z"),
                ("a /* {\n} */ b", "a     \n     b")):
            with self.subTest(text):
                self.assertEqual(strip(text), expected)


if __name__ == "__main__":
    unittest.main()
