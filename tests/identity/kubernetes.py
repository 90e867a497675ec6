"""The row of Kubernetes, with the API server of tests/kube_api."""

import os
import sys

from cells import Measured
from matrix import PAST, Method, bearer
from processes import TOP, CannotRun

sys.path.insert(0, os.path.join(TOP, "tests", "kube_api"))

import kube_api  # noqa: E402

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_ACCESS = {"verb": "get", "resource": "namespace", "subresource": "metrics"}


def _line(token, user, *groups):
    return f'{token},{user},{user},"{",".join(groups)}"\n'


def _account(namespace, name):
    return f"system:serviceaccount:{namespace}:{name}"


class Kubernetes(Method):
    name = "kubernetes"
    title = "token of Kubernetes"
    _USERS = ("grafana", "expired", "leaver", "idle", "other", "late", "slow")

    def __init__(self, lab, insula):
        super().__init__(lab, insula)
        if not os.path.exists(kube_api.BINARY):
            raise CannotRun(f"there is no {kube_api.BINARY}: tests/kube_api/build")
        self._tokens = {name: f"kube-{name}-41bd7e" for name in self._USERS}
        self._own = lab.write("kube-token", "kube-insula-41bd7e")
        self._api = lab.enter_context(kube_api.KubeApi(
            "--authz", "rbac", "--anonymous=false", "--audiences",
            "https://kubernetes.default.svc,insula", tokens=self._lines(),
            token="kube-root-41bd7e"))
        self._grant_rights()

    def _lines(self):
        return (_line("kube-root-41bd7e", "root", "system:masters") +
                _line("kube-insula-41bd7e", _account("monitoring", "insula")) +
                "".join(_line(token, _account("red", name),
                              "system:serviceaccounts", "system:serviceaccounts:red")
                        for name, token in self._tokens.items()))

    def _create(self, kind, body, namespace=None):
        where = f"/namespaces/{namespace}" if namespace else ""
        self._api.create(f"{_RBAC}{where}/{kind}", body)

    def _grant_rights(self):
        self._create("clusterroles", {
            "metadata": {"name": "system:auth-delegator"}, "rules": [
                {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"],
                 "verbs": ["create"]},
                {"apiGroups": ["authorization.k8s.io"],
                 "resources": ["subjectaccessreviews"], "verbs": ["create"]}]})
        self._create("clusterrolebindings", {
            "metadata": {"name": "insula"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                        "name": "system:auth-delegator"},
            "subjects": [{"kind": "ServiceAccount", "namespace": "monitoring",
                          "name": "insula"}]})
        self._create("roles", {
            "metadata": {"name": "metrics"}, "rules": [
                {"apiGroups": [""], "resources": ["namespace/metrics"],
                 "verbs": ["get"]}]}, "red")
        self._create("rolebindings", {
            "metadata": {"name": "metrics"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
                        "name": "metrics"},
            "subjects": [{"kind": "ServiceAccount", "namespace": "red", "name": name}
                         for name in self._USERS if name != "idle"]}, "red")

    def _settings(self, *audiences):
        return {"bearer": False, "kubernetes": {
            "api_url": self._api.url, "cluster": "test", "token_file": self._own,
            "audiences": list(audiences), "cache_ttl": "2s", "timeout": "2s"}}

    def listeners(self):
        return {self.name: self._settings("insula"),
                "kubernetes-elsewhere": self._settings("elsewhere")}

    def prepare(self):
        for name in self._USERS:
            self.insula.bind(f"kubernetes-{name}", {"kubernetes": {
                "cluster": "test", "user": _account("red", name), "access": _ACCESS}},
                **(PAST if name == "expired" else {}))

    def _ask(self, name, **more):
        return self.status(bearer(self._tokens[name]), **more)

    def valid(self):
        return Measured(self._ask("grafana"))

    def expired(self):
        return Measured(self._ask("expired"))

    def wrong_audience(self):
        return Measured(self._ask("other", listener="kubernetes-elsewhere"))

    def wrong_key(self):
        return Measured(self.status(bearer("kube-nobody-41bd7e")),
                        (self._ask("idle"), "without the right in the namespace"))

    def revoked(self):
        before = self._ask("leaver"), self._ask("grafana")
        if before != (200, 200):
            raise AssertionError(f"{before} before it is revoked")
        token = self._tokens.pop("leaver")
        self._api.restart(self._lines())
        gone = self.becomes(401, bearer(token))
        self._api.request("DELETE", f"{_RBAC}/namespaces/red/rolebindings/metrics")
        right = self.becomes(403, bearer(self._tokens["grafana"]))
        self._create("rolebindings", {
            "metadata": {"name": "metrics"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
                        "name": "metrics"},
            "subjects": [{"kind": "Group", "name": "system:serviceaccounts:red"}]}, "red")
        return Measured(gone, (right, "the right taken away"))

    def provider_down(self):
        with self._api.down():
            return Measured(self._ask("late"))

    def slow(self):
        with self._api.paused():
            return Measured(self._ask("slow"))

    def rotated(self):
        old = self._tokens["grafana"]
        self._tokens["grafana"] = "kube-grafana-new-41bd7e"
        self._api.restart(self._lines())
        new = self.becomes(200, bearer(self._tokens["grafana"]))
        return Measured(new, (self.becomes(401, bearer(old)), "the old one"))
