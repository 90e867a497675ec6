#!/usr/bin/python3
"""manifests_test.py BIN_DIR VERSION SERVICE...

The services in the order in which they need each other.
Renders deploy/kubernetes/base with kubectl and checks it: every object against the
API, where a misspelled field must fail; what the API would take, by manifests.py,
where every planted mistake must be found; and the ConfigMaps by running the services
with them."""

import copy
import os
import signal
import subprocess
import sys
import tempfile
import unittest
import urllib.request

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kube_api import TOP, KubeApi, wait_until  # noqa: E402
from manifests import CLUSTER_SCOPED, Manifests, render  # noqa: E402

BIN_DIR, VERSION, *SERVICES = sys.argv[1:]
BASE = os.path.join(TOP, "deploy", "kubernetes", "base")
CRDS = os.path.join(TOP, "deploy", "kubernetes", "crds")
TENANTS = "/apis/open-metrics.vgs.io/v1/metricsingestiontenants"
RULES = "/apis/open-metrics.vgs.io/v1/openmetricsrules"
ACCESSES = "/apis/observability.ethos.io/v1alpha1/metricaccesses"
# Maps whose keys are not fields.
FREE_KEYS = {"labels", "matchLabels", "annotations", "data", "requests", "limits"}


def setUpModule():
    global OBJECTS
    OBJECTS = render(BASE)


def fields(value, path=()):
    """The path of every field, through maps and lists."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not path or path[-1] not in FREE_KEYS and path != ("spec", "selector"):
                yield (*path, key)
            yield from fields(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from fields(inner, (*path, index))


def namespaced(path):
    """The objects of the namespace `shop`."""
    root, _, plural = path.rpartition("/")
    return f"{root}/namespaces/shop/{plural}"


def misspelled(value, path):
    """A copy with a letter more in the name of the field at `path`."""
    value = copy.deepcopy(value)
    parent = value
    for step in path[:-1]:
        parent = parent[step]
    parent[f"{path[-1]}x"] = parent.pop(path[-1])
    return value


class ApiTest(unittest.TestCase):
    """Against the Kubernetes API server of the tests."""

    @classmethod
    def setUpClass(cls):
        cls.kube = cls.enterClassContext(KubeApi())

    def collection(self, o):
        """The path of the objects of this kind."""
        version = o["apiVersion"]
        root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
        _, answer = self.kube.request("GET", root)
        plural = {r["kind"]: r["name"] for r in answer["resources"]}[o["kind"]]
        if o["kind"] in CLUSTER_SCOPED:
            return f"{root}/{plural}"
        return f"{root}/namespaces/{o['metadata']['namespace']}/{plural}"

    def test_takes_every_object(self):
        for o in OBJECTS:
            path = self.collection(o)
            status, answer = self.kube.request("POST", f"{path}?fieldValidation=Strict", o)
            self.assertEqual(status, 201, answer)
            status, answer = self.kube.request("GET", f"{path}/{o['metadata']['name']}")
            self.assertEqual(status, 200, answer)

    def test_refuses_every_misspelled_field(self):
        count = 0
        for o in OBJECTS:
            path = self.collection(o) + "?fieldValidation=Strict&dryRun=All"
            for field in fields(o):
                status, answer = self.kube.request("POST", path, misspelled(o, field))
                where = f"{o['kind']}/{o['metadata']['name']}: {field}"
                self.assertGreaterEqual(status, 400, where)
                if field[0] not in ("apiVersion", "kind", "metadata"):
                    self.assertIn("unknown field", answer["message"], where)
                count += 1
        self.assertGreater(count, 500)


def role(named):
    return named("ClusterRole", "insula-tenant-registry")


# What a mistake in the manifests is, and what must be said of it. `w` finds an
# object by kind and name; `p` is the pod of ingest-gateway, `c` its container.
MISTAKES = [
    (lambda w, p, c: p["securityContext"].pop("runAsNonRoot"), "may run as root"),
    (lambda w, p, c: p["securityContext"].update(runAsUser=0), "may run as root"),
    (lambda w, p, c: c["securityContext"].update(runAsNonRoot=False), "may run as root"),
    (lambda w, p, c: p["securityContext"].pop("seccompProfile"), "no seccomp profile"),
    (lambda w, p, c: c["securityContext"].pop("allowPrivilegeEscalation"), "gain privileges"),
    (lambda w, p, c: c["securityContext"].update(privileged=True), "gain privileges"),
    (lambda w, p, c: c["securityContext"].update(capabilities={"drop": ["ALL"], "add": ["X"]}),
     "keeps capabilities"),
    (lambda w, p, c: c["securityContext"].pop("readOnlyRootFilesystem"), "write its root"),
    (lambda w, p, c: p.update(hostNetwork=True), "hostNetwork is on"),
    (lambda w, p, c: p["volumes"].append({"name": "h", "hostPath": {"path": "/"}}),
     "kind that is not allowed"),
    (lambda w, p, c: c.pop("startupProbe"), "no startupProbe"),
    (lambda w, p, c: c["livenessProbe"]["httpGet"].update(path="/readyz"), "no livenessProbe"),
    (lambda w, p, c: c["readinessProbe"]["httpGet"].update(port="write"), "no readinessProbe"),
    (lambda w, p, c: c.update(image="insula/ingest-gateway:latest"), "is not ingest-gateway of"),
    (lambda w, p, c: p.update(serviceAccountName="other"), "no ServiceAccount of its own"),
    (lambda w, p, c: p.pop("automountServiceAccountToken"), "a token of the Kubernetes API"),
    (lambda w, p, c: p.pop("enableServiceLinks"), "variables of other Services"),
    (lambda w, p, c: w("StatefulSet", "ingest-gateway")["spec"]["selector"]["matchLabels"].update(a="b"),
     "does not select its own pods"),
    (lambda w, p, c: w("StatefulSet", "tenant-registry")["spec"].update(serviceName="other"),
     "there is no Service other"),
    (lambda w, p, c: c["volumeMounts"].pop(1), "volume state is not both"),
    (lambda w, p, c: (w("StatefulSet", "ingest-gateway")["spec"].pop("volumeClaimTemplates"),
                      p["volumes"].insert(1, {"name": "state", "emptyDir": {}})),
     "its queue is not on a volume"),
    (lambda w, p, c: w("StatefulSet", "ingest-gateway")["spec"]["volumeClaimTemplates"][0]["spec"]
     ["resources"]["requests"].update(storage="8Gi"), "outgrow its volume"),
    (lambda w, p, c: w("ConfigMap", p["volumes"][0]["configMap"]["name"])["data"].update(
        {"config.yaml": "{}"}), "has no queue"),
    (lambda w, p, c: p["volumes"][0]["configMap"].update(name="other"), "there is no ConfigMap other"),
    (lambda w, p, c: p["volumes"][-1]["secret"].update(secretName="rule-sync-tls"),
     "there is no Secret rule-sync-tls"),
    (lambda w, p, c: c["volumeMounts"][-1].update(mountPath="/etc/other"),
     "internal.key_file is not tls.key of the Secret ingest-gateway-tls"),
    (lambda w, p, c: c.update(args=["--config=/etc/insula/other.yaml"]), "/etc/insula/other.yaml"),
    (lambda w, p, c: w("ConfigMap", "tenants")["data"].clear(), "the file /etc/insula-tenants/"),
    (lambda w, p, c: c["resources"].pop("limits"), "no limit of memory"),
    (lambda w, p, c: c["resources"]["requests"].update(memory="2Gi"), "more memory than"),
    (lambda w, p, c: p["topologySpreadConstraints"].pop(), "not spread over"),
    (lambda w, p, c: p["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].update(a="b"),
     "spreads pods that are not its own"),
    (lambda w, p, c: c["ports"][0].update(containerPort=1), "its ports are"),
    (lambda w, p, c: p.update(terminationGracePeriodSeconds=30), "killed while it drains"),
    (lambda w, p, c: w("Service", "ingest-gateway")["spec"]["selector"].update(a="b"),
     "Service/ingest-gateway: selects 0"),
    (lambda w, p, c: w("Service", "ingest-gateway")["spec"]["ports"][0].update(port=80),
     "port write is not that of the pod"),
    (lambda w, p, c: w("Service", "tenant-registry")["metadata"].update(name="other"),
     "there is no Service tenant-registry:9701"),
    (lambda w, p, c: w("PodDisruptionBudget", "rule-sync")["spec"]["selector"]["matchLabels"].update(
        {"app.kubernetes.io/name": "query-frontend"}), "has 0 PodDisruptionBudgets"),
    (lambda w, p, c: w("PodDisruptionBudget", "rule-sync")["spec"].update(maxUnavailable=0),
     "maxUnavailable is not 1"),
    (lambda w, p, c: w("NetworkPolicy", "nobody")["spec"].update(ingress=[{"ports": []}]),
     "none refuses"),
    (lambda w, p, c: w("NetworkPolicy", "senders-to-ingest-gateway")["spec"]["ingress"][0]["ports"][0]
     .update(port="http"), "no port http"),
    (lambda w, p, c: w("NetworkPolicy", "followers-to-tenant-registry")["spec"]["ingress"][0]["from"][0]
     ["podSelector"]["matchExpressions"][0]["values"].append("other"), "nothing is called other"),
    (lambda w, p, c: w("Namespace", "insula")["metadata"]["labels"].pop(
        "pod-security.kubernetes.io/enforce"), "does not enforce"),
    (lambda w, p, c: w("Service", "rule-sync")["metadata"].update(namespace="default"),
     "in no namespace of ours"),
    (lambda w, p, c: w("ServiceAccount", "rule-sync").pop("automountServiceAccountToken"),
     "hands out its token"),
    (lambda w, p, c: role(w)["rules"][0].update(resources=["*"]),
     "does not need, observability.ethos.io * "),
    (lambda w, p, c: role(w)["rules"][0]["resources"].append("others"), "does not need"),
    (lambda w, p, c: role(w)["rules"][0]["verbs"].append("delete"), "does not need"),
    (lambda w, p, c: role(w)["rules"][4].pop("resourceNames"), "does not need, apiextensions"),
    (lambda w, p, c: role(w)["rules"][3]["resources"].pop(), "lacks the right open-metrics.vgs.io"),
    (lambda w, p, c: role(w)["rules"].append(
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}), "does not need,  secrets"),
    (lambda w, p, c: role(w)["rules"].append(
        {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}), "does not need,  nonResourceURLs"),
    (lambda w, p, c: role(w)["metadata"].update(name="other"), "nobody has it"),
    (lambda w, p, c: w("ClusterRoleBinding", "insula-tenant-registry")["subjects"].append(
        {"kind": "ServiceAccount", "name": "rule-sync", "namespace": "insula"}),
     "StatefulSet/rule-sync: is granted"),
    (lambda w, p, c: w("ClusterRoleBinding", "insula-tenant-registry")["subjects"][0].update(
        namespace="default"), "who is not of ours"),
    (lambda w, p, c: w("ClusterRoleBinding", "insula-tenant-registry")["subjects"][0].update(
        kind="User"), "who is not of ours"),
    (lambda w, p, c: w("ClusterRoleBinding", "insula-tenant-registry").update(kind="RoleBinding"),
     "not looked at"),
    (lambda w, p, c: w("StatefulSet", "tenant-registry")["spec"]["template"]["spec"].update(
        automountServiceAccountToken=False), "gets no token"),
]


class ManifestsTest(unittest.TestCase):

    def test_have_no_problems(self):
        self.assertEqual(list(Manifests(OBJECTS, VERSION).problems()), [])
        self.assertEqual(len(Manifests(OBJECTS, VERSION).workloads()), 5)

    def test_a_mistake_is_found(self):
        for change, finding in MISTAKES:
            with self.subTest(finding):
                manifests = Manifests(copy.deepcopy(OBJECTS), VERSION)
                pod = manifests.named("StatefulSet", "ingest-gateway")["spec"]["template"]["spec"]
                change(manifests.named, pod, pod["containers"][0])
                self.assertIn(finding, "\n".join(manifests.problems()))


class SettingsTest(unittest.TestCase):
    """The services with the settings of the ConfigMaps, and a cluster where their
    ServiceAccounts have the rights of the manifests."""

    @classmethod
    def setUpClass(cls):
        accounts = [o["metadata"]["name"] for o in OBJECTS if o["kind"] == "ServiceAccount"]
        tokens = ['root,root,0,"system:masters"', *(
            f"{name},system:serviceaccount:insula:{name},{name}" for name in accounts)]
        cls.kube = cls.enterClassContext(KubeApi("--authz", "rbac", token="root",
                                                 tokens="\n".join(tokens) + "\n"))
        cls.certificates = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="tls-"))
        subprocess.run([os.path.join(TOP, "tools", "dev-ca"), cls.certificates], check=True)
        for o in render(CRDS):
            cls.kube.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", o)
        for o in OBJECTS:
            if o["apiVersion"].startswith("rbac.authorization.k8s.io/"):
                cls.kube.create(f"/apis/{o['apiVersion']}/{o['kind'].lower()}s", o)
        wait_until(lambda: cls.kube.request("GET", f"{TENANTS}?limit=1")[0] == 200, "the CRDs")

    def setUp(self):
        self.directory = self.enterContext(tempfile.TemporaryDirectory(prefix="manifests-"))
        self.workloads = {w.name: w for w in Manifests(OBJECTS, VERSION).workloads()}
        self.addresses = {}
        self.processes = {}
        self.addCleanup(self.kill)

    def kill(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        for service in self.processes:
            sys.stderr.write(self.log(service))

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_are_valid(self):
        for service in SERVICES:
            config = self.write(f"{service}.yaml", self.workloads[service].config_text())
            subprocess.run([os.path.join(BIN_DIR, service), "--check-config", f"--config={config}"],
                           check=True, timeout=60)

    def start(self, service):
        """Starts a service as its pod does, but for directories and addresses."""
        workload = self.workloads[service]
        text = workload.config_text()
        for path in workload.files():
            self.write(path.lstrip("/"), workload.file(path))
        for name, port in workload.ports().items():
            text = text.replace(f"0.0.0.0:{port}", "127.0.0.1:0")
        for where, address in self.addresses.items():
            text = text.replace(where, address)
        text = text.replace("/etc/insula-tls/", f"{self.certificates}/{service}/")
        text = text.replace("/etc/", f"{self.directory}/etc/")
        text = text.replace("/var/lib/insula", f"{self.directory}/{service}")
        os.mkdir(os.path.join(self.directory, service))
        for container in workload.pod.get("initContainers", []):
            subprocess.run([word.replace("/var/lib/insula", f"{self.directory}/{service}")
                            for word in container["command"]], check=True, timeout=60)
        ports = os.path.join(self.directory, f"{service}.ports")
        command = [os.path.join(BIN_DIR, service), f"--ports-file={ports}",
                   f"--config={self.write(service + '.yaml', text)}"]
        if workload.follows_kubernetes():
            command.append(f"--kubernetes.kubeconfig={self.kubeconfig(service)}")
        with open(os.path.join(self.directory, f"{service}.log"), "wb") as log:
            process = self.processes[service] = subprocess.Popen(command, stderr=log)
        wait_until(lambda: os.path.exists(ports) or process.poll() is not None,
                   f"the listeners of {service}")
        with open(ports, encoding="utf-8") as file:
            bound = dict(line.split() for line in file)
        for name, port in workload.ports().items():
            self.addresses[f"{service}:{port}"] = bound[name]
        return bound["admin"]

    def log(self, service):
        with open(os.path.join(self.directory, f"{service}.log"), encoding="utf-8") as log:
            return log.read()

    def kubeconfig(self, account):
        """How the pod of a ServiceAccount reaches the cluster."""
        with open(self.kube.kubeconfig, encoding="utf-8") as file:
            config = yaml.safe_load(file)
        for cluster in config["clusters"]:
            cluster["cluster"]["certificate-authority"] = os.path.join(
                os.path.dirname(self.kube.kubeconfig), cluster["cluster"]["certificate-authority"])
        for user in config["users"]:
            user["user"] = {"token": account}
        return self.write("kubeconfig", yaml.safe_dump(config))

    def test_let_the_registry_follow_the_cluster_and_nobody_else(self):
        admin = self.start("tenant-registry")
        made = {ACCESSES: {"source": "shop", "metrics": ["up"]}, RULES: {"tenants": ["shop"]},
                TENANTS: {"tenants": ["shop"]}}
        kinds = {ACCESSES: "MetricAccess", RULES: "OpenMetricsRule",
                 TENANTS: "MetricsIngestionTenant"}
        for path, spec in made.items():
            self.kube.create(namespaced(path), {
                "apiVersion": path.removeprefix("/apis/").rpartition("/")[0],
                "kind": kinds[path], "metadata": {"name": "one"}, "spec": spec})
        for path in made:
            wait_until(lambda p=path: self.accepted(f"{namespaced(p)}/one"), f"the status of {path}")
        self.assertIn("tenant_registry_kube_synced 1", self.page(admin, "metrics"))
        # It lacks no right. A kind that was just made may be busy.
        warnings = [line for line in self.log("tenant-registry").splitlines()
                    if '"level":"warn"' in line and "storage is (re)initializing" not in line]
        self.assertEqual(warnings, [])
        for service in SERVICES:
            status, answer = self.kube.request("GET", TENANTS, token=service)
            self.assertEqual(status, 200 if service == "tenant-registry" else 403, answer)
        status, _ = self.kube.request("DELETE", f"{namespaced(TENANTS)}/one", token="tenant-registry")
        self.assertEqual(status, 403)

    def accepted(self, path):
        _, answer = self.kube.request("GET", path)
        return any(c["type"] == "Accepted" and c["status"] == "True"
                   for c in answer.get("status", {}).get("conditions", []))

    @staticmethod
    def page(address, path):
        return urllib.request.urlopen(f"http://{address}/{path}", timeout=10).read().decode()

    def test_make_services_that_become_ready_and_drain(self):
        for service in SERVICES:
            admin = self.start(service)
            for path in ("livez", "readyz"):
                wait_until(lambda: self.ask(f"http://{admin}/{path}") == 200, f"{service}/{path}")
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for service, process in self.processes.items():
            grace = self.workloads[service].pod["terminationGracePeriodSeconds"]
            self.assertEqual(process.wait(timeout=grace), 0, service)

    def ask(self, url):
        try:
            return urllib.request.urlopen(url, timeout=10).status
        except OSError:
            return 0


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
