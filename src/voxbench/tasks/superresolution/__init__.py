"""What a micro-CT would have shown, from clinical CT: interpolation, and beside it networks (``learned``, torch)."""

from voxbench.tasks.superresolution.interpolate import KERNELS, Kernel, interpolate
from voxbench.tasks.superresolution.methods import METHODS, Method, method_named

__all__ = ["KERNELS", "METHODS", "Kernel", "Method", "interpolate", "method_named"]
