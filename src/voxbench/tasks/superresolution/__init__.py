"""Volumes finer than they were measured: interpolation and, beside it, methods that know the scanner."""

from voxbench.tasks.superresolution.interpolate import KERNELS, Kernel, interpolate
from voxbench.tasks.superresolution.methods import METHODS, Method, method_named

__all__ = ["KERNELS", "METHODS", "Kernel", "Method", "interpolate", "method_named"]
