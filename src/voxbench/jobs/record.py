"""What is kept of each case on disk, so that a second start need not do it again: one JSON file a case."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from voxbench.errors import FileReadError, FileWriteError
from voxbench.io import read_json, sha256, write_json
from voxbench.io.atomic import sha256_of_folder
from voxbench.io.folders import refuse_foreign
from voxbench.jobs.job import Job, Outcome

FOLDER = "cases"
_RUN = "run.json"
_STATUS = "status.json"


@dataclass(frozen=True)
class Records:
    """The folder of case files.

    Attributes:
        folder: Where they lie.
    """

    folder: Path

    def open(self, kind: str) -> None:
        """Make the folder, marked with the kind of run it belongs to.

        Raises:
            FileWriteError: It cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileWriteError(f"{self.folder}: the folder cannot be made: {error.strerror or error}") from error
        write_json(self.folder / _RUN, {"kind": kind, "voxbench": version("voxbench")})

    @property
    def status(self) -> Path:
        """The file that says, while a run is under way and after, what became of every case."""
        return self.folder / _STATUS

    @property
    def root(self) -> Path:
        """The folder of the results that the records belong to."""
        above = [folder.parent for folder in (self.folder, *self.folder.parents) if folder.name == FOLDER]
        return above[0] if above else self.folder

    @property
    def kind(self) -> str | None:
        """The kind of run the folder belongs to; None if it is none of ours."""
        try:
            about = read_json(self.folder / _RUN)
        except FileReadError:
            return None
        return about.get("kind") if isinstance(about, Mapping) else None

    def kept(self, key: str) -> Mapping[str, Any]:
        """What is on file for a case; empty if nothing that can be read."""
        try:
            found = read_json(self.path(key))
        except FileReadError:
            return {}
        return found if isinstance(found, Mapping) and found.get("key") == key else {}

    def keep(self, outcome: Outcome, fingerprint: str) -> None:
        """Write what came of a case."""
        said = {"record": outcome.record} if outcome.record is not None else {"error": outcome.error}
        about = {"key": outcome.key, "status": "failed" if outcome.record is None else "done"}
        about |= {"fingerprint": fingerprint, "inputs": outcome.inputs, "seconds": round(outcome.seconds, 3)}
        about |= {"peak_mib": outcome.peak_mib}
        write_json(self.path(outcome.key), about | said)

    def any_done(self) -> bool:
        """Whether any case on file was done."""
        return any(read_json(path).get("status") == "done" for path in self.folder.glob("*.json"))

    def drop_others(self, keys: Iterable[str]) -> None:
        """Remove the files of cases that are no longer asked for."""
        wanted = {self.path(key).name for key in keys} | {_RUN, _STATUS}
        for path in self.folder.glob("*.json"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)

    def path(self, key: str) -> Path:
        """The file of a case; what a file name cannot hold is replaced and a hash keeps such names apart."""
        plain = re.sub(r"[^A-Za-z0-9._-]+", "_", key)
        if plain != key or len(plain) > 120 or plain.startswith("."):
            plain = f"{plain.strip('._')[:100]}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        return self.folder / f"{plain}.json"


def records_of_files(out: Path, kind: str, files: Mapping[str, str], *, force: bool) -> Records:
    """The records of an earlier start that left a file a case, without those whose files are gone.

    Args:
        out: Folder of the files; records lie in ``cases`` below it.
        kind: Of the run.
        files: Name of each case's file.
        force: Whether files that are not ours may be replaced.

    Raises:
        FileWriteError: There are files that no earlier start of ours left.
    """
    kept = Records(out / FOLDER)
    there = [path for name in files.values() if (path := out / name).exists()]
    refuse_foreign(there if kept.kind != kind else [], force)
    kept.open(kind)
    for case, name in files.items():
        if not (out / name).is_file():
            kept.path(case).unlink(missing_ok=True)
    return kept


def hashes(job: Job) -> dict[str, str | None]:
    """SHA-256 of every input; None for one that is missing or cannot be read."""
    return {name: _hash(path) for name, path in job.inputs.items()}


def fingerprint(job: Job, inputs: Mapping[str, str | None]) -> str:
    """One number for all that decides a case's record: inputs, settings, version of voxbench."""
    about = {"key": job.key, "inputs": dict(inputs), "settings": job.settings, "voxbench": version("voxbench")}
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def _hash(path: Path) -> str | None:
    try:
        if path.is_dir():
            return sha256_of_folder(path)
        return sha256(path) if path.is_file() else None
    except (FileReadError, OSError):
        return None
