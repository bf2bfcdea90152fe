"""NIfTI files: what is written comes back, what nibabel reads we read, and damage is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxbench.errors import DimensionError, FileReadError, InputError, ShearedGridError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import read_labels, read_volume, write_labels, write_volume
from voxbench.io.raw import RawImage
from voxbench.io.read import read_raw

DTYPES = ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
small = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Any of the 48 orientations, slightly turned or not, anisotropic."""
    shape = draw(st.tuples(*[st.integers(1, 19)] * 3))
    axes = np.eye(3)[:, draw(st.permutations([0, 1, 2]))] * draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    angle = draw(st.sampled_from([0.0, 0.2]))
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    spacing = draw(st.tuples(*[st.floats(0.02, 5)] * 3))
    origin = draw(st.tuples(*[st.floats(-300, 300)] * 3))
    return Grid.from_parts(shape, spacing, origin, turn @ axes)


def noise(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Values over the whole range of a dtype."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(size=shape).astype(kind)
    info = np.iinfo(kind)
    return rng.integers(info.min, info.max, size=shape, dtype=kind, endpoint=True)


@small
@given(grid=grids(), dtype=st.sampled_from(DTYPES), suffix=st.sampled_from([".nii", ".nii.gz"]))
def test_a_volume_comes_back_bit_for_bit_and_nibabel_agrees(
    tmp_path: Path, grid: Grid, dtype: str, suffix: str
) -> None:
    volume = Volume(noise(grid.shape, dtype), grid)
    path = tmp_path / f"x{suffix}"
    write_volume(path, volume)
    back = read_volume(path)
    image = nib.load(path)
    assert back.array.dtype == volume.array.dtype
    assert back.array.flags.c_contiguous
    assert np.array_equal(back.array, volume.array)
    assert back.grid.same_as(grid)
    assert np.array_equal(np.asarray(image.dataobj), volume.array)
    assert np.array_equal(image.affine, back.grid.world_from_voxel.matrix)
    assert np.allclose(image.header.get_qform(), image.header.get_sform(), atol=1e-3)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert np.allclose(image.header.get_zooms(), grid.spacing, rtol=1e-6)
    assert image.header["qform_code"] == image.header["sform_code"] == 1


@small
@given(
    grid=grids(), dtype=st.sampled_from(DTYPES), byteorder=st.sampled_from("<>"), suffix=st.sampled_from(["", ".gz"])
)
def test_files_of_nibabel_are_read_in_either_byte_order_and_both_versions(
    tmp_path: Path, grid: Grid, dtype: str, byteorder: str, suffix: str
) -> None:
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        data = noise(grid.shape, dtype)
        header = kind.header_class(endianness=byteorder)
        header.set_data_dtype(data.dtype)
        image = kind(data, grid.world_from_voxel.matrix, header)
        nib.save(image, tmp_path / f"y.nii{suffix}")
        volume = read_volume(tmp_path / f"y.nii{suffix}")
        assert volume.array.dtype == data.dtype
        assert np.array_equal(volume.array, data)
        assert volume.grid.same_as(grid)


@pytest.mark.parametrize(("dtype", "scaled"), [("u1", "f4"), ("i2", "f4"), ("f4", "f4"), ("i4", "f8"), ("f8", "f8")])
def test_slope_and_intercept_are_applied(tmp_path: Path, dtype: str, scaled: str) -> None:
    stored = noise((5, 4, 3), dtype)
    image = nib.Nifti1Image(stored, np.eye(4))
    image.header.set_data_dtype(dtype)
    nib.save(image, tmp_path / "s.nii")
    content = bytearray((tmp_path / "s.nii").read_bytes())
    content[112:120] = np.array([0.5, -1024], "<f4").tobytes()
    (tmp_path / "s.nii").write_bytes(content)
    array = read_volume(tmp_path / "s.nii").array
    assert array.dtype == np.dtype(scaled)
    expected = np.asarray(nib.load(tmp_path / "s.nii").dataobj)
    assert np.allclose(array, expected, rtol=1e-6, atol=1e-4)


def save(path: Path, data: np.ndarray, sform: np.ndarray | None, qform: np.ndarray | None) -> Path:
    """A file with one, both or none of the two forms."""
    image = nib.Nifti1Image(data, None)
    image.header.set_zooms((1.0,) * data.ndim)
    image.set_sform(sform, code=2 if sform is not None else 0)
    image.set_qform(qform, code=1 if qform is not None else 0)
    nib.save(image, path)
    return path


def test_sform_is_preferred_and_a_disagreement_is_noted(tmp_path: Path) -> None:
    data, first, second = np.zeros((3, 4, 5), np.uint8), np.diag([2.0, 2, 2, 1]), np.diag([-2.0, 2, 2, 1])
    both = read_raw(save(tmp_path / "both.nii", data, first, second))
    assert np.array_equal(both.world_from_voxel, first)
    assert both.notes == ("qform (code 1) and sform (code 2) differ by up to 8 mm; sform taken",)
    only = read_raw(save(tmp_path / "only.nii", data, None, second))
    assert np.allclose(only.world_from_voxel, second)
    assert only.notes == ()
    agreeing = read_raw(save(tmp_path / "same.nii", data, first, first))
    assert agreeing.notes == ()
    neither = read_raw(save(tmp_path / "none.nii", data, None, None))
    assert "no orientation" in neither.notes[0]
    assert np.array_equal(neither.world_from_voxel, nib.load(tmp_path / "none.nii").affine)


def test_micrometres_and_metres_become_millimetres(tmp_path: Path) -> None:
    for unit, size in (("micron", 39.0), ("meter", 0.000039)):
        image = nib.Nifti1Image(np.zeros((2, 3, 4), np.uint8), np.diag([size, size, size, 1]))
        image.header.set_xyzt_units(unit)
        nib.save(image, tmp_path / "u.nii")
        raw = read_raw(tmp_path / "u.nii")
        assert np.allclose(raw.grid().spacing, 0.039)
        assert "millimetres" in raw.notes[0]


def test_a_trailing_axis_of_one_is_no_axis(tmp_path: Path) -> None:
    data = noise((4, 3, 2), "i2")
    nib.save(nib.Nifti1Image(data[..., None], np.eye(4)), tmp_path / "t.nii.gz")
    assert np.array_equal(read_volume(tmp_path / "t.nii.gz").array, data)


@pytest.mark.parametrize(
    ("shape", "says"),
    [((8, 9), "a 2-D image of 8 x 9"), ((8, 9, 7, 5), "a 4-D image of 8 x 9 x 7 x 5"), ((8, 9, 7, 3), "field info")],
)
def test_what_is_not_one_volume_is_refused_with_its_shape(tmp_path: Path, shape: tuple[int, ...], says: str) -> None:
    nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), np.eye(4)), tmp_path / "d.nii")
    for read in (read_volume, read_labels):
        with pytest.raises(DimensionError, match=says) as raised:
            read(tmp_path / "d.nii")
        assert str(tmp_path / "d.nii") in str(raised.value)


def test_shear_is_refused_with_the_name_of_the_file(tmp_path: Path) -> None:
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    path = save(tmp_path / "tilted.nii", np.zeros((3, 3, 3), np.uint8), sheared, None)
    with pytest.raises(ShearedGridError, match=r"tilted.nii: sheared voxel axes: 16\.70 degrees"):
        read_volume(path)


def test_a_matrix_that_cannot_be_inverted_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "flat.nii", np.zeros((3, 3, 3), np.uint8), np.diag([1.0, 1, 0, 1]), None)
    with pytest.raises(InputError, match=r"flat.nii: not invertible"):
        read_volume(path)


def test_nans_are_read(tmp_path: Path) -> None:
    array = np.array([[[np.nan, 1.0, np.inf]]], np.float32)
    write_volume(tmp_path / "n.nii.gz", Volume(array, Grid.from_parts((1, 1, 3))))
    assert np.array_equal(read_volume(tmp_path / "n.nii.gz").array, array, equal_nan=True)
    with pytest.raises(InputError, match="whole numbers"):
        read_labels(tmp_path / "n.nii.gz")


# Damage


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A compressed volume of noise."""
    path = tmp_path / "good.nii.gz"
    write_volume(path, Volume(noise((20, 21, 22), "i2"), Grid.from_parts((20, 21, 22))))
    return path


def test_a_compressed_file_cut_anywhere_is_refused(good: Path) -> None:
    content = good.read_bytes()
    for kept in [
        1,
        2,
        5,
        9,
        20,
        300,
        360,
        1000,
        len(content) // 2,
        len(content) - 9,
        len(content) - 8,
        len(content) - 1,
    ]:
        good.write_bytes(content[:kept])
        with pytest.raises(FileReadError, match=r"good.nii.gz"):
            read_volume(good)


def test_a_cut_file_says_how_much_is_there(tmp_path: Path, good: Path) -> None:
    content = gzip.decompress(good.read_bytes())
    (tmp_path / "cut.nii").write_bytes(content[:-500])
    with pytest.raises(
        FileReadError, match=r"promises 20 x 21 x 22 voxels of int16, 18480 bytes; \d+ bytes could be read"
    ):
        read_volume(tmp_path / "cut.nii")
    (tmp_path / "cut.nii.gz").write_bytes(gzip.compress(content[:-500]))
    with pytest.raises(FileReadError, match="18480 bytes; 17980 bytes could be read"):
        read_volume(tmp_path / "cut.nii.gz")


def test_a_compressed_file_with_any_byte_changed_is_refused_or_reads_the_same(good: Path) -> None:
    content = good.read_bytes()
    whole = read_volume(good).array
    reasons = []
    for position in range(10, len(content), len(content) // 60):
        damaged = bytearray(content)
        damaged[position] ^= 0x55
        good.write_bytes(damaged)
        try:
            assert np.array_equal(read_volume(good).array, whole)
        except FileReadError as error:
            reasons.append(str(error))
    assert len(reasons) > 50
    assert all("good.nii.gz" in reason for reason in reasons)


def test_a_bad_checksum_is_refused(good: Path) -> None:
    content = bytearray(good.read_bytes())
    content[-8] ^= 1
    good.write_bytes(content)
    with pytest.raises(FileReadError, match="CRC"):
        read_volume(good)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not a NIfTI file"),
        (b"\x1f\x8b" + b"x" * 100, "damaged|cannot be"),
        (b"\x5c\x01\x00\x00" + b"\0" * 344, "damaged header"),
    ],
)
def test_what_is_not_nifti_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    for suffix in (".nii", ".nii.gz"):
        path = tmp_path / f"bad{suffix}"
        path.write_bytes(content)
        with pytest.raises(FileReadError, match=says):
            read_volume(path)


def test_a_header_that_promises_a_universe_is_refused_before_memory_is_taken(tmp_path: Path, good: Path) -> None:
    content = bytearray(gzip.decompress(good.read_bytes()))
    content[42:48] = np.array([32767] * 3, "<i2").tobytes()
    (tmp_path / "huge.nii.gz").write_bytes(gzip.compress(content))
    with pytest.raises(FileReadError, match="promises 32767 x 32767 x 32767"):
        read_volume(tmp_path / "huge.nii.gz")


def test_missing_files_and_unknown_kinds_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileReadError, match=r"nowhere.nii.gz: cannot be read: no such file"):
        read_volume(tmp_path / "nowhere.nii.gz")
    (tmp_path / "folder.nii.gz").mkdir()
    with pytest.raises(FileReadError, match="folder"):
        read_volume(tmp_path / "folder.nii.gz")
    (tmp_path / "picture.png").write_bytes(b"png")
    with pytest.raises(FileReadError, match=r"picture.png: unknown kind of file\n  known are .nii.gz, .nii, .mha"):
        read_volume(tmp_path / "picture.png")


def test_complex_and_colour_voxels_are_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.complex64), np.eye(4)), tmp_path / "c.nii")
    with pytest.raises(FileReadError, match="complex64"):
        read_volume(tmp_path / "c.nii")


# Labels


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (0, 0, "u1"),
        (0, 255, "u1"),
        (-1, 255, "i2"),
        (0, 256, "i2"),
        (0, 40000, "u2"),
        (-1, 40000, "i4"),
        (0, 2**32 - 1, "u4"),
        (-1, 2**32, "i8"),
    ],
)
def test_labels_take_the_smallest_dtype(tmp_path: Path, low: int, high: int, dtype: str) -> None:
    array = np.array([[[low, high]]], np.int64)
    write_labels(tmp_path / "l.nii.gz", LabelMap(array, Grid.from_parts((1, 1, 2))))
    assert nib.load(tmp_path / "l.nii.gz").get_data_dtype() == np.dtype(dtype)
    assert np.array_equal(read_labels(tmp_path / "l.nii.gz").array, array)


def test_labels_stored_as_floats_are_whole_numbers_or_refused(tmp_path: Path) -> None:
    array = np.array([[[0, 201, 530]]], np.float64)
    write_volume(tmp_path / "f.nii", Volume(array, Grid.from_parts((1, 1, 3))))
    labels = read_labels(tmp_path / "f.nii")
    assert np.issubdtype(labels.array.dtype, np.integer)
    assert labels.ids == (201, 530)
    write_volume(tmp_path / "f.nii", Volume(array + 0.5, Grid.from_parts((1, 1, 3))))
    with pytest.raises(InputError, match=r"f.nii: label ids must be whole numbers"):
        read_labels(tmp_path / "f.nii")


def test_booleans_half_floats_and_big_endian_arrays_are_written(tmp_path: Path) -> None:
    grid = Grid.from_parts((2, 1, 2))
    for array in (
        np.array([[[True, False]], [[False, True]]]),
        noise((2, 1, 2), "f2"),
        noise((2, 1, 2), "i4").astype(">i4"),
    ):
        write_volume(tmp_path / "b.nii.gz", Volume(array, grid))
        assert np.array_equal(read_volume(tmp_path / "b.nii.gz").array, array)


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path) -> None:
    volume = Volume(noise((5, 6, 7), "f4"), Grid.from_parts((5, 6, 7)))
    write_volume(tmp_path / "one.nii.gz", volume)
    write_volume(tmp_path / "two.nii.gz", volume)
    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "two.nii.gz").read_bytes()


def test_a_raw_image_is_what_readers_return(good: Path) -> None:
    raw = read_raw(good)
    assert isinstance(raw, RawImage)
    assert raw.format == "NIfTI-1"
    assert raw.array.flags.c_contiguous
