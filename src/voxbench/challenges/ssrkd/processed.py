"""SSR-KD's folder of a case, ``processed/<case>/``: names, axes and scaling.

Arrays are stored [z, y, x]; a point is (z, y, x) in -1 to 1 of the volume's extent, times ``spacing.npz["mesh"]`` in mm
from its middle. Here x points to the person's front, y to the left and z up: their geometry has its source on the
positive x axis at angle 0, which is the view from the front, and on the positive y axis at 90, a view from the side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.errors import InputError
from voxbench.geometry import Affine, Grid, LabelMap, Mesh, Volume
from voxbench.io import atomic, write_mesh
from voxbench.types import Labels, Points, Vector3

AXES = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""World directions of x (front), y (left) and z (up), as columns."""


@dataclass(frozen=True)
class Processed:
    """Where the files of a case lie.

    Attributes:
        folder: ``processed/<case>``.
    """

    folder: Path

    @property
    def small_ct(self) -> Path:
        """For training from CT."""
        return self.folder / "ct_256x.npz"

    @property
    def large_ct(self) -> Path:
        """What radiographs are made from."""
        return self.folder / "ct_512x.npz"

    @property
    def labels(self) -> Path:
        """0 background, then 1 to 4 in the order of `BONES`."""
        return self.folder / "seg_mask.npz"

    @property
    def radiographs(self) -> Path:
        """All views."""
        return self.folder / "projs.npz"

    @property
    def shadows(self) -> Path:
        """Which pixels of each view a bone covers."""
        return self.folder / "bone_mask.npz"

    @property
    def samples(self) -> Path:
        """Points with their labels."""
        return self.folder / "sampling.npz"

    @property
    def spacing(self) -> Path:
        """Factors from stored numbers to mm."""
        return self.folder / "spacing.npz"

    @property
    def whole_mesh(self) -> Path:
        """All bones in one file."""
        return self.folder / "mesh.obj"

    def bone(self, bone: str) -> Path:
        """One of `BONES`."""
        return self.folder / "submesh" / f"sub_{BONES.index(bone)}.obj"


def case_grid(size: int, field_mm: float) -> Grid:
    """The cube of a case: ``size`` voxels along each axis, its middle at the world's origin."""
    step = field_mm / size
    first = AXES @ np.full(3, -(size - 1) / 2 * step)
    return Grid.from_parts((size, size, size), (step, step, step), first, AXES)


@dataclass(frozen=True, eq=False)
class Frame:
    """Between the world and stored points.

    Attributes:
        half_mm: Half the extent of the volume along z, y, x.
        world_from_stored: From (z, y, x) in -1 to 1.
    """

    half_mm: np.ndarray
    world_from_stored: Affine

    @staticmethod
    def of(grid: Grid) -> Frame:
        """The frame of a volume whose axes i, j, k are the stored x, y, z."""
        half = (np.asarray(grid.shape) * grid.spacing / 2)[::-1]
        linear = grid.direction[:, ::-1] * half
        return Frame(half, Affine.from_parts(linear, grid.centre, "world", "stored"))

    def grid(self, shape: tuple[int, ...]) -> Grid:
        """The voxels of an array [x, y, z] that fills the volume."""
        x, y, z = (int(n) for n in shape)
        step = self.world_from_stored.linear[:, ::-1] * (2 / np.array([x, y, z]))
        first = self.world_from_stored.offset - step @ (np.array([x, y, z]) - 1) / 2
        return Grid((x, y, z), Affine.from_parts(step, first, "world", "voxel"))

    def stored(self, points: Points) -> Points:
        """World points as they are stored."""
        return self.world_from_stored.inverse()(points)


def halved(array: np.ndarray) -> np.ndarray:
    """The mean of every 2 x 2 x 2 voxels, uint8."""
    sums = np.add.reduceat(array.astype(np.uint16), np.arange(0, array.shape[0], 2), axis=0)
    for axis in (1, 2):
        sums = np.add.reduceat(sums, np.arange(0, array.shape[axis], 2), axis=axis)
    return ((sums + 4) // 8).astype(np.uint8)


def write_ct(case: Processed, image: Volume, middle: Vector3 | None = None) -> None:
    """The two volumes, [z, y, x], and the factors.

    Args:
        case: Where to.
        image: A CT as 0 to 255 (``geometry.scaled``), uint8.
        middle: Where the world's origin lies in the world of the CT it was made from, mm;
            kept as ``source_from_world``.

    Raises:
        InputError: A side has an odd number of voxels.
        FileWriteError: A file cannot be written.
    """
    if any(n % 2 for n in image.grid.shape):
        raise InputError(f"every side must have an even number of voxels to be halved; here {image.grid.shape}")
    _write(case.large_ct, image.array.T)
    _write(case.small_ct, halved(image.array).T)
    frame = Frame.of(image.grid)
    origin = Affine.from_parts(np.eye(3), np.zeros(3) if middle is None else middle, "source", "world")
    with atomic(case.spacing) as temporary:
        np.savez(
            temporary,
            mesh=frame.half_mm,
            ct=image.grid.spacing[::-1],
            world_from_stored=frame.world_from_stored.matrix,
            world_from_voxel=image.grid.world_from_voxel.matrix,
            source_from_world=origin.matrix,
        )


def write_labels_stored(case: Processed, labels: LabelMap) -> None:
    """The bones as [z, y, x], uint8."""
    array: Labels = labels.array
    _write(case.labels, array.astype(np.uint8).T)


def write_meshes(case: Processed, bones: Mapping[str, Mesh], frame: Frame) -> None:
    """Every bone, and all in one file; vertices as they are stored.

    The stored axes z, y, x are a mirror image of x, y, z: faces are turned round to look outwards in their own frame.
    """
    turned = float(np.linalg.det(frame.world_from_stored.linear)) < 0
    stored = {}
    for bone in BONES:
        faces = bones[bone].faces[:, ::-1] if turned else bones[bone].faces
        stored[bone] = Mesh(frame.stored(bones[bone].vertices), faces)
        case.bone(bone).parent.mkdir(parents=True, exist_ok=True)
        write_mesh(case.bone(bone), stored[bone])
    write_mesh(case.whole_mesh, merged(stored))


def merged(bones: Mapping[str, Mesh]) -> Mesh:
    """All bones as one mesh, in the order of `BONES`."""
    starts = np.cumsum([0, *(len(bones[bone].vertices) for bone in BONES)])
    faces = [bones[bone].faces + start for bone, start in zip(BONES, starts[:-1].tolist(), strict=True)]
    return Mesh(np.concatenate([bones[bone].vertices for bone in BONES]), np.concatenate(faces))


def _write(path: Path, array: np.ndarray) -> None:
    with atomic(path) as temporary:
        np.savez_compressed(temporary, np.ascontiguousarray(array))
