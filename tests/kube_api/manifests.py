"""Reads the manifests of deploy/kubernetes and says what is wrong with them, as far
as the Kubernetes API would take it: names that lead nowhere, privileges, probes,
settings that do not fit the pod around them."""

import itertools
import re
import subprocess
import urllib.parse

import yaml

WORKLOADS = ("Deployment", "StatefulSet")
CLUSTER_SCOPED = ("Namespace", "ClusterRole", "ClusterRoleBinding")
# What a service with the setting `kubernetes.enabled` needs: group, resource, name
# ("": any) and verb. Nobody gets more, and nobody else gets anything.
KINDS = {"observability.ethos.io": ["metricaccesses"],
         "open-metrics.vgs.io": ["openmetricsrules", "metricsingestiontenants"]}
RIGHTS = {
    *((group, kind, "", verb) for group, kinds in KINDS.items() for kind in kinds
      for verb in ("get", "list", "watch")),
    *((group, f"{kind}/status", "", "patch") for group, kinds in KINDS.items() for kind in kinds),
    *(("apiextensions.k8s.io", "customresourcedefinitions", f"{kind}.{group}", "get")
      for group, kinds in KINDS.items() for kind in kinds),
}
# Volumes that the pod security standard `restricted` allows, and hostPath is not.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral",
           "persistentVolumeClaim", "projected", "secret"}
# What a pod takes to end, besides its drain.
GRACE_BEYOND_DRAIN = 5
# Of the files of a queue besides twice what it may hold, and of the rest on its volume.
QUEUE_BEYOND_RECORDS = 2**30
# Endpoints of a pod that ends have gone everywhere after so long.
LEAST_DRAIN_DELAY = 3


def render(directory):
    """The objects of a kustomization."""
    text = subprocess.run(["kubectl", "kustomize", directory], check=True,
                          stdout=subprocess.PIPE, text=True, timeout=60).stdout
    return [document for document in yaml.safe_load_all(text) if document]


def seconds(text):
    """A duration of our configuration: 1m30s."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    return sum(float(number) * units[unit]
               for number, unit in re.findall(r"([\d.]+)(ms|s|m|h)", text))


def quantity(text):
    """A Kubernetes quantity of memory or CPU."""
    number, unit = re.fullmatch(r"([\d.]+)(m|Ki|Mi|Gi|)", str(text)).groups()
    return float(number) * {"m": 0.001, "": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}[unit]


class Manifests:
    def __init__(self, objects, version):
        self.objects = objects
        self.version = version  # That all images must have.

    def of(self, *kinds):
        return [o for o in self.objects if o["kind"] in kinds]

    def named(self, kind, name):
        return next((o for o in self.of(kind) if o["metadata"]["name"] == name), None)

    def workloads(self):
        return [Workload(self, o) for o in self.of(*WORKLOADS)]

    def selected(self, selector):
        """The workloads whose pods a label selector takes."""
        return [w for w in self.workloads() if matches(selector, w.labels)]

    def problems(self):
        """What is wrong, "Kind/name: what" each."""
        for workload in self.workloads():
            for check in (workload.security, workload.probes, workload.images,
                          workload.identity, workload.selectors, workload.volumes,
                          workload.certificates, workload.queue,
                          workload.resources, workload.spread, workload.settings):
                yield from (f"{workload.title}: {what}" for what in check())
        for check in (self.scope, self.rights, self.services, self.budgets,
                      self.network_policies):
            yield from check()

    def scope(self):
        namespaces = self.of("Namespace")
        for o in namespaces:
            if o["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
                yield f"Namespace/{o['metadata']['name']}: does not enforce `restricted`"
        names = {o["metadata"]["name"] for o in namespaces}
        for o in self.objects:
            title = f"{o['kind']}/{o['metadata']['name']}"
            if o["kind"] not in CLUSTER_SCOPED and o["metadata"].get("namespace") not in names:
                yield f"{title}: is in no namespace of ours"
            if o["kind"] == "ServiceAccount" and o.get("automountServiceAccountToken") is not False:
                yield f"{title}: hands out its token"

    def rights(self):
        """Whether those that talk to Kubernetes may do what they need, and no more."""
        granted = {}  # By service account: NAMESPACE/NAME.
        bound = set()
        for o in self.objects:
            title = f"{o['kind']}/{o['metadata']['name']}"
            if not o["apiVersion"].startswith("rbac.authorization.k8s.io/"):
                continue
            if o["kind"] == "ClusterRole":
                continue  # Seen through its binding.
            if o["kind"] != "ClusterRoleBinding":
                yield f"{title}: is of a kind that is not looked at"
                continue
            role = self.named(o["roleRef"]["kind"], o["roleRef"]["name"])
            if role is None:
                yield f"{title}: there is no {o['roleRef']['kind']} {o['roleRef']['name']}"
                continue
            bound.add(role["metadata"]["name"])
            for subject in o["subjects"]:
                who = f"{subject.get('namespace')}/{subject['name']}"
                granted.setdefault(who, set()).update(_rights(role))
                account = self.named("ServiceAccount", subject["name"])
                if (subject["kind"] != "ServiceAccount" or account is None or
                        account["metadata"]["namespace"] != subject["namespace"]):
                    yield f"{title}: grants to {who}, who is not of ours"
        for o in self.of("ClusterRole"):
            if o["metadata"]["name"] not in bound:
                yield f"ClusterRole/{o['metadata']['name']}: nobody has it"
        for workload in self.workloads():
            who = f"{workload.namespace}/{workload.pod.get('serviceAccountName')}"
            needed = RIGHTS if workload.follows_kubernetes() else set()
            has = granted.get(who, set())
            for right in sorted(has - needed):
                yield f"{workload.title}: is granted what it does not need, {' '.join(right)}"
            for right in sorted(needed - has):
                yield f"{workload.title}: lacks the right {' '.join(right)}"

    def services(self):
        for o in self.of("Service"):
            title = f"Service/{o['metadata']['name']}"
            selected = self.selected({"matchLabels": o["spec"].get("selector", {})})
            if len(selected) != 1:
                yield f"{title}: selects {len(selected)} workloads"
                continue
            for port in o["spec"]["ports"]:
                if selected[0].ports().get(port["targetPort"]) != port["port"]:
                    yield f"{title}: port {port['name']} is not that of the pod"

    def budgets(self):
        covered = []
        for o in self.of("PodDisruptionBudget"):
            selected = self.selected(o["spec"]["selector"])
            if len(selected) != 1:
                yield f"PodDisruptionBudget/{o['metadata']['name']}: selects {len(selected)} workloads"
            if o["spec"].get("maxUnavailable") != 1:
                yield f"PodDisruptionBudget/{o['metadata']['name']}: maxUnavailable is not 1"
            covered += [w.title for w in selected]
        for workload in self.workloads():
            if covered.count(workload.title) != 1:
                yield f"{workload.title}: has {covered.count(workload.title)} PodDisruptionBudgets"

    def network_policies(self):
        policies = self.of("NetworkPolicy")
        if not any(o["spec"]["podSelector"] == {} and not o["spec"].get("ingress") and
                   o["spec"]["policyTypes"] == ["Ingress"] for o in policies):
            yield "NetworkPolicy: none refuses what the others do not allow"
        for o in policies:
            title = f"NetworkPolicy/{o['metadata']['name']}"
            selected = self.selected(o["spec"]["podSelector"])
            if not selected:
                yield f"{title}: selects nothing"
            for rule in o["spec"].get("ingress", []):
                for port in rule["ports"]:
                    if any(port["port"] not in w.ports() for w in selected):
                        yield f"{title}: no port {port['port']}"
                for peer in rule.get("from", []):
                    for name in _values(peer.get("podSelector", {})):
                        if not self.selected({"matchLabels": {"app.kubernetes.io/name": name}}):
                            yield f"{title}: nothing is called {name}"


class Workload:
    def __init__(self, manifests, o):
        self.manifests = manifests
        self.title = f"{o['kind']}/{o['metadata']['name']}"
        self.name = o["metadata"]["name"]
        self.namespace = o["metadata"].get("namespace")
        self.spec = o["spec"]
        self.labels = o["spec"]["template"]["metadata"]["labels"]
        self.pod = o["spec"]["template"]["spec"]
        self.containers = self.pod["containers"] + self.pod.get("initContainers", [])

    def ports(self):
        return {p["name"]: p["containerPort"] for c in self.containers for p in c.get("ports", [])}

    def security(self):
        """The pod security standard `restricted`, and a file system that nobody writes."""
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if self.pod.get(key):
                yield f"{key} is on"
        pod = self.pod.get("securityContext", {})
        for c in self.containers:
            own = c.get("securityContext", {})
            both = {**pod, **own}
            if both.get("runAsNonRoot") is not True or both.get("runAsUser", 1) == 0:
                yield f"{c['name']} may run as root"
            if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
                yield f"{c['name']} has no seccomp profile"
            if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
                yield f"{c['name']} may gain privileges"
            if own.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{c['name']} keeps capabilities"
            if own.get("readOnlyRootFilesystem") is not True:
                yield f"{c['name']} may write its root file system"
        for volume in self.pod.get("volumes", []):
            if not set(volume) - {"name"} <= VOLUMES:
                yield f"volume {volume['name']} is of a kind that is not allowed"

    def probes(self):
        for c in self.pod["containers"]:
            for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"),
                                ("readinessProbe", "/readyz")):
                if c.get(probe, {}).get("httpGet") != {"path": path, "port": "admin"}:
                    yield f"{c['name']} has no {probe} that asks admin for {path}"

    def images(self):
        for c in self.containers:
            if not c["image"].endswith(f"/{self.name}:{self.manifests.version}"):
                yield f"image {c['image']} is not {self.name} of version {self.manifests.version}"

    def identity(self):
        account = self.pod.get("serviceAccountName")
        if account is None or self.manifests.named("ServiceAccount", account) is None:
            yield "has no ServiceAccount of its own"
        token = self.pod.get("automountServiceAccountToken")
        if self.follows_kubernetes() and token is not True:
            yield "gets no token of the Kubernetes API"
        if not self.follows_kubernetes() and token is not False:
            yield "gets a token of the Kubernetes API"
        if self.pod.get("enableServiceLinks") is not False:
            yield "gets variables of other Services"

    def selectors(self):
        if not matches(self.spec["selector"], self.labels):
            yield "does not select its own pods"
        if "serviceName" in self.spec and not self.manifests.named("Service", self.spec["serviceName"]):
            yield f"there is no Service {self.spec['serviceName']}"

    def volumes(self):
        claims = [c["metadata"]["name"] for c in self.spec.get("volumeClaimTemplates", [])]
        volumes = claims + [v["name"] for v in self.pod.get("volumes", [])]
        mounted = {m["name"] for c in self.containers for m in c.get("volumeMounts", [])}
        for name in mounted ^ set(volumes):
            yield f"volume {name} is not both there and mounted"
        for volume in self.pod.get("volumes", []):
            for kind, field, key in (("ConfigMap", "configMap", "name"),
                                     ("Secret", "secret", "secretName")):
                source = volume.get(field)
                if kind == "Secret" and source and source[key] == f"{self.name}-tls":
                    continue  # Whoever applies the manifests makes it.
                if source and not source.get("optional") and not self.manifests.named(kind, source[key]):
                    yield f"there is no {kind} {source[key]}"
        for path in [self.config_path(), *self.files()]:
            if self.file(path) is None:
                yield f"nothing provides the file {path}"

    def certificates(self):
        """Whether the certificate for gRPC that the settings name is the pod's own."""
        internal = yaml.safe_load(self.config_text() or "{}").get("internal", {})
        secrets = {v["name"]: v["secret"]["secretName"] for v in self.pod.get("volumes", [])
                   if "secret" in v}
        mounted = {m["mountPath"]: secrets.get(m["name"])
                   for m in self.pod["containers"][0].get("volumeMounts", [])}
        for setting, key in (("cert_file", "tls.crt"), ("key_file", "tls.key"),
                             ("ca_file", "ca.crt")):
            directory, _, file = internal.get(setting, "").rpartition("/")
            if file != key or mounted.get(directory) != f"{self.name}-tls":
                yield f"internal.{setting} is not {key} of the Secret {self.name}-tls"

    def queue(self):
        """Whether a queue on disk has a volume that stays with its replica, and room."""
        queue = yaml.safe_load(self.config_text() or "{}").get("queue", {})
        if self.name == "ingest-gateway" and not queue.get("dir"):
            yield "has no queue"
        if not queue.get("dir"):
            return
        claims = {c["metadata"]["name"]: c["spec"]["resources"]["requests"]["storage"]
                  for c in self.spec.get("volumeClaimTemplates", [])}
        sizes = [claims[m["name"]] for m in self.pod["containers"][0].get("volumeMounts", [])
                 if m["name"] in claims and queue["dir"].startswith(m["mountPath"] + "/")]
        if not sizes:
            yield "its queue is not on a volume that stays with the replica"
        elif (quantity(sizes[0]) <
              2 * quantity(queue["max_bytes"].removesuffix("B")) + QUEUE_BEYOND_RECORDS):
            yield "its queue may outgrow its volume"

    def resources(self):
        for c in self.containers:
            resources = c.get("resources", {})
            requests, limits = resources.get("requests", {}), resources.get("limits", {})
            if "cpu" not in requests or "memory" not in requests or "memory" not in limits:
                yield f"{c['name']} has no requests or no limit of memory"
            elif quantity(requests["memory"]) > quantity(limits["memory"]):
                yield f"{c['name']} asks for more memory than it may have"

    def spread(self):
        constraints = self.pod.get("topologySpreadConstraints", [])
        if self.spec.get("replicas", 1) > 1:
            keys = {c["topologyKey"] for c in constraints}
            if keys != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
                yield "its replicas are not spread over nodes and zones"
        for constraint in constraints:
            if not matches(constraint["labelSelector"], self.labels):
                yield "spreads pods that are not its own"

    def config_path(self):
        for argument in self.containers[0].get("args", []):
            if argument.startswith("--config="):
                return argument.removeprefix("--config=")
        return ""

    def config_text(self):
        return self.file(self.config_path())

    def follows_kubernetes(self):
        settings = yaml.safe_load(self.config_text() or "{}")
        return settings.get("kubernetes", {}).get("enabled") is True

    def files(self):
        """Files that the settings name and a ConfigMap must provide."""
        settings = yaml.safe_load(self.config_text() or "{}")
        return settings.get("sources", {}).get("files", [])

    def file(self, path):
        """The text of a file that comes out of a ConfigMap."""
        for c in self.containers:
            for mount in c.get("volumeMounts", []):
                directory, _, key = path.rpartition("/")
                if mount["mountPath"] != directory:
                    continue
                for volume in self.pod["volumes"]:
                    if volume["name"] == mount["name"] and "configMap" in volume:
                        source = self.manifests.named("ConfigMap", volume["configMap"]["name"])
                        return (source or {}).get("data", {}).get(key)
        return None

    def settings(self):
        """Whether the configuration fits the pod."""
        settings = yaml.safe_load(self.config_text() or "{}")
        listeners = {"grpc": settings.get("grpc", {}), "admin": settings.get("admin", {}),
                     **{each["name"]: each for each in settings.get("listeners", [])}}
        bound = {}
        for name, listener in listeners.items():
            host, _, port = listener.get("listen_address", "127.0.0.1:0").rpartition(":")
            bound[name] = int(port)
            if host != "0.0.0.0":
                yield f"{name} listens where nobody else is"
        if bound != self.ports():
            yield f"listens on {bound}, its ports are {self.ports()}"
        drain = seconds(settings.get("drain_timeout", "20s"))
        if self.pod["terminationGracePeriodSeconds"] < drain + GRACE_BEYOND_DRAIN:
            yield "may be killed while it drains"
        if (self.spec.get("replicas", 1) > 1 and
                seconds(settings.get("drain_delay", "0s")) < LEAST_DRAIN_DELAY):
            yield "closes its listeners before load balancers notice"
        for address in (settings.get("registry", {}).get("address"),
                        urllib.parse.urlsplit(settings.get("gateway", {}).get("write_url", "")).netloc):
            if address and not self._is_service(address):
                yield f"there is no Service {address}"

    def _is_service(self, address):
        host, _, port = address.partition(":")
        service = self.manifests.named("Service", host)
        return service is not None and int(port) in [p["port"] for p in service["spec"]["ports"]]


def matches(selector, labels):
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", expression
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())


def _rights(role):
    """What the rules of a role come to. What can't be said so is a right of its own."""
    for rule in role["rules"]:
        if rule.get("nonResourceURLs"):
            yield ("", "nonResourceURLs", "", *rule["nonResourceURLs"])
            continue
        yield from itertools.product(rule["apiGroups"], rule["resources"],
                                     rule.get("resourceNames") or [""], rule["verbs"])


def _values(selector):
    """The names of workloads that a selector speaks of."""
    found = [v for e in selector.get("matchExpressions", []) for v in e["values"]]
    return found + list(selector.get("matchLabels", {}).values())
