"""The picture of a registration: three planes, before and after, the deformed grid, the local volume change."""

from __future__ import annotations

import io as streams
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxbench import _core
from voxbench.geometry import DisplacementField, Volume, require_same_grid
from voxbench.io import atomic
from voxbench.report.planes import PLANES, Box, Plane, cut, cut_points, foreground, window, window_inside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

INK, PAPER, GRID_COLOUR, FOLD_COLOUR = "#f2f2f2", "#101214", "#ffd24a", "#ff2bd6"
PANEL_INCHES = 2.3
DOTS_PER_INCH = 110
GRID_LINES = 20
CHECKS = 8

Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""One image per plane, in the order of PLANES."""


@dataclass(frozen=True, eq=False)
class _Cuts:
    """Everything the picture shows, cut along the planes; images are grey values from 0 to 1."""

    box: Box
    fixed: Rows
    moving: Rows
    warped: Rows
    points: tuple[tuple[np.ndarray, np.ndarray], ...]
    jacobian: Rows
    outline: Rows
    folded: int
    voxels: int
    strongest: float


def overview(
    path: Path, fixed: Volume, moving: Volume, warped: Volume, displacement: DisplacementField, title: str
) -> None:
    """Write the picture of a registration as a PNG.

    Three rows (axial, coronal, sagittal; radiological convention, square pixels) by seven columns: the fixed image; the
    moving image as it lay before, and after; checkerboards of fixed and moving before and after; straight lines of the
    moving space as they lie in the fixed one; the Jacobian determinant, with the number of folded voxels.

    Args:
        path: The PNG; written whole or not at all.
        fixed: The fixed image.
        moving: The moving image, on its own grid.
        warped: The moving image on the fixed grid.
        displacement: The field that warped it, on the fixed grid.
        title: One line above the picture.

    Raises:
        GridMismatchError: ``warped`` or ``displacement`` does not lie on the fixed grid.
        EmptyShapeError: An image is constant.
        FileWriteError: The file cannot be written.
    """
    with atomic(path) as temporary:
        temporary.write_bytes(overview_png(fixed, moving, warped, displacement, title))


def overview_png(fixed: Volume, moving: Volume, warped: Volume, displacement: DisplacementField, title: str) -> bytes:
    """The picture of :func:`overview` as the bytes of a PNG; same arguments and errors."""
    require_same_grid(fixed.grid, warped.grid, ("fixed image", "warped image"))
    require_same_grid(fixed.grid, displacement.grid, ("fixed image", "displacement field"))
    return _drawn(_cuts(fixed, moving, warped, displacement), title)


def _cuts(fixed: Volume, moving: Volume, warped: Volume, displacement: DisplacementField) -> _Cuts:
    """Cut everything along the planes."""
    box = Box.around(fixed)
    jacobian = _core.jacobian_determinant(displacement.in_voxels())
    object_ = Volume(foreground(fixed).astype(np.float32), fixed.grid)
    inside = np.maximum(jacobian[object_.array > 0], 0.05)
    change = np.abs(np.log(np.percentile(inside, (0.5, 99.5))))
    grids = [box.grid(plane) for plane in PLANES]
    grey = window_inside(warped, object_.array > 0) or window(moving)
    return _Cuts(
        box=box,
        fixed=_grey(fixed, box, window(fixed)),
        moving=_grey(moving, box, grey),
        warped=_grey(warped, box, grey),
        points=tuple(
            (cut_points(displacement, grid, plane.across), cut_points(displacement, grid, plane.down))
            for plane, grid in zip(PLANES, grids, strict=True)
        ),
        jacobian=_each(lambda plane: cut(Volume(jacobian, displacement.grid), box.grid(plane))),
        outline=_each(lambda plane: cut(object_, box.grid(plane))),
        folded=int((jacobian <= 0).sum()),
        voxels=jacobian.size,
        strongest=float(np.clip(np.exp(change.max()), 1.25, 4.0)),
    )


def _each(draw: Callable[[Plane], np.ndarray]) -> Rows:
    """One image per plane."""
    axial, coronal, sagittal = (draw(plane) for plane in PLANES)
    return axial, coronal, sagittal


def _grey(volume: Volume, box: Box, limits: tuple[float, float]) -> Rows:
    """The planes of a volume as grey values from 0 to 1; NaN outside it."""
    low, high = limits
    return _each(lambda plane: np.clip((cut(volume, box.grid(plane)) - low) / (high - low), 0.0, 1.0))


def _drawn(cuts: _Cuts, title: str) -> bytes:
    """Lay the panels out and render them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = _columns(cuts)
    sizes = [cuts.box.size(plane) for plane in PLANES]
    width = max(w for w, _ in sizes)
    heights = [PANEL_INCHES * h / width for _, h in sizes]
    figure = Figure(figsize=(PANEL_INCHES * len(columns) + 1.3, sum(heights) + 0.85), facecolor=PAPER)
    canvas = FigureCanvasAgg(figure)
    wide, tall = figure.get_size_inches()
    spec = figure.add_gridspec(
        3, len(columns), height_ratios=heights, left=0.4 / wide, right=1 - 0.75 / wide, top=1 - 0.7 / tall,
        bottom=0.1 / tall, wspace=0.03, hspace=0.03,
    )  # fmt: skip
    for column, (heading, paint) in enumerate(columns):
        for row, plane in enumerate(PLANES):
            axes = figure.add_subplot(spec[row, column])
            frame(axes, plane, cuts.box)
            paint(axes, row)
            if row == 0:
                axes.set_title(heading, color=INK, fontsize=9.5, pad=5, parse_math=False)
            if column == 0:
                middle = axes.get_position().y0 + axes.get_position().height / 2
                label = f"{plane.name}, {cuts.box.cut_text(plane)}"
                figure.text(0.2 / wide, middle, label, color=INK, fontsize=9.5, rotation=90, ha="center", va="center")
    scale_bar(figure.axes[0], cuts.box)
    _colour_bar(figure, cuts)
    figure.text(0.4 / wide, 1 - 0.12 / tall, title, color=INK, fontsize=12, va="top", parse_math=False)
    picture = streams.BytesIO()
    canvas.print_png(picture, metadata={"Software": "voxbench", "Title": title})
    return picture.getvalue()


def _columns(cuts: _Cuts) -> list[tuple[str, Callable[[Axes, int], None]]]:
    """Heading and painter of each column."""
    return [
        ("fixed", lambda axes, row: _paint_grey(axes, cuts.fixed[row])),
        ("moving, before", lambda axes, row: _paint_grey(axes, cuts.moving[row])),
        ("moving, after", lambda axes, row: _paint_grey(axes, cuts.warped[row])),
        ("checks, before", lambda axes, row: _paint_grey(axes, _checked(cuts.fixed[row], cuts.moving[row]))),
        ("checks, after", lambda axes, row: _paint_grey(axes, _checked(cuts.fixed[row], cuts.warped[row]))),
        (f"moving grid, {_line_step(cuts.box)} mm", lambda axes, row: _paint_lines(axes, cuts, row)),
        (_fold_heading(cuts), lambda axes, row: _paint_jacobian(axes, cuts, row)),
    ]


def _fold_heading(cuts: _Cuts) -> str:
    """The number of folded voxels, said aloud."""
    if not cuts.folded:
        return "Jacobian, no voxel folded"
    return f"Jacobian, {cuts.folded} folded ({100 * cuts.folded / cuts.voxels:.2g} %)"


def frame(axes: Axes, plane: Plane, box: Box) -> None:
    """An empty panel with the patient's directions at its edges."""
    from matplotlib.patheffects import withStroke

    grid = box.grid(plane)
    axes.set_facecolor(PAPER)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlim(-0.5, grid.shape[0] - 0.5)
    axes.set_ylim(grid.shape[1] - 0.5, -0.5)
    axes.set_aspect("equal")
    for spine in axes.spines.values():
        spine.set_visible(False)
    places = ((0.02, 0.5), (0.98, 0.5), (0.5, 0.985), (0.5, 0.015))
    alignments = (("left", "center"), ("right", "center"), ("center", "top"), ("center", "bottom"))
    for letter, (x, y), (across, down) in zip(plane.letters, places, alignments, strict=True):
        axes.text(
            x, y, letter, transform=axes.transAxes, color=INK, fontsize=8.5, fontweight="bold", zorder=9,
            ha=across, va=down, path_effects=[withStroke(linewidth=2, foreground="black")],
        )  # fmt: skip


def _paint_grey(axes: Axes, image: np.ndarray) -> None:
    """Grey values; what lies outside the image is left dark, and said where there is nothing else."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
    if not np.isfinite(image).any():
        axes.text(0.5, 0.6, "outside the image", transform=axes.transAxes, color=INK, fontsize=8, ha="center")


def _checked(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Squares of the one and the other in turn."""
    side = max(1, round(max(one.shape) / CHECKS))
    row, column = np.indices(one.shape) // side
    return np.where((row + column) % 2 == 0, one, other)


def _line_step(box: Box) -> int:
    """Distance between grid lines, mm: a round number that gives about twenty across the longest side."""
    wanted = float((box.high - box.low).max()) / GRID_LINES
    return next((step for step in (1, 2, 5, 10, 20) if step >= wanted), 50)


def _paint_lines(axes: Axes, cuts: _Cuts, row: int) -> None:
    """Where straight lines of the moving space lie in the fixed image: contours of x + u(x)."""
    axes.imshow(0.65 * cuts.fixed[row], cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
    step = _line_step(cuts.box)
    for coordinate in cuts.points[row]:
        if min(coordinate.shape) < 2 or not np.isfinite(coordinate).any():
            continue
        first, last = np.nanmin(coordinate) / step, np.nanmax(coordinate) / step
        levels = step * np.arange(np.ceil(first), np.floor(last) + 1)
        if len(levels):
            axes.contour(
                np.ma.masked_invalid(coordinate), levels, colors=GRID_COLOUR, linewidths=0.65, linestyles="solid"
            )


def _paint_jacobian(axes: Axes, cuts: _Cuts, row: int) -> None:
    """Local volume change on a logarithmic scale, folded voxels in a colour of their own."""
    from matplotlib.colors import ListedColormap

    image = cuts.jacobian[row]
    axes.imshow(np.maximum(image, 1e-3), cmap=_jacobian_colours(), norm=_jacobian_norm(cuts), interpolation="nearest")
    if np.isfinite(cuts.outline[row]).any() and min(image.shape) > 1:
        axes.contour(cuts.outline[row], [0.5], colors="#303030", linewidths=0.6)
    folded = np.ma.masked_where(~(image <= 0), np.ones_like(image))
    axes.imshow(folded, cmap=ListedColormap([FOLD_COLOUR]), interpolation="nearest")


def _jacobian_colours() -> str:
    """Blue shrinks, red grows, white keeps its volume."""
    return "RdBu_r"


def _jacobian_norm(cuts: _Cuts) -> LogNorm:
    """A logarithmic scale, symmetric about 1."""
    from matplotlib.colors import LogNorm

    return LogNorm(1 / cuts.strongest, cuts.strongest)


def scale_bar(axes: Axes, box: Box) -> None:
    """A length to measure by, at the lower right of a panel."""
    length = next((n for n in (100, 50, 20, 10, 5, 2) if n <= box.size(PLANES[0])[0] / 3), 1)
    x, y = box.grid(PLANES[0]).shape[0] * 0.97, box.grid(PLANES[0]).shape[1] * 0.965
    axes.plot([x - length / box.step, x], [y, y], color=INK, linewidth=2, solid_capstyle="butt", zorder=9)
    axes.annotate(
        f"{length} mm", (x - length / box.step / 2, y), (0, 3), textcoords="offset points", color=INK, fontsize=7.5,
        ha="center", va="bottom", zorder=9,
    )  # fmt: skip


def _colour_bar(figure: Figure, cuts: _Cuts) -> None:
    """The scale of the Jacobian at the right edge."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.ticker import FixedLocator, NullLocator

    wide = figure.get_figwidth()
    axes = figure.add_axes((1 - 0.6 / wide, 0.2, 0.12 / wide, 0.5))
    bar = figure.colorbar(ScalarMappable(_jacobian_norm(cuts), _jacobian_colours()), cax=axes)
    ticks = [cuts.strongest**power for power in (-1, -0.5, 0, 0.5, 1)]
    bar.ax.yaxis.set_major_locator(FixedLocator(ticks))
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.2g}")
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(colors=INK, labelsize=8, length=2)
    bar.ax.set_title("moving\nvolume\nper fixed\nvolume", color=INK, fontsize=7.5, pad=6)
    bar.outline.set_visible(False)
    if cuts.folded:
        figure.text(1 - 0.62 / wide, 0.15, "■ folded", color=FOLD_COLOUR, fontsize=8, va="top")
