"""Volumes finer than they were measured: interpolation, and the joint reconstruction that knows the scanner."""

from voxbench.tasks.superresolution.calibrate import Calibration, calibrated, nominal
from voxbench.tasks.superresolution.fusion import Fusion, FusionConfig, fuse
from voxbench.tasks.superresolution.interpolate import KERNELS, Kernel, interpolate
from voxbench.tasks.superresolution.methods import METHODS, Method, method_named
from voxbench.tasks.superresolution.observation import SequenceBlur

__all__ = [
    "KERNELS",
    "METHODS",
    "Calibration",
    "Fusion",
    "FusionConfig",
    "Kernel",
    "Method",
    "SequenceBlur",
    "calibrated",
    "fuse",
    "interpolate",
    "method_named",
    "nominal",
]
