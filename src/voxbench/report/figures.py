"""Dark figures and their bytes: what the pictures of cases share."""

from __future__ import annotations

import io as streams
from typing import TYPE_CHECKING

import numpy as np

from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.report.planes import PLANES, Box, Plane, cut, window
from voxbench.report.registration import DOTS_PER_INCH, INK, PAPER, frame, scale_bar
from voxbench.types import AnyArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REFERENCE, PREDICTION, CONFUSED = "#ffb000", "#56c8ff", "#ff5ad1"
"""Amber, sky and magenta: told apart by the colour-blind, and on grey."""
SIDE_INCHES = 3.9
HEAD_INCHES, FOOT_INCHES = 0.42, 0.34


def dark_figure(width: float, height: float) -> Figure:
    """A figure of inches on the paper of all pictures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor=PAPER, dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    return figure


def png_of(figure: Figure, title: str) -> bytes:
    """The bytes of the figure as PNG."""
    picture = streams.BytesIO()
    figure.canvas.print_png(picture, metadata={"Software": "voxbench", "Title": title})  # pyright: ignore[reportAttributeAccessIssue]
    return picture.getvalue()


def plane_panels(box: Box, rows: int, title: str) -> tuple[Figure, list[list[Axes]]]:
    """Rows of three planes, as large as the box makes them, with directions, a scale and where they are cut."""
    from matplotlib.patheffects import withStroke

    sizes = [box.size(plane) for plane in PLANES]
    widths, tallest = [w for w, _ in sizes], max(h for _, h in sizes)
    inches = SIDE_INCHES * len(PLANES)
    row = min(inches * tallest / sum(widths), 7.5)
    height = rows * row + HEAD_INCHES + FOOT_INCHES
    figure = dark_figure(inches, height)
    spec = figure.add_gridspec(
        rows, 3, width_ratios=widths, left=0.004, right=0.996, bottom=FOOT_INCHES / height,
        top=1 - HEAD_INCHES / height, wspace=0.015, hspace=0.015,
    )  # fmt: skip
    panels = [[figure.add_subplot(spec[r, c]) for c in range(3)] for r in range(rows)]
    for r, own in enumerate(panels):
        for axes, plane in zip(own, PLANES, strict=True):
            frame(axes, plane, box)
            if r == 0:
                said = f"{plane.name}, {box.cut_text(plane)}"
                axes.text(
                    0.02, 0.02, said, transform=axes.transAxes, color=INK, fontsize=8.5, zorder=9,
                    path_effects=[withStroke(linewidth=2, foreground="black")],
                )  # fmt: skip
    scale_bar(panels[0][0], box)
    figure.text(0.006, 1 - 0.1 / height, title, color=INK, fontsize=11, va="top", parse_math=False)
    return figure, panels


def legend(figure: Figure, entries: dict[str, str]) -> None:
    """Words in their colours along the foot, each with a patch."""
    x = 0.006
    height = figure.get_figheight()
    for word, colour in entries.items():
        figure.text(x, 0.09 / height, "■ ", color=colour, fontsize=10, va="bottom")
        figure.text(x + 0.014, 0.09 / height, word, color=INK, fontsize=9.5, va="bottom", parse_math=False)
        x += 0.03 + 0.0078 * len(word)


def grey_planes(image: Volume | None, box: Box) -> list[np.ndarray]:
    """The three planes of an image from 0 to 1; without one a plain dark."""
    if image is None:
        return [np.full(box.grid(plane).shape[1::-1], 0.12) for plane in PLANES]
    low, high = window(image)
    return [np.nan_to_num(np.clip((cut(image, box.grid(p)) - low) / (high - low), 0, 1)) for p in PLANES]


def label_plane(labels: LabelMap, box: Box, plane: Plane) -> np.ndarray:
    """A plane of label ids, rows down the page."""
    from voxbench.geometry import resample

    return resample(labels, box.grid(plane)).array[:, :, 0].T


def box_of(inside: AnyArray, grid: Grid, margin_mm: float, cut_mm: np.ndarray | None = None) -> Box:
    """The box of what is marked and a margin, within the grid; all of the grid if nothing is."""
    ends = grid.corners
    low, high = ends.min(axis=0), ends.max(axis=0)
    places = [np.flatnonzero(inside.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    if all(place.size for place in places):
        corner = np.array(np.meshgrid(*[place[[0, -1]] for place in places], indexing="ij"), float).reshape(3, -1).T
        world = grid.world_from_voxel(corner)
        low = np.maximum(low, world.min(axis=0) - margin_mm)
        high = np.minimum(high, world.max(axis=0) + margin_mm)
    middle = (low + high) / 2 if cut_mm is None else np.clip(cut_mm, low, high)
    step = max(float(grid.spacing.min()), float((high - low).max()) / 700)
    return Box(low, high, middle, step)


def fullest_cut(marked: AnyArray, grid: Grid) -> np.ndarray | None:
    """Along each world axis the place where a plane meets most marked voxels; None if none is marked."""
    index = np.argwhere(marked)
    if not len(index):
        return None
    if len(index) > 200_000:
        index = index[:: len(index) // 200_000 + 1]
    world = grid.world_from_voxel(index.astype(np.float64))
    found = np.empty(3)
    step = float(grid.spacing.max())
    for axis in range(3):
        bins = np.rint(world[:, axis] / step).astype(np.int64)
        numbers, counts = np.unique(bins, return_counts=True)
        found[axis] = float(np.median(world[bins == numbers[counts.argmax()], axis]))
    return found
