"""The processes of the demo, their configuration, and questions to them.

      node-exporter                         Prometheus (the shared store) ◀── rule-sync
            ▲                                  ▲                 ▲
            │ scrapes                          │                 │
    Prometheus (the teams' own) ──▶ ingest-gateway         query-frontend
            ▲                                  ▲
            └───── federation-pusher ──────────┘
"""

import hashlib
import json
import os
import secrets
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from tools.demo_lib.processes import DemoError
from tools.demo_lib.registry import TOP, Registry
from tools.ports import claim_ports

_BIN = os.path.join(TOP, "build", "release", "bin")

_RESOURCES = """\
kind: Upstream
id: store
spec:
  write_url: http://127.0.0.1:{store}/api/v1/write
  query_url: http://127.0.0.1:{store}
  isolation: ISOLATION_LABEL
---
kind: RuleTarget
id: store
spec: {{type: TYPE_PROMETHEUS, url: "http://127.0.0.1:{store}", isolation: ISOLATION_LABEL}}
---
kind: Tenant
id: red
spec:
  display_name: Team Red
  enforced_labels: {{namespace: red}}
  upstream_id: store
  rule_target_id: store
---
kind: Tenant
id: blue
spec: {{display_name: Team Blue, enforced_labels: {{namespace: blue}}, upstream_id: store}}
---
kind: Tenant
id: green
spec: {{display_name: Team Green, enforced_labels: {{namespace: green}}, upstream_id: store}}
---
kind: ClaimRule
id: by-namespace
spec: {{label: namespace}}
---
kind: Binding
id: shared-prometheus
spec:
  token_sha256: {sender}
  tenant_ids: [red, blue]
  roles: [ROLE_WRITE]
  claim_rule_id: by-namespace
---
kind: Binding
id: red-reader
spec: {{token_sha256: {red}, tenant_ids: [red], roles: [ROLE_READ]}}
---
kind: Binding
id: blue-reader
spec: {{token_sha256: {blue}, tenant_ids: [blue], roles: [ROLE_READ]}}
---
kind: Binding
id: green-reader
spec: {{token_sha256: {green}, tenant_ids: [green], roles: [ROLE_READ]}}
---
kind: Binding
id: federation-pusher
spec: {{token_sha256: {pusher}, every_tenant: true, roles: [ROLE_WRITE]}}
"""

# A rule file as team Red writes it: it says nothing of tenants.
_RED_RULES = """\
groups:
  - name: targets
    interval: 1s
    rules:
      - record: job:up:count
        expr: count by (job) (up)
"""

_STORE = """\
rule_files: ["{rule_files}/store/*.yaml"]
"""

# What every team runs in its own Prometheus; only the URL and the token of
# remote_write are Insula's.
_SENDER = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: red-node
    static_configs:
      - targets: ["127.0.0.1:{exporter}"]
        labels: {{namespace: red, job: node}}
  - job_name: blue-node
    static_configs:
      - targets: ["127.0.0.1:{exporter}"]
        labels: {{namespace: blue, job: node}}
  - job_name: blue-insula
    static_configs:
      - targets: [{services}]
        labels: {{namespace: blue, job: insula}}
remote_write:
  - url: {gateway}/api/v1/write
    authorization: {{credentials: {token}}}
    queue_config: {{batch_send_deadline: 500ms}}
"""


def _sha256(token):
    return hashlib.sha256(token.encode()).hexdigest()


class Constellation:
    """Starts everything in `processes.directory`; Processes.stop() ends it."""

    tenants = ("red", "blue")

    def __init__(self, processes):
        self.processes = processes
        self._directory = processes.directory
        self.tokens = {name: secrets.token_hex(16)
                       for name in (*self.tenants, "green", "sender", "pusher")}
        subprocess.run([os.path.join(TOP, "tools", "dev-ca"), self._path("tls")],
                       check=True, stdout=subprocess.DEVNULL)
        self._start_store()
        self._start_services()
        self._start_sender()
        self.registry = Registry(self.ports["tenant-registry"]["grpc"],
                                 self._path("tls/admin"))
        self._start_federation()

    # Starting.

    def _path(self, name):
        return os.path.join(self._directory, name)

    def _write(self, name, text):
        # Configurations hold tokens.
        with open(os.open(self._path(name), os.O_CREAT | os.O_WRONLY, 0o600),
                  "w") as file:
            file.write(text)
        return self._path(name)

    def _start_prometheus(self, name, config, *flags):
        port = claim_ports(1)[0]
        self.processes.start(name, [
            "prometheus", f"--config.file={self._write(name + '.yml', config)}",
            f"--storage.tsdb.path={self._path(name)}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn", *flags])
        url = f"http://127.0.0.1:{port}"
        self.processes.wait_http_ok(name, f"{url}/-/ready")
        return url

    def _start_store(self):
        self._rule_files = self._path("rule-files")
        self.store = self._start_prometheus(
            "store", _STORE.format(rule_files=self._rule_files),
            "--web.enable-remote-write-receiver", "--web.enable-lifecycle")

    def _start_service(self, name, config):
        """Starts a binary of ours on free ports and waits until it is ready."""
        ports_file = self._path(f"{name}.ports")
        self.processes.start(name, [
            os.path.join(_BIN, name),
            f"--config={self._write(name + '.yaml', config + self._internal(name))}",
            "--admin.listen-address=127.0.0.1:0", f"--ports-file={ports_file}"])

        def ports():
            try:
                with open(ports_file) as file:
                    return dict(line.split() for line in file)
            except FileNotFoundError:
                return None

        self.ports[name] = self.processes.wait_until(
            f"{name} to listen", ports, 30)
        self.processes.wait_http_ok(
            name, f"http://{self.ports[name]['admin']}/readyz")

    def _internal(self, name):
        """The settings of gRPC between the services: mutual TLS."""
        directory = self._path(f"tls/{name}")
        return f"""\
internal:
  cert_file: {directory}/tls.crt
  key_file: {directory}/tls.key
  ca_file: {directory}/ca.crt
  admins: [spiffe://insula.internal/admin/admin]
"""

    def _start_services(self):
        self.ports = {}
        resources = _RESOURCES.format(
            store=urllib.parse.urlsplit(self.store).port,
            **{name: _sha256(token) for name, token in self.tokens.items()})
        self._start_service("tenant-registry", f"""\
grpc: {{listen_address: "127.0.0.1:0"}}
storage: {{path: {self._path("registry.db")}}}
sources: {{files: [{self._write("tenants.yaml", resources)}]}}
""")
        for name in ("ingest-gateway", "query-frontend"):
            self._start_follower(
                name, 'listeners: [{name: http, listen_address: "127.0.0.1:0"}]\n')
        self.gateway = f"http://{self.ports['ingest-gateway']['http']}"
        self.frontend = f"http://{self.ports['query-frontend']['http']}"
        os.makedirs(self._path("rules/red"))
        self._write("rules/red/targets.yaml", _RED_RULES)
        self._start_follower("rule-sync", f"""\
rules: {{directory: {self._path("rules")}}}
rule_files: {{directory: {self._rule_files}}}
""")
        self._start_follower("federation-pusher", f"""\
gateway:
  write_url: {self.gateway}/api/v1/write
  token_file: {self._write("pusher.token", self.tokens["pusher"])}
""")

    def _start_follower(self, name, config):
        """Starts a service that follows the registry."""
        self._start_service(name, f"""\
grpc: {{listen_address: "127.0.0.1:0"}}
registry:
  address: {self.ports["tenant-registry"]["grpc"]}
  state_dir: {self._path(name + ".state")}
{config}""")

    def _start_sender(self):
        exporter = claim_ports(1)[0]
        self.processes.start("node-exporter", [
            "prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{exporter}",
            "--log.level=warn"])
        self.processes.wait_http_ok(
            "node-exporter", f"http://127.0.0.1:{exporter}/metrics")
        services = ", ".join(f'"{ports["admin"]}"' for ports in self.ports.values())
        self.sender = self._start_prometheus("sender", _SENDER.format(
            exporter=exporter, services=services, gateway=self.gateway,
            token=self.tokens["sender"]))

    def _start_federation(self):
        """Two metrics of Red's node go to Green, who has no Prometheus."""
        self.federated = ("node_load1", "node_boot_time_seconds")
        self.registry.put_job(
            "node-to-green", tenant="green", source=f"{self.sender}/federate",
            matches=[f'{name}{{namespace="red"}}' for name in self.federated],
            labels={"namespace": "green", "source": "red"})

    # Asking.

    def query(self, tenant, promql):
        """The result of an instant query as `tenant`: [(labels, value)]."""
        return self._query(self.frontend, promql, self.tokens[tenant])

    def query_store(self, promql):
        """The same, of the shared store itself."""
        return self._query(self.store, promql, None)

    @staticmethod
    def _query(base, promql, token):
        url = f"{base}/api/v1/query?{urllib.parse.urlencode({'query': promql})}"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with urllib.request.urlopen(
                    urllib.request.Request(url, headers=headers), timeout=10) as answer:
                data = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise DemoError(f"{promql}: {error.code} {error.read().decode()}") from error
        except OSError as error:
            raise DemoError(f"{promql}: {error}") from error
        return [(each["metric"], float(each["value"][1])) for each in data["result"]]

    def curl(self, tenant):
        """A command that asks as `tenant`, ready to paste."""
        return (f"curl -sS -H 'Authorization: Bearer {self.tokens[tenant]}' "
                f"'{self.frontend}/api/v1/query?query=up'")

    def urls(self):
        """What there is to look at: (name, URL)."""
        yield "query-frontend (Grafana, curl)", self.frontend
        yield "ingest-gateway (remote write)", f"{self.gateway}/api/v1/write"
        yield "tenant-registry (gRPC)", self.ports["tenant-registry"]["grpc"]
        for name, ports in self.ports.items():
            yield f"{name} admin", f"http://{ports['admin']}/metrics"
        yield "the teams' Prometheus", self.sender
        yield "the shared store, unprotected", self.store

    def wait_for_samples(self):
        """Waits until every scraped target has reached its reader."""
        self._wait_for_targets("red", 1)
        self._wait_for_targets("blue", 1 + len(self.ports))
        self.wait_for("the rule of red", "red", "job:up:count", 1)
        self.wait_for("the metrics of green", "green", '{__name__!=""}',
                      len(self.federated))

    def _wait_for_targets(self, tenant, count):
        self.wait_for(f"{count} targets of {tenant}", tenant, "up == 1", count)

    def wait_for(self, what, tenant, promql, count):
        """Waits until `tenant` gets `count` series in answer to `promql`."""
        def there():
            try:
                return len(self.query(tenant, promql)) == count
            except DemoError:  # Not imported yet; if it lasts, the logs tell.
                return False

        self.processes.wait_until(what, there, 40)
