"""The picture of a reconstruction: the contours of the bones found, on the radiographs they were found in."""

from __future__ import annotations

import io as streams
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxbench.io import atomic
from voxbench.report.registration import DOTS_PER_INCH, INK, PAPER
from voxbench.tasks.reconstruction import Radiograph, Reconstruction, contours

COLOURS = {"patella": "#4cc9f0", "femur": "#ff5d3b", "fibula": "#ffd166", "tibia": "#80ed99"}
PANEL_INCHES = 6.0


def contour_picture(
    path: Path, found: Reconstruction, radiographs: Sequence[Radiograph], titles: Sequence[str]
) -> None:
    """Write the picture as a PNG: a panel per radiograph, in each the contours of the four bones, hidden ones too.

    Args:
        path: The PNG; written whole or not at all.
        found: The bones.
        radiographs: What they were found in.
        titles: Of the panels.

    Raises:
        FileWriteError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PANEL_INCHES * len(radiographs), PANEL_INCHES + 0.5), facecolor=PAPER, dpi=DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    for number, (radiograph, title) in enumerate(zip(radiographs, titles, strict=True)):
        axes = figure.add_axes((number / len(radiographs) + 0.005, 0.06, 1 / len(radiographs) - 0.01, 0.88))
        low, high = np.quantile(radiograph.image, [0.01, 0.998])
        axes.imshow(radiograph.image, cmap="gray", vmin=low, vmax=high, interpolation="bilinear")
        for bone, contour in contours(found.whole, radiograph).items():
            along = np.stack([-contour.normals[:, 1], contour.normals[:, 0]], axis=1) * contour.lengths[:, None] / 2
            ends = np.stack([contour.pixels - along, contour.pixels + along], axis=1)[:, :, ::-1]
            axes.add_collection(LineCollection(list(ends), colors=COLOURS[bone], linewidths=1.0, label=bone))
        axes.set_xlim(-0.5, radiograph.view.shape[1] - 0.5)
        axes.set_ylim(radiograph.view.shape[0] - 0.5, -0.5)
        axes.set_axis_off()
        figure.text(axes.get_position().x0, 0.95, title, color=INK, fontsize=10, va="bottom", parse_math=False)
    for number, (bone, colour) in enumerate(COLOURS.items()):
        figure.text(0.01 + 0.09 * number, 0.02, bone, color=INK, fontsize=9, va="bottom", bbox=_box(colour))
    picture = streams.BytesIO()
    canvas.print_png(picture, metadata={"Software": "voxbench", "Title": path.stem})
    with atomic(path) as temporary:
        temporary.write_bytes(picture.getvalue())


def _box(colour: str) -> dict[str, object]:
    return {"facecolor": colour, "edgecolor": "none", "boxstyle": "round,pad=0.25"}
