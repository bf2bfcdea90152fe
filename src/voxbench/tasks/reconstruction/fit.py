"""Pose, articulation and shape of a knee from radiographs, by the edges of the bones.

Edges are searched for along the normals of the projected occluding contours, and all parameters are moved towards them
at once by Gauss-Newton steps with robust weights and the shape model's prior; coarse to fine.

References:
    M. Fleute and S. Lavallee, MICCAI 1999, LNCS 1679:879-887, doi:10.1007/10704282_95 (contours to a shape model)
    T. Cootes et al., Comput. Vis. Image Underst. 61:38-59, 1995, doi:10.1006/cviu.1995.1004 (search along normals)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxbench.geometry.projection import View
from voxbench.tasks.reconstruction.config import Level
from voxbench.tasks.reconstruction.contours import Contour, occluding_contour
from voxbench.tasks.reconstruction.edges import Rivals, Slopes, find_edges
from voxbench.tasks.reconstruction.knee import POSE, MovingKnee, PosedKnee
from voxbench.tasks.reconstruction.shells import inside_mm
from voxbench.types import AnyArray

STEPS_PER_REACH = 12
LARGEST_STEP = 3.0
"""No coefficient may change by more in one step, standard deviations; nor may it leave +-MOST."""
MOST = 3.5
SQRT_12 = 12**0.5
"""A pixel blurs by its width over this."""


@dataclass(frozen=True, eq=False)
class Radiograph:
    """An image and where it was taken from.

    Attributes:
        image: (rows, columns), bone brighter than what surrounds it.
        view: Where from.
    """

    image: AnyArray
    view: View

    def pixel_at_bone(self, place: AnyArray) -> float:
        """Size at a place of what falls on a pixel, mm."""
        return float(np.mean(self.view.pixel_mm)) / self.view.magnification(place)


@dataclass(frozen=True, eq=False)
class Pull:
    """One linearised round: what the edges of all bones and views ask for.

    Attributes:
        normal: J^T W J, without the prior, (p, p).
        towards: J^T W r, (p,).
        seen: Length of contour on the detector, mm at the bone, (views, bones).
        strength: Mean strength of the edges over that length (0 where there are none), (views, bones).
        residuals: Per view, offsets to the edges, mm at the bone.
        weights: Per view, what each of them counted.
    """

    normal: AnyArray
    towards: AnyArray
    seen: AnyArray
    strength: AnyArray
    residuals: tuple[AnyArray, ...]
    weights: tuple[AnyArray, ...]

    @property
    def score(self) -> float:
        """Mean strength of the edges of the four bones, 0 to 1; each bone counts alike, that none gets lost."""
        return float(np.mean((self.seen * self.strength).sum(axis=0) / np.maximum(self.seen.sum(axis=0), 1e-9)))

    @property
    def distances(self) -> tuple[float, ...]:
        """Median distance from the contours to the edges of each view, mm at the bone; NaN where there are none."""
        return tuple(float(np.median(np.abs(r))) if len(r) else float("nan") for r in self.residuals)


def blurred(radiographs: Sequence[Radiograph], level: Level, middle: AnyArray) -> tuple[Slopes, ...]:
    """The gradients of all radiographs at one level."""
    return tuple(Slopes.of(r.image, level.blur_mm / r.pixel_at_bone(middle)) for r in radiographs)


def pull(
    knee: MovingKnee,
    values: AnyArray,
    radiographs: Sequence[Radiograph],
    slopes: Sequence[Slopes],
    how: tuple[Level, float],
) -> Pull:
    """Edges near the contours of a knee, and the normal equations they give.

    Args:
        knee: What is fitted.
        values: Its parameters.
        radiographs: The images.
        slopes: Their gradients.
        how: The level, and the length over which edges err alike, mm.
    """
    level, correlation = how
    posed = knee.at(values)
    bones = posed.bones
    normal, towards = np.zeros((len(values), len(values))), np.zeros(len(values))
    seen, strength = np.zeros((len(radiographs), len(bones))), np.zeros((len(radiographs), len(bones)))
    residuals, weights = [], []
    for row, (radiograph, slope) in enumerate(zip(radiographs, slopes, strict=True)):
        offsets, counted = [np.zeros(0)], [np.zeros(0)]
        drawn = _drawn(knee, posed, radiograph.view)
        for column, (bone, contour) in enumerate(drawn.items()):
            pixel = radiograph.pixel_at_bone(bones[bone].mean(axis=0))
            others = [other for name, other in drawn.items() if name != bone]
            rivals = Rivals(np.concatenate([o.pixels for o in others]), np.concatenate([o.normals for o in others]))
            reach = level.reach_mm / pixel
            # edges are searched for about where they are expected, so that what is near is favoured fairly
            blur = float(np.hypot(level.blur_mm, pixel / SQRT_12))
            deep = inside_mm(knee.shells[bone][contour.corners[:, 0]], blur) / pixel
            expected = contour.pixels - deep[:, None] * contour.normals
            search = reach, max(0.5, reach / STEPS_PER_REACH)
            found = find_edges(slope, expected, contour.normals, search, rivals)
            long = contour.lengths * pixel
            seen[row, column] = long.sum()
            strength[row, column] = (long * found.strengths).sum() / max(long.sum(), 1e-9)
            good = np.isfinite(found.offsets)
            if not good.any():
                continue
            offset = found.offsets[good] * pixel
            robust = 1 / (1 + (offset / (2 * level.trust_mm)) ** 2)
            weight = robust * found.strengths[good] * long[good] / correlation / level.trust_mm**2
            jacobian = posed.slopes(bone, _part(contour, good)) * pixel
            normal += jacobian.T @ (weight[:, None] * jacobian)
            towards += jacobian.T @ (weight * offset)
            offsets.append(offset)
            counted.append(weight)
        residuals.append(np.concatenate(offsets))
        weights.append(np.concatenate(counted))
    return Pull(normal, towards, seen, strength, tuple(residuals), tuple(weights))


def descend(
    knee: MovingKnee,
    values: AnyArray,
    radiographs: Sequence[Radiograph],
    slopes: Sequence[Slopes],
    how: tuple[Level, float],
) -> tuple[AnyArray, Pull]:
    """The rounds of one level, from given parameters.

    Returns:
        The parameters, and the edges about the last of them.
    """
    values = values.copy()
    prior = how[0].stiffness / knee.spread**2
    for _ in range(how[0].rounds):
        asked = pull(knee, values, radiographs, slopes, how)
        step = np.linalg.solve(asked.normal + np.diag(prior), asked.towards - prior * values)
        step /= max(1.0, float(np.abs(step[POSE:]).max(initial=0)) / LARGEST_STEP)
        values += step
        values[POSE:] = np.clip(values[POSE:], -MOST, MOST)
    return values, pull(knee, values, radiographs, slopes, how)


def _drawn(knee: MovingKnee, posed: PosedKnee, view: View) -> dict[str, Contour]:
    """The contours of all bones in a view."""
    return {
        bone: inside(occluding_contour(knee.surfaces[bone], vertices, posed.normals[bone], view), view)
        for bone, vertices in posed.bones.items()
    }


def inside(contour: Contour, view: View) -> Contour:
    """What falls on the detector, away from its border."""
    size = np.array(view.shape)
    return _part(contour, np.all((contour.pixels > 2) & (contour.pixels < size - 3), axis=1))


def _part(contour: Contour, which: AnyArray) -> Contour:
    return Contour(
        contour.corners[which],
        contour.shares[which],
        contour.pixels[which],
        contour.normals[which],
        contour.moves[which],
        contour.lengths[which],
    )
