#!/usr/bin/python3
"""The CRDs of deploy/kubernetes/crds, at the Kubernetes API server of the tests: it takes
the objects of examples/, refuses those of examples/refused.yaml by naming the field that
is wrong, and keeps spec and status apart."""

import copy
import os
import sys
import unittest

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "kube_api"))

from kube_api import APPLY_PATCH, MERGE_PATCH, TOP, KubeApi, wait_until  # noqa: E402

EXAMPLES = os.path.join(HERE, "examples")
CRDS = os.path.join(TOP, "deploy", "kubernetes", "crds")
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
VERSIONS = {"MetricAccess": "observability.ethos.io/v1alpha1",
            "OpenMetricsRule": "open-metrics.vgs.io/v1",
            "MetricsIngestionTenant": "open-metrics.vgs.io/v1"}
PLURALS = {"MetricAccess": "metricaccesses", "OpenMetricsRule": "openmetricsrules",
           "MetricsIngestionTenant": "metricsingestiontenants"}


def load(*names):
    with open(os.path.join(*names), encoding="utf-8") as file:
        return list(yaml.safe_load_all(file))


def accepted():
    """The objects of all examples."""
    return [o for name in sorted(os.listdir(EXAMPLES)) if name != "refused.yaml"
            for o in load(EXAMPLES, name)]


def spelled_out(value):
    """With the letters that refused.yaml abbreviates."""
    if isinstance(value, dict):
        return {key: spelled_out(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [spelled_out(inner) for inner in value]
    return "a" * 151 if value == "TENANT_151" else value


def collection(kind, namespace="team-shop"):
    return f"/apis/{VERSIONS[kind]}/namespaces/{namespace}/{PLURALS[kind]}"


def make(kind, spec, name="x"):
    return {"apiVersion": VERSIONS[kind], "kind": kind, "metadata": {"name": name},
            "spec": spec}


class CrdsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.kube = cls.enterClassContext(KubeApi())
        (kustomization,) = load(CRDS, "kustomization.yaml")
        cls.definitions = [load(CRDS, name)[0] for name in kustomization["resources"]]
        for definition in cls.definitions:
            status, answer = cls.kube.request(
                "POST", DEFINITIONS + "?fieldValidation=Strict", definition)
            assert status == 201, answer
        for kind in VERSIONS:
            wait_until(lambda k=kind: cls.kube.request("GET", collection(k))[0] == 200, kind)

    def check(self, wanted, method, path, body=None, **kwargs):
        status, answer = self.kube.request(method, path, body, **kwargs)
        self.assertEqual(status, wanted, answer)
        return answer

    def test_are_all_there_and_structural(self):
        self.assertEqual({d["spec"]["names"]["kind"] for d in self.definitions}, set(VERSIONS))
        files = [n for n in os.listdir(CRDS) if n != "kustomization.yaml"]
        self.assertEqual(len(files), len(self.definitions))
        for definition in self.definitions:
            stored = self.check(200, "GET", f"{DEFINITIONS}/{definition['metadata']['name']}")
            states = {c["type"]: c["status"] for c in stored["status"]["conditions"]}
            self.assertEqual(states["Established"], "True")
            self.assertEqual(states["NamesAccepted"], "True")
            self.assertNotEqual(states.get("NonStructuralSchema"), "True")

    def test_take_the_examples_as_they_are(self):
        objects = accepted()
        self.assertEqual({o["kind"] for o in objects}, set(VERSIONS))
        for o in objects:
            with self.subTest(name=o["metadata"]["name"]):
                path = f"{collection(o['kind'])}/{o['metadata']['name']}"
                stored = self.check(
                    201, "PATCH", path + "?fieldManager=test&fieldValidation=Strict",
                    yaml.safe_dump(o), content_type=APPLY_PATCH)
                # Nothing pruned, nothing filled in.
                self.assertEqual(stored["spec"], o["spec"])

    def test_refuse_what_is_wrong_with_its_field(self):
        (cases,) = load(EXAMPLES, "refused.yaml")
        self.assertGreater(len(cases), 80)
        for case in cases:
            spec = spelled_out(case["spec"])
            with self.subTest(field=case["field"], spec=str(spec)[:200]):
                answer = self.check(422, "POST", collection(case["kind"]),
                                    make(case["kind"], spec))
                self.assertEqual(answer["reason"], "Invalid")
                fields = [c.get("field") for c in answer["details"]["causes"]]
                self.assertIn(case["field"], fields, answer["message"])

    def test_refuse_every_unknown_field_where_the_client_is_strict(self):
        for o in accepted():
            spec = copy.deepcopy(o["spec"])
            spec["metricIsolatoin"] = False
            answer = self.check(400, "POST", collection(o["kind"]) + "?fieldValidation=Strict",
                                make(o["kind"], spec, "misspelled"))
            self.assertIn("metricIsolatoin", answer["message"])

    def test_refuse_names_that_make_no_object_id(self):
        spec = {"tenants": ["a"]}
        name = ".".join(["a" * 63, "b" * 63, "c" * 61])
        self.assertEqual(len(name), 189)
        kind = "MetricsIngestionTenant"
        self.check(201, "POST", collection(kind), make(kind, spec, name))
        self.check(422, "POST", collection(kind), make(kind, spec, name + "d"))
        self.check(422, "POST", collection(kind), {**make(kind, spec, "nothing"), "spec": None})

    def test_take_the_longest_tenant_id(self):
        kind = "OpenMetricsRule"
        self.check(201, "POST", collection(kind), make(kind, {"tenants": ["a" * 150]}, "longest"))

    def test_keep_status_apart(self):
        condition = {"type": "Accepted", "status": "True", "reason": "Accepted",
                     "message": "grants", "observedGeneration": 1,
                     "lastTransitionTime": "2026-01-02T03:04:05Z"}
        status = {"observedGeneration": 1, "conditions": [condition]}
        specs = {"MetricAccess": {"metrics": ["up"], "source": "team-shop"},
                 "OpenMetricsRule": {"tenants": ["team-shop"]},
                 "MetricsIngestionTenant": {"tenants": ["team-shop"]}}
        more = {"MetricAccess": {
                    "lastUpdated": "2026-01-02T03:04:05Z", "validatedMetrics": ["up"],
                    "remoteWrite": {"active": False, "metricsCollected": 1 << 40,
                                    "lastCollection": "2026-01-02T03:04:05Z",
                                    "lastError": "none"}},
                "OpenMetricsRule": {"ruler_updated": True},
                "MetricsIngestionTenant": {}}
        for kind, spec in specs.items():
            with self.subTest(kind=kind):
                path = f"{collection(kind)}/apart"
                made = self.check(201, "POST", collection(kind),
                                  {**make(kind, spec, "apart"), "status": status})
                self.assertNotIn("status", made)
                wanted = {**status, **more[kind]}
                patched = self.check(200, "PATCH", path + "/status?fieldValidation=Strict",
                                     {"spec": {}, "status": wanted}, content_type=MERGE_PATCH)
                self.assertEqual(patched["status"], wanted)
                self.assertEqual(patched["spec"], spec)
                self.assertEqual(patched["metadata"]["generation"], 1)
                broken = {"status": {"conditions": [{**condition, "status": "yes"}]}}
                self.check(422, "PATCH", path + "/status", broken, content_type=MERGE_PATCH)

    def test_print_columns(self):
        for definition in self.definitions:
            columns = definition["spec"]["versions"][0]["additionalPrinterColumns"]
            self.assertLessEqual({"Accepted", "Reason", "Ready", "Age"},
                                 {c["name"] for c in columns})
            self.assertEqual(definition["spec"]["versions"][0]["subresources"], {"status": {}})
            self.assertTrue(definition["spec"]["names"]["shortNames"])


if __name__ == "__main__":
    unittest.main()
