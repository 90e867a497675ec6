"""Child processes that end with the demo, however it ends."""

import ctypes
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class DemoError(Exception):
    """Something did not work; the text says what, and what to look at."""


def _end_with_parent():
    # Even if the demo is killed by SIGKILL. The session of its own keeps a
    # Ctrl-C from reaching the children before the demo does.
    os.setsid()
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One started program; what it prints goes to a file."""

    def __init__(self, name, command, directory):
        self.name = name
        self.log = os.path.join(directory, f"{name}.log")
        with open(self.log, "wb") as log:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, cwd=directory,
                preexec_fn=_end_with_parent)

    def check(self):
        """Raises DemoError if the program has ended."""
        code = self._child.poll()
        if code is not None:
            raise DemoError(f"{self.name} ended with {code}; its last lines:\n"
                            f"{self.tail()}")

    def tail(self, lines=15):
        with open(self.log, errors="replace") as log:
            return "".join("    " + line for line in log.readlines()[-lines:])

    def terminate(self):
        if self._child.poll() is None:
            self._child.terminate()

    def wait(self, seconds):
        """The exit code; -9 if it had to be killed after `seconds`."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait()


class Processes:
    """All children. stop() ends them in the reverse order of their start."""

    def __init__(self, directory):
        self.directory = directory
        self._running = []

    def start(self, name, command):
        process = Process(name, command, self.directory)
        self._running.append(process)
        return process

    def check(self):
        for process in self._running:
            process.check()

    def wait_until(self, what, condition, seconds):
        """Polls `condition` until it returns something true, and returns that."""
        deadline = time.monotonic() + seconds
        while True:
            self.check()
            result = condition()
            if result:
                return result
            if time.monotonic() > deadline:
                logs = "\n".join(f"  {process.name}:\n{process.tail()}"
                                 for process in self._running)
                raise DemoError(f"waited {seconds} s for {what}\n{logs}")
            time.sleep(0.05)

    def wait_http_ok(self, name, url, seconds=30):
        def ok():
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    return answer.status == 200
            except (urllib.error.URLError, OSError):
                return False

        self.wait_until(f"{name} at {url}", ok, seconds)

    def stop(self):
        """Ends every child; {name: exit code}."""
        codes = {}
        while self._running:
            process = self._running.pop()
            process.terminate()
            codes[process.name] = process.wait(40)
        return codes
