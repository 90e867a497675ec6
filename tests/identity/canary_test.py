"""canary_test BIN_DIR SHOWN_QUERY_FRONTEND [unittest arguments]

Plants secrets wherever the services take one, sends good and bad requests, and looks for
them in logs, answers, admin pages, command lines, environments and stored files.
SHOWN_QUERY_FRONTEND is a build whose secrets show themselves: there they must be found.
"""

import base64
import http.server
import json
import os
import subprocess
import sys
import threading
import unittest

sys.dont_write_bytecode = True

from canaries import Canaries  # noqa: E402
from insula import QUERY, Insula, Service  # noqa: E402
from issuer import Issuer  # noqa: E402
from matrix import bcrypt_hash  # noqa: E402
from outgoing import Host  # noqa: E402
from processes import Lab, client_tls, claim_ports, send, sha256, wait_until  # noqa: E402

_BIN = ""
_SHOWN = ""


class _Echo:
    """An identity service that tells back whatever it is told, with an error."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                size = int(self.headers.get("Content-Length", 0))
                told = self.rfile.read(size).decode() + str(self.headers)
                body = json.dumps({"error": {"code": 401, "title": told, "message": told},
                                   "status": {"error": told}, "message": told}).encode()
                self.send_response(401 if self.path.startswith("/v3") else 403, "No")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class _Plant:
    """All five services at log level debug, with secrets in everything."""

    def __init__(self, lab, frontend=None):
        self.lab, self.canaries = lab, Canaries()
        self.answers, self.last = [], 0
        self.services = {}
        self._echo = _Echo()
        lab.callback(self._echo.server.server_close)
        lab.callback(self._echo.server.shutdown)
        self.issuer = Issuer(lab, claim_ports(1)[0])
        self.issuer.start()
        self.insula = Insula(lab, _BIN)
        self._bind()
        self._start(frontend)

    def _file(self, name, text):
        path = self.lab.write(name, text)
        self.canaries.files.add(path)
        return path

    def _bind(self):
        new, bind = self.canaries.new, self.insula.bind
        self.token = new("static token")
        self.key = new("API key")
        self.password = new("password")
        bind("token", {"token_sha256": sha256(self.token)},
             ("red", "blue", *self._OUTGOING))
        bind("key", {"api_key_sha256": sha256(self.key)})
        bind("user", {"basic": {"user": "alice"}})
        bind("client", {"jwt": {"issuer": self.issuer.issuer, "claim": "sub",
                                "value": "red"}})
        bind("certificate", {"certificate": {"uri": "spiffe://example.org/sender"}})
        self.insula.put("Job", "self", {
            "tenant_id": "red", "matches": ["up"], "interval": "1s",
            "source_url": f"http://127.0.0.1:{self.insula.store_port}/federate"})

    # Tenants whose store, source and ruler need a credential; the name is the path there.
    _OUTGOING = ("basic", "oauth", "lost")

    def _hosts(self):
        """Stores, sources and rulers that need credentials, and who gives out tokens."""
        new, file = self.canaries.new, self._file
        access = new("OAuth2 token")

        def tokens(request):
            if request.path == "/good":
                return 200, {}, {"access_token": access, "token_type": "Bearer",
                                 "expires_in": 300}
            told = request.body.decode() + str(request.headers)
            return 400, {}, {"error": told, "error_description": told}

        issuer = Host(self.lab, "tokens", "IP:127.0.0.1", tokens)
        self.far = Host(self.lab, "far", "IP:127.0.0.1", lambda _: (
            200, {}, {"status": "success", "data": {"resultType": "vector", "result": []}}))
        base = f"https://127.0.0.1:{self.far.port}"
        pair = self.lab.ca.issue("outgoing", "URI:spiffe://example.org/outgoing")
        with open(pair[1], encoding="utf-8") as key:
            self.canaries.note("outgoing client key", key.read().splitlines()[2][:60])
        self.canaries.files.add(pair[1])
        for name in self._OUTGOING:
            url = f"{base}/{name}"
            self.insula.put("Upstream", name, {
                "write_url": f"{url}/write", "query_url": url, "isolation": "ISOLATION_LABEL"})
            self.insula.put("RuleTarget", name, {"type": "TYPE_CORTEX", "url": url,
                                                 "isolation": "ISOLATION_HEADER"})
            self.insula.put("Tenant", name, {"enforced_labels": {"namespace": name},
                                             "upstream_id": name, "rule_target_id": name})
            self.insula.put("Job", name, {"tenant_id": name, "matches": ["up"],
                                          "interval": "1s", "source_url": f"{url}/federate"})
            self.lab.write(f"rules/{name}/up.yaml", json.dumps({"groups": [{
                "name": "up", "rules": [{"record": "a:up", "expr": "up"}]}]}))

        def oauth2(name, what):
            return {"token_url": f"https://127.0.0.1:{issuer.port}/{name}",
                    "client_id": "insula", "tls_ca_file": self.lab.ca.file,
                    "client_secret_file": file(f"oauth2-{name}", new(what))}

        def header(name):
            return [{"name": "X-Cluster", "file": file(f"header-{name}",
                                                       new(f"outgoing header to {name}"))}]

        tls = {"tls_ca_file": self.lab.ca.file, "tls_cert_file": pair[0],
               "tls_key_file": pair[1]}
        return [
            {"url": f"http://127.0.0.1:{self.insula.store_port}", "headers": header("store"),
             "bearer_file": file("outgoing-bearer", new("outgoing bearer token"))},
            {"url": f"{base}/basic", "basic_user": "insula", "headers": header("basic"),
             "basic_password_file": file("outgoing-password", new("outgoing password")),
             **tls},
            {"url": f"{base}/oauth", "oauth2": oauth2("good", "OAuth2 secret")},
            {"url": f"{base}/lost", "oauth2": oauth2("bad", "refused OAuth2 secret")}]

    def _listeners(self):
        new = self.canaries.new
        hashed = bcrypt_hash(self.password)
        self.canaries.note("bcrypt hash", hashed)
        server = self.lab.ca.issue("listener", "IP:127.0.0.1")
        self.pair = self.lab.ca.issue("sender", "URI:spiffe://example.org/sender")
        for path in (server[1], self.pair[1]):
            with open(path, encoding="utf-8") as file:
                self.canaries.note("private key", file.read().splitlines()[2][:60])
            self.canaries.files.add(path)
        keystone = self._file("keystone-password", new("Keystone password"))
        kubernetes = self._file("kubernetes-token", new("Kubernetes token"))
        return {
            "token": {"api_key_header": "X-API-Key"},
            "basic": {"bearer": False, "basic": {
                "password_file": self._file("passwords", f"alice:{hashed}\n")}},
            "jwt": {"bearer": False, "jwt": [{
                "issuer": self.issuer.issuer, "audiences": ["insula"],
                "ca_file": self.lab.ca.file}]},
            "keystone": {"bearer": False, "keystone": {
                "auth_url": self._echo.url, "user_name": "insula",
                "project_name": "service", "password_file": keystone}},
            "kubernetes": {"bearer": False, "kubernetes": {
                "api_url": self._echo.url, "cluster": "test", "token_file": kubernetes,
                "audiences": ["insula"]}},
            "tls": {"bearer": False, "client_certificate": True, "tls_cert_file": server[0],
                    "tls_key_file": server[1], "tls_client_ca_file": self.lab.ca.file}}

    def _start(self, frontend):
        listeners, log = self._listeners(), {"log_level": "debug"}
        edge = {"credentials": self._hosts(), **log}
        audit = {name: {"audit": {"file": self.lab.path(f"{name}.audit")}} for name in (
            "registry", "gateway", "frontend", "pusher", "rules")}
        self.insula.start_registry(**audit["registry"], **log)
        gateway = self.insula.gateway = self.insula.start_edge(
            "ingest-gateway", "gateway", listeners, **audit["gateway"], **edge)
        self.insula.frontend = self.insula.start_edge(
            "query-frontend", "frontend", listeners, binary=frontend,
            **audit["frontend"], **edge)
        pusher_token = self.canaries.new("token of the federation-pusher")
        self.insula.bind("pusher", {"token_sha256": sha256(pusher_token)})
        self.insula.publish()
        common = {"registry": {"address": self.insula.registry_address()},
                  "grpc": {"listen_address": "127.0.0.1:0"}, **edge}
        rules = self.lab.path("rules")
        self.services = {
            "registry": self.insula.registry, "gateway": gateway,
            "frontend": self.insula.frontend,
            "pusher": Service(self.lab, self.insula.binary("federation-pusher"), "pusher", {
                **common, **audit["pusher"], "gateway": {
                    "write_url":
                        f"http://127.0.0.1:{gateway.ports['token']}/api/v1/write",
                    "token_file": self._file("pusher-token", pusher_token)}}),
            "rules": Service(self.lab, self.insula.binary("rule-sync"), "rules", {
                **common, **audit["rules"], "rules": {"directory": rules},
                "rule_files": {"directory": self.lab.path("rule-files")},
                "targets": {"ledger_file": self.lab.path("ledger.json")}})}

    # Traffic.

    def _send(self, listener, headers=(), tls=None, parameter="explain=0"):
        for port, method, target in (
                (self.insula.frontend.ports[listener], "GET", f"{QUERY}&{parameter}"),
                (self.insula.gateway.ports[listener], "POST", f"/api/v1/write?{parameter}"),
                (self.insula.frontend.ports[listener], "GET", f"/nothing?{parameter}"),
                (self.insula.frontend.ports[listener], "POST", "/api/v1/query_range")):
            answer = send(port, method, target, headers, b"\xff\x00" if method == "POST"
                          else b"", tls)
            self.answers.append(answer.body + str(answer.headers).encode())
            self.last = answer.status if target.startswith(QUERY) else self.last

    def expect(self, status, *arguments, **more):
        self.last = 0
        self._send(*arguments, **more)
        if status != self.last:
            raise AssertionError(f"{arguments}: {self.last}, not {status}")

    def good_requests(self):
        chosen = ("X-Scope-OrgID", "red")
        self.expect(200, "token", [("Authorization", f"Bearer {self.token}"), chosen])
        self.expect(200, "token", [("X-API-Key", self.key)])
        login = base64.b64encode(f"alice:{self.password}".encode()).decode()
        self.expect(200, "basic", [("Authorization", f"Basic {login}")])
        jwt = self.issuer.keys[0].sign(self.issuer.claims("red", "insula"))
        self.canaries.note("JWT", jwt.split(".")[2])
        self.expect(200, "jwt", [("Authorization", f"Bearer {jwt}")])
        self.expect(200, "tls", tls=client_tls(self.lab.ca.file, self.pair))

    def bad_requests(self):
        new = self.canaries.new
        for scheme in ("Bearer", "Basic", "Digest", ""):
            for listener in ("token", "basic", "jwt", "keystone", "kubernetes"):
                secret = new(f"{scheme or 'bare'} to {listener}")
                if scheme == "Basic":
                    secret = base64.b64encode(f"bob:{secret}".encode()).decode()
                value = f"{scheme} {secret}".strip()
                self._send(listener, [("Authorization", value)])
                self._send(listener, [("Authorization", value), ("Authorization", value)])
        for header in ("X-Auth-Token", "X-API-Key", "X_API_Key", "X-Scope-OrgID", "Cookie",
                       "Proxy-Authorization"):
            for listener in ("token", "keystone"):
                secret = new(f"{header} to {listener}")
                # Who takes a credential for a tenant is told what was wrong with it.
                if header == "X-Scope-OrgID":
                    continue
                self._send(listener, [(header, secret)])
                self._send(listener, [(header, secret), (header, secret)])
        self._send("token", parameter="access_token=" + new("token in a URL"))
        # Known, and not for this tenant; with a store that is gone; in two places.
        token = ("Authorization", f"Bearer {self.token}")
        self._send("token", [token, ("X-Scope-OrgID", "green")])
        self._send("token", [token, ("X-API-Key", self.key)])
        self._send("token", [token, ("X-Scope-OrgID", "red")], parameter="timeout=nonsense")

    def outgoing_requests(self):
        """Of all services that ask somebody, with each credential."""
        for tenant in self._OUTGOING:
            headers = [("Authorization", f"Bearer {self.token}"), ("X-Scope-OrgID", tenant)]
            for ask in (self.insula.query, self.insula.write):
                answer = ask("token", headers)
                self.answers.append(answer.body + str(answer.headers).encode())
                if (answer.status >= 400) != (tenant == "lost"):
                    raise AssertionError(f"{tenant}: {answer}")
        for tenant in ("basic", "oauth"):
            for what in ("api/v1/query", "write", "federate", "api/v1/rules"):
                wait_until(f"a request for {what} of {tenant}", lambda: any(
                    path.startswith(f"/{tenant}/{what}") for path in self.far.paths()))
        # Whose credential can't be had is not asked.
        if any(path.startswith("/lost") for path in self.far.paths()):
            raise AssertionError(self.far.paths())

    def store_gone(self):
        store = next(each for each in self.lab.processes if each.name == "store")
        store.stop()
        self._send("token", [("Authorization", f"Bearer {self.token}"),
                             ("X-Scope-OrgID", "red")])

    def wrong_resources(self):
        """Secrets where the registry expects a hash."""
        for name, fact in (("wrong-1", {"token_sha256": self.canaries.new("token for a hash")}),
                           ("wrong-2", {"api_key_sha256": self.canaries.new("key for a hash")}),
                           ("wrong-3", {"basic": {"user": "eve", "bcrypt_hash":
                                             self.canaries.new("password for a hash")}})):
            self.insula.bind(name, fact)
            self.insula.publish()
            self.canaries.files.add(self.lab.path("tenants.yaml"))
            self.services["registry"].process.wait_for(
                f"a refusal of {name}", lambda name=name: name.encode() in self._errors())
            del self.insula.objects["Binding", name]
        self.insula.publish()

    def _errors(self):
        with open(self.insula.registry.process.output[1], "rb") as file:
            return file.read()

    def search(self):
        find = self.canaries
        found = [line for answer in self.answers for line in find.find(answer, "an answer")]
        for name, service in self.services.items():
            found += find.search_admin(name, service.ports["admin"])
            found += find.search_process(service.process)
        for service in self.services.values():
            service.process.stop()
        # Logs, the registry's store, copies of it, rule files.
        found += find.search_directory(self.lab.directory)
        return sorted(set(found))


class CanaryTest(unittest.TestCase):

    def test_no_secret_shows_anywhere(self):
        with Lab() as lab:
            plant = _Plant(lab)
            plant.good_requests()
            plant.bad_requests()
            plant.wrong_resources()
            plant.outgoing_requests()
            plant.store_gone()
            self.assertGreater(len(plant.answers), 100)
            self.assertEqual(plant.search(), [])
            for name in ("registry", "gateway", "frontend", "pusher", "rules"):
                # Something was there to be searched.
                self.assertGreater(os.path.getsize(lab.path(f"{name}.err")), 0, name)
            for name in ("registry.db", "registry.audit", "gateway.audit", "frontend.audit"):
                self.assertGreater(os.path.getsize(lab.path(name)), 0, name)

    def test_secrets_that_show_themselves_are_found(self):
        with Lab() as lab:
            plant = _Plant(lab, _SHOWN)
            plant.good_requests()
            plant.bad_requests()
            plant.outgoing_requests()
            found = "\n".join(plant.search())
            log = lab.path("frontend.err")
            for name in ("password", "bcrypt hash", "Keystone password",
                         "Bearer to keystone", "Bearer to kubernetes",
                         "Basic to basic",
                         "outgoing bearer token", "outgoing password",
                         "outgoing header to basic", "OAuth2 secret", "OAuth2 token",
                         "refused OAuth2 secret"):
                self.assertIn(f"{log}: has {name}", found)

    def test_the_search_looks_everywhere(self):
        with Lab() as lab:
            canaries = Canaries()
            secret = canaries.new("it")
            with subprocess.Popen(["cat", "-", secret], stdin=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL) as process:
                # Both are empty for a moment after the start.
                wait_until("a finding", lambda: canaries.search_process(process))
                process.stdin.close()
            with subprocess.Popen(["cat"], stdin=subprocess.PIPE,
                                  env={"TOKEN": secret}) as process:
                # Both are empty for a moment after the start.
                wait_until("a finding", lambda: canaries.search_process(process))
                process.stdin.close()
            for form in (secret, base64.b64encode(secret.encode()).decode(),
                         secret.encode().hex(), secret[:14]):
                lab.write("below/file", f"text {form} text")
                self.assertTrue(canaries.search_directory(lab.directory), form)
            canaries.files.add(lab.path("below/file"))
            self.assertEqual(canaries.search_directory(lab.directory), [])


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__.strip())
    _BIN, _SHOWN = (os.path.abspath(sys.argv.pop(1)) for _ in range(2))
    unittest.main()
