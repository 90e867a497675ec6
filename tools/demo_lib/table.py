"""The table that the demo prints, one line as soon as it is known."""

import sys

_MARK = {True: "ok", False: "FAILED"}
_COLOR = {True: "\x1b[32m", False: "\x1b[31m"}
_WIDTHS = (30, 45)


class Table:
    """Lines of what was asked, what came, and whether that is as it must be."""

    def __init__(self, out=sys.stdout):
        self._out = out
        self._held = []

    def section(self, title):
        self._out.write(f"\n  {title}\n  {'─' * (sum(_WIDTHS) + 6)}\n")
        self._out.flush()

    def line(self, asked, answer, held):
        mark = _MARK[bool(held)]
        if self._out.isatty():
            mark = f"{_COLOR[bool(held)]}{mark}\x1b[0m"
        self._out.write(
            f"  {asked:<{_WIDTHS[0]}}  {answer:<{_WIDTHS[1]}}  {mark}\n")
        self._out.flush()
        self._held.append(bool(held))

    def all_held(self):
        return bool(self._held) and all(self._held)
