"""All files of one case, from a CT and its bones: what simulation and preparation write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxbench.challenges.ssrkd.cases import BONES, mesh_file
from voxbench.challenges.ssrkd.processed import Frame, Processed, write_ct, write_labels_stored, write_meshes
from voxbench.challenges.ssrkd.radiographs import write_radiographs, write_shadows
from voxbench.challenges.ssrkd.sampling import sample_points, write_samples
from voxbench.geometry import Grid, LabelMap, Mesh, Volume
from voxbench.geometry.cut import Plane
from voxbench.geometry.projection import View
from voxbench.io import write_mesh
from voxbench.simulate.radiograph import RelativeNoise

PROCESSED, MESHES, VIEWS, INFO = "processed", "meshes", "views.json", "info.json"


@dataclass(frozen=True)
class Recipe:
    """How a case's radiographs and points are made.

    Attributes:
        angles: Of the views, degrees.
        views: Where they stand.
        noise: Of the radiographs; None for none.
        points: Labelled points near each bone.
        jitter_mm: How far these lie from the surface, mm.
        middle: Where the cube's middle lay in the CT's own world, mm.
    """

    angles: tuple[float, ...]
    views: tuple[View, ...]
    noise: RelativeNoise | None
    points: int
    jitter_mm: float
    middle: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Truth:
    """The bones of a case.

    Attributes:
        bones: Closed meshes within the volume, in the world.
        labels: 1 to 4 on the volume's grid.
    """

    bones: Mapping[str, Mesh]
    labels: LabelMap


def write_case(
    folder: Path, name: str, content: tuple[Volume, Truth | None], recipe: Recipe, rng: np.random.Generator
) -> Processed:
    """Write ``processed/<name>/``, and with bones ``meshes/<name>/``: those in the world, mm.

    Args:
        folder: Of the data set.
        name: Of the case.
        content: The large volume, 0 to 255 on `processed.case_grid`, and its bones, if they are known.
        recipe: How radiographs and points are made.
        rng: Noise, then points.

    Raises:
        FileWriteError: A file cannot be written.
    """
    image, truth = content
    case = Processed(folder / PROCESSED / name)
    case.folder.mkdir(parents=True, exist_ok=True)
    write_ct(case, image, np.array(recipe.middle))
    views = recipe.angles, recipe.views
    write_radiographs(case, image, views, recipe.noise, rng)
    if truth is not None:
        frame = Frame.of(image.grid)
        write_labels_stored(case, truth.labels)
        write_meshes(case, truth.bones, frame)
        write_shadows(case, truth.bones, views)
        (folder / MESHES / name).mkdir(parents=True, exist_ok=True)
        for bone in BONES:
            write_mesh(mesh_file(folder / MESHES, name, bone), truth.bones[bone])
        write_samples(case, sample_points(truth.bones, frame, recipe.points, recipe.jitter_mm, rng), frame)
    return case


def sides_of(grid: Grid) -> tuple[Plane, ...]:
    """The six sides of a grid's box, outer faces of its voxels."""
    half = np.asarray(grid.shape) * grid.spacing / 2
    return tuple(
        Plane.through(grid.centre + sign * half[axis] * grid.direction[:, axis], sign * grid.direction[:, axis])
        for axis in range(3)
        for sign in (-1.0, 1.0)
    )
