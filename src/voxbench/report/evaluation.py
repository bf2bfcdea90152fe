"""The report of evaluations: what was scored, how well, how far that is known, what went wrong where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from voxbench.errors import InputError
from voxbench.report.html import Picture, Table, Value
from voxbench.report.measures import Measure, by_quantity, headline
from voxbench.report.numbers import ReportSettings, at_a_glance, difference_tables, interval_words, number_tables
from voxbench.report.scored import Scored
from voxbench.report.strips import Strips, strips_of
from voxbench.report.troubles import FAILED, LOST, MISSING, NOTED, Trouble

FAR = 3.5
"""A value this many robust standard deviations from the median, on the worse side, is named."""
TITLES = {"lnq2023": "LNQ 2023", "lumbarsr": "LumbarSR", "lumir25": "LUMIR25", "spider": "SPIDER", "ssrkd": "SSR-KD"}


@dataclass(frozen=True)
class CaseRow:
    """A case in the list of what went wrong.

    Attributes:
        case: Its name.
        weight: Of its worst trouble; one above `NOTED` if there is none.
        wrong: What went wrong, in words.
        values: Of the quantities that cases are judged by.
    """

    case: str
    weight: int
    wrong: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class RunCases:
    """The cases of one run, worst first.

    Attributes:
        name: Of the run.
        columns: Quantities that cases are judged by.
        rows: The cases.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[CaseRow, ...]


@dataclass(frozen=True)
class CasePictures:
    """What is shown of one case.

    Attributes:
        case: Its name.
        wrong: What went wrong.
        pictures: From above.
        note: Why there are none, or fewer.
        run: Of which run, where there are several.
    """

    case: str
    wrong: str
    pictures: tuple[Picture, ...] = ()
    note: str = ""
    run: str = ""


@dataclass(frozen=True)
class EvaluationPage:
    """What the report of evaluations says, from top to bottom.

    Attributes:
        title: The heading.
        summary: Sentences under it.
        glance: The few numbers that cases are judged by.
        numbers: All quantities, the organisers' first.
        differences: Every later run against the first, case by case.
        strips: Where the values lie.
        fine_strips: The same by structure.
        runs: Cases of each run, worst first.
        names: Of the runs.
        pictures: Of chosen cases.
        made: Settings, versions, seeds.
        interval: How intervals were found.
    """

    title: str
    summary: tuple[str, ...]
    glance: Table
    numbers: tuple[Table, ...]
    differences: tuple[Table, ...]
    strips: tuple[Strips, ...]
    fine_strips: tuple[Strips, ...]
    runs: tuple[RunCases, ...]
    names: tuple[str, ...]
    made: tuple[Table, ...]
    interval: str
    pictures: tuple[CasePictures, ...] = field(default=())


def evaluation_page(runs: Sequence[Scored], settings: ReportSettings = ReportSettings()) -> EvaluationPage:
    """The page of one evaluation, or of several side by side.

    Raises:
        InputError: They are of different challenges, or two have one name.
    """
    _require_alike(runs)
    challenge = TITLES.get(runs[0].challenge, runs[0].challenge)
    names = tuple(run.name for run in runs)
    cases = tuple(_cases(run) for run in runs)
    return EvaluationPage(
        title=f"{challenge}: {', '.join(names)}",
        summary=tuple(_sentence(run, own) for run, own in zip(runs, cases, strict=True)),
        glance=at_a_glance(runs, settings),
        numbers=tuple(number_tables(runs, settings)),
        differences=tuple(difference_tables(runs, settings)),
        strips=tuple(_strips([(run.name, run.measures) for run in runs])),
        fine_strips=tuple(_strips([(run.name, run.details) for run in runs])),
        runs=cases,
        names=names,
        made=tuple(_made(runs, settings)),
        interval=interval_words(runs[0].challenge, settings),
    )


def worst_cases(runs: RunCases, count: int) -> tuple[str, ...]:
    """The cases to look at first."""
    return tuple(row.case for row in runs.rows[:count])


def _require_alike(runs: Sequence[Scored]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if run.challenge != first.challenge:
            raise InputError(
                "runs of two challenges cannot stand side by side\n"
                f"  {first.name}  {first.challenge}\n  {run.name}  {run.challenge}"
            )
    names = [run.name for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"runs of one name: {', '.join(twice)}\n  give them names of their own: NAME=FOLDER")


def _sentence(run: Scored, cases: RunCases) -> str:
    """What a reader should know first."""
    weights = [row.weight for row in cases.rows]
    parts = [f"{run.name}: {run.counted}."]
    failed, missing, lost = (sum(w == weight for w in weights) for weight in (FAILED, MISSING, LOST))
    if failed:
        parts.append(f"{_counted(failed)} could not be scored and {'is' if failed == 1 else 'are'} in no number below.")
    if missing:
        parts.append(f"{_counted(missing)} got the worst values for want of a usable prediction.")
    if lost:
        parts.append(f"In {_counted(lost)} something was missed or invented.")
    return " ".join(parts)


def _counted(count: int) -> str:
    return f"{count} case{'s' * (count != 1)}"


def _strips(runs: Sequence[tuple[str, Sequence[Measure]]]) -> Iterator[Strips]:
    groups = [(name, by_quantity(measures)) for name, measures in runs]
    for quantity in dict.fromkeys(quantity for _, own in groups for quantity in own):
        there = [(name, own[quantity]) for name, own in groups if quantity in own]
        if any(np.isfinite(measure.defined).any() for _, own in there for measure in own):
            yield strips_of(there)


def _cases(run: Scored) -> RunCases:
    """Worst first: what could not be scored, what lacks a prediction, what was missed, then by rank."""
    judged = headline(run.challenge, run.measures)
    ranks = _mean_ranks(judged, run.cases)
    rows = []
    for case in run.cases:
        troubles = run.troubles.get(case, ())
        weight = min((trouble.weight for trouble in troubles), default=NOTED + 1)
        wrong = [trouble.said for trouble in troubles]
        if weight > MISSING:
            wrong += _far(judged, case)
        values = tuple(measure.values.get(case, "") for measure in judged)
        rows.append(
            (
                min(weight, NOTED),
                -_count(troubles, weight),
                ranks[case],
                CaseRow(case, weight, "; ".join(wrong), values),
            )
        )
    rows.sort(key=lambda row: row[:3])
    columns = tuple(_column(measure) for measure in judged)
    return RunCases(run.name, columns, tuple(row[3] for row in rows))


def _count(troubles: Sequence[Trouble], weight: int) -> int:
    """How much was lost; what is only noted does not move a case."""
    return sum(trouble.count for trouble in troubles if trouble.weight == weight) if weight < NOTED else 0


def _column(measure: Measure) -> str:
    """Quantity, structure and unit."""
    of = "" if measure.structure == "all" else f", {measure.structure}"
    return f"{measure.quantity}{of}" + (f", {measure.unit}" if measure.unit else "")


def _mean_ranks(measures: Sequence[Measure], cases: Sequence[str]) -> Mapping[str, float]:
    """Mean over the measures of the share of cases that are worse; undefined counts as worst."""
    from scipy.stats import rankdata

    total = np.zeros(len(cases))
    for measure in measures:
        sign = 1.0 if measure.better == "higher" else -1.0
        values = np.array([sign * measure.values.get(case, np.nan) for case in cases], np.float64)
        total += rankdata(np.where(np.isnan(values), -np.inf, values)) / len(cases)
    return dict(zip(cases, total.tolist(), strict=True))


def _far(measures: Sequence[Measure], case: str) -> list[str]:
    """Values that stand out on the worse side."""
    said = []
    for measure in measures:
        finite = measure.defined[np.isfinite(measure.defined)]
        value = measure.values.get(case, float("nan"))
        if finite.size < 5 or np.isnan(value):
            continue
        median = float(np.median(finite))
        spread = 1.4826 * float(np.median(np.abs(finite - median)))
        off = (median - value) if measure.better == "higher" else (value - median)
        if spread > 0 and off > FAR * spread:
            said.append(f"{_column(measure)}: {value:.3g}, far from the median {median:.3g}")
    return said


def _made(runs: Sequence[Scored], settings: ReportSettings) -> Iterator[Table]:
    """Settings, versions, seeds."""
    for run in runs:
        rows: list[Sequence[Any]] = [*run.versions.items(), *run.settings.items()]
        yield Table(f"How {run.name} was scored", ["Setting", "Value"], [[name, str(value)] for name, value in rows])
    rows = [[name, str(value)] for name, value in settings.model_dump().items()]
    yield Table("How this report counts", ["Setting", "Value"], rows)
