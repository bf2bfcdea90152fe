"""Predictions of LumbarSR under their official names, by any method of super-resolution."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field

from voxbench.challenges.lumbarsr.calibration import SequenceModel, sequence_models
from voxbench.challenges.lumbarsr.cases import OFFICIAL_SAMPLES, OFFICIAL_SEQUENCES, SEQUENCES, Case, cases_of
from voxbench.challenges.lumbarsr.observations import Source, kind_of, observation_path, observe, target_path
from voxbench.config import Config
from voxbench.errors import FileReadError, FileWriteError
from voxbench.geometry import Grid, Volume
from voxbench.io import write_volume
from voxbench.io.folders import refuse_foreign
from voxbench.io.read import read_grid
from voxbench.jobs import Job, Record, Records
from voxbench.tasks.superresolution import FusionConfig, fuse, method_named


class LumbarsrPrediction(Config):
    """What is predicted, and how."""

    method: str = Field(default="trilinear", description="Name of the method.")
    samples: tuple[str, ...] = Field(default=OFFICIAL_SAMPLES, description="Samples, e.g. Lumbar_26.")
    sequences: tuple[str, ...] = Field(default=OFFICIAL_SEQUENCES, description="Sequences, e.g. 195X_195Y_1000Z_S.")
    source: Source = Field(default="auto", description="native, registered, or native where it is there.")
    observe: tuple[str, ...] = Field(
        default=SEQUENCES, description="What a joint method may use together, as far as it is there."
    )
    models: dict[str, SequenceModel] = Field(
        default={}, description="How sequences blur, for methods that must know; measured on training samples if none."
    )
    confidence: bool = Field(default=False, description="Write fusion's confidence map too.")


def jobs(data: Path, out: Path, settings: LumbarsrPrediction) -> tuple[Job, ...]:
    """One job per sample and sequence, or one per sample for a method that uses all sequences together.

    Args:
        data: Folder holding RegisteredData/, and original_dicom/ for native sequences.
        out: Folder that will hold the method's folder.
        settings: What is predicted, and how.

    Raises:
        UsageError: There is no such method.
        FileReadError: Something is missing; all of it is named.
    """
    method = method_named(settings.method)
    if method.needs_blurs and not settings.models:
        models = sequence_models(data, settings.observe, settings.samples, settings.source)
        settings = settings.model_copy(update={"models": models})
    cases = cases_of(settings.samples, settings.sequences)
    tasks = [(case.key, (case,), (case,)) for case in cases]
    if method.joint:
        tasks = [
            (sample, tuple(case for case in cases if case.sample == sample), _there(data, sample, settings))
            for sample in dict.fromkeys(settings.samples)
        ]
    _require(data, tasks, settings)
    made = []
    for key, wanted, observed in tasks:
        inputs = {case.sequence: observation_path(data, case, settings.source) for case in observed}
        target = target_path(data, wanted[0])
        inputs |= {"target": target} if target is not None else {}
        work = partial(predict_sample, wanted, observed, (data, out), settings)
        decides: Record = {"method": settings.method, "sequences": [case.sequence for case in wanted]}
        if settings.models:
            decides["models"] = {name: model.model_dump(mode="json") for name, model in settings.models.items()}
            decides["confidence"] = settings.confidence
        made.append(Job(key, work, inputs, decides))
    return tuple(made)


def predict_sample(
    wanted: tuple[Case, ...], observed: tuple[Case, ...], folders: tuple[Path, Path], settings: LumbarsrPrediction
) -> Record:
    """Predict one volume, and write it for every sequence that is wanted.

    Args:
        wanted: Cases of one sample whose files are written.
        observed: Cases of the same sample whose sequences are used.
        folders: The data, and where predictions go.
        settings: What is predicted, and how.

    Returns:
        ``files`` written (below the output folder), ``observations`` (sequence: native or registered), ``spacing``.
    """
    data, out = folders
    target = target_path(data, wanted[0])
    assert target is not None
    onto = read_grid(target)
    whole, confidence = upscaled(data, observed, onto, settings)
    files = [] if confidence is None else [_write_confidence(confidence, wanted[0], out)]
    for case in wanted:
        path = case.prediction(out, settings.method)
        _folder(path.parent)
        write_volume(path, whole)
        files.append(path.relative_to(out).as_posix())
    kinds = {case.sequence: kind_of(data, case, settings.source) for case in observed}
    record: Record = {"files": files, "observations": kinds, "shape": list(onto.shape)}
    if settings.models:
        record["models"] = {case.sequence: settings.models[case.sequence].model_dump(mode="json") for case in observed}
    return record


def upscaled(
    data: Path, observed: tuple[Case, ...], onto: Grid, settings: LumbarsrPrediction
) -> tuple[Volume, Volume | None]:
    """The volume a method makes of some sequences of a sample, whole HU; and its confidence, where there is one.

    Args:
        data: Folder holding RegisteredData/, and original_dicom/ for native sequences.
        observed: Cases of one sample whose sequences are used.
        onto: The grid of the result.
        settings: Method, where sequences are read, their models.
    """
    volumes = [observe(data, case, settings.source, onto) for case in observed]
    method = method_named(settings.method)
    confidence = None
    if method.needs_blurs:
        models = [settings.models[case.sequence] for case in observed]
        volumes = [model.corrected(volume) for model, volume in zip(models, volumes, strict=True)]
        config = FusionConfig(probes=int(settings.confidence), whole_numbers=True)
        made = fuse(volumes, onto, [model.blur for model in models], config)
        result, confidence = made.volume, made.confidence
    else:
        result = method.apply(volumes, onto)
    return Volume(np.clip(np.rint(result.array), -32768, 32767).astype(np.int16), onto), confidence


def line(record: Record) -> str:
    """One line: the file (or the first of several) and what it was made from."""
    kinds = record["observations"]
    made_from = ", ".join(f"{name} {kind}" for name, kind in kinds.items()) if len(kinds) < 3 else f"{len(kinds)} CTs"
    more = f" and {len(record['files']) - 1} more" if len(record["files"]) > 1 else ""
    return f"{record['files'][0]}{more}  from {made_from}"


def records(out: Path, method: str) -> Records:
    """Where it is kept which predictions are done."""
    return Records(out / "cases" / method)


def prepare_resume(out: Path, settings: LumbarsrPrediction, force: bool) -> Records:
    """The records of an earlier start, without those whose files are gone.

    Args:
        out: Folder that holds the method's folder.
        settings: What is predicted.
        force: Whether files that are not ours may be replaced.

    Raises:
        FileWriteError: There are predictions that no earlier start of ours left.
    """
    kept = records(out, settings.method)
    cases = cases_of(settings.samples, settings.sequences)
    there = [p for case in cases if (p := case.prediction(out, settings.method)).exists()]
    refuse_foreign(there if kept.kind is None else [], force)
    kept.open("predict lumbarsr")
    for key in [*settings.samples, *(case.key for case in cases)]:
        files = (kept.kept(key).get("record") or {}).get("files", [])
        if not all((out / file).is_file() for file in files):
            kept.path(key).unlink(missing_ok=True)
    return kept


def _write_confidence(confidence: Volume, case: Case, out: Path) -> str:
    """Percent of each voxel that the data fix, whole numbers, beside the predictions' folder."""
    path = out / "confidence" / case.sample / f"{case.sample.replace('_', '')}_fusion_confidence.nii.gz"
    _folder(path.parent)
    share = np.asarray(confidence.array, np.float32)
    write_volume(path, Volume(np.rint(100 * share).astype(np.uint8), confidence.grid))
    return path.relative_to(out).as_posix()


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileWriteError(f"{path}: cannot be made: {error.strerror or error}") from error


def _there(data: Path, sample: str, settings: LumbarsrPrediction) -> tuple[Case, ...]:
    cases = cases_of((sample,), settings.observe)
    return tuple(case for case in cases if observation_path(data, case, settings.source).is_file())


def _require(
    data: Path, tasks: list[tuple[str, tuple[Case, ...], tuple[Case, ...]]], settings: LumbarsrPrediction
) -> None:
    missing = []
    for key, wanted, observed in tasks:
        if not observed:
            missing.append(f"{key}: none of its clinical sequences")
        paths = [observation_path(data, case, settings.source) for case in observed]
        missing += [str(path) for path in paths if not path.is_file()]
        if target_path(data, wanted[0]) is None:
            missing.append(str(wanted[0].reference(data)))
    if missing:
        raise FileReadError(f"{data}: {len(missing)} files are missing\n  " + "\n  ".join(dict.fromkeys(missing)))
