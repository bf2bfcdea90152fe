"""How much a file may claim to hold before anything is allocated for it."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from voxbench.errors import FileReadError

MAX_DEFLATE_RATIO = 1032
"""No deflate stream expands further than this; a header that promises more is damaged."""
ALWAYS_ALLOWED = 1 << 28
"""Bytes that any file compressed otherwise (bzip2, RLE, JPEG) may expand to: 256 MiB."""
MAX_TRAILING = 1 << 24
"""Bytes after the last voxel that are passed over; more is no image: 16 MiB."""
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def require_plausible(path: Path, promised: int, *, deflated: bool = False, otherwise: bool = False) -> None:
    """Refuse a header that promises more bytes than its file can hold, or than this machine has.

    Args:
        path: The file with the data.
        promised: Bytes that would be allocated.
        deflated: Whether the data are a deflate stream (gzip, zip, PNG): 1032 times the file at most.
        otherwise: Whether they are compressed in another way: the same, or 256 MiB.

    Raises:
        FileReadError: It does.
    """
    size = path.stat().st_size
    most = size * (MAX_DEFLATE_RATIO if deflated or otherwise else 1)
    most = max(most, ALWAYS_ALLOWED) if otherwise else most
    if promised > most:
        raise FileReadError(
            f"{path}: truncated or damaged: its header promises {promised} bytes; a file of {size} bytes holds at most "
            f"{most}\n  copy or download the file again"
        )
    if promised > memory():
        raise FileReadError(
            f"{path}: takes {promised / 2**30:.1f} GiB of memory; this machine has {memory() / 2**30:.1f} GiB"
        )


def beside(path: Path, name: str) -> Path:
    """A file that another one names, which must lie in the same folder or below it.

    Raises:
        FileReadError: It is elsewhere, or is not there.
    """
    place = path.parent / name
    if "\0" in name or not place.resolve().is_relative_to(path.parent.resolve()):
        raise FileReadError(
            f"{path}: names a file outside its own folder: {name}\n  put the two together, and name it without a path"
        )
    if not place.is_file():
        raise FileReadError(f"{path}: the file with its voxels is missing: {place}")
    return place


@cache
def memory() -> int:
    """Bytes of memory this machine, or the container we are in, has."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):
        whole = min(whole, int(_CGROUP.read_text()))
    return whole


def plain_members(path: Path, archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    """The files of a zip that may be read: stored or deflated, none larger than its share of the zip allows.

    Args:
        path: The zip.
        archive: The same, open.

    Raises:
        FileReadError: One is encrypted, compressed in another way, or promises too much; or all together do.
    """
    members = [info for info in archive.infolist() if not info.is_dir()]
    for info in members:
        if info.flag_bits & 1 or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise FileReadError(f"{path}: {info.filename}: encrypted, or compressed in a way that is not read")
    require_plausible(path, sum(info.file_size for info in members), deflated=True)
    yield from members
