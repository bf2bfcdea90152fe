"""The methods by name: each turns observations of an object into one volume on a finer grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from voxbench.errors import InputError, UsageError
from voxbench.geometry import Grid, Volume
from voxbench.tasks.superresolution.fusion import FusionConfig, fuse
from voxbench.tasks.superresolution.interpolate import Kernel, interpolate

Upscale = Callable[[Sequence[Volume], Grid], Volume]
"""From observations of one object, each on its own grid in one world, to a volume on the given grid."""


@dataclass(frozen=True)
class Method:
    """A way to a finer volume.

    Attributes:
        name: As on the command line, and in the names of the challenge's files.
        apply: Does it.
        joint: Whether it uses several observations together; one that does not takes exactly one.
    """

    name: str
    apply: Upscale
    joint: bool = False


def interpolation(kernel: Kernel, observations: Sequence[Volume], onto: Grid) -> Volume:
    """The one observation, interpolated.

    Raises:
        InputError: There is not exactly one.
    """
    if len(observations) != 1:
        raise InputError(f"{kernel} interpolates one volume; there are {len(observations)}\n  give one of them")
    return interpolate(observations[0], onto, kernel)


def fusion(observations: Sequence[Volume], onto: Grid) -> Volume:
    """The volume of which all are observations, blur and noise found from the data (see ``fuse``)."""
    return fuse(observations, onto, FusionConfig(probes=0)).volume


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.name: method
        for method in (
            Method("nearest", partial(interpolation, "nearest")),
            Method("trilinear", partial(interpolation, "trilinear")),
            Method("bicubic", partial(interpolation, "bicubic")),
            Method("spline5", partial(interpolation, "spline5")),
            Method("lanczos", partial(interpolation, "lanczos")),
            Method("fusion", fusion, joint=True),
        )
    }
)
"""Every method, by name."""


def method_named(name: str) -> Method:
    """A method by its name.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in METHODS:
        raise UsageError(f"--method {name}: no such method\n  there are {', '.join(METHODS)}")
    return METHODS[name]
