"""Images made by buildah without a daemon and without a registry of images."""

import json
import os
import shutil
import subprocess
import tempfile

from constellation import TOP
from steps import CannotRun, last_line

BASE = "localhost/insula-test/base"


def debian_mirrors():
    """The lines of /etc/apt/sources.list that this machine takes Debian 12 from."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "Created-By: Packages", "Origin: Debian",
         "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"],
        text=True, capture_output=True, check=True).stdout
    lines = [line for line in targets.splitlines() if line.split()[1].startswith("bookworm")]
    if not lines:
        raise RuntimeError("apt knows no mirror of Debian 12; run apt-get update")
    # "bookworm" before "bookworm-updates".
    return sorted(lines, key=lambda line: line.split()[1])


class Buildah:
    """buildah with images and caches of its own, below `directory`. They stay there:
    a later run has the packages and the compiler's results."""

    def __init__(self, directory):
        self._directory = directory
        os.makedirs(self._path("tmp"), exist_ok=True)
        self._driver = self._working_driver()

    def _path(self, name):
        return os.path.join(self._directory, name)

    def command(self, *arguments, driver=None):
        driver = driver or self._driver
        return ["buildah", "--root", self._path(f"images-{driver}"),
                "--runroot", self._path(f"run-{driver}"), "--storage-driver", driver,
                *arguments]

    def environment(self):
        # The caches of RUN --mount=type=cache lie in TMPDIR.
        environment = dict(os.environ, TMPDIR=self._path("tmp"))
        proxy = subprocess.run(["apt-config", "shell", "PROXY", "Acquire::http::Proxy"],
                               text=True, capture_output=True).stdout
        if proxy:
            environment.setdefault("http_proxy", proxy.split("=", 1)[1].strip().strip("'"))
        return environment

    def run(self, *arguments, driver=None):
        """What buildah prints on stdout; fails with what it printed on stderr."""
        result = subprocess.run(self.command(*arguments, driver=driver), text=True,
                                capture_output=True, env=self.environment())
        if result.returncode != 0:
            raise RuntimeError(f"buildah {' '.join(arguments)}: exit {result.returncode}\n"
                               + "\n".join(result.stderr.splitlines()[-30:]))
        return result.stdout.strip()

    def _working_driver(self):
        """overlay if the file system can, else vfs, which copies every layer."""
        if os.getuid() != 0:
            raise CannotRun("it needs root here")
        for tool in ("buildah", "debootstrap"):
            if not shutil.which(tool):
                raise CannotRun(f"{tool} is not installed")
        for driver in ("overlay", "vfs"):
            try:
                self._try(driver)
                return driver
            except RuntimeError as error:
                reason = last_line(str(error))
        raise CannotRun(reason)

    def _try(self, driver):
        """Runs a program that needs no library in a container that has nothing else."""
        container = self.run("from", "scratch", driver=driver)
        try:
            self.run("copy", container, "/sbin/ldconfig", "/ldconfig", driver=driver)
            self.run("run", "--isolation", "chroot", container, "--", "/ldconfig", "-V",
                     driver=driver)
        finally:
            self.run("rm", container, driver=driver)

    def has(self, image):
        return subprocess.run(self.command("inspect", "--type", "image", image),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def make_base(self):
        """A Debian 12 such as debian:bookworm-slim, from the machine's mirror."""
        if self.has(BASE):
            return
        mirrors = debian_mirrors()
        with tempfile.TemporaryDirectory(dir=self._path("tmp")) as work:
            root = os.path.join(work, "root")
            made = subprocess.run(
                ["debootstrap", "--variant=minbase", "bookworm", root,
                 mirrors[0].split()[0]], text=True, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, env=self.environment())
            if made.returncode != 0:
                raise RuntimeError(f"debootstrap failed:\n{made.stdout[-3000:]}")
            with open(os.path.join(root, "etc/apt/sources.list"), "w") as file:
                file.writelines(f"deb {line}\n" for line in mirrors)
            shutil.rmtree(os.path.join(root, "var/cache/apt/archives"))
            # Containers get devices of their own.
            subprocess.run(["tar", "-C", root, "--exclude=./dev/*", "-cf",
                            os.path.join(work, "base.tar"), "."], check=True)
            with open(os.path.join(work, "Dockerfile"), "w") as file:
                file.write("FROM scratch\nADD base.tar /\n")
            self.run("build", "-t", BASE, "-f", file.name, work)

    def build(self, image, dockerfile, context=TOP, **arguments):
        command = ["build", "--isolation", "chroot", "--layers", "--format", "docker",
                   "--build-arg", f"BASE={BASE}", "-t", image, "-f", dockerfile]
        for name, value in arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        self.run(*command, context)

    def config(self, image):
        """What the image says about running it, by Docker's names."""
        return json.loads(self.run("inspect", "--type", "image", image))["Docker"]["config"]

    def save(self, image, path):
        """Writes an archive for `docker load`."""
        self.run("push", "-q", image, f"docker-archive:{path}:{image}")
