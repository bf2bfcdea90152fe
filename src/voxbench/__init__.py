"""voxbench: one toolbox for volumetric medical imaging challenges.

    import voxbench as vb

    fixed, moving = vb.read_volume("fixed.nii.gz"), vb.read_volume("moving.nii.gz")
    registration = vb.register(fixed, moving)
    warped = vb.resample(moving, onto=fixed.grid, through=registration.displacement)
    vb.write_volume("warped.nii.gz", warped)

Names are loaded when they are first used: importing voxbench imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxbench.geometry import Affine, DisplacementField, Grid, LabelMap, Volume, resample
    from voxbench.geometry.compose import compose, invert
    from voxbench.io import (
        read_displacement,
        read_labels,
        read_volume,
        write_displacement,
        write_labels,
        write_volume,
    )
    from voxbench.tasks.registration import RegistrationConfig, register

    __version__: str

__all__ = [
    "Affine",
    "DisplacementField",
    "Grid",
    "LabelMap",
    "RegistrationConfig",
    "Volume",
    "__version__",
    "compose",
    "invert",
    "read_displacement",
    "read_labels",
    "read_volume",
    "register",
    "resample",
    "write_displacement",
    "write_labels",
    "write_volume",
]

_HOMES = {
    "voxbench.geometry": ("Affine", "DisplacementField", "Grid", "LabelMap", "Volume", "resample"),
    "voxbench.geometry.compose": ("compose", "invert"),
    "voxbench.io": (
        "read_displacement",
        "read_labels",
        "read_volume",
        "write_displacement",
        "write_labels",
        "write_volume",
    ),
    "voxbench.tasks.registration": ("RegistrationConfig", "register"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("voxbench")
    elif name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(f"module 'voxbench' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """What is public, loaded or not."""
    return sorted(__all__)
