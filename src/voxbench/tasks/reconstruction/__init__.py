"""Bones from radiographs whose views are known, and from CT."""

from voxbench.tasks.reconstruction.config import Level, ReconstructionConfig
from voxbench.tasks.reconstruction.fit import Radiograph
from voxbench.tasks.reconstruction.from_ct import CtReconstruction, reconstruct_ct
from voxbench.tasks.reconstruction.hybrid import (
    HybridReconstruction,
    NetworkReconstruction,
    reconstruct_hybrid,
    reconstruct_occupancy,
)
from voxbench.tasks.reconstruction.occupancy import Occupancy
from voxbench.tasks.reconstruction.reconstruction import Reconstruction, contours, reconstruct
from voxbench.tasks.reconstruction.surface import extract

__all__ = [
    "CtReconstruction",
    "HybridReconstruction",
    "Level",
    "NetworkReconstruction",
    "Occupancy",
    "Radiograph",
    "Reconstruction",
    "ReconstructionConfig",
    "contours",
    "extract",
    "reconstruct",
    "reconstruct_ct",
    "reconstruct_hybrid",
    "reconstruct_occupancy",
]
