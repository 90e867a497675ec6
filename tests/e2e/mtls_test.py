#!/usr/bin/python3
"""mtls_test.py BIN_DIR

All five services with certificates of tools/dev-ca: they follow the registry, and
nobody else gets anywhere."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_BIN = ""
_PATIENCE = 60
_ADMIN = "spiffe://insula.internal/admin/admin"
_RESOURCES = """\
kind: Tenant
id: red
spec: {enforced_labels: {namespace: red}}
---
kind: Binding
id: watcher
spec:
  certificate: {uri: "spiffe://insula.internal/team/watcher"}
  roles: [ROLE_OPERATOR]
"""
_TENANT = """\
kind: Tenant
id: blue
spec: {enforced_labels: {namespace: blue}}
"""
_HOST = """\
kind: Binding
id: host
spec: {certificate: {dns: host.example.org}, roles: [ROLE_OPERATOR]}
"""
# The settings of each service but for its certificates. $ is the directory.
_SETTINGS = {
    "tenant-registry": "storage: {path: $/registry.db}\nsources: {files: [$/tenants.yaml]}\n",
    "ingest-gateway": "listeners: [{name: write, listen_address: '127.0.0.1:0'}]\n",
    "query-frontend": "listeners: [{name: http, listen_address: '127.0.0.1:0'}]\n",
    "rule-sync": ("rules: {directory: $/rules}\nrule_files: {directory: $/rule-files}\n"
                  "targets: {ledger_file: $/ledger.json}\n"),
    "federation-pusher": "gateway: {write_url: 'http://127.0.0.1:1/api/v1/write'}\n",
}


def _wait_for(what, holds):
    deadline = time.monotonic() + _PATIENCE
    while True:
        result = holds()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {_PATIENCE} s for {what}")
        threading.Event().wait(0.05)


def _get(url):
    """The status and the text of a page; 0 if nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


class MtlsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="mtls-"))
        cls.make_certificates()
        os.makedirs(cls.path("rules"))
        os.makedirs(cls.path("rule-files"))
        with open(cls.path("tenants.yaml"), "w", encoding="utf-8") as file:
            file.write(_RESOURCES)
        cls.processes = {}
        cls.ports = {}
        for name in _SETTINGS:
            cls.start(name)

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.directory, *names)

    @classmethod
    def make_certificates(cls, *options):
        subprocess.run([os.path.join(_TOP, "tools", "dev-ca"), *options, cls.path("tls")],
                       check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def issue(cls, name, names):
        """Makes a certificate of the CA for somebody who is no service."""
        where = cls.path("tls", name)
        os.makedirs(where)
        openssl = functools.partial(subprocess.run, check=True, capture_output=True)
        openssl(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj",
                 f"/CN={name}", "-keyout", f"{where}/tls.key", "-out", f"{where}/tls.csr"])
        with open(f"{where}/ext", "w", encoding="utf-8") as file:
            file.write(f"subjectAltName = {names}\nextendedKeyUsage = clientAuth\n")
        openssl(["openssl", "x509", "-req", "-in", f"{where}/tls.csr", "-CA",
                 cls.path("tls", "ca.crt"), "-CAkey", cls.path("tls", "ca.key"),
                 "-CAcreateserial", "-extfile", f"{where}/ext", "-days", "1",
                 "-out", f"{where}/tls.crt"])
        shutil.copy(cls.path("tls", "ca.crt"), f"{where}/ca.crt")

    @classmethod
    def settings(cls, name):
        tls = cls.path("tls", name)
        text = (f"{_SETTINGS[name].replace('$', cls.directory)}"
                f"internal: {{cert_file: {tls}/tls.crt, key_file: {tls}/tls.key, "
                f"ca_file: {tls}/ca.crt, admins: ['{_ADMIN}']}}\n"
                f"ports_file: {cls.path(name)}.ports\n"
                "admin: {listen_address: '127.0.0.1:0'}\n"
                f"audit: {{file: {cls.path(name)}.audit}}\n"
                "grpc: {listen_address: '127.0.0.1:0'}\n")
        if name != "tenant-registry":
            text += f"registry: {{address: '{cls.ports['tenant-registry']['grpc']}'}}\n"
        return text

    @classmethod
    def start(cls, name):
        """Starts a service and waits until it is ready."""
        config = cls.path(f"{name}.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(cls.settings(name))
        process = subprocess.Popen([os.path.join(_BIN, name), "--config", config])
        cls.processes[name] = process
        cls.addClassCleanup(cls.stop, process)

        def ready():
            if process.poll() is not None:
                raise AssertionError(f"{name} has ended")
            if not os.path.exists(cls.path(f"{name}.ports")):
                return False
            with open(cls.path(f"{name}.ports"), encoding="utf-8") as file:
                cls.ports[name] = dict(line.split() for line in file)
            # That of a follower has a copy of the registry.
            return _get(f"http://{cls.ports[name]['admin']}/readyz")[0] == 200

        _wait_for(f"{name} to be ready", ready)

    @staticmethod
    def stop(process):
        process.send_signal(signal.SIGTERM)
        code = process.wait(_PATIENCE)
        if code != 0:
            raise AssertionError(f"{process.args[0]} ended with {code}")

    def ctl(self, *arguments, certificate=None, stdin=""):
        """What insulactl says, called with a certificate of the directory or none."""
        tls = [] if certificate is None else [
            f"--ca={self.path('tls', certificate, 'ca.crt')}",
            f"--cert={self.path('tls', certificate, 'tls.crt')}",
            f"--key={self.path('tls', certificate, 'tls.key')}"]
        return subprocess.run(
            [os.path.join(_BIN, "insulactl"), *arguments, *tls, "--timeout=5s",
             f"--server={self.ports['tenant-registry']['grpc']}"],
            input=stdin, text=True, capture_output=True, timeout=_PATIENCE)

    def metric(self, service, name):
        """The sum of a metric's series."""
        _, page = _get(f"http://{self.ports[service]['admin']}/metrics")
        return sum(float(value) for value in
                   re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", page, re.MULTILINE))

    def audited(self, service, **members):
        """Waits for a line of the audit that has these members."""
        def found():
            with open(self.path(f"{service}.audit"), encoding="utf-8") as file:
                lines = [json.loads(line) for line in file if line.endswith("\n")]
            return any(members.items() <= line.items() for line in lines)

        _wait_for(f"{members} in the audit of {service}", found)

    def test_every_service_follows_the_registry(self):
        for name in set(_SETTINGS) - {"tenant-registry"}:
            with self.subTest(name):
                self.assertEqual(self.metric(name, "insula_registry_connected"), 1)
                _wait_for("the lease", lambda n=name: self.metric(
                    n, "insula_registry_lease_held") == 1)
        run = self.ctl("list", "tenants", certificate="admin")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("red", run.stdout)

    def test_a_plaintext_call_is_refused(self):
        run = self.ctl("list", "tenants")
        self.assertNotEqual(run.returncode, 0)
        self.assertNotIn("red", run.stdout)

    def test_a_service_may_follow_and_not_change(self):
        refused = self.metric("tenant-registry", "insula_rpc_calls_refused_total")
        run = self.ctl("apply", "-f", "-", certificate="rule-sync", stdin=_TENANT)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("spiffe://insula.internal/insula/rule-sync may not call", run.stderr)
        self.assertIn("ROLE_ADMIN", run.stderr)
        self.assertEqual(self.metric("tenant-registry", "insula_rpc_calls_refused_total"),
                         refused + 1)
        # Nor does it read what it has no use for.
        run = self.ctl("list", "tenants", certificate="rule-sync")
        self.assertNotEqual(run.returncode, 0)
        self.assertNotIn("red", run.stdout)
        self.audited("tenant-registry", event="call", decision="refused",
                     code="PERMISSION_DENIED",
                     principal="spiffe://insula.internal/insula/rule-sync",
                     method="insula.registry.v1.TenantRegistry.Apply")
        run = self.ctl("apply", "-f", "-", certificate="admin", stdin=_TENANT)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.audited("tenant-registry", event="change", decision="allowed",
                     principal=_ADMIN, method="create", object="Tenant/blue")

    def test_a_binding_of_a_certificate_gives_its_roles(self):
        self.issue("watcher", "URI:spiffe://insula.internal/team/watcher")
        self.issue("nobody", "URI:spiffe://insula.internal/team/nobody")
        # insulactl's own certificate must have a SPIFFE id; here the host's name counts.
        self.issue("host", "URI:spiffe://insula.internal/team/host,DNS:host.example.org")
        run = self.ctl("list", "tenants", certificate="watcher")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("red", run.stdout)
        run = self.ctl("apply", "-f", "-", certificate="watcher", stdin=_TENANT)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("binding 'watcher'", run.stderr)
        for certificate in ("nobody", "host"):
            run = self.ctl("list", "tenants", certificate=certificate)
            self.assertNotEqual(run.returncode, 0)
            self.assertIn("no binding names its certificate", run.stderr)
        run = self.ctl("apply", "-f", "-", certificate="admin", stdin=_HOST)
        self.assertEqual(run.returncode, 0, run.stderr)
        run = self.ctl("list", "tenants", certificate="host")
        self.assertEqual(run.returncode, 0, run.stderr)
        run = self.ctl("delete", "binding", "host", certificate="admin")
        self.assertEqual(run.returncode, 0, run.stderr)
        run = self.ctl("list", "tenants", certificate="host")
        self.assertNotEqual(run.returncode, 0)

    def test_a_service_without_certificates_does_not_start(self):
        run = subprocess.run([os.path.join(_BIN, "ingest-gateway")], text=True,
                             capture_output=True, timeout=_PATIENCE)
        self.assertEqual(run.returncode, 2)
        self.assertIn("internal.cert_file", run.stderr)
        self.assertIn("tools/dev-ca", run.stderr)
        run = subprocess.run([os.path.join(_BIN, "ingest-gateway"), "--insecure-internal",
                              "--grpc.listen-address=0.0.0.0:0"], text=True,
                             capture_output=True, timeout=_PATIENCE)
        self.assertEqual(run.returncode, 2)
        self.assertIn("plain text is for loopback", run.stderr)

    def test_new_certificates_are_taken_while_services_run(self):
        connected = {name: self.metric(name, "insula_registry_disconnects_total")
                     for name in _SETTINGS if name != "tenant-registry"}
        self.make_certificates("--force")
        for name in _SETTINGS:
            _wait_for(f"{name} to read them", lambda n=name: self.metric(
                n, "insula_tls_reloads_total") >= 1)
            self.assertEqual(self.metric(name, "insula_tls_reload_failing"), 0)
        for name, before in connected.items():
            self.assertEqual(self.metric(name, "insula_registry_disconnects_total"), before)
        run = self.ctl("list", "tenants", certificate="admin")
        self.assertEqual(run.returncode, 0, run.stderr)


if __name__ == "__main__":
    _BIN = sys.argv.pop(1)
    unittest.main()
