"""LUMIR25's official evaluation: fields and references in, metrics.json in the official layout out.

The numbers themselves are in ``scoring``. Beside the official file a scores.json of our own says what was scored
(version, configurations, hashes) and gives the honest values under other names: in mm, without the background, with the
labels and landmarks that were lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from voxbench.challenges.evaluated import ALL_OF_THEM, Evaluated, require_predictions
from voxbench.challenges.lumir25.cases import EvaluationConfig, Metric, Pair, Part, with_parts
from voxbench.challenges.lumir25.fields import read_field
from voxbench.challenges.lumir25.measures import Measured, measure, worst
from voxbench.challenges.lumir25.scoring import Result, aggregate
from voxbench.challenges.tables import score_table
from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.io import sha256, write_json
from voxbench.io.tables import plain
from voxbench.jobs import Job, Manner, Record, Told, require_all, run
from voxbench.metrics import scores

EVAL_VERSION = "3.0"
FILES = ("metrics.json", "scores.json")
"""What is written: the official file, then ours."""
_DICE_OF_PART: dict[Part, str] = {"in-domain": "ID_dice", "out-of-domain": "OOD_dice", "multimodal": "MM_dice"}
_UNITS: dict[Metric, str] = {"ndv": "%", "hd95": "voxels", "tre": "voxels"}

Cases = dict[str, dict[str, Result]]


class Lumir25Evaluation(Config):
    """How fields are scored, beyond what the organisers' configurations say."""

    allow_missing: bool = Field(default=False, description="Score unusable predictions by the worst values.")


def jobs(
    predictions: Path, references: Path, configs: Sequence[EvaluationConfig], settings: Lumir25Evaluation
) -> tuple[Job, ...]:
    """One job per configuration and pair.

    Args:
        predictions: Folder of displacement files.
        references: Folder holding imagesVal/, labelsVal/, landmarksVal/.
        configs: The evaluation configurations, in order.
        settings: How, beyond them.

    Raises:
        FileReadError: A field is missing and that is not allowed; all missing ones are named.
    """
    if not settings.allow_missing:
        require_fields(predictions, [pair for config in configs for pair in config.pairs])
    made = []
    for config, keys in zip(configs, job_keys(configs), strict=True):
        decides = plain({"methods": config.methods, "shape": config.expected_shape, "masked": config.masked})
        for pair, key in keys.items():
            work = partial(score_case, pair, config, (predictions, references), settings)
            inputs = {"prediction": predictions / pair.field_name} | _references(pair, config, references)
            made.append(Job(key, work, inputs, decides | {"allow_missing": settings.allow_missing}))
    return tuple(made)


def job_keys(configs: Sequence[EvaluationConfig]) -> tuple[dict[Pair, str], ...]:
    """What each pair of each configuration is called: its official key, and which configuration if several have it."""
    times: dict[str, int] = {}
    for pair in (pair for config in configs for pair in dict.fromkeys(config.pairs)):
        times[pair.key] = times.get(pair.key, 0) + 1
    return tuple(
        {
            pair: pair.key if times[pair.key] == 1 else f"{pair.key} ({number}: {config.path.stem})"
            for pair in dict.fromkeys(config.pairs)
        }
        for number, config in enumerate(configs, 1)
    )


def score_case(pair: Pair, config: EvaluationConfig, folders: tuple[Path, Path], settings: Lumir25Evaluation) -> Record:
    """The numbers of one pair under one configuration.

    Args:
        pair: The pair.
        config: What is measured.
        folders: Of the predictions and of the references.
        settings: How, beyond the configuration.

    Returns:
        ``case``, ``official`` (by the configuration's names ``mean`` and ``detailed``), ``honest``, and ``missing``
        with the reason if there was no usable field.

    Raises:
        FileReadError: The field or a reference is missing or damaged.
        GridMismatchError: The field has a wrong shape.
        NotFiniteError: The field holds NaN or infinity.
    """
    predictions, references = folders
    try:
        field = read_field(predictions / pair.field_name, config.expected_shape, pair.key)
    except InputError as error:
        if not settings.allow_missing:
            raise
        return {
            "case": pair.key,
            "official": worst(config.methods),
            "honest": {},
            "missing": str(error).splitlines()[0],
        }
    measured = measure(Measured(pair, config.masked, references, field), config.methods)
    return {"case": pair.key, "official": measured.official, "honest": measured.honest}


def line(record: Record) -> str:
    """One line: the mean of every metric."""
    if "missing" in record:
        return f"{record['case']}  worst values: {record['missing']}"
    values = "  ".join(f"{name} {result['mean']:.4g}" for name, result in record["official"].items())
    return f"{record['case']}  {values}"


@dataclass(frozen=True)
class Evaluation(Evaluated):
    """All pairs of all configurations.

    A pair that several configurations name is scored by each; as in the official script the later one's result replaces
    the earlier one's, all metrics of it.

    Attributes:
        settings: How.
        outcomes: What came of each job; all have a record.
        configs: What was measured, in order.
    """

    settings: Lumir25Evaluation
    configs: tuple[EvaluationConfig, ...]

    def metrics(self) -> dict[str, Any]:
        """Content of metrics.json, in the official layout."""
        per_config = self._per_config()
        return {
            "name": self.configs[-1].name,
            "aggregates": _aggregates(per_config, with_parts(self.configs)),
            "cases": _merged(per_config),
            "eval_version": EVAL_VERSION,
        }

    def scores(self) -> dict[str, Any]:
        """Content of scores.json."""
        parts = with_parts(self.configs)
        found = {outcome.key: outcome for outcome in self.outcomes}
        cases: dict[str, Any] = {}
        for keys, part in zip(job_keys(self.configs), parts, strict=True):
            for pair, key in keys.items():
                record = found[key].record or {}
                said = cases.setdefault(pair.key, {"inputs": {}})
                said |= {"part": part} | record["honest"]
                said["inputs"] |= found[key].inputs
                if "missing" in record:
                    said["worst_values_because"] = record["missing"]
        return {
            **self.head("lumir25"),
            "configs": [
                {"file": config.path.name, "sha256": sha256(config.path), "part": part, "cases": len(config.pairs)}
                for config, part in zip(self.configs, parts, strict=True)
            ],
            "cases": cases,
            "table": self._table(),
        }

    def write(self, folder: Path) -> None:
        """Write metrics.json and scores.json into a folder that exists.

        Raises:
            FileWriteError: They cannot be written.
        """
        write_json(folder / "metrics.json", self.metrics())
        write_json(folder / "scores.json", self.scores())

    def _per_config(self) -> list[Cases]:
        found = {outcome.key: outcome.record or {} for outcome in self.outcomes}
        return [{pair.key: found[key]["official"] for pair, key in keys.items()} for keys in job_keys(self.configs)]

    def _table(self) -> dict[str, Any]:
        """What runs are ranked by: the official means."""
        cases = _merged(self._per_config())
        metrics: dict[str, scores.Metric] = {}
        for method in (method for config in self.configs for method in config.methods):
            better = "higher" if method.metric == "dice" else "lower"
            metrics[method.name] = scores.Metric(method.name, better, _UNITS.get(method.metric, ""))
        means = {key: {name: result["mean"] for name, result in case.items()} for key, case in cases.items()}
        there = {name for values in means.values() for name in values}
        return score_table([metric for name, metric in metrics.items() if name in there], means)


def evaluate(
    folders: tuple[Path, Path],
    configs: Sequence[EvaluationConfig],
    settings: Lumir25Evaluation = Lumir25Evaluation(),
    manner: Manner = Manner(),
    told: Told | None = None,
) -> Evaluation:
    """Score the fields of a folder as the organisers do.

    Args:
        folders: Of the predictions (displacement files) and of the references (imagesVal/, labelsVal/, landmarksVal/).
        configs: The evaluation configurations, in order.
        settings: How, beyond them.
        manner: How the cases are run.
        told: Told of each outcome as it comes.

    Raises:
        FileReadError: A field is missing and that is not allowed; all missing ones are named.
        JobError: Cases failed; each is named with its reason.
    """
    outcomes = run(jobs(*folders, configs, settings), manner, told)
    require_all(outcomes)
    return Evaluation(settings, outcomes, tuple(configs))


def require_fields(folder: Path, pairs: Sequence[Pair]) -> None:
    """Refuse a folder that lacks fields.

    Raises:
        FileReadError: Fields are missing; all of them are named.
    """
    names = list(dict.fromkeys(pair.field_name for pair in pairs))
    missing = [name for name in names if not (folder / name).is_file()]
    require_predictions(folder, missing, len(names), f"{ALL_OF_THEM} (voxbench predict lumir25)")


def _references(pair: Pair, config: EvaluationConfig, root: Path) -> dict[str, Path]:
    """The reference files that the configuration's metrics read."""
    files: dict[str, Path] = {}
    for method in config.methods:
        if method.metric == "ndv":
            files["fixed image"] = pair.image("fixed", root)
        elif method.metric in ("dice", "hd95"):
            files |= {f"{which} labels": pair.beside(which, root, "labels") for which in ("fixed", "moving")}
        elif method.metric == "tre":
            where = method.destination
            files |= {f"{which} {where}": pair.landmarks(which, root, where) for which in ("fixed", "moving")}
        elif config.masked and (mask := pair.beside("fixed", root, "masks")).exists():
            files["mask"] = mask
    return files


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
