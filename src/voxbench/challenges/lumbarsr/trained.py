"""Predictions of LumbarSR by a trained network (torch), under their official names."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from voxbench.challenges.lumbarsr.baseline import LumbarsrPrediction
from voxbench.challenges.lumbarsr.bases import base_volume
from voxbench.challenges.lumbarsr.cases import Case, cases_of
from voxbench.errors import FileReadError, FileWriteError, GridMismatchError
from voxbench.geometry import Volume
from voxbench.io import read_volume, write_volume
from voxbench.jobs import Job, Record
from voxbench.models.superresolution import dimensions_of
from voxbench.tasks.superresolution import method_named
from voxbench.tasks.superresolution.learned import load_upscaler

Folders = tuple[Path, Path]


def jobs(data: Path, out: Path, weights: Path, settings: LumbarsrPrediction) -> tuple[Job, ...]:
    """One job per sample and sequence for a network that sees slices, one per sample for one that sees all sequences.

    Args:
        data: Folder holding RegisteredData/.
        out: Folder that will hold the method's folder.
        weights: Run of ``voxbench train lumbarsr``.
        settings: What is predicted; ``method`` names the folder.

    Raises:
        FileReadError: The weights cannot be read, or volumes are missing (all of them are named).
        InputError: The weights are of another task.
    """
    network = load_upscaler(weights)
    cases = cases_of(settings.samples, settings.sequences)
    tasks = [(case.key, (case,), (case,)) for case in cases]
    if network.card.get("base"):
        method_named(str(network.card["base"]))
    if dimensions_of(network.method) == 3:
        tasks = [
            (
                sample,
                tuple(c for c in cases if c.sample == sample),
                cases_of((sample,), tuple(network.card["sequences"])),
            )
            for sample in dict.fromkeys(settings.samples)
        ]
    missing = [c.registered(data) for _, _, seen in tasks for c in seen if not c.registered(data).is_file()]
    if missing:
        raise FileReadError(
            f"{data}: {len(missing)} volumes are missing\n  "
            + "\n  ".join(str(path.relative_to(data)) for path in missing)
        )
    file = weights / "weights.safetensors" if weights.is_dir() else weights
    made = []
    for key, wanted, seen in tasks:
        inputs = {case.sequence: case.registered(data) for case in seen} | {"weights": file}
        work = partial(predict_sample, wanted, seen, (data, out), (weights, settings.method))
        made.append(Job(key, work, inputs, {"method": settings.method, "sequences": [c.sequence for c in wanted]}))
    return tuple(made)


def predict_sample(wanted: tuple[Case, ...], seen: tuple[Case, ...], folders: Folders, how: tuple[Path, str]) -> Record:
    """Predict one volume, and write it for every sequence that is wanted.

    Args:
        wanted: Cases of one sample whose files are written.
        seen: Cases of the same sample whose registered volumes go in, in the network's order.
        folders: The data, and where predictions go.
        how: The weights, and the method's name in the files.

    Returns:
        As `voxbench.challenges.lumbarsr.baseline.predict_sample`.

    Raises:
        GridMismatchError: Two sequences differ in shape.
    """
    (data, out), (weights, method) = folders, how
    volumes = [read_volume(case.registered(data)) for case in seen]
    shapes = {case.sequence: volume.array.shape for case, volume in zip(seen, volumes, strict=True)}
    if len(set(shapes.values())) > 1:
        told = "\n".join(f"  {name}  {shape}" for name, shape in shapes.items())
        raise GridMismatchError(f"{wanted[0].sample}: sequences differ in shape; register them first\n{told}")
    result = np.empty(volumes[0].array.shape, np.int16)
    network = load_upscaler(weights)
    arrays = [volume.array for volume in volumes]
    with tempfile.TemporaryDirectory(prefix="voxbench-") as scratch:
        if base := str(network.card.get("base", "")):
            sequences = tuple(network.card["sequences"])
            arrays.append(base_volume(data, wanted[0].sample, sequences, base, Path(scratch)))
        network.upscale(np.stack(arrays), result)
    files = []
    for case in wanted:
        path = case.prediction(out, method)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileWriteError(f"{path.parent}: cannot be made: {error.strerror or error}") from error
        write_volume(path, Volume(result, volumes[0].grid))
        files.append(path.relative_to(out).as_posix())
    kinds = {case.sequence: "registered" for case in seen}
    return {"files": files, "observations": kinds, "shape": list(result.shape)}
