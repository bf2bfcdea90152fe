"""What a run was: program, inputs, time and memory; the parts of registration.json that need no image."""

from __future__ import annotations

import hashlib
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from voxbench.io import sha256


@dataclass
class Stopwatch:
    """Wall and CPU seconds (all threads) since it was made."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)

    def seconds(self) -> dict[str, float]:
        """Elapsed seconds."""
        return {
            "wall_seconds": round(time.perf_counter() - self.wall, 3),
            "cpu_seconds": round(time.process_time() - self.cpu, 3),
        }


def programs() -> dict[str, Any]:
    """Versions of voxbench, Python and every package voxbench depends on and finds, and the kind of machine."""
    names = [line.split(";")[0] for line in requires("voxbench") or () if "extra ==" not in line]
    return {
        "voxbench": version("voxbench"),
        "python": sys.version.split()[0],
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: found for name in map(_package, names) if (found := _version(name)) is not None},
    }


def inputs(files: Mapping[str, Path | None]) -> dict[str, dict[str, str]]:
    """Path and SHA-256 of every file that went in; for a folder, of the list of its files with theirs.

    Raises:
        FileReadError: One cannot be read.
    """
    return {name: {"path": str(path), "sha256": _hash(path)} for name, path in files.items() if path is not None}


def peak_memory_gib() -> float | None:
    """The most memory this process held, GiB; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**30 if sys.platform == "darwin" else 2**20), 3)


def _hash(path: Path) -> str:
    """Of a file, or of a folder (a DICOM series)."""
    if not path.is_dir():
        return sha256(path)
    listing = "".join(f"{sha256(file)}  {file.name}\n" for file in sorted(path.iterdir()) if file.is_file())
    return hashlib.sha256(listing.encode()).hexdigest()


def _package(requirement: str) -> str:
    """``dask[distributed]>=2026.1`` as ``dask``."""
    for i, character in enumerate(requirement):
        if not (character.isalnum() or character in "-_."):
            return requirement[:i]
    return requirement


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
