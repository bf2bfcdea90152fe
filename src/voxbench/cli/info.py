"""``voxbench info``: what image files hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from rich.table import Table

    from voxbench.io import Description

app = cyclopts.App(name="info", help="Say what image files hold: size, spacing, orientation, values, labels.")

LABELS_SHOWN = 40


@app.default
def info(*files: Path, json: Annotated[bool, cyclopts.Parameter(negative="")] = False) -> None:
    """Say what image files hold: size, spacing, orientation, values, labels.

    Every file is read to its end, so damage shows here.

    Args:
        files: Image files (.nii, .nii.gz, .mha, .mhd, .nrrd, .seg.nrrd, .mgz, .dcm) or folders of a DICOM series.
        json: Print a JSON list on standard output instead of tables.
    """
    from voxbench.errors import InputError, JobError, UsageError
    from voxbench.io import describe, to_json

    if not files:
        raise UsageError("info: name at least one file")
    described, failures = [], []
    for file in files:
        try:
            described.append(describe(file))
        except InputError as error:
            failures.append(error)
            continue
        if not json:
            _show(described[-1])
    if json:
        print(to_json(described))
    if len(files) == 1 and failures:
        raise failures[0]
    if failures:
        lines = "\n".join(f"  {error}" for error in failures)
        raise JobError(f"{len(failures)} of {len(files)} files could not be read\n{lines}")


def _show(description: Description) -> None:
    """One file, for eyes."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True)
    console.print(f"[bold]{escape(str(description.path))}[/bold]", soft_wrap=True)
    console.print(_table(description))


def _table(description: Description) -> Table:
    """Name and value, a line each."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    rows = [
        ("kind", f"{description.kind} ({description.format})"),
        ("size", " x ".join(str(n) for n in description.shape)),
        ("spacing", " x ".join(f"{v:.5g}" for v in description.spacing) + " mm"),
        ("orientation", description.orientation),
        ("origin", ", ".join(f"{v:.5g}" for v in description.origin) + " mm"),
        ("values", _values(description)),
        ("labels", _labels(description)),
        ("convention", f"{description.convention or ''}{' (assumed)' if description.assumed else ''}"),
        *(("note", note) for note in description.notes),
    ]
    for name, value in rows:
        if value:
            table.add_row(name, escape(value))
    return table


def _values(description: Description) -> str:
    """Dtype and range."""
    text = f"{description.dtype}, {description.low:.6g} to {description.high:.6g}"
    return f"{text}; {description.not_finite} NaN or infinite" if description.not_finite else text


def _labels(description: Description) -> str:
    """Ids with their names; a long list is cut."""
    ids, names = description.labels, description.names or {}
    shown = ", ".join(f"{i} {names[i]}" if i in names else str(i) for i in ids[:LABELS_SHOWN])
    return f"{len(ids)}: {shown}{', ...' if len(ids) > LABELS_SHOWN else ''}" if ids else ""
