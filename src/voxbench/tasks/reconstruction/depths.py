"""How deep places lie in the bones of a fitted model, looked up on a coarse grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from voxbench.geometry import Affine, Grid
from voxbench.geometry.mesh import Mesh
from voxbench.simulate.phantoms.knee import bone_depth
from voxbench.tasks.reconstruction.occupancy import BONES
from voxbench.types import AnyArray

STEP_MM = 2.0
FAR_MM = -16.0


@dataclass(frozen=True, eq=False)
class Depths:
    """Signed distances to the surfaces of four bones.

    Attributes:
        grid: Along the world's axes.
        values: mm, positive inside; -16 where a bone is far; float32 (4, ...).
    """

    grid: Grid
    values: AnyArray

    @staticmethod
    def of(bones: Mapping[str, Mesh], box: AnyArray) -> Depths:
        """On nodes 2 mm apart, exact within 4 mm of a surface.

        Args:
            bones: Closed surfaces, world.
            box: Two corners, mm, (2, 3).
        """
        low, high = np.asarray(box, np.float64)
        shape = np.ceil((high - low) / STEP_MM).astype(int) + 1
        matrix = np.eye(4)
        matrix[:3, :3] *= STEP_MM
        matrix[:3, 3] = low
        grid = Grid((int(shape[0]), int(shape[1]), int(shape[2])), Affine(matrix, "world", "voxel"))
        values = np.full((len(BONES), *grid.shape), FAR_MM, np.float32)
        for number, bone in enumerate(BONES):
            part = bone_depth(bones[bone], grid)
            if part.depth.size:
                values[(number, *part.box)] = np.maximum(part.depth, FAR_MM)
        return Depths(grid, values)

    def at(self, points: AnyArray) -> AnyArray:
        """Depths in the four bones, mm, float32 (n, 4).

        Args:
            points: World, mm, (n, 3).
        """
        places = self.grid.voxel_from_world(points).T
        return np.stack([looked_up(values, places) for values in self.values], axis=1)


def looked_up(values: AnyArray, places: AnyArray) -> AnyArray:
    """Linear between voxels, the nearest beyond them, float32.

    Args:
        values: On a grid.
        places: In voxels, (3, n).
    """
    from scipy.ndimage import map_coordinates

    return map_coordinates(values, places, output=np.float32, order=1, mode="nearest")
