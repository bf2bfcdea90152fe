"""Patella, femur, fibula and tibia from radiographs whose views are known: the shape-model method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry.articulation import KneePose
from voxbench.geometry.cut import Plane, cut_mesh
from voxbench.geometry.mesh import Mesh
from voxbench.geometry.seating import attached
from voxbench.geometry.shapes import ShapeModel, Side
from voxbench.tasks.reconstruction.config import Level, ReconstructionConfig
from voxbench.tasks.reconstruction.contours import Contour, occluding_contour
from voxbench.tasks.reconstruction.fit import Pull, Radiograph
from voxbench.tasks.reconstruction.knee import POSE, MovingKnee
from voxbench.tasks.reconstruction.plausible import require_views
from voxbench.tasks.reconstruction.starts import first_look, followed, meeting_point
from voxbench.types import AnyArray

BELIEVED = 0.43
"""Fits whose edges are weaker than this on average are refused. On simulated knees fits that are right on the whole
have 0.45 to 0.52, wrong ones 0.27 to 0.42; what real radiographs give has not been measured."""
SUSPECT = 0.2
"""A bone whose edges are weaker than this in one of the views is warned of."""
EXTREME = 3.0
"""So is a shape coefficient beyond this many standard deviations."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Bones found in radiographs.

    Attributes:
        bones: Closed meshes in the world, mm, cut where the detectors end.
        whole: The same as far as the shape model goes, in the model's vertices.
        uncertainty: For each vertex of ``whole``, standard deviation across the surface, mm.
        side: Which leg.
        pose: How the bones stand; gaps and heights beyond those that go with the shape (`geometry.seating.attached`).
        coefficients: Of the shape model, standard deviations; the free deformations on top are in the meshes alone.
        strength: Mean strength of the edges under the contours, 0 to 1, (views, bones).
        residual_mm: Median distance from the contours to the edges found, per view.
        warnings: For eyes.
    """

    bones: Mapping[str, Mesh]
    whole: Mapping[str, Mesh]
    uncertainty: Mapping[str, AnyArray]
    side: Side
    pose: KneePose
    coefficients: AnyArray
    strength: AnyArray
    residual_mm: tuple[float, ...]
    warnings: tuple[str, ...]

    @property
    def score(self) -> float:
        """Mean strength of the edges, each view and bone counting alike."""
        return float(np.mean(self.strength))


def reconstruct(
    radiographs: Sequence[Radiograph], model: ShapeModel, config: ReconstructionConfig = ReconstructionConfig()
) -> Reconstruction:
    """Fit a knee to radiographs.

    The four bones move as one articulated model with the freedoms of `KneePose` (the shin against the femur, the
    patella against the femur, the fibula aside from the tibia), not as four free bodies.

    Args:
        radiographs: Two or more, bone bright; of known views.
        model: Of patella, femur, fibula and tibia, of either side.
        config: Side, levels, starts.

    Raises:
        InputError: Radiographs and views make no sense, or no knee is found in them.
    """
    require_views(radiographs)
    starts = first_look(_knees(model, config), radiographs, config)
    best, asked = followed(starts, radiographs, config)
    knee, values = best[0].knee, best[0].values
    if asked.score < BELIEVED:
        raise InputError(_refusal(knee, radiographs, config, asked.score))
    whole = knee.meshes(values)
    spread = uncertainty(knee, values, asked, config.levels[-1])
    return Reconstruction(
        {bone: _cut(bone, mesh, radiographs) for bone, mesh in whole.items()},
        whole,
        spread,
        knee.model.side,
        KneePose.from_values(values[:POSE]),
        values[POSE : POSE + len(model.modes)],
        asked.strength,
        asked.distances,
        _warnings(knee, values[: POSE + len(model.modes)], asked),
    )


def uncertainty(knee: MovingKnee, values: AnyArray, asked: Pull, level: Level) -> dict[str, AnyArray]:
    """How far each vertex may be off across the surface, standard deviation, mm.

    From the Hessian of the Gauss-Newton method: what the edges leave open within the shape model, the free
    deformations and their prior, which is as wide as the model errs for people whom it does not know.

    Args:
        knee: What was fitted.
        values: Its parameters.
        asked: The edges about them.
        level: The last level.
    """
    prior = np.diag(level.stiffness / knee.spread**2)
    squares = sum(float(w @ r**2) for w, r in zip(asked.weights, asked.residuals, strict=True))
    weight = sum(float(w.sum()) for w in asked.weights) * level.trust_mm**2
    worse = max(1.0, squares / max(weight, 1e-9))
    covariance = np.linalg.inv(asked.normal / worse + prior)
    found = {}
    posed = knee.at(values)
    for bone, vertices in posed.bones.items():
        corners = np.arange(len(vertices))[:, None]
        across = posed.derivative(bone, corners, np.ones((len(vertices), 1)), posed.normals[bone])
        found[bone] = np.sqrt(((across @ covariance) * across).sum(axis=1))
    return found


def contours(bones: Mapping[str, Mesh], radiograph: Radiograph) -> dict[str, Contour]:
    """The projected contours of bones, for pictures."""
    from voxbench.tasks.reconstruction.contours import Surface

    found = {}
    for bone, mesh in bones.items():
        faces = mesh.faces.astype(np.int64)
        surface = Surface(faces, len(mesh.vertices), np.ones(len(faces), bool))
        found[bone] = occluding_contour(surface, mesh.vertices, surface.normals(mesh.vertices), radiograph.view)
    return found


def _knees(model: ShapeModel, config: ReconstructionConfig) -> list[MovingKnee]:
    sides: tuple[Side, ...] = ("right", "left") if config.side == "auto" else (config.side,)
    return [MovingKnee(attached(model).on(side)) for side in sides]


def _cut(bone: str, mesh: Mesh, radiographs: Sequence[Radiograph]) -> Mesh:
    """What lies within the height and width that the detectors cover where the views meet."""
    middle = meeting_point(radiographs)
    planes = []
    for radiograph in radiographs:
        view = radiograph.view
        for axis, count, pixel in zip((view.down, view.right), view.shape, view.pixel_mm, strict=True):
            half = count * pixel / view.magnification(middle) / 2
            planes += [Plane.through(middle + sign * half * axis, sign * axis) for sign in (-1.0, 1.0)]
    try:
        return cut_mesh(mesh, *planes)
    except EmptyShapeError as error:
        raise InputError(f"the {bone} is not in view: the fitted knee lies beyond the detectors") from error


def _warnings(knee: MovingKnee, values: AnyArray, asked: Pull) -> tuple[str, ...]:
    found = []
    for column, bone in enumerate(knee.model.bones):
        for row, strength in enumerate(asked.strength[:, column]):
            if strength < SUSPECT:
                found.append(
                    f"{bone}: hardly any edges under its contours in radiograph {row} (strength {strength:.2f} of 1): "
                    "look at the contours before you trust it"
                )
    largest = int(np.argmax(np.abs(values[POSE:])))
    if abs(values[POSE + largest]) > EXTREME:
        found.append(
            f"shape coefficient {largest} is {values[POSE + largest]:.1f} standard deviations; "
            "is the magnification right?"
        )
    return tuple(found)


def _refusal(knee: MovingKnee, radiographs: Sequence[Radiograph], config: ReconstructionConfig, score: float) -> str:
    """What is wrong, as far as trying the usual mistakes shows it."""
    views = [r.view for r in radiographs]
    images = [r.image for r in radiographs]
    mistakes = {"bone is dark, not bright (--inverted)": [Radiograph(-r.image, r.view) for r in radiographs]}
    if images[0].shape == images[1].shape:
        swapped = [images[1], images[0], *images[2:]]
        mistakes["the two radiographs are swapped"] = [Radiograph(i, v) for i, v in zip(swapped, views, strict=True)]
    for name, flip in (("left to right", np.fliplr), ("upside down", np.flipud)):
        for number in range(2):
            changed = [flip(i) if n == number else i for n, i in enumerate(images)]
            mistakes[f"radiograph {number} is flipped {name}"] = [
                Radiograph(i, v) for i, v in zip(changed, views, strict=True)
            ]
    mistakes["both are upside down"] = [Radiograph(np.flipud(r.image), r.view) for r in radiographs]
    found = {m: first_look(_knees(knee.model, config), changed, config)[0].score for m, changed in mistakes.items()}
    likely = max(found, key=lambda mistake: found[mistake])
    reached = followed(first_look(_knees(knee.model, config), mistakes[likely], config), mistakes[likely], config)
    better = reached[1]
    told = f"no knee fits these radiographs and views: edges of strength {score:.2f}; {BELIEVED:g} is needed"
    if better.score >= BELIEVED:
        return f"{told}\n  it fits ({better.score:.2f}) if {likely}"
    return f"{told}\n  is there bone in view, are the views those of these images, and the lengths in mm?"
