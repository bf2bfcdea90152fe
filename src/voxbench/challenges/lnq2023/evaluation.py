"""LNQ 2023's official evaluation: folders of masks in, metrics.json in the official layout and ours out.

The numbers themselves are in ``scoring``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from voxbench.challenges.evaluated import ALL_OF_THEM, Evaluated, require_predictions
from voxbench.challenges.lnq2023.cases import (
    PREDICTIONS,
    REFERENCE,
    find_cases,
    official_id,
    prediction_file,
    read_mask,
    require_grid,
)
from voxbench.challenges.lnq2023.scoring import (
    ASSD,
    DICE,
    HIGHER,
    LOWER,
    WORST_HONEST,
    WORST_OFFICIAL,
    score_masks,
)
from voxbench.challenges.tables import score_table
from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.geometry import LabelMap
from voxbench.io import write_json
from voxbench.jobs import Job, Manner, Record, Told, require_all, run
from voxbench.metrics.scores import Metric

FILES = ("metrics.json", "scores.json")
"""What is written: the official file, then ours."""


class Lnq2023Evaluation(Config):
    """How masks are scored."""

    allow_missing: bool = Field(default=False, description="Score unusable predictions by the worst values.")


def jobs(predictions: Path, references: Path, settings: Lnq2023Evaluation) -> tuple[Job, ...]:
    """One job per reference.

    Raises:
        FileReadError: There are no references, or predictions are missing and that is not allowed; all are named.
    """
    cases = find_cases(references)
    files = {case: prediction_file(predictions, case) for case in cases}
    missing = [case for case, path in files.items() if not path.is_file()]
    if not settings.allow_missing:
        hint = f"{ALL_OF_THEM} (also as {', '.join(PREDICTIONS[1:])})"
        require_predictions(predictions, [f"{case}{PREDICTIONS[0]}" for case in missing], len(cases), hint)
    return tuple(
        Job(
            case,
            partial(score_case, case, predictions, references, settings),
            {"reference": references / f"{case}{REFERENCE}", "prediction": path},
            settings.model_dump(mode="json"),
        )
        for case, path in files.items()
    )


def score_case(case: str, predictions: Path, references: Path, settings: Lnq2023Evaluation) -> Record:
    """The numbers of one case.

    Returns:
        ``case``, ``official``, ``honest``, ``nodes``; ``note`` if a mask has other values than 0 and 1, and ``missing``
        with the reason if no prediction could be used.

    Raises:
        InputError: The reference, or (if that is not allowed) the prediction, cannot be used; case and file are named.
    """
    reference = read_mask(references / f"{case}{REFERENCE}", case)
    try:
        path = prediction_file(predictions, case)
        prediction = read_mask(path, case)
        require_grid(reference.grid, prediction.grid, path, case)
    except InputError as error:
        if not settings.allow_missing:
            raise
        reason = str(error).splitlines()[0]
        return {"case": case, "official": dict(WORST_OFFICIAL), "honest": dict(WORST_HONEST), "missing": reason}
    record = {"case": case} | score_masks(reference, prediction)
    notes = [
        f"{what} has {said}"
        for what, mask in (("the prediction", prediction), ("the reference", reference))
        if (said := _other_values(mask))
    ]
    return record | ({"note": "; ".join(notes) + "; Dice shares equal values only, as officially"} if notes else {})


def line(record: Record) -> str:
    """One line: the official numbers, and how many nodes were found."""
    if "missing" in record:
        return f"{record['case']}  worst values: {record['missing']}"
    official, honest = record["official"], record["honest"]
    return (
        f"{record['case']}  Dice {official[DICE]:.4f}  ASSD {official[ASSD]:.2f} mm  "
        f"{honest['nodes_detected']} of {honest['nodes']} nodes, {honest['nodes_predicted']} predicted"
    ) + (f"  ({record['note']})" if "note" in record else "")


def _other_values(mask: LabelMap) -> str:
    """Values other than 0 and 1, of which the official Dice makes something else than one would think."""
    if mask.array.min() >= 0 and mask.array.max() <= 1:
        return ""
    found = [int(value) for value in np.unique(mask.array) if value not in (0, 1)]
    rest = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return f"the value{'s' * (len(found) > 1)} " + ", ".join(map(str, found[:3])) + rest


@dataclass(frozen=True)
class Evaluation(Evaluated):
    """All cases; attributes as in `Evaluated`."""

    settings: Lnq2023Evaluation

    def metrics(self) -> dict[str, Any]:
        """Content of metrics.json; as in the official one, one NaN makes the mean NaN."""
        cases = {record["case"]: record["official"] for record in self.records}
        ids = {case: official_id(case) for case in cases}
        if len(set(ids.values())) < len(ids):
            ids = {case: case for case in cases}
        return {
            "case": {ids[case]: numbers for case, numbers in cases.items()},
            "aggregates": {name: _mean(numbers[name] for numbers in cases.values()) for name in (DICE, ASSD)},
        }

    def summary(self) -> dict[str, dict[str, float]]:
        """Of every number the mean and the median over the cases where it is defined, and how many those are."""
        tables = [record["official"] | record["honest"] for record in self.records]
        return {name: _summary([table[name] for table in tables]) for name in (DICE, ASSD, *HIGHER, *LOWER)}

    def scores(self) -> dict[str, Any]:
        """Content of scores.json."""
        return {
            **self.head("lnq2023"),
            "summary": self.summary(),
            "cases": self.cases(),
            "table": self._table(),
        }

    def write(self, folder: Path) -> None:
        """Write both files into a folder that exists.

        Raises:
            FileWriteError: They cannot be written.
        """
        write_json(folder / "metrics.json", self.metrics())
        write_json(folder / "scores.json", self.scores())

    def _table(self) -> dict[str, Any]:
        """What runs are ranked by: the official numbers, then ours."""
        metrics = [Metric(DICE, "higher"), Metric(ASSD, "lower", "mm")]
        metrics += [Metric(name, "higher") for name in HIGHER] + [Metric(name, "lower", "mm") for name in LOWER]
        return score_table(metrics, {record["case"]: record["official"] | record["honest"] for record in self.records})


def evaluate(
    predictions: Path,
    references: Path,
    settings: Lnq2023Evaluation = Lnq2023Evaluation(),
    manner: Manner = Manner(),
    told: Told | None = None,
) -> Evaluation:
    """Score a folder of masks as the organisers do.

    Args:
        predictions: Folder of CASE-seg.mha (or .nrrd, .nii.gz).
        references: Folder of CASE-seg.nrrd.
        settings: How they are scored.
        manner: How the cases are run.
        told: Told of each outcome as it comes.

    Raises:
        FileReadError: There are no references, or predictions are missing and that is not allowed.
        JobError: Cases failed; each is named with its reason.
    """
    outcomes = run(jobs(predictions, references, settings), manner, told)
    require_all(outcomes)
    return Evaluation(settings, outcomes)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _summary(values: list[float]) -> dict[str, float]:
    defined = np.array([value for value in values if not np.isnan(value)])
    if not defined.size:
        return {"mean": float("nan"), "median": float("nan"), "defined": 0}
    return {"mean": float(defined.mean()), "median": float(np.median(defined)), "defined": int(defined.size)}
