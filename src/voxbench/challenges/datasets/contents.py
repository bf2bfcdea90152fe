"""What one file holds, read to its end: a record of plain values."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from voxbench.errors import DimensionError, FileReadError
from voxbench.io import read_mesh
from voxbench.io.arrays import read_arrays
from voxbench.io.raw import RawImage
from voxbench.io.read import read_raw
from voxbench.jobs import Record
from voxbench.types import AnyArray

MANY_IDS = 2**16


def examine(path: Path, kind: str, series: bool = False) -> Record:
    """Read a file to its end.

    Args:
        path: The file, or the folder of a DICOM series.
        kind: What it should hold: image, labels, field, mesh, or archive (numpy arrays of any shape).
        series: Whether an image may have a fourth axis.

    Returns:
        ``content`` (a hash of what it holds) with, for a mesh, ``open_edges`` and ``largest``; for voxels ``shape``,
        ``world_from_voxel``, ``low``, ``high``, ``bad`` (values that are NaN or infinite), and for labels ``counts``
        (voxels by id) and ``fractions`` (values that are not whole).

    Raises:
        InputError: It is damaged, or is not what it should be.
    """
    if kind == "mesh":
        return _mesh(path)
    if kind == "archive":
        return _archive(path)
    raw = _stored(path) if path.suffix == ".npz" else read_raw(path)
    if kind == "field" or (series and raw.vectors):
        return _field(raw)
    array = raw.array if series and raw.array.ndim > 3 and kind == "image" else raw.single()
    record = _voxels(raw, array)
    if kind == "labels":
        record |= _labels(array)
    return record


def label_counts(array: AnyArray) -> dict[int, int]:
    """Voxels of each id but 0; the values are whole numbers."""
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= MANY_IDS:
        ids, numbers = np.unique(array, return_counts=True)
        return {int(i): int(n) for i, n in zip(ids, numbers, strict=True) if i}
    total = np.zeros(high + 1, np.int64)
    for slab in array:  # never a copy of the whole in eight bytes a voxel
        total += np.bincount(slab.ravel().astype(np.intp, copy=False), minlength=high + 1)
    return {int(i): int(total[i]) for i in np.flatnonzero(total) if i}


def _mesh(path: Path) -> Record:
    mesh = read_mesh(path)
    content = hashlib.blake2b(mesh.vertices.tobytes() + mesh.faces.tobytes(), digest_size=16).hexdigest()
    largest = float(np.abs(np.stack(mesh.bounds)).max())
    return {"content": content, "open_edges": mesh.open_edges, "closed": mesh.is_closed, "largest": largest}


def _archive(path: Path) -> Record:
    """Arrays of any shape, pickled ones passed over; never taken for copies, for factors are alike among cases."""
    arrays = read_arrays(path, pass_over=True)
    bad = sum(int((~np.isfinite(a)).sum()) for a in arrays.values() if a.dtype.kind in "fc")
    size = sum(a.size for a in arrays.values())
    return {"content": str(path), "low": 0.0, "high": 0.0, "bad": bad, "voxels": size, "shape": [1, 1, 1]}


def _stored(path: Path) -> RawImage:
    """The volume [z, y, x] of an .npz."""
    arrays = read_arrays(path, pass_over=True)
    array = arrays.get("arr_0", next(iter(arrays.values()), None))
    if array is None:
        raise FileReadError(f"{path}: no array in it")
    return RawImage(path, "npz", array.T, np.eye(4))


def _field(raw: RawImage) -> Record:
    shape = raw.array.shape
    if not (raw.vectors or (len(shape) == 4 and 3 in {shape[0], shape[3]}) or (len(shape) == 5 and shape[4] == 3)):
        text = " x ".join(str(n) for n in shape)
        raise DimensionError(
            f"{raw.path}: not a displacement field: {text}\n  expected  i x j x k x 3 or 3 x i x j x k"
        )
    return _voxels(raw, raw.array)


def _voxels(raw: RawImage, array: AnyArray) -> Record:
    shape = (*array.shape, 1, 1)[:3]
    low, high, bad = _range(array)
    # Of the values alone: a copy stored in another type, or under another origin, is still a copy.
    digest = hashlib.blake2b(str(array.shape).encode(), digest_size=16)
    for slab in array:
        digest.update(np.ascontiguousarray(slab, np.float32).tobytes())
    return {
        "content": digest.hexdigest(),
        "shape": list(shape),
        "world_from_voxel": raw.grid((shape[0], shape[1], shape[2])).world_from_voxel.matrix.tolist(),
        "low": low,
        "high": high,
        "bad": bad,
        "voxels": array.size,
    }


def _range(array: AnyArray) -> tuple[float, float, int]:
    """Smallest and largest finite value, and how many are not finite."""
    low, high, bad = np.inf, -np.inf, 0
    for slab in array:
        finite = slab[np.isfinite(slab)] if slab.dtype.kind == "f" else slab
        bad += slab.size - finite.size
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return low, high, bad


def _labels(array: AnyArray) -> Record:
    if array.dtype.kind != "f":
        return {"counts": label_counts(array), "fractions": 0}
    fractions = sum(int((np.isfinite(slab) & (slab != np.rint(slab))).sum()) for slab in array)
    if fractions or not np.isfinite(array).all():
        return {"counts": {}, "fractions": fractions}
    return {"counts": label_counts(array.astype(np.int64)), "fractions": 0}
