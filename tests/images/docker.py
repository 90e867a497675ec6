"""A Docker daemon of our own, in namespaces of our own."""

import os
import shutil
import subprocess
import tempfile
import time

from steps import CannotRun, last_line

_PACKAGES = ("docker.io", "containerd", "runc")


def programs(directory):
    """A PATH that has dockerd and what it starts: those of the machine, or unpacked
    below `directory` from Debian's packages, which are not installed so that no daemon
    starts and none is replaced. Needs the network."""
    if shutil.which("dockerd") and shutil.which("docker"):
        return os.environ["PATH"]
    unpacked = os.path.join(directory, "docker")
    if not os.path.exists(unpacked):
        with tempfile.TemporaryDirectory(dir=directory) as work:
            os.chmod(work, 0o755)
            got = subprocess.run(["apt-get", "download", "-q", *_PACKAGES], cwd=work,
                                 text=True, capture_output=True)
            if got.returncode != 0:
                raise CannotRun(f"there is no dockerd, and {last_line(got.stderr)}")
            for package in os.listdir(work):
                subprocess.run(["dpkg", "-x", package, "root"], cwd=work, check=True)
            os.rename(os.path.join(work, "root"), unpacked)
    return f"{unpacked}/usr/bin:{unpacked}/usr/sbin:{os.environ['PATH']}"


class Docker:
    """dockerd, until the end of the with block. The process must be in a network
    namespace of its own, as the daemon makes bridges and firewall rules."""

    def __init__(self, path):
        """`path` is what programs() returned."""
        # The path of a socket must be short.
        self._directory = tempfile.mkdtemp(prefix="insula-docker.")
        self.environment = {
            "PATH": path,
            "DOCKER_HOST": f"unix://{self._directory}/socket",
        }
        self._log = open(os.path.join(self._directory, "log"), "w+", encoding="utf-8")
        self._daemon = subprocess.Popen(
            ["dockerd", "-H", self.environment["DOCKER_HOST"],
             "--data-root", os.path.join(self._directory, "data"),
             "--exec-root", os.path.join(self._directory, "exec"),
             "--pidfile", os.path.join(self._directory, "pid")],
            env=self.environment, stdout=self._log, stderr=subprocess.STDOUT)

    def __enter__(self):
        deadline = time.monotonic() + 60
        while True:
            asked = self.call("docker", "version")
            if asked.returncode == 0:
                return self
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                self._log.seek(0)
                reason = last_line(self._log.read())
                self.__exit__()
                raise CannotRun(f"dockerd: {reason}")
            time.sleep(0.1)

    def __exit__(self, *_):
        self._daemon.terminate()
        try:
            self._daemon.wait(60)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()
        self._log.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def call(self, *command, **options):
        return subprocess.run(command, env={**self.environment, **options.pop("env", {})},
                              text=True, capture_output=True, **options)

    def run(self, *command, **options):
        """What the command prints on stdout; fails with what it printed on stderr."""
        result = self.call(*command, **options)
        if result.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: exit {result.returncode}\n"
                               f"{result.stderr[-3000:]}")
        return result.stdout
