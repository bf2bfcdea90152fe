"""Files appear whole or not at all, and are known by their hash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxbench.errors import FileReadError, FileWriteError

RUN = "VOXBENCH_RUN"
"""Variable of the environment that holds the name of the run this process works for."""

AnyPath = str | os.PathLike[str]
"""A path as users hand it in."""


def part_name(name: str, kind: str = "part") -> str:
    """A name for what is not yet whole, hidden and nobody else's; it begins with the run of many cases it belongs to.

    By that beginning (`RUN`) a run finds again what a worker of it left that was killed while it wrote.

    Args:
        name: What it will be called when it is whole.
        kind: ``part``, or ``old`` for what is about to be replaced.
    """
    return f".{os.environ.get(RUN, '')}{secrets.token_hex(4)}.{kind}.{name}"


@contextmanager
def told_as(path: Path, temporary: Path) -> Iterator[None]:
    """Let refusals to write into a temporary folder name the folder that it will be.

    Args:
        path: What the user knows.
        temporary: What stands for it for now.
    """
    try:
        yield
    except FileWriteError as error:
        raise FileWriteError(str(error).replace(str(temporary), str(path))) from error


@contextmanager
def atomic(path: AnyPath) -> Iterator[Path]:
    """A temporary path beside ``path``, with the same suffixes, that becomes ``path`` when the block succeeds.

    When the block fails the temporary file is removed and whatever was at ``path`` is still there. An existing file is
    replaced: whether that is allowed is the caller's question (``--force``).

    Args:
        path: Where the file will be.

    Yields:
        The path to write to.

    Raises:
        FileWriteError: The folder does not exist, there is no permission or no space, or ``path`` is a folder.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileWriteError(f"{target}: cannot be written: the folder {target.parent} does not exist; create it first")
    if target.is_dir():
        raise FileWriteError(f"{target}: cannot be written: it is a folder; give the name of a file")
    temporary = target.parent / part_name(target.name)
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(target)
    except OSError as error:
        raise FileWriteError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _flush_to_disk(path: Path) -> None:
    """Make sure the bytes are on the disk before the name is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_file(path: AnyPath) -> Path:
    """The path, if it names a file with something in it.

    Raises:
        FileReadError: Nothing there, a folder, or an empty file.
    """
    path = Path(path)
    if path.is_dir():
        raise FileReadError(f"{path}: is a folder, not a file")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FileReadError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    if size == 0:
        raise FileReadError(f"{path}: the file is empty (0 bytes)")
    return path


def sha256(path: AnyPath) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        FileReadError: The file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FileReadError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error


def sha256_of_folder(folder: AnyPath) -> str:
    """The SHA-256 of what a folder holds: names and bytes of its files (those below it and hidden ones are left out).

    Raises:
        FileReadError: A file cannot be read.
    """
    files = sorted(path for path in Path(folder).iterdir() if path.is_file() and not path.name.startswith("."))
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path.name}\0{sha256(path)}\n".encode())
    return whole.hexdigest()
