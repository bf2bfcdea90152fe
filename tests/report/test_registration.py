"""The picture of a registration shows what is there, where it is, the right way round."""

from __future__ import annotations

import struct
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbench.errors import EmptyShapeError, FileWriteError, GridMismatchError
from voxbench.geometry import Affine, DisplacementField, Grid, Volume, resample
from voxbench.report import overview, overview_png
from voxbench.report import registration as drawing
from voxbench.report.planes import PLANES, Box, cut, cut_points, foreground, window

ORIENTATIONS = [(axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)]
SPACING = (1.0, 1.5, 2.0)
LANDMARKS = {"R": (18.0, 0, 0), "A": (0, 24.0, 0), "S": (0, 0, 30.0)}
"""World positions of small bright balls, mm: one at the right, one at the front, one above."""


def head(axes: tuple[int, int, int], signs: tuple[int, int, int]) -> Volume:
    """A dim ellipsoid with the landmarks in it, on a grid of any voxel order."""
    half = np.array((24.0, 30.0, 40.0))
    direction = np.zeros((3, 3))
    direction[list(axes), range(3)] = signs
    spacing = np.array(SPACING)
    shape = (2 * half[list(axes)] / spacing + 1).astype(int)
    origin = -direction @ (spacing * (shape - 1) / 2)
    grid = Grid.from_parts((int(shape[0]), int(shape[1]), int(shape[2])), spacing, origin, direction)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1).astype(float)
    points = grid.world_from_voxel(index)
    array = 40.0 * (((points / (half - 3)) ** 2).sum(axis=-1) < 1)
    for centre in LANDMARKS.values():
        array += 200.0 * (((points - np.array(centre)) ** 2).sum(axis=-1) < 9)
    return Volume(array.astype(np.float32), grid)


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_the_patient_is_the_right_way_round_whatever_the_voxel_order(
    axes: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    """Right on the left, front at the top of axial planes and on the left of sagittal ones, head up."""
    volume = head(axes, signs)
    box = Box(np.full(3, -40.0), np.full(3, 40.0), np.zeros(3), 1.0)
    expected = {"axial": {"R": (0, -18), "A": (-24, 0)}, "coronal": {"R": (0, -18), "S": (-30, 0)}}
    expected["sagittal"] = {"A": (0, -24), "S": (-30, 0)}
    for plane in PLANES:
        image = cut(volume, box.grid(plane))
        middle = (np.array(image.shape) - 1) / 2
        bright = np.argwhere(np.nan_to_num(image) > 150) - middle
        for where in expected[plane.name].values():
            near = bright[np.linalg.norm(bright - np.array(where), axis=1) < 6]
            assert len(near)
            assert np.abs(near.mean(axis=0) - np.array(where)).max() <= 1.0
        assert len(bright) == sum(
            (np.linalg.norm(bright - np.array(where), axis=1) < 6).sum() for where in expected[plane.name].values()
        )


@given(degrees=st.floats(-30, 30), step=st.floats(0.5, 2.0))
@settings(max_examples=15, deadline=None)
def test_a_millimetre_is_as_long_across_as_down_on_tilted_anisotropic_grids(degrees: float, step: float) -> None:
    """A ball stays a disc of its own diameter."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    grid = Grid.from_parts((61, 41, 31), (1.0, 1.5, 2.0), turn @ np.array((-30.0, -30.0, -30.0)), turn)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1).astype(float)
    distance = np.linalg.norm(grid.world_from_voxel(index), axis=-1)
    volume = Volume(np.clip(16.0 - distance, 0, 1).astype(np.float32), grid)
    box = Box(np.full(3, -25.0), np.full(3, 25.0), np.zeros(3), step)
    for plane in PLANES:
        inside = np.nan_to_num(cut(volume, box.grid(plane))) > 0.5
        across, down = step * inside.any(axis=0).sum(), step * inside.any(axis=1).sum()
        assert abs(across - 31.0) <= 2 * step + 0.6
        assert abs(down - 31.0) <= 2 * step + 0.6


def test_the_box_holds_the_object_with_its_margin_and_no_more() -> None:
    array = np.zeros((60, 50, 40), np.float32)
    array[20:30, 10:40, 5:35] = 100
    grid = Grid.from_parts((60, 50, 40), (2.0, 1.0, 1.0), (-60.0, 0.0, 0.0))
    box = Box.around(Volume(array, grid))
    np.testing.assert_allclose(box.low, (-60 + 40 - 6, 10 - 6, 0))
    np.testing.assert_allclose(box.high, (-60 + 58 + 6, 39 + 6, 39))
    np.testing.assert_allclose(box.cut, (-60 + 49, 24.5, 19.5))


def test_the_letters_name_the_edges_the_world_axes_point_to() -> None:
    ends = {0: ("L", "R"), 1: ("P", "A"), 2: ("I", "S")}
    for plane in PLANES:
        grid = Box(np.zeros(3), np.full(3, 10.0), np.full(3, 5.0), 1.0).grid(plane)
        right, down = grid.direction[:, 0], grid.direction[:, 1]
        edges = [
            (-right, plane.letters[0]),
            (right, plane.letters[1]),
            (-down, plane.letters[2]),
            (down, plane.letters[3]),
        ]
        for towards, letter in edges:
            axis = int(np.abs(towards).argmax())
            assert ends[axis][int(towards[axis] > 0)] == letter


def test_points_under_pixels_are_where_the_field_sends_them() -> None:
    grid = Grid.from_parts((20, 22, 24), (1.0, 1.2, 1.5), (-10.0, -12.0, -15.0))
    field = DisplacementField.from_affine(Affine.from_parts(np.diag((1.1, 0.9, 1.0)), np.array((1.0, 2, 3))), grid)
    box = Box(np.full(3, -8.0), np.full(3, 8.0), np.zeros(3), 1.0)
    points = cut_points(field, box.grid(PLANES[0]), 0)
    np.testing.assert_allclose(points[3, :], 1.1 * np.arange(8, -9, -1) + 1.0, atol=1e-4)


def test_windows_ignore_a_few_very_bright_voxels() -> None:
    rng = np.random.default_rng(0)
    array = np.zeros((40, 40, 40), np.float32)
    array[10:30, 10:30, 10:30] = rng.uniform(50, 100, (20, 20, 20))
    array[15, 15, 15:17] = 1e5
    low, high = window(Volume(array, Grid.from_parts((40, 40, 40))))
    assert low == 0
    assert 95 < high < 105


def test_a_constant_image_is_refused() -> None:
    with pytest.raises(EmptyShapeError, match="constant"):
        foreground(Volume(np.ones((4, 4, 4), np.float32), Grid.from_parts((4, 4, 4))))


def pair(amplitude: float) -> tuple[Volume, Volume, Volume, DisplacementField]:
    """A head, the same head shifted, and a field."""
    fixed = head((2, 0, 1), (-1, 1, -1))
    shift = DisplacementField(np.full((*fixed.grid.shape, 3), amplitude, np.float32), fixed.grid)
    return fixed, fixed, resample(fixed, fixed.grid, through=shift), shift


def test_the_picture_is_written_whole(tmp_path: Path) -> None:
    fixed, moving, warped, field = pair(2.0)
    overview(tmp_path / "overview.png", fixed, moving, warped, field, "a $50 title with % and _")
    png = (tmp_path / "overview.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert 1500 < width < 2200
    assert 500 < height < 1500
    assert [p.name for p in tmp_path.iterdir()] == ["overview.png"]


def test_the_same_input_draws_the_same_bytes() -> None:
    assert overview_png(*pair(1.0), "twice") == overview_png(*pair(1.0), "twice")


def test_folded_voxels_are_counted_aloud() -> None:
    fixed, moving, warped, _ = pair(1.0)
    array = np.zeros((*fixed.grid.shape, 3), np.float32)
    planar = np.zeros((3, *fixed.grid.shape), np.float32)
    planar[0, 10] = -4.0
    folded = DisplacementField.from_voxels(planar, fixed.grid)
    cuts = drawing._cuts(fixed, moving, warped, folded)
    assert cuts.folded == fixed.grid.shape[1] * fixed.grid.shape[2]
    assert f"{cuts.folded} folded" in drawing._fold_heading(cuts)
    assert overview_png(fixed, moving, warped, folded, "folded")
    none = drawing._cuts(fixed, moving, warped, DisplacementField(array, fixed.grid))
    assert drawing._fold_heading(none) == "Jacobian, no voxel folded"


def test_a_moving_image_elsewhere_and_a_single_slice_still_draw() -> None:
    fixed, moving, warped, field = pair(1.0)
    far = Volume(moving.array, Grid(moving.grid.shape, Affine.from_parts(np.eye(3), np.full(3, 500.0))))
    assert overview_png(fixed, far, warped, field, "far away")
    grid = fixed.grid.cropped((0, 0, 20), (fixed.grid.shape[0], fixed.grid.shape[1], 21))
    thin = resample(fixed, grid)
    assert overview_png(thin, moving, thin, DisplacementField.zeros(grid), "one slice")


def test_images_on_other_grids_are_refused() -> None:
    fixed, moving, warped, field = pair(1.0)
    smaller = fixed.grid.cropped((0, 0, 0), (10, 10, 10))
    with pytest.raises(GridMismatchError, match="warped image"):
        overview_png(fixed, moving, resample(warped, smaller), field, "x")
    with pytest.raises(GridMismatchError, match="displacement field"):
        overview_png(fixed, moving, warped, DisplacementField.zeros(smaller), "x")


def test_a_folder_that_is_not_there_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(FileWriteError, match="does not exist"):
        overview(tmp_path / "no" / "overview.png", *pair(1.0), "x")


def test_real_brains_draw_within_seconds(real_data: Path, tmp_path: Path) -> None:
    from voxbench.io import read_volume

    fixed = read_volume(real_data / "brain" / "symA_t1.nii.gz")
    moving = read_volume(real_data / "brain" / "condA_t1.nii.gz")
    overview(tmp_path / "o.png", fixed, moving, moving, DisplacementField.zeros(fixed.grid), "real")
    assert (tmp_path / "o.png").stat().st_size > 100_000
