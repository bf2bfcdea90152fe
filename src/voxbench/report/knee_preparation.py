"""The picture of a prepared SSR-KD case: frontal and lateral radiograph with the outlines of the bones."""

from __future__ import annotations

import io as streams
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxbench.challenges.ssrkd.preparation import Shown
from voxbench.io import atomic
from voxbench.report.reconstruction import COLOURS, PANEL_INCHES
from voxbench.report.registration import DOTS_PER_INCH, INK, PAPER


def knee_picture(path: Path, panels: Sequence[Shown]) -> None:
    """Write the picture as a PNG: a panel per radiograph, in each the outline of every bone's shadow.

    Args:
        path: The PNG; written whole or not at all.
        panels: Radiographs and shadows.

    Raises:
        FileWriteError: The file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PANEL_INCHES * len(panels), PANEL_INCHES + 0.5), facecolor=PAPER, dpi=DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    for number, panel in enumerate(panels):
        axes = figure.add_axes((number / len(panels) + 0.005, 0.06, 1 / len(panels) - 0.01, 0.88))
        low, high = np.quantile(panel.image, [0.01, 0.998])
        axes.imshow(panel.image, cmap="gray", vmin=low, vmax=high, interpolation="bilinear")
        for bone, shadow in panel.shadows.items():
            if shadow.any() and not shadow.all():
                axes.contour(shadow.astype(np.float32), [0.5], colors=COLOURS[bone], linewidths=1.0)
        axes.set_axis_off()
        figure.text(axes.get_position().x0, 0.95, panel.title, color=INK, fontsize=10, va="bottom", parse_math=False)
    shown = [bone for bone in COLOURS if any(bone in panel.shadows for panel in panels)]
    for number, bone in enumerate(shown):
        box = {"facecolor": COLOURS[bone], "edgecolor": "none", "boxstyle": "round,pad=0.25"}
        figure.text(0.01 + 0.09 * number, 0.02, bone, color=INK, fontsize=9, va="bottom", bbox=box)
    picture = streams.BytesIO()
    canvas.print_png(picture, metadata={"Software": "voxbench", "Title": path.stem})
    with atomic(path) as temporary:
        temporary.write_bytes(picture.getvalue())
