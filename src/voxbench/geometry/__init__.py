"""Values and exact operations: grids, volumes, maps between frames, resampling."""

from voxbench.geometry.affine import Affine
from voxbench.geometry.compose import compose, invert
from voxbench.geometry.displacement import DisplacementField, grid_points
from voxbench.geometry.grid import Grid, require_same_grid
from voxbench.geometry.line_integrals import back_project, line_integrals
from voxbench.geometry.mesh import Mesh, sample_surface
from voxbench.geometry.projection import Device, View, c_arm, gantry
from voxbench.geometry.resample import resample
from voxbench.geometry.silhouette import silhouette
from voxbench.geometry.volume import LabelMap, Volume
from voxbench.geometry.voxelise import extract_mesh, voxelise

__all__ = [
    "Affine",
    "Device",
    "DisplacementField",
    "Grid",
    "LabelMap",
    "Mesh",
    "View",
    "Volume",
    "back_project",
    "c_arm",
    "compose",
    "extract_mesh",
    "gantry",
    "grid_points",
    "invert",
    "line_integrals",
    "require_same_grid",
    "resample",
    "sample_surface",
    "silhouette",
    "voxelise",
]
