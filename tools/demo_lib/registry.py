"""A client of the tenant-registry, generated from protos/ when it is needed."""

import hashlib
import importlib
import os
import sys

import grpc
from grpc_tools import protoc

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_GENERATED = os.path.join(TOP, "build", "python-protos")
_FILES = [f"insula/registry/v1/{name}.proto" for name in ("objects", "options", "registry")]


def _generate():
    os.makedirs(_GENERATED, exist_ok=True)
    include = os.path.join(os.path.dirname(protoc.__file__), "_proto")
    status = protoc.main(["protoc", f"--proto_path={TOP}/protos",
                          f"--proto_path={include}",
                          f"--python_out={_GENERATED}",
                          f"--grpc_python_out={_GENERATED}", *_FILES])
    if status != 0:
        raise RuntimeError("protoc failed on protos/insula/registry/v1")


def load():
    """The modules (objects_pb2, registry_pb2, registry_pb2_grpc)."""
    _generate()
    if _GENERATED not in sys.path:
        sys.path.insert(0, _GENERATED)
    return tuple(importlib.import_module(f"insula.registry.v1.{name}")
                 for name in ("objects_pb2", "registry_pb2", "registry_pb2_grpc"))


class Registry:
    """Applies changes to a tenant-registry."""

    def __init__(self, address, certificates):
        """`certificates` is a directory of tools/dev-ca, of a caller that may change
        everything."""
        self.objects, self.messages, services = load()

        def read(name):
            with open(os.path.join(certificates, name), "rb") as file:
                return file.read()

        self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(
            read("ca.crt"), read("tls.key"), read("tls.crt")))
        self._stub = services.TenantRegistryStub(self._channel)

    def close(self):
        self._channel.close()

    def token_binding(self, binding_id, token, tenant, roles):
        """A binding object: who shows `token` acts for `tenant`."""
        objects = self.objects
        return objects.Object(
            meta=objects.Meta(kind=objects.KIND_BINDING, id=binding_id),
            binding=objects.Binding(
                token_sha256=hashlib.sha256(token.encode()).digest(),
                tenant_ids=[tenant], roles=roles))

    def put_job(self, job_id, tenant, source, matches, labels):
        """Makes a federation job that runs every second."""
        objects = self.objects
        job = objects.Job(tenant_id=tenant, source_url=source, matches=matches,
                          labels=labels)
        job.interval.seconds = 1
        self.put(objects.Object(
            meta=objects.Meta(kind=objects.KIND_JOB, id=job_id), job=job))

    def put(self, *objects):
        self._apply([self.messages.Operation(put=each) for each in objects])

    def delete(self, kind, ids):
        reference = self.objects.ObjectRef
        self._apply([self.messages.Operation(delete=reference(kind=kind, id=each))
                     for each in ids])

    def _apply(self, operations):
        self._stub.Apply(self.messages.ApplyRequest(operations=operations),
                         timeout=10)
