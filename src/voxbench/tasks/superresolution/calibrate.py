"""How a sequence blurs, from a sample whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry import Volume
from voxbench.tasks.superresolution.observation import SequenceBlur, observe

SIDE = 128
"""Voxels of the box in the middle of the truth that is looked at, along each axis."""
WIDEST_MM = 4.0
"""Blurs wider than this are not looked for."""


@dataclass(frozen=True)
class Calibration:
    """What a scanner makes of an object: y = offset + gain * (blurred x).

    Attributes:
        blur: In-plane width and slice thickness that explain the sequence best.
        gain: Of contrast; 1 where both are in HU of the same energy.
        offset: HU.
        residual: Root mean square of what is left unexplained, HU: noise, motion, misregistration.
    """

    blur: SequenceBlur
    gain: float
    offset: float
    residual: float

    def corrected(self, volume: Volume) -> Volume:
        """A sequence with its contrast brought to that of the truth, float32; padding (-1024) stays."""
        array = np.asarray(volume.array, np.float32)
        moved = (array - np.float32(self.offset)) / np.float32(self.gain)
        return Volume(np.where(array <= -1024, np.float32(-1024), moved), volume.grid)


def nominal(volume: Volume, in_plane: float) -> SequenceBlur:
    """A given width in plane; slices as thick as they are apart.

    Args:
        volume: A sequence on its own grid.
        in_plane: FWHM, mm.
    """
    axis = odd_axis(volume.grid.spacing)
    return SequenceBlur(in_plane=in_plane, slice_thickness=float(volume.grid.spacing[axis]), slice_axis=axis)


def calibrated(observation: Volume, truth: Volume) -> Calibration:
    """The Gaussian in plane, the slice thickness, gain and offset with which the truth looks most like the observation.

    Least squares over the samples in the middle of the volume; widths by the simplex method of Nelder and Mead, gain
    and offset in closed form.

    Args:
        observation: A sequence on its own grid, HU, in the world of the truth.
        truth: The object, HU, e.g. the micro-CT of a training sample.

    Raises:
        EmptyShapeError: They do not overlap enough.
        InputError: The observation is flat, or shows nothing of the truth.

    References:
        J. A. Nelder, R. Mead, Comput. J. 7:308-313, 1965, doi:10.1093/comjnl/7.4.308
    """
    from scipy.optimize import minimize

    box = _middle(truth)
    start = nominal(observation, 1.0)

    def fit(widths: np.ndarray) -> tuple[float, float, float]:
        blur = start.model_copy(update={"in_plane": float(widths[0]), "slice_thickness": float(widths[1])})
        return _explained(observation, box, blur)

    def cost(widths: np.ndarray) -> float:
        if widths.min() < 0.02 or widths.max() > WIDEST_MM:
            return np.inf
        return fit(widths)[2]

    first = np.array([1.0, start.slice_thickness])
    found = minimize(cost, first, method="Nelder-Mead", options={"xatol": 0.01, "fatol": 1e-3, "maxfev": 80}).x
    gain, offset, residual = fit(found)
    if not gain > 0:
        raise InputError(
            "the sequence shows nothing of the sample it should be calibrated with\n"
            f"  gain {gain:.3g}, {residual:.0f} HU unexplained\n  are both in one world frame?"
        )
    blur = start.model_copy(
        update={"in_plane": round(float(found[0]), 4), "slice_thickness": round(float(found[1]), 4)}
    )
    return Calibration(blur, gain, offset, residual)


def odd_axis(spacing: np.ndarray) -> int:
    """The axis across the slices: the one whose spacing differs from the two equal others, else the last."""
    odd = [a for a in range(3) if np.ptp(np.delete(spacing, a)) < 0.01 * spacing[a]]
    odd = [a for a in odd if abs(spacing[a] - np.delete(spacing, a).mean()) > 0.01 * spacing[a]]
    return odd[0] if len(odd) == 1 else 2


def _middle(truth: Volume) -> Volume:
    """A box in the middle."""
    (a, b), (c, d), (e, f) = ((m := (n - min(n, SIDE)) // 2, m + min(n, SIDE)) for n in truth.grid.shape)
    array = np.ascontiguousarray(truth.array[a:b, c:d, e:f], np.float32)
    return Volume(array, truth.grid.cropped((a, c, e), (b, d, f)))


def _explained(observation: Volume, box: Volume, blur: SequenceBlur) -> tuple[float, float, float]:
    """Gain, offset and residual of the best line through what is seen over what should be."""
    seen = observe(observation, box.grid, blur, 1.0)
    local = seen.within((0, 0, 0), box.grid.shape)
    if local is None:
        raise EmptyShapeError("the sequence has no sample inside the truth")
    expected = local.operator.forward(np.asarray(box.array))
    keep = np.broadcast_to(local.weight > 0, expected.shape).copy()
    for axis, profile in enumerate(seen.blur.axes(seen.resampled)):
        at = seen.positions[axis]
        at = at[(at > -0.5) & (at < box.grid.shape[axis] - 0.5)]
        reach = min(profile.reach / seen.spacing[axis], 0.3 * box.grid.shape[axis])
        inside = (at >= reach - 0.5) & (at <= box.grid.shape[axis] - 0.5 - reach)
        keep &= np.expand_dims(inside, [a for a in range(3) if a != axis])
    if int(keep.sum()) < 64:
        raise EmptyShapeError(f"{int(keep.sum())} samples lie inside the truth; at least 64 are needed to calibrate")
    x, y = expected[keep].astype(np.float64), local.values[keep].astype(np.float64)
    spread = float(np.var(x))
    if spread < 1e-6:
        raise InputError("the truth is flat where the sequence is calibrated")
    gain = float(np.mean((x - x.mean()) * (y - y.mean())) / spread)
    offset = float(y.mean() - gain * x.mean())
    return gain, offset, float(np.sqrt(np.mean((y - offset - gain * x) ** 2)))
