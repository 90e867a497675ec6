#!/usr/bin/python3
"""grafana_test.py

What Grafana is given: data sources and dashboards. Grafana itself is not asked; these
tests hold what its documentation demands, that queries are PromQL, and that the
metrics that they name exist.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.dont_write_bytecode = True

import constellation as tree  # noqa: E402
from tools.lint_lib import source  # noqa: E402

_PROVISIONING = "deploy/grafana/provisioning"
_DASHBOARDS = "deploy/grafana/dashboards"
_OURS = r"\b(?:insula|tenant_registry|ingest_gateway|query_frontend|rule_sync|federation_pusher)_\w+"
# The keys of the documentation: "Provision Grafana", "Data sources".
_DATA_SOURCE_KEYS = {
    "name", "type", "access", "orgId", "uid", "url", "user", "database", "basicAuth",
    "basicAuthUser", "withCredentials", "isDefault", "jsonData", "secureJsonData",
    "version", "editable"}
_JSON_DATA_KEYS = {"httpMethod", "timeInterval", "prometheusType", "prometheusVersion",
                   "manageAlerts", "httpHeaderName1", "httpHeaderName2", "oauthPassThru",
                   "tlsAuth", "tlsAuthWithCACert", "serverName"}
_SECURE_JSON_DATA_KEYS = {"basicAuthPassword", "httpHeaderValue1", "httpHeaderValue2",
                          "tlsCACert", "tlsClientCert", "tlsClientKey"}
_PROVIDER_KEYS = {"name", "orgId", "folder", "folderUid", "type", "disableDeletion",
                  "updateIntervalSeconds", "allowUiUpdates", "options"}


def data_sources():
    return tree.load(f"{_PROVISIONING}/datasources/insula.yaml")


def dashboards():
    for name in sorted(os.listdir(os.path.join(tree.TOP, _DASHBOARDS))):
        yield name, json.loads(tree.read(f"{_DASHBOARDS}/{name}"))


def queries(dashboard):
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


class DataSourcesTest(unittest.TestCase):

    def setUp(self):
        self.sources = data_sources()["datasources"]

    def test_they_have_the_form_that_grafana_documents(self):
        self.assertEqual(data_sources()["apiVersion"], 1)
        for each in self.sources:
            with self.subTest(each["name"]):
                self.assertLessEqual(set(each), _DATA_SOURCE_KEYS)
                self.assertLessEqual({"name", "type", "access", "uid", "url"}, set(each))
                self.assertLessEqual(set(each["jsonData"]), _JSON_DATA_KEYS)
                self.assertEqual(each["access"], "proxy")
                self.assertEqual("httpHeaderName1" in each["jsonData"],
                                 "httpHeaderValue1" in each.get("secureJsonData", {}))

    def test_names_and_uids_are_unique_and_one_is_the_default(self):
        for key in ("name", "uid"):
            values = [each[key] for each in self.sources]
            self.assertEqual(len(values), len(set(values)))
        self.assertEqual(sum(each.get("isDefault", False) for each in self.sources), 1)

    def test_every_tenant_has_one(self):
        tenants = {each["id"] for each in
                   yaml.safe_load_all(tree.read("docker/resources/tenants.yaml"))
                   if each["kind"] == "Tenant"}
        self.assertEqual({f"insula-{tenant}" for tenant in tenants} | {"insula-operators"},
                         {each["uid"] for each in self.sources})

    def test_a_token_goes_to_the_frontend_only(self):
        for each in self.sources:
            with self.subTest(each["name"]):
                self.assertEqual("secureJsonData" in each,
                                 each["url"] == "http://query-frontend:8080")


class DocumentedDataSourcesTest(unittest.TestCase):
    """Those of docs/authentication.md, one for each way to prove who is asking."""

    def setUp(self):
        blocks = re.findall(r"```yaml\n(apiVersion: 1\n.*?)```",
                            tree.read("docs/authentication.md"), re.DOTALL)
        self.sources = [each for block in blocks
                        for each in yaml.safe_load(block)["datasources"]]

    def test_they_have_the_form_that_grafana_documents(self):
        self.assertGreaterEqual(len(self.sources), 6)
        for each in self.sources:
            with self.subTest(each):
                self.assertLessEqual(set(each), _DATA_SOURCE_KEYS)
                self.assertLessEqual(set(each.get("jsonData", {})), _JSON_DATA_KEYS)
                self.assertLessEqual(set(each.get("secureJsonData", {})),
                                     _SECURE_JSON_DATA_KEYS)
                self.assertEqual((each["type"], each["access"]), ("prometheus", "proxy"))

    def test_what_belongs_together_is_there(self):
        for each in self.sources:
            settings, secrets = each.get("jsonData", {}), each.get("secureJsonData", {})
            with self.subTest(each):
                for number in "12":
                    self.assertEqual(f"httpHeaderName{number}" in settings,
                                     f"httpHeaderValue{number}" in secrets)
                self.assertEqual("basicAuth" in each, "basicAuthPassword" in secrets)
                self.assertEqual("basicAuth" in each, "basicAuthUser" in each)
                self.assertEqual("tlsAuth" in settings,
                                 {"tlsClientCert", "tlsClientKey"} <= set(secrets))
                self.assertEqual("tlsAuthWithCACert" in settings, "tlsCACert" in secrets)

    def test_secrets_come_from_outside(self):
        for each in self.sources:
            for name, value in each.get("secureJsonData", {}).items():
                if (name, value) != ("httpHeaderValue2", "red"):
                    self.assertIn("$", value)


class DashboardsTest(unittest.TestCase):

    def test_grafana_finds_them_where_they_are_mounted(self):
        config = tree.load(f"{_PROVISIONING}/dashboards/insula.yaml")
        self.assertEqual(config["apiVersion"], 1)
        grafana = tree.compose()["services"]["grafana"]
        for each in config["providers"]:
            self.assertLessEqual(set(each), _PROVIDER_KEYS)
            self.assertEqual(tree.mounted(grafana, each["options"]["path"]),
                             os.path.join(tree.TOP, _DASHBOARDS))
        for each in ("datasources", "dashboards"):
            self.assertEqual(tree.mounted(grafana, f"/etc/grafana/provisioning/{each}"),
                             os.path.join(tree.TOP, _PROVISIONING, each))

    def test_panels_are_told_apart_and_do_not_overlap(self):
        for name, dashboard in dashboards():
            with self.subTest(name):
                self.assertTrue(dashboard["uid"])
                ids = [panel["id"] for panel in dashboard["panels"]]
                self.assertEqual(len(ids), len(set(ids)))
                taken = set()
                for panel in dashboard["panels"]:
                    at = panel["gridPos"]
                    self.assertLessEqual(at["x"] + at["w"], 24, panel["title"])
                    cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                             for y in range(at["y"], at["y"] + at["h"])}
                    self.assertFalse(cells & taken, panel["title"])
                    taken |= cells

    def test_they_ask_the_operators_data_source(self):
        uids = {each["uid"] for each in data_sources()["datasources"]}
        for name, dashboard in dashboards():
            with self.subTest(name):
                variable, = dashboard["templating"]["list"]
                self.assertEqual(variable["type"], "datasource")
                self.assertIn(variable["current"]["value"], uids)
                for panel in dashboard["panels"]:
                    for each in [panel, *panel.get("targets", [])]:
                        if panel["type"] != "row":
                            self.assertEqual(each["datasource"]["uid"],
                                             "${" + variable["name"] + "}")

    def test_queries_are_promql(self):
        rules = [{"record": "query", "expr": re.sub(r"\$__\w+", "5m", expr)}
                 for _, dashboard in dashboards() for _, expr in queries(dashboard)]
        self.assertTrue(rules)
        for number, rule in enumerate(rules):  # Names must differ.
            rule["record"] += f":{number}"
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump({"groups": [{"name": "queries", "rules": rules}]}, file)
            file.flush()
            result = subprocess.run(["promtool", "check", "rules", file.name], text=True,
                                    capture_output=True)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_metrics_exist(self):
        files = source.Tree(tree.TOP)
        code = "\n".join(files.text(path) for path in files.cpp()
                         if path.startswith(("libs/", "services/"))
                         and not path.endswith("_test.cc"))
        exposed = set(re.findall(r'"(\w+)"', code))
        missing = [f"{name}: {title}: {metric}" for name, dashboard in dashboards()
                   for title, expr in queries(dashboard)
                   for metric in re.findall(_OURS, expr)
                   if re.sub(r"_(?:bucket|count|sum)$", "", metric) not in exposed]
        self.assertEqual(missing, [])


if __name__ == "__main__":
    unittest.main()
