"""The servers of the suite: three stores, Prometheus if nothing else is said, a tenant-registry
and a query-frontend."""

import json
import os
import urllib.parse

import world
from insula import Service
from processes import send, sha256

_TENANTS = ("red", "blue", "green")
_READERS = (*_TENANTS, "amber")


class Stage:
    """`mixed` has all series, rules and targets; `red`, `green` and `amber` what those may
    read."""

    def __init__(self, lab, bin_dir, test_bin_dir, claim_ports):
        self._lab = lab
        self._bin = bin_dir
        self._test_bin = test_bin_dir
        names = ("mixed", "red", *world.READERS, "registry")
        self._ports = dict(zip(names, claim_ports(len(names))))
        self._frontend = None
        self._frontends = 0
        series = world.make_series()
        self._start_store("mixed", series, _TENANTS)
        self._start_store("red", [each for each in series
                                  if each[0]["namespace"] == "red"])
        for name, may_read in world.READERS.items():
            self._start_store(name, [each for each in series if may_read(each[0])])
        self._start_registry()

    # What the upstream is beside a URL.
    _UPSTREAM = {}

    def _start_store(self, name, series, tenants=()):
        directory = self._lab.path(f"{name}-tsdb")
        self._lab.run("/usr/bin/promtool", "tsdb", "create-blocks-from", "openmetrics",
                      self._lab.write(f"{name}.om", world.open_metrics(series)), directory)
        config = {
            "global": {"scrape_interval": "5s", "evaluation_interval": "1s"},
            "rule_files": [self._lab.write(f"{name}-{each}.rules", json.dumps(_rules(each)))
                           for each in tenants],
            # Nobody listens there. What counts is what is said of them.
            "scrape_configs": [
                {"job_name": each, "static_configs": [
                    {"targets": ["127.0.0.1:1"],
                     "labels": {"namespace": each, "owner": _word(each)}}]}
                for each in tenants]}
        process = self._lab.start(name, [
            "/usr/bin/prometheus", f"--config.file={self._lab.write(name, json.dumps(config))}",
            f"--storage.tsdb.path={directory}", "--storage.tsdb.retention.time=3650d",
            f"--web.listen-address=127.0.0.1:{self._ports[name]}", "--log.level=warn"])

        def ready():
            try:
                if send(self._ports[name], target="/-/ready").status != 200:
                    return False
                alerts = json.loads(send(self._ports[name], target="/api/v1/alerts").body)
                return len(alerts["data"]["alerts"]) == len(tenants)
            except OSError:
                return False

        process.wait_for("readiness", ready)

    def _start_registry(self):
        objects = [("Upstream", "store",
                    {"query_url": f"http://127.0.0.1:{self._ports['mixed']}",
                     "isolation": "ISOLATION_LABEL", **self._UPSTREAM})]
        for each in _READERS:
            objects += [
                ("Tenant", each, {"enforced_labels": {"namespace": each},
                                  "upstream_id": "store"}),
                ("Binding", each, {"token_sha256": sha256(each), "tenant_ids": [each],
                                   "roles": ["ROLE_READ"]})]
        objects += [("Access", f"{reader}/{number}",
                     {"tenant_id": reader, "source_tenant_ids": [source],
                      "selectors": [selector]})
                    for reader, grants in world.GRANTS.items()
                    for number, (source, selector) in enumerate(grants)]
        resources = self._lab.write("tenants.yaml", "---\n".join(
            json.dumps({"kind": kind, "id": name, "spec": spec}) + "\n"
            for kind, name, spec in objects))
        Service(self._lab, os.path.join(self._bin, "tenant-registry"), "registry",
                {"storage": {"path": self._lab.path("registry.db")},
                 "sources": {"files": [resources]},
                 "grpc": {"listen_address": f"127.0.0.1:{self._ports['registry']}"}})

    def start_frontend(self, cache=False):
        """The ports of all. With `cache` it keeps what it has answered."""
        return self._start(os.path.join(self._bin, "query-frontend"), cache)

    def start_broken(self):
        """With one that confines nothing."""
        return self._start(os.path.join(self._test_bin, "query-frontend-broken"), False)

    def start_faulty(self, fault, cache=False):
        """With one that has this fault."""
        return self._start(os.path.join(self._test_bin, "query-frontend-faulty"), cache,
                           {**os.environ, "INSULA_FAULT": fault})

    def _start(self, binary, cache, environment=None):
        self._frontends += 1
        name = f"frontend-{self._frontends}"
        self._frontend = Service(
            self._lab, binary, name,
            {"registry": {"address": f"127.0.0.1:{self._ports['registry']}",
                          "state_dir": self._lab.path(f"{name}.state")},
             "grpc": {"listen_address": "127.0.0.1:0"},
             "api": {"target_details": True, "federate": True, "remote_read": True},
             "cache": {"enabled": cache},
             "listeners": [{"name": "query", "listen_address": "127.0.0.1:0"}]}, environment)
        return {**self._ports, "frontend": self._frontend.ports["query"]}

    def metrics(self):
        """The text of the frontend's."""
        return self._frontend.admin("/metrics").body.decode()

    def stop_frontend(self):
        self._frontend.process.stop()


class VictoriaMetricsStage(Stage):
    """The same with VictoriaMetrics, which have no rules and targets."""

    _UPSTREAM = {"query_store": "QUERY_STORE_VICTORIA_METRICS"}

    def _start_store(self, name, series, tenants=()):
        process = self._lab.start(name, [
            "/usr/bin/victoria-metrics", f"-storageDataPath={self._lab.path(name)}",
            f"-httpListenAddr=127.0.0.1:{self._ports[name]}", "-retentionPeriod=100y",
            "-memory.allowedBytes=128MiB", "-search.latencyOffset=0s"])

        def get(target, method="GET", body=b""):
            try:
                return send(self._ports[name], method, target, body=body)
            except OSError:
                return None

        def ready():
            answer = get("/health")
            return answer is not None and answer.status == 200

        def found():
            get("/internal/force_flush")
            answer = get("/api/v1/series?" + urllib.parse.urlencode(
                {"match[]": '{__name__!=""}', "start": world.START,
                 "end": world.START + world.SECONDS}))
            return answer is not None and len(json.loads(answer.body)["data"]) == len(series)

        process.wait_for("readiness", ready)
        text = world.open_metrics(series, unit=1000).encode()
        assert get("/api/v1/import/prometheus", "POST", text).status == 204
        process.wait_for("its series", found)


def _word(tenant):
    return world.CANARY if tenant == "blue" else "plain"


def _rules(tenant):
    labels = {"namespace": tenant, "owner": _word(tenant)}
    return {"groups": [{"name": f"{tenant}-{_word(tenant)}", "rules": [
        {"record": f"of:{_word(tenant)}", "expr": "vector(1)", "labels": labels},
        {"alert": "Firing", "expr": "vector(1)", "labels": labels,
         "annotations": {"summary": _word(tenant)}}]}]}
