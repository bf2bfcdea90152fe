"""Folders of data sets and results: nothing lost, nothing half there."""

from pathlib import Path

import pytest

from voxbench.errors import FileWriteError
from voxbench.io import write_json
from voxbench.io.folders import new_data_set, refuse_foreign, require_replaceable

MARKS = ("truth", "images")


def made(out: Path, text: str, force: bool = False) -> None:
    with new_data_set(out, MARKS, force) as folder:
        (folder / "images").mkdir()
        (folder / "truth").write_text(text)


def test_a_data_set_appears_whole_and_is_replaced_only_with_force(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "set"
    made(out, "first")
    with pytest.raises(FileWriteError, match="holds a simulated data set already; --force replaces it"):
        made(out, "second")
    assert (out / "truth").read_text() == "first"
    made(out, "second", force=True)
    assert (out / "truth").read_text() == "second"
    assert [path.name for path in out.parent.iterdir()] == ["set"]


def test_what_was_there_stays_when_the_new_one_fails(tmp_path: Path) -> None:
    out = tmp_path / "set"
    made(out, "first")

    def failing() -> None:
        with new_data_set(out, MARKS, force=True) as folder:
            (folder / "truth").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert (out / "truth").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_the_old_one_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    made(out, "first")
    replace = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if ".part." in self.name:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(FileWriteError, match="cannot be written: No space left on device"):
        made(out, "second", force=True)
    assert (out / "truth").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_another_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for force in (False, True):
        with pytest.raises(FileWriteError, match="holds something that is not a simulated data set"):
            require_replaceable(tmp_path, MARKS, force)
    with pytest.raises(FileWriteError, match="is a file; --out names the folder"):
        require_replaceable(tmp_path / "thesis.tex", MARKS, force=True)


def test_foreign_files_are_refused_with_their_number(tmp_path: Path) -> None:
    refuse_foreign([], force=False)
    refuse_foreign([tmp_path / "a"], force=True)
    with pytest.raises(FileWriteError, match=r"a \(and 2 more\): exists already\n  --force replaces it"):
        refuse_foreign([tmp_path / name for name in "abc"], force=False)


def test_a_file_that_cannot_be_written_is_named_by_the_folder_it_was_for(tmp_path: Path) -> None:
    out = tmp_path / "set"
    with pytest.raises(FileWriteError) as refused, new_data_set(out, MARKS, force=False) as folder:
        write_json(folder / "images" / "a.json", {})
    place = out / "images"
    assert str(refused.value) == (
        f"{place}/a.json: cannot be written: the folder {place} does not exist; create it first"
    )
    assert list(tmp_path.iterdir()) == []
