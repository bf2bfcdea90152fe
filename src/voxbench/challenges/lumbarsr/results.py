"""LumbarSR's results: records of single cases in, the organisers' tables and ours out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from voxbench.challenges.evaluated import Evaluated
from voxbench.challenges.lumbarsr.bones import QUANTITIES, RANKED, bone_rows, bone_summary, ranked_errors
from voxbench.challenges.lumbarsr.cases import MODES, OFFICIAL_SAMPLES, OFFICIAL_SEQUENCES, WINDOWS
from voxbench.challenges.lumbarsr.scoring import FURTHER, OFFICIAL, summary
from voxbench.challenges.tables import score_table
from voxbench.config import Config
from voxbench.io import write_json, write_table
from voxbench.jobs import Record
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


@dataclass(frozen=True)
class Evaluation(Evaluated):
    """All cases of a method; attributes as in `Evaluated`."""

    settings: LumbarsrEvaluation

    def rows(self, quantities: Sequence[str]) -> list[Row]:
        """A row per case, mask and window."""
        return [
            self._head(record)
            | {"mode": mode, "window": window}
            | {q: record["scores"][mode][window][q] for q in quantities}
            for record in self.records
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
        for record in self.records:
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
            for outcome, record in zip(self.outcomes, self.records, strict=True)
        }
        return {
            **self.head("lumbarsr"),
            "cases": cases,
            "table": self._table(),
        } | ({"bone_morphometry": self.bones()} if self.settings.morphometry else {})

    def bones(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Differences of the bone morphometry and their signed-rank test, by sequence and quantity."""
        records = self.records
        return bone_summary([record["sequence"] for record in records], [record["bones"] for record in records])

    def write(self, folder: Path) -> None:
        """Write all files into a folder that exists.

        Raises:
            FileWriteError: They cannot be written.
        """
        write_table(folder / "detailed_metrics.csv", self.rows(OFFICIAL))
        write_table(folder / "summary_metrics.csv", self.summary())
        contrasts = [self._head(record) | dict(record["contrast"]) for record in self.records]
        write_table(folder / "lbc_metrics.csv", contrasts)
        write_json(folder / "evaluation_results.json", self.results())
        write_table(folder / "similarity_metrics.csv", self.rows(FURTHER))
        if self.settings.morphometry:
            records = self.records
            rows = bone_rows([self._head(record) for record in records], [record["bones"] for record in records])
            write_table(folder / "bone_morphometry.csv", rows)
        write_json(folder / "scores.json", self.scores())

    def _table(self) -> dict[str, Any]:
        """What runs are ranked by: by mask and window, the ratio of local bone contrast, errors of bone morphometry."""
        values: dict[str, dict[str, float]] = {}
        for outcome, record in zip(self.outcomes, self.records, strict=True):
            values[outcome.key] = {
                f"{q} {mode} {window}": record["scores"][mode][window][q]
                for q in (*OFFICIAL, *FURTHER)
                for mode in MODES
                for window in WINDOWS
            } | {"lbc_ratio": record["contrast"]["lbc_ratio"]}
            if self.settings.morphometry:
                values[outcome.key] |= ranked_errors(record["bones"])
        names = next(iter(values.values()), {})
        return score_table([_metric(name) for name in names], values)

    def _head(self, record: Record) -> Row:
        return {"method": self.settings.method, "sample": record["sample"], "sequence": record["sequence"]}


def _metric(name: str) -> Metric:
    if name in RANKED:
        return Metric(name, "lower", QUANTITIES[RANKED[name]])
    quantity = name.split()[0]
    higher = quantity in _HIGHER or quantity == "lbc_ratio"
    return Metric(name, "higher" if higher else "lower", "dB" if quantity == "psnr" else "")
