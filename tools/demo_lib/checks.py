"""The lines of the demo's table. To add one, write a function and list it."""

import json
import subprocess

from tools.demo_lib.propagation import measure

_CHANGES = 100
_OTHER = {"red": "blue", "blue": "red"}


def _series(constellation, table):
    """What each team sees, against what the store holds of it."""
    for tenant in constellation.tenants:
        seen = constellation.query(tenant, 'count by (namespace, job) ({__name__!=""})')
        count = int(sum(value for _, value in seen))
        namespaces = {labels.get("namespace") for labels, _ in seen}
        jobs = ", ".join(sorted({labels.get("job", "-") for labels, _ in seen}))
        table.line(f"{tenant} sees", f"{count:,} series, all of {tenant}; jobs: {jobs}",
                   count > 0 and namespaces == {tenant})


def _others(constellation, table):
    """What a team gets when it asks for the other's series: nothing."""
    for tenant in constellation.tenants:
        other = _OTHER[tenant]
        held = constellation.query_store(f'count({{namespace="{other}"}})')
        there = int(held[0][1]) if held else 0
        found = constellation.query(tenant, f'{{namespace="{other}"}}')
        answer = "nothing" if not found else f"{len(found):,} series"
        table.line(f"{tenant} asks for {other}",
                   f"{answer} (the store holds {there:,} of {other})",
                   not found and there > 0)


def _curl(constellation, table):
    """The printed commands work as they are printed."""
    for tenant in constellation.tenants:
        run = subprocess.run(["bash", "-c", constellation.curl(tenant)],
                             capture_output=True, text=True, check=False)
        try:
            result = json.loads(run.stdout)["data"]["result"]
        except (ValueError, KeyError):
            result = []
        table.line(f"{tenant} by the curl it is given",
                   f"exit {run.returncode}, {len(result)} targets up",
                   run.returncode == 0 and result)


def _propagation(constellation, table):
    """How long a change takes to be in force in all services."""
    seconds = sorted(measure(constellation, _CHANGES))
    p50 = seconds[len(seconds) // 2]
    p99 = seconds[min(len(seconds) - 1, len(seconds) * 99 // 100)]
    table.line("Apply to effective everywhere",
               f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms "
               f"over {len(seconds)} changes",
               len(seconds) == _CHANGES and p99 < 1)


_SECTIONS = (
    ("Two teams, one Prometheus", (_series, _others, _curl)),
    ("A change", (_propagation,)),
)


def run_checks(constellation, table):
    for title, checks in _SECTIONS:
        table.section(title)
        for check in checks:
            check(constellation, table)
