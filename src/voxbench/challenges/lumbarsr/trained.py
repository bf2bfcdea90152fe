"""Predictions of LumbarSR by a trained network (torch), under their official names."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.challenges.lumbarsr.baseline import LumbarsrPrediction
from voxbench.challenges.lumbarsr.bases import Base, base_array
from voxbench.challenges.lumbarsr.cases import Case, cases_of
from voxbench.errors import FileReadError, FileWriteError, GridMismatchError
from voxbench.geometry import Volume
from voxbench.io import read_volume, write_volume
from voxbench.jobs import Job, Record
from voxbench.models.superresolution import Name, dimensions_of
from voxbench.tasks.superresolution.learned import load_upscaler

Folders = tuple[Path, Path]
Look = tuple[tuple[Case, ...], tuple[Case, ...]]
"""Cases of one sample whose files are written, and those whose registered volumes go in, in the network's order."""


def jobs(data: Path, out: Path, weights: Path, settings: LumbarsrPrediction) -> tuple[Job, ...]:
    """One job per sample and sequence; per sample where all its sequences go in, or are joined into a base.

    Args:
        data: Folder holding RegisteredData/, and original_dicom/ if the network's base was made from native sequences.
        out: Folder that will hold the method's folder.
        weights: Run of ``voxbench train lumbarsr``.
        settings: What is predicted; ``method`` names the folder; a ``source`` other than ``auto`` overrules where the
            network's base was read when it was trained.

    Raises:
        FileReadError: The weights cannot be read, or volumes are missing (all of them are named).
        InputError: The weights are of another task.
    """
    network = load_upscaler(weights)
    base = _base(network.card, settings)
    file = weights / "weights.safetensors" if weights.is_dir() else weights
    made, missing = [], []
    for key, looks in _tasks(network.method, network.card, base, settings):
        inputs = {case.sequence: case.registered(data) for _, seen in looks for case in seen}
        for _, seen in looks if base is not None else ():
            assert base is not None
            made_from = zip(base.observed(seen[0]), base.files(data, seen[0]), strict=True)
            inputs |= {f"base {case.sequence}": path for case, path in made_from}
        missing += [path for path in inputs.values() if not path.is_file()]
        work = partial(predict_sample, looks, (data, out), (weights, settings.method), base)
        wanted = [case.sequence for cases, _ in looks for case in cases]
        decides: Record = {"method": settings.method, "sequences": wanted}
        if base is not None:
            decides["base"] = base.model_dump(mode="json")
        made.append(Job(key, work, inputs | {"weights": file}, decides))
    if missing:
        raise FileReadError(
            f"{data}: {len(set(missing))} volumes are missing\n  "
            + "\n  ".join(dict.fromkeys(str(path.relative_to(data)) for path in missing))
        )
    return tuple(made)


def predict_sample(looks: tuple[Look, ...], folders: Folders, how: tuple[Path, str], base: Base | None) -> Record:
    """Predict the volumes of one sample, and write each for every sequence that is wanted.

    Args:
        looks: What is written, and from what; with a base that joins sequences it is made once.
        folders: The data, and where predictions go.
        how: The weights, and the method's name in the files.
        base: How the network's base is made; None without one.

    Returns:
        As `voxbench.challenges.lumbarsr.baseline.predict_sample`.

    Raises:
        GridMismatchError: Two sequences differ in shape.
    """
    (data, out), (weights, method) = folders, how
    network = load_upscaler(weights)
    joined: dict[tuple[Case, ...], np.ndarray] = {}
    files: list[str] = []
    kinds: dict[str, str] = {}
    shape: list[int] = []
    for wanted, seen in looks:
        volumes = [read_volume(case.registered(data)) for case in seen]
        channels = {case.sequence: volume.array for case, volume in zip(seen, volumes, strict=True)}
        if base is not None:
            observed = base.observed(seen[0])
            joined = {observed: joined[observed] if observed in joined else base_array(data, seen[0], base)}
            channels["base"] = joined[observed]
            kinds |= {f"base {case.sequence}": base.source for case in observed}
        shapes = {name: array.shape for name, array in channels.items()}
        if len(set(shapes.values())) > 1:
            told = "\n".join(f"  {name}  {found}" for name, found in shapes.items())
            raise GridMismatchError(f"{wanted[0].sample}: sequences differ in shape; register them first\n{told}")
        result = np.empty(volumes[0].array.shape, np.int16)
        network.upscale(np.stack(list(channels.values())), result)
        files += [_write(Volume(result, volumes[0].grid), case, out, method) for case in wanted]
        kinds |= {case.sequence: "registered" for case in seen}
        shape = list(result.shape)
    return {"files": files, "observations": kinds, "shape": shape}


def _write(volume: Volume, case: Case, out: Path, method: str) -> str:
    path = case.prediction(out, method)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileWriteError(f"{path.parent}: cannot be made: {error.strerror or error}") from error
    write_volume(path, volume)
    return path.relative_to(out).as_posix()


def _base(card: dict[str, Any], settings: LumbarsrPrediction) -> Base | None:
    """How the network's base is made."""
    if card.get("base") is None:
        return None
    base = Base.model_validate(card["base"])
    return base if settings.source == "auto" else base.model_copy(update={"source": settings.source})


def _tasks(
    method: Name, card: dict[str, Any], base: Base | None, settings: LumbarsrPrediction
) -> list[tuple[str, tuple[Look, ...]]]:
    """What is done together, by its name."""
    cases = cases_of(settings.samples, settings.sequences)
    by_sample = {sample: tuple(case for case in cases if case.sample == sample) for sample in settings.samples}
    if dimensions_of(method) == 3:
        sequences = tuple(card["sequences"])
        return [(sample, ((wanted, cases_of((sample,), sequences)),)) for sample, wanted in by_sample.items()]
    looks = {case: ((case,), (case, case.twin) if card.get("twin") else (case,)) for case in cases}
    if base is not None and len(base.observed(cases[0])) > 1:
        return [(sample, tuple(looks[case] for case in wanted)) for sample, wanted in by_sample.items()]
    return [(case.key, (look,)) for case, look in looks.items()]
