"""LumbarSR's official evaluation: volumes in, the organisers' tables out.

The numbers themselves are in ``scoring``. Beside the official files lie similarity_metrics.csv (NCC, RMSE, NRMSE) and
our scores.json: what was scored (version, settings, hashes) and the same quantities summed in float64. If asked for, so
does bone_morphometry.csv (our definitions; the organisers' are not public).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from voxbench.challenges.lumbarsr.bones import bone_rows, bone_summary, bones_of_case
from voxbench.challenges.lumbarsr.cases import MODES, OFFICIAL_SAMPLES, OFFICIAL_SEQUENCES, WINDOWS, Case, cases_of
from voxbench.challenges.lumbarsr.scoring import (
    FURTHER,
    OFFICIAL,
    contrast,
    non_air,
    official_contrast,
    official_scores,
    summary,
    worst_scores,
)
from voxbench.challenges.tables import score_table
from voxbench.config import Config
from voxbench.errors import FileReadError, GridMismatchError, InputError, NotFiniteError
from voxbench.io import read_volume, write_json, write_table
from voxbench.jobs import Job, Manner, Outcome, Record, Told, require_all, run
from voxbench.metrics.bone_contrast import BoneContrast
from voxbench.metrics.scores import Metric

FILES = (
    "detailed_metrics.csv",
    "summary_metrics.csv",
    "lbc_metrics.csv",
    "evaluation_results.json",
    "similarity_metrics.csv",
    "bone_morphometry.csv",
    "scores.json",
)
"""What is written: four files in the official layout, then ours; bone_morphometry.csv only if asked for."""

_HIGHER = ("psnr", "ssim", "ncc")

Row = dict[str, Any]


class LumbarsrEvaluation(Config):
    """What is scored, and how."""

    method: str = Field(default=..., min_length=1, description="Folder of the predictions, and part of their names.")
    samples: tuple[str, ...] = Field(default=OFFICIAL_SAMPLES, description="Samples, e.g. Lumbar_26.")
    sequences: tuple[str, ...] = Field(default=OFFICIAL_SEQUENCES, description="Sequences, e.g. 195X_195Y_1000Z_S.")
    fast_ssim: bool = Field(default=False, description="SSIM of an eighth of the slices, another number.")
    morphometry: bool = Field(default=False, description="Bone morphometry in the bone mask, too.")
    threshold: float | None = Field(
        default=None, allow_inf_nan=False, description="HU above which is bone; Otsu's of the micro-CT if not given."
    )
    allow_missing: bool = Field(default=False, description="Score unusable predictions by the worst values.")


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
    _require(references, [case.reference(references) for case in cases], "references")
    if not settings.allow_missing:
        _require(predictions, [case.prediction(predictions, settings.method) for case in cases], "predictions")
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
        region = non_air(reference, prediction) if bone is None else bone
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


@dataclass(frozen=True)
class Evaluation:
    """All cases of a method.

    Attributes:
        settings: What was scored, and how.
        outcomes: What came of each case; all have a record.
    """

    settings: LumbarsrEvaluation
    outcomes: tuple[Outcome, ...]

    @property
    def counted(self) -> str:
        """How many of the cases had a prediction that could be used."""
        return f"{sum('missing' not in record for record in self._records())} of {len(self.outcomes)} scored"

    def rows(self, quantities: Sequence[str]) -> list[Row]:
        """A row per case, mask and window."""
        return [
            self._head(record)
            | {"mode": mode, "window": window}
            | {q: record["scores"][mode][window][q] for q in quantities}
            for record in self._records()
            for mode in MODES
            for window in WINDOWS
        ]

    def summary(self) -> list[Row]:
        """Mean and population standard deviation per sequence, mask and window, sorted by their names."""
        grouped: dict[tuple[str, str, str], list[Row]] = {}
        for row in self.rows(OFFICIAL):
            grouped.setdefault((row["sequence"], row["mode"], row["window"]), []).append(row)
        result = []
        for (sequence, mode, window), rows in sorted(grouped.items()):
            row: Row = {"method": self.settings.method, "sequence": sequence, "mode": mode, "window": window}
            for name in OFFICIAL:
                row |= {f"{name}_{kind}": value for kind, value in summary([r[name] for r in rows]).items()}
            result.append(row | {"n_cases": len(rows)})
        return result

    def results(self) -> dict[str, Any]:
        """Content of evaluation_results.json."""
        samples: dict[str, Any] = {}
        for record in self._records():
            windows = {
                mode: {w: {q: values[q] for q in OFFICIAL} for w, values in record["scores"][mode].items()}
                for mode in MODES
            }
            samples.setdefault(record["sample"], {})[record["sequence"]] = windows | {"lbc": record["contrast"]}
        return {self.settings.method: samples}

    def scores(self) -> dict[str, Any]:
        """Content of scores.json."""
        cases = {
            outcome.key: dict(record["about"])
            | {"inputs": dict(outcome.inputs)}
            | ({"worst_values_because": record["missing"]} if "missing" in record else {})
            for outcome, record in zip(self.outcomes, self._records(), strict=True)
        }
        return {
            "challenge": "lumbarsr",
            "voxbench": version("voxbench"),
            "numpy": np.__version__,
            "settings": self.settings,
            "scored": self.counted,
            "cases": cases,
            "table": self._table(),
        } | ({"bone_morphometry": self.bones()} if self.settings.morphometry else {})

    def bones(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Median difference of the bone morphometry and its signed-rank test, by sequence and quantity."""
        records = self._records()
        return bone_summary([record["sequence"] for record in records], [record["bones"] for record in records])

    def write(self, folder: Path) -> None:
        """Write all files into a folder that exists.

        Raises:
            FileWriteError: They cannot be written.
        """
        write_table(folder / "detailed_metrics.csv", self.rows(OFFICIAL))
        write_table(folder / "summary_metrics.csv", self.summary())
        contrasts = [self._head(record) | dict(record["contrast"]) for record in self._records()]
        write_table(folder / "lbc_metrics.csv", contrasts)
        write_json(folder / "evaluation_results.json", self.results())
        write_table(folder / "similarity_metrics.csv", self.rows(FURTHER))
        if self.settings.morphometry:
            records = self._records()
            rows = bone_rows([self._head(record) for record in records], [record["bones"] for record in records])
            write_table(folder / "bone_morphometry.csv", rows)
        write_json(folder / "scores.json", self.scores())

    def _table(self) -> dict[str, Any]:
        """What runs are ranked by; the quantities by mask and window, and the ratio of local bone contrast."""
        values: dict[str, dict[str, float]] = {}
        for outcome, record in zip(self.outcomes, self._records(), strict=True):
            values[outcome.key] = {
                f"{q} {mode} {window}": record["scores"][mode][window][q]
                for q in (*OFFICIAL, *FURTHER)
                for mode in MODES
                for window in WINDOWS
            } | {"lbc_ratio": record["contrast"]["lbc_ratio"]}
        names = next(iter(values.values()), {})
        return score_table([_metric(name) for name in names], values)

    def _head(self, record: Record) -> Row:
        return {"method": self.settings.method, "sample": record["sample"], "sequence": record["sequence"]}

    def _records(self) -> list[Record]:
        return [outcome.record for outcome in self.outcomes if outcome.record is not None]


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


def _metric(name: str) -> Metric:
    quantity = name.split()[0]
    higher = quantity in _HIGHER or quantity == "lbc_ratio"
    return Metric(name, "higher" if higher else "lower", "dB" if quantity == "psnr" else "")


def _require(root: Path, paths: Sequence[Path], what: str) -> None:
    """Refuse a folder that lacks files; all of them are named."""
    wanted = list(dict.fromkeys(paths))
    missing = [path for path in wanted if not path.is_file()]
    if missing:
        raise FileReadError(
            f"{root}: {len(missing)} of {len(wanted)} {what} are missing; nothing is evaluated\n  "
            + "\n  ".join(str(path.relative_to(root)) for path in missing)
            + (
                "\n  provide all of them, or give --allow-missing to score them by the worst values"
                if what == "predictions"
                else "\n  --references is the folder that holds RegisteredData and BoneMask"
            )
        )


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
