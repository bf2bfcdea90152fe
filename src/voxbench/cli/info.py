"""``voxbench info``: what image files hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from voxbench.io import Description, MeshDescription

app = cyclopts.App(name="info", help="Say what files hold: size, spacing, orientation, values, label volumes; meshes.")

LABELS_SHOWN = 40


@app.default
def info(*files: Path, json: Annotated[bool, cyclopts.Parameter(negative="")] = False) -> None:
    """Say what files hold: size, spacing, orientation, values, label volumes; meshes: faces, area, volume, holes.

    Every file is read to its end, so damage shows here.

    Args:
        files: Image files (.nii, .nii.gz, .mha, .mhd, .nrrd, .seg.nrrd, .mgz, .dcm), folders of a DICOM series, or
            meshes (.obj, .stl, .ply).
        json: Print a JSON list on standard output instead of tables.
    """
    from voxbench.errors import InputError, JobError, UsageError
    from voxbench.io import describe, describe_mesh, is_mesh_name, to_json

    if not files:
        raise UsageError("info: name at least one file")
    described, failures = [], []
    for file in files:
        try:
            described.append(describe_mesh(file) if is_mesh_name(file) else describe(file))
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


def _show(description: Description | MeshDescription) -> None:
    """One file, for eyes."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from voxbench.io import Description

    console = Console(stderr=True)
    console.print(f"[bold]{escape(str(description.path))}[/bold]", soft_wrap=True)
    rows = _image_rows(description) if isinstance(description, Description) else _mesh_rows(description)
    table = Table(box=None, show_header=False, padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value:
            table.add_row(name, escape(value))
    console.print(table)


def _image_rows(description: Description) -> list[tuple[str, str]]:
    """Name and value, a line each; what is empty is left out."""
    return [
        ("kind", f"{description.kind} ({description.format})"),
        ("size", " x ".join(str(n) for n in description.shape)),
        ("spacing", " x ".join(f"{v:.5g}" for v in description.spacing) + " mm"),
        ("orientation", description.orientation),
        ("origin", ", ".join(f"{v:.5g}" for v in description.origin) + " mm"),
        ("values", _values(description)),
        ("labels", str(len(description.labels) or "")),
        *_label_rows(description),
        ("convention", f"{description.convention or ''}{' (assumed)' if description.assumed else ''}"),
        *(("note", note) for note in description.notes),
    ]


def _mesh_rows(description: MeshDescription) -> list[tuple[str, str]]:
    """Name and value, a line each."""
    return [
        ("kind", "mesh"),
        ("size", " x ".join(f"{v:.5g}" for v in description.size_mm) + " mm"),
        ("vertices", str(description.vertices)),
        ("faces", str(description.faces)),
        ("area", f"{description.area_mm2:.6g} mm^2"),
        ("volume", f"{description.volume_ml:.6g} ml" if description.closed else "none: the surface is open"),
        ("closed", "yes" if description.closed else f"no, open at {description.open_edges} edges"),
    ]


def _values(description: Description) -> str:
    """Dtype and range."""
    text = f"{description.dtype}, {description.low:.6g} to {description.high:.6g}"
    return f"{text}; {description.not_finite} NaN or infinite" if description.not_finite else text


def _label_rows(description: Description) -> list[tuple[str, str]]:
    """Each label with its name, voxels and volume; a long list is cut."""
    names = description.names or {}
    rows = [
        (f"  {i}", f"{n} voxels, {ml:.4g} ml{'  ' + names[i] if i in names else ''}")
        for i, n, ml in zip(description.labels, description.voxels, description.volumes_ml, strict=True)
    ]
    more = len(rows) - LABELS_SHOWN
    return [*rows[:LABELS_SHOWN], ("  ...", f"{more} more; all with --json")] if more > 0 else rows
