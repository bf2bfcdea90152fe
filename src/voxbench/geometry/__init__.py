"""Values and exact operations: grids, volumes, maps between frames, resampling."""

from voxbench.geometry.affine import Affine
from voxbench.geometry.compose import compose, invert
from voxbench.geometry.displacement import DisplacementField, grid_points
from voxbench.geometry.grid import Grid, require_same_grid
from voxbench.geometry.mesh import Mesh, sample_surface
from voxbench.geometry.resample import resample
from voxbench.geometry.volume import LabelMap, Volume
from voxbench.geometry.voxelise import extract_mesh, voxelise

__all__ = [
    "Affine",
    "DisplacementField",
    "Grid",
    "LabelMap",
    "Mesh",
    "Volume",
    "compose",
    "extract_mesh",
    "grid_points",
    "invert",
    "require_same_grid",
    "resample",
    "sample_surface",
    "voxelise",
]
