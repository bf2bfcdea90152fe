"""Folders of results: what is there is not lost, what is new appears whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from voxbench.errors import FileReadError, FileWriteError
from voxbench.io.atomic import part_name, told_as

VOLUMES = (".nii.gz", ".nii", ".mha", ".mhd", ".seg.nrrd", ".nrrd", ".mgz")
"""How files of volumes end."""


def files_by_case(folder: Path, endings: Sequence[str] = VOLUMES) -> dict[str, Path]:
    """The files right in a folder, by their names without the ending; hidden ones are left out.

    Args:
        folder: The folder.
        endings: Files of other endings are left out; a longer ending stands before one that it ends in.

    Raises:
        FileReadError: There is no such folder, no such file, or a case is there twice.
    """
    if not folder.is_dir():
        raise FileReadError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        ending = next((ending for ending in endings if path.name.endswith(ending)), None)
        if ending is None or path.name.startswith(".") or not path.is_file():
            continue
        case = path.name.removesuffix(ending)
        if case in found:
            raise FileReadError(f"{case}: there twice\n  {found[case]}\n  {path}")
        found[case] = path
    if not found:
        raise FileReadError(f"{folder}: no image here ({', '.join(endings)})")
    return found


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


def require_replaceable(out: Path, marks: Sequence[str], force: bool, what: str = "a simulated data set") -> None:
    """Refuse a folder that a data set of ours must not replace, before the work starts.

    Args:
        out: The folder.
        marks: Files and folders that such a data set holds, by which it is known.
        force: Whether one that is there may be replaced.
        what: What it is called in messages.

    Raises:
        FileWriteError: It is a file, holds something else, or such a data set and ``force`` is not set.
    """
    if out.is_file():
        raise FileWriteError(f"{out}: is a file; --out names the folder for {what.replace('a simulated', 'the')}")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not all((out / mark).exists() for mark in marks):
        raise FileWriteError(f"{out}: holds something that is not {what}; give another folder")
    if not force:
        raise FileWriteError(f"{out}: holds {what} already; --force replaces it")


@contextmanager
def new_data_set(out: Path, marks: Sequence[str], force: bool, what: str = "a simulated data set") -> Iterator[Path]:
    """A temporary folder that becomes ``out`` when the block succeeds; what was there is lost only then.

    Args:
        out: Where the data set will be.
        marks: As in `require_replaceable`.
        force: Whether a data set of ours that is there may be replaced.
        what: What it is called in messages.

    Yields:
        The folder to write to.

    Raises:
        FileWriteError: ``out`` must not be replaced (said at once), or cannot be written.
    """
    require_replaceable(out, marks, force, what)
    temporary, old = (out.parent / part_name(out.name, kind) for kind in ("part", "old"))
    try:
        temporary.mkdir(parents=True)
        with told_as(out, temporary):
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
