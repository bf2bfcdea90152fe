"""Knees found again in CT, and a stand-in for a network regularised by the shape model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from tests.tasks.reconstruction.conftest import view

from voxbench.errors import EmptyShapeError, InputError
from voxbench.geometry import Affine, Grid, Volume, resample
from voxbench.geometry.cut import Plane, cut_mesh
from voxbench.geometry.shapes import ShapeModel
from voxbench.metrics.meshes import mesh_distances
from voxbench.simulate.knees import Knee, KneeVariation, random_knee
from voxbench.simulate.phantoms.knee import knee_phantom
from voxbench.simulate.phantoms.knee_shapes import analytic_knee
from voxbench.tasks.reconstruction import (
    CtReconstruction,
    Radiograph,
    ReconstructionConfig,
    reconstruct_ct,
    reconstruct_hybrid,
    reconstruct_occupancy,
)
from voxbench.tasks.reconstruction.ct_bone import CtBone, bone_threshold, find_bone, upright
from voxbench.tasks.reconstruction.depths import Depths
from voxbench.tasks.reconstruction.from_ct import ThresholdOccupancy
from voxbench.tasks.reconstruction.hybrid import HybridOccupancy
from voxbench.tasks.reconstruction.knee import POSE, MovingKnee
from voxbench.tasks.reconstruction.occupancy import BONES
from voxbench.tasks.reconstruction.surface_fit import SURFACE_LEVELS, Targets, surface_pull

QUICK = ReconstructionConfig(side="left", flexions=(10.0,), sizes=(0.0,))
END = 100.0
BOX = np.array([[-70.0, -70.0, -END], [70.0, 70.0, END]])


@dataclass(frozen=True)
class Scanned:
    """A knee and its CT."""

    model: ShapeModel
    knee: Knee
    ct: Volume


@pytest.fixture(scope="session")
def scanned() -> Scanned:
    """A left knee in voxels of 1.5 mm, stored in an order of its own."""
    model = analytic_knee(4.0)
    rng = np.random.default_rng(11)
    knee = random_knee(model, rng, KneeVariation(side="left"))
    grid = Grid.from_parts((100, 100, 136), (1.5, 1.5, 1.5), (-74.25, -74.25, -101.25))
    ct = knee_phantom(knee.bones, grid, rng).ct
    flipped = Affine.from_parts(np.diag([-1.5, -1.5, 1.5]), np.array([74.25, 74.25, -101.25]), "world", "voxel")
    stored = np.rint(ct.array[::-1, ::-1] + rng.normal(0, 12, ct.array.shape)).astype(np.int16)
    return Scanned(model, knee, Volume(stored, Grid(grid.shape, flipped)))


@pytest.fixture(scope="module")
def found(scanned: Scanned) -> CtReconstruction:
    return reconstruct_ct(scanned.ct, scanned.model, ReconstructionConfig(flexions=(10.0,), sizes=(0.0,)))


def planes() -> list[Plane]:
    return [Plane.through((0, 0, z), (0, 0, np.sign(z))) for z in (-90.0, 90.0)]


def test_bones_in_a_ct_are_found_to_half_a_voxel_on_the_right_side(scanned: Scanned, found: CtReconstruction) -> None:
    assert found.side == "left"
    assert found.pose.flexion == pytest.approx(scanned.knee.pose.flexion, abs=1.5)
    assert found.warnings == ()
    assert found.score > 0.6
    for bone in BONES:
        truth = cut_mesh(scanned.knee.bones[bone], *planes())
        assert found.bones[bone].is_watertight
        assert mesh_distances(truth, cut_mesh(found.bones[bone], *planes()), 2.0).assd < 0.75, bone
        assert mesh_distances(truth, cut_mesh(found.whole[bone], *planes()), 2.0).assd < 0.75, bone


def test_bones_that_touch_are_parted(found: CtReconstruction) -> None:
    from voxbench import _core
    from voxbench.geometry.inside import inside

    for one, other in (("tibia", "fibula"), ("femur", "tibia"), ("femur", "patella")):
        mesh, points = found.bones[one], found.bones[other].vertices
        within = np.ascontiguousarray(points[inside(mesh, points)])
        # smoothing may move either surface by a part of a voxel
        if len(within):
            assert (_core.surface_distances(within, mesh.vertices, mesh.faces) < 0.75).all(), (one, other)


def test_the_same_ct_gives_the_same_bits(scanned: Scanned) -> None:
    small = [level.__class__(**{**vars(level), "rounds": 1, "starts": 1}) for level in SURFACE_LEVELS]
    from voxbench.tasks.reconstruction.surface_starts import fit_surfaces

    points = find_bone(scanned.ct).points()
    one, other = (
        fit_surfaces([MovingKnee(scanned.model.on("left"))], points, QUICK, small)[0].values for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


def test_surface_equations_lead_to_the_truth(scanned: Scanned) -> None:
    knee = MovingKnee(scanned.model.on("left"))
    truth = np.zeros(POSE + len(scanned.model.modes))
    posed = knee.at(truth)
    places = np.concatenate(list(posed.bones.values()))
    normals = np.concatenate(list(posed.normals.values()))
    box = np.array([[-300.0] * 3, [300.0] * 3])
    targets = Targets(places, normals, np.full(len(places), -1), np.zeros(len(places)), 10.0, box)
    asked = surface_pull(knee, truth, targets, SURFACE_LEVELS[-1])
    step = np.linalg.solve(asked.normal + np.diag(1 / knee.spread**2), asked.towards)
    assert np.abs(step).max() < 0.02
    assert asked.score > 0.9
    moved = truth.copy()
    moved[[0, 3, POSE]] = 1.0, 1.0, 0.2
    before = surface_pull(knee, moved, targets, SURFACE_LEVELS[-1])
    step = np.linalg.solve(before.normal + np.diag(1e-6 + 1e-3 / knee.spread**2), before.towards)
    after = surface_pull(knee, moved + step, targets, SURFACE_LEVELS[-1])
    assert np.nanmean(np.abs(after.residuals)) < 0.4 * np.nanmean(np.abs(before.residuals))


def test_the_threshold_lies_between_soft_tissue_and_bone_and_within_its_limits() -> None:
    rng = np.random.default_rng(0)
    soft, bone = rng.normal(60, 15, 40000), rng.normal(280, 30, 9000)
    assert 130 < bone_threshold(np.concatenate([soft, bone])) < 200
    assert bone_threshold(np.concatenate([soft, bone + 900])) == 250
    assert bone_threshold(rng.normal(40, 10, 1000)) == 130


def test_an_upright_grid_keeps_the_voxels_of_a_flipped_one(scanned: Scanned) -> None:
    turned = upright(scanned.ct)
    np.testing.assert_allclose(turned.grid.direction, np.eye(3))
    np.testing.assert_allclose(turned.array, scanned.ct.array[::-1, ::-1], atol=1e-3)


def bad(array: np.ndarray, spacing: float = 2.0) -> Volume:
    return Volume(array, Grid.from_parts(array.shape, (spacing,) * 3, (0.0, 0.0, 0.0)))


def soft(shape: tuple[int, int, int] = (50, 50, 50)) -> np.ndarray:
    array = np.full(shape, -1000, np.int16)
    array[5:-5, 5:-5] = 50
    return array


def test_a_ct_without_bone_is_refused() -> None:
    with pytest.raises(InputError, match=r"no bone in this CT: 0 % of its voxels are above 300 HU \(largest 50\)"):
        find_bone(bad(soft()))
    speckled = soft()
    speckled[::5, ::5, ::5] = 900
    with pytest.raises(InputError, match="nothing dense is larger than a millilitre"):
        find_bone(bad(speckled))


def test_values_that_are_no_ct_numbers_are_refused() -> None:
    mr = np.random.default_rng(0).integers(0, 900, (50, 50, 50)).astype(np.int16)
    with pytest.raises(InputError, match=r"not CT numbers: nothing is below -50 HU(.|\n)*an MR image"):
        find_bone(bad(mr))
    with pytest.raises(InputError, match="NaN"):
        find_bone(bad(np.full((50, 50, 50), np.nan, np.float32)))
    with pytest.raises(EmptyShapeError, match="every voxel is -1000"):
        find_bone(bad(np.full((50, 50, 50), -1000, np.int16)))


def test_a_volume_too_small_for_a_knee_is_refused() -> None:
    with pytest.raises(InputError, match="too small for a knee: 25 x 25 x 25 mm; at least 60"):
        find_bone(bad(soft(), 0.5))


def test_bone_that_is_no_knee_is_refused(scanned: Scanned) -> None:
    block = soft((60, 60, 60))
    block[20:40, 20:40, 20:40] = 900
    with pytest.raises(InputError, match=r"no knee fits the bone in this CT: 0\.\d\d of 1; 0\.45 is needed"):
        reconstruct_ct(bad(block), scanned.model, QUICK)


class Network:
    """A stand-in: the truth, with waves of some mm on it; beyond a height it claims to see nothing."""

    low, high = BOX

    def __init__(self, knee: Knee, wave: float, blind: float = 1e9) -> None:
        self.depths, self.wave, self.blind = Depths.of(knee.bones, BOX), wave, blind

    def margins(self, points: np.ndarray) -> np.ndarray:
        x, y, z = points.T
        wave = self.wave * np.sin(x / 6) * np.sin(y / 7 + 1) * np.sin(z / 8 + 2)
        logits = np.zeros((len(points), 5), np.float32)
        logits[:, 1:] = np.clip(self.depths.at(points) + wave[:, None], -8, 8)
        logits[z > self.blind, 0] = 10
        return logits


def test_the_shape_model_smooths_a_network(scanned: Scanned) -> None:
    network = Network(scanned.knee, 4.0)
    alone = reconstruct_occupancy(network, 2.0)
    joint = reconstruct_hybrid(network, scanned.model, (), QUICK, 2.0)
    assert joint.side == "left"
    for bone in BONES:
        truth = cut_mesh(scanned.knee.bones[bone], *planes())
        worse, better = (mesh_distances(truth, cut_mesh(r.bones[bone], *planes()), 2.0).assd for r in (alone, joint))
        assert better < 0.85 * worse, bone
        assert joint.bones[bone].is_watertight
        assert joint.spread[bone].shape == (len(joint.bones[bone].vertices),)
        assert np.median(joint.spread[bone]) < np.median(alone.spread[bone])


def test_where_no_radiograph_looks_the_model_decides(scanned: Scanned) -> None:
    knee = scanned.knee
    views = [view(angle) for angle in (0, 90)]
    radiographs = [Radiograph(np.zeros(v.shape, np.float32), v) for v in views]
    joint = HybridOccupancy(Network(knee, 0.0, blind=-1e9), Depths.of(knee.bones, BOX), radiographs)
    inside, beyond = np.array([[0.0, 0.0, 60.0]]), np.array([[0.0, 0.0, 500.0]])
    np.testing.assert_array_equal(joint.shown(np.concatenate([inside, beyond])), [1, 0])
    at = knee.bones["femur"].vertices.mean(axis=0)[None] * [1, 1, 0] + [0, 0, 60.0]
    own = joint.margins(at)[0]
    assert own[0] == 10  # the network is sure of background
    assert own[2] == pytest.approx(min(joint.depths.at(at)[0, 1], 8) + 0.85 * min(joint.depths.at(at)[0, 1], 6))
    assert (joint.margins(beyond)[0, 0], joint.network.margins(beyond)[0, 0]) == (0, 10)


def test_a_network_that_sees_nothing_is_said(scanned: Scanned) -> None:
    blind = Network(scanned.knee, 0.0, blind=-1e9)
    blind.depths = Depths(blind.depths.grid, np.full_like(blind.depths.values, -5))
    with pytest.raises(InputError, match="the network sees no bone here"):
        reconstruct_occupancy(blind, 4.0)


def test_depths_are_signed_distances(scanned: Scanned) -> None:
    depths = Depths.of(scanned.knee.bones, BOX)
    femur = scanned.knee.bones["femur"]
    inner = femur.vertices[np.abs(femur.vertices[:, 2]) < 90]
    assert np.abs(depths.at(inner)[:, 1]).max() < 0.8
    assert resample(scanned.ct, scanned.ct.grid).array is not None


def test_a_piece_of_bone_of_its_own_is_one_bone_though_the_model_is_off() -> None:
    grid = Grid.from_parts((60, 40, 40), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    x, y, z = np.indices(grid.shape)
    apart = np.maximum(*(12 - np.sqrt((x - c) ** 2 + (y - 20) ** 2 + (z - 20) ** 2) for c in (16.0, 43.0)))
    touching = np.maximum(*(14.5 - np.sqrt((x - c) ** 2 + (y - 20) ** 2 + (z - 20) ** 2) for c in (16.0, 43.0)))
    coarse = Grid.from_parts((31, 21, 21), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    values = np.full((4, *coarse.shape), -16.0, np.float32)
    # the model puts the border of femur and tibia at x = 31, within the second ball's reach
    values[1], values[3] = 2.0 * (15.5 - np.indices(coarse.shape)[0]), -2.0 * (15.5 - np.indices(coarse.shape)[0])
    beyond = np.array([[32.0, 20.0, 20.0], [27.0, 20.0, 20.0], [33.5, 20.0, 20.0]])
    labels = {}
    for name, depth in (("apart", apart), ("touching", touching)):
        bone = CtBone(Volume(np.clip(depth, -4, 4).astype(np.float32), grid), 200.0)
        occupancy = ThresholdOccupancy(bone, Depths(coarse, values))
        labels[name] = np.argmax(occupancy.margins(beyond), axis=1)
        assert set(np.unique(occupancy.owners)) == ({0, 2, 4} if name == "apart" else {0})
    np.testing.assert_array_equal(labels["apart"][[0, 1]], [4, 2])
    np.testing.assert_array_equal(labels["touching"], [4, 2, 4])


def test_a_small_bone_grown_together_with_a_large_one_is_still_its_own() -> None:
    """It is less than a tenth of the piece, but all there is of that bone."""
    grid = Grid.from_parts((60, 40, 40), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    x, y, z = np.indices(grid.shape)
    balls = [r - np.sqrt((x - c) ** 2 + (y - 20) ** 2 + (z - 20) ** 2) for c, r in ((20.0, 16.0), (42.0, 7.0))]
    bone = CtBone(Volume(np.clip(np.maximum(*balls), -4, 4).astype(np.float32), grid), 200.0)
    coarse = Grid.from_parts((31, 21, 21), (2.0, 2.0, 2.0), (0.0, 0.0, 0.0))
    values = np.full((4, *coarse.shape), -16.0, np.float32)
    values[3], values[2] = 2.0 * (18 - np.indices(coarse.shape)[0]), -2.0 * (18 - np.indices(coarse.shape)[0])
    occupancy = ThresholdOccupancy(bone, Depths(coarse, values))
    assert set(np.unique(occupancy.owners)) == {0}
    places = np.array([[20.0, 20.0, 20.0], [34.0, 20.0, 20.0], [38.0, 20.0, 20.0], [46.0, 20.0, 20.0]])
    np.testing.assert_array_equal(np.argmax(occupancy.margins(places), axis=1), [4, 4, 3, 3])
