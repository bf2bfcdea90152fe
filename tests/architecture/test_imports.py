"""What is imported when: nothing heavy for ``import voxbench`` and ``--help``, and only along the layers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import voxbench.cli

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "voxbench"
HEAVY = {
    *("SimpleITK", "nibabel", "pydicom", "highdicom", "nrrd", "trimesh"),
    *("scipy", "skimage", "matplotlib", "dask", "torch", "jinja2", "edt", "cc3d"),
}


def loaded(code: str) -> set[str]:
    """The top-level modules a fresh interpreter holds after running some code."""
    show = "import sys; print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_importing_voxbench_loads_neither_numpy_nor_the_command_line():
    found = loaded("import voxbench")
    assert not found & (HEAVY | {"numpy", "pydantic", "cyclopts", "rich"})


def test_help_loads_no_library_of_images_arrays_or_networks():
    found = loaded("from voxbench.cli import main; assert main(['--help']) == 0")
    assert not found & (HEAVY | {"numpy", "pydantic"})


@pytest.mark.parametrize("verb", ["register", "warp"])
def test_help_of_a_verb_loads_no_library_of_files_and_pictures(verb):
    found = loaded(f"from voxbench.cli import main; assert main(['{verb}', '--help']) == 0")
    assert not found & (HEAVY - {"scipy"})


def test_every_file_of_the_command_line_that_holds_a_verb_is_in_the_table():
    files = [path for path in (SOURCE / "cli").glob("*.py") if "\napp = " in path.read_text(encoding="utf-8")]
    assert {path.stem for path in files} == set(voxbench.cli.VERBS)


def test_no_source_file_is_longer_than_a_reader_s_patience():
    long = {}
    for path in sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("src/**/*.[ch]pp")]):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines >= 400:
            long[str(path.relative_to(ROOT))] = lines
    assert long == {}


def test_nothing_below_the_command_line_prints():
    printing = [
        f"{path.name}:{node.lineno}"
        for path in SOURCE.rglob("*.py")
        if "cli" not in path.relative_to(SOURCE).parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_the_layers_hold():
    pytest.importorskip("importlinter")
    check = "from importlinter.cli import lint_imports_command as run; run(['--no-cache'])"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
