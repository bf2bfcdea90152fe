"""Lines on stderr that tell how far a run is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status
SELDOM = 60.0
"""Seconds between two lines that say in a log how far a run is."""


class Lines:
    """What is told while something runs; a line each, which stays."""

    def __init__(self, console: Console, status: Status | None = None) -> None:
        self._console, self._status = console, status
        self._said = time.monotonic()

    def __call__(self, line: object) -> None:
        """Tell one thing, as its ``str`` has it."""
        self._console.print(str(line), markup=False, highlight=self._console.is_terminal, soft_wrap=True)

    def doing(self, what: str) -> None:
        """Change what the sign of life says; where there is none (in a log), a line now and then."""
        if self._status is not None:
            self._status.update(what)
        elif time.monotonic() - self._said > SELDOM:
            self._said = time.monotonic()
            self(what)


@contextmanager
def lines(doing: str) -> Iterator[Lines]:
    """Tell what is done on stderr; at a terminal with a sign of life below, elsewhere plain lines.

    Args:
        doing: What the sign of life says, e.g. ``"registering"``.

    Yields:
        What to call with each line.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(console)
        return
    with console.status(doing) as status:
        yield Lines(console, status)


def table(rows: dict[str, str]) -> None:
    """Names and values for eyes, on stderr."""
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True)
    grid = Table(box=None, show_header=False, pad_edge=False)
    for name, value in rows.items():
        grid.add_row(name, value)
    console.print(grid)
