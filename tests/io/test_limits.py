"""What a file may claim, where it may point, and what is never loaded from it: a test per reader that once failed."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import math
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from voxbench.challenges.lumir25.cases import Pair, read_dataset
from voxbench.challenges.lumir25.submission import Task, check
from voxbench.challenges.ssrkd.geometry import read_config
from voxbench.errors import FileReadError, InputError
from voxbench.geometry import Grid, Volume
from voxbench.io import read_json, read_points, read_radiograph, read_volume, write_volume
from voxbench.io.arrays import map_array, read_arrays
from voxbench.io.failures import named_failures
from voxbench.io.limits import MAX_TRAILING, memory
from voxbench.io.tables import read_toml
from voxbench.training.record import FILE

GRID = Grid.from_parts((3, 4, 5), (1.0, 1.0, 2.0))
NRRD = """NRRD0004
type: short
dimension: 3
space: left-posterior-superior
sizes: {sizes}
space directions: (1,0,0) (0,1,0) (0,0,2)
kinds: domain domain domain
endian: little
encoding: {encoding}
space origin: (0,0,0)
{more}
"""
META = "ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = {size}\nElementType = MET_SHORT\n"
VOXELS = np.arange(60, dtype="<i2").tobytes()


class Planted:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def nrrd(path: Path, voxels: bytes, sizes: str = "3 4 5", encoding: str = "raw", more: str = "") -> Path:
    path.write_bytes(NRRD.format(sizes=sizes, encoding=encoding, more=more).encode() + (b"" if more else voxels))
    return path


PACKED = {"raw": VOXELS, "gzip": gzip.compress(VOXELS), "bzip2": bz2.compress(VOXELS)}


@pytest.mark.parametrize("encoding", [*PACKED, "ascii"])
def test_every_encoding_of_nrrd_gives_the_same_voxels(tmp_path, encoding):
    packed = PACKED.get(encoding, b" ".join(str(n).encode() for n in range(60)))
    volume = read_volume(nrrd(tmp_path / "a.nrrd", packed, encoding=encoding))
    assert np.array_equal(volume.array.ravel(order="F"), np.arange(60))
    (tmp_path / "b.raw").write_bytes(b"one line\n" + packed)
    detached = nrrd(tmp_path / "b.nhdr", b"", encoding=encoding, more="data file: b.raw\nline skip: 1\n")
    assert np.array_equal(read_volume(detached).array, volume.array)


@pytest.mark.parametrize("encoding", PACKED)
def test_a_header_that_promises_terabytes_is_refused_before_anything_is_allocated(tmp_path, encoding):
    with pytest.raises(FileReadError, match=r"a\.nrrd.*promises 2000000000000 bytes"):
        read_volume(nrrd(tmp_path / "a.nrrd", PACKED[encoding], "10000 10000 10000", encoding))


def test_a_promise_beyond_the_machine_is_refused_in_its_words(tmp_path):
    side = 2 * memory()
    (tmp_path / "sparse.nrrd").write_bytes(NRRD.format(sizes=f"{side} 1 1", encoding="raw", more="").encode())
    os.truncate(tmp_path / "sparse.nrrd", 5 * memory())
    with pytest.raises(FileReadError, match="GiB of memory; this machine has"):
        read_volume(tmp_path / "sparse.nrrd")


def test_what_follows_the_voxels_is_read_only_so_far(tmp_path):
    write_volume(tmp_path / "a.nii.gz", Volume(np.zeros((3, 4, 5), np.int16), GRID))
    whole = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(whole + gzip.compress(bytes(1000)))
    assert read_volume(tmp_path / "a.nii.gz").grid.shape == (3, 4, 5)
    (tmp_path / "a.nii.gz").write_bytes(whole + gzip.compress(bytes(MAX_TRAILING + (2 << 20)), 1))
    with pytest.raises(FileReadError, match="16 MiB follow the last voxel"):
        read_volume(tmp_path / "a.nii.gz")


def test_voxels_far_behind_the_header_are_refused(tmp_path):
    write_volume(tmp_path / "a.nii", Volume(np.zeros((3, 4, 5), np.int16), GRID))
    content = bytearray((tmp_path / "a.nii").read_bytes())
    for offset in (float("nan"), 1e30):
        struct.pack_into("<f", content, 108, offset)
        (tmp_path / "a.nii").write_bytes(content)
        with pytest.raises(FileReadError, match=r"a\.nii: damaged header"):
            read_volume(tmp_path / "a.nii")


@pytest.mark.parametrize("name", ["../secret.raw", "{absolute}", "link.raw", "LIST", "%d.raw 1 9 1"])
def test_headers_do_not_lead_out_of_their_folder(tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret.raw").write_bytes(VOXELS)
    (folder / "link.raw").symlink_to(tmp_path / "secret.raw")
    name = name.format(absolute=tmp_path / "secret.raw")
    nrrd(folder / "a.nhdr", b"", more=f"data file: {name}\n")
    (folder / "a.mhd").write_text(META.format(size="3 4 5") + f"ElementDataFile = {name}\n")
    for header in ("a.nhdr", "a.mhd"):
        with pytest.raises(FileReadError, match=r"outside its own folder|several files"):
            read_volume(folder / header)


@pytest.mark.parametrize(("lines", "reason"), [
    (META.format(size="3 4 5") + "DimSize = 9 9 9\n", "DimSize are there more than once"),
    (META.format(size="3 4"), "damaged header"),
    (META.format(size="3 4 -5"), "damaged header"),
    (META.format(size="3 4 5").replace("MET_SHORT", "MET_LONG"), "voxels of type MET_LONG"),
])  # fmt: skip
def test_a_metaimage_whose_size_is_unclear_is_not_handed_to_itk(tmp_path, lines, reason):
    (tmp_path / "a.mha").write_bytes(lines.encode() + b"ElementDataFile = LOCAL\n" + VOXELS)
    with pytest.raises(FileReadError, match=reason):
        read_volume(tmp_path / "a.mha")


def test_a_compressed_metaimage_holds_as_much_as_it_promises(tmp_path):
    import zlib

    for extra in (-2, 2, 50 << 20):
        packed = zlib.compress((VOXELS + bytes(max(extra, 0)))[: len(VOXELS) + extra])
        (tmp_path / "a.mha").write_bytes(
            META.format(size="3 4 5").encode() + b"CompressedData = True\nElementDataFile = LOCAL\n" + packed
        )
        with pytest.raises(FileReadError, match="promises 120 bytes of voxels"):
            read_volume(tmp_path / "a.mha")


def save(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def test_nothing_pickled_is_loaded(tmp_path):
    mark = tmp_path / "mark"
    path = save(tmp_path / "a.npz", plain=np.arange(3), projs=np.array([Planted(mark)], dtype=object))
    assert list(read_arrays(path, pass_over=True)) == ["plain"]
    assert list(read_arrays(path, lambda name: name == "plain")) == ["plain"]
    with pytest.raises(FileReadError, match="pickled, which is not read, for that can run any program: projs"):
        read_arrays(path)
    np.save(tmp_path / "a.npy", np.array([Planted(mark)], dtype=object))
    with pytest.raises(FileReadError, match="no array"):
        map_array(tmp_path / "a.npy")
    with pytest.raises(FileReadError):
        read_radiograph(path)
    assert not mark.exists()


@pytest.mark.parametrize("shape", ["(99999999999,)", "(-1,)", "(4294967296, 4294967296)"])
def test_an_array_larger_than_its_member_is_refused(tmp_path, shape):
    path = save(tmp_path / "a.npz", a=np.arange(3))
    with zipfile.ZipFile(path) as archive:
        content = archive.read("a.npy")
    head = content[:128].replace(b"(3,)", shape.encode()).rstrip(b"\n ").ljust(127) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", head[:128] + content[128:])
    with pytest.raises(FileReadError, match=r"a\.npz"):
        read_arrays(path)


def test_members_that_share_their_bytes_are_refused(tmp_path):
    # Many names for one stretch of the file: small on disk, huge unpacked.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(4 << 20))
        first = archive.infolist()[0]
        for number in range(2000):
            twin = zipfile.ZipInfo(f"{number}.npy")
            for field in ("compress_type", "compress_size", "file_size", "CRC", "header_offset"):
                setattr(twin, field, getattr(first, field))
            archive.filelist.append(twin)
            archive.NameToInfo[twin.filename] = twin
    (tmp_path / "a.npz").write_bytes(buffer.getvalue())
    with pytest.raises(FileReadError, match="promises"):
        read_arrays(tmp_path / "a.npz")


def test_a_submission_is_checked_without_writing_outside(tmp_path):
    task = Task("a", (Pair("./i/x_3455_0000.nii.gz", "./i/x_3456_0000.nii.gz"),))
    for name in ("../../escaped", "/escaped", "a/../../escaped"):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(name, b"x")
        with pytest.raises(InputError, match=r"a\.zip"):
            check(tmp_path / "a.zip", (task,), (3, 4, 5, 3))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("mine/disp_3455_3456.nii.gz", b"x")
    with pytest.raises(FileReadError, match="compressed in a way that is not read"):
        check(tmp_path / "a.zip", (task,), (3, 4, 5, 3))
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


OUTSIDE = (
    "../x_3455_0000.nii.gz",
    "/data/x_3455_0000.nii.gz",
    "a/../../x_3455_0000.nii.gz",
    "C:/x_3455_0000.nii.gz",
    "./i/x_/../_0000.nii.gz",
)


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_in_a_data_set_do_not_lead_out_of_it(tmp_path, name):
    (tmp_path / "a.json").write_text(json.dumps({"validation": [{"fixed": "./i/x_3455_0000.nii.gz", "moving": name}]}))
    with pytest.raises(InputError, match=r"leads outside the data set|no subject and modality"):
        read_dataset(tmp_path / "a.json")


@pytest.mark.parametrize("content", ["[" * 100_000, "9" * 10_000])
def test_json_and_toml_nested_or_long_beyond_reason_get_a_message(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    (tmp_path / "a.toml").write_text("a = " + content)
    with pytest.raises(FileReadError, match=r"a\.json: not JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(FileReadError, match=r"a\.toml: not TOML"):
        read_toml(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &a [1]\nb: *a\n", "references"),
        ("[" * 60_000, "not YAML: nested too deeply"),
        ("a: \x07", "not YAML"),
        ("a: 1\n" * 20_000, "100000 letters; a geometry has no more than 65536"),
    ],
)
def test_yaml_that_refers_to_itself_or_is_none_gets_a_message(tmp_path, text, reason):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(FileReadError, match=reason):
        read_config(tmp_path / "config.yaml")


def test_a_line_of_separators_is_no_landmark(tmp_path):
    (tmp_path / "a.csv").write_text(",,,\n1,2,3\n")
    assert read_points(tmp_path / "a.csv").tolist() == [[1, 2, 3]]


def test_a_png_that_promises_more_than_it_holds_is_refused(tmp_path):
    head = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 16, 0, 0, 0, 0)
    )
    (tmp_path / "a.png").write_bytes(head + bytes(100))
    with pytest.raises(FileReadError, match=r"a\.png.*promises"):
        read_radiograph(tmp_path / "a.png")


def test_what_libraries_raise_is_named_and_our_own_errors_pass(tmp_path):
    raised_and_told = (
        (MemoryError(), "more memory than there is"),
        (RecursionError(), "too deeply"),
        (KeyError("a"), "'a'"),
        (AssertionError(), "AssertionError"),
    )
    for raised, told in raised_and_told:
        with pytest.raises(FileReadError, match=f"x: damaged: .*{told}"), named_failures("x", "damaged"):
            raise raised
    with pytest.raises(InputError, match=r"^ours$"), named_failures("x", "damaged"):
        raise InputError("ours")


@pytest.mark.parametrize(("line", "raised"), [("voxel", NameError), ("math.rot", AttributeError)])
def test_a_name_that_our_code_gets_wrong_is_no_damage_of_the_file(line, raised):
    defect = compile(line, "defect", "eval")
    with pytest.raises(raised), named_failures("x", "damaged"):
        eval(defect, {"math": math, "__name__": "voxbench.io.somewhere"})
    with pytest.raises(FileReadError, match="x: damaged"), named_failures("x", "damaged"):
        eval(defect, {"math": math, "__name__": "their.library"})


def test_a_log_cut_in_the_middle_of_a_letter_is_read_up_to_there(tmp_path):
    pytest.importorskip("torch")
    from voxbench.training.record import Log

    (tmp_path / FILE).write_bytes(b'{"step": 1}\n{"step": 2, "name": "\xc3')
    assert Log(tmp_path, 5).events == [{"step": 1}]


def test_numbers_names_and_letters_that_once_ended_in_a_traceback(tmp_path):
    from voxbench.challenges.spider.splits import read_splits
    from voxbench.io import read_affine

    (tmp_path / "splits.json").write_text('{"folds": [{"train": [["1"], 2.5], "validation": []}]}')
    with pytest.raises(FileReadError, match="expected"):
        read_splits(tmp_path / "splits.json")
    (tmp_path / "a.txt").write_bytes(
        b"#Insight Transform File V1.0\n#Transform 0\nTransform: Aff\xeeine\nParameters: 1\n"
    )
    with pytest.raises(FileReadError, match="neither a matrix of numbers nor a transform"):
        read_affine(tmp_path / "a.txt")
    geometry = "DSD: 1500\nDSO: 1000\nnDetector: [64, 64]\ndDetector: [1, 1]\ndVoxel: [1, 1, 1]\n"
    (tmp_path / "config.yaml").write_text(f"{geometry}nVoxel: [8, 8, {'9' * 400}]\n")
    with pytest.raises(FileReadError, match="nVoxel: 3 numbers in brackets"):
        read_config(tmp_path / "config.yaml")
