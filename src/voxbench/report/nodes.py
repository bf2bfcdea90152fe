"""Pictures of nodes: each in the slice it is largest in with its axes as a radiologist draws them; all of a case."""

from __future__ import annotations

import io as streams
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxbench.geometry import Grid, Volume
from voxbench.geometry.grid import world_axis_of_voxel_axis
from voxbench.io import atomic
from voxbench.metrics.node_list import ListedNode, NodeList
from voxbench.report.planes import PLANES, Box, cut
from voxbench.report.registration import DOTS_PER_INCH, INK, PAPER, frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONG, SHORT, NODES = "#ffd166", "#4cc9f0", "#ff5d3b"
PANEL_INCHES = 5.0
MARGIN_MM = 25.0
SMALLEST_MM = 80.0
WINDOW = (-160.0, 240.0)
"""Of the mediastinum, HU: centre 40, width 400."""


@dataclass(frozen=True)
class _Slice:
    """One axial slice on the page: which voxel axes run across and down, and whether they are turned round."""

    grid: Grid
    index: int

    @property
    def axes(self) -> tuple[int, int, int]:
        """The voxel axes nearest to right-left, front-back and up-down."""
        world = world_axis_of_voxel_axis(self.grid.direction)
        return world.index(0), world.index(1), world.index(2)

    def page(self, array: np.ndarray) -> np.ndarray:
        """Rows down the page from front to back, columns across from the patient's right to the left."""
        across, down, up = self.axes
        flat = np.take(array, self.index, axis=up)
        flat = flat.T if across < down else flat
        return flat[:: self._way(down, 1), :: self._way(across, 0)]

    def place(self, voxel: tuple[float, float, float]) -> tuple[float, float]:
        """Where a voxel index lies on the page, mm across and down."""
        across, down, _ = self.axes
        return self._along(voxel, across, 0), self._along(voxel, down, 1)

    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top edge of the slice, mm."""
        across, down, _ = self.axes
        width, height = (self.grid.shape[a] * float(self.grid.spacing[a]) for a in (across, down))
        first = [-float(self.grid.spacing[a]) / 2 for a in (across, down)]
        return first[0], first[0] + width, first[1] + height, first[1]

    def _way(self, voxel_axis: int, world_axis: int) -> int:
        """Right and front come first: the world falls along the page."""
        return -1 if self.grid.direction[world_axis, voxel_axis] > 0 else 1

    def _along(self, voxel: tuple[float, float, float], axis: int, world_axis: int) -> float:
        index = voxel[axis]
        if self._way(axis, world_axis) < 0:
            index = self.grid.shape[axis] - 1 - index
        return index * float(self.grid.spacing[axis])


def node_picture(
    path: Path,
    listed: ListedNode,
    found: NodeList,
    ct: Volume | None = None,
    colour: tuple[float, float, float] = (1, 0.4, 0.2),
) -> None:
    """Write the picture as a PNG: the patient's right is on the left, the front at the top.

    Args:
        path: The PNG; written whole or not at all.
        listed: The node.
        found: The list it is of.
        ct: What lies beneath, in HU, on the labels' grid; without it the nodes alone are seen.
        colour: Of the outline.

    Raises:
        FileWriteError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    node = listed.node
    slice_ = _Slice(found.labels.grid, node.slice_index)
    numbered = slice_.page(found.labels.array)
    figure = Figure(figsize=(PANEL_INCHES, PANEL_INCHES + 0.75), facecolor=PAPER, dpi=DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.01, 0.01, 0.98, PANEL_INCHES * 0.98 / (PANEL_INCHES + 0.75)))
    if ct is None:
        axes.imshow(numbered != 0, cmap="gray", vmin=0, vmax=2.5, extent=slice_.extent(), interpolation="nearest")
    else:
        grey = {"vmin": WINDOW[0], "vmax": WINDOW[1], "extent": slice_.extent()}
        axes.imshow(slice_.page(ct.array), cmap="gray", interpolation="bilinear", **grey)
    _outline(axes, numbered == node.id, slice_, colour)
    for ends, line in ((node.long_ends, LONG), (node.short_ends, SHORT)):
        across, down = zip(*(slice_.place(end) for end in ends), strict=True)
        axes.plot(across, down, color=line, linewidth=1.4, marker="+", markersize=6)
    _framed(axes, [slice_.place(end) for end in (*node.long_ends, *node.short_ends)])
    _titled(axes, listed)
    picture = streams.BytesIO()
    canvas.print_png(picture, metadata={"Software": "voxbench", "Title": path.stem})
    with atomic(path) as temporary:
        temporary.write_bytes(picture.getvalue())


def _outline(axes: Axes, inside: np.ndarray, slice_: _Slice, colour: tuple[float, float, float]) -> None:
    """Along the outer faces of the pixels."""
    left, right, bottom, top = slice_.extent()
    rows, columns = inside.shape
    padded = np.pad(inside, 1).astype(np.int8)
    across, down = np.linspace(left, right, columns + 1), np.linspace(top, bottom, rows + 1)
    beside = np.argwhere(np.diff(padded, axis=1)[1:-1] != 0)
    above = np.argwhere(np.diff(padded, axis=0)[:, 1:-1] != 0)
    axes.vlines(across[beside[:, 1]], down[beside[:, 0]], down[beside[:, 0] + 1], colors=[colour], linewidth=1.1)
    axes.hlines(down[above[:, 0]], across[above[:, 1]], across[above[:, 1] + 1], colors=[colour], linewidth=1.1)


def _framed(axes: Axes, points: list[tuple[float, float]]) -> None:
    """A square around the node, with the patient's directions and a length to measure by."""
    low, high = np.min(points, axis=0), np.max(points, axis=0)
    middle, side = (low + high) / 2, max(float((high - low).max()) + 2 * MARGIN_MM, SMALLEST_MM)
    axes.set_xlim(middle[0] - side / 2, middle[0] + side / 2)
    axes.set_ylim(middle[1] + side / 2, middle[1] - side / 2)
    axes.set_facecolor(PAPER)
    axes.set_axis_off()
    bold = {"transform": axes.transAxes, "color": INK, "fontsize": 9, "fontweight": "bold"}
    for letter, x, y in (("R", 0.02, 0.5), ("L", 0.98, 0.5), ("A", 0.5, 0.98), ("P", 0.5, 0.02)):
        axes.text(x, y, letter, ha="center", va="center", **bold)
    x, y = middle[0] + 0.46 * side, middle[1] + 0.46 * side
    axes.plot([x - 20, x], [y, y], color=INK, linewidth=2, solid_capstyle="butt")
    axes.text(x - 10, y - 0.012 * side, "20 mm", color=INK, fontsize=7.5, ha="center", va="bottom")


def _titled(axes: Axes, listed: ListedNode) -> None:
    figure = axes.figure
    node = listed.node
    hu = "" if listed.mean_hu is None else f", {listed.mean_hu:.0f} ± {listed.sd_hu:.0f} HU"
    head = f"{listed.name}   slice {node.slice_index}   {node.volume_mm3 / 1000:.2f} ml{hu}"
    figure.text(0.02, 0.985, head, color=INK, fontsize=10.5, va="top", parse_math=False)
    figure.text(0.02, 0.935, f"long axis {node.long_axis_mm:.1f} mm", color=LONG, fontsize=10, va="top")
    figure.text(0.36, 0.935, f"short axis {node.short_axis_mm:.1f} mm", color=SHORT, fontsize=10, va="top")


def case_picture(path: Path, ct: Volume, found: NodeList, title: str) -> None:
    """Write the preview of a case as a PNG: three planes through its largest node, all nodes outlined.

    Args:
        path: The PNG; written whole or not at all.
        ct: In HU.
        found: Its nodes, on the same grid; the planes cross in the middle if there are none.
        title: Above the picture.

    Raises:
        EmptyShapeError: The CT is constant.
        FileWriteError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    box = Box.around(ct)
    if found.nodes:
        largest = max(found.nodes, key=lambda listed: listed.node.volume_mm3)
        box = replace(box, cut=np.array(largest.node.centre))
    inside = Volume((found.labels.array > 0).astype(np.float32), found.labels.grid)
    sizes = [box.size(plane) for plane in PLANES]
    wide, tall = sum(w for w, _ in sizes), max(h for _, h in sizes)
    width = 12.0
    height = width * tall / wide + 0.45
    figure = Figure(figsize=(width, height), facecolor=PAPER, dpi=DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    left = 0.0
    for plane, (across, down) in zip(PLANES, sizes, strict=True):
        place = (left / wide + 0.002, 0.01, across / wide - 0.004, down / tall * (1 - 0.45 / height))
        axes = figure.add_axes(place)
        frame(axes, plane, box)
        grid = box.grid(plane)
        axes.imshow(cut(ct, grid), cmap="gray", vmin=WINDOW[0], vmax=WINDOW[1], interpolation="bilinear")
        nodes = np.nan_to_num(cut(inside, grid))
        if nodes.max() > 0.5 > nodes.min() and min(nodes.shape) > 1:
            axes.contour(nodes, [0.5], colors=[NODES], linewidths=1.0)
        axes.text(0.02, 0.02, box.cut_text(plane), transform=axes.transAxes, color=INK, fontsize=8)
        left += across
    enlarged = sum(listed.node.enlarged() for listed in found.nodes)
    said = f"{title}   {len(found.nodes)} nodes, {enlarged} with a short axis of 10 mm or more"
    figure.text(0.005, 1 - 0.1 / height, said, color=INK, fontsize=11, va="top", parse_math=False)
    picture = streams.BytesIO()
    canvas.print_png(picture, metadata={"Software": "voxbench", "Title": path.stem})
    with atomic(path) as temporary:
        temporary.write_bytes(picture.getvalue())
