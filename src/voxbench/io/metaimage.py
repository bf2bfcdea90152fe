"""MetaImage (.mha, .mhd), and vector images as ITK writes them; through SimpleITK."""

from __future__ import annotations

import math
import re
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.errors import FileReadError, FileWriteError
from voxbench.geometry import Grid
from voxbench.io.atomic import AnyPath, atomic, part_name, require_file
from voxbench.io.layout import array_from_file_order, file_order
from voxbench.io.limits import beside, require_plausible
from voxbench.io.raw import LPS_FROM_RAS, RawImage, storable
from voxbench.types import AnyArray, Matrix4

CHUNK = 1 << 20
BYTES = {"MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4}
BYTES |= {"MET_FLOAT": 4, "MET_DOUBLE": 8, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8}
"""Of one voxel; MET_LONG, whose size depends on the machine that wrote it, is not read."""


def read_metaimage(path: AnyPath) -> RawImage:
    """Read a .mha or .mhd file.

    Compressed voxels are checked to their end first, because ITK returns wrong values from a damaged stream silently.

    Raises:
        FileReadError: Missing, empty, truncated, damaged, or not MetaImage.
    """
    import SimpleITK

    path = require_file(path)
    _check_voxels(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("MetaImageIO")
    reader.SetFileName(str(path))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise FileReadError(f"{path}: truncated, damaged, or not MetaImage: {_reason(error)}") from error
    components = image.GetNumberOfComponentsPerPixel()
    stored = SimpleITK.GetArrayViewFromImage(image)
    if stored.dtype.kind not in "iuf":
        raise FileReadError(f"{path}: voxels of type {stored.dtype}; only real numbers are read")
    if components > 1:
        spatial = range(stored.ndim - 1)
        array = np.ascontiguousarray(stored.transpose(*reversed(spatial), stored.ndim - 1))
    else:
        array = array_from_file_order(stored.reshape(-1), stored.shape[::-1])
    return RawImage(path, "MetaImage", array, _world_from_voxel(image), vectors=components > 1)


def write_itk(path: AnyPath, array: AnyArray, grid: Grid, vectors: bool = False) -> None:
    """Write an array as an ITK image (.mha, .mhd, .nrrd), compressed.

    Args:
        path: Where the file will be.
        array: Indexed [i, j, k], or [i, j, k, component] when ``vectors``.
        grid: Where the voxels lie.
        vectors: Whether the last axis holds components, already in the LPS world.

    Raises:
        FileWriteError: The file cannot be written.
    """
    import SimpleITK

    path = Path(path)
    array = storable(array)
    stored = np.ascontiguousarray(array.transpose(2, 1, 0, 3)) if vectors else file_order(array)
    image = SimpleITK.GetImageFromArray(stored, isVector=vectors)
    lps = LPS_FROM_RAS @ grid.world_from_voxel.matrix
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetSpacing(grid.spacing.tolist())
    image.SetDirection((lps[:3, :3] / grid.spacing).ravel().tolist())
    if path.suffix.lower() == ".mhd":
        _write_pair(image, path)
        return
    with atomic(path) as temporary:
        _execute_writer(image, path, temporary)


def write_components(path: AnyPath, array: AnyArray, grid: Grid) -> None:
    """Write vectors as a four-dimensional .mha of single numbers, components slowest, as grand-challenge takes them.

    Args:
        path: Where the file will be.
        array: (i, j, k, component), as it shall stand in the file.
        grid: Where the voxels lie.

    Raises:
        FileWriteError: The file cannot be written.
    """
    import SimpleITK

    path = Path(path)
    image = SimpleITK.GetImageFromArray(file_order(storable(array)), isVector=False)
    lps = LPS_FROM_RAS @ grid.world_from_voxel.matrix
    axes = np.eye(4)
    axes[:3, :3] = lps[:3, :3] / grid.spacing
    image.SetOrigin([*lps[:3, 3].tolist(), 0.0])
    image.SetSpacing([*grid.spacing.tolist(), 1.0])
    image.SetDirection(axes.ravel().tolist())
    with atomic(path) as temporary:
        _execute_writer(image, path, temporary)


def _write_pair(image: Any, path: Path) -> None:
    """Header and voxels are two files: written in a folder beside, then moved, the header last."""
    with atomic(path) as header, tempfile.TemporaryDirectory(dir=path.parent, prefix=part_name("")) as folder:
        written = Path(folder) / path.name
        _execute_writer(image, path, written)
        for voxels in Path(folder).glob("*raw"):
            voxels.replace(path.parent / voxels.name)
        written.replace(header)


def _execute_writer(image: Any, path: Path, temporary: Path) -> None:
    """Write, with failures named after the file the user asked for."""
    import SimpleITK

    try:
        SimpleITK.WriteImage(image, str(temporary), useCompression=True, compressionLevel=1)
    except RuntimeError as error:
        raise FileWriteError(f"{path}: cannot be written: {_reason(error)}") from error


def _world_from_voxel(image: Any) -> Matrix4:
    """RAS+ mm from the first three voxel axes (2-D images get a third)."""
    n = image.GetDimension()
    direction = np.array(image.GetDirection()).reshape(n, n)
    matrix = np.eye(4)
    m = min(n, 3)
    matrix[:m, :m] = (direction * image.GetSpacing())[:m, :m]
    matrix[:m, 3] = image.GetOrigin()[:m]
    return LPS_FROM_RAS @ matrix


def _check_voxels(path: Path) -> None:
    """Refuse a missing voxel file, one too short, and a compressed stream that is cut or fails its checksum."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    match = re.search(rb"^\s*ElementDataFile\s*=\s*(\S[^\r\n]*?)\s*\r?\n", head + b"\n", re.MULTILINE)
    if match is None:
        raise FileReadError(f"{path}: not a MetaImage file, or a damaged header: no ElementDataFile")
    name = match.group(1).decode("utf-8", "replace")
    local = name.upper() == "LOCAL"
    if name.upper().startswith("LIST") or "%" in name:
        raise FileReadError(f"{path}: voxels in several files are not read; write one .mha")
    voxels = path if local else beside(path, name)
    header = head[: match.start()]
    shape, promised = _promised(path, header)
    if re.search(rb"^\s*CompressedData\s*=\s*True", header, re.MULTILINE | re.IGNORECASE):
        require_plausible(voxels, promised, deflated=True)
        _inflate(path, voxels, match.end() if local else 0, promised)
        return
    offset = head.find(b"\n", match.start(1)) + 1 if local else 0
    if (found := voxels.stat().st_size - offset) < promised:
        raise FileReadError(
            f"{path}: truncated: the header promises {shape} voxels, {promised} bytes; "
            f"{found} are there\n  copy or download the file again"
        )
    require_plausible(voxels, promised)


def _promised(path: Path, header: bytes) -> tuple[str, int]:
    """The shape in words, and how many bytes the voxels take; each field that decides it is there once."""
    lines = re.findall(rb"^\s*(\w+)\s*=\s*([^\r\n]*)", header, re.MULTILINE)
    names = [name.decode("ascii") for name, _ in lines]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileReadError(f"{path}: damaged header: {', '.join(twice)} are there more than once")
    fields = dict(zip(names, (value.decode("utf-8", "replace").split() for _, value in lines), strict=True))
    kind, shape = "".join(fields.get("ElementType", [])), fields.get("DimSize", [])
    if kind not in BYTES:
        raise FileReadError(f"{path}: voxels of type {kind or 'unknown'}; only real numbers are read")
    counts = shape + fields.get("ElementNumberOfChannels", [])
    if fields.get("NDims") != [str(len(shape))] or not all(count.isdecimal() and len(count) < 20 for count in counts):
        raise FileReadError(f"{path}: damaged header: NDims, DimSize or ElementNumberOfChannels")
    return " x ".join(shape), BYTES[kind] * math.prod(int(count) for count in counts)


def _inflate(path: Path, voxels: Path, offset: int, promised: int) -> None:
    """Decompress to the end, for the checksum only."""
    stream, found = zlib.decompressobj(zlib.MAX_WBITS | 32), 0
    try:
        with voxels.open("rb") as file:
            file.seek(offset)
            while not stream.eof and found <= promised and (block := stream.unconsumed_tail or file.read(CHUNK)):
                found += len(stream.decompress(block, CHUNK))
    except zlib.error as error:
        raise FileReadError(f"{path}: damaged: the compressed voxels cannot be decoded ({error})") from error
    if not stream.eof and found <= promised:
        raise FileReadError(
            f"{path}: truncated: the compressed voxels end too early\n  copy or download the file again"
        )
    if found != promised:
        raise FileReadError(f"{path}: damaged: the header promises {promised} bytes of voxels; there are {found}")


def _reason(error: RuntimeError) -> str:
    """The one line of an ITK message that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].removeprefix("ITK ERROR: ") if lines else "no reason given"
