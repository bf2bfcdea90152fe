"""Knees found again in their radiographs."""

from __future__ import annotations

import numpy as np
import pytest
from tests.tasks.reconstruction.conftest import Seen, view

from voxbench.errors import InputError
from voxbench.geometry import Mesh
from voxbench.geometry.cut import cut_mesh
from voxbench.metrics.meshes import mesh_distances
from voxbench.tasks.reconstruction import Radiograph, Reconstruction, ReconstructionConfig, reconstruct
from voxbench.tasks.reconstruction.config import POSE_SPREAD
from voxbench.tasks.reconstruction.knee import POSE, MovingKnee
from voxbench.tasks.reconstruction.starts import meeting_point


@pytest.fixture(scope="session")
def found(seen: Seen) -> Reconstruction:
    return reconstruct(seen.radiographs, seen.model)


def test_every_pose_has_a_prior() -> None:
    from voxbench.geometry.articulation import PARAMETERS

    assert tuple(POSE_SPREAD) == PARAMETERS


def test_the_derivative_is_that_of_the_places(seen: Seen) -> None:
    knee = MovingKnee(seen.model)
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 3, POSE), rng.normal(0, 1, len(seen.model.modes))])
    for bone in seen.model.bones:
        count = knee.surfaces[bone].count
        corners, shares = rng.integers(count, size=(5, 3)), rng.dirichlet(np.ones(3), 5)
        along = rng.normal(size=(5, 3))
        exact = knee.at(values).derivative(bone, corners, shares, along)

        def place(at: np.ndarray, bone: str = bone, c: np.ndarray = corners, s: np.ndarray = shares) -> np.ndarray:
            return np.einsum("nc,ncd->nd", s, knee.bones(at)[bone][c])

        for parameter in range(len(values)):
            step = np.eye(len(values))[parameter] * 1e-4
            slope = np.einsum("nd,nd->n", along, place(values + step) - place(values - step)) / 2e-4
            np.testing.assert_allclose(exact[:, parameter], slope, atol=1e-6)


def test_bones_are_found_to_a_millimetre_without_knowing_side_pose_or_shape(seen: Seen, found: Reconstruction) -> None:
    assert found.side == seen.knee.side == "left"
    assert found.pose.flexion == pytest.approx(seen.knee.pose.flexion, abs=1.5)
    for bone, mesh in found.bones.items():
        truth = cut_mesh(seen.knee.bones[bone], *planes())
        distances = mesh_distances(truth, cut_mesh(mesh, *planes()), 2.0)
        assert distances.assd < 0.8, bone
        assert distances.hd < 2.7, bone


def planes() -> list:
    from voxbench.geometry.cut import Plane

    return [Plane.through((0, 0, z), (0, 0, np.sign(z))) for z in (-110.0, 110.0)]


def test_meshes_are_watertight_and_end_where_the_detectors_do(found: Reconstruction) -> None:
    for mesh in found.bones.values():
        assert mesh.is_watertight
        assert mesh.volume > 0
        assert np.abs(mesh.bounds).max() <= 128 + 1e-6
    assert np.abs(found.whole["femur"].bounds).max() > 150


def test_uncertainty_is_given_for_every_vertex_and_is_large_beyond_the_view(found: Reconstruction) -> None:
    for bone, mesh in found.whole.items():
        spread = found.uncertainty[bone]
        assert spread.shape == (len(mesh.vertices),)
        assert (spread > 0).all()
        assert (spread < 5).all()
    height = np.abs(found.whole["femur"].vertices[:, 2])
    spread = found.uncertainty["femur"]
    assert spread[height > 170].mean() > 1.2 * spread[height < 100].mean()


def test_the_same_radiographs_give_the_same_bits(seen: Seen) -> None:
    levels = tuple(level.model_copy(update={"starts": 1, "rounds": 2}) for level in ReconstructionConfig().levels)
    config = ReconstructionConfig(side="left", levels=levels, flexions=(10.0,), sizes=(0.0,))
    one, other = (_try(seen, config) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def _try(seen: Seen, config: ReconstructionConfig) -> np.ndarray:
    from voxbench.tasks.reconstruction.starts import first_look, followed

    starts = first_look([MovingKnee(seen.model.on("left"))], seen.radiographs, config)
    return followed(starts, seen.radiographs, config)[0][0].values


def test_views_meet_at_the_isocentre(seen: Seen) -> None:
    np.testing.assert_allclose(meeting_point(seen.radiographs), 0, atol=1e-9)


def test_swapped_radiographs_are_said_to_be_swapped(seen: Seen) -> None:
    one, other = seen.radiographs
    swapped = (Radiograph(other.image, one.view), Radiograph(one.image, other.view))
    with pytest.raises(InputError, match="swapped"):
        reconstruct(swapped, seen.model, ReconstructionConfig(side="left"))


def test_radiographs_without_bone_are_refused(seen: Seen) -> None:
    rng = np.random.default_rng(2)
    empty = [Radiograph(rng.normal(size=(320, 320)).astype(np.float32), view(angle)) for angle in (0, 90)]
    quick = ReconstructionConfig(side="left", flexions=(10.0,), sizes=(0.0,))
    with pytest.raises(InputError, match=r"no knee fits .*\n  is there bone in view"):
        reconstruct(empty, seen.model, quick)


def cap(image: np.ndarray) -> np.ndarray:
    return np.minimum(image, np.quantile(image, 0.9)).astype(np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one, two: [one], "two radiographs are needed.*got 1"),
        (lambda one, two: [one, Radiograph(two.image, view(8))], "8.0 degrees apart"),
        (lambda one, two: [one, Radiograph(two.image, view(180))], "180.0 degrees apart"),
        (lambda one, two: [one, Radiograph(two.image[:200], two.view)], "number of pixels"),
        (lambda one, two: [one, Radiograph(two.image * np.float32("nan"), two.view)], "102400 pixels are NaN"),
        (lambda one, two: [Radiograph(one.image * 0, one.view), two], "radiograph 0 is empty"),
        (lambda one, two: [one, Radiograph(cap(two.image), two.view)], "radiograph 1 is saturated: 10 %"),
    ],
)
def test_what_cannot_be_reconstructed_from_is_refused_at_once(seen: Seen, change, message: str) -> None:
    with pytest.raises(InputError, match=message):
        reconstruct(change(*seen.radiographs), seen.model)


def test_merged_bones_keep_their_volumes(found: Reconstruction) -> None:
    from voxbench.cli.reconstructing import merged

    knee = merged(list(found.bones.values()))
    assert isinstance(knee, Mesh)
    assert knee.volume == pytest.approx(sum(mesh.volume for mesh in found.bones.values()))
