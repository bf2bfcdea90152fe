"""A disk that is full when a file is to be kept: one message, exit code 1, and nothing that is half there.

benchmarks/full_disk.py does the same with real small file systems.
"""

from __future__ import annotations

import errno
import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).resolve().parents[2] / "benchmarks")
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="needs voxbench[learn]")


@pytest.fixture
def kill_runs(monkeypatch, tmp_path):
    """The tiny data set, and what a folder must not hold."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    from bench import kill_runs

    kill_runs.make_data(tmp_path)
    return kill_runs


def fill_disk(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """So many files find room; the system says of every other, when it is flushed, that it does not."""
    left = [after]

    def flush(path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(import_module("voxbench.io.atomic"), "_flush_to_disk", flush)


def refused(done, out: Path, kill_runs) -> None:
    assert done.code == 1
    assert done.err.count("voxbench: ") == 1
    assert "No space left on device" in done.err
    assert "Traceback" not in done.err
    assert ".part." not in done.err
    assert kill_runs.half_files(out) == []
    assert not list(out.parent.glob(".*part*"))


@pytest.mark.parametrize("after", [0, 4])
def test_an_evaluation_on_a_full_disk(voxbench, kill_runs, tmp_path, monkeypatch, after):
    words, out = kill_runs.evaluate_words, tmp_path / "results" / "out"
    fill_disk(monkeypatch, after)
    refused(voxbench(*words(tmp_path, out)), out, kill_runs)
    assert not (out / "scores.json").exists()
    monkeypatch.undo()
    assert voxbench(*words(tmp_path, out)).code == 0


@pytest.mark.parametrize("after", [0, 1])
def test_a_registration_on_a_full_disk(voxbench, pair, calls, kill_runs, tmp_path, monkeypatch, after):
    fill_disk(monkeypatch, after)
    out = tmp_path / "results" / "out"
    refused(voxbench("register", *pair.words, "--out", out), out, kill_runs)
    assert not (tmp_path / "results").exists()


@needs_torch
@pytest.mark.parametrize("after", [9])
def test_a_training_on_a_full_disk(voxbench, kill_runs, tmp_path, monkeypatch, after):
    out = tmp_path / "results" / "out"
    fill_disk(monkeypatch, after)
    refused(voxbench(*kill_runs.train_words(tmp_path, out, "2")), out, kill_runs)


@needs_torch
def test_tensors_that_find_no_room_are_refused_by_name(tmp_path):
    import torch

    from voxbench.errors import FileWriteError
    from voxbench.training.checkpoint import write

    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(FileWriteError, match=r"a\.safetensors: cannot be written: .*too large"):
            write(tmp_path / "a.safetensors", {"a": torch.zeros(300)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
