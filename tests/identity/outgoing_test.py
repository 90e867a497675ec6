"""outgoing_test BIN_DIR [unittest arguments]

What the services do on their way out, with real TLS: redirects are not followed, refused
addresses are not asked, and the proxy of the environment is used where it must be.
"""

import json
import os
import sys
import time
import unittest

sys.dont_write_bytecode = True

from insula import Insula  # noqa: E402
from issuer import Issuer  # noqa: E402
from outgoing import Host, Proxy  # noqa: E402
from processes import Lab, claim_ports, sha256  # noqa: E402

_BIN = ""
_TOKEN = "outgoing-token-4d1f"
_SECRET = "outgoing-secret-77ac"
# What a query-frontend asks a store of itself.
_PROBES = {"/-/ready", "/api/v1/status/buildinfo"}
_EMPTY = {"status": "success", "data": {"resultType": "vector", "result": []}}
_LATER = "2099-01-01T00:00:00.000000Z"


def _bearer(token=_TOKEN):
    return [("Authorization", f"Bearer {token}")]


def _keystone(request):
    """One user and one token of project red."""
    if request.command == "POST":
        return 201, {"X-Subject-Token": "own"}, {"token": {"expires_at": _LATER}}
    if request.headers["X-Subject-Token"] != _TOKEN:
        return 404, {}, {}
    domain = {"id": "default", "name": "Default"}
    return 200, {}, {"token": {
        "expires_at": _LATER, "user": {"id": "u1", "name": "alice", "domain": domain},
        "project": {"id": "p1", "name": "red", "domain": domain},
        "roles": [{"id": "r1", "name": "member"}]}}


def _kubernetes(request):
    """Knows one token."""
    known = json.loads(request.body)["spec"]["token"] == _TOKEN
    return 201, {}, {
        "kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1",
        "status": {"authenticated": known, "audiences": ["insula"],
                   "user": {"username": "grafana"}}}


class _Out:
    """A query-frontend and an ingest-gateway, for tenants that have a store each."""

    def __init__(self, lab):
        self.lab, self.insula = lab, Insula(lab, _BIN)
        self.insula.bind("red", {"token_sha256": sha256(_TOKEN)})

    def upstream(self, tenant, url):
        self.insula.put("Upstream", tenant, {
            "write_url": f"{url}/api/v1/write", "query_url": url,
            "isolation": "ISOLATION_LABEL"})
        self.insula.put("Tenant", tenant, {"enforced_labels": {"namespace": tenant},
                                           "upstream_id": tenant})
        self.insula.bind(tenant, {"token_sha256": sha256(_TOKEN + tenant)}, (tenant,))

    def start(self, listeners=None, environment=None, gateway=(), frontend=(), **settings):
        listeners = listeners or {"token": {}}
        self.insula.start_registry()
        settings = {"environment": environment, "log_level": "debug", **settings}
        self.insula.frontend = self.insula.start_edge(
            "query-frontend", "frontend", listeners, **settings, **dict(frontend))
        self.insula.gateway = self.insula.start_edge(
            "ingest-gateway", "gateway", listeners, **settings, **dict(gateway))

    def ask(self, tenant):
        """What a query and a write of `tenant` are answered."""
        who = _bearer(_TOKEN + tenant)
        return self.insula.query("token", who).status, self.insula.write("token", who).status

    def log(self, name):
        with open(self.lab.path(f"{name}.err"), encoding="utf-8") as file:
            return file.read()


class OutgoingTest(unittest.TestCase):

    def setUp(self):
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        self.out = _Out(self.lab)

    def test_a_redirect_is_not_followed_and_gets_no_credential(self):
        other = Host(self.lab, "other", "IP:127.0.0.1", lambda _: (200, {}, _EMPTY))
        hosts = {}
        for status in (301, 302, 303, 307, 308):
            place = f"https://127.0.0.1:{other.port}/api/v1/query"
            hosts[status] = Host(self.lab, f"store-{status}", "IP:127.0.0.1",
                                 lambda _, status=status: (status, {"Location": place}, {}))
            self.out.upstream(f"t{status}", f"https://127.0.0.1:{hosts[status].port}")
        good = Host(self.lab, "good", "IP:127.0.0.1", lambda _: (200, {}, _EMPTY))
        self.out.upstream("good", f"https://127.0.0.1:{good.port}")
        secret = self.lab.write("secret", _SECRET)
        self.out.start(credentials=[
            {"url": f"https://127.0.0.1:{host.port}", "bearer_file": secret,
             "tls_ca_file": self.lab.ca.file}
            for host in (good, *hosts.values())])

        self.assertEqual(self.out.ask("good"), (200, 204))
        for status, host in hosts.items():
            query, write = self.out.ask(f"t{status}")
            self.assertIn(query, (502, 503), status)
            self.assertGreaterEqual(write, 400, status)
            self.assertEqual({"/api/v1/query", "/api/v1/write"},
                             set(host.paths()) - _PROBES, status)
        for host in (good, *hosts.values()):
            self.assertEqual({request.headers["Authorization"] for request in host.requests},
                             {f"Bearer {_SECRET}"})
        self.assertEqual(other.requests, [])

    def test_link_local_and_metadata_addresses_are_refused(self):
        urls = {"aws": "http://169.254.169.254", "number": "http://2852039166",
                "mapped": "http://[::ffff:169.254.169.254]", "six": "http://[fd00:ec2::254]",
                "local": "https://[fe80::1]", "alibaba": "http://100.100.100.200"}
        for tenant, url in urls.items():
            self.out.upstream(tenant, url)
        self.out.start()
        for tenant in urls:
            began = time.monotonic()
            query, write = self.out.ask(tenant)
            self.assertIn(query, (502, 503), tenant)
            self.assertGreaterEqual(write, 400, tenant)
            # Nobody was waited for.
            self.assertLess(time.monotonic() - began, 10, tenant)
        self.assertIn("which this service must not connect to", self.out.log("frontend"))

    def test_a_host_that_would_answer_is_not_asked_if_it_is_refused(self):
        here = Host(self.lab, "here", "IP:127.0.0.1,DNS:localhost",
                    lambda _: (200, {}, _EMPTY))
        self.out.upstream("here", f"https://127.0.0.1:{here.port}")
        # A name is refused by its address.
        self.out.upstream("name", f"https://localhost:{here.port}")
        refused = {"refused_networks": ["127.0.0.0/8", "::1"]}
        ca = [{"url": f"https://{host}:{here.port}", "tls_ca_file": self.lab.ca.file}
              for host in ("127.0.0.1", "localhost")]
        self.out.start(frontend={"upstream": refused}, gateway={"write": refused},
                       credentials=ca)
        for tenant in ("here", "name"):
            query, write = self.out.ask(tenant)
            self.assertIn(query, (502, 503), tenant)
            self.assertGreaterEqual(write, 400, tenant)
        self.assertEqual(here.requests, [])

    def test_an_issuer_can_not_send_a_service_to_the_metadata(self):
        issuer = Issuer(self.lab, claim_ports(1)[0])
        issuer.jwks_url = "https://169.254.169.254/latest/meta-data/"
        issuer.start()
        self.out.insula.bind("jwt", {"jwt": {"issuer": issuer.issuer, "claim": "sub",
                                             "value": "red"}})
        self.out.start({"token": {}, "jwt": {"bearer": False, "jwt": [{
            "issuer": issuer.issuer, "audiences": ["insula"],
            "ca_file": self.lab.ca.file}]}})
        token = issuer.keys[0].sign(issuer.claims("red", "insula"))
        answer = self.out.insula.query("jwt", _bearer(token))
        self.assertEqual(answer.status, 503)
        self.assertIn(b"169.254.169.254", answer.body)
        self.assertIn(b"which this service must not connect to", answer.body)

    def test_all_that_is_outside_is_asked_through_the_proxy(self):
        lab, insula, proxy = self.lab, self.out.insula, Proxy(self.lab)
        issuer = Issuer(lab, claim_ports(1)[0], host="issuer.invalid")
        issuer.start()
        hosts = {name: Host(lab, name, f"DNS:{name}.invalid", answer) for name, answer in (
            ("store", lambda _: (200, {}, _EMPTY)), ("keystone", _keystone),
            ("kubernetes", _kubernetes))}
        names = {name: f"{name}.invalid:443" for name in hosts}
        names["issuer"] = f"issuer.invalid:{issuer.port}"
        for name, host in hosts.items():
            proxy.known[names[name]] = host.port
        proxy.known[names["issuer"]] = issuer.port

        self.out.upstream("far", "https://store.invalid")
        self.out.upstream("metadata", "http://metadata.google.internal")
        self.out.upstream("number", "http://2852039166")
        insula.bind("jwt", {"jwt": {"issuer": issuer.issuer, "claim": "sub",
                                    "value": "red"}}, ("far",))
        insula.bind("keystone", {"keystone": {"auth_url": "https://keystone.invalid",
                                              "project_id": "p1"}}, ("far",))
        insula.bind("kubernetes", {"kubernetes": {"cluster": "test", "user": "grafana"}},
                    ("far",))
        ca = {"ca_file": lab.ca.file}
        self.out.start({
            "token": {},
            "jwt": {"bearer": False, "jwt": [{
                "issuer": issuer.issuer, "audiences": ["insula"], **ca}]},
            "keystone": {"bearer": False, "keystone": {
                "auth_url": "https://keystone.invalid", "user_name": "insula",
                "project_name": "service",
                "password_file": lab.write("password", "p"), **ca}},
            "kubernetes": {"bearer": False, "kubernetes": {
                "api_url": "https://kubernetes.invalid", "cluster": "test",
                "token_file": lab.write("token", "t"), "audiences": ["insula"], **ca}},
        }, proxy.environment(os.environ), credentials=[
            {"url": "https://store.invalid", "tls_ca_file": lab.ca.file}])

        # The registry was reached, and not through the proxy.
        self.assertEqual(self.out.ask("far"), (200, 204))
        self.assertNotIn(insula.registry_address(), proxy.asked)
        token = issuer.keys[0].sign(issuer.claims("red", "insula"))
        for listener, headers in (("jwt", _bearer(token)),
                                  ("keystone", [("X-Auth-Token", _TOKEN)]),
                                  ("kubernetes", _bearer())):
            self.assertEqual(insula.query(listener, headers).status, 200, listener)
        self.assertEqual(set(names.values()), set(proxy.asked))
        # Names that the proxy would look up.
        for tenant in ("metadata", "number"):
            query, write = self.out.ask(tenant)
            self.assertIn(query, (502, 503), tenant)
            self.assertGreaterEqual(write, 400, tenant)
        self.assertEqual(set(names.values()), set(proxy.asked))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    _BIN = os.path.abspath(sys.argv.pop(1))
    unittest.main()
