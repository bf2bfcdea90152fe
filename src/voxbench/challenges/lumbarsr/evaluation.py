"""LumbarSR's official evaluation: volumes in, the organisers' tables out.

The numbers themselves are in ``scoring``. Beside the official files lie similarity_metrics.csv (NCC, RMSE, NRMSE) and
our scores.json: what was scored (version, settings, hashes) and the same quantities summed in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

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
from voxbench.config import Config
from voxbench.errors import FileReadError, GridMismatchError, InputError, NotFiniteError
from voxbench.io import read_volume, sha256, write_json, write_table
from voxbench.metrics.bone_contrast import BoneContrast

FILES = (
    "detailed_metrics.csv",
    "summary_metrics.csv",
    "lbc_metrics.csv",
    "evaluation_results.json",
    "similarity_metrics.csv",
    "scores.json",
)
"""What is written: four files in the official layout, then two of ours."""

Row = dict[str, Any]


class LumbarsrEvaluation(Config):
    """What is scored, and how."""

    method: str = Field(default=..., min_length=1, description="Folder of the predictions, and part of their names.")
    samples: tuple[str, ...] = Field(default=OFFICIAL_SAMPLES, description="Samples, e.g. Lumbar_26.")
    sequences: tuple[str, ...] = Field(default=OFFICIAL_SEQUENCES, description="Sequences, e.g. 195X_195Y_1000Z_S.")
    fast_ssim: bool = Field(default=False, description="SSIM of an eighth of the slices, another number.")
    allow_missing: bool = Field(default=False, description="Score unusable predictions by the worst values.")


@dataclass(frozen=True)
class ScoredCase:
    """The numbers of one case.

    Attributes:
        case: Sample and sequence.
        scores: Mask, window, quantity.
        contrast: Columns of the local bone contrast.
        about: What scores.json says of it.
        missing: Why the prediction could not be used; empty if it could.
    """

    case: Case
    scores: Mapping[str, Mapping[str, Mapping[str, float]]]
    contrast: Mapping[str, float | int]
    about: Mapping[str, Any]
    missing: str = ""

    def __str__(self) -> str:
        """One line: the bone window of the bone mask and of everything."""
        if self.missing:
            return f"{self.case.key}  worst values: {self.missing}"
        full, bone = self.scores["full"]["bone"], self.scores["bone_mask"]["bone"]
        return (
            f"{self.case.key}  PSNR {full['psnr']:.2f} (bone mask {bone['psnr']:.2f}) dB"
            f"  SSIM {full['ssim']:.4f}  MAE {full['mae']:.4f}  LBC ratio {self.contrast['lbc_ratio']:.3f}"
        )


@dataclass(frozen=True)
class Evaluation:
    """All cases of a method.

    Attributes:
        settings: What was scored, and how.
        cases: Their numbers.
    """

    settings: LumbarsrEvaluation
    cases: tuple[ScoredCase, ...]

    @property
    def counted(self) -> str:
        """How many of the cases had a prediction that could be used."""
        return f"{sum(not case.missing for case in self.cases)} of {len(self.cases)} scored"

    def rows(self, quantities: Sequence[str]) -> list[Row]:
        """A row per case, mask and window."""
        return [
            self._head(scored)
            | {"mode": mode, "window": window}
            | {q: scored.scores[mode][window][q] for q in quantities}
            for scored in self.cases
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
        for scored in self.cases:
            windows = {
                mode: {w: {q: values[q] for q in OFFICIAL} for w, values in scored.scores[mode].items()}
                for mode in MODES
            }
            samples.setdefault(scored.case.sample, {})[scored.case.sequence] = windows | {"lbc": dict(scored.contrast)}
        return {self.settings.method: samples}

    def scores(self) -> dict[str, Any]:
        """Content of scores.json."""
        return {
            "challenge": "lumbarsr",
            "voxbench": version("voxbench"),
            "numpy": np.__version__,
            "settings": self.settings,
            "scored": self.counted,
            "cases": {
                scored.case.key: dict(scored.about)
                | ({"worst_values_because": scored.missing} if scored.missing else {})
                for scored in self.cases
            },
        }

    def write(self, folder: Path) -> None:
        """Write all files into a folder that exists.

        Raises:
            FileWriteError: They cannot be written.
        """
        write_table(folder / "detailed_metrics.csv", self.rows(OFFICIAL))
        write_table(folder / "summary_metrics.csv", self.summary())
        contrasts = [self._head(scored) | dict(scored.contrast) for scored in self.cases]
        write_table(folder / "lbc_metrics.csv", contrasts)
        write_json(folder / "evaluation_results.json", self.results())
        write_table(folder / "similarity_metrics.csv", self.rows(FURTHER))
        write_json(folder / "scores.json", self.scores())

    def _head(self, scored: ScoredCase) -> Row:
        return {"method": self.settings.method, "sample": scored.case.sample, "sequence": scored.case.sequence}


def evaluate(
    predictions: Path,
    references: Path,
    settings: LumbarsrEvaluation,
    progress: Callable[[ScoredCase], None] | None = None,
) -> Evaluation:
    """Score a method's volumes as the organisers do.

    Args:
        predictions: Folder that holds the method's folder.
        references: Folder holding RegisteredData/ and BoneMask/.
        settings: What is scored, and how.
        progress: Told after every case.

    Raises:
        FileReadError: A reference or a prediction is missing (all of them are named) or damaged.
        GridMismatchError: A prediction or bone mask has another shape than the micro-CT.
        NotFiniteError: A volume holds NaN or infinity.
    """
    cases = cases_of(settings.samples, settings.sequences)
    _require(references, [case.reference(references) for case in cases], "references")
    if not settings.allow_missing:
        _require(predictions, [case.prediction(predictions, settings.method) for case in cases], "predictions")
    scored = []
    for one in _scored(cases, predictions, references, settings):
        scored.append(one)
        if progress is not None:
            progress(one)
    return Evaluation(settings, tuple(scored))


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


def _scored(
    cases: Sequence[Case], predictions: Path, references: Path, settings: LumbarsrEvaluation
) -> Iterator[ScoredCase]:
    """The cases one after another; a sample's micro-CT is read once."""
    sample, reference = "", np.empty((0, 0, 0))
    for case in cases:
        if case.sample != sample:
            del reference
            sample, reference = case.sample, _read(case, case.reference(references))
        path = case.prediction(predictions, settings.method)
        try:
            prediction, missing = _read(case, path, reference.shape), ""
        except InputError as error:
            if not settings.allow_missing:
                raise
            prediction, missing = None, str(error).splitlines()[0]
        about: dict[str, Any] = {"reference": sha256(case.reference(references))}
        about |= {"worst_values_because": missing} if prediction is None else {"prediction": sha256(path)}
        bone, source = _bone_mask(case, references, reference.shape)
        about["bone_mask"] = source
        yield _score(case, reference, prediction, bone, (about, missing, settings.fast_ssim))


def _score(
    case: Case,
    reference: np.ndarray,
    prediction: np.ndarray | None,
    bone: np.ndarray | None,
    notes: tuple[dict[str, Any], str, bool],
) -> ScoredCase:
    """The numbers of one case, or the worst ones where there is no prediction."""
    about, missing, fast = notes
    air = non_air(reference, reference if prediction is None else prediction)
    bone = air if bone is None else bone
    own = contrast(reference, bone)
    if prediction is None:
        scores = {mode: worst_scores() for mode in MODES}
        return ScoredCase(case, scores, official_contrast(own, BoneContrast(0.0, 0.0, 0)), about, missing)
    scores, exact = {}, {}
    for mode, mask in (("full", None), ("non_air", air), ("bone_mask", bone)):
        scores[mode], exact[mode] = official_scores(reference, prediction, mask, fast)
    about |= {"voxels": {"full": reference.size, "non_air": int(air.sum()), "bone_mask": int(bone.sum())}}
    return ScoredCase(case, scores, official_contrast(own, contrast(prediction, bone)), about | {"float64": exact})


def _bone_mask(case: Case, references: Path, shape: tuple[int, ...]) -> tuple[np.ndarray | None, dict[str, str] | str]:
    """The sequence's mask, else the micro-CT's, else none (non-air is taken then); and which it was."""
    for path in case.bone_masks(references):
        if path.is_file():
            mask = _read(case, path, shape) > 0
            return mask, {"file": path.name, "sha256": sha256(path)}
    return None, "non_air"


def _read(case: Case, path: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """A volume as int16 if it is stored so, else as float32; every complaint names case and file."""
    try:
        array = read_volume(path).array
    except InputError as error:
        raise type(error)(f"{case.key}: {error}") from error
    if shape is not None and array.shape != shape:
        raise GridMismatchError(
            f"{case.key}: {path}: another shape than the micro-CT\n  micro-CT  {shape}\n  file      {array.shape}"
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise NotFiniteError(f"{case.key}: {path}: some voxels are NaN or infinite")
    if array.dtype in (np.int16, np.uint8, np.float32):
        return array
    return array.astype(np.float32)
