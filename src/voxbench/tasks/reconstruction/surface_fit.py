"""Pose, articulation and shape of a knee from points on the surfaces of its bones.

The points ask the model's surface to come to them, and the model's surface looks for points; both along the model's
normals, between places whose normals agree, with robust weights. All parameters move at once by Gauss-Newton steps with
the shape model's prior, as in `fit`, and the normal equations of radiographs may be added.

References:
    P. Besl and N. McKay, IEEE Trans. Pattern Anal. Mach. Intell. 14:239-256, 1992, doi:10.1109/34.121791
    Y. Chen and G. Medioni, Image Vis. Comput. 10:145-155, 1992, doi:10.1016/0262-8856(92)90066-C (along normals)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from voxbench.tasks.reconstruction.fit import LARGEST_STEP, MOST
from voxbench.tasks.reconstruction.knee import POSE, MovingKnee, PosedKnee
from voxbench.tasks.reconstruction.occupancy import BONES
from voxbench.types import AnyArray

NORMAL_MM = 8.0
"""Normals that differ by 1 (60 degrees) count like places this far apart when neighbours are looked for."""
AGREE = 0.3
"""Least cosine between the normals of neighbours."""
ELSEWHERE_MM = 1000.0
CORRELATION_MM = 6.0
"""Points nearer to each other than this err alike: so much of a surface counts as one measurement."""
EDGE_MM = 2.0
CLOSE_MM = 1.5
Extra = Callable[[MovingKnee, AnyArray], tuple[AnyArray, AnyArray]]
"""Further normal equations for a knee and its parameters: J^T W J and J^T W r."""


@dataclass(frozen=True, eq=False)
class SurfaceLevel:
    """One pass of coarse to fine; lengths in mm.

    Attributes:
        reach_mm: Neighbours are no further apart.
        trust_mm: Error of a point, standard deviation.
        stiffness: How many times the prior counts.
        rounds: Gauss-Newton steps.
        points: How many points of either surface are used.
        starts: How many of the best starts come this far.
    """

    reach_mm: float
    trust_mm: float
    stiffness: float
    rounds: int
    points: int
    starts: int


SURFACE_LEVELS = (
    SurfaceLevel(30.0, 6.0, 50.0, 8, 700, 8),
    SurfaceLevel(15.0, 3.0, 10.0, 8, 1000, 4),
    SurfaceLevel(8.0, 1.5, 2.0, 10, 2000, 2),
    SurfaceLevel(5.0, 0.8, 1.0, 10, 5000, 1),
)


@dataclass(frozen=True, eq=False)
class Targets:
    """Points on surfaces of bones.

    Attributes:
        places: World, mm, (n, 3).
        normals: Outwards, (n, 3).
        bones: Which of `BONES` each lies on, int (n,); -1 where that is unknown, for all or for none.
        spread: Error of each, standard deviation, mm, beside that of a level, (n,).
        area: How much surface each stands for, mm^2.
        box: Beyond these two corners nothing is known, (2, 3).
    """

    places: AnyArray
    normals: AnyArray
    bones: AnyArray
    spread: AnyArray
    area: float
    box: AnyArray

    def thinned(self, count: int) -> Targets:
        """At most so many of them, evenly through their order."""
        if len(self.places) <= count:
            return self
        kept = np.linspace(0, len(self.places) - 1, count).astype(int)
        rows = {name: getattr(self, name)[kept] for name in ("places", "normals", "bones", "spread")}
        return replace(self, **rows, area=self.area * len(self.places) / count)

    def features(self) -> AnyArray:
        """What neighbours are looked for by, (n, 7)."""
        return _features(self.places, self.normals, self.bones)


@dataclass(frozen=True, eq=False)
class SurfacePull:
    """One linearised round.

    Attributes:
        normal: J^T W J without the prior, (p, p).
        towards: J^T W r, (p,).
        residuals: Along the model's normals, mm; NaN where no neighbour was found. Of the model's points.
        bones: Of which bone each of these is.
        reached: The same of the points, (n,).
    """

    normal: AnyArray
    towards: AnyArray
    residuals: AnyArray
    bones: AnyArray
    reached: AnyArray

    @property
    def score(self) -> float:
        """How close surfaces and points are, 0 to 1: mean over the model's bones and over the points, half each."""
        own = _closeness(self.residuals)
        bones = [float(own[self.bones == bone].mean()) for bone in np.unique(self.bones)]
        return (float(np.mean(bones)) if bones else 0.0) / 2 + float(_closeness(self.reached).mean()) / 2

    def residual_mm(self) -> dict[str, float]:
        """Median distance of each bone's surface from the points, mm; NaN where none is near."""
        found = {}
        for number, bone in enumerate(BONES):
            own = np.abs(self.residuals[self.bones == number])
            own = own[np.isfinite(own)]
            found[bone] = float(np.median(own)) if len(own) else float("nan")
        return found


def surface_pull(knee: MovingKnee, values: AnyArray, targets: Targets, level: SurfaceLevel) -> SurfacePull:
    """What points on surfaces ask of a knee's parameters.

    Args:
        knee: What is fitted.
        values: Its parameters.
        targets: The points, thinned already.
        level: Reach and trust.
    """
    from scipy.spatial import KDTree

    posed = knee.at(values)
    own = _Surfaces.of(posed, bool((targets.bones >= 0).all()))
    few = _thin(len(own.places), level.points)
    seen = ((own.places[few] > targets.box[0] + EDGE_MM) & (own.places[few] < targets.box[1] - EDGE_MM)).all(axis=1)
    few = few[seen]
    tree = KDTree(targets.features(), balanced_tree=False, compact_nodes=False)
    to_point = tree.query(own.features[few], distance_upper_bound=1.5 * level.reach_mm)[1]
    to_model = KDTree(own.features, balanced_tree=False, compact_nodes=False).query(
        targets.features(), distance_upper_bound=1.5 * level.reach_mm
    )[1]
    count = len(values)
    normal, towards = np.zeros((count, count)), np.zeros(count)
    found = []
    for at, point, area in (
        (few, np.asarray(to_point), own.area * len(own.places) / max(1, len(few))),
        (np.asarray(to_model), np.arange(len(targets.places)), targets.area),
    ):
        pairs, residual = _paired(own, targets, at, point, level)
        found.append(residual)
        model, data, offset = at[pairs], point[pairs], residual[pairs]
        variance = level.trust_mm**2 + targets.spread[data] ** 2
        # both directions speak of the same surface: each counts half
        weight = area / CORRELATION_MM**2 / 2 / variance / (1 + offset**2 / (4 * variance))
        for number, bone in enumerate(posed.bones):
            rows = own.bones[model] == number
            if not rows.any():
                continue
            corners, along = own.vertex[model[rows]][:, None], own.normals[model[rows]]
            slopes = posed.derivative(bone, corners, np.ones((len(corners), 1)), along)
            normal += slopes.T @ (weight[rows, None] * slopes)
            towards += slopes.T @ (weight[rows] * offset[rows])
    return SurfacePull(normal, towards, found[0], own.bones[few], found[1])


def descend_to(
    knee: MovingKnee, values: AnyArray, targets: Targets, level: SurfaceLevel, extra: Extra | None = None
) -> tuple[AnyArray, SurfacePull]:
    """The rounds of one level, from given parameters.

    Args:
        knee: What is fitted.
        values: Its parameters.
        targets: Points on surfaces.
        level: How.
        extra: Further normal equations.

    Returns:
        The parameters, and what the points ask for there.
    """
    values, targets = values.copy(), targets.thinned(level.points)
    prior = level.stiffness / knee.spread**2
    for _ in range(level.rounds):
        asked = surface_pull(knee, values, targets, level)
        normal, towards = asked.normal, asked.towards
        if extra is not None:
            more = extra(knee, values)
            normal, towards = normal + more[0], towards + more[1]
        step = np.linalg.solve(normal + np.diag(prior), towards - prior * values)
        step /= max(1.0, float(np.abs(step[POSE:]).max(initial=0)) / LARGEST_STEP)
        values += step
        values[POSE:] = np.clip(values[POSE:], -MOST, MOST)
    return values, surface_pull(knee, values, targets, level)


@dataclass(frozen=True, eq=False)
class _Surfaces:
    """The vertices of a posed knee that are surface of a bone."""

    places: AnyArray
    normals: AnyArray
    bones: AnyArray
    vertex: AnyArray
    features: AnyArray
    area: float

    @staticmethod
    def of(posed: PosedKnee, named: bool) -> _Surfaces:
        places, normals, bones, vertex, area = [], [], [], [], 0.0
        for number, (bone, vertices) in enumerate(posed.bones.items()):
            surface = posed.knee.surfaces[bone]
            faces = surface.faces[surface.counted]
            used = np.unique(faces)
            a, b, c = (vertices[faces[:, corner]] for corner in range(3))
            area += float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2
            places.append(vertices[used])
            normals.append(posed.normals[bone][used])
            bones.append(np.full(len(used), number))
            vertex.append(used)
        at, along, which = np.concatenate(places), np.concatenate(normals), np.concatenate(bones)
        order = np.array([BONES.index(bone) for bone in posed.bones])[which]
        features = _features(at, along, order if named else np.full(len(at), -1))
        return _Surfaces(at, along, which, np.concatenate(vertex), features, area / max(1, len(at)))


def _features(places: AnyArray, normals: AnyArray, bones: AnyArray) -> AnyArray:
    return np.column_stack([places, NORMAL_MM * normals, ELSEWHERE_MM * bones])


def _paired(
    own: _Surfaces, targets: Targets, at: AnyArray, point: AnyArray, level: SurfaceLevel
) -> tuple[AnyArray, AnyArray]:
    """Which pairs hold, and how far each point lies outside the model's surface, mm; NaN for the others."""
    held = (at < len(own.places)) & (point < len(targets.places))
    model, data = np.where(held, at, 0), np.where(held, point, 0)
    gap = targets.places[data] - own.places[model]
    agree = np.einsum("nd,nd->n", own.normals[model], targets.normals[data])
    held &= (agree > AGREE) & ((gap**2).sum(axis=1) < level.reach_mm**2)
    residual = np.einsum("nd,nd->n", gap, own.normals[model])
    return np.flatnonzero(held), np.where(held, residual, np.nan)


def _thin(count: int, most: int) -> AnyArray:
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(int)


def _closeness(residuals: AnyArray) -> AnyArray:
    return np.nan_to_num(1 / (1 + (residuals / CLOSE_MM) ** 2), nan=0.0)
