"""The volume a network starts from: what a method without training makes of a sample."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from voxbench import __version__
from voxbench.challenges.lumbarsr.calibration import SequenceModel, sequence_models
from voxbench.challenges.lumbarsr.cases import Case
from voxbench.challenges.lumbarsr.observations import Source, observation_path, observe, target_path
from voxbench.errors import FileReadError
from voxbench.geometry import Grid, Volume
from voxbench.io import atomic, sha256
from voxbench.io.read import read_grid
from voxbench.tasks.superresolution import FusionConfig, Method, fuse, method_named


def base_volume(
    data: Path, sample: str, sequences: tuple[str, ...], base: str, cache: Path, source: Source = "auto"
) -> np.ndarray:
    """A method's volume of a sample, int16 HU on the target grid, memory-mapped; made once per cache.

    A method that takes one sequence gets the first of ``sequences``. Blur is calibrated on other samples of the data.

    Args:
        data: Folder holding RegisteredData/.
        sample: Its name.
        sequences: What the method may use.
        base: The method, e.g. fusion.
        cache: Folder for the array.
        source: Where sequences are read.

    Raises:
        UsageError: There is no such method.
        FileReadError: A sequence, or anything on the target grid, is missing.
    """
    method = method_named(base)
    cases = [Case(sample, name) for name in (sequences if method.joint else sequences[:1])]
    missing = [path for case in cases if not (path := observation_path(data, case, source)).is_file()]
    target = target_path(data, cases[0])
    if missing or target is None:
        names = missing or [cases[0].reference(data)]
        raise FileReadError(f"{data}: {len(names)} volumes are missing\n  " + "\n  ".join(map(str, names)))
    models = sequence_models(data, sequences, (sample,), source) if method.needs_blurs else {}
    about = {
        "voxbench": __version__,
        "method": base,
        "inputs": [sha256(observation_path(data, case, source)) for case in cases],
        "models": {name: model.model_dump(mode="json") for name, model in sorted(models.items())},
    }
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    path = cache / f"{sample}_{base}_{key}.npy"
    if not path.is_file():
        onto = read_grid(target)
        volumes = [observe(data, case, source, onto) for case in cases]
        made = applied(method, volumes, onto, [models[case.sequence] for case in cases] if models else [])
        with atomic(path) as temporary:
            np.save(temporary, np.clip(np.rint(made.array), -32768, 32767).astype(np.int16))
    return np.load(path, mmap_mode="r")


def applied(method: Method, volumes: list[Volume], onto: Grid, models: list[SequenceModel]) -> Volume:
    """What a method makes of observations whose models are known."""
    if not method.needs_blurs:
        return method.apply(volumes, onto)
    corrected = [model.corrected(volume) for model, volume in zip(models, volumes, strict=True)]
    blurs = [model.blur for model in models]
    return fuse(corrected, onto, blurs, FusionConfig(probes=0, whole_numbers=True)).volume
