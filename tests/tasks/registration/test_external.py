"""Runners of external programs: for real where a package is installed, else a stand-in that writes its format."""

from __future__ import annotations

import importlib.util
import stat
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from voxbench.errors import JobError, MissingToolError, UsageError
from voxbench.geometry import DisplacementField, Grid, Volume, resample
from voxbench.io import write_displacement
from voxbench.tasks.registration.external import ExternalConfig, register_external

LPS = np.diag([-1.0, -1.0, 1.0])


def pair(shape: tuple[int, int, int] = (30, 26, 22)) -> tuple[Volume, Volume, DisplacementField]:
    """A blob, the same blob moved, and the field between them; voxels of 1.5 mm, LPS axes, off the origin."""
    grid = Grid.from_parts(shape, (1.5, 1.5, 1.5), (12.0, -7.0, 30.0), LPS)
    noise = gaussian_filter(np.random.default_rng(0).normal(size=shape), 2)
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    ball = gaussian_filter(((at**2).sum(axis=0) < 0.5).astype(float), 1)
    moving = Volume(((120 + 60 * noise / noise.std()) * ball).astype(np.float32), grid)
    vectors = np.zeros((*shape, 3), np.float32)
    vectors += (2.0 * np.exp(-3 * (at**2).sum(axis=0)))[..., None] * np.array([1.0, -0.6, 0.4])
    field = DisplacementField(vectors, grid)
    return resample(moving, onto=grid, through=field), moving, field


def program(folder: Path, name: str, body: str) -> Path:
    """An executable Python script."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport os, shutil, sys\n{body}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def distance(a: DisplacementField, b: DisplacementField, where: np.ndarray) -> float:
    return float(np.linalg.norm(a.array - b.array, axis=-1)[where].mean())


@pytest.mark.skipif(importlib.util.find_spec("picsl_greedy") is None, reason="needs picsl-greedy")
@pytest.mark.parametrize("affine", [False, True])
def test_greedy_for_real_finds_the_field_in_our_convention(affine: bool, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fixed, moving, true = pair((48, 44, 40))
    found = register_external(fixed, moving, "greedy", ExternalConfig(affine=affine))
    inside = fixed.array > 40
    assert distance(found, true, inside) < 0.5 * true.magnitude[inside].mean()
    before, after = (np.abs(m.array - fixed.array).mean() for m in (moving, resample(moving, fixed.grid, found)))
    assert after < 0.5 * before
    assert not list(tmp_path.iterdir())


def test_ants_field_is_read_as_lps_mm(tmp_path) -> None:
    fixed, moving, true = pair()
    write_displacement(tmp_path / "known.nii.gz", true, convention="ants")
    ants = program(tmp_path, "antsRegistration", f"shutil.copy({str(tmp_path / 'known.nii.gz')!r}, 'syn_0Warp.nii.gz')")
    found = register_external(fixed, moving, "ants-syn", ExternalConfig(executable=ants))
    np.testing.assert_allclose(found.array, true.array, atol=1e-6)


def test_ants_affine_and_warp_are_composed_by_its_own_program(tmp_path) -> None:
    fixed, moving, true = pair()
    write_displacement(tmp_path / "known.nii.gz", true, convention="ants")
    touch = "open('syn_1Warp.nii.gz', 'w'), open('syn_0GenericAffine.mat', 'w')"
    ants = program(tmp_path, "antsRegistration", f"assert 'Affine[0.1]' in sys.argv\n{touch}")
    config = ExternalConfig(executable=ants, affine=True)
    with pytest.raises(MissingToolError, match="antsApplyTransforms is needed too"):
        register_external(fixed, moving, "ants-syn", config)
    order = "assert sys.argv.index('syn_1Warp.nii.gz') < sys.argv.index('syn_0GenericAffine.mat')"
    copy = f"shutil.copy({str(tmp_path / 'known.nii.gz')!r}, sys.argv[sys.argv.index('-o') + 1][1:-3])"
    program(tmp_path, "antsApplyTransforms", f"{order}\n{copy}")
    np.testing.assert_allclose(register_external(fixed, moving, "ants-syn", config).array, true.array, atol=1e-6)


def deeds_flow(cells: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(4).normal(size=(3, *cells)).astype(np.float32)


def save_deeds(path: Path, flow: np.ndarray) -> None:
    """Components along the second, first, third axis; the first index fastest."""
    np.concatenate([flow[a].ravel(order="F") for a in (1, 0, 2)]).tofile(path)


def expected_deeds(flow: np.ndarray, matrix: np.ndarray, grid: Grid) -> np.ndarray:
    """A x - x + d(x), d linear between control points at multiples of shape / cells; then mm."""
    from scipy.ndimage import map_coordinates

    index = np.stack(np.meshgrid(*(np.arange(n, dtype=float) for n in grid.shape), indexing="ij"))
    cells = np.array(flow.shape[1:]).reshape(3, 1, 1, 1) / np.array(grid.shape).reshape(3, 1, 1, 1)
    dense = np.stack([map_coordinates(f, index * cells, order=1, mode="nearest") for f in flow])
    moved = np.einsum("ab,bijk->aijk", matrix[:3, :3], index) + matrix[:3, 3].reshape(3, 1, 1, 1)
    return np.moveaxis(moved - index + dense, 0, -1) @ grid.world_from_voxel.linear.T


@pytest.mark.parametrize("affine", [False, True])
def test_deeds_control_points_and_matrix_become_a_dense_field(tmp_path, affine: bool) -> None:
    fixed, moving, _ = pair((30, 26, 23))
    flow = deeds_flow((7, 6, 5))
    save_deeds(tmp_path / "known.dat", flow)
    matrix = np.eye(4)
    if affine:
        matrix[:3] += np.random.default_rng(5).normal(0, 0.02, (3, 4))
        rows = [" ".join(f"{v:.9g}" for v in row) for row in matrix.T]
        text = "\\n".join(rows)
        program(tmp_path, "linearBCV", f"open(sys.argv[sys.argv.index('-O') + 1] + '_matrix.txt', 'w').write('{text}')")
    known = str(tmp_path / "known.dat")
    wants = "assert ('-A' in sys.argv) == " + str(affine)
    copy = f"shutil.copy({known!r}, sys.argv[sys.argv.index('-O') + 1] + '_displacements.dat')"
    deeds = program(tmp_path, "deedsBCV", f"{wants}\n{copy}")
    found = register_external(fixed, moving, "deeds", ExternalConfig(executable=deeds, affine=affine))
    np.testing.assert_allclose(found.array, expected_deeds(flow, matrix, fixed.grid), atol=1e-4)


def test_deeds_field_of_another_size_is_refused(tmp_path) -> None:
    fixed, moving, _ = pair()
    deeds = program(
        tmp_path, "deedsBCV", "open(sys.argv[sys.argv.index('-O') + 1] + '_displacements.dat', 'wb').write(b'0000')"
    )
    with pytest.raises(JobError, match="fit no control grid"):
        register_external(fixed, moving, "deeds", ExternalConfig(executable=deeds))


def test_the_program_runs_in_its_own_folder_with_its_own_settings(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    fixed, moving, true = pair()
    write_displacement(tmp_path / "known.nii.gz", true, convention="itk")
    log = tmp_path / "log"
    body = (
        f"open({str(log)!r}, 'w').write(os.getcwd() + '|' + os.environ['OMP_NUM_THREADS'] + '|' + "
        "str('PYTHONPATH' in os.environ) + '|' + ' '.join(sys.argv[1:]))\n"
        f"shutil.copy({str(tmp_path / 'known.nii.gz')!r}, 'deformable.nii.gz')"
    )
    greedy = program(tmp_path, "greedy", body)
    config = ExternalConfig(executable=greedy, threads=3, arguments=("-s", "2vox", "1vox"))
    register_external(fixed, moving, "greedy", config)
    folder, threads, inherited, arguments = log.read_text().split("|")
    assert (threads, inherited) == ("3", "False")
    assert arguments.endswith("-s 2vox 1vox")
    assert "-threads 3" in arguments
    assert Path(folder).parent == tmp_path / "temporary"
    assert not Path(folder).exists()


@pytest.mark.parametrize("method", ["ants-syn", "greedy", "deeds"])
def test_a_missing_program_is_named_with_what_to_install(method, tmp_path, monkeypatch) -> None:
    fixed, moving, _ = pair()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=r"not on the PATH(.|\n)*executable="):
        register_external(fixed, moving, method)
    with pytest.raises(MissingToolError, match="no program that can be run"):
        register_external(fixed, moving, method, ExternalConfig(executable=tmp_path / "absent"))


def test_an_interpreter_without_the_package_is_refused() -> None:
    fixed, moving, _ = pair()
    python = ExternalConfig(executable=Path(sys.executable))
    if importlib.util.find_spec("ants") is None:
        with pytest.raises(MissingToolError, match="has no package ants"):
            register_external(fixed, moving, "ants-syn", python)
    with pytest.raises(MissingToolError, match="comes as a program"):
        register_external(fixed, moving, "deeds", python)


def test_a_program_that_fails_is_quoted(tmp_path) -> None:
    fixed, moving, _ = pair()
    greedy = program(tmp_path, "greedy", "print('out of luck'); sys.exit(3)")
    with pytest.raises(JobError, match="ended with code 3\n  out of luck"):
        register_external(fixed, moving, "greedy", ExternalConfig(executable=greedy))
    silent = program(tmp_path, "greedy", "")
    with pytest.raises(JobError, match="left no deformable"):
        register_external(fixed, moving, "greedy", ExternalConfig(executable=silent))
    slow = program(tmp_path, "greedy", "import time; time.sleep(60)")
    with pytest.raises(JobError, match="stopped after"):
        register_external(fixed, moving, "greedy", ExternalConfig(executable=slow, timeout=0.2))


def test_extra_arguments_are_refused_where_they_cannot_be_passed_on(tmp_path) -> None:
    fixed, moving, _ = pair()
    python = program(tmp_path, "python3", "")
    with pytest.raises(UsageError, match="antspyx"):
        register_external(fixed, moving, "ants-syn", ExternalConfig(executable=python, arguments=("-z", "1")))
