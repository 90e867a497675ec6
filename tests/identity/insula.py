"""Insula for the tests: a Prometheus as the store, the tenant-registry, an
ingest-gateway and a query-frontend with a listener for each method."""

import contextlib
import json
import os
import signal
import struct
import time

from processes import claim_ports, send, wait_until

QUERY = "/api/v1/query?query=up"


def _varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number, data):
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def write_body(labels, value=1.0):
    """A remote write of one sample, uncompressed as snappy understands it."""
    series = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, text.encode()))
        for name, text in sorted(labels.items()))
    sample = b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(int(time.time() * 1000))
    body = _field(1, series + _field(2, sample))
    literal = bytes([60 << 2, len(body) - 1])
    assert 60 < len(body) <= 256
    return _varint(len(body)) + literal + body


class Service:
    """One of the services. `settings` are its configuration, as a tree. With `wait` it is
    ready, else it listens at all its listeners."""

    def __init__(self, lab, binary, name, settings, environment=None, wait=True):
        ports = lab.path(f"{name}.ports")
        if os.path.exists(ports):
            os.unlink(ports)
        config = lab.write(f"{name}.yaml", json.dumps(
            {**settings, "ports_file": ports, "admin": {"listen_address": "127.0.0.1:0"},
             "insecure_internal": True},
            indent=1))
        self.process = lab.start(name, [binary, "--config", config], environment)
        self.ports = {}

        def ready():
            if not os.path.exists(ports):
                return False
            with open(ports, encoding="utf-8") as file:
                lines = (line.split() for line in file if line.strip())
                self.ports = {each: int(address.rpartition(":")[2])
                              for each, address in lines}
            wanted = {"admin", *(each["name"] for each in settings.get("listeners", ()))}
            if not wait:
                return wanted <= set(self.ports)
            try:
                return ("admin" in self.ports and
                        send(self.ports["admin"], target="/readyz").status == 200)
            except OSError:
                return False

        self.process.wait_for("readiness", ready)

    def admin(self, target):
        return send(self.ports["admin"], target=target)


class Insula:
    """`binaries` is where the services are. `objects` of the registry are {(kind, id):
    spec}; tenants red and blue are there."""

    def __init__(self, lab, binaries):
        self._lab = lab
        self.binaries = binaries
        self.objects = {}
        self.registry = self.gateway = self.frontend = None
        self.listeners = {}
        self._late = 0
        self._registry_port, self.store_port = claim_ports(2)
        self._start_store()
        self.put("Upstream", "store", {
            "write_url": f"http://127.0.0.1:{self.store_port}/api/v1/write",
            "query_url": f"http://127.0.0.1:{self.store_port}",
            "isolation": "ISOLATION_LABEL"})
        for name in ("red", "blue"):
            self.put("Tenant", name, {"enforced_labels": {"namespace": name},
                                      "upstream_id": "store"})

    def binary(self, name):
        return os.path.join(self.binaries, name)

    def _start_store(self):
        # It scrapes itself, once as each tenant.
        jobs = [{"job_name": name, "static_configs": [
            {"targets": [f"127.0.0.1:{self.store_port}"], "labels": {"namespace": name}}]}
            for name in ("red", "blue")]
        config = self._lab.write("store.yml", json.dumps(
            {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
        process = self._lab.start("store", [
            "/usr/bin/prometheus", f"--config.file={config}",
            f"--storage.tsdb.path={self._lab.path('tsdb')}",
            f"--web.listen-address=127.0.0.1:{self.store_port}",
            "--web.enable-remote-write-receiver", "--log.level=warn"])

        def has_both():
            try:
                answer = send(self.store_port, target="/api/v1/query?query=count(up==1)")
                return b'"2"' in answer.body
            except OSError:
                return False

        process.wait_for("series of both tenants", has_both)

    # Objects of the registry.

    def put(self, kind, name, spec):
        self.objects[kind, name] = spec

    def bind(self, name, fact, tenants=("red",), **more):
        self.put("Binding", name, {**fact, "tenant_ids": list(tenants),
                                   "roles": ["ROLE_READ", "ROLE_WRITE"], **more})

    def _resources(self):
        return "---\n".join(json.dumps({"kind": kind, "id": name, "spec": spec}) + "\n"
                            for (kind, name), spec in self.objects.items())

    def publish(self):
        """Hands the objects to the registry; services have them soon after."""
        self._lab.write("tenants.yaml", self._resources())
        if self.registry is not None:
            self.registry.process.send_signal(signal.SIGHUP)

    # Services.

    def start_registry(self, **settings):
        self.publish()
        self.registry = Service(
            self._lab, self.binary("tenant-registry"), "registry",
            {"storage": {"path": self._lab.path("registry.db")},
             "sources": {"files": [self._lab.path("tenants.yaml")]},
             "grpc": {"listen_address": f"127.0.0.1:{self._registry_port}"}, **settings})

    def registry_address(self):
        return f"127.0.0.1:{self._registry_port}"

    def start_edge(self, service, name, listeners, registry=None, binary=None,
                   wait=True, environment=None, **settings):
        """An ingest-gateway or query-frontend."""
        listeners = [{"listen_address": "127.0.0.1:0", "name": each, **listener}
                     for each, listener in listeners.items()]
        return Service(
            self._lab, binary or self.binary(service), name,
            {"registry": {"address": registry or self.registry_address(),
                          "state_dir": self._lab.path(f"{name}.state")},
             "grpc": {"listen_address": "127.0.0.1:0"},
             "listeners": listeners, **settings}, environment, wait)

    def start(self, listeners):
        self.listeners = listeners
        self.start_registry()
        self.gateway = self.start_edge("ingest-gateway", "gateway", listeners)
        self.frontend = self.start_edge("query-frontend", "frontend", listeners)

    @contextlib.contextmanager
    def without_registry(self):
        """The registry is gone meanwhile. Gives a query-frontend and an ingest-gateway that
        never met one."""
        self.registry.process.stop(signal.SIGKILL)
        self._late += 1
        newcomers = [
            self.start_edge(service, f"{service}-late-{self._late}", self.listeners,
                            registry=self.registry_address(), wait=False)
            for service in ("query-frontend", "ingest-gateway")]
        try:
            yield newcomers
        finally:
            for each in newcomers:
                each.process.stop()
            self.start_registry()

    # Requests.

    def query(self, listener, headers=(), tls=None, service=None, **more):
        service = service or self.frontend
        return send(service.ports[listener], target=QUERY, headers=headers, tls=tls, **more)

    def write(self, listener, headers=(), tls=None, service=None, **more):
        service = service or self.gateway
        return send(service.ports[listener], "POST", "/api/v1/write",
                    [*headers, ("Content-Type", "application/x-protobuf"),
                     ("Content-Encoding", "snappy"),
                     ("X-Prometheus-Remote-Write-Version", "0.1.0")],
                    write_body({"__name__": "identity_probe", "job": "tests of identity",
                                "about": "a write that a listener lets in"}),
                    tls=tls, **more)

    def wait_for_status(self, status, ask, what):
        """`ask` sends a request; waits until it is answered so."""
        last = []

        def holds():
            last[:] = [ask()]
            return last[0].status == status

        try:
            wait_until(f"{what}: {status}", holds)
        except AssertionError as error:
            raise AssertionError(f"{error}, the last answer is {last}") from None
        return last[0]
