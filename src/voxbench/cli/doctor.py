"""``voxbench doctor``: is this installation well?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from voxbench.cli.installation import Finding
    from voxbench.cli.selftest import Tried

app = cyclopts.App(name="doctor", help="Look whether the installation is well: versions, memory, GPU, a self-test.")

Flag = cyclopts.Parameter(negative="")


@app.default
def doctor(
    *,
    quick: Annotated[bool, Flag] = False,
    json_: Annotated[bool, cyclopts.Parameter(name="--json", negative="")] = False,
) -> None:
    """Print what this installation has, and do a few small jobs whose answers are known.

    Args:
        quick: Leave the self-test out.
        json_: Print all as JSON on standard output.
    """
    from voxbench.cli.installation import findings
    from voxbench.cli.selftest import self_test
    from voxbench.errors import JobError

    found = findings()
    tried = () if quick else self_test()
    _show(found, tried)
    if json_:
        print(json.dumps({"findings": [asdict(f) for f in found], "self_test": [asdict(t) for t in tried]}, indent=1))
    wrong = [f"{f.name}: {f.told}; {f.advice}" for f in found if f.wrong]
    wrong += [f"{t.name}: {t.told}" for t in tried if not t.good]
    if wrong:
        raise JobError(
            f"{len(wrong)} things are wrong with this installation\n  "
            + "\n  ".join(wrong)
            + "\n  install voxbench anew; if that does not help, report what voxbench doctor --json prints"
        )


def _show(found: tuple[Finding, ...], tried: tuple[Tried, ...]) -> None:
    """For eyes."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in found:
        mark = (
            "[red]wrong[/red]" if finding.wrong else "[yellow]note[/yellow]" if finding.advice else "[green]ok[/green]"
        )
        advice = f"\n[dim]{escape(finding.advice)}[/dim]" if finding.advice else ""
        table.add_row(mark, finding.name, escape(finding.told) + advice)
    for job in tried:
        mark = "[green]ok[/green]" if job.good else "[red]wrong[/red]"
        table.add_row(mark, f"self-test: {job.name}", f"{escape(job.told)}  [dim]{job.seconds:.1f} s[/dim]")
    Console(stderr=True, highlight=False).print(table)
