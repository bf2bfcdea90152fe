"""Folders that results go to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxbench.errors import FileWriteError


def refuse_existing(paths: Sequence[Path], force: bool) -> None:
    """Refuse to overwrite.

    Raises:
        FileWriteError: One of the files exists and ``force`` is not given.
    """
    there = [str(path) for path in paths if path.exists()]
    if there and not force:
        raise FileWriteError(f"{', '.join(there)}: already there; give --force to replace, or another --out")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        FileWriteError: It cannot be made.
    """
    blocking = next((place for place in (folder, *folder.parents) if place.exists()), None)
    if blocking is not None and not blocking.is_dir():
        raise FileWriteError(f"{blocking}: is a file; name a folder for the results")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileWriteError(f"{folder}: the folder cannot be made: {error.strerror or error}") from error
