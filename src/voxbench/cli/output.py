"""Where results go: refused before the work starts if they cannot be kept, and there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from voxbench.errors import FileWriteError
from voxbench.io.atomic import part_name, told_as

_TEMPORARY = re.compile(r"\.[0-9a-z]*[0-9a-f]{8}\.part\.")


def require_free_file(path: Path, force: bool) -> None:
    """Refuse a file that is there already, or that could not be written.

    Raises:
        FileWriteError: It exists and ``force`` is not set, or its folder is missing or closed to us.
    """
    if path.is_dir():
        raise FileWriteError(f"{path}: cannot be written: it is a folder; give the name of a file")
    if path.exists() and not force:
        raise FileWriteError(f"{path}: exists already\n  --force replaces it")
    if not path.parent.is_dir():
        raise FileWriteError(f"{path}: cannot be written: the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise FileWriteError(f"{path}: cannot be written: no permission to write in {path.parent}")


@contextmanager
def result_folder(path: Path, names: Collection[str], force: bool) -> Iterator[Path]:
    """A temporary folder whose files become those of ``path`` when the block succeeds.

    A new ``path`` appears all at once. One that is there already (a mounted volume, say) receives its files one by one,
    each whole. The temporary folder is made at once, so that a place closed to us is noticed before the work. When the
    block fails nothing is left behind.

    Args:
        path: Where the results will be; parents are made as needed.
        names: Every file a run may leave; with ``force``, those of an earlier run that this one does not write go.
        force: Whether a folder with something in it may be written to. Files of other names stay.

    Yields:
        The folder to write to.

    Raises:
        FileWriteError: The folder has something in it and ``force`` is not set, or it cannot be made.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  (resolve() would follow a link at the end)
    require_free_folder(path, force)
    made = make_folders(path.parent, path)
    home = path if path.is_dir() else path.parent
    temporary = home / part_name(path.name)
    try:
        with _refused(path):
            temporary.mkdir()
        with told_as(path, temporary):
            yield temporary
        with _refused(path):
            _move(temporary, path, names)
        made.clear()
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def require_free_folder(path: Path, force: bool) -> None:
    """Refuse a folder that has something in it, or could not be written to.

    Raises:
        FileWriteError: It is a file, it holds more than what a killed start leaves and ``force`` is not set, or it is
            closed to us.
    """
    with _refused(path):
        if path.exists() and not path.is_dir():
            raise FileWriteError(f"{path}: is a file; --out names the folder for the results")
        if path.is_dir() and not force and not all(_left_by_a_killed_start(entry) for entry in path.iterdir()):
            raise FileWriteError(
                f"{path}: exists already and is not empty\n"
                "  give another folder, or --force to replace the results in it"
            )
        if path.is_dir() and not os.access(path, os.W_OK | os.X_OK):
            raise FileWriteError(f"{path}: no permission to write in this folder")


def _left_by_a_killed_start(path: Path) -> bool:
    """Whether it is a temporary file or folder of ours, or a folder with nothing else in it."""
    if _TEMPORARY.match(path.name):
        return True
    return path.is_dir() and not path.is_symlink() and all(_left_by_a_killed_start(entry) for entry in path.iterdir())


def make_folders(folder: Path, path: Path) -> list[Path]:
    """Make a folder and its parents; those that were missing, innermost first.

    Args:
        folder: What to make.
        path: What to name in messages.

    Raises:
        FileWriteError: It cannot be made.
    """
    missing: list[Path] = []
    with _refused(path):
        while not folder.exists():
            missing.append(folder)
            folder = folder.parent
        for parent in reversed(missing):
            parent.mkdir()
    return missing


def _move(temporary: Path, path: Path, names: Collection[str]) -> None:
    """All at once where there is nothing yet, else file by file."""
    if temporary.parent != path:
        temporary.replace(path)
        return
    written = {file.name for file in temporary.iterdir()}
    for name in set(names) - written:
        (path / name).unlink(missing_ok=True)
    for name in sorted(written):
        _put(temporary / name, path / name)


def _put(source: Path, target: Path) -> None:
    """A file in the place of another; of a folder, each of its files, so that others beside them stay."""
    if not (source.is_dir() and target.is_dir()):
        source.replace(target)
        return
    for child in sorted(source.iterdir()):
        _put(child, target / child.name)


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """An error of the operating system as one of ours."""
    try:
        yield
    except OSError as error:
        culprit = f" ({error.filename})" if error.filename and Path(error.filename).parent != path.parent else ""
        raise FileWriteError(f"{path}: cannot be written: {error.strerror or error}{culprit}") from error
