"""Surfaces out of occupancies that can be written down."""

from __future__ import annotations

import numpy as np
import pytest

from voxbench.errors import InputError
from voxbench.geometry import Mesh
from voxbench.tasks.reconstruction import extract
from voxbench.tasks.reconstruction.occupancy import BONES, classified, doubled, evaluate
from voxbench.tasks.reconstruction.surface import surfaces

RODS = {
    "patella": ((0.0, 42.0, 30.0), (0.0, 42.0, 40.0), 14.0),
    "femur": ((3.0, 0.0, 8.0), (-6.0, 5.0, 200.0), 27.0),
    "fibula": ((38.0, -18.0, -45.0), (30.0, -22.0, -200.0), 6.5),
    "tibia": ((2.0, 0.0, -48.5), (0.0, -4.0, -200.0), 26.0),
}
"""Ends and radius, mm: all but the patella leave the box; femur and tibia come as near as 3.5 mm."""


class Rods:
    """Four rods with rounded ends; logits are depths in mm."""

    low = np.full(3, -128.0)
    high = np.full(3, 128.0)

    def __init__(self) -> None:
        self.asked = 0

    def margins(self, points: np.ndarray) -> np.ndarray:
        self.asked += len(points)
        logits = np.zeros((len(points), 5), np.float32)
        for column, bone in enumerate(BONES):
            start, end, radius = (np.array(part) for part in RODS[bone])
            axis = end - start
            along = np.clip((points - start) @ axis / (axis @ axis), 0, 1)
            logits[:, column + 1] = radius - np.linalg.norm(points - start - along[:, None] * axis, axis=1)
        return logits


class Balls:
    """Balls of the class 1, one of them hollow."""

    low = np.full(3, -30.0)
    high = np.full(3, 30.0)
    parts = (((0.0, 0.0, 0.0), 15.0, 1), ((0.0, 0.0, 0.0), 5.0, -1), ((22.0, 22.0, 22.0), 4.0, 1))

    def margins(self, points: np.ndarray) -> np.ndarray:
        depth = np.full(len(points), -np.inf)
        for centre, radius, sign in self.parts:
            own = radius - np.linalg.norm(points - np.array(centre), axis=1)
            depth = np.maximum(depth, own) if sign > 0 else np.minimum(depth, -own)
        logits = np.full((len(points), 5), -9, np.float32)
        logits[:, 0], logits[:, 1] = 0, depth
        return logits


@pytest.fixture(scope="module")
def rods() -> tuple:
    """Coarse to fine and dense, 128 cells a side."""
    quick, slow = Rods(), Rods()
    return evaluate(quick, 2.0), quick.asked, evaluate(slow, 2.0, dense=True)


def test_coarse_to_fine_finds_what_asking_everywhere_finds(rods) -> None:
    field, asked, dense = rods
    assert field.labels.shape == dense.labels.shape == (129, 129, 129)
    np.testing.assert_array_equal(field.labels, dense.labels)
    assert asked == field.asked < dense.asked / 10
    assert dense.asked == 129**3


def test_the_surfaces_of_both_are_the_same_to_the_bit(rods) -> None:
    field, _, dense = rods
    for bone, mesh in surfaces(field).items():
        other = surfaces(dense)[bone]
        np.testing.assert_array_equal(mesh.vertices, other.vertices)
        np.testing.assert_array_equal(mesh.faces, other.faces)


def test_margins_have_the_sign_of_the_class_everywhere(rods) -> None:
    field, _, _ = rods
    box = (slice(3, 126), slice(20, 101), slice(2, 129))
    for number in range(4):
        values = field.part(number, box)
        np.testing.assert_array_equal(values > 0, field.labels[box] == number + 1)
        assert (np.abs(values) > 0).all()


def test_surfaces_are_closed_sub_voxel_and_as_large_as_the_rods(rods) -> None:
    from voxbench.metrics.meshes import mesh_distances

    field, _, _ = rods
    found = surfaces(field)
    assert tuple(found) == BONES
    occupancy = Rods()
    for number, (bone, mesh) in enumerate(found.items()):
        assert mesh.is_watertight
        on_lid = (np.abs(mesh.vertices) > 128 - 2).any(axis=1)
        depth = occupancy.margins(mesh.vertices)[:, number + 1]
        assert np.abs(depth[~on_lid]).max() < 0.25, bone  # voxels are 2 mm
        assert np.abs(depth[~on_lid].mean()) < 0.05
    patella = found["patella"]
    assert patella.volume == pytest.approx(np.pi * 14**2 * 10 + 4 / 3 * np.pi * 14**3, rel=1.2e-2)
    assert found["femur"].bounds[1][2] == 128.0  # a flat lid where the box ends
    assert mesh_distances(patella, surfaces(field, smoothing=0)["patella"], 2.0).hd < 1.5


def test_smoothing_keeps_the_volume_and_takes_out_the_steps() -> None:
    class Steps(Balls):
        parts = (((0.0, 0.0, 0.0), 15.0, 1),)

        def margins(self, points: np.ndarray) -> np.ndarray:
            logits = super().margins(points)
            logits[:, 1] = np.where(logits[:, 1] > 0, 0.5, -0.5)
            return logits

    rough, smooth = (extract(Steps(), 1.0, rounds)["patella"] for rounds in (0, 10))
    assert smooth.volume == pytest.approx(rough.volume, rel=1e-4)
    assert _roughness(smooth) < 0.6 * _roughness(rough)


def _roughness(mesh: Mesh) -> float:
    return float(np.std(np.linalg.norm(mesh.vertices, axis=1)))


def test_the_largest_part_is_kept_and_holes_within_it_are_filled() -> None:
    found = extract(Balls(), 1.0)
    assert list(found) == ["patella"]
    assert found["patella"].volume == pytest.approx(4 / 3 * np.pi * 15**3, rel=1e-2)
    assert np.linalg.norm(found["patella"].vertices, axis=1).min() > 14


def test_a_surface_that_leaves_the_cells_is_followed() -> None:
    """A sheet thinner than the first cells, met by one of their nodes only."""

    class Sheet(Balls):
        def margins(self, points: np.ndarray) -> np.ndarray:
            logits = np.full((len(points), 5), -9, np.float32)
            logits[:, 0] = 0
            logits[:, 2] = np.minimum(1.4 - np.abs(points[:, 2] - 0.21 * points[:, 0] - 1), 25 - np.abs(points[:, 1]))
            return logits

    one, dense = evaluate(Sheet(), 1.0), evaluate(Sheet(), 1.0, dense=True)
    np.testing.assert_array_equal(one.labels, dense.labels)
    assert one.asked < dense.asked / 3


def test_of_equal_logits_the_first_class_wins_and_no_margin_is_nought() -> None:
    logits = np.array([[1, 1, 0, 0, 0], [0, 2, 2, -1, 0], [0, -1, -1, 3, -1]], np.float32)
    labels, margins = classified(logits)
    np.testing.assert_array_equal(labels, [0, 1, 3])
    np.testing.assert_array_equal(np.sign(margins), [[-1] * 4, [1, -1, -1, -1], [-1, -1, 1, -1]])
    assert margins[2, 2] == 3


def test_doubling_is_linear_between_nodes() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(doubled(values)[::2, ::2], values)
    np.testing.assert_allclose(doubled(values)[1, 1], values[:2, :2].mean())


@pytest.mark.parametrize("high", [(-30.0, 30.0, 30.0), (1e6, 1e6, 1e6), (np.nan, 1.0, 1.0)])
def test_a_box_without_size_or_far_too_large_is_refused(high: tuple[float, float, float]) -> None:
    class Odd(Balls):
        pass

    Odd.high = np.array(high)
    with pytest.raises(InputError, match="cannot be cut into"):
        extract(Odd(), 1.0)
