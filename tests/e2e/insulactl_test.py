"""insulactl against a real registry: every command, every exit code."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import yaml

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, TOP)

from tools.ports import claim_ports  # noqa: E402

_REGISTRY = ""
_CTL = ""
_SAMPLE = os.path.join(TOP, "deploy", "config", "tenants.yaml")
_PATIENCE = 120
_KINDS = ("upstream", "limits", "rule-target", "tenant", "claim-rule", "binding", "access",
          "job")


def _wait_until(what, condition):
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {_PATIENCE} s for {what}")
        threading.Event().wait(0.01)


class _Registry:
    """A registry that can be stopped and started again at its address."""

    def __init__(self, directory, store="registry.db"):
        self._directory = directory
        self._store = os.path.join(directory, store)
        self.address = f"127.0.0.1:{claim_ports(1)[0]}"
        self.process = None
        self.start()

    def start(self):
        ports = os.path.join(self._directory, "ports")
        if os.path.exists(ports):
            os.unlink(ports)
        self.process = subprocess.Popen([
            _REGISTRY, f"--storage.path={self._store}", f"--ports_file={ports}",
            "--admin.listen_address=127.0.0.1:0", "--log_level=warn",
            "--insecure-internal",
            f"--grpc.listen_address={self.address}"])

        def listening():
            if self.process.poll() is not None:
                raise AssertionError("the registry has ended")
            if not os.path.exists(ports):
                return False
            with open(ports, encoding="utf-8") as file:
                lines = dict(line.split() for line in file if line.strip())
            return "grpc" in lines

        _wait_until("the registry", listening)

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(_PATIENCE)


def _tenants(count, upstream=""):
    spec = f"{{upstream_id: {upstream}}}" if upstream else "{}"
    return "".join(f"---\nkind: Tenant\nid: t{i:05}\nspec: {spec}\n" for i in range(count))


@contextlib.contextmanager
def _running(command, **options):
    """A process that does not outlive the block, however that ends."""
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, **options) as process:
        try:
            yield process
        finally:
            process.kill()


class InsulactlTest(unittest.TestCase):

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.registry = _Registry(self.directory)
        self.addCleanup(lambda: self.registry.stop())

    def path(self, name, text=None):
        path = os.path.join(self.directory, name)
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        return path

    def command(self, *arguments):
        return [_CTL, f"--server={self.registry.address}", *arguments]

    def run_ctl(self, *arguments, stdin="", code=0):
        """stdout and stderr, if it ends with `code`."""
        run = subprocess.run(self.command(*arguments), input=stdin, capture_output=True,
                             text=True, timeout=_PATIENCE)
        self.assertEqual(run.returncode, code, (arguments, run.stdout, run.stderr))
        return run.stdout, run.stderr

    def revision(self):
        return json.loads(self.run_ctl("status", "-o", "json")[0])["revision"]

    def count(self, kind):
        return len(self.run_ctl("list", kind, "-o", "json")[0].splitlines())

    def test_what_is_got_can_be_applied(self):
        out, _ = self.run_ctl("apply", "-f", _SAMPLE)
        self.assertRegex(out, "^applied [0-9]+ objects, revision 1\n$")
        revision = self.revision()
        everything = "".join(self.run_ctl("list", kind, "-o", "yaml")[0] for kind in _KINDS)
        objects = list(yaml.safe_load_all(everything))
        self.assertGreater(len(objects), 5)
        self.run_ctl("apply", "-f", "-", stdin=everything)
        self.assertEqual(self.revision(), revision, "what is the same was changed")
        self.run_ctl("diff", "-f", "-", stdin=everything)
        self.run_ctl("delete", "-f", "-", stdin=everything)
        self.assertEqual(self.count("tenants"), 0)
        # The stores have the series of the tenants that were.
        _, err = self.run_ctl("apply", "-f", "-", stdin=everything, code=3)
        self.assertIn("inherits_uids", err)
        # Into a registry that has nothing.
        self.registry.stop()
        self.registry = _Registry(self.directory, "another.db")
        self.addCleanup(self.registry.stop)
        self.run_ctl("validate", "-f", "-", stdin=everything)
        self.run_ctl("apply", "-f", "-", stdin=everything)
        again = "".join(self.run_ctl("list", kind, "-o", "yaml")[0] for kind in _KINDS)
        self.assertEqual(everything, again)
        one = objects[0]
        text, _ = self.run_ctl("get", one["kind"], one["id"], "-o", "json")
        self.assertEqual(json.loads(text), one)
        self.run_ctl("apply", "-f", "-", stdin=text)
        self.assertIn(one["id"], self.run_ctl("get", one["kind"], one["id"])[0])
        meta = json.loads(self.run_ctl("get", one["kind"], one["id"], "-o", "json",
                                       "--meta")[0])["meta"]
        self.assertEqual(meta["source"], "api")

    def test_diff_and_dry_run(self):
        before = "kind: Tenant\nid: red\nspec: {display_name: Red}\n"
        after = before.replace("Red", "Rouge")
        out, _ = self.run_ctl("diff", "-f", "-", stdin=before, code=1)
        self.assertIn("--- nothing\n+++ Tenant/red\n+kind: Tenant\n", out)
        self.run_ctl("apply", "--dry-run", "-f", "-", stdin=before)
        self.assertEqual(self.revision(), 0)
        self.run_ctl("apply", "-f", "-", stdin=before)
        out, _ = self.run_ctl("diff", "-f", "-", stdin=after, code=1)
        self.assertIn("-  display_name: Red\n+  display_name: Rouge\n", out)
        self.assertEqual(self.run_ctl("diff", "-f", "-", stdin=before), ("", ""))
        out, _ = self.run_ctl("diff", "-o", "json", "-f", "-", stdin=after, code=1)
        self.assertEqual(json.loads(out)["before"]["spec"], {"display_name": "Red"})
        # More than one request could hold, each naming what is not there yet.
        upstream = ("kind: Upstream\nid: store\n"
                    "spec: {isolation: HEADER, write_url: \"http://a/w\"}\n")
        out, _ = self.run_ctl("apply", "--dry-run", "-f", "-",
                              stdin=upstream + _tenants(120, "store"))
        self.assertEqual(out, "checked 121 objects\n")
        self.run_ctl("apply", "--dry-run", "-f", "-", stdin=_tenants(120, "store"), code=3)

    def test_exit_codes(self):
        for arguments in ([], ["get"], ["list", "cats"], ["apply", "-f", "/no/such"],
                          ["resolve"], ["status", "-o", "xml"], ["delete", "tenant"],
                          ["status", "--ca", "/no/such"], ["status", "--server=a"],
                          ["status", "--server=a:0"], ["status", "--server=:1"]):
            _, err = self.run_ctl(*arguments, code=2)
            self.assertTrue(err.startswith("insulactl: "), err)
        for command in ("validate", "apply", "diff"):
            out, err = self.run_ctl(command, "-f", "-", code=1,
                                    stdin="kind: Tenant\nid: red\nspec: {state: TIRED}\n")
            self.assertEqual(out, "")
            self.assertIn("stdin:3: Tenant/red: spec.state: 'TIRED' is none of", err)
        _, err = self.run_ctl("get", "tenant", "nobody", code=3)
        self.assertIn("Tenant/nobody", err)
        _, err = self.run_ctl("delete", "tenant", "nobody", code=3)
        self.run_ctl("delete", "tenant", "nobody", "--ignore-missing")
        _, err = self.run_ctl("apply", "-f", "-", code=3,
                              stdin="kind: Tenant\nid: red\nspec: {limits_id: none}\n")
        self.assertIn("there is no Limits/none", err)
        self.run_ctl("backup", "-o", "/no/such/directory/file", code=5)
        with open("/dev/full", "w", encoding="utf-8") as full:
            run = subprocess.run(self.command("version"), stdout=full,
                                 stderr=subprocess.PIPE, text=True, timeout=_PATIENCE)
        self.assertEqual(run.returncode, 5, run.stderr)
        self.registry.stop()
        _, err = self.run_ctl("status", code=4)
        self.assertIn("can't be reached", err)
        self.assertIn("INSULA_SERVER", err)
        _, err = self.run_ctl("apply", "-f", "-", "--timeout=500ms", code=4,
                              stdin="kind: Tenant\nid: red\nspec: {}\n")
        self.assertIn("trying again", err)

    def test_a_registry_that_does_not_answer(self):
        os.kill(self.registry.process.pid, signal.SIGSTOP)
        self.addCleanup(lambda: os.kill(self.registry.process.pid, signal.SIGCONT))
        _, err = self.run_ctl("list", "tenants", "--timeout=300ms", code=4)
        self.assertIn("did not answer in time", err)
        out, err = self.run_ctl("apply", "-f", "-", "--timeout=300ms", code=4,
                                stdin="kind: Tenant\nid: red\nspec: {}\n")
        self.assertEqual(out, "applied 0 objects\n")
        self.assertIn("0 of 1 request took effect, and maybe the next", err)

    def test_only_a_terminal_gets_colors(self):
        def diff(**environment):
            master, slave = pty.openpty()
            run = subprocess.run(self.command("diff", "-f", "-"), stdout=slave, check=False,
                                 input=b"kind: Tenant\nid: red\nspec: {}\n",
                                 env={**os.environ, "NO_COLOR": "", **environment})
            os.close(slave)
            shown = os.read(master, 10_000)
            os.close(master)
            self.assertEqual(run.returncode, 1)
            return shown

        self.assertIn(b"\x1b[32m+kind: Tenant", diff())
        self.assertNotIn(b"\x1b", diff(NO_COLOR="1"))
        out, _ = self.run_ctl("diff", "-f", "-", code=1,
                              stdin="kind: Tenant\nid: red\nspec: {}\n")
        self.assertNotIn("\x1b", out)

    def test_a_change_goes_on_when_the_registry_comes_back(self):
        self.registry.stop(signal.SIGKILL)
        with _running(self.command("apply", "-f", "-"), stdin=subprocess.PIPE,
                      stderr=subprocess.PIPE) as apply:
            apply.stdin.write("kind: Tenant\nid: red\nspec: {}\n")
            apply.stdin.close()
            self.assertIn("trying again", apply.stderr.readline())
            self.registry.start()
            self.assertEqual(apply.wait(_PATIENCE), 0)
            self.assertEqual(apply.stdout.read(), "applied 1 object, revision 1\n")

    def test_many_objects_in_order(self):
        upstream = ("---\nkind: Upstream\nid: store\n"
                    "spec: {isolation: HEADER, write_url: \"http://a/w\"}\n")
        # What they name comes last, in another file of the directory.
        self.path("a.yaml", _tenants(1000, "store"))
        self.path("b.yaml", upstream)
        out, _ = self.run_ctl("apply", "-f", self.directory)
        self.assertEqual(out, "applied 1001 objects, revision 21\n")
        self.assertEqual(self.count("tenants"), 1000)
        self.assertEqual(len(self.run_ctl("list", "tenants", "--prefix=t0001")[0].splitlines()),
                         11)
        self.run_ctl("diff", "-f", self.directory)
        self.run_ctl("delete", "-f", self.directory)
        self.assertEqual(self.count("tenants"), 0)

    def test_ctrl_c_ends_with_the_change_on_its_way(self):
        path = self.path("many.yaml", _tenants(10_000))
        master, slave = pty.openpty()
        with _running(self.command("apply", "-f", path), stderr=slave) as apply:
            os.close(slave)
            shown = b""
            while b" 2/200" not in shown:  # The bar of progress.
                shown += os.read(master, 1000)
            apply.send_signal(signal.SIGINT)
            self.assertEqual(apply.wait(_PATIENCE), 130)
            out = apply.stdout.read()
        os.close(master)
        applied = int(out.split()[1])
        self.assertLess(applied, 10_000)
        self.assertEqual(self.count("tenants"), applied)
        # The same again does the rest.
        self.run_ctl("apply", "-f", path)
        self.assertEqual(self.count("tenants"), 10_000)

    def test_watch_goes_on_over_a_restart(self):
        self.run_ctl("apply", "-f", "-", stdin=_tenants(1))
        with _running(self.command("watch", "--initial", "--kind=tenant", "-o", "json"),
                      stderr=subprocess.PIPE) as watch:

            def next_change():
                change = json.loads(watch.stdout.readline())
                return change["change"], change["object"]["id"]

            self.assertEqual(next_change(), ("put", "t00000"))
            self.run_ctl("apply", "-f", "-", stdin="kind: Tenant\nid: blue\nspec: {}\n")
            self.assertEqual(next_change(), ("put", "blue"))
            self.registry.stop(signal.SIGKILL)
            self.assertIn("trying to come back", watch.stderr.readline())
            self.registry.start()
            self.run_ctl("delete", "tenant", "blue")
            self.run_ctl("apply", "-f", "-", stdin="kind: Limits\nid: small\nspec: {}\n")
            self.run_ctl("apply", "-f", "-", stdin="kind: Tenant\nid: green\nspec: {}\n")
            # Those that come together come in any order.
            self.assertEqual({next_change(), next_change()},
                             {("delete", "blue"), ("put", "green")})
            watch.send_signal(signal.SIGINT)
            self.assertEqual(watch.wait(_PATIENCE), 130)
        out, _ = self.run_ctl("watch", "--initial", "--count=1")
        self.assertRegex(out, "^[0-9]+  put     ")

    def test_status_and_audit(self):
        self.run_ctl("apply", "-f", _SAMPLE)
        self.run_ctl("apply", "-f", "-", stdin="kind: Tenant\nid: green\nspec: {}\n")
        self.run_ctl("delete", "tenant", "green")
        out, _ = self.run_ctl("status")
        self.assertRegex(out, "^REVISION +OLDEST +EPOCH\n3 ")
        self.assertEqual(yaml.safe_load(self.run_ctl("status", "-o", "yaml")[0])["revision"], 3)

        def changes(*arguments):
            out, _ = self.run_ctl("audit", "-o", "json", *arguments)
            return [json.loads(line) for line in out.splitlines()]

        of_green = changes("--tenant", "green")
        self.assertEqual([each["revision"] for each in of_green], [2, 3])
        self.assertNotIn("after_sha256", of_green[1])
        self.assertTrue(of_green[0]["request_id"].startswith("insulactl-"))
        self.assertEqual(changes("--object", "tenant/green"), of_green)
        self.assertEqual(changes("--from-revision=3"), of_green[1:])
        self.assertEqual(changes("--actor=nobody"), [])
        self.assertEqual(len(changes("--limit=2")), 2)
        self.assertGreater(len(changes("--limit=0")), 5)
        out, _ = self.run_ctl("audit", "--tenant=green")
        self.assertRegex(out, "delete +Tenant/green\n$")

    def test_a_backup_can_be_started_on(self):
        self.run_ctl("apply", "-f", _SAMPLE)
        path = self.path("restored.db", "what was there")
        os.umask(0)
        out, _ = self.run_ctl("backup", "-o", path)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertIn(f"revision 1, {os.stat(path).st_size} bytes", out)
        self.assertFalse([name for name in os.listdir(self.directory)
                          if name.startswith("restored.db.")])
        tenants = self.run_ctl("list", "tenants", "-o", "yaml")
        self.registry.stop()
        self.registry = _Registry(self.directory, "restored.db")
        self.assertEqual(self.run_ctl("list", "tenants", "-o", "yaml"), tenants)

    def test_a_failed_backup_leaves_nothing(self):
        self.registry.stop()
        self.run_ctl("backup", "-o", self.path("copy"), code=4)
        self.assertFalse([name for name in os.listdir(self.directory)
                          if name.startswith("copy")])

    def test_completion_completes(self):
        def complete(line):
            words = line.split(" ")
            script = (f"source <({_CTL} completion bash)\n"
                      f"COMP_WORDS=({' '.join(repr(word) for word in words)})\n"
                      f"COMP_CWORD={len(words) - 1}\n_insulactl\n"
                      "echo \"${COMPREPLY[@]}\"")
            return subprocess.run(["bash", "-c", script], capture_output=True, text=True,
                                  check=True, timeout=_PATIENCE).stdout.split()

        self.assertIn("resolve", complete("insulactl "))
        self.assertEqual(complete("insulactl va"), ["validate"])
        self.assertEqual(complete("insulactl get cl"), ["claim-rule"])
        self.assertEqual(complete("insulactl list -o j"), ["json"])
        self.assertEqual(complete("insulactl apply --dry"), ["--dry-run"])
        self.assertEqual(complete("insulactl watch --kind up"), ["upstream"])

    def test_promql_check_counts_what_it_takes(self):
        corpus = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "testdata",
                              "promqltest")
        out, _ = self.run_ctl("promql", "check", corpus, "--dialect", "newest")
        self.assertEqual(out, "2214 of 2214\n")
        out, _ = self.run_ctl("promql", "check", corpus, code=1)
        self.assertRegex(out, r"at_modifier\.test:13: 1:10: parse error: unexpected duration")
        self.assertRegex(out, r"\n1600 of 2214\n$")
        out, _ = self.run_ctl("promql", "check", "-", stdin="up\nup{\n", code=1)
        self.assertRegex(out, r"^stdin:2: 1:4: parse error: .*\n1 of 2\n$")
        _, err = self.run_ctl("promql", "check", "/no/such", code=2)
        self.assertIn("/no/such", err)

    def test_help_and_version(self):
        out, _ = self.run_ctl("--help")
        self.assertIn("resolve", out)
        self.assertRegex(self.run_ctl("version")[0], r"^insulactl \d+\.\d+\.\d+\n$")


if __name__ == "__main__":
    _REGISTRY, _CTL = sys.argv[1:3]
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=1)
