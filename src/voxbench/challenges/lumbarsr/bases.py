"""A volume by a method that needs no training, which a network is given as one more channel, to correct it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from pydantic import Field

from voxbench.challenges.lumbarsr.baseline import LumbarsrPrediction, upscaled
from voxbench.challenges.lumbarsr.calibration import SequenceModel, sequence_models
from voxbench.challenges.lumbarsr.cases import Case
from voxbench.challenges.lumbarsr.observations import Kind, observation_path
from voxbench.config import Config
from voxbench.errors import GridMismatchError
from voxbench.io import atomic, sha256
from voxbench.io.arrays import map_array
from voxbench.io.read import read_grid
from voxbench.tasks.superresolution import method_named


class Base(Config):
    """How the volume is made; kept in the card of a network, so that it is made alike when the network is used."""

    method: str = Field(default=..., description="Name of the method.")
    sequences: tuple[str, ...] = Field(default=..., description="What a method that joins sequences joins.")
    source: Kind = Field(default=..., description="Where sequences are read.")
    models: dict[str, SequenceModel] = Field(default={}, description="How they blur, for methods that must know.")

    def observed(self, case: Case) -> tuple[Case, ...]:
        """The sequences it is made from, for a network that looks at a case: that one, or those that are joined."""
        joint = method_named(self.method).joint
        return tuple(Case(case.sample, name) for name in self.sequences) if joint else (case,)

    def files(self, data: Path, case: Case) -> tuple[Path, ...]:
        """What it is made from, as files."""
        return tuple(observation_path(data, one, self.source) for one in self.observed(case))


def base_for(data: Path, method: str, cases: tuple[Case, ...], samples: tuple[str, ...]) -> Base:
    """How a method's volumes are to be made of a data set.

    Sequences are read on the scanner's grid where all of them are there, else from the registered volumes. A method
    that must know how they blur is told what the samples that are learned from show; no other sample is looked at.

    Args:
        data: Folder holding RegisteredData/, and original_dicom/ for native sequences.
        method: Name of the method.
        cases: All that is learned from or validated on.
        samples: Those that are learned from.

    Raises:
        UsageError: There is no such method.
    """
    needs_blurs = method_named(method).needs_blurs
    sequences = tuple(dict.fromkeys(case.sequence for case in cases))
    source = "native" if all(case.native(data).is_file() for case in cases) else "registered"
    folder = data / "RegisteredData"
    others = {path.name for path in folder.iterdir()} - set(samples) if folder.is_dir() else set()
    models = sequence_models(data, sequences, tuple(sorted(others)), source) if needs_blurs else {}
    return Base(method=method, sequences=sequences, source=source, models=models)


def base_array(data: Path, case: Case, base: Base) -> np.ndarray:
    """The volume for a case, int16 HU on the grid of its registered sequence."""
    settings = LumbarsrPrediction(method=base.method, source=base.source, models=base.models)
    return np.ascontiguousarray(
        upscaled(data, base.observed(case), read_grid(case.registered(data)), settings)[0].array
    )


def cached_base(data: Path, case: Case, base: Base, cache: Path) -> np.ndarray:
    """The same, made once and memory-mapped; its file is named by what decides it.

    Raises:
        GridMismatchError: What is kept there has another shape.
    """
    from voxbench import __version__

    grid = read_grid(case.registered(data))
    decides = {
        "version": __version__,
        "base": base.model_dump(mode="json", exclude={"sequences"}),
        "observed": [one.sequence for one in base.observed(case)],
        "files": [sha256(path) for path in base.files(data, case)],
        "grid": [grid.shape, np.asarray(grid.world_from_voxel.matrix).tolist()],
    }
    key = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
    path = cache / f"{case.sample}_{base.method}_{key}.npy"
    if not path.is_file():
        array = base_array(data, case, base)
        with atomic(path) as temporary:
            np.save(temporary, array)
    found = map_array(path)
    if found.shape != grid.shape:
        raise GridMismatchError(
            f"{path}: kept with another shape; remove it\n  kept  {found.shape}\n  here  {grid.shape}"
        )
    return found
