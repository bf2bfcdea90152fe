"""What a network learns to predict: of every voxel its class, and the way to the centre of its vertebra or disc.

Two neighbours that touch point to different centres, which is how they are told apart however they are joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from voxbench.geometry import LabelMap
from voxbench.geometry.spine_labels import CANAL, classes_of
from voxbench.types import Labels, PlanarVoxelVectors, Triple, Vector3

CORE = 0.6
"""The centre of a structure is that of the places at least this deep, of the deepest: in a vertebra, of its body."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Of every voxel.

    Attributes:
        classes: 0 background, 1 vertebra, 2 disc, 3 canal; uint8.
        offsets: To the centre of the voxel's vertebra or disc, mm along the array's axes, (3, i, j, k), float32; 0 in
            background and canal. An array that is flipped along an axis needs the sign of that component changed.
    """

    classes: Labels
    offsets: PlanarVoxelVectors

    @property
    def probabilities(self) -> np.ndarray:
        """The classes as certain probabilities, (4, i, j, k), float32."""
        return np.stack([(self.classes == c).astype(np.float32) for c in range(4)])


def targets(labels: LabelMap) -> Targets:
    """What a perfect network would predict.

    Args:
        labels: Numbers as in ``geometry.spine_labels``.

    Raises:
        InputError: Some label means nothing.
    """
    classes = classes_of(labels.array)
    spacing = labels.grid.spacing
    return Targets(classes, offsets_to(labels.array, centres_of(labels.array, spacing), spacing))


def centres_of(labels: Labels, spacing: Triple) -> dict[int, Vector3]:
    """Of every vertebra and disc its centre, in voxels of the array: the middle of its thickest part.

    For training on patches: find the centres in the whole map, carry them through the same change of place as the
    patch, and make the patch's offsets with `offsets_to`.

    Args:
        labels: Numbers as in ``geometry.spine_labels``.
        spacing: mm along the array's axes.
    """
    import edt
    from scipy.ndimage import find_objects

    found = {}
    step = np.asarray(spacing, np.float64)
    for number, box in enumerate(find_objects(labels), 1):
        if box is None or number == CANAL:
            continue
        inside = np.ascontiguousarray(labels[box] == number)
        depth = edt.edt(inside, anisotropy=tuple(float(s) for s in step), black_border=True)
        deep = np.argwhere(depth >= CORE * depth.max())
        weights = depth[tuple(deep.T)].astype(np.float64)
        found[number] = np.average(deep, axis=0, weights=weights) + [one.start for one in box]
    return found


def offsets_to(labels: Labels, centres: Mapping[int, Vector3], spacing: Triple) -> PlanarVoxelVectors:
    """From every voxel to a centre by its label, mm along the array's axes; 0 for labels without a centre.

    Args:
        labels: Numbers as in ``geometry.spine_labels``, of a patch or of a whole map.
        centres: In voxels of this array (they may lie outside of it).
        spacing: mm along the array's axes.
    """
    table = np.full((int(labels.max(initial=0)) + 1, 3), np.nan, np.float32)
    for number, centre in centres.items():
        if number < len(table):
            table[number] = centre
    offsets = np.empty((3, *labels.shape), np.float32)
    for axis, step in enumerate(np.asarray(spacing, np.float32)):
        index = np.arange(labels.shape[axis], dtype=np.float32)
        offsets[axis] = (table[:, axis][labels] - index.reshape([-1 if a == axis else 1 for a in range(3)])) * step
    np.nan_to_num(offsets, copy=False, nan=0.0)
    return offsets


def votes_of(offsets: PlanarVoxelVectors, where: np.ndarray, spacing: Triple) -> tuple[np.ndarray, np.ndarray]:
    """Indices of some voxels, and where they point, mm along the array's axes from voxel 0; (n, 3) each."""
    index = np.argwhere(where)
    places = index * np.asarray(spacing, np.float64)
    return index, places + offsets[:, index[:, 0], index[:, 1], index[:, 2]].T
