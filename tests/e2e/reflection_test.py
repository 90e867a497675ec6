"""A client that has no proto file finds the APIs of all five services and calls them."""

import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase)

_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_BIN = ""
_PATIENCE = 120
_SETTINGS = {
    "ingest-gateway": 'listeners: [{listen_address: "127.0.0.1:0"}]\n',
    "query-frontend": 'listeners: [{listen_address: "127.0.0.1:0"}]\n',
    "rule-sync": "rules: {directory: DIR}\nrule_files: {directory: DIR}\n",
    "federation-pusher": "",
}
_RULES = "groups: [{name: g, rules: [{record: 'job:up:sum', expr: sum by (job) (up)}]}]"


class _Api:
    """The gRPC API of one address, as its server describes it."""

    def __init__(self, address):
        self._channel = grpc.insecure_channel(address)
        self._database = ProtoReflectionDescriptorDatabase(self._channel)
        self._pool = DescriptorPool(self._database)

    def close(self):
        self._channel.close()

    def services(self):
        return set(self._database.get_services())

    def methods(self, service):
        found = self._pool.FindServiceByName(service).methods
        return sorted(method.name for method in found)

    def serving(self):
        """What the health service says; gRPC describes it to nobody."""
        check = self._channel.unary_unary("/grpc.health.v1.Health/Check")
        return check(b"", timeout=_PATIENCE) == b"\x08\x01"  # status: SERVING

    def call(self, service, method, request):
        """Calls with a request of JSON's types; so is the answer."""
        described = self._pool.FindServiceByName(service).FindMethodByName(method)
        message = json_format.ParseDict(
            request, GetMessageClass(described.input_type)(), descriptor_pool=self._pool)
        invoke = self._channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda each: each.SerializeToString(),
            response_deserializer=GetMessageClass(described.output_type).FromString)
        return json_format.MessageToDict(invoke(message, timeout=_PATIENCE),
                                         descriptor_pool=self._pool)


class ReflectionTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls._directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls._directory.cleanup)
        registry = cls._start("tenant-registry", (
            f"storage: {{path: {cls._directory.name}/registry.db}}\n"
            f"sources: {{files: [{_TOP}/deploy/config/tenants.yaml]}}\n"))
        cls.apis = {"tenant-registry": registry["grpc"]}
        for name, settings in _SETTINGS.items():
            ports = cls._start(name, (
                f"registry: {{address: '{registry['grpc']}'}}\n"
                + settings.replace("DIR", cls._directory.name)))
            cls.apis[name] = ports["grpc"]
        for name, address in cls.apis.items():
            cls.apis[name] = _Api(address)
            cls.addClassCleanup(cls.apis[name].close)

    @classmethod
    def _start(cls, name, settings):
        """Starts a service; the addresses of its listeners, once it is ready."""
        path = os.path.join(cls._directory.name, name)
        with open(f"{path}.yaml", "w", encoding="utf-8") as file:
            file.write(f"{settings}ports_file: {path}.ports\n"
                       "insecure_internal: true\n"
                       "admin: {listen_address: 127.0.0.1:0}\n"
                       "grpc: {listen_address: 127.0.0.1:0}\n")
        command = [os.path.join(_BIN, name)]
        process = subprocess.Popen([*command, "--config", f"{path}.yaml"])
        cls.addClassCleanup(cls._stop, process)
        deadline = time.monotonic() + _PATIENCE
        while subprocess.run([*command, "health", "--ready", "--config", f"{path}.yaml"],
                             stderr=subprocess.DEVNULL, check=False).returncode != 0:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{name} did not get ready")
            threading.Event().wait(0.05)
        with open(f"{path}.ports", encoding="utf-8") as file:
            return dict(line.split() for line in file)

    @staticmethod
    def _stop(process):
        process.terminate()
        if process.wait(_PATIENCE) != 0:
            raise AssertionError(f"{process.args[0]} ended with {process.returncode}")

    def _described(self, name, service, methods):
        api = self.apis[name]
        self.assertLessEqual({service, "grpc.health.v1.Health"}, api.services())
        self.assertTrue(api.serving())
        self.assertLessEqual(set(methods), set(api.methods(service)))
        return lambda method, request: api.call(service, method, request)

    def test_tenant_registry(self):
        call = self._described(
            "tenant-registry", "insula.registry.v1.TenantRegistry",
            ["Apply", "Get", "List", "Status", "Watch"])
        answer = call("Get", {"ref": {"kind": "KIND_TENANT", "id": "red"}})
        self.assertEqual(answer["object"]["tenant"]["enforcedLabels"], {"namespace": "red"})

    def test_ingest_gateway(self):
        call = self._described(
            "ingest-gateway", "insula.ingest.v1.IngestGateway", ["Why"])
        answer = call("Why", {"binding_id": "shared-prometheus",
                              "labels": {"__name__": "up", "namespace": "red"}})
        self.assertEqual(answer["tenantId"], "red")

    def test_query_frontend(self):
        call = self._described(
            "query-frontend", "insula.query.v1.QueryFrontend", ["Explain"])
        answer = call("Explain", {"tenant_id": "red", "query": "sum(up)"})
        self.assertEqual(answer["query"], 'sum(up{namespace="red"})')

    def test_rule_sync(self):
        call = self._described(
            "rule-sync", "insula.rules.v1.RuleSync", ["ListRules", "Validate"])
        answer = call("Validate", {"tenant_id": "red", "content": _RULES})
        self.assertNotIn("problems", answer)
        self.assertIn('up{namespace=\\"red\\"}', answer["confined"])

    def test_federation_pusher(self):
        call = self._described(
            "federation-pusher", "insula.federation.v1.FederationPusher",
            ["ListJobs", "RunNow"])
        self.assertEqual(call("ListJobs", {}), {})


if __name__ == "__main__":
    _BIN = sys.argv.pop(1)
    unittest.main()
