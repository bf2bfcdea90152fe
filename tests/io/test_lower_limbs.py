"""Patches of polynomials as triangles, and a shape model out of people."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from voxbench.errors import FileReadError
from voxbench.geometry import Mesh
from voxbench.geometry.articulation import Articulation, KneePose
from voxbench.geometry.contact import separation
from voxbench.geometry.seating import pose_meshes, seated
from voxbench.geometry.shapes import ShapeModel
from voxbench.io import lower_limbs
from voxbench.io.lower_limbs import SAMPLE, read_knee_shapes
from voxbench.io.patches import ORDERS, _patch, read_patches
from voxbench.io.samples import cache_folder, fetch_sample, is_cached, sample
from voxbench.simulate.phantoms.knee_shapes import analytic_knee

CORNERS = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
SQUARES = [(0, 3, 2, 1), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]
TRIANGLES = [(4, 5, 6), (4, 6, 7)]


def places(corners: tuple[int, ...], order: int) -> list[tuple[float, ...]]:
    """Nodes of a patch of a cube, in the files' order: along the first side, row by row."""
    at = [np.array(CORNERS[c], float) for c in corners]
    steps = np.arange(order + 1) / order
    if len(at) == 4:
        found = [
            (1 - b) * ((1 - a) * at[0] + a * at[1]) + b * ((1 - a) * at[3] + a * at[2]) for b in steps for a in steps
        ]
    else:
        found = [at[0] + a * (at[1] - at[0]) + b * (at[2] - at[0]) for b in steps for a in steps if a + b < 1 + 1e-9]
    return [tuple(np.round(place, 9).tolist()) for place in found]


def cube(path: Path, order: int = 3) -> np.ndarray:
    """The description of a cube of five squares and two triangles; its nodes."""
    kinds = {3: ("quad44", "tri10"), 4: ("quad55", "tri15")}[order]
    patches = [(kinds[0], places(s, order)) for s in SQUARES] + [(kinds[1], places(t, order)) for t in TRIANGLES]
    names: dict[tuple[float, ...], list[str]] = {}
    for number, (_, own) in enumerate(patches):
        for local, place in enumerate(own):
            names.setdefault(place, []).append(f"{number}_{local}")
    joined = {
        f"{number}_{local}": " ".join(other for other in names[place] if other != f"{number}_{local}")
        for number, (_, own) in enumerate(patches)
        for local, place in enumerate(own)
    }
    content = {
        "elements": {str(number): f"0 {kind}" for number, (kind, _) in enumerate(patches)},
        "connectivity": joined,
        "number_of_points": len(names),
    }
    path.write_text(json.dumps(content))
    return np.array(list(names))


@pytest.mark.parametrize("order", [3, 4])
@pytest.mark.parametrize("cuts", [1, 2, 7])
def test_patches_of_a_cube_are_welded_to_a_closed_cube(tmp_path: Path, order: int, cuts: int) -> None:
    nodes = cube(tmp_path / "cube.mesh", order)
    patches = read_patches(tmp_path / "cube.mesh", cuts)
    assert patches.nodes == len(nodes)
    mesh = Mesh(patches.positions(nodes), patches.faces)
    assert len(mesh.faces) == 5 * 2 * cuts**2 + 2 * cuts**2
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(1, rel=1e-9)
    assert len(mesh.vertices) - len(mesh.faces) // 2 == 2  # Euler: nothing is doubled


def test_bent_patches_stay_joined(tmp_path: Path) -> None:
    nodes = cube(tmp_path / "cube.mesh", 4)
    patches = read_patches(tmp_path / "cube.mesh", 6)
    bent = nodes + 0.05 * np.sin(nodes[:, [1, 2, 0]] * 3)
    mesh = Mesh(patches.positions(bent), patches.faces)
    assert mesh.is_watertight
    people = np.stack([nodes, bent, 2 * nodes])
    np.testing.assert_allclose(patches.positions(people)[1], mesh.vertices)


@pytest.mark.parametrize("kind", list(ORDERS))
def test_a_patch_gives_back_polynomials_of_its_degree(kind: str) -> None:
    order = ORDERS[kind]
    weights, faces = _patch(order, 5)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
    if len(order) == 2:
        nodes = np.array([(a / order[0], b / order[1]) for b in range(order[1] + 1) for a in range(order[0] + 1)])
        points = np.array([(a / 5, b / 5) for b in range(6) for a in range(6)])
    else:
        nodes = np.array([(a / order[0], b / order[0]) for b in range(order[0] + 1) for a in range(order[0] + 1 - b)])
        points = np.array([(a / 5, b / 5) for b in range(6) for a in range(6 - b)])
    assert weights.shape == (len(points), len(nodes))
    np.testing.assert_allclose(weights @ nodes, points, atol=1e-12)
    cubic = lambda p: p[:, 0] ** 2 * p[:, 1] - 2 * p[:, 1] ** 3 + p[:, 0] ** 3  # noqa: E731
    np.testing.assert_allclose(weights @ cubic(nodes), cubic(points), atol=1e-12)
    area = points[faces]
    edges = area[:, 1] - area[:, 0], area[:, 2] - area[:, 0]
    turned = edges[0][:, 0] * edges[1][:, 1] - edges[0][:, 1] * edges[1][:, 0]
    assert (turned > 0).all()
    assert turned.sum() / 2 == pytest.approx(1 if len(order) == 2 else 0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["elements"].update({"0": "0 hex8"}), "unknown kind 'hex8'"),
        (lambda c: c.pop("connectivity"), "connectivity"),
        (lambda c: c.update(number_of_points=7), "not the one stated"),
        (lambda c: c["connectivity"].update({"1_5": "0_0 0_1"}), "joined to nodes that differ"),
        (lambda c: c["connectivity"].pop("3_2"), "3_2"),
    ],
)
def test_a_damaged_description_is_refused(tmp_path: Path, change: object, said: str) -> None:
    path = tmp_path / "cube.mesh"
    cube(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(FileReadError, match=f"cube.mesh: no description of patches: .*{said}"):
        read_patches(path)


class Evil:
    def __reduce__(self) -> tuple:
        return os.system, ("echo never",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (pickle.dumps({"mean": Evil()}), "it asks for (posix|nt).system; only arrays are read"),
        (pickle.dumps({"mean": np.zeros(3)})[:40], "no principal components"),
        (b"not a pickle at all", "no principal components"),
        (pickle.dumps({"mean": np.zeros(9675)}), "not the principal components that are known here"),
        (pickle.dumps([1, 2]), "not the principal components that are known here"),
    ],
)
def test_principal_components_are_read_without_running_anything(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / lower_limbs.MODEL).write_bytes(content)
    with pytest.raises(FileReadError, match=said):
        read_knee_shapes({lower_limbs.MODEL: tmp_path / lower_limbs.MODEL})


def people(model: ShapeModel, shapes: np.ndarray, poses: list[KneePose]) -> tuple[dict, dict]:
    joints = Articulation.of(model)
    knees = [pose_meshes(model.sample(c), joints, pose) for c, pose in zip(shapes, poses, strict=True)]
    return (
        {bone: np.stack([knee[bone].vertices for knee in knees]) for bone in model.bones},
        {bone: model.faces[bone] for bone in model.bones},
    )


def random_poses(count: int) -> list[KneePose]:
    rng = np.random.default_rng(5)
    spread = np.array([4, 2, 3, 5, 2, 3, 4, 3, 1, 6, 5, 8, 20, 30, 40.0])
    return [KneePose.from_values(rng.standard_normal(15) * spread) for _ in range(count)]


def test_how_a_knee_was_held_is_no_mode_of_its_shape() -> None:
    model = analytic_knee(6.0).mirrored()
    vertices, faces = people(model, np.zeros((6, 10)), [KneePose(fibula_gap=0, flexion=2.0 * n) for n in range(6)])
    found = seated(lower_limbs.knee_of_people(vertices, faces, "left", "test"))
    assert found.deviations.max() / np.sqrt(len(found.mean)) < 1e-3


def test_shapes_are_found_whatever_the_pose_and_bones_stand_apart() -> None:
    model = analytic_knee(6.0).mirrored()
    rng = np.random.default_rng(1)
    shapes = np.zeros((12, 10))
    shapes[:, :2] = rng.standard_normal((12, 2))
    vertices, faces = people(model, shapes, random_poses(12))
    found = seated(lower_limbs.knee_of_people(vertices, faces, "left", "test"))
    assert (found.side, found.bones) == ("left", ("patella", "femur", "fibula", "tibia"))
    assert (found.deviations**2)[:3].sum() / (found.deviations**2).sum() > 0.97
    for coefficients in ([], [2.0], [-2.0, 1.0]):
        bones = found.sample(coefficients)
        assert all(mesh.is_watertight and mesh.volume > 0 for mesh in bones.values())
    bones = found.sample([])
    assert separation(bones["femur"], bones["tibia"]) == pytest.approx(4.5, abs=0.02)
    assert bones["femur"].bounds[1][2] <= 200 + 1e-6
    assert found.landmarks["joint centre"] == pytest.approx([0, 0, 0])


def test_the_package_gives_four_closed_bones_of_an_ordinary_size() -> None:
    """Where it has been fetched before (voxbench samples lower-limbs)."""
    if not is_cached(sample(SAMPLE)):
        pytest.skip(f"{SAMPLE} is not in {cache_folder()}")
    model = read_knee_shapes(fetch_sample(SAMPLE))
    assert len(model.modes) == 25
    bones = model.sample([])
    assert all(mesh.is_watertight for mesh in bones.values())
    assert bones["patella"].volume / 1000 == pytest.approx(16.5, abs=0.2)
    width = np.ptp(bones["femur"].vertices[:, 0])
    assert 70 < width < 90
    joints = Articulation.of(model)
    assert set(joints.chains) == set(bones)
