"""What insulactl converts is what the registry and the services take: by the real
binaries, with every example of tools/insulactl/convert/testdata."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

import yaml

_BIN = ""
_TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
_EXAMPLES = os.path.join(_TOP, "tools", "insulactl", "convert", "testdata")
_SYSTEM_OF = {"metrics-collector": "telemeter", "open-metrics-informer": "open-metrics-proxy"}
_SYSTEMS = ("cortex-tenant", "open-metrics-proxy", "adobe-proxy", "prom-label-proxy",
            "telemeter", "cortex-overrides")
_INCOMPLETE = 6


def _run(*arguments, cwd=None, stdin=""):
    return subprocess.run([os.path.join(_BIN, arguments[0]), *arguments[1:]], cwd=cwd,
                          input=stdin, capture_output=True, text=True, timeout=60)


def _expected(directory):
    """The name and text of each file."""
    with open(os.path.join(directory, "expected.txt"), encoding="utf-8") as file:
        pieces = file.read().split("==== ")[1:]
    return dict(piece.split(" ====\n", 1) for piece in pieces)


def _examples():
    for name in sorted(os.listdir(_EXAMPLES)):
        directory = os.path.join(_EXAMPLES, name)
        yield name, directory, _expected(directory)


class InsulactlConvertTest(unittest.TestCase):

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.token = self.path("token", "the-token\n")

    def path(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def arguments(self, name):
        """The command line of an example. Its files are named as from its directory."""
        directory = os.path.join(_EXAMPLES, name)
        system = _SYSTEM_OF.get(name) or next(s for s in _SYSTEMS if name.startswith(s))
        arguments = ["insulactl", "convert", "--from", system]
        with open(os.path.join(directory, "options"), encoding="utf-8") as file:
            options = file.read().split()
        for option, value in zip(options[::2], options[1::2]):
            arguments += [option, self.token if option == "--token-file" else value]
        files = os.listdir(directory)
        if "input.yaml" in files:
            arguments += ["--flags", "flags"] if "flags" in files else []
            arguments.append("input.yaml")
        else:
            arguments.append("flags")
        return arguments


    def test_what_is_printed_is_a_valid_resource_file(self):
        systems = set()
        for name, directory, expected in _examples():
            with self.subTest(example=name):
                arguments = self.arguments(name)
                systems.add(arguments[3])
                run = _run(*arguments, cwd=directory)
                incomplete = "\n## Has no counterpart\n" in expected["notes.md"]
                self.assertEqual(run.returncode, _INCOMPLETE if incomplete else 0, run.stderr)
                self.assertEqual(list(yaml.safe_load_all(run.stdout)),
                                 list(yaml.safe_load_all(expected["resources.yaml"])))
                valid = _run("insulactl", "validate", "-f", "-", stdin=run.stdout)
                self.assertEqual(valid.returncode, 0, valid.stderr)
        self.assertEqual(systems, set(_SYSTEMS))

    def test_what_has_no_counterpart_is_on_stderr(self):
        for name, directory, _ in _examples():
            with self.subTest(example=name):
                run = _run(*self.arguments(name), "-o", "json", cwd=directory)
                result = json.loads(run.stdout)
                missing = [note for note in result["notes"] if note["kind"] == "none"]
                self.assertEqual(run.returncode, _INCOMPLETE if missing else 0, run.stderr)
                told = [line for line in run.stderr.splitlines()
                        if line.startswith("insulactl: ")]
                self.assertEqual(len(told), len(missing), run.stderr)
                for note in missing:
                    start = f"insulactl: {note['where']}: {note['key']} has no counterpart: "
                    self.assertTrue(any(line.startswith(start) for line in told), start)

    def test_the_files_are_taken_by_the_services(self):
        services = set()
        for name, directory, expected in _examples():
            with self.subTest(example=name):
                out = os.path.join(self.directory, "new", name)
                run = _run(*self.arguments(name), "--dir", out, cwd=directory)
                self.assertIn(run.returncode, (0, _INCOMPLETE), run.stderr)
                self.assertEqual(sorted(os.listdir(out)), sorted(expected))
                for file, text in expected.items():
                    with open(os.path.join(out, file), encoding="utf-8") as written:
                        self.assertEqual(written.read(), text)
                valid = _run("insulactl", "validate", "-f", os.path.join(out, "resources.yaml"))
                self.assertEqual(valid.returncode, 0, valid.stderr)
                for file in set(expected) - {"resources.yaml", "notes.md"}:
                    service = file.removesuffix(".yaml")
                    services.add(service)
                    check = _run(service, "--config", os.path.join(out, file), "--check-config",
                                 "--insecure-internal")
                    self.assertEqual(check.returncode, 0, (file, check.stderr))
        self.assertEqual(services, {"ingest-gateway", "query-frontend", "rule-sync",
                                    "federation-pusher"})

    def test_a_wrong_configuration_is_found(self):
        """What the tests above rest on: --check-config does refuse."""
        path = self.path("wrong.yaml", "write: {max_body: many}\n")
        run = _run("ingest-gateway", "--config", path, "--check-config", "--insecure-internal")
        self.assertEqual(run.returncode, 2)
        self.assertIn("write.max_body", run.stderr)

    def test_nothing_is_overwritten(self):
        name = "prom-label-proxy"
        directory = os.path.join(_EXAMPLES, name)
        out = os.path.join(self.directory, "out")
        os.mkdir(out)
        with open(os.path.join(out, "notes.md"), "w", encoding="utf-8") as file:
            file.write("mine")
        run = _run(*self.arguments(name), "--dir", out, cwd=directory)
        self.assertEqual(run.returncode, 5, run.stderr)
        self.assertIn("is there already", run.stderr)
        self.assertEqual(os.listdir(out), ["notes.md"])

    def test_flags_may_follow_and_be_words_of_ours(self):
        words = ["insulactl", "convert", "--from=prom-label-proxy", "--tenant=red", "--",
                 "--label", "namespace", "--header-name=X-Tenant",
                 "-insecure-listen-address=127.0.0.1:1", "--upstream=http://prometheus:9090"]
        run = _run(*words)
        self.assertEqual(run.returncode, 0, run.stderr)
        tenant = [each for each in yaml.safe_load_all(run.stdout)
                  if each["kind"] == "Tenant"]
        self.assertEqual(tenant[0]["spec"]["enforced_labels"], {"namespace": "red"})
        run = _run(*words, "get")
        self.assertEqual(run.returncode, 2)
        self.assertIn("a word that is neither a flag", run.stderr)

    def test_stdin_may_be_the_configuration(self):
        run = _run("insulactl", "convert", "--from=cortex-tenant", "--tenant=red", "-",
                   stdin="target: http://cortex/api/v1/push\nenable_ipv6: true\n")
        self.assertEqual(run.returncode, _INCOMPLETE, run.stderr)
        self.assertIn("insulactl: stdin:2: enable_ipv6 has no counterpart: ", run.stderr)

    def test_what_cannot_be_used_is_told(self):
        conf = self.path("conf.yml", "target: http://cortex/api/v1/push\nlissten: a\n")
        for arguments, error in (
                (["--from=nagios", conf], "nagios"),
                (["--from=cortex-tenant"], "nothing to convert"),
                (["--from=telemeter"], "or give the flags after --"),
                (["--from=cortex-tenant", conf], f"{conf}:2: lissten: "),
                (["--from=cortex-tenant", conf, "other.yml"], "'other.yml' is another one"),
                (["--from=cortex-tenant", conf, "--token-file", self.path("empty", "\n")],
                 "must hold one token, of 1 to"),
                (["--from=cortex-tenant", conf, "--token-file", self.path("two", "one two\n")],
                 "without white space between them"),
                (["--from=cortex-tenant", "/no/such"], "/no/such: can't be opened")):
            run = _run("insulactl", "convert", *arguments)
            self.assertEqual((run.returncode, run.stdout), (2, ""), (arguments, run.stderr))
            self.assertIn(error, run.stderr)

    def test_schema_is_the_one_of_the_docs(self):
        run = _run("insulactl", "schema")
        self.assertEqual(run.returncode, 0, run.stderr)
        with open(os.path.join(_TOP, "docs", "resources.schema.json"),
                  encoding="utf-8") as file:
            self.assertEqual(run.stdout, file.read())


if __name__ == "__main__":
    _BIN = sys.argv[1]
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=1)
