"""matrix_test BIN_DIR GROUP [METHOD...]

Measures the rows of a group: light, kubernetes, providers. Writes them to
build/identity/GROUP.json, and fails if docs/security.md says otherwise: then look which is
right, and run tests/identity/table.py if it is the answer.
"""

import json
import os
import sys

sys.dont_write_bytecode = True

import matrix  # noqa: E402
import table  # noqa: E402
from cells import COLUMNS  # noqa: E402
from insula import Insula  # noqa: E402
from processes import CannotRun, Lab  # noqa: E402


def _methods(group):
    if group == "light":
        return [matrix.Token, matrix.ApiKey, matrix.Basic, matrix.Certificate,
                matrix.TrustedHeader, matrix.Jwt]
    if group == "kubernetes":
        from kubernetes import Kubernetes
        return [Kubernetes]
    from keystone_row import KeystoneRow
    from oidc_row import OidcRow
    return [OidcRow, KeystoneRow]


def _measure(lab, binaries, classes):
    insula = Insula(lab, binaries)
    methods = [each(lab, insula) for each in classes]
    listeners = {}
    for method in methods:
        listeners.update(method.listeners())
        method.prepare()
    insula.start(listeners)
    rows, failures = {}, []
    for method in methods:
        try:
            cells = method.measure()
        except AssertionError as error:
            failures.append(f"{method.name}: {error}")
            continue
        rows[method.title] = {column: cell.text() for column, cell in cells.items()}
        print(method.title)
        for column in COLUMNS:
            print(f"  {column:15} {rows[method.title][column]}", flush=True)
    return rows, failures


def main(binaries, group, *only):
    classes = [each for each in _methods(group) if not only or each.name in only]
    with Lab() as lab:
        try:
            rows, failures = _measure(lab, os.path.abspath(binaries), classes)
        except BaseException:
            for process in lab.processes:
                print(process.tail(), file=sys.stderr)
            raise
        if failures:
            for process in lab.processes:
                print(process.tail(), file=sys.stderr)
    os.makedirs(table.RESULTS, exist_ok=True)
    with open(os.path.join(table.RESULTS, f"{group}.json"), "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
    failures += table.differences(table.read()[1], rows)
    print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__.strip())
    try:
        sys.exit(main(*sys.argv[1:]))
    except CannotRun as reason:
        sys.exit(f"matrix_test: {reason}")
