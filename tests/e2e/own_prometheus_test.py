#!/usr/bin/python3
"""own_prometheus_test BIN_DIR [unittest arguments]

Two stock Prometheus: `mixed` has the targets, rules and series of red and blue, `alone`
those of red. What red is told by the query-frontend in front of `mixed` has to be what
`alone` says, endpoint by endpoint, and nothing of blue may be in it."""

import json
import sys
import unittest
import urllib.parse

sys.dont_write_bytecode = True

import own_world  # noqa: E402
from own_world import CANARY, TEAMS, OwnWorld, send, wait_until  # noqa: E402

# What depends on when a server has scraped or evaluated.
_VOLATILE = {"lastScrape", "lastScrapeDuration", "evaluationTime", "lastEvaluation", "activeAt",
             "droppedTargetCounts"}


def _varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _take_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def _bytes_field(number, data):
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _snappy(data):
    """A block of literals."""
    out = _varint(len(data))
    for at in range(0, len(data), 60):
        part = data[at:at + 60]
        out += bytes([(len(part) - 1) << 2]) + part
    return out


def _fields(data):
    """(number, value) of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = _take_varint(data, at)
        value, at = _take_varint(data, at)
        if tag & 7 == 2:
            value, at = data[at:at + value], at + value
        yield tag >> 3, value


def read_request(matchers, start, end):
    """A prometheus.ReadRequest for chunks; `matchers` are (type, name, value)."""
    query = b"\x08" + _varint(start) + b"\x10" + _varint(end) + b"".join(
        _bytes_field(3, b"\x08" + _varint(kind) + _bytes_field(1 + 1, name.encode()) +
                     _bytes_field(3, value.encode())) for kind, name, value in matchers)
    return _snappy(_bytes_field(1, query) + b"\x10\x01")


def chunks_of(body):
    """{labels: the chunks} of the frames of a ChunkedReadResponse."""
    found, at = {}, 0
    while at < len(body):
        size, at = _take_varint(body, at)
        frame, at = body[at + 4:at + 4 + size], at + 4 + size
        for number, series in _fields(frame):
            if number == 1:
                labels = tuple(value for kind, value in _fields(series) if kind == 1)
                found.setdefault(labels, []).extend(
                    value for kind, value in _fields(series) if kind == 2)
    return found


def steady(value):
    """`value` without what depends on the moment, lists of objects in one order."""
    if isinstance(value, dict):
        return {name: steady(each) for name, each in value.items() if name not in _VOLATILE}
    if isinstance(value, list):
        return sorted((steady(each) for each in value), key=json.dumps) \
            if all(isinstance(each, (dict, str)) for each in value) else value
    return value


class OwnPrometheusTest(OwnWorld):
    maxDiff = None

    def assert_own(self, path, params=(), method="GET", find=None):
        """Both say the same; `find` is in it, to show that there was something to say."""
        answer = self.send_to("frontend", path, params, method)
        told = steady(json.loads(answer.body))
        alone = steady(self.ask("alone", path, params, method))
        if path == "rules":  # Later versions leave out groups without rules, too.
            alone["data"]["groups"] = [each for each in alone["data"]["groups"] if each["rules"]]
        self.assertEqual(told, alone, f"{path} {params}")
        self.assertNotIn(CANARY.encode(), answer.body, f"{path} {params}")
        if find is not None:
            self.assertIn(find.encode(), answer.body, f"{path} {params}")
        # The other's whole world has canaries at the same place.
        other = self.send_to("mixed", path, params, method).body
        return CANARY.encode() in other

    def test_queries(self):
        at = ("time", self.exporter.at + 10)
        for query, find in (("shared", "plain"), ("shared[1m]", "plain"), ("(shared)", "plain"),
                            ("sum(shared)", "-0.5"), ("count({job=~'.+'}) by (job)", "red"),
                            ("team:shared:sum", None), ("1 + 1", "2"),
                            ("topk(scalar(count(shared)), shared)", "plain")):
            for method in ("GET", "POST"):
                self.assert_own("query", [("query", query), at], method, find)
        self.assert_own("query_range", [("query", "shared"), ("start", self.exporter.at),
                                        ("end", self.exporter.at + 60), ("step", "15s")],
                        find="plain")
        for wrong in ("up{", "sum(", "rate(up)", ""):
            told, alone = (self.ask(each, "query", [("query", wrong)])
                           for each in ("frontend", "alone"))
            self.assertEqual((told["status"], told["errorType"]), ("error", "bad_data"), wrong)
            self.assertEqual(alone["errorType"], "bad_data", wrong)

    def test_series_labels_and_values(self):
        self.assertTrue(self.assert_own("series", [("match[]", '{__name__=~".+"}')], find="plain"))
        self.assertTrue(self.assert_own(
            "series", [("match[]", "shared"), ("match[]", 'up{job="blue"}')], "POST", "plain"))
        self.assert_own("labels", find="note")
        self.assert_own("labels", [("match[]", "shared")], "POST", find="note")
        self.assertTrue(self.assert_own("label/__name__/values", find="of_plain_total"))
        self.assertTrue(self.assert_own("label/note/values", find="plain"))
        self.assert_own("label/namespace/values", find="red")
        self.assert_own("label/nothing/values")

    def test_exemplars(self):
        span = [("start", self.exporter.at - 60), ("end", self.exporter.at + 60)]
        for query in ("took_bucket", "rate(of_plain_total[1m])", '{__name__=~".+"}',
                      "histogram_quantile(0.5, sum(rate(took_bucket[1m])) by (le))",
                      "topk(scalar(sum(took_bucket)), of_plain_total)"):
            self.assert_own("query_exemplars", [("query", query), *span], find="plain")
        self.assertTrue(self.assert_own("query_exemplars", [("query", '{job=~".+"}'), *span]))
        self.assert_own("query_exemplars", [("query", 'took_bucket{namespace="blue"}'), *span])

    def test_metadata(self):
        told = self.ask("frontend", "metadata")["data"]
        alone = self.ask("alone", "metadata")["data"]
        # The help text of a shared name is not taken apart.
        self.assertEqual(set(told), set(alone))
        del told["shared"], alone["shared"]
        self.assertEqual(steady(told), steady(alone))
        self.assertIn("took", told)
        self.assert_own("metadata", [("metric", "of_plain")], find="of one alone")
        self.assert_own("metadata", [("metric", f"of_{CANARY}")])
        self.assertEqual(len(self.ask("frontend", "metadata", [("limit", 1)])["data"]), 1)

    def test_targets(self):
        self.assertTrue(self.assert_own("targets/metadata", find="plain"))
        self.assert_own("targets/metadata", [("match_target", '{job="red"}'), ("metric", "took")],
                        find="histogram")
        self.assert_own("targets/metadata", [("match_target", '{job="blue"}')])
        self.assert_own("targets", find="/red")
        self.assert_own("targets", [("state", "active")])
        self.assert_own("targets", [("state", "dropped")])

    def test_rules_and_alerts(self):
        self.assertTrue(self.assert_own("rules", find="Never"))
        self.assertTrue(self.assert_own("rules", [("type", "alert")], find="Low"))
        self.assertTrue(self.assert_own("rules", [("type", "record")], find="team:plain"))
        self.assertTrue(self.assert_own("alerts", find="Low"))
        first = self.ask("frontend", "rules", [("group_limit", 1)])["data"]
        self.assertEqual([each["name"] for each in first["groups"]], ["plain"])
        rest = self.ask("frontend", "rules", [
            ("group_limit", 1), ("group_next_token", first["groupNextToken"])])["data"]
        self.assertEqual([each["name"] for each in rest["groups"]], ["shared"])
        self.assertNotIn("groupNextToken", rest)

    def test_federation(self):
        params = [("match[]", '{__name__=~"shared|of_.+|took.*"}'), ("match[]", "team:shared:sum")]
        told, alone, mixed = (self.send_to(each, "/federate", params[:1])
                              for each in ("frontend", "alone", "mixed"))
        self.assertEqual(told.status, 200, told.body)
        self.assertEqual(told.body.decode(), alone.body.decode())
        self.assertIn(b'note="plain"', told.body)
        self.assertIn(CANARY.encode(), mixed.body)
        told = self.send_to("frontend", "/federate", params)
        self.assertIn(b"team:shared:sum", told.body)
        self.assertNotIn(CANARY.encode(), told.body)
        self.assertEqual(self.send_to("frontend", "/federate").body, b"")
        form = urllib.parse.urlencode(params)
        told = send(self.ports["frontend"], target=f"/federate?{form}", headers=[
            ("Authorization", "Bearer red"),
            ("Accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")])
        self.assertTrue(told.body.endswith(b"# EOF\n"), told.body)
        self.assertIn("openmetrics", told.headers["Content-Type"])
        # A stock Prometheus takes it.
        path = self.lab.write("federated.om", told.body.decode())
        self.lab.run("/usr/bin/promtool", "tsdb", "create-blocks-from", "openmetrics", path,
                     self.lab.path("federated"))

    def test_remote_read(self):
        token = {"url": f"http://127.0.0.1:{self.ports['frontend']}/api/v1/read",
                 "authorization": {"credentials": "red"}, "read_recent": True}
        self.start_prometheus("reader", {"remote_read": [token]})
        at = ("time", self.exporter.at + 10)
        for query in ("shared", "shared[1m]", "sum(shared)", '{__name__=~".+_sum"}',
                      'count({job=~".+"}) by (job)', 'shared{namespace="blue"}',
                      f'of_{CANARY}_total', "rate(of_plain_total[5m])"):
            told, alone = (steady(self.ask(each, "query", [("query", query), at]))
                           for each in ("reader", "alone"))
            self.assertEqual(told["data"], alone["data"], query)
        self.assertTrue(self.ask("reader", "query", [("query", "shared"), at])["data"]["result"])

        body = read_request([(2, "__name__", "shared|of_.+")], (self.exporter.at - 60) * 1000,
                            (self.exporter.at + 60) * 1000)
        headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy"),
                   ("Authorization", "Bearer red")]
        told, alone, mixed = (
            send(self.ports[each], "POST", "/api/v1/read", headers, body)
            for each in ("frontend", "alone", "mixed"))
        self.assertEqual(told.status, 200, told.body)
        self.assertEqual(told.headers["Content-Type"], alone.headers["Content-Type"])
        self.assertEqual(chunks_of(told.body), chunks_of(alone.body))
        self.assertEqual(len(chunks_of(told.body)), 3)
        self.assertIn(CANARY.encode(), mixed.body)

    def test_several_tenants(self):
        """As told by a Prometheus in whose samples each tenant's label stands."""
        config = self.config(TEAMS)
        config["rule_files"] = []
        for job in config["scrape_configs"]:
            job["metric_relabel_configs"] = [
                {"target_label": "__tenant_id__", "replacement": job["job_name"]}]
        self.start_prometheus("tagged", config)
        count = [("query", 'count({__name__=~"shared|took.*"})')]
        wait_until("samples of tagged", lambda: [
            each["value"][1] for each in self.ask("tagged", "query", count)["data"]["result"]
        ] == ["12"])

        def compare(path, params, find=""):
            tenants = [("namespace", each) for each in TEAMS]
            told = self.ask("frontend", path, [*tenants, *params], token="both")
            self.assertEqual(steady(told), steady(self.ask("tagged", path, params)),
                             f"{path} {params}")
            self.assertIn(find, json.dumps(told), f"{path} {params}")

        at = ("time", self.exporter.at + 10)
        for query, find in (
                ("shared", CANARY), ("sum by (__tenant_id__) (shared)", "blue"),
                ("sum(shared)", "-1"), ('shared{__tenant_id__="red"}', "plain"),
                ('shared{__tenant_id__!="red",__tenant_id__=~".+"}', CANARY),
                ('shared{__tenant_id__="green"}', ""), ('{__name__=~"took_.+"}', "took_sum"),
                ("count_over_time(shared[5m])", "blue"), ("-shared", "blue"),
                ('max_over_time({__name__="shared",pod="1"}[5m])', "blue"),
                ("avg_over_time(shared[2m:2s])", "blue"), ("timestamp(shared)", "blue"),
                ("quantile_over_time(0.5, shared[5m])", "blue"),
                ('absent(shared{job="nobody"})', "nobody"), ("absent(shared)", ""),
                ('absent_over_time(shared{pod="9"}[5m])', "9"),
                ("absent_over_time(shared[5m])", ""), ("1 + 1", "2"),
                ("took_sum / on (__tenant_id__) took_count", "blue"),
                ("sum(shared) by (pod) or vector(7)", "-4"),
                ("topk(scalar(count(took_sum)), shared)", CANARY)):
            compare("query", [("query", query), at], find)
        compare("query_range", [
            ("query", "sum by (__tenant_id__) (shared)"), ("start", self.exporter.at),
            ("end", self.exporter.at + 60), ("step", "15s")], "blue")
        match = ("match[]", '{__name__=~"shared|took.*|of_.*"}')
        compare("series", [match], CANARY)
        compare("series", [("match[]", '{__tenant_id__="red",pod="1"}')], "plain")
        compare("labels", [match], "__tenant_id__")
        compare("label/note/values", [match], CANARY)
        compare("label/__tenant_id__/values", [match], "blue")
        # Neither of them may be asked for by who may not read both.
        for token in TEAMS:
            self.assertEqual(self.send_to(
                "frontend", "query", [("query", "shared"), ("namespace", "red|blue")],
                token=token).status, 403)

    def test_operators_see_what_tenants_do_not(self):
        pages = ("/health", "/debug/targets", "/debug/tenants", "/debug/rejected",
                 "/debug/queries", "/collected-metrics")
        for page in pages:
            for token, status in (("operator", 200), ("red", 403), ("nobody", 401)):
                self.assertEqual(self.send_to("frontend", page, token=token).status, status, page)
            self.assertEqual(send(self.ports["frontend"], target=page).status, 401, page)
        health, targets, tenants = (self.ask("frontend", page, token="operator")
                                    for page in pages[:3])
        self.assertEqual(health, {"status": "healthy", "total_targets": 1, "healthy_targets": 1,
                                  "tenants": 2})
        self.assertEqual([(each["url"], each["healthy"]) for each in targets["targets"]],
                         [(f"http://127.0.0.1:{self.ports['mixed']}/", True)])
        self.assertEqual([each["namespace"] for each in tenants["tenants"]], sorted(TEAMS))
        samples = self.send_to("frontend", "/collected-metrics",
                               [("metric", "max by (namespace) (up)")], token="operator").body
        self.assertRegex(samples.decode(), r'\(2 metrics\)\n(\{namespace="\w+"\} 1 \d+\n){2}$')

        self.ask("frontend", "query", [("query", f'up{{pod="{CANARY}"}} +')])
        refused = self.ask("frontend", "/debug/rejected", [("tenant", "red")], token="operator")
        self.assertEqual(refused["refusals"][0]["reason"], "bad_request")
        self.assertIn(CANARY, refused["refusals"][0]["example"])
        exposed = self.frontend.admin("/metrics").body.decode()
        for line in (
                'prometheus_proxy_requests_total{method="GET",path="/api/v1/query",status="400"}',
                'prometheus_proxy_request_duration_seconds_bucket{method="GET",'
                'path="/api/v1/query",le="60"}',
                f'prometheus_proxy_backend_requests_total{{backend="http://127.0.0.1:'
                f'{self.ports["mixed"]}/",status="200"}}',
                "prometheus_proxy_targets_discovered 1", "prometheus_proxy_tenants_active 2"):
            self.assertIn(line, exposed)
        # The log has a line for each, without what was asked or by what token.
        log = self.frontend.process.tail()
        self.assertIn("msg=answered", log)
        for line in log.splitlines():
            if "msg=answered" in line:
                self.assertNotRegex(line, f"{CANARY}|Bearer|pod=")

    def test_what_is_of_all_tenants_is_not_served(self):
        for path in ("alertmanagers", "status/config", "status/flags", "status/runtimeinfo",
                     "status/tsdb", "status/walreplay", "scrape_pools", "admin/tsdb/snapshot",
                     "notifications", "/metrics", "/-/reload", "/debug/pprof/heap", "/graph"):
            self.assertEqual(self.send_to("frontend", path).status, 403, path)


if __name__ == "__main__":
    own_world.BINARIES[:] = [sys.argv.pop(1)]
    unittest.main(verbosity=2)
