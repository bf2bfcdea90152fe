"""What is wrong with a single file, and with a file beside its image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from voxbench.challenges.datasets.naming import Entry
from voxbench.geometry import Affine, Grid
from voxbench.jobs import Record

NORMALISED = 1.5
"""Bones in mm are larger; SSR-KD's prepared meshes hold [-1, 1] and a little more."""

_SHIFT_MM = 1e-3
_ROUNDING = 1e-5
_SHOWN = 8


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        severity: An error makes the file unusable or the scores wrong; a warning may be meant.
        file: Relative to the data set's folder.
        what: What was found, with the values.
        remedy: What to do.
    """

    severity: Literal["error", "warning"]
    file: str
    what: str
    remedy: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.severity}: {self.file}: {self.what}; {self.remedy}"


def unreadable(entry: Entry, error: str) -> Finding:
    """A file that could not be read, from the error's message."""
    lines = [line.strip() for line in error.replace(f"{entry.path}: ", "").splitlines() if line.strip()]
    remedy = "; ".join(lines[1:]) or "fetch or write the file again"
    return Finding("error", entry.name, lines[0] if lines else "cannot be read", remedy)


def of_file(entry: Entry, record: Record, values: frozenset[int] | None, expected: str) -> Iterator[Finding]:
    """What is wrong with one file that could be read.

    Args:
        entry: The file.
        record: What it holds.
        values: Label values that are allowed; None for any whole number from 0.
        expected: These, in words; empty where no challenge is named.
    """
    if entry.kind == "mesh":
        yield from _of_mesh(entry, record)
        return
    if record["bad"]:
        what = f"{record['bad']} of {record['voxels']} values are NaN or infinite"
        yield Finding("error", entry.name, what, "replace them, e.g. numpy.nan_to_num, or write the file again")
    if entry.kind == "labels":
        yield from _of_labels(entry, record, values, expected)
    elif entry.kind == "image" and record["low"] == record["high"]:
        what = f"constant: every voxel is {record['low']:g}"
        yield Finding("error", entry.name, what, "nothing can be seen in it; write the file again")


def against(entry: Entry, record: Record, image: Entry, of_image: Record) -> Iterator[Finding]:
    """Whether a file lies on the grid of its case's image; a line for each property that differs, with both values."""
    mine, its = _grid(record), _grid(of_image)
    if mine.same_as(its, _SHIFT_MM):
        return
    found = [
        (name, one, other)
        for name, one, other, same in (
            ("shape", _by(mine.shape), _by(its.shape), mine.shape == its.shape),
            ("spacing", f"{_by(mine.spacing)} mm", f"{_by(its.spacing)} mm", _close(mine.spacing, its.spacing)),
            ("origin", f"({_list(mine.origin)}) mm", f"({_list(its.origin)}) mm", _near(mine, its)),
            ("direction", _axes(mine), _axes(its), _close(mine.direction, its.direction)),
        )
        if not same
    ]
    if not found:
        corners = float(np.abs(mine.corners - its.corners).max())
        found = [("place", f"corners {corners:.3g} mm off", f"at most {_SHIFT_MM} mm")]
    kind = "the label map" if entry.kind == "labels" else "the image"
    nearest = "nearest neighbour" if entry.kind == "labels" else "linear"
    for name, one, other in found:
        what = f"{name} {one}, but its image {image.name} has {other}"
        yield Finding("error", entry.name, what, f"resample {kind} onto the image ({nearest}), or correct the header")


def _of_mesh(entry: Entry, record: Record) -> Iterator[Finding]:
    if record["open_edges"]:
        what = f"the surface is open at {record['open_edges']} edges; 0 expected"
        yield Finding("error", entry.name, what, "close its holes, e.g. trimesh.repair.fill_holes")
    factors = any((place / "spacing.npz").is_file() for place in (entry.path.parent, entry.path.parent.parent))
    if record["largest"] <= NORMALISED and not factors:
        what = f"not in mm: no coordinate is larger than {record['largest']:.3g}"
        yield Finding("warning", entry.name, what, "multiply by the factors `mesh` of the case's spacing.npz")


def _of_labels(entry: Entry, record: Record, values: frozenset[int] | None, expected: str) -> Iterator[Finding]:
    if record["fractions"]:
        what = f"{record['fractions']} of {record['voxels']} label values are not whole numbers"
        yield Finding("error", entry.name, what, "was it resampled linearly? use nearest neighbour")
        return
    ids = [int(i) for i in record["counts"]]
    wrong = [i for i in ids if (i < 0 if values is None else i not in values)]
    if wrong:
        shown = ", ".join(f"{i} ({record['counts'][str(i)]} voxels)" for i in wrong[:_SHOWN])
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        what = f"wrong label values {shown}{more}; expected {expected or 'whole numbers from 0'}"
        yield Finding("error", entry.name, what, "map them to the expected values")
    if not ids and not record["bad"]:
        what = "empty: every voxel is 0; at least one label expected"
        yield Finding("error" if expected else "warning", entry.name, what, "draw the labels, or leave the case out")


def _grid(record: Record) -> Grid:
    shape = record["shape"]
    return Grid((shape[0], shape[1], shape[2]), Affine(np.array(record["world_from_voxel"]), "world", "voxel"))


def _close(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.allclose(one, other, rtol=_ROUNDING, atol=_ROUNDING))


def _near(one: Grid, other: Grid) -> bool:
    return bool(np.abs(one.origin - other.origin).max() <= _SHIFT_MM)


def _by(values: np.ndarray | tuple[int, ...]) -> str:
    return " x ".join(f"{v:.6g}" for v in values)


def _list(values: np.ndarray) -> str:
    return ", ".join(f"{v:.6g}" for v in values)


def _axes(grid: Grid) -> str:
    """The orientation, and the unit vectors where they are oblique."""
    vectors = " ".join(f"({_list(np.round(axis, 4) + 0.0)})" for axis in grid.direction.T)
    return f"{grid.orientation} {vectors}"
