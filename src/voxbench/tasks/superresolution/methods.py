"""The methods by name: each turns observations of an object into one volume on a finer grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from voxbench.errors import InputError, UsageError
from voxbench.geometry import Grid, Volume
from voxbench.tasks.superresolution.fusion import FusionConfig, fuse
from voxbench.tasks.superresolution.interpolate import Kernel, interpolate
from voxbench.tasks.superresolution.observation import SequenceBlur

Blurs = Sequence[SequenceBlur]


@runtime_checkable
class Upscale(Protocol):
    """From observations of one object, each on its own grid in one world, to a volume on the given grid."""

    def __call__(self, observations: Sequence[Volume], onto: Grid, blurs: Blurs = ()) -> Volume:
        """Do it; methods that know the scanner need the blur of every observation."""
        ...


@dataclass(frozen=True)
class Method:
    """A way to a finer volume.

    Attributes:
        name: As on the command line, and in the names of the challenge's files.
        apply: Does it.
        joint: Whether it uses several observations together; one that does not takes exactly one.
        needs_blurs: Whether it must be told how each observation blurs.
    """

    name: str
    apply: Upscale
    joint: bool = False
    needs_blurs: bool = False


def interpolation(kernel: Kernel, observations: Sequence[Volume], onto: Grid, blurs: Blurs = ()) -> Volume:
    """The one observation, interpolated (its blur stays).

    Raises:
        InputError: There is not exactly one.
    """
    del blurs
    if len(observations) != 1:
        raise InputError(f"{kernel} interpolates one volume; there are {len(observations)}\n  give one of them")
    return interpolate(observations[0], onto, kernel)


def fusion(observations: Sequence[Volume], onto: Grid, blurs: Blurs = ()) -> Volume:
    """The volume of which all are observations, noise measured from the data (see ``fuse``)."""
    return fuse(observations, onto, blurs, FusionConfig(probes=0)).volume


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.name: method
        for method in (
            Method("nearest", partial(interpolation, "nearest")),
            Method("trilinear", partial(interpolation, "trilinear")),
            Method("bicubic", partial(interpolation, "bicubic")),
            Method("spline5", partial(interpolation, "spline5")),
            Method("lanczos", partial(interpolation, "lanczos")),
            Method("fusion", fusion, joint=True, needs_blurs=True),
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
