"""Spoilt files of every format: a value or one of our errors with a message, little memory, nothing outside, no pickle.

The files and the ways to spoil them are those of benchmarks/fuzz.py, which reads thousands in processes of their own.
"""

from __future__ import annotations

import resource
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).resolve().parents[2] / "benchmarks")
EACH = 18
NOT_READ = {
    "JPEG2000.dcm",
    "JPEG-lossy.dcm",
    "SC_rgb_rle_2frame.dcm",
    "image_dfl.dcm",
    "MR_small.dcm",
    "liver_1frame.dcm",
    "rtdose.dcm",
    "test.mgz",
}
"""Whole files that our readers refuse: colour, sheared, two volumes, no place in space, or a codec not installed."""
NAMES = (
    "NIfTI", "NIfTI, gzip", "NRRD", "MetaImage", "MGH", "DICOM", "DICOM SEG", "radiograph", "OBJ", "STL", "PLY", "npz",
    "JSON", "TOML",
    "tables, YAML, transforms", "zip (submission)", "safetensors",
)  # fmt: skip


@pytest.fixture
def little_memory():
    """Two GiB of address space above what is in use, where that can be said."""
    if not Path("/proc/self/statm").exists():
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_a_spoilt_file_gives_a_value_or_a_message(name, tmp_path, monkeypatch, little_memory):
    if name == "safetensors" and find_spec("torch") is None:
        pytest.skip("needs voxbench[learn]")
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.chdir(tmp_path)
    from bench.fuzz_files import formats
    from bench.fuzz_processes import spoiled, tried, unread

    form = formats()[name]
    samples = form.samples()
    assert set(unread(form, tmp_path)) <= NOT_READ
    wrong = []
    for number in range(EACH):
        sample, how, reader = spoiled(form, samples, 3, number)
        found = tried(form, sample, reader, tmp_path)
        if found["what"] not in {"read", "refused"}:
            wrong.append((number, how, found))
    assert wrong == []


def test_every_format_is_spoilt(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from bench.fuzz_files import formats

    assert tuple(formats()) == NAMES
    assert sys.path[0] == BENCHMARKS
