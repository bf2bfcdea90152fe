"""What the 3-D viewer of a page shows: volumes cropped, coarsened and in bytes, label ids dense, surfaces coloured."""

from __future__ import annotations

import base64
import gzip
import struct
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from voxbench.geometry import Grid, LabelMap, Mesh, Volume, resample
from voxbench.io import write_volume
from voxbench.report.planes import window
from voxbench.types import AnyArray

MOST_VOXELS = 3_000_000
"""Of a volume on a page."""
MOST_LABELS = 250
MOST_FACES = 600_000
LARGEST_PAGE = 60_000_000
"""Bytes of a page."""
COLOURS = (
    (255, 176, 0), (86, 200, 255), (255, 90, 209), (120, 220, 120), (250, 235, 90), (190, 150, 255),
    (255, 140, 90), (90, 230, 210), (240, 170, 200), (170, 200, 90),
)  # fmt: skip
"""Of labels in turn; the first three are those of the pictures."""


@dataclass(frozen=True)
class Layer:
    """One thing in the viewer.

    Attributes:
        name: What it is called beside its switch.
        kind: How it is drawn.
        content: gzipped NIfTI (uint8) or MZ3.
        limits: Darkest and brightest byte of an image.
        colours: Of label 0, 1, 2, ...: red, green, blue.
        names: Of label 0, 1, 2, ...
        shown: Whether it is switched on at first.
    """

    name: str
    kind: Literal["image", "labels", "mesh"]
    content: bytes = field(repr=False)
    limits: tuple[float, float] = (0.0, 255.0)
    colours: tuple[tuple[int, int, int], ...] = ()
    names: tuple[str, ...] = ()
    shown: bool = True


@dataclass(frozen=True)
class Scene:
    """Everything the viewer shows of a case.

    Attributes:
        case: Its name.
        layers: From below.
        note: How it was cropped and coarsened.
    """

    case: str
    layers: tuple[Layer, ...]
    note: str

    @property
    def size(self) -> int:
        """Bytes on the page."""
        return sum(len(layer.content) * 4 // 3 + 600 for layer in self.layers)

    def plain(self) -> dict[str, Any]:
        """What the page's script reads."""
        return {
            "case": self.case,
            "note": self.note,
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "content": base64.b64encode(layer.content).decode("ascii"),
                    "limits": layer.limits,
                    "colours": layer.colours,
                    "names": layer.names,
                    "shown": layer.shown,
                }
                for layer in self.layers
            ],
        }


def scene_of_volumes(
    case: str,
    ends: tuple[np.ndarray, np.ndarray],
    images: Mapping[str, Volume],
    labels: Mapping[str, LabelMap],
    marks: LabelMap | None = None,
) -> Scene:
    """A scene of images and label maps.

    Args:
        case: Its name.
        ends: Lowest and highest corner of the part that is shown, mm.
        images: In grey values, windowed; the first is shown.
        labels: On top, a structure in one colour in all of them; the first is shown, all of them if there is one
            structure only, which then has a colour per map.
        marks: Differences, with names of their own; not shown at first.
    """
    first = next(iter((*labels.values(), *images.values()))).grid
    grid, coarser = _shown_grid(first, ends)
    layers = [_image(name, image, grid, number == 0) for number, (name, image) in enumerate(images.items())]
    ids = sorted({int(i) for own in labels.values() for i in np.unique(own.array) if i})[:MOST_LABELS]
    for number, (name, own) in enumerate(labels.items()):
        start = number if len(ids) == 1 else 0
        layers.append(_labels(name, own, (grid, ids, start), len(images) < 2 and (number == 0 or len(ids) == 1)))
    if marks is not None:
        layers.append(_labels("differences", marks, (grid, [1, 2, 3], 0), False))
    spacing = " x ".join(f"{s:.3g}" for s in grid.spacing)
    note = f"cropped to {' x '.join(str(n) for n in grid.shape)} voxels of {spacing} mm"
    return Scene(case, tuple(layers), note + (", coarser than the files" if coarser else ", as in the files"))


def scene_of_meshes(case: str, meshes: Mapping[str, tuple[Mesh, AnyArray | None]]) -> Scene | None:
    """A scene of surfaces; None if they are too large for a page.

    Args:
        case: Its name.
        meshes: With the colour of every vertex, uint8 (n, 3); plain grey without.
    """
    if sum(len(mesh.faces) for mesh, _ in meshes.values()) > MOST_FACES:
        return None
    layers = tuple(
        Layer(name, "mesh", _mz3(mesh, colours), shown=colours is not None) for name, (mesh, colours) in meshes.items()
    )
    return Scene(case, layers, "surfaces as in the files")


def fitting(scenes: list[Scene], budget: int) -> tuple[list[Scene], list[str]]:
    """The first scenes that fit on a page, and the cases of the others.

    Args:
        scenes: The most important first.
        budget: Bytes.
    """
    kept, left_out, used = [], [], 0
    for scene in scenes:
        if used + scene.size <= budget:
            kept.append(scene)
            used += scene.size
        else:
            left_out.append(scene.case)
    return kept, left_out


def _image(name: str, image: Volume, grid: Grid, shown: bool) -> Layer:
    """Grey values as bytes within their window."""
    low, high = window(image)
    floats = Volume(image.array.astype(np.float32, copy=False), image.grid)
    scaled = 255 * np.clip((resample(floats, grid, outside=low).array - low) / (high - low), 0, 1)
    return Layer(name, "image", _nifti(Volume(np.rint(scaled).astype(np.uint8), grid)), shown=shown)


def _labels(name: str, labels: LabelMap, about: tuple[Grid, list[int], int], shown: bool) -> Layer:
    """Ids from 1 up without gaps, so that any label fits a byte and the viewer's table of colours."""
    grid, ids, start = about
    cropped = resample(labels, grid).array
    dense = np.zeros(cropped.shape, np.uint8)
    for place, label in enumerate(ids, 1):
        dense[cropped == label] = place
    known = labels.names or {}
    names = ("", *(str(known.get(label, f"label {label}")) for label in ids))
    colours = ((0, 0, 0), *(COLOURS[(start + n) % len(COLOURS)] for n in range(len(ids))))
    return Layer(name, "labels", _nifti(Volume(dense, grid)), colours=colours, names=names, shown=shown)


def _shown_grid(grid: Grid, ends: tuple[np.ndarray, np.ndarray]) -> tuple[Grid, bool]:
    """The part of a grid between two corners, coarsened where it has too many voxels."""
    low, high = ends
    corners = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij")).reshape(3, -1).T
    voxels = grid.voxel_from_world(corners)
    start = np.clip(np.floor(voxels.min(axis=0) + 1e-6), 0, np.array(grid.shape) - 1).astype(int)
    stop = np.clip(np.ceil(voxels.max(axis=0) - 1e-6) + 1, start + 1, grid.shape).astype(int)
    part = grid.cropped((int(start[0]), int(start[1]), int(start[2])), (int(stop[0]), int(stop[1]), int(stop[2])))
    spacing = part.spacing.copy()
    if part.size <= MOST_VOXELS:
        return part, False
    while part.with_spacing((float(spacing[0]), float(spacing[1]), float(spacing[2]))).size > MOST_VOXELS:
        spacing = np.maximum(spacing, spacing.min() * 1.1)
    return part.with_spacing((float(spacing[0]), float(spacing[1]), float(spacing[2]))), True


def _nifti(volume: Volume) -> bytes:
    """As gzipped NIfTI."""
    with tempfile.TemporaryDirectory(prefix="voxbench-") as folder:
        path = Path(folder) / "volume.nii.gz"
        write_volume(path, volume)
        return path.read_bytes()


def _mz3(mesh: Mesh, colours: AnyArray | None) -> bytes:
    """As gzipped MZ3: faces, vertices and colours behind a head of sixteen bytes."""
    rgba = np.full((len(mesh.vertices), 4), 255, np.uint8)
    rgba[:, :3] = 200 if colours is None else colours
    head = struct.pack("<HHIII", 0x5A4D, 7, len(mesh.faces), len(mesh.vertices), 0)
    body = mesh.faces.astype("<i4").tobytes() + mesh.vertices.astype("<f4").tobytes() + rgba.tobytes()
    return gzip.compress(head + body, 6, mtime=0)
