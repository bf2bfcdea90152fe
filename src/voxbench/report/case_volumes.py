"""A super-resolved case: micro-CT, clinical CT and prediction, their difference, and lines through them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voxbench.challenges.lumbarsr.cases import WINDOWS, Case
from voxbench.errors import FileReadError, GridMismatchError
from voxbench.geometry import Grid, Volume
from voxbench.io import read_volume
from voxbench.report.figures import PREDICTION, REFERENCE, dark_figure, fullest_cut, plane_panels, png_of
from voxbench.report.html import Picture
from voxbench.report.planes import PLANES, Box, cut
from voxbench.report.registration import INK, PAPER
from voxbench.report.scene import Scene, scene_of_volumes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DIFFERENCE_HU = 600.0
"""Of the colours of the difference."""
WORST_SHARE = 0.02
"""Planes are cut where most of this share of the voxels, those with the largest difference, lie."""
WINDOW = WINDOWS["bone"]
CLINICAL, LINE = "#b8f26b", "#5a616a"


def superresolution_case(
    case: str, folders: tuple[Path, Path], method: str
) -> tuple[tuple[Picture, ...], Scene | None]:
    """Pictures and scene of a case of LumbarSR.

    Args:
        case: E.g. ``Lumbar_26 195X_195Y_1000Z_S``.
        folders: Of the predictions and of the references.
        method: Folder of the predictions.

    Raises:
        InputError: A volume is missing or cannot be used.
    """
    sample, _, sequence = case.partition(" ")
    files = Case(sample, sequence)
    predictions, references = folders
    truth = read_volume(files.reference(references))
    found = read_volume(files.prediction(predictions, method))
    if found.array.shape != truth.array.shape:
        raise GridMismatchError(f"the prediction has shape {found.array.shape}, the micro-CT {truth.array.shape}")
    images = {"micro-CT": truth, f"prediction ({method})": Volume(found.array, truth.grid)}
    registered = files.registered(references)
    if registered.is_file():
        clinical = read_volume(registered)
        same = clinical.array.shape == truth.array.shape
        images["clinical CT"] = Volume(clinical.array, truth.grid) if same else clinical
    difference = Volume(found.array.astype(np.float32) - truth.array.astype(np.float32), truth.grid)
    box = _box(difference, truth.grid)
    pictures = (
        Picture(
            _planes(case, images, difference, box),
            f"Three planes of {case}: {', '.join(images)}, and the difference",
            "Bone window (centre 400, width 1800 HU). Last row: prediction minus micro-CT, blue where the prediction "
            f"is darker, red where it is brighter, up to {DIFFERENCE_HU:.0f} HU. Planes are cut where most of the "
            "largest differences lie.",
        ),
        Picture(
            _profiles(images, box),
            f"HU along two lines through {case}, a curve each for {', '.join(images)}",
            "HU along the lines through the point where the planes cross.",
        ),
    )
    return pictures, scene_of_volumes(case, (box.low, box.high), images, {})


def _box(difference: Volume, grid: Grid) -> Box:
    """The whole volume, cut where it is worst."""
    size = np.abs(difference.array)
    step = max(1, int((size.size / 2e6) ** (1 / 3)))
    limit = float(np.quantile(size[::step, ::step, ::step], 1 - WORST_SHARE))
    ends = grid.corners
    low, high = ends.min(axis=0), ends.max(axis=0)
    worst = fullest_cut(size >= max(limit, 1e-6), grid)
    pixel = max(float(grid.spacing.min()), float((high - low).max()) / 700)
    return Box(low, high, (low + high) / 2 if worst is None else worst, pixel)


def _planes(case: str, images: dict[str, Volume], difference: Volume, box: Box) -> bytes:
    figure, panels = plane_panels(box, len(images) + 1, case)
    for row, (name, image) in zip(panels, images.items(), strict=False):
        for axes, plane in zip(row, PLANES, strict=True):
            grey = np.clip((cut(image, box.grid(plane)) - WINDOW.lowest) / WINDOW.width, 0, 1)
            axes.imshow(grey, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        _named(row, name)
    for axes, plane in zip(panels[-1], PLANES, strict=True):
        shown = cut(difference, box.grid(plane))
        axes.imshow(shown, cmap="RdBu_r", vmin=-DIFFERENCE_HU, vmax=DIFFERENCE_HU, interpolation="nearest")
    _named(panels[-1], "prediction minus micro-CT", "#101214")
    return png_of(figure, case)


def _named(row: Sequence[Axes], name: str, colour: str = INK) -> None:
    """What a row of panels shows."""
    box = {"facecolor": PAPER if colour == INK else "#ffffff", "alpha": 0.6, "edgecolor": "none", "pad": 1.5}
    place = row[0].transAxes
    row[0].text(0.02, 0.94, name, transform=place, color=colour, fontsize=9, zorder=9, parse_math=False, bbox=box)


def _profiles(images: dict[str, Volume], box: Box) -> bytes:
    """HU along x and along z, a curve an image."""
    figure = dark_figure(11.7, 3.6)
    styles = ((REFERENCE, "solid"), (PREDICTION, "dashed"), (CLINICAL, "dotted"))
    for number, (axis, name) in enumerate(((0, "from right to left"), (2, "from below to above"))):
        axes = figure.add_axes((0.06 + 0.49 * number, 0.17, 0.43, 0.68), facecolor=PAPER)
        places = np.arange(box.low[axis], box.high[axis], box.step)
        places = places[::-1] if axis == 0 else places
        points = np.repeat(box.cut[None], len(places), axis=0)
        points[:, axis] = places
        for (label, image), (colour, line) in zip(images.items(), styles, strict=False):
            values = _along(image, points)
            axes.plot(np.abs(places - places[0]), values, color=colour, linestyle=line, linewidth=1.3, label=label)
        _lettered(axes, name, "HU" if not number else "")
    figure.axes[0].legend(fontsize=8, facecolor=PAPER, edgecolor=LINE, labelcolor=INK)
    return png_of(figure, "profiles")


def _lettered(axes: Axes, title: str, y_label: str) -> None:
    """Light on dark."""
    axes.set_title(title, color=INK, fontsize=9.5)
    axes.set_xlabel("mm", color=INK, fontsize=9)
    axes.set_ylabel(y_label, color=INK, fontsize=9)
    axes.tick_params(colors=INK, labelsize=8)
    axes.grid(color="#3a3f45", linewidth=0.5)
    for spine in axes.spines.values():
        spine.set_color(LINE)


def _along(image: Volume, points: np.ndarray) -> np.ndarray:
    """Linear interpolation at points of the world."""
    from scipy.ndimage import map_coordinates

    voxels = image.grid.voxel_from_world(points)
    low = np.maximum(np.floor(voxels.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(voxels.max(axis=0)).astype(int) + 2, image.grid.shape)
    if (high <= low).any():
        raise FileReadError("the line does not meet the image")
    part = image.array[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(np.float32)
    return map_coordinates(part, (voxels - low).T, order=1, mode="nearest")
