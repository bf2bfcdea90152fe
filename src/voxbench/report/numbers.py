"""The tables of a report: means with intervals, medians, and what one run does better than another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.metrics.intervals import Interval, interval_of_defined
from voxbench.report.html import Table, Value, shown
from voxbench.report.measures import OFFICIAL, Measure, headline
from voxbench.report.scored import Scored

FEWEST = 5
"""Of fewer cases the bootstrap tells too little; no interval is given."""
ALL_NUMBERS = ": all numbers"
"""How the caption of a long table ends; the page folds it up."""


class ReportSettings(Config):
    """How intervals are found."""

    bootstrap: int = Field(default=1000, ge=1, le=100_000, description="How often cases are drawn again.")
    seed: int = Field(default=0, ge=0, description="Of the draws.")
    level: float = Field(default=0.95, gt=0, lt=1, description="Of the intervals.")


def at_a_glance(runs: Sequence[Scored], settings: ReportSettings) -> Table:
    """The few numbers that cases are judged by."""
    keys = [measure.key for measure in headline(runs[0].challenge, runs[0].measures)]
    return _table("At a glance", keys, runs, settings)


def number_tables(runs: Sequence[Scored], settings: ReportSettings) -> Iterator[Table]:
    """All numbers: the organisers', then ours."""
    keys = list(dict.fromkeys(measure.key for run in runs for measure in run.measures))
    for caption, official in (("The organisers' numbers", True), ("Our numbers", False)):
        own = [key for key in keys if key[0].endswith(OFFICIAL) is official]
        if own:
            yield _table(caption, own, runs, settings)


def difference_tables(runs: Sequence[Scored], settings: ReportSettings) -> Iterator[Table]:
    """Later runs minus the first on the cases that both have: what cases are judged by, then all numbers."""
    columns = ["Quantity", "Structure", "Unit", "Pairs", "Mean difference", f"{100 * settings.level:g} % interval"]
    columns += ["Median difference", "Better in", "Reading"]
    first = runs[0]
    judged = headline(first.challenge, first.measures)
    for run in runs[1:]:
        caption = f"{run.name} minus {first.name}, case by case"
        for said, measures in ((caption, judged), (caption + ALL_NUMBERS, first.measures)):
            pairs = [(measure, run.measure(measure.key)) for measure in measures]
            rows = [row for one, other in pairs if other is not None and (row := _difference(one, other, settings))]
            if rows:
                yield Table(said, columns, rows)


def interval_words(challenge: str, settings: ReportSettings) -> str:
    """How intervals were found, and what they do not say."""
    told = (
        f"Intervals: {100 * settings.level:g} %, of the mean, by the bootstrap (BCa), cases drawn {settings.bootstrap} "
        f"times with seed {settings.seed}; none for fewer than {FEWEST} cases. They say how far the mean would move "
        "with other cases of the same kind, not with another training, and are not corrected for their number "
        "(voxbench rank tests with correction). Undefined values are left out of means and medians, and counted."
    )
    if challenge in ("spider", "lumbarsr"):
        told += " Several cases come from one patient or sample and are drawn as if they did not: intervals too narrow."
    return told


def _table(caption: str, keys: Sequence[tuple[str, str]], runs: Sequence[Scored], settings: ReportSettings) -> Table:
    """A row per quantity and structure; of one run a column per statistic, of several two columns each."""
    head = ["Quantity", "Structure", "Unit", "Better"]
    if len(runs) == 1:
        head += ["n", "Undefined", "Mean", f"{100 * settings.level:g} % interval", "Median", "Least", "Most"]
    else:
        head += [f"{run.name}: {what}" for run in runs for what in ("mean (interval)", "median; n")]
    rows = []
    for key in keys:
        found = [run.measure(key) for run in runs]
        first = next((measure for measure in found if measure is not None), None)
        if first is not None:
            cells = [cell for measure in found for cell in _cells(measure, len(runs), settings)]
            rows.append([first.quantity, first.structure, first.unit, first.better, *cells])
    return Table(caption, head, rows)


def _cells(measure: Measure | None, runs: int, settings: ReportSettings) -> list[Value]:
    """The statistics of a measure, for one run or for several."""
    if measure is None:
        return ["", ""]
    defined = measure.defined
    undefined = len(measure.values) - defined.size
    mean = float(defined.mean()) if defined.size else None
    median = float(np.median(defined)) if defined.size else None
    interval = _shown(_interval(np.array(list(measure.values.values()), np.float64), settings))
    if runs > 1:
        lost = f", {undefined} undefined" if undefined else ""
        within = f" ({interval})" if interval else ""
        return [f"{shown(mean)}{within}", f"{shown(median)}; {defined.size}{lost}"]
    ends = (float(defined.min()), float(defined.max())) if defined.size else (None, None)
    return [defined.size, undefined, mean, interval, median, *ends]


def _interval(values: np.ndarray, settings: ReportSettings) -> Interval:
    if np.count_nonzero(~np.isnan(values)) < FEWEST:
        return Interval(float("nan"), float("nan"), settings.level, "bca")
    return interval_of_defined(values, (settings.seed, 1), settings.level, settings.bootstrap)


def _shown(interval: Interval, sign: str = "") -> str:
    if np.isnan(interval.low):
        return ""
    return f"{interval.low:{sign}.4g} to {interval.high:{sign}.4g}"


def _difference(one: Measure, other: Measure, settings: ReportSettings) -> list[Value] | None:
    """Of one quantity, over the cases where both are finite; None if there are none."""
    pairs = [(one.values[case], other.values[case]) for case in one.values if case in other.values]
    both = np.array([pair for pair in pairs if np.isfinite(pair).all()], np.float64).reshape(-1, 2)
    if not len(both):
        return None
    change = both[:, 1] - both[:, 0]
    interval = _interval(change, settings)
    gain = change if one.better == "higher" else -change
    return [
        one.quantity, one.structure, one.unit, len(both), f"{change.mean():+.4g}", _shown(interval, "+"),
        f"{np.median(change):+.4g}", f"{int((gain > 0).sum())} of {len(gain)}",
        _reading(interval, one.better == "higher"),
    ]  # fmt: skip


def _reading(interval: Interval, higher: bool) -> str:
    """What the interval allows to say."""
    if np.isnan(interval.low):
        return "too few pairs"
    if interval.low <= 0 <= interval.high:
        return "no difference shown"
    return "better" if (interval.low > 0) == higher else "worse"
