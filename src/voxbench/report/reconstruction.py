"""The picture of a reconstruction: the outlines of the bones, on the radiographs or in the CT they were found in."""

from __future__ import annotations

import io as streams
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from voxbench.geometry import Mesh, Volume
from voxbench.io import atomic
from voxbench.report.registration import DOTS_PER_INCH, INK, PAPER
from voxbench.tasks.reconstruction import Radiograph, Reconstruction, contours
from voxbench.tasks.reconstruction.ct_bone import upright
from voxbench.types import AnyArray

COLOURS = {"patella": "#4cc9f0", "femur": "#ff5d3b", "fibula": "#ffd166", "tibia": "#80ed99"}
PANEL_INCHES = 6.0
SLICES = ((0, 1, 2), (1, 0, 2), (2, 0, 1))
"""Planes of a CT: across which axis, and which axes run across and up the page."""
HU_SHOWN = (-200.0, 900.0)


def contour_picture(
    path: Path, found: Reconstruction, radiographs: Sequence[Radiograph], titles: Sequence[str]
) -> None:
    """Write the picture of a fit of the shape model: see `bone_contours_picture`; the bones are those uncut."""
    bone_contours_picture(path, found.whole, radiographs, titles)


def bone_contours_picture(
    path: Path, bones: Mapping[str, Mesh], radiographs: Sequence[Radiograph], titles: Sequence[str]
) -> None:
    """Write the picture as a PNG: a panel per radiograph, in each the contours of the four bones, hidden ones too.

    Args:
        path: The PNG; written whole or not at all.
        bones: In the world.
        radiographs: What they were found in.
        titles: Of the panels.

    Raises:
        FileWriteError: The file cannot be written.
    """
    from matplotlib.collections import LineCollection

    with _figure(path, len(radiographs), titles) as panels:
        for axes, radiograph in zip(panels, radiographs, strict=True):
            low, high = np.quantile(radiograph.image, [0.01, 0.998])
            axes.imshow(radiograph.image, cmap="gray", vmin=low, vmax=high, interpolation="bilinear")
            for bone, ends in contour_pieces(bones, radiograph).items():
                axes.add_collection(LineCollection(list(ends), colors=COLOURS[bone], linewidths=1.0))
            axes.set_xlim(-0.5, radiograph.view.shape[1] - 0.5)
            axes.set_ylim(radiograph.view.shape[0] - 0.5, -0.5)


def contour_pieces(bones: Mapping[str, Mesh], radiograph: Radiograph) -> dict[str, AnyArray]:
    """Of each bone the short pieces of its outline on a radiograph: ends as (column, row), (n, 2, 2)."""
    pieces = {}
    for bone, contour in contours(bones, radiograph).items():
        along = np.stack([-contour.normals[:, 1], contour.normals[:, 0]], axis=1) * contour.lengths[:, None] / 2
        pieces[bone] = np.stack([contour.pixels - along, contour.pixels + along], axis=1)[:, :, ::-1]
    return pieces


def ct_picture(path: Path, bones: Mapping[str, Mesh], ct: Volume, title: str) -> None:
    """Write a PNG of three planes of a CT with the outlines of the bones: through the joint, and across the patella.

    Args:
        path: The PNG; written whole or not at all.
        bones: In the world.
        ct: Hounsfield units.
        title: Of the first panel.

    Raises:
        FileWriteError: The file cannot be written.
    """
    from matplotlib.collections import LineCollection

    image = upright(ct)
    low = image.grid.origin
    high = image.grid.world_from_voxel(np.array(image.grid.shape) - 1.0)
    cut = _planes_through(bones, low, high)
    names = ("x", "y", "z")
    titles = [f"{title}   {names[a]} = {cut[a]:.0f} mm"[-70:] for a, _, _ in SLICES]
    with _figure(path, len(SLICES), titles) as panels:
        for axes, (through, across, up) in zip(panels, SLICES, strict=True):
            number = int(np.clip(np.rint((cut[through] - low[through]) / image.grid.spacing[through]), 0, 10**9))
            number = min(number, image.grid.shape[through] - 1)
            plane = np.take(image.array, number, axis=through)
            plane = plane.T if across < up else plane
            extent = (low[across], high[across], low[up], high[up])
            axes.imshow(plane, cmap="gray", vmin=HU_SHOWN[0], vmax=HU_SHOWN[1], extent=extent, origin="lower")
            for bone, mesh in bones.items():
                ends = _outline(mesh, through, float(low[through] + number * image.grid.spacing[through]))
                axes.add_collection(
                    LineCollection(list(ends[:, :, [across, up]]), colors=COLOURS[bone], linewidths=1.0)
                )
            axes.set_xlim(high[across], low[across])  # the patient's right, or front, on the left
            axes.set_ylim(low[up], high[up])
            axes.set_aspect("equal")


def _planes_through(bones: Mapping[str, Mesh], low: AnyArray, high: AnyArray) -> AnyArray:
    """Where planes across x, y and z show most: the middle of the joint, and the height of the patella."""
    cut = (low + high) / 2
    joint = [bones[bone] for bone in ("femur", "tibia") if bone in bones]
    if joint:
        near = float(np.mean([bone.bounds[1 - n][2] for n, bone in enumerate(joint)])) if len(joint) == 2 else cut[2]
        ends = [bone.vertices[np.abs(bone.vertices[:, 2] - near) < 40] for bone in joint]
        every = np.concatenate(ends)
        if len(every):
            cut = (every.min(axis=0) + every.max(axis=0)) / 2
    if "patella" in bones:
        cut[[0, 2]] = bones["patella"].vertices[:, [0, 2]].mean(axis=0)
    return np.clip(cut, low, high)


def _outline(mesh: Mesh, axis: int, height: float) -> AnyArray:
    """Where faces cross a plane across an axis: ends of pieces of line, mm, (n, 2, 3)."""
    corners = np.stack(mesh.corners, axis=1)
    over = corners[:, :, axis] - height
    over[over == 0] = 1e-9
    above = over > 0
    crossed = (above.sum(axis=1) == 1) | (above.sum(axis=1) == 2)
    corners, over, above = corners[crossed], over[crossed], above[crossed]
    lone = np.argmax(above == (above.sum(axis=1) == 1)[:, None], axis=1)
    rows = np.arange(len(corners))
    ends = []
    for step in (1, 2):
        other = (lone + step) % 3
        share = over[rows, lone] / (over[rows, lone] - over[rows, other])
        ends.append(corners[rows, lone] + share[:, None] * (corners[rows, other] - corners[rows, lone]))
    return np.stack(ends, axis=1)


@contextmanager
def _figure(path: Path, count: int, titles: Sequence[str]) -> Iterator[list[Any]]:
    """Panels side by side, to be drawn on; then the names of the bones, and the file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PANEL_INCHES * count, PANEL_INCHES + 0.5), facecolor=PAPER, dpi=DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    panels = [figure.add_axes((n / count + 0.005, 0.06, 1 / count - 0.01, 0.88)) for n in range(count)]
    yield panels
    for number, (axes, title) in enumerate(zip(panels, titles, strict=True)):
        axes.set_axis_off()
        figure.text(number / count + 0.005, 0.95, title, color=INK, fontsize=10, va="bottom", parse_math=False)
    for number, (bone, colour) in enumerate(COLOURS.items()):
        figure.text(0.01 + 0.18 / count * number, 0.02, bone, color=INK, fontsize=9, va="bottom", bbox=_box(colour))
    picture = streams.BytesIO()
    canvas.print_png(picture, metadata={"Software": "voxbench", "Title": path.stem})
    with atomic(path) as temporary:
        temporary.write_bytes(picture.getvalue())


def _box(colour: str) -> dict[str, object]:
    return {"facecolor": colour, "edgecolor": "none", "boxstyle": "round,pad=0.25"}
