#!/usr/bin/python3
"""What our clients rely on in the Kubernetes API server of the tests."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kube_api import APPLY_PATCH, MERGE_PATCH, KubeApi, wait_until  # noqa: E402

CRD = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.test.example"},
    "spec": {
        "group": "test.example", "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things"},
        "versions": [{
            "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "required": ["n"],
                         "properties": {"n": {"type": "integer"}},
                         "x-kubernetes-validations": [
                             {"rule": "self.n < 100", "message": "n must be below 100"}]},
                "status": {"type": "object",
                           "x-kubernetes-preserve-unknown-fields": True}}}}}]}}
THINGS = "/apis/test.example/v1/namespaces/x/things"


def thing(name, n):
    return {"apiVersion": "test.example/v1", "kind": "Thing",
            "metadata": {"name": name}, "spec": {"n": n}}


def deployment(**spec):
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"selector": {"matchLabels": {"a": "b"}},
                     "template": {"metadata": {"labels": {"a": "b"}},
                                  "spec": {"containers": [{"name": "c", "image": "i"}]}},
                     **spec}}


class KubeApiTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.kube = cls.enterClassContext(KubeApi("--watch-cache=false"))
        status, answer = cls.kube.request(
            "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
        assert status == 201, answer
        wait_until(lambda: cls.kube.request("GET", THINGS)[0] == 200, "the new kind")

    def check(self, wanted, method, path, body=None, **kwargs):
        status, answer = self.kube.request(method, path, body, **kwargs)
        self.assertEqual(status, wanted, answer)
        return answer

    def test_checks_objects_by_their_schema_and_rules(self):
        self.check(201, "POST", THINGS, thing("checked", 1))
        self.check(409, "POST", THINGS, thing("checked", 1))
        self.assertIn("must be of type integer",
                      self.check(422, "POST", THINGS, thing("text", "one"))["message"])
        self.assertIn("n must be below 100",
                      self.check(422, "POST", THINGS, thing("large", 100))["message"])

    def test_keeps_status_apart(self):
        made = self.check(201, "POST", THINGS, thing("status", 1))
        self.check(200, "PATCH", f"{THINGS}/status/status", {"status": {"x": 1}},
                   content_type=MERGE_PATCH)
        applied = self.check(
            200, "PATCH", f"{THINGS}/status/status?fieldManager=me&force=true",
            dict(thing("status", 1), spec=None, status={"y": 2}), content_type=APPLY_PATCH)
        self.assertEqual(applied["status"], {"x": 1, "y": 2})
        self.assertEqual(applied["metadata"]["generation"], made["metadata"]["generation"])

    def test_tells_a_watcher_of_changes_and_of_what_is_too_old(self):
        version = self.check(200, "GET", THINGS)["metadata"]["resourceVersion"]
        with self.kube.watch(f"{THINGS}?watch=1&resourceVersion={version}&timeoutSeconds=20") as events:
            self.check(201, "POST", THINGS, thing("watched", 1))
            event = next(iter(events))
            self.assertEqual((event["type"], event["object"]["metadata"]["name"]),
                             ("ADDED", "watched"))
        self.check(200, "PATCH", f"{THINGS}/watched", {"spec": {"n": 2}}, content_type=MERGE_PATCH)
        newest = self.check(200, "GET", THINGS)["metadata"]["resourceVersion"]
        self.kube.compact_etcd(int(newest))
        with self.kube.watch(f"{THINGS}?watch=1&resourceVersion={version}&timeoutSeconds=20") as events:
            event = next(iter(events))
            self.assertEqual((event["type"], event["object"]["code"]), ("ERROR", 410))

    def test_lists_in_pages_until_the_next_one_has_expired(self):
        for i in range(3):
            self.check(201, "POST", THINGS, thing(f"page-{i}", 1))
        page = self.check(200, "GET", f"{THINGS}?limit=1")
        token = page["metadata"]["continue"]
        self.check(200, "GET", f"{THINGS}?limit=1&continue={token}")
        self.check(201, "POST", THINGS, thing("page-last", 1))
        newest = self.check(200, "GET", THINGS)["metadata"]["resourceVersion"]
        self.kube.compact_etcd(int(newest))
        self.assertEqual(
            self.check(410, "GET", f"{THINGS}?limit=1&continue={token}")["reason"], "Expired")

    def test_refuses_fields_that_a_built_in_kind_does_not_have(self):
        path = "/apis/apps/v1/namespaces/x/deployments?fieldValidation=Strict&dryRun=All"
        self.check(201, "POST", path, deployment())
        self.assertIn('unknown field "spec.replica"',
                      self.check(400, "POST", path, deployment(replica=2))["message"])
        self.check(400, "POST", path, deployment(replicas="two"))
        self.check(404, "GET", "/apis/apps/v1/namespaces/x/deployments/d")  # A dry run.

    def test_knows_no_service_without_being_told(self):
        answer = self.check(200, "GET", "/apis")
        self.assertIn("test.example", [group["name"] for group in answer["groups"]])

    def test_is_understood_by_kubectl(self):
        self.check(201, "POST", THINGS, thing("kubectl", 7))
        output = subprocess.run(
            ["kubectl", "--kubeconfig", self.kube.kubeconfig, "get", "things.test.example",
             "-n", "x", "kubectl", "-o", "jsonpath={.spec.n}"],
            stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
        self.assertEqual(output, "7")


class AccessTest(unittest.TestCase):
    """--authz rbac and the reviews."""

    @classmethod
    def setUpClass(cls):
        cls.kube = cls.enterClassContext(KubeApi(
            "--authz", "rbac", "--anonymous=false",
            "--audiences", "https://kubernetes.default.svc,us", token="root-token",
            tokens='root-token,root,1,"system:masters"\nred-token,red,2,"team"\n'))

    def test_judges_callers_by_stored_roles(self):
        path = "/api/v1/namespaces/x/configmaps"
        self.assertEqual(self.kube.request("GET", path, token="")[0], 401)
        self.assertEqual(self.kube.request("GET", path, token="red-token")[0], 403)
        rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/x/"
        for kind, body in (
                ("roles", {"metadata": {"name": "r"}, "rules": [
                    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]}),
                ("rolebindings", {
                    "metadata": {"name": "b"},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
                    "subjects": [{"kind": "Group", "name": "team"}]})):
            status, answer = self.kube.request("POST", rbac + kind, body)
            self.assertEqual(status, 201, answer)
        self.assertEqual(self.kube.request("GET", path, token="red-token")[0], 200)
        self.assertEqual(
            self.kube.request("DELETE", path + "/any", token="red-token")[0], 403)
        _, review = self.kube.request(
            "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            {"spec": {"user": "red", "groups": ["team"], "resourceAttributes": {
                "verb": "list", "resource": "configmaps", "namespace": "x"}}})
        self.assertEqual(review["status"], {"allowed": True, "reason": "RoleBinding x/b"})

    def test_reviews_tokens(self):
        path = "/apis/authentication.k8s.io/v1/tokenreviews"
        for token, wanted in (("red-token", "red"), ("other", None)):
            _, review = self.kube.request("POST", path, {"spec": {"token": token}})
            self.assertEqual(review["status"].get("authenticated", False), wanted is not None)
            self.assertEqual(review["status"]["user"].get("username"), wanted)

    def test_reviews_tokens_for_an_audience(self):
        path = "/apis/authentication.k8s.io/v1/tokenreviews"
        for audiences, wanted in ((["us"], ["us"]), (["other", "us"], ["us"]), (["other"], None),
                                  ([], ["https://kubernetes.default.svc"])):
            _, review = self.kube.request(
                "POST", path, {"spec": {"token": "red-token", "audiences": audiences}})
            self.assertEqual(review["status"].get("authenticated", False), wanted is not None)
            self.assertEqual(review["status"].get("audiences"), wanted)


if __name__ == "__main__":
    unittest.main()
