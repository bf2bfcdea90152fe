"""Bones from radiographs whose views are known."""

from voxbench.tasks.reconstruction.config import Level, ReconstructionConfig
from voxbench.tasks.reconstruction.fit import Radiograph
from voxbench.tasks.reconstruction.reconstruction import Reconstruction, contours, reconstruct

__all__ = ["Level", "Radiograph", "Reconstruction", "ReconstructionConfig", "contours", "reconstruct"]
