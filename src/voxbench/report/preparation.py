"""The picture of a prepared LumbarSR sample: the micro-CT with the outline of the registered clinical bone."""

from __future__ import annotations

import io as streams
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from voxbench.challenges.lumbarsr.bone_masks import BONE_HU
from voxbench.challenges.lumbarsr.cases import WINDOWS
from voxbench.geometry import Volume
from voxbench.io import atomic
from voxbench.report.planes import PLANES, Box, cut
from voxbench.report.registration import DOTS_PER_INCH, INK, PAPER, frame, scale_bar

PANEL_INCHES = 3.6
OUTLINE = "#ff5d3b"


def alignment_picture(path: Path, micro_ct: Volume, clinical: Mapping[str, Volume]) -> None:
    """Write the picture as a PNG: a row per clinical sequence, a column per plane.

    The micro-CT is shown in the bone window, with the line at which the clinical sequence crosses 200 HU.

    Args:
        path: The PNG; written whole or not at all.
        micro_ct: HU.
        clinical: Registered sequences in HU, on any grid of the micro-CT's world, by the title of their row.

    Raises:
        EmptyShapeError: The micro-CT is constant.
        FileWriteError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    box = Box.around(micro_ct)
    window = WINDOWS["bone"]
    grey = [np.clip((cut(micro_ct, box.grid(plane)) - window.lowest) / window.width, 0, 1) for plane in PLANES]
    sizes = [box.size(plane) for plane in PLANES]
    widest, tallest = max(w for w, _ in sizes), max(h for _, h in sizes)
    row_inches = PANEL_INCHES * tallest / widest
    size = (PANEL_INCHES * len(PLANES) + 0.2, (row_inches + 0.35) * max(1, len(clinical)) + 0.1)
    figure = Figure(figsize=size, facecolor=PAPER, dpi=DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    spec = figure.add_gridspec(
        max(1, len(clinical)), len(PLANES), left=0.01, right=0.99, bottom=0.01, top=1 - 0.3 / size[1],
        wspace=0.03, hspace=0.35 / row_inches,
    )  # fmt: skip
    for row, (title, volume) in enumerate(clinical.items()):
        for column, plane in enumerate(PLANES):
            axes = figure.add_subplot(spec[row, column])
            frame(axes, plane, box)
            axes.imshow(grey[column], cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
            outline = cut(volume, box.grid(plane))
            low, high = np.nanmin(outline, initial=np.inf), np.nanmax(outline, initial=-np.inf)
            if low < BONE_HU < high and min(outline.shape) > 1:
                axes.contour(np.ma.masked_invalid(outline), [BONE_HU], colors=OUTLINE, linewidths=0.8)
            if column == 0:
                scale_bar(axes, box)
        top = spec[row, 0].get_position(figure).y1 + 0.05 / size[1]
        figure.text(0.01, top, title, color=INK, fontsize=9.5, va="bottom", parse_math=False)
    picture = streams.BytesIO()
    canvas.print_png(picture, metadata={"Software": "voxbench", "Title": path.stem})
    with atomic(path) as temporary:
        temporary.write_bytes(picture.getvalue())
