"""Measures how long a change of the registry takes to be in force."""

import http.client
import secrets
import time
import urllib.parse

from tools.demo_lib.processes import DemoError

# A remote-write request without series: the snappy block of no bytes.
_EMPTY_WRITE = b"\x00"
_LONGEST = 10  # Seconds until a change counts as lost.


class _Probe:
    """Asks one service over a connection that stays open."""

    def __init__(self, base, method, target, body=None, headers=None):
        self._connection = http.client.HTTPConnection(
            urllib.parse.urlsplit(base).netloc, timeout=5)
        self._request = (method, target, body, headers or {})

    def status(self, token):
        method, target, body, headers = self._request
        self._connection.request(method, target, body,
                                 {**headers, "Authorization": f"Bearer {token}"})
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def close(self):
        self._connection.close()


def _wait(probe, token, accepted, what):
    deadline = time.monotonic() + _LONGEST
    while True:
        status = probe.status(token)
        if status in accepted:
            return
        if status != 401 or time.monotonic() > deadline:
            raise DemoError(f"{what} answered {status} to a new token")


def measure(constellation, changes):
    """Applies new tokens one after the other. Seconds, for each of them, from
    the call of Apply until both services have accepted the token."""
    registry = constellation.registry
    roles = [registry.objects.ROLE_READ, registry.objects.ROLE_WRITE]
    write = _Probe(constellation.gateway, "POST", "/api/v1/write", _EMPTY_WRITE, {
        "Content-Type": "application/x-protobuf", "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0"})
    read = _Probe(constellation.frontend, "GET", "/api/v1/query?query=1")
    results = []
    ids = []
    try:
        for number in range(changes):
            token = secrets.token_hex(16)
            binding = registry.token_binding(f"demo/change-{number}", token, "red", roles)
            started = time.monotonic()
            registry.put(binding)
            ids.append(binding.meta.id)
            _wait(write, token, (200, 204), "ingest-gateway")
            _wait(read, token, (200,), "query-frontend")
            results.append(time.monotonic() - started)
    finally:
        write.close()
        read.close()
        for first in range(0, len(ids), 50):  # Most that one Apply takes.
            registry.delete(registry.objects.KIND_BINDING, ids[first:first + 50])
    return results
