#!/usr/bin/python3
"""sender_stores_test BIN_DIR [unittest arguments]

A stock Prometheus scrapes several targets every second and writes through the gateway
into a stock Prometheus and a stock VictoriaMetrics. On the way the gateway is restarted
and killed, and each store is away for a while. Afterwards each store has what the sender
itself has stored, every sample of every series.

The environment's SENDER_MINUTES says for how long, 1 if it does not."""

import collections
import contextlib
import http.server
import json
import math
import os
import re
import signal
import struct
import sys
import threading
import time
import unittest
import urllib.parse

sys.dont_write_bytecode = True
_TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(_TESTS, each) for each in ("compliance", "identity")]

import wire  # noqa: E402
from insula import Service  # noqa: E402
from processes import Lab, claim_ports, send, sha256, wait_until  # noqa: E402

_BIN = ""
_SCRAPES = round(60 * float(os.environ.get("SENDER_MINUTES", "1")))
_SPAN = f"{_SCRAPES // 60 + 30}m"
_TEAMS = ("red", "blue")
_STALE = struct.pack("<Q", wire.STALE)
# A busy machine scrapes late, and a killed gateway is waited for.
_PATIENCE = 120 + 3 * _SCRAPES


class Exporter:
    """A target whose values are what is easily lost: it counts its scrapes by path."""

    # Not -0, which Prometheus 2.42 sends as 0, nor less than about 1e-290: VictoriaMetrics has
    # 18 digits to spare when it merges blocks.
    ODD = ("NaN", "+Inf", "-Inf", "0", "2.3e-280", "1.7976931348623157e+308",
           "0.30000000000000004", "9007199254740993", "-1e-7")

    def __init__(self):
        self._lock = threading.Lock()
        self.scrapes = collections.Counter()
        exporter = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = exporter.page(self.path).encode()
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

    def page(self, path):
        with self._lock:
            self.scrapes[path] += 1
            count = self.scrapes[path]
        lines = ["# TYPE scrapes counter",
                 f'scrapes_total {count} # {{trace_id="{count:08x}"}} {count / 3}',
                 f"unsteady {count * 0.1}"]
        lines += [f'odd{{which="{which}"}} {text}' for which, text in enumerate(self.ODD)]
        # Series that end: each leaves a stale marker.
        lines += [f'passing{{turn="{count // 7}"}} 1', f'blinking {count}' if count % 3 else ""]
        return "\n".join(line for line in [*lines, "# EOF"] if line) + "\n"

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def say(text, _begun=time.monotonic()):
    print(f"{time.monotonic() - _begun:6.1f} s  {text}", flush=True)


def number(value):
    """Out of the bits of a float, or of text."""
    return struct.unpack("<d", value)[0] if isinstance(value, bytes) else float(value)


def is_near(one, other):
    """VictoriaMetrics keeps 12 digits; what is not a number it does not tell apart."""
    return (math.isnan(one) and math.isnan(other) or
            math.isclose(one, other, rel_tol=1e-11, abs_tol=0))


def adopt(sent, stored):
    """`stored` with the numbers of `sent` in place of those that are near them."""
    out = {}
    for labels, samples in stored.items():
        near = dict(sent.get(labels, ()))
        out[labels] = [(at, near[at] if at in near and is_near(number(near[at]), number(text))
                        else text) for at, text in samples]
    return out


def metric(text, name):
    """The sum over a metric's series in exposition text; None if it has none."""
    found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
    return sum(map(float, found)) if found else None


class SenderStoresTest(unittest.TestCase):

    def setUp(self):
        self.lab = self.enterContext(Lab())
        self.exporter = Exporter()
        self.addCleanup(self.exporter.close)
        names = ("sender", "node", "red", "blue", "write", "registry")
        self.ports = dict(zip(names, claim_ports(len(names))))

    # Processes.

    def start_all(self):
        self.start_red()
        self.start_blue()
        self.start_registry()
        self.start_gateway()
        self.lab.start("node", [
            "/usr/bin/prometheus-node-exporter", "--collector.disable-defaults",
            "--collector.cpu", "--collector.meminfo", "--collector.loadavg", "--collector.stat",
            f"--web.listen-address=127.0.0.1:{self.ports['node']}"])
        self.start_prometheus("sender", self.sender_config())

    def start_prometheus(self, name, config, *more):
        path = self.lab.write(f"{name}.yml", json.dumps(config))
        process = self.lab.start(name, [
            "/usr/bin/prometheus", f"--config.file={path}",
            f"--storage.tsdb.path={self.lab.path(name + '-tsdb')}",
            f"--web.listen-address=127.0.0.1:{self.ports[name]}", "--log.level=warn",
            "--enable-feature=exemplar-storage", *more])
        process.wait_for("readiness", lambda: self.is_up(name, "/-/ready"))
        return process

    def start_red(self):
        self.red = self.start_prometheus("red", {"global": {"scrape_interval": "1h"}},
                                         "--web.enable-remote-write-receiver")

    def start_blue(self):
        self.blue = self.lab.start("blue", [
            "/usr/bin/victoria-metrics", f"-storageDataPath={self.lab.path('blue-data')}",
            f"-httpListenAddr=127.0.0.1:{self.ports['blue']}", "-retentionPeriod=1d",
            "-memory.allowedBytes=256MiB", "-search.latencyOffset=0s"])
        self.blue.wait_for("readiness", lambda: self.is_up("blue", "/health"))

    def start_registry(self):
        objects = [("ClaimRule", "by-team", {"label": "team"}),
                   ("Binding", "sender", {
                       "token_sha256": sha256("sender"), "tenant_ids": list(_TEAMS),
                       "roles": ["ROLE_WRITE"], "claim_rule_id": "by-team"})]
        for team in _TEAMS:
            objects += [("Upstream", team, {
                "write_url": f"http://127.0.0.1:{self.ports[team]}/api/v1/write",
                "isolation": "ISOLATION_HEADER"}),
                ("Tenant", team, {"upstream_id": team})]
        resources = self.lab.write("tenants.yaml", "---\n".join(
            json.dumps({"kind": kind, "id": name, "spec": spec}) + "\n"
            for kind, name, spec in objects))
        Service(self.lab, os.path.join(_BIN, "tenant-registry"), "registry",
                {"storage": {"path": self.lab.path("registry.db")},
                 "sources": {"files": [resources]},
                 "grpc": {"listen_address": f"127.0.0.1:{self.ports['registry']}"}})

    def start_gateway(self):
        self.gateway = Service(
            self.lab, os.path.join(_BIN, "ingest-gateway"), "gateway",
            {"registry": {"address": f"127.0.0.1:{self.ports['registry']}",
                          "state_dir": self.lab.path("gateway-state")},
             "grpc": {"listen_address": "127.0.0.1:0"},
             "queue": {"dir": self.lab.path("queue")},
             "listeners": [{"name": "write",
                            "listen_address": f"127.0.0.1:{self.ports['write']}"}]})

    def sender_config(self):
        jobs = []
        for team in _TEAMS:
            for target, port, path in (
                    ("odd", self.exporter.port, f"/{team}"),
                    ("node", self.ports["node"], "/metrics"),
                    ("itself", self.ports["sender"], "/metrics"),
                    # Away for a while.
                    ("store", self.ports["red"], "/metrics")):
                name = f"{team}-{target}"
                targets = self.lab.write(f"targets/{name}.json", json.dumps(
                    [{"targets": [f"127.0.0.1:{port}"], "labels": {"team": team}}]))
                jobs.append({"job_name": name, "metrics_path": path,
                             "file_sd_configs": [{"files": [targets]}]})
        return {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": jobs,
            "remote_write": [{
                "url": f"http://127.0.0.1:{self.ports['write']}/api/v1/write",
                "authorization": {"credentials": "sender"}, "send_exemplars": True,
                "queue_config": {"batch_send_deadline": "1s"}}]}

    # What they say.

    def get(self, name, target):
        return send(self.ports[name], target=target, timeout=300)

    def is_up(self, name, target):
        try:
            return self.get(name, target).status == 200
        except OSError:
            return False

    def query(self, name, query):
        answer = self.get(name, "/api/v1/query?" + urllib.parse.urlencode({"query": query}))
        self.assertEqual(answer.status, 200, answer)
        return json.loads(answer.body)["data"]["result"]

    def metric_of(self, name, metric_name):
        return metric(self.get(name, "/metrics").body.decode(), metric_name)

    def queued(self):
        return metric(self.gateway.admin("/metrics").body.decode(), "insula_spool_records")

    def scraped(self, share):
        """Waits until that share of the scrapes has been made."""
        wait_until(f"{share} of {_SCRAPES} scrapes",
                   lambda: min(self.exporter.scrapes[f"/{team}"] for team in _TEAMS) >=
                   share * _SCRAPES, _PATIENCE)

    # The way.

    def run_through_faults(self):
        self.scraped(0.2)
        begun = time.time()
        self.assertEqual(self.gateway.process.stop(), 0, self.gateway.process.tail())
        self.start_gateway()
        say(f"the gateway was restarted, {time.time() - begun:.1f} s")

        self.scraped(0.4)
        self.blue.stop()
        self.gateway.process.wait_for("a queue", lambda: self.queued() > 2, _PATIENCE)
        waiting = self.queued()
        begun = time.time()
        self.gateway.process.stop(signal.SIGKILL)
        self.start_gateway()
        self.assertGreaterEqual(self.queued(), waiting)
        say(f"the gateway was killed with {waiting:.0f} parts in its queue, "
              f"{time.time() - begun:.1f} s")
        self.scraped(0.6)
        waiting = self.queued()
        self.start_blue()
        say(f"VictoriaMetrics was away, {waiting:.0f} parts wait for it")

        self.scraped(0.75)
        self.red.stop()
        self.scraped(0.85)
        waiting = self.queued()
        self.start_red()
        say(f"Prometheus was away, {waiting:.0f} parts wait for it")
        self.scraped(1)

    def end_scrapes(self):
        """And waits until all that was scraped has been sent and delivered."""
        for name in os.listdir(self.lab.path("targets")):
            self.lab.write(f"targets/{name}", "[]")
        wait_until("stale markers of all series",
                   lambda: not self.query("sender", 'count({team=~".+"})'), _PATIENCE)
        prefix = "prometheus_remote_storage"
        say("the scrapes have ended")
        wait_until("the sender", lambda: (
            self.metric_of("sender", f"{prefix}_samples_pending") == 0 and
            self.metric_of("sender", f"{prefix}_queue_highest_sent_timestamp_seconds") ==
            self.metric_of("sender", f"{prefix}_highest_timestamp_in_seconds")), _PATIENCE)
        self.gateway.process.wait_for("an empty queue", lambda: self.queued() == 0, _PATIENCE)
        say("all is delivered")
        for name in ("samples_failed_total", "samples_dropped_total"):
            self.assertEqual(self.metric_of("sender", f"{prefix}_{name}") or 0, 0, name)

    # What is stored: {labels: [(milliseconds, value)]}.

    def by_query(self, name, team):
        found = {}
        for series in self.query(name, f'{{team="{team}"}}[{_SPAN}]'):
            labels = tuple(sorted(series["metric"].items()))
            self.assertNotIn(labels, found)
            found[labels] = [(round(at * 1000), value) for at, value in series["values"]]
        return found

    def found_in_blue(self, sent):
        """By query, once that is `sent`: what has come is found a moment later."""
        found = {}

        def is_all():
            nonlocal found
            found = adopt(sent, self.by_query("blue", "blue"))
            return found == sent
        with contextlib.suppress(AssertionError):  # The caller says what is missing.
            wait_until("all samples in answers of blue", is_all, 30)
        return found

    def by_read(self, name, team):
        """By remote read, with stale markers; values are the bits of floats."""
        now = int(time.time() * 1000)
        matcher = wire.data(2, "team") + wire.data(3, team)
        query = wire.integer(1, now - 86_400_000) + wire.integer(2, now) + wire.data(3, matcher)
        answer = send(self.ports[name], "POST", "/api/v1/read", [
            ("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")],
            wire.snappy(wire.data(1, query)), timeout=300)
        self.assertEqual(answer.status, 200, answer)
        found = {}
        for result in wire.all_of(wire.unsnappy(answer.body), 1):
            for series in wire.all_of(result, 1):
                labels = tuple(sorted(
                    tuple(text.decode() for _, text in wire.fields(label))
                    for label in wire.all_of(series, 1)))
                self.assertNotIn(labels, found)
                # A value of zero is left out of the message.
                samples = (dict(wire.fields(each)) for each in wire.all_of(series, 2))
                found[labels] = [(each[2], each.get(1, bytes(8))) for each in samples]
        return found

    def exemplars(self, name):
        """{labels: {their exemplars}} of the tenant red."""
        answer = self.get(name, "/api/v1/query_exemplars?" + urllib.parse.urlencode(
            {"query": '{team="red"}', "start": 0, "end": time.time()}))
        self.assertEqual(answer.status, 200, answer)
        return {tuple(sorted(series["seriesLabels"].items())):
                {(each["labels"]["trace_id"], each["value"], each["timestamp"])
                 for each in series["exemplars"]}
                for series in json.loads(answer.body)["data"]}

    def assert_same(self, sent, stored, what):
        """Every sample of each series, once."""
        self.assertEqual(sorted(set(sent) - set(stored))[:5], [], f"{what}: series are missing")
        self.assertEqual(sorted(set(stored) - set(sent))[:5], [], f"{what}: series nobody sent")
        for labels, samples in sent.items():
            if stored[labels] == samples:
                continue
            missing = sorted(set(samples) - set(stored[labels]))
            foreign = sorted(set(stored[labels]) - set(samples))
            self.fail(f"{what}: {dict(labels)}: of {len(samples)} samples are {len(missing)} "
                      f"missing, {missing[:5]}; {len(foreign)} others are there, {foreign[:5]}; "
                      f"{len(stored[labels])} in all")
        count = sum(map(len, sent.values()))
        say(f"{what}: {len(sent)} series, {count} samples, all the same")
        self.assertGreater(count, _SCRAPES * 100)

    def test_every_sample_arrives_once(self):
        self.start_all()
        self.run_through_faults()
        self.end_scrapes()

        exemplars = self.exemplars("sender")
        self.assertEqual(self.exemplars("red"), exemplars)
        (_, found), = exemplars.items()
        self.assertGreater(len(found), 0.8 * _SCRAPES)
        say(f"Prometheus: {len(found)} exemplars, all the same")
        # To the bit, stale markers too.
        self.assert_same(self.by_read("sender", "red"), self.by_read("red", "red"),
                         "Prometheus, by remote read")
        self.assert_same(self.by_query("sender", "red"), self.by_query("red", "red"),
                         "Prometheus, by query")
        # Its queries show stale markers, as NaN. Others that are not a number it leaves out.
        sent = {labels: [(at, value) for at, value in samples
                         if value == _STALE or not math.isnan(number(value))]
                for labels, samples in self.by_read("sender", "blue").items()}
        self.assert_same(sent, self.found_in_blue(sent), "VictoriaMetrics, by query")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    _BIN = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
