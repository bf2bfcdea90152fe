"""What the README tells people to type works as it stands there, on small images."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from voxbench.geometry import Affine, Grid, Volume, resample
from voxbench.io import read_volume, write_volume

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The README's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with fixed.nii.gz and moving.nii.gz: a made-up brain, and the same brain moved by two millimetres."""
    rng = np.random.default_rng(0)
    grid = Grid.from_parts((48, 52, 44), (2.0, 2.0, 2.0), (-47.0, -51.0, -43.0))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1).astype(float)
    points = grid.world_from_voxel(index)
    array = np.zeros(grid.shape)
    for _ in range(40):
        centre, size = rng.uniform(-25, 25, 3), rng.uniform(4, 9)
        array += rng.uniform(-40, 40) * np.exp(-(((points - centre) / size) ** 2).sum(axis=-1))
    inside = ((points / (40, 44, 36)) ** 2).sum(axis=-1) < 1
    fixed = Volume(np.where(inside, 120 + array, 0).clip(0).astype(np.float32), grid)
    shift = Affine.from_parts(np.eye(3), np.array((2.0, -1.0, 1.0)))
    write_volume(tmp_path / "fixed.nii.gz", fixed)
    write_volume(tmp_path / "moving.nii.gz", resample(fixed, grid, through=shift))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def correlation(folder: Path, name: str) -> float:
    """Of an image with the fixed one."""
    images = [read_volume(folder / n).array.ravel() for n in ("fixed.nii.gz", name)]
    return float(np.corrcoef(images)[0, 1])


@pytest.mark.slow
def test_the_python_of_the_readme_runs_and_registers(folder: Path) -> None:
    (snippet,) = blocks("python")
    exec(compile(snippet, "README.md", "exec"), {"__name__": "readme"})
    assert correlation(folder, "warped_from_python.nii.gz") > max(0.98, correlation(folder, "moving.nii.gz"))


@pytest.mark.slow
def test_the_shell_of_the_readme_runs_and_registers(folder: Path) -> None:
    (snippet,) = blocks("sh")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", snippet],
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "2"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert correlation(folder, "warped.nii.gz") > max(0.98, correlation(folder, "moving.nii.gz"))
    assert (folder / "out" / "overview.png").is_file()


def test_the_readme_shows_five_lines_of_each() -> None:
    for language in ("python", "sh"):
        (snippet,) = blocks(language)
        assert len([line for line in snippet.splitlines() if line.strip()]) == 5


def test_what_the_documents_point_at_is_there() -> None:
    for document in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} points at {target}"


def test_the_make_targets_the_documents_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for document in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"make (demo|test|check)\b", (ROOT / document).read_text(encoding="utf-8")):
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
