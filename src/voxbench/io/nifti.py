"""NIfTI-1 and -2: read to the last byte, and written fast."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.errors import FileReadError
from voxbench.geometry import Grid
from voxbench.io.atomic import AnyPath, atomic, require_file
from voxbench.io.layout import array_from_file_order, file_order
from voxbench.io.limits import MAX_DEFLATE_RATIO, MAX_TRAILING, require_plausible
from voxbench.io.raw import RawImage, storable
from voxbench.types import AnyArray, Matrix4

INTENT_VECTOR = 1007
CHUNK = 1 << 20
READ_CHUNK = 1 << 17
COMPRESSION_LEVEL = 1
FORMS_AGREE_MM = 0.05
UNITS_IN_MM = {1: 1000.0, 3: 0.001}
"""NIfTI codes of spatial units other than the millimetre."""


def read_nifti(path: AnyPath) -> RawImage:
    """Read a .nii or .nii.gz file to its end, so that damage anywhere in a compressed file is found.

    The sform is preferred to the qform when its code is positive. A slope and intercept of the header are applied
    (giving float32, or float64 where the file stores more digits than float32 holds); without them the dtype is kept.

    Args:
        path: The file; whether it is compressed is seen from its first bytes.

    Returns:
        The image, of as many axes as the file has.

    Raises:
        FileReadError: Missing, empty, truncated, damaged, or not NIfTI; the reason is named.
    """
    path = require_file(path)
    with decompressed(path) as stream:
        header = _header(path, stream)
        shape = tuple(int(n) for n in header.get_data_shape())
        dtype = _dtype(path, header)
        flat = _voxels(path, stream, shape, dtype)
        read_out(path, stream)
    affine, notes = _orientation(path, header, shape)
    slope, intercept = header.get_slope_inter()
    array = _scaled(array_from_file_order(flat, shape), slope, intercept)
    return RawImage(
        path=path,
        format="NIfTI-1" if int(header["sizeof_hdr"]) == 348 else "NIfTI-2",
        array=array,
        world_from_voxel=affine,
        notes=notes,
        marker=bytes(header["descrip"].item()).decode("latin-1"),
        intent=int(header["intent_code"]),
        vectors=int(header["intent_code"]) == INTENT_VECTOR and len(shape) == 5,
    )


@contextmanager
def decompressed(path: Path) -> Iterator[io.BufferedIOBase]:
    """The bytes of a file, decompressed if it is gzip; every failure to read becomes a FileReadError.

    A bad checksum is found only when the stream is read to its end.
    """
    from isal import igzip, isal_zlib

    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            yield igzip.IGzipFile(fileobj=file, mode="rb") if compressed else file
    except EOFError as error:
        raise FileReadError(
            f"{path}: truncated: the compressed data end too early\n  copy or download the file again"
        ) from error
    except OSError as error:
        reason = error.strerror or f"damaged: {error}"
        raise FileReadError(f"{path}: cannot be read: {reason}") from error
    except isal_zlib.error as error:  # pyright: ignore[reportGeneralTypeIssues]
        raise FileReadError(f"{path}: damaged: the compressed data cannot be decoded ({error})") from error


def read_out(path: Path, stream: io.BufferedIOBase) -> None:
    """Read what follows the voxels to the end, where the checksum is.

    Raises:
        FileReadError: There is more of it than any program appends.
    """
    found = 0
    while block := stream.read(CHUNK):
        found += len(block)
        if found > MAX_TRAILING:
            raise FileReadError(f"{path}: damaged: more than {MAX_TRAILING >> 20} MiB follow the last voxel")


def _header(path: Path, stream: io.BufferedIOBase) -> Any:
    """The parsed header; the stream then stands at the first voxel."""
    import nibabel as nib
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    block = stream.read(348)
    sizes = {int.from_bytes(block[:4], order) for order in ("little", "big")}
    kind = nib.Nifti2Header if 540 in sizes else nib.Nifti1Header
    if not sizes & {348, 540}:
        raise FileReadError(f"{path}: not a NIfTI file: the header does not begin with 348 or 540")
    block += stream.read(kind.template_dtype.itemsize - 348)
    try:
        header = kind(block, check=True)
        header.get_data_dtype()
        header.get_slope_inter()
    except (HeaderDataError, WrapStructError) as error:
        raise FileReadError(f"{path}: damaged header: {error}") from error
    if not bytes(header["magic"].item()).startswith(b"n+"):
        raise FileReadError(f"{path}: a header without voxels (a pair of .hdr and .img?); convert it to .nii.gz first")
    _require_spacing(path, kind(block, check=False))
    _skip_extensions(path, stream, float(header["vox_offset"]) - len(block))
    return header


def _skip_extensions(path: Path, stream: io.BufferedIOBase, size: float) -> None:
    """Pass over what lies between header and voxels."""
    if not size <= MAX_TRAILING:  # NaN too
        raise FileReadError(f"{path}: damaged header: {size:g} bytes lie between it and the voxels")
    stream.read(max(0, int(size)))


def _require_spacing(path: Path, header: Any) -> None:
    """Refuse a spacing of 0 where nothing else says where the voxels lie; nibabel would take 1 without a word."""
    sizes = [abs(float(size)) for size, n in zip(header["pixdim"][1:4], header["dim"][1:4], strict=True) if n > 1]
    if int(header["sform_code"]) == 0 and 0.0 in sizes:
        shown = " x ".join(f"{size:g}" for size in sizes)
        raise FileReadError(
            f"{path}: damaged header: spacing {shown} mm; it must be above 0\n  write the file again with its spacing"
        )


def _dtype(path: Path, header: Any) -> np.dtype:
    """The stored dtype, if it is one of real numbers."""
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise FileReadError(f"{path}: voxels of type {dtype}; only real numbers of at most 64 bits are read")
    return dtype


def _voxels(path: Path, stream: io.BufferedIOBase, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """As many values as the header promises, in file order and native byte order."""
    if not shape or min(shape) < 1:
        raise FileReadError(f"{path}: damaged header: the shape is {shape}")
    promised = int(np.prod(shape, dtype=object)) * dtype.itemsize
    size = path.stat().st_size
    deflated = not isinstance(stream, io.BufferedReader)
    if promised > size * (MAX_DEFLATE_RATIO if deflated else 1):
        raise _truncated(path, shape, dtype, promised, size)
    require_plausible(path, promised, deflated=deflated)
    flat = np.empty(promised // dtype.itemsize, dtype)
    view, found = flat.view(np.uint8), 0
    while found < promised:
        try:
            count = stream.readinto(view[found : found + READ_CHUNK])  # pyright: ignore
        except EOFError:
            count = 0
        if not count:
            raise _truncated(path, shape, dtype, promised, found)
        found += count
    return flat if dtype.isnative else flat.byteswap(inplace=True).view(dtype.newbyteorder("="))


def _truncated(path: Path, shape: tuple[int, ...], dtype: np.dtype, promised: int, found: int) -> FileReadError:
    """What to say about a file that is too short."""
    voxels = " x ".join(str(n) for n in shape)
    return FileReadError(
        f"{path}: truncated or damaged: the header promises {voxels} voxels of {dtype.name}, {promised} bytes; "
        f"{found} bytes could be read\n  copy or download the file again"
    )


def _scaled(array: np.ndarray, slope: float | None, intercept: float | None) -> np.ndarray:
    """Values in the header's units."""
    if slope is None or (slope == 1 and intercept in {0, None}):
        return array
    wide = array.dtype.itemsize > 4 or (array.dtype.itemsize == 4 and array.dtype.kind in "iu")
    out = np.empty(array.shape, np.float64 if wide else np.float32)
    for index in range(array.shape[0]):
        out[index] = array[index] * np.float64(slope) + np.float64(intercept or 0.0)
    return out


def _orientation(path: Path, header: Any, shape: tuple[int, ...]) -> tuple[Matrix4, tuple[str, ...]]:
    """World from voxel, RAS+ mm, and what is odd about it."""
    from nibabel.spatialimages import HeaderDataError

    try:
        sform, scode = header.get_sform(coded=True)
        qform, qcode = header.get_qform(coded=True)
    except (HeaderDataError, ValueError) as error:
        raise FileReadError(f"{path}: damaged header: {error}") from error
    notes = []
    if sform is not None and qform is not None:
        apart = _furthest_apart(sform, qform, shape)
        if apart > FORMS_AGREE_MM:
            notes.append(f"qform (code {qcode}) and sform (code {scode}) differ by up to {apart:.3g} mm; sform taken")
    affine = sform if sform is not None else qform
    if affine is None:
        affine = header.get_base_affine()
        notes.append("no orientation in the header (qform and sform codes are 0): LAS+ around the middle assumed")
    scale = UNITS_IN_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    if scale != 1.0:
        affine = np.diag([scale, scale, scale, 1.0]) @ affine
        notes.append(f"header in {'metres' if scale > 1 else 'micrometres'}; taken to millimetres")
    return np.asarray(affine, dtype=np.float64), tuple(notes)


def _furthest_apart(first: np.ndarray, second: np.ndarray, shape: tuple[int, ...]) -> float:
    """How far apart two matrices put a corner of the grid, mm."""
    ends = [(0, n - 1) for n in (*shape, 1, 1, 1)[:3]]
    corners = np.array(np.meshgrid(*ends, [1.0], indexing="ij")).reshape(4, -1)
    return float(np.linalg.norm(((first - second) @ corners)[:3], axis=0).max())


@dataclass(frozen=True)
class NiftiFields:
    """Header fields beyond the grid.

    Attributes:
        intent: The intent code.
        description: At most 79 characters.
    """

    intent: int = 0
    description: str = "voxbench"


def write_nifti(path: AnyPath, array: AnyArray, grid: Grid, fields: NiftiFields = NiftiFields()) -> None:
    """Write an array of three or more axes as .nii or .nii.gz, qform and sform set, in mm.

    Args:
        path: Where the file will be; ``.gz`` at its end compresses.
        array: Indexed [i, j, k, ...]; booleans become uint8, half floats float32, long doubles float64.
        grid: Where the voxels lie.
        fields: Intent and description.

    Raises:
        FileWriteError: The file cannot be written.
    """
    array = storable(array)
    head = _new_header(array, grid, fields).binaryblock
    data = memoryview(file_order(array).reshape(-1).view(np.uint8))  # pyright: ignore[reportArgumentType]
    with atomic(path) as temporary, temporary.open("wb") as file:
        for block in _encoded(head.ljust(_offset(head), b"\0"), data, temporary.suffix == ".gz"):
            file.write(block)


def _offset(head: bytes) -> int:
    """Where the voxels begin: after the header and four bytes that say there are no extensions."""
    return len(head) + 4


def _new_header(array: np.ndarray, grid: Grid, fields: NiftiFields) -> Any:
    """A header with everything a reader needs."""
    import nibabel as nib

    header = nib.Nifti1Header() if max(array.shape) < 2**15 else nib.Nifti2Header()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_qform(grid.world_from_voxel.matrix, code=1)
    header.set_sform(grid.world_from_voxel.matrix, code=1)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1.0, 0.0)
    header["intent_code"] = fields.intent
    header["descrip"] = fields.description.encode("ascii", "replace")[:79]
    header["magic"] = b"n+1" if len(header.binaryblock) == 348 else b"n+2\0\r\n\x1a\n"
    header["vox_offset"] = _offset(header.binaryblock)
    return header


def _encoded(head: bytes, data: memoryview, compress: bool) -> Iterator[bytes | memoryview]:
    """The blocks of the file."""
    blocks = (data[start : start + CHUNK] for start in range(0, len(data), CHUNK))
    if not compress:
        yield head
        yield from blocks
        return
    from isal import isal_zlib

    coder = isal_zlib.compressobj(COMPRESSION_LEVEL, wbits=31)
    yield coder.compress(head)
    for block in blocks:
        yield coder.compress(block)
    yield coder.flush()
