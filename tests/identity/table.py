"""table [--check] [JSON...]

The table of docs/security.md: every method in every trouble. Puts the rows that the tests
have measured (build/identity/*.json) between its markers. With --check it writes nothing
and exits 1 if a method, column or cell is missing, or if a measured row is another.
"""

import glob
import json
import os
import sys

from cells import COLUMNS
from processes import TOP

PAGE = os.path.join(TOP, "docs", "security.md")
RESULTS = os.path.join(TOP, "build", "identity")
METHODS = ("static token", "API key", "user and password", "client certificate",
           "trusted header", "JWT of an OIDC issuer", "token of Keystone",
           "token of Kubernetes")
_MARKS = ("<!-- Written by tests/identity/table.py from what the tests measured. -->\n",
          "<!-- End of what tests/identity/table.py writes. -->\n")


def row(title, cells):
    """A line of the table; `cells` are texts by column."""
    return f"| {title} | " + " | ".join(cells[column] for column in COLUMNS) + " |"


def _split(page):
    before, begin, rest = page.partition(_MARKS[0])
    table, end, after = rest.partition(_MARKS[1])
    if not begin or not end:
        raise SystemExit(f"table: {PAGE} lacks the line {_MARKS[bool(begin)].strip()}")
    return before + begin, table, end + after


def read():
    """The page in three parts, and the rows that it has: cells by title and column."""
    with open(PAGE, encoding="utf-8") as file:
        parts = _split(file.read())
    rows = {}
    for line in parts[1].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == len(COLUMNS) + 1 and cells[0] in METHODS:
            rows[cells[0]] = dict(zip(COLUMNS, cells[1:]))
    return parts, rows


def holes(rows):
    """What is missing in the table."""
    return [f"{title}, {column}" for title in METHODS for column in COLUMNS
            if not rows.get(title, {}).get(column)]


def differences(rows, measured):
    """Cells that the page tells otherwise than the tests have measured."""
    return [f"{title}, {column}: measured `{cells[column]}`, the page says "
            f"`{rows.get(title, {}).get(column, '')}`"
            for title, cells in measured.items() for column in COLUMNS
            if rows.get(title, {}).get(column) != cells[column]]


def write(measured):
    (before, _, after), rows = read()
    rows.update(measured)
    lines = ["| method | " + " | ".join(COLUMNS) + " |",
             "| --- |" + " --- |" * len(COLUMNS)]
    lines += [row(title, {column: rows[title].get(column, "") for column in COLUMNS})
              for title in METHODS if title in rows]
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(before + "\n" + "\n".join(lines) + "\n\n" + after)


def main(arguments):
    check = arguments[:1] == ["--check"]
    measured = {}
    for path in arguments[check:] or ([] if check else glob.glob(RESULTS + "/*.json")):
        with open(path, encoding="utf-8") as file:
            measured.update(json.load(file))
    if not check:
        write(measured)
    rows = read()[1]
    findings = [f"no cell: {each}" for each in holes(rows)] + differences(rows, measured)
    print("\n".join(findings), end="\n" if findings else "")
    return 1 if findings else 0


if __name__ == "__main__":
    if sys.argv[1:2] in (["-h"], ["--help"]):
        print(__doc__.strip())
        sys.exit(0)
    sys.exit(main(sys.argv[1:]))
