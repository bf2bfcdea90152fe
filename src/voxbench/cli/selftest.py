"""A few small jobs whose answers are known: does this installation compute what it should?"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Tried:
    """A job and what came of it.

    Attributes:
        name: What was tried.
        good: Whether the answer is right.
        told: The answer, or the error.
        seconds: How long it took.
    """

    name: str
    good: bool
    told: str
    seconds: float


def self_test() -> tuple[Tried, ...]:
    """Do the jobs, about five seconds; one that fails does not stop the others."""
    return tuple(_tried(name, job) for name, job in JOBS.items())


def _tried(name: str, job: Callable[[], tuple[bool, str]]) -> Tried:
    start = time.perf_counter()
    try:
        good, told = job()
    except Exception as error:  # whatever it is, it is the finding
        good, told = False, f"{type(error).__name__}: {error}".splitlines()[0]
    return Tried(name, good, told, time.perf_counter() - start)


def _files() -> tuple[bool, str]:
    """A volume comes back as it was written, and half a file is refused."""
    from voxbench.errors import FileReadError
    from voxbench.geometry import Grid, Volume
    from voxbench.io import read_volume, write_volume

    grid = Grid.from_parts((20, 30, 10), (0.5, 0.7, 2.5), (1, -2, 3))
    volume = Volume(np.random.default_rng(0).normal(size=grid.shape).astype(np.float32), grid)
    with tempfile.TemporaryDirectory(prefix="voxbench-") as folder:
        path, half = Path(folder) / "a.nii.gz", Path(folder) / "half.nii.gz"
        write_volume(path, volume)
        same = np.array_equal(read_volume(path).array, volume.array)
        half.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        try:
            read_volume(half)
            refused = False
        except FileReadError:
            refused = True
    return same and refused, f"{'the same' if same else 'OTHER'} values, half a file {'' if refused else 'NOT '}refused"


def _registration() -> tuple[bool, str]:
    """A phantom deformed by up to 6 mm is brought back: labels overlap as before."""
    from voxbench.geometry import Grid, resample
    from voxbench.metrics import overlap
    from voxbench.simulate import ORDINARY, brain_phantom, contrast, random_diffeomorphism, render
    from voxbench.tasks.registration import RegistrationConfig, register

    grid = Grid.from_parts((40, 56, 48), (4, 4, 4))
    rng = np.random.default_rng(0)
    labels = brain_phantom(grid)
    through = random_diffeomorphism(grid, rng, 9.0, 20.0).forward
    moving = resample(labels, onto=grid, through=through, interpolation="nearest")
    look = contrast("t1", [int(i) for i in np.unique(labels.array)])
    fixed, image = (render(each, look, rng, ORDINARY) for each in (labels, moving))
    found = register(fixed, image, RegistrationConfig(preset="fast", initial="none"))
    back = resample(moving, onto=grid, through=found.displacement, interpolation="nearest")
    before, after = (overlap(labels.array, each.array).mean_dice for each in (moving, back))
    return after > 0.8 > before, f"Dice {before:.3f} before, {after:.3f} after (at least 0.8)"


def _distances() -> tuple[bool, str]:
    """Two cubes side by side: known Dice and Hausdorff distance."""
    from voxbench.metrics import overlap, surface_distances

    cubes = np.zeros((2, 24, 24, 24), np.uint8)
    cubes[0, 4:14, 4:14, 4:14] = cubes[1, 8:18, 4:14, 4:14] = 1
    dice = overlap(cubes[0], cubes[1]).mean_dice
    farthest = surface_distances(cubes[0] == 1, cubes[1] == 1, (0.5, 1.0, 1.0)).hausdorff()
    good = abs(dice - 0.6) < 1e-12 and abs(farthest - 2) < 1e-12
    return good, f"Dice {dice:.4f} (0.6), Hausdorff distance {farthest:.4f} mm (2)"


def _projection() -> tuple[bool, str]:
    """The ray through the middle of a cube of 64 mm adds up to 64 mm."""
    from voxbench.geometry import Grid, Volume
    from voxbench.geometry.line_integrals import line_integrals
    from voxbench.geometry.projection import Device, gantry

    grid = Grid.from_parts((32, 32, 32), (2, 2, 2), (-31, -31, -31))
    cube = Volume(np.ones(grid.shape, np.float32), grid)
    device = Device(source_to_detector_mm=2000, source_to_isocentre_mm=1000, rows=1, cols=1, pixel_mm=(0.5, 0.5))
    chord = float(line_integrals(cube, [gantry(0, device)])[0][0, 0])
    return abs(chord - 64) < 1e-3, f"{chord:.4f} mm (64)"


def _thickness() -> tuple[bool, str]:
    """A plate of eight voxels of 0.1 mm is 0.8 mm thick."""
    from voxbench.metrics import bone_morphometry

    bone = np.zeros((40, 40, 40), bool)
    bone[:, :, 16:24] = True
    mean = bone_morphometry(bone, (0.1, 0.1, 0.1)).trabecular_thickness.mean
    return abs(mean - 0.8) < 1e-6, f"{mean:.4f} mm (0.8)"


JOBS: dict[str, Callable[[], tuple[bool, str]]] = {
    "files": _files,
    "registration": _registration,
    "surface distances": _distances,
    "projection": _projection,
    "bone morphometry": _thickness,
}
