"""What preparation leaves of a sample on disk: all of it or nothing, known to be ours, done again only if need be."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from voxbench.errors import FileReadError, FileWriteError
from voxbench.io import read_json
from voxbench.io.atomic import part_name, told_as
from voxbench.io.folders import refuse_foreign
from voxbench.jobs import Records

FOLDER = "preparation"
"""Holds a note and a picture of every sample."""
PLACES = ("RegisteredData", "BoneMask", "native")
"""Hold a folder for every sample."""


def prepare_resume(out: Path, samples: Sequence[str], force: bool) -> Records:
    """The records of an earlier start, without those whose files are gone; what a killed one left half-written goes.

    Args:
        out: Folder of the results.
        samples: What is prepared.
        force: Whether files that are not ours may be replaced.

    Raises:
        FileWriteError: A sample has data there that no earlier start of ours left.
    """
    kept = Records(out / "cases" / FOLDER)
    there = [place for sample in samples for place in _foreign(out, sample)]
    refuse_foreign(there, force)
    kept.open("prepare lumbarsr")
    for sample in samples:
        for half in out.glob(f".*.part.{sample}"):
            shutil.rmtree(half, ignore_errors=True)
        files = (kept.kept(sample).get("record") or {}).get("files", {})
        if not all((out / file).is_file() for file in (*files, f"{FOLDER}/{sample}.json")):
            kept.path(sample).unlink(missing_ok=True)
    return kept


@contextmanager
def written_together(out: Path, sample: str) -> Iterator[Path]:
    """A temporary folder whose files become those of ``out`` when the block succeeds; what we left before goes.

    Args:
        out: Folder of the results.
        sample: Whose files; the folder has theirs, and that of the notes, already.

    Yields:
        The folder to write to, laid out as ``out``.

    Raises:
        FileWriteError: The folder or its files cannot be written.
    """
    temporary = out / part_name(sample)
    try:
        for place in (*(temporary / name / sample for name in PLACES), temporary / FOLDER):
            place.mkdir(parents=True)
        with told_as(out, temporary):
            yield temporary
        _remove_earlier(out, sample)
        note = temporary / FOLDER / f"{sample}.json"  # first: it says that the others are ours
        rest = [path for path in sorted(temporary.rglob("*")) if path.is_file() and path != note]
        for path in (note, *rest):
            place = out / path.relative_to(temporary)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
    except OSError as error:
        raise FileWriteError(f"{out}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _foreign(out: Path, sample: str) -> list[Path]:
    """Folders of a sample that hold something we did not put there."""
    ours = (out / FOLDER / f"{sample}.json").is_file()
    places = [out / place / sample for place in PLACES]
    return [] if ours else [place for place in places if place.is_dir() and any(place.iterdir())]


def _remove_earlier(out: Path, sample: str) -> None:
    """The files that an earlier start left of a sample: a sequence may be gone since."""
    with contextlib.suppress(FileReadError, AttributeError):
        for file in read_json(out / FOLDER / f"{sample}.json").get("files", {}):
            path = (out / file).resolve()
            if path.is_relative_to(out.resolve()) and sample in path.as_posix():
                path.unlink(missing_ok=True)
