"""The lines of the demo's table. To add one, write a function and list it."""

import json
import subprocess

from tools.demo_lib.propagation import measure

_CHANGES = 100
_OTHER = {"red": "blue", "blue": "red"}


def _series(constellation, table):
    """What each team sees, by the command that it is given."""
    for tenant in constellation.tenants:
        seen = constellation.query(tenant, 'count by (namespace, job) ({__name__!=""})')
        count = int(sum(value for _, value in seen))
        namespaces = {labels.get("namespace") for labels, _ in seen}
        jobs = ", ".join(sorted({labels.get("job", "-") for labels, _ in seen}))
        targets = _targets_by_curl(constellation, tenant)
        table.line(f"{tenant} sees",
                   f"{count:,} series, all of {tenant}; jobs: {jobs}",
                   count > 0 and namespaces == {tenant} and targets > 0)


def _targets_by_curl(constellation, tenant):
    """How many targets the command shows that is printed for a tenant."""
    run = subprocess.run(["bash", "-c", constellation.curl(tenant)],
                         capture_output=True, text=True, check=False)
    try:
        return len(json.loads(run.stdout)["data"]["result"])
    except (ValueError, KeyError):
        return 0


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


def _rule(constellation, table):
    """A rule of red, evaluated in the store over what is red's alone."""
    made = constellation.query("red", "job:up:count")
    own = constellation.query("red", "count by (job) (up)")
    other = constellation.query("blue", "job:up:count")
    table.line("red's rule job:up:count",
               f"{_values(made)} in the store; blue gets "
               f"{'nothing' if not other else f'{len(other)} series'}",
               bool(made) and not other and _values(made) == _values(own) and
               all(labels["namespace"] == "red" for labels, _ in made))


def _values(series):
    return ", ".join(f"{labels.get('job', '-')} {value:g}"
                     for labels, value in sorted(series, key=str))


def _federated(constellation, table):
    """Two metrics of another Prometheus, pushed into a tenant of its own."""
    seen = constellation.query("green", '{__name__!=""}')
    names = sorted({labels["__name__"] for labels, _ in seen})
    others = [series for tenant in constellation.tenants
              for series in constellation.query(tenant, '{source="red"}')]
    table.line("green, by federation",
               f"{len(seen)} series: {', '.join(names)}",
               names == sorted(constellation.federated) and not others and
               all(labels["namespace"] == "green" for labels, _ in seen))


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
    ("Two teams, one Prometheus", (_series, _others)),
    ("A rule, a slice for others", (_rule, _federated)),
    ("A change", (_propagation,)),
)


def run_checks(constellation, table):
    for title, checks in _SECTIONS:
        table.section(title)
        for check in checks:
            check(constellation, table)
