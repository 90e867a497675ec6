#!/usr/bin/python3
"""grafana_datasource_test BIN_DIR [unittest arguments]

The calls that the Prometheus data source of Grafana 12.2 makes, as its source has them
(pkg/promlib for what the server sends, packages/grafana-prometheus for what the browser
asks it for), to a query-frontend in front of a Prometheus that several teams share. Each
call must give what the data source needs; and what red's team sees is what a Prometheus
of its own says, where its source asks for the same."""

import gzip
import json
import os
import re
import sys
import time
import unittest
import urllib.parse

import yaml

sys.dont_write_bytecode = True

import own_world  # noqa: E402
from own_world import CANARY, OwnWorld, send  # noqa: E402

_PROVISIONED = os.path.join(
    os.path.dirname(os.path.abspath(__file__)),
    "../../deploy/grafana/provisioning/datasources/insula.yaml")
_LIMIT = "40000"  # DEFAULT_SERIES_LIMIT of the data source.
# endpointsSupportOnlyGet of client.go: a path that begins so is asked by GET at once. Paths
# come without the slash, so that only the first two ever do.
_ONLY_GET = ("api/v1/label/", "api/v1/metadata", "/api/v1/targets", "/api/v1/rules",
             "/api/v1/alerts", "/api/v1/status/buildinfo")
# What Grafana's server adds. None of it may decide anything.
_OF_GRAFANA = (("User-Agent", "Grafana/12.2.0"), ("X-Grafana-Org-Id", "1"),
               ("X-Datasource-Uid", "insula-red"), ("X-Dashboard-Uid", "d1"), ("X-Panel-Id", "4"),
               ("X-Query-Group-Id", "q-1"), ("X-Grafana-User", "blue"),
               ("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))


class Grafana:
    """A data source: its settings, and how promlib's client speaks. `sent` has the method,
    target and status of every request."""

    def __init__(self, port, token, method="POST", custom=""):
        self._port = port
        self._token = token
        self._method = method
        self._custom = custom  # customQueryParameters, which a middleware adds to each URL.
        self.sent = []

    def _send(self, method, path, query="", body=b""):
        # net/http decodes gzip that it has asked for itself.
        headers = [*_OF_GRAFANA, ("Authorization", f"Bearer {self._token}"),
                   ("Accept-Encoding", "gzip")]
        if method == "POST":
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
            if not body:
                headers.append(("Content-Length", "0"))
        query = "&".join(each for each in (query, self._custom) if each)
        target = "/" + path.lstrip("/") + ("?" + query if query else "")
        answer = send(self._port, method, target, headers, body)
        if answer.headers.get("Content-Encoding") == "gzip":
            answer.body = gzip.decompress(answer.body)
        self.sent.append((method, target, answer.status))
        return answer

    def query(self, path, **params):
        """createQueryRequest: the parameters sorted, as url.Values.Encode() has them."""
        form = urllib.parse.urlencode(sorted(params.items()))
        if self._method == "POST":
            return self._send("POST", path, body=form.encode())
        return self._send("GET", path, form)

    def resource(self, path, params=(), query=""):
        """QueryResource, for the browser's `params`: in the body where the data source has
        POST, tried again by GET when that is answered by 405 or 400."""
        params = [*params, *urllib.parse.parse_qsl(self._custom)]
        form = urllib.parse.urlencode(params)
        moved = "&".join(each for each in (query, form) if each)
        if self._method == "GET" or path.startswith(_ONLY_GET):
            return self._send("GET", path, moved)
        answer = self._send("POST", path, query, form.encode())
        if answer.status in (400, 405):
            return self._send("GET", path, moved)
        return answer


def data_of(answer):
    """`data` of an answer that the data source takes for one."""
    assert answer.status == 200, answer
    assert answer.headers.get_content_type() == "application/json", answer.headers
    document = json.loads(answer.body)
    assert document["status"] == "success", document
    assert CANARY.encode() not in answer.body, answer
    return document["data"]


class GrafanaDataSourceTest(OwnWorld):
    maxDiff = None

    def setUp(self):
        with open(_PROVISIONED, encoding="utf-8") as file:
            self.settings, = (each for each in yaml.safe_load(file)["datasources"]
                              if each["uid"] == "insula-red")
        self.grafana = Grafana(self.ports["frontend"], "red",
                               self.settings["jsonData"]["httpMethod"])
        self.alone = Grafana(self.ports["alone"], "none")
        # Of a dashboard, in steps of which the data source makes multiples of its times.
        self.start = self.exporter.at // 15 * 15 - 60
        self.end = self.start + 300
        self.span = [("start", str(self.start)), ("end", str(self.end))]

    def assert_as_alone(self, ask):
        """`ask` gets the same data from both; returns it."""
        told, alone = data_of(ask(self.grafana)), data_of(ask(self.alone))
        order = dict(key=lambda each: json.dumps(each, sort_keys=True))
        if isinstance(told, list):
            told, alone = sorted(told, **order), sorted(alone, **order)
        self.assertEqual(told, alone)
        return told

    def test_save_and_test_is_green(self):
        # healthcheck.go: 1+1 at the fourth second of 1970.
        data = self.assert_as_alone(lambda each: each.query("api/v1/query", query="1+1", time="4"))
        self.assertEqual(data, {"resultType": "scalar", "result": [4, "2"]})
        # heuristics.go: this path is tried by POST, and only 405 and 400 lead on to GET.
        self.grafana.sent.clear()
        info = data_of(self.grafana.resource("api/v1/status/buildinfo"))
        self.assertEqual([(method, status) for method, _, status in self.grafana.sent],
                         [("POST", 405), ("GET", 200)])
        # Features would make it a Mimir, with an API for rules to write.
        self.assertFalse(info.get("features"))
        for name in ("version", "revision", "branch", "buildUser", "buildDate", "goVersion"):
            self.assertIsInstance(info[name], str, name)
        self.assertRegex(info["version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual(info["version"], self.settings["jsonData"]["prometheusVersion"])
        # The settings page detects the version with a slash before the path: GET at once.
        self.assertEqual(data_of(self.grafana.resource("/api/v1/status/buildinfo")), info)

    def test_a_data_source_with_a_wrong_token_says_so(self):
        for token, status in (("nobody", 401), ("blue", 200)):
            answer = Grafana(self.ports["frontend"], token).query(
                "api/v1/query", query="1+1", time="4")
            self.assertEqual(answer.status, status, answer)
        self.assertEqual(json.loads(Grafana(self.ports["frontend"], "nobody").query(
            "api/v1/query", query="1+1", time="4").body)["status"], "error")

    def test_opening_the_data_source(self):
        # loadRules(): names and queries of recording rules; labels may not be missing.
        groups = data_of(self.grafana.resource("api/v1/rules"))["groups"]
        recorded = {rule["name"]: rule["query"] for group in groups for rule in group["rules"]
                    if rule["type"] == "recording"}
        self.assertEqual(set(recorded), {"team:shared:sum", "team:plain"})
        self.assertIn('sum(shared{', recorded["team:shared:sum"])
        # areExemplarsAvailable(): milliseconds, where the API has seconds.
        now = int(time.time())
        answer = self.grafana.resource("api/v1/query_exemplars", [
            ("query", "test"), ("start", f"{now - 1800}000"), ("end", f"{now}000")])
        self.assertEqual(data_of(answer), [])
        # Metadata, for help in the editor: a list of type, help and unit of each metric.
        answer = self.grafana.resource("api/v1/metadata", [("limit", _LIMIT)])
        self.assertEqual(answer.status, 200, answer)
        # (Help texts of shared names are of both, as this frontend is set to show them.)
        metadata = json.loads(answer.body)["data"]
        self.assertEqual(set(metadata), {"of_plain", "shared", "took"})
        self.assertEqual(metadata["took"], [{"type": "histogram", "help": "h", "unit": ""}])

    def test_metric_browser_and_completion(self):
        def labels(each, path, *match):
            return each.resource(path, [("limit", _LIMIT), *self.span,
                                        *(("match[]", text) for text in match)])

        names = self.assert_as_alone(lambda each: labels(each, "api/v1/label/__name__/values"))
        self.assertIn("of_plain_total", names)
        keys = self.assert_as_alone(lambda each: labels(each, "api/v1/labels"))
        self.assertIn("note", keys)
        self.assertEqual(self.assert_as_alone(
            lambda each: labels(each, "api/v1/labels", '{__name__="took_bucket"}')),
            ["__name__", "instance", "job", "le", "namespace"])
        # By GET at once, and by POST first where the path has a slash before it.
        for slash in ("", "/"):
            self.assertEqual(self.assert_as_alone(lambda each: labels(
                each, slash + "api/v1/label/note/values", '{__name__="shared",pod!=""}')),
                ["plain"])
        self.assertEqual(self.assert_as_alone(
            lambda each: labels(each, "api/v1/label/job/values", "shared", 'up{job="blue"}')),
            ["red"])
        series = self.assert_as_alone(lambda each: each.resource(
            "api/v1/series", [*self.span, ("match[]", '{__name__=~".*shared.*"}'),
                              ("limit", _LIMIT)]))
        self.assertEqual({each["__name__"] for each in series}, {"shared", "team:shared:sum"})
        # SeriesApiClient, of the oldest stores: everything.
        series = self.assert_as_alone(lambda each: each.resource(
            "api/v1/series", [*self.span, ("match[]", '{__name__!=""}'), ("limit", _LIMIT)]))
        self.assertIn("took_sum", {each["__name__"] for each in series})

    def test_suggestions_of_scopes_and_filters(self):
        # GetSuggestions(): parameters in the URL of a POST, whose body is empty.
        query = urllib.parse.urlencode([
            ("match[]", '{note="plain",__name__="shared"}'), ("match[]", "up"), *self.span,
            ("limit", "10")])
        self.assertIn("note", self.assert_as_alone(
            lambda each: each.resource("api/v1/labels", query=query)))
        self.grafana.sent.clear()
        self.assertEqual(self.assert_as_alone(
            lambda each: each.resource("/api/v1/label/pod/values", query=query)), ["1"])
        self.assertEqual([status for _, _, status in self.grafana.sent], [405, 200])

    def test_variables(self):
        # metric_find_query.ts: label_values(), metrics(), series and query_result().
        for path, match in (("api/v1/label/pod/values", [("match[]", 'shared{job=~"r.+"}')]),
                            ("api/v1/label/__name__/values", []),
                            ("api/v1/series", [("match[]", "shared")])):
            self.assertTrue(self.assert_as_alone(
                lambda each: each.resource(path, [*match, *self.span])))
        result = self.assert_as_alone(lambda each: each.resource("api/v1/query", [
            ("query", "sort_desc(shared)"), ("time", str(self.end))]))
        self.assertEqual([(each["metric"]["note"] if "note" in each["metric"] else "",
                           each["value"]) for each in result["result"]],
                         [("plain", [self.end, "1.5"]), ("", [self.end, "-2"])])

    def test_panels(self):
        for expr, step in (("shared", "15"), ("sum by(pod) (rate(took_bucket[1m0s]))", "15"),
                           ('shared{namespace="blue"}', "15"), ("vector(1)", "0.5"),
                           ("histogram_quantile(0.95, sum(rate(took_bucket[60s])) by (le))", "60"),
                           ("shared and on() vector(1) > bool 0", "30")):
            self.assert_as_alone(lambda each: each.query(
                "api/v1/query_range", query=expr, start=str(self.start), end=f"{self.end}.5",
                step=step, timeout="60s"))
            self.assert_as_alone(lambda each: each.query(
                "api/v1/query", query=expr, time=f"{self.end}.123", timeout="60s"))
        matrix = data_of(self.grafana.query(
            "api/v1/query_range", query="shared", start=str(self.start), end=str(self.end),
            step="1"))
        self.assertEqual(matrix["resultType"], "matrix")
        self.assertEqual({each["metric"]["pod"] for each in matrix["result"]}, {"1", "2"})

    def test_answers_are_compressed(self):
        answer = self.grafana.query("api/v1/query_range", query="shared", start=str(self.start),
                                    end=str(self.end), step="1")
        self.assertEqual(answer.headers["Content-Encoding"], "gzip")
        self.assertEqual(data_of(answer)["resultType"], "matrix")

    def test_exemplars_of_a_panel(self):
        expr = "histogram_quantile(0.95, sum(rate(took_bucket[1m0s])) by (le))"
        found = self.assert_as_alone(lambda each: each.query(
            "api/v1/query_exemplars", query=expr, start=str(self.start), end=str(self.end)))
        exemplar, = found[0]["exemplars"]
        self.assertEqual(exemplar["labels"], {"trace_id": "plain-slow"})
        self.assertEqual(found[0]["seriesLabels"]["__name__"], "took_bucket")
        # QueryData takes any error for one of the panel: there must be none.
        self.assertEqual(data_of(self.grafana.query(
            "api/v1/query_exemplars", query="1+1", start=str(self.start), end=str(self.end))), [])

    def test_annotations(self):
        # annotationQuery(): a range in steps of a minute, whose points above 0 are regions.
        begin = self.exporter.at // 60 * 60 - 120
        matrix = data_of(self.grafana.query(
            "api/v1/query_range", query='ALERTS{alertstate="firing"} or shared > 0',
            start=str(begin), end=str(begin + 360), step="60"))
        points = {each["metric"].get("note", ""): each["values"] for each in matrix["result"]}
        self.assertTrue(any(float(value) > 0 for _, value in points["plain"]), matrix)
        self.assertEqual([at % 60 for at, _ in points["plain"]], [0] * len(points["plain"]))

    def test_rules_and_alerts_of_the_alerting_page(self):
        self.assertTrue(self.settings["jsonData"]["manageAlerts"])
        groups = data_of(self.grafana.resource("api/v1/rules", [("type", "alert")]))["groups"]
        rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
        self.assertEqual(set(rules), {"Low", "Never"})
        for name in ("state", "query", "duration", "labels", "annotations", "alerts", "health",
                     "type"):
            self.assertIn(name, rules["Low"])
        alert, = data_of(self.grafana.resource("api/v1/alerts"))["alerts"]
        self.assertEqual(alert["labels"]["alertname"], "Low")

    def test_errors_are_shown_in_prometheus_words(self):
        answer = self.grafana.query("api/v1/query", query="sum(", time="4")
        self.assertEqual(answer.status, 400)
        error = json.loads(answer.body)
        self.assertEqual((error["status"], error["errorType"]), ("error", "bad_data"))
        self.assertTrue(re.search(r"parse error|unexpected|unclosed", error["error"]), error)
        # One of the browser is tried by both methods and then handed on.
        self.grafana.sent.clear()
        self.assertEqual(self.grafana.resource("api/v1/series", [("match[]", "{}")]).status, 400)
        self.assertEqual([method for method, _, _ in self.grafana.sent], ["POST", "GET"])

    def test_what_belongs_to_all_is_refused_at_once_and_in_json(self):
        # The data source relays these to apps and asks for none of them itself.
        for path in ("api/v1/alertmanagers", "api/v1/status/config", "api/v1/status/flags",
                     "api/v1/status/runtimeinfo", "api/v1/status/tsdb",
                     "api/v1/status/walreplay", "api/v1/notifications"):
            self.grafana.sent.clear()
            answer = self.grafana.resource(path)
            self.assertEqual(answer.status, 403, path)
            self.assertEqual(len(self.grafana.sent), 1, path)
            self.assertEqual(json.loads(answer.body)["status"], "error", path)
            self.assertNotIn(CANARY.encode(), answer.body)

    def test_a_data_source_that_has_get_alone(self):
        grafana = Grafana(self.ports["frontend"], "red", method="GET")
        self.assertEqual(data_of(grafana.query("api/v1/query", query="1+1", time="4"))["result"],
                         [4, "2"])
        self.assertIn("note", data_of(grafana.resource(
            "api/v1/labels", [*self.span, ("match[]", "shared")])))
        self.assertEqual({method for method, _, _ in grafana.sent}, {"GET"})

    def test_the_tenant_as_a_custom_query_parameter(self):
        # A token of both teams, and namespace=red in the settings: a middleware adds it to
        # each URL, and the browser to each body, where it names no tenant.
        for method in ("GET", "POST"):
            grafana = Grafana(self.ports["frontend"], "both", method, "namespace=red")
            told = data_of(grafana.query("api/v1/query", query="shared", time=str(self.end)))
            self.assertEqual({each["metric"]["namespace"] for each in told["result"]}, {"red"})
            for path in ("api/v1/labels", "api/v1/series", "api/v1/label/job/values"):
                data_of(grafana.resource(path, [*self.span, ("match[]", "shared")]))
            self.assertEqual(grafana.sent[-1][2], 200)
        # Nobody gets further by it than the token allows.
        for method in ("GET", "POST"):
            grafana = Grafana(self.ports["frontend"], "red", method, "namespace=blue")
            self.assertEqual(
                grafana.query("api/v1/query", query="shared", time="4").status, 403)
            self.assertIn(grafana.resource("api/v1/labels", self.span).status, (400, 403))


if __name__ == "__main__":
    own_world.BINARIES[:] = [sys.argv.pop(1)]
    unittest.main(verbosity=2)
