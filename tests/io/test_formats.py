"""MetaImage, NRRD, Slicer segmentations and MGH against SimpleITK, pynrrd and nibabel."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxbench.errors import DimensionError, FileReadError, FileWriteError
from voxbench.geometry import Grid, LabelMap, Volume
from voxbench.io import read_labels, read_volume, write_labels, write_volume
from voxbench.io.read import read_raw

SUFFIXES = [".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".mgz", ".mgh"]
ITK_SUFFIXES = [".nii.gz", ".nii", ".mha", ".mhd", ".nrrd"]


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    """Any orientation, size, spacing, and dtype that every format has."""
    shape = draw(st.tuples(*[st.integers(1, 18)] * 3))
    axes = np.eye(3)[:, draw(st.permutations([0, 1, 2]))] * draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    spacing = draw(st.tuples(*[st.floats(0.05, 5)] * 3))
    origin = draw(st.tuples(*[st.floats(-200, 200)] * 3))
    dtype = draw(st.sampled_from([np.uint8, np.int16, np.int32, np.float32]))
    array = np.random.default_rng(0).normal(100, 50, shape).astype(dtype)
    return Volume(array, Grid.from_parts(shape, spacing, origin, axes))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(volume=volumes(), suffix=st.sampled_from(SUFFIXES))
def test_every_format_gives_back_the_same_volume(tmp_path: Path, volume: Volume, suffix: str) -> None:
    write_volume(tmp_path / f"x{suffix}", volume)
    back = read_volume(tmp_path / f"x{suffix}")
    assert back.array.dtype == volume.array.dtype
    assert np.array_equal(back.array, volume.array)
    assert back.array.flags.c_contiguous
    assert back.grid.same_as(volume.grid)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(volume=volumes(), suffix=st.sampled_from(ITK_SUFFIXES), data=st.data())
def test_simpleitk_puts_every_voxel_where_we_put_it(
    tmp_path: Path, volume: Volume, suffix: str, data: st.DataObject
) -> None:
    # ITK, asked for x.nii.gz, takes the voxels of an x.nii beside it: every format gets a name of its own.
    path = tmp_path / f"{suffix.replace('.', '_')}{suffix}"
    write_volume(path, volume)
    image = SimpleITK.ReadImage(str(path))
    index = tuple(data.draw(st.integers(0, n - 1)) for n in volume.grid.shape)
    assert image.GetSize() == volume.grid.shape
    assert image.GetPixel(*index) == volume.array[index]
    x, y, z = image.TransformIndexToPhysicalPoint(index)
    assert np.allclose((-x, -y, z), volume.grid.world_from_voxel(np.array(index, float)), atol=1e-3)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(volume=volumes(), suffix=st.sampled_from(ITK_SUFFIXES), compressed=st.booleans())
def test_files_of_simpleitk_are_read_in_its_voxel_order(
    tmp_path: Path, volume: Volume, suffix: str, compressed: bool
) -> None:
    image = SimpleITK.GetImageFromArray(volume.array.transpose(2, 1, 0))
    lps = np.diag([-1.0, -1, 1, 1]) @ volume.grid.world_from_voxel.matrix
    image.SetSpacing(volume.grid.spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / volume.grid.spacing).ravel().tolist())
    SimpleITK.WriteImage(image, str(tmp_path / f"y{suffix}"), compressed)
    back = read_volume(tmp_path / f"y{suffix}")
    assert np.array_equal(back.array, volume.array)
    assert back.grid.same_as(volume.grid)


@pytest.mark.parametrize("suffix", [".mgz", ".mgh"])
def test_nibabel_agrees_about_mgh(tmp_path: Path, suffix: str) -> None:
    grid = Grid.from_parts((4, 5, 6), (1.0, 0.9, 0.8), (1.0, 2.0, 3.0), np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0.0]]))
    array = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    write_volume(tmp_path / f"x{suffix}", Volume(array, grid))
    content = (tmp_path / f"x{suffix}").read_bytes()
    image = nib.MGHImage.from_bytes(gzip.decompress(content) if suffix == ".mgz" else content)
    assert np.array_equal(np.asarray(image.dataobj), array)
    assert np.allclose(image.affine, grid.world_from_voxel.matrix, atol=1e-5)
    nib.save(nib.MGHImage(array.astype(np.int32), grid.world_from_voxel.matrix), tmp_path / f"y{suffix}")
    assert np.array_equal(read_volume(tmp_path / f"y{suffix}").array, array)


def test_mgh_takes_a_dtype_that_loses_nothing_or_refuses(tmp_path: Path) -> None:
    grid = Grid.from_parts((1, 1, 2))
    for dtype, values in ((np.uint16, [0, 65535]), (np.int64, [-5, 70000]), (np.int8, [-1, 1]), (np.bool_, [0, 1])):
        write_volume(tmp_path / "x.mgz", Volume(np.array([[values]], dtype), grid))
        assert read_volume(tmp_path / "x.mgz").array.ravel().tolist() == values
    with pytest.raises(FileWriteError, match="at most 32 bits"):
        write_volume(tmp_path / "z.mgz", Volume(np.array([[[0, 2**40]]]), grid))
    assert not (tmp_path / "z.mgz").exists()


@pytest.mark.parametrize("suffix", [".mha", ".mhd", ".nrrd", ".mgz", ".nii.gz"])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6, 2)])
def test_two_and_four_dimensional_files_are_refused(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    path = tmp_path / f"x{suffix}"
    if suffix == ".mgz":
        if len(shape) == 2:
            pytest.skip("MGH has no 2-D images")
        nib.save(nib.MGHImage(np.zeros(shape, np.float32), np.eye(4)), path)
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros(shape[::-1], np.float32), isVector=False), str(path))
    with pytest.raises(DimensionError, match=str(path)):
        read_volume(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda b: b[: len(b) * 6 // 10],
        lambda b: b[:-5],
        lambda b: b[:40],
        lambda b: b[:-200] + bytes(64) + b[-136:],
        lambda b: b"not an image",
        lambda b: b"",
    ],
    ids=["cut", "tail", "head", "zeroed", "text", "empty"],
)
@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".mgz", ".nii.gz", ".seg.nrrd"])
def test_damaged_compressed_files_are_refused(tmp_path: Path, suffix: str, edit: Callable[[bytes], bytes]) -> None:
    array = np.random.default_rng(0).integers(0, 200, (12, 13, 14))
    path = tmp_path / f"x{suffix}"
    write_labels(path, LabelMap(array, Grid.from_parts(array.shape)))
    path.write_bytes(edit(path.read_bytes()))
    with pytest.raises(FileReadError, match=f"x{suffix}"):
        read_labels(path)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd", ".mgh"])
def test_cut_uncompressed_files_are_refused(tmp_path: Path, suffix: str) -> None:
    array = np.random.default_rng(0).normal(size=(12, 13, 14)).astype(np.float32)
    path = tmp_path / f"x{suffix}"
    if suffix == ".mgh":
        write_volume(path, Volume(array, Grid.from_parts(array.shape)))
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array), str(path), False)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(FileReadError, match=f"x{suffix}"):
        read_volume(path)


def test_a_header_whose_voxels_are_missing_names_them(tmp_path: Path) -> None:
    write_volume(tmp_path / "x.mhd", Volume(np.zeros((2, 3, 4), np.uint8), Grid.from_parts((2, 3, 4))))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.mhd", "x.zraw"]
    (tmp_path / "x.zraw").unlink()
    with pytest.raises(FileReadError, match=r"voxels is missing: .*x.zraw"):
        read_volume(tmp_path / "x.mhd")


# NRRD's own ways


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("right-anterior-superior", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
        ("LPS", (-1, -1, 1)),
        ("", (-1, -1, 1)),
    ],
)
@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
def test_nrrd_spaces_come_to_ras(tmp_path: Path, space: str, signs: tuple[int, ...], encoding: str) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    header = {"space directions": np.diag([1.0, 2.0, 3.0]), "space origin": [5.0, 6.0, 7.0], "encoding": encoding}
    header |= {"space": space} if space else {"space dimension": 3}
    nrrd.write(str(tmp_path / "x.nrrd"), array, header)
    raw = read_raw(tmp_path / "x.nrrd")
    expected = np.diag([*signs, 1.0]) @ np.array([[1, 0, 0, 5], [0, 2, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1.0]])
    assert np.array_equal(raw.array, array)
    assert np.array_equal(raw.world_from_voxel, expected)
    assert bool(raw.notes) == (not space)


def test_plain_spacings_are_read(tmp_path: Path) -> None:
    nrrd.write(str(tmp_path / "x.nrrd"), np.zeros((2, 3, 4), np.uint8), {"spacings": [1.0, 2.0, 3.0]})
    assert np.array_equal(read_volume(tmp_path / "x.nrrd").grid.spacing, [1, 2, 3])


def test_big_endian_nrrd_is_read(tmp_path: Path) -> None:
    array = np.arange(24, dtype=">i2").reshape(2, 3, 4)
    nrrd.write(str(tmp_path / "x.nrrd"), array, {"encoding": "raw", "endian": "big"})
    assert np.array_equal(read_volume(tmp_path / "x.nrrd").array, array)


# Slicer segmentations


def spine() -> LabelMap:
    """Two vertebrae and a disc whose ids are far apart; an unnamed id; a named one without voxels."""
    array = np.zeros((9, 10, 11), np.int32)
    array[1:4, 2:5, 3:6], array[5:8, 2:5, 3:6], array[4, 2:5, 3:6], array[0, 0, 0] = 1, 2, 201, 7
    grid = Grid.from_parts(array.shape, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0.0]]))
    return LabelMap(array, grid, {1: "L5", 2: "L4", 201: "disc L5/S1", 100: "spinal canal"})


def test_segments_keep_ids_and_names(tmp_path: Path) -> None:
    labels = spine()
    write_labels(tmp_path / "x.seg.nrrd", labels)
    back = read_labels(tmp_path / "x.seg.nrrd")
    assert np.array_equal(back.array, labels.array)
    assert back.grid.same_as(labels.grid)
    assert back.names == {**labels.names, 7: "Segment_7"}


def test_segment_fields_are_those_slicer_reads(tmp_path: Path) -> None:
    write_labels(tmp_path / "x.seg.nrrd", spine())
    array, header = nrrd.read(str(tmp_path / "x.seg.nrrd"))
    assert array.dtype == np.uint8
    assert header["space"] == "left-posterior-superior"
    assert header["Segmentation_ContainedRepresentationNames"] == "Binary labelmap|"
    assert (
        header["Segmentation_SourceRepresentation"] == header["Segmentation_MasterRepresentation"] == "Binary labelmap"
    )
    assert header["Segmentation_ReferenceImageExtentOffset"] == "0 0 0"
    ids = [int(header[f"Segment{n}_LabelValue"]) for n in range(5)]
    assert ids == [1, 2, 7, 100, 201]
    assert [header[f"Segment{n}_Extent"] for n in (0, 3)] == ["1 3 2 4 3 5", "0 -1 0 -1 0 -1"]
    assert [header[f"Segment{n}_NameAutoGenerated"] for n in range(5)] == ["0", "0", "1", "0", "0"]
    assert {header[f"Segment{n}_Layer"] for n in range(5)} == {"0"}
    colours = [tuple(float(c) for c in header[f"Segment{n}_Color"].split()) for n in range(5)]
    assert len(set(colours)) == 5
    assert all(len(c) == 3 and 0 <= min(c) <= max(c) <= 1 for c in colours)
    assert "Segment5_ID" not in header


def test_a_plain_nrrd_has_no_segments(tmp_path: Path) -> None:
    write_labels(tmp_path / "x.nrrd", spine())
    assert read_labels(tmp_path / "x.nrrd").names == {}


def layered(path: Path, overlap: bool, values: tuple[int, int]) -> Path:
    """Two layers, as Slicer writes segments that may overlap."""
    array = np.zeros((2, 5, 6, 7), np.uint8)
    array[0, :3] = values[0]
    array[1, 2 if overlap else 3 :] = values[1]
    header = {
        "space": "left-posterior-superior",
        "space directions": np.vstack([[np.nan] * 3, np.eye(3)]),
        "space origin": [0, 0, 0],
        "kinds": ["list", "domain", "domain", "domain"],
    }
    for n, name in enumerate(("bone", "marrow")):
        header |= {f"Segment{n}_ID": f"S{n}", f"Segment{n}_Name": name, f"Segment{n}_Layer": str(n)}
        header |= {f"Segment{n}_LabelValue": str(values[n])}
    nrrd.write(str(path), array, header)
    return path


def test_layers_that_do_not_overlap_become_one_label_map(tmp_path: Path) -> None:
    labels = read_labels(layered(tmp_path / "a.seg.nrrd", overlap=False, values=(3, 9)))
    assert labels.names == {3: "bone", 9: "marrow"}
    assert (labels.array[:3] == 3).all()
    assert (labels.array[3:] == 9).all()
    renumbered = read_labels(layered(tmp_path / "b.seg.nrrd", overlap=False, values=(1, 1)))
    assert renumbered.names == {1: "bone", 2: "marrow"}
    assert renumbered.ids == (1, 2)


def test_segments_that_overlap_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DimensionError, match="'bone' and 'marrow' overlap"):
        read_labels(layered(tmp_path / "c.seg.nrrd", overlap=True, values=(1, 2)))


def test_unknown_suffixes_are_not_written(tmp_path: Path) -> None:
    for name in ("x.png", "x.npy", "x"):
        with pytest.raises(FileWriteError, match=r"known are \.nii\.gz"):
            write_labels(tmp_path / name, spine())
    assert list(tmp_path.iterdir()) == []
