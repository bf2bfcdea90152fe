"""Methods under test: the command that runs each as a process of its own, and how its field is read."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from bench.measure import Cost, cost_of
from bench.pairs import Pair

GREEDY = Path(__file__).resolve().parent.parent / "greedy_process.py"
GREEDY_SETTINGS = {
    "greedy": {"metric": "NCC 2x2x2", "iterations": "100x50x10"},
    "greedy-nmi": {"metric": "NMI", "iterations": "100x50x10"},
    "greedy-float": {"metric": "NCC 2x2x2", "iterations": "100x50x10", "extra": "-float"},
}


@dataclass(frozen=True)
class Outcome:
    """What one run gave: fields in voxels, shape (3, i, j, k), and its cost (none for the identity)."""

    field: np.ndarray
    inverse: np.ndarray | None
    cost: Cost | None


def run(method: str, pair: Pair, folder: Path, threads: int) -> Outcome:
    """Run a method on a pair.

    Args:
        method: ``identity``; a key of GREEDY_SETTINGS; ``voxbench ARGUMENTS``, arguments of ``voxbench register``.
        pair: What is registered.
        folder: Emptied, then used for what the method writes.
        threads: Threads it may use.
    """
    if method == "identity":
        shape = nib.load(pair.fixed).shape
        return Outcome(np.zeros((3, *shape), np.float32), None, None)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if method in GREEDY_SETTINGS:
        return _greedy(GREEDY_SETTINGS[method], pair, folder, threads)
    if not method.startswith("voxbench"):
        raise ValueError(f"no method {method!r}: identity, {', '.join(GREEDY_SETTINGS)} or 'voxbench ARGUMENTS'")
    return _voxbench(shlex.split(method)[1:], pair, folder, threads)


def _greedy(settings: dict[str, str], pair: Pair, folder: Path, threads: int) -> Outcome:
    field = folder / "field.nii.gz"
    options = json.dumps(settings | {"threads": str(threads)})
    command = [sys.executable, str(GREEDY), str(pair.fixed), str(pair.moving), str(field), options]
    cost = cost_of(command, folder / "log.txt", threads)
    return Outcome(voxels_from_itk(field, pair.fixed), None, cost)


def _voxbench(arguments: list[str], pair: Pair, folder: Path, threads: int) -> Outcome:
    out = folder / "out"
    command = [str(Path(sys.executable).with_name("voxbench")), "register", str(pair.fixed), str(pair.moving)]
    cost = cost_of([*command, "--out", str(out), *arguments], folder / "log.txt", threads)
    return Outcome(voxels(out / "displacement.nii.gz"), voxels(out / "inverse_displacement.nii.gz"), cost)


def voxels(path: Path) -> np.ndarray:
    """A file of voxel displacements (i, j, k, 3), components first."""
    return np.ascontiguousarray(np.moveaxis(np.asarray(nib.load(path).dataobj, dtype=np.float32), -1, 0))


def voxels_from_itk(path: Path, fixed: Path) -> np.ndarray:
    """An ITK displacement file (LPS mm, five axes) as voxels of the fixed grid, components first."""
    lps = np.asarray(nib.load(path).dataobj, dtype=np.float32).squeeze()
    to_voxel = np.linalg.inv(nib.load(fixed).affine[:3, :3]) @ np.diag([-1.0, -1.0, 1.0])
    return np.ascontiguousarray(np.moveaxis(lps @ to_voxel.T.astype(np.float32), -1, 0))
