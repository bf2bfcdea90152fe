"""LUMIR25's official evaluation: fields and references in, metrics.json in the official layout out.

The numbers themselves are in ``scoring``. Beside the official file a scores.json of our own says what was scored
(version, configurations, hashes) and gives the honest values under other names: in mm, without the background, with the
labels and landmarks that were lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.challenges.lumir25.cases import EvaluationConfig, Pair, Part, with_parts
from voxbench.challenges.lumir25.fields import read_field
from voxbench.challenges.lumir25.scoring import (
    UNIT,
    Result,
    WarpedLabels,
    aggregate,
    nan_mean,
    official_dice,
    official_hd95,
    official_ndv,
    official_sdlogj,
    official_tre,
)
from voxbench.errors import FileReadError, FileWriteError, GridMismatchError
from voxbench.geometry import LabelMap
from voxbench.io import read_labels, read_volume, sha256, write_json
from voxbench.metrics import Diffeomorphism, landmark_errors

EVAL_VERSION = "3.0"
_DICE_OF_PART: dict[Part, str] = {"in-domain": "ID_dice", "out-of-domain": "OOD_dice", "multimodal": "MM_dice"}

Cases = dict[str, dict[str, Result]]
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Evaluation:
    """Both files.

    Attributes:
        metrics: Content of metrics.json, in the official layout.
        scores: Content of scores.json.
    """

    metrics: Mapping[str, Any]
    scores: Mapping[str, Any]

    def write(self, out: Path, force: bool = False) -> None:
        """Write metrics.json and scores.json into a folder.

        Raises:
            FileWriteError: One of them is there and ``force`` is not given, or they cannot be written.
        """
        refuse_existing([out / "metrics.json", out / "scores.json"], force)
        make_folder(out)
        write_json(out / "metrics.json", self.metrics)
        write_json(out / "scores.json", self.scores)


@dataclass
class _Case:
    """One pair on the way through its metrics; what is read is read once."""

    pair: Pair
    config: EvaluationConfig
    references: Path
    displacement: np.ndarray
    official: dict[str, Result] = field(default_factory=dict)
    honest: dict[str, Any] = field(default_factory=dict)
    _labels: dict[str, tuple[WarpedLabels, tuple[float, float, float]]] = field(default_factory=dict)

    def labels(self, destination: str) -> tuple[WarpedLabels, tuple[float, float, float]]:
        """The pair's label or landmark maps and the fixed one's spacing, mm."""
        if destination not in self._labels:
            fixed, moving = (
                read_labels(
                    self.pair.beside(which, self.references, destination)
                    if destination == "labels"
                    else self.pair.landmarks(which, self.references, destination)
                )
                for which in ("fixed", "moving")
            )
            self.require_shape(fixed, destination)
            spacing = tuple(float(s) for s in np.round(fixed.grid.spacing, 6))
            warped = WarpedLabels(fixed.array, moving.array, self.displacement)
            self._labels[destination] = (warped, (spacing[0], spacing[1], spacing[2]))
        return self._labels[destination]

    def require_shape(self, fixed: LabelMap, what: str) -> None:
        """Refuse a reference of another shape than the field."""
        if fixed.array.shape != self.displacement.shape[1:]:
            raise GridMismatchError(
                f"{self.pair.key}: the fixed image's {what} and the field differ in shape\n"
                f"  {what}  {fixed.array.shape}\n  field   {self.displacement.shape[1:]}"
            )


def evaluate(
    predictions: Path, references: Path, configs: Sequence[EvaluationConfig], progress: Progress | None = None
) -> Evaluation:
    """Score the fields of a folder as the organisers do.

    A pair that several configurations name is scored by each; as in the official script the later one's result
    replaces the earlier one's, all metrics of it.

    Args:
        predictions: Folder of displacement files.
        references: Folder holding imagesVal/, labelsVal/, landmarksVal/.
        configs: The evaluation configurations, in order.
        progress: Told after every case.

    Raises:
        FileReadError: A field is missing (all missing ones are named), or a reference is.
        GridMismatchError: A field has a wrong shape; the pair is named.
        NotFiniteError: A field holds NaN or infinity; the pair is named.
    """
    require_fields(predictions, [pair for config in configs for pair in config.pairs])
    parts = with_parts(configs)
    per_config: list[Cases] = []
    honest: dict[str, dict[str, Any]] = {}
    for config, part in zip(configs, parts, strict=True):
        cases: Cases = {}
        for case in _scored(predictions, references, config):
            cases[case.pair.key] = case.official
            honest.setdefault(case.pair.key, {}).update(part=part, **case.honest)
            if progress is not None:
                progress(_line(case))
        per_config.append(cases)
    metrics = {
        "name": configs[-1].name,
        "aggregates": _aggregates(per_config, parts),
        "cases": _merged(per_config),
        "eval_version": EVAL_VERSION,
    }
    return Evaluation(metrics, _scores(predictions, configs, parts, honest))


def require_fields(folder: Path, pairs: Sequence[Pair]) -> None:
    """Refuse a folder that lacks fields.

    Raises:
        FileReadError: Fields are missing; all of them are named.
    """
    names = list(dict.fromkeys(pair.field_name for pair in pairs))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileReadError(
            f"{folder}: {len(missing)} of {len(names)} displacement fields are missing; nothing is evaluated\n  "
            + "\n  ".join(missing)
            + "\n  provide all of them: voxbench predict lumir25"
        )


def refuse_existing(paths: Sequence[Path], force: bool) -> None:
    """Refuse to overwrite.

    Raises:
        FileWriteError: One of the files exists and ``force`` is not given.
    """
    there = [str(path) for path in paths if path.exists()]
    if there and not force:
        raise FileWriteError(f"{', '.join(there)}: already there; give --force to replace, or another --out")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it.

    Raises:
        FileWriteError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileWriteError(f"{folder}: the folder cannot be made: {error.strerror or error}") from error


def _scored(predictions: Path, references: Path, config: EvaluationConfig) -> Iterator[_Case]:
    """The cases of one configuration, one after another."""
    for pair in config.pairs:
        displacement = read_field(predictions / pair.field_name, config.expected_shape, pair.key)
        case = _Case(pair, config, references, displacement)
        for method in config.methods:
            _MEASURES[method.metric](case, method)
        yield case


def _measure_ndv(case: _Case, method: Any) -> None:
    image = read_volume(case.pair.image("fixed", case.references))
    if image.array.shape != case.displacement.shape[1:]:
        raise GridMismatchError(
            f"{case.pair.key}: the fixed image and the field differ in shape\n"
            f"  image  {image.array.shape}\n  field  {case.displacement.shape[1:]}"
        )
    case.official[method.name], measured = official_ndv(case.displacement, image.array)
    case.honest.update(_regularity(measured))


def _measure_dice(case: _Case, method: Any) -> None:
    labels, _ = case.labels("labels")
    result = case.official[method.name] = official_dice(labels, method.labels)
    values = np.array([v for i, v in zip(method.labels, result["detailed"], strict=True) if i != 0])
    lost = labels.lost(method.labels)
    case.honest.update(dice_without_background=nan_mean(values), lost_labels=lost)


def _measure_hd95(case: _Case, method: Any) -> None:
    labels, spacing = case.labels("labels")
    result = case.official[method.name] = official_hd95(labels, method.labels)
    in_mm = result if spacing == UNIT else official_hd95(labels, method.labels, spacing)
    values = np.array([v for i, v in zip(method.labels, in_mm["detailed"], strict=True) if i != 0])
    case.honest.update(hd95_mm_without_background=nan_mean(values), spacing_mm=spacing)


def _measure_tre(case: _Case, method: Any) -> None:
    labels, spacing = case.labels(method.destination)
    case.official[method.name] = official_tre(labels)
    errors = landmark_errors(labels.fixed, labels.warped, spacing=spacing)
    case.honest.update(tre_mm=errors.mean, lost_landmarks=errors.lost, spacing_mm=spacing)


def _measure_sdlogj(case: _Case, method: Any) -> None:
    mask = None
    mask_path = case.pair.beside("fixed", case.references, "masks")
    if case.config.masked and mask_path.exists():  # without the file the official script goes on without a mask
        mask = read_labels(mask_path).mask()
    case.official[method.name], case.official["num_foldings"] = official_sdlogj(case.displacement, mask)


_MEASURES: dict[str, Callable[[_Case, Any], None]] = {
    "ndv": _measure_ndv,
    "dice": _measure_dice,
    "hd95": _measure_hd95,
    "tre": _measure_tre,
    "sdlogj": _measure_sdlogj,
}


def _regularity(measured: Diffeomorphism) -> dict[str, Any]:
    return {
        "non_diffeomorphic_volume_percent": measured.volume_percent,
        "folded_voxels": measured.folded,
        "folded_percent": measured.folded_percent,
    }


def _merged(per_config: Sequence[Cases]) -> Cases:
    """All cases; of two with one key the later one stays, as a whole."""
    merged: Cases = {}
    for cases in per_config:
        merged.update(cases)
    return merged


def _aggregates(per_config: Sequence[Cases], parts: Sequence[Part | None]) -> dict[str, Any]:
    """Every metric over all cases, then Dice over the cases of each part that is there."""
    cases = _merged(per_config)
    aggregates = {}
    for name in sorted({name for case in cases.values() for name in case}):
        means = [case[name]["mean"] for case in cases.values() if name in case]
        aggregates[name] = aggregate(means, 0.7 if name == "TRE_lm" else 0.3)
    for part, name in _DICE_OF_PART.items():
        own = _merged([c for c, its_part in zip(per_config, parts, strict=True) if its_part == part])
        means = [case["DSC"]["mean"] for case in own.values() if "DSC" in case]
        if means:
            aggregates[name] = aggregate(means)
    return aggregates


def _scores(
    predictions: Path, configs: Sequence[EvaluationConfig], parts: Sequence[Part | None], cases: Mapping[str, Any]
) -> dict[str, Any]:
    """What scores.json says."""
    names = dict.fromkeys(pair.field_name for config in configs for pair in config.pairs)
    return {
        "challenge": "lumir25",
        "voxbench": version("voxbench"),
        "configs": [
            {"file": config.path.name, "sha256": sha256(config.path), "part": part, "cases": len(config.pairs)}
            for config, part in zip(configs, parts, strict=True)
        ],
        "predictions": {name: sha256(predictions / name) for name in names},
        "cases": cases,
    }


def _line(case: _Case) -> str:
    values = "  ".join(f"{name} {result['mean']:.4g}" for name, result in case.official.items())
    return f"{case.pair.key}  {values}"
