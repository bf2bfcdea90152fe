"""Values and exact operations: grids, volumes, maps between frames, resampling."""

from voxbench.geometry.affine import Affine
from voxbench.geometry.compose import compose, invert
from voxbench.geometry.displacement import DisplacementField, grid_points
from voxbench.geometry.grid import Grid, require_same_grid
from voxbench.geometry.resample import resample
from voxbench.geometry.volume import LabelMap, Volume

__all__ = [
    "Affine",
    "DisplacementField",
    "Grid",
    "LabelMap",
    "Volume",
    "compose",
    "grid_points",
    "invert",
    "require_same_grid",
    "resample",
]
