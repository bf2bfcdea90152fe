"""The picture of a measured spine: the curved middle plane with outlines, names and heights."""

from __future__ import annotations

import io as streams
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxbench.geometry import DisplacementField, Grid, LabelMap, Volume, resample
from voxbench.geometry.spine_labels import CANAL, DISC
from voxbench.io import atomic
from voxbench.metrics.spine import Level, Outline
from voxbench.report.registration import DOTS_PER_INCH, INK, PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEP_MM = 0.5
MARGIN_MM = 25.0
BODY, BETWEEN, SAC, LINE = "#ffb347", "#56c8ff", "#7dff8a", "#ff5d3b"


def spine_picture(
    path: Path, labels: LabelMap, measured: tuple[Sequence[Level], Sequence[Outline]], image: Volume | None = None
) -> None:
    """Write the picture of a measured spine as a PNG; the front is on the left.

    The plane follows the bodies' middles from side to side, so that a curved spine is seen whole. In every body stand
    its name and the three lines along which its heights were read; numbers are at the side.

    Args:
        path: The PNG; written whole or not at all.
        labels: What was measured.
        measured: What came of it.
        image: Shown below the outlines; without it the labels' grey.

    Raises:
        FileWriteError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    levels, outlines = measured
    plane, field = _curved_plane(labels, outlines)
    drawn = resample(labels, plane, through=field).array[:, :, 0].T
    width, height = (n * STEP_MM for n in plane.shape[:2])
    inches = (6.4 * width / height + 5.6, 6.8)
    figure = Figure(figsize=inches, facecolor=PAPER, dpi=DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.01, 0.01, 6.4 * width / height / inches[0], 0.98))
    axes.set_axis_off()
    axes.imshow(_grey(image, plane, field, drawn), cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
    for label in np.unique(drawn[drawn > 0]):
        colour = SAC if label == CANAL else BETWEEN if label > DISC else BODY
        axes.contour(drawn == label, [0.5], colors=colour, linewidths=0.8)
    for level, outline in zip(levels, outlines, strict=True):
        _heights(axes, plane, level, outline)
    _numbers(figure.add_axes((6.4 * width / height / inches[0] + 0.01, 0.02, 5.4 / inches[0], 0.95)), levels)
    picture = streams.BytesIO()
    canvas.print_png(picture, metadata={"Software": "voxbench", "Title": path.stem})
    with atomic(path) as temporary:
        temporary.write_bytes(picture.getvalue())


def _curved_plane(labels: LabelMap, outlines: Sequence[Outline]) -> tuple[Grid, DisplacementField]:
    """A plane seen from the side, front on the left, and how far each row lies to the side of it."""
    world = labels.grid.world_from_voxel(np.argwhere(labels.array > 0).astype(np.float64))
    low, high = world.min(axis=0) - MARGIN_MM, world.max(axis=0) + MARGIN_MM
    ends = labels.grid.corners
    low, high = np.maximum(low, ends.min(axis=0)), np.minimum(high, ends.max(axis=0))
    columns, rows = (int((high[a] - low[a]) / STEP_MM) + 1 for a in (1, 2))
    direction = np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]])
    origin = np.array([0.0, high[1], high[2]])
    grid = Grid.from_parts((columns, rows, 1), (STEP_MM, STEP_MM, STEP_MM), origin, direction)
    centres = np.array([outline.frame.centre for outline in outlines])
    order = np.argsort(centres[:, 2])
    aside = np.interp(high[2] - STEP_MM * np.arange(rows), centres[order, 2], centres[order, 0])
    field = np.zeros((columns, rows, 1, 3), np.float32)
    field[..., 0] = aside[None, :, None]
    return grid, DisplacementField(field, grid)


def _grey(image: Volume | None, plane: Grid, field: DisplacementField, drawn: np.ndarray) -> np.ndarray:
    """Grey values from 0 to 1, rows down the page."""
    if image is None:
        return np.where(drawn > 0, 0.45, 0.12)
    shown = resample(Volume(image.array.astype(np.float32), image.grid), plane, through=field).array[:, :, 0].T
    low, high = np.percentile(shown, (1, 99.5))
    return np.clip((shown - low) / max(float(high - low), 1e-6), 0, 1)


def _heights(axes: Axes, plane: Grid, level: Level, outline: Outline) -> None:
    """The name, and the lines along which heights were read."""

    def pixel(y: float, z: float) -> np.ndarray:
        place = outline.point(y, z)
        return (np.array([plane.origin[1] - place[1], plane.origin[2] - place[2]])) / STEP_MM

    for y, top, bottom in zip(outline.places, outline.upper, outline.lower, strict=True):
        ends = np.array([pixel(y, top), pixel(y, bottom)])
        axes.plot(ends[:, 0], ends[:, 1], color=LINE, linewidth=1.2, solid_capstyle="butt")
    name = level.name if level.complete else f"({level.name})"
    x, y = pixel((outline.front + outline.back) / 2 + 5, 0.0)
    axes.text(x, y, name, color=INK, fontsize=10, ha="center", va="center", weight="bold")


def _numbers(axes: Axes, levels: Sequence[Level]) -> None:
    """A table, from above."""
    axes.set_axis_off()
    head = ("", "heights a / m / p", "wedge", "disc below a / m / p", "slip", "canal")
    rows = [
        (
            level.name,
            _joined(level.anterior_height, level.middle_height, level.posterior_height),
            _one(level.wedge, "°"),
            _joined(level.disc_anterior_height, level.disc_middle_height, level.disc_posterior_height),
            _one(level.slip),
            "-" if np.isnan(level.canal_area) else f"{level.canal_depth:.1f} mm, {level.canal_area:.0f} mm²",
        )
        for level in sorted(levels, key=lambda one: -one.number)
    ]
    places = (0.0, 0.1, 0.35, 0.46, 0.71, 0.80)
    for row, cells in enumerate([head, *rows]):
        for x, cell in zip(places, cells, strict=True):
            axes.text(x, 0.97 - row * 0.06, cell, color=INK, fontsize=7.2, va="top", transform=axes.transAxes)
    note = "mm. a, m, p: at 15, 50, 85 % of the depth from the front. Canal at the level of the disc below.\n"
    note += "Names count from L5 = 1; () cut by the field of view."
    axes.text(0, 0.03, note, color=INK, fontsize=6.8, va="bottom", transform=axes.transAxes)


def _joined(*values: float) -> str:
    return "-" if all(np.isnan(value) for value in values) else " / ".join(f"{value:.1f}" for value in values)


def _one(value: float, unit: str = "") -> str:
    return "-" if np.isnan(value) else f"{value:.1f}{unit}"
