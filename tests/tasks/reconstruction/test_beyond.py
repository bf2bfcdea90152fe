"""What helps with people whom the shape model does not know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.tasks.reconstruction.conftest import Seen

from voxbench.geometry.articulation import PARAMETERS
from voxbench.geometry.seating import attached
from voxbench.tasks.reconstruction import ReconstructionConfig
from voxbench.tasks.reconstruction.config import Level
from voxbench.tasks.reconstruction.edges import Rivals
from voxbench.tasks.reconstruction.fit import blurred
from voxbench.tasks.reconstruction.knee import POSE, MovingKnee
from voxbench.tasks.reconstruction.search import patella_found
from voxbench.tasks.reconstruction.shells import CORE, INSIDE, SHELLS, inside_mm, usual_shell


def test_the_derivative_of_a_free_knee_is_that_of_the_places(seen: Seen) -> None:
    config = ReconstructionConfig(free_modes=3)
    knee = MovingKnee(seen.model).freed(config)
    assert knee.freed(config) is knee
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0, 3, POSE), rng.normal(0, 1, len(knee.model.modes))])
    for bone in seen.model.bones:
        count = knee.surfaces[bone].count
        corners, shares = rng.integers(count, size=(5, 3)), rng.dirichlet(np.ones(3), 5)
        along = rng.normal(size=(5, 3))
        exact = knee.at(values).derivative(bone, corners, shares, along)
        for parameter in range(POSE, len(values)):
            step = np.eye(len(values))[parameter] * 1e-4
            ends = [knee.bones(values + sign * step)[bone][corners] for sign in (1, -1)]
            slope = np.einsum("nd,nc,ncd->n", along, shares, ends[0] - ends[1]) / 2e-4
            np.testing.assert_allclose(exact[:, parameter], slope, atol=1e-6)


def test_modes_do_not_open_or_close_the_joints_of_an_attached_model(seen: Seen) -> None:
    from scipy.spatial import KDTree

    model = seen.model
    derivative = np.array(model.derivative)
    derivative[0, model.ranges["femur"], 2] -= 4.0  # a mode that drives the femur into the shin
    sizes = np.linalg.norm(derivative.reshape(len(derivative), -1), axis=1)
    bad = replace(model, modes=derivative / sizes[:, None, None], deviations=sizes)
    mended, femur = attached(bad), model.mean[model.ranges["femur"]]
    for moving in ("tibia", "patella"):
        other = model.mean[model.ranges[moving]]
        apart, back = KDTree(other).query(femur)[0], KDTree(femur).query(other)[0]
        one = mended.derivative[:, model.ranges["femur"]][:, apart < apart.min() + 5].mean(axis=1)
        two = mended.derivative[:, model.ranges[moving]][:, back < back.min() + 5].mean(axis=1)
        np.testing.assert_allclose(one, two, atol=1e-9)
    np.testing.assert_allclose(attached(mended).derivative, mended.derivative, atol=1e-9)
    np.testing.assert_allclose(
        np.ptp(mended.derivative[:, model.ranges["tibia"]] - bad.derivative[:, model.ranges["tibia"]], axis=1),
        0,
        atol=1e-9,
    )


def test_a_patella_that_is_far_too_high_is_found_again(seen: Seen) -> None:
    knee = MovingKnee(seen.model.on("left"))
    truth = np.concatenate([seen.knee.pose.values, seen.knee.coefficients])
    height = PARAMETERS.index("patella_height")
    level = Level(blur_mm=1.5, reach_mm=7.0, trust_mm=1.5, rounds=1)
    slopes = blurred(seen.radiographs, level, np.zeros(3))
    lost = truth.copy()
    lost[height] += 14.0
    for begun in (truth, lost):
        found = patella_found(knee, begun, seen.radiographs, slopes)
        assert found[height] == pytest.approx(truth[height], abs=2.5)
        others = np.arange(len(truth)) != height
        others[PARAMETERS.index("patella_gap")] = False
        np.testing.assert_array_equal(found[others], truth[others])


def test_an_edge_belongs_to_the_bone_that_is_expected_nearer() -> None:
    up, along = np.array([[-1.0, 0.0]]), np.array([-4.0, 0.0, 2.0, 6.0])
    places = np.array([50.0, 80.0]) + along[:, None] * up[0]
    other = Rivals(np.array([[46.0, 80.0]]), up)
    share = other.leave(places[None], up, along, 9.0)[0]
    assert share[0] > 0.75  # 4 from the own, 8 from the other
    assert share[2] == pytest.approx(0.5)  # half way
    assert share[3] < 0.15  # 6 from the own, 2 from the other
    np.testing.assert_array_equal(Rivals(other.pixels, -up).leave(places[None], up, along, 9.0), 1)
    np.testing.assert_array_equal(Rivals(np.zeros((0, 2)), np.zeros((0, 2))).leave(places[None], up, along, 9.0), 1)


def test_edges_lie_as_far_inside_as_the_shadow_of_a_shell_says() -> None:
    from scipy.ndimage import gaussian_filter1d

    step = 0.01
    depth = np.arange(-15, 25, step)
    for shell, inside in zip(SHELLS, INSIDE, strict=True):
        path = np.sqrt(np.clip(depth, 0, None)) - (1 - CORE) * np.sqrt(np.clip(depth - shell, 0, None))
        slope = np.gradient(gaussian_filter1d(path, 1 / step), step)
        near = np.abs(depth) < 3
        assert depth[near][np.argmax(slope[near])] == pytest.approx(inside, abs=0.02)
    assert inside_mm(np.array([2.0]), 1.0)[0] == pytest.approx(0.41)
    assert inside_mm(np.array([1.0]), 0.5)[0] == pytest.approx(0.205)


def test_cortex_is_thin_at_the_joint_and_thick_along_the_shaft() -> None:
    np.testing.assert_allclose(usual_shell("femur", np.array([0.0, 25, -62.5, 100, 180])), [1, 1, 3, 5, 5])
    np.testing.assert_allclose(usual_shell("patella", np.array([40.0, 120])), 1)
