"""SSR-KD's evaluation: folders of meshes in, the organisers' table and ours out.

The numbers themselves are in ``scoring``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from voxbench.challenges.evaluated import Evaluated, require_predictions, require_references
from voxbench.challenges.ssrkd.cases import BONES, find_cases, mesh_file, missing_files, read_bone
from voxbench.challenges.ssrkd.scoring import OFFICIAL_POINTS, PUBLISHED, SURFACE, score_bone, worst_bone
from voxbench.challenges.tables import score_table
from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.io import write_json, write_table
from voxbench.jobs import Job, Manner, Record, Told, require_all, run
from voxbench.metrics.scores import Metric

FILES = ("results.csv", "bones.csv", "scores.json")
"""What is written: the official table, then two files of ours."""


class SsrkdEvaluation(Config):
    """How bones are scored."""

    points: int = Field(default=OFFICIAL_POINTS, ge=1, description="Points sampled on each surface.")
    seed: int = Field(default=0, ge=0, description="Seed of the sampling; the organisers' has none.")
    spacing: float = Field(default=0.5, gt=0, allow_inf_nan=False, description="Voxel spacing of DSC, mm.")
    step: float = Field(
        default=1.0, gt=0, allow_inf_nan=False, description="Longest step of distances to a surface, mm."
    )
    allow_missing: bool = Field(default=False, description="Score unusable predictions by the worst values.")


def jobs(predictions: Path, references: Path, settings: SsrkdEvaluation) -> tuple[Job, ...]:
    """One job per case of the references.

    Raises:
        FileReadError: A mesh is missing among the references, or (if that is not allowed) among the predictions; all of
            them are named.
    """
    cases = find_cases(references)
    count = len(cases) * len(BONES)
    layout = f"every case has sub_0.obj to sub_3.obj ({', '.join(BONES)})"
    require_references(references, missing_files(references, cases), count, layout)
    if not settings.allow_missing:
        require_predictions(predictions, missing_files(predictions, cases), count)
    return tuple(
        Job(
            case,
            partial(score_case, case, predictions, references, settings),
            {
                f"{what} {bone}": mesh_file(root, case, bone)
                for what, root in (("reference", references), ("prediction", predictions))
                for bone in BONES
            },
            settings.model_dump(mode="json"),
        )
        for case in cases
    )


def score_case(case: str, predictions: Path, references: Path, settings: SsrkdEvaluation) -> Record:
    """The numbers of the four bones of one case.

    Returns:
        ``case``, ``bones`` (for each its numbers), and ``missing`` with the reasons if predictions could not be used.

    Raises:
        InputError: A reference, or (if that is not allowed) a prediction, cannot be used; case and file are named.
    """
    bones: dict[str, Any] = {}
    for number, bone in enumerate(BONES):
        reference = read_bone(references, case, bone)
        try:
            prediction = read_bone(predictions, case, bone)
            bones[bone] = _scored(case, bone, (reference, prediction), (settings, number))
        except InputError as error:
            if not settings.allow_missing:
                raise
            bones[bone] = worst_bone(error)
    missing = "; ".join(numbers["missing"] for numbers in bones.values() if "missing" in numbers)
    return {"case": case, "bones": bones} | ({"missing": missing} if missing else {})


def line(record: Record) -> str:
    """One line: means of the four bones."""
    if "missing" in record:
        return f"{record['case']}  worst values: {record['missing']}"
    bones = record["bones"].values()
    dsc, hd, assd, surface = (_mean([b[name] for b in bones])[0] for name in (*PUBLISHED, "assd_surface"))
    return f"{record['case']}  DSC {100 * dsc:.1f} %  HD {hd:.2f} mm  ASSD {assd:.2f} mm (to the surface {surface:.2f})"


@dataclass(frozen=True)
class Evaluation(Evaluated):
    """All cases; attributes as in `Evaluated`."""

    settings: SsrkdEvaluation

    def results(self) -> list[dict[str, Any]]:
        """Rows of results.csv: ASSD of the four bones, float32 as in the official script; the last row is the mean."""
        table = np.array([[r["bones"][bone]["assd"] for bone in BONES] for r in self.records], dtype=np.float32)
        names = [record["case"] for record in self.records]
        rows = zip([*names, "mean"], [*table, table.mean(axis=0)], strict=True)
        return [{"obj_id": name} | {str(b + 1): str(v) for b, v in enumerate(values)} for name, values in rows]

    def bones(self) -> list[dict[str, Any]]:
        """Rows of bones.csv: a case and bone each."""
        return [
            {"case": record["case"], "bone": bone}
            | {name: record["bones"][bone][name] for name in PUBLISHED + SURFACE}
            | {"missing": record["bones"][bone].get("missing", "")}
            for record in self.records
            for bone in BONES
        ]

    def summary(self) -> dict[str, dict[str, float]]:
        """Of every quantity the mean over the cases where it is defined: per bone, and of the four (``average``)."""
        return {name: {bone: mean for bone, (mean, _) in self._means(name)} for name in PUBLISHED + SURFACE}

    def scores(self) -> dict[str, Any]:
        """Content of scores.json."""
        return {
            **self.head("ssrkd"),
            "mean": self.summary(),
            "undefined": {"dsc": sum(n for _, (_, n) in self._means("dsc"))},
            "cases": self.cases(),
            "table": self._table(),
        }

    def write(self, folder: Path) -> None:
        """Write all files into a folder that exists.

        Raises:
            FileWriteError: They cannot be written.
        """
        write_table(folder / "results.csv", self.results())
        write_table(folder / "bones.csv", self.bones())
        write_json(folder / "scores.json", self.scores())

    def _table(self) -> dict[str, Any]:
        """What runs are ranked by: every quantity as the mean of the four bones (NaN if one is), then bone by bone."""
        names = PUBLISHED + SURFACE
        values: dict[str, dict[str, float]] = {}
        for outcome, record in zip(self.outcomes, self.records, strict=True):
            bones = record["bones"]
            own = {name: float(np.mean([bones[bone][name] for bone in BONES])) for name in names}
            values[outcome.key] = own | {f"{name} {bone}": bones[bone][name] for name in names for bone in BONES}
        shown = [*names, *(f"{name} {bone}" for name in names for bone in BONES)]
        return score_table([_metric(name) for name in shown], values)

    def _means(self, name: str) -> Iterator[tuple[str, tuple[float, int]]]:
        """Of each bone the mean and how many are undefined; last the average of the four means."""
        of_bones = [_mean([record["bones"][bone][name] for record in self.records]) for bone in BONES]
        yield from zip(BONES, of_bones, strict=True)
        yield "average", (float(np.mean([mean for mean, _ in of_bones])), 0)


def evaluate(
    predictions: Path,
    references: Path,
    settings: SsrkdEvaluation = SsrkdEvaluation(),
    manner: Manner = Manner(),
    told: Told | None = None,
) -> Evaluation:
    """Score a folder of meshes as the organisers do, and exactly.

    Args:
        predictions: Folder of CASE/sub_0.obj to sub_3.obj.
        references: Folder of the same layout.
        settings: How they are scored.
        manner: How the cases are run.
        told: Told of each outcome as it comes.

    Raises:
        FileReadError: A mesh is missing among the references, or (if that is not allowed) among the predictions.
        JobError: Cases failed; each is named with its reason.
    """
    outcomes = run(jobs(predictions, references, settings), manner, told)
    require_all(outcomes)
    return Evaluation(settings, outcomes)


def _metric(name: str) -> Metric:
    return Metric(name, "higher") if name.startswith("dsc") else Metric(name, "lower", "mm")


def _scored(case: str, bone: str, meshes: tuple[Any, Any], how: tuple[SsrkdEvaluation, int]) -> dict[str, Any]:
    """`score_bone`, every complaint naming case and bone."""
    settings, number = how
    sampling = settings.points, [settings.seed, number]
    try:
        return score_bone(meshes[0], meshes[1], sampling, (settings.spacing, settings.step))
    except InputError as error:
        raise type(error)(f"{case}, {bone}: {error}") from error


def _mean(values: list[float]) -> tuple[float, int]:
    """Mean of what is defined (NaN if nothing is), and how many are not."""
    defined = [value for value in values if not np.isnan(value)]
    return (float(np.mean(defined)) if defined else float("nan")), len(values) - len(defined)
