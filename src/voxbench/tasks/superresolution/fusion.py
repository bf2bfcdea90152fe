"""One fine volume from all sequences of a sample."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field

from voxbench.config import Config
from voxbench.errors import InputError, UsageError
from voxbench.geometry import Grid, Volume
from voxbench.tasks.superresolution.confidence import leverage
from voxbench.tasks.superresolution.observation import Observation, SequenceBlur, noise_level, observe
from voxbench.tasks.superresolution.solver import AIR_HU, Prior, Problem, Step, descend

AIR_BELOW = -400.0
"""HU of the smooth mean below which there is air."""
TRIAL = 64
"""Side, in voxels, of the box on which noise is measured."""
BYTES_PER_VOXEL = 56
"""Working memory of the solver."""


class FusionConfig(Config):
    """Joint reconstruction of one fine volume from several sequences."""

    noise: tuple[float, ...] = Field(default=(), description="Standard deviation per sequence, HU; none: measured.")
    edge: float = Field(default=3000.0, gt=0, description="Trust in the data over the prior, HU per voxel.")
    knee: float = Field(default=300.0, gt=0, description="Differences of neighbours above this are edges, HU.")
    least: float = Field(default=-100.0, ge=-1024, description="Least HU where there is no air: fat.")
    steps: int = Field(default=8, ge=1, description="Most outer steps.")
    inner: int = Field(default=5, ge=1, description="Conjugate-gradient steps in each.")
    discrepancy: float = Field(default=0.5, ge=0, description="Stop when the residual is this many times the noise.")
    tolerance: float = Field(default=1e-3, ge=0, description="Stop when the objective falls by less than this share.")
    memory_gb: float = Field(default=1.5, gt=0, description="Working memory; sets the size of the slabs.")
    overlap: int = Field(default=16, ge=0, description="Voxels by which slabs overlap on each side.")
    probes: int = Field(default=1, ge=0, description="Random probes of the confidence map; 0: no map.")
    whole_numbers: bool = Field(default=False, description="Give int16 HU (half the memory) instead of float32.")


@dataclass(frozen=True)
class Estimated:
    """What was measured, or given.

    Attributes:
        noise: Standard deviation per sequence, HU.
        resampled: Whether each sequence was taken as resampled onto the volume's grid (else on its own grid).
    """

    noise: tuple[float, ...]
    resampled: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Fusion:
    """Result of the joint reconstruction.

    Attributes:
        volume: HU, at least -1024, on the grid asked for.
        confidence: Share of each voxel that the data fix, 0 to 1, float16 (see ``confidence.leverage``); None if not
            asked for.
        history: Objective and residual after every step, of the slab in the middle, which decides when to stop.
        estimated: Noise per sequence, and how it was taken.
    """

    volume: Volume
    confidence: Volume | None
    history: tuple[Step, ...]
    estimated: Estimated


@dataclass(frozen=True)
class Slab:
    """A box of the volume and the part of it that is kept.

    Attributes:
        start: First voxel of the box.
        stop: One past its last.
        core_start: First voxel kept.
        core_stop: One past the last kept.
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]
    core_start: tuple[int, int, int]
    core_stop: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the box."""
        first, second, third = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return first, second, third

    @property
    def kept(self) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Index of the kept voxels in the volume and in the box."""
        pairs = list(zip(self.core_start, self.core_stop, self.start, strict=True))
        return tuple(slice(a, b) for a, b, _ in pairs), tuple(slice(a - s, b - s) for a, b, s in pairs)


def slabs(shape: tuple[int, int, int], most: int, overlap: int) -> tuple[Slab, ...]:
    """Boxes of at most about ``most`` voxels, overlap included, that cover a volume; cut along the longest axes."""
    parts = [1, 1, 1]

    def widths() -> list[int]:
        return [-(-n // p) + (2 * overlap if p > 1 else 0) for n, p in zip(shape, parts, strict=True)]

    while np.prod(widths(), dtype=float) > most:
        cores = [-(-n // p) for n, p in zip(shape, parts, strict=True)]
        axis = int(np.argmax(cores))
        if cores[axis] <= max(8, overlap):
            break
        parts[axis] += 1
    return tuple(_slab(shape, parts, index, overlap) for index in itertools.product(*(range(p) for p in parts)))


def _slab(shape: tuple[int, int, int], parts: list[int], index: tuple[int, ...], overlap: int) -> Slab:
    """One of the boxes."""
    ends = [(n * i // p, n * (i + 1) // p) for n, p, i in zip(shape, parts, index, strict=True)]
    wide = [(max(0, a - overlap), min(n, b + overlap)) for (a, b), n in zip(ends, shape, strict=True)]
    (a, d), (b, e), (c, f) = ends
    (g, j), (h, k), (i, m) = wide
    return Slab((g, h, i), (j, k, m), (a, b, c), (d, e, f))


def fuse(
    observations: Sequence[Volume],
    onto: Grid,
    blurs: Sequence[SequenceBlur],
    config: FusionConfig = FusionConfig(),
) -> Fusion:
    """The volume of which all sequences are observations: regularised least squares with an edge-preserving prior.

    Minimised is half the sum over sequences of |A x - y|^2 / noise^2 (with fewer samples counted where they were
    interpolated) plus a Charbonnier total variation. Nothing may be less than fat (-100 HU), but near air, where it
    may be -1024: that makes the pores dark although no sequence resolves them. A sequence whose axes are parallel to
    the volume's is used on its own grid (best: nothing was interpolated); one that lies on the volume's grid already,
    as in the challenge's registered data, is taken as interpolated, with -1024 as padding; any other is brought over
    first by trilinear interpolation. Boxes with overlap are solved one after another; the one in the middle decides how
    many steps all take: until the residual is what the noise explains (discrepancy principle) or the objective stays.

    Args:
        observations: Sequences of one sample in one world, HU; arrays may be memory-mapped.
        onto: Grid of the result, e.g. 105 um.
        blurs: How each sequence blurs (``calibrated`` finds it from a sample whose truth is known). A blur that all
            sequences share cannot be told from a smoother object, so it must be known.
        config: Settings.

    Raises:
        InputError: No sequences, or one that cannot be used.
        UsageError: ``blurs`` or ``noise`` given for another number of sequences.

    References:
        M. Elad, A. Feuer, IEEE Trans. Image Process. 6:1646-1658, 1997, doi:10.1109/83.650118
        S. Farsiu et al., IEEE Trans. Image Process. 13:1327-1344, 2004, doi:10.1109/TIP.2004.834669
        V. A. Morozov, Soviet Math. Dokl. 7:414-417, 1966 (discrepancy principle)
    """
    _check(observations, blurs, config)
    noise = config.noise or measured_noise(observations, onto, blurs, config)
    seen = [observe(v, onto, b, n) for v, b, n in zip(observations, blurs, noise, strict=True)]
    boxes = slabs(onto.shape, int(config.memory_gb * 1e9 / BYTES_PER_VOXEL), config.overlap)
    volume = np.empty(onto.shape, dtype=np.int16 if config.whole_numbers else np.float32)
    confidence = np.zeros(onto.shape if config.probes else (1, 1, 1), dtype=np.float16)
    middle = boxes[len(boxes) // 2]
    reach = max(b.in_plane for b in blurs)
    steps, history = config.steps, ()
    for box in sorted(boxes, key=lambda b: b is not middle):
        problem, used = local_problem(seen, box.start, box.shape, Prior(config.edge, config.knee))
        found = problem.start()
        problem = replace(problem, floor=floor_map(found, config.least, [reach / s for s in onto.spacing]))
        found = np.maximum(found, problem.floor)
        taken = list(solve(problem, found, used, config, stop=box is middle, most=steps))
        found, records = taken[-1][0], [record for _, record in taken]
        if box is middle:
            steps, history = max(1, len(records)), tuple(records)
        there, here = box.kept
        volume[there] = np.rint(np.minimum(found[here], 32767)) if config.whole_numbers else found[here]
        if config.probes:
            confidence[there] = leverage(problem, found, box.start, config.probes, 2 * config.inner)[here]
    estimated = Estimated(tuple(noise), tuple(o.resampled for o in seen))
    return Fusion(Volume(volume, onto), Volume(confidence, onto) if config.probes else None, history, estimated)


def measured_noise(
    observations: Sequence[Volume], onto: Grid, blurs: Sequence[SequenceBlur], config: FusionConfig
) -> tuple[float, ...]:
    """Standard deviation of the noise of each sequence, HU.

    What ``noise_level`` finds in the flattest parts is too much where structure fills the field of view. So a box in
    the middle is fused with it; what the solution leaves unexplained of a sequence is too little, since it fits some
    noise. Where that is the smaller of the two the truth lies between: their geometric mean is taken.
    """
    first = tuple(noise_level(v) for v in observations)
    shape = [min(n, TRIAL) for n in onto.shape]
    a, b, c = ((n - m) // 2 for n, m in zip(onto.shape, shape, strict=True))
    grid = onto.cropped((a, b, c), (a + shape[0], b + shape[1], c + shape[2]))
    seen = [observe(v, onto, blur, n) for v, blur, n in zip(observations, blurs, first, strict=True)]
    problem, _ = local_problem(seen, (a, b, c), grid.shape, Prior(config.edge, config.knee))
    if len(problem.observations) < len(seen):
        return first
    trial = list(solve(problem, problem.start(), list(first), config, stop=False, most=3))[-1][0]
    measured = []
    for local, residual, level in zip(problem.observations, problem.residuals(trial), first, strict=True):
        used = residual[np.broadcast_to(local.weight > 0, residual.shape)].astype(np.float64)
        rest = float(np.sqrt(np.mean(used**2))) if used.size else level
        measured.append(max(1.0, float(np.sqrt(level * min(level, rest)))))
    return tuple(measured)


def local_problem(
    observations: Sequence[Observation], start: tuple[int, int, int], shape: tuple[int, int, int], prior: Prior
) -> tuple[Problem, list[float]]:
    """The problem inside a box, and the noise of the sequences that reach into it."""
    inside = [(o.within(start, shape), o.noise) for o in observations]
    kept = [(local, noise) for local, noise in inside if local is not None]
    return Problem(tuple(local for local, _ in kept), prior, shape), [noise for _, noise in kept]


def solve(
    problem: Problem, volume: np.ndarray, noise: list[float], config: FusionConfig, *, stop: bool, most: int
) -> Iterator[tuple[np.ndarray, Step]]:
    """Steps of the solver; with ``stop`` only as long as the residual and the objective ask for more."""
    before = np.inf
    for _ in range(most):
        volume, _, step = descend(problem, volume, noise, config.inner)
        yield volume, step
        settled = before - step.objective < config.tolerance * abs(step.objective)
        if stop and (step.residual <= config.discrepancy or settled):
            return
        before = step.objective


def floor_map(smooth: np.ndarray, least: float, reach: Sequence[float]) -> np.ndarray:
    """The least HU of every voxel: ``least``, but -1024 within a blur of where the smooth mean shows air.

    Args:
        smooth: What the sequences show, HU.
        least: Of what is not air, HU.
        reach: How far a blur carries, voxels per axis.
    """
    from scipy.ndimage import maximum_filter1d

    air = smooth < AIR_BELOW
    if not air.any():
        return np.full((1, 1, 1), least, np.float32)
    near = air.view(np.uint8)
    for axis, voxels in enumerate(reach):
        near = maximum_filter1d(near, 2 * int(np.ceil(voxels)) + 1, axis, mode="nearest")
    return np.where(near, np.float32(AIR_HU), np.float32(least))


def _check(observations: Sequence[Volume], blurs: Sequence[SequenceBlur], config: FusionConfig) -> None:
    """Refuse what cannot be fused."""
    if not observations:
        raise InputError("nothing to fuse: no sequence was given\n  give at least one, better four")
    for index, volume in enumerate(observations):
        volume.require_usable(f"sequence {index + 1}")
    if len(blurs) != len(observations):
        raise UsageError(f"blurs: {len(blurs)} given for {len(observations)} sequences\n  give one each")
    if len(config.noise) not in (0, len(observations)):
        raise UsageError(
            f"noise: {len(config.noise)} given for {len(observations)} sequences\n  give one each, or none"
        )
    if any(n <= 0 for n in config.noise):
        raise UsageError(f"noise: standard deviations are positive, HU; got {config.noise}")
