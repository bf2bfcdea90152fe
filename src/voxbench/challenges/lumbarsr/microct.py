"""Pairs to learn from out of micro-CT alone: the degradation model makes the clinical sequences."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from voxbench.challenges.lumbarsr.simulation import TRUTH, LumbarsrSimulation, degrade
from voxbench.errors import UsageError
from voxbench.io import sha256
from voxbench.io.folders import require_files
from voxbench.jobs import run


def paired(
    micro_cts: Sequence[Path],
    settings: LumbarsrSimulation,
    cache: Path,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """A data set of micro-CT volumes and the clinical sequences a scanner would have made of them.

    It is made once; its folder is named by what decides it.

    Args:
        micro_cts: Volumes in HU, 105 um between voxels, a sample each.
        settings: Kernels, noise, seed; as many cases as files.
        cache: Folder that will hold it.
        progress: Called with each sample.

    Returns:
        The folder; its samples are ``settings.samples``, in the order of the files.

    Raises:
        FileReadError: A file is missing (all of them are named) or damaged.
        GridMismatchError: A volume has another spacing.
        UsageError: A file is given twice.
    """
    require_files(micro_cts, "micro-CT")
    hashes = [sha256(path) for path in micro_cts]
    for path, found in zip(micro_cts, hashes, strict=True):
        if hashes.count(found) > 1:
            raise UsageError(f"--microct {path}: given twice, or a copy of another one")
    decides = json.dumps([hashes, settings.model_dump(mode="json")], sort_keys=True)
    folder = cache / f"microct_{hashlib.sha256(decides.encode()).hexdigest()[:16]}"
    if not (folder / TRUTH).is_file():
        told = None if progress is None else lambda outcome: progress(outcome.key)
        degrade(folder, micro_cts, settings, runner=partial(run, told=told))
    return folder
