"""The report of evaluations: what was scored, how well, how far that is known, what went wrong where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.metrics.intervals import Interval, interval_of_defined
from voxbench.report.html import Picture, Table, Value
from voxbench.report.measures import Measure, by_quantity, headline
from voxbench.report.scored import Scored
from voxbench.report.strips import Strips, strips_of
from voxbench.report.troubles import FAILED, MISSING, NOTED, Trouble

FAR = 3.5
"""A value this many robust standard deviations from the median, on the worse side, is named."""
TITLES = {"lnq2023": "LNQ 2023", "lumbarsr": "LumbarSR", "lumir25": "LUMIR25", "spider": "SPIDER", "ssrkd": "SSR-KD"}


class ReportSettings(Config):
    """How intervals are found."""

    bootstrap: int = Field(default=1000, ge=1, le=100_000, description="How often cases are drawn again.")
    seed: int = Field(default=0, ge=0, description="Of the draws.")
    level: float = Field(default=0.95, gt=0, lt=1, description="Of the intervals.")


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
    """

    case: str
    wrong: str
    pictures: tuple[Picture, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class EvaluationPage:
    """What the report of evaluations says, from top to bottom.

    Attributes:
        title: The heading.
        summary: Sentences under it.
        numbers: The quantities, the organisers' first.
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
        numbers=tuple(_numbers(runs, settings)),
        differences=tuple(_differences(runs, settings)),
        strips=tuple(_strips([(run.name, run.measures) for run in runs])),
        fine_strips=tuple(_strips([(run.name, run.details) for run in runs])),
        runs=cases,
        names=names,
        made=tuple(_made(runs, settings)),
        interval=_interval_words(runs[0].challenge, settings),
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
    failed, missing, lost = (sum(w == weight for w in weights) for weight in (FAILED, MISSING, MISSING + 1))
    if failed:
        parts.append(f"{_counted(failed)} could not be scored and {'is' if failed == 1 else 'are'} in no number below.")
    if missing:
        parts.append(f"{_counted(missing)} got the worst values for want of a usable prediction.")
    if lost:
        parts.append(f"In {_counted(lost)} something was missed or invented.")
    return " ".join(parts)


def _counted(count: int) -> str:
    return f"{count} case{'s' * (count != 1)}"


def _numbers(runs: Sequence[Scored], settings: ReportSettings) -> Iterator[Table]:
    """A row per quantity and structure; of several runs a row each."""
    columns = ["Quantity", "Structure", "Run", "Unit", "Better", "n", "Undefined", "Mean"]
    columns += [f"{100 * settings.level:g} % interval", "Median", "Least", "Most"]
    single = len(runs) == 1
    for kind, official in (("The organisers' numbers", True), ("Our numbers", False)):
        rows = []
        for key in _keys(runs):
            if key[0].endswith("(official)") is not official:
                continue
            for run in runs:
                measure = run.measure(key)
                if measure is not None:
                    row = [*_head(measure), run.name, measure.unit, measure.better, *_statistics(measure, settings)]
                    rows.append([cell for n, cell in enumerate(row) if n != 2 or not single])
        if rows:
            yield Table(kind, [name for name in columns if name != "Run" or not single], rows)


def _keys(runs: Sequence[Scored]) -> list[tuple[str, str]]:
    return list(dict.fromkeys(measure.key for run in runs for measure in run.measures))


def _head(measure: Measure) -> tuple[str, str]:
    return measure.quantity.removesuffix(" (official)"), measure.structure


def _statistics(measure: Measure, settings: ReportSettings) -> list[Value]:
    defined = measure.defined
    undefined = len(measure.values) - defined.size
    if not defined.size:
        return [0, undefined, None, "", None, None, None]
    interval = _interval(np.array(list(measure.values.values()), np.float64), settings)
    low, high = float(defined.min()), float(defined.max())
    return [defined.size, undefined, float(defined.mean()), _shown(interval), float(np.median(defined)), low, high]


def _interval(values: np.ndarray, settings: ReportSettings) -> Interval:
    return interval_of_defined(values, (settings.seed, 1), settings.level, settings.bootstrap)


def _shown(interval: Interval, sign: bool = False) -> str:
    if np.isnan(interval.low):
        return ""
    return f"{interval.low:{'+' if sign else ''}.4g} to {interval.high:{'+' if sign else ''}.4g}"


def _differences(runs: Sequence[Scored], settings: ReportSettings) -> Iterator[Table]:
    """Later runs minus the first on the cases that both have."""
    columns = ["Quantity", "Structure", "Unit", "Pairs", "Mean difference", f"{100 * settings.level:g} % interval"]
    columns += ["Median difference", "Better in", "Reading"]
    first = runs[0]
    for run in runs[1:]:
        rows = [row for key in _keys([first]) if (row := _difference(first.measure(key), run.measure(key), settings))]
        if rows:
            yield Table(f"{run.name} minus {first.name}, case by case", columns, rows)


def _difference(one: Measure | None, other: Measure | None, settings: ReportSettings) -> list[Value] | None:
    if one is None or other is None:
        return None
    pairs = [(one.values[case], other.values[case]) for case in one.values if case in other.values]
    both = np.array([pair for pair in pairs if np.isfinite(pair).all()], np.float64).reshape(-1, 2)
    if not len(both):
        return None
    change = both[:, 1] - both[:, 0]
    interval = _interval(change, settings)
    gain = change if one.better == "higher" else -change
    mean, median = float(change.mean()), float(np.median(change))
    return [
        one.quantity, one.structure, one.unit, len(both), f"{mean:+.4g}", _shown(interval, True), f"{median:+.4g}",
        f"{int((gain > 0).sum())} of {len(gain)}", _reading(interval, one.better == "higher"),
    ]  # fmt: skip


def _reading(interval: Interval, higher: bool) -> str:
    """What the interval allows to say."""
    if np.isnan(interval.low):
        return "too few pairs"
    if interval.low <= 0 <= interval.high:
        return "no difference shown"
    return "better" if (interval.low > 0) == higher else "worse"


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
        values = tuple(measure.values.get(case) for measure in judged)
        rows.append((weight, -_count(troubles, weight), ranks[case], CaseRow(case, weight, "; ".join(wrong), values)))
    rows.sort(key=lambda row: row[:3])
    columns = tuple(_column(measure) for measure in judged)
    return RunCases(run.name, columns, tuple(row[3] for row in rows))


def _count(troubles: Sequence[Trouble], weight: int) -> int:
    """How much was lost; what is only noted does not move a case."""
    return sum(trouble.count for trouble in troubles if trouble.weight == weight) if weight < NOTED else 0


def _column(measure: Measure) -> str:
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


def _interval_words(challenge: str, settings: ReportSettings) -> str:
    told = (
        f"Intervals: {100 * settings.level:g} %, of the mean, by the bootstrap (BCa), cases drawn {settings.bootstrap} "
        f"times with seed {settings.seed}. They say how far the mean would move with other cases of the same kind, not "
        "with other training runs, and are not corrected for their number; voxbench rank tests with correction."
    )
    if challenge in ("spider", "lumbarsr"):
        told += " Several cases come from one patient or sample and are drawn as if they did not: the intervals are too narrow."
    return told
