"""A network's occupancy, alone and regularised by the shape model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxbench.errors import InputError
from voxbench.geometry.articulation import KneePose
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.shapes import ShapeModel, Side
from voxbench.tasks.reconstruction.config import ReconstructionConfig
from voxbench.tasks.reconstruction.contours import Surface
from voxbench.tasks.reconstruction.depths import Depths
from voxbench.tasks.reconstruction.fit import Radiograph, blurred, pull
from voxbench.tasks.reconstruction.from_ct import ct_warnings, knees_of
from voxbench.tasks.reconstruction.knee import POSE, MovingKnee
from voxbench.tasks.reconstruction.occupancy import BONES, Occupancy, box_of, classified
from voxbench.tasks.reconstruction.starts import meeting_point
from voxbench.tasks.reconstruction.surface import SPACING_MM, extract
from voxbench.tasks.reconstruction.surface_fit import SURFACE_LEVELS, SurfacePull, Targets
from voxbench.tasks.reconstruction.surface_starts import fit_surfaces
from voxbench.types import AnyArray

LOGISTIC = 1.7
"""log-odds of a normal distribution's integral, per standard deviation: logit(Phi(x)) is about 1.7 x."""
MODEL_MM = 2.0
"""Error of the shape model across the surface, standard deviation: that of people who are not in it (1.5 to 2.2 mm of
corresponding vertices, leaving one out)."""
MOST_DEVIATIONS = 3.0
"""The model is believed no further than this: errors of surfaces have longer tails than the normal distribution."""
PROBE_MM = 1.0
SURE_MM, UNSURE_MM = 0.5, 6.0
"""Least and largest error that is believed of a point on a network's surface."""
POINTS = 6000


@dataclass(frozen=True, eq=False)
class NetworkReconstruction:
    """Bones as an occupancy has them.

    Attributes:
        bones: Watertight meshes, world mm; bones it does not see are left out.
        spread: At each vertex how blurred the occupancy is across the surface, standard deviation, mm.
        warnings: For eyes.
    """

    bones: Mapping[str, Mesh]
    spread: Mapping[str, AnyArray]
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class HybridReconstruction:
    """Bones as a network and the shape model have them together.

    Attributes:
        bones: Watertight meshes, world mm.
        spread: At each vertex how blurred the joint occupancy is across the surface, standard deviation, mm.
        whole: The fitted shape model.
        side: Which leg.
        pose: How the bones stand.
        coefficients: Of the shape model, standard deviations.
        score: How close the model and the network's surfaces are, 0 to 1.
        residual_mm: Median distance of each bone's model from the network's surface.
        warnings: For eyes.
    """

    bones: Mapping[str, Mesh]
    spread: Mapping[str, AnyArray]
    whole: Mapping[str, Mesh]
    side: Side
    pose: KneePose
    coefficients: AnyArray
    score: float
    residual_mm: Mapping[str, float]
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class HybridOccupancy:
    """Evidence of a network and of a shape model, added as log-odds.

    ``l'_k(p) = w(p) l_k(p) + (1.7 / s) clip(d_k(p), -3 s, 3 s)`` and ``l'_0(p) = w(p) l_0(p)``: l are the network's
    logits, d_k the depth of p in bone k of the fitted model, s = 2 mm the model's error, w = 1 where all radiographs
    show p, else 0. If the true surface lies off the model's by a normal error, the odds of being inside at depth d are
    Phi(d/s) to 1 - Phi(d/s), whose logarithm is nearly 1.7 d/s. Where the network's logits change steeply across its
    surface it decides; where they are flat, or where no radiograph shows the place, the model does.

    Attributes:
        network: Logits.
        depths: Of the fitted model.
        radiographs: What the network saw; may be empty.
    """

    network: Occupancy
    depths: Depths
    radiographs: Sequence[Radiograph] = ()

    @property
    def low(self) -> AnyArray:
        """Of the network's box, mm."""
        return self.network.low

    @property
    def high(self) -> AnyArray:
        """Of the network's box, mm."""
        return self.network.high

    def margins(self, points: AnyArray) -> AnyArray:
        """Logits of background and bones, float32 (n, 5)."""
        most = np.float32(MOST_DEVIATIONS * MODEL_MM)
        logits = np.asarray(self.network.margins(points), np.float32) * self.shown(points)[:, None]
        logits[:, 1:] += np.float32(LOGISTIC / MODEL_MM) * np.clip(self.depths.at(points), -most, most)
        return logits

    def shown(self, points: AnyArray) -> AnyArray:
        """1 for places that all radiographs show, 0 for others, float32 (n,)."""
        shown = np.ones(len(points), bool)
        for radiograph in self.radiographs:
            pixels = radiograph.view.project(points)
            shown &= ((pixels > -0.5) & (pixels < np.array(radiograph.view.shape) - 0.5)).all(axis=1)
        return shown.astype(np.float32)


def reconstruct_occupancy(occupancy: Occupancy, spacing_mm: float | int = SPACING_MM) -> NetworkReconstruction:
    """The surfaces of an occupancy as it is.

    Raises:
        InputError: It has no bone at all.
    """
    bones = extract(occupancy, spacing_mm)
    if not bones:
        raise InputError("the network sees no bone here\n  is it the right one for these images, and is bone in view?")
    spread = {bone: blur(occupancy, mesh, number) for number, bone, mesh in _numbered(bones)}
    return NetworkReconstruction(bones, spread, tuple(ct_warnings(bones, {})))


def reconstruct_hybrid(
    network: Occupancy,
    model: ShapeModel,
    radiographs: Sequence[Radiograph] = (),
    config: ReconstructionConfig = ReconstructionConfig(),
    spacing_mm: float | int = SPACING_MM,
) -> HybridReconstruction:
    """A network's occupancy regularised by the shape model.

    The model is fitted to the network's surfaces, each point trusted as far as the margin is steep there, and in the
    last level to the edges in the radiographs as well; `HybridOccupancy` then joins both.

    Args:
        network: What classifies places.
        model: Of patella, femur, fibula and tibia, of either side.
        radiographs: What the network saw, if it was radiographs.
        config: Side, starts, and the level of the radiographs' edges.
        spacing_mm: Of the nodes at which the occupancy is read.

    Raises:
        InputError: The network sees no bone, or too little for a fit.
    """
    alone = reconstruct_occupancy(network, spacing_mm)
    targets = network_points(alone, box_of(network))
    best, asked = _fitted(knees_of(model, config), targets, radiographs, config)
    knee, values = best.knee, best.values
    whole = knee.meshes(values)
    joint = HybridOccupancy(network, Depths.of(whole, box_of(network)), radiographs)
    bones = extract(joint, spacing_mm)
    spread = {bone: blur(joint, mesh, number) for number, bone, mesh in _numbered(bones)}
    residual = asked.residual_mm()
    return HybridReconstruction(
        bones,
        spread,
        whole,
        knee.model.side,
        KneePose.from_values(values[:POSE]),
        values[POSE:],
        best.score,
        residual,
        tuple(ct_warnings(bones, residual)),
    )


def network_points(found: NetworkReconstruction, box: AnyArray) -> Targets:
    """Points on an occupancy's surfaces, away from the ends of the box."""
    places, normals, bones, spread = [], [], [], []
    for number, bone, mesh in _numbered(found.bones):
        inner = ((mesh.vertices > box[0] + 1e-3) & (mesh.vertices < box[1] - 1e-3)).all(axis=1)
        places.append(mesh.vertices[inner])
        normals.append(_normals(mesh)[inner])
        bones.append(np.full(int(inner.sum()), number))
        spread.append(np.clip(found.spread[bone][inner], SURE_MM, UNSURE_MM))
    mixed = np.random.default_rng(0).permutation(sum(len(part) for part in places))
    rows = [np.concatenate(parts)[mixed] for parts in (places, normals, bones, spread)]
    area = sum(mesh.area for mesh in found.bones.values()) / max(1, len(mixed))
    return Targets(rows[0], rows[1], rows[2], rows[3], area, box).thinned(POINTS)


def blur(occupancy: Occupancy, mesh: Mesh, bone: int) -> AnyArray:
    """Error across the surface that the steepness of the margin stands for, standard deviation, mm, (n,).

    The margin a millimetre outside and inside gives its slope m per mm; a margin that is the log-odds of a surface with
    normal error s has the slope 1.7 / s.

    Args:
        occupancy: What classifies.
        mesh: The surface of the bone.
        bone: 0 to 3.
    """
    normals = _normals(mesh)
    outer, inner = (
        classified(np.asarray(occupancy.margins(mesh.vertices + side * PROBE_MM * normals), np.float32))[1][:, bone]
        for side in (1.0, -1.0)
    )
    slope = (inner - outer) / (2 * PROBE_MM)
    return LOGISTIC / np.maximum(slope, LOGISTIC / 20)


def _fitted(
    knees: list[MovingKnee], targets: Targets, radiographs: Sequence[Radiograph], config: ReconstructionConfig
) -> tuple[Any, SurfacePull]:
    if not radiographs:
        return fit_surfaces(knees, targets, config)
    level = [level for level in config.levels if not level.free][-1]  # what surfaces are fitted with is not freed
    slopes = blurred(radiographs, level, meeting_point(radiographs))

    def edges(knee: MovingKnee, values: AnyArray) -> tuple[AnyArray, AnyArray]:
        asked = pull(knee, values, radiographs, slopes, (level, config.correlation_mm))
        return asked.normal, asked.towards

    return fit_surfaces(knees, targets, config, SURFACE_LEVELS, edges)


def _numbered(bones: Mapping[str, Mesh]) -> list[tuple[int, str, Mesh]]:
    return [(number, bone, bones[bone]) for number, bone in enumerate(BONES) if bone in bones]


def _normals(mesh: Mesh) -> AnyArray:
    faces = mesh.faces.astype(np.int64)
    return Surface(faces, len(mesh.vertices), np.ones(len(faces), bool)).normals(mesh.vertices)
