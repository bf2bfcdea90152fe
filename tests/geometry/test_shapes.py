"""Shape models: linear in their coefficients, the same on either side."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.errors import InputError
from voxbench.geometry import Affine
from voxbench.geometry.shapes import ShapeModel, principal_modes, rigid_fit

TETRA = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
FACES = np.array([(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)])


def model() -> ShapeModel:
    rng = np.random.default_rng(3)
    mean = np.concatenate([TETRA, TETRA * 2 + [3, 0, 0]])
    modes = np.linalg.qr(rng.standard_normal((24, 3)))[0].T.reshape(3, 8, 3)
    return ShapeModel(
        mean, modes, np.array([0.5, 0.2, 0.1]), {"one": FACES, "two": FACES}, {"tip": np.array([1.0, 2, 3])}
    )


def test_without_coefficients_there_is_the_mean() -> None:
    bones = model().sample([])
    assert list(bones) == ["one", "two"]
    np.testing.assert_array_equal(bones["one"].vertices, TETRA)
    assert bones["two"].volume == pytest.approx(8 / 6)


def test_the_derivative_is_exact_for_any_step() -> None:
    shapes, c = model(), np.array([0.3, -1.2, 2.0])
    for k in range(3):
        step = np.eye(3)[k] * 7.0
        moved = shapes.vertices(c + step) - shapes.vertices(c)
        np.testing.assert_allclose(moved, 7 * shapes.derivative[k], atol=1e-13)


def test_coefficients_are_found_again_and_a_few_are_enough() -> None:
    shapes, c = model(), np.array([0.3, -1.2, 2.0])
    np.testing.assert_allclose(shapes.coefficients(shapes.vertices(c)), c, atol=1e-12)
    np.testing.assert_array_equal(shapes.vertices(c[:1]), shapes.vertices([0.3, 0, 0]))


def test_the_other_leg_is_the_mirror_image_and_its_mirror_image_the_first() -> None:
    shapes, c = model(), [1.0, -0.5, 0.7]
    left = shapes.mirrored()
    assert (shapes.side, left.side, left.mirrored().side) == ("right", "left", "right")
    np.testing.assert_array_equal(left.vertices(c), shapes.vertices(c) * [-1, 1, 1])
    for bone, mesh in left.sample(c).items():
        assert mesh.volume == pytest.approx(shapes.sample(c)[bone].volume)
    np.testing.assert_array_equal(left.landmarks["tip"], [-1, 2, 3])
    assert shapes.on("right") is shapes
    np.testing.assert_array_equal(left.on("right").mean, shapes.mean)


def test_principal_modes_are_those_the_examples_were_made_of() -> None:
    rng = np.random.default_rng(0)
    shapes = model()
    c = rng.standard_normal((400, 3))
    mean, modes, deviations = principal_modes(np.stack([shapes.vertices(one) for one in c]))
    assert modes.shape == (3, 8, 3)
    np.testing.assert_allclose(deviations, shapes.deviations, rtol=0.1)
    np.testing.assert_allclose(mean, shapes.vertices(c.mean(axis=0)), atol=1e-12)
    flat = modes.reshape(3, -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(3), atol=1e-12)
    assert np.abs(np.diag(flat @ shapes.modes.reshape(3, -1).T)).min() > 0.95
    assert len(principal_modes(c[:5, None, :], most=2)[2]) == 2


def test_the_rigid_fit_undoes_a_motion_and_never_mirrors() -> None:
    rng = np.random.default_rng(1)
    points = rng.standard_normal((20, 3))
    angle = 1.1
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    motion = Affine.from_parts(turn, np.array([3.0, -2, 1]))
    assert rigid_fit(points, motion(points)).close_to(motion, 1e-12)
    assert np.linalg.det(rigid_fit(points, points * [-1, 1, 1]).linear) == pytest.approx(1)


def test_parts_that_do_not_fit_are_refused() -> None:
    shapes = model()
    with pytest.raises(InputError, match="do not fit 2 deviations"):
        ShapeModel(shapes.mean, shapes.modes, np.ones(2), shapes.faces)
    with pytest.raises(InputError, match="do not name each of 8 vertices"):
        ShapeModel(shapes.mean, shapes.modes, np.ones(3), {"one": FACES})
    for bad in ([0.0] * 4, [np.nan], [[1.0]]):
        with pytest.raises(InputError, match="at most 3 finite coefficients"):
            shapes.vertices(np.array(bad))
