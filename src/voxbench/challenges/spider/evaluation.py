"""SPIDER's official evaluation: folders of label maps in, metrics.json in the official layout and ours out.

The numbers themselves are in ``scoring``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from voxbench.challenges.evaluated import Evaluated, require_predictions
from voxbench.challenges.spider.cases import find_cases, mask_file, read_prediction, read_reference
from voxbench.challenges.spider.scoring import ASD, HONEST, OFFICIAL, WORST, is_distance, score_labels
from voxbench.challenges.tables import score_table
from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.io import write_json
from voxbench.jobs import Job, Manner, Record, Told, require_all, run
from voxbench.metrics.scores import Metric

FILES = ("metrics.json", "scores.json")
"""What is written: the official file, then ours."""
SHOWN = (
    ("vertebrae", "DiceScoreVertebrae"),
    ("discs", "DiceScoreDiscs"),
    ("canal", "DiceScoreSpinalCanal"),
    ("all", "OveralDiceScore"),
)


class SpiderEvaluation(Config):
    """How label maps are scored."""

    allow_missing: bool = Field(default=False, description="Score unusable predictions by the worst values.")


def jobs(predictions: Path, references: Path, settings: SpiderEvaluation) -> tuple[Job, ...]:
    """One job per reference.

    Raises:
        FileReadError: There are no references, or predictions are missing and that is not allowed; all are named.
    """
    cases = find_cases(references)
    missing = [case for case in cases if not mask_file(predictions, case).is_file()]
    if not settings.allow_missing:
        require_predictions(predictions, [mask_file(predictions, case).name for case in missing], len(cases))
    return tuple(
        Job(
            case,
            partial(score_case, case, predictions, references, settings),
            {"reference": mask_file(references, case), "prediction": mask_file(predictions, case)},
            settings.model_dump(mode="json"),
        )
        for case in cases
    )


def score_case(case: str, predictions: Path, references: Path, settings: SpiderEvaluation) -> Record:
    """The numbers of one series.

    Returns:
        ``case``, ``official``, ``asd``, ``honest``, ``surplus``, ``structures``; ``note`` if the prediction lies
        elsewhere than its reference, and ``missing`` with the reason if no prediction could be used.

    Raises:
        InputError: The reference, or (if that is not allowed) the prediction, cannot be used; case and file are named.
    """
    reference = read_reference(references, case)
    try:
        prediction = read_prediction(predictions, case, reference)
    except InputError as error:
        if not settings.allow_missing:
            raise
        worst = {"official": _worst(OFFICIAL), "asd": _worst(ASD), "honest": _worst(HONEST)}
        return {"case": case} | worst | {"missing": str(error).splitlines()[0]}
    try:
        record = {"case": case} | score_labels(reference, prediction)
    except InputError as error:
        raise type(error)(f"{case}: {mask_file(references, case)}: {error}") from error
    if not reference.grid.same_as(prediction.grid):
        record["note"] = "the prediction lies elsewhere than its reference; compared voxel by voxel, as officially"
    return record


def line(record: Record) -> str:
    """One line: Dice of the groups, and what was missed."""
    if "missing" in record:
        return f"{record['case']}  worst values: {record['missing']}"
    dice = "  ".join(f"{name} {record['official'][key]:.4f}" for name, key in SHOWN)
    missed = [str(row["label"]) for row in record["structures"] if row["missed"]]
    said = f"  missed: {', '.join(missed)}" if missed else ""
    return f"{record['case']}  Dice: {dice}  ASD {record['asd']['asd_overall']:.2f} mm{said}" + (
        f"  ({record['note']})" if "note" in record else ""
    )


@dataclass(frozen=True)
class Evaluation(Evaluated):
    """All cases; attributes as in `Evaluated`."""

    settings: SpiderEvaluation

    def metrics(self) -> dict[str, dict[str, float]]:
        """Content of metrics.json: mean and standard deviation over the series where a number is defined."""
        return {name: _spread([record["official"][name] for record in self.records]) for name in OFFICIAL}

    def summary(self) -> dict[str, dict[str, float]]:
        """The same of our own numbers."""
        tables = [record["asd"] | record["honest"] for record in self.records]
        return {name: _spread([table[name] for table in tables]) for name in (*ASD, *HONEST)}

    def undefined(self) -> dict[str, int]:
        """How many series every official mean leaves out."""
        counts = {name: sum(np.isnan(record["official"][name]) for record in self.records) for name in OFFICIAL}
        return {name: int(count) for name, count in counts.items()}

    def scores(self) -> dict[str, Any]:
        """Content of scores.json."""
        return {
            **self.head("spider"),
            "official": self.metrics(),
            "left_out": self.undefined(),
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
        cases = {r["case"]: r["official"] | r["asd"] | r["honest"] for r in self.records}
        return score_table([_metric(name) for name in (*OFFICIAL, *ASD, *HONEST)], cases)


def evaluate(
    predictions: Path,
    references: Path,
    settings: SpiderEvaluation = SpiderEvaluation(),
    manner: Manner = Manner(),
    told: Told | None = None,
) -> Evaluation:
    """Score a folder of label maps as the organisers do.

    Args:
        predictions: Folder of PATIENT_SEQUENCE.mha.
        references: Folder of the masks, of the same names.
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


def _metric(name: str) -> Metric:
    return Metric(name, "lower", "mm") if is_distance(name) else Metric(name, "higher")


def _worst(names: tuple[str, ...]) -> dict[str, float]:
    return {name: WORST[name] for name in names}


def _spread(values: list[float]) -> dict[str, float]:
    """Mean and standard deviation (n - 1) of what is defined; NaN without enough."""
    defined = np.array([value for value in values if not np.isnan(value)])
    mean = float(defined.mean()) if defined.size else float("nan")
    finite = defined.size > 1 and bool(np.isfinite(defined).all())
    return {"mean": mean, "std": float(defined.std(ddof=1)) if finite else float("nan")}
