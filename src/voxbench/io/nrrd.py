"""NRRD, and Slicer's segmentations in it (.seg.nrrd), whose segments keep their names."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from voxbench.errors import DimensionError, FileReadError, FileWriteError
from voxbench.geometry import Grid
from voxbench.io.atomic import AnyPath, atomic, require_file
from voxbench.io.failures import named_failures
from voxbench.io.layout import array_from_file_order, file_order
from voxbench.io.limits import beside, require_plausible
from voxbench.io.nifti import read_out
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
TYPES = {
    name: code
    for code, names in {
        "i1": "signed char/int8/int8_t",
        "u1": "uchar/unsigned char/uint8/uint8_t",
        "i2": "short/short int/signed short/signed short int/int16/int16_t",
        "u2": "ushort/unsigned short/unsigned short int/uint16/uint16_t",
        "i4": "int/signed int/int32/int32_t",
        "u4": "uint/unsigned int/uint32/uint32_t",
        "i8": "longlong/long long/long long int/signed long long/signed long long int/int64/int64_t",
        "u8": "ulonglong/unsigned long long/unsigned long long int/uint64/uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split("/")
}
TEXT, PACKED = {"text", "txt", "ascii"}, {"gzip", "gz", "bzip2", "bz2"}
VECTOR_KINDS = {"vector", "covariant-vector", "3-vector"}


def read_nrrd(path: AnyPath) -> RawImage:
    """Read a .nrrd, .nhdr or .seg.nrrd file; axes that are not spatial come last.

    Raises:
        FileReadError: Missing, empty, truncated, damaged, or not NRRD.
        DimensionError: Not at least three axes in space, or a segmentation whose segments overlap.
    """
    path = require_file(path)
    stored, header = _stored(path)
    with named_failures(path, "damaged header"):
        return _image(path, stored, header)


def _image(path: Path, stored: np.ndarray, header: Any) -> RawImage:
    """Voxels put in order and in place."""
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

    with path.open("rb") as file:
        with named_failures(path, "not NRRD, or a damaged header"):
            header = nrrd.read_header(file)
        with named_failures(path, "truncated or damaged: the voxels cannot be read"):
            return _voxels(path, header, file), header


def _voxels(path: Path, header: Any, file: BinaryIO) -> np.ndarray:
    """As many values as the header promises, not one byte more is made room for."""
    place, offset = _place(path, header, file)
    dtype, shape = _dtype(path, header), tuple(int(n) for n in header["sizes"])
    if not shape or min(shape) < 1:
        raise FileReadError(f"{path}: damaged header: the sizes are {shape}")
    promised = math.prod(shape) * dtype.itemsize
    with place.open("rb") as opened:
        opened.seek(offset)
        for _ in range(_skipped(header, "line")):
            opened.readline()
        if "encoding" not in header:
            raise FileReadError(f"{path}: damaged header: no encoding\n  copy or download the file again")
        values = _values(place, str(header["encoding"]).lower(), (opened, _skipped(header, "byte")), (dtype, promised))
    if values.nbytes < promised:
        raise FileReadError(
            f"{place}: truncated or damaged: the header promises {promised} bytes of voxels; {values.nbytes} could be "
            "read\n  copy or download the file again"
        )
    return values[: math.prod(shape)].reshape(shape, order="F")


def _place(path: Path, header: Any, file: BinaryIO) -> tuple[Path, int]:
    """Where the voxels are: in the same file, or in another one in the same folder or below it."""
    name = header.get("data file", header.get("datafile"))
    if name is None:
        return path, file.tell()
    words = str(name).split()
    if not words or words[0].upper() == "LIST" or "%" in str(name):
        raise FileReadError(f"{path}: voxels in several files are not read; write one .nrrd")
    return beside(path, str(name)), 0


def _dtype(path: Path, header: Any) -> np.dtype:
    kind = TYPES.get(str(header.get("type")).lower())
    if kind is None:
        raise FileReadError(f"{path}: voxels of type {header.get('type')}; only real numbers are read")
    big = str(header.get("endian", "little")).lower() == "big"
    return np.dtype((">" if big else "<") + kind)


def _skipped(header: Any, what: str) -> int:
    return int(header.get(f"{what} skip", header.get(f"{what}skip", 0)))


def _values(place: Path, encoding: str, source: tuple[BinaryIO, int], wanted: tuple[np.dtype, int]) -> np.ndarray:
    """By encoding."""
    file, skip = source
    dtype, promised = wanted
    if encoding in TEXT:
        return np.array(file.read().split(), dtype=np.float64).astype(dtype)
    if encoding == "raw":
        if skip < 0:
            file.seek(-promised, os.SEEK_END)
        require_plausible(place, promised)
        file.seek(max(skip, 0), os.SEEK_CUR)
        return np.frombuffer(file.read(promised), dtype)
    if encoding not in PACKED or skip < 0:
        raise FileReadError(f"{place}: the encoding {encoding} is not read; write it as gzip or raw")
    require_plausible(
        place, promised + skip, deflated=encoding in {"gzip", "gz"}, otherwise=encoding not in {"gzip", "gz"}
    )
    return np.frombuffer(_unpacked(place, encoding, file, promised + skip), dtype, offset=skip)


def _unpacked(place: Path, encoding: str, file: BinaryIO, size: int) -> bytes:
    """The first bytes of a compressed stream, which is then read to its end for the checksum."""
    import bz2

    from isal import igzip

    opened: Any = igzip.IGzipFile(fileobj=file) if encoding in {"gzip", "gz"} else bz2.BZ2File(file)
    try:
        with opened as stream:
            content = stream.read(size)
            read_out(place, stream)
    except EOFError as error:
        raise FileReadError(
            f"{place}: truncated: the compressed voxels end too early\n  copy or download the file again"
        ) from error
    return content


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
