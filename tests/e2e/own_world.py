"""Two stock Prometheus: `mixed` has the targets, rules and series of red and blue, `alone`
those of red. A query-frontend stands before `mixed`, with a token for each team, "both"
for the two together, "operator" for those who run it."""

import http.server
import json
import os
import sys
import threading
import time
import unittest
import urllib.parse

sys.dont_write_bytecode = True
_TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(_TESTS, "identity")]

from insula import Service  # noqa: E402
from processes import Lab, claim_ports, send, sha256, wait_until  # noqa: E402

BINARIES = [""]  # Where the services are; set by the program.
TEAMS = ("red", "blue")
CANARY = "canary5c1e"
_FORM = ("Content-Type", "application/x-www-form-urlencoded")


class Exporter:
    """A page for each team, with the time of its samples, so that all who scrape it store
    the same. What blue's has in place of red's is full of canaries."""

    def __init__(self):
        self.at = int(time.time()) - 20
        exporter = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = exporter.page(self.path.strip("/")).encode()
                self.send_response(200)
                self.send_header("Content-Type",
                                 "application/openmetrics-text; version=1.0.0; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def page(self, team):
        text = "plain" if team == "red" else CANARY
        at = f"{self.at}.000"
        return "\n".join([
            f"# TYPE shared gauge\n# HELP shared of both, as {text} has it",
            f'shared{{pod="1",note="{text}"}} 1.5 {at}',
            f'shared{{pod="2"}} -2 {at}',
            f"# TYPE of_{text} counter\n# HELP of_{text} of one alone",
            f'of_{text}_total 7 {at} # {{trace_id="{text}"}} 3 {at}',
            "# TYPE took histogram\n# HELP took h",
            f'took_bucket{{le="1.0"}} 2 {at} # {{trace_id="{text}-slow"}} 0.5 {at}',
            f'took_bucket{{le="+Inf"}} 3 {at}', f"took_count 3 {at}", f"took_sum 4.25 {at}",
            "# EOF"]) + "\n"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def rules_of(team):
    text = "plain" if team == "red" else CANARY
    labels = {"namespace": team}
    own = f'{{namespace="{team}",job="{team}"}}'
    return {"groups": [
        {"name": "shared", "interval": "1s", "rules": [
            {"record": "team:shared:sum", "expr": f"sum(shared{own})", "labels": labels},
            {"alert": "Low", "expr": f"shared{own} < 0", "labels": {**labels, "severity": text},
             "annotations": {"summary": f"{text} at {{{{ $value }}}}"}},
            {"alert": "Never", "expr": f"shared{own} > 1e9", "labels": labels}]},
        {"name": text, "interval": "1s", "rules": [
            {"record": f"team:{text}", "expr": f"of_{text}_total{own}", "labels": labels}]}]}


class OwnWorld(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab())
        cls.exporter = Exporter()
        cls.addClassCleanup(cls.exporter.close)
        names = ("mixed", "alone", "registry", "reader", "tagged")
        cls.ports = dict(zip(names, claim_ports(len(names))))
        for team in TEAMS:
            cls.lab.write(f"rules/{team}.yml", json.dumps(rules_of(team)))
        cls.start_prometheus("mixed", cls.config(TEAMS))
        cls.start_prometheus("alone", cls.config(("red",)))
        cls.start_insula()
        for name in ("mixed", "alone"):
            wait_until(f"alerts and rules of {name}", lambda name=name: cls.settled(name))

    @classmethod
    def config(cls, teams):
        return {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [cls.lab.path(f"rules/{team}.yml") for team in teams],
            "scrape_configs": [
                {"job_name": team, "metrics_path": f"/{team}", "static_configs": [
                    {"targets": [f"127.0.0.1:{cls.exporter.port}"],
                     "labels": {"namespace": team}}]} for team in teams]}

    @classmethod
    def start_prometheus(cls, name, config):
        path = cls.lab.write(f"{name}.yml", json.dumps(config))
        process = cls.lab.start(name, [
            "/usr/bin/prometheus", f"--config.file={path}",
            f"--storage.tsdb.path={cls.lab.path(name + '-tsdb')}",
            f"--web.listen-address=127.0.0.1:{cls.ports[name]}", "--log.level=warn",
            "--enable-feature=exemplar-storage",
            # The exporter's samples do not get younger, however long the tests take.
            "--query.lookback-delta=1h"])
        process.wait_for("readiness", lambda: cls.is_ready(name))
        return process

    @classmethod
    def is_ready(cls, name):
        try:
            return send(cls.ports[name], target="/-/ready").status == 200
        except OSError:
            return False

    @classmethod
    def start_insula(cls):
        objects = [("Upstream", "store", {"query_url": f"http://127.0.0.1:{cls.ports['mixed']}",
                                          "isolation": "ISOLATION_LABEL"})]
        for team in TEAMS:
            objects += [
                ("Tenant", team, {"enforced_labels": {"namespace": team},
                                  "upstream_id": "store"}),
                ("Binding", team, {"token_sha256": sha256(team), "tenant_ids": [team],
                                   "roles": ["ROLE_READ"]})]
        objects.append(("Binding", "operator", {"token_sha256": sha256("operator"),
                                                "roles": ["ROLE_OPERATOR"]}))
        objects.append(("Binding", "both", {"token_sha256": sha256("both"), "tenant_ids": TEAMS,
                                            "roles": ["ROLE_READ"]}))
        resources = cls.lab.write("tenants.yaml", "---\n".join(
            json.dumps({"kind": kind, "id": name, "spec": spec}) + "\n"
            for kind, name, spec in objects))
        Service(cls.lab, os.path.join(BINARIES[0], "tenant-registry"), "registry",
                {"storage": {"path": cls.lab.path("registry.db")},
                 "sources": {"files": [resources]},
                 "grpc": {"listen_address": f"127.0.0.1:{cls.ports['registry']}"}})
        cls.frontend = Service(
            cls.lab, os.path.join(BINARIES[0], "query-frontend"), "frontend",
            {"registry": {"address": f"127.0.0.1:{cls.ports['registry']}"},
             "grpc": {"listen_address": "127.0.0.1:0"},
             "api": {"request_log": True, "metadata_help": True, "target_details": True, "federate": True,
                     "remote_read": True},
             "listeners": [{"name": "query", "listen_address": "127.0.0.1:0"}]})
        cls.ports["frontend"] = cls.frontend.ports["query"]

    @classmethod
    def settled(cls, name):
        answer = cls.ask(name, "alerts")
        firing = [each for each in answer["data"]["alerts"] if each["state"] == "firing"]
        names = cls.ask(name, "label/__name__/values")["data"]
        return (len(firing) == (2 if name == "mixed" else 1) and "team:plain" in names
                and "ALERTS" in names)

    @classmethod
    def send_to(cls, name, path, params=(), method="GET", token="red"):
        form = urllib.parse.urlencode(params)
        headers = [("Authorization", f"Bearer {token}")] if name == "frontend" else []
        target = path if path.startswith("/") else f"/api/v1/{path}"
        if method == "GET":
            return send(cls.ports[name], target=target + ("?" + form if form else ""),
                        headers=headers)
        return send(cls.ports[name], method=method, target=target, headers=[*headers, _FORM],
                    body=form.encode())

    @classmethod
    def ask(cls, name, path, params=(), method="GET", token="red"):
        return json.loads(cls.send_to(name, path, params, method, token).body)
