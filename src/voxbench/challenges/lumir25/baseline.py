"""Predict every pair of LUMIR25; begun again, it goes on where it stopped.

Beside the fields lies a folder ``cases`` with one record per pair: what went in (hashes, settings, version) and what
came out. A field is kept only if its record matches all of it; a damaged or outdated one is made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from voxbench.challenges.lumir25.cases import Pair, unique_pairs
from voxbench.challenges.lumir25.folders import make_folder
from voxbench.config import Config
from voxbench.errors import FileReadError, UsageError, VoxbenchError
from voxbench.geometry import DisplacementField
from voxbench.io import read_volume, sha256, write_displacement
from voxbench.io.folders import refuse_foreign
from voxbench.jobs import Job, Record, Records
from voxbench.jobs.record import FOLDER

if TYPE_CHECKING:
    from voxbench.tasks.registration import RegistrationConfig

KIND = "predict lumir25"


class PredictionSettings(Config):
    """How the pairs are registered."""

    method: str = Field("deformable", description="zero (or none), deformable, convex, ants-syn, greedy, deeds.")
    preset: str | None = Field(None, description="fast or accurate; the method's own default if not given.")

    def registration(self) -> RegistrationConfig | None:
        """The configuration of the registration; None where nothing is moved at all.

        Raises:
            UsageError: There is no such method or preset.
        """
        if self.method in ("zero", "none"):
            return None
        from voxbench.tasks.registration import RegistrationConfig

        chosen: dict[str, Any] = {"method": self.method} | ({"preset": self.preset} if self.preset else {})
        try:
            return RegistrationConfig(**chosen)
        except ValidationError as error:
            wrong = error.errors()[0]
            name = ".".join(str(part) for part in wrong["loc"])
            raise UsageError(f"--{name} {wrong['input']}: {wrong['msg']}, or zero for --method") from error


def jobs(data: Path, out: Path, pairs: Sequence[Pair], settings: PredictionSettings) -> tuple[Job, ...]:
    """One job per pair, each leaving ``disp_<FIXED>_<MOVING>.nii.gz``.

    Args:
        data: The data set's folder (holding imagesVal/ ...).
        out: Where the fields go.
        pairs: What to register.
        settings: How.

    Raises:
        UsageError: There is no such method or preset.
        FileReadError: The data folder does not exist.
    """
    if not data.is_dir():
        raise FileReadError(f"{data}: no such folder; --data is the one that holds imagesVal/")
    config = settings.registration()
    made_by = {"method": "zero"} if config is None else config.model_dump(mode="json")
    return tuple(
        Job(
            pair.key,
            partial(predict_pair, pair, (data, out), config),
            {"fixed": data / pair.fixed, "moving": data / pair.moving},
            made_by,
        )
        for pair in unique_pairs(pairs)
    )


def predict_pair(pair: Pair, folders: tuple[Path, Path], config: RegistrationConfig | None) -> Record:
    """Register one pair and write its field.

    Args:
        pair: The pair.
        folders: The data, and where the fields go.
        config: How it is registered; None moves nothing at all.

    Returns:
        The pair's ``key``, its file in ``files``, and the ``sha256`` of that.

    Raises:
        InputError: The images cannot be used.
        FileWriteError: The field cannot be written.
    """
    data, out = folders
    target = out / pair.field_name
    make_folder(out)
    _write_field(pair, data, target, config)
    return {"key": pair.key, "files": [pair.field_name], "sha256": sha256(target)}


def records(out: Path) -> Records:
    """Where it is kept which pairs are done."""
    return Records(out / FOLDER)


def prepare_resume(out: Path, pairs: Sequence[Pair], force: bool) -> Records:
    """The records of an earlier start, without those whose field is gone or is no longer what was written.

    Args:
        out: Where the fields go.
        pairs: What is predicted.
        force: Whether fields that are not ours may be replaced.

    Raises:
        FileWriteError: There are fields that no earlier start of ours left, or the folder cannot be made.
    """
    kept = records(out)
    wanted = unique_pairs(pairs)
    there = [path for pair in wanted if (path := out / pair.field_name).exists()]
    refuse_foreign(there if kept.kind != KIND else [], force)
    make_folder(out)
    kept.open(KIND)
    for pair in wanted:
        if (kept.kept(pair.key).get("record") or {}).get("sha256") != _hash(out / pair.field_name):
            kept.path(pair.key).unlink(missing_ok=True)
    return kept


def line(record: Record) -> str:
    """One line: the pair and its file."""
    return f"{record['key']}  {record['files'][0]}"


def _hash(path: Path) -> str | None:
    try:
        return sha256(path)
    except VoxbenchError:
        return None


def _write_field(pair: Pair, data: Path, target: Path, config: RegistrationConfig | None) -> None:
    fixed, moving = (read_volume(data / name) for name in (pair.fixed, pair.moving))
    if config is None:  # zero voxels, also where the two headers differ
        write_displacement(target, DisplacementField.zeros(fixed.grid), convention="voxel", moving=fixed.grid)
        return
    from voxbench.tasks.registration import register

    write_displacement(target, register(fixed, moving, config).displacement, convention="voxel", moving=moving.grid)
