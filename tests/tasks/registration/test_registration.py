"""The laws of a whole registration, on phantoms whose true map is known."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from voxbench import _core
from voxbench.errors import EmptyShapeError, GridMismatchError, NotFiniteError, UsageError
from voxbench.geometry import Affine, DisplacementField, Grid, LabelMap, Volume, compose, grid_points, resample
from voxbench.simulate import random_diffeomorphism
from voxbench.tasks.registration import Extras, Progress, Registration, RegistrationConfig, register

SPACING = 2.0
GRID = Grid.from_parts((52, 60, 48), (SPACING,) * 3, (-51.0, -59.0, -47.0))


def body(grid: Grid) -> np.ndarray:
    """Where the phantom is: an ellipsoid about the world's origin."""
    return ((grid_points(grid) / (38.0, 45.0, 34.0)) ** 2).sum(axis=-1) < 1


@pytest.fixture(scope="module")
def fixed() -> Volume:
    rng = np.random.default_rng(1)
    texture = sum(s**1.5 * gaussian_filter(rng.normal(size=GRID.shape), s) for s in (1.2, 2.5))
    values = np.where(body(GRID), 100 + 30 * texture / np.std(texture), 0)
    return Volume(gaussian_filter(values, 0.6).astype(np.float32), GRID)


@pytest.fixture(scope="module")
def truth() -> tuple[DisplacementField, DisplacementField]:
    """A map of the fixed grid that moves points by up to 6 mm (three voxels), and the way back."""
    found = random_diffeomorphism(GRID, np.random.default_rng(2), 6.0, 14.0)
    return found.forward, found.inverse


@pytest.fixture(scope="module")
def moving(fixed: Volume, truth: tuple[DisplacementField, DisplacementField]) -> Volume:
    """What the fixed image becomes when its points move by the truth: moving(x + u(x)) = fixed(x)."""
    return resample(fixed, GRID, truth[1], "cubic")


def configured(**given: Any) -> RegistrationConfig:
    return RegistrationConfig(**({"initial": "none", "threads": 2} | given))


def error_voxels(found: DisplacementField, true: DisplacementField) -> float:
    """Mean distance of the two maps' points inside the body, voxels."""
    apart = np.linalg.norm(found.array - true.array, axis=-1)
    return float(apart[body(GRID)].mean() / SPACING)


def apart_voxels(maps: list[Any], grid: Grid) -> float:
    """Mean distance from the identity after going through all maps, voxels."""
    return float(compose(maps, grid).magnitude.mean() / SPACING)


def folded(found: DisplacementField) -> int:
    return int((_core.jacobian_minimum(found.in_voxels()) <= 0).sum())


@pytest.mark.parametrize("preset", ["fast", "accurate"])
def test_an_image_and_itself_give_a_field_of_zeros(fixed: Volume, preset: Literal["fast", "accurate"]) -> None:
    found = register(fixed, fixed, configured(preset=preset))
    assert found.displacement.magnitude.max() < 1e-3
    assert found.inverse.magnitude.max() < 1e-3


@pytest.mark.parametrize(
    "given",
    [{"preset": "fast"}, {"preset": "accurate"}, {"deformable": {"metric": "mind"}}, {"start": "convex"}],
    ids=str,
)
def test_a_known_diffeomorphism_is_recovered_within_a_third_of_a_voxel(
    fixed: Volume, moving: Volume, truth: tuple[DisplacementField, DisplacementField], given: dict[str, Any]
) -> None:
    found = register(fixed, moving, configured(**given))
    assert error_voxels(DisplacementField.zeros(GRID), truth[0]) > 0.8
    assert error_voxels(found.displacement, truth[0]) < 0.3
    assert folded(found.displacement) == 0
    assert apart_voxels([found.displacement, found.inverse], GRID) < 0.05
    assert apart_voxels([found.inverse, found.displacement], GRID) < 0.05


@pytest.mark.parametrize("metric", ["ncc", "mind"])
def test_an_inverted_contrast_does_not_matter(
    fixed: Volume, moving: Volume, truth: tuple[DisplacementField, DisplacementField], metric: str
) -> None:
    found = register(fixed, Volume(220 - moving.array, GRID), configured(deformable={"metric": metric}))
    assert error_voxels(found.displacement, truth[0]) < 0.3


def test_a_known_affine_map_is_recovered_and_undone(fixed: Volume) -> None:
    turn = np.radians(12)
    linear = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0.05], [0, 0, 1.05]])
    true = Affine.from_parts(linear, np.array([3.0, -4.0, 2.5]))
    moved = resample(fixed, GRID, true.inverse(), "cubic")
    found = register(fixed, moved, RegistrationConfig(method="affine", threads=2))
    points = grid_points(GRID)[body(GRID)]
    assert np.linalg.norm(found.affine(points) - true(points), axis=1).mean() < 0.3 * SPACING
    assert np.abs(compose([found.displacement, found.inverse], GRID).array[body(GRID)]).max() < 1e-3 * SPACING
    refined = register(fixed, moved, RegistrationConfig(preset="fast", threads=2))
    assert (
        np.linalg.norm(refined.displacement.array[body(GRID)] - (true(points) - points), axis=1).mean() < 0.3 * SPACING
    )


def test_the_same_call_gives_the_same_bits(fixed: Volume, moving: Volume) -> None:
    one, two = (register(fixed, moving, RegistrationConfig(threads=2, seed=3)) for _ in range(2))
    np.testing.assert_array_equal(one.displacement.array, two.displacement.array)
    np.testing.assert_array_equal(one.inverse.array, two.inverse.array)
    np.testing.assert_array_equal(one.affine.matrix, two.affine.matrix)


def test_the_voxel_order_of_the_file_does_not_matter(
    fixed: Volume, moving: Volume, truth: tuple[DisplacementField, DisplacementField]
) -> None:
    flip = np.array([[0.0, 0, -1, GRID.shape[0] - 1], [1, 0, 0, 0], [0, -1, 0, GRID.shape[2] - 1], [0, 0, 0, 1]])
    # new voxel (a, b, c) is old voxel (n - 1 - c, a, m - 1 - b)
    array = moving.array[::-1, :, ::-1].transpose(1, 2, 0)
    grid = Grid(
        (array.shape[0], array.shape[1], array.shape[2]), GRID.world_from_voxel @ Affine(flip, "voxel", "voxel")
    )
    found = register(fixed, Volume(array, grid), configured())
    assert found.displacement.grid.same_as(GRID)
    assert found.inverse.grid.same_as(grid)
    assert error_voxels(found.displacement, truth[0]) < 0.3
    assert apart_voxels([found.inverse, found.displacement], grid) < 0.05


def test_slabs_of_other_spacing_are_registered_on_cubes_and_answered_on_their_own_grids(
    fixed: Volume, moving: Volume, truth: tuple[DisplacementField, DisplacementField]
) -> None:
    thick = Grid.from_parts((52, 60, 24), (2.0, 2.0, 4.0), (-51.0, -59.0, -46.0))
    found = register(fixed, resample(moving, thick), configured())
    assert found.inverse.grid.same_as(thick)
    assert error_voxels(found.displacement, truth[0]) < 0.5
    back = register(resample(moving, thick), fixed, configured())
    assert back.displacement.grid.same_as(thick)
    assert folded(back.displacement) == 0


class TestExtraTerms:
    """Two balls of one grey value: the image alone cannot tell how points inside them move."""

    @staticmethod
    def pair() -> tuple[Volume, Volume]:
        volumes = []
        for shift in (0.0, 5.0):
            distance = np.linalg.norm(grid_points(GRID) - (shift, 0, 0), axis=-1)
            volumes.append(Volume((100.0 / (1 + np.exp((distance - 30) / 1.5))).astype(np.float32), GRID))
        return volumes[0], volumes[1]

    def test_landmarks_are_brought_onto_each_other(self) -> None:
        fixed, moving = self.pair()
        points = np.array([[10.0, 0, 0], [-10, 5, 0], [0, -10, 8]])
        goals = points + np.array([4.0, 3.0, -2.0])
        config = configured(preset="fast")

        def miss(found: Registration) -> float:
            at = compose([found.displacement], GRID)
            index = np.rint(GRID.voxel_from_world(points)).astype(int)
            return float(np.linalg.norm(points + at.array[tuple(index.T)] - goals, axis=1).mean())

        alone = miss(register(fixed, moving, config))
        guided = register(fixed, moving, config, Extras(fixed_landmarks=points, moving_landmarks=goals))
        assert miss(guided) < 0.6 < 1.5 < alone
        assert folded(guided.displacement) == 0

    def test_labels_are_brought_onto_each_other(self) -> None:
        fixed, moving = self.pair()
        maps = []
        for centre in ((0.0, 0, 0), (5.0, 5.0, -4.0)):
            inside = np.linalg.norm(grid_points(GRID) - centre, axis=-1) < 13
            maps.append(LabelMap(3 * inside.astype(np.uint8), GRID))

        def dice(found: Registration) -> float:
            warped = resample(maps[1], GRID, found.displacement).array > 0
            inside = maps[0].array > 0
            return float(2 * (warped & inside).sum() / (warped.sum() + inside.sum()))

        config = configured(preset="fast")
        alone = dice(register(fixed, moving, config))
        guided = dice(register(fixed, moving, config, Extras(fixed_labels=maps[0], moving_labels=maps[1])))
        assert guided > 0.93 > 0.85 > alone

    def test_outside_the_masks_nothing_pulls(self, fixed: Volume, moving: Volume) -> None:
        mask = np.zeros(GRID.shape, bool)
        mask[:20] = True
        found = register(fixed, moving, configured(preset="fast"), Extras(fixed_mask=mask))
        size = found.displacement.magnitude
        assert size[:16][body(GRID)[:16]].mean() > 1.0
        assert size[44:][body(GRID)[44:]].mean() < 0.1

    def test_what_does_not_fit_is_refused(self, fixed: Volume, moving: Volume) -> None:
        labels = LabelMap(np.ones(GRID.shape, np.uint8), GRID)
        points = np.zeros((2, 3))
        with pytest.raises(UsageError, match="both images"):
            register(fixed, moving, extras=Extras(fixed_labels=labels))
        with pytest.raises(UsageError, match=r"\(2, 3\) and \(3, 3\)"):
            register(fixed, moving, extras=Extras(fixed_landmarks=points, moving_landmarks=np.zeros((3, 3))))
        with pytest.raises(GridMismatchError, match="fixed mask"):
            register(fixed, moving, extras=Extras(fixed_mask=np.ones((3, 3, 3), bool)))


class TestBadInput:
    def test_nan_constant_and_disjoint_images_are_refused(self, fixed: Volume) -> None:
        hole = fixed.array.copy()
        hole[0, 0, 0] = np.nan
        with pytest.raises(NotFiniteError, match="moving image: 1 of"):
            register(fixed, Volume(hole, GRID))
        with pytest.raises(EmptyShapeError, match="every voxel is 7"):
            register(Volume(np.full(GRID.shape, 7), GRID), fixed)
        far = Volume(fixed.array, Grid.from_parts(GRID.shape, (SPACING,) * 3, (900.0, 0, 0)))
        with pytest.raises(EmptyShapeError, match="do not overlap"):
            register(fixed, far, configured())

    def test_levels_that_disagree_are_refused_naming_the_options(self) -> None:
        with pytest.raises(ValueError, match="--scales has 2 levels, --iterations 3"):
            configured(deformable={"scales": (2, 1)})


def test_a_preset_lies_below_what_is_given() -> None:
    config = RegistrationConfig.model_validate({"preset": "fast", "deformable": {"radius": 4}})
    assert not config.deformable.symmetric
    assert config.deformable.radius == 4
    assert RegistrationConfig.model_validate({"preset": "fast", "deformable": {"symmetric": True}}).deformable.symmetric


def test_progress_names_every_stage(fixed: Volume, moving: Volume) -> None:
    said: list[Progress] = []
    found = register(fixed, moving, RegistrationConfig(preset="fast", threads=2), progress=said.append)
    assert [p.stage for p in said] == ["affine", "level 4", "level 2", "level 1"]
    assert [level.after > level.before for level in found.levels] == [True, True, True]
