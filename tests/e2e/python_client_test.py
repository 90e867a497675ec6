"""A Python client, generated from protos/, lists, applies and watches."""

import hashlib
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc

_TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, _TOP)
sys.dont_write_bytecode = True

from tools.demo_lib import registry as generated  # noqa: E402

objects, messages, services = generated.load()

_BINARY = ""
_PATIENCE = 120


def _tenant(name, label):
    return objects.Object(
        meta=objects.Meta(kind=objects.KIND_TENANT, id=name),
        tenant=objects.Tenant(enforced_labels={"namespace": label}))


class _Watch:
    """An open Watch; its answers are read one by one."""

    def __init__(self, stub, **subscription):
        self._requests = queue.Queue()
        self._requests.put(messages.WatchRequest(
            subscribe=messages.Subscribe(client_id="python/test", **subscription)))
        self._call = stub.Watch(iter(self._requests.get, None), timeout=_PATIENCE)

    def next(self, *phases):
        """The next answer of one of `phases`."""
        for answer in self._call:
            if answer.phase in phases:
                return answer
        raise AssertionError("the stream ended")

    def ack(self, revision):
        self._requests.put(messages.WatchRequest(ack=messages.Ack(revision=revision)))

    def close(self):
        self._requests.put(None)
        self._call.cancel()


class PythonClientTest(unittest.TestCase):

    def setUp(self):
        self.stub = self._start()

    def _start(self, resource_files=()):
        """Starts a registry with those resource files; a stub for it."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        ports_file = os.path.join(directory.name, "ports")
        config = os.path.join(directory.name, "registry.yaml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"storage: {{path: {directory.name}/registry.db}}\n"
                       f"sources: {{files: [{', '.join(resource_files)}]}}\n"
                       f"ports_file: {ports_file}\n"
                       "admin: {listen_address: 127.0.0.1:0}\n"
                       "grpc: {listen_address: 127.0.0.1:0}\n")
        process = subprocess.Popen([_BINARY, "--config", config, "--insecure-internal"])
        self.addCleanup(self._stop, process)
        deadline = time.monotonic() + _PATIENCE
        while not os.path.exists(ports_file):
            self.assertIsNone(process.poll(), "the registry has ended")
            self.assertLess(time.monotonic(), deadline, "the registry does not listen")
            threading.Event().wait(0.01)
        with open(ports_file, encoding="utf-8") as file:
            ports = dict(line.split() for line in file)
        channel = grpc.insecure_channel(ports["grpc"])
        self.addCleanup(channel.close)
        return services.TenantRegistryStub(channel)

    def _stop(self, process):
        process.terminate()
        self.assertEqual(process.wait(_PATIENCE), 0)

    def test_takes_every_object_of_the_sample_file(self):
        path = f"{_TOP}/deploy/config/tenants.yaml"
        with open(path, encoding="utf-8") as file:
            written = sum(line.startswith("id: ") for line in file)
        stub = self._start([path])
        deadline = time.monotonic() + _PATIENCE
        while True:
            there = sum(stub.Status(messages.StatusRequest(), timeout=_PATIENCE)
                        .objects_by_kind.values())
            if there == written:
                return
            self.assertLess(time.monotonic(), deadline, f"{there} of {written} objects")
            threading.Event().wait(0.05)

    def _apply(self, *operations, **fields):
        return self.stub.Apply(
            messages.ApplyRequest(operations=operations, **fields),
            timeout=_PATIENCE).revision

    def _put(self, *puts):
        return self._apply(*(messages.Operation(put=each) for each in puts))

    def test_lists_what_it_applied_page_by_page(self):
        revision = self._put(_tenant("blue", "b"), _tenant("green", "g"),
                             _tenant("red", "r"))
        seen = []
        token = ""
        while True:
            page = self.stub.List(messages.ListRequest(
                kind=objects.KIND_TENANT, page_size=2, page_token=token),
                timeout=_PATIENCE)
            self.assertEqual(page.revision, revision)
            seen += [(each.meta.id, each.tenant.enforced_labels["namespace"])
                     for each in page.objects]
            token = page.next_page_token
            if not token:
                break
        self.assertEqual(seen, [("blue", "b"), ("green", "g"), ("red", "r")])

    def test_gets_what_it_applied_with_the_identity_the_registry_gave_it(self):
        revision = self._put(_tenant("red", "r"))
        answer = self.stub.Get(messages.GetRequest(ref=objects.ObjectRef(
            kind=objects.KIND_TENANT, id="red")), timeout=_PATIENCE)
        self.assertEqual(len(answer.object.meta.uid), 16)
        self.assertEqual(answer.object.meta.create_revision, revision)
        self.assertEqual(answer.object.meta.source, "api")

    def test_is_told_what_is_wrong_with_an_object(self):
        with self.assertRaises(grpc.RpcError) as refused:
            self._put(_tenant("..", "x"))
        self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn("..", refused.exception.details())

    def test_watches_changes_as_they_happen(self):
        first = self._put(_tenant("red", "r"))
        watch = _Watch(self.stub)
        self.addCleanup(watch.close)
        watch.next(messages.WatchResponse.PHASE_RESET)
        snapshot = watch.next(messages.WatchResponse.PHASE_SNAPSHOT)
        self.assertEqual([each.meta.id for each in snapshot.puts], ["red"])
        end = watch.next(messages.WatchResponse.PHASE_SNAPSHOT_END)
        self.assertEqual((end.revision, end.object_count), (first, 1))
        watch.ack(end.revision)

        binding = objects.Object(
            meta=objects.Meta(kind=objects.KIND_BINDING, id="red-reader"),
            binding=objects.Binding(token_sha256=hashlib.sha256(b"t").digest(),
                                    tenant_ids=["red"], roles=[objects.ROLE_READ]))
        second = self._put(binding)
        delta = watch.next(messages.WatchResponse.PHASE_DELTA)
        self.assertEqual(delta.revision, second)
        self.assertEqual([each.meta.id for each in delta.puts], ["red-reader"])

        reference = objects.ObjectRef(kind=objects.KIND_BINDING, id="red-reader")
        third = self._apply(messages.Operation(delete=reference))
        delta = watch.next(messages.WatchResponse.PHASE_DELTA)
        self.assertEqual((delta.revision, list(delta.deletes)), (third, [reference]))

    def test_resumes_a_watch_where_it_left_off(self):
        self._put(_tenant("red", "r"))
        watch = _Watch(self.stub)
        end = watch.next(messages.WatchResponse.PHASE_SNAPSHOT_END)
        watch.close()
        second = self._put(_tenant("blue", "b"))

        resumed = _Watch(self.stub, resume_revision=end.revision, epoch=end.epoch)
        self.addCleanup(resumed.close)
        first_answer = resumed.next(messages.WatchResponse.PHASE_RESET,
                                    messages.WatchResponse.PHASE_DELTA)
        self.assertEqual(first_answer.phase, messages.WatchResponse.PHASE_DELTA)
        self.assertEqual(first_answer.revision, second)
        self.assertEqual([each.meta.id for each in first_answer.puts], ["blue"])


if __name__ == "__main__":
    _BINARY = sys.argv.pop(1)
    unittest.main()
