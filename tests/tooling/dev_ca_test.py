#!/usr/bin/python3
"""tools/dev-ca: what it makes, and that it takes nothing away."""

import os
import shutil
import stat
import subprocess
import tempfile
import unittest

_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_TOOL = os.path.join(_TOP, "tools", "dev-ca")
_SERVICES = ("tenant-registry", "ingest-gateway", "query-frontend", "rule-sync",
             "federation-pusher")


def _openssl(*arguments):
    return subprocess.run(["openssl", *arguments], text=True, capture_output=True,
                          check=True).stdout


def _mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


class DevCaTest(unittest.TestCase):

    def setUp(self):
        parent = self.enterContext(tempfile.TemporaryDirectory())
        self.directory = os.path.join(parent, "tls")

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def run_tool(self, *options, code=0):
        run = subprocess.run([_TOOL, *options, self.directory], text=True,
                             capture_output=True)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        return run.stdout + run.stderr

    def files(self):
        """{path: text} of all that is there."""
        found = {}
        for folder, _, names in os.walk(self.directory):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as file:
                    found[os.path.relpath(path, self.directory)] = file.read()
        return found

    def test_makes_a_certificate_of_the_ca_for_each(self):
        self.run_tool()
        for name in (*_SERVICES, "admin"):
            with self.subTest(name):
                certificate = self.path(name, "tls.crt")
                _openssl("verify", "-x509_strict", "-CAfile", self.path(name, "ca.crt"),
                         certificate)
                self.assertEqual(_openssl("x509", "-in", certificate, "-noout", "-pubkey"),
                                 _openssl("pkey", "-in", self.path(name, "tls.key"),
                                          "-pubout"))
        self.assertEqual(set(self.files()), {
            "ca.crt", "ca.key", *(f"{name}/{file}" for name in (*_SERVICES, "admin")
                                  for file in ("tls.crt", "tls.key", "ca.crt"))})

    def names(self, name):
        text = _openssl("x509", "-in", self.path(name, "tls.crt"), "-noout", "-ext",
                        "subjectAltName")
        return {each.strip() for each in text.splitlines()[1].split(",")}

    def test_names_say_whose_they_are(self):
        self.run_tool("--trust-domain=example.org", "--host=registry.example.org",
                      "--host=10.0.0.1")
        self.assertEqual(self.names("rule-sync"), {
            "URI:spiffe://example.org/insula/rule-sync", "DNS:rule-sync", "DNS:localhost",
            "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1",
            "DNS:registry.example.org", "IP Address:10.0.0.1"})
        self.assertEqual(self.names("admin"), {"URI:spiffe://example.org/admin/admin"})
        purpose = _openssl("x509", "-in", self.path("admin", "tls.crt"), "-noout",
                           "-purpose")
        self.assertIn("SSL client : Yes", purpose)
        self.assertIn("SSL server : No", purpose)

    def test_keys_are_for_their_owner(self):
        self.run_tool()
        for path in self.files():
            if path.endswith(".key"):
                self.assertEqual(_mode(self.path(path)), 0o600, path)

    def test_shared_keys_are_behind_a_closed_door(self):
        os.makedirs(self.directory, mode=0o755)
        self.run_tool("--shared")
        self.assertEqual(_mode(self.directory), 0o700)
        self.assertEqual(_mode(self.path("ca.key")), 0o600)
        self.assertEqual(_mode(self.path("rule-sync")), 0o755)
        self.assertEqual(_mode(self.path("rule-sync", "tls.key")), 0o644)

    def test_what_is_there_stays(self):
        self.run_tool()
        before = self.files()
        self.assertIn("all is there", self.run_tool())
        self.assertEqual(self.files(), before)
        shutil.rmtree(self.path("rule-sync"))
        self.assertIn("made rule-sync", self.run_tool())
        after = self.files()
        self.assertEqual({path for path in after if after[path] != before[path]},
                         {"rule-sync/tls.crt", "rule-sync/tls.key"})

    def test_what_can_not_serve_is_named_and_not_overwritten(self):
        self.run_tool()
        before = self.files()
        self.assertIn("--force", self.run_tool("--trust-domain=example.org", code=1))
        shutil.copy(self.path("admin", "tls.key"), self.path("rule-sync", "tls.key"))
        self.assertIn("rule-sync/tls.key is not the key of", self.run_tool(code=1))
        os.unlink(self.path("ca.key"))
        self.assertIn("ca.key", self.run_tool(code=1))
        self.assertIn("ca.key", self.run_tool("--force", code=1))
        after = self.files()
        for path in set(before) - {"rule-sync/tls.key", "ca.key"}:
            self.assertEqual(after[path], before[path], path)

    def test_one_that_ends_is_named(self):
        self.run_tool()
        _openssl("x509", "-in", self.path("admin", "tls.crt"), "-signkey",
                 self.path("admin", "tls.key"), "-days", "0", "-copy_extensions", "copy",
                 "-out", self.path("admin", "short.crt"))
        os.replace(self.path("admin", "short.crt"), self.path("admin", "tls.crt"))
        self.assertIn("admin/tls.crt has ended", self.run_tool(code=1))

    def test_force_makes_all_but_the_ca_anew(self):
        self.run_tool()
        before = self.files()
        self.run_tool("--force")
        after = self.files()
        self.assertEqual({path for path in after if after[path] == before[path]},
                         {path for path in after if os.path.basename(path).startswith("ca.")})
        self.run_tool()

    def test_wrong_arguments_are_refused(self):
        for option in ("--trust-domain=a/b", "--days=0", "--days=x", "--host=a,URI:b"):
            with self.subTest(option):
                self.run_tool(option, code=2)
        self.assertFalse(os.path.exists(self.directory))


if __name__ == "__main__":
    unittest.main()
