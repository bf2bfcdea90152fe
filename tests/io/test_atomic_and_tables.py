"""Files appear whole or not at all; JSON and CSV hold what they were given."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxbench.config import Config
from voxbench.errors import FileReadError, FileWriteError, VoxbenchError
from voxbench.geometry import Grid, Volume
from voxbench.io import atomic, read_json, sha256, to_json, write_json, write_table, write_volume


def test_a_block_that_succeeds_leaves_one_file(tmp_path: Path) -> None:
    target = tmp_path / "x.seg.nrrd"
    target.write_text("old")
    with atomic(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffixes[-2:] == target.suffixes
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic(target) as temporary:
        temporary.write_text(f"half{1 / 0}" if temporary.write_text("half") else "")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_reason_for_not_writing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileWriteError, match=r"the folder .*none does not exist"), atomic(tmp_path / "none" / "x"):
        pass
    with pytest.raises(FileWriteError, match="is a folder"), atomic(tmp_path):
        pass
    with pytest.raises(FileWriteError, match=r"x.txt: cannot be written: No space left"), atomic(tmp_path / "x.txt"):
        raise OSError(28, "No space left on device")
    with pytest.raises(FileWriteError, match="No such file"), atomic(tmp_path / "never_written"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission_is_one_message(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(FileWriteError, match="Permission denied"):
            write_volume(tmp_path / "x.nii.gz", Volume(np.zeros((2, 2, 2)), Grid.from_parts((2, 2, 2))))
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".mha", ".mhd", ".nrrd", ".mgz"])
def test_no_format_leaves_anything_when_it_fails(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(FileWriteError, match=f"x{suffix}: cannot be written: No space left"):
        write_volume(tmp_path / f"x{suffix}", Volume(np.zeros((3, 3, 3)), Grid.from_parts((3, 3, 3))))
    assert list(tmp_path.iterdir()) == []


def test_sha256_is_hashlibs(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"voxbench" * 100000)
    assert sha256(tmp_path / "x") == hashlib.sha256(b"voxbench" * 100000).hexdigest()
    with pytest.raises(FileReadError, match="no such file"):
        sha256(tmp_path / "y")


class Settings(Config):
    """A configuration."""

    scales: tuple[int, ...] = (4, 2)
    where: Path = Path("a/b")


@dataclass(frozen=True)
class Row:
    """A record."""

    case: str
    dice: float
    settings: Settings | None = None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(obj=json_values)
def test_json_comes_back(tmp_path: Path, obj: object) -> None:
    write_json(tmp_path / "x.json", obj)
    assert read_json(tmp_path / "x.json") == obj


def test_json_takes_what_results_hold() -> None:
    obj = {
        np.int64(3): np.float32(0.5),
        "array": np.array([[1, 2]], np.uint8),
        "nan": np.float64("nan"),
        "inf": [float("inf"), -np.float32("inf")],
        "row": Row("a", np.float64(0.25), Settings()),
        "path": Path("x/y"),
        "set": {3, 1, 2},
        "bool": np.bool_(True),
    }
    text = to_json(obj)
    back = json.loads(text)
    assert back.pop("nan") != back.get("nan")
    assert back == {
        "3": 0.5,
        "array": [[1, 2]],
        "inf": [float("inf"), -float("inf")],
        "row": {"case": "a", "dice": 0.25, "settings": {"scales": [4, 2], "where": "a/b"}},
        "path": "x/y",
        "set": [1, 2, 3],
        "bool": True,
    }
    assert "NaN" in text
    assert "-Infinity" in text
    with pytest.raises(TypeError, match="object"):
        to_json({"x": object()})


def test_json_that_is_none_says_where(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": 1,\n oops}')
    with pytest.raises(FileReadError, match=r"x.json: not JSON: .* at line 2, column 2"):
        read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileReadError, match="UTF-8"):
        read_json(tmp_path / "x.json")
    with pytest.raises(VoxbenchError, match="no such file"):
        read_json(tmp_path / "none.json")


def test_tables_have_a_column_for_every_name(tmp_path: Path) -> None:
    rows = [Row("a, b", 0.5), {"case": 'c"d', "hd95": np.float32(1.5), "dice": float("nan")}]
    for name, delimiter in (("x.csv", ","), ("x.tsv", "\t")):
        write_table(tmp_path / name, rows)
        with (tmp_path / name).open(newline="") as file:
            back = list(csv.DictReader(file, delimiter=delimiter))
        assert back == [
            {"case": "a, b", "dice": "0.5", "settings": "", "hd95": ""},
            {"case": 'c"d', "dice": "nan", "settings": "", "hd95": "1.5"},
        ]
    write_table(tmp_path / "y.csv", rows, columns=["dice", "case"])
    assert (tmp_path / "y.csv").read_text() == 'dice,case\n0.5,"a, b"\nnan,"c""d"\n'
    write_table(tmp_path / "z.csv", [], columns=["case"])
    assert (tmp_path / "z.csv").read_text() == "case\n"


def test_the_hash_of_a_folder_is_that_of_its_files_names_and_bytes(tmp_path: Path) -> None:
    from voxbench.io.atomic import sha256_of_folder

    (tmp_path / "b").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    first = sha256_of_folder(tmp_path)
    lines = "".join(f"{name}\0{hashlib.sha256(data).hexdigest()}\n" for name, data in (("a", b"1"), ("b", b"2")))
    assert first == hashlib.sha256(lines.encode()).hexdigest()
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    assert sha256_of_folder(tmp_path) == first
    (tmp_path / "b").rename(tmp_path / "c")
    assert sha256_of_folder(tmp_path) != first
