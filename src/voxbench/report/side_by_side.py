"""Pictures of one plane beside each other, in one window."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

INCHES = 3.2


def side_by_side_png(planes: Mapping[str, np.ndarray], window: tuple[float, float], pixel_mm: float) -> bytes:
    """Planes in a row, each under its name, with a bar of 10 mm.

    Args:
        planes: By name, (rows, columns), all of one shape and of square pixels; the first row is shown on top.
        window: What is black, what is white.
        pixel_mm: Edge of a pixel.
    """
    from matplotlib.figure import Figure

    rows, columns = next(iter(planes.values())).shape
    figure = Figure(figsize=(INCHES * len(planes), INCHES * rows / columns + 0.35), facecolor="#101214")
    for axes, (name, plane) in zip(np.atleast_1d(figure.subplots(1, len(planes))), planes.items(), strict=True):
        axes.imshow(plane, cmap="gray", vmin=window[0], vmax=window[1], interpolation="nearest")
        axes.set_title(name, color="#eef1f4", fontsize=11)
        axes.plot([3, 3 + 10 / pixel_mm], [rows - 4, rows - 4], color="#eef1f4", linewidth=2)
        axes.text(3, rows - 6, "10 mm", color="#eef1f4", fontsize=8)
        axes.set_axis_off()
    figure.tight_layout(pad=0.4)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=130)
    return file.getvalue()
