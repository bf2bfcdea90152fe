"""Random knees: closed bones that do not meet, and a CT that is what was painted."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from voxbench.errors import InputError
from voxbench.geometry import Grid, Mesh, voxelise
from voxbench.geometry.articulation import Articulation
from voxbench.geometry.contact import separation
from voxbench.geometry.seating import pose_meshes
from voxbench.geometry.shapes import ShapeModel
from voxbench.metrics.meshes import mesh_overlap
from voxbench.simulate import knees
from voxbench.simulate.knees import KneeVariation, random_knee
from voxbench.simulate.phantoms.knee import KNEE_LABELS, BoneTissue, bone_depth, knee_phantom
from voxbench.simulate.phantoms.knee_tissue import SoftTissue

PLAIN = KneeVariation(side="right", flexion=(5.0, 5.0))


def grid(n: int = 64, side: float = 256.0, axes: np.ndarray | None = None) -> Grid:
    step = side / n
    turned = np.eye(3) if axes is None else axes
    return Grid.from_parts((n, n, n), (step, step, step), -turned @ np.full(3, (n - 1) / 2 * step), turned)


@pytest.mark.parametrize("seed", range(6))
def test_bones_are_closed_and_do_not_meet(model: ShapeModel, seed: int) -> None:
    knee = random_knee(model, np.random.default_rng(seed))
    assert list(knee.bones) == list(KNEE_LABELS.values())
    for mesh in knee.bones.values():
        assert mesh.is_watertight
        assert mesh.volume > 5000
    for one, other in combinations(knee.bones.values(), 2):
        assert mesh_overlap(one, other, 1.0).shared == 0
        assert separation(one, other) > 0.5
    assert separation(knee.bones["femur"], knee.bones["tibia"]) == pytest.approx(knee.gaps.tibia, abs=0.02)
    assert separation(knee.bones["femur"], knee.bones["patella"]) == pytest.approx(knee.gaps.patella, abs=0.02)


def test_a_knee_is_what_its_truth_says(model: ShapeModel) -> None:
    knee = random_knee(model, np.random.default_rng(4))
    own = model.on(knee.side)
    again = pose_meshes(own.sample(knee.coefficients), Articulation.of(own), knee.pose)
    for bone, mesh in knee.bones.items():
        np.testing.assert_array_equal(again[bone].vertices, mesh.vertices)
    fibula, tibia = (knee.bones[bone].vertices[:, 0].mean() for bone in ("fibula", "tibia"))
    assert (fibula > tibia) == (knee.side == "right")


def test_the_same_seed_is_the_same_knee_and_both_sides_come(model: ShapeModel) -> None:
    one, other = (random_knee(model, np.random.default_rng(11)) for _ in range(2))
    np.testing.assert_array_equal(one.bones["femur"].vertices, other.bones["femur"].vertices)
    assert one.pose == other.pose
    assert {random_knee(model, np.random.default_rng(seed)).side for seed in range(8)} == {"left", "right"}


def test_settings_are_kept(model: ShapeModel) -> None:
    asked = KneeVariation(side="left", flexion=(12.0, 12.0), varus=0, shift=0, turn=0, gap=(5.0, 5.0), shape=0)
    knee = random_knee(model, np.random.default_rng(0), asked)
    assert (knee.side, knee.pose.flexion, knee.pose.varus, knee.pose.x, knee.pose.yaw) == ("left", 12, 0, 0, 0)
    assert knee.gaps.tibia == 5
    np.testing.assert_array_equal(knee.coefficients, 0)
    far = [random_knee(model, np.random.default_rng(s), KneeVariation(most=1.0)).coefficients for s in range(5)]
    assert np.abs(far).max() <= 1


def test_a_second_knee_resembles_the_first(model: ShapeModel) -> None:
    first = random_knee(model, np.random.default_rng(1), PLAIN)
    second = random_knee(model, np.random.default_rng(2), PLAIN, (first.coefficients, 0.9))
    other = random_knee(model, np.random.default_rng(2), PLAIN)
    np.testing.assert_allclose(second.coefficients, 0.9 * first.coefficients + np.sqrt(0.19) * other.coefficients)


def test_knees_that_cannot_be_kept_apart_are_refused(model: ShapeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knees, "TRIES", 3)
    mean = model.mean.copy()
    mean[model.ranges["patella"]] -= [0, 0, 70]
    low = replace(model, mean=mean)
    stuck = KneeVariation(patella_gap=(20.0, 20.0), fibula_gap=(20.0, 20.0), turn=0)
    random_knee(model, np.random.default_rng(0), stuck)  # wide gaps are no trouble
    with pytest.raises(InputError, match="3 knees were drawn, and none had bones that are apart; the last one: "):
        random_knee(low, np.random.default_rng(0))


@pytest.fixture(scope="module")
def bones(model: ShapeModel) -> dict[str, Mesh]:
    return dict(random_knee(model, np.random.default_rng(3), PLAIN).bones)


FLAT = (
    BoneTissue(cortex_hu=1000, shell_hu=1000, spongiosa_hu=1000, marrow_hu=1000, texture_hu=0),
    SoftTissue(air_hu=0, muscle_hu=0, fat_hu=0, skin_hu=0, tendon_hu=0, cartilage_hu=0, spread=0),
)


def test_voxels_a_surface_crosses_have_a_share(bones: dict[str, Mesh]) -> None:
    step = 2.0
    box = Grid.from_parts((60, 60, 60), (step, step, step), (-59.0, -59.0, -45.0))
    painted = knee_phantom(bones, box, np.random.default_rng(0), FLAT)
    inside = sum(
        voxelise(mesh, Grid.from_parts((240, 240, 240), (0.5, 0.5, 0.5), (-59.75, -59.75, -45.75))).sum()
        for mesh in bones.values()
    )
    volume = float(inside) * 0.5**3
    image = painted.ct.array
    noise = np.abs(image[(image > -50) & (image < 50)]).mean()
    assert noise < 10
    assert image.sum(dtype=float) / 1000 * step**3 == pytest.approx(volume, rel=0.01)
    assert ((image > 200) & (image < 800)).sum() > 1000
    assert painted.ct.array.dtype == np.float32


def test_labels_are_the_voxels_inside_in_ssrkds_order(bones: dict[str, Mesh]) -> None:
    where = grid()
    labels = knee_phantom(bones, where, np.random.default_rng(0)).labels
    assert dict(labels.names) == {1: "patella", 2: "femur", 3: "fibula", 4: "tibia"}
    for label, bone in KNEE_LABELS.items():
        np.testing.assert_array_equal(labels.array == label, voxelise(bones[bone], where))


def test_the_tissues_are_where_they_belong(bones: dict[str, Mesh]) -> None:
    where = grid(96, 192.0)
    painted = knee_phantom(bones, where, np.random.default_rng(0))
    hu, labels = painted.ct.array, painted.labels.array
    femur = bone_depth(bones["femur"], where)
    local, depth = hu[femur.box], femur.depth
    z = where.cropped(tuple(s.start for s in femur.box), tuple(s.stop for s in femur.box)).world_from_voxel.matrix
    height = (z[2, 3] + z[2, 2] * np.arange(depth.shape[2]))[None, None] + np.zeros(depth.shape)
    shaft = height > 75
    assert local[shaft & (depth > 1.5) & (depth < 2.5)].mean() > 1000  # cortex of the shaft
    assert local[shaft & (depth > 8)].mean() < 60  # its marrow
    assert 120 < local[(height > 5) & (height < 25) & (depth > 5)].mean() < 420  # spongiosa of the condyles
    assert hu[0, 0].max() == -1000  # air in a corner
    soft = (labels == 0) & (hu > -300)
    assert 0.2 < soft.mean() < 0.75
    assert -110 < np.percentile(hu[soft], 5) < -60  # fat
    assert ((hu[soft] > 40) & (hu[soft] < 80)).mean() > 0.35  # muscle
    front = np.flatnonzero((hu > -300).any(axis=(0, 2))).max()
    assert front > np.flatnonzero((labels == 1).any(axis=(0, 2))).max()  # skin over the patella


@pytest.mark.parametrize("axes", [np.diag([-1.0, -1, 1]), np.array([[0, -1.0, 0], [1, 0, 0], [0, 0, 1]])])
def test_the_truth_does_not_depend_on_how_the_grid_runs(bones: dict[str, Mesh], axes: np.ndarray) -> None:
    plain, turned = grid(40), grid(40, axes=axes)
    ours = knee_phantom(bones, plain, np.random.default_rng(0), FLAT)
    theirs = knee_phantom(bones, turned, np.random.default_rng(0), FLAT)
    i, j, k = (
        plain.voxel_from_world(turned.world_from_voxel(np.indices(turned.shape).reshape(3, -1).T.astype(float)))
        .round()
        .astype(int)
        .T
    )
    assert (ours.labels.array[i, j, k] != theirs.labels.array.ravel()).mean() < 1e-4  # centres that lie on a surface
    assert np.abs(ours.ct.array[i, j, k] - theirs.ct.array.ravel()).max() < 60


def test_depth_is_exact_near_the_surface(bones: dict[str, Mesh]) -> None:
    n = 30
    at = np.linspace(-1.2, 1.2, n)
    from skimage.measure import marching_cubes

    x, y, z = np.meshgrid(at, at, at, indexing="ij")
    vertices, faces, _, _ = marching_cubes(1 - np.sqrt(x**2 + y**2 + z**2), 0.0, gradient_direction="ascent")
    vertices = vertices * (2.4 / (n - 1)) - 1.2
    ball = Mesh(vertices / np.linalg.norm(vertices, axis=1, keepdims=True) * 20, faces)
    where = grid(48, 96.0)
    depth = bone_depth(ball, where)
    points = depth.grid.world_from_voxel(np.indices(depth.grid.shape).reshape(3, -1).T.astype(float))
    true = (20 - np.linalg.norm(points, axis=1)).reshape(depth.depth.shape)
    near = np.abs(true) < 3
    np.testing.assert_allclose(depth.depth[near], true[near], atol=0.25)  # the ball is a polyhedron
    np.testing.assert_allclose(depth.depth, true, atol=1.6)


def test_a_bone_outside_the_grid_leaves_nothing(bones: dict[str, Mesh]) -> None:
    away = Grid.from_parts((12, 12, 12), (2.0, 2.0, 2.0), (300.0, 300.0, 300.0))
    assert bone_depth(bones["femur"], away).depth.size == 0
    painted = knee_phantom(bones, away, np.random.default_rng(0))
    assert not painted.labels.array.any()
    assert painted.ct.array.max() == -1000


def test_the_knee_of_formulas_needs_no_more_than_its_step(model: ShapeModel) -> None:
    assert (model.side, model.bones) == ("right", ("patella", "femur", "fibula", "tibia"))
    assert len(model.modes) == 10
    np.testing.assert_allclose(np.sqrt((model.modes**2).sum(axis=(1, 2))), 1, rtol=1e-12)
    volumes = {bone: mesh.volume / 1000 for bone, mesh in model.sample([]).items()}
    assert 8 < volumes["patella"] < 25
    assert 15 < volumes["fibula"] < 50
    assert volumes["femur"] > volumes["tibia"] > 100
    larger = model.sample([2.0])
    assert larger["femur"].volume / 1000 == pytest.approx(volumes["femur"] * 1.11**3, rel=1e-6)
