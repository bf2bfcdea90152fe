"""The table of per-case values in every scores.json: written by the evaluations, read to rank them.

Under the key ``table``: for each metric its ``unit``, which way it is ``better`` ("higher" or "lower"), and its
``values``, a number for each case that has the metric. NaN says that it is undefined for the case; a case that was not
asked for the metric (LUMIR25 has landmarks in some pairs only) is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.errors import FileReadError, InputError
from voxbench.io import read_json
from voxbench.metrics.scores import MethodScores, Metric, better_of

FILE = "scores.json"
SHOWN = 10
Table = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """What one evaluation found.

    Attributes:
        name: How it is shown.
        path: Its scores.json.
        challenge: Which challenge it is of.
        metrics: What was measured, by name.
        values: Metric, case, value.
    """

    name: str
    path: Path
    challenge: str
    metrics: Mapping[str, Metric]
    values: Mapping[str, Mapping[str, float]]


def score_table(metrics: Sequence[Metric], cases: Mapping[str, Mapping[str, object]]) -> Table:
    """The content of scores.json's ``table``.

    Args:
        metrics: What to take from each case, e.g. ``Metric("assd", "lower", "mm")``.
        cases: By the case's key, its values by the metrics' names; other entries are left alone, a metric that a case
            does not have is not listed for it.

    Raises:
        InputError: A value is not a number, or no case has a metric.
    """
    table: Table = {}
    for metric in metrics:
        values = {key: values[metric.name] for key, values in cases.items() if metric.name in values}
        if not values:
            raise InputError(f"{metric.name}: no case has this metric")
        numbers = {key: _number(value, f"{metric.name}: {key}") for key, value in values.items()}
        table[metric.name] = {"unit": metric.unit, "better": metric.better, "values": numbers}
    return table


def read_run(folder: Path, name: str = "") -> Run:
    """Read the table of an evaluation.

    Args:
        folder: What ``voxbench evaluate --out`` wrote.
        name: How to show it; the folder's name if not given.

    Raises:
        FileReadError: There is no scores.json, or it holds no table of this form.
    """
    path = folder / FILE
    if not folder.is_dir():
        raise FileReadError(f"{folder}: not a folder\n  name the --out folder of a voxbench evaluate")
    if not path.is_file():
        raise FileReadError(f"{folder}: holds no {FILE}\n  name the --out folder of a voxbench evaluate")
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("challenge"), str):
        raise FileReadError(f"{path}: does not say of which challenge it is (key 'challenge')")
    table = content.get("table")
    if not isinstance(table, dict) or not table:
        raise FileReadError(f"{path}: has no per-case values (key 'table'); evaluate again with this version")
    try:
        entries = {metric: _entry(metric, entry) for metric, entry in table.items()}
    except InputError as error:
        raise FileReadError(f"{path}: {error}") from error
    metrics = {name: metric for name, (metric, _) in entries.items()}
    values = {name: numbers for name, (_, numbers) in entries.items()}
    return Run(name or folder.resolve().name, path, content["challenge"], metrics, values)


def comparable(runs: Sequence[Run], names: Sequence[str] = ()) -> tuple[MethodScores, ...]:
    """What is the same quantity on the same cases in all runs.

    Args:
        runs: Two or more.
        names: The metrics wanted; all of the first run if empty.

    Raises:
        InputError: Runs of different challenges or cases, two of one name, or a metric that one of them lacks.
    """
    first = runs[0]
    shown = [run.name for run in runs]
    for run in runs[1:]:
        if run.challenge != first.challenge:
            raise InputError(
                f"runs of two challenges cannot be ranked together\n"
                f"  {first.name}  {first.challenge}\n  {run.name}  {run.challenge}"
            )
    if len(set(shown)) != len(shown):
        twice = sorted({name for name in shown if shown.count(name) > 1})
        raise InputError(f"runs of one name: {', '.join(twice)}\n  give them names of their own: NAME=FOLDER")
    wanted = tuple(dict.fromkeys(names)) or tuple(first.metrics)
    return tuple(_merged(runs, name) for name in wanted)


def _merged(runs: Sequence[Run], name: str) -> MethodScores:
    """One metric of all runs."""
    first = runs[0]
    for run in runs:
        if name not in run.metrics:
            raise InputError(f"{run.name}: has no metric {name}\n  it has {', '.join(run.metrics)}")
    for run in runs[1:]:
        if run.metrics[name] != first.metrics[name]:
            told = "\n".join(f"  {r.name}  {r.metrics[name]}, {r.metrics[name].better} is better" for r in (first, run))
            raise InputError(f"{name}: not the same quantity in two runs\n{told}")
        _require_same_cases(name, first, run)
    cases = tuple(first.values[name])
    values = np.array([[run.values[name][case] for case in cases] for run in runs], np.float64)
    return MethodScores(first.metrics[name], tuple(run.name for run in runs), cases, values)


def _require_same_cases(name: str, first: Run, other: Run) -> None:
    """Refuse a case that only one of two has."""
    ours, theirs = first.values[name], other.values[name]
    lacking = [
        f"  {run.name} lacks {_listed(missing)}"
        for run, missing in (
            (first, [c for c in theirs if c not in ours]),
            (other, [c for c in ours if c not in theirs]),
        )
        if missing
    ]
    if lacking:
        raise InputError(
            f"{name}: {first.name} and {other.name} were scored on different cases\n"
            + "\n".join(lacking)
            + "\n  score all cases of both (voxbench evaluate --allow-missing gives the worst values)"
        )


def _listed(keys: Iterable[str]) -> str:
    """Keys for a message; a long list is cut."""
    keys = sorted(keys)
    rest = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return f"{len(keys)}: {', '.join(keys[:SHOWN])}{rest}"


def _entry(name: str, entry: object) -> tuple[Metric, dict[str, float]]:
    """One metric of a table that was read."""
    if not isinstance(entry, dict) or not isinstance(entry.get("values"), dict) or not entry["values"]:
        raise InputError(f"table: {name}: has no values")
    metric = Metric(name, better_of(entry.get("better"), f"table: {name}"), str(entry.get("unit", "")))
    return metric, {key: _number(value, f"table: {name}: {key}") for key, value in entry["values"].items()}


def _number(value: object, where: str) -> float:
    """A value as a number; NaN and infinities are numbers here, truth values are not."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise InputError(f"{where}: {value!r} is not a number")
    return float(value)
