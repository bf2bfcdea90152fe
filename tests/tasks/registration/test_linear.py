"""Linear registration against known motions of a phantom, and its behaviour on awkward input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.ndimage import gaussian_filter

from voxbench.errors import EmptyShapeError, GridMismatchError, NotFiniteError
from voxbench.geometry import Affine, Grid, Volume, resample
from voxbench.tasks.registration.descent import descend
from voxbench.tasks.registration.linear import LinearConfig, register_linear
from voxbench.tasks.registration.linear_images import otsu
from voxbench.tasks.registration.linear_models import SIZES, Model, Motion, rotation_by
from voxbench.tasks.registration.linear_pair import Pair
from voxbench.tasks.registration.linear_starts import affine_of, half_axis_turns, pose_of

SPACING = 2.5
SHAPE = (64, 72, 60)
FEW = 15_000
"""Points, so that the tests stay short; the default has five times as many."""


def field_grid(margin: int = 0) -> Grid:
    shape = (SHAPE[0] + 2 * margin, SHAPE[1] + 2 * margin, SHAPE[2] + 2 * margin)
    origin = -(np.array(shape) - 1) * SPACING / 2
    return Grid.from_parts(shape, (SPACING,) * 3, origin)


@pytest.fixture(scope="session")
def phantom() -> Volume:
    """A textured, lopsided body with a dark hollow and a bright lump, in black."""
    grid = field_grid(margin=16)
    x, y, z = np.moveaxis(np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1), -1, 0)
    x, y, z = (v - (n - 1) / 2 for v, n in zip((x, y, z), grid.shape, strict=True))
    body = (x / 22) ** 2 + (y / 28) ** 2 + (z / 19) ** 2 + 0.25 * (x / 22) * (y / 28) < 1
    hollow = ((x - 7) / 5) ** 2 + ((y + 9) / 9) ** 2 + ((z - 3) / 4) ** 2 < 1
    lump = ((x + 10) / 6) ** 2 + ((y - 11) / 5) ** 2 + ((z + 6) / 6) ** 2 < 1
    rng = np.random.default_rng(4)
    texture = sum(s * gaussian_filter(rng.normal(size=grid.shape), s) * s**0.5 for s in (1.5, 3.0))
    values = np.where(body, 120 + 25 * texture / texture.std(), 0.0)
    values = np.where(hollow, 30, np.where(lump, 210, values))
    return Volume(gaussian_filter(values, 0.7).astype(np.float32), grid)


@pytest.fixture(scope="session")
def fixed(phantom: Volume) -> Volume:
    return resample(phantom, onto=field_grid())


def moved(phantom: Volume, moving_from_fixed: Affine, onto: Grid | None = None) -> Volume:
    """What the phantom looks like after the motion."""
    return resample(phantom, onto=onto or field_grid(), through=moving_from_fixed.inverse(), interpolation="cubic")


def motion(degrees: float, axis: tuple[float, float, float], shift: tuple[float, ...], stretch: np.ndarray) -> Affine:
    direction = np.array(axis) / np.linalg.norm(axis)
    return Affine.from_parts(rotation_by(np.radians(degrees) * direction)[0] @ stretch, np.array(shift))


def error_voxels(found: Affine, truth: Affine, fixed: Volume) -> float:
    """Mean distance over the phantom's points, voxels."""
    points = fixed.grid.world_from_voxel(np.argwhere(fixed.array > 20).astype(float))
    return float(np.linalg.norm(found(points) - truth(points), axis=1).mean() / SPACING)


RIGID = motion(20, (1, -2, 1.5), (15, -12, 16), np.eye(3))
STRETCH = np.array([[1.15, 0.08, 0.0], [0.0, 0.85, -0.06], [0.05, 0.0, 1.1]])
AFFINE = motion(12, (0.3, 1, -0.5), (8, 6, -9), STRETCH)


@pytest.mark.parametrize(
    ("model", "truth", "metric", "inverted"),
    [
        ("rigid", RIGID, "ncc", False),
        ("rigid", RIGID, "nmi", True),
        ("affine", AFFINE, "nmi", False),
        ("affine", AFFINE, "ncc", True),
    ],
)
def test_a_known_motion_is_recovered_in_either_contrast(
    phantom: Volume, fixed: Volume, metric: str, inverted: bool, model: Model, truth: Affine
) -> None:
    moving = moved(phantom, truth)
    if inverted:
        moving = Volume(np.float32(250) - moving.array, moving.grid)
    found = register_linear(fixed, moving, LinearConfig(model=model, metric=metric, samples=FEW, search="near"))
    assert error_voxels(found.affine, truth, fixed) < 0.3
    assert found.metric > found.initial
    if model == "rigid":
        assert_allclose(found.affine.linear @ found.affine.linear.T, np.eye(3), atol=1e-9)


def test_similarity_and_translation_stay_what_they_are(phantom: Volume, fixed: Volume) -> None:
    truth = motion(15, (1, 1, 0), (5, -9, 4), 0.9 * np.eye(3))
    found = register_linear(fixed, moved(phantom, truth), LinearConfig(model="similarity", samples=FEW))
    assert error_voxels(found.affine, truth, fixed) < 0.3
    gram = found.affine.linear @ found.affine.linear.T
    assert_allclose(gram, gram[0, 0] * np.eye(3), atol=1e-9)
    shift = Affine.from_parts(np.eye(3), np.array([30.0, -20.0, 10.0]))
    found = register_linear(fixed, moved(phantom, shift), LinearConfig(model="translation"))
    assert error_voxels(found.affine, shift, fixed) < 0.3
    np.testing.assert_array_equal(found.affine.linear, np.eye(3))


@pytest.mark.parametrize("metric", ["nmi", "ncc"])
def test_an_image_and_itself_give_the_identity(fixed: Volume, metric: str) -> None:
    found = register_linear(fixed, fixed, LinearConfig(metric=metric, samples=FEW))
    assert found.affine.close_to(Affine.identity(), 1e-3)


def test_the_order_of_axes_in_the_file_does_not_matter(phantom: Volume, fixed: Volume) -> None:
    moving = moved(phantom, RIGID)
    turned = np.ascontiguousarray(moving.array.transpose(2, 0, 1)[::-1, :, ::-1])
    step = np.zeros((4, 4))
    step[2, 0], step[0, 1], step[1, 2], step[3, 3] = -1, 1, -1, 1
    step[:3, 3] = (0, SHAPE[1] - 1, SHAPE[2] - 1)
    grid = Grid(turned.shape, moving.grid.world_from_voxel @ Affine(step, "voxel", "voxel"))
    found = register_linear(fixed, Volume(turned, grid), LinearConfig(model="rigid", samples=FEW, search="near"))
    assert error_voxels(found.affine, RIGID, fixed) < 0.3


def test_grids_may_differ_in_spacing_direction_and_extent(phantom: Volume, fixed: Volume) -> None:
    oblique = rotation_by(np.radians([20.0, -10.0, 30.0]))[0]
    grid = Grid.from_parts((60, 30, 100), (3.0, 6.0, 2.0), oblique @ np.array([-88.0, -87.0, -99.0]), oblique)
    found = register_linear(fixed, moved(phantom, RIGID, grid), LinearConfig(model="rigid", samples=FEW))
    assert error_voxels(found.affine, RIGID, fixed) < 0.4


def test_a_header_that_is_wrong_by_a_right_angle_and_far_away_is_overcome(phantom: Volume, fixed: Volume) -> None:
    truth = Affine.from_parts(half_axis_turns()[7], np.array([900.0, -400.0, 0.0]))
    grid = Grid(SHAPE, truth @ field_grid().world_from_voxel)
    found = register_linear(fixed, Volume(fixed.array, grid), LinearConfig(model="rigid", samples=FEW))
    assert error_voxels(found.affine, truth, fixed) < 0.3


def test_a_slab_finds_its_place_whichever_image_is_fixed(phantom: Volume, fixed: Volume) -> None:
    truth = motion(10, (1, 0, 1), (6, -4, 3), np.eye(3))
    slab = moved(phantom, truth, field_grid().cropped((0, 0, 18), (SHAPE[0], SHAPE[1], 44)))
    config = LinearConfig(model="rigid", samples=FEW, search="near")
    assert error_voxels(register_linear(fixed, slab, config).affine, truth, fixed) < 0.5
    assert error_voxels(register_linear(slab, fixed, config).affine.inverse(), truth, fixed) < 0.5


def test_masks_hide_what_does_not_match(phantom: Volume, fixed: Volume) -> None:
    truth = motion(8, (0, 1, 1), (5, 3, -4), np.eye(3))
    moving = moved(phantom, truth)
    array = moving.array.copy()
    array[:, :, :24] = np.random.default_rng(1).uniform(0, 400, array[:, :, :24].shape)
    seen = np.zeros(SHAPE, bool)
    seen[:, :, 25:] = True
    broken = Volume(array, moving.grid)
    config = LinearConfig(model="rigid", samples=FEW, search="near")
    assert error_voxels(register_linear(fixed, broken, config, moving_mask=seen).affine, truth, fixed) < 0.5
    both = register_linear(fixed, broken, config, fixed_mask=np.ones(SHAPE, bool), moving_mask=seen)
    assert error_voxels(both.affine, truth, fixed) < 0.5
    other_way = register_linear(broken, fixed, config, fixed_mask=seen)
    assert error_voxels(other_way.affine.inverse(), truth, fixed) < 0.5


def test_a_given_start_replaces_the_search_and_none_only_measures(phantom: Volume, fixed: Volume) -> None:
    moving = moved(phantom, RIGID)
    close = Affine.from_parts(RIGID.linear, RIGID.offset + np.array([3, -3, 2]))
    found = register_linear(fixed, moving, LinearConfig(model="rigid", samples=FEW), start=close)
    assert found.starts == 1
    assert error_voxels(found.affine, RIGID, fixed) < 0.3
    measured = register_linear(fixed, moving, LinearConfig(model="none", samples=FEW), start=close)
    assert measured.affine.close_to(close, 1e-9)
    assert measured.metric == measured.initial == found.initial
    assert measured.evaluations == 0


@pytest.mark.parametrize("search", ["near", "start"])
def test_narrower_searches_find_small_motions(phantom: Volume, fixed: Volume, search: str) -> None:
    truth = motion(6, (0, 0, 1), (4, -3, 2), np.eye(3))
    found = register_linear(fixed, moved(phantom, truth), LinearConfig(model="rigid", search=search, samples=FEW))
    assert error_voxels(found.affine, truth, fixed) < 0.3


def test_runs_repeat_bit_for_bit_and_swapped_images_give_the_inverse(phantom: Volume, fixed: Volume) -> None:
    moving = moved(phantom, RIGID)
    told: list[tuple[str, float]] = []
    config = LinearConfig(samples=FEW, search="near")
    one = register_linear(fixed, moving, config, progress=lambda level, metric: told.append((level, metric)))
    two = register_linear(fixed, moving, config)
    back = register_linear(moving, fixed, config)
    assert_allclose((back.affine @ one.affine).matrix, np.eye(4), atol=1e-9)
    np.testing.assert_array_equal(one.affine.matrix, two.affine.matrix)
    assert told[-1] == ("2.5 mm", pytest.approx(one.metric))
    assert 2 <= len(told) <= 3


def test_bad_input_is_refused_by_name(fixed: Volume) -> None:
    nothing = Volume(np.full(SHAPE, 7.0, np.float32), fixed.grid)
    with pytest.raises(EmptyShapeError, match="moving image: every voxel is 7"):
        register_linear(fixed, nothing)
    holes = fixed.array.copy()
    holes[3, 4, 5] = np.nan
    with pytest.raises(NotFiniteError, match="fixed image: 1 of"):
        register_linear(Volume(holes, fixed.grid), fixed)
    away = Volume(
        fixed.array, Grid(SHAPE, Affine.from_parts(np.eye(3), np.array([900.0, 0, 0])) @ fixed.grid.world_from_voxel)
    )
    with pytest.raises(EmptyShapeError, match="do not overlap at the start"):
        register_linear(fixed, away, LinearConfig(search="start"))
    with pytest.raises(EmptyShapeError, match="fixed image: the mask holds no voxel"):
        register_linear(fixed, fixed, fixed_mask=np.zeros(SHAPE, bool))
    with pytest.raises(GridMismatchError, match="its mask has shape"):
        register_linear(fixed, fixed, moving_mask=np.zeros((2, 2, 2), bool))


@given(model=st.sampled_from(["translation", "rigid", "similarity", "affine"]), seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_gradient_by_the_parameters_is_the_finite_difference(model: Model, seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = np.hstack([np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3)), rng.uniform(-9, 9, (3, 1))])
    way = Motion(model, base, 40.0)
    at, by_pose = rng.uniform(-20, 20, SIZES[model]), rng.normal(size=(3, 4))
    differences = [
        ((way.pose(at + step) - way.pose(at - step)) * by_pose).sum() / 2e-4 for step in 1e-4 * np.eye(len(at))
    ]
    assert_allclose(way.pull(at, by_pose), differences, atol=1e-6)
    assert_allclose(way.pose(np.zeros(len(at))), base, atol=1e-12)


@pytest.mark.parametrize("metric", ["nmi", "ncc"])
def test_gradient_of_the_cost_is_the_finite_difference_where_overlap_is_lost_and_shapes_are_strained(
    fixed: Volume, metric: str
) -> None:
    pair = Pair.of(fixed, fixed, (None, None), LinearConfig())
    similarity = pair.similarity(max(pair.read.views), metric, LinearConfig())
    assert similarity.stiffness > 0
    pose = pair.to_pose(motion(10, (1, 2, 0), (70, 40, 50), STRETCH))
    assert 0 < similarity.overlap(pose) < 0.5
    gradient, differences = similarity.cost(pose)[1], np.empty((3, 4))
    for a, b in np.ndindex(3, 4):
        move = np.zeros((3, 4))
        move[a, b] = 2e-4 if b < 3 else 1e-2
        step = similarity.cost(pose + move)[0] - similarity.cost(pose - move)[0]
        differences[a, b] = step / (2 * move[a, b])
    for part in (np.s_[:, :3], np.s_[:, 3]):
        assert_allclose(gradient[part], differences[part], atol=0.05 * np.abs(differences[part]).max())


def test_poses_are_maps_about_a_centre() -> None:
    centre = np.array([3.0, -7.0, 11.0])
    assert affine_of(pose_of(AFFINE, centre), centre).close_to(AFFINE, 1e-12)


def test_the_cube_has_24_different_rotations() -> None:
    turns = half_axis_turns()
    assert len({tuple(t.ravel()) for t in turns}) == 24
    np.testing.assert_array_equal(turns[0], np.eye(3))
    assert_allclose([np.linalg.det(t) for t in turns], 1)


def test_descent_reaches_the_bottom_of_a_curved_valley() -> None:
    def valley(x: np.ndarray) -> tuple[float, np.ndarray]:
        value = (1 - x[0]) ** 2 + 10 * (x[1] - x[0] ** 2) ** 2
        gradient = np.array([-2 * (1 - x[0]) - 40 * x[0] * (x[1] - x[0] ** 2), 20 * (x[1] - x[0] ** 2)])
        return 0.01 * value, 0.01 * gradient

    assert_allclose(descend(valley, np.array([-1.2, 1.0]), 200, 1.0), [1, 1], atol=0.05)


def test_otsu_parts_two_heaps() -> None:
    values = np.concatenate([np.linspace(0, 10, 500), np.linspace(80, 100, 300)])
    assert 10 <= otsu(values) <= 80


def brain(folder: Path, name: str) -> Volume:
    import nibabel

    image = nibabel.load(folder / "brain" / f"{name}_t1.nii.gz")
    return Volume(np.ascontiguousarray(image.dataobj), Grid(image.shape, Affine(image.affine, "world", "voxel")))


@pytest.mark.real_data
def test_a_displaced_brain_comes_home(real_data: Path) -> None:
    fixed = brain(real_data, "symA")
    centre = fixed.grid.centre
    truth = motion(17, (1, 0.5, -1), (20, -15, 9), STRETCH)
    truth = Affine.from_parts(truth.linear, truth.offset + centre - truth.linear @ centre)
    moving = resample(fixed, onto=fixed.grid, through=truth.inverse(), interpolation="cubic")
    found = register_linear(fixed, moving)
    points = fixed.grid.world_from_voxel(np.argwhere(fixed.array > 20)[::50].astype(float))
    assert np.linalg.norm(found.affine(points) - truth(points), axis=1).mean() < 0.3


@pytest.mark.real_data
def test_a_brain_stored_upside_down_is_turned_over(real_data: Path) -> None:
    found = register_linear(brain(real_data, "fsA"), brain(real_data, "symA"))
    assert_allclose(np.diag(found.affine.linear), [-1, 1, -1], atol=0.1)
    assert found.metric > found.initial + 0.1
