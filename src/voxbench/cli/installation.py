"""What this installation has: versions, processors, memory, GPUs, samples, programs of others."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

GIGABYTE = 2**30
ENOUGH_MEMORY = 4 * GIGABYTE
"""What a registration at 1 mm, a fusion of 700 x 700 x 800 voxels or a reconstruction keeps below."""
ENOUGH_DISK = 2 * GIGABYTE
INSTRUCTION_SETS = ("any x86-64 (or another processor's own)", "AVX2", "AVX-512")
PROGRAMS = {"greedy": "greedy", "antsRegistration": "ANTs", "deedsBCV": "deeds", "nnUNetv2_predict": "nnU-Net"}


@dataclass(frozen=True)
class Finding:
    """One line of what was found.

    Attributes:
        name: Of what.
        told: What it is.
        advice: What to do about it; empty if all is well.
        wrong: Whether voxbench cannot work with it.
    """

    name: str
    told: str
    advice: str = ""
    wrong: bool = False


def findings() -> tuple[Finding, ...]:
    """All of them; torch is imported if it is there, which takes a moment."""
    return (
        Finding("voxbench", f"{version('voxbench')}, Python {platform.python_version()}, {platform.platform()}"),
        core(),
        memory(),
        disk(),
        packages(),
        learning(),
        samples(),
        programs(),
    )


def core() -> Finding:
    """The compiled core: which copy, how many threads."""
    from voxbench import _core

    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = f"{INSTRUCTION_SETS[_core.instruction_set()]}, {_core.threads()} threads of {cpus} processors"
    few = _core.threads() < cpus
    return Finding("compiled core", told, "OMP_NUM_THREADS, or a batch system, holds threads back" if few else "")


def memory() -> Finding:
    """What the machine has and what is free."""
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total = page * os.sysconf("SC_PHYS_PAGES")
        free = page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return Finding("memory", "unknown on this system")
    little = total < ENOUGH_MEMORY
    told = f"{total / GIGABYTE:.1f} GB, {free / GIGABYTE:.1f} GB unused"
    return Finding("memory", told, "large volumes need 4 GB" if little else "")


def disk() -> Finding:
    """Room for temporary files."""
    import tempfile

    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    advice = "point TMPDIR at a larger disk" if free < ENOUGH_DISK else ""
    return Finding("temporary files", f"{folder}, {free / GIGABYTE:.1f} GB free", advice)


def packages() -> Finding:
    """The packages that voxbench needs."""
    needed = [_name(line) for line in requires("voxbench") or () if "extra ==" not in line]
    have, missing = {}, []
    for name in needed:
        try:
            have[name] = version(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", f"missing: {', '.join(missing)}", f"{_pip()} install voxbench", wrong=True)
    shown = ", ".join(f"{name} {have[name]}" for name in ("numpy", "scipy", "nibabel", "SimpleITK") if name in have)
    return Finding("packages", f"all {len(have)} there ({shown}, ...)")


def learning() -> Finding:
    """Torch and what it runs on."""
    missing = [name for name in ("torch", "accelerate", "monai", "safetensors") if not _installed(name)]
    if missing:
        told = f"{', '.join(missing)} not installed; needed by methods that learn, by nothing else"
        return Finding("learning", told, f"{_pip()} install 'voxbench[learn]'")
    import torch

    devices = [
        f"{torch.cuda.get_device_name(i)}, {torch.cuda.get_device_properties(i).total_memory / GIGABYTE:.0f} GB"
        for i in range(torch.cuda.device_count())
    ]
    if not devices and torch.backends.mps.is_available():
        devices = ["Apple GPU"]
    return Finding("learning", f"torch {torch.__version__}, {'; '.join(devices) or 'no GPU'}")


def samples() -> Finding:
    """Which sample images are here."""
    from voxbench.io.samples import SAMPLES, cache_folder, is_cached

    here = [known.name for known in SAMPLES if is_cached(known)]
    absent = [known.name for known in SAMPLES if known.name not in here]
    told = f"{', '.join(here) or 'none'} in {cache_folder()}"
    return Finding("sample data", told, f"voxbench samples {' '.join(absent)}" if absent else "")


def programs() -> Finding:
    """Programs of others that voxbench can run."""
    there = [f"{name} ({shutil.which(program)})" for program, name in PROGRAMS.items() if shutil.which(program)]
    return Finding("programs of others", ", ".join(there) or "none; none is needed")


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _name(requirement: str) -> str:
    """Of a requirement's package: ``dask[distributed]>=2026`` is dask."""
    end = next((at for at, letter in enumerate(requirement) if not (letter.isalnum() or letter in "-_.")), None)
    return requirement[:end]


def _pip() -> str:
    return f"{sys.executable} -m pip"
