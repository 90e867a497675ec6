"""Starts the Kubernetes API server of the tests on an etcd of its own.

    with KubeApi() as kube:
        status, answer = kube.request("GET", "/api/v1/namespaces")

Both processes end with the block, and what they stored is gone.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, TOP)

from tools.ports import claim_ports  # noqa: E402

BINARY = os.path.join(TOP, "build", "kube-api", "kube-api")

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


def wait_until(condition, what, seconds=120):
    """What `condition` returns once that is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come in {seconds} s")
        time.sleep(0.01)


class KubeApi:
    """`tokens` are lines TOKEN,USER,UID,"GROUPS"; `token` is the one that requests
    carry by default. `flags` go to the server."""

    def __init__(self, *flags, tokens="", token=None):
        self._flags = list(flags)
        self._tokens = tokens
        self._token = token
        self._processes = []

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="kube-api-")
        try:
            self._start_etcd()
            self.url = f"http://127.0.0.1:{claim_ports(1)[0]}"
            self._start_server()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self._processes):
            process.send_signal(signal.SIGKILL)
            process.wait()
        self._processes.clear()
        self._directory.cleanup()

    @property
    def kubeconfig(self):
        return self._path("server", "kubeconfig")

    def _path(self, *names):
        return os.path.join(self._directory.name, *names)

    def _start(self, name, *command):
        with open(self._path(name + ".log"), "wb") as log:
            self._processes.append(subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL))

    def _alive(self, name):
        if self._processes[-1].poll() is not None:
            with open(self._path(name + ".log"), encoding="utf-8", errors="replace") as log:
                raise AssertionError(f"{name} ended:\n{log.read()[-4000:]}")
        return True

    def _start_etcd(self):
        client, peer = claim_ports(2)
        self.etcd = f"http://127.0.0.1:{client}"
        self._start("etcd", "etcd", "--data-dir", self._path("etcd"),
                    "--listen-client-urls", self.etcd, "--advertise-client-urls", self.etcd,
                    "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                    "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                    "--initial-cluster", f"default=http://127.0.0.1:{peer}",
                    "--unsafe-no-fsync")
        wait_until(lambda: self._alive("etcd") and
                   _get(self.etcd + "/health", "GET", None, {})[0] == 200, "etcd")

    def _start_server(self):
        if not os.path.exists(BINARY):
            raise AssertionError(f"there is no {BINARY}, run tests/kube_api/build")
        tokens = []
        if self._tokens:
            with open(self._path("tokens"), "w", encoding="utf-8") as file:
                file.write(self._tokens)
            tokens = ["--tokens", self._path("tokens")]
        self._start("server", BINARY, "--http", self.url.removeprefix("http://"),
                    "--etcd", self.etcd, "--dir", self._path("server"), "--core",
                    "--compaction", "0", *self._flags, *tokens)
        wait_until(lambda: self._alive("server") and self._ready(), "a ready server")

    def _ready(self):
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    @contextlib.contextmanager
    def down(self):
        """The server is gone meanwhile; it comes back where it was."""
        server = self._processes.pop()
        server.kill()
        server.wait()
        try:
            yield
        finally:
            self._start_server()

    def restart(self, tokens):
        """With other tokens."""
        with self.down():
            self._tokens = tokens

    @contextlib.contextmanager
    def paused(self):
        """The server takes connections meanwhile, and answers nothing."""
        server = self._processes[-1]
        server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            server.send_signal(signal.SIGCONT)

    def request(self, method, path, body=None, content_type="application/json", token=None):
        """Status and the answer: decoded if JSON, else text. `body` is a dict or text.
        An empty `token`: none. Asks again while a kind is set up, as every client does."""
        headers = {"Content-Type": content_type}
        token = self._token if token is None else token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
        answer = None

        def asked():
            nonlocal answer
            answer = _get(self.url + path, method, body, headers)
            return answer[0] != 429 or "storage is (re)initializing" not in str(answer[1])

        wait_until(asked, f"a kind that is set up, at {method} {path},")
        return answer

    def create(self, path, o):
        status, answer = self.request("POST", path, o)
        assert status == 201, answer
        return answer

    def watch(self, path):
        """Opens a watch; iterating over what it returns gives the events."""
        return _Events(urllib.request.urlopen(self.url + path, timeout=30))

    def compact_etcd(self, revision):
        status, answer = _get(self.etcd + "/v3/kv/compaction", "POST",
                              json.dumps({"revision": revision, "physical": True}), {})
        assert status == 200, answer


class _Events:
    def __init__(self, response):
        self._response = response

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._response.close()

    def __iter__(self):
        return (json.loads(line) for line in self._response)


def _get(url, method, body, headers):
    request = urllib.request.Request(
        url, method=method, headers=headers, data=None if body is None else body.encode())
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            status, text = response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)  # Nobody listens yet.
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text
