"""Starts the constellation, shows what each team sees, stays up until Ctrl-C."""

import argparse
import shutil
import signal
import sys
import tempfile
import time

from tools.demo_lib.checks import run_checks
from tools.demo_lib.constellation import Constellation
from tools.demo_lib.processes import DemoError, Processes
from tools.demo_lib.table import Table


# Exit codes of a clean end; node-exporter does not handle SIGTERM.
_CLEAN = {"node-exporter": (0, -signal.SIGTERM)}


def _say(text):
    sys.stderr.write(text + "\n")


def _invite(constellation):
    print()
    print("  Try it:")
    for tenant in constellation.tenants:
        print(f"\n    as {tenant}:")
        print(f"    {constellation.curl(tenant)}")
    print()
    for name, url in constellation.urls():
        print(f"    {name:<34} {url}")


def _show(constellation, stay):
    """Prints the table; whether everything held."""
    table = Table()
    constellation.wait_for_samples()
    run_checks(constellation, table)
    if stay:
        _invite(constellation)
        print("\n  Running until Ctrl-C.", flush=True)
        try:
            while True:
                time.sleep(1)
                constellation.processes.check()
        except KeyboardInterrupt:
            print()
    return table.all_held()


def main():
    parser = argparse.ArgumentParser(prog="tools/demo")
    parser.add_argument("--once", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    directory = tempfile.mkdtemp(prefix="insula-demo.")
    processes = Processes(directory)
    held = False
    try:
        _say("starting: tenant-registry, ingest-gateway, query-frontend, "
             "rule-sync, federation-pusher, two Prometheus, node-exporter")
        held = _show(Constellation(processes), stay=not arguments.once)
    except DemoError as error:
        _say(f"demo: {error}")
    except KeyboardInterrupt:
        _say("demo: interrupted")
    finally:
        # A second Ctrl-C must not leave children behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        codes = processes.stop()
        failed = {name: code for name, code in codes.items()
                  if code not in _CLEAN.get(name, (0,))}
        if not failed:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            for name, code in failed.items():
                _say(f"demo: {name} ended with {code}, its log: "
                     f"{directory}/{name}.log")
    return 0 if held and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
