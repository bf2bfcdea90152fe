"""A plain knee (four bones of simple form in a leg of fat, as meshes, label map and CT), and a small data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from voxbench.challenges.ssrkd.cases import BONES
from voxbench.geometry import Grid, LabelMap, Mesh, Volume, extract_mesh, grid_points
from voxbench.io import write_labels, write_mesh, write_volume

ELLIPSOIDS = {
    "patella": ((0, 42, 8), (17, 11, 19)),
    "femur": ((2, 4, 52), (26, 24, 44)),
    "fibula": ((30, -18, -45), (9, 9, 42)),
    "tibia": ((-4, 2, -48), (24, 21, 46)),
}
"""Middles and half axes, mm; a right leg, for the fibula lies at greater x."""
GRID = Grid.from_parts((60, 60, 96), (2.0, 2.0, 2.0), (-59.0, -59.0, -95.0))


def ellipsoid(bone: str) -> Mesh:
    """The surface of a bone, fine."""
    middle, axes = ELLIPSOIDS[bone]
    fine = Grid.from_parts((23, 23, 23), (1.0, 1.0, 1.0), (-11.0, -11.0, -11.0))
    ball = LabelMap((np.linalg.norm(grid_points(fine), axis=-1) < 9.3).astype(np.uint8), fine)
    sphere = extract_mesh(ball, 1)
    vertices = sphere.vertices / np.linalg.norm(sphere.vertices, axis=1, keepdims=True)
    return Mesh(vertices * np.array(axes) + np.array(middle), sphere.faces)


@dataclass(frozen=True)
class PlainKnee:
    """What belongs together."""

    ct: Volume
    labels: LabelMap
    meshes: dict[str, Mesh]

    def write(self, folder: Path, *what: str) -> Path:
        """Write ct, labels, meshes into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        if "ct" in what:
            write_volume(folder / "ct.nii.gz", self.ct)
        if "labels" in what:
            write_labels(folder / "seg.nii.gz", self.labels)
        if "meshes" in what:
            for bone, mesh in self.meshes.items():
                write_mesh(folder / f"{bone}.stl", mesh)
        return folder


def plain_knee(grid: Grid = GRID, shift: tuple[float, float, float] = (0, 0, 0)) -> PlainKnee:
    """The knee on a grid, its middle at ``shift``."""
    points = grid_points(grid) - np.array(shift)
    hu = np.where(np.linalg.norm(points[..., :2], axis=-1) < 56, -100.0, -1000.0)
    labels = np.zeros(grid.shape, np.uint8)
    for number, bone in enumerate(BONES, 1):
        middle, axes = ELLIPSOIDS[bone]
        inside = np.linalg.norm((points - np.array(middle)) / np.array(axes), axis=-1) < 1
        hu[inside], labels[inside] = 600, number
    meshes = {bone: ellipsoid(bone) for bone in BONES}
    meshes = {bone: Mesh(mesh.vertices + np.array(shift), mesh.faces) for bone, mesh in meshes.items()}
    return PlainKnee(Volume(hu.astype(np.int16), grid), LabelMap(labels, grid), meshes)


@pytest.fixture(scope="session")
def knee() -> PlainKnee:
    """A knee about the origin."""
    return plain_knee()


@pytest.fixture(scope="session")
def make_knee() -> Callable[..., PlainKnee]:
    """`plain_knee`, elsewhere."""
    return plain_knee


@pytest.fixture(scope="session")
def knee_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four labelled knees and one without labels, 32 pixels wide, seen from four sides without noise."""
    from voxbench.challenges.ssrkd.simulation import SsrkdSimulation, simulate

    settings = SsrkdSimulation(
        cases=4,
        unlabelled=1,
        shapes="formulas",
        size=32,
        points=400,
        both_knees=0.0,
        angles=(0.0, 90.0, 180.0, 270.0),
        keep_hu=True,
        radiograph_noise=None,
    )
    folder = tmp_path_factory.mktemp("ssrkd") / "knees"
    simulate(folder, settings)
    return folder
