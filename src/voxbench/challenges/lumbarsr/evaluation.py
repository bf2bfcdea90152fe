"""LumbarSR's official evaluation: volumes in, the organisers' tables out.

The numbers themselves are in ``scoring``, the files in ``results``: beside the official ones similarity_metrics.csv
(NCC, RMSE, NRMSE) and our scores.json: what was scored (version, settings, hashes) and the same quantities summed in
float64. If asked for, bone_morphometry.csv (our definitions; the organisers' are not public).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from voxbench.challenges.evaluated import require_predictions, require_references
from voxbench.challenges.lumbarsr.bones import bones_of_case
from voxbench.challenges.lumbarsr.cases import MODES, Case, cases_of
from voxbench.challenges.lumbarsr.results import Evaluation, LumbarsrEvaluation
from voxbench.challenges.lumbarsr.scoring import (
    contrast,
    non_air,
    official_contrast,
    official_scores,
    worst_scores,
)
from voxbench.errors import GridMismatchError, InputError, NotFiniteError
from voxbench.io import read_volume
from voxbench.jobs import Job, Manner, Record, Told, require_all, run
from voxbench.metrics.bone_contrast import BoneContrast


def jobs(predictions: Path, references: Path, settings: LumbarsrEvaluation) -> tuple[Job, ...]:
    """One job per sample and sequence.

    Args:
        predictions: Folder that holds the method's folder.
        references: Folder holding RegisteredData/ and BoneMask/.
        settings: What is scored, and how.

    Raises:
        FileReadError: A reference, or (if that is not allowed) a prediction, is missing; all of them are named.
    """
    cases = cases_of(settings.samples, settings.sequences)
    missing, count = _missing(references, [case.reference(references) for case in cases])
    layout = "--references is the folder that holds RegisteredData and BoneMask"
    require_references(references, missing, count, layout)
    if not settings.allow_missing:
        paths = [case.prediction(predictions, settings.method) for case in cases]
        require_predictions(predictions, *_missing(predictions, paths))
    made = []
    for case in cases:
        inputs = {"reference": case.reference(references), "prediction": case.prediction(predictions, settings.method)}
        bone = _bone_file(case, references)
        inputs |= {"bone_mask": bone} if bone is not None else {}
        decides = {"fast_ssim": settings.fast_ssim, "allow_missing": settings.allow_missing, "numpy": np.__version__}
        decides |= {"morphometry": settings.morphometry, "threshold": settings.threshold}
        made.append(Job(case.key, partial(score_case, case, predictions, references, settings), inputs, decides))
    return tuple(made)


def score_case(case: Case, predictions: Path, references: Path, settings: LumbarsrEvaluation) -> Record:
    """The numbers of one case.

    Returns:
        ``sample``, ``sequence``, ``scores`` (mask, window, quantity), ``contrast`` (columns of the local bone
        contrast), ``about`` (bone mask taken, voxels, the quantities summed in float64), ``bones`` if asked for, and
        ``missing`` with the reason if there was no usable prediction.

    Raises:
        FileReadError: A volume is missing or damaged.
        GridMismatchError: A prediction or bone mask has another shape than the micro-CT.
        NotFiniteError: A volume holds NaN or infinity.
    """
    reference, spacing = _read(case, case.reference(references))
    bone_file = _bone_file(case, references)
    bone = None if bone_file is None else _read(case, bone_file, reference.shape)[0] > 0
    record: Record = {"sample": case.sample, "sequence": case.sequence}
    record["about"] = {"bone_mask": "non_air" if bone_file is None else bone_file.name}
    try:
        prediction, _ = _read(case, case.prediction(predictions, settings.method), reference.shape)
    except InputError as error:
        if not settings.allow_missing:
            raise
        bone = non_air(reference, reference) if bone is None else bone
        if settings.morphometry:
            record["bones"] = bones_of_case(case.key, (reference, None, bone), spacing, settings.threshold)
        own = contrast(reference, bone)
        worst = official_contrast(own, BoneContrast(0.0, 0.0, 0))
        record |= {"scores": {mode: worst_scores() for mode in MODES}, "contrast": worst}
        return record | {"missing": str(error).splitlines()[0]}
    if settings.morphometry:
        # Where there is no bone mask the micro-CT alone decides, so that its own numbers are the same for every method.
        region = non_air(reference, reference) if bone is None else bone
        record["bones"] = bones_of_case(case.key, (reference, prediction, region), spacing, settings.threshold)
    return _score(record, (reference, prediction), bone, settings.fast_ssim)


def line(record: Record) -> str:
    """One line: the bone window of the bone mask and of everything."""
    key = f"{record['sample']} {record['sequence']}"
    if "missing" in record:
        return f"{key}  worst values: {record['missing']}"
    full, bone = record["scores"]["full"]["bone"], record["scores"]["bone_mask"]["bone"]
    return (
        f"{key}  PSNR {full['psnr']:.2f} (bone mask {bone['psnr']:.2f}) dB"
        f"  SSIM {full['ssim']:.4f}  MAE {full['mae']:.4f}  LBC ratio {record['contrast']['lbc_ratio']:.3f}"
    )


def evaluate(
    predictions: Path,
    references: Path,
    settings: LumbarsrEvaluation,
    manner: Manner = Manner(),
    told: Told | None = None,
) -> Evaluation:
    """Score a method's volumes as the organisers do.

    Args:
        predictions: Folder that holds the method's folder.
        references: Folder holding RegisteredData/ and BoneMask/.
        settings: What is scored, and how.
        manner: How the cases are run.
        told: Told of each outcome as it comes.

    Raises:
        FileReadError: A reference, or (if that is not allowed) a prediction, is missing; all of them are named.
        JobError: Cases failed; each is named with its reason.
    """
    outcomes = run(jobs(predictions, references, settings), manner, told)
    require_all(outcomes)
    return Evaluation(settings, outcomes)


def _missing(root: Path, paths: Sequence[Path]) -> tuple[list[Path], int]:
    """Files that are not there, as they are called in the folder, and how many there should be."""
    wanted = list(dict.fromkeys(paths))
    return [path.relative_to(root) for path in wanted if not path.is_file()], len(wanted)


def _score(record: Record, images: tuple[np.ndarray, np.ndarray], bone: np.ndarray | None, fast: bool) -> Record:
    """The record with the numbers of a micro-CT and a prediction."""
    reference, prediction = images
    air = non_air(reference, prediction)
    bone = air if bone is None else bone
    scores, exact = {}, {}
    for mode, mask in (("full", None), ("non_air", air), ("bone_mask", bone)):
        scores[mode], exact[mode] = official_scores(reference, prediction, mask, fast)
    voxels = {"full": reference.size, "non_air": int(air.sum()), "bone_mask": int(bone.sum())}
    about = record["about"] | {"voxels": voxels, "float64": exact}
    found = official_contrast(contrast(reference, bone), contrast(prediction, bone))
    return record | {"scores": scores, "contrast": found, "about": about}


def _bone_file(case: Case, references: Path) -> Path | None:
    """The sequence's mask, else the micro-CT's, else none (non-air is taken then)."""
    return next((path for path in case.bone_masks(references) if path.is_file()), None)


def _read(case: Case, path: Path, shape: tuple[int, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A volume as int16 if it is stored so, else as float32, and its spacing; complaints name case and file."""
    try:
        volume = read_volume(path)
    except InputError as error:
        raise type(error)(f"{case.key}: {error}") from error
    array, spacing = volume.array, volume.grid.spacing
    if shape is not None and array.shape != shape:
        raise GridMismatchError(
            f"{case.key}: {path}: another shape than the micro-CT\n  micro-CT  {shape}\n  file      {array.shape}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise NotFiniteError(f"{case.key}: {path}: some voxels are NaN or infinite")
    if array.dtype in (np.int16, np.uint8, np.float32):
        return array, spacing
    return array.astype(np.float32), spacing
