"""Displacement conventions, each against a formula or a program that knows nothing of voxbench."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from voxbench.errors import ConventionError, FileReadError, FileWriteError, GridMismatchError, NotFiniteError
from voxbench.geometry import DisplacementField, Grid, Volume, resample
from voxbench.io import CONVENTIONS, read_displacement, write_displacement

FIXED = Grid.from_parts((9, 8, 7), (1.0, 1.5, 2.0), (-7.0, 3.0, 11.0), np.array([[0, -1, 0], [1, 0, 0], [0, 0, -1.0]]))
MOVING = Grid.from_parts((11, 10, 12), (1.2, 1.1, 0.9), (-18.0, 0.0, -4.0), np.diag([1.0, 1, 1]))


def random_field(grid: Grid, size: float = 1.5, seed: int = 0) -> DisplacementField:
    """Independent vectors of about ``size`` mm."""
    return DisplacementField(np.random.default_rng(seed).normal(0, size, (*grid.shape, 3)).astype(np.float32), grid)


def endpoints(field: DisplacementField, moving: Grid) -> np.ndarray:
    """Voxel coordinates in the moving image that each fixed voxel is pulled from, by homogeneous matrices."""
    index = np.stack(np.indices(field.grid.shape), -1).astype(float)
    points = nib.affines.apply_affine(field.grid.world_from_voxel.matrix, index) + field.array
    return nib.affines.apply_affine(np.linalg.inv(moving.world_from_voxel.matrix), points)


def raw_array(path: Path) -> np.ndarray:
    """What nibabel sees."""
    return np.asarray(nib.load(path).dataobj)


@pytest.mark.parametrize("moving", [None, MOVING])
def test_voxel_is_what_map_coordinates_adds_to_the_index(tmp_path: Path, moving: Grid | None) -> None:
    field = random_field(FIXED)
    write_displacement(tmp_path / "u.nii.gz", field, moving=moving)
    stored = raw_array(tmp_path / "u.nii.gz")
    assert stored.shape == (*FIXED.shape, 3)
    assert stored.dtype == np.float32
    index = np.stack(np.indices(FIXED.shape), -1)
    assert np.allclose(index + stored, endpoints(field, moving or FIXED), atol=1e-5)


def test_scipy_warps_with_the_voxel_file_as_resample_does_with_the_field(tmp_path: Path) -> None:
    image = Volume(np.random.default_rng(3).normal(size=MOVING.shape).astype(np.float32), MOVING)
    field = random_field(FIXED, 0.7)
    write_displacement(tmp_path / "u.nii.gz", field, moving=MOVING)
    u = np.moveaxis(raw_array(tmp_path / "u.nii.gz"), -1, 0)
    warped = map_coordinates(image.array, np.indices(FIXED.shape) + u, order=1, mode="constant", cval=0.0)
    inside = (
        (np.indices(FIXED.shape) + u >= 0)
        & (np.indices(FIXED.shape) + u <= np.array(MOVING.shape)[:, None, None, None] - 1)
    ).all(0)
    assert inside.sum() > 50
    assert np.allclose(warped[inside], resample(image, onto=FIXED, through=field).array[inside], atol=1e-4)


def test_voxel_first_is_voxel_with_the_components_in_front(tmp_path: Path) -> None:
    field = random_field(FIXED)
    write_displacement(tmp_path / "last.nii.gz", field, convention="voxel", moving=MOVING)
    write_displacement(tmp_path / "first.nii.gz", field, convention="voxel-first", moving=MOVING)
    assert np.array_equal(np.moveaxis(raw_array(tmp_path / "last.nii.gz"), -1, 0), raw_array(tmp_path / "first.nii.gz"))


def test_mm_ras_is_the_field_itself(tmp_path: Path) -> None:
    field = random_field(FIXED)
    write_displacement(tmp_path / "u.nii.gz", field, convention="mm-ras")
    assert np.array_equal(raw_array(tmp_path / "u.nii.gz"), field.array)


@pytest.mark.parametrize("convention", ["itk", "ants"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".mhd", ".nrrd"])
def test_itk_moves_points_as_we_do(tmp_path: Path, convention: str, suffix: str) -> None:
    field = random_field(FIXED)
    write_displacement(tmp_path / f"u{suffix}", field, convention=convention)
    image = SimpleITK.ReadImage(str(tmp_path / f"u{suffix}"), SimpleITK.sitkVectorFloat64)
    assert image.GetNumberOfComponentsPerPixel() == 3
    if suffix.startswith(".nii"):
        assert raw_array(tmp_path / f"u{suffix}").shape == (*FIXED.shape, 1, 3)
        assert nib.load(tmp_path / f"u{suffix}").header["intent_code"] == 1007
    transform = SimpleITK.DisplacementFieldTransform(image)
    flip = np.array([-1, -1, 1])
    for index in [(0, 0, 0), (8, 7, 6), (3, 5, 2)]:
        point = FIXED.world_from_voxel(np.array(index, float))
        assert np.allclose(transform.TransformPoint(flip * point) * flip, point + field.array[index], atol=1e-4)


def test_fields_written_by_itk_are_read(tmp_path: Path) -> None:
    field = random_field(FIXED)
    image = SimpleITK.GetImageFromArray((field.array * [-1, -1, 1]).transpose(2, 1, 0, 3), isVector=True)
    lps = np.diag([-1, -1, 1, 1]) @ FIXED.world_from_voxel.matrix
    image.SetSpacing(FIXED.spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / FIXED.spacing).ravel().tolist())
    for suffix in (".nii.gz", ".mha", ".mhd", ".nrrd"):
        SimpleITK.WriteImage(image, str(tmp_path / f"u{suffix}"))
        back = read_displacement(tmp_path / f"u{suffix}", fixed=FIXED)
        assert np.allclose(back.array, field.array, atol=1e-6)


@pytest.mark.parametrize("moving", [None, MOVING])
def test_torch_is_what_grid_sample_adds_to_its_identity(tmp_path: Path, moving: Grid | None) -> None:
    field = random_field(FIXED)
    write_displacement(tmp_path / "u.nii.gz", field, convention="torch", moving=moving)
    stored = raw_array(tmp_path / "u.nii.gz").astype(float)
    theta = [np.linspace(-1, 1, n) for n in FIXED.shape]
    identity = np.stack(np.meshgrid(*theta, indexing="ij"), -1)[..., ::-1]
    moving = moving or FIXED
    # grid_sample, align_corners=True: x runs along the last axis of the image, -1 and 1 are its outer voxel centres
    x, y, z = np.moveaxis((identity + stored + 1) / 2 * (np.array(moving.shape)[::-1] - 1), -1, 0)
    assert np.allclose(np.stack([z, y, x], -1), endpoints(field, moving), atol=1e-4)


def test_torch_itself_warps_with_the_torch_file_as_resample_does(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    image = Volume(np.random.default_rng(3).normal(size=MOVING.shape).astype(np.float32), MOVING)
    field = random_field(FIXED, 0.7)
    write_displacement(tmp_path / "u.nii.gz", field, convention="torch", moving=MOVING)
    u = torch.tensor(raw_array(tmp_path / "u.nii.gz"))[None]
    identity = torch.nn.functional.affine_grid(torch.eye(3, 4)[None], [1, 1, *FIXED.shape], align_corners=True)
    source = torch.tensor(image.array.copy())[None, None]
    warped = torch.nn.functional.grid_sample(source, identity + u, align_corners=True)[0, 0].numpy()
    ends = endpoints(field, MOVING)
    inside = ((ends >= 0) & (ends <= np.array(MOVING.shape) - 1)).all(-1)
    assert np.allclose(warped[inside], resample(image, onto=FIXED, through=field).array[inside], atol=1e-4)


def test_torch_has_no_unit_along_a_single_voxel(tmp_path: Path) -> None:
    with pytest.raises(ConventionError, match="single voxel"):
        write_displacement(tmp_path / "u.nii", DisplacementField.zeros(Grid.from_parts((4, 1, 4))), convention="torch")
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(*[st.integers(2, 18)] * 3),
    axes=st.permutations([0, 1, 2]),
    signs=st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    convention=st.sampled_from(CONVENTIONS),
    other=st.booleans(),
)
def test_every_convention_comes_back_and_is_recognized_by_its_marker(
    tmp_path: Path, shape: tuple[int, int, int], axes: list[int], signs: tuple[float, ...], convention: str, other: bool
) -> None:
    grid = Grid.from_parts(shape, (0.7, 1.3, 2.1), (5.0, -30.0, 60.0), np.eye(3)[:, axes] * signs)
    field = random_field(grid, 3)
    moving = MOVING if other else None
    write_displacement(tmp_path / "u.nii.gz", field, convention=convention, moving=moving)
    back = read_displacement(tmp_path / "u.nii.gz", moving=moving)
    assert back.grid.same_as(grid)
    assert np.allclose(back.array, field.array, atol=2e-4)
    described = nib.load(tmp_path / "u.nii.gz").header["descrip"].item().decode()
    assert described.startswith(f"voxbench displacement {convention} pull-back")
    assert len(described) <= 79


# Files of others


def foreign(path: Path, array: np.ndarray, affine: np.ndarray | None = None, intent: int = 0) -> Path:
    """A NIfTI file without our marker."""
    image = nib.Nifti1Image(array, np.eye(4) if affine is None else affine)
    image.header["intent_code"] = intent
    nib.save(image, path)
    return path


def test_a_plain_file_in_either_layout_is_taken_as_voxels_on_the_fixed_grid(tmp_path: Path) -> None:
    field = random_field(FIXED)
    u = endpoints(field, MOVING) - np.stack(np.indices(FIXED.shape), -1)
    for array in (u, np.moveaxis(u, -1, 0)):
        for dtype in (np.float32, np.float64):
            path = foreign(tmp_path / "disp_3455_3454.nii.gz", array.astype(dtype))
            back = read_displacement(path, fixed=FIXED, moving=MOVING)
            assert back.grid is FIXED
            assert np.allclose(back.array, field.array, atol=1e-4)


def test_without_a_moving_grid_voxels_are_those_of_the_fixed_image(tmp_path: Path) -> None:
    path = foreign(
        tmp_path / "u.nii", np.full((*FIXED.shape, 3), [1.0, 0, 0], np.float32), FIXED.world_from_voxel.matrix
    )
    assert np.allclose(read_displacement(path).array, FIXED.world_from_voxel.linear[:, 0])


def test_components_on_either_side_are_decided_by_the_fixed_image_or_asked_for(tmp_path: Path) -> None:
    path = foreign(tmp_path / "u.nii.gz", np.ones((3, 5, 4, 3), np.float32))
    with pytest.raises(ConventionError, match=r"u.nii.gz: shape \(3, 5, 4, 3\).*\n.*--convention"):
        read_displacement(path)
    assert read_displacement(path, convention="voxel").grid.shape == (3, 5, 4)
    assert read_displacement(path, convention="voxel-first").grid.shape == (5, 4, 3)
    assert read_displacement(path, fixed=Grid.from_parts((3, 5, 4))).grid.shape == (3, 5, 4)
    assert read_displacement(path, fixed=Grid.from_parts((5, 4, 3))).grid.shape == (5, 4, 3)


def test_a_four_dimensional_vector_intent_leaves_the_units_open(tmp_path: Path) -> None:
    path = foreign(tmp_path / "u.nii.gz", np.ones((4, 5, 6, 3), np.float32), intent=1007)
    with pytest.raises(ConventionError, match="units are unclear"):
        read_displacement(path)
    assert np.all(read_displacement(path, convention="mm-ras").array == 1)
    fsl = foreign(tmp_path / "fsl.nii.gz", np.ones((4, 5, 6, 3), np.float32), intent=2006)
    with pytest.raises(ConventionError, match="intent 2006"):
        read_displacement(fsl)


def test_five_axes_without_intent_are_itk(tmp_path: Path) -> None:
    path = foreign(tmp_path / "u.nii.gz", np.ones((4, 5, 6, 1, 3), np.float32))
    assert np.array_equal(read_displacement(path).array[0, 0, 0], [-1, -1, 1])


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_field_on_another_grid_is_refused_with_both(tmp_path: Path, convention: str) -> None:
    write_displacement(tmp_path / "u.nii.gz", random_field(FIXED), convention=convention)
    shifted = Grid.from_parts(FIXED.shape, FIXED.spacing, FIXED.origin + 1, FIXED.direction)
    for other in (MOVING, shifted):
        with pytest.raises(GridMismatchError, match=r"u.nii.gz: .*different grids") as raised:
            read_displacement(tmp_path / "u.nii.gz", fixed=other)
        assert repr(other) in str(raised.value)
        assert "9 x 8 x 7" in str(raised.value)


def test_a_foreign_voxel_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = foreign(tmp_path / "u.nii.gz", np.ones((4, 5, 6, 3), np.float32))
    with pytest.raises(GridMismatchError, match="4 x 5 x 6"):
        read_displacement(path, fixed=FIXED)


def test_a_file_onto_another_moving_grid_asks_for_it(tmp_path: Path) -> None:
    write_displacement(tmp_path / "u.nii.gz", random_field(FIXED), moving=MOVING)
    with pytest.raises(ConventionError, match="--moving"):
        read_displacement(tmp_path / "u.nii.gz", fixed=FIXED)


def test_a_file_onto_its_own_grid_is_taken_at_its_word(tmp_path: Path) -> None:
    field = random_field(FIXED)
    write_displacement(tmp_path / "u.nii.gz", field)
    assert np.allclose(read_displacement(tmp_path / "u.nii.gz", moving=MOVING).array, field.array, atol=1e-5)


def test_our_own_file_is_not_read_as_something_else(tmp_path: Path) -> None:
    write_displacement(tmp_path / "u.nii.gz", random_field(FIXED), convention="mm-ras")
    with pytest.raises(ConventionError, match="read as 'voxel', but voxbench wrote it as 'mm-ras'"):
        read_displacement(tmp_path / "u.nii.gz", convention="voxel")
    write_displacement(tmp_path / "w.nii.gz", random_field(FIXED), convention="itk")
    assert read_displacement(tmp_path / "w.nii.gz", convention="ants").grid.same_as(FIXED)


def test_a_shape_that_does_not_fit_the_convention_asked_for_is_refused(tmp_path: Path) -> None:
    path = foreign(tmp_path / "u.nii.gz", np.ones((4, 5, 6, 3), np.float32))
    with pytest.raises(ConventionError, match=r"'voxel-first', which has \(3, X, Y, Z\)"):
        read_displacement(path, convention="voxel-first")
    for shape in ((4, 5, 6), (4, 5, 6, 2), (4, 5, 6, 1, 2)):
        path = foreign(tmp_path / "v.nii.gz", np.ones(shape, np.float32))
        with pytest.raises(ConventionError, match="not a displacement field"):
            read_displacement(path)


def test_transform_files_and_bare_arrays_are_refused_with_the_reason(tmp_path: Path) -> None:
    for name in ("composite.h5", "affine.mat"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(ConventionError, match="transform file"):
            read_displacement(tmp_path / name)
    (tmp_path / "u.npz").write_bytes(b"x")
    with pytest.raises(FileReadError, match=r"\.nii\.gz"):
        read_displacement(tmp_path / "u.npz")


def test_nans_are_refused_with_the_name(tmp_path: Path) -> None:
    path = foreign(tmp_path / "u.nii.gz", np.full((4, 5, 6, 3), np.nan, np.float32))
    with pytest.raises(NotFiniteError, match=r"u.nii.gz: displacement field: some vectors"):
        read_displacement(path)


@pytest.mark.parametrize(
    ("name", "convention", "error"),
    [
        ("u.mha", "voxel", ConventionError),
        ("u.png", "itk", ConventionError),
        ("u.npz", "voxel", ConventionError),
        ("none/u.nii.gz", "voxel", FileWriteError),
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, name: str, convention: str, error: type) -> None:
    with pytest.raises(error):
        write_displacement(tmp_path / name, random_field(FIXED), convention=convention)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("edit", [lambda b: b[:-30], lambda b: b[: len(b) // 2]])
def test_a_cut_field_is_refused(tmp_path: Path, edit: Callable[[bytes], bytes]) -> None:
    for name in ("u.nii.gz", "u.mha", "u.nrrd"):
        write_displacement(tmp_path / name, random_field(FIXED), convention="itk")
        (tmp_path / name).write_bytes(edit((tmp_path / name).read_bytes()))
        with pytest.raises(FileReadError, match=name):
            read_displacement(tmp_path / name)
