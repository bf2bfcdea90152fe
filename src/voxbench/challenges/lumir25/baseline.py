"""Predict every pair of LUMIR25; begun again, it goes on where it stopped.

Beside the fields lies a folder ``status`` with one record per pair: what went in (hashes, settings, version) and what
came out. A field is skipped only if its record matches all of it; a damaged or outdated one is made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from voxbench.challenges.lumir25.cases import Pair, unique_pairs
from voxbench.challenges.lumir25.folders import make_folder
from voxbench.config import Config
from voxbench.errors import FileReadError, UsageError, VoxbenchError
from voxbench.geometry import DisplacementField
from voxbench.io import read_json, read_volume, sha256, write_displacement, write_json

if TYPE_CHECKING:
    from voxbench.tasks.registration import RegistrationConfig

State = Literal["done", "skipped", "failed"]


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


@dataclass(frozen=True)
class Outcome:
    """What became of one pair.

    Attributes:
        pair: The pair.
        state: ``done`` now, ``skipped`` because it was done, or ``failed``.
        seconds: Wall time, reading and writing included.
        error: Why it failed.
    """

    pair: Pair
    state: State
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Summary:
    """What became of all pairs.

    Attributes:
        outcomes: One per pair, in order.
    """

    outcomes: tuple[Outcome, ...]

    def count(self, state: State) -> int:
        """How many pairs ended so."""
        return sum(outcome.state == state for outcome in self.outcomes)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The pairs without a field."""
        return tuple(outcome for outcome in self.outcomes if outcome.state == "failed")

    def __str__(self) -> str:
        """Counts, then the failed pairs with their reasons."""
        head = f"{self.count('done')} predicted, {self.count('skipped')} there already, {self.count('failed')} failed"
        return "\n".join([head, *(f"  {o.pair.key}: {o.error}" for o in self.failed)])


def predict(
    data: Path,
    out: Path,
    pairs: Sequence[Pair],
    settings: PredictionSettings,
    *,
    force: bool = False,
    progress: Callable[[Outcome], None] | None = None,
) -> Summary:
    """Write ``disp_<FIXED>_<MOVING>.nii.gz`` for every pair; a pair that fails stops no other.

    Args:
        data: The data set's folder (holding imagesVal/ ...).
        out: Where the fields go.
        pairs: What to register.
        settings: How.
        force: Predict also what is there already.
        progress: Told after every pair.

    Raises:
        UsageError: There is no such method or preset.
        FileReadError: The data folder does not exist.
        FileWriteError: The output folder cannot be made.
    """
    if not data.is_dir():
        raise FileReadError(f"{data}: no such folder; --data is the one that holds imagesVal/")
    config = settings.registration()
    make_folder(out / "status")
    outcomes = []
    for pair in unique_pairs(pairs):
        outcome = _predict_pair(pair, data, out, config, force)
        outcomes.append(outcome)
        if progress is not None:
            progress(outcome)
    return Summary(tuple(outcomes))


def _predict_pair(pair: Pair, data: Path, out: Path, config: RegistrationConfig | None, force: bool) -> Outcome:
    """One pair, with its record written whatever happens."""
    target, record_path = out / pair.field_name, out / "status" / f"{pair.field_name.removesuffix('.nii.gz')}.json"
    start = time.perf_counter()
    made_by = {"method": "zero"} if config is None else config.model_dump(mode="json")
    record: dict[str, Any] = {"case": pair.key, "settings": made_by, "voxbench": version("voxbench")}
    try:
        record["inputs"] = {name: sha256(data / name) for name in (pair.fixed, pair.moving)}
        if not force and _still_good(target, record_path, record):
            return Outcome(pair, "skipped")
        _write_field(pair, data, target, config)
        record |= {"state": "done", "field": sha256(target)}
        outcome = Outcome(pair, "done", time.perf_counter() - start)
    except Exception as error:  # whatever it is, it is one pair's
        message = str(error) if isinstance(error, VoxbenchError) else f"{type(error).__name__}: {error}"
        record |= {"state": "failed", "error": message}
        outcome = Outcome(pair, "failed", time.perf_counter() - start, message)
    write_json(record_path, record | {"seconds": round(outcome.seconds, 3)})
    return outcome


def _still_good(target: Path, record_path: Path, wanted: Mapping[str, Any]) -> bool:
    """Whether the field is there, whole, and made from the same inputs by the same settings and version."""
    if not (target.is_file() and record_path.is_file()):
        return False
    try:
        record = read_json(record_path)
        same = all(record.get(key) == value for key, value in wanted.items())
        return same and record.get("state") == "done" and record.get("field") == sha256(target)
    except (VoxbenchError, AttributeError):
        return False


def _write_field(pair: Pair, data: Path, target: Path, config: RegistrationConfig | None) -> None:
    fixed, moving = (read_volume(data / name) for name in (pair.fixed, pair.moving))
    if config is None:  # zero voxels, also where the two headers differ
        write_displacement(target, DisplacementField.zeros(fixed.grid), convention="voxel", moving=fixed.grid)
        return
    from voxbench.tasks.registration import register

    write_displacement(target, register(fixed, moving, config).displacement, convention="voxel", moving=moving.grid)
