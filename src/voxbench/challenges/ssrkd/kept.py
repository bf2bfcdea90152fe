"""What preparation leaves of a case on disk: all of it or nothing, known to be ours, done again only if need be."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from voxbench.challenges.ssrkd.writing import MESHES, PROCESSED
from voxbench.errors import FileWriteError
from voxbench.io.atomic import part_name, told_as
from voxbench.io.folders import refuse_foreign
from voxbench.jobs import Records

NOTES = "preparation"
"""Holds a note and a picture of every case."""


def note_of(out: Path, case: str) -> Path:
    """What was found for a case."""
    return out / NOTES / f"{case}.json"


def prepare_resume(out: Path, cases: Sequence[str], force: bool) -> Records:
    """The records of an earlier start, without those whose files are gone; what a killed one left half-written goes.

    Args:
        out: Folder of the data set.
        cases: What is prepared.
        force: Whether folders that are not ours may be replaced.

    Raises:
        FileWriteError: A case has files there that no earlier start of ours left.
    """
    if out.is_file():
        raise FileWriteError(f"{out}: is a file; --out names the folder for the data set")
    places = [out / PROCESSED / case for case in cases if not note_of(out, case).is_file()]
    foreign = [place for place in places if place.is_dir() and any(place.iterdir())]
    refuse_foreign(foreign, force)
    kept = Records(out / "cases" / NOTES)
    kept.open("prepare ssrkd")
    for case in cases:
        for half in out.glob(f".*.part.{case}"):
            shutil.rmtree(half, ignore_errors=True)
        files = (kept.kept(case).get("record") or {}).get("files", {})
        if not all((out / file).is_file() for file in (*files, f"{NOTES}/{case}.json")):
            kept.path(case).unlink(missing_ok=True)
    return kept


@contextmanager
def written_together(out: Path, case: str) -> Iterator[Path]:
    """A temporary folder whose files become those of ``out`` when the block succeeds; what was there of the case goes.

    Args:
        out: Folder of the data set.
        case: Whose files.

    Yields:
        The folder to write to, laid out as ``out``; the note's folder is there.

    Raises:
        FileWriteError: The folder or its files cannot be written.
    """
    temporary = out / part_name(case)
    try:
        (temporary / NOTES).mkdir(parents=True)
        with told_as(out, temporary):
            yield temporary
        (out / NOTES).mkdir(parents=True, exist_ok=True)
        note_of(temporary, case).replace(note_of(out, case))  # first: it says that the others are ours
        for path in sorted((temporary / NOTES).iterdir()):
            path.replace(out / NOTES / path.name)
        for place in (PROCESSED, MESHES):
            shutil.rmtree(out / place / case, ignore_errors=True)
            if (temporary / place / case).is_dir():
                (out / place).mkdir(exist_ok=True)
                (temporary / place / case).replace(out / place / case)
    except OSError as error:
        raise FileWriteError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
