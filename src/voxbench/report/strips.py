"""Where the values of a quantity lie: a row of dots and a box per structure and run, drawn as SVG by the template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from voxbench.report.measures import Measure

WIDTH = 985
LEFT, RIGHT = 210, 215
ROW, ROW_OF_MANY, TOP, BOTTOM = 30, 20, 12, 46
DOT = 3.2
FEWEST = 5
"""Of fewer values quartiles say nothing."""
LANES = (0, 1, -1, 2, -2)
"""Dots that would cover each other are put beside each other, at most this many."""
SHAPES = ("circle", "square", "triangle", "diamond")


@dataclass(frozen=True)
class Dot:
    """A case (or several in one place).

    Attributes:
        x: Across, pixels.
        y: Down, pixels.
        said: What it is: name and value.
    """

    x: float
    y: float
    said: str


@dataclass(frozen=True)
class Box:
    """Quartiles, median, and the values that are no more than 1.5 interquartile ranges off, pixels."""

    low: float
    first: float
    median: float
    third: float
    high: float


@dataclass(frozen=True)
class Strip:
    """One row.

    Attributes:
        label: The structure; empty in the second and later rows of it.
        series: Number of the run.
        y: Of its middle.
        dots: The values that are finite.
        box: None if there are fewer than five.
        note: Median, and how many values cannot be shown.
    """

    label: str
    series: int
    y: float
    dots: tuple[Dot, ...]
    box: Box | None
    note: str


@dataclass(frozen=True)
class Strips:
    """All rows of one quantity.

    Attributes:
        title: The quantity and its unit.
        alt: What it shows, in words.
        height: Pixels.
        strips: From above.
        ticks: Place and text along the axis.
        better: Which way is better.
    """

    title: str
    alt: str
    height: float
    strips: tuple[Strip, ...]
    ticks: tuple[tuple[float, str], ...]
    better: str

    width = WIDTH
    left = LEFT
    right = WIDTH - RIGHT
    bottom = BOTTOM


def strips_of(runs: Sequence[tuple[str, Sequence[Measure]]]) -> Strips:
    """One quantity of several runs.

    Args:
        runs: Name and measures, of one quantity, of each; the structures may differ.
    """
    first = runs[0][1][0]
    by_run = [{measure.structure: measure for measure in measures} for _, measures in runs]
    structures = list(dict.fromkeys(name for own in by_run for name in own))
    low, high, ticks = _axis(np.concatenate([m.defined for own in by_run for m in own.values()]))
    row = ROW if len(runs) == 1 else ROW_OF_MANY
    strips: list[Strip] = []
    y = float(TOP)
    for structure in structures:
        for series, own in enumerate(by_run):
            if structure in own:
                label = structure if not series or structure not in by_run[0] else ""
                strips.append(_strip(own[structure], (label, series), y + row / 2, (low, high)))
            y += row
        y += 6 if len(runs) > 1 else 0
    title = f"{first.quantity}, {first.unit}" if first.unit else first.quantity
    said = "; ".join(
        f"{name}, {structure}: {_spoken(own[structure])}"
        for (name, _), own in zip(runs, by_run, strict=True)
        for structure in structures[:20]
        if structure in own
    )
    more = f"; and {len(structures) - 20} more structures" if len(structures) > 20 else ""
    places = tuple((_place(value, low, high), text) for value, text in ticks)
    return Strips(title, f"{title}. {said}{more}", y + BOTTOM, tuple(strips), places, first.better)


def _strip(measure: Measure, about: tuple[str, int], y: float, limits: tuple[float, float]) -> Strip:
    values = {name: value for name, value in measure.values.items() if np.isfinite(value)}
    numbers = np.array(list(values.values()), np.float64)
    dots = _dots(values, measure.unit, y, limits)
    box = _box(numbers, limits) if numbers.size >= FEWEST else None
    return Strip(about[0], about[1], y, dots, box, _note(measure))


def _dots(values: Mapping[str, float], unit: str, y: float, limits: tuple[float, float]) -> tuple[Dot, ...]:
    """Side by side where they would cover each other; where there is no room left, as one."""
    taken: dict[tuple[int, int], list[tuple[float, str]]] = {}
    for name, value in sorted(values.items(), key=lambda item: item[1]):
        x = _place(value, *limits)
        column = round(x / (2 * DOT))
        lane = next((n for n in range(len(LANES)) if (column, n) not in taken), len(LANES) - 1)
        taken.setdefault((column, lane), []).append((x, f"{name}: {value:.4g} {unit}".rstrip()))
    return tuple(
        Dot(round(here[0][0], 1), round(y + LANES[lane] * DOT * 1.1, 1), _together([said for _, said in here]))
        for (_, lane), here in taken.items()
    )


def _together(said: Sequence[str]) -> str:
    return "\n".join(said[:6]) + (f"\nand {len(said) - 6} more" if len(said) > 6 else "")


def _box(numbers: np.ndarray, limits: tuple[float, float]) -> Box:
    first, median, third = (float(v) for v in np.percentile(numbers, (25, 50, 75)))
    reach = 1.5 * (third - first)
    within = numbers[(numbers >= first - reach) & (numbers <= third + reach)]
    ends = float(within.min()), float(within.max())
    places = [round(_place(v, *limits), 1) for v in (ends[0], first, median, third, ends[1])]
    return Box(*places)


def _note(measure: Measure) -> str:
    """Beside the row."""
    defined = measure.defined
    undefined, infinite = len(measure.values) - defined.size, int(np.isinf(defined).sum())
    parts = [f"median {np.median(defined):.3g}" if defined.size else "none defined"]
    parts += [f"{infinite} infinite"] if infinite else []
    parts += [f"{undefined} undefined"] if undefined else []
    return ", ".join(parts)


def _spoken(measure: Measure) -> str:
    defined = measure.defined
    if not defined.size:
        return "no value defined"
    return f"{defined.size} values from {defined.min():.3g} to {defined.max():.3g}, median {np.median(defined):.3g}"


def _axis(values: np.ndarray) -> tuple[float, float, list[tuple[float, str]]]:
    """Ends of the axis at round numbers, and the ticks between them."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if high - low < 1e-9 * max(1.0, abs(high)):
        room = abs(high) * 0.05 or 0.5
        low, high = low - room, high + room
    rough = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999))
    start, stop = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    numbers = [float(n * step) for n in np.arange(start, stop + 0.5)]
    return numbers[0], numbers[-1], [(number, f"{number:.6g}") for number in numbers]


def _place(value: float, low: float, high: float) -> float:
    """Across the page, pixels."""
    return LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low)
