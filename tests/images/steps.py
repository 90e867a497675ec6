"""How the suite says what it does and what went wrong."""

import time


class CannotRun(Exception):
    """Not a failure: this machine has no place for it. The text says why."""


class Step:
    """A line when it begins, and one with its seconds when it has held."""

    def __init__(self, title):
        self._title = title

    def __enter__(self):
        self._started = time.monotonic()
        print(f"  {self._title} ...", flush=True)

    def __exit__(self, kind, *_):
        if kind is None:
            print(f"  {self._title}: ok, {time.monotonic() - self._started:.0f} s",
                  flush=True)


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def check(condition, what):
    if not condition:
        raise RuntimeError(what)


def wait_until(what, condition, seconds):
    """Polls `condition` until it returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        check(time.monotonic() < deadline, f"waited {seconds} s for {what}")
        time.sleep(0.1)
