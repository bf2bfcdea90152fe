"""Folders of results: what is there is not lost, what is new appears whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from voxbench.errors import FileWriteError
from voxbench.io.atomic import part_name


def refuse_foreign(paths: Sequence[Path], force: bool) -> None:
    """Refuse to write where something lies that no earlier start of ours left.

    Args:
        paths: What lies there, and is not ours.
        force: Whether it may be replaced.

    Raises:
        FileWriteError: There is something, and ``force`` is not set.
    """
    if paths and not force:
        more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
        raise FileWriteError(f"{paths[0]}{more}: exists already\n  --force replaces it, or give another folder")


def require_replaceable(out: Path, marks: Sequence[str], force: bool) -> None:
    """Refuse a folder that a simulated data set must not replace, before the work starts.

    Args:
        out: The folder.
        marks: Files and folders that a simulated data set holds, by which it is known.
        force: Whether one that is there may be replaced.

    Raises:
        FileWriteError: It is a file, holds something else, or a simulated data set and ``force`` is not set.
    """
    if out.is_file():
        raise FileWriteError(f"{out}: is a file; --out names the folder for the data set")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not all((out / mark).exists() for mark in marks):
        raise FileWriteError(f"{out}: holds something that is not a simulated data set; give another folder")
    if not force:
        raise FileWriteError(f"{out}: holds a simulated data set already; --force replaces it")


@contextmanager
def new_data_set(out: Path, marks: Sequence[str], force: bool) -> Iterator[Path]:
    """A temporary folder that becomes ``out`` when the block succeeds; what was there is lost only then.

    Args:
        out: Where the data set will be.
        marks: As in `require_replaceable`.
        force: Whether a simulated data set that is there may be replaced.

    Yields:
        The folder to write to.

    Raises:
        FileWriteError: ``out`` must not be replaced (said at once), or cannot be written.
    """
    require_replaceable(out, marks, force)
    temporary, old = (out.parent / part_name(out.name, kind) for kind in ("part", "old"))
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if out.exists():
            out.replace(old)
        temporary.replace(out)
    except OSError as error:
        if old.exists() and not out.exists():
            old.replace(out)
        raise FileWriteError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)
