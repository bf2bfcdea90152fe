"""NRRD, and Slicer's segmentations in it (.seg.nrrd), whose segments keep their names."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from voxbench.errors import DimensionError, FileReadError, FileWriteError
from voxbench.geometry import Grid
from voxbench.io.atomic import AnyPath, atomic, require_file
from voxbench.io.layout import array_from_file_order, file_order
from voxbench.io.raw import LPS_FROM_RAS, RawImage, storable
from voxbench.io.segments import merged_layers, segments_in
from voxbench.types import AnyArray, Matrix4

RAS_SIGNS = {
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "lps": (-1.0, -1.0, 1.0),
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "ras": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
    "las": (-1.0, 1.0, 1.0),
}
VECTOR_KINDS = {"vector", "covariant-vector", "3-vector"}


def read_nrrd(path: AnyPath) -> RawImage:
    """Read a .nrrd, .nhdr or .seg.nrrd file; axes that are not spatial come last.

    Raises:
        FileReadError: Missing, empty, truncated, damaged, or not NRRD.
        DimensionError: Not at least three axes in space, or a segmentation whose segments overlap.
    """
    path = require_file(path)
    stored, header = _stored(path)
    if stored.dtype.kind not in "iuf":
        raise FileReadError(f"{path}: voxels of type {stored.dtype}; only real numbers are read")
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    array = array_from_file_order(stored.reshape(-1, order="F"), stored.shape)
    spatial, others = _axes(header, stored.ndim)
    array = np.ascontiguousarray(array.transpose(*spatial, *others))
    affine, notes = _world_from_voxel(path, header, spatial)
    kinds = [str(kind).lower() for kind in header.get("kinds", [])]
    vectors = bool(others) and bool(kinds) and kinds[others[0]] in VECTOR_KINDS
    raw = RawImage(path, "NRRD", array, affine, notes, vectors=vectors)
    segments = segments_in(header)
    if not segments:
        return raw
    array, names, more = merged_layers(path, array, segments)
    return replace(raw, format="Slicer segmentation (NRRD)", array=array, names=names, notes=(*notes, *more))


def write_nrrd(path: AnyPath, array: AnyArray, grid: Grid, fields: Mapping[str, str] | None = None) -> None:
    """Write an array [i, j, k] as .nrrd, compressed, in the LPS space that other programs expect.

    Args:
        path: Where the file will be.
        array: The voxels.
        grid: Where they lie.
        fields: More header fields, those of a .seg.nrrd.

    Raises:
        FileWriteError: The file cannot be written.
    """
    import nrrd

    path, array = Path(path), storable(array)
    if path.suffix.lower() == ".nhdr":
        raise FileWriteError(f"{path}: a detached header is not written; take .nrrd")
    lps = LPS_FROM_RAS @ grid.world_from_voxel.matrix
    header: dict[str, Any] = {
        "space": "left-posterior-superior",
        "space directions": lps[:3, :3].T,
        "space origin": lps[:3, 3],
        "kinds": ["domain"] * 3,
        "encoding": "gzip",
    }
    header |= fields or {}
    with atomic(path) as temporary:
        nrrd.write(str(temporary), file_order(array).T, header, index_order="F", compression_level=1)


def _stored(path: Path) -> tuple[np.ndarray, Any]:
    """Voxels, first index fastest, and header."""
    import nrrd

    wrong = (nrrd.NRRDError, zlib.error, OSError, EOFError, ValueError, KeyError, IndexError)
    with path.open("rb") as file:
        try:
            header = nrrd.read_header(file)
        except wrong as error:
            raise FileReadError(f"{path}: not NRRD, or a damaged header: {error}") from error
        try:
            return _voxels(path, header, file), header
        except FileNotFoundError as error:
            raise FileReadError(f"{path}: the file with its voxels is missing: {error.filename}") from error
        except wrong as error:
            raise FileReadError(
                f"{path}: truncated or damaged: the voxels cannot be read ({error})\n  copy or download the file again"
            ) from error


def _voxels(path: Path, header: Any, file: BinaryIO) -> np.ndarray:
    """Voxels after the header; an attached gzip stream is read past its checksum, as pynrrd is not."""
    import nrrd
    from isal import igzip

    plain = not any(
        key in header for key in ("data file", "datafile", "line skip", "lineskip", "byte skip", "byteskip")
    )
    if header.get("encoding") in {"gzip", "gz"} and plain:
        content = io.BytesIO(igzip.decompress(file.read()))
        return nrrd.read_data({**header, "encoding": "raw"}, content, str(path), index_order="F")
    return nrrd.read_data(header, file, str(path), index_order="F")


def _axes(header: Any, ndim: int) -> tuple[list[int], list[int]]:
    """Axes with a direction in space, and the others (components, segments, time)."""
    directions = header.get("space directions")
    if directions is None:
        spatial = list(range(min(ndim, 3)))
        if ndim == 4 and str(header.get("kinds", ["domain"])[0]).lower() in VECTOR_KINDS | {"list"}:
            spatial = [1, 2, 3]
    else:
        spatial = [a for a in range(ndim) if directions[a] is not None and np.isfinite(directions[a]).all()]
    return spatial, [a for a in range(ndim) if a not in spatial]


def _world_from_voxel(path: Path, header: Any, spatial: list[int]) -> tuple[Matrix4, tuple[str, ...]]:
    """RAS+ mm; a file that names no space is taken to be in LPS, as ITK does."""
    space = str(header.get("space", "")).lower().removesuffix("-time")
    directions = header.get("space directions")
    notes = ()
    if len(spatial) != 3:
        raise DimensionError(f"{path}: {len(spatial)} axes in space; a volume has three")
    if space not in RAS_SIGNS:
        notes = (f"the file's space is {space or 'not named'}; taken as left-posterior-superior",)
    matrix = np.eye(4)
    if directions is not None:
        matrix[:3, :3] = np.array([directions[a] for a in spatial], dtype=np.float64).T
    elif "spacings" in header:
        matrix[:3, :3] = np.diag(np.asarray(header["spacings"], dtype=np.float64)[spatial])
    if "space origin" in header:
        matrix[:3, 3] = header["space origin"]
    if not np.isfinite(matrix).all():
        raise FileReadError(f"{path}: damaged header: spacing or origin is not a number")
    return np.diag([*RAS_SIGNS.get(space, RAS_SIGNS["lps"]), 1.0]) @ matrix, notes
