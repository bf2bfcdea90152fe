"""What a clinical CT makes of a micro-CT: blur of the kernel, slice profile, coarse sampling, correlated noise.

A linear, shift-invariant model of a filtered back-projection: the volume is averaged over the slice profile, blurred in
plane by the kernel's point spread, read at the scanner's pixels, and given noise of the kernel's own texture. Not
modelled: beam hardening, scatter, metal, motion, and kernels that raise contrast above that of the object.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.errors import InputError
from voxbench.geometry import Affine, Grid, Volume, resample
from voxbench.simulate.slices import slice_weights
from voxbench.types import FloatImage

PADDING_HU = -1024.0
"""What CT writes where it measured nothing."""
NOISE_PITCH_MM = 0.2
"""Noise is made on pixels at most this far apart and read at the scanner's, so that coarse pixels alias it."""


class Kernel(Config):
    """Modulation transfer of a reconstruction kernel in plane: MTF(f) = 0.5 ** ((f / f50) ** p), p such that f10 holds.

    With f10 = 1.823 f50 it is a Gaussian; kernels for bone fall later and then faster.
    """

    f50: float = Field(default=..., gt=0, description="Where the MTF is 0.5, cycles per mm.")
    f10: float = Field(default=..., gt=0, description="Where the MTF is 0.1, cycles per mm.")

    @property
    def exponent(self) -> float:
        """The p of the formula."""
        if self.f10 <= self.f50:
            raise InputError(f"the MTF must fall: f10 above f50\n  f50  {self.f50} per mm\n  f10  {self.f10} per mm")
        return float(np.log(np.log(10) / np.log(2)) / np.log(self.f10 / self.f50))

    def transfer(self, frequency: np.ndarray) -> np.ndarray:
        """The MTF at frequencies in cycles per mm."""
        return 0.5 ** ((np.asarray(frequency) / self.f50) ** self.exponent)

    def noise_power(self, frequency: np.ndarray) -> np.ndarray:
        """Shape of the noise power spectrum in plane: the ramp of back-projection times the squared MTF.

        References:
            S. J. Riederer, N. J. Pelc, D. A. Chesler, Phys. Med. Biol. 23:446-454, 1978,
            doi:10.1088/0031-9155/23/3/008.
        """
        return np.asarray(frequency) * self.transfer(frequency) ** 2

    @property
    def noise_gain(self) -> float:
        """Standard deviation of white projection noise behind this kernel, in arbitrary units."""
        f = np.linspace(0, 4 * self.f10, 4001)
        return float(np.sqrt(np.sum(2 * np.pi * f * self.noise_power(f)) * (f[1] - f[0])))


KERNELS = MappingProxyType({"S": Kernel(f50=0.40, f10=0.70), "B": Kernel(f50=0.85, f10=1.30)})
"""Soft and bone, in the middle of what makers state for body kernels (MTF 50 % near 4 and 8.5 line pairs per cm).

Those of the challenge's scanner are not published."""


class Protocol(Config):
    """How a clinical CT sequence is made."""

    pixel_mm: float = Field(default=..., gt=0, description="Pixel spacing in plane, mm: field of view / matrix.")
    slice_mm: float = Field(default=..., gt=0, description="Slice thickness (width at half height) and spacing, mm.")
    kernel: Kernel = Field(default=..., description="Modulation transfer in plane.")
    slice_edge: float = Field(
        default=0.6, gt=0, le=1, description="Flanks of the slice profile: 0 a box, 1 a triangle, a trapezoid between."
    )
    noise_hu: float = Field(
        default=20.0, ge=0, description="Standard deviation of a 1 mm slice behind the soft kernel, HU."
    )

    @property
    def noise(self) -> float:
        """Standard deviation in this sequence, HU: grows with the kernel's gain, falls with the root of the slice."""
        return self.noise_hu * self.kernel.noise_gain / KERNELS["S"].noise_gain / self.slice_mm**0.5


@dataclass(frozen=True)
class Placement:
    """Where the scanner's first voxel falls in the box of the micro-CT.

    Attributes:
        shift: From 0 to 1, along i, j, k: how far of a native voxel the first one reaches into the box.
    """

    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)


CENTRED = Placement()


def native_grid(grid: Grid, protocol: Protocol, placement: Placement = CENTRED) -> Grid:
    """The scanner's voxels over the box of a micro-CT, slices along its third axis.

    Args:
        grid: The micro-CT's grid.
        protocol: Pixel and slice spacing.
        placement: Shift; one more voxel along each axis keeps the box covered.
    """
    coarse = grid.with_spacing((protocol.pixel_mm, protocol.pixel_mm, protocol.slice_mm))
    if placement == CENTRED:
        return coarse
    move = Affine.from_parts(np.eye(3), np.asarray(placement.shift, np.float64) - 1, "voxel", "voxel")
    shape = tuple(n + 1 for n in coarse.shape)
    return Grid((shape[0], shape[1], shape[2]), coarse.world_from_voxel @ move)


def scan(volume: Volume, protocol: Protocol, rng: np.random.Generator | None, placement: Placement = CENTRED) -> Volume:
    """A clinical CT of what a micro-CT shows.

    Beyond the micro-CT its outermost voxels go on. The micro-CT's own blur is part of the object.

    Args:
        volume: CT numbers, HU; of a phantom or real.
        protocol: Kernel, sampling, slice, noise.
        rng: Source of the noise; None for none.
        placement: Where the scanner's voxels fall.

    Returns:
        int16 HU on ``native_grid``.

    Raises:
        InputError: The micro-CT is coarser than the scanner's pixels.
    """
    onto = native_grid(volume.grid, protocol, placement)
    if volume.grid.spacing.max() > protocol.pixel_mm:
        raise InputError(
            f"the volume to be scanned is coarser than the scanner's pixels\n  volume  {volume.grid!r}\n"
            f"  pixels  {protocol.pixel_mm} mm\n  give a finer volume, or a protocol with larger pixels"
        )
    image = _sampled(_in_slices(volume, protocol, onto), volume.grid, protocol.kernel, onto)
    if rng is not None and protocol.noise > 0:
        image = image + protocol.noise * noise_texture(onto, protocol.kernel, rng)
    return Volume(np.clip(np.rint(image), PADDING_HU, 32767).astype(np.int16), onto)


def registered(native: Volume, onto: Grid) -> Volume:
    """A clinical sequence as the challenge hands it out: linear on the micro-CT's grid, int16, -1024 beyond."""
    on = resample(native, onto=onto, interpolation="linear", outside=PADDING_HU)
    whole = np.empty(onto.shape, np.int16)
    for plane, values in zip(whole, on.array, strict=True):
        plane[...] = np.rint(values)
    return Volume(whole, onto)


def noise_texture(grid: Grid, kernel: Kernel, rng: np.random.Generator) -> FloatImage:
    """Noise of unit variance with the kernel's power spectrum in plane, independent from slice to slice."""
    from scipy import fft

    fine = [max(1, int(np.ceil(s / NOISE_PITCH_MM - 1e-6))) for s in grid.spacing[:2]]
    shape = [_fast(n * m + 16) for n, m in zip(grid.shape[:2], fine, strict=True)]
    f = _frequency(shape, grid.spacing[:2] / fine)
    gain = np.sqrt(kernel.noise_power(f))
    full = np.sqrt(kernel.noise_power(np.hypot(*_axes(shape, grid.spacing[:2] / fine))))
    gain = (gain / np.sqrt(np.mean(full**2))).astype(np.float32)
    out = np.empty(grid.shape, np.float32)
    for k in range(grid.shape[2]):
        white = np.asarray(fft.rfft2(rng.standard_normal(shape, dtype=np.float32)))
        slice_ = np.asarray(fft.irfft2(white * gain, s=shape), np.float32)
        out[:, :, k] = slice_[: grid.shape[0] * fine[0] : fine[0], : grid.shape[1] * fine[1] : fine[1]]
    return out


def _in_slices(volume: Volume, protocol: Protocol, onto: Grid) -> np.ndarray:
    """The volume averaged over the profile of every slice: its own pixels, the scanner's slices."""
    step = float(volume.grid.spacing[2])
    middle = (volume.grid.voxel_from_world @ onto.world_from_voxel)(np.zeros(3))[2]
    centres = (middle + np.arange(onto.shape[2]) * protocol.slice_mm / step) * step
    weights = slice_weights(centres, volume.grid.shape[2], step, (protocol.slice_mm, protocol.slice_edge))
    out = np.empty((*volume.grid.shape[:2], onto.shape[2]), np.float32)
    for i in range(volume.grid.shape[0]):
        out[i] = volume.array[i].astype(np.float32) @ weights.T
    return out


def _sampled(slices: np.ndarray, grid: Grid, kernel: Kernel, onto: Grid) -> np.ndarray:
    """Every slice blurred by the kernel and read at the scanner's pixels."""
    from scipy import fft
    from scipy.ndimage import map_coordinates

    spacing = grid.spacing[:2]
    margin = np.ceil(np.maximum(3 / kernel.f50, 2 * onto.spacing[:2]) / spacing).astype(int)
    width = [(int(m), _fast(int(n + 2 * m)) - int(n + m)) for n, m in zip(grid.shape[:2], margin, strict=True)]
    shape = [n + a + b for n, (a, b) in zip(grid.shape[:2], width, strict=True)]
    transfer = kernel.transfer(_frequency(shape, spacing)).astype(np.float32)
    here = grid.voxel_from_world @ onto.world_from_voxel
    first, step = here(np.zeros(3))[:2] + margin, np.diag(here.linear)
    places = np.meshgrid(*(first[a] + step[a] * np.arange(onto.shape[a]) for a in (0, 1)), indexing="ij")
    out = np.empty(onto.shape, np.float32)
    for k in range(onto.shape[2]):
        spectrum = np.asarray(fft.rfft2(np.pad(slices[:, :, k], width, mode="edge"))) * transfer
        blurred = np.asarray(fft.irfft2(spectrum, s=shape), np.float32)
        out[:, :, k] = map_coordinates(blurred, places, order=3, mode="nearest")
    return out


def _fast(length: int) -> int:
    """The next length whose transform is quick."""
    from scipy import fft

    return int(fft.next_fast_len(length) or length)


def _axes(shape: list[int], spacing: np.ndarray, real: bool = False) -> tuple[np.ndarray, np.ndarray]:
    last = np.fft.rfftfreq(shape[1], spacing[1]) if real else np.fft.fftfreq(shape[1], spacing[1])
    return np.fft.fftfreq(shape[0], spacing[0])[:, None], last[None, :]


def _frequency(shape: list[int], spacing: np.ndarray) -> np.ndarray:
    """Cycles per mm of every term of a real transform."""
    return np.hypot(*_axes(shape, spacing, real=True))


def pixel_noise(grid: Grid, kernel: Kernel, rng: np.random.Generator) -> FloatImage:
    """Noise of unit variance with the kernel's power spectrum up to the pixels' own limit; quick, without aliasing."""
    from scipy import fft

    shape = [_fast(n + 16) for n in grid.shape[:2]]
    spacing = grid.spacing[:2]
    full = kernel.noise_power(np.hypot(*_axes(shape, spacing)))
    gain = np.sqrt(kernel.noise_power(_frequency(shape, spacing)) / np.mean(full)).astype(np.float32)
    out = np.empty(grid.shape, np.float32)
    for k in range(grid.shape[2]):
        white = np.asarray(fft.rfft2(rng.standard_normal(shape, dtype=np.float32)))
        out[:, :, k] = np.asarray(fft.irfft2(white * gain, s=shape), np.float32)[: grid.shape[0], : grid.shape[1]]
    return out
