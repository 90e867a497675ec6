"""Processes, files and certificates of the tests, in a directory that goes with them."""

import contextlib
import hashlib
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, TOP)

from tools.ports import claim_ports  # noqa: E402,F401 - for who uses processes
PATIENCE = 60


class CannotRun(Exception):
    """A program is missing that this suite needs. The text says which and the cure."""


def wait_until(what, condition, seconds=PATIENCE):
    """What `condition` returns once that is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Process:
    """A program; stdout and stderr go to files of their own. It is stopped by its pid."""

    def __init__(self, name, command, directory, environment=None):
        self.name = name
        self.command = command
        self.output = [os.path.join(directory, f"{name}.{each}") for each in ("out", "err")]
        with open(self.output[0], "ab") as out, open(self.output[1], "ab") as err:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=directory,
                env=environment, start_new_session=True)
        self.pid = self._process.pid

    def running(self):
        return self._process.poll() is None

    def send_signal(self, number):
        self._process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """Ends it, and after some patience kills it. Its exit status."""
        if self.running():
            self.send_signal(number)
            self.send_signal(signal.SIGCONT)
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            # Also its children: it is the leader of its session.
            os.killpg(self.pid, signal.SIGKILL)
            return self._process.wait()

    @contextlib.contextmanager
    def paused(self):
        """It takes connections and answers nothing."""
        self.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send_signal(signal.SIGCONT)

    def tail(self):
        text = ""
        for path in self.output:
            with open(path, encoding="utf-8", errors="replace") as file:
                text += file.read()[-4000:]
        return f"{self.name}:\n{text}"

    def wait_for(self, what, condition, seconds=PATIENCE):
        def holds():
            if not self.running():
                raise AssertionError(f"{self.name} has ended\n{self.tail()}")
            return condition()
        try:
            return wait_until(f"{what} of {self.name}", holds, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None


class Lab(contextlib.ExitStack):
    """A directory, and the processes that end with it, the last one first."""

    def __init__(self):
        super().__init__()
        self.directory = self.enter_context(tempfile.TemporaryDirectory(prefix="identity-"))
        self.processes = []
        self.ca = Authority(self.directory, "ca")

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def write(self, name, text, mode=0o600):
        """Whoever reads the file at that time has the old text or the new one."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
        os.rename(path + ".new", path)
        return path

    def start(self, name, command, environment=None):
        process = Process(name, command, self.directory, environment)
        self.processes.append(process)
        self.callback(process.stop)
        return process

    def run(self, *command, environment=None, stdin=""):
        """What it prints."""
        run = subprocess.run(command, input=stdin, capture_output=True, text=True,
                             timeout=PATIENCE, cwd=self.directory, env=environment)
        if run.returncode != 0:
            raise AssertionError(f"{command}: {run.returncode}\n{run.stdout}{run.stderr}")
        return run.stdout


class Authority:
    """A CA and the certificates that it signs, made by openssl."""

    def __init__(self, directory, name):
        self._base = os.path.join(directory, name)
        self._issued = 0
        self.file = self._base + ".crt"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-nodes", "-keyout", self._base + ".key", "-out", self.file,
                      "-subj", f"/CN={name}", "-days", "2", "-addext",
                      "keyUsage=critical,keyCertSign,cRLSign", "-addext",
                      "basicConstraints=critical,CA:true")

    @staticmethod
    def _openssl(*arguments):
        run = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
        if run.returncode != 0:
            raise AssertionError(f"openssl {arguments}: {run.stderr}")

    def issue(self, name, names, usage="serverAuth,clientAuth", seconds=86400):
        """Files of certificate and key. `names` as in "URI:spiffe://a,IP:127.0.0.1";
        it is valid since a while, and for `seconds` from now, which may be negative."""
        self._issued += 1
        base = f"{self._base}-{self._issued}-{name}"
        extensions = base + ".ext"
        with open(extensions, "w", encoding="utf-8") as file:
            file.write("[new_oids]\n[ca]\ndefault_ca = own\n[own]\n"
                       f"new_certs_dir = {os.path.dirname(base)}\ndatabase = {base}.index\n"
                       f"rand_serial = yes\nunique_subject = no\ndefault_md = sha256\n"
                       f"certificate = {self.file}\nprivate_key = {self._base}.key\n"
                       "policy = any\n[any]\ncommonName = supplied\n"
                       f"[leaf]\nsubjectAltName = {names}\nextendedKeyUsage = {usage}\n"
                       "basicConstraints = CA:false\nkeyUsage = digitalSignature\n")
        with open(base + ".index", "w", encoding="utf-8"):
            pass

        def moment(offset):
            return time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() + offset))

        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-keyout", base + ".key", "-out", base + ".csr", "-subj", f"/CN={name}")
        os.chmod(base + ".key", 0o600)
        self._openssl("ca", "-batch", "-notext", "-config", extensions, "-extensions", "leaf",
                      "-startdate", moment(-86400), "-enddate", moment(seconds),
                      "-in", base + ".csr", "-out", base + ".crt")
        return base + ".crt", base + ".key"

    def revoke(self, pairs):
        """The file of a CRL that lists these certificates and no others; always the
        same one, which services follow."""
        self._issued += 1
        base = f"{self._base}-{self._issued}"
        with open(base + ".cnf", "w", encoding="utf-8") as file:
            file.write(f"[ca]\ndefault_ca = own\n[own]\ndatabase = {base}.index\n"
                       "default_md = sha256\ndefault_crl_days = 2\n"
                       f"certificate = {self.file}\nprivate_key = {self._base}.key\n")
        with open(base + ".index", "w", encoding="utf-8"):
            pass
        for certificate, _ in pairs:
            self._openssl("ca", "-config", base + ".cnf", "-revoke", certificate)
        self._openssl("ca", "-config", base + ".cnf", "-gencrl", "-out", base + ".crl")
        os.replace(base + ".crl", self._base + ".crl")
        return self._base + ".crl"


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self):
        return f"{self.status} {self.body[:400]!r}"


def send(port, method="GET", target="/", headers=(), body=b"", tls=None,
         source="127.0.0.1", timeout=PATIENCE):
    """One request over a connection of its own; `headers` are pairs and go out to the
    letter, `tls` is an ssl.SSLContext, `source` the address that it comes from."""
    options = {"timeout": timeout, "source_address": (source, 0)}
    connection = http.client.HTTPConnection("127.0.0.1", port, **options)
    if tls is not None:
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=tls, **options)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def client_tls(ca_file, certificate=None):
    """For clients of a server that `ca_file` has signed; `certificate` is a pair of
    files."""
    context = ssl.create_default_context(cafile=ca_file)
    if certificate:
        context.load_cert_chain(*certificate)
    return context
