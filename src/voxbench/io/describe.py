"""What a file holds, for a person who wants to know before using it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from voxbench import _core
from voxbench.errors import ConventionError
from voxbench.geometry import DisplacementField, Grid
from voxbench.io.atomic import AnyPath
from voxbench.io.conventions import Convention, Found, declared_convention, detect_convention
from voxbench.io.displacements import field_from_raw, read_displacement_file
from voxbench.io.raw import RawImage
from voxbench.io.read import read_raw
from voxbench.types import AnyArray

Kind = Literal["image", "label map", "displacement field", "series of images", "2-D image"]
FEW_IDS = 64
MANY_IDS = 1000


@dataclass(frozen=True)
class Description:
    """A file, described.

    Attributes:
        path: The file or folder.
        format: Its format.
        kind: What it seems to hold; a label map is told from an image by its values.
        shape: Voxels along every axis of the file.
        spacing: mm between voxels along i, j, k.
        origin: World position of voxel (0, 0, 0), RAS+ mm.
        orientation: Which way i, j, k point, e.g. ``RAS+``.
        dtype: Of the voxels, after a slope and intercept are applied.
        low: Smallest finite value; NaN if there is none.
        high: Largest finite value; NaN if there is none.
        not_finite: Number of values that are NaN or infinite.
        labels: The ids of a label map, background left out.
        voxels: How many voxels each id has, in the order of ``labels``.
        volumes_ml: Their volume, ml.
        names: Their names, where the file has them.
        convention: Of a displacement field.
        assumed: Whether the convention is only the usual one for such a file.
        notes: What is odd about the file, and what the convention was told by.
    """

    path: Path
    format: str
    kind: Kind
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    orientation: str
    dtype: str
    low: float
    high: float
    not_finite: int
    labels: tuple[int, ...] = ()
    voxels: tuple[int, ...] = ()
    volumes_ml: tuple[float, ...] = ()
    names: Mapping[int, str] | None = None
    convention: str | None = None
    assumed: bool = False
    notes: tuple[str, ...] = ()


def describe(path: AnyPath) -> Description:
    """Read a file to its end and say what it holds; also files that are no single volume.

    Raises:
        FileReadError: Missing, damaged, or of an unknown format.
        ShearedGridError: The voxel axes are not at right angles.
    """
    raw = read_raw(path)
    found, notes = _convention(raw)
    grid = _grid(raw, found)
    low, high, bad = _range(raw.array)
    labels = {} if found or raw.array.ndim < 3 or bad else _label_counts(raw, low, high)
    return Description(
        path=raw.path,
        format=raw.format,
        kind=_kind(raw, found, bool(labels)),
        shape=raw.array.shape,
        spacing=tuple(float(v) for v in grid.spacing),
        origin=tuple(float(v) for v in grid.origin),
        orientation=grid.orientation,
        dtype=raw.array.dtype.name,
        low=low,
        high=high,
        not_finite=bad,
        labels=tuple(labels),
        voxels=tuple(labels.values()),
        volumes_ml=tuple(n * grid.voxel_volume / 1000 for n in labels.values()),
        names=dict(raw.names) or None,
        convention=found.convention if found else None,
        assumed=bool(found and found.assumed),
        notes=(*raw.notes, *notes),
    )


@dataclass(frozen=True)
class FieldDescription:
    """A displacement file, described.

    Attributes:
        path: The file.
        convention: How its numbers are to be understood.
        assumed: Whether that is only the usual convention for such a file.
        reason: What it was told by.
        grid: The fixed grid, in words.
        mean_mm: Mean length of the vectors.
        largest_mm: Largest length.
        mean_voxels: Mean length in voxels of the fixed grid.
        largest_voxels: Largest length in voxels.
        smallest_determinant: Of the Jacobian I + grad u, by central differences.
        folded: Number of voxels where it is not positive.
        folded_percent: Their share.
    """

    path: Path
    convention: Convention
    assumed: bool
    reason: str
    grid: str
    mean_mm: float
    largest_mm: float
    mean_voxels: float
    largest_voxels: float
    smallest_determinant: float
    folded: int
    folded_percent: float


def describe_field(
    path: AnyPath, *, fixed: Grid | None = None, moving: Grid | None = None, convention: Convention | None = None
) -> FieldDescription:
    """Read a displacement file and say in which convention it is, how far it moves and whether it folds.

    Args:
        path: The file.
        fixed: The grid it must lie on; by default the one its header names.
        moving: The grid of the moving image, for files in voxel units; by default the fixed grid.
        convention: By default the one detected.

    Raises:
        ConventionError: Ambiguous, or no displacement field.
        GridMismatchError: The field lies on another grid than ``fixed``.
        NotFiniteError: Some vectors are NaN or infinite.
    """
    raw = read_displacement_file(path)
    shape = None if fixed is None else fixed.shape
    found = declared_convention(raw, convention) if convention else detect_convention(raw, shape)
    field = field_from_raw(raw, found, fixed, moving)
    return _field_description(raw.path, found, field)


def _field_description(path: Path, found: Found, field: DisplacementField) -> FieldDescription:
    """The numbers."""
    planar = field.in_voxels()
    voxels, mm = np.sqrt(np.einsum("cijk,cijk->ijk", planar, planar)), field.magnitude
    determinant = _core.jacobian_determinant(planar)
    folded = int((determinant <= 0).sum())
    return FieldDescription(
        path=path,
        convention=found.convention,
        assumed=found.assumed,
        reason=found.reason,
        grid=str(field.grid),
        mean_mm=float(mm.mean()),
        largest_mm=float(mm.max()),
        mean_voxels=float(voxels.mean()),
        largest_voxels=float(voxels.max()),
        smallest_determinant=float(determinant.min()),
        folded=folded,
        folded_percent=100 * folded / field.grid.size,
    )


def _convention(raw: RawImage) -> tuple[Found | None, tuple[str, ...]]:
    """The convention, if the file looks like a displacement field."""
    shape = raw.array.shape
    if not (
        raw.vectors or (len(shape) == 4 and 3 in {shape[0], shape[3]}) or (len(shape) == 5 and shape[3:] == (1, 3))
    ):
        return None, ()
    try:
        found = detect_convention(raw)
    except ConventionError as error:
        return None, (str(error).replace(f"{raw.path}: ", ""),)
    how = "assumed from" if found.assumed else "told by"
    return found, (f"convention {how}: {found.reason}",)


def _grid(raw: RawImage, found: Found | None) -> Grid:
    """Of the spatial axes."""
    shape = raw.array.shape
    if found and found.convention == "voxel-first":
        return raw.grid(shape[1:4])
    return raw.grid((*shape, 1, 1, 1)[:3])


def _kind(raw: RawImage, found: Found | None, labels: bool) -> Kind:
    """In one word."""
    shape = raw.array.shape
    if found:
        return "displacement field"
    if len(shape) < 3:
        return "2-D image"
    if int(np.prod(shape[3:])) > 1:
        return "series of images"
    return "label map" if labels or raw.names else "image"


def _range(array: AnyArray) -> tuple[float, float, int]:
    """Smallest and largest finite value, and how many are not finite."""
    if array.dtype.kind != "f":
        return float(array.min()), float(array.max()), 0
    low, high, bad = np.inf, -np.inf, 0
    for slab in array:
        finite = slab[np.isfinite(slab)]
        bad += slab.size - finite.size
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high, bad) if low <= high else (np.nan, np.nan, bad)


def _label_counts(raw: RawImage, low: float, high: float) -> dict[int, int]:
    """Voxels by id, if the values look like those of a label map: few, or the same over whole regions."""
    array = raw.array
    if low < 0 or high >= 2**16 or low == high or int(np.prod(array.shape[3:])) > 1:
        return {}
    counts = np.zeros(int(high) + 1, np.int64)
    for slab in array:
        ids = slab if slab.dtype.kind != "f" else np.rint(slab).astype(np.int64)
        if slab.dtype.kind == "f" and not np.array_equal(ids, slab):
            return {}
        counts += np.bincount(ids.ravel().astype(np.intp, copy=False), minlength=len(counts))
    found = {int(i): int(counts[i]) for i in np.flatnonzero(counts) if i != 0}
    return found if len(found) <= FEW_IDS or (len(found) <= MANY_IDS and _piecewise_constant(array)) else {}


def _piecewise_constant(array: np.ndarray) -> bool:
    """Whether most neighbours along i that are not both background are equal."""
    equal = inside = 0
    for one, other in itertools.pairwise(array):
        drawn = (one != 0) | (other != 0)
        inside += int(drawn.sum())
        equal += int((drawn & (one == other)).sum())
    return 2 * equal > inside
