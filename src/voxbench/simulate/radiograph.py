"""What an X-ray detector measures of a CT: attenuation, photons, noise.

A line integral of the attenuation (1/mm times mm) is a pure number p; of N0 photons sent towards a pixel, N0 exp(-p)
arrive on average. One energy; no scatter, no blur of focal spot or detector.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.geometry import Mesh, Volume
from voxbench.geometry.line_integrals import Method, line_integrals
from voxbench.geometry.projection import View
from voxbench.geometry.silhouette import silhouette
from voxbench.types import AnyArray

WATER_PER_MM = MappingProxyType({40: 0.02683, 50: 0.02269, 60: 0.02059, 80: 0.01837, 100: 0.01707})
"""Attenuation of water, 1/mm, by photon energy in keV.

J. H. Hubbell and S. M. Seltzer, NIST, 2004 (NISTIR 5632), doi:10.18434/T4D01F."""
RADIOGRAPH_KEV = 60
"""About the mean energy of a filtered 100 kV beam."""


class PhotonNoise(Config):
    """Counting noise of a detector and the noise of its electronics."""

    photons: float = Field(
        default=30000.0,
        gt=0,
        le=1e12,
        description="Photons sent towards a pixel (what it counts with nothing in the way).",
    )
    electronic: float = Field(
        default=10.0, ge=0, description="Standard deviation of the electronics' noise, in photons."
    )


class RelativeNoise(Config):
    """The noise of SSR-KD's published data (TIGRE's CTnoise), no model of a dose.

    The integrals of all views of a case are divided by their largest, so that the least exposed pixel still gets
    exp(-1) of the photons whatever the patient's size.
    """

    photons: float = Field(default=1e5, gt=0, le=1e12, description="Photons where nothing is in the way.")
    electronic: float = Field(default=10.0, ge=0, description="Standard deviation of the additive noise, in photons.")


def attenuation(ct: Volume, water_per_mm: float = WATER_PER_MM[RADIOGRAPH_KEV]) -> Volume:
    """Attenuation from CT numbers: water_per_mm (1 + HU / 1000), not below 0.

    Args:
        ct: CT numbers, HU.
        water_per_mm: Attenuation of water, 1/mm.

    Returns:
        float32, 1/mm.
    """
    values = ct.array.astype(np.float32)
    values *= np.float32(water_per_mm / 1000)
    values += np.float32(water_per_mm)
    np.maximum(values, 0, out=values)
    return Volume(values, ct.grid)


def radiographs(ct: Volume, views: Sequence[View], method: Method = "joseph") -> tuple[AnyArray, ...]:
    """Line integrals of the attenuation of a CT, pure numbers: an image per view, float32 (rows, columns).

    Args:
        ct: CT numbers, HU.
        views: Where from.
        method: ``joseph`` or ``siddon``.

    Raises:
        InputError: A source lies inside the CT.
    """
    return line_integrals(attenuation(ct), views, method)


def intensity(integrals: AnyArray, photons: float) -> AnyArray:
    """Photons that arrive on average, float64: photons exp(-p)."""
    return photons * np.exp(-np.asarray(integrals, np.float64))


def measured(integrals: AnyArray, noise: PhotonNoise, rng: np.random.Generator) -> AnyArray:
    """Line integrals as read off a noisy detector.

    Photons are counted (Poisson), the electronics add noise (Gaussian), and p = -log(counted / sent) is taken back.
    Where less than one photon is read, one is assumed: p is at most log(sent).

    Args:
        integrals: Without noise, pure numbers.
        noise: Photons per pixel and electronic noise.
        rng: Source of both.

    Returns:
        float32; below 0 where more arrived than was sent, which is rare and unbiased.
    """
    counted = rng.poisson(intensity(integrals, noise.photons)).astype(np.float64)
    counted += rng.normal(0.0, noise.electronic, counted.shape) if noise.electronic else 0.0
    return (-np.log(np.maximum(counted, 1.0) / noise.photons)).astype(np.float32)


def measured_relative(stack: AnyArray, noise: RelativeNoise, rng: np.random.Generator) -> AnyArray:
    """SSR-KD's noise on all views of a case; negative values become 0, as there.

    The published noise comes from a generator with one fixed seed for all cases; here from ``rng``.

    Args:
        stack: Line integrals in any unit, (views, rows, columns).
        noise: Photons and additive noise.
        rng: Source of both.

    Returns:
        float32, in the unit of the stack.

    Raises:
        InputError: No ray meets anything.
    """
    largest = float(np.max(stack))
    if not largest > 0:
        raise InputError("no ray of any view meets anything: the projections are 0 everywhere")
    counted = rng.poisson(intensity(np.asarray(stack, np.float64) / largest, noise.photons)).astype(np.float64)
    counted += rng.normal(0.0, noise.electronic, counted.shape) if noise.electronic else 0.0
    back = -np.log(np.maximum(counted, 1e-6) / noise.photons) * largest
    return np.maximum(back, 0).astype(np.float32)


def shadows(meshes: Sequence[Mesh], views: Sequence[View]) -> AnyArray:
    """Pixels in the shadow of any of the meshes, bool (views, rows, columns).

    Args:
        meshes: Bones, in the world.
        views: All of one detector size.
    """
    masks = [np.logical_or.reduce([silhouette(mesh, view) for mesh in meshes]) for view in views]
    return np.stack(masks)
